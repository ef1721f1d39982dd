"""Who votes on answers in words: runs, single folds, checkpoints and decodings; and what they answered."""

import json
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from pathlib import Path

from strop.data.values import normalized
from strop.ensembling.answer_vote import aligned, voted
from strop.errors import Problem, RunError
from strop.evaluation.compare import disagreements
from strop.inference.cleaning import clean_answers
from strop.recipe.answer import Decoding
from strop.recipe.sections import Recipe
from strop.records.answers import Answers
from strop.records.dataset import Dataset
from strop.records.split import Split
from strop.runs.judge import SEALED, answering_of, must_be_finished
from strop.runs.run import Run
from strop.runs.several.named_voters import Voter
from strop.runs.several.voters import checkpoint_files, on_shared_rows
from strop.runs.writing.ask import concatenated

OF_DECODING, SEALED_OF_DECODING = "held-out.arrow", "test.sealed.arrow"


@dataclass(frozen=True)
class AnswerVoter:
    """One voter.

    Attributes:
        name: What it is called among the voters.
        run: Its run.
        files: What it answered of the rows that it held out: one file, or one of every fold.
        sealed_files: What its folds answered of sealed rows, one file each; some may not be there.
        fold: The fold whose model votes alone; "" where all of the run's folds vote as one, or there are none.
        decoding: How its answers were chosen; None for the decoding that is the run's own.
        is_checkpoint: Whether it is a checkpoint that the run need not have chosen.
    """

    name: str
    run: Run
    files: tuple[Path, ...]
    sealed_files: tuple[Path, ...] = ()
    fold: str = ""
    decoding: Decoding | None = None
    is_checkpoint: bool = False

    @property
    def rules(self) -> str:
        """Name of the rules by which answers are equal."""
        return self.run.recipe.evaluation.answer_rules

    def folds(self) -> list[str]:
        """Names of the folds whose models answer for it."""
        return [self.fold] if self.fold else _folds(self.run)

    def by_folds(self) -> "dict[str, AnswerVoter]":
        """Its folds as voters of their own on sealed and on new rows, by name; itself where it has none."""
        folds = self.folds()
        if len(folds) == 1:
            return {self.name: self}
        voters = [
            replace(
                self, name=f"{self.name} fold {fold}", fold=fold, files=(), sealed_files=self.sealed_files[at : at + 1]
            )
            for at, fold in enumerate(folds)
        ]
        return {voter.name: voter for voter in voters}

    def of_open_rows(self) -> Answers:
        """What it answered of the rows that it held out, cleaned.

        Raises:
            RunError: A file is missing or damaged.
        """
        found = [Answers.load(file) for file in self.files]
        if len(found) == 1:
            return self.cleaned(found[0])
        ids = Split.load(self.run.folder.split).held_out_ids.tolist()
        return self.cleaned(concatenated(found, ids, found[0].made_by))

    def of_sealed_rows(self) -> Answers:
        """What it answered of sealed rows, cleaned; several folds vote.

        Raises:
            RunError: A file is missing or damaged.
        """
        by_fold = {file.parent.name: Answers.load(file) for file in self.sealed_files}
        return self.cleaned(voted(by_fold, self.rules))

    def cleaned(self, answers: Answers) -> Answers:
        """Answers after the cleaning of the run's recipe."""
        return clean_answers(answers, answering_of(self.run.recipe).cleaning)[0]


def answer_voters(
    named: Mapping[str, Voter], *, of_checkpoints: bool = False, of_decodings: bool = False
) -> dict[str, AnswerVoter]:
    """The voters on answers that these places stand for.

    Args:
        named: As `named_voters` gives them.
        of_checkpoints: Whether every evaluated checkpoint of a run's last stage votes, instead of the chosen one.
        of_decodings: Whether every decoding that `strop decode` compared votes, instead of the run's own.

    Raises:
        RunError: A run is unfinished or of another task, keeps no checkpoints, or compared no decodings; or checkpoints
            are to vote by several decodings.
    """
    problems = [
        problem
        for run in {one.run.folder.path: one.run for one in named.values()}.values()
        for problem in _of_task(run)
    ]
    if problems:
        raise RunError(*problems)
    if of_decodings and (of_checkpoints or any(voter.checkpoint is not None for voter in named.values())):
        must, do = "checkpoints answered by the decoding of the recipe alone", "leave one of them out"
        raise RunError(Problem("strop ensemble", must, "checkpoints and --decodings", do))
    found: dict[str, AnswerVoter] = {}
    for voter in named.values():
        is_whole = not voter.fold and voter.checkpoint is None
        if of_decodings:
            found |= _by_decoding(voter)
        elif of_checkpoints and is_whole:
            found |= {
                name: AnswerVoter(name, voter.run, tuple(files), is_checkpoint=True)
                for name, files in checkpoint_files(voter.name, voter.run).items()
            }
        else:
            found[voter.name] = _one(voter)
    return found


def open_answers(voters: Mapping[str, AnswerVoter]) -> tuple[dict[str, Answers], Dataset]:
    """What the voters answered of rows that are not sealed, those that all of them held out, and these rows.

    Args:
        voters: By name.

    Raises:
        RunError: A file is missing or damaged, voters answered other rows, or runs disagree on what is asked, accepted
            or measured.
    """
    answers = {name: voter.of_open_rows() for name, voter in voters.items()}
    if any(voter.fold for voter in voters.values()):
        answers = on_shared_rows(answers)
    data = {name: voter.run.folder.open_data for name, voter in _one_a_run(voters).items()}
    return _together(answers, voters, {name: Dataset.load(path) for name, path in data.items()})


def sealed_answers(voters: Mapping[str, AnswerVoter]) -> tuple[dict[str, Answers], Dataset]:
    """What the voters answered of sealed rows, which must have been opened, and these rows.

    Args:
        voters: By name.

    Raises:
        RunError: As `open_answers`; or a decoding did not answer the sealed rows.
    """
    problems = [
        Problem(
            where=str(voter.run.folder.path),
            must="a decoding that votes on test rows must have answered them",
            came=f"no answers by '{voter.decoding.name}': sealed rows are answered by the run's own decoding alone",
            do="leave --decodings or --on-test out, or fit runs with these decodings",
        )
        for voter in voters.values()
        if voter.decoding is not None and not all(file.exists() for file in voter.sealed_files)
    ]
    if problems:
        raise RunError(*problems)
    answers = {name: voter.of_sealed_rows() for name, voter in voters.items()}
    data = {name: voter.run.folder.sealed_data for name, voter in _one_a_run(voters).items()}
    return _together(answers, voters, {name: Dataset.load(path) for name, path in data.items()})


def _of_task(run: Run) -> list[Problem]:
    if run.recipe.task != "answer":
        must, do = "runs that vote together must be of one task", "let runs of one task vote"
        return [Problem(str(run.folder.path), must, f"a run of the task '{run.recipe.task}'", do)]
    try:
        must_be_finished(run.folder)
    except RunError as error:
        return list(error.problems)
    return []


def _folds(run: Run) -> list[str]:
    return [fold.name for fold in Split.load(run.folder.split).folds()]


def _one(voter: Voter) -> AnswerVoter:
    """A run, a fold, or a checkpoint that was named."""
    is_checkpoint = voter.checkpoint is not None
    place = voter.run.folder.predictions / "folds"
    folds = [voter.fold] if voter.fold else _folds(voter.run)
    sealed = () if is_checkpoint else tuple(place / fold / f"model{SEALED}" for fold in folds)
    return AnswerVoter(voter.name, voter.run, (voter.open_file,), sealed, voter.fold, is_checkpoint=is_checkpoint)


def _by_decoding(voter: Voter) -> dict[str, AnswerVoter]:
    """Every decoding that answered all held-out rows of a run, or of a fold, as a voter.

    Raises:
        RunError: Fewer than two did.
    """
    folds = [voter.fold] if voter.fold else _folds(voter.run)
    found: dict[str, AnswerVoter] = {}
    for place in sorted((voter.run.folder.predictions / "decodings").glob("*/")):
        files = tuple(place / fold / OF_DECODING for fold in folds)
        if all(file.exists() for file in files):
            decoding = _decoding_named(Answers.load(files[0]).made_by["decoding"])
            name, sealed = f"{voter.name} {decoding.name}", tuple(place / fold / SEALED_OF_DECODING for fold in folds)
            found[name] = AnswerVoter(name, voter.run, files, sealed, voter.fold, decoding)
    if len(found) < 2:
        path = voter.run.folder.path
        must, do = "at least two decodings must have answered the held-out rows", f"`strop decode {path}` first"
        raise RunError(Problem(str(path), must, str(len(found)), do))
    return found


def _decoding_named(name: str) -> Decoding:
    """The decoding of this name: equal decodings have equal names."""
    method, *entries = name.split()
    values = dict(entry.split("=", 1) for entry in entries)
    return Decoding.model_validate({"method": method, **{key: json.loads(value) for key, value in values.items()}})


def _one_a_run(voters: Mapping[str, AnswerVoter]) -> dict[str, AnswerVoter]:
    """The first voter of every run, by its name."""
    first: dict[Path, AnswerVoter] = {}
    for voter in voters.values():
        first.setdefault(voter.run.folder.path, voter)
    return {voter.name: voter for voter in first.values()}


def _together(
    answers: Mapping[str, Answers], voters: Mapping[str, AnswerVoter], rows: Mapping[str, Dataset]
) -> tuple[dict[str, Answers], Dataset]:
    """Answers to the same rows in the same order, and these rows, checked to be those of every run.

    Raises:
        RunError: They are not; with everything that differs.
    """
    problems: list[Problem] = []
    in_order: dict[str, Answers] = {}
    try:
        in_order = aligned(answers)
    except RunError as error:
        problems += error.problems
    ids = set.intersection(*(set(one.ids.tolist()) for one in answers.values()))
    problems += _differing_rows([row_id for row_id in next(iter(answers.values())).ids.tolist() if row_id in ids], rows)
    problems += _differing_settings({name: voters[name].run.recipe for name in rows})
    if problems:
        raise RunError(*problems)
    # A run that knows no groups does not make the rows of a group independent.
    of_rows = next((one for one in rows.values() if one.groups is not None), next(iter(rows.values())))
    return in_order, of_rows.select(next(iter(in_order.values())).ids)


def _differing_rows(ids: Sequence[str], rows: Mapping[str, Dataset]) -> list[Problem]:
    """What runs know differently of the rows that they share: texts, and accepted answers."""
    shared = {name: one.select(ids) for name, one in rows.items()}
    accepted = {
        name: dict(zip(ids, [] if one.answers is None else one.answers, strict=True)) for name, one in shared.items()
    }
    # In another order they are the same answers to be judged by.
    problems = disagreements(ids, accepted, "answers", lambda one, other: set(one) != set(other))
    (first, ours), *others = shared.items()
    for other, theirs in others:
        for column in [name for name in ours.texts if name in theirs.texts]:
            pairs = zip(ids, ours.texts[column], theirs.texts[column], strict=True)
            differing = [row_id for row_id, one, another in pairs if _words(one) != _words(another)]
            if differing:
                problems.append(
                    Problem(
                        where=f"{first} and {other}",
                        must=f"runs that vote together must have read the same text in the column '{column}'",
                        came=f"{len(differing)} rows differ, for example {', '.join(differing[:5])}",
                        do="fit both on the same version of the data",
                    )
                )
    return problems


def _words(text: str) -> list[str]:
    """A text's words: recipes may or may not normalise it."""
    return normalized(text).split()


def _differing_settings(recipes: Mapping[str, Recipe]) -> list[Problem]:
    """What runs measure differently."""
    (first, ours), *others = ((name, _settings(recipe)) for name, recipe in recipes.items())
    return [
        Problem(
            where=f"{first} and {other}",
            must=f"runs that vote together must have the same {setting}",
            came=f"{_shown(value)} and {_shown(theirs[setting])}",
            do=f"fit one of them again with {setting} of the other",
        )
        for other, theirs in others
        for setting, value in ours.items()
        if theirs[setting] != value
    ]


def _settings(recipe: Recipe) -> dict[str, str | None]:
    return {
        "evaluation.primary_metric": recipe.evaluation.primary_metric,
        "evaluation.answer_rules": recipe.evaluation.answer_rules,
        "answer.prompt.no_answer": answering_of(recipe).prompt.no_answer,
    }


def _shown(value: str | None) -> str:
    return "none" if value is None else f"'{value}'"
