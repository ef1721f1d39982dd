"""What may not be judged.

Dimensions: R rows, L labels or targets, T targets.
"""

from collections.abc import Iterator, Mapping
from typing import Protocol

import numpy as np
from numpy.typing import NDArray

from strop.errors import Problem, RunError
from strop.records.dataset import Strings
from strop.records.predictions import Predictions


class Judged(Protocol):
    """What a system said about rows, in whatever form: predictions, or answers in words."""

    @property
    def ids(self) -> Strings:
        """Row ids, shape (R,)."""

    @property
    def seen_R(self) -> NDArray[np.bool_]:
        """Whether the system was trained on the row, shape (R,)."""

    @property
    def n_rows(self) -> int:
        """How many rows there are."""


def refuse_unfair_rows(
    model: Judged,
    baselines: Mapping[str, Judged],
    part: str,
    treated: Mapping[str, Judged] | None = None,
) -> None:
    """Check that predictions or answers can be judged: rows that no system was trained on, the same for all.

    Predictions must also be finite, and of the same labels or targets.

    Args:
        model: The model's predictions or answers.
        baselines: Those of the baselines.
        part: What the rows are, for the error.
        treated: Treatments of what the model said, by name.

    Raises:
        RunError: With every problem of every system.
    """
    if model.n_rows == 0:
        raise RunError(
            Problem(
                where=f"{_nouns(model)} of the part '{part}'",
                must="there must be rows to judge",
                came="no rows",
                do="give the part rows, by data.part, split.validation_fraction or split.test_fraction",
            )
        )
    problems = list(_problems("the model", model, part))
    others = [("baseline", name, one) for name, one in baselines.items()]
    others += [("treatment", name, one) for name, one in (treated or {}).items()]
    for role, name, other in others:
        problems += [*_mismatch(model, other, role, name), *_problems(f"the {role} '{name}'", other, part)]
    if problems:
        raise RunError(*problems)


def refuse_without_targets(target_RT: NDArray[np.float64], part: str) -> None:
    """Check that some row has some target.

    Args:
        target_RT: True values, NaN where missing.
        part: What the rows are, for the error.

    Raises:
        RunError: There is no value at all.
    """
    if np.isnan(target_RT).all():
        raise RunError(
            Problem(
                where=f"targets of the part '{part}'",
                must="some row must have a value to be judged by",
                came=f"{len(target_RT)} rows without any value",
                do="give the rows of this part values in the columns of data.targets",
            )
        )


def refuse_broken_outputs(predictions: Mapping[str, Predictions]) -> None:
    """Check that all logits, or values, are finite.

    Args:
        predictions: By system.

    Raises:
        RunError: With a problem for every system with NaN or infinity.
    """
    problems = [problem for name, one in predictions.items() for problem in _broken(f"predictions of {name}", one)]
    if problems:
        raise RunError(*problems)


def _nouns(judged: Judged) -> str:
    return "predictions" if isinstance(judged, Predictions) else "answers"


def _problems(system: str, judged: Judged, part: str) -> Iterator[Problem]:
    where = f"{_nouns(judged)} of {system} for the part '{part}'"
    n_seen = int(judged.seen_R.sum())
    if n_seen:
        yield Problem(
            where=where,
            must="no row may be judged by a model that was trained on it",
            came=f"{n_seen} of {judged.n_rows} rows were trained on",
            do="judge validation, out-of-fold or test rows",
        )
    if isinstance(judged, Predictions):
        yield from _broken(where, judged)


def _broken(where: str, predictions: Predictions) -> Iterator[Problem]:
    is_broken_R = ~np.isfinite(predictions.outputs_RL).all(axis=1)
    if is_broken_R.any():
        yield Problem(
            where=where,
            must=f"every {'logit' if predictions.kind == 'logits' else 'value'} must be a finite number",
            came=f"NaN or infinity in {int(is_broken_R.sum())} of {predictions.n_rows} rows, "
            f"for example in {predictions.ids[int(is_broken_R.argmax())]!r}",
            do="the training has diverged: fit again with a lower learning_rate or with model.precision=float32",
        )


def _mismatch(model: Judged, other: Judged, role: str, name: str) -> Iterator[Problem]:
    where = f"{_nouns(other)} of the {role} '{name}'"
    done = "predicted" if isinstance(model, Predictions) else "answered"
    do = "remove the folder predictions/ of the run and give its `strop fit` command again"
    if other.ids.tolist() != model.ids.tolist():
        n_shared = len(set(model.ids.tolist()) & set(other.ids.tolist()))
        yield Problem(
            where=where,
            must=f"a {role} must have {done} the rows that the model {done}, in the same order",
            came=f"{other.n_rows} rows, {n_shared} of them among the model's {model.n_rows}",
            do=do,
        )
    if isinstance(model, Predictions) and isinstance(other, Predictions) and other.labels != model.labels:
        outputs = "labels" if model.kind == "logits" else "targets"
        yield Problem(
            where=where,
            must=f"a {role} must know the model's {outputs}, {list(model.labels)}",
            came=f"{list(other.labels)}",
            do=do,
        )
