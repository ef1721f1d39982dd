"""Votes on answers of several runs, folds, checkpoints and decodings; and their answers to new rows."""

import json
import shutil
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import pytest
from typer.testing import CliRunner

import strop
from strop.cli.main import app
from strop.data.read import read_new_rows
from strop.ensembling.answer_vote import How, vote_as
from strop.errors import RecipeError, RunError
from strop.inference.cleaning import clean_answers
from strop.records.answers import Answers
from strop.records.dataset import Dataset
from strop.runs.several.saved_answer_ensemble import SavedAnswerEnsemble, load_ensemble
from strop.runs.several.vote_answers import ANSWER_HOWS, vote_on_answers
from strop.runs.writing.decode import decode_run

COLOURS = ("red", "blue", "green")
ASKED = ("which colour", "what is it")
BEAMS = {"method": "beams", "n_beams": 2, "n_candidates": 2}
SAMPLES = {"method": "sample", "temperature": 1.5, "n_candidates": 2}


def boxes(path: Path, *, word: str = "box", n_boxes: int = 12, shift: int = 0) -> Path:
    """Rows with the same ids, whatever is asked about; accepted answers are a number of colours further."""
    rows = [
        {
            "id": f"q{at}-{number}",
            "context": f"{word} {at} is {COLOURS[at % 3]}",
            "question": question,
            "answers": [COLOURS[(at + shift) % 3]],
        }
        for at in range(n_boxes)
        for number, question in enumerate(ASKED)
    ]
    path.write_text("".join(json.dumps(row) + "\n" for row in rows))
    return path


@pytest.fixture(scope="module")
def recipe(tmp_path_factory: pytest.TempPathFactory, tiny_causal: Path) -> dict[str, Any]:
    """A recipe that fits in a second or two, and learns little."""
    return {
        "name": "one",
        "task": "answer",
        "data": {
            "path": str(boxes(tmp_path_factory.mktemp("data") / "boxes.jsonl")),
            "text": ["context", "question"],
            "context": "context",
            "answers": "answers",
            "id": "id",
        },
        "model": {"name": str(tiny_causal), "precision": "float32"},
        "text": {"max_length_tokens": 96},
        "split": {"test_fraction": 0.25, "validation_fraction": 0.25},
        "answer": {
            "prompt": {"template": "{{ context }}\n{{ question }}? ", "max_answer_tokens": 6},
            "cleaning": {"first_line": True, "strip": "."},
            "decodings": [BEAMS, {"repetition_penalty": 1.5}],
        },
        "stages": [{"epochs": 2, "learning_rate": 5e-3, "batch_size": 6}],
        "evaluation": {"n_bootstrap": 100, "baselines": []},
    }


@pytest.fixture(scope="module")
def runs(recipe: dict[str, Any], tmp_path_factory: pytest.TempPathFactory) -> list[Path]:
    """Two runs of the same rows; the second gives two candidates a row, and its decodings were compared."""
    folder = tmp_path_factory.mktemp("runs")
    strop.fit(recipe, runs=folder)
    strop.fit(recipe, runs=folder, name="two", answer__decoding=SAMPLES, stages__0__learning_rate=1e-2)
    decode_run(folder / "two")
    return [folder / "one", folder / "two"]


@pytest.fixture(scope="module")
def folded(recipe: dict[str, Any], tmp_path_factory: pytest.TempPathFactory) -> list[Path]:
    """Two runs with the same two folds whose test parts were opened."""
    folder = tmp_path_factory.mktemp("folded")
    for name, rate in (("slow", 1e-3), ("quick", 1e-2)):
        strop.fit(recipe, runs=folder, name=name, split__folds=2, stages__0__learning_rate=rate).open_test()
    return [folder / "slow", folder / "quick"]


@pytest.fixture
def new_rows(tmp_path: Path) -> Path:
    return boxes(tmp_path / "new.jsonl", n_boxes=5)


def cleaned(run: Path, file: Path) -> Answers:
    """Answers of a run after the cleaning of its recipe."""
    answering = strop.Run(run).recipe.answer
    assert answering is not None
    return clean_answers(Answers.load(file), answering.cleaning)[0]


def texts(answers: Answers) -> list[str]:
    return list(answers.text_R.tolist())


def answered_anew(place: Path, path: Path) -> tuple[SavedAnswerEnsemble, Answers]:
    """A saved vote, and what it answers."""
    ensemble = load_ensemble(place)
    assert isinstance(ensemble, SavedAnswerEnsemble)
    return ensemble, ensemble.predict_rows(read(ensemble.runs, path))


def read(runs: Mapping[Path, strop.Run], path: Path) -> dict[Path, Dataset]:
    return {
        place: read_new_rows(path, run.recipe.data, normalize=run.recipe.text.normalize).dataset
        for place, run in runs.items()
    }


def answers_of(runs: list[Path], path: Path) -> dict[str, Answers]:
    """What every run answers by itself."""
    return {place.name: strop.Run(place).answer_rows(read({place: strop.Run(place)}, path)[place]) for place in runs}


def test_two_runs_vote(runs: list[Path], tmp_path: Path) -> None:
    found = vote_on_answers(runs)
    assert list(found.weights) == ["one", "two"]
    assert sum(found.weights.values()) == pytest.approx(1.0)
    said = {path.name: cleaned(path, path / "predictions" / "model.arrow") for path in runs}
    assert said["two"].n_candidates == 2 or said["two"].made_by["decoding"].startswith("greedy")
    votes = vote_as("soft", said, "squad", found.weights)
    assert texts(found.answers["validation"]) == texts(votes)
    assert {one.system for one in found.held_out["soft"].baselines} == {"one", "two"}
    assert any("the best single voter was chosen on these rows" in one for one in found.held_out["soft"].caveats)
    found.save(tmp_path / "vote")
    content = json.loads((tmp_path / "vote" / "ensemble.json").read_text())
    assert (content["how"], set(content["held_out"]), content["test"]) == ("soft", set(ANSWER_HOWS), None)
    assert texts(Answers.load(tmp_path / "vote" / "answers.arrow")) == texts(votes)


@pytest.mark.parametrize("how", ANSWER_HOWS)
def test_a_saved_vote_answers_new_rows(how: How, runs: list[Path], tmp_path: Path, new_rows: Path) -> None:
    found = vote_on_answers(runs, how=how)
    found.save(tmp_path / "vote")
    _, votes = answered_anew(tmp_path / "vote", new_rows)
    expected = vote_as(how, answers_of(runs, new_rows), "squad", found.weights)
    assert texts(votes) == texts(expected)
    assert votes.ids.tolist() == expected.ids.tolist()
    if how == "weighted":
        # A vote of one voter is what that voter says; the other need not be there.
        path = tmp_path / "vote" / "ensemble.json"
        path.write_text(json.dumps({**json.loads(path.read_text()), "weights": {"one": 1.0, "two": 0.0}}))
        ensemble, votes = answered_anew(tmp_path / "vote", new_rows)
        assert list(ensemble.voters) == ["one"]
        assert texts(votes) == texts(answers_of(runs[:1], new_rows)["one"])


def test_decodings_of_a_run_vote_on_new_rows(runs: list[Path], tmp_path: Path, new_rows: Path) -> None:
    found = vote_on_answers(runs[1:], how="hard", of_decodings=True)
    names = ["two beams n_beams=2 n_candidates=2", "two greedy repetition_penalty=1.5"]
    assert sorted(found.weights) == [*names, "two sample temperature=1.5 n_candidates=2"]
    found.save(tmp_path / "vote")
    ensemble, votes = answered_anew(tmp_path / "vote", new_rows)
    answering = strop.Run(runs[1]).recipe.answer
    assert answering is not None
    decodings = {one.name: one for one in (*answering.decodings, answering.decoding)}
    assert {voter.decoding for voter in ensemble.voters.values()} == set(decodings.values())
    assert votes.n_rows == 10
    path = tmp_path / "vote" / "ensemble.json"
    content = json.loads(path.read_text())
    # One decoding alone says what a run with this decoding says.
    chosen = f"two {strop.Run(runs[1]).predictions.made_by['decoding']}"
    path.write_text(
        json.dumps(
            {**content, "voters": {chosen: content["voters"][chosen]}, "weights": {chosen: 1.0}, "how": "weighted"}
        )
    )
    _, votes = answered_anew(tmp_path / "vote", new_rows)
    own = answers_of(runs[1:], new_rows)
    assert texts(votes) == texts(vote_as("weighted", own, "squad", {"two": 1.0}))


def test_decodings_vote_on_test_rows_only_where_all_answered_them(runs: list[Path], tmp_path: Path) -> None:
    copy = Path(shutil.copytree(runs[1], tmp_path / "two"))
    strop.Run(copy).open_test()
    n_before = len(strop.Run(copy).folder.ledger.openings())
    with pytest.raises(RunError, match="a decoding that votes on test rows must have answered them"):
        vote_on_answers([copy], of_decodings=True, on_test=True)
    assert len(strop.Run(copy).folder.ledger.openings()) == n_before


def test_runs_of_other_rows_do_not_vote(runs: list[Path], recipe: dict[str, Any], tmp_path: Path) -> None:
    changed = boxes(tmp_path / "changed.jsonl", word="bag", shift=1)
    other = strop.fit(
        recipe, runs=tmp_path, name="other", data__path=str(changed), evaluation__answer_rules="korquad",
        evaluation__primary_metric="exact_match", answer__prompt__no_answer="nothing",
    )  # fmt: skip
    held_out = Answers.load(other.folder.predictions / "model.arrow").ids.tolist()
    assert set(held_out) == set(strop.Run(runs[0]).predictions.ids.tolist())
    with pytest.raises(RunError) as caught:
        vote_on_answers([runs[0], other.folder.path])
    problems = caught.value.problems
    assert all(problem.where == "one and other" for problem in problems)
    assert [problem.must for problem in problems] == [
        "runs must agree on the true answers of every shared row",
        "runs that vote together must have read the same text in the column 'context'",
        "runs that vote together must have the same evaluation.primary_metric",
        "runs that vote together must have the same evaluation.answer_rules",
        "runs that vote together must have the same answer.prompt.no_answer",
    ]
    assert problems[1].came.startswith(f"{len(held_out)} rows differ, for example q")
    assert problems[3].came == "'squad' and 'korquad'"
    assert problems[4].came == "none and 'nothing'"


def test_other_held_out_rows_are_refused(runs: list[Path], folded: list[Path]) -> None:
    with pytest.raises(RunError, match="voters must have answered the same rows"):
        vote_on_answers([runs[0], folded[0]])


def test_checkpoints_vote(runs: list[Path], tmp_path: Path) -> None:
    place = runs[0] / "stages" / "0-complete" / "predictions"
    steps = sorted(place.glob("step-*.arrow"))
    assert len(steps) == 2
    found = vote_on_answers(runs[:1], how="hard", of_checkpoints=True)
    assert list(found.weights) == [f"one {step.stem}" for step in steps]
    said = {step.stem: cleaned(runs[0], step) for step in steps}
    assert texts(found.answers["validation"]) == texts(vote_as("hard", said, "squad", {}))
    single = vote_on_answers([steps[0], runs[1]])
    assert list(single.weights) == [f"one {steps[0].stem}", "two"]
    assert any("single checkpoints were named" in caveat for caveat in single.held_out["soft"].caveats)
    for name, one in (("all", found), ("one", single)):
        one.save(tmp_path / name)
        with pytest.raises(RunError, match="only models that a run chose vote on new rows"):
            load_ensemble(tmp_path / name)
    with pytest.raises(RunError, match="checkpoints vote on held-out rows alone"):
        vote_on_answers(runs, of_checkpoints=True, on_test=True)
    with pytest.raises(RunError, match="checkpoints answered by the decoding of the recipe alone"):
        vote_on_answers(runs, of_checkpoints=True, of_decodings=True)


def test_checkpoints_of_folds_vote_on_every_row(folded: list[Path]) -> None:
    found = vote_on_answers(folded[:1], of_checkpoints=True)
    assert list(found.weights) == ["slow evaluation 1", "slow evaluation 2"]
    assert found.answers["out of fold"].ids.tolist() == strop.Run(folded[0]).predictions.ids.tolist()


def test_single_folds_vote_on_the_rows_that_they_held_out(folded: list[Path], tmp_path: Path, new_rows: Path) -> None:
    found = vote_on_answers([path / "folds" / "1" for path in folded], how="hard")
    said = {
        f"{path.name} fold 1": cleaned(path, path / "predictions" / "folds" / "1" / "model.arrow") for path in folded
    }
    assert texts(found.answers["out of fold"]) == texts(vote_as("hard", said, "squad", {}))
    found.save(tmp_path / "vote")
    ensemble, votes = answered_anew(tmp_path / "vote", new_rows)
    assert list(ensemble.voters) == ["slow fold 1", "quick fold 1"]
    assert votes.n_rows == 10
    with pytest.raises(RunError, match="there must be rows that all voters held out"):
        vote_on_answers([folded[0] / "folds" / "0", folded[0] / "folds" / "1"])


def test_every_fold_has_a_vote_on_test_rows(folded: list[Path], tmp_path: Path, new_rows: Path) -> None:
    with pytest.raises(RunError, match="the folds of a run vote together on test rows alone"):
        vote_on_answers(folded, of_folds=True)
    copies = [Path(shutil.copytree(path, tmp_path / path.name)) for path in folded]
    found = vote_on_answers(copies, how="weighted", of_folds=True, on_test=True)
    each = {
        f"{path.name} fold {fold}": cleaned(path, path / "predictions" / "folds" / fold / "model.test.sealed.arrow")
        for path in copies
        for fold in ("0", "1")
    }
    weights = {name: found.weights[name.split()[0]] / 2 for name in each}
    assert texts(found.answers["test"]) == texts(vote_as("weighted", each, "squad", weights))
    assert {one.system for one in found.test["weighted"].baselines} == {*each, "slow", "quick"}
    assert len(strop.Run(copies[0]).folder.ledger.openings()) == 2

    alone = vote_on_answers(copies[:1], how="hard", of_folds=True, on_test=True)
    assert alone.weights == {"slow": 1.0}
    assert any("on these rows a run has one vote" in caveat for caveat in alone.held_out["hard"].caveats)
    alone.save(tmp_path / "vote")
    _, votes = answered_anew(tmp_path / "vote", new_rows)
    # A vote of the folds is what the run says.
    assert texts(votes) == texts(answers_of(copies[:1], new_rows)["slow"])


def test_what_cannot_vote_any_more_is_said(runs: list[Path], tmp_path: Path) -> None:
    copies = [Path(shutil.copytree(path, tmp_path / path.name)) for path in runs]
    vote_on_answers(copies).save(tmp_path / "vote")
    shutil.move(copies[0], tmp_path / "gone")
    (copies[1] / "predictions" / "model.arrow").write_bytes(b"x")
    with pytest.raises(RunError) as caught:
        load_ensemble(tmp_path / "vote")
    assert "every run of an ensemble must still be where it was" in str(caught.value)
    assert "its held-out predictions have changed" in str(caught.value)


def test_runs_vote_and_answer_on_the_command_line(runs: list[Path], tmp_path: Path, new_rows: Path) -> None:
    def strop_(*arguments: object) -> str:
        done = CliRunner().invoke(app, [str(one) for one in arguments], catch_exceptions=False)
        assert done.exit_code == 0, done.output
        return done.output

    shown = strop_("ensemble", *runs, "-o", tmp_path / "vote")
    for words in ("soft vote: ", "hard vote: ", "weighted vote: ", "; minus ", "weight of two in the weighted vote: "):
        assert words in shown, words
    assert {path.name for path in (tmp_path / "vote").iterdir()} == {"ensemble.json", "answers.arrow", "scores.json"}
    strop_("predict", tmp_path / "vote", new_rows, "-o", tmp_path / "answered.jsonl")
    answered = [json.loads(line) for line in (tmp_path / "answered.jsonl").read_text().splitlines()]
    expected = vote_as("soft", answers_of(runs, new_rows), "squad", {})
    assert [row["predicted"] for row in answered] == texts(expected)
    assert {"log_likelihood", "ended"} <= set(answered[0])
    assert "step-" in strop_("ensemble", runs[0], "--checkpoints")


def test_options_that_do_nothing_are_refused(
    runs: list[Path], finished_run: strop.Run, tmp_path: Path, new_rows: Path
) -> None:
    vote_on_answers(runs).save(tmp_path / "vote")
    arguments = ["predict", tmp_path / "vote", new_rows, "-o", tmp_path / "out.csv", "--server", "http://localhost/v1"]
    done = CliRunner().invoke(app, [str(one) for one in arguments])
    assert isinstance(done.exception, RecipeError)
    assert "only a run of the task 'answer' is answered by a server" in str(done.exception)
    arguments = ["ensemble", finished_run.folder.path, runs[0], "--decodings"]
    done = CliRunner().invoke(app, [str(one) for one in arguments])
    assert isinstance(done.exception, RunError)
    assert "only the task 'answer' has decodings" in str(done.exception)
    with pytest.raises(RunError, match="runs that vote together must be of one task\n  came: a run of the task 'cla"):
        vote_on_answers([runs[0], finished_run.folder.path])
