"""What may not be judged."""

from collections.abc import Iterator, Mapping

import numpy as np

from strop.errors import Problem, RunError
from strop.records.predictions import Predictions


def refuse_unfair_rows(model: Predictions, baselines: Mapping[str, Predictions], part: str) -> None:
    """Check that predictions can be judged: rows that no system was trained on, the same for all.

    Args:
        model: The model's predictions.
        baselines: Those of the baselines.
        part: What the rows are, for the error.

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
    for name, baseline in baselines.items():
        problems += [*_mismatch(model, baseline, name), *_problems(f"the baseline '{name}'", baseline, part)]
    if problems:
        raise RunError(*problems)


def refuse_broken_logits(predictions: Mapping[str, Predictions]) -> None:
    """Check that all logits are finite.

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
    is_broken_R = ~np.isfinite(predictions.logits_RL).all(axis=1)
    if is_broken_R.any():
        yield Problem(
            where=where,
            must="every logit must be a finite number",
            came=f"NaN or infinity in {int(is_broken_R.sum())} of {predictions.n_rows} rows, "
            f"for example in {predictions.ids[int(is_broken_R.argmax())]!r}",
            do="the training has diverged: fit again with a lower learning_rate or with model.precision=float32",
        )


def _mismatch(model: Predictions, baseline: Predictions, name: str) -> Iterator[Problem]:
    where = f"predictions of the baseline '{name}'"
    do = "remove the folder predictions/ of the run and give its `strop fit` command again"
    if baseline.ids.tolist() != model.ids.tolist():
        n_shared = len(set(model.ids.tolist()) & set(baseline.ids.tolist()))
        yield Problem(
            where=where,
            must="a baseline must have predicted the rows that the model predicted, in the same order",
            came=f"{baseline.n_rows} rows, {n_shared} of them among the model's {model.n_rows}",
            do=do,
        )
    if baseline.labels != model.labels:
        yield Problem(
            where=where,
            must=f"a baseline must know the model's labels, {list(model.labels)}",
            came=f"{list(baseline.labels)}",
            do=do,
        )
