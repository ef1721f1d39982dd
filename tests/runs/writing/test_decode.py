"""What `strop decode` makes the run's own, and what it leaves alone, with a tiny model that writes."""

import json
import shutil
from pathlib import Path
from typing import Any

import pytest
from typer.testing import CliRunner

import strop
from strop.cli.main import app
from strop.errors import RunError
from strop.inference.cleaning import clean_answers
from strop.recipe.answer import Decoding
from strop.records.answers import Answers
from strop.records.files import read_json
from strop.records.run_folder import RunFolder
from strop.runs.writing.decode import decode_run
from strop.training.watch import Watchers

COLOURS = ("red", "blue", "green")
# Answers are copied from the prompt, whose words this forbids.
HURTFUL = Decoding(repetition_penalty=50.0)
SYSTEMS = ("model", "baseline-zero_shot", "baseline-few_shot")


@pytest.fixture(scope="module")
def recipe(tmp_path_factory: pytest.TempPathFactory, tiny_causal: Path) -> dict[str, Any]:
    """A recipe whose own decoding is a bad one, with enough held-out contexts to see that."""
    lines = [
        {"id": f"q{at}", "context": f"box {at} is {COLOURS[at % 3]}", "question": "colour", "answer": COLOURS[at % 3]}
        for at in range(48)
    ]
    path = tmp_path_factory.mktemp("rows") / "boxes.jsonl"
    path.write_text("".join(json.dumps(line) + "\n" for line in lines))
    return {
        "name": "boxes",
        "task": "answer",
        "data": {
            "path": str(path),
            "text": ["context", "question"],
            "context": "context",
            "answers": "answer",
            "id": "id",
        },
        "split": {"test_fraction": 0.15, "validation_fraction": 0.25},
        "model": {"name": str(tiny_causal), "precision": "float32"},
        "text": {"max_length_tokens": 96},
        "answer": {
            "prompt": {"template": "{{ context }}\n{{ question }}? ", "max_answer_tokens": 8},
            "decoding": HURTFUL.model_dump(mode="json"),
            "decodings": [{"method": "greedy"}],
        },
        "stages": [{"epochs": 12, "learning_rate": 5e-3, "batch_size": 6, "evaluations_per_epoch": 0.05}],
        "evaluation": {"n_bootstrap": 200, "few_shot_rows": 1},
    }


@pytest.fixture(scope="module")
def fitted(recipe: dict[str, Any], tmp_path_factory: pytest.TempPathFactory) -> RunFolder:
    """A finished run that was not decoded; tests work on copies."""
    return strop.fit(recipe, runs=tmp_path_factory.mktemp("runs")).folder


@pytest.fixture
def copied(fitted: RunFolder, tmp_path: Path) -> RunFolder:
    """A copy to be changed."""
    shutil.copytree(fitted.path, tmp_path / "boxes")
    return RunFolder(tmp_path / "boxes")


@pytest.fixture(scope="module")
def changed(fitted: RunFolder, tmp_path_factory: pytest.TempPathFactory) -> RunFolder:
    """A copy whose decoding `strop decode` changed; tests only look at it."""
    path = tmp_path_factory.mktemp("changed") / "boxes"
    shutil.copytree(fitted.path, path)
    decode_run(path)
    return RunFolder(path)


def made(folder: RunFolder) -> dict[str, bytes]:
    """What must be the same in the end, whatever happened on the way."""
    places = [*folder.predictions.rglob("*.arrow"), *folder.scores.glob("*.json"), folder.card]
    places += [folder.path / "decodings.json", folder.model() / "strop.json"]
    return {str(path.relative_to(folder.path)): path.read_bytes() for path in sorted(places) if path.exists()}


def decodings_of(folder: RunFolder) -> set[str]:
    """By which decodings the run's answers are, held-out and sealed, the model's and the baselines'."""
    ends = (".arrow", ".test.sealed.arrow")
    paths = [folder.predictions / f"{system}{end}" for system in SYSTEMS for end in ends]
    paths += [folder.predictions / "folds" / "whole" / path.name for path in paths]
    return {Answers.load(path).made_by["decoding"] for path in paths}


def decisions(folder: RunFolder) -> list[str]:
    return [entry.what for entry in folder.ledger.entries() if entry.station == "decoding"]


def test_a_clearly_better_decoding_becomes_the_runs_own(fitted: RunFolder, changed: RunFolder) -> None:
    assert decodings_of(fitted) == {HURTFUL.name}
    assert decodings_of(changed) == {"greedy"}
    before, after = strop.Run(fitted.path), strop.Run(changed.path)
    assert before.scores.model.metrics["f1"].value < 0.5 < after.scores.model.metrics["f1"].value
    stored = read_json(changed.model() / "strop.json")["preprocessing"]["decoding"]
    assert Decoding.model_validate(stored) == Decoding()
    assert any("also chose the decoding" in caveat for caveat in after.scores.caveats)
    (said,) = decisions(changed)
    assert "'greedy' is clearly better than the recipe's 'greedy repetition_penalty=50' (+" in said
    assert said.endswith("so the run's answers are by 'greedy'")
    assert not changed.ledger.openings()
    assert not (changed.scores / "test.json").exists()


def test_baselines_are_asked_as_the_model_is(changed: RunFolder) -> None:
    scores = strop.Run(changed.path).scores
    names = {one.other for one in scores.differences}
    assert names == {"zero_shot", "few_shot"}
    kept = changed.predictions / "decodings" / "greedy" / "whole"
    for name in names:
        greedy = Answers.load(kept / f"baseline-{name}.held-out.arrow")
        hurt = Answers.load(
            kept.parent.parent / "greedy-repetition_penalty=50" / "whole" / f"baseline-{name}.held-out.arrow"
        )
        assert Answers.load(changed.predictions / f"baseline-{name}.arrow").text_R.tolist() == greedy.text_R.tolist()
        assert hurt.text_R.tolist() != greedy.text_R.tolist()


def test_card_and_report_say_the_runs_decoding(fitted: RunFolder, changed: RunFolder) -> None:
    assert "Answers are decoded by `greedy repetition_penalty=50`" in fitted.card.read_text()
    assert "Answers are decoded by `greedy`." in changed.card.read_text()
    page = changed.report.read_text()
    assert "is clearly better than the recipe&#39;s" in page
    assert "<bdi>greedy</bdi> <small>(the run's)</small>" in page
    assert "<bdi>greedy repetition_penalty=50</bdi> <small>(the recipe's)</small>" in page


def test_what_was_chosen_answers_new_rows(changed: RunFolder) -> None:
    run = strop.Run(changed.path)
    held = run.predictions
    assert isinstance(held, Answers)
    rows = {row["id"]: row for row in map(json.loads, Path(run.recipe.data.path).read_text().splitlines())}
    assert run.recipe.answer is not None
    expected = clean_answers(held, run.recipe.answer.cleaning)[0].text_R.tolist()
    assert run.predict([rows[row_id] for row_id in held.ids]) == expected


def test_sealed_answers_are_those_that_are_scored(copied: RunFolder) -> None:
    decode_run(copied.path)
    scores = strop.Run(copied.path).open_test()
    sealed = Answers.load(copied.predictions / "model.test.sealed.arrow")
    assert sealed.made_by["decoding"] == "greedy"
    by_hand = [
        COLOURS[int(row_id[1:]) % 3] == text.strip() for row_id, text in zip(sealed.ids, sealed.text_R, strict=True)
    ]
    assert scores.model.metrics["exact_match"].value == pytest.approx(sum(by_hand) / len(by_hand))


def test_a_person_chooses_and_goes_back(fitted: RunFolder, copied: RunFolder) -> None:
    decode_run(copied.path)
    by_rule = made(copied)
    decoded = decode_run(copied.path, choose=HURTFUL.name)
    assert (decoded.own, decoded.chosen) == (HURTFUL.name, HURTFUL.name)
    assert "'greedy repetition_penalty=50' was chosen by hand" in decisions(copied)[-1]
    assert "Answers are decoded by `greedy repetition_penalty=50`" in copied.card.read_text()
    back, untouched = made(copied), made(fitted)
    same = [name for name in untouched if name.startswith(("predictions", "scores"))]
    assert len(same) == 13
    assert {name: back[name] for name in same} == {name: untouched[name] for name in same}
    assert read_json(copied.model() / "strop.json")["preprocessing"]["decoding"]["repetition_penalty"] == 50
    decode_run(copied.path)
    assert made(copied) == by_rule
    assert len(decisions(copied)) == 3


def test_what_was_compared_once_can_be_chosen_later(copied: RunFolder) -> None:
    further = Decoding(method="beams", n_beams=2)
    decode_run(copied.path, also=[further])
    decoded = decode_run(copied.path, choose=further.name)
    assert decoded.chosen == "beams n_beams=2"
    assert [one.system for one in decoded.scores.baselines] == ["greedy", "beams n_beams=2"]
    assert decodings_of(copied) == {"beams n_beams=2"}


def test_unknown_names_are_refused_with_those_that_there_are(copied: RunFolder) -> None:
    with pytest.raises(RunError) as caught:
        decode_run(copied.path, choose="greedi")
    (problem,) = caught.value.problems
    assert (problem.where, problem.came) == ("--choose", "greedi")
    assert problem.must == "the decoding must be one of those that are compared"
    assert problem.do == "give one of 'greedy repetition_penalty=50', 'greedy'; --also compares another"
    assert not (copied.path / "decodings.json").exists()


def test_after_the_test_part_was_opened_nothing_is_changed(copied: RunFolder) -> None:
    strop.Run(copied.path).open_test()
    before = made(copied)
    decoded = decode_run(copied.path)
    after = made(copied)
    assert decoded.chosen == decoded.own == HURTFUL.name
    assert decodings_of(copied) == {HURTFUL.name}
    same = [name for name in before if name != "README.md"]
    assert {name: after[name] for name in same} == {name: before[name] for name in same}
    assert (copied.path / "decodings.json").exists()
    assert not list(copied.predictions.glob("decodings/greedy/whole/*sealed*"))
    (said,) = decisions(copied)
    for words in (
        "'greedy' is clearly better",
        "the test part was opened before, so the run keeps 'greedy repetition_penalty=50'",
        "to use 'greedy', fit a new run whose recipe has 'greedy' as answer.decoding",
    ):
        assert words in said
        assert words in decoded.why
    assert "the test part was opened before, so the run keeps" in copied.report.read_text()
    with pytest.raises(RunError) as caught:
        decode_run(copied.path, choose="greedy")
    (problem,) = caught.value.problems
    assert problem.must == "a decoding is chosen before the test part is opened"
    assert "opened 1 time while the run had 'greedy repetition_penalty=50'" in problem.came
    assert problem.do.startswith("fit a new run whose recipe has 'greedy' as answer.decoding")
    assert decode_run(copied.path, choose=HURTFUL.name).chosen == HURTFUL.name


class StopHereError(Exception):
    """A kill."""


class Stopper(Watchers):
    """Stops where a station of this name begins."""

    def __init__(self, name: str) -> None:
        super().__init__()
        self.name = name

    def station_began(self, name: str) -> None:
        if name == self.name:
            raise StopHereError


def test_a_killed_command_goes_on_to_the_same_bytes(copied: RunFolder, changed: RunFolder) -> None:
    for name in ("validation by greedy", "test by greedy", "baseline zero_shot", "baseline few_shot"):
        with pytest.raises(StopHereError):
            decode_run(copied.path, watcher=Stopper(name))
        # What is half done does not touch what the run has.
        assert decodings_of(copied) == {HURTFUL.name}
    decode_run(copied.path)
    assert made(copied) == made(changed)
    assert len(decisions(copied)) == 1


def test_a_change_that_was_stopped_half_way_is_said_and_ended(copied: RunFolder, changed: RunFolder) -> None:
    decode_run(copied.path)
    decode_run(copied.path, choose=HURTFUL.name)
    # All is answered by both. Where a file is gone the change stops when answers have changed places already.
    about = copied.model() / "strop.json"
    content = about.read_bytes()
    about.unlink()
    with pytest.raises(RunError, match="the file must exist"):
        decode_run(copied.path)
    assert len(decodings_of(copied)) == 2
    about.write_bytes(content)
    run = strop.Run(copied.path)
    for ask in (run.open_test, lambda: run.scores, lambda: run.predict([{"context": "", "question": ""}])):
        with pytest.raises(
            RunError, match=r"came: a change to 'greedy' that was stopped half way\n  do: .*`strop decode`"
        ):
            ask()
    assert not copied.ledger.openings()
    decode_run(copied.path)
    assert made(copied) == made(changed)
    assert len(decisions(copied)) == 3


def test_lost_answers_are_made_again_by_the_runs_decoding(copied: RunFolder, changed: RunFolder, recipe: Any) -> None:
    decode_run(copied.path)
    shutil.rmtree(copied.predictions / "folds")
    (copied.predictions / "model.arrow").unlink()
    strop.fit(recipe, runs=copied.path.parent)
    assert decodings_of(copied) == {"greedy"}
    assert strop.Run(copied.path).scores == strop.Run(changed.path).scores


def test_folds_change_together(recipe: dict[str, Any], tmp_path: Path) -> None:
    asked = {**recipe, "split": {"folds": 2, "test_fraction": 0.2}}
    folder = strop.fit(asked, runs=tmp_path, evaluation__baselines=["zero_shot"]).folder
    decoded = decode_run(folder.path)
    assert decoded.chosen == "greedy"
    paths = [*folder.predictions.glob("*.arrow"), *folder.predictions.glob("folds/*/*.arrow")]
    assert len(paths) == 4 + 8
    assert {Answers.load(path).made_by.get("decoding", "greedy") for path in paths} == {"greedy"}
    stored = [read_json(folder.model(name) / "strop.json")["preprocessing"]["decoding"] for name in ("0", "1")]
    assert stored[0] == stored[1]


def test_the_command_says_what_was_chosen_and_why(copied: RunFolder) -> None:
    shown = CliRunner().invoke(app, ["decode", str(copied.path)])
    assert shown.exit_code == 0, shown.output
    assert "the run's decoding: greedy\n" in shown.output
    assert "'greedy' is clearly better than the recipe's" in shown.output
    shown = CliRunner().invoke(app, ["decode", str(copied.path), "--choose", HURTFUL.name])
    assert f"the run's decoding: {HURTFUL.name} (the recipe's own)\n" in shown.output
