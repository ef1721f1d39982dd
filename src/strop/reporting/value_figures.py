"""Predicted against true values, target by target.

Dimensions: B bins, R rows.
"""

from dataclasses import dataclass

import numpy as np
from markupsafe import Markup
from numpy.typing import NDArray

from strop.records.dataset import Dataset
from strop.records.predictions import Predictions
from strop.records.scores import Score, Scores
from strop.reporting.figures import FIGURE_STYLE, MODEL, MUTED, as_svg, new_figure

N_BINS = 10
# Below so many rows a bin's mean says little.
FEWEST_ROWS_PER_BIN = 5
N_AT_EACH_END = 3
PANEL_HEIGHT = 2.5


@dataclass(frozen=True)
class BinnedValues:
    """Rows sorted by what was predicted and cut into bins with about as many rows each.

    Attributes:
        predicted_B: Mean predicted value of every bin.
        truth_B: Mean true value.
        low_B: A quarter of the bin's true values lie below.
        high_B: A quarter of them lie above.
        n_rows: Rows with a true value.
    """

    predicted_B: NDArray[np.float64]
    truth_B: NDArray[np.float64]
    low_B: NDArray[np.float64]
    high_B: NDArray[np.float64]
    n_rows: int


@dataclass(frozen=True)
class TargetFigure:
    """A target's figure and what stands beside it in HTML, where any script is shown."""

    target: str
    score: Score | None
    n_rows: int
    figure: Markup


def binned(truth_R: NDArray[np.float64], predicted_R: NDArray[np.float64], n_bins: int = N_BINS) -> BinnedValues | None:
    """Cut the rows into bins by their predicted values; None where no row has a true value."""
    known_R = ~np.isnan(truth_R)
    truth_R, predicted_R = truth_R[known_R], predicted_R[known_R]
    if len(truth_R) == 0:
        return None
    order = np.argsort(predicted_R, kind="stable")
    bins = np.array_split(order, max(1, min(n_bins, len(order) // FEWEST_ROWS_PER_BIN)))
    return BinnedValues(
        predicted_B=np.array([predicted_R[rows].mean() for rows in bins]),
        truth_B=np.array([truth_R[rows].mean() for rows in bins]),
        low_B=np.array([np.quantile(truth_R[rows], 0.25) for rows in bins]),
        high_B=np.array([np.quantile(truth_R[rows], 0.75) for rows in bins]),
        n_rows=len(order),
    )


def value_figures(predictions: Predictions, dataset: Dataset, scores: Scores | None) -> tuple[list[TargetFigure], int]:
    """Figures of the best and the worst targets by the primary metric, best first; of all where they are few.

    Args:
        predictions: Values of rows in the dataset.
        dataset: Rows with targets.
        scores: Scores of these predictions; without them targets stand in their own order.

    Returns:
        The figures, and how many targets lie between the best and the worst and have none.
    """
    truth_RT = dataset.select(predictions.ids).target_matrix()
    by_target: dict[str, Score | None] = dict.fromkeys(predictions.labels)
    if scores is not None:
        by_target |= {one.target: one.metrics.get(scores.primary) for one in scores.model.targets}
    ranked = list(predictions.labels) if scores is None else _ranked(scores)
    shown = ranked if len(ranked) <= 2 * N_AT_EACH_END else [*ranked[:N_AT_EACH_END], *ranked[-N_AT_EACH_END:]]
    figures = []
    for name in shown:
        at = predictions.labels.index(name)
        bins = binned(truth_RT[:, at], predictions.outputs_RL[:, at].astype(np.float64))
        if bins is not None:
            figures.append(TargetFigure(name, by_target[name], bins.n_rows, _draw(bins, f"values-{at}")))
    return figures, len(ranked) - len(shown)


def _ranked(scores: Scores) -> list[str]:
    """Targets with the primary metric, best first."""
    sign = -1.0 if scores.primary_score.higher_is_better else 1.0
    by_target = {one.target: one.metrics.get(scores.primary) for one in scores.model.targets}
    known = [(sign * score.value, name) for name, score in by_target.items() if score is not None]
    return [name for _, name in sorted(known, key=lambda one: one[0])]


def _draw(bins: BinnedValues, name: str) -> Markup:
    from matplotlib import rc_context

    with rc_context({**FIGURE_STYLE, "svg.hashsalt": name}):
        figure = new_figure(1, height=PANEL_HEIGHT)
        axes = figure.add_subplot(1, 1, 1)
        ends = (bins.predicted_B, bins.truth_B, bins.low_B, bins.high_B)
        low, high = min(one.min() for one in ends), max(one.max() for one in ends)
        margin = 0.06 * (high - low) or 0.05
        limits = (low - margin, high + margin)
        axes.plot(limits, limits, color=MUTED, linewidth=0.9, linestyle=(0, (2, 2)), zorder=0)
        axes.vlines(bins.predicted_B, bins.low_B, bins.high_B, color=MODEL, alpha=0.45, linewidth=2.5)
        axes.plot(bins.predicted_B, bins.truth_B, color=MODEL, marker="o", markersize=4, linestyle="none")
        axes.set(xlim=limits, ylim=limits, xlabel="predicted", ylabel="true")
        axes.set_aspect("equal")
        words = "True values over predicted values in bins; on the dashed diagonal both are equal."
        return as_svg(figure, name, words)
