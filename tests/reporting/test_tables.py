from dataclasses import replace

import pytest

from strop.records.run_folder import RunFolder
from strop.records.scores import Scores
from strop.reporting.material import read_material
from strop.reporting.tables import confusion_cells, duration, label_counts, split_table, stations


@pytest.mark.parametrize(
    ("seconds", "words"), [(0.42, "0.4 s"), (59.9, "59.9 s"), (221.0, "3 min 41 s"), (7260.0, "2 h 1 min")]
)
def test_durations(seconds: float, words: str) -> None:
    assert duration(seconds) == words


def test_open_labels_are_counted_most_frequent_first(run: RunFolder) -> None:
    counts = label_counts(read_material(run))
    assert [(one.label, one.n_rows) for one in counts][-1] == ("기타", 5)
    assert counts[0].width == 100.0
    assert counts[-1].width == 25.0
    assert sum(one.fraction for one in counts) == pytest.approx(1.0)


def test_a_split_without_a_test_part_has_no_sealed_column(run: RunFolder) -> None:
    material = read_material(run)
    assert material.split is not None
    table = split_table(replace(material, split=replace(material.split, test=material.split.test[:0])))
    assert table is not None
    assert table.parts == ("train", "validation")
    assert not table.is_sealed


def test_an_empty_row_of_the_confusion_has_no_shares(scores: Scores) -> None:
    cells = confusion_cells(replace(scores.model, confusion=((0, 0), (1, 3))))
    assert [cell.fraction for cell in cells[0]] == [0.0, 0.0]
    assert [cell.fraction for cell in cells[1]] == [0.25, 0.75]


def test_stations_are_drawn_against_the_longest() -> None:
    assert stations({"seconds": {"train": 200.0, "score": 50.0}}) == [
        ("train", "3 min 20 s", 100.0),
        ("score", "50.0 s", 25.0),
    ]
    assert stations({}) == []
