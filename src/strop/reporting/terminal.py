"""Scores as tables for the terminal, readable at 80 columns."""

from rich import box
from rich.console import Group, RenderableType
from rich.table import Table
from rich.text import Text

from strop.metrics.answer_failures import FAILURES
from strop.records.scores import Score, Scores, SystemScores
from strop.reporting.answer_decodings import ranked_decodings
from strop.reporting.folds import folds_words
from strop.reporting.sentences import (
    count,
    differences_lines,
    metric_name,
    number,
    p_text,
    percent,
    signed,
    system_name,
    verdict,
)

__all__ = ["decodings_table", "differences_lines", "scores_table", "verdict"]

MOST_BASELINES_BESIDE = 3
WIDEST_LABEL, NARROWEST_LABEL = 26, 12
MODEL_STYLE = "bold"


def scores_table(scores: Scores) -> RenderableType:
    """Lay out all scores: metrics with intervals, model beside baselines; then every class or target.

    Where the rows were predicted by the models of folds, a line below the metrics says their mean and how far they lie
    apart. With more than three baselines only the first three stand in the tables, and a line says which are left out.

    Args:
        scores: The scores of one part.

    Returns:
        Something that `rich.console.Console.print` prints.
    """
    shown: list[RenderableType] = [_metrics_table(scores)]
    if scores.model.folds is not None:
        words = f"{metric_name(scores.primary)} by fold: {folds_words(scores.model.folds)}"
        shown.append(Text(f"{words}. The scores above are over all rows together."))
    if scores.model.classes:
        shown += [Text(), _classes_table(scores)]
    if scores.model.targets:
        shown += [Text(), _targets_table(scores)]
    left_out = [system_name(one.system) for one in scores.baselines[MOST_BASELINES_BESIDE:]]
    if left_out:
        shown.append(Text(f"Not shown for want of room: {', '.join(left_out)}.", style="dim"))
    return Group(*shown)


def decodings_table(scores: Scores, own: str) -> RenderableType:
    """Lay out compared decodings, best first: scores, shares that failed, and the lead over the recipe's own.

    Args:
        scores: Of the recipe's decoding as the model, of the others as baselines by name.
        own: Name of the recipe's decoding.

    Returns:
        Something that `rich.console.Console.print` prints.
    """
    measures = [name for name in scores.model.metrics if name != scores.primary and name not in FAILURES]
    title = f"Decodings on {scores.part}, {count(len(scores.ids))} rows, {scores.confidence:.0%} intervals"
    headings = (metric_name(scores.primary), *(metric_name(name) for name in measures), "failed", "lead")
    table = _table(title, "", *headings)
    for one in ranked_decodings(scores, own):
        metrics, style = one.scores.metrics, MODEL_STYLE if one.lead is None else ""
        name = Text(one.name, style=style)
        if one.lead is None:
            name.append(" (the recipe's)", style="dim not bold")
        lead = Text("")
        if one.lead is not None:
            lead = Text(f"{signed(one.lead.difference.value)}\n")
            lead.append(f"{'clear' if one.lead.is_clear else 'not clear'}\n{p_text(one.lead.p_value)}", style="dim")
        values = (number(metrics[measure].value) for measure in measures)
        primary = _cell(metrics[scores.primary], "model" if one.lead is None else one.name)
        table.add_row(name, primary, *values, percent(_failed(one.scores)), lead)
    note = (
        "Failed: not ended by the model, empty, or in a loop. "
        "P-values are corrected after Holm; the best of several is flattered."
    )
    return Group(table, Text(note, style="dim"))


def _failed(system: SystemScores) -> float:
    """Share of the answers that failed in one way at least."""
    ways = [[value == 1.0 for value in system.per_row[name]] for name in FAILURES]
    turned = [failure.higher_is_better for failure in FAILURES.values()]
    failed = [
        any(is_so != is_turned for is_so, is_turned in zip(row, turned, strict=True)) for row in zip(*ways, strict=True)
    ]
    return sum(failed) / max(1, len(failed))


def _table(title: str, first: str, *others: str) -> Table:
    """A table whose first column is text and whose others are numbers."""
    table = Table(
        title=Text(title, style="bold"), title_justify="left", box=box.SIMPLE_HEAD, padding=(0, 0, 0, 1), pad_edge=False
    )
    # Where room is short the words are folded: a number that loses its last digits would be another number.
    table.add_column(first, overflow="fold", min_width=NARROWEST_LABEL, max_width=WIDEST_LABEL)
    for name in others:
        table.add_column(name.replace(" ", "\n"), justify="right", vertical="top", no_wrap=True)
    return table


def _metrics_table(scores: Scores) -> Table:
    systems = [scores.model, *scores.baselines[:MOST_BASELINES_BESIDE]]
    rows = "row" if len(scores.ids) == 1 else "rows"
    title = f"Scores on {scores.part}, {count(len(scores.ids))} {rows}, {scores.confidence:.0%} intervals"
    table = _table(title, "", *(_short_name(one.system) for one in systems))
    for metric, score in scores.model.metrics.items():
        name = Text(metric_name(metric), style=MODEL_STYLE if metric == scores.primary else "")
        if not score.higher_is_better:
            name.append(" (lower is better)", style="dim")
        table.add_row(name, *(_cell(one.metrics.get(metric), one.system) for one in systems))
    return table


def _classes_table(scores: Scores) -> Table:
    beside = scores.baselines[:MOST_BASELINES_BESIDE]
    headings = ("rows", "precision", "recall", "F1", *(f"F1 {_short_name(one.system)}" for one in beside))
    table = _table("By class: the model, and F1 of the baselines", "", *headings)
    theirs = [{one.label: one.f1.value for one in system.classes} for system in beside]
    for one in scores.model.classes:
        own = (count(one.n_rows), number(one.precision.value), number(one.recall.value), _cell(one.f1, "model"))
        others = [number(by_label.get(one.label)) for by_label in theirs]
        table.add_row(Text(one.label), *own, *others)
    return table


def _targets_table(scores: Scores) -> Table:
    """The primary metric of every target, in the order of the recipe."""
    systems = [scores.model, *scores.baselines[:MOST_BASELINES_BESIDE]]
    title = f"By target: {metric_name(scores.primary)}"
    table = _table(title, "", "rows", *(_short_name(one.system) for one in systems))
    theirs = [{one.target: one.metrics.get(scores.primary) for one in system.targets} for system in systems]
    for one in scores.model.targets:
        values = (
            _cell(by_target.get(one.target), system.system) for system, by_target in zip(systems, theirs, strict=True)
        )
        table.add_row(Text(one.target), count(one.n_rows), *values)
    return table


def _short_name(system: str) -> str:
    return "Model" if system == "model" else system_name(system)


def _cell(score: Score | None, system: str) -> Text:
    """The value, and the interval below it: side by side they would need more than 80 columns."""
    text = Text(number(score.value if score else None), style=MODEL_STYLE if system == "model" else "")
    if score is not None and score.low is not None and score.high is not None:
        text.append(f"\n{number(score.low)}\N{EN DASH}{number(score.high)}", style="dim not bold")
    return text
