"""Blend the predictions of several regression runs, and judge the blend; no model is loaded.

Dimensions: S runs, R rows, T targets.
"""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from strop.ensembling.blend import blend, cross_fitted_blend, cross_fitted_blend_and_snap, fit_blend
from strop.errors import Problem, RunError
from strop.evaluation.evaluate_values import score_values
from strop.evaluation.intervals import numbers_of_groups
from strop.evaluation.value_intervals import without_levels_of_folds
from strop.recipe.sections import Recipe
from strop.records.dataset import Dataset, Strings, strings
from strop.records.predictions import Predictions
from strop.records.scores import Scores
from strop.reporting.judged import judged_baselines, judged_treatments, judgement_alone
from strop.reporting.sentences import difference_text, metric_name, p_of, score_text, treatment_name
from strop.runs.judge import CHOSE_CHECKPOINT, FOLDS_AVERAGED, OPEN, SEALED, must_be_finished
from strop.runs.run import Run
from strop.runs.several.saved_blend import must_not_hold_a_run, save_members
from strop.runs.several.together import must_be_opened, named_runs, write_look
from strop.runs.treat import Treatments, fit_treatments, snapped

Floats = NDArray[np.float64]
OPENED_BEFORE = "the test parts had been opened before: choices made since may be fitted to them"


@dataclass(frozen=True)
class Blended:
    """A blend of runs.

    Attributes:
        runs: The runs by name.
        weights: Weight of every run by its name, not negative and with sum 1, fitted on all shared rows.
        predictions: Blended values of the shared rows, each by weights that were fitted without it and its group.
        scores: Scores of these predictions, with the single runs beside them.
        treatments: Grids and ranges of the blend, fitted on these predictions.
        test_predictions: Values of shared test rows by `weights`; None unless wanted.
        test_scores: Their scores.
    """

    runs: Mapping[str, Run]
    weights: Mapping[str, float]
    predictions: Predictions
    scores: Scores
    treatments: Treatments
    test_predictions: Predictions | None = None
    test_scores: Scores | None = None

    def save(self, folder: Path) -> None:
        """Write what `strop predict` needs to blend new rows, predictions and scores.

        They are `blend.json`, `treatments.json`, `predictions.arrow` and `scores.json`, and for test rows the last two
        with `.test` in their names.

        Raises:
            RunError: The folder is that of a run.
        """
        must_not_hold_a_run(folder)
        for predictions, scores, ending in (
            (self.predictions, self.scores, ""),
            (self.test_predictions, self.test_scores, ".test"),
        ):
            places = folder / f"predictions{ending}.arrow", folder / f"scores{ending}.json"
            if predictions is not None and scores is not None:
                predictions.save(places[0])
                scores.save(places[1])
                continue
            # What a blend of other runs left there does not belong to this one.
            for place in places:
                place.unlink(missing_ok=True)
        self.treatments.save(folder)
        # Written last: where it stands the others stand too.
        save_members(folder, self.runs, self.weights, self.predictions)

    def lines(self, scores: Scores) -> list[str]:
        """What the blend gains over every run by itself, and what snapping it gains, in words.

        Args:
            scores: One of the scores of this blend.
        """
        higher = scores.primary_score.higher_is_better
        lines = [f"the blend: {metric_name(scores.primary)} {score_text(scores.primary_score)}"]
        lines += [
            f"minus {one.difference.other} alone: {difference_text(one.difference)}, {p_of(one)}: "
            f"{judgement_alone(one, higher_is_better=higher)}"
            for one in judged_baselines(scores)
        ]
        for treated, gain in zip(scores.treated, judged_treatments(scores), strict=True):
            score = score_text(treated.scores.metrics[scores.primary])
            lines.append(
                f"{treatment_name(treated.treatment)}: {score}, a gain of {difference_text(gain.difference)}, "
                f"{p_of(gain)}: {judgement_alone(gain, higher_is_better=higher)}"
            )
        return lines


@dataclass(frozen=True)
class _Shared:
    """What runs predicted for the rows that all of them held out, or sealed."""

    by_run: Mapping[str, Predictions]
    target_RT: Floats
    groups: Strings | None

    @property
    def values_SRT(self) -> Floats:
        return np.stack([without_levels_of_folds(one) for one in self.by_run.values()])

    @property
    def group_R(self) -> NDArray[np.int64] | None:
        return numbers_of_groups(self.groups)

    def blended(self, values_RT: Floats) -> Predictions:
        first = next(iter(self.by_run.values()))
        return Predictions(
            ids=first.ids,
            labels=first.labels,
            outputs_RL=values_RT.astype(np.float32),
            part=first.part,
            seen_R=np.any([one.seen_R for one in self.by_run.values()], axis=0),
            fold_R=np.full(first.n_rows, -1, dtype=np.int64),
            made_by={"system": "blend", "runs": ", ".join(self.by_run)},
            kind="values",
        )

    def scored(
        self, whole: Predictions, snapped_RT: Floats | None, recipe: Recipe, part: str, caveats: tuple[str, ...]
    ) -> Scores:
        return score_values(
            whole,
            self.target_RT,
            baselines=self.by_run,
            evaluation=recipe.evaluation,
            part=part,
            seed=recipe.seed,
            groups=self.groups,
            caveats=caveats,
            treated={} if snapped_RT is None else {"snapped": snapped(whole, snapped_RT)},
        )


def blend_run_folders(paths: Sequence[Path], *, on_test: bool = False) -> Blended:
    """Fit one weight a run, grids and ranges on the rows that all of them held out.

    Args:
        paths: At least two folders of finished regression runs with the same targets.
        on_test: Whether the blend is judged on test rows too, which must have been opened; it stands in the ledgers.

    Raises:
        RunError: A run is not finished or no regression, targets differ, no row is shared, or a test part is sealed.
    """
    runs = named_runs(paths, "blend")
    for run in runs.values():
        must_be_finished(run.folder)
    _must_fit_together(runs)
    if on_test:
        for run in runs.values():
            must_be_opened(run, "blend", "blended")
    recipe = next(iter(runs.values())).recipe
    held = _shared(runs, is_sealed=False)
    group_R, snapped_RT = held.group_R, None
    if recipe.evaluation.snap:
        fitted = cross_fitted_blend_and_snap(held.values_SRT, held.target_RT, group_R=group_R, seed=recipe.seed)
        blended_RT, snapped_RT = fitted
    else:
        blended_RT = cross_fitted_blend(held.values_SRT, held.target_RT, group_R=group_R, seed=recipe.seed)
    whole = held.blended(blended_RT)
    weights_S = fit_blend(held.values_SRT, held.target_RT)
    treatments = fit_treatments(recipe, whole, held.target_RT, group_R)
    test = _on_test(runs, weights_S, treatments, recipe) if on_test else (None, None)
    return Blended(
        runs=runs,
        weights=dict(zip(runs, weights_S.tolist(), strict=True)),
        predictions=whole,
        scores=held.scored(whole, snapped_RT, recipe, "out of fold", (CHOSE_CHECKPOINT,)),
        treatments=treatments,
        test_predictions=test[0],
        test_scores=test[1],
    )


def _on_test(
    runs: Mapping[str, Run], weights_S: Floats, treatments: Treatments, recipe: Recipe
) -> tuple[Predictions, Scores]:
    """The blend on test rows, by weights and grids of the rows that are not sealed."""
    sealed = _shared(runs, is_sealed=True)
    # Written before anyone sees a score, so that no look goes unrecorded.
    write_look(runs.values(), "blend", f"blend {', '.join(runs)}")
    values_RT = blend(sealed.values_SRT, weights_S)
    whole = sealed.blended(values_RT)
    snapped_RT = treatments.snap(values_RT) if treatments.grids else None
    return whole, sealed.scored(whole, snapped_RT, recipe, "test", (FOLDS_AVERAGED, OPENED_BEFORE))


def _must_fit_together(runs: Mapping[str, Run]) -> None:
    problems = []
    for name, run in runs.items():
        if run.recipe.task != "regress":
            must, do = "only predicted values are blended", "let classifiers vote: `strop ensemble`"
            problems.append(Problem(name, must, f"a run of the task '{run.recipe.task}'", do))
        elif run.recipe.split.folds is None:
            must = "a run that is blended must have folds: few validation rows also chose its checkpoint"
            do = "fit it again with split.folds, under another name"
            problems.append(Problem(name, must, "a run without split.folds", do))
    if problems:
        raise RunError(*problems)
    labels = {name: run.labels for name, run in runs.items()}
    if len(set(labels.values())) > 1:
        problem = Problem(
            where="strop blend",
            must="the runs must have the same targets in the same order",
            came="; ".join(f"{name}: {_named_few(one)}" for name, one in labels.items()),
            do="blend runs of the same data.targets",
        )
        raise RunError(problem)


def _named_few(names: Sequence[str], most: int = 5) -> str:
    return ", ".join(names[:most]) + (f", ... ({len(names)} in all)" if len(names) > most else "")


def _shared(runs: Mapping[str, Run], *, is_sealed: bool) -> _Shared:
    """Rows that all runs held out (or sealed), in the order of the first.

    Raises:
        RunError: No row is shared, or runs disagree on a row's targets.
    """
    predictions, rows = {}, {}
    for name, run in runs.items():
        predictions[name] = Predictions.load(run.folder.predictions / f"model{SEALED if is_sealed else OPEN}")
        rows[name] = Dataset.load(run.folder.sealed_data if is_sealed else run.folder.open_data)
    in_all = set.intersection(*(set(one.ids.tolist()) for one in predictions.values()))
    ids = strings([row_id for row_id in next(iter(predictions.values())).ids.tolist() if row_id in in_all])
    if len(ids) == 0:
        came = "no row that is in the test part of all" if is_sealed else "no row that all of them held out"
        do = "blend runs of the same data, seed and split"
        raise RunError(Problem("strop blend", "the runs must have rows in common", came, do))
    target_RT = _agreed_targets({name: one.select(ids) for name, one in rows.items()})
    # A run that knows no groups does not make the rows of a group independent.
    groups = next((one.select(ids).groups for one in rows.values() if one.groups is not None), None)
    if not is_sealed and len(np.unique(ids if groups is None else groups)) < 2:
        must, do = "rows that the runs have in common must come from two groups at least", "blend runs of more rows"
        raise RunError(Problem("strop blend", must, f"{len(ids)} rows of one group", do))
    return _Shared({name: one.select(ids) for name, one in predictions.items()}, target_RT, groups)


def _agreed_targets(rows: Mapping[str, Dataset]) -> Floats:
    """The targets of the same rows, shape (R, T), which all runs must agree on."""
    matrices = {name: one.target_matrix() for name, one in rows.items()}
    first = next(iter(matrices.values()))
    for name, matrix_RT in matrices.items():
        differs_R = ((first != matrix_RT) & ~(np.isnan(first) & np.isnan(matrix_RT))).any(axis=1)
        if differs_R.any():
            problem = Problem(
                where=name,
                must="a row must have the same targets in every run",
                came=f"other values in {int(differs_R.sum())} of {len(first)} rows than in '{next(iter(rows))}'",
                do="blend runs of the same data file",
            )
            raise RunError(problem)
    return first
