"""Temperature scaling (Guo et al. 2017): one number that makes probabilities honest and leaves the order of labels."""

import numpy as np
from numpy.typing import NDArray

LOWEST, HIGHEST = 0.05, 20.0


def fit_temperature(logits_RL: NDArray[np.floating], target_R: NDArray[np.int64]) -> float:
    """The temperature with the least log loss on these rows.

    Args:
        logits_RL: Logits, shape (R, L).
        target_R: True label numbers, shape (R,).

    Returns:
        A number between 0.05 and 20: above 1 the model was too sure, below 1 not sure enough. The bounds keep
        predictions that are all right, whose best temperature is 0, finite.

    Raises:
        ValueError: There are no rows, or shapes differ.
    """
    from scipy.optimize import minimize_scalar
    from scipy.special import log_softmax

    if logits_RL.ndim != 2 or len(logits_RL) != len(target_R) or len(target_R) == 0:
        raise ValueError(f"logits and target must have the same rows, came {logits_RL.shape} and {target_R.shape}")
    rows = np.arange(len(target_R))
    exact_RL = logits_RL.astype(np.float64)

    def loss(log_temperature: float) -> float:
        return float(-log_softmax(exact_RL / np.exp(log_temperature), axis=1)[rows, target_R].mean())

    found = minimize_scalar(loss, bounds=(np.log(LOWEST), np.log(HIGHEST)), method="bounded", options={"xatol": 1e-4})
    return float(np.exp(found.x))


def cross_fitted_probabilities(
    logits_RL: NDArray[np.floating], target_R: NDArray[np.int64], *, n_folds: int = 5, seed: int = 0
) -> NDArray[np.float64]:
    """Calibrated probabilities, shape (R, L), each row's by a temperature that was fitted without it.

    Args:
        logits_RL: Logits.
        target_R: True label numbers.
        n_folds: How many temperatures are fitted; fewer where there are fewer rows.
        seed: Draws the folds.
    """
    from scipy.special import softmax

    n_rows = len(target_R)
    order = np.random.default_rng(seed).permutation(n_rows)
    probabilities_RL = softmax(logits_RL.astype(np.float64), axis=1)
    n_folds = min(n_folds, n_rows)
    if n_folds < 2:
        return np.asarray(probabilities_RL)
    for held in np.array_split(order, n_folds):
        rest = np.setdiff1d(order, held)
        temperature = fit_temperature(logits_RL[rest], target_R[rest])
        probabilities_RL[held] = softmax(logits_RL[held].astype(np.float64) / temperature, axis=1)
    return np.asarray(probabilities_RL)
