"""`strop decode`: what it refuses."""

import pytest

from strop.cli.arguments import decoding_of
from strop.errors import RecipeError


def test_a_decoding_is_read_as_a_recipe_writes_it() -> None:
    assert decoding_of("{method: beams, n_beams: 8}", "--also").name == "beams n_beams=8"


@pytest.mark.parametrize(
    ("text", "words"),
    [
        ("{method: best}", "--also.method: it must be a decoding"),
        ("{method: greedy, n_beams: 3}", "n_beams must stand with method 'beams', came 'greedy'"),
        ("beams", "--also: it must be a decoding"),
    ],
)
def test_what_is_no_decoding_is_refused(text: str, words: str) -> None:
    with pytest.raises(RecipeError) as caught:
        decoding_of(text, "--also")
    assert words in str(caught.value)
