"""What `strop check` shows: the state of the data, the split, and the memory that training would need."""

from collections import Counter
from collections.abc import Mapping

from rich import box
from rich.console import Group, RenderableType
from rich.table import Table
from rich.text import Text

from strop.records.audit import Audit
from strop.records.split import Split
from strop.reporting.sentences import count

SHOWN_LENGTHS = ("128", "256", "512", "1024", "2048", "4096")


def audit_view(audit: Audit) -> RenderableType:
    """Labels of rows that are not sealed with their shares, lengths, duplicates, conflicts and suspects."""
    title = f"{count(audit.n_rows)} rows"
    if audit.labels:
        title += f"; labels of the {count(audit.n_labelled_rows)} rows that are not sealed"
    elif audit.targets:
        title += "; targets of the rows that are not sealed"
    tables = [_labels(audit)] if audit.labels else [_targets(audit)] if audit.targets else []
    facts = [
        f"always answering '{audit.labels[0].label}' is right on {audit.majority_accuracy:.1%} of these rows"
        if audit.majority_accuracy is not None
        else "",
        _lengths(audit),
        _duplicates(audit),
        f"{count(audit.n_conflicting_rows)} of these rows have a text that also stands with another label"
        if audit.labels
        else "",
        f"{count(audit.n_misread_rows)} rows look as if they were read in a wrong encoding",
    ]
    if audit.labels_once:
        facts.append(f"labels that appear once in these rows: {', '.join(audit.labels_once)}")
    if audit.groups is not None:
        facts.append(f"{count(audit.groups.n_groups)} groups, the largest of {count(audit.groups.n_rows_largest)} rows")
    # A title of the table itself would be folded to the width of the labels.
    return Group(Text(title, style="table.title"), *tables, *(Text(f"  {fact}") for fact in facts if fact))


def _labels(audit: Audit) -> Table:
    table = Table(box=box.SIMPLE_HEAD, pad_edge=False)
    table.add_column("label")
    table.add_column("rows", justify="right")
    table.add_column("share", justify="right")
    for label in audit.labels:
        table.add_row(Text(label.label), count(label.n_rows), f"{label.fraction:.1%}")
    return table


def _targets(audit: Audit) -> Table:
    table = Table(box=box.SIMPLE_HEAD, pad_edge=False)
    table.add_column("target", overflow="fold", min_width=12)
    for name in ("rows", "lowest", "mean", "highest", "values", "most frequent"):
        table.add_column(name, justify="right")
    for one in audit.targets:
        numbers = (f"{value:.3g}" for value in (one.low, one.mean, one.high))
        row = (count(one.n_rows), *numbers, count(one.n_values), f"{one.top_fraction:.1%}")
        table.add_row(Text(one.target), *row)
    return table


def _duplicates(audit: Audit) -> str:
    found = audit.duplicates
    return (
        f"{count(found.n_exact_rows)} rows repeat an earlier text letter by letter; "
        f"{count(found.n_cluster_rows)} rows are near duplicates of another "
        f"({count(found.n_straddling_rows)} of them across parts)"
    )


def _lengths(audit: Audit) -> str:
    shares = audit.fraction_fitting
    fitting = [f"{length} fit {shares[length]:.1%}" for length in SHOWN_LENGTHS if length in shares]
    longest = audit.tokens_quantiles.get("1")
    tail = f"; the longest has {count(int(longest))}" if longest is not None else ""
    return f"tokens: {', '.join(fitting)}{tail}"


def split_view(split: Split, label_of: Mapping[str, str]) -> RenderableType:
    """Rows of every part by label; of the sealed part the number of rows only.

    Args:
        split: The division.
        label_of: The label of every row that is not sealed, by id.
    """
    parts = {"train": split.train, "validation": split.validation}
    if split.held_out:
        parts = {f"fold {number}": held for number, held in enumerate(split.held_out)}
    table = Table(title="split", title_justify="left", box=box.SIMPLE_HEAD, pad_edge=False)
    labels = sorted(set(label_of.values()) - {""})
    for name in ("part", "rows", *labels):
        table.add_column(Text(name), justify="left" if name == "part" else "right", overflow="fold")
    for name, ids in parts.items():
        counts = Counter(label_of[row_id] for row_id in ids)
        table.add_row(name, count(len(ids)), *(count(counts[label]) for label in labels))
    table.add_row("test (sealed)", count(len(split.test)), *("" for _ in labels))
    return table


def memory_view(needs: Mapping[str, float], available_gib: float | None, advice: tuple[str, ...], model: str) -> Group:
    """What training would need, part by part, and what to do where that is too much.

    Args:
        needs: GiB by what needs them.
        available_gib: What is free.
        advice: Sentences.
        model: Name and size of the model.
    """
    shown = ", ".join(f"{name} {gib:.2f}" for name, gib in needs.items() if gib >= 0.005)
    total = sum(needs.values())
    free = f" of {available_gib:.1f} GiB that are free" if available_gib is not None else ""
    lines = [f"  model {model}", f"  memory about {total:.2f} GiB{free} ({shown})", *(f"  {line}" for line in advice)]
    return Group(*(Text(line) for line in lines))
