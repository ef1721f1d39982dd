"""What a fine-tuned model has to beat, fitted on the same training rows.

Dimensions: H features, L labels, R rows.
"""

import warnings
from collections.abc import Sequence
from typing import Any

import numpy as np
from numpy.typing import NDArray

from strop.records.dataset import Strings

Logits = NDArray[np.float32]
Numbers = NDArray[np.int64]

SMALLEST_PROBABILITY = 1e-6
PROBE_STRENGTHS = (1e-3, 3e-3, 1e-2, 3e-2, 1e-1, 1.0)
TFIDF_STRENGTHS = (1.0, 10.0, 100.0)
N_FOLDS = 4


def majority(train_target_R: Numbers, n_labels: int, n_rows: int) -> Logits:
    """Every row has the training rows' class shares, so the largest class is always predicted, shape (n_rows, L).

    Args:
        train_target_R: Label numbers of the training rows.
        n_labels: L.
        n_rows: How many rows are predicted.
    """
    shares_L = (np.bincount(train_target_R, minlength=n_labels) + 0.5) / (len(train_target_R) + 0.5 * n_labels)
    return np.tile(np.log(shares_L).astype(np.float32), (n_rows, 1))


def tfidf(train_texts: Strings, train_target_R: Numbers, texts: Strings, *, n_labels: int, seed: int) -> Logits:
    """Character n-grams within words (1 to 5, so that Korean works), TF-IDF, logistic regression, shape (R, L).

    The strength of the regularisation is chosen by cross-validated macro F1 on the training rows.

    Args:
        train_texts: Texts to fit on.
        train_target_R: Their label numbers.
        texts: Texts to predict.
        n_labels: L.
        seed: Draws the folds.
    """
    from sklearn.feature_extraction.text import TfidfVectorizer
    from sklearn.pipeline import make_pipeline

    def build(strength: float) -> Any:
        # A gram that stands in one text only says nothing of others; with few texts all are kept.
        rarest = 2 if len(train_texts) >= 200 else 1
        features = TfidfVectorizer(analyzer="char_wb", ngram_range=(1, 5), sublinear_tf=True, min_df=rarest)
        return make_pipeline(features, _regression(strength, seed))

    train, rows = train_texts.tolist(), texts.tolist()
    if not any(text.strip() for text in train):
        return majority(train_target_R, n_labels, len(rows))
    return _fit_best(build, TFIDF_STRENGTHS, np.array(train, dtype=object), train_target_R, rows, n_labels, seed)


def linear_probe(
    train_features_RH: NDArray[np.float32],
    train_target_R: Numbers,
    features_RH: NDArray[np.float32],
    *,
    n_labels: int,
    seed: int,
) -> Logits:
    """Logistic regression on standardised features of the frozen model, shape (R, L).

    The strength of the regularisation is chosen by cross-validated macro F1 on the training rows.

    Args:
        train_features_RH: Features to fit on.
        train_target_R: Their label numbers.
        features_RH: Features to predict from.
        n_labels: L.
        seed: Draws the folds.
    """
    from sklearn.pipeline import make_pipeline
    from sklearn.preprocessing import StandardScaler

    def build(strength: float) -> Any:
        return make_pipeline(StandardScaler(), _regression(strength, seed))

    train, rows = train_features_RH.astype(np.float64), features_RH.astype(np.float64)
    return _fit_best(build, PROBE_STRENGTHS, train, train_target_R, rows, n_labels, seed)


def _regression(strength: float, seed: int) -> Any:
    from sklearn.linear_model import LogisticRegression

    return LogisticRegression(C=strength, class_weight="balanced", max_iter=1000, random_state=seed)


def _fit_best(
    build: Any, strengths: Sequence[float], train: Any, train_target_R: Numbers, rows: Any, n_labels: int, seed: int
) -> Logits:
    """Choose the strength inside the training rows, fit on all of them, and predict."""
    from sklearn.exceptions import ConvergenceWarning

    if len(np.unique(train_target_R)) < 2 or len(rows) == 0:
        return majority(train_target_R, n_labels, len(rows))
    with warnings.catch_warnings():
        # A baseline that stops a little short of its optimum is still the baseline.
        warnings.simplefilter("ignore", ConvergenceWarning)
        scores = [_cross_validated(build, strength, train, train_target_R, seed) for strength in strengths]
        best = build(strengths[int(np.argmax(scores))]).fit(train, train_target_R)
        known_RC = best.predict_proba(rows)
    probabilities_RL = np.full((len(rows), n_labels), SMALLEST_PROBABILITY)
    probabilities_RL[:, best.classes_] = np.clip(known_RC, SMALLEST_PROBABILITY, 1.0)
    return np.log(probabilities_RL).astype(np.float32)


def _cross_validated(build: Any, strength: float, train: Any, train_target_R: Numbers, seed: int) -> float:
    """Macro F1 of held-out training rows; classes with fewer rows than folds make fewer folds."""
    from sklearn.metrics import f1_score
    from sklearn.model_selection import KFold, StratifiedKFold

    counts = np.bincount(train_target_R)
    smallest = int(counts[counts > 0].min())
    n_folds = min(N_FOLDS, len(train_target_R))
    folds: Any = StratifiedKFold(n_folds, shuffle=True, random_state=seed)
    if smallest < n_folds:
        folds = KFold(n_folds, shuffle=True, random_state=seed)
    predicted_R = np.empty_like(train_target_R)
    for kept, held in folds.split(train_target_R, train_target_R):
        if len(np.unique(train_target_R[kept])) < 2:
            return 0.0
        predicted_R[held] = build(strength).fit(train[kept], train_target_R[kept]).predict(train[held])
    return float(f1_score(train_target_R, predicted_R, average="macro", zero_division=0))
