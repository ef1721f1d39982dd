from collections.abc import Callable
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest

from strop.records.run_folder import RunFolder
from strop.records.scores import Scores, SystemScores
from strop.reporting.material import read_material
from strop.reporting.value_figures import binned, value_figures


def test_bins_by_hand() -> None:
    predicted_R = np.array([0.9, 0.1, 0.2, 0.8, 0.3, 0.7, 0.4, 0.6, 0.5, 1.0, 0.35])
    truth_R = np.array([1.0, 0.0, 0.2, 0.8, 0.4, 0.9, 0.4, 1.0, 0.2, 1.0, np.nan])
    found = binned(truth_R, predicted_R)
    assert found is not None
    assert found.n_rows == 10
    assert found.predicted_B == pytest.approx([0.3, 0.8])
    assert found.truth_B == pytest.approx([0.24, 0.94])
    assert found.low_B == pytest.approx([0.2, 0.9])
    assert found.high_B == pytest.approx([0.4, 1.0])


def test_few_rows_make_one_bin_and_none_make_none() -> None:
    one = binned(np.array([0.0, 1.0]), np.array([0.5, 0.5]))
    assert one is not None
    assert len(one.truth_B) == 1
    assert binned(np.array([np.nan]), np.array([0.5])) is None


def test_the_best_and_the_worst_targets_are_drawn(tmp_path: Path, build_value_run: Callable[..., RunFolder]) -> None:
    material = read_material(build_value_run(tmp_path / "run", folds=2))
    predictions, dataset, scores = material.predictions, material.dataset, material.open_scores
    assert predictions is not None
    assert dataset is not None
    assert scores is not None
    figures, n_between = value_figures(predictions, dataset, scores)
    # The constant target has no correlation, and its figure would say nothing.
    assert [one.target for one in figures] == list(predictions.labels[:4])
    assert n_between == 0
    values = [one.score.value for one in figures if one.score]
    assert values == sorted(values, reverse=True)
    assert all("<svg" in one.figure and one.target not in one.figure for one in figures)
    many = replace(scores, model=_with_targets(scores, 9))
    wide = replace(
        predictions,
        labels=tuple(f"t{at}" for at in range(9)),
        outputs_RL=np.repeat(predictions.outputs_RL[:, :1], 9, 1),
    )
    rows = replace(dataset, targets=dict.fromkeys(wide.labels, next(iter(dataset.targets.values()))))
    figures, n_between = value_figures(wide, rows, many)
    assert [one.target for one in figures] == ["t8", "t7", "t6", "t2", "t1", "t0"]
    assert n_between == 3


def _with_targets(scores: Scores, n_targets: int) -> SystemScores:
    first = scores.model.targets[0]
    score = first.metrics["spearman"]
    assert score is not None
    targets = tuple(
        replace(first, target=f"t{at}", metrics={"spearman": replace(score, value=at / 10)}) for at in range(n_targets)
    )
    return replace(scores.model, targets=targets)
