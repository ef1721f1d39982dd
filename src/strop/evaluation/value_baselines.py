"""What a fine-tuned regression has to beat, fitted on the same training rows.

Dimensions: M metadata values, R rows, T targets.
"""

import warnings
from collections.abc import Callable, Iterator, Sequence
from typing import Any

import numpy as np
from numpy.typing import NDArray

from strop.records.dataset import Strings

Floats = NDArray[np.float64]
Values = NDArray[np.float32]
Rows = NDArray[np.intp]

RIDGE_STRENGTHS = (1.0, 3.0, 10.0)
METADATA_STRENGTHS = (1.0, 10.0, 100.0, 1000.0)
N_FOLDS = 4
MOST_WORDS = 50_000
# From here on a word that stands in fewer than three texts is left out: it says next to nothing of other texts.
ENOUGH_TEXTS = 500
# Stands for a text without words.
BLANK = "blank"


def mean_values(train_target_RT: Floats, n_rows: int) -> Values:
    """Every row has the mean of each target's training rows, shape (n_rows, T); 0 for a target without any.

    Args:
        train_target_RT: Targets of the training rows, NaN where one is missing.
        n_rows: How many rows are predicted.
    """
    is_known_RT = ~np.isnan(train_target_RT)
    mean_T = np.nansum(train_target_RT, axis=0) / np.maximum(is_known_RT.sum(axis=0), 1)
    return np.tile(mean_T.astype(np.float32), (n_rows, 1))


def tfidf_ridge(
    train_texts: Strings, train_target_RT: Floats, texts: Strings, *, seed: int, groups: Strings | None = None
) -> Values:
    """Words and pairs of words, TF-IDF, ridge regression, shape (R, T), within the training rows' range.

    The strength of the regularisation is chosen by cross-validated squared error on the training rows. Words rather
    than characters: on texts of thousands of characters these take many times as long.

    Args:
        train_texts: Texts to fit on.
        train_target_RT: Their targets, NaN where one is missing.
        texts: Texts to predict.
        seed: Draws the folds.
        groups: Group of every training row, where they have any; folds then hold whole groups.
    """
    from sklearn.feature_extraction.text import TfidfVectorizer

    rarest = 3 if len(train_texts) >= ENOUGH_TEXTS else 1
    vectorizer = TfidfVectorizer(
        ngram_range=(1, 2),
        token_pattern=r"(?u)\b\w+\b",  # noqa: S106 (words of one letter count too)
        sublinear_tf=True,
        min_df=rarest,
        max_features=MOST_WORDS,
    )
    train, rows = ([text if any(map(str.isalnum, text)) else BLANK for text in one] for one in (train_texts, texts))
    # Words are counted over all training rows for the choice of the strength too: they are not fitted to targets.
    return _fit_best(
        RIDGE_STRENGTHS, vectorizer.fit_transform(train), train_target_RT, vectorizer.transform(rows), seed, groups
    )


def metadata_ridge(
    train_metadata_RM: Values,
    train_target_RT: Floats,
    metadata_RM: Values,
    *,
    seed: int,
    groups: Strings | None = None,
) -> Values:
    """Ridge regression on the encoded metadata alone, shape (R, T), within the training rows' range.

    Args:
        train_metadata_RM: Metadata to fit on.
        train_target_RT: Targets of these rows, NaN where one is missing.
        metadata_RM: Metadata to predict from.
        seed: Draws the folds.
        groups: Group of every training row, where they have any; folds then hold whole groups.
    """
    train, rows = train_metadata_RM.astype(np.float64), metadata_RM.astype(np.float64)
    return _fit_best(METADATA_STRENGTHS, train, train_target_RT, rows, seed, groups)


def _fit_best(
    strengths: Sequence[float], train: Any, target_RT: Floats, rows: Any, seed: int, groups: Strings | None
) -> Values:
    """Choose the strength inside the training rows, fit on all of them, and predict."""
    n_rows, n_train = rows.shape[0], train.shape[0]
    errors = np.zeros(len(strengths))
    if n_train >= 2 * N_FOLDS:
        spread_T = np.maximum(np.nanvar(_filled(target_RT), axis=0), 1e-12)
        for kept, held in _folds(n_train, seed, groups):
            for at, strength in enumerate(strengths):
                found_RT = _ridge(strength, train[kept], target_RT[kept])(train[held])
                errors[at] += np.nansum((found_RT - target_RT[held]) ** 2 / spread_T)
    if n_rows == 0:
        return np.zeros((0, target_RT.shape[1]), dtype=np.float32)
    # The last of equals is the strongest regularisation.
    best = len(strengths) - 1 - int(np.argmin(errors[::-1]))
    found_RT = _ridge(strengths[best], train, target_RT)(rows)
    filled_RT = _filled(target_RT)
    return np.asarray(np.clip(found_RT, filled_RT.min(axis=0), filled_RT.max(axis=0)), dtype=np.float32)


def _filled(target_RT: Floats) -> Floats:
    """Missing targets replaced by their column's mean."""
    return np.where(np.isnan(target_RT), mean_values(target_RT, 1).astype(np.float64), target_RT)


def _ridge(strength: float, train: Any, target_RT: Floats) -> Callable[[Any], Floats]:
    """Fit all targets together, or where some are missing each on its own rows."""
    from scipy.linalg import LinAlgWarning
    from sklearn.linear_model import Ridge

    is_known_RT = ~np.isnan(target_RT)
    with warnings.catch_warnings():
        warnings.simplefilter("ignore", LinAlgWarning)
        if is_known_RT.all():
            whole = Ridge(alpha=strength).fit(train, target_RT)
            return lambda rows: np.asarray(whole.predict(rows)).reshape(rows.shape[0], -1)
        # A target without any training row is predicted as 0.
        columns = [
            Ridge(alpha=strength).fit(train[known_R], target_R[known_R]) if known_R.any() else None
            for known_R, target_R in zip(is_known_RT.T, target_RT.T, strict=True)
        ]
    return lambda rows: np.stack(
        [np.zeros(rows.shape[0]) if one is None else one.predict(rows) for one in columns], axis=1
    )


def _folds(n_rows: int, seed: int, groups: Strings | None) -> Iterator[tuple[Rows, Rows]]:
    """Folds of training rows, whole groups where there are at least two."""
    from sklearn.model_selection import GroupKFold, KFold

    if groups is not None and (n_groups := len(set(groups.tolist()))) > 1:
        by_group = GroupKFold(min(N_FOLDS, n_groups), shuffle=True, random_state=seed)
        yield from by_group.split(np.zeros(n_rows), groups=groups.astype(str))
        return
    yield from KFold(N_FOLDS, shuffle=True, random_state=seed).split(np.zeros(n_rows))
