"""Give columns their roles: which must be there, and what strings they hold."""

from collections.abc import Sequence

from strop.data.tables import Table, named
from strop.data.values import as_strings, is_null, kind_of
from strop.errors import Problem, did_you_mean
from strop.recipe.data import Data
from strop.records.dataset import Strings, strings
from strop.records.split import PARTS

_PART_WORDS = {
    **{name: name for name in PARTS},
    "training": "train",
    "valid": "validation",
    "val": "validation",
    "dev": "validation",
    "development": "validation",
    "testing": "test",
}


def needed_columns(data: Data) -> dict[str, str]:
    """The columns a recipe names for training, each with the recipe path that names it."""
    needed = {name: f"data.text.{number}" for number, name in enumerate(data.text)}
    for role in ("target", "answers", "messages", "id", "group", "part", "documents", "snippets"):
        name = getattr(data, role)
        if name is not None:
            needed.setdefault(name, f"data.{role}")
    for role in ("categorical", "numeric"):
        for number, name in enumerate(getattr(data, role) or []):
            needed.setdefault(name, f"data.{role}.{number}")
    if data.part_by is not None:
        needed.setdefault(data.part_by.column, "data.part_by.column")
    return needed


def plain_columns(data: Data) -> list[str]:
    """The columns a recipe names for training whose every value must be a text or a number."""
    lists = {data.documents, data.snippets, data.answers}
    return [
        name
        for name, path in needed_columns(data).items()
        if name != data.messages and (name not in lists or path.startswith("data.text."))
    ]


def missing_columns(table: Table, needed: dict[str, str]) -> list[Problem]:
    """One problem for every needed column that the table lacks."""
    return [
        Problem(
            where=f"{table.path}: {path}",
            must="the column must be in the file",
            came=f"no column '{name}'",
            do=did_you_mean(name, table.columns),
        )
        for name, path in needed.items()
        if name not in table.columns
    ]


def nested_values(table: Table, names: Sequence[str]) -> list[Problem]:
    """One problem for every column that holds lists, objects or bytes where plain values are needed."""
    problems = []
    for name in names:
        kinds = [kind_of(value) for value in table.columns[name]]
        rows = [row for row, kind in enumerate(kinds) if kind in ("list", "object", "bytes")]
        if rows:
            problems.append(
                Problem(
                    where=f"{table.path}: column '{name}'",
                    must="every value must be a text or a number",
                    came=f"{kinds[rows[0]]} in {table.places(rows)}",
                    do="write the text itself into the column",
                )
            )
    return problems


def mixed_labels(table: Table, target: str | None) -> list[Problem]:
    """A problem where labels are of several kinds: is 1 the same class as "1", and true the same as "true"?"""
    if target is None:
        return []
    rows_by_kind: dict[str, list[int]] = {}
    for row, value in enumerate(table.columns[target]):
        if not is_null(value) and value != "":
            rows_by_kind.setdefault(kind_of(value), []).append(row)
    if len(rows_by_kind) < 2:
        return []
    came = "; ".join(f"{kind} in {table.places(rows)}" for kind, rows in rows_by_kind.items())
    do = "write all labels as text"
    return [Problem(f"{table.path}: column '{target}'", "all labels must be of one kind", came, do)]


def column_of_strings(table: Table, name: str) -> Strings:
    """A column as strings, nothing as the empty string, shape (n_rows,)."""
    return strings([value or "" for value in as_strings(table.columns[name])])


def row_names(table: Table, name: str | None) -> Strings:
    """The ids in a column, or "row-1", "row-2", ... in the file's order; a row whose id is blank gets such a name.

    Where several files were read together the name of the file comes first, so that another file changes no name.
    """
    files = [""] * table.n_rows if table.files is None else [f"{file}-" for file in table.files]
    by_place = [f"{file}row-{table.number(row)}" for row, file in enumerate(files)]
    if name is None or name not in table.columns:
        return strings(by_place)
    ids = [value.strip() for value in column_of_strings(table, name)]
    return strings([row_id or place for row_id, place in zip(ids, by_place, strict=True)])


def parts_of(table: Table, name: str | None) -> tuple[Strings | None, list[Problem]]:
    """The part of every row from a column or from the names of the splits; unknown words are problems."""
    if name is None and table.parts is None:
        return None, []
    words = strings(table.parts) if name is None and table.parts is not None else column_of_strings(table, name or "")
    parts = [_PART_WORDS.get(word.strip().lower()) for word in words]
    unknown = [row for row, part in enumerate(parts) if part is None]
    if not unknown:
        return strings([part or "" for part in parts]), []
    problem = Problem(
        where=f"{table.path}: {f'column {name!r}' if name else 'names of the splits'}",
        must="every row's part must be train, validation (dev) or test",
        came=f"{named(sorted({words[row] for row in unknown}))} in {table.places(unknown)}",
        do="rename the parts, or leave data.part out and have the rows divided",
    )
    return None, [problem]
