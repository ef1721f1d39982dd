"""The report: one HTML file that holds its styles and figures and loads nothing."""

from pathlib import Path
from typing import Any

from jinja2 import Environment, PackageLoader, StrictUndefined
from markupsafe import Markup

from strop import __version__
from strop.records.files import write_text
from strop.records.run_folder import RunFolder
from strop.records.scores import SystemScores
from strop.reporting import sentences, strips, tables
from strop.reporting.answer_report import ANSWER_SECTIONS, answer_context, answer_curves
from strop.reporting.data_facts import audit_facts, coverage, misread_rows
from strop.reporting.facts import making_facts
from strop.reporting.figures import reliability_figure, training_figure
from strop.reporting.folds import folds_table, folds_words
from strop.reporting.judged import judged_baselines, judged_treatments, judgement_alone
from strop.reporting.material import Material, read_material
from strop.reporting.reliability import reliability
from strop.reporting.rows import MOST_CONFLICTS, ShownError, conflicts, shown_text, worst_errors
from strop.reporting.stage_gains import stage_gains
from strop.reporting.value_figures import value_figures
from strop.reporting.value_rows import largest_errors

SECTIONS = (
    ("result", "Result"),
    ("scores", "Scores against the baselines"),
    ("classes", "Class by class"),
    ("calibration", "Calibration"),
    ("errors", "Worst errors"),
    ("data", "Data"),
    ("training", "Training"),
    ("ledger", "Ledger"),
    ("making", "What it was made with"),
)
VALUE_SECTIONS = (
    ("result", "Result"),
    ("scores", "Scores against the baselines"),
    ("targets", "Target by target"),
    ("values", "Predicted against true"),
    ("gains", "What each step gained"),
    ("misses", "Largest errors"),
    ("data", "Data"),
    ("training", "Training"),
    ("ledger", "Ledger"),
    ("making", "What it was made with"),
)
MOST_LEDGER_ENTRIES = 500


def write_report(folder: RunFolder) -> Path:
    """Write `report.html` from what stands in the run folder; pieces that are not there yet are said to be missing.

    Args:
        folder: The run.

    Returns:
        The report's path.

    Raises:
        RunError: The folder holds no run, or a file in it is damaged.
        MachineError: The report cannot be written.
    """
    material = read_material(folder)
    page = _environment().get_template("report.html.j2").render(_context(material))
    write_text(folder.report, page)
    return folder.report


def caveats(material: Material) -> list[str]:
    """What a reader must know before believing the headline."""
    found = [] if material.headline is None else [sentences.sentence(words) for words in material.headline.caveats]
    state = material.about.get("state")
    if material.headline is None and state:
        found.append(f"The run is unfinished; its state is '{state}'.")
    if material.openings:
        times = ", ".join(sentences.moment(entry.at) for entry in material.openings)
        found.append(f"The test part was opened {sentences.counted(len(material.openings), 'time')}: {times}.")
    elif material.n_sealed:
        rows = sentences.counted(material.n_sealed, "row")
        found.append(f"The test part ({rows}) is sealed and was never opened: these scores do not come from it.")
    elif material.split is not None:
        found.append("There is no sealed test part, so nothing was kept back for a last, unbiased look.")
    return found


def _environment() -> Environment:
    # Not select_autoescape: it goes by the ending of the name, and ours is .j2.
    environment = Environment(
        loader=PackageLoader("strop.reporting"),
        autoescape=True,
        undefined=StrictUndefined,
        trim_blocks=True,
        lstrip_blocks=True,
    )
    environment.filters.update(
        number=sentences.number,
        count=sentences.count,
        counted=sentences.counted,
        percent=sentences.percent,
        moment=sentences.moment,
        metric_name=sentences.metric_name,
        system_name=sentences.system_name,
        part_name=sentences.part_name,
        rows_judged=sentences.rows_judged,
        capitalize_first=sentences.capitalized,
        verdict=sentences.verdict,
        judgement_alone=lambda judged, higher: judgement_alone(judged, higher_is_better=higher),
        judged_baselines=judged_baselines,
        judged_treatments=judged_treatments,
        p_of=sentences.p_of,
        treatment_name=sentences.treatment_name,
        best_baseline=sentences.best_baseline,
        primary_board=strips.primary_board,
        differences_board=strips.differences_board,
        classes_board=strips.classes_board,
        gains_board=strips.gains_board,
        targets_board=strips.targets_board,
        folds_words=folds_words,
        folds_table=folds_table,
        confusion_cells=tables.confusion_cells,
        tick=lambda value: f"{value:g}".replace("-", sentences.MINUS),
        f1_of=_f1_of,
        shown_text=shown_text,
    )
    return environment


def _f1_of(system: SystemScores, label: str) -> float | None:
    return next((one.f1.value for one in system.classes if one.label == label), None)


def _context(material: Material) -> dict[str, Any]:
    return {
        "version": __version__,
        "sections": _sections(material),
        "material": material,
        "headline": material.headline,
        "model_line": _model_line(material),
        "caveats": caveats(material),
        "most_labels_with_shares": tables.MOST_LABELS_WITH_SHARES,
        "errors": _errors(material),
        "conflicts": [] if material.dataset is None else conflicts(material.dataset),
        "most_conflicts": MOST_CONFLICTS,
        "facts": audit_facts(material),
        "coverage": coverage(material),
        "misread": misread_rows(material),
        "labels": tables.label_counts(material),
        "split": tables.split_table(material),
        "curves": _curves(material),
        "most_entries": MOST_LEDGER_ENTRIES,
        "making": making_facts(material),
        "times": tables.stations(material.about),
        "recipe_yaml": material.folder.recipe.read_text(encoding="utf-8-sig"),
        **_of_task(material),
    }


def _of_task(material: Material) -> dict[str, Any]:
    """What only runs of this task show."""
    if material.answers_in_words:
        primary = material.recipe.evaluation.primary_metric
        return {**answer_context(material), "stage_gains": stage_gains(material.histories, primary)}
    return _values(material) if material.predicts_values else _calibration(material)


def _sections(material: Material) -> tuple[tuple[str, str], ...]:
    """The report's sections; other runs have one where the report was asked to show them."""
    sections = {"classify": SECTIONS, "regress": VALUE_SECTIONS, "answer": ANSWER_SECTIONS}[material.recipe.task]
    before = next(at for at, (name, _) in enumerate(sections) if name == "data")
    against = (("against", "Against other runs"),) if material.against else ()
    return (*sections[:before], *against, *sections[before:])


def _values(material: Material) -> dict[str, Any]:
    """What only a run that predicts numbers shows."""
    predictions, dataset = material.predictions, material.dataset
    primary = material.recipe.evaluation.primary_metric
    found: dict[str, Any] = {"stage_gains": stage_gains(material.histories, primary)}
    if predictions is None or dataset is None or predictions.n_rows == 0:
        return {**found, "misses": None, "value_figures": [], "n_targets_between": 0}
    figures, n_between = value_figures(predictions, dataset, material.open_scores)
    return {
        **found,
        "misses": largest_errors(predictions, dataset),
        "value_figures": figures,
        "n_targets_between": n_between,
    }


def _errors(material: Material) -> list[ShownError] | None:
    """The worst errors; None where there are no predictions to look at."""
    predictions, dataset = material.predictions, material.dataset
    if predictions is None or dataset is None or dataset.target is None:
        return None
    return worst_errors(predictions, dataset, material.texts_read)


def _model_line(material: Material) -> str:
    recipe = material.recipe
    adapter = recipe.model.adapter
    how = "" if adapter is None else f", adapters of rank {adapter.rank}" + " on a 4-bit base" * adapter.base_in_4bit
    when = str(material.about.get("ended") or material.about.get("started") or "")[:10]
    return f"{Path(recipe.model.name).name}{how}, fine-tuned to {recipe.task}" + (f" · {when}" if when else "")


def _curves(material: Material) -> list[tuple[Any, Markup]]:
    primary = material.recipe.evaluation.primary_metric
    return [
        (one, training_figure(one, primary, f"training-{one.fold}-{one.number}") + answer_curves(material, one))
        for one in material.histories
    ]


def _calibration(material: Material) -> dict[str, Any]:
    """The reliability diagram over open rows, before and after the temperature."""
    predictions, dataset, scores = material.predictions, material.dataset, material.open_scores
    if predictions is None or dataset is None or dataset.target is None or predictions.n_rows == 0:
        return {"calibration_figure": None, "calibration_words": "", "n_calibration_rows": 0}
    n_bins = material.recipe.evaluation.calibration_bins
    temperature = None if scores is None else scores.temperature
    before = reliability(predictions, dataset, n_bins)
    after = None if temperature is None else reliability(predictions, dataset, n_bins, temperature)
    words = f"Expected calibration error (ECE) over {n_bins} bins of equal width: {sentences.number(before.error)}"
    if after is None or temperature is None:
        words += "."
    else:
        words += (
            f"; {sentences.number(after.error)} after division of the logits by the temperature "
            f"{sentences.number(temperature)}. The temperature was fitted on these rows, so the second curve "
            "flatters a little; the table below does not."
        )
    return {
        "calibration_figure": reliability_figure(before, after, "reliability"),
        "calibration_words": words,
        "n_calibration_rows": predictions.n_rows,
    }
