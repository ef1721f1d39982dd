from dataclasses import replace

import numpy as np
import pytest
from scipy import stats

from strop.errors import RunError
from strop.evaluation.answer_intervals import means, measured_by_row
from strop.evaluation.compare_answers import compare_answers
from strop.evaluation.evaluate_answers import score_answers
from strop.recipe.sections import Evaluation
from strop.records.answers import Answers
from strop.records.dataset import strings
from strop.records.scores import Scores

QUICK = Evaluation(primary_metric="f1", baselines=["zero_shot"], n_bootstrap=500)
N_ROWS = 60
ACCEPTED = [(f"red dog {at}", f"dog {at}") for at in range(N_ROWS)]


def answered(texts: list[str], *, prefix: str = "r", ended: bool = True, seen: int = 0) -> Answers:
    n_rows = len(texts)
    return Answers(
        ids=strings([f"{prefix}{at}" for at in range(n_rows)]),
        text_RC=strings(texts)[:, None],
        log_likelihood_RC=np.full((n_rows, 1), -1.0, dtype=np.float32),
        n_tokens_RC=np.full((n_rows, 1), 2, dtype=np.int64),
        ended_RC=np.full((n_rows, 1), ended),
        part=strings(["validation"] * n_rows),
        seen_R=np.arange(n_rows) < seen,
        fold_R=np.full(n_rows, -1),
    )


def right_in(share: float, wrong: str = "cat") -> Answers:
    """The first rows right, the others wrong."""
    return answered([f"The dog {at}." if at < share * N_ROWS else wrong for at in range(N_ROWS)])


@pytest.fixture(scope="module")
def scored() -> Scores:
    return score_answers(
        right_in(0.7),
        ACCEPTED,
        baselines={"zero_shot": right_in(0.3, wrong="red cat"), "few_shot": right_in(0.7, wrong="")},
        evaluation=QUICK,
        part="validation",
        seed=3,
        treated={"uncleaned": right_in(0.6)},
        caveats=("these rows also chose the checkpoint",),
    )


def test_values_are_those_worked_out_by_hand(scored):
    own = scored.model.metrics
    assert list(own) == ["exact_match", "f1", "rouge_l", "ended", "empty", "repeated"]
    assert own["exact_match"].value == own["f1"].value == own["rouge_l"].value == pytest.approx(0.7)
    zero = scored.baselines[0].metrics
    # Beside the exact third, "red cat" shares a word of two with an answer of three: 2 * 1 / (2 + 3).
    assert zero["exact_match"].value == pytest.approx(0.3)
    assert zero["f1"].value == pytest.approx(0.3 + 0.7 * 0.4)
    assert scored.baselines[1].metrics["empty"].value == pytest.approx(0.3)
    assert own["ended"].value == 1
    assert own["repeated"].value == 0
    assert [name for name, score in own.items() if not score.higher_is_better] == ["empty", "repeated"]


def test_what_names_the_scores(scored):
    assert (scored.part, scored.primary, scored.labels) == ("validation", "f1", ())
    assert (scored.model.classes, scored.model.targets, scored.temperature) == ((), (), None)
    assert scored.ids[:2] == ("r0", "r1")
    assert scored.model.per_row["exact_match"] == (1.0,) * 42 + (0.0,) * 18
    assert scored.caveats == ("these rows also chose the checkpoint",)


def test_intervals_are_those_of_a_share(scored):
    score = scored.model.metrics["exact_match"]
    low, high = stats.binom.ppf([0.025, 0.975], N_ROWS, 0.7) / N_ROWS
    assert score.low == pytest.approx(low, abs=0.025)
    assert score.high == pytest.approx(high, abs=0.025)


def test_differences_are_paired(scored):
    worse, same = scored.differences
    assert (worse.other, worse.metric, worse.value) == ("zero_shot", "f1", pytest.approx(0.12))
    assert worse.low < 0.12 < worse.high
    assert (same.value, same.low, same.high, same.p_value) == (0, 0, 0, 1)
    (treated,) = scored.treated
    assert (treated.treatment, treated.gain.other, treated.gain.value) == ("uncleaned", "model", pytest.approx(-0.1))
    # Six rows answered by one alone: two of 64 ways to swap them are as far apart.
    assert treated.gain.p_value == pytest.approx(2 / 64, abs=0.015)


def test_scores_are_read_back_and_equal_seeds_give_equal_ones(tmp_path, scored):
    scored.save(tmp_path / "scores.json")
    assert Scores.load(tmp_path / "scores.json") == scored
    again = score_answers(right_in(0.7), ACCEPTED, baselines={}, evaluation=QUICK, part="validation", seed=3)
    assert again.model == scored.model


def test_groups_are_drawn_and_swapped_whole():
    groups = strings([f"article {at // 10}" for at in range(N_ROWS)])
    inputs = {"baselines": {"zero_shot": right_in(0.3)}, "evaluation": QUICK, "part": "test", "seed": 0}
    grouped = score_answers(right_in(0.7), ACCEPTED, groups=groups, **inputs)
    alone = score_answers(right_in(0.7), ACCEPTED, **inputs)
    assert grouped.primary_score.value == alone.primary_score.value
    assert grouped.primary_score.low < alone.primary_score.low
    assert grouped.differences[0].p_value > alone.differences[0].p_value
    assert grouped.caveats == ("the rows come from 6 group(s) only: intervals over so few groups are rough",)


def test_by_the_rules_of_korquad_characters_count():
    accepted = [("서울특별시",)] * 40
    by_characters = QUICK.model_copy(update={"answer_rules": "korquad"})
    inputs = {"baselines": {}, "part": "test", "seed": 0}
    one = score_answers(answered(["서울시"] * 40), accepted, evaluation=by_characters, **inputs)
    assert one.primary_score.value == pytest.approx(6 / 8)
    assert score_answers(answered(["서울시"] * 40), accepted, evaluation=QUICK, **inputs).primary_score.value == 0


def test_failures_of_many_answers_are_said():
    texts = ["", "", *["so " * 20] * 3, *["dog"] * 35]
    scores = score_answers(
        answered(texts, ended=False), ACCEPTED[:40], baselines={}, evaluation=QUICK, part="test", seed=0
    )
    assert scores.caveats == (
        "40 of 40 answers were stopped at the longest length",
        "3 of 40 answers repeat themselves",
    )
    assert scores.model.metrics["ended"].value == 0
    assert scores.model.metrics["empty"].value == pytest.approx(2 / 40)


def test_no_answer_may_be_said_in_words():
    accepted = [()] * 20 + [("dog",)] * 20
    texts = ["unanswerable"] * 30 + ["dog"] * 10
    inputs = {"baselines": {}, "evaluation": QUICK, "part": "test", "seed": 0}
    scores = score_answers(answered(texts), accepted, no_answer="Unanswerable", **inputs)
    assert scores.primary_score.value == pytest.approx(30 / 40)
    assert scores.model.metrics["empty"].value == 0
    assert score_answers(answered(texts), accepted, **inputs).primary_score.value == pytest.approx(10 / 40)


def test_the_means_are_those_that_training_watches():
    found = means(measured_by_row(right_in(0.5), ACCEPTED, "squad"))
    assert found == {"exact_match": 0.5, "f1": 0.5, "rouge_l": 0.5, "ended": 1.0, "empty": 0.0, "repeated": 0.0}


def test_unfair_rows_are_refused():
    model = right_in(0.7)
    inputs = {"evaluation": QUICK, "part": "validation", "seed": 0}
    with pytest.raises(RunError) as caught:
        score_answers(
            replace(model, seen_R=np.arange(N_ROWS) < 2),
            ACCEPTED,
            baselines={"zero_shot": model.take(range(5))},
            treated={"voted": answered(["x"] * N_ROWS, prefix="q")},
            **inputs,
        )
    seen, baseline, treated = caught.value.problems
    assert seen.where == "answers of the model for the part 'validation'"
    assert seen.came == "2 of 60 rows were trained on"
    assert baseline.where == "answers of the baseline 'zero_shot'"
    assert baseline.must == "a baseline must have answered the rows that the model answered, in the same order"
    assert baseline.came == "5 rows, 5 of them among the model's 60"
    assert treated.came == "60 rows, 0 of them among the model's 60"
    with pytest.raises(RunError, match="there must be rows to judge") as caught:
        score_answers(model.take([]), [], baselines={}, **inputs)
    assert caught.value.problems[0].where == "answers of the part 'validation'"
    with pytest.raises(RunError, match="some row must have an accepted answer") as caught:
        score_answers(model, [()] * N_ROWS, baselines={}, **inputs)
    assert caught.value.problems[0].came == "60 rows without any"
    with pytest.raises(ValueError, match="accepted answers for each of 60 rows, came 2"):
        score_answers(model, ACCEPTED[:2], baselines={}, **inputs)


TRUTH = {f"r{at}": texts for at, texts in enumerate(ACCEPTED)}


def test_systems_are_compared_on_the_rows_that_none_was_trained_on():
    systems = {
        "greedy": right_in(0.3),
        "beams n_beams=4": replace(right_in(0.9), seen_R=np.arange(N_ROWS) < 10),
        "sample": right_in(0.3, wrong="red cat"),
    }
    found = compare_answers(systems, dict.fromkeys(systems, TRUTH), evaluation=QUICK, seed=0)
    assert (found.metric, found.n_rows) == ("f1", 50)
    assert list(found.scores) == ["beams n_beams=4", "sample", "greedy"]
    assert found.scores["greedy"].value == pytest.approx(8 / 50)
    assert found.n_seen == {"greedy": 0, "beams n_beams=4": 10, "sample": 0}
    assert found.n_not_shared == {"greedy": 10, "beams n_beams=4": 0, "sample": 10}
    best = found.pairs[1]
    assert (best.one, best.other, best.is_clear) == ("beams n_beams=4", "greedy", True)
    # The smallest p-value of 2,000 swaps, three times over.
    assert best.p_value == pytest.approx(3 / 2001)
    assert "beams n_beams=4 is clearly better than greedy" in "\n".join(found.lines())


def test_systems_that_cannot_be_compared_are_refused():
    one, other = right_in(0.5), right_in(0.6)
    with pytest.raises(ValueError, match="at least two systems"):
        compare_answers({"one": one}, {"one": TRUTH}, evaluation=QUICK, seed=0)
    swapped = {row_id: tuple(reversed(texts)) for row_id, texts in TRUTH.items()}
    compare_answers({"one": one, "other": other}, {"one": TRUTH, "other": swapped}, evaluation=QUICK, seed=0)
    changed = {**TRUTH, "r3": ("cat",)}
    with pytest.raises(RunError) as caught:
        compare_answers({"one": one, "other": other}, {"one": TRUTH, "other": changed}, evaluation=QUICK, seed=0)
    (problem,) = caught.value.problems
    assert problem.must == "runs must agree on the true answers of every shared row"
    assert problem.came == "1 rows differ, for example r3"
    apart = answered(["x"] * 3, prefix="q")
    with pytest.raises(RunError, match="unseen in training"):
        compare_answers({"one": one, "other": apart}, {"one": TRUTH, "other": TRUTH}, evaluation=QUICK, seed=0)
    nothing = dict.fromkeys(TRUTH, ())
    with pytest.raises(RunError, match="some row must have an accepted answer"):
        compare_answers({"one": one, "other": other}, {"one": nothing, "other": nothing}, evaluation=QUICK, seed=0)
