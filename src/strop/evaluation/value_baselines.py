"""What a fine-tuned regression has to beat, fitted on the same training rows.

Dimensions: H features, M metadata values, R rows, T targets.
"""

from collections.abc import Iterator, Sequence
from typing import Any

import numpy as np
from numpy.typing import NDArray

from strop.records.dataset import Strings

Floats = NDArray[np.float64]
Values = NDArray[np.float32]
Rows = NDArray[np.intp]

TFIDF_STRENGTHS = (0.1, 0.3, 1.0, 3.0, 10.0)
METADATA_STRENGTHS = (1.0, 10.0, 100.0, 1000.0)
N_FOLDS = 4
MOST_TERMS = 30_000
N_DIRECTIONS = 256
# So many texts tell in which script the others are written.
TEXTS_LOOKED_AT = 1000
# Stands for a text without terms: a character that no text holds (private use).
BLANK = "\ue000"


def mean_values(train_target_RT: Floats, n_rows: int) -> Values:
    """Every row has the mean of each target's training rows, shape (n_rows, T); 0 for a target without any.

    Args:
        train_target_RT: Targets of the training rows, NaN where one is missing.
        n_rows: How many rows are predicted.
    """
    n_known_T = (~np.isnan(train_target_RT)).sum(axis=0)
    mean_T = np.nansum(train_target_RT, axis=0) / np.maximum(n_known_T, 1)
    return np.tile(mean_T.astype(np.float32), (n_rows, 1))


def tfidf_ridge(
    train_texts: Strings, train_target_RT: Floats, texts: Strings, *, seed: int, groups: Strings | None = None
) -> Values:
    """TF-IDF, its leading 256 directions (latent semantic analysis), ridge regression, shape (R, T).

    Terms are words and pairs of words; of texts in which less than half of the letters are ASCII, two to four
    characters within words, since in many such languages a word takes many forms, or has no end that a program sees.
    The strength of the regularisation is chosen for every target by cross-validated squared error on the training rows.
    Predictions are clipped to the training rows' range.

    Args:
        train_texts: Texts to fit on.
        train_target_RT: Their targets, NaN where one is missing.
        texts: Texts to predict.
        seed: Draws the folds, and starts the search for the directions.
        groups: Group of every training row, where they have any; folds then hold whole groups.
    """
    vectorizer = _vectorizer(train_texts)
    train, rows = ([text if any(map(str.isalnum, text)) else BLANK for text in one] for one in (train_texts, texts))
    if not rows:
        return mean_values(train_target_RT, 0)
    # Terms and directions are not fitted to targets, so one fit on all training rows serves every fold.
    features = _directions(vectorizer.fit_transform(train), vectorizer.transform(rows), seed)
    return _fit_best(TFIDF_STRENGTHS, features[0], train_target_RT, features[1], seed, groups)


def metadata_ridge(
    train_metadata_RM: Values,
    train_target_RT: Floats,
    metadata_RM: Values,
    *,
    seed: int,
    groups: Strings | None = None,
) -> Values:
    """Ridge regression on the encoded metadata alone, shape (R, T).

    Strength and clipping are as in `tfidf_ridge`.

    Args:
        train_metadata_RM: Metadata to fit on.
        train_target_RT: Targets of these rows, NaN where one is missing.
        metadata_RM: Metadata to predict from.
        seed: Draws the folds.
        groups: Group of every training row, where they have any; folds then hold whole groups.
    """
    train, rows = train_metadata_RM.astype(np.float64), metadata_RM.astype(np.float64)
    return _fit_best(METADATA_STRENGTHS, train, train_target_RT, rows, seed, groups)


def _directions(train_terms: Any, rows_terms: Any, seed: int) -> tuple[Floats, Floats]:
    """Both on the leading directions of the first; terms as they are where there are few."""
    from sklearn.decomposition import TruncatedSVD

    n_directions = min(N_DIRECTIONS, *train_terms.shape)
    if n_directions == train_terms.shape[1]:
        return train_terms.toarray(), rows_terms.toarray()
    svd = TruncatedSVD(n_directions, n_iter=2, random_state=seed).fit(train_terms)
    return np.asarray(svd.transform(train_terms)), np.asarray(svd.transform(rows_terms))


def _vectorizer(texts: Strings) -> Any:
    from sklearn.feature_extraction.text import TfidfVectorizer

    letters = [letter for text in texts[:TEXTS_LOOKED_AT] for letter in text if letter.isalpha()]
    has_ascii_words = 2 * sum(map(str.isascii, letters)) >= len(letters)
    # Words of one letter count too; the blank text's sign is no letter.
    words = {"analyzer": "word", "ngram_range": (1, 2), "token_pattern": rf"(?u)\w+|{BLANK}"}
    characters = {"analyzer": "char_wb", "ngram_range": (2, 4)}
    return TfidfVectorizer(
        **(words if has_ascii_words else characters),
        sublinear_tf=True,
        max_features=MOST_TERMS,
    )


def _fit_best(
    strengths: Sequence[float],
    train_RH: Floats,
    target_RT: Floats,
    rows_RH: Floats,
    seed: int,
    groups: Strings | None,
) -> Values:
    """Choose every target's strength inside the training rows, fit on all of them, predict and clip.

    Targets that are known in the same rows are fitted together; one with fewer than two rows has its mean.
    """
    found_RT = mean_values(target_RT, len(rows_RH)).astype(np.float64)
    if len(rows_RH) == 0:
        return found_RT.astype(np.float32)
    is_known_RT = ~np.isnan(target_RT)
    patterns_RP, pattern_T = np.unique(is_known_RT, axis=1, return_inverse=True)
    for number, known_R in enumerate(patterns_RP.T):
        alike = np.flatnonzero(pattern_T.ravel() == number)
        if known_R.sum() < 2:
            continue
        train, targets = train_RH[known_R], target_RT[np.ix_(known_R, alike)]
        best = _best_strengths(strengths, train, targets, seed, None if groups is None else groups[known_R])
        for strength in np.unique(best):
            chosen = best == strength
            predicted = _predicted(float(strength), train, targets[:, chosen], rows_RH)
            found_RT[:, alike[chosen]] = np.clip(
                predicted, targets[:, chosen].min(axis=0), targets[:, chosen].max(axis=0)
            )
    return found_RT.astype(np.float32)


def _best_strengths(
    strengths: Sequence[float], train_RH: Floats, target_RT: Floats, seed: int, groups: Strings | None
) -> Floats:
    """The strength with the smallest held-out squared error, by target, shape (T,); of equals the strongest."""
    strongest_first = sorted(strengths, reverse=True)
    errors = np.zeros((len(strongest_first), target_RT.shape[1]))
    for kept, held in _folds(len(train_RH), seed, groups):
        for at, strength in enumerate(strongest_first):
            predicted = _predicted(strength, train_RH[kept], target_RT[kept], train_RH[held])
            errors[at] += ((predicted - target_RT[held]) ** 2).sum(axis=0)
    return np.asarray(np.array(strongest_first)[errors.argmin(axis=0)])


def _predicted(strength: float, train_RH: Floats, target_RT: Floats, rows_RH: Floats) -> Floats:
    from sklearn.linear_model import Ridge

    return np.asarray(Ridge(alpha=strength).fit(train_RH, target_RT).predict(rows_RH)).reshape(len(rows_RH), -1)


def _folds(n_rows: int, seed: int, groups: Strings | None) -> Iterator[tuple[Rows, Rows]]:
    """Folds of training rows, whole groups where there are at least two."""
    from sklearn.model_selection import GroupKFold, KFold

    if groups is not None and (n_groups := len(set(groups.tolist()))) > 1:
        by_group = GroupKFold(min(N_FOLDS, n_groups), shuffle=True, random_state=seed)
        yield from by_group.split(np.zeros(n_rows), groups=groups.astype(str))
        return
    yield from KFold(min(N_FOLDS, n_rows), shuffle=True, random_state=seed).split(np.zeros(n_rows))
