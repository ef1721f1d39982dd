"""New questions are answered by a server in place of this process, through the library and the command line."""

import csv
import json
import shutil
from pathlib import Path
from typing import Any

import pytest
import torch
from typer.testing import CliRunner, Result

import strop
from strop.cli.main import app
from strop.data.read import NewRows, read_new_rows
from strop.errors import MachineError, RecipeError
from strop.models.causal import load_causal
from strop.models.locate import locate_model
from strop.models.trained import set_decoding
from strop.recipe.answer import Decoding, Server
from strop.recipe.load import dump_recipe, resolve
from strop.recipe.sections import Adapter
from strop.runs.label import labelled_columns
from strop.runs.writing.train import _on_serving
from strop.testing.answer_server import AnswerServer, Request, choices, echo
from strop.testing.literature_server import Reply

COLOURS = ("red", "blue", "green")
QUESTIONS = ("which colour", "what is it")
LONG = " ".join(f"box {at} is {COLOURS[at % 3]}." for at in range(9))
BEAMS = Decoding(method="beams", n_beams=2)
UNFINISHED = "2 of 2 answers were stopped at the longest length (see 'ended')"


def write_questions(path: Path, contexts: list[str]) -> Path:
    """Two questions on every context, as SQuAD writes them."""
    articles = []
    for at, context in enumerate(contexts):
        colour = next(word for word in COLOURS if word in context)
        answer = {"text": colour, "answer_start": context.index(colour)}
        questions = [
            {"id": f"q{at}-{number}", "question": words, "answers": [answer]} for number, words in enumerate(QUESTIONS)
        ]
        articles.append({"title": f"box {at}", "paragraphs": [{"context": context, "qas": questions}]})
    path.write_text(json.dumps({"version": "1.1", "data": articles}))
    return path


@pytest.fixture(scope="module")
def recipe(tmp_path_factory: pytest.TempPathFactory, tiny_causal: Path) -> dict[str, Any]:
    """A recipe that fits in seconds; long contexts are read in windows."""
    contexts = [f"box {at} is {COLOURS[at % 3]}" for at in range(12)]
    return {
        "name": "boxes",
        "task": "answer",
        "data": {
            "path": str(write_questions(tmp_path_factory.mktemp("squad") / "boxes.json", contexts)),
            "text": ["context", "question"],
            "context": "context",
            "answers": "answers",
            "id": "id",
        },
        "model": {"name": str(tiny_causal), "precision": "float32"},
        "text": {"max_length_tokens": 64},
        "answer": {
            "prompt": {
                "template": "{{ context }}\n{{ question }}? ",
                "max_answer_tokens": 8,
                "when_too_long": "windows",
            },
            "cleaning": {"first_line": True},
        },
        "stages": [{"epochs": 1, "batch_size": 6}],
        "evaluation": {"n_bootstrap": 200, "baselines": ["zero_shot"]},
    }


@pytest.fixture(scope="module")
def fitted(recipe: dict[str, Any], tmp_path_factory: pytest.TempPathFactory) -> strop.Run:
    return strop.fit(recipe, runs=tmp_path_factory.mktemp("runs"))


@pytest.fixture
def run(fitted: strop.Run, tmp_path: Path) -> strop.Run:
    """A finished run of the test's own."""
    return strop.Run(shutil.copytree(fitted.folder.path, tmp_path / "boxes"))


@pytest.fixture
def rows(tmp_path: Path) -> Path:
    """Two questions on one short context."""
    return write_questions(tmp_path / "new.json", ["box 0 is red"])


def read(run: strop.Run, rows: Path) -> NewRows:
    return read_new_rows(rows, run.recipe.data, normalize=run.recipe.text.normalize)


def predict(run: strop.Run, rows: Path, *options: str) -> Result:
    arguments = ["predict", str(run.folder.path), str(rows), "-o", str(rows.with_name("out.csv")), *options]
    return CliRunner(env={"COLUMNS": "200"}).invoke(app, arguments)


def predicted(rows: Path) -> list[str]:
    with rows.with_name("out.csv").open(encoding="utf-8-sig", newline="") as file:
        return [row["predicted"] for row in csv.DictReader(file)]


def notes_of(run: strop.Run) -> list[str]:
    return [entry.what for entry in run.folder.ledger.entries() if entry.station == "prediction"]


def dying(request: Request) -> Reply:
    """Answers one of the two questions."""
    return echo(request) if "which" in request.prompt else Reply(b"<html>bad gateway</html>", status=400)


def test_a_server_answers_new_questions(run: strop.Run, rows: Path, tmp_path: Path) -> None:
    new, kept = read(run, rows), tmp_path / "kept.jsonl"
    with AnswerServer() as served:
        server = Server(url=served.url, model="tiny")
        columns, notes = labelled_columns(run, new, server=server, kept=kept)
        # The prompts that were trained on: without the space at their end, which is learnt with the answer.
        assert sorted(served.prompts()) == ["box 0 is red\nwhat is it?", "box 0 is red\nwhich colour?"]
        with pytest.raises(RecipeError, match="came: prompts made by a template"):
            labelled_columns(run, new, server=server.model_copy(update={"interface": "chat"}), kept=kept)
    assert columns["predicted"] == ["BOX 0 IS RED", "BOX 0 IS RED"]  # the recipe keeps the first line
    assert notes == []


def test_a_server_that_died_is_asked_for_the_rest(run: strop.Run, rows: Path, tmp_path: Path) -> None:
    new, kept = read(run, rows), tmp_path / "kept.jsonl"
    with AnswerServer(dying) as served:
        server = Server(url=served.url, model="tiny", n_attempts=1)
        with pytest.raises(MachineError, match="1 of 2 prompts have no answer: row 'q0-1': HTTP 400"):
            labelled_columns(run, new, server=server, kept=kept)
        served.answer = echo
        served.requests.clear()
        columns, _ = labelled_columns(run, new, server=server, kept=kept)
        assert served.prompts() == ["box 0 is red\nwhat is it?"]
    assert columns["predicted"] == ["BOX 0 IS RED", "BOX 0 IS RED"]


def test_kept_answers_are_those_of_one_server_and_of_the_model_s_weights(
    run: strop.Run, rows: Path, tmp_path: Path
) -> None:
    new, kept = read(run, rows), tmp_path / "kept.jsonl"
    with AnswerServer() as served, AnswerServer() as other:
        server = Server(url=served.url, model="tiny")
        for n_requests in (2, 2):
            labelled_columns(run, new, server=server, kept=kept)
            assert len(served.requests) == n_requests
        labelled_columns(run, new, server=server.model_copy(update={"url": other.url}), kept=kept)
        assert len(other.requests) == 2
        (weights,) = run.folder.model().glob("*.safetensors")
        weights.write_bytes(weights.read_bytes()[:-1] + b"\x01")
        labelled_columns(run, new, server=server, kept=kept)
        assert len(served.requests) == 4


def test_the_command_line_asks_a_server_every_time(run: strop.Run, rows: Path) -> None:
    with AnswerServer() as served:
        for n_requests in (2, 4):
            done = predict(run, rows, "--server", served.url, "--served-model", "mine")
            assert done.exit_code == 0, done.exception
            assert "predicted rows: 2" in done.stdout
            assert len(served.requests) == n_requests
        assert {request.body["model"] for request in served.requests} == {"mine"}
    assert predicted(rows) == ["BOX 0 IS RED", "BOX 0 IS RED"]
    assert not list(rows.parent.glob("*.answers.jsonl"))


def test_the_same_command_goes_on_where_the_server_died(run: strop.Run, rows: Path) -> None:
    kept = rows.with_name("out.csv.answers.jsonl")
    with AnswerServer(dying) as served:
        stopped = predict(run, rows, "--server", served.url)
        assert isinstance(stopped.exception, MachineError)
        assert f"the 1 answers that came are kept in {kept}" in str(stopped.exception)
        assert kept.exists()
        assert not rows.with_name("out.csv").exists()
        served.answer = echo
        served.requests.clear()
        done = predict(run, rows, "--server", served.url)
        assert done.exit_code == 0, done.exception
        assert served.prompts() == ["box 0 is red\nwhat is it?"]
    assert predicted(rows) == ["BOX 0 IS RED", "BOX 0 IS RED"]
    assert not kept.exists()


def test_without_a_name_the_model_is_called_as_the_run_is(run: strop.Run, rows: Path) -> None:
    with AnswerServer() as served:
        assert predict(run, rows, "--server", served.url).exit_code == 0
        assert {request.body["model"] for request in served.requests} == {"boxes"}
    with AnswerServer(lambda _: choices({"text": "x"}, model="another")) as served:
        done = predict(run, rows, "--server", served.url)
    assert "the model 'another' answered, where 'boxes' was asked" in str(done.exception)


@pytest.mark.parametrize(
    ("options", "words"),
    [
        (["--server", "localhost:8000"], "--server: it must be an address like http://localhost:8000/v1"),
        (["--served-model", "mine"], "--served-model: a model's name belongs to a server"),
        (["--decoding", "{method: best}"], "--decoding.method: it must be a decoding"),
    ],
)
def test_what_is_no_server_and_no_decoding_is_said(run: strop.Run, rows: Path, options: list[str], words: str) -> None:
    done = predict(run, rows, *options)
    assert isinstance(done.exception, RecipeError)
    assert words in str(done.exception)
    assert not rows.with_name("out.csv").exists()


@pytest.mark.parametrize("writes", [False, True])
def test_a_classifier_is_asked_by_no_server(
    finished_run: strop.Run, tiny_recipe: dict[str, Any], tiny_rows: Path, writes: bool, tmp_path: Path
) -> None:
    copied = strop.Run(shutil.copytree(finished_run.folder.path, tmp_path / "classifier"))
    if writes:
        prompt = {"template": "{{ text }}: ", "max_answer_tokens": 8}
        content = {**tiny_recipe, "answer": {"prompt": prompt}, "stages": [{"epochs": 1}]}
        copied.folder.recipe.write_text(dump_recipe(resolve(content)))
    rows = tmp_path / "new.csv"
    rows.write_bytes(tiny_rows.read_bytes())
    done = predict(copied, rows, "--server", "http://localhost:1/v1", "--decoding", "{method: greedy}")
    assert isinstance(done.exception, RecipeError)
    assert [problem.where for problem in done.exception.problems] == ["--server", "--decoding"]
    assert done.exception.problems[0].came == "a run of the task 'classify'"


def test_a_run_of_beams_is_served_by_another_decoding(run: strop.Run, rows: Path) -> None:
    set_decoding(run.folder.model(), BEAMS)
    note = "the answers are by the decoding 'greedy'; the run was judged by 'beams n_beams=2'"
    with AnswerServer() as served:
        refused = predict(run, rows, "--server", served.url)
        assert 'strop predict --decoding "{method: greedy}"' in str(refused.exception)
        assert served.requests == []
        done = predict(run, rows, "--server", served.url, "--decoding", "{method: greedy}")
        assert done.exit_code == 0, done.exception
        assert f"note: {note}" in done.stdout
        assert [request.body["temperature"] for request in served.requests] == [0.0, 0.0]
    assert notes_of(run) == [note]


def test_another_decoding_answers_in_this_process_too(run: strop.Run, rows: Path) -> None:
    done = predict(run, rows, "--decoding", "{method: beams, n_beams: 2}")
    assert done.exit_code == 0, done.exception
    by_beams = "the answers are by the decoding 'beams n_beams=2'; the run was judged by 'greedy'"
    assert notes_of(run) == [by_beams, UNFINISHED]
    written = run.answer_rows(read(run, rows).dataset, decoding=BEAMS)
    assert written.made_by["decoding"] == "beams n_beams=2"
    assert predicted(rows) == written.text_R.tolist()
    assert predict(run, rows, "--decoding", "{method: greedy}").exit_code == 0
    assert notes_of(run) == [by_beams, UNFINISHED]


def test_windows_vote_where_the_server_gives_no_likelihoods(run: strop.Run, rows: Path) -> None:
    write_questions(rows, [LONG])

    def without_likelihoods(request: Request) -> Reply:
        first = request.prompt.startswith("box 0")
        return choices({"text": "none of it" if first else "Red", "finish_reason": "stop"}, model="boxes")

    with AnswerServer(without_likelihoods) as served:
        done = predict(run, rows, "--server", served.url)
        assert done.exit_code == 0, done.exception
        assert len(served.requests) > 4
    note = "2 of 2 rows were read in windows and the server gives no likelihoods"
    assert note in done.stdout
    assert predicted(rows) == ["Red", "Red"]
    assert any(what.startswith(note) for what in notes_of(run))


def test_what_a_model_cannot_share_is_noted_once(
    recipe: dict[str, Any], tiny_causal: Path, rows: Path, tmp_path: Path
) -> None:
    from transformers import AutoTokenizer, MambaConfig, MambaForCausalLM

    tokenizer = AutoTokenizer.from_pretrained(tiny_causal)
    ends = {"bos_token_id": tokenizer.bos_token_id, "eos_token_id": tokenizer.eos_token_id, "pad_token_id": 0}
    config = MambaConfig(vocab_size=len(tokenizer), hidden_size=16, num_hidden_layers=1, state_size=4, **ends)
    MambaForCausalLM(config).save_pretrained(tmp_path / "mamba")
    tokenizer.save_pretrained(tmp_path / "mamba")
    content = {**recipe, "name": "mamba", "model": {"name": str(tmp_path / "mamba"), "precision": "float32"}}
    finished = strop.fit(content, runs=tmp_path / "runs")
    words = "a model of the family 'mamba' reads every prompt from its first token on: "
    said = [entry.what for entry in finished.folder.ledger.entries() if entry.station == "answering"]
    assert len(said) == 1
    assert said[0].startswith(words)
    assert words.strip() in " ".join(predict(finished, rows).stdout.split())
    assert notes_of(finished) == [*said, UNFINISHED]


def test_an_adapter_of_a_4_bit_base_is_served_on_one(recipe: dict[str, Any], tmp_path: Path) -> None:
    content = {**recipe, "stages": [{"trainable": "adapter", "epochs": 1}]}
    said = {}
    for in_4bit in (False, True):
        adapter = {"rank": 4, "base_in_4bit": in_4bit}
        resolved = resolve({**content, "model": {**recipe["model"], "adapter": adapter}})
        plain = resolved.model.model_copy(update={"adapter": Adapter(rank=4)})
        network = load_causal(plain, locate_model(plain), torch.device("cpu"))
        network.transformer.save_pretrained(tmp_path / "adapter")
        said[in_4bit] = _on_serving(resolved, tmp_path / "adapter").what
    only = "; its answers are those that were judged only on the same base in 4 bits (NF4)"
    assert said[True] == f"{said[False]} --quantization bitsandbytes{only}"
    assert said[False].endswith("--generation-config vllm")
