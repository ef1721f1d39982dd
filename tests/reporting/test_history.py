from collections.abc import Callable

import pytest

from strop.errors import RunError
from strop.recipe.load import read_recipe
from strop.records.run_folder import RunFolder
from strop.reporting.history import read_histories, read_lines

BuildRun = Callable[..., RunFolder]


def test_steps_evaluations_and_the_chosen_one_are_read(run: RunFolder) -> None:
    (history,) = read_histories(run, read_recipe(run.recipe), run.read_about())
    assert (history.fold, history.number, history.objective, history.trainable) == ("whole", 0, "cross_entropy", "all")
    assert [step.epoch for step in history.steps] == [1.0, 2.0, 3.0, 4.0]
    assert history.steps[0].loss == 0.8
    assert [check.metrics["accuracy"] for check in history.checks] == [0.7] * 4
    assert history.chosen is not None
    assert (history.chosen.step, history.chosen.epoch) == (30, 3.0)


def test_every_fold_and_stage_has_its_own(tmp_path, build_run: BuildRun) -> None:
    folder = build_run(tmp_path / "run", folds=2, stages=[{"trainable": "head"}, {"trainable": "all"}])
    histories = read_histories(folder, read_recipe(folder.recipe), folder.read_about())
    assert [(one.fold, one.number, one.trainable) for one in histories] == [
        ("0", 0, "head"),
        ("0", 1, "all"),
        ("1", 0, "head"),
        ("1", 1, "all"),
    ]
    assert [one.chosen is not None for one in histories] == [True, False, True, False]


def test_an_unfinished_last_line_is_left_out(tmp_path) -> None:
    path = tmp_path / "history.jsonl"
    path.write_text('{"step": 1}\n{"step": 2', encoding="utf-8")
    assert read_lines(path) == [{"step": 1}]


def test_a_step_taken_again_counts_once(run: RunFolder) -> None:
    path = run.stage("whole", 0, "cross_entropy") / "history.jsonl"
    whole = path.read_text(encoding="utf-8").rpartition("\n")[0]
    path.write_text(whole + '\n{"step": 20, "epoch": 2.0, "loss": 9.5, "learning_rate": 0.1}\n', encoding="utf-8")
    (history,) = read_histories(run, read_recipe(run.recipe), {})
    assert [step.loss for step in history.steps] == [0.8, 9.5, 0.4, 0.32]


def test_a_damaged_line_is_named(tmp_path) -> None:
    path = tmp_path / "history.jsonl"
    path.write_text('{"step": 1}\nnot json\n{"step": 3}\n', encoding="utf-8")
    with pytest.raises(RunError, match=r"history\.jsonl, line 2: every line of the history must be the JSON object"):
        read_lines(path)
