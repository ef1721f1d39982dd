import numpy as np
import pytest
from sklearn.feature_extraction.text import TfidfVectorizer
from sklearn.linear_model import LogisticRegression
from sklearn.metrics import f1_score
from sklearn.model_selection import StratifiedKFold, cross_val_predict
from sklearn.pipeline import Pipeline, make_pipeline
from sklearn.preprocessing import StandardScaler

from strop.evaluation import baselines
from strop.evaluation.baselines import PROBE_STRENGTHS, linear_probe, majority, tfidf
from strop.records.dataset import Strings, strings

KOREAN = {
    0: [
        "파이썬에서 리스트를 정렬하는 방법",
        "함수가 오류를 냅니다",
        "변수가 정의되지 않았어요",
        "리스트 오류 고치는 방법",
    ],
    1: ["시험은 언제 보나요", "과제 제출 기한이 언제인가요", "강의실이 어디인가요", "시험 범위가 어디까지인가요"],
}


def korean_rows() -> tuple[Strings, np.ndarray]:
    texts = [text for label in (0, 1) for text in KOREAN[label]]
    return strings(texts), np.repeat([0, 1], 4)


def features(n_rows: int, n_labels: int = 3, seed: int = 0) -> tuple[np.ndarray, np.ndarray]:
    generator = np.random.default_rng(seed)
    target_R = np.arange(n_rows) % n_labels
    centres = np.random.default_rng(99).normal(size=(n_labels, 6))
    return (centres[target_R] + 0.3 * generator.normal(size=(n_rows, 6))).astype(np.float32), target_R


def test_majority_by_hand():
    logits_RL = majority(np.array([0, 0, 0, 1]), n_labels=3, n_rows=2)
    # 3.5, 1.5 and 0.5 of 5.5.
    np.testing.assert_allclose(np.exp(logits_RL), [[7 / 11, 3 / 11, 1 / 11]] * 2, rtol=1e-6)
    assert logits_RL.dtype == np.float32
    assert majority(np.array([0]), n_labels=2, n_rows=0).shape == (0, 2)


def test_tfidf_reads_korean_by_characters():
    texts, target_R = korean_rows()
    new = strings(["리스트를 정렬하면 오류가 납니다", "과제는 언제까지 제출하나요"])
    logits_RL = tfidf(texts, target_R, new, n_labels=2, seed=0)
    assert logits_RL.argmax(axis=1).tolist() == [0, 1]
    np.testing.assert_allclose(np.exp(logits_RL).sum(axis=1), 1.0, rtol=1e-5)
    assert logits_RL.dtype == np.float32


def test_tfidf_is_what_scikit_learn_fits_with_the_chosen_strength(monkeypatch: pytest.MonkeyPatch):
    monkeypatch.setattr(baselines, "TFIDF_STRENGTHS", (10.0,))
    texts, target_R = (rows[:6] for rows in korean_rows())  # four rows of one class, two of the other
    vectorizer = TfidfVectorizer(analyzer="char_wb", ngram_range=(1, 5), sublinear_tf=True)
    theirs = make_pipeline(vectorizer, LogisticRegression(C=10.0, class_weight="balanced", max_iter=1000))
    expected = theirs.fit(texts.tolist(), target_R).predict_log_proba(texts.tolist())
    np.testing.assert_allclose(tfidf(texts, target_R, texts, n_labels=2, seed=0), expected, rtol=1e-4, atol=1e-5)


def test_the_probe_separates_what_is_separable():
    train_RH, train_R = features(90)
    new_RH, new_R = features(60, seed=1)
    assert (linear_probe(train_RH, train_R, new_RH, n_labels=3, seed=0).argmax(axis=1) == new_R).mean() > 0.95


def test_the_probe_does_not_mind_the_scale_of_features():
    train_RH, train_R = features(90)
    scale_H = np.array([1e-3, 1, 1e3, 5, 0.1, 10], dtype=np.float32)
    plain = linear_probe(train_RH, train_R, train_RH, n_labels=3, seed=0)
    scaled = linear_probe(train_RH * scale_H + 7, train_R, train_RH * scale_H + 7, n_labels=3, seed=0)
    np.testing.assert_allclose(plain, scaled, atol=0.01)


def test_the_chosen_strength_is_the_one_that_does_best_on_held_out_training_rows():
    # Six weak features among a hundred of noise.
    signal_RH, train_R = features(120)
    generator = np.random.default_rng(7)
    noise_RH = generator.normal(size=(120, 100))
    train_RH = np.column_stack([signal_RH + generator.normal(size=signal_RH.shape), noise_RH]).astype(np.float32)

    def pipeline(strength: float) -> Pipeline:
        return make_pipeline(StandardScaler(), LogisticRegression(C=strength, class_weight="balanced", max_iter=1000))

    folds = StratifiedKFold(4, shuffle=True, random_state=0)
    scores = [
        f1_score(train_R, cross_val_predict(pipeline(strength), train_RH, train_R, cv=folds), average="macro")
        for strength in PROBE_STRENGTHS
    ]
    best = int(np.argmax(scores))
    assert 0 < best < len(scores) - 1
    expected = pipeline(PROBE_STRENGTHS[best]).fit(train_RH, train_R).predict_log_proba(train_RH)
    np.testing.assert_allclose(linear_probe(train_RH, train_R, train_RH, n_labels=3, seed=0), expected, atol=1e-3)


def test_the_rows_to_predict_have_no_say_in_the_fit():
    train_RH, train_R = features(40)
    new_RH, _ = features(10, seed=5)
    together = linear_probe(train_RH, train_R, new_RH, n_labels=3, seed=0)
    np.testing.assert_allclose(linear_probe(train_RH, train_R, new_RH[:1], n_labels=3, seed=0), together[:1], rtol=1e-5)
    texts, target_R = korean_rows()
    new = strings(["시험 오류", "전혀 다른 이야기"])
    both = tfidf(texts, target_R, new, n_labels=2, seed=0)
    np.testing.assert_allclose(tfidf(texts, target_R, new[:1], n_labels=2, seed=0), both[:1], rtol=1e-5)


def test_a_class_that_was_never_seen_is_never_predicted_and_finite():
    train_RH, train_R = features(40, n_labels=2)
    logits_RL = linear_probe(train_RH, 2 * train_R, train_RH, n_labels=4, seed=0)
    assert set(logits_RL.argmax(axis=1).tolist()) == {0, 2}
    np.testing.assert_allclose(logits_RL[:, [1, 3]], np.log(1e-6), rtol=1e-5)
    assert np.isfinite(logits_RL).all()


def test_classes_with_fewer_rows_than_folds_are_fitted():
    train_RH, train_R = features(41)
    train_R[-1] = 3
    train_RH[-1] = 20.0
    logits_RL = linear_probe(train_RH, train_R, train_RH, n_labels=4, seed=0)
    assert logits_RL.shape == (41, 4)
    assert (logits_RL.argmax(axis=1) == train_R).mean() > 0.9


@pytest.mark.parametrize("n_rows", [2, 3, 5])
def test_a_handful_of_rows_is_fitted(n_rows):
    train_RH, train_R = features(n_rows)
    assert linear_probe(train_RH, train_R, train_RH, n_labels=3, seed=0).shape == (n_rows, 3)
    texts, _ = korean_rows()
    assert tfidf(texts[:n_rows], train_R, texts, n_labels=3, seed=0).shape == (8, 3)


def test_with_many_texts_a_gram_of_one_text_only_is_left_out():
    # The word of the one odd text is in no other: with 199 texts it has a say, with 200 it is as good as unknown.
    odd, unknown = strings(["가 뷁"]), strings(["가 쀍"])
    for n_rows, is_known in ((199, True), (200, False)):
        texts, target_R = strings(["가 나", "가 다"] * (n_rows // 2) + ["가 나"] * (n_rows % 2)), np.arange(n_rows) % 2
        texts[-1] = odd[0]
        logits = [tfidf(texts, target_R, rows, n_labels=2, seed=0) for rows in (odd, unknown)]
        assert (np.abs(logits[0] - logits[1]).max() > 1e-3) == is_known


def test_one_class_alone_is_the_majority():
    train_RH, _ = features(5)
    target_R = np.ones(5, dtype=np.int64)
    expected = majority(target_R, 3, 2)
    np.testing.assert_array_equal(linear_probe(train_RH, target_R, train_RH[:2], n_labels=3, seed=0), expected)
    np.testing.assert_array_equal(tfidf(korean_rows()[0][:5], target_R, strings("ab"), n_labels=3, seed=0), expected)


def test_blank_texts_are_fitted_and_answered():
    target_R = np.array([0, 1, 0, 1, 1, 1])
    blank = strings(["", " ", "\n", "", "", "\t"])
    assert np.isfinite(tfidf(blank, target_R, blank, n_labels=2, seed=0)).all()
    texts, of_texts_R = korean_rows()
    assert tfidf(texts, of_texts_R, strings(["", "시험"]), n_labels=2, seed=0).shape == (2, 2)


def test_no_rows_to_predict():
    train_RH, train_R = features(12)
    assert linear_probe(train_RH, train_R, train_RH[:0], n_labels=3, seed=0).shape == (0, 3)
    texts, target_R = korean_rows()
    assert tfidf(texts, target_R, strings([]), n_labels=2, seed=0).shape == (0, 2)


def test_the_same_seed_gives_the_same_logits():
    train_RH, train_R = features(40)
    one, same = (linear_probe(train_RH, train_R, train_RH, n_labels=3, seed=3) for _ in range(2))
    np.testing.assert_array_equal(one, same)
