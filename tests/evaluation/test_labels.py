import pytest

from strop.errors import DataError
from strop.evaluation.labels import label_numbers
from strop.records.dataset import strings


def test_numbers_follow_the_order_of_labels():
    assert label_numbers(strings(["yes", "no", "yes"]), ("no", "yes")).tolist() == [1, 0, 1]


def test_every_unknown_label_is_named():
    with pytest.raises(DataError) as caught:
        label_numbers(strings(["ys", "no", "maybe", "maybe"]), ("no", "yes"))
    assert [problem.came for problem in caught.value.problems] == ["'maybe'", "'ys'"]
    assert "every label must be one the model was trained on (no, yes)" in str(caught.value)
    assert caught.value.problems[1].do == "did you mean 'yes'?"
    assert caught.value.problems[0].do == "use one of: no, yes"
