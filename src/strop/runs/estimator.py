"""A scikit-learn compatible classifier of texts."""

import hashlib
import io
import shutil
import tarfile
import tempfile
import weakref
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any, Self

import numpy as np
from numpy.typing import ArrayLike, NDArray
from sklearn.base import BaseEstimator, ClassifierMixin
from sklearn.utils.multiclass import check_classification_targets, unique_labels
from sklearn.utils.validation import check_consistent_length, check_is_fitted, column_or_1d

from strop.data.values import normalized
from strop.data.write import write_table
from strop.runs.fit import fit
from strop.runs.run import Run


class TextClassifier(ClassifierMixin, BaseEstimator):  # type: ignore[misc]
    """Fine-tune a pretrained model by `fit(texts, labels)`; `X` is a sequence of strings.

    A run of Strop stands behind it, without a sealed test part: whoever calls scikit-learn keeps rows aside.

    Attributes:
        classes_: The labels, sorted, shape (n_classes,).
        run_: The run, with scores on the rows that chose the checkpoint, its ledger and its report.
    """

    def __init__(
        self,
        model: str,
        *,
        stages: Sequence[Mapping[str, Any]] | None = None,
        max_length_tokens: int = 256,
        pooling: str = "auto",
        adapter: Mapping[str, Any] | None = None,
        validation_fraction: float = 0.15,
        primary_metric: str = "macro_f1",
        recipe: Mapping[str, Any] | None = None,
        random_state: int = 0,
        runs: str | None = None,
    ) -> None:
        """Keep the parameters.

        Args:
            model: A folder, an installed package that carries a model, or a hub name.
            stages: Stages as in a recipe; without them the recipe's default.
            max_length_tokens: Longest input.
            pooling: As in a recipe.
            adapter: As in a recipe; without it the model's own weights are trained.
            validation_fraction: Share of the rows that chooses the checkpoint.
            primary_metric: What chooses it.
            recipe: Any further entries of a recipe, as dotted paths: `{"text.keep": "ends"}`.
            random_state: The recipe's seed.
            runs: Folder for the run; without one a temporary folder that is removed with the estimator.
        """
        self.model = model
        self.stages = stages
        self.max_length_tokens = max_length_tokens
        self.pooling = pooling
        self.adapter = adapter
        self.validation_fraction = validation_fraction
        self.primary_metric = primary_metric
        self.recipe = recipe
        self.random_state = random_state
        self.runs = runs

    def fit(self, X: ArrayLike, y: ArrayLike) -> Self:
        """Fine-tune.

        Args:
            X: Texts, shape (n_rows,).
            y: Labels, shape (n_rows,).

        Raises:
            ValueError: Shapes differ, X holds something other than strings, or y is not a classification target.
            StropError: The data or the model cannot be used.
        """
        texts = _texts(X)
        target = column_or_1d(y, warn=True)
        check_consistent_length(texts, target)
        check_classification_targets(target)
        self.classes_ = unique_labels(target)
        names = self._label_names()
        folder = Path(self.runs) if self.runs is not None else self._temporary_folder()
        # Every set of rows and parameters has a run of its own, so that fitting again never finds an older one.
        key = hashlib.sha256(repr((texts, target.tolist(), sorted(self.get_params().items(), key=str))).encode())
        name = f"text-classifier-{key.hexdigest()[:12]}"
        data = folder / f"{name}.parquet"
        by_class = dict(zip(self.classes_.tolist(), names, strict=True))
        write_table(data, {"text": texts, "label": [by_class[label] for label in target.tolist()]})
        self.run_ = fit(self._recipe(name, data), runs=folder, **self._overrides())
        return self

    def predict(self, X: ArrayLike) -> NDArray[Any]:
        """The likeliest label of every text, shape (n_rows,)."""
        probabilities = self.predict_proba(X)
        return np.asarray(self.classes_[probabilities.argmax(axis=1)])

    def predict_proba(self, X: ArrayLike) -> NDArray[np.float64]:
        """Calibrated probabilities, shape (n_rows, n_classes), columns in the order of `classes_`."""
        check_is_fitted(self, "run_")
        probabilities = self.run_.predict_proba(_texts(X))
        column = {label: at for at, label in enumerate(self.run_.labels)}
        return probabilities[:, [column[name] for name in self._label_names()]]

    def __sklearn_tags__(self) -> Any:
        tags = super().__sklearn_tags__()
        tags.input_tags.two_d_array = False
        tags.input_tags.one_d_array = True
        tags.input_tags.string = True
        return tags

    def __getstate__(self) -> dict[str, Any]:
        """What is pickled; a run in a temporary folder goes along, since the folder does not outlive the object."""
        state = dict(super().__getstate__())
        state.pop("_remove", None)
        if self.runs is None and "run_" in state:
            packed = io.BytesIO()
            with tarfile.open(fileobj=packed, mode="w") as archive:
                archive.add(self.run_.folder.path, arcname=self.run_.folder.path.name)
            state["_packed_run"] = packed.getvalue()
        return state

    def __setstate__(self, state: dict[str, Any]) -> None:
        """Restore, a packed run into a temporary folder of its own."""
        packed = state.pop("_packed_run", None)
        super().__setstate__(state)
        if packed is not None:
            folder = self._temporary_folder()
            with tarfile.open(fileobj=io.BytesIO(packed)) as archive:
                archive.extractall(folder, filter="data")
            self.run_ = Run(folder / self.run_.folder.path.name)

    def _label_names(self) -> list[str]:
        names = [str(label) for label in self.classes_.tolist()]
        # Labels that reading would clean, or that look alike as text, are numbered.
        is_kept = len(set(names)) == len(names) and all(name and name == normalized(name) for name in names)
        return names if is_kept else [f"class-{at}" for at in range(len(names))]

    def _temporary_folder(self) -> Path:
        folder = Path(tempfile.mkdtemp(prefix="strop-"))
        self._remove = weakref.finalize(self, shutil.rmtree, folder, ignore_errors=True)
        return folder

    def _recipe(self, name: str, data: Path) -> dict[str, Any]:
        recipe: dict[str, Any] = {
            "name": name,
            "data": {"path": str(data), "text": ["text"], "target": "label"},
            "model": {"name": self.model, "pooling": self.pooling, "adapter": self.adapter and dict(self.adapter)},
            "split": {"test_fraction": 0.0, "validation_fraction": self.validation_fraction},
            "text": {"max_length_tokens": self.max_length_tokens},
            "evaluation": {"primary_metric": self.primary_metric, "baselines": ["majority"]},
            "seed": self.random_state,
        }
        if self.stages is not None:
            recipe["stages"] = [dict(stage) for stage in self.stages]
        return recipe

    def _overrides(self) -> dict[str, Any]:
        return {path.replace(".", "__"): value for path, value in (self.recipe or {}).items()}


def _texts(X: ArrayLike) -> list[str]:
    """The texts as a list.

    Raises:
        ValueError: X is not a one-dimensional sequence of strings.
    """
    if isinstance(X, str):
        raise ValueError("X must be a sequence of texts, came one string: write [text]")  # noqa: TRY004 (as scikit-learn)
    values = np.asarray(X, dtype=object)
    if values.ndim != 1:
        raise ValueError(f"X must be a one-dimensional sequence of texts, came shape {values.shape}")
    if len(values) == 0:
        raise ValueError("X must hold at least one text, found array with 0 sample(s)")
    wrong = next((type(value).__name__ for value in values.tolist() if not isinstance(value, str)), None)
    if wrong is not None:
        raise ValueError(f"X must hold strings, came {wrong}")
    return [str(value) for value in values.tolist()]
