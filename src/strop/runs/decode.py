"""`strop decode`: compare decodings on held-out rows, and make the best one the run's own."""

import re
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path

from accelerate import Accelerator

from strop.errors import Problem, RunError
from strop.evaluation.evaluate_answers import score_answers
from strop.inference.cleaning import clean_answers
from strop.inference.engines import Asked
from strop.models.trained import TrainedModel, load_trained, set_decoding
from strop.recipe.answer import Decoding
from strop.recipe.sections import Recipe
from strop.records.answers import Answers
from strop.records.ledger import Entry
from strop.records.run_folder import RunFolder
from strop.records.scores import Scores
from strop.records.split import Fold
from strop.reporting.answer_decodings import ranked_decodings
from strop.reporting.card import write_card
from strop.reporting.material import DECODINGS
from strop.reporting.report import write_report
from strop.runs.ask import Asker, concatenated, in_order_of
from strop.runs.judge import accepted_of, answering_of, judge_open_rows, must_be_finished
from strop.runs.prepare_answers import PreparedAnswers, prepare_answers
from strop.runs.run import Run
from strop.runs.train import fold_predictions
from strop.runs.train_answers import gather_predictions, parts_of
from strop.training.watch import Watcher, Watchers


@dataclass(frozen=True)
class Decoded:
    """Decodings that were compared.

    Attributes:
        scores: Of the recipe's decoding as the model, of the others as baselines by name.
        own: Name of the recipe's decoding.
        chosen: Name of the best one, which is the run's from now on.
    """

    scores: Scores
    own: str
    chosen: str


def decode_run(path: Path, *, also: Sequence[Decoding] = (), watcher: Watcher | None = None) -> Decoded:
    """Answer held-out rows by every decoding of the recipe, choose the best, and answer sealed rows by it.

    What was answered is kept, so that the same command goes on after a crash. The choice is written to the ledger and
    into the model's folder, scores and report are made anew, and the sealed rows stay sealed.

    Args:
        path: A finished run of the task `answer`.
        also: Decodings to be compared beside those of the recipe.
        watcher: Receives news.

    Raises:
        RunError: The run is not finished, or of another task.
        ModelError: A model folder is damaged.
    """
    run = Run(path)
    recipe, folder = run.recipe, run.folder
    if recipe.task != "answer":
        must, do = "only the task 'answer' has decodings", "give a run of that task"
        raise RunError(Problem(str(path), must, f"a run of the task '{recipe.task}'", do))
    must_be_finished(folder)
    from strop.models.precision import make_accelerator

    watcher = watcher or Watchers()
    with folder.locked():
        prepared = prepare_answers(recipe, folder, watcher)
        accelerator = make_accelerator(recipe.model.precision)
        asking = _Asking(recipe, prepared, folder, accelerator, watcher)
        own = answering_of(recipe).decoding
        decodings = {one.name: one for one in (own, *answering_of(recipe).decodings, *also)}
        answers = {name: asking.held_out(one) for name, one in decodings.items()}
        scores = _scores(recipe, prepared, answers, own.name)
        scores.save(folder.path / DECODINGS)
        chosen = decodings[ranked_decodings(scores, own.name)[0].name]
        _make_own(asking, chosen, len(decodings))
    return Decoded(scores, own.name, chosen.name)


def _scores(recipe: Recipe, prepared: PreparedAnswers, answers: Mapping[str, Answers], own: str) -> Scores:
    answering = answering_of(recipe)
    cleaned = {name: clean_answers(one, answering.cleaning)[0] for name, one in answers.items()}
    rows = prepared.dataset.select(prepared.split.held_out_ids)
    return score_answers(
        cleaned[own],
        accepted_of(rows),
        baselines={name: one for name, one in cleaned.items() if name != own},
        evaluation=recipe.evaluation,
        part="out of fold" if prepared.split.held_out else "validation",
        seed=recipe.seed,
        groups=rows.groups,
        caveats=("the best of several decodings on these rows is flattered by the choice",),
        no_answer=answering.prompt.no_answer,
    )


@dataclass
class _Asking:
    """Asks the models of a run by any decoding; what was answered lies in the run folder."""

    recipe: Recipe
    prepared: PreparedAnswers
    folder: RunFolder
    accelerator: Accelerator
    watcher: Watcher

    def __post_init__(self) -> None:
        self.models: dict[str, TrainedModel] = {}

    def held_out(self, decoding: Decoding) -> Answers:
        """Answers to the held-out rows, each by the model that was not trained on it."""
        by_fold = [self.of_fold(fold, decoding, "validation") for fold in self.prepared.split.folds()]
        return concatenated(by_fold, self.prepared.split.held_out_ids.tolist(), by_fold[0].made_by)

    def of_fold(self, fold: Fold, decoding: Decoding, part: str) -> Answers:
        """Answers of a fold's model to the rows that it holds out, or to the sealed ones."""
        path = self.place(fold, decoding, part)
        if not path.exists():
            self.watcher.station_began(f"{part} by {decoding.name}")
            if fold.name not in self.models:
                self.models[fold.name] = load_trained(self.folder.model(fold.name), self.accelerator.device)
            prepared = self.prepared
            asker = Asker(answering_of(self.recipe), prepared.tokenizer, prepared.end_ids, self.recipe.seed)
            answers = asker.ask(
                asker.local(self.models[fold.name].network, self.accelerator),
                Asked(in_order_of(prepared.asking, dict(parts_of(prepared, fold))[part].tolist())),
                part=part,
                made_by={"system": "model", "fold": fold.name},
                fold=fold.number,
                decoding=decoding,
                done=self.watcher.rows_done,
            )
            answers.save(path)
        return Answers.load(path)

    def place(self, fold: Fold, decoding: Decoding, part: str) -> Path:
        """Where the answers of a fold's model by a decoding lie."""
        name = re.sub(r"[^\w.=-]+", "-", decoding.name)
        place = self.folder.predictions / "decodings" / name / fold.name
        return place / ("test.sealed.arrow" if part == "test" else "held-out.arrow")


def _make_own(asking: _Asking, chosen: Decoding, n_compared: int) -> None:
    """Put answers by the chosen decoding in the place of the run's, and say so in ledger, model, scores and report."""
    recipe, prepared, folder = asking.recipe, asking.prepared, asking.folder
    what = (
        f"the decoding '{chosen.name}' was chosen among {n_compared} by {recipe.evaluation.primary_metric} on held-out "
        "rows; the run's answers are by it from now on"
    )
    folder.ledger.write(Entry("note", "decoding", what, details={"decoding": chosen.model_dump(mode="json")}))
    for fold in prepared.split.folds():
        held_path, sealed_path = fold_predictions(folder, "model", fold)
        asking.of_fold(fold, chosen, "validation").save(held_path)
        if len(prepared.split.test):
            asking.of_fold(fold, chosen, "test").save(sealed_path)
        set_decoding(folder.model(fold.name), chosen)
    gather_predictions(recipe, prepared, folder, asking.accelerator)
    judge_open_rows(recipe, prepared.dataset, prepared.split, folder)
    write_report(folder)
    write_card(folder)
