"""Temperature scaling (Guo et al. 2017): one number that makes probabilities honest and leaves the order of labels."""

import numpy as np
from numpy.typing import NDArray

LOWEST, HIGHEST = 0.05, 20.0


def fit_temperature(logits_RL: NDArray[np.floating], target_R: NDArray[np.int64]) -> float:
    """The temperature with the least log loss on these rows.

    The true label counts as (R + 1) / (R + 2) likely and the others share the rest, as Platt (1999) does for his own
    scaling. Without it a few rows that are all right would ask for probabilities of exactly 1, and a single wrong row
    among those that the temperature is used on would then cost without bound. With many rows it makes no difference.

    Args:
        logits_RL: Logits, shape (R, L).
        target_R: True label numbers, shape (R,).

    Returns:
        A number between 0.05 and 20: above 1 the model was too sure, below 1 not sure enough.

    Raises:
        ValueError: There are no rows, shapes differ, or logits are not finite.
    """
    from scipy.optimize import minimize_scalar
    from scipy.special import log_softmax

    _check_logits(logits_RL, target_R)
    n_rows, n_labels = logits_RL.shape
    exact_RL = logits_RL.astype(np.float64)
    fraction_off = 1.0 / (n_rows + 2) if n_labels > 1 else 0.0
    truth_RL = np.full((n_rows, n_labels), fraction_off / max(n_labels - 1, 1))
    truth_RL[np.arange(n_rows), target_R] = 1.0 - fraction_off

    def loss(log_temperature: float) -> float:
        return float(-(truth_RL * log_softmax(exact_RL / np.exp(log_temperature), axis=1)).sum() / n_rows)

    found = minimize_scalar(loss, bounds=(np.log(LOWEST), np.log(HIGHEST)), method="bounded", options={"xatol": 1e-4})
    return float(np.exp(found.x))


def cross_fitted_probabilities(
    logits_RL: NDArray[np.floating],
    target_R: NDArray[np.int64],
    *,
    n_folds: int = 5,
    seed: int = 0,
    group_R: NDArray[np.int64] | None = None,
) -> NDArray[np.float64]:
    """Calibrated probabilities, shape (R, L), each row's by a temperature that was fitted without it and its group.

    Args:
        logits_RL: Logits.
        target_R: True label numbers.
        n_folds: How many temperatures are fitted; fewer where there are fewer rows or groups. A single row, or group,
            stays as it is.
        seed: Draws the folds.
        group_R: Group number of every row, where rows come in groups.

    Raises:
        ValueError: There are no rows, shapes differ, or logits are not finite.
    """
    from scipy.special import softmax

    _check_logits(logits_RL, target_R)
    unit_R = np.arange(len(target_R)) if group_R is None else group_R
    order = np.random.default_rng(seed).permutation(np.unique(unit_R))
    probabilities_RL = softmax(logits_RL.astype(np.float64), axis=1)
    n_folds = min(n_folds, len(order))
    if n_folds < 2:
        return np.asarray(probabilities_RL)
    for held in np.array_split(order, n_folds):
        is_held_R = np.isin(unit_R, held)
        temperature = fit_temperature(logits_RL[~is_held_R], target_R[~is_held_R])
        probabilities_RL[is_held_R] = softmax(logits_RL[is_held_R].astype(np.float64) / temperature, axis=1)
    return np.asarray(probabilities_RL)


def _check_logits(logits_RL: NDArray[np.floating], target_R: NDArray[np.int64]) -> None:
    if logits_RL.ndim != 2 or len(logits_RL) != len(target_R) or len(target_R) == 0:
        raise ValueError(f"logits and target must have the same rows, came {logits_RL.shape} and {target_R.shape}")
    if not np.isfinite(logits_RL).all():
        raise ValueError("logits must be finite, came NaN or infinity")
