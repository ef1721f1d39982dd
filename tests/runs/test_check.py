"""What `strop check` finds is what a fit would meet."""

from pathlib import Path
from typing import Any

import pytest

from strop.errors import RecipeError
from strop.recipe.load import resolve
from strop.runs.check import check_recipe


def recipe(path: Path, model: Path, **data: Any) -> dict[str, Any]:
    return {
        "name": "checked",
        "data": {"path": str(path), "text": "text", "target": "label", "id": "id", **data},
        "model": {"name": str(model)},
        "text": {"max_length_tokens": 32},
        "split": {"near_duplicates": "ignore"},
    }


@pytest.fixture
def rows(tmp_path: Path) -> Path:
    """Forty rows, the last ten sealed: every fourth label has a capital, every text stands under two labels."""
    lines = [
        f"r{at},text number {at // 2},{'aB'[at % 2].upper() if at % 4 == 0 else 'ab'[at % 2]},"
        f"{'test' if at >= 30 else 'train'}"
        for at in range(40)
    ]
    path = tmp_path / "rows.csv"
    path.write_text("\n".join(["id,text,label,part", *lines]), encoding="utf-8")
    return path


def test_no_entry_names_a_sealed_row_with_its_label(rows: Path, tiny_encoder: Path) -> None:
    checked = check_recipe(resolve(recipe(rows, tiny_encoder, part="part")))
    told = [entry for entry in checked.entries if entry.details.get("about") == "labels"]
    assert len(told) == 2
    sealed = {f"r{at}" for at in range(30, 40)}
    for entry in told:
        assert entry.n_rows >= 20
        assert entry.ids
        assert not sealed & set(entry.ids)


def test_labels_are_counted_over_rows_that_are_not_sealed(rows: Path, tiny_encoder: Path) -> None:
    checked = check_recipe(resolve(recipe(rows, tiny_encoder, part="part")))
    assert (checked.audit.n_rows, checked.audit.n_labelled_rows) == (40, 30)
    assert sum(label.n_rows for label in checked.audit.labels) == len(checked.label_of) == 30


def test_data_without_test_rows_are_said_to_seal_nothing(rows: Path, tiny_encoder: Path) -> None:
    rows.write_text(rows.read_text().replace(",test", ",validation"))
    checked = check_recipe(resolve(recipe(rows, tiny_encoder, part="part")))
    assert any("nothing is sealed" in entry.what for entry in checked.entries)


def test_what_training_would_refuse_is_refused_before_the_data_are_read(tmp_path: Path, tiny_encoder: Path) -> None:
    content = {**recipe(tmp_path / "absent.csv", tiny_encoder), "stages": [{"frozen": ["word_embedings"]}]}
    with pytest.raises(RecipeError, match=r"stages\.0\.frozen.*\n.*\n.*did you mean 'word_embeddings'"):
        check_recipe(resolve(content))
