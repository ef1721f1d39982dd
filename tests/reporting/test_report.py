import re
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from strop.errors import RunError
from strop.records.ledger import Entry
from strop.records.run_folder import RunFolder
from strop.reporting.report import SECTIONS, write_report

BuildRun = Callable[..., RunFolder]
ReadReport = Callable[[RunFolder], tuple[str, Any]]


@pytest.fixture
def report(run: RunFolder, written: ReadReport) -> tuple[str, Any]:
    return written(run)


def test_the_page_loads_nothing(report: tuple[str, Any]) -> None:
    html, page = report
    assert not {"script", "link", "img", "iframe", "object", "base"} & set(page.tags)
    for tag, name, value in page.attributes:
        assert not name.startswith("on"), (tag, name)
        if name in ("href", "src", "xlink:href", "action"):
            assert value.startswith("#"), (tag, name, value)
    assert "http:" not in html
    assert "https:" not in html
    assert "@import" not in html
    assert not re.search(r"url\((?!#)", html)


def test_ids_are_unique_and_every_reference_finds_its_own(report: tuple[str, Any]) -> None:
    html, page = report
    ids = re.findall(r'\bid="([^"]+)"', html)
    assert len(ids) == len(set(ids))
    wanted = re.findall(r'href="#([^"]+)"', html) + re.findall(r"url\(#([^)]+)\)", html)
    assert set(wanted) <= set(ids)
    assert [f"#{anchor}" for anchor, _ in SECTIONS] == [
        value for tag, name, value in page.attributes if (tag, name) == ("a", "href")
    ]


def test_the_headline_names_score_baseline_part_and_caveats(report: tuple[str, Any]) -> None:
    _, page = report
    assert (
        "Macro F1 0.812 [0.762, 0.862] on the validation part: clearly above the best baseline, TF-IDF "
        "(+0.120 [0.050, 0.190])." in page.text
    )
    assert "25 rows of the validation part" in page.text
    assert "These rows also chose the checkpoint, which flatters the model a little." in page.text
    assert "The test part (8 rows) is sealed and was never opened: these scores do not come from it." in page.text


def test_all_metrics_stand_beside_the_baselines(report: tuple[str, Any]) -> None:
    _, page = report
    head, *rows = page.tables["scores/0"]
    assert head == ["Metric", "Fine-tuned model", "Majority class", "TF-IDF", "Linear probe"]
    assert rows[0] == ["Macro F1", "0.8120.762–0.862", "0.0870.037–0.137", "0.6920.642–0.742", "0.6500.600–0.700"]
    assert rows[2][2] == "−0.013−0.063–0.037"
    assert [row[0] for row in rows[3:]] == ["Log loss (lower is better)", "Calibration error (lower is better)"]
    assert "+0.162 [0.080, 0.240] clearly above, corrected p = 0.004" in page.text
    assert "its p-value, corrected for 3 baselines after Holm, is at most 0.050." in page.text


def test_classes_stand_beside_the_baselines_f1(report: tuple[str, Any]) -> None:
    _, page = report
    head, *rows = page.tables["classes/0"]
    assert head[5:] == ["0 to 1", "F1Majority class", "F1TF-IDF", "F1Linear probe"]
    assert [row[0] for row in rows] == ["기타", "시스템 운영", "웹", "이론 <b>theory</b>", "코드"]
    assert rows[4][1:5] == ["5", "0.8520.802–0.902", "0.8120.762–0.862", "0.8320.782–0.882"]
    assert rows[4][6:] == ["0.107", "0.712", "0.670"]


def test_the_confusion_matrix_has_counts_and_shares(report: tuple[str, Any]) -> None:
    html, page = report
    rows = page.tables["classes/1"]
    assert rows[1] == ["true", "기타", "시스템 운영", "웹", "이론 <b>theory</b>", "코드"]
    assert rows[2] == ["기타", "480 %", "120 %", "00 %", "00 %", "00 %"]
    assert 'style="--shade:0.8"' in html


def test_calibration_shows_the_temperature_and_both_errors(report: tuple[str, Any]) -> None:
    _, page = report
    assert "Expected calibration error (ECE) over 10 bins of equal width: 0." in page.text
    assert "after division of the logits by the temperature 1.375" in page.text
    assert page.tables["calibration/0"][1] == ["Log loss (lower is better)", "0.7880.738–0.838", "0.7100.660–0.760"]
    assert {"as predicted", "after temperature"} <= {text.strip() for text in page.texts}


def test_the_worst_errors_are_shown_with_their_texts_escaped(report: tuple[str, Any]) -> None:
    html, page = report
    first, second, third = page.tables["errors/0"][1:4]
    assert first[0] == "q60"
    assert first[4] == "<script>alert(1)</script> \"quoted\" 'too'"
    assert second[4] == "템플릿에서 {{ 7*7 }} 와 {% raw %} 는 \"그대로\" & 'as is' 나와야 합니다"
    assert "끝맺음말" in third[4]
    assert "<script" not in html
    assert "49" not in second[4]
    assert "이론 <b>theory</b>" in page.text
    assert "<b>theory" not in html


def test_long_texts_are_folded_away(report: tuple[str, Any]) -> None:
    html, _ = report
    assert re.search(r"<details><summary><bdi>아주 긴 질문입니다\.[^<]{100,190} …</bdi></summary>", html)


def test_conflicts_name_labels_and_rows(report: tuple[str, Any]) -> None:
    _, page = report
    assert "1 text stands in the open data with more than one label." in page.text
    (row,) = page.tables["errors/1"][1:]
    assert row[0] == "웹row q1이론 <b>theory</b>row q2"


def test_the_audit_and_the_open_balance(report: tuple[str, Any]) -> None:
    _, page = report
    assert "Exact duplicates 3 3.2 % of the rows" in page.text
    assert "Clusters across parts or folds 1 4 rows" in page.text
    assert "Median length in characters 41 95 % have at most 60, longest 2,404" in page.text
    assert page.tables["data/0"][1] == ["시스템 운영", "20", "24 %", ""]
    assert page.tables["data/1"][1:] == [["q64", "ì•ˆë…•í•˜ì„¸ìš”"]]
    assert [row[:2] for row in page.tables["data/2"][1:]] == [["128", "96 %"], ["512", "99 %"], ["1,024", "100 %"]]


def test_the_split_table_keeps_the_sealed_classes_sealed(report: tuple[str, Any]) -> None:
    _, page = report
    head, *rows = page.tables["data/3"]
    assert head == ["Class", "train", "validation", "test"]
    assert rows[0] == ["기타", "4", "1", "sealed"]
    assert rows[-1] == ["All", "60", "25", "8"]


def test_training_names_the_chosen_checkpoint(report: tuple[str, Any]) -> None:
    html, page = report
    assert "Stage 0, cross entropy, all trained" in page.text
    assert "Chosen: the checkpoint of step 30, epoch 3, with Macro F1 0.800 on the rows that chose it" in page.text
    assert {"Loss", "Validation Macro F1", "Learning rate", "epoch"} <= {text.strip() for text in page.texts}
    assert "var(--model)" in html
    assert "#040a04" not in html


def test_the_ledger_and_the_making(report: tuple[str, Any]) -> None:
    _, page = report
    rows = page.tables["ledger/0"]
    assert rows[1][:4] == ["dropped", "read", "2 rows without a text were dropped.", "2"]
    assert rows[2][2] == "1 row was longer than 512 tokens: <script>alert(1)</script>"
    assert "The sealed test part was never opened." in page.text
    assert "Parameters 117,653,760 1,925 in the head" in page.text
    assert page.tables["making/0"][2][:2] == ["train", "3 min 41 s"]
    assert "name: question-routing" in page.text


@pytest.mark.parametrize("opened", [0, 2])
@pytest.mark.parametrize("folds", [None, 3])
def test_nothing_of_a_sealed_row_is_shown(
    tmp_path: Path, build_run: BuildRun, opened: int, folds: int | None, written: ReadReport
) -> None:
    html, _ = written(build_run(tmp_path / "run", opened=opened, folds=folds))
    for words in ("봉인된", "sealed-row"):
        assert words not in html


def test_sealed_rows_among_the_open_ones_are_passed_over(
    tmp_path: Path, build_run: BuildRun, written: ReadReport
) -> None:
    folder = build_run(tmp_path / "run")
    folder.open_data.write_bytes(folder.sealed_data.read_bytes())
    html, _ = written(folder)
    assert "봉인된" not in html
    assert "sealed-row" not in html


def test_scores_of_the_test_part_are_read_only_after_an_opening(run: RunFolder, written: ReadReport) -> None:
    assert (run.scores / "test.json").exists()
    assert "on the test part" not in written(run)[1].text.replace("from the test part", "")
    run.ledger.write(Entry("opened", "evaluation", "opened", 8))
    text = written(run)[1].text
    assert "Macro F1 0.812 [0.762, 0.862] on the test part: clearly above" in text
    assert re.search(r"The test part was opened 1 time: \d{4}-\d\d-\d\d \d\d:\d\d UTC\.", text)


def test_an_opened_test_part_is_counted_by_class(tmp_path: Path, build_run: BuildRun, written: ReadReport) -> None:
    _, page = written(build_run(tmp_path / "run", opened=2))
    assert page.tables["data/3"][1] == ["기타", "4", "1", "1"]
    assert "The sealed test part was opened 2 times" in page.text
    assert [name for name in page.tables if name.startswith("classes")] == [f"classes/{at}" for at in range(4)]


def test_folds_have_a_curve_each_and_a_column_each(tmp_path: Path, build_run: BuildRun, written: ReadReport) -> None:
    _, page = written(build_run(tmp_path / "run", folds=3))
    assert "on the rows held out by the folds: clearly above" in page.text
    assert page.tables["data/3"][0] == ["Class", "fold 0", "fold 1", "fold 2", "test"]
    assert page.tables["data/3"][-1] == ["All", "29", "28", "28", "8"]
    assert page.text.count("Stage 0, cross entropy, all trained, fold ") == 3


@pytest.mark.parametrize("upto", ["recipe", "split", "training"])
def test_an_unfinished_run_says_what_is_missing(
    tmp_path: Path, build_run: BuildRun, upto: str, written: ReadReport
) -> None:
    _, page = written(build_run(tmp_path / "run", upto=upto))
    assert "This run has no scores yet" in page.text
    assert "No scores were written yet." in page.text
    assert "There are no predictions of open rows with labels yet." in page.text
    assert ("The data were not audited yet." in page.text) == (upto == "recipe")
    assert ("No training history was written yet." in page.text) == (upto != "training")
    if upto != "recipe":
        assert "The run is unfinished; its state is 'training'." in page.text


def test_the_same_run_gives_the_same_bytes(run: RunFolder, written: ReadReport) -> None:
    assert written(run)[0] == written(run)[0]


def test_a_folder_without_a_run_is_refused(tmp_path: Path) -> None:
    with pytest.raises(RunError, match="the folder must hold a run"):
        write_report(RunFolder(tmp_path / "nothing"))


def test_tables_stand_in_boxes_that_scroll(report: tuple[str, Any]) -> None:
    html, page = report
    assert html.count('<div class="wide"><table') == page.tags.count("table")
