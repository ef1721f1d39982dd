"""Run folders as a run would leave them, written by the records' own save methods."""

import json
from collections.abc import Callable
from dataclasses import replace
from html.parser import HTMLParser
from pathlib import Path

import numpy as np
import pytest

from strop.evaluation.evaluate_values import score_values
from strop.recipe.load import dump_recipe, resolve
from strop.records.audit import Audit, Duplicates, Groups, TargetRange
from strop.records.audit import LabelCount as AuditedLabel
from strop.records.dataset import Dataset, strings
from strop.records.files import write_text
from strop.records.ledger import Entry
from strop.records.predictions import Predictions
from strop.records.run_folder import RunFolder
from strop.records.scores import ClassScores, Difference, Score, Scores, SystemScores
from strop.records.split import Split
from strop.reporting.report import write_report

LABELS = ("기타", "시스템 운영", "웹", "이론 <b>theory</b>", "코드")
TEXTS = {
    "기타": "이 과목의 중간고사 범위가 어디까지인지 알려 주시겠어요?",
    "시스템 운영": "서버에 접속하면 permission denied 오류가 납니다. 어떻게 해결하나요?",
    "웹": "flexbox로 정렬했는데 왜 모바일 화면에서만 가운데로 오지 않을까요?",
    "이론 <b>theory</b>": "시간 복잡도가 O(n log n)인 정렬이 왜 비교 정렬의 하한인지 궁금합니다.",
    "코드": "def f(x):\n    return x ** 2\n이 함수가 왜 None을 돌려주나요?",
}
SCRIPT = "<script>alert(1)</script>"
BRACES = "템플릿에서 {{ 7*7 }} 와 {% raw %} 는 \"그대로\" & 'as is' 나와야 합니다"
LONG = "아주 긴 질문입니다. " * 200 + "끝맺음말"
SEALED_TEXT, SEALED_ID, SEALED_LABEL = "봉인된 질문은 보이면 안 됩니다", "sealed-row", "봉인된이름"
SIZES = {"train": 60, "validation": 25}
N_SEALED = 8


def _rows() -> tuple[Dataset, Dataset]:
    n_open = sum(SIZES.values())
    ids = [f"q{number}" for number in range(n_open)]
    # Uneven on purpose: the first class is rare.
    labels = [LABELS[0] if number % 17 == 0 else LABELS[1 + number % 4] for number in range(n_open)]
    texts = [f"{TEXTS[label]} ({number})" for number, label in enumerate(labels)]
    texts[60], texts[61], texts[62] = SCRIPT + " \"quoted\" 'too'", BRACES, LONG
    texts[1] = texts[2]  # one conflict: same text, other label
    texts[63] = "bell \x07 here"
    texts[64] = "ì•ˆë…•í•˜ì„¸ìš”"
    open_rows = Dataset(strings(ids), {"question": strings(texts)}, strings(labels))
    sealed = Dataset(
        strings([f"{SEALED_ID}-{number}" for number in range(N_SEALED)]),
        {"question": strings([f"{SEALED_TEXT} {number}" for number in range(N_SEALED)])},
        strings([SEALED_LABEL] * N_SEALED),
    )
    return open_rows, sealed


def _predictions(rows: Dataset, part: str, fold: int) -> Predictions:
    rng = np.random.default_rng(7)
    assert rows.target is not None
    truth = np.asarray([LABELS.index(label) for label in rows.target])
    logits_RL = rng.normal(size=(rows.n_rows, len(LABELS)))
    logits_RL[np.arange(rows.n_rows), truth] += 2.5
    for at, row_id in enumerate(rows.ids):  # the rows with unpleasant texts are predicted wrongly, worst of all
        if row_id in ("q60", "q61", "q62", "q63"):
            logits_RL[at] = 0.0
            logits_RL[at, (truth[at] + 1) % len(LABELS)] = 9.0 - 0.5 * (int(row_id[1:]) - 60)
    return Predictions(
        ids=rows.ids,
        labels=LABELS,
        outputs_RL=logits_RL.astype(np.float32),
        part=strings([part] * rows.n_rows),
        seen_R=np.zeros(rows.n_rows, dtype=np.bool_),
        fold_R=np.full(rows.n_rows, fold),
        made_by={"stage": "0-cross_entropy"},
    )


def _score(metric: str, value: float, *, higher: bool = True) -> Score:
    return Score(metric, value, round(value - 0.05, 6), round(value + 0.05, 6), higher)


def _system(system: str, macro_f1: float, n_rows: int) -> SystemScores:
    metrics = {
        "macro_f1": _score("macro_f1", macro_f1),
        "accuracy": _score("accuracy", macro_f1 + 0.02),
        "mcc": _score("mcc", macro_f1 - 0.1),
        "log_loss": _score("log_loss", 1.6 - macro_f1, higher=False),
        "calibration_error": _score("calibration_error", 0.123, higher=False),
    }
    classes = tuple(
        ClassScores(
            label,
            n_rows // 5,
            _score("precision", macro_f1 + 0.01 * at),
            _score("recall", macro_f1),
            _score("f1", macro_f1 + 0.005 * at),
        )
        for at, label in enumerate(LABELS)
    )
    right, wrong = n_rows // 5 - 1, 1
    confusion = tuple(
        tuple(right if row == column else wrong if column == (row + 1) % 5 else 0 for column in range(5))
        for row in range(5)
    )
    return SystemScores(system, metrics, classes, confusion, {"correct": (1.0,) * n_rows})


def _scores(part: str, ids: list[str]) -> Scores:
    return Scores(
        part=part,
        primary="macro_f1",
        confidence=0.95,
        labels=LABELS,
        ids=tuple(ids),
        model=_system("model", 0.812, len(ids)),
        baselines=tuple(
            _system(name, value, len(ids))
            for name, value in (("majority", 0.087), ("tfidf", 0.692), ("linear_probe", 0.65))
        ),
        differences=(
            Difference("majority", "macro_f1", 0.725, 0.65, 0.79, 0.0001),
            Difference("tfidf", "macro_f1", 0.12, 0.05, 0.19, 0.0124),
            Difference("linear_probe", "macro_f1", 0.162, 0.08, 0.24, 0.002),
        ),
        temperature=1.375,
        calibrated={"log_loss": _score("log_loss", 0.71, higher=False)},
        caveats=("these rows also chose the checkpoint, which flatters the model a little",),
    )


def _write_history(folder: Path, n_checks: int = 4) -> None:
    lines: list[dict[str, object]] = []
    for step in range(10, 10 * n_checks + 1, 10):
        loss, epoch = 1.6 / (1 + step / 10), step / 10
        lines.append(
            {"step": step, "epoch": epoch, "loss": loss, "learning_rate": 2e-5 * (1 - step / 50), "seconds": 1.5}
        )
        metrics = {"macro_f1": 0.5 + 0.1 * min(step // 10, 3), "accuracy": 0.7, "log_loss": loss + 0.1}
        lines.append({"step": step, "epoch": epoch, "evaluation": metrics, "is_best": step <= 30})
    text = "".join(json.dumps(line) + "\n" for line in lines) + '{"step": 99, "epo'
    write_text(folder / "history.jsonl", text)


ABOUT = {
    "name": "question-routing",
    "state": "finished",
    "versions": {"strop": "0.1.0", "python": "3.11.9", "torch": "2.13.0", "transformers": "5.23.0"},
    "hardware": {"cpu": "A processor with a name", "n_threads": 2, "gpu": None, "memory_gib": 23.6},
    "started": "2026-03-01T09:00:00+00:00",
    "ended": "2026-03-01T09:04:30+00:00",
    "seconds": {"prepare": 1.2, "train": 221.0, "predict": 12.5, "baselines": 5.25, "score": 9.3},
    "peak_memory_gib": 3.42,
    "model": {
        "name": "intfloat/multilingual-e5-small",
        "source": "hub",
        "n_parameters": 117_653_760,
        "n_head": 1_925,
        "pooling": "mean",
        "precision": "bf16",
    },
}

BuildRun = Callable[..., RunFolder]


def _build(
    path: Path, *, folds: int | None = None, opened: int = 0, upto: str = "scores", **sections: object
) -> RunFolder:
    """Write a run that got as far as `upto`: recipe, split, training or scores."""
    folder = RunFolder(path)
    open_rows, sealed = _rows()
    content = {
        "name": "question-routing",
        "data": {"path": "questions.csv", "text": ["question"], "target": "label", "id": "id"},
        "model": {"name": "intfloat/multilingual-e5-small"},
        "split": {"folds": folds},
        **sections,
    }
    recipe = resolve(content)
    write_text(folder.recipe, dump_recipe(recipe))
    if upto == "recipe":
        return folder
    folder.update_about(**{**ABOUT, "state": "finished" if upto == "scores" else "training"})
    ids = open_rows.ids.tolist()
    if folds is None:
        split = Split(strings(ids[:60]), strings(ids[60:]), sealed.ids)
        names = ["whole"]
    else:
        held = tuple(strings(ids[number::folds]) for number in range(folds))
        split = Split(open_rows.ids, strings([]), sealed.ids, held)
        names = [str(number) for number in range(folds)]
    open_rows.save(folder.open_data)
    sealed.save(folder.sealed_data)
    split.save(folder.split)
    folder.ledger.write(Entry("dropped", "read", "2 rows without a text were dropped.", 2, ("q100", "q101")))
    folder.ledger.write(Entry("cut", "examples", f"1 row was longer than 512 tokens: {SCRIPT}", 1, ("q62",), {"n": 88}))
    _audit(open_rows).save(folder.audit)
    if upto == "split":
        return folder
    for name in names:
        for number, stage in enumerate(recipe.stages):
            _write_history(folder.stage(name, number, stage.objective))
    if upto == "training":
        return folder
    chosen = {"stage": 0, "step": 30, "score": 0.8}
    folder.update_about(chosen=dict.fromkeys(names, chosen))
    held_out = open_rows if folds else open_rows.take(range(60, 85))
    part = "out of fold" if folds else "validation"
    _predictions(held_out, "train" if folds else "validation", 0 if folds else -1).save(
        folder.predictions / "model.arrow"
    )
    _scores(part, held_out.ids.tolist()).save(folder.scores / f"{part.replace(' ', '_')}.json")
    for _ in range(opened):
        folder.ledger.write(
            Entry("opened", "evaluation", "The sealed test part was opened.", N_SEALED), every_time=True
        )
    test = replace(_scores("test", sealed.ids.tolist()), caveats=())
    test.save(folder.scores / "test.json")  # only to be read where the ledger says that the part was opened
    return folder


def _audit(rows: Dataset) -> Audit:
    assert rows.target is not None
    return Audit(
        n_rows=rows.n_rows + N_SEALED,
        labels=(AuditedLabel(SEALED_LABEL, N_SEALED, 0.086),),  # counts of sealed rows, which a report must not show
        majority_accuracy=0.215,
        labels_once=(SEALED_LABEL,),
        duplicates=Duplicates(
            n_exact_rows=3, n_clusters=2, n_cluster_rows=5, n_straddling_clusters=1, n_straddling_rows=4
        ),
        n_conflicting_texts=1,
        n_conflicting_rows=2,
        conflicting_ids=(("q1", "q2"),),
        characters_quantiles={"0": 9.0, "0.5": 41.0, "0.95": 60.0, "1": 2404.0},
        n_misread_rows=2,
        misread_ids=("q64", f"{SEALED_ID}-1"),
        n_blank_rows=0,
        groups=Groups(12, 9),
        n_rows_by_part={"test": N_SEALED, "train": 60, "validation": 25},
        tokens_quantiles={"0.5": 22.0, "1": 812.0},
        fraction_fitting={"512": 0.99, "128": 0.957, "1024": 1.0},
    )


TARGETS = ("clear", "도움 <b>help</b>", "long_name_of_a_target_that_has_to_be_folded_somewhere", "short", "constant")
VALUE_RECIPE = {
    "name": "answer-quality",
    "task": "regress",
    "data": {
        "path": "answers.csv",
        "text": ["question", "answer"],
        "targets": list(TARGETS),
        "categorical": "topic",
        "text_lengths": True,
    },
    "model": {"name": "intfloat/multilingual-e5-small"},
    "stages": [{"epochs": 2}, {"trainable": ["layer.5."]}],
    "evaluation": {"n_bootstrap": 300},
}


def _value_rows(n_rows: int, prefix: str, text: str) -> Dataset:
    """Rows of five targets on a grid; the third is missing here and there, the last is constant."""
    target_RT = np.random.default_rng(3).integers(5, size=(n_rows, len(TARGETS))) / 4
    target_RT[::7, 2], target_RT[:, 4] = np.nan, 0.5
    return Dataset(
        strings([f"{prefix}{number}" for number in range(n_rows)]),
        {
            "question": strings([f"{text} {number}" for number in range(n_rows)]),
            "answer": strings([f"{SCRIPT} {LONG if number == 3 else number}" for number in range(n_rows)]),
        },
        targets={name: target_RT[:, at] for at, name in enumerate(TARGETS)},
        categories={"topic": strings(["sport", "law"] * (n_rows // 2))},
    )


def _values(rows: Dataset, strength: float, *, system: str = "model", folds: int | None = None) -> Predictions:
    truth_RT = np.nan_to_num(rows.target_matrix(), nan=0.5)
    noise_RT = np.random.default_rng(len(system)).random(truth_RT.shape)
    # The targets are learnt less and less well.
    share_T = strength * np.linspace(1.0, 0.3, truth_RT.shape[1])
    values_RT = share_T * truth_RT + (1 - share_T) * noise_RT
    if system == "mean":
        values_RT = np.full_like(values_RT, 0.5)
    return Predictions(
        ids=rows.ids,
        labels=TARGETS,
        outputs_RL=values_RT.astype(np.float32),
        part=strings(["train" if folds else "validation"] * rows.n_rows),
        seen_R=np.zeros(rows.n_rows, dtype=np.bool_),
        fold_R=np.arange(rows.n_rows) % folds if folds else np.full(rows.n_rows, -1),
        made_by={"system": system},
        kind="values",
    )


def _value_scores(rows: Dataset, part: str, folds: int | None) -> Scores:
    recipe, model = resolve(VALUE_RECIPE), _values(rows, 0.6, folds=folds)
    snapped = replace(model, outputs_RL=np.round(model.outputs_RL * 4) / 4)
    return score_values(
        model,
        rows.target_matrix(),
        baselines={
            name: _values(rows, strength, system=name, folds=folds)
            for name, strength in (("mean", 0.0), ("tfidf_ridge", 0.35), ("metadata_ridge", 0.05))
        },
        evaluation=recipe.evaluation,
        part=part,
        seed=0,
        caveats=("these rows also chose the checkpoint, which flatters the model a little",),
        treated={"snapped": snapped} if folds else {},
    )


def _write_value_history(folder: Path, start: float, end: float) -> None:
    lines: list[dict[str, object]] = []
    for step in (10, 20, 30):
        lines.append({"step": step, "epoch": step / 15, "loss": 0.7 - step / 100, "learning_rate": 2e-5})
        found = {"spearman": start + (end - start) * min(step / 20, 1.0), "mae": 0.3}
        lines.append({"step": step, "epoch": step / 15, "evaluation": found, "is_best": step <= 20})
    write_text(folder / "history.jsonl", "".join(json.dumps(line) + "\n" for line in lines))


def _build_values(path: Path, *, folds: int | None = None, opened: int = 0, upto: str = "scores") -> RunFolder:
    """Write a run of the task `regress` that got as far as `upto`."""
    folder, recipe = RunFolder(path), resolve({**VALUE_RECIPE, "split": {"folds": folds}})
    write_text(folder.recipe, dump_recipe(recipe))
    if upto == "recipe":
        return folder
    folder.update_about(**{**ABOUT, "name": recipe.name, "state": "finished" if upto == "scores" else "training"})
    open_rows, sealed = _value_rows(100, "a", "왜 그런가요"), _value_rows(N_SEALED, SEALED_ID, SEALED_TEXT)
    ids, part = open_rows.ids.tolist(), "out of fold" if folds else "validation"
    held = tuple(strings(ids[number::folds]) for number in range(folds)) if folds else ()
    kept = strings(ids) if folds else strings(ids[:40])
    Split(kept, strings([]) if folds else strings(ids[40:]), sealed.ids, held).save(folder.split)
    open_rows.save(folder.open_data)
    sealed.save(folder.sealed_data)
    targets = tuple(TargetRange(name, 100, 0.0, 0.5, 1.0, 5, 0.24) for name in TARGETS)
    labelled = _audit(_rows()[0])
    replace(labelled, labels=(), majority_accuracy=None, labels_once=(), targets=targets, misread_ids=()).save(
        folder.audit
    )
    for name in [str(number) for number in range(folds)] if folds else ["whole"]:
        _write_value_history(folder.stage(name, 0, "bce"), 0.2, 0.35)
        _write_value_history(folder.stage(name, 1, "bce"), 0.3, 0.36)
    if upto == "training":
        return folder
    held_out = open_rows if folds else open_rows.take(range(40, 100))
    _values(held_out, 0.6, folds=folds).save(folder.predictions / "model.arrow")
    _value_scores(held_out, part, folds).save(folder.scores / f"{part.replace(' ', '_')}.json")
    for _ in range(opened):
        folder.ledger.write(Entry("opened", "evaluation", "The test part was opened.", N_SEALED), every_time=True)
    _value_scores(sealed, "test", folds).save(folder.scores / "test.json")
    return folder


@pytest.fixture(scope="session")
def build_value_run() -> BuildRun:
    return _build_values


@pytest.fixture
def value_scores() -> Scores:
    return _value_scores(_value_rows(60, "a", "왜"), "out of fold", 3)


VOID = {"meta", "br", "link", "img", "input", "hr", "path", "use", "line", "rect", "circle"}


class Page(HTMLParser):
    """Reads a page strictly: every tag closed in order; keeps texts, tables, attributes and ids."""

    def __init__(self, html: str) -> None:
        super().__init__(convert_charrefs=True)
        self.open: list[str] = []
        self.tags: list[str] = []
        self.ids: list[str] = []
        self.attributes: list[tuple[str, str, str]] = []
        self.texts: list[str] = []
        self.tables: dict[str, list[list[str]]] = {}
        self.section = self.table = ""
        self.feed(html)
        self.close()
        assert self.open == []

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        found = {name: value or "" for name, value in attrs}
        self.tags.append(tag)
        self.attributes += [(tag, name, value) for name, value in found.items()]
        if "id" in found:
            self.ids.append(found["id"])
        if tag == "section":
            self.section = found["id"]
        if tag == "table":
            self.table = f"{self.section}/{len([name for name in self.tables if name.startswith(self.section)])}"
            self.tables[self.table] = []
        if tag == "tr":
            self.tables[self.table].append([])
        if tag in ("td", "th"):
            self.tables[self.table][-1].append("")
        if tag not in VOID:
            self.open.append(tag)

    def handle_startendtag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        self.tags.append(tag)
        self.attributes += [(tag, name, value or "") for name, value in attrs]

    def handle_endtag(self, tag: str) -> None:
        if tag not in VOID:
            assert self.open.pop() == tag

    def handle_data(self, data: str) -> None:
        if self.open and self.open[-1] == "style":
            return
        self.texts.append(data)
        if {"td", "th"} & set(self.open):
            self.tables[self.table][-1][-1] += data

    @property
    def text(self) -> str:
        return " ".join(" ".join(self.texts).split())


def _written(folder: RunFolder) -> tuple[str, Page]:
    path = write_report(folder)
    assert path == folder.path / "report.html"
    html = path.read_text(encoding="utf-8")
    return html, Page(html)


@pytest.fixture(scope="session")
def written() -> Callable[[RunFolder], tuple[str, Page]]:
    """Write a run's report, and read it strictly."""
    return _written


@pytest.fixture
def build_run() -> BuildRun:
    return _build


@pytest.fixture
def run(tmp_path: Path) -> RunFolder:
    return _build(tmp_path / "question-routing")


@pytest.fixture
def scores() -> Scores:
    return _scores("validation", [f"q{number}" for number in range(60, 85)])
