"""Figures as SVG that takes its colours from the page, so that they follow dark mode and print.

All words in a figure are Strop's own. Words of the data (labels, texts) stand in HTML beside the figures, where the
reader's fonts show any script.
"""

import re
from io import StringIO
from typing import TYPE_CHECKING, Any

from markupsafe import Markup, escape

from strop.reporting.history import StageHistory
from strop.reporting.reliability import Reliability
from strop.reporting.sentences import metric_name

if TYPE_CHECKING:
    from collections.abc import Callable

# Matplotlib wants a colour it knows; each of these is replaced by the style sheet's variable once the SVG is written.
INK, MUTED, RULE, MODEL, SECOND = "#010a01", "#020a02", "#030a03", "#040a04", "#050a05"
VARIABLES = {INK: "--ink", MUTED: "--muted", RULE: "--rule", MODEL: "--model", SECOND: "--second"}
INCHES_PER_PANEL, PANEL_HEIGHT = 2.9, 2.25
FIGURE_STYLE = {
    "svg.fonttype": "none",
    "font.family": "sans-serif",
    "font.size": 8.5,
    "axes.edgecolor": RULE,
    "axes.labelcolor": MUTED,
    "axes.titlecolor": INK,
    "axes.titlesize": 9,
    "axes.titlelocation": "left",
    "axes.titleweight": "bold",
    "axes.spines.top": False,
    "axes.spines.right": False,
    "axes.unicode_minus": True,
    "xtick.color": MUTED,
    "ytick.color": MUTED,
    "xtick.major.size": 3,
    "ytick.major.size": 3,
    "grid.color": RULE,
    "grid.linewidth": 0.6,
    "lines.linewidth": 1.5,
    "legend.frameon": False,
    "legend.fontsize": 8,
    "legend.labelcolor": INK,
    "text.color": INK,
}


def training_figure(history: StageHistory, primary: str, name: str) -> Markup:
    """Draw one stage: loss, primary metric, learning rate, each over epochs, with the chosen checkpoint marked.

    Args:
        history: The stage of one fold.
        primary: The primary metric's name.
        name: A name unlike that of any other figure on the page.
    """
    panels: list[Callable[[Any, StageHistory, str], None]] = [_draw_loss]
    if any(primary in check.metrics for check in history.checks):
        panels.append(_draw_primary)
    if any(step.learning_rate is not None for step in history.steps):
        panels.append(_draw_rate)
    from matplotlib import rc_context

    with rc_context({**FIGURE_STYLE, "svg.hashsalt": name}):
        figure = new_figure(len(panels))
        for at, draw in enumerate(panels, 1):
            axes = figure.add_subplot(1, len(panels), at)
            axes.grid(axis="y")
            axes.set_xlabel("epoch")
            draw(axes, history, primary)
            axes.set_xlim(left=0)
            if history.chosen is not None:
                axes.axvline(history.chosen.epoch, color=MUTED, linewidth=0.9, linestyle=(0, (2, 2)), zorder=0)
        return as_svg(figure, name, _training_words(history, primary))


def reliability_figure(before: Reliability, after: Reliability | None, name: str) -> Markup:
    """Draw accuracy over confidence, one point a bin, with a histogram of how many rows each bin holds.

    Args:
        before: Bins of the probabilities as the model gives them.
        after: Bins after the temperature, where one was fitted.
        name: A name unlike that of any other figure on the page.
    """
    from matplotlib import rc_context

    with rc_context({**FIGURE_STYLE, "svg.hashsalt": name}):
        figure = new_figure(2, height=2.9)
        axes = figure.add_subplot(1, 2, 1)
        axes.plot([0, 1], [0, 1], color=MUTED, linewidth=0.9, linestyle=(0, (2, 2)))
        axes.plot(before.confidence_B, before.accuracy_B, color=MODEL, marker="o", markersize=4, label="as predicted")
        if after is not None:
            style = {"color": SECOND, "marker": "s", "markersize": 4, "linestyle": (0, (4, 2))}
            axes.plot(after.confidence_B, after.accuracy_B, label="after temperature", **style)
        axes.set(xlim=(0, 1), ylim=(0, 1.02), xlabel="mean confidence", ylabel="accuracy", title="Reliability")
        axes.set_aspect("equal")
        figure.legend(loc="outside lower left", ncols=2)
        bars = figure.add_subplot(1, 2, 2)
        _draw_confidences(bars, before, after)
        words = "Accuracy over confidence; on the dashed diagonal the model is as often right as it says."
        return as_svg(figure, name, words)


def _draw_confidences(axes: Any, before: Reliability, after: Reliability | None) -> None:
    width = 1 / before.n_bins
    shift, share = (0.0, 0.86) if after is None else (0.21 * width, 0.42)
    axes.bar(before.middle_B - shift, before.n_rows_B, width=share * width, color=MODEL)
    if after is not None:
        axes.bar(after.middle_B + shift, after.n_rows_B, width=share * width, color=SECOND)
    axes.set(xlim=(0, 1), xlabel="confidence", ylabel="rows", title="Rows by confidence")
    axes.grid(axis="y")
    axes.set_axisbelow(True)
    _whole_numbers(axes.yaxis)


def _draw_loss(axes: Any, history: StageHistory, _primary: str) -> None:
    axes.set_title("Loss")
    if history.steps:
        axes.plot(
            [one.epoch for one in history.steps], [one.loss for one in history.steps], color=MODEL, label="training"
        )
    judged = [check for check in history.checks if "log_loss" in check.metrics]
    if judged:
        losses = [check.metrics["log_loss"] for check in judged]
        style = {"color": SECOND, "marker": "s", "markersize": 3.5, "linestyle": (0, (4, 2))}
        axes.plot([check.epoch for check in judged], losses, label="validation", **style)
    if history.steps or judged:
        axes.legend(loc="best")
    axes.set_ylim(bottom=0)


def _draw_primary(axes: Any, history: StageHistory, primary: str) -> None:
    judged = [check for check in history.checks if primary in check.metrics]
    epochs, values = [check.epoch for check in judged], [check.metrics[primary] for check in judged]
    axes.set_title(f"Validation {metric_name(primary)}")
    axes.plot(epochs, values, color=SECOND, marker="s", markersize=3.5, linestyle=(0, (4, 2)))
    if history.chosen is not None and primary in history.chosen.metrics:
        point = (history.chosen.epoch, history.chosen.metrics[primary])
        axes.plot(*point, marker="o", markersize=9, markerfacecolor="none", markeredgecolor=INK, linestyle="none")


def _draw_rate(axes: Any, history: StageHistory, _primary: str) -> None:
    steps = [step for step in history.steps if step.learning_rate is not None]
    axes.set_title("Learning rate")
    axes.plot([step.epoch for step in steps], [step.learning_rate for step in steps], color=MODEL)
    axes.yaxis.set_major_formatter(lambda value, _position: f"{value:.2g}")
    axes.set_ylim(bottom=0)


def _training_words(history: StageHistory, primary: str) -> str:
    words = f"Loss, validation {metric_name(primary)} and learning rate over epochs."
    return (
        words if history.chosen is None else f"{words} The chosen checkpoint stands at epoch {history.chosen.epoch:g}."
    )


def _whole_numbers(axis: Any) -> None:
    from matplotlib.ticker import MaxNLocator

    axis.set_major_locator(MaxNLocator(integer=True, nbins=5))


def new_figure(n_panels: int, height: float = PANEL_HEIGHT) -> Any:
    """An empty figure with room for so many panels side by side."""
    # Without pyplot: it would keep every figure alive and look for a display.
    from matplotlib.figure import Figure

    return Figure(figsize=(INCHES_PER_PANEL * n_panels, height), layout="constrained")


def as_svg(figure: Any, name: str, words: str) -> Markup:
    """Write a figure as SVG for the middle of a page: no prologue, ids of its own, colours by variable."""
    page = StringIO()
    figure.savefig(page, format="svg", transparent=True, metadata={"Date": None})
    svg = page.getvalue()
    svg = svg[svg.index("<svg") :]
    svg = re.sub(r"<metadata>.*?</metadata>", "", svg, flags=re.DOTALL)
    svg = re.sub(r' xmlns(:\w+)?="[^"]*"', "", svg)
    svg = re.sub(r'\bid="([^"]+)"', rf'id="{name}-\1"', svg)
    svg = re.sub(r'(href="|url\()#', rf"\1#{name}-", svg)
    for colour, variable in VARIABLES.items():
        svg = svg.replace(colour, f"var({variable})")
    svg = re.sub(r'<svg width="([\d.]+)pt" height="[\d.]+pt"', r'<svg class="plot" style="max-width:\1pt"', svg)
    opening = f'<svg role="img" aria-label="{escape(words)}"'
    return Markup(svg.replace("<svg", opening, 1).strip())  # noqa: S704 (the SVG holds no word of the data)
