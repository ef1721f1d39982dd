"""The report and the card of a run that predicts numbers."""

import re
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
import yaml

from strop.records.run_folder import RunFolder
from strop.reporting.card import write_card
from strop.reporting.report import VALUE_SECTIONS

BuildRun = Callable[..., RunFolder]
ReadReport = Callable[[RunFolder], tuple[str, Any]]


@pytest.fixture(scope="module")
def folded(tmp_path_factory: pytest.TempPathFactory, build_value_run: BuildRun) -> RunFolder:
    return build_value_run(tmp_path_factory.mktemp("runs") / "answer-quality", folds=3)


@pytest.fixture(scope="module")
def report(folded: RunFolder, written: ReadReport) -> tuple[str, Any]:
    return written(folded)


def test_sections_are_those_of_numbers(report: tuple[str, Any]) -> None:
    html, page = report
    anchors = [value for tag, name, value in page.attributes if (tag, name) == ("a", "href")]
    assert anchors == [f"#{anchor}" for anchor, _ in VALUE_SECTIONS]
    for words in ("onfusion", "alibration", "Balance of the labels", "F1", "temperature", "more than one label"):
        assert words not in page.text.split("The recipe, every default")[0]
    ids = re.findall(r'\bid="([^"]+)"', html)
    assert len(ids) == len(set(ids))
    assert html.count('<div class="wide"><table') == page.tags.count("table")
    assert "http:" not in html
    assert "https:" not in html


def test_the_headline_and_the_scores(report: tuple[str, Any]) -> None:
    _, page = report
    assert re.search(
        r"Spearman correlation 0\.\d+ \[0\.\d+, 0\.\d+\] on the rows held out by the folds: clearly above the best "
        r"baseline, the TF-IDF ridge",
        page.text,
    )
    head, *rows = page.tables["scores/0"]
    assert head == ["Metric", "Fine-tuned model", "Mean value", "TF-IDF ridge", "Metadata ridge"]
    assert [row[0] for row in rows] == [
        "Spearman correlation",
        "Pearson correlation",
        "Mean absolute error (lower is better)",
    ]
    assert rows[0][2] == "0.0000.000–0.000"
    assert (
        "A system that predicts the same value for every row ranks nothing: its correlation counts as 0." in page.text
    )
    assert "In these rows one value only stands in the target 'constant'" in page.text


def test_targets_stand_best_first_beside_the_baselines(report: tuple[str, Any]) -> None:
    html, page = report
    head, *rows = page.tables["targets/0"]
    assert head[3:] == [
        "Spearman correlation",
        "Mean value",
        "TF-IDF ridge",
        "Metadata ridge",
        "Pearson correlation",
        "Mean absolute error",
    ]
    assert [row[0] for row in rows][0::4] == ["clear", "constant"]
    values = [float(row[3][:5]) for row in rows[:4]]
    assert values == sorted(values, reverse=True)
    assert rows[4][3:8] == ["–"] * 5
    assert float(rows[4][8]) > 0
    assert "도움 &lt;b&gt;help&lt;/b&gt;" in html


def test_predicted_stands_against_true(report: tuple[str, Any]) -> None:
    html, page = report
    assert html.count('aria-label="True values over predicted values in bins') == 4
    assert re.search(r"clear , 100 rows: Spearman correlation 0\.\d{3}", page.text)


def test_metadata_are_named(report: tuple[str, Any]) -> None:
    _, page = report
    assert "Metadata topic, length of question, length of answer joined before the head" in " ".join(page.text.split())


def test_stages_and_treatments_say_what_they_gained(report: tuple[str, Any]) -> None:
    _, page = report
    assert page.tables["gains/0"] == [
        ["Stage", "Trained", "Folds", "Spearman correlation", "Better by"],
        ["0, bce", "all", "3", "0.350", "–"],
        ["1, bce", "head and layer.5.", "3", "0.360", "0.010"],
    ]
    assert page.tables["gains/1"][0] == ["Metric", "As predicted", "Snapped"]
    assert re.search(r"Snapped to each target's grid of values −0\.0\d+ \[.*?\] not distinguishable, p = ", page.text)


def test_the_largest_errors_stand_with_their_texts(report: tuple[str, Any]) -> None:
    html, page = report
    head, first, *_ = page.tables["misses/0"]
    assert head == ["Row", "Error", "Missed most: true, predicted", "Text"]
    assert first[0].startswith("a")
    assert first[1].endswith(" %")
    assert "<script>alert(1)</script>" in first[3]
    assert "<script" not in html


def test_data_are_shown_by_target_and_part(report: tuple[str, Any]) -> None:
    _, page = report
    assert page.tables["data/0"][1] == ["clear", "100", "0.000", "0.500", "1.000", "5", "24 %"]
    assert page.tables["data/2"] == [
        ["", "fold 0", "fold 1", "fold 2", "test"],
        ["All", "34", "33", "33", "8"],
    ]


@pytest.mark.parametrize("opened", [0, 1])
def test_nothing_of_a_sealed_row_is_shown(
    tmp_path: Path, build_value_run: BuildRun, opened: int, written: ReadReport
) -> None:
    html, page = written(build_value_run(tmp_path / "run", opened=opened))
    for words in ("봉인된", "sealed-row"):
        assert words not in html
    assert ("targets/1" in page.tables) == bool(opened)
    assert "The predictions were not treated" in page.text


@pytest.mark.parametrize("upto", ["recipe", "training"])
def test_an_unfinished_run_says_what_is_missing(
    tmp_path: Path, build_value_run: BuildRun, upto: str, written: ReadReport
) -> None:
    _, page = written(build_value_run(tmp_path / "run", upto=upto))
    assert "No scores by target were written yet." in page.text
    assert "There are no predictions of open rows with targets yet." in page.text
    assert ("No stage was evaluated yet." in page.text) == (upto == "recipe")
    assert ("The values of the targets were not counted yet." in page.text) == (upto == "recipe")


def test_the_card_speaks_of_numbers(folded: RunFolder) -> None:
    _, matter, body = write_card(folded).read_text(encoding="utf-8").split("---\n", 2)
    front = yaml.safe_load(matter)
    assert front["tags"] == ["text-regression", "strop"]
    assert front["metrics"] == ["mae", "pearsonr", "spearmanr"]
    assert "to give texts 5 numbers." in body
    assert "with the metadata that it was trained with (topic, length of question, length of answer)." in body
    assert "run.predict([{'question': ..., 'answer': ..., 'topic': ...}])" in body
    assert "| clear | 100 | 0.000 | 0.500 | 1.000 |" in body
    assert "- Stage 1: bce, head and layer.5. trained, 3 epochs" in body
    assert "class weights" not in body
    assert "| constant | 100 | – | – | 0." in body
    assert "- Snapped to each target's grid of values, Spearman correlation 0." in body
    for words in ("alert(1)", "sealed-row", "봉인된", "probabilities", "| class |"):
        assert words not in body


def test_an_unfinished_run_has_a_card_too(tmp_path: Path, build_value_run: BuildRun) -> None:
    body = write_card(build_value_run(tmp_path / "run", upto="recipe")).read_text(encoding="utf-8")
    assert "to give texts numbers." in body
    assert "The data were not read yet." in body
