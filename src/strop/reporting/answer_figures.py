"""How answers got better while a model was trained, as SVG."""

from typing import Any

from markupsafe import Markup

from strop.metrics.answer_failures import FAILURES
from strop.metrics.answers import ANSWER_METRICS
from strop.reporting.answer_rows import FAILURE_WORDS
from strop.reporting.figures import FIGURE_STYLE, INK, MODEL, MUTED, SECOND, as_svg, new_figure
from strop.reporting.history import StageHistory
from strop.reporting.sentences import metric_name

STYLES = (
    {"color": MODEL, "marker": "o", "markersize": 3.5},
    {"color": SECOND, "marker": "s", "markersize": 3.5, "linestyle": (0, (4, 2))},
    {"color": INK, "marker": "^", "markersize": 3.5, "linestyle": (0, (1, 1.5))},
)
ANSWERS_HEIGHT = 2.6


def answers_figure(history: StageHistory, name: str) -> Markup:
    """Draw what every evaluation by generation found: scores of the answers, and shares that failed, over epochs.

    Args:
        history: The stage of one fold.
        name: A name unlike that of any other figure on the page.

    Returns:
        Empty where no evaluation measured answers.
    """
    if not any(set(check.metrics) & {*ANSWER_METRICS, *FAILURES} for check in history.checks):
        return Markup("")
    from matplotlib import rc_context

    with rc_context({**FIGURE_STYLE, "svg.hashsalt": name}):
        figure = new_figure(2, height=ANSWERS_HEIGHT)
        scores, failures = figure.add_subplot(1, 2, 1), figure.add_subplot(1, 2, 2)
        _draw(scores, history, {metric: (metric_name(metric), False) for metric in ANSWER_METRICS})
        scores.set(title="Scores of the answers", ylim=(0, 1.02))
        _draw(failures, history, {one: (FAILURE_WORDS[one], FAILURES[one].higher_is_better) for one in FAILURES})
        failures.set_title("Answers that failed")
        failures.set_ylim(bottom=0)
        for axes in (scores, failures):
            axes.grid(axis="y")
            axes.set_xlabel("epoch")
            axes.set_xlim(left=0)
            if history.chosen is not None:
                axes.axvline(history.chosen.epoch, color=MUTED, linewidth=0.9, linestyle=(0, (2, 2)), zorder=0)
        words = "Exact match, F1 and ROUGE-L, and the shares of answers that failed, over epochs."
        return as_svg(figure, name, words)


def _draw(axes: Any, history: StageHistory, lines: dict[str, tuple[str, bool]]) -> None:
    """One line a measure, under its words; turned round where the share of what did not fail was measured."""
    for style, (measure, (words, is_turned)) in zip(STYLES, lines.items(), strict=True):
        judged = [check for check in history.checks if measure in check.metrics]
        values = [1.0 - check.metrics[measure] if is_turned else check.metrics[measure] for check in judged]
        axes.plot([check.epoch for check in judged], values, label=words, **style)
    axes.legend(loc="best")
