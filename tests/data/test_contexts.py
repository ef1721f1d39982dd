"""Rows that ask about one context."""

import json
from collections import defaultdict

import pytest

from strop.data.audit import audit_dataset
from strop.data.read import read_dataset
from strop.data.split import make_split
from strop.errors import DataError
from strop.recipe.data import Data
from strop.recipe.sections import SplitPlan

BRAM = "The old harbour of Bram was closed in 1911.\n Its lighthouse still stands."
HANBIT = "한빛마을 도서관은 1987년에 문을 열었다. 관장은 이서연이다."


@pytest.fixture
def read(tmp_path):
    """Read rows of context, question and answers, with a topic and a part if given."""

    def rows_read(*rows, **more):
        path = tmp_path / "rows.jsonl"
        names = ("context", "question", "answers", "topic", "part")
        lines = [json.dumps(dict(zip(names, row, strict=False))) for row in rows]
        path.write_text("\n".join(lines), encoding="utf-8")
        roles = {"text": ["context", "question"], "answers": "answers", "context": "context"}
        return read_dataset(Data(path=str(path), **{**roles, **more}))

    return rows_read


def said(entries):
    return [(entry.kind, entry.what, entry.ids) for entry in entries]


def of_places(n_contexts, n_questions):
    """Short contexts with longer questions, so that nearness of texts would not keep a context's rows together."""
    return [
        (
            f"{name} lies {7 * at} km inland.",
            f"{verb} {name}, {n} of the {verb} kind, {verb} {n}?",
            f"{7 * at} km",
            name,
        )
        for at, name in enumerate(f"Place{at}" for at in range(n_contexts))
        for n, verb in enumerate(("How far is", "Which road leads to", "Whose sea would reach")[:n_questions])
    ]


def test_rows_of_one_context_have_one_group(read):
    rows = [(BRAM, "When?", "1911"), (HANBIT, "언제?", "1987년"), (BRAM.replace("\n", " ").upper(), "What?", "1911")]
    found = read(*rows, ("", "Who?", "Bo"), ("", "Why?", "So"))
    assert found.dataset.groups.tolist() == ["context-1", "context-2", "context-1", "context-3", "context-4"]
    assert said(found.entries) == [
        ("note", "Rows whose 'context' is blank were kept", ("row-4", "row-5")),
        ("note", "5 rows ask about 2 texts of 'context': rows of one context stay in one part", ()),
        (
            "note",
            (
                "2 accepted answers of 2 rows are not in their 'context', letter by letter but for white space; "
                "2 of them are the first, which is trained on"
            ),
            ("row-4", "row-5"),
        ),
    ]


def test_without_a_context_there_are_no_groups(read):
    found = read((BRAM, "When?", "1912"), (BRAM, "Who?", "Bo"), context=None)
    assert (found.dataset.groups, found.entries) == (None, ())


def test_groups_of_the_data_that_share_a_context_are_joined(read):
    rows = [(BRAM, "a", "1911", "x"), (HANBIT, "b", "관장", "y"), (BRAM, "c", "old", "z"), (HANBIT, "d", "관장", "y")]
    found = read(*rows, group="topic")
    assert found.dataset.groups.tolist() == ["x", "y", "x", "y"]
    assert said(found.entries)[0] == (
        "note",
        "Groups of 'topic' that share a context were joined: 3 groups became 2",
        ("row-3",),
    )
    unjoined = read(*[row for row in rows if row[3] != "z"], group="topic")
    assert unjoined.dataset.groups.tolist() == ["x", "y", "y"]
    assert len(unjoined.entries) == 1


@pytest.mark.parametrize("near_duplicates", ["together", "ignore"])
@pytest.mark.parametrize("folds", [None, 3])
def test_a_context_is_never_divided_between_parts(read, near_duplicates, folds):
    dataset = read(*of_places(40, 3)).dataset
    plan = SplitPlan(near_duplicates=near_duplicates, folds=folds)
    result = make_split(dataset, plan, 0)
    place = result.split.part_of()
    for number, held in enumerate(result.split.held_out):
        place.update(dict.fromkeys(held, f"fold {number}"))
    places = defaultdict(set)
    for row_id, context in zip(dataset.ids, dataset.texts["context"], strict=True):
        places[context].add(place[row_id])
    assert len(places) == 40
    assert all(len(found) == 1 for found in places.values())
    assert len(result.split.test) == 24


def test_nearness_within_a_context_is_not_told_as_near_duplicates(read):
    long = " ".join(f"word{at}" for at in range(200))
    rows = [(f"{long} one.", "When?", "word3"), (f"{long} one.", "Who?", "word4")]
    others = of_places(9, 1)
    alone = read(*rows, *others).dataset
    result = make_split(alone, SplitPlan(), 0)
    assert result.clusters[0] == result.clusters[1]
    assert not [entry for entry in result.entries if "near duplicates" in entry.what]
    assert audit_dataset(alone, result.clusters, result.split).duplicates.n_clusters == 0
    near = read(*rows, (f"{long} two.", "Why?", "word5"), *others).dataset
    result = make_split(near, SplitPlan(), 0)
    (entry,) = [entry for entry in result.entries if "near duplicates" in entry.what]
    assert (entry.what, entry.n_rows) == ("1 clusters of near duplicates were kept in one part each", 3)
    assert audit_dataset(near, result.clusters, result.split).duplicates.n_cluster_rows == 3


def test_parts_that_the_data_give_stay(read):
    rows = [(BRAM, "a", "old", "x", "train"), (BRAM, "b", "1911", "x", "test"), (HANBIT, "c", "관장", "y", "dev")]
    found = read(*rows, part="part")
    assert found.entries[-1].what == "3 rows ask about 2 texts of 'context': the data give the parts"
    result = make_split(found.dataset, SplitPlan(), 0)
    assert "1 groups have rows in several parts (the data give the parts)" in [entry.what for entry in result.entries]


def test_too_few_contexts_are_said(read):
    dataset = read((BRAM, "a", "old"), (BRAM, "b", "1911"), (HANBIT, "c", "관장")).dataset
    with pytest.raises(DataError) as caught:
        make_split(dataset, SplitPlan(), 0)
    (problem,) = caught.value.problems
    assert problem.must == (
        "there must be at least 3 groups, one for each part or fold, since a group stays in one part, and rows of one "
        "context are a group"
    )
    assert problem.came == "2 in 3 rows"
    assert problem.do == "ask for fewer folds or parts, or give rows of more contexts or groups"


def test_what_is_asked_twice_blank_or_out_of_place_is_said(read):
    found = read(
        (BRAM, "When?", ["1911", "in the year 1911"]),
        (BRAM, "when? ", "1911."),
        (BRAM, "Where?", "Its  lighthouse"),
        (BRAM, "", "1911"),
        (HANBIT, "언제?", "1988년"),
    )
    assert said(found.entries)[1:] == [
        ("note", "Rows whose 'question' is blank were kept", ("row-4",)),
        ("note", "Rows that ask the same as an earlier row about the same 'context' were kept", ("row-2",)),
        ("note", "5 rows ask about 2 texts of 'context': rows of one context stay in one part", ()),
        (
            "note",
            (
                "2 accepted answers of 2 rows are not in their 'context', letter by letter but for white space; "
                "1 of them are the first, which is trained on"
            ),
            ("row-1", "row-5"),
        ),
    ]


def test_few_rows_are_drawn_context_by_context(read):
    found = read(*of_places(30, 3), max_rows=12)
    drawn = found.dataset.texts["context"].tolist()
    assert (len(drawn), len(set(drawn))) == (12, 4)
    assert found.entries[-1].what == "12 of 90 rows were drawn by context (data.max_rows); 78 were left out"


@pytest.mark.real_data
def test_articles_of_korquad(real_data):
    path, roles = str(real_data / "korquad" / "articles.json"), {"text": ["context", "question"], "id": "id"}
    found = read_dataset(Data(path=path, answers="answers", context="context", **roles))
    assert found.dataset.n_rows == 3957
    assert len(set(found.dataset.groups)) == 672
    assert "3,957 rows ask about 672 texts of 'context'" in found.entries[-1].what
