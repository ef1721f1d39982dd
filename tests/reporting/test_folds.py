import re
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest
from rich.cells import cell_len
from rich.console import Console

from strop.records.run_folder import RunFolder
from strop.records.scores import FoldScore, FoldScores, Score, Scores
from strop.reporting.card import write_card
from strop.reporting.folds import folds_table, folds_words
from strop.reporting.terminal import scores_table

BuildRun = Callable[..., RunFolder]
ReadReport = Callable[[RunFolder], tuple[str, Any]]


def folds_of(*values: float | None) -> FoldScores:
    known = [value for value in values if value is not None]
    return FoldScores(
        Score("macro_f1", sum(known) / len(known), 0.75, 0.85),
        tuple(
            FoldScore(at, 20 + at, None if value is None else Score("macro_f1", value, value - 0.1, value + 0.1))
            for at, value in enumerate(values)
        ),
    )


def with_folds(scores: Scores, *values: float | None) -> Scores:
    systems = (replace(scores.baselines[0], folds=folds_of(*(0.1 for _ in values))), *scores.baselines[1:])
    return replace(scores, model=replace(scores.model, folds=folds_of(*values)), baselines=systems)


def printed(scores: Scores) -> str:
    console = Console(width=80, force_terminal=False, color_system=None)
    with console.capture() as capture:
        console.print(scores_table(scores))
    assert max(cell_len(line) for line in capture.get().splitlines()) <= 80
    return " ".join(capture.get().split())


def test_the_mean_and_how_far_folds_lie_apart() -> None:
    words = "mean of 3 folds 0.800 [0.750, 0.850], folds 0.750 to 0.830"
    assert folds_words(folds_of(0.75, 0.82, 0.83)) == words
    left_out = "mean of 2 of 3 folds 0.790 [0.750, 0.850], folds 0.750 to 0.830"
    assert folds_words(folds_of(0.75, None, 0.83)) == left_out


def test_the_terminal_says_the_mean_below_the_metrics(scores: Scores) -> None:
    text = printed(with_folds(scores, 0.75, 0.82, 0.83))
    assert (
        "Macro F1 by fold: mean of 3 folds 0.800 [0.750, 0.850], folds 0.750 to 0.830. The scores above are over all "
        "rows together. By class"
    ) in text
    assert "fold" not in printed(scores)


def test_a_table_of_folds_holds_systems_that_have_them(scores: Scores) -> None:
    assert folds_table(scores) is None
    table = folds_table(with_folds(scores, 0.75, None, 0.83))
    assert table is not None
    assert table.systems == ("Fine-tuned model", "Majority class")
    assert [(row.fold, row.n_rows, row.strip is None) for row in table.rows] == [
        (0, 20, False),
        (1, 21, True),
        (2, 22, False),
    ]
    assert [None if one is None else one.value for one in table.rows[1].scores] == [None, 0.1]
    assert [one.value for one in table.means] == pytest.approx([0.79, 0.1])
    assert [one.value for one in table.of_all_rows] == [0.812, 0.087]
    assert table.scale.low <= 0.65
    assert table.scale.high >= 0.93


def test_targets_that_are_constant_in_one_fold_alone_are_counted(scores: Scores) -> None:
    own = folds_of(0.75, 0.8, 0.83)
    lacks = (("a",), ("a", "b", "c"), ("a",))
    folds = tuple(replace(one, left_out=names) for one, names in zip(own.folds, lacks, strict=True))
    table = folds_table(replace(scores, model=replace(scores.model, folds=replace(own, folds=folds))))
    assert table is not None
    assert [row.left_out for row in table.rows] == [(), ("b", "c"), ()]


def test_the_report_says_which_fold_leaves_targets_out(
    tmp_path: Path, build_value_run: BuildRun, written: ReadReport
) -> None:
    folder = build_value_run(tmp_path / "run", folds=3)
    path = folder.scores / "out_of_fold.json"
    scores = Scores.load(path)
    first, *others = scores.model.folds.folds
    changed = replace(scores.model.folds, folds=(replace(first, left_out=(*first.left_out, "other")), *others))
    replace(scores, model=replace(scores.model, folds=changed)).save(path)
    _, page = written(folder)
    assert "Fold 0 is scored without other, which does not vary there." in page.text
    assert "Fold 1 is scored" not in page.text


def test_report_and_card_show_every_fold(tmp_path: Path, build_value_run: BuildRun, written: ReadReport) -> None:
    folder = build_value_run(tmp_path / "run", folds=3)
    _, page = written(folder)
    line = r"Spearman correlation by fold: mean of 3 folds 0\.\d+ \[0\.\d+, 0\.\d+\], folds 0\.\d+ to 0\.\d+\."
    assert re.search(line + " The score above is over all rows together", page.text)
    head, *rows = page.tables["scores/1"]
    assert head[:2] == ["Fold", "Rows"]
    assert head[3:] == [
        "Fine-tuned model",
        "Snapped to each target's grid of values",
        "Mean value",
        "TF-IDF ridge",
        "Metadata ridge",
    ]
    assert [row[:2] for row in rows] == [
        ["0", "34"],
        ["1", "33"],
        ["2", "33"],
        ["Mean of folds", ""],
        ["All rows together", "100"],
    ]
    assert rows[0][5] == "0.000"
    own = Scores.load(folder.scores / "out_of_fold.json").model
    assert rows[-1][3].startswith(f"{own.metrics['spearman'].value:.3f}")
    assert rows[-2][3].startswith(f"{own.folds.mean.value:.3f}")
    card = write_card(folder).read_text(encoding="utf-8")
    assert re.search(line + r" The scores above are over all rows together\.\n\n\| target", card)


def test_without_folds_nothing_is_said(tmp_path: Path, build_value_run: BuildRun, written: ReadReport) -> None:
    folder = build_value_run(tmp_path / "run")
    _, page = written(folder)
    card = write_card(folder).read_text(encoding="utf-8")
    assert "by fold" not in page.text + card
    assert "Mean of folds" not in page.text
