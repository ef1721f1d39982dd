"""The section `data`: which file is read, and the role of its columns."""

from fnmatch import fnmatchcase
from typing import Annotated, Any, Literal, Self

from pydantic import Discriminator, Field, Tag, model_validator

from strop.recipe.section import ColumnNames, Count, Section

Range = tuple[float, float]


def matches(name: str, pattern: str) -> bool:
    """Whether a pattern takes a column: * stands for any characters, ? for one.

    Square brackets stand for themselves: column names hold them, as in "score [0-10]".
    """
    return fnmatchcase(name, pattern.replace("[", "[[]"))


class PartBy(Section):
    """Which part a row belongs to, by patterns on one column."""

    column: str
    """The column, for example `file`, which says the file of a row where several are read together."""
    train: ColumnNames
    """Values of rows to train on; in a pattern * stands for any characters, ? for one, and [78] for one of these."""
    validation: ColumnNames | None = None
    """Values of rows that choose the checkpoint; without any, a share of the training rows does."""
    test: ColumnNames | None = None
    """Values of rows that are sealed."""


class Data(Section):
    """Which file is read, and the role of its columns."""

    path: str
    """A CSV, TSV, JSON (also of BioASQ, PubMedQA or SQuAD), JSONL or Parquet file, a folder saved by `datasets`, or
    several files of one format, as a folder or as a pattern such as "bioasq/*_golden.json", where the column `file`
    says which; relative to the working directory."""
    text: ColumnNames
    """Columns that hold text, in the order in which the model reads them."""
    target: str | None = None
    """The column that holds the label; for the task `classify`."""
    answers: str | None = None
    """The column of the accepted answers, for the task `answer`: one text, or a list of texts, of which the first is
    trained on."""
    context: str | None = None
    """The text column that a question is asked about: rows with the same context are read behind one copy of it, and
    this column alone may be cut or read in windows."""
    messages: str | None = None
    """The column of chat messages, each with `role` and `content`: the last one is the answer, those before it are the
    prompt. Stands in place of `text` and `answers`."""
    targets: ColumnNames | None = None
    """The columns that hold the numbers to be predicted; for the task `regress`. A pattern such as "answer_*" takes
    every column of numbers that it matches and that has no other role."""
    target_range: (
        Annotated[
            Annotated[Range, Tag("tuple[]")] | Annotated[dict[str, Range], Field(min_length=1), Tag("dict[]")],
            # An error is then one of the kind that was given.
            Discriminator(lambda given: "dict[]" if isinstance(given, dict) else "tuple[]"),
        ]
        | None
    ) = None
    """Lowest and highest value that a target can have: one range for all, or ranges by name or pattern, of which a
    name goes before patterns; a target without one has the range of its training rows."""
    target_scale: Literal["range", "rank"] = "range"
    """What a network is trained to give: a value's place in its target's range, or its mean rank among training rows,
    which serves Spearman's correlation where values are few or skewed. Predictions are values either way."""
    categorical: ColumnNames | None = None
    """Metadata columns of categories, joined to the pooled states before the head."""
    numeric: ColumnNames | None = None
    """Metadata columns of numbers, joined to the pooled states before the head."""
    text_lengths: bool = False
    """Take the length of every text column, before anything is cut, as one more number of metadata: the logarithm of
    its characters."""
    max_categories: Count = 32
    """Of every categorical column so many of the most frequent values stand for themselves, the rest are `other`."""
    documents: str | None = None
    """The column of the documents that belong to a row: a list of addresses or PubMed ids, or one string with white
    space or `|` between them."""
    snippets: str | None = None
    """The column of passages that come with a row: a list of texts, or of objects with `text` and, if known,
    `document` and offsets."""
    id: str | None = None
    """The column that names a row; without one, rows are named by their position in the file."""
    group: str | None = None
    """Rows with the same value in this column stay in one part."""
    part: str | None = None
    """A column that gives every row its part: train, validation (dev) or test."""
    part_by: PartBy | None = None
    """Patterns on a column that give every row its part."""
    where: Annotated[dict[str, ColumnNames], Field(min_length=1)] | None = None
    """Keep only rows whose value in each of these columns matches one of its patterns, for example
    {type: yesno, file: ["7B*", "8B*"]}. New rows are never left out."""
    header: list[str] | None = None
    """Column names of a file that has no header line."""
    encoding: str | None = None
    """The text encoding of the file; without one it is detected."""
    blank_text: Literal["drop", "keep", "refuse"] = "drop"
    """What is done with training rows that have no text. At prediction such a row is always answered."""
    missing_label: Literal["drop", "refuse"] = "drop"
    """What is done with rows that have no label, no answer, or no target at all; a target that is missing beside others
    is left out of the loss and of the scores."""
    duplicate_id: Literal["rename", "refuse"] = "refuse"
    """What is done with rows whose id came before."""
    conflicting_labels: Literal["keep", "drop", "refuse"] = "keep"
    """What is done with rows of the same text and different labels or answers."""
    max_rows: Count | None = None
    """Read only this many rows, drawn by class with the recipe's seed."""

    def range_of(self, target: str) -> Range | None:
        """The declared range of a target, None where there is none."""
        if not isinstance(self.target_range, dict):
            return self.target_range
        return next((self.target_range[entry] for entry in self.range_entries_of(target)), None)

    def range_entries_of(self, target: str) -> list[str]:
        """Entries of `target_range` that declare the range of a target: its name, else all patterns that fit it."""
        entries = list(self.target_range) if isinstance(self.target_range, dict) else []
        return [target] if target in entries else [entry for entry in entries if matches(target, entry)]

    @property
    def metadata_columns(self) -> list[str]:
        """What is joined to the pooled states before the head, by name."""
        return [*(self.categorical or []), *(self.numeric or []), *self.length_columns.values()]

    @property
    def length_columns(self) -> dict[str, str]:
        """The metadata column that the length of a text becomes, by its text column."""
        return {name: f"length of {name}" for name in self.text} if self.text_lengths else {}

    @model_validator(mode="before")
    @classmethod
    def _messages_are_the_text(cls, content: Any) -> Any:
        """Of messages all but the last are what the model reads."""
        if isinstance(content, dict) and isinstance(content.get("messages"), str) and "text" not in content:
            return {**content, "text": [content["messages"]]}
        return content

    @model_validator(mode="after")
    def _parts_come_from_one_place(self) -> Self:
        if self.part is not None and self.part_by is not None:
            raise ValueError("part and part_by exclude each other: the parts come from one of them")
        return self
