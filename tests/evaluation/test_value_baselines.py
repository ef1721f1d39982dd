import numpy as np
import pytest
from sklearn.linear_model import Ridge

from strop.evaluation import value_baselines
from strop.evaluation.value_baselines import mean_values, metadata_ridge, tfidf_ridge
from strop.metrics.regression import REGRESSION_METRICS
from strop.records.dataset import strings

WORDS = ("good", "bad", "long", "short", "plain", "odd")


def written(n_rows: int, seed: int, words: tuple[str, ...] = WORDS) -> tuple[np.ndarray, np.ndarray]:
    """Texts of eight words, and two targets: the share of the first word, and of the third."""
    drawn = np.random.default_rng(seed).integers(len(words), size=(n_rows, 8))
    texts = strings([" ".join(words[at] for at in row) for row in drawn])
    return texts, np.stack([(drawn == 0).mean(axis=1), (drawn == 2).mean(axis=1)], axis=1)


def spearman(target_RT: np.ndarray, values_RT: np.ndarray) -> float:
    return REGRESSION_METRICS["spearman"].value(target_RT, values_RT.astype(np.float64))


def test_the_mean_is_of_known_values():
    values_RT = mean_values(np.array([[0.0, np.nan, np.nan], [1.0, 0.5, np.nan]]), 2)
    assert values_RT.tolist() == [[0.5, 0.5, 0.0], [0.5, 0.5, 0.0]]
    assert values_RT.dtype == np.float32


@pytest.mark.parametrize("words", [WORDS, ("좋은", "나쁜", "길다", "짧은", "평범", "이상")])
def test_words_are_learnt_and_predictions_keep_to_the_training_range(words):
    texts, target_RT = written(80, 0, words)
    asked, truth_RT = written(40, 1, words)
    values_RT = tfidf_ridge(texts, target_RT, asked, seed=0)
    assert values_RT.shape == (40, 2)
    assert spearman(truth_RT, values_RT) > 0.8
    assert (values_RT >= target_RT.min(axis=0) - 1e-6).all()
    assert (values_RT <= target_RT.max(axis=0) + 1e-6).all()
    assert (values_RT == tfidf_ridge(texts, target_RT, asked, seed=0)).all()


def test_terms_are_words_or_characters_by_the_script():
    assert value_baselines._vectorizer(strings(["an English text", "1 2 3"])).analyzer == "word"
    assert value_baselines._vectorizer(strings(["그 답은 Python 코드입니다", "네, 맞습니다"])).analyzer == "char_wb"


def test_missing_targets_leave_their_rows_out_of_that_target_alone():
    texts, target_RT = written(60, 0)
    holed_RT = target_RT.copy()
    holed_RT[:20, 1] = np.nan
    holed_RT[:, 0] = target_RT[:, 0]
    found_RT = tfidf_ridge(texts, holed_RT, texts, seed=0)
    whole_RT = tfidf_ridge(texts, target_RT, texts, seed=0)
    assert found_RT[:, 0] == pytest.approx(whole_RT[:, 0], abs=1e-6)
    assert spearman(target_RT[:20, 1:], found_RT[:20, 1:]) > 0.7


def test_a_target_with_hardly_a_row_has_its_mean():
    texts, target_RT = written(30, 0)
    target_RT[1:, 0], target_RT[:, 1] = np.nan, np.nan
    values_RT = tfidf_ridge(texts, target_RT, texts[:3], seed=0)
    assert values_RT == pytest.approx(np.tile([target_RT[0, 0], 0.0], (3, 1)))


def test_texts_without_words_and_single_rows_are_answered():
    blank = strings(["", "?!", " "])
    values_RT = tfidf_ridge(blank, np.array([[0.0], [1.0], [0.5]]), strings(["", "anything"]), seed=0)
    assert values_RT == pytest.approx(0.5)
    assert tfidf_ridge(blank, np.zeros((3, 1)), strings([]), seed=0).shape == (0, 1)
    assert tfidf_ridge(strings(["one"]), np.array([[0.3]]), strings(["two"]), seed=0) == pytest.approx(0.3)


def test_metadata_is_the_ridge_of_scikit_learn(monkeypatch):
    monkeypatch.setattr(value_baselines, "METADATA_STRENGTHS", (2.0,))
    generator = np.random.default_rng(0)
    metadata_RM, target_RT = generator.normal(size=(40, 3)).astype(np.float32), generator.random((40, 2))
    values_RT = metadata_ridge(metadata_RM, target_RT, metadata_RM[:5], seed=0)
    peer = Ridge(alpha=2.0).fit(metadata_RM.astype(float), target_RT).predict(metadata_RM[:5].astype(float))
    assert values_RT == pytest.approx(peer, abs=1e-6)


def test_every_target_has_its_own_strength_and_noise_the_strongest():
    generator = np.random.default_rng(1)
    train_RH = generator.normal(size=(60, 20))
    target_RT = np.stack([train_RH[:, 0], generator.normal(size=60)], axis=1)
    assert value_baselines._best_strengths((0.1, 1000.0), train_RH, target_RT, 0, None).tolist() == [0.1, 1000.0]


def test_folds_hold_whole_groups():
    groups = strings(list("aabbccddee"))
    for kept, held in value_baselines._folds(10, 0, groups):
        assert not set(groups[kept]) & set(groups[held])
    assert len(list(value_baselines._folds(10, 0, strings(["one"] * 10)))) == 4
