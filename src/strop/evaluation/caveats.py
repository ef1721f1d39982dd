"""What a reader must know of the rows on which scores stand.

Dimensions: L labels, R rows, T targets.
"""

from collections.abc import Sequence

import numpy as np
from numpy.typing import NDArray

Floats = NDArray[np.float64]

FEW_GROUPS = 10
FEW_ROWS = 30
MOST_NAMED = 8
# A target that more of the resamples cannot measure is named.
RARE = 0.05


def caveats_of_rows(
    target_R: NDArray[np.int64], labels: Sequence[str], group_R: NDArray[np.int64] | None
) -> tuple[str, ...]:
    """Sentences on classes that cannot be measured here, and on intervals that stand on few groups.

    Args:
        target_R: True label numbers.
        labels: Names of the labels.
        group_R: Group number of every row, or None.
    """
    caveats = []
    n_rows_L = np.bincount(target_R, minlength=len(labels))
    absent = [label for label, n_rows in zip(labels, n_rows_L, strict=True) if n_rows == 0]
    if len(labels) - len(absent) == 1:
        lone = labels[int(n_rows_L.argmax())]
        caveats.append(f"all rows here have the label '{lone}': auroc cannot be measured and stands at 0.5")
    elif absent:
        shown = ", ".join(f"'{label}'" for label in absent)
        caveats.append(
            f"no row here has the label {shown}: its recall and F1 are 0 by convention, and auroc leaves it out"
        )
    return (*caveats, *caveats_of_groups(group_R))


def caveats_of_few_rows(n_rows: int) -> tuple[str, ...]:
    """A sentence where intervals stand on so few rows that they are too narrow, or have no width at all.

    A resample of rows that were all predicted rightly has no error either.
    """
    if n_rows >= FEW_ROWS:
        return ()
    few = f"{n_rows} row(s) are judged: bootstrap intervals over so few are too narrow"
    return (f"{few}, and one without width says nothing",)


def caveats_of_targets(
    target_RT: Floats, values_RT: Floats, targets: Sequence[str], group_R: NDArray[np.int64] | None
) -> tuple[str, ...]:
    """Sentences on targets that cannot be measured here, and on intervals that stand on few groups.

    Args:
        target_RT: True values, NaN where missing.
        values_RT: What the model predicted.
        targets: Names of the targets.
        group_R: Group number of every row, or None.
    """
    is_known_RT = ~np.isnan(target_RT)
    has_rows_T, varies_T = np.asarray(is_known_RT.any(axis=0)), _varies(target_RT, is_known_RT)
    is_flat_T = varies_T & ~_varies(values_RT, is_known_RT)
    caveats = []
    if not has_rows_T.all():
        caveats.append(
            f"no row here has a value of {_named(targets, np.logical_not(has_rows_T))}: left out of all scores"
        )
    if (constant_T := has_rows_T & ~varies_T).any():
        caveats.append(
            f"in these rows one value only stands in {_named(targets, constant_T)}: no correlation can be measured, "
            "and the means of spearman and pearson leave it out"
        )
    if not varies_T.any():
        caveats.append("no target varies in these rows: spearman and pearson cannot be measured and stand at 0")
    if is_flat_T.any():
        caveats.append(
            f"the model predicts one value only for {_named(targets, is_flat_T)}: its correlation counts as 0"
        )
    return (*caveats, *caveats_of_groups(group_R))


def caveats_of_rare_targets(by_target_BT: NDArray[np.float64], targets: Sequence[str]) -> tuple[str, ...]:
    """A sentence where so few rows make a target vary that many resamples cannot measure it.

    Args:
        by_target_BT: A metric by resample and target, NaN where it is not defined.
        targets: Their names.
    """
    is_missing_BT = np.isnan(by_target_BT)
    # One that is missing everywhere is constant in these rows, which is said apart.
    is_rare_T = (is_missing_BT.mean(axis=0) > RARE) & ~is_missing_BT.all(axis=0)
    if not is_rare_T.any():
        return ()
    share = is_missing_BT[:, is_rare_T].any(axis=1).mean()
    vary, them = ("vary", "them all") if is_rare_T.sum() > 1 else ("varies", "it")
    what = f"{share:.0%} of the resamples cannot measure {them}, and are left out of the intervals of means"
    return (f"{_named(targets, is_rare_T)} hardly {vary} in these rows: {what}",)


def caveats_of_resamples(n_resamples: int, n_tests: int, confidence: float) -> tuple[str, ...]:
    """A sentence where resamples are so few that no difference could be called clear.

    Args:
        n_resamples: How many there are.
        n_tests: How many differences are judged together, by p-values of the bootstrap.
        confidence: Level of the intervals.
    """
    if 2 * n_tests / (n_resamples + 1) <= 1.0 - confidence:
        return ()
    few = f"{n_resamples} resamples are too few to call a difference to one of {n_tests} baselines clear"
    return (f"{few}: raise evaluation.n_bootstrap",)


def _varies(values_RT: Floats, is_known_RT: NDArray[np.bool_]) -> NDArray[np.bool_]:
    low_T = np.min(values_RT, axis=0, initial=np.inf, where=is_known_RT)
    high_T = np.max(values_RT, axis=0, initial=-np.inf, where=is_known_RT)
    return np.asarray(low_T < high_T)


def _named(targets: Sequence[str], is_meant_T: NDArray[np.bool_]) -> str:
    names = [f"'{target}'" for target, is_meant in zip(targets, is_meant_T, strict=True) if is_meant]
    more = f" and {len(names) - MOST_NAMED} more" if len(names) > MOST_NAMED else ""
    return f"the target{'s' if len(names) > 1 else ''} {', '.join(names[:MOST_NAMED])}{more}"


def caveats_of_groups(group_R: NDArray[np.int64] | None) -> tuple[str, ...]:
    """A sentence where intervals stand on few groups.

    Args:
        group_R: Group number of every row, or None.
    """
    n_groups = None if group_R is None else len(np.unique(group_R))
    if n_groups is None or n_groups >= FEW_GROUPS:
        return ()
    return (f"the rows come from {n_groups} group(s) only: intervals over so few groups are rough",)
