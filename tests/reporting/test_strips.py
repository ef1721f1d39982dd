from dataclasses import replace

from strop.records.scores import Score, Scores
from strop.reporting.strips import (
    Scale,
    classes_board,
    differences_board,
    gains_board,
    primary_board,
    scale_over,
    strip,
    targets_board,
)


def test_a_scale_has_round_ends_around_the_numbers() -> None:
    scale = scale_over([0.037, 0.862, None, float("nan")])
    assert (scale.low, scale.high) == (0.0, 1.0)
    assert scale.ticks == (0.0, 0.2, 0.4, 0.6, 0.8, 1.0)


def test_one_number_alone_still_has_a_scale() -> None:
    scale = scale_over([0.5])
    assert scale.low < 0.5 < scale.high
    assert scale_over([]).high > scale_over([]).low


def test_a_strip_lies_where_its_numbers_are() -> None:
    placed = strip("model", Score("f1", 0.5, 0.25, 0.75), Scale(0.0, 1.0, (0.0, 1.0)), [0.1, 2.0])
    assert (placed.dot, placed.left, placed.width, placed.marks) == (50.0, 25.0, 50.0, (10.0, 100.0))
    assert placed.words == "0.500 [0.250, 0.750]"


def test_a_score_without_interval_is_a_dot() -> None:
    placed = strip("model", Score("f1", 0.5), Scale(0.0, 1.0, (0.0, 1.0)))
    assert (placed.left, placed.width) == (None, None)


def test_the_boards_hold_model_and_baselines(scores: Scores) -> None:
    assert [one.name for one in primary_board(scores).strips] == ["model", "majority", "tfidf", "linear_probe"]
    assert differences_board(scores).scale.low == 0.0
    board = classes_board(scores, scores.baselines[1])
    assert board.strips[0].marks == (69.2,)
    assert classes_board(scores, None).strips[0].marks == ()


def test_a_baseline_without_the_primary_metric_is_passed_over(scores: Scores) -> None:
    odd = replace(scores.baselines[0], metrics={})
    assert [one.name for one in primary_board(replace(scores, baselines=(odd,))).strips] == ["model"]


def test_a_number_that_is_not_defined_is_not_drawn() -> None:
    nan = float("nan")
    placed = strip("model", Score("f1", nan, nan, nan), Scale(0.0, 1.0, (0.0, 1.0)), [nan])
    assert (placed.dot, placed.left, placed.marks, placed.words) == (None, None, (), "– [–, –]")
    assert scale_over([nan, float("inf"), 0.2, 0.4]).high < 1.0


def test_targets_stand_best_first_with_the_baseline_as_a_mark(value_scores: Scores) -> None:
    board = targets_board(value_scores, value_scores.baselines[1])
    assert [row.scores.target for row in board.rows][0::4] == ["clear", "constant"]
    values = [row.scores.metrics["spearman"].value for row in board.rows[:4]]
    assert values == sorted(values, reverse=True)
    first, last = board.rows[0], board.rows[-1]
    theirs = value_scores.baselines[1].targets[0].metrics["spearman"]
    assert first.strip.marks == (board.scale.at(theirs.value),)
    assert first.beside[1] == theirs
    assert last.strip is None
    assert last.beside == (None, None, None)
    assert board.scale.low <= 0


def test_gains_have_zero_on_their_scale(value_scores: Scores) -> None:
    board = gains_board(value_scores)
    assert [one.name for one in board.strips] == ["snapped"]
    assert board.scale.low <= 0 <= board.scale.high
