"""Regression of several targets, from a file to scores."""

import csv
import json
import shutil
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from typer.testing import CliRunner

import strop
from strop.cli.main import app
from strop.data.read import read_new_rows
from strop.errors import DataError, RunError
from strop.records.dataset import Dataset
from strop.records.files import read_json
from strop.records.predictions import Predictions
from strop.records.run_folder import RunFolder
from strop.reporting.report import write_report
from strop.runs.label import labelled_columns
from strop.runs.several.against import write_against
from strop.runs.several.blend import blend_run_folders
from strop.runs.several.compare import compare_run_folders
from strop.runs.several.saved_blend import SavedBlend
from strop.runs.treat import Treatments

GOOD, BAD = ["python", "function", "loop", "error"], ["page", "link", "network", "cat"]
N_ROWS = 120


@pytest.fixture(scope="session")
def pairs(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Rows of which the first target is the share of good words, the second is metadata alone, the third constant."""
    generator = np.random.default_rng(0)
    path = tmp_path_factory.mktemp("values") / "pairs.csv"
    with path.open("w", newline="", encoding="utf-8") as file:
        writer = csv.writer(file)
        writer.writerow(["id", "thread", "title", "body", "host", "votes", "y_words", "y_host", "y_flat"])
        for row in range(N_ROWS):
            n_good = int(generator.integers(0, 5))
            words = generator.permutation([*generator.choice(GOOD, n_good), *generator.choice(BAD, 4 - n_good)])
            host = ["north", "south", "rare"][int(generator.choice(3, p=[0.5, 0.45, 0.05]))]
            votes = "" if row % 10 == 0 else f"{generator.normal():.3f}"
            value = "" if row % 15 == 1 else n_good / 4
            writer.writerow(
                [f"r{row}", f"t{row // 2}", "the dog", " ".join(words), host, votes, value, float(host == "north"), 0.5]
            )
    return path


@pytest.fixture(scope="session")
def recipe(pairs: Path, tiny_encoder: Path) -> dict[str, Any]:
    """A recipe that fits in seconds."""
    return {
        "name": "values",
        "task": "regress",
        "data": {
            "path": str(pairs),
            "text": ["title", "body"],
            "targets": ["y_*"],
            "target_range": [0, 1],
            "id": "id",
            "group": "thread",
            "categorical": "host",
            "numeric": "votes",
        },
        "split": {"folds": 3, "near_duplicates": "ignore"},
        "text": {"max_length_tokens": 32, "parts": {"title": {}, "body": {"share": 0.7}}},
        "model": {"name": str(tiny_encoder), "precision": "float32", "head_dropout": 0.0},
        "stages": [
            {"epochs": 6, "learning_rate": 5e-3, "head_learning_rate": 2e-2, "batch_size": 8},
            {"trainable": "head", "objective": "mse", "epochs": 2, "learning_rate": 1e-3},
        ],
        "evaluation": {"n_bootstrap": 100},
    }


@pytest.fixture(scope="session")
def run(tmp_path_factory: pytest.TempPathFactory, recipe: dict[str, Any]) -> strop.Run:
    return strop.fit(recipe, runs=tmp_path_factory.mktemp("runs"))


def test_words_and_metadata_are_learnt_and_scored_by_target(run: strop.Run) -> None:
    scores = run.scores
    assert (scores.part, scores.primary, scores.labels) == ("out of fold", "spearman", ("y_words", "y_host", "y_flat"))
    by_target = {one.target: one.metrics["spearman"] for one in scores.model.targets}
    assert by_target["y_words"].value > 0.5
    assert by_target["y_host"].value > 0.5
    assert by_target["y_flat"] is None
    assert scores.primary_score.value == pytest.approx((by_target["y_words"].value + by_target["y_host"].value) / 2)
    assert any("'y_flat'" in caveat for caveat in scores.caveats)
    for system in (scores.model, scores.treated[0].scores, *scores.baselines):
        assert [one.fold for one in system.folds.folds] == [0, 1, 2]


def test_a_fold_that_cannot_learn_a_target_is_named(tmp_path: Path, recipe: dict[str, Any]) -> None:
    rows = [f"r{row},t{row // 4},the dog,cat,{row % 3 / 2},{(row % 2) if row < 4 else ''}" for row in range(36)]
    (tmp_path / "rows.csv").write_text("\n".join(["id,thread,title,body,y_all,y_few", *rows]), encoding="utf-8")
    data = {**recipe["data"], "path": str(tmp_path / "rows.csv"), "categorical": None, "numeric": None}
    stages = [{"trainable": "head", "epochs": 1}]
    split = {**recipe["split"], "test_fraction": 0}
    run = strop.fit({**recipe, "data": data, "stages": stages, "split": split}, runs=tmp_path / "runs")
    (fold,) = {str(run.predictions.fold_R[run.predictions.ids.tolist().index("r0")])}
    known = f"the training rows of fold {fold} know no value of the target 'y_few'"
    what = f"{known}: its model cannot learn it, and predicts it all the same"
    assert [entry.what for entry in run.folder.ledger if "cannot learn" in entry.what] == [what]


def test_lengths_of_texts_are_known_where_the_texts_are_cut(tmp_path: Path, recipe: dict[str, Any]) -> None:
    generator = np.random.default_rng(0)
    n_words_R = generator.integers(40, 400, 60)
    rows = [f"r{row},the dog,{'the ' * n_words},{n_words / 400}" for row, n_words in enumerate(n_words_R)]
    (tmp_path / "rows.csv").write_text("\n".join(["id,title,body,y", *rows]), encoding="utf-8")
    data = {
        "path": str(tmp_path / "rows.csv"),
        "text": ["title", "body"],
        "targets": "y",
        "id": "id",
        "text_lengths": True,
    }
    stages = [{"trainable": "head", "epochs": 60, "learning_rate": 2e-2, "batch_size": 8}]
    # The first step orders a fold's rows already; it takes more until the values of all folds can be compared.
    evaluation = {**recipe["evaluation"], "primary_metric": "mae"}
    run = strop.fit({**recipe, "data": data, "stages": stages, "evaluation": evaluation}, runs=tmp_path)
    # The body is cut to the same few words in every row.
    assert run.scores.model.metrics["spearman"].value > 0.95
    found = {one.system: one.metrics["spearman"].value for one in run.scores.baselines}
    assert found["metadata_ridge"] > 0.95
    with pytest.warns(UserWarning, match="350 tokens were cut"):
        values_RT = run.predict([{"title": "the dog", "body": "the " * n_words} for n_words in (50, 350)])
    assert values_RT[0, 0] < 0.4 < 0.6 < values_RT[1, 0]


def test_baselines_stand_beside_the_model(run: strop.Run) -> None:
    found = {one.system: one.metrics["spearman"].value for one in run.scores.baselines}
    assert set(found) == {"mean", "tfidf_ridge", "metadata_ridge"}
    assert found["mean"] == 0.0
    by_target = {one.target: one.metrics["spearman"] for one in run.scores.baselines[2].targets}
    assert by_target["y_host"].value > 0.8
    assert abs(by_target["y_words"].value) < 0.4


def test_predictions_are_values_in_the_declared_range(run: strop.Run) -> None:
    assert run.predictions.kind == "values"
    assert run.predictions.outputs_RL.min() >= 0.0
    assert run.predictions.outputs_RL.max() <= 1.0


def test_saved_predictions_are_those_of_the_saved_models(run: strop.Run) -> None:
    fold = Predictions.load(run.folder.predictions / "folds" / "0" / "model.test.sealed.arrow")
    rows = Dataset.load(run.folder.sealed_data).select(fold.ids)
    by_fold = [
        Predictions.load(run.folder.predictions / "folds" / str(number) / "model.test.sealed.arrow").outputs_RL
        for number in range(3)
    ]
    np.testing.assert_allclose(run.predict_rows(rows).outputs_RL, np.mean(by_fold, axis=0), atol=1e-5)


def test_features_of_a_head_stage_are_kept(run: strop.Run) -> None:
    assert len(list(run.folder.features.glob("*.arrow"))) == 3  # one a fold: each trained a body of its own


def test_grids_and_ranges_are_fitted_on_out_of_fold_rows(run: strop.Run) -> None:
    treatments = Treatments.load(run.folder.predictions)
    assert treatments is not None
    assert [grid.target for grid in treatments.grids] == list(run.labels)
    values_RT = run.predictions.outputs_RL.astype(np.float64)
    low_RT, high_RT = treatments.ranges(values_RT)
    assert ((low_RT <= values_RT) & (values_RT <= high_RT)).all()
    (snapped,) = run.scores.treated
    assert snapped.treatment == "snapped"
    gain = snapped.scores.metrics["spearman"].value - run.scores.primary_score.value
    assert snapped.gain.value == pytest.approx(gain)


def test_the_ledger_says_what_ranges_held_and_which_targets_have_grids(run: strop.Run) -> None:
    grids, ranges = run.folder.ledger.entries()[-2:]
    assert "of 3 targets are snapped to a grid that was fitted on out-of-fold predictions" in grids.what
    assert ranges.what.startswith("Ranges that were fitted on other rows to hold 95% of the true values held 9")
    assert ranges.details["coverage"].keys() == {"y_words", "y_host", "y_flat"}


def test_the_test_part_is_opened_with_its_snapped_values(tmp_path: Path, recipe: dict[str, Any]) -> None:
    stages = [{"epochs": 1, "learning_rate": 5e-3}]
    opened = strop.fit(recipe, runs=tmp_path, stages=stages, evaluation__baselines=["mean"]).open_test()
    assert opened.part == "test"
    assert [one.treatment for one in opened.treated] == ["snapped"]


def test_new_rows_get_values_ranges_and_grid_values(run: strop.Run, tmp_path: Path) -> None:
    new = tmp_path / "new.csv"
    new.write_text("title,body,host,votes\nthe dog,python python error loop,west,\nthe dog,cat cat page link,north,1\n")
    rows = read_new_rows(new, run.recipe.data)
    columns, notes = labelled_columns(run, rows)
    assert columns["predicted_y_words"][0] > columns["predicted_y_words"][1]
    assert columns["low_y_words"][0] <= columns["predicted_y_words"][0] <= columns["high_y_words"][0]
    assert "snapped_y_words" in columns
    assert any("categories that no training row has" in note and "'host' in 1 ('west')" in note for note in notes), (
        notes
    )


def test_rows_are_predicted_from_python_by_mappings(run: strop.Run) -> None:
    good = {"title": "the dog", "body": "python python error loop", "host": "north", "votes": 1.0}
    values_RT = run.predict([good, {**good, "body": "cat cat page link", "votes": None}])
    assert values_RT.shape == (2, 3)
    assert values_RT[0, 0] > values_RT[1, 0]
    with pytest.raises(ValueError, match="give mappings"):
        run.predict(["python"])
    with pytest.raises(ValueError, match="there must be at least one row to predict"):
        run.predict([])
    with pytest.raises(DataError, match="no column 'body'"):
        run.predict([{"title": "the dog", "host": "north", "votes": 1.0}])


def test_runs_without_folds_are_not_blended(run: strop.Run, tmp_path: Path, recipe: dict[str, Any]) -> None:
    fast = {"stages": [{"epochs": 0.2}], "evaluation__baselines": ["mean"], "split__folds": None}
    strop.fit(recipe, runs=tmp_path, name="plain", **fast)
    with pytest.raises(RunError, match="a run that is blended must have folds"):
        blend_run_folders([run.folder.path, tmp_path / "plain"])


def test_absent_metadata_are_refused_at_prediction(run: strop.Run, tmp_path: Path) -> None:
    new = tmp_path / "new.csv"
    new.write_text("title,body,votes\nthe dog,python,1\n")
    with pytest.raises(DataError, match="new rows must have every metadata column that the model was trained with"):
        read_new_rows(new, run.recipe.data)


def test_ranges_are_learnt_from_training_rows_where_none_is_declared(tmp_path: Path, recipe: dict[str, Any]) -> None:
    data = {**recipe["data"], "target_range": None}
    stages = [{"epochs": 1, "learning_rate": 5e-3}]
    found = strop.fit({**recipe, "data": data}, runs=tmp_path, stages=stages, evaluation__baselines=["mean"])
    assert found.predictions.outputs_RL[:, 0].min() >= 0.0
    np.testing.assert_allclose(found.predictions.outputs_RL[:, 2].min(), 0.5, atol=0.5)


def test_targets_may_have_ranges_of_their_own(tmp_path: Path, recipe: dict[str, Any]) -> None:
    data = {**recipe["data"], "target_range": {"y_words": [0, 1], "y_h*": [-2, 2]}}
    stages = [{"trainable": "head", "epochs": 1}]
    run = strop.fit({**recipe, "data": data}, runs=tmp_path, stages=stages, evaluation__baselines=["mean"])
    saved = read_json(run.folder.model("0") / "strop.json")["preprocessing"]["targets"]["values"]
    # The third has one value in all rows: its range is taken to be 1 wide.
    assert saved == [[0.0, 1.0], [-2.0, 2.0], [0.5, 1.5]]
    treatments = Treatments.load(run.folder.predictions)
    assert treatments.low_T.tolist() == [0.0, -2.0, 0.5]
    assert treatments.high_T.tolist() == [1.0, 2.0, 0.5]


def test_ranks_are_learnt_and_new_rows_get_values(tmp_path: Path, recipe: dict[str, Any]) -> None:
    data = {**recipe["data"], "target_scale": "rank"}
    stages = [{"epochs": 1, "learning_rate": 5e-3}]
    found = strop.fit({**recipe, "data": data}, runs=tmp_path, stages=stages, evaluation__baselines=["mean"])
    dataset = Dataset.load(found.folder.open_data)
    target_RT = dataset.target_matrix()
    values_RT = found.predictions.outputs_RL
    assert (values_RT >= np.nanmin(target_RT, axis=0) - 1e-6).all()
    # The third target is constant: it has no ranks, and its range is taken to be 1 wide.
    assert (values_RT[:, :2] <= np.nanmax(target_RT, axis=0)[:2] + 1e-6).all()
    rows = [{"title": "the dog", "body": "python", "votes": 1, "host": "north"}]
    assert np.asarray(found.predict(rows)).shape == (1, values_RT.shape[1])


@pytest.mark.parametrize(
    ("changes", "words"),
    [
        ({"split__folds": 70}, r"there must be at least 71 groups|at least \d+ groups"),
        ({"data__targets": ["y_word"]}, r"no column 'y_word'"),
        ({"data__targets": ["y_flat"]}, r"at least one target must have two different values"),
        ({"data__target_range": [0, 0.4]}, r"every target must be in data.target_range, 0 to 0.4"),
    ],
)
def test_what_does_not_fit_is_said(tmp_path: Path, recipe: dict[str, Any], changes: dict[str, Any], words: str) -> None:
    with pytest.raises(DataError, match=words):
        strop.fit(recipe, runs=tmp_path, **changes)


@pytest.fixture(scope="session")
def weak(tmp_path_factory: pytest.TempPathFactory, recipe: dict[str, Any]) -> strop.Run:
    runs = tmp_path_factory.mktemp("weak")
    return strop.fit(recipe, runs=runs, name="weak", seed=1, stages=[{"epochs": 0.2}], data__categorical=None)


def test_runs_are_blended_on_rows_that_all_held_out(run: strop.Run, weak: strop.Run) -> None:
    blended = blend_run_folders([run.folder.path, weak.folder.path])
    assert set(blended.weights) == {"values", "weak"}
    assert sum(blended.weights.values()) == pytest.approx(1.0)
    assert min(blended.weights.values()) >= 0.0
    assert set(blended.predictions.ids) == set(run.predictions.ids) & set(weak.predictions.ids)
    assert [one.other for one in blended.scores.differences] == ["values", "weak"]
    (snapped,) = blended.scores.treated
    lines = blended.lines(blended.scores)
    assert lines[0].startswith("the blend: Spearman correlation ")
    assert [line.split(":")[0] for line in lines[1:]] == [
        "minus values alone",
        "minus weak alone",
        "snapped to each target's grid of values",
    ]
    assert f"a gain of {snapped.gain.value:+.3f}".replace("-", "\N{MINUS SIGN}") in lines[3]


def test_a_saved_blend_predicts_new_rows(run: strop.Run, weak: strop.Run, tmp_path: Path) -> None:
    new = tmp_path / "new.csv"
    new.write_text("title,body,host,votes\nthe dog,python python error loop,west,\n,cat cat page link,north,1\n")
    result = CliRunner().invoke(app, ["blend", str(run.folder.path), str(weak.folder.path), "-o", f"{tmp_path}/both"])
    assert result.exit_code == 0, result.output
    assert "every held-out row was blended and snapped by what was fitted without it" in " ".join(result.output.split())
    out = tmp_path / "out.csv"
    result = CliRunner().invoke(app, ["predict", str(tmp_path / "both"), str(new), "-o", str(out)])
    assert result.exit_code == 0, result.output
    for words in ("'host' in 1 ('west')", "The text part 'title' is missing in 1 of 2 rows", "predicted rows: 2, in"):
        assert words in " ".join(result.output.split()), words
    weights = json.loads((tmp_path / "both" / "blend.json").read_text())["weights"]
    with out.open(encoding="utf-8", newline="") as file:
        rows = list(csv.DictReader(file))
    texts = [{"title": row["title"], "body": row["body"], "host": row["host"], "votes": row["votes"]} for row in rows]
    with pytest.warns(UserWarning, match="The text part 'title' is missing in 1 of 2 rows; it is read as empty"):
        wanted = sum(weights[name] * one.predict(texts) for name, one in (("values", run), ("weak", weak)))
    np.testing.assert_allclose([float(row["predicted_y_words"]) for row in rows], wanted[:, 0], atol=1e-5)
    for row in rows:
        assert float(row["low_y_words"]) <= float(row["predicted_y_words"]) <= float(row["high_y_words"])
        assert "snapped_y_host" in row


def test_a_blend_whose_runs_changed_predicts_nothing(run: strop.Run, weak: strop.Run, tmp_path: Path) -> None:
    for one in (run, weak):
        shutil.copytree(one.folder.path, tmp_path / "runs" / one.folder.path.name)
    paths = [tmp_path / "runs" / name for name in ("values", "weak")]
    blended = replace(blend_run_folders(paths), weights={"values": 0.7, "weak": 0.3})
    blended.save(tmp_path / "runs" / "both")
    # Runs and blend may be moved together.
    (tmp_path / "runs").rename(tmp_path / "elsewhere")
    place = tmp_path / "elsewhere"
    assert SavedBlend.load(place / "both").paths["weak"] == place / "weak"
    shutil.copy(place / "values" / "predictions" / "model.arrow", place / "weak" / "predictions" / "model.arrow")
    with pytest.raises(RunError, match="must be as it was when the weights were fitted") as caught:
        SavedBlend.load(place / "both")
    assert "came: its held-out predictions have changed since" in str(caught.value)
    shutil.rmtree(place / "weak")
    with pytest.raises(RunError, match="every run of a blend must still be where it was, seen from the blend"):
        SavedBlend.load(place / "both")
    (place / "both" / "blend.json").write_text('{"weights": {"values": 1.0}, "n_rows": 3}')
    with pytest.raises(RunError, match="it must say where the runs of the blend lie"):
        SavedBlend.load(place / "both")
    with pytest.raises(RunError, match="a blend needs a folder of its own"):
        blended.save(place / "values")


def test_blends_need_rows_of_two_groups_in_common(run: strop.Run, tmp_path: Path) -> None:
    few = RunFolder(Path(shutil.copytree(run.folder.path, tmp_path / "few")))
    whole = Predictions.load(run.folder.predictions / "model.arrow")
    groups = Dataset.load(run.folder.open_data).select(whole.ids).groups
    whole.select(whole.ids[groups == groups[0]]).save(few.predictions / "model.arrow")
    with pytest.raises(RunError, match="must come from two groups at least\n  came: 2 rows of one group"):
        blend_run_folders([run.folder.path, few.path])
    others = RunFolder(Path(shutil.copytree(few.path, tmp_path / "others")))
    whole.select(whole.ids[groups == groups[-1]]).save(others.predictions / "model.arrow")
    with pytest.raises(RunError, match="must have rows in common\n  came: no row that all of them held out"):
        blend_run_folders([few.path, others.path])


def test_a_blend_is_judged_on_opened_test_rows(tmp_path: Path, recipe: dict[str, Any]) -> None:
    fast = {"stages": [{"epochs": 0.5}], "evaluation__baselines": ["mean"], "split__folds": 2}
    one = strop.fit(recipe, runs=tmp_path, name="one", **fast)
    other = strop.fit(recipe, runs=tmp_path, name="other", **fast, data__numeric=None)
    paths = [one.folder.path, other.folder.path]
    with pytest.raises(RunError, match="must have been opened before runs are blended on it"):
        blend_run_folders(paths, on_test=True)
    one.open_test()
    other.open_test()
    blended = blend_run_folders(paths, on_test=True)
    assert blended.test_scores is not None
    assert blended.test_predictions is not None
    assert blended.test_scores.part == "test"
    sealed = [
        Predictions.load(path / "predictions" / "model.test.sealed.arrow").select(blended.test_predictions.ids)
        for path in paths
    ]
    wanted = sum(blended.weights[path.name] * one.outputs_RL for path, one in zip(paths, sealed, strict=True))
    np.testing.assert_allclose(blended.test_predictions.outputs_RL, wanted, atol=1e-6)
    for run in (one, other):
        assert "was used to blend one, other (opening number 2)" in run.folder.ledger.openings()[-1].what
    blended.save(tmp_path / "both")
    assert (tmp_path / "both" / "scores.test.json").exists()
    blend_run_folders(paths).save(tmp_path / "both")
    assert not (tmp_path / "both" / "scores.test.json").exists()


def test_only_regressions_are_blended(run: strop.Run, finished_run: strop.Run) -> None:
    with pytest.raises(RunError, match="only predicted values are blended") as caught:
        blend_run_folders([run.folder.path, finished_run.folder.path])
    assert "came: a run of the task 'classify'" in str(caught.value)
    with pytest.raises(RunError, match="there must be at least two runs, each named once"):
        blend_run_folders([run.folder.path])


def test_regressions_are_compared_with_each_other_alone(
    run: strop.Run, finished_run: strop.Run, tmp_path: Path, recipe: dict[str, Any]
) -> None:
    stages = [{"epochs": 0.2}]
    strop.fit(recipe, runs=tmp_path, name="weak", stages=stages, evaluation__baselines=["mean"])
    lines = " ".join(compare_run_folders([run.folder.path, tmp_path / "weak"]).lines())
    assert "spearman" in lines
    with pytest.raises(
        RunError, match="runs that are compared must be of the same task\n  came: values: regress, tiny"
    ):
        compare_run_folders([run.folder.path, finished_run.folder.path])


def test_the_report_shows_what_metadata_gained(tmp_path: Path, recipe: dict[str, Any]) -> None:
    fast = {"stages": [{"epochs": 3, "learning_rate": 5e-3}], "evaluation__baselines": ["mean"]}
    strop.fit(recipe, runs=tmp_path, name="with", **fast)
    strop.fit(recipe, runs=tmp_path, name="without", data__categorical=None, data__numeric=None, **fast)
    write_against(tmp_path / "with", [tmp_path / "without"])
    page = write_report(RunFolder(tmp_path / "with")).read_text()
    assert "Against other runs" in page
    assert "data.categorical: [&#39;host&#39;] -&gt; None" in page
    (against,) = json.loads((tmp_path / "with" / "against.json").read_text())
    assert against["difference"]["other"] == "without"
    write_against(tmp_path / "without", [tmp_path / "with"])
    (back,) = json.loads((tmp_path / "without" / "against.json").read_text())
    assert back["difference"]["value"] == pytest.approx(-against["difference"]["value"])
    assert back["difference"]["low"] == pytest.approx(-against["difference"]["high"])
