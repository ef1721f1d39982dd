"""Split the evidence of training rows into several training rows.

R rows, P pieces (one or more a row).
"""

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from strop.errors import Problem, RecipeError
from strop.recipe.evidence import Augmentation
from strop.records.dataset import Strings
from strop.records.examples import Examples


@dataclass(frozen=True)
class PieceExamples:
    """Token ids of every row's pieces.

    Attributes:
        examples: One row a piece.
        row_of_P: The position of its row among all rows, ascending, shape (P,).
    """

    examples: Examples
    row_of_P: NDArray[np.intp]


@dataclass(frozen=True)
class TrainingRows:
    """What a fold trains on.

    Attributes:
        examples: Token ids of training rows, and of them alone.
        row_of_R: For each of them the position of its row among all rows.
    """

    examples: Examples
    row_of_R: NDArray[np.intp]


def split_labels(asked: Augmentation, target_R: Strings) -> frozenset[str]:
    """The labels whose rows are split.

    Args:
        asked: The recipe's section.
        target_R: Labels of the training rows.

    Raises:
        RecipeError: A label that is named has no training row.
    """
    names, counts = np.unique(target_R.astype(str), return_counts=True)
    if asked.labels == "all":
        return frozenset(names.tolist())
    if asked.labels == "rare":
        return frozenset(names[counts == counts.min()][:1].tolist())
    unknown = [label for label in asked.labels if label not in names]
    if unknown:
        problem = Problem(
            where="evidence.augmentation.labels",
            must="every label must have training rows",
            came=", ".join(repr(label) for label in unknown),
            do=f"name some of {', '.join(names.tolist())}, or write rare or all",
        )
        raise RecipeError(problem)
    return frozenset(asked.labels)


def with_pieces(
    whole: Examples,
    pieces: PieceExamples,
    rows: NDArray[np.intp],
    is_split: Sequence[bool] | NDArray[np.bool_],
    asked: Augmentation,
) -> TrainingRows:
    """Training rows as they are, and the pieces of those that are split; each counts as a row of its own.

    Args:
        whole: Token ids of all rows with all their evidence.
        pieces: Token ids of all rows' pieces.
        rows: Positions of the training rows.
        is_split: For every training row whether it is split.
        asked: The recipe's section.
    """
    n_pieces_R = np.bincount(pieces.row_of_P, minlength=whole.n_rows)
    # A row of one piece is that piece.
    divided = rows[np.asarray(is_split) & (n_pieces_R[rows] > 1)]
    kept = rows if asked.keep_whole else rows[~np.isin(rows, divided)]
    chosen = np.flatnonzero(np.isin(pieces.row_of_P, divided))
    examples = whole.take(kept).followed_by(pieces.examples.take(chosen))
    return TrainingRows(examples, np.concatenate([kept, pieces.row_of_P[chosen]]))
