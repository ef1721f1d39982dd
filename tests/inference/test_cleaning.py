import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from strop.inference.cleaning import Changed, clean_answers, clean_text, cleaning_entries
from strop.recipe.answer import Cleaning
from strop.records.answers import Answers
from strop.records.dataset import strings


def answers_of(*rows: tuple[str, ...]) -> Answers:
    text_RC = np.empty((len(rows), len(rows[0])), dtype=object)
    for at, row in enumerate(rows):
        text_RC[at] = row
    return Answers(
        ids=strings([f"r{at}" for at in range(len(rows))]),
        text_RC=text_RC,
        log_likelihood_RC=np.full(text_RC.shape, -1.5, dtype=np.float32),
        n_tokens_RC=np.full(text_RC.shape, 3, dtype=np.int64),
        ended_RC=np.ones(text_RC.shape, dtype=np.bool_),
        part=strings(["validation"] * len(rows)),
        seen_R=np.zeros(len(rows), dtype=np.bool_),
        fold_R=np.full(len(rows), -1),
        made_by={"system": "model"},
    )


@pytest.mark.parametrize(
    ("rules", "text", "cleaned"),
    [
        ({}, "  서울 \n", "서울"),
        ({"first_line": True}, "\n\n서울\n부산", "서울"),
        ({"first_line": True}, " \n ", ""),
        ({"cut_at": ["Question:", "질문"]}, "Seoul Question: what? 질문", "Seoul"),
        ({"cut_at": [""]}, "Seoul", "Seoul"),
        ({"replace": [{"pattern": r"^(?:정답|답변)\s*:\s*"}]}, "정답: 서울", "서울"),
        ({"replace": [{"pattern": r"(\d+) year", "by": r"\1년"}]}, "5 years", "5년s"),
        ({"replace": [{"pattern": "(?i)the "}]}, "The the cat", "cat"),
        ({"strip": "\"'."}, ' "Seoul." ', "Seoul"),
        ({"strip": "]^-"}, "-^Se-oul]", "Se-oul"),
        # The order is that of the section, whatever the order in which the recipe writes them.
        ({"strip": ".", "replace": [{"pattern": "b", "by": "."}], "first_line": True}, "ab\nc", "a"),
    ],
)
def test_rules_do_what_they_say(rules, text, cleaned):
    assert clean_text(text, Cleaning.model_validate(rules)) == cleaned


@given(st.text(max_size=30))
def test_cleaning_twice_by_these_rules_changes_nothing_more(text):
    cleaning = Cleaning.model_validate({"first_line": True, "cut_at": ["Q:"], "strip": "\"'."})
    once = clean_text(text, cleaning)
    assert clean_text(once, cleaning) == once


def test_every_candidate_is_cleaned_and_nothing_else_is_changed():
    written = answers_of(("Seoul\nBusan", "Busan"), ("Q: who?", " x"), ("fine", "fine"))
    before = written.text_RC.copy()
    cleaned, effects = clean_answers(written, Cleaning(first_line=True, cut_at=["Q:"], strip="."))
    assert cleaned.text_RC.tolist() == [["Seoul", "Busan"], ["", "x"], ["fine", "fine"]]
    assert (written.text_RC == before).all()
    assert cleaned.log_likelihood_RC is written.log_likelihood_RC
    assert dict(cleaned.made_by) == {"system": "model"}
    first, cut, strip = effects
    assert (first.rule, first.ids, first.n_candidates, first.n_emptied) == ("first_line", ("r0",), 2, 0)
    assert first.examples == (Changed("r0", "Seoul\nBusan", "Seoul"),)
    assert (cut.rule, cut.ids, cut.n_candidates, cut.n_emptied) == ('cut_at "Q:"', ("r1",), 1, 1)
    assert (strip.rule, strip.ids, strip.n_candidates) == ('strip "."', (), 0)


def test_the_ledger_says_what_each_rule_changed():
    _, effects = clean_answers(answers_of(("a\nb",), ("\n",), ("c",)), Cleaning(first_line=True))
    (entry,) = cleaning_entries(effects, 3, "model")
    assert (entry.kind, entry.station, entry.n_rows, entry.ids) == ("cleaned", "answers", 2, ("r0", "r1"))
    assert entry.what == "The rule first_line changed 2 of 3 answers of 'model'; 1 of them are empty now"
    assert entry.details == {
        "rule": "first_line",
        "system": "model",
        "n_candidates": 2,
        "examples": [["r0", "a\nb", "a"], ["r1", "\n", ""]],
    }
    (sealed,) = cleaning_entries(effects, 3, "model", show_examples=False)
    assert "examples" not in sealed.details


def test_a_few_examples_are_kept():
    _, effects = clean_answers(answers_of(*[(f"{at} ",) for at in range(9)]), Cleaning())
    assert effects[0].rule == "strip of white space"
    assert (len(effects[0].ids), len(effects[0].examples)) == (9, 5)


def test_examples_with_words_changed_stand_before_those_of_white_space():
    _, effects = clean_answers(answers_of((" a",), (" b",), ("c\nd",), ("e",)), Cleaning(first_line=True))
    assert effects[0].examples == (Changed("r2", "c\nd", "c"), Changed("r0", " a", "a"), Changed("r1", " b", "b"))
    assert [one.is_white_space for one in effects[0].examples] == [False, True, True]


def test_no_rows_are_no_trouble():
    empty = answers_of(("a",)).take([])
    cleaned, effects = clean_answers(empty, Cleaning(first_line=True))
    assert cleaned.n_rows == 0
    assert cleaning_entries(effects, 0, "model") == ()
