from collections.abc import Callable
from dataclasses import replace

import numpy as np
import pytest
from scipy import stats

from strop.evaluation.evaluate import score_predictions
from strop.evaluation.evaluate_answers import score_answers
from strop.evaluation.evaluate_values import score_values
from strop.evaluation.folds import known_folds
from strop.recipe.sections import Evaluation
from strop.records.answers import Answers
from strop.records.dataset import strings
from strop.records.predictions import Predictions
from strop.records.scores import FoldScores, Score, Scores

QUICK = Evaluation(primary_metric="spearman", baselines=[], n_bootstrap=300)
THREE_FOLDS = np.repeat([0, 1, 2], 4)
# Ranks of four rows: in order, the first two swapped, turned around. Spearman 1, 1 - 6 * 2 / 60 = 0.8, -1.
TARGET_RT = np.tile([[1.0], [2.0], [3.0], [4.0]], (3, 1))
VALUES_RT = np.array([[1.0, 2, 3, 4, 12, 11, 13, 14, 4, 3, 2, 1]]).T


def columns(n_rows: int, fold_R: np.ndarray) -> dict[str, object]:
    return {
        "ids": strings([f"r{at}" for at in range(n_rows)]),
        "part": strings(["train"] * n_rows),
        "seen_R": np.zeros(n_rows, dtype=np.bool_),
        "fold_R": fold_R,
    }


def predicted(outputs_RL: np.ndarray, fold_R: np.ndarray, kind: str = "values") -> Predictions:
    labels = tuple("abcdef"[: outputs_RL.shape[1]])
    return Predictions(
        labels=labels, outputs_RL=outputs_RL.astype(np.float32), kind=kind, **columns(len(outputs_RL), fold_R)
    )


def scored_values(values_RT: np.ndarray, target_RT: np.ndarray, fold_R: np.ndarray, **more: object) -> Scores:
    inputs = {"baselines": {}, "evaluation": QUICK, "part": "out of fold", "seed": 1} | more
    return score_values(predicted(values_RT, fold_R), target_RT, **inputs)


def values_of(folds: FoldScores | None) -> list[float | None]:
    assert folds is not None
    return [None if one.score is None else one.score.value for one in folds.folds]


def test_spearman_of_three_folds_by_hand() -> None:
    own = scored_values(VALUES_RT, TARGET_RT, THREE_FOLDS).model
    assert values_of(own.folds) == pytest.approx([1.0, 0.8, -1.0])
    assert [(one.fold, one.n_rows) for one in own.folds.folds] == [(0, 4), (1, 4), (2, 4)]
    assert own.folds.mean.value == pytest.approx(0.8 / 3)
    # Over all rows together the second fold's high values stand above those of the others.
    together = stats.spearmanr(TARGET_RT[:, 0], VALUES_RT[:, 0]).statistic
    assert own.metrics["spearman"].value == pytest.approx(together)
    assert abs(together - 0.8 / 3) > 0.1
    assert (own.folds.mean.metric, own.folds.mean.higher_is_better) == ("spearman", True)


def test_macro_f1_of_three_folds_by_hand() -> None:
    target = strings(["a", "a", "b", "b"] * 3)
    # All right: 1. One b as a: F1 of a 2 * 2 / 5, of b 2 / 3. All a: 2 * 2 / 6 and 0.
    answers = ["a", "a", "b", "b", "a", "a", "a", "b", "a", "a", "a", "a"]
    logits_RL = np.array([[4.0, 0] if answer == "a" else [0, 4] for answer in answers])
    by_f1 = QUICK.model_copy(update={"primary_metric": "macro_f1"})
    model = predicted(logits_RL, THREE_FOLDS, "logits")
    alone = replace(model, fold_R=np.full(12, -1))
    scores = score_predictions(
        model, target, baselines={"tfidf": alone}, evaluation=by_f1, part="out of fold", seed=0, temperature=1.0
    )
    by_hand = [1.0, (0.8 + 2 / 3) / 2, 1 / 3]
    assert values_of(scores.model.folds) == pytest.approx(by_hand)
    assert scores.model.folds.mean.value == pytest.approx(sum(by_hand) / 3)
    # A baseline is judged on the folds of the same rows.
    assert scores.baselines[0].folds == scores.model.folds


def test_exact_match_of_answers_by_fold() -> None:
    texts = ["dog", "dog", "cat", "cat", "dog", "cat"]
    fold_R = np.array([0, 0, 0, 0, 3, 3])
    model = Answers(
        text_RC=strings(texts)[:, None],
        log_likelihood_RC=np.zeros((6, 1), dtype=np.float32),
        n_tokens_RC=np.ones((6, 1), dtype=np.int64),
        ended_RC=np.ones((6, 1), dtype=np.bool_),
        **columns(6, fold_R),
    )
    by_match = QUICK.model_copy(update={"primary_metric": "exact_match"})
    scores = score_answers(
        model,
        [("dog",)] * 5 + [("cat",)],
        baselines={},
        evaluation=by_match,
        part="out of fold",
        seed=0,
        treated={"uncleaned": model},
    )
    folds = scores.model.folds
    assert values_of(folds) == [0.5, 1.0]
    assert [one.fold for one in folds.folds] == [0, 3]
    # Each fold counts the same, whatever its rows.
    assert folds.mean.value == 0.75
    assert scores.primary_score.value == pytest.approx(4 / 6)
    assert 0 <= folds.mean.low <= 0.75 <= folds.mean.high <= 1
    assert scores.treated[0].scores.folds == folds


def noisy(n_rows: int) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    generator = np.random.default_rng(5)
    target_RT = generator.integers(5, size=(n_rows, 2)) / 4
    fold_R = np.arange(n_rows) % 3
    # Every fold's model has a level of its own.
    return target_RT, target_RT + generator.normal(size=target_RT.shape) + fold_R[:, None], fold_R


def width(score: Score) -> float:
    assert score.low <= score.value <= score.high
    return score.high - score.low


def test_an_interval_holds_the_mean_and_shrinks_with_rows() -> None:
    widths = []
    for n_rows in (60, 960):
        target_RT, values_RT, fold_R = noisy(n_rows)
        folds = scored_values(values_RT, target_RT, fold_R).model.folds
        widths.append(width(folds.mean))
        assert all(width(one.score) > width(folds.mean) for one in folds.folds)
    assert widths[1] == pytest.approx(widths[0] / 4, rel=0.3)


def test_levels_of_folds_cost_the_score_over_all_rows_alone() -> None:
    target_RT, values_RT, fold_R = noisy(300)
    levelled = scored_values(values_RT - fold_R[:, None], target_RT, fold_R).model
    own = scored_values(values_RT, target_RT, fold_R).model
    assert own.folds.mean.value == pytest.approx(levelled.folds.mean.value)
    assert own.metrics["spearman"].value < levelled.metrics["spearman"].value - 0.05
    assert levelled.metrics["spearman"].value == pytest.approx(levelled.folds.mean.value, abs=0.02)


def test_resamples_are_those_of_the_score_over_all_rows() -> None:
    target_RT, values_RT, _ = noisy(60)
    by_error = QUICK.model_copy(update={"primary_metric": "mae"})
    # The mean error of folds of equal size differs from that of all rows by the drawn sizes of folds alone.
    fold_R, groups = np.arange(60) // 20, strings([f"g{at // 20}" for at in range(60)])
    own = scored_values(values_RT, target_RT, fold_R, evaluation=by_error, groups=groups).model
    assert own.folds.mean.value == pytest.approx(own.metrics["mae"].value)
    assert not own.folds.mean.higher_is_better
    # Groups are drawn whole, and every fold is one group here: its error is the same in every resample that draws it.
    assert all(one.score.low == pytest.approx(one.score.high) for one in own.folds.folds)
    assert own.folds.mean.low < own.folds.mean.high


def test_a_target_that_is_constant_in_a_fold_is_left_out_there() -> None:
    target_RT, values_RT, fold_R = noisy(60)
    target_RT[fold_R == 1, 1] = 0.5
    own = scored_values(values_RT, target_RT, fold_R).model
    found = [
        [stats.spearmanr(target_RT[fold_R == fold, at], values_RT[fold_R == fold, at]).statistic for at in (0, 1)]
        for fold in (0, 2)
    ]
    alone = stats.spearmanr(target_RT[fold_R == 1, 0], values_RT[fold_R == 1, 0]).statistic
    assert values_of(own.folds) == pytest.approx([np.mean(found[0]), alone, np.mean(found[1])])
    assert [one.left_out for one in own.folds.folds] == [(), ("b",), ()]
    # Target by target: the second counts once, by the two folds that it varies in.
    by_target = [(found[0][0] + alone + found[1][0]) / 3, (found[0][1] + found[1][1]) / 2]
    assert own.folds.mean.value == pytest.approx(np.mean(by_target))
    assert own.folds.mean.low < own.folds.mean.value < own.folds.mean.high


def test_a_fold_in_which_nothing_varies_has_no_score() -> None:
    target_RT, values_RT, fold_R = noisy(60)
    target_RT[fold_R == 1] = 0.5
    own = scored_values(values_RT, target_RT, fold_R).model
    found = values_of(own.folds)
    assert found[1] is None
    assert own.folds.mean.value == pytest.approx((found[0] + found[2]) / 2)
    assert own.folds.mean.low < own.folds.mean.high


def test_a_constant_prediction_counts_as_0_in_its_fold() -> None:
    scores = scored_values(VALUES_RT, TARGET_RT, THREE_FOLDS, baselines={"mean": predicted_levels()})
    assert values_of(scores.baselines[0].folds) == [0, 0, 0]
    assert (scores.baselines[0].folds.mean.low, scores.baselines[0].folds.mean.high) == (0, 0)


def predicted_levels() -> Predictions:
    return predicted(THREE_FOLDS[:, None].astype(float), THREE_FOLDS)


def test_where_nothing_varies_there_are_no_scores_by_fold() -> None:
    assert scored_values(VALUES_RT, np.full_like(TARGET_RT, 0.5), THREE_FOLDS).model.folds is None


def test_without_folds_nothing_is_said(make_predictions: Callable[..., Predictions], target: Callable) -> None:
    assert scored_values(VALUES_RT, TARGET_RT, np.full(12, -1)).model.folds is None
    by_f1 = QUICK.model_copy(update={"primary_metric": "macro_f1"})
    inputs = {"baselines": {}, "evaluation": by_f1, "part": "test", "seed": 0}
    assert score_predictions(make_predictions(), target(90), **inputs).model.folds is None


def test_folds_are_known_where_every_row_has_one_of_several() -> None:
    assert known_folds(np.array([0, 1, 0])) is not None
    assert known_folds(np.array([-1, 1, 0])) is None
    assert known_folds(np.array([2, 2, 2])) is None


def test_equal_seeds_give_equal_scores_and_they_are_read_back(tmp_path) -> None:
    target_RT, values_RT, fold_R = noisy(60)
    scores = scored_values(values_RT, target_RT, fold_R)
    assert scored_values(values_RT, target_RT, fold_R) == scores
    scores.save(tmp_path / "scores.json")
    assert Scores.load(tmp_path / "scores.json") == scores
