"""Metrics of answers in words, each against several accepted answers.

Texts are compared by rules: SQuAD's (Rajpurkar et al. 2016, with the empty answers of version 2.0) by words, KorQuAD's
(Lim et al. 2019) by characters. Both scripts leave Unicode to the data; here every text is put into NFC first, so that
Korean syllables written as single letters count as the same.

Dimensions: R rows.
"""

import re
import string
import unicodedata
from collections import Counter, defaultdict
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from functools import lru_cache

import numpy as np
from numpy.typing import NDArray

Floats = NDArray[np.float64]
Texts = Sequence[str] | NDArray[np.object_]
Accepted = Sequence[tuple[str, ...]] | NDArray[np.object_]

ARTICLES = re.compile(r"\b(a|an|the)\b")
WITHOUT_PUNCTUATION = str.maketrans("", "", string.punctuation)
# What KorQuAD's script turns into white space, while other ASCII punctuation is taken out.
KORQUAD_SPACES = str.maketrans(dict.fromkeys("'\"《》<>〈〉()‘’", " "))


@dataclass(frozen=True)
class Normal:
    """A text as it is compared.

    Attributes:
        text: What two texts have in common where they count as the same answer.
        tokens: Its words, or its characters.
    """

    text: str
    tokens: tuple[str, ...]


@dataclass(frozen=True)
class Rules:
    """How texts are compared.

    Attributes:
        name: As recipes call them.
        unit: What tokens are, for readers.
        normalized: The text as it is compared.
        tokens: The tokens of a normalised text.
    """

    name: str
    unit: str
    normalized: Callable[[str], str]
    tokens: Callable[[str], Sequence[str]]

    def of(self, text: str) -> Normal:
        """A text as it is compared."""
        normalized = self.normalized(text)
        return Normal(normalized, tuple(self.tokens(normalized)))


@lru_cache(maxsize=100_000)
def squad_text(text: str) -> str:
    """Lower case without ASCII punctuation, the articles a, an and the, and needless white space."""
    bare = unicodedata.normalize("NFC", text).lower().translate(WITHOUT_PUNCTUATION)
    return " ".join(ARTICLES.sub(" ", bare).split())


@lru_cache(maxsize=100_000)
def korquad_text(text: str) -> str:
    """Quotation marks and brackets as white space, lower case, no ASCII punctuation, no needless white space."""
    spaced = unicodedata.normalize("NFC", text).translate(KORQUAD_SPACES)
    return " ".join(spaced.lower().translate(WITHOUT_PUNCTUATION).split())


RULES: Mapping[str, Rules] = {
    "squad": Rules("squad", "words", squad_text, str.split),
    "korquad": Rules("korquad", "characters", korquad_text, lambda text: text.replace(" ", "")),
}


def exact_match_of(answer: Normal, accepted: Normal) -> float:
    """1 where the normalised texts are equal, else 0."""
    return float(answer.text == accepted.text)


def f1_of(answer: Normal, accepted: Normal) -> float:
    """Harmonic mean of precision and recall of tokens, each counted as often as it stands; two empty texts have 1."""
    if not answer.tokens or not accepted.tokens:
        return float(answer.tokens == accepted.tokens)
    n_same = (Counter(answer.tokens) & Counter(accepted.tokens)).total()
    return 2.0 * n_same / (len(answer.tokens) + len(accepted.tokens))


def rouge_l_of(answer: Normal, accepted: Normal) -> float:
    """ROUGE-L of tokens (Lin 2004): F = 2 P R / (P + R), P = LCS / tokens of the answer, R = LCS / those accepted.

    LCS is the length of the longest common subsequence. Lin's beta, which weighs recall, is 1 here, as in common use.
    Two empty texts have 1.
    """
    if not answer.tokens or not accepted.tokens:
        return float(answer.tokens == accepted.tokens)
    n_common = longest_common_subsequence(answer.tokens, accepted.tokens)
    return 2.0 * n_common / (len(answer.tokens) + len(accepted.tokens))


def longest_common_subsequence(one: Sequence[str], other: Sequence[str]) -> int:
    """Length of the longest common subsequence, by whole rows of the table held as bits (Hyyro 2004)."""
    places: dict[str, int] = defaultdict(int)
    for at, token in enumerate(one):
        places[token] |= 1 << at
    whole = (1 << len(one)) - 1
    row = whole
    for token in other:
        met = row & places.get(token, 0)
        row = ((row + met) | (row - met)) & whole
    return len(one) - row.bit_count()


@dataclass(frozen=True)
class AnswerMetric:
    """A metric of answers in words; every one is a mean over rows, from 0 to 1.

    Attributes:
        name: As recipes call it.
        of_pair: The metric of an answer and one accepted answer.
        higher_is_better: Its direction.
        worst: The value nothing falls below.
        best: The value of perfect answers.
    """

    name: str
    of_pair: Callable[[Normal, Normal], float]
    higher_is_better: bool = True
    worst: float = 0.0
    best: float = 1.0

    def by_row(self, answers: Texts, accepted: Accepted, rules: Rules, no_answer: str | None = None) -> Floats:
        """The metric of every row, shape (R,): the largest over its accepted answers.

        As in SQuAD 2.0, accepted answers that are empty by the rules are left out, unless a row has no others (or none
        at all): then an empty answer is right, and nothing else is.

        Args:
            answers: One a row.
            accepted: The accepted answers of every row.
            rules: How texts are compared.
            no_answer: Words by which a question is said to have no answer; they count as the empty answer.

        Raises:
            ValueError: There are not as many rows of accepted answers as answers.
        """
        if len(answers) != len(accepted):
            raise ValueError(f"there must be accepted answers for each of {len(answers)} rows, came {len(accepted)}")
        nothing = None if no_answer is None else rules.of(no_answer).text

        def read(text: str) -> Normal:
            found = rules.of(text)
            return Normal("", ()) if found.text == nothing else found

        values = []
        for answer, texts in zip(answers, accepted, strict=True):
            right = [one for one in map(read, texts) if one.text] or [Normal("", ())]
            values.append(max(self.of_pair(read(answer), one) for one in right))
        return np.asarray(values, dtype=np.float64)

    def value(self, answers: Texts, accepted: Accepted, rules: Rules, no_answer: str | None = None) -> float:
        """Mean over all rows; arguments and errors as in `by_row`.

        Raises:
            ValueError: There are no rows.
        """
        if len(answers) == 0:
            raise ValueError("there must be rows to judge")
        return float(self.by_row(answers, accepted, rules, no_answer).mean())


ANSWER_METRICS: Mapping[str, AnswerMetric] = {
    metric.name: metric
    for metric in (
        AnswerMetric("exact_match", exact_match_of),
        AnswerMetric("f1", f1_of),
        AnswerMetric("rouge_l", rouge_l_of),
    )
}
