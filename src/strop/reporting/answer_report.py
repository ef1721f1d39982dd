"""What the report of a run that answers in words shows beside that of any run."""

from typing import Any

from markupsafe import Markup

from strop.inference.cleaning import clean_answers
from strop.recipe.answer import stored_decoding
from strop.reporting.answer_decodings import STATION, ranked_decodings
from strop.reporting.answer_figures import answers_figure
from strop.reporting.answer_kinds import divisions
from strop.reporting.answer_rows import failed_answers, failure_counts, worst_answers
from strop.reporting.history import StageHistory
from strop.reporting.material import Material

ANSWER_SECTIONS = (
    ("result", "Result"),
    ("scores", "Scores against the baselines"),
    ("kinds", "By kind of row"),
    ("failures", "Answers that failed"),
    ("answers", "Worst answers"),
    ("cleaning", "What cleaning changed"),
    ("decodings", "Decodings compared"),
    ("gains", "What each step gained"),
    ("data", "Data"),
    ("training", "Training"),
    ("ledger", "Ledger"),
    ("making", "What it was made with"),
)


def answer_context(material: Material) -> dict[str, Any]:
    """What the templates of a run that answers in words read; None where the run has not come so far."""
    answering = material.recipe.answer
    if answering is None:
        raise ValueError("the recipe must have the section answer")
    decodings = material.decodings
    return {
        "answering": answering,
        "divisions": None,
        "worst": None,
        "failed": {},
        "effects": None if material.written is None else clean_answers(material.written, answering.cleaning)[1],
        "run_decoding": run_decoding(material),
        "decoding_choice": next((entry for entry in reversed(material.ledger) if entry.station == STATION), None),
        "decodings": None if decodings is None else ranked_decodings(decodings, answering.decoding.name),
        "failure_counts": [(scores, failure_counts(scores)) for scores in material.scores],
        **_of_open_rows(material),
    }


def run_decoding(material: Material) -> str:
    """Name of the decoding that the run's answers are by: the one that `strop decode` stored, else the recipe's."""
    answering = material.recipe.answer
    if answering is None:
        raise ValueError("the recipe must have the section answer")
    return (stored_decoding(material.about) or answering.decoding).name


def _of_open_rows(material: Material) -> dict[str, Any]:
    """What is shown of single rows, none of them sealed."""
    written, answers, dataset, scores = material.written, material.answers, material.dataset, material.open_scores
    if written is None or answers is None or dataset is None or scores is None or written.n_rows == 0:
        return {}
    context = material.recipe.data.context
    rows = (scores, answers, written, dataset, context)
    return {
        "divisions": divisions(scores, dataset, context),
        "worst": worst_answers(*rows),
        "failed": failed_answers(*rows),
    }


def answer_curves(material: Material, history: StageHistory) -> Markup:
    """The figure of answers that stands below a stage's own; empty where the run does not answer in words."""
    if not material.answers_in_words:
        return Markup("")
    return answers_figure(history, f"answers-{history.fold}-{history.number}")
