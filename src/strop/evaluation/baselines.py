"""What a fine-tuned model has to beat, fitted on the same training rows.

Dimensions: H features, L labels, R rows.
"""

import warnings
from collections.abc import Callable, Iterator, Sequence
from typing import Any

import numpy as np
from numpy.typing import NDArray

from strop.records.dataset import Strings

Logits = NDArray[np.float32]
Numbers = NDArray[np.int64]
Rows = NDArray[np.intp]

SMALLEST_PROBABILITY = 1e-6
PROBE_STRENGTHS = (1e-3, 3e-3, 1e-2, 3e-2, 1e-1, 1.0)
TFIDF_STRENGTHS = (1.0, 10.0, 100.0)
N_FOLDS = 4
# From here on a gram that stands in one text only is left out: it says nothing of other texts.
ENOUGH_TEXTS = 200
# Stands for a text without characters: a character that no text holds (private use).
BLANK = "\ue000"


def majority(train_target_R: Numbers, n_labels: int, n_rows: int) -> Logits:
    """Every row has the training rows' class shares, so the largest class is always predicted, shape (n_rows, L).

    Half a row is added to every class, so that a class without training rows keeps a finite logit.

    Args:
        train_target_R: Label numbers of the training rows.
        n_labels: L.
        n_rows: How many rows are predicted.
    """
    shares_L = (np.bincount(train_target_R, minlength=n_labels) + 0.5) / (len(train_target_R) + 0.5 * n_labels)
    return np.tile(np.log(shares_L).astype(np.float32), (n_rows, 1))


def tfidf(
    train_texts: Strings,
    train_target_R: Numbers,
    texts: Strings,
    *,
    n_labels: int,
    seed: int,
    groups: Strings | None = None,
) -> Logits:
    """Character n-grams within words (1 to 5, so that Korean works), TF-IDF, logistic regression, shape (R, L).

    The strength of the regularisation is chosen by cross-validated macro F1 on the training rows.

    Args:
        train_texts: Texts to fit on.
        train_target_R: Their label numbers.
        texts: Texts to predict.
        n_labels: L.
        seed: Draws the folds.
        groups: Group of every training row, where they have any; folds then hold whole groups.
    """
    from sklearn.feature_extraction.text import TfidfVectorizer

    rarest = 2 if len(train_texts) >= ENOUGH_TEXTS else 1

    def vectorizer() -> Any:
        return TfidfVectorizer(analyzer="char_wb", ngram_range=(1, 5), sublinear_tf=True, min_df=rarest)

    train, rows = (
        np.array([text if text.strip() else BLANK for text in one], dtype=object) for one in (train_texts, texts)
    )
    folds = _folds(train_target_R, seed, groups)
    return _fit_best(vectorizer, TFIDF_STRENGTHS, train, train_target_R, rows, n_labels, seed, folds)


def linear_probe(
    train_features_RH: NDArray[np.float32],
    train_target_R: Numbers,
    features_RH: NDArray[np.float32],
    *,
    n_labels: int,
    seed: int,
    groups: Strings | None = None,
) -> Logits:
    """Logistic regression on standardised features of the frozen model, shape (R, L).

    The strength of the regularisation is chosen by cross-validated macro F1 on the training rows.

    Args:
        train_features_RH: Features to fit on.
        train_target_R: Their label numbers.
        features_RH: Features to predict from.
        n_labels: L.
        seed: Draws the folds.
        groups: Group of every training row, where they have any; folds then hold whole groups.
    """
    from sklearn.preprocessing import StandardScaler

    train, rows = train_features_RH.astype(np.float64), features_RH.astype(np.float64)
    folds = _folds(train_target_R, seed, groups)
    return _fit_best(StandardScaler, PROBE_STRENGTHS, train, train_target_R, rows, n_labels, seed, folds)


def _fit_best(
    features: Callable[[], Any],
    strengths: Sequence[float],
    train: Any,
    train_target_R: Numbers,
    rows: Any,
    n_labels: int,
    seed: int,
    folds: Iterator[tuple[Rows, Rows]],
) -> Logits:
    """Choose the strength inside the training rows, fit on all of them, and predict.

    A class without training rows gets the smallest probability.
    """
    if len(np.unique(train_target_R)) < 2 or len(rows) == 0:
        return majority(train_target_R, n_labels, len(rows))
    scores = _cross_validated(features, strengths, train, train_target_R, seed, folds)
    made = features().fit(train)
    # The first of equals is the strongest regularisation.
    regression = _regression(strengths[int(np.argmax(scores))], made.transform(train), train_target_R, seed)
    probabilities_RL = np.full((len(rows), n_labels), SMALLEST_PROBABILITY)
    known_RC = regression.predict_proba(made.transform(rows))
    probabilities_RL[:, regression.classes_] = np.clip(known_RC, SMALLEST_PROBABILITY, 1.0)
    return np.asarray(np.log(probabilities_RL), dtype=np.float32)


def _regression(strength: float, features_RH: Any, target_R: Numbers, seed: int) -> Any:
    from sklearn.exceptions import ConvergenceWarning
    from sklearn.linear_model import LogisticRegression

    with warnings.catch_warnings():
        # A baseline that stops a little short of its optimum is still the baseline.
        warnings.simplefilter("ignore", ConvergenceWarning)
        regression = LogisticRegression(C=strength, class_weight="balanced", max_iter=1000, random_state=seed)
        regression.fit(features_RH, target_R)
    return regression


def _cross_validated(
    features: Callable[[], Any],
    strengths: Sequence[float],
    train: Any,
    train_target_R: Numbers,
    seed: int,
    folds: Iterator[tuple[Rows, Rows]],
) -> list[float]:
    """Macro F1 of held-out training rows by strength; the features are fitted anew in every fold, once for all."""
    from sklearn.metrics import f1_score

    # A row that no fold holds out (one group can be most of the rows) counts as wrong for every strength.
    predicted = np.full((len(strengths), len(train_target_R)), -1, dtype=np.int64)
    for kept, held in folds:
        made = features().fit(train[kept])
        kept_features, held_features = made.transform(train[kept]), made.transform(train[held])
        for at, strength in enumerate(strengths):
            if len(np.unique(train_target_R[kept])) < 2:
                predicted[at, held] = train_target_R[kept[0]]
                continue
            regression = _regression(strength, kept_features, train_target_R[kept], seed)
            predicted[at, held] = regression.predict(held_features)
    labels = np.unique(train_target_R)
    return [
        float(f1_score(train_target_R, one_R, labels=labels, average="macro", zero_division=0)) for one_R in predicted
    ]


def _folds(target_R: Numbers, seed: int, groups: Strings | None) -> Iterator[tuple[Rows, Rows]]:
    """Folds by class as far as the classes have rows; with fewer rows than folds in every class, plain folds.

    Whole groups where there are at least two.
    """
    from sklearn.model_selection import KFold, StratifiedGroupKFold, StratifiedKFold

    if groups is not None and (n_groups := len(set(groups.tolist()))) > 1:
        with warnings.catch_warnings():
            warnings.filterwarnings("ignore", message="The least populated class", category=UserWarning)
            by_group = StratifiedGroupKFold(min(N_FOLDS, n_groups), shuffle=True, random_state=seed)
            yield from (
                (kept, held) for kept, held in by_group.split(target_R, target_R, groups.astype(str)) if len(held)
            )
        return
    if np.bincount(target_R).max() < N_FOLDS:
        yield from KFold(min(N_FOLDS, len(target_R)), shuffle=True, random_state=seed).split(target_R)
        return
    with warnings.catch_warnings():
        # A class with fewer rows than folds is spread over as many folds as it can be.
        warnings.filterwarnings("ignore", message="The least populated class", category=UserWarning)
        yield from StratifiedKFold(N_FOLDS, shuffle=True, random_state=seed).split(target_R, target_R)
