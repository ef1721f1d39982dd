"""Which rows train, which choose, which are sealed."""

from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Self

from strop.records.dataset import Strings, strings
from strop.records.files import read_json, write_json

PARTS = ("train", "validation", "test")


@dataclass(frozen=True)
class Fold:
    """One division into rows to train on and rows held out to choose and to judge.

    Attributes:
        number: 0 for the first fold of several; None where the split has one division only.
        train: Ids to train on.
        validation: Ids held out.
    """

    number: int | None
    train: Strings
    validation: Strings

    @property
    def name(self) -> str:
        """The name of the fold's folder: its number, or "whole" where there are no folds."""
        return "whole" if self.number is None else str(self.number)


@dataclass(frozen=True)
class Split:
    """Row ids by part; the test part is sealed: its labels are read only when a person asks to open it.

    Attributes:
        train: Ids of the training part; with folds, all rows that are not sealed.
        validation: Ids that choose the checkpoint; empty with folds.
        test: Ids of the sealed test part, possibly none.
        held_out: With folds, the ids held out by each fold (they divide `train`); empty without.
        seed: What the division was drawn with.
    """

    train: Strings
    validation: Strings
    test: Strings
    held_out: tuple[Strings, ...] = ()
    seed: int = 0

    def __post_init__(self) -> None:
        everything = [*self.train, *self.validation, *self.test]
        if len(set(everything)) != len(everything):
            raise ValueError("parts must not share ids")
        held = [row_id for fold in self.held_out for row_id in fold]
        if self.held_out and (sorted(held) != sorted(self.train) or len(self.validation)):
            raise ValueError("folds must divide the training part, and leave no other validation part")

    def folds(self) -> Iterator[Fold]:
        """Every division that a model is trained on: k with folds, else one."""
        if not self.held_out:
            yield Fold(None, self.train, self.validation)
            return
        for number, held in enumerate(self.held_out):
            away = set(held)
            yield Fold(number, strings([row_id for row_id in self.train if row_id not in away]), held)

    @property
    def open_ids(self) -> Strings:
        """Ids of all rows that are not sealed."""
        return strings([*self.train, *self.validation])

    @property
    def held_out_ids(self) -> Strings:
        """Ids of all rows that a model is chosen or judged by: the validation part, or with folds every open row."""
        return self.train if self.held_out else self.validation

    def part_of(self) -> dict[str, str]:
        """The part of every id; with folds, rows that are not sealed count as train."""
        return {row_id: part for part in PARTS for row_id in getattr(self, part)}

    def save(self, folder: Path) -> None:
        """Write one JSON file a part; the sealed ids have a file of their own. `split.json` is written last."""
        write_json(folder / "test.sealed.json", self.test.tolist())
        content: dict[str, Any] = {
            "seed": self.seed,
            "train": self.train.tolist(),
            "validation": self.validation.tolist(),
            "held_out": [fold.tolist() for fold in self.held_out],
        }
        write_json(folder / "split.json", content)

    @classmethod
    def load(cls, folder: Path) -> Self:
        """Read what `save` wrote.

        Raises:
            RunError: A file is missing or damaged.
        """
        content = read_json(folder / "split.json")
        return cls(
            train=strings(content["train"]),
            validation=strings(content["validation"]),
            test=strings(read_json(folder / "test.sealed.json")),
            held_out=tuple(strings(fold) for fold in content["held_out"]),
            seed=content["seed"],
        )
