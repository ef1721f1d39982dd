"""The report, the card and the terminal view of a run that answers in words."""

import json
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import yaml
from rich.cells import cell_len
from rich.console import Console, RenderableType

from strop.evaluation.evaluate_answers import score_answers
from strop.inference.cleaning import clean_answers
from strop.recipe.load import dump_recipe, resolve
from strop.recipe.sections import Recipe
from strop.records.answers import Answers
from strop.records.audit import Audit, Duplicates, Groups
from strop.records.dataset import Dataset, strings, tuples
from strop.records.files import write_text
from strop.records.ledger import Entry
from strop.records.run_folder import RunFolder
from strop.records.scores import Scores
from strop.records.split import Split
from strop.reporting.answer_decodings import clearly_best, ranked_decodings
from strop.reporting.answer_report import ANSWER_SECTIONS
from strop.reporting.card import write_card
from strop.reporting.terminal import decodings_table, scores_table

ReadReport = Callable[[RunFolder], tuple[str, Any]]
SCRIPT = "<script>alert(1)</script>"
SEALED = "봉인된 질문"
N_ROWS, N_SEALED = 60, 10
ASKED = ("수도는 어디인가?", "몇 명이 살고 있는가?", "왜군은 언제 왔는가?", "What is the {{ 7*7 }} [b]name[/b]?")
DECODINGS = [
    {},
    {"method": "beams", "n_beams": 4},
    {"method": "sample", "temperature": 0.7, "top_p": 0.9},
    {"repetition_penalty": 1.2},
]


def _recipe() -> Recipe:
    return resolve(
        {
            "name": "korean-reading",
            "task": "answer",
            "data": {"path": "q.json", "text": ["context", "question"], "answers": "answers", "context": "context"},
            "model": {"name": "some/gemma", "adapter": {}},
            "stages": [{"trainable": "adapter", "evaluations_per_epoch": 2}],
            "answer": {
                "prompt": {"template": "지문: {{ context }}\n질문: {{ question }}\n답:"},
                "cleaning": {"first_line": True, "replace": [{"pattern": "<b>(.*)</b>", "by": r"\1"}]},
                "decodings": DECODINGS,
            },
            "evaluation": {"n_bootstrap": 200, "answer_rules": "korquad"},
        }
    )


def _rows(n_rows: int, prefix: str, extra: str = "") -> Dataset:
    contexts = [f"지문 {at // 5} {extra} " + "서울은 대한민국의 수도이다. " * (1 + at // 5) for at in range(n_rows)]
    questions = [f"{ASKED[at % 4]} {extra}" for at in range(n_rows)]
    questions[1] += SCRIPT
    answers = [(f"정답 {at}", f"<i>{at}</i>", *["또 다른 답"] * (at % 9)) for at in range(n_rows)]
    return Dataset(
        strings([f"{prefix}{at}" for at in range(n_rows)]),
        {"context": strings(contexts), "question": strings(questions)},
        groups=strings([f"{prefix}-article-{at // 5}" for at in range(n_rows)]),
        answers=tuples(answers),
    )


def _answers(rows: Dataset, share: float, *, ended: float = 1.0) -> Answers:
    """So many of every ten rows right, with noise that cleaning takes off; the others wrong in unpleasant ways."""
    n_rows = rows.n_rows
    wrong = [f"{SCRIPT} \"틀린\" 'answer'", "", "서울 " * 30, "[red]부산[/red] :smile:", "정답\n질문: 또"]
    right = "<b>정답 {at}</b>\n질문: 다음"
    texts = [right.format(at=at) if at % 10 < 10 * share else wrong[(at // 10 + at) % 5] for at in range(n_rows)]
    return Answers(
        ids=rows.ids,
        text_RC=strings(texts)[:, None],
        log_likelihood_RC=np.linspace(-9, -1, n_rows, dtype=np.float32)[:, None],
        n_tokens_RC=np.full((n_rows, 1), 5, dtype=np.int64),
        ended_RC=(np.arange(n_rows) < ended * n_rows)[:, None],
        part=strings(["validation"] * n_rows),
        seen_R=np.zeros(n_rows, dtype=np.bool_),
        fold_R=np.full(n_rows, -1),
    )


def _scores(rows: Dataset, part: str) -> Scores:
    recipe = _recipe()
    assert recipe.answer is not None

    def cleaned(share: float, ended: float) -> Answers:
        assert recipe.answer is not None
        return clean_answers(_answers(rows, share, ended=ended), recipe.answer.cleaning)[0]

    return score_answers(
        cleaned(0.6, 0.95),
        rows.answers,
        baselines={"zero_shot": cleaned(0.1, 0.3), "few_shot": cleaned(0.3, 0.8)},
        evaluation=recipe.evaluation,
        part=part,
        seed=0,
        groups=rows.groups,
        caveats=("these rows also chose the checkpoint",),
        treated={"uncleaned": _answers(rows, 0.6, ended=0.95)},
    )


def _decodings(rows: Dataset) -> Scores:
    recipe = _recipe()
    assert recipe.answer is not None
    names = [decoding.name for decoding in recipe.answer.decodings]
    shares = dict(zip(names, (0.5, 0.65, 0.3, 0.5), strict=True))
    answers = {name: clean_answers(_answers(rows, share), recipe.answer.cleaning)[0] for name, share in shares.items()}
    own = recipe.answer.decoding.name
    others = {name: one for name, one in answers.items() if name != own}
    return score_answers(
        answers[own], rows.answers, baselines=others, evaluation=recipe.evaluation, part="validation", seed=0
    )


def _build(path: Path, *, upto: str = "scores", opened: int = 0) -> RunFolder:
    folder, recipe = RunFolder(path), _recipe()
    write_text(folder.recipe, dump_recipe(recipe))
    if upto == "recipe":
        return folder
    rows, sealed = _rows(2 * N_ROWS, "q"), _rows(N_SEALED, "sealed-row", SEALED)
    folder.update_about(name=recipe.name, state="finished", chosen={"whole": {"stage": 0, "step": 20, "score": 0.6}})
    Split(rows.ids[N_ROWS:], rows.ids[:N_ROWS], sealed.ids).save(folder.split)
    rows.save(folder.open_data)
    sealed.save(folder.sealed_data)
    Audit(
        n_rows=rows.n_rows + N_SEALED,
        labels=(),
        majority_accuracy=None,
        labels_once=(),
        duplicates=Duplicates(0, 0, 0, 0, 0),
        n_conflicting_texts=0,
        n_conflicting_rows=0,
        conflicting_ids=(),
        characters_quantiles={"0.5": 41.0},
        n_misread_rows=0,
        misread_ids=(),
        n_blank_rows=0,
        groups=Groups(24, 5),
        n_rows_by_part={"test": N_SEALED, "train": N_ROWS, "validation": N_ROWS},
    ).save(folder.audit)
    lines: list[dict[str, object]] = []
    for step in (10, 20, 30):
        found = {"f1": 0.2 + 0.02 * step, "exact_match": 0.1, "rouge_l": 0.3, "loss": 1.0}
        failed = {"ended": 0.7 + step / 100, "empty": 0.1, "repeated": 0.2}
        lines.append({"step": step, "epoch": step / 20, "loss": 2 - step / 30, "learning_rate": 1e-4})
        lines.append({"step": step, "epoch": step / 20, "evaluation": {**found, **failed}, "is_best": step <= 20})
    stage = folder.stage("whole", 0, "complete")
    write_text(stage / "history.jsonl", "".join(json.dumps(line) + "\n" for line in lines))
    if upto == "training":
        return folder
    held_out = rows.take(range(N_ROWS))
    _answers(held_out, 0.6, ended=0.95).save(folder.predictions / "model.arrow")
    _scores(held_out, "validation").save(folder.scores / "validation.json")
    _decodings(held_out).save(folder.path / "decodings.json")
    for _ in range(opened):
        folder.ledger.write(Entry("opened", "evaluation", "The test part was opened.", N_SEALED), every_time=True)
    _scores(sealed, "test").save(folder.scores / "test.json")
    return folder


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory) -> RunFolder:
    return _build(tmp_path_factory.mktemp("runs") / "korean-reading")


@pytest.fixture(scope="module")
def report(folder: RunFolder, written: ReadReport) -> tuple[str, Any]:
    return written(folder)


def test_sections_are_those_of_answers(report: tuple[str, Any]) -> None:
    html, page = report
    anchors = [value for tag, name, value in page.attributes if (tag, name) == ("a", "href")]
    assert anchors == [f"#{anchor}" for anchor, _ in ANSWER_SECTIONS]
    assert len(page.ids) == len(set(page.ids))
    assert html.count('<div class="wide"><table') == page.tags.count("table")
    for words in ("onfusion", "alibration", "Balance of the labels", "temperature is", "more than one label"):
        assert words not in page.text.split("The recipe, every default")[0]


def test_words_of_the_data_are_no_markup(report: tuple[str, Any]) -> None:
    html, page = report
    assert "script" not in page.tags
    assert "alert(1)" in page.text
    assert "{{ 7*7 }} [b]name[/b]" in page.text
    assert "http:" not in html
    assert "https:" not in html


def test_sealed_rows_are_shown_nowhere(tmp_path: Path, report: tuple[str, Any], written: ReadReport) -> None:
    opened, _ = written(_build(tmp_path / "opened", opened=1))
    for html in (report[0], opened):
        assert SEALED not in html
        assert "sealed-row" not in html
    assert "the test part (10 rows)" in opened
    assert "the test part (10 rows)" not in report[0]


def test_scores_stand_beside_the_untrained_model(report: tuple[str, Any]) -> None:
    _, page = report
    assert "clearly above the best baseline, the untrained model with examples" in page.text
    head, *rows = page.tables["scores/0"]
    assert head == ["Metric", "Fine-tuned model", "Zero-shot", "Few-shot"]
    assert [row[0] for row in rows] == [
        "Exact match",
        "F1",
        "ROUGE-L",
        "Ended by the model",
        "Empty answers (lower is better)",
        "Answers in a loop (lower is better)",
    ]
    assert rows[0][1].startswith("0.600")
    assert "Before the cleaning of answers" in page.text


def test_failures_are_counted_and_shown(report: tuple[str, Any]) -> None:
    _, page = report
    head, *rows = page.tables["failures/0"]
    assert head == ["Answers of", "Not ended", "Empty", "In a loop"]
    # Four of every ten answers are wrong, in five ways in turn; the last three of all were stopped.
    assert rows[0] == ["Fine-tuned model", "35.0 %", "58.3 %", "58.3 %"]
    assert rows[1][1] == "4270 %"
    head, *rows = page.tables["failures/1"]
    assert head == ["Row", "F1", "Answer", "Accepted", "Asked"]
    assert [row[0] for row in rows] == ["q57", "q58", "q59"]
    assert "nothing" in page.tables["failures/2"][1][2]


def test_the_worst_answers_begin_with_the_surest(report: tuple[str, Any]) -> None:
    _, page = report
    _, *rows = page.tables["answers/0"]
    assert len(rows) == 20
    # Wrong altogether: looped, empty, scripted and so on; of these the later are surer.
    assert [row[0] for row in rows[:3]] == ["q57", "q56", "q48"]
    assert rows[0][2] == " ".join(["서울"] * 30) + "not endedin a loop"
    assert rows[1][2] == "nothingempty"
    # exp((-9 + 57 * 8 / 59) / 5)
    assert rows[0][1] == "0.000sure 78 %"
    # What people gave twice stands once.
    assert rows[0][3] == "정답 57<i>57</i>또 다른 답"
    asked, whole = rows[0][4].split("지문 11", 1)
    assert asked == "몇 명이 살고 있는가?"
    assert whole.strip().endswith("몇 명이 살고 있는가?")
    noisy = next(row for row in rows if "before cleaning" in row[2])
    assert " ".join(noisy[2].split()) == "정답not endedbefore cleaning:정답 질문: 또"


def test_cleaning_is_shown_with_what_it_changed(report: tuple[str, Any]) -> None:
    _, page = report
    _, *rows = page.tables["cleaning/0"]
    assert rows[0][:3] == ["first_line", "46", "0"]
    assert rows[0][3].startswith("<b>정답 0</b>")
    assert rows[0][4] == "<b>정답 0</b>"
    by_pattern = next(row for row in rows if row[0].startswith("replace"))
    assert by_pattern[:2] == ['replace "<b>(.*)</b>" by "\\1"', "36"]
    assert by_pattern[4] == "정답 0"
    assert next(row for row in rows if row[0].startswith("strip"))[1] == "0"


def test_kinds_of_rows_have_scores_of_their_own(report: tuple[str, Any]) -> None:
    _, page = report
    assert "Length of the context, in characters" in page.text
    _, *rows = page.tables["kinds/0"]
    assert sum(int(row[1]) for row in rows) == N_ROWS
    # Rows 0 to 14 have the shortest contexts; of these 0 to 5 and 10 to 14 are right.
    assert rows[0][0] == "22 to 54"
    assert rows[0][3].startswith(f"{11 / 15:.3f}")
    # More than three of four answers are five characters long: their lengths divide nothing.
    assert "Length of the shortest accepted answer" not in page.text
    _, *words = page.tables["kinds/1"]
    assert [(row[0], row[1]) for row in words] == [("what", "15"), ("when", "15"), ("where", "15"), ("how many", "15")]


def test_decodings_stand_best_first(report: tuple[str, Any]) -> None:
    _, page = report
    head, *rows = page.tables["decodings/0"]
    assert head[:4] == ["Decoding", "F1", "Lead", "Verdict"]
    assert [row[0] for row in rows] == [
        "beams n_beams=4",
        "greedy (the recipe's)",
        "greedy repetition_penalty=1.2",
        "sample temperature=0.7 top_p=0.9",
    ]
    assert rows[0][3].startswith("clearly above, corrected p")
    assert rows[1][2:4] == ["–", ""]
    assert "not distinguishable" in rows[2][3]
    assert rows[3][2].startswith("−0.")
    assert "clearly below" in rows[3][3]


def test_training_is_drawn_with_the_answers(report: tuple[str, Any]) -> None:
    html, page = report
    assert html.count('class="plot"') == 2
    for words in ("Scores of the answers", "Answers that failed", "not ended", "ROUGE-L", "in a loop"):
        assert words in page.text


@pytest.mark.parametrize("upto", ["recipe", "training"])
def test_an_unfinished_run_says_what_is_missing(tmp_path: Path, written: ReadReport, upto: str) -> None:
    folder = _build(tmp_path / "run", upto=upto)
    _, page = written(folder)
    for words in (
        "There are no scored answers to open rows yet.",
        "No answers were scored yet.",
        "There are no answers to open rows yet.",
        "No decodings were compared.",
    ):
        assert words in page.text
    assert "no scores yet" in write_card(folder).read_text(encoding="utf-8")


def test_the_card_is_that_of_a_model_that_writes(folder: RunFolder) -> None:
    _, front, body = write_card(folder).read_text(encoding="utf-8").split("---\n", 2)
    matter = yaml.safe_load(front)
    assert (matter["pipeline_tag"], matter["tags"]) == ("text-generation", ["question-answering", "strop", "lora"])
    assert matter["metrics"] == ["exact_match", "f1", "rouge"]
    assert [one["type"] for one in matter["model-index"][0]["results"][0]["metrics"]] == ["exact_match", "f1", "rouge"]
    assert "to answer questions in words." in body
    assert "120 rows to train and to choose on, and 10 rows in a sealed test part." in body
    assert "    지문: {{ context }}\n    질문: {{ question }}\n    답:" in body
    assert "Answers are decoded by `greedy` and cleaned by the rules of the recipe." in body
    assert "KorQuAD (characters)" in body
    assert "| Ended by the model |" in body
    assert "strop predict runs/korean-reading questions.csv" in body
    for words in ("alert(1)", "sealed-row", SEALED, "| class |", "class weights", "probabilit", "서울"):
        assert words not in body


def test_card_and_report_say_the_decoding_that_was_stored(tmp_path: Path, written: ReadReport) -> None:
    folder = _build(tmp_path / "korean-reading")
    folder.update_about(decoding=DECODINGS[1])
    folder.ledger.write(Entry("note", "decoding", "4 decodings compared: it was said <b>earlier</b>"))
    folder.ledger.write(Entry("note", "decoding", "4 decodings compared: 'beams n_beams=4' was chosen by hand"))
    assert "Answers are decoded by `beams n_beams=4` and cleaned" in write_card(folder).read_text(encoding="utf-8")
    _, page = written(folder)
    assert [row[0] for row in page.tables["decodings/0"][1:3]] == [
        "beams n_beams=4 (the run's)",
        "greedy (the recipe's)",
    ]
    section = page.text.split("4 decodings compared: 'beams n_beams=4' was chosen by hand.")
    assert len(section) == 2
    assert "it was said" not in section[0]


def printed(shown: RenderableType) -> list[str]:
    console = Console(width=80, file=None, force_terminal=False, color_system=None)
    with console.capture() as capture:
        console.print(shown)
    return capture.get().splitlines()


def test_scores_fit_80_columns() -> None:
    lines = printed(scores_table(_scores(_rows(N_ROWS, "q"), "validation")))
    assert max(cell_len(line) for line in lines) <= 80
    at = next(number for number, line in enumerate(lines) if "Answers in a loop" in line)
    assert "(lower" in lines[at] + lines[at + 1]
    assert any(line.split()[:3] == ["Exact", "match", "0.600"] for line in lines)


def test_decodings_fit_80_columns() -> None:
    scores = _decodings(_rows(N_ROWS, "q"))
    lines = printed(decodings_table(scores, "greedy"))
    text = " ".join(" ".join(lines).split())
    assert max(cell_len(line) for line in lines) <= 80
    assert "…" not in text
    for words in ("beams n_beams=4", "(the recipe's)", "clear", "not clear", "p = 1.000", "temperature=0.7"):
        assert words in text
    assert "Failed: not ended by the model, empty, or in a loop." in text


def test_decodings_of_equal_scores_keep_the_recipes_own_first() -> None:
    scores = _decodings(_rows(N_ROWS, "q"))
    turned = replace(scores, baselines=scores.baselines[::-1])
    assert [one.name for one in ranked_decodings(turned, "greedy")][:3] == [
        "beams n_beams=4",
        "greedy",
        "greedy repetition_penalty=1.2",
    ]
    best = ranked_decodings(scores, "greedy")[0].lead
    assert best is not None
    assert best.difference.low <= best.difference.value <= best.difference.high
    assert best.difference.value > 0


def test_only_a_clear_lead_beats_the_recipes_decoding() -> None:
    rows = _rows(N_ROWS, "q")
    ranked = ranked_decodings(_decodings(rows), "greedy")
    assert clearly_best(ranked).name == ranked[0].name == "beams n_beams=4"
    # With ten rows in two groups the same lead may be noise.
    few = ranked_decodings(_decodings(rows.take(range(10))), "greedy")
    assert few[0].name == "beams n_beams=4"
    assert few[0].lead is not None
    assert few[0].lead.difference.value > 0
    assert clearly_best(few).name == "greedy"
