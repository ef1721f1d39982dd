"""Everything a report or a model card is made from, read from the run folder alone."""

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any, TypeVar

from strop.inference.cleaning import clean_answers
from strop.recipe.load import read_recipe
from strop.recipe.sections import Recipe
from strop.records.answers import Answers
from strop.records.audit import Audit
from strop.records.dataset import Dataset
from strop.records.files import read_json
from strop.records.ledger import Entry
from strop.records.predictions import Predictions
from strop.records.run_folder import TEXTS_READ, RunFolder
from strop.records.scores import Against, Difference, Scores
from strop.records.split import Split
from strop.reporting.history import StageHistory, read_histories

Said = TypeVar("Said", Predictions, Answers)
# Where `strop decode` leaves the scores of the decodings it compared.
DECODINGS = "decodings.json"


@dataclass(frozen=True)
class Material:
    """What stands in a run folder; pieces that an unfinished run does not have yet are None or empty.

    Attributes:
        folder: The run.
        recipe: What was asked for.
        about: Content of `run.json`.
        ledger: All entries, in the order they were written.
        openings: The entries that say that the test part was opened.
        dataset: Rows that are not sealed. The sealed rows are never read here.
        split: Ids by part.
        audit: What the audit of the data found.
        scores: Scores by part, the one to be judged by first: test if it was opened, then validation or out of fold.
        predictions: The model's predictions of rows that are not sealed and that it was not trained on.
        histories: Training, one entry a stage and fold.
        texts_read: What the model read of rows that are not sealed, by id, where that is more than stands in `dataset`.
        against: How the run compares with others, where the report was asked to show that.
        written: The model's answers in words to rows that are not sealed and that it was not trained on, as it wrote
            them.
        decodings: Scores of the decodings that were compared: of the recipe's as the model, of the others as baselines.
    """

    folder: RunFolder
    recipe: Recipe
    about: Mapping[str, Any]
    ledger: tuple[Entry, ...]
    openings: tuple[Entry, ...]
    dataset: Dataset | None
    split: Split | None
    audit: Audit | None
    scores: tuple[Scores, ...]
    predictions: Predictions | None
    histories: tuple[StageHistory, ...]
    against: tuple[Against, ...] = ()
    texts_read: Mapping[str, str] = field(default_factory=dict)
    written: Answers | None = None
    decodings: Scores | None = None

    @property
    def predicts_values(self) -> bool:
        """Whether numbers are predicted rather than labels."""
        return self.recipe.task == "regress"

    @property
    def answers_in_words(self) -> bool:
        """Whether the model writes its answers."""
        return self.recipe.task == "answer"

    @property
    def answers(self) -> Answers | None:
        """The answers as they are judged: after the recipe's cleaning."""
        answering = self.recipe.answer
        if self.written is None or answering is None:
            return self.written
        return clean_answers(self.written, answering.cleaning)[0]

    @property
    def headline(self) -> Scores | None:
        """The scores to judge the run by."""
        return self.scores[0] if self.scores else None

    @property
    def open_scores(self) -> Scores | None:
        """The scores on rows that are not sealed."""
        return next((one for one in self.scores if one.part != "test"), None)

    @property
    def n_sealed(self) -> int:
        """How many rows the test part has."""
        return 0 if self.split is None else len(self.split.test)


def read_material(folder: RunFolder) -> Material:
    """Read what stands in a run folder.

    Raises:
        RunError: The folder holds no run, or a file in it is damaged.
        RecipeError: The recipe in the folder was changed and is no longer one.
    """
    folder.must_be_a_run()
    recipe, about = read_recipe(folder.recipe), folder.read_about()
    split = Split.load(folder.split) if (folder.split / "split.json").exists() else None
    dataset = _read_open_rows(folder, split)
    openings = tuple(folder.ledger.openings())
    writes = recipe.task == "answer"
    return Material(
        folder=folder,
        recipe=recipe,
        about=about,
        ledger=tuple(folder.ledger.entries()),
        openings=openings,
        dataset=dataset,
        split=split,
        audit=Audit.load(folder.audit) if folder.audit.exists() else None,
        scores=_read_scores(folder, test_was_opened=bool(openings)),
        predictions=None if writes else _read_open(folder, dataset, Predictions),
        histories=read_histories(folder, recipe, about),
        against=_read_against(folder),
        texts_read={} if recipe.evidence is None else _read_texts(folder, dataset),
        written=_read_open(folder, dataset, Answers) if writes else None,
        decodings=Scores.load(folder.path / DECODINGS) if (folder.path / DECODINGS).exists() else None,
    )


def _read_scores(folder: RunFolder, *, test_was_opened: bool) -> tuple[Scores, ...]:
    paths = sorted(folder.scores.glob("*.json"), key=lambda path: (path.stem != "test", path.stem))
    return tuple(Scores.load(path) for path in paths if path.stem != "test" or test_was_opened)


def _read_texts(folder: RunFolder, dataset: Dataset | None) -> dict[str, str]:
    """Texts with their evidence; of rows that are not sealed alone."""
    shown = set() if dataset is None else set(dataset.ids.tolist())
    kept = [read_json(path) for path in folder.examples.glob(f"*/{TEXTS_READ}")]
    pairs = ((row_id, text) for one in kept for row_id, text in zip(one["ids"], one["texts"], strict=True))
    return {row_id: text for row_id, text in pairs if row_id in shown}


def _read_against(folder: RunFolder) -> tuple[Against, ...]:
    if not folder.against.exists():
        return ()
    return tuple(
        Against(**{**one, "changes": tuple(one["changes"]), "difference": Difference(**one["difference"])})
        for one in read_json(folder.against)
    )


def _read_open_rows(folder: RunFolder, split: Split | None) -> Dataset | None:
    """Rows that are not sealed; the split is asked again, so that no sealed row slips into a report."""
    if not folder.open_data.exists():
        return None
    dataset = Dataset.load(folder.open_data)
    sealed = set() if split is None else set(split.test.tolist())
    return dataset.take([at for at, row_id in enumerate(dataset.ids.tolist()) if row_id not in sealed])


def _read_open(folder: RunFolder, dataset: Dataset | None, kind: type[Said]) -> Said | None:
    """What the model said of rows whose truth may be shown: held out from training, and not of the test part."""
    path = folder.predictions / "model.arrow"
    if dataset is None or not path.exists():
        return None
    known = set(dataset.ids.tolist())
    said = kind.load(path)
    pairs = enumerate(zip(said.ids.tolist(), said.seen_R.tolist(), strict=True))
    return said.take([at for at, (row_id, seen) in pairs if row_id in known and not seen])
