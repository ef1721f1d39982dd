"""The verbs as a person types them: what is printed, what is written, what they exit with."""

import csv
import json
import os
import shlex
import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest
import yaml
from jsonschema import Draft202012Validator


def strop(*arguments: str, folder: Path | None = None) -> subprocess.CompletedProcess[str]:
    return subprocess.run(
        [sys.executable, "-m", "strop.cli", *arguments],
        capture_output=True,
        text=True,
        cwd=folder,
        env={**os.environ, "COLUMNS": "80", "OMP_NUM_THREADS": "1", "PYTHONIOENCODING": "utf-8"},
        check=False,
    )


@pytest.fixture(scope="module")
def recipe_file(tmp_path_factory: pytest.TempPathFactory, tiny_encoder: Path, tiny_rows: Path) -> Path:
    path = tmp_path_factory.mktemp("recipes") / "tiny.yaml"
    content = {
        "name": "tiny",
        "data": {"path": str(tiny_rows), "text": "text", "target": "label", "id": "id"},
        "model": {"name": str(tiny_encoder), "precision": "float32"},
        "text": {"max_length_tokens": 32},
        "stages": [{"epochs": 3, "learning_rate": 5e-3, "batch_size": 8}],
        "evaluation": {"n_bootstrap": 200},
    }
    path.write_text(yaml.safe_dump(content), encoding="utf-8")
    return path


@pytest.fixture(scope="module")
def run(recipe_file: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A finished run made by the command line; its test part stays sealed but where a test says otherwise."""
    runs = tmp_path_factory.mktemp("runs")
    done = strop("fit", str(recipe_file), "--runs", str(runs))
    assert done.returncode == 0, done.stderr
    assert "Macro F1" in done.stdout
    assert "report:" in done.stdout
    return runs / "tiny"


def test_check_shows_data_split_and_memory_and_writes_nothing(recipe_file: Path, tmp_path: Path) -> None:
    done = strop("check", str(recipe_file), folder=tmp_path)
    assert done.returncode == 0, done.stderr
    for words in ("120 rows", "always answering", "tokens: 128 fit 100.0%", "test (sealed)", "memory about", "ready"):
        assert words in done.stdout, words
    assert "labels of the 96 rows that are not sealed" in done.stdout
    assert list(tmp_path.iterdir()) == []
    assert all(len(line) <= 80 for line in done.stdout.splitlines() if "strop fit" not in line and "memory" not in line)


def test_check_ends_with_the_command_that_fits_what_was_checked(recipe_file: Path, tmp_path: Path) -> None:
    overrides = ("stages.0.epochs=2", "evaluation.baselines=[majority, tfidf]", "name=other")
    done = strop("check", str(recipe_file), *overrides, folder=tmp_path)
    assert done.returncode == 0, done.stderr
    said = done.stdout.splitlines()[-1]
    assert said.startswith("ready: ")
    assert shlex.split(said.removeprefix("ready: ")) == ["strop", "fit", str(recipe_file), *overrides]


def test_check_refuses_what_fit_would_refuse_all_at_once(recipe_file: Path, tmp_path: Path) -> None:
    overrides = ("stages.0.frozen=[word_embedings, layer.9.]", "report_to=[tensorboard]")
    done = strop("check", str(recipe_file), *overrides, folder=tmp_path)
    assert done.returncode == 2
    assert "2 problems (RecipeError)" in done.stderr
    assert "did you mean 'word_embeddings'?" in done.stderr
    assert "ready" not in done.stdout


def test_fit_again_runs_nothing_again(run: Path, recipe_file: Path) -> None:
    done = strop("fit", str(recipe_file), "--runs", str(run.parent))
    assert done.returncode == 0
    assert "was finished before; nothing was run again" in " ".join(done.stdout.split())


def test_evaluate_keeps_the_test_part_sealed(run: Path) -> None:
    done = strop("evaluate", str(run))
    assert done.returncode == 0
    assert "the test part is sealed" in done.stdout
    assert not (run / "scores" / "test.json").exists()


def test_evaluate_opens_the_test_part_when_asked(recipe_file: Path, tmp_path: Path) -> None:
    assert strop("fit", str(recipe_file), "name=opened", "--runs", str(tmp_path)).returncode == 0
    done = strop("evaluate", str(tmp_path / "opened"), "--open-test")
    assert done.returncode == 0
    assert "Scores on test" in done.stdout
    assert "opened" in (tmp_path / "opened" / "ledger.jsonl").read_text()
    assert "opening number 1" in (tmp_path / "opened" / "report.html").read_text()


def test_predict_keeps_all_rows_and_columns(run: Path, tmp_path: Path) -> None:
    rows = tmp_path / "new.csv"
    with rows.open("w", newline="", encoding="utf-8") as file:
        writer = csv.writer(file)
        writer.writerows([["note", "text"], ["first", "the cat sat"], ["blank", ""], ["third", "학생, 질문\n둘"]])
    done = strop("predict", str(run), str(rows), "-o", str(tmp_path / "labelled.csv"))
    assert done.returncode == 0, done.stderr
    assert "rows without text: 1;" in done.stdout
    with (tmp_path / "labelled.csv").open(newline="", encoding="utf-8") as file:
        labelled = list(csv.DictReader(file))
    assert [row["note"] for row in labelled] == ["first", "blank", "third"]
    assert labelled[2]["text"] == "학생, 질문\n둘"
    labels = json.loads((run / "model" / "strop.json").read_text())["labels"]
    for row in labelled:
        shares = [float(row[f"p_{label}"]) for label in labels]
        assert abs(sum(shares) - 1) < 1e-4
        assert row["predicted"] == labels[shares.index(max(shares))]


def test_predict_replaces_neither_the_new_rows_nor_the_data_of_the_run(run: Path, tmp_path: Path) -> None:
    rows = tmp_path / "rows.csv"
    rows.write_text("text\nhow do i stop a loop\n", encoding="utf-8")
    done = strop("predict", str(run), str(rows), "-o", str(rows))
    assert done.returncode == 3
    assert "answered rows must not replace the rows that are read" in " ".join(done.stderr.split())
    assert rows.read_text(encoding="utf-8") == "text\nhow do i stop a loop\n"


def test_predict_says_which_labels_the_model_does_not_know(run: Path, tmp_path: Path) -> None:
    rows = tmp_path / "new.csv"
    rows.write_text("text,label\nthe cat sat,nonsense\n", encoding="utf-8")
    done = strop("predict", str(run), str(rows), "-o", str(tmp_path / "out.jsonl"))
    assert done.returncode == 0
    assert "labels the model does not know ('nonsense')" in " ".join(done.stdout.split())
    assert "labels the model does not know ('nonsense')" in (run / "ledger.jsonl").read_text(encoding="utf-8")


def test_predict_refuses_rows_without_the_text_column(run: Path, tmp_path: Path) -> None:
    rows = tmp_path / "new.csv"
    rows.write_text("txet\nthe cat sat\n", encoding="utf-8")
    done = strop("predict", str(run), str(rows), "-o", str(tmp_path / "out.csv"))
    assert done.returncode == 3
    assert "text" in done.stderr
    assert "Traceback" not in done.stderr
    assert not (tmp_path / "out.csv").exists()


def test_predict_reads_new_rows_in_another_encoding_than_the_training_data(run: Path, tmp_path: Path) -> None:
    rows = tmp_path / "new.csv"
    for encoding in ("utf-8", "cp949", "utf-16"):
        rows.write_bytes("text\n서버가 꺼졌어요\n".encode(encoding))
        for option in ((), ("--encoding", encoding)):
            done = strop("predict", str(run), str(rows), "-o", str(tmp_path / "out.csv"), *option)
            assert done.returncode == 0, done.stderr
            assert "서버가 꺼졌어요" in (tmp_path / "out.csv").read_text(encoding="utf-8")
    done = strop("predict", str(run), str(rows), "-o", str(tmp_path / "out.csv"), "--encoding", "utf-8")
    assert done.returncode == 3
    assert "name the right encoding with --encoding" in done.stderr


@pytest.mark.parametrize(
    ("output", "code", "words"),
    [
        ("nosuchfolder/out.csv", 6, "the folder 'nosuchfolder' must exist"),
        ("rows.csv/out.csv", 6, "the folder 'rows.csv' must exist"),
        ("folder/", 6, "the table must be written to a file"),
        ("out.xlsx", 3, "a table must be in one of the formats"),
    ],
)
def test_predict_refuses_an_output_that_cannot_be_before_it_reads_anything(
    tmp_path: Path, output: str, code: int, words: str
) -> None:
    (tmp_path / "rows.csv").write_text("text\na\n")
    (tmp_path / "folder").mkdir()
    done = strop("predict", "no-such-run", "rows.csv", "-o", output, folder=tmp_path)
    assert done.returncode == code
    assert words in " ".join(done.stderr.split())
    assert "Traceback" not in done.stderr
    assert sorted(one.name for one in tmp_path.iterdir()) == ["folder", "rows.csv"]


def test_compare_on_test_rows_needs_opened_tests(run: Path, recipe_file: Path, tmp_path: Path) -> None:
    other = tmp_path / "other"
    fast = ("stages.0.epochs=0.1", "evaluation.baselines=[majority]", "name=other")
    assert strop("fit", str(recipe_file), *fast, "--runs", str(tmp_path)).returncode == 0
    done = strop("compare", str(run), str(other), "--on-test")
    assert done.returncode == 5
    assert "must have been opened before runs are compared on it" in " ".join(done.stderr.split())
    assert strop("evaluate", str(other), "--open-test").returncode == 0
    assert strop("compare", str(run), str(other), "--on-test").returncode == 5


def test_every_comparison_on_test_rows_stands_in_the_ledgers(recipe_file: Path, tmp_path: Path) -> None:
    for name in ("one", "two"):
        fast = ("stages.0.epochs=0.1", "evaluation.baselines=[majority]", f"name={name}", f"seed={len(name)}")
        assert strop("fit", str(recipe_file), *fast, "--runs", str(tmp_path)).returncode == 0
        assert strop("evaluate", str(tmp_path / name), "--open-test").returncode == 0
    assert strop("compare", str(tmp_path / "one"), str(tmp_path / "two"), "--on-test").returncode == 0
    for name in ("one", "two"):
        words = "the opened test part was used to compare one, two (opening number 2)"
        assert words in (tmp_path / name / "ledger.jsonl").read_text()


def test_compare_says_what_can_be_told_apart(run: Path, recipe_file: Path, tmp_path: Path) -> None:
    assert strop("fit", str(recipe_file), "name=short", "stages.0.epochs=0.1", "--runs", str(tmp_path)).returncode == 0
    done = strop("compare", str(run), str(tmp_path / "short"))
    assert done.returncode == 0, done.stderr
    assert "macro_f1 on" in done.stdout
    assert "tiny" in done.stdout
    assert "short" in done.stdout
    assert "clearly better than" in done.stdout or "cannot be told apart" in done.stdout


def test_compare_refuses_one_run_and_the_same_run_twice(run: Path) -> None:
    for named in ([str(run)], [str(run), str(run)]):
        done = strop("compare", *named)
        assert done.returncode == 5
        assert "there must be at least two runs, each named once" in done.stderr


def test_report_writes_page_and_card_anew(run: Path) -> None:
    (run / "report.html").unlink()
    done = strop("report", str(run))
    assert done.returncode == 0
    assert (run / "report.html").exists()
    assert (run / "README.md").exists()


def test_schema_is_a_json_schema_that_accepts_the_recipe(recipe_file: Path) -> None:
    schema = json.loads(strop("schema").stdout)
    Draft202012Validator.check_schema(schema)
    Draft202012Validator(schema).validate(yaml.safe_load(recipe_file.read_text()))


def test_all_problems_of_a_recipe_are_printed_without_a_traceback(recipe_file: Path) -> None:
    done = strop("check", str(recipe_file), "model.nmae=x", "stages.0.epochs=-1", "split.test_fraction=2")
    assert done.returncode == 2
    assert "3 problems (RecipeError)" in done.stderr
    assert "did you mean 'name'?" in done.stderr
    assert "Traceback" not in done.stderr


@pytest.mark.parametrize(
    ("arguments", "code", "words"),
    [
        (("fit", "no-such-recipe.yaml"), 2, "the recipe must be a file"),
        (("report", "no-such-run"), 5, "the folder must hold a run"),
        (("evaluate", "no-such-run", "--open-test"), 5, "the folder must hold a run"),
    ],
)
def test_exit_codes_say_who_must_act(arguments: tuple[str, ...], code: int, words: str) -> None:
    done = strop(*arguments)
    assert done.returncode == code
    assert words in " ".join(done.stderr.split())


def test_a_second_process_on_the_same_run_is_refused(recipe_file: Path, tmp_path: Path) -> None:
    from strop.records.run_folder import RunFolder

    with RunFolder(tmp_path / "tiny").locked():
        done = strop("fit", str(recipe_file), "--runs", str(tmp_path))
    assert done.returncode == 5
    assert "one process at a time may write a run" in done.stderr
    assert f"process {os.getpid()}" in done.stderr


def test_a_file_in_the_place_of_a_folder_is_said(recipe_file: Path, tmp_path: Path) -> None:
    (tmp_path / "somefile").write_text("x")
    done = strop("fit", str(recipe_file), "--runs", "somefile", folder=tmp_path)
    assert done.returncode == 6
    assert "'somefile' is a file" in done.stderr
    assert "  rule " in done.stderr
    assert "Traceback" not in done.stderr
    for verb in (("evaluate",), ("report",), ("compare", "somefile")):
        done = strop(*verb, "somefile", folder=tmp_path)
        assert done.returncode == 5
        assert "Traceback" not in done.stderr


STOPPED_IN_A_VERB = """
import os, signal, sys, time
signal.signal(signal.SIGINT, signal.default_int_handler)
from strop.cli import main as entry
def wait():
    os.kill(os.getpid(), signal.SIGINT)
    time.sleep(10)
entry.app.command()(wait)
sys.argv = ["strop", "wait"]
entry.main()
"""


def test_a_stop_from_the_keyboard_is_said_in_one_line() -> None:
    done = subprocess.run([sys.executable, "-c", STOPPED_IN_A_VERB], capture_output=True, text=True, check=False)
    assert done.returncode == 130
    assert done.stderr == "stopped: what is finished is kept, and the same command goes on from there\n"
    assert done.stdout == ""


def test_version_and_help() -> None:
    from strop import __version__

    assert strop("--version").stdout.strip() == __version__
    shown = strop("--help").stdout
    for verb in ("check", "fit", "evaluate", "predict", "compare", "report", "schema"):
        assert verb in shown
    assert "Exit codes" in shown


def test_any_fault_but_a_users_keeps_its_traceback(monkeypatch: pytest.MonkeyPatch) -> None:
    from strop.cli import main as entry

    def fault(*_: Any, **__: Any) -> None:
        raise ZeroDivisionError

    monkeypatch.setattr(entry, "app", fault)
    with pytest.raises(ZeroDivisionError):
        entry.main()
