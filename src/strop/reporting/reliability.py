"""How often a model is right where it says how sure it is."""

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from strop.metrics.probability import confidence_bins
from strop.records.dataset import Dataset
from strop.records.predictions import Predictions


@dataclass(frozen=True)
class Reliability:
    """Confidence against accuracy in B bins of equal width; only bins that hold rows are listed.

    Attributes:
        n_bins: How many bins divide the range from 0 to 1.
        middle_B: The middle of every bin.
        confidence_B: Mean probability of the predicted label.
        accuracy_B: Share of rows whose predicted label is right.
        n_rows_B: Rows in the bin.
    """

    n_bins: int
    middle_B: NDArray[np.float64]
    confidence_B: NDArray[np.float64]
    accuracy_B: NDArray[np.float64]
    n_rows_B: NDArray[np.int64]

    @property
    def error(self) -> float:
        """Expected calibration error: the mean over rows of |accuracy - confidence| of the row's bin."""
        gap_B = np.abs(self.accuracy_B - self.confidence_B)
        return float((gap_B * self.n_rows_B).sum() / self.n_rows_B.sum())


def reliability(predictions: Predictions, dataset: Dataset, n_bins: int, temperature: float = 1.0) -> Reliability:
    """Sort rows into bins of equal width by the probability of their predicted label.

    Args:
        predictions: Of at least one row.
        dataset: Holds the true label of every predicted row.
        n_bins: How many bins, those of the metric `calibration_error`.
        temperature: The logits are divided by it.
    """
    probabilities_RL = predictions.probabilities_RL(temperature)
    truth = dataset.select(predictions.ids).target
    if truth is None:
        raise ValueError("reliability needs rows with labels")
    confidence_R = probabilities_RL.max(axis=1)
    is_right_R = predictions.best_R() == truth
    bin_R = confidence_bins(confidence_R, n_bins)
    filled_B, position_R, n_rows_B = np.unique(bin_R, return_inverse=True, return_counts=True)
    return Reliability(
        n_bins=n_bins,
        middle_B=(filled_B + 0.5) / n_bins,
        confidence_B=np.bincount(position_R, weights=confidence_R) / n_rows_B,
        accuracy_B=np.bincount(position_R, weights=is_right_R.astype(np.float64)) / n_rows_B,
        n_rows_B=n_rows_B.astype(np.int64),
    )
