"""Score saved predictions: open rows at the end of a fit, sealed rows when a person asks; no model is loaded."""

from pathlib import Path

from strop.ensembling.out_of_fold import average_folds
from strop.errors import Problem, RunError
from strop.evaluation.evaluate import score_predictions
from strop.evaluation.evaluate_answers import score_answers
from strop.evaluation.evaluate_values import score_values
from strop.inference.cleaning import clean_answers, cleaning_entries
from strop.recipe.answer import Answering, Cleaning
from strop.recipe.sections import Recipe
from strop.records.answers import Answers
from strop.records.dataset import Dataset
from strop.records.ledger import Entry
from strop.records.predictions import Predictions
from strop.records.run_folder import RunFolder
from strop.records.scores import Scores
from strop.records.split import Split

CHOSE_DECODING = "these rows also chose the decoding, which flatters the answers a little"
CHOSE_CHECKPOINT = (
    "these rows also chose the checkpoint, which flatters the model a little; the sealed test part does not"
)
# In run.json, while answers by another decoding are put in the place of the run's: the decoding's name.
CHANGING = "changing_decoding"
OPEN, SEALED = ".arrow", ".test.sealed.arrow"
FOLDS_AVERAGED = "the test rows are predicted by the average of the folds' models"


def judge_open_rows(recipe: Recipe, dataset: Dataset, split: Split, folder: RunFolder) -> Scores:
    """Score held-out rows that are not sealed, and write `scores/<part>.json`."""
    part = "out of fold" if split.held_out else "validation"
    model = load_outputs(recipe, folder.predictions / "model.arrow")
    rows = dataset.select(model.ids)
    # The recipe's own was there before these rows were looked at.
    chose_decoding = isinstance(model, Answers) and model.made_by.get("decoding") != answering_of(recipe).decoding.name
    caveats = (CHOSE_CHECKPOINT, CHOSE_DECODING) if chose_decoding else (CHOSE_CHECKPOINT,)
    scores = _score(recipe, folder, model, rows, part, suffix=OPEN, caveats=caveats)
    scores.save(scores_path(folder, part))
    return scores


def open_test(recipe: Recipe, folder: RunFolder) -> Scores:
    """Open the sealed test part: write the opening to the ledger, score, and write `scores/test.json`.

    Raises:
        RunError: The run is not finished, or has no test part.
    """
    split = Split.load(folder.split)
    if len(split.test) == 0:
        problem = Problem(
            where=str(folder.path),
            must="the run must have a sealed test part to open",
            came="no row of the part 'test'" if recipe.data.part or recipe.data.part_by else "split.test_fraction=0",
            do="judge by the validation or out-of-fold scores, or fit again with a test part",
        )
        raise RunError(problem)
    must_be_finished(folder)
    n_before = len(folder.ledger.openings())
    entry = Entry(
        "opened",
        "evaluation",
        f"the sealed test part was opened (opening number {n_before + 1})",
        n_rows=len(split.test),
    )
    # Written before anyone sees a score, so that no opening goes unrecorded.
    folder.ledger.write(entry, every_time=True)
    model = load_outputs(recipe, folder.predictions / "model.test.sealed.arrow")
    rows = Dataset.load(folder.sealed_data).select(model.ids)
    validation = Scores.load(scores_path(folder, "out of fold" if split.held_out else "validation"))
    scores = _score(
        recipe,
        folder,
        model,
        rows,
        "test",
        suffix=SEALED,
        caveats=_test_caveats(split, n_before),
        temperature=validation.temperature,
        calibrated=_calibrated(folder, split, validation.temperature),
    )
    scores.save(scores_path(folder, "test"))
    return scores


def load_outputs(recipe: Recipe, path: Path) -> Predictions | Answers:
    """What a run of this recipe saved as predictions.

    Raises:
        RunError: The file is missing or damaged.
    """
    return Answers.load(path) if recipe.task == "answer" else Predictions.load(path)


def _calibrated(folder: RunFolder, split: Split, temperature: float | None) -> Predictions | None:
    """Sealed rows by the average of the folds' models, each calibrated; None without folds or temperature."""
    if not split.held_out or temperature is None:
        return None
    by_fold = [Predictions.load(folder.predictions / "folds" / fold.name / f"model{SEALED}") for fold in split.folds()]
    return average_folds(by_fold, {"system": "model"}, temperature=temperature)


def must_be_finished(folder: RunFolder, *, is_changed: bool = False) -> None:
    """Check that the run came to its end.

    Args:
        folder: The run.
        is_changed: Whether its decoding is to be changed: then a change that was stopped half way is no hindrance.

    Raises:
        RunError: It did not, or a change of its decoding was stopped half way.
    """
    about = folder.read_about()
    state = about.get("state", "not begun")
    if state != "finished":
        problem = Problem(
            where=str(folder.path),
            must="the run must be finished",
            came=f"a run that is {state}",
            do="give its `strop fit` command again: it goes on where it was",
        )
        raise RunError(problem)
    if about.get(CHANGING) and not is_changed:
        problem = Problem(
            where=str(folder.path),
            must="all answers of a run must be by one decoding",
            came=f"a change to '{about[CHANGING]}' that was stopped half way",
            do="give its `strop decode` command again: it goes on where it was",
        )
        raise RunError(problem)


def scores_path(folder: RunFolder, part: str) -> Path:
    """Where the scores on a part lie."""
    return folder.scores / f"{part.replace(' ', '_')}.json"


def _test_caveats(split: Split, n_before: int) -> tuple[str, ...]:
    caveats = [FOLDS_AVERAGED] if split.held_out else []
    if n_before:
        caveats.append(
            f"the test part had been opened {n_before} time(s) before: choices made since may be fitted to it"
        )
    return tuple(caveats)


def _score(
    recipe: Recipe,
    folder: RunFolder,
    model: Predictions | Answers,
    rows: Dataset,
    part: str,
    *,
    suffix: str,
    caveats: tuple[str, ...],
    temperature: float | None = None,
    calibrated: Predictions | None = None,
) -> Scores:
    if isinstance(model, Answers):
        return _score_answers(recipe, folder, model, rows, part, suffix=suffix, caveats=caveats)
    baselines: dict[str, Predictions] = {
        name: Predictions.load(folder.predictions / f"baseline-{name}{suffix}") for name in recipe.evaluation.baselines
    }
    if recipe.task == "regress":
        snapped = folder.predictions / f"model-snapped{suffix}"
        return score_values(
            model,
            rows.target_matrix(),
            baselines=baselines,
            evaluation=recipe.evaluation,
            part=part,
            seed=recipe.seed,
            groups=rows.groups,
            caveats=caveats,
            treated={"snapped": Predictions.load(snapped)} if snapped.exists() else {},
        )
    if rows.target is None:
        raise ValueError("rows to be judged must have a target")
    return score_predictions(
        model,
        rows.target,
        baselines=baselines,
        evaluation=recipe.evaluation,
        part=part,
        seed=recipe.seed,
        groups=rows.groups,
        temperature=temperature,
        calibrated=calibrated,
        caveats=caveats,
    )


def _score_answers(
    recipe: Recipe,
    folder: RunFolder,
    model: Answers,
    rows: Dataset,
    part: str,
    *,
    suffix: str,
    caveats: tuple[str, ...],
) -> Scores:
    rules = Cleaning() if recipe.answer is None else recipe.answer.cleaning
    cleaned, effects = clean_answers(model, rules)
    # Examples of what was changed would show sealed rows.
    folder.ledger.write_all(list(cleaning_entries(effects, model.n_rows, "model", show_examples=suffix == OPEN)))
    baselines = {
        name: Answers.load(folder.predictions / f"baseline-{name}{suffix}") for name in recipe.evaluation.baselines
    }
    # White space at the ends counts nowhere: what only that changed is no treatment.
    is_changed = any(effect.ids for effect in effects[:-1]) or bool(rules.strip)
    return score_answers(
        cleaned,
        accepted_of(rows),
        baselines={name: clean_answers(one, rules)[0] for name, one in baselines.items()},
        evaluation=recipe.evaluation,
        part=part,
        seed=recipe.seed,
        groups=rows.groups,
        caveats=caveats,
        treated={"uncleaned": model} if is_changed else {},
        no_answer=None if recipe.answer is None else recipe.answer.prompt.no_answer,
    )


def answering_of(recipe: Recipe) -> Answering:
    """The recipe's section on answers.

    Raises:
        ValueError: It has none: its model does not write.
    """
    if recipe.answer is None:
        raise ValueError(f"a recipe of the task '{recipe.task}' has no section 'answer'")
    return recipe.answer


def accepted_of(rows: Dataset) -> list[tuple[str, ...]]:
    """The accepted answers of every row.

    Raises:
        ValueError: The rows have none.
    """
    if rows.answers is None:
        raise ValueError("rows to be judged must have accepted answers")
    return list(rows.answers)
