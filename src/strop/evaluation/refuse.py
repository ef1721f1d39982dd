"""What may not be judged.

Dimensions: R rows, L labels or targets, T targets.
"""

from collections.abc import Iterator, Mapping

import numpy as np
from numpy.typing import NDArray

from strop.errors import Problem, RunError
from strop.records.predictions import Predictions


def refuse_unfair_rows(
    model: Predictions,
    baselines: Mapping[str, Predictions],
    part: str,
    treated: Mapping[str, Predictions] | None = None,
) -> None:
    """Check that predictions can be judged: rows that no system was trained on, the same for all.

    Args:
        model: The model's predictions.
        baselines: Those of the baselines.
        part: What the rows are, for the error.
        treated: Treatments of the model's predictions, by name.

    Raises:
        RunError: With every problem of every system.
    """
    if model.n_rows == 0:
        raise RunError(
            Problem(
                where=f"predictions of the part '{part}'",
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


def _problems(system: str, predictions: Predictions, part: str) -> Iterator[Problem]:
    where = f"predictions of {system} for the part '{part}'"
    n_seen = int(predictions.seen_R.sum())
    if n_seen:
        yield Problem(
            where=where,
            must="no row may be judged by a model that was trained on it",
            came=f"{n_seen} of {predictions.n_rows} rows were trained on",
            do="judge validation, out-of-fold or test rows",
        )
    yield from _broken(where, predictions)


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


def _mismatch(model: Predictions, other: Predictions, role: str, name: str) -> Iterator[Problem]:
    where = f"predictions of the {role} '{name}'"
    do = "remove the folder predictions/ of the run and give its `strop fit` command again"
    if other.ids.tolist() != model.ids.tolist():
        n_shared = len(set(model.ids.tolist()) & set(other.ids.tolist()))
        yield Problem(
            where=where,
            must=f"a {role} must have predicted the rows that the model predicted, in the same order",
            came=f"{other.n_rows} rows, {n_shared} of them among the model's {model.n_rows}",
            do=do,
        )
    if other.labels != model.labels:
        outputs = "labels" if model.kind == "logits" else "targets"
        yield Problem(
            where=where,
            must=f"a {role} must know the model's {outputs}, {list(model.labels)}",
            came=f"{list(other.labels)}",
            do=do,
        )
