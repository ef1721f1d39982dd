"""Scores: each with its interval, its direction and the baselines beside it."""

from collections.abc import Mapping
from dataclasses import asdict, dataclass, field
from pathlib import Path
from typing import Any, Self

from strop.records.files import read_json, write_json


@dataclass(frozen=True)
class Score:
    """One number and how sure it is.

    Attributes:
        metric: Name of the metric, for example `macro_f1`.
        value: The score on all rows.
        low: Lower end of the interval, None where none was asked for.
        high: Upper end of the interval.
        higher_is_better: The metric's direction.
    """

    metric: str
    value: float
    low: float | None = None
    high: float | None = None
    higher_is_better: bool = True


@dataclass(frozen=True)
class ClassScores:
    """Precision, recall and F1 of one class, and how many rows truly have it."""

    label: str
    n_rows: int
    precision: Score
    recall: Score
    f1: Score


@dataclass(frozen=True)
class TargetScores:
    """Scores of one target: by metric, None where the metric is not defined (a constant column has no correlation)."""

    target: str
    n_rows: int
    metrics: Mapping[str, Score | None]


@dataclass(frozen=True)
class FoldScore:
    """The primary metric on the rows of one fold.

    Attributes:
        fold: Its number.
        n_rows: Its rows.
        score: None where the metric is not defined there.
        left_out: Targets that do not vary there, and are left out of the score.
    """

    fold: int
    n_rows: int
    score: Score | None
    left_out: tuple[str, ...] = ()


@dataclass(frozen=True)
class FoldScores:
    """The primary metric of every fold by itself.

    Attributes:
        mean: The plain mean over the folds where the metric is defined, each fold counting the same; of several targets
            the mean over folds is taken target by target.
        folds: One entry a fold, by number.
    """

    mean: Score
    folds: tuple[FoldScore, ...]


@dataclass(frozen=True)
class SystemScores:
    """All scores of one system (the fine-tuned model, or a baseline) on one set of rows.

    Attributes:
        system: "model", or the baseline's name.
        metrics: By metric name.
        classes: One entry a class, in label order.
        confusion: Counts, true label by row, predicted label by column, shape (L, L) as nested lists.
        per_row: By metric name, one value a row (for example `log_loss`, `correct`), in the order of `Scores.ids`.
        targets: One entry a target, where numbers are predicted; the metrics are then means over targets.
        folds: The primary metric of every fold by itself, where the rows were predicted by the models of folds; the
            metrics above are of all rows together.
    """

    system: str
    metrics: Mapping[str, Score]
    classes: tuple[ClassScores, ...]
    confusion: tuple[tuple[int, ...], ...]
    per_row: Mapping[str, tuple[float, ...]] = field(default_factory=dict)
    targets: tuple[TargetScores, ...] = ()
    folds: FoldScores | None = None


@dataclass(frozen=True)
class Difference:
    """How much better the model is than another system on the same rows.

    Attributes:
        other: The other system.
        metric: The metric compared.
        value: The model's score minus the other's, signed so that positive favours the model.
        low: Lower end of the paired interval.
        high: Upper end of the paired interval.
        p_value: Two-sided p-value of a paired test of no difference (the docs of `evaluation` say which).
    """

    other: str
    metric: str
    value: float
    low: float
    high: float
    p_value: float


@dataclass(frozen=True)
class Against:
    """How a run compares with another on the rows that both held out.

    Attributes:
        changes: Entries of the recipe at which the two differ, as `path: here -> there`.
        n_rows: Rows compared.
        difference: This run's score minus the other's, signed so that positive favours this run.
        is_clear: Whether the difference is clear.
    """

    changes: tuple[str, ...]
    n_rows: int
    difference: Difference
    is_clear: bool


@dataclass(frozen=True)
class Treated:
    """Scores after a treatment of saved predictions, and the paired difference to the predictions as they were."""

    treatment: str
    scores: SystemScores
    gain: Difference


@dataclass(frozen=True)
class Scores:
    """Scores of one run on one part.

    Attributes:
        part: "validation", "test", or "out of fold".
        primary: Name of the primary metric.
        confidence: Level of the intervals, for example 0.95.
        labels: Names of the classes, or of the targets.
        ids: The rows judged, in the order of the per-row values.
        model: The fine-tuned model's scores.
        baselines: The baselines' scores on the same rows.
        differences: Paired differences on the primary metric between the model and each baseline.
        temperature: The temperature that calibrates the model's probabilities, None where it was not fitted.
        calibrated: Log loss and calibration error after calibration, each on rows the temperature was not fitted on.
        caveats: What a reader must know, for example that these rows also chose the checkpoint.
        treated: Scores of the model's predictions after a treatment that was fitted on predictions of other rows, for
            example "snapped"; each says what it gained.
    """

    part: str
    primary: str
    confidence: float
    labels: tuple[str, ...]
    ids: tuple[str, ...]
    model: SystemScores
    baselines: tuple[SystemScores, ...] = ()
    differences: tuple[Difference, ...] = ()
    temperature: float | None = None
    calibrated: Mapping[str, Score] = field(default_factory=dict)
    caveats: tuple[str, ...] = ()
    treated: tuple[Treated, ...] = ()

    @property
    def primary_score(self) -> Score:
        """The model's score on the primary metric."""
        return self.model.metrics[self.primary]

    def save(self, path: Path) -> None:
        """Write as JSON."""
        write_json(path, asdict(self))

    @classmethod
    def load(cls, path: Path) -> Self:
        """Read what `save` wrote.

        Raises:
            RunError: The file is missing or damaged.
        """
        content = read_json(path)
        return cls(
            part=content["part"],
            primary=content["primary"],
            confidence=content["confidence"],
            labels=tuple(content["labels"]),
            ids=tuple(content["ids"]),
            model=_system(content["model"]),
            baselines=tuple(_system(one) for one in content["baselines"]),
            differences=tuple(Difference(**one) for one in content["differences"]),
            temperature=content["temperature"],
            calibrated={name: Score(**one) for name, one in content["calibrated"].items()},
            caveats=tuple(content["caveats"]),
            treated=tuple(
                Treated(one["treatment"], _system(one["scores"]), Difference(**one["gain"]))
                for one in content["treated"]
            ),
        )


def _system(content: Mapping[str, Any]) -> SystemScores:
    return SystemScores(
        system=content["system"],
        metrics={name: Score(**one) for name, one in content["metrics"].items()},
        classes=tuple(
            ClassScores(
                label=one["label"],
                n_rows=one["n_rows"],
                precision=Score(**one["precision"]),
                recall=Score(**one["recall"]),
                f1=Score(**one["f1"]),
            )
            for one in content["classes"]
        ),
        confusion=tuple(tuple(row) for row in content["confusion"]),
        per_row={name: tuple(values) for name, values in content["per_row"].items()},
        targets=tuple(
            TargetScores(
                one["target"],
                one["n_rows"],
                {name: None if score is None else Score(**score) for name, score in one["metrics"].items()},
            )
            for one in content["targets"]
        ),
        # Files of runs that were scored before folds were shown have none.
        folds=_folds(content["folds"]) if content.get("folds") else None,
    )


def _folds(content: Mapping[str, Any]) -> FoldScores:
    return FoldScores(
        Score(**content["mean"]),
        tuple(
            FoldScore(
                one["fold"],
                one["n_rows"],
                None if one["score"] is None else Score(**one["score"]),
                tuple(one["left_out"]),
            )
            for one in content["folds"]
        ),
    )
