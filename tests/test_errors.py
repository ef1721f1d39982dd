"""The family of errors: what a reader sees, and what the command line exits with."""

import pytest

from strop import errors
from strop.errors import Problem, RecipeError, StropError, did_you_mean

PROBLEM = Problem(where="recipe.yaml: seed", must="a seed must be a number", came="'three'", do="write seed: 3")


def test_a_problem_says_where_what_came_and_what_to_do():
    assert str(PROBLEM) == "recipe.yaml: seed: a seed must be a number\n  came: 'three'\n  do:   write seed: 3"


def test_an_error_carries_all_its_problems():
    other = Problem(where="here", must="it must be so", came="it is not", do="make it so")
    error = RecipeError(PROBLEM, other)
    assert error.problems == (PROBLEM, other)
    assert str(error) == f"{PROBLEM}\n{other}"


def test_an_error_without_a_problem_is_a_mistake_of_ours():
    with pytest.raises(ValueError, match="at least one problem"):
        StropError()


def test_every_kind_of_error_has_an_exit_code_of_its_own_that_is_not_0():
    kinds = [kind for kind in vars(errors).values() if isinstance(kind, type) and issubclass(kind, StropError)]
    codes = {kind.__name__: kind.exit_code for kind in kinds}
    assert codes == {
        "StropError": 1,
        "RecipeError": 2,
        "DataError": 3,
        "ModelError": 4,
        "RunError": 5,
        "MachineError": 6,
    }


@pytest.mark.parametrize(
    ("word", "known", "sentence"),
    [
        ("epoch", ["epochs", "patience"], "did you mean 'epochs'?"),
        ("macrof1", ["accuracy", "macro_f1"], "did you mean 'macro_f1'?"),
        ("zzz", ["patience", "epochs"], "use one of: epochs, patience"),
        ("zzz", [f"k{n:02}" for n in range(21)], f"use one of: {', '.join(f'k{n:02}' for n in range(20))}, ..."),
    ],
)
def test_did_you_mean_names_the_closest_word_or_lists_what_is_known(word, known, sentence):
    assert did_you_mean(word, known) == sentence
