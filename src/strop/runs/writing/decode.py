"""`strop decode`: compare decodings on held-out rows; the run gets the recipe's, or one that is clearly better."""

import re
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from functools import partial
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
from strop.reporting.answer_decodings import STATION, clearly_best, ranked_decodings
from strop.reporting.card import write_card
from strop.reporting.material import DECODINGS
from strop.reporting.report import write_report
from strop.reporting.sentences import counted, difference_text, metric_name, p_of
from strop.runs.judge import CHANGING, accepted_of, answering_of, judge_open_rows, must_be_finished
from strop.runs.run import Run
from strop.runs.train import fold_predictions
from strop.runs.writing.ask import Asker, concatenated, in_order_of, noted_in
from strop.runs.writing.prepare import PreparedAnswers, prepare_answers
from strop.runs.writing.train import ask_baselines, by_decoding, gather_predictions, parts_of
from strop.training.watch import Watcher, Watchers

# In run.json, the decodings that were ever compared: forgetting one would make the p-values of the others too small.
COMPARED = "decodings"


@dataclass(frozen=True)
class Decoded:
    """Decodings that were compared.

    Attributes:
        scores: Of the recipe's decoding as the model, of the others as baselines by name.
        own: Name of the recipe's decoding.
        chosen: Name of the decoding that is the run's from now on.
        why: Why it is, in words.
    """

    scores: Scores
    own: str
    chosen: str
    why: str


def decode_run(
    path: Path, *, also: Sequence[Decoding] = (), choose: str | None = None, watcher: Watcher | None = None
) -> Decoded:
    """Answer held-out rows by every decoding of the recipe, and let the run have the recipe's or a clearly better one.

    The recipe's decoding stays unless another is clearly better: its paired interval leaves out zero, and its corrected
    p-value agrees. What is chosen is written to the ledger and into the model's folder; sealed rows and baselines are
    answered by it too, so that differences compare like with like; scores, report and card are made anew, and the
    sealed rows stay sealed. Where the test part was opened before, nothing is changed: a choice by somebody who has
    seen the test is none, and the score on the test would no longer be the model's. What was answered is kept, so that
    the same command goes on after a crash.

    Args:
        path: A finished run of the task `answer`.
        also: Decodings to be compared beside those of the recipe; they are remembered.
        choose: Name of the compared decoding that is to be the run's, whatever its score.
        watcher: Receives news.

    Raises:
        RunError: The run is not finished, or of another task; no decoding has the name `choose`, or the test part was
            opened before.
        ModelError: A model folder is damaged.
    """
    run = Run(path)
    recipe, folder = run.recipe, run.folder
    if recipe.task != "answer":
        must, do = "only the task 'answer' has decodings", "give a run of that task"
        raise RunError(Problem(str(path), must, f"a run of the task '{recipe.task}'", do))
    must_be_finished(folder, is_changed=True)
    from strop.models.precision import make_accelerator

    watcher = watcher or Watchers()
    with folder.locked():
        decodings = _compared(recipe, folder, also)
        if choose is not None:
            _must_be_choosable(choose, decodings, folder)
        prepared = prepare_answers(recipe, folder, watcher)
        asking = _Asking(recipe, prepared, folder, make_accelerator(recipe.model.precision), watcher)
        asking.keep_those_of_the_run()
        answers = asking.held_out(list(decodings.values()))
        folder.update_about(**{COMPARED: [one.model_dump(mode="json") for one in decodings.values()]})
        own = answering_of(recipe).decoding.name
        scores = _scores(recipe, prepared, answers, own)
        scores.save(folder.path / DECODINGS)
        chosen, why = _choice(scores, own, choose, folder)
        _tell(folder, decodings[chosen], why, asking)
    return Decoded(scores, own, chosen, why)


def _compared(recipe: Recipe, folder: RunFolder, also: Sequence[Decoding]) -> dict[str, Decoding]:
    """The recipe's own decoding, those it compares, those compared before, and further ones, by name."""
    answering = answering_of(recipe)
    before = [Decoding.model_validate(one) for one in folder.read_about().get(COMPARED, [])]
    return {one.name: one for one in (answering.decoding, *answering.decodings, *before, *also)}


def _must_be_choosable(name: str, decodings: Mapping[str, Decoding], folder: RunFolder) -> None:
    """Check that a person may choose this decoding.

    Raises:
        RunError: There is none of that name, or the test part was opened while the run had another.
    """
    if name not in decodings:
        must, known = "the decoding must be one of those that are compared", ", ".join(f"'{one}'" for one in decodings)
        raise RunError(Problem("--choose", must, name, f"give one of {known}; --also compares another"))
    present, n_openings = _present(folder), len(folder.ledger.openings())
    if n_openings and name != present:
        problem = Problem(
            where=str(folder.path),
            must="a decoding is chosen before the test part is opened",
            came=f"'{name}', with a test part opened {counted(n_openings, 'time')} while the run had '{present}'",
            do=_a_new_run(name),
        )
        raise RunError(problem)


def _a_new_run(name: str) -> str:
    return f"fit a new run whose recipe has '{name}' as answer.decoding, with test rows that nobody has seen yet"


def _present(folder: RunFolder) -> str:
    """Name of the decoding that the run's answers are by."""
    return Answers.load(folder.predictions / "model.arrow").made_by["decoding"]


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


def _choice(scores: Scores, own: str, choose: str | None, folder: RunFolder) -> tuple[str, str]:
    """The name of the decoding that the run is to have, and why."""
    ranked, present = ranked_decodings(scores, own), _present(folder)
    best = clearly_best(ranked)
    head = f"{counted(len(ranked), 'decoding')} compared by {metric_name(scores.primary)} on held-out rows"
    if choose is not None:
        return choose, f"{head}: '{choose}' was chosen by hand, and the run's answers are by it"
    if best.lead is not None:
        lead = f"{difference_text(best.lead.difference)}, {p_of(best.lead)}"
        why = f"'{best.name}' is clearly better than the recipe's '{own}' ({lead})"
    else:
        why = f"no other is clearly better than the recipe's '{own}'"
    if best.name == present or not folder.ledger.openings():
        return best.name, f"{head}: {why}, so the run's answers are by '{best.name}'"
    kept = f"the test part was opened before, so the run keeps '{present}', and its score on the test stays true"
    return present, f"{head}: {why}, but {kept}; to use '{best.name}', {_a_new_run(best.name)}"


@dataclass
class _Asking:
    """Asks the models of a run by any decoding; what was answered lies in the run folder."""

    recipe: Recipe
    prepared: PreparedAnswers
    folder: RunFolder
    accelerator: Accelerator
    watcher: Watcher

    def __post_init__(self) -> None:
        # One at a time: the models of several folds may not fit into the memory together.
        self.loaded: tuple[str, TrainedModel] | None = None

    @property
    def systems(self) -> tuple[str, ...]:
        """Who answers: the model, and the baselines."""
        return ("model", *(f"baseline-{name}" for name in self.recipe.evaluation.baselines))

    def of_the_run(self) -> Iterator[tuple[str, Fold, str, Path]]:
        """Where the run's own answers lie, by system, fold and part."""
        for system in self.systems:
            for fold in self.prepared.split.folds():
                places = fold_predictions(self.folder, system, fold)
                for (part, ids), path in zip(parts_of(self.prepared, fold), places, strict=True):
                    if len(ids):
                        yield system, fold, part, path

    def keep_those_of_the_run(self) -> None:
        """Keep the run's answers beside those of other decodings, so that no decoding is asked for twice."""
        for system, fold, part, path in self.of_the_run():
            if path.exists():
                answers = Answers.load(path)
                kept = self.place(fold, answers.made_by["decoding"], part, system)
                if not kept.exists():
                    answers.save(kept)

    def held_out(self, decodings: Sequence[Decoding]) -> dict[str, Answers]:
        """Answers to the held-out rows by name of the decoding, each by the model that was not trained on the row."""
        ids = self.prepared.split.held_out_ids.tolist()
        folds = self.prepared.split.folds()
        by_fold = [{one.name: self.of_fold(fold, one, "validation") for one in decodings} for fold in folds]
        return {
            name: concatenated([answers[name] for answers in by_fold], ids, first.made_by)
            for name, first in by_fold[0].items()
        }

    def all_of(self, decoding: Decoding) -> None:
        """Let the models and the baselines answer everything by a decoding."""
        for fold in self.prepared.split.folds():
            for part, ids in parts_of(self.prepared, fold):
                if len(ids):
                    self.of_fold(fold, decoding, part)
        self.loaded = None
        recipe = by_decoding(self.recipe, decoding)

        def places(name: str, fold: Fold) -> tuple[Path, Path]:
            place = partial(self.place, fold, decoding.name, system=f"baseline-{name}")
            return place("validation"), place("test")

        ask_baselines(recipe, self.prepared, self.folder, self.accelerator, self.watcher, places)

    def of_fold(self, fold: Fold, decoding: Decoding, part: str) -> Answers:
        """Answers of a fold's model to the rows that it holds out, or to the sealed ones."""
        path = self.place(fold, decoding.name, part)
        if not path.exists():
            self.watcher.station_began(f"{part} by {decoding.name}")
            prepared = self.prepared
            rules = self.recipe.evaluation.answer_rules
            asker = Asker(answering_of(self.recipe), prepared.tokenizer, prepared.end_ids, self.recipe.seed, rules)
            answers = asker.ask(
                asker.local(self._model(fold).network, self.accelerator),
                Asked(in_order_of(prepared.asking, dict(parts_of(prepared, fold))[part].tolist())),
                part=part,
                made_by={"system": "model", "fold": fold.name},
                fold=fold.number,
                decoding=decoding,
                done=self.watcher.rows_done,
                note=noted_in(self.folder),
            )
            answers.save(path)
        return Answers.load(path)

    def _model(self, fold: Fold) -> TrainedModel:
        if self.loaded is None or self.loaded[0] != fold.name:
            self.loaded = None
            self.loaded = fold.name, load_trained(self.folder.model(fold.name), self.accelerator.device)
        return self.loaded[1]

    def place(self, fold: Fold, decoding: str, part: str, system: str = "model") -> Path:
        """Where the answers of a fold's model, or of a baseline, by a decoding lie."""
        name = re.sub(r"[^\w.=-]+", "-", decoding)
        before = "" if system == "model" else f"{system}."
        ending = "test.sealed.arrow" if part == "test" else "held-out.arrow"
        return self.folder.predictions / "decodings" / name / fold.name / f"{before}{ending}"


def _tell(folder: RunFolder, chosen: Decoding, why: str, asking: _Asking) -> None:
    """Let the run have the chosen decoding where it has another, and say so in ledger, report and card."""
    is_half_way = bool(folder.read_about().get(CHANGING))
    by = {path: Answers.load(path).made_by["decoding"] for *_, path in asking.of_the_run() if path.exists()}
    # After an opening the run keeps what it has, also where it was made by an older rule.
    is_other = set(by.values()) != {chosen.name} and not folder.ledger.openings()
    if is_other or is_half_way:
        # All that takes long comes first: then the answers change places at once.
        asking.all_of(chosen)
        folder.update_about(**{CHANGING: chosen.name})
    said = [entry for entry in folder.ledger.entries() if entry.station == STATION]
    entry = Entry("note", STATION, why, details={"decoding": chosen.model_dump(mode="json")})
    # What was said before may have been unsaid since.
    if not said or said[-1].key != entry.key:
        folder.ledger.write(entry, every_time=True)
    if is_other or is_half_way:
        _make_own(asking, chosen)
    write_report(folder)
    write_card(folder)
    if is_other or is_half_way:
        folder.update_about(**{CHANGING: None})


def _make_own(asking: _Asking, chosen: Decoding) -> None:
    """Put answers by the chosen decoding in the place of the run's, store it with run and model, and score."""
    recipe, prepared, folder = asking.recipe, asking.prepared, asking.folder
    for system, fold, part, path in asking.of_the_run():
        Answers.load(asking.place(fold, chosen.name, part, system)).save(path)
    for fold in prepared.split.folds():
        set_decoding(folder.model(fold.name), chosen)
    gather_predictions(recipe, prepared, folder, asking.accelerator)
    folder.update_about(decoding=chosen.model_dump(mode="json"))
    judge_open_rows(recipe, prepared.dataset, prepared.split, folder)
