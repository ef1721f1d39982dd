import numpy as np
import pytest

from strop.records.dataset import Dataset, strings
from strop.records.predictions import Predictions
from strop.reporting.value_rows import ShownMiss, largest_errors

IDS = ("a", "b", "c", "d")
# The first target spans 0 to 1, the second 0 to 100, the third is constant.
TRUTH = np.array([[0.0, 0.0, 5.0], [1.0, 100.0, 5.0], [0.5, np.nan, 5.0], [0.5, 50.0, 5.0]])
ROWS = Dataset(
    strings(IDS),
    {"text": strings([f"text {row_id}" for row_id in IDS])},
    targets={name: TRUTH[:, at] for at, name in enumerate(("small", "large", "constant"))},
)


def predictions(values_RT: np.ndarray) -> Predictions:
    return Predictions(
        ids=ROWS.ids,
        labels=("small", "large", "constant"),
        outputs_RL=values_RT.astype(np.float32),
        part=strings(["validation"] * 4),
        seen_R=np.zeros(4, dtype=np.bool_),
        fold_R=np.full(4, -1),
        kind="values",
    )


def test_errors_are_shares_of_the_targets_ranges() -> None:
    values_RT = np.nan_to_num(TRUTH)
    values_RT[0] += [0.5, 10.0, 99.0]
    values_RT[2] += [0.25, 77.0, 0.0]
    first, second = largest_errors(predictions(values_RT), ROWS)
    assert (first.row_id, first.error) == ("a", pytest.approx((0.5 + 0.1) / 2))
    assert first.misses == (ShownMiss("small", 0.0, 0.5), ShownMiss("large", 0.0, 10.0))
    assert first.text.short == "text a"
    # The third row has one target only that counts.
    assert (second.row_id, second.error) == ("c", pytest.approx(0.25))
    assert [miss.target for miss in second.misses] == ["small"]


def test_no_more_are_shown_than_asked_for_and_equal_errors_keep_their_order() -> None:
    values_RT = np.nan_to_num(TRUTH) + np.array([0.125, 0.0, 0.0])
    assert [one.row_id for one in largest_errors(predictions(values_RT), ROWS, most=2)] == ["c", "a"]


def test_no_rows_have_no_errors() -> None:
    assert largest_errors(predictions(np.nan_to_num(TRUTH)), ROWS) == []
    assert largest_errors(predictions(np.nan_to_num(TRUTH)).take([]), ROWS) == []
