"""Take noise off answers by the recipe's rules, and say what each rule changed.

Cleaning reads nothing but the texts and the rules, so that answers are kept as the model wrote them and cleaned again
wherever they are judged or shown.

Dimensions: R rows, C candidates.
"""

import re
from collections.abc import Callable, Sequence
from dataclasses import dataclass, replace

import numpy as np

from strop.recipe.answer import Cleaning
from strop.records.answers import Answers, Texts
from strop.records.dataset import strings
from strop.records.ledger import Entry

MOST_EXAMPLES = 5


@dataclass(frozen=True)
class Changed:
    """An answer before and after a rule."""

    row_id: str
    before: str
    after: str

    @property
    def is_white_space(self) -> bool:
        """Whether nothing but white space was changed."""
        return self.before.split() == self.after.split()


@dataclass(frozen=True)
class RuleEffect:
    """What one rule did.

    Attributes:
        rule: The rule as the recipe writes it, for example `cut_at "Question:"`.
        ids: Rows in which it changed the answer that stands.
        n_candidates: Candidates that it changed, those that stand included.
        n_emptied: How many of the rows' answers it left empty.
        examples: The first few changed answers that stand, those with more than white space changed before others.
    """

    rule: str
    ids: tuple[str, ...]
    n_candidates: int
    n_emptied: int
    examples: tuple[Changed, ...]


@dataclass(frozen=True)
class _Rule:
    name: str
    apply: Callable[[str], str]


def clean_answers(answers: Answers, cleaning: Cleaning) -> tuple[Answers, tuple[RuleEffect, ...]]:
    """Apply every rule to every candidate, in the order first_line, cut_at, replace, strip.

    White space at both ends is always taken off, which is counted under the rule `strip`. What the model thought of an
    answer (likelihood, tokens, whether it ended) stays that of the answer as it was written.

    Args:
        answers: As the model wrote them; they are not changed.
        cleaning: The recipe's rules.

    Returns:
        The cleaned answers, and what every rule did in turn, also where that is nothing.
    """
    text_RC, effects = answers.text_RC, []
    for rule in _rules(cleaning):
        flat = [rule.apply(text) for text in text_RC.reshape(-1)]
        after_RC = strings(flat).reshape(text_RC.shape)
        effects.append(_effect(rule.name, answers, text_RC, after_RC))
        text_RC = after_RC
    return replace(answers, text_RC=text_RC), tuple(effects)


def clean_text(text: str, cleaning: Cleaning) -> str:
    """One answer after all rules."""
    for rule in _rules(cleaning):
        text = rule.apply(text)
    return text


def cleaning_entries(
    effects: Sequence[RuleEffect], n_rows: int, system: str, *, show_examples: bool = True
) -> tuple[Entry, ...]:
    """Lines for the ledger: one for every rule that changed an answer that stands.

    Args:
        effects: What the rules did.
        n_rows: How many rows were answered.
        system: Whose answers they are: model, a baseline, a decoding.
        show_examples: Whether texts may stand in the ledger; not those of sealed rows.
    """
    entries = []
    for effect in effects:
        if not effect.ids:
            continue
        emptied = f"; {effect.n_emptied} of them are empty now" if effect.n_emptied else ""
        details: dict[str, object] = {"rule": effect.rule, "system": system, "n_candidates": effect.n_candidates}
        if show_examples:
            details["examples"] = [[one.row_id, one.before, one.after] for one in effect.examples]
        entries.append(
            Entry(
                kind="cleaned",
                station="answers",
                what=f"The rule {effect.rule} changed {len(effect.ids)} of {n_rows} answers of '{system}'{emptied}",
                n_rows=len(effect.ids),
                ids=effect.ids,
                details=details,
            )
        )
    return tuple(entries)


def _rules(cleaning: Cleaning) -> list[_Rule]:
    rules = [_Rule("first_line", _first_line)] if cleaning.first_line else []
    rules += [_Rule(f'cut_at "{word}"', _cutter(word)) for word in cleaning.cut_at]
    rules += [
        _Rule(f'replace "{one.pattern}" by "{one.by}"', _replacer(one.pattern, one.by)) for one in cleaning.replace
    ]
    name = f'strip "{cleaning.strip}"' if cleaning.strip else "strip of white space"
    return [*rules, _Rule(name, _stripper(cleaning.strip))]


def _first_line(text: str) -> str:
    lines = text.strip().splitlines()
    return lines[0] if lines else ""


def _cutter(word: str) -> Callable[[str], str]:
    # An empty word stands before everything, and would leave nothing.
    return lambda text: text.partition(word)[0] if word else text


def _replacer(pattern: str, by: str) -> Callable[[str], str]:
    compiled = re.compile(pattern)
    return lambda text: compiled.sub(by, text)


def _stripper(characters: str) -> Callable[[str], str]:
    # Both kinds at once, however they alternate at the ends.
    ends = re.compile(rf"\A[\s{re.escape(characters)}]+|[\s{re.escape(characters)}]+\Z")
    return lambda text: ends.sub("", text)


def _effect(rule: str, answers: Answers, before_RC: Texts, after_RC: Texts) -> RuleEffect:
    is_changed_RC = np.asarray(before_RC != after_RC, dtype=np.bool_)
    rows = np.flatnonzero(is_changed_RC[:, 0]).tolist()
    changed = [Changed(str(answers.ids[row]), before_RC[row, 0], after_RC[row, 0]) for row in rows]
    return RuleEffect(
        rule=rule,
        ids=tuple(str(answers.ids[row]) for row in rows),
        n_candidates=int(is_changed_RC.sum()),
        n_emptied=sum(not after_RC[row, 0].strip() for row in rows),
        examples=tuple(sorted(changed, key=lambda one: one.is_white_space)[:MOST_EXAMPLES]),
    )
