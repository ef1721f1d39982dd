"""Search by words: BM25 over words of alphabets and pairs of characters of Hangul and Han.

Dimensions: P passages.
"""

import re
import unicodedata
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

from strop.evidence.libraries import evidence_library

Floats = NDArray[np.float32]

# Saturation of a word's count and weight of a passage's length: the defaults of Anserini (Yang, Fang and Lin 2017).
K1, B = 0.9, 0.4
# Scripts without spaces between words, or with endings that hang on them: kana, Han, Hangul.
PAIRED = "\u3040-\u30ff\u3400-\u4dbf\u4e00-\u9fff\uf900-\ufaff\uac00-\ud7a3"
RUN = re.compile(f"[{PAIRED}]+|[^\\W_{PAIRED}]+")
IS_PAIRED = re.compile(f"[{PAIRED}]")


def search_words(text: str) -> list[str]:
    """What a text is found by.

    Texts are compared in compatibility form, without case and accents. Runs of Hangul, Han and kana fall into pairs of
    neighbouring characters, so that a Korean word is found whatever particle follows it; every other run of letters and
    digits is a word. English words that stand in every text are left out, and plurals are taken for their singular by
    the rules of Harman's S stemmer (1991); stemming further would merge names of genes and drugs.

    Args:
        text: A passage or a question.
    """
    stopwords = evidence_library("bm25s.stopwords").STOPWORDS_EN
    found: list[str] = []
    for run in RUN.findall(_folded(text)):
        if IS_PAIRED.match(run):
            found += [run[at : at + 2] for at in range(len(run) - 1)] if len(run) > 1 else [run]
        elif run not in stopwords:
            found.append(_singular(run))
    return found


def _folded(text: str) -> str:
    if text.isascii():
        return text.lower()
    taken_apart = unicodedata.normalize("NFKD", text.casefold())
    # Marks are dropped from taken-apart letters; composing again brings Hangul syllables back together.
    return unicodedata.normalize("NFC", "".join(one for one in taken_apart if unicodedata.category(one) != "Mn"))


def _singular(word: str) -> str:
    if len(word) < 4 or not word.endswith("s") or word.endswith(("us", "ss")):
        return word
    if word.endswith("ies"):
        return word if word.endswith(("eies", "aies")) else word[:-3] + "y"
    return word if word.endswith(("aes", "ees", "oes")) else word[:-1]


@dataclass(frozen=True)
class WordIndex:
    """The words of all passages.

    Attributes:
        bm25: The library's index, None where no passage has a word.
        n_passages: P.
    """

    bm25: Any
    n_passages: int

    @classmethod
    def of(cls, texts: Sequence[str]) -> "WordIndex":
        """Index texts.

        Raises:
            MachineError: The library is missing.
        """
        bm25s = evidence_library("bm25s")
        # Numbered in the order in which they come: a set of words would be in another order in every process.
        vocabulary: dict[str, int] = {}
        numbers = [[vocabulary.setdefault(word, len(vocabulary)) for word in search_words(text)] for text in texts]
        if not vocabulary:
            return cls(None, len(texts))
        bm25 = bm25s.BM25(k1=K1, b=B, method="lucene")
        bm25.index((numbers, vocabulary), create_empty_token=False, show_progress=False)
        return cls(bm25, len(texts))

    def scores(self, question: str) -> Floats:
        """BM25 score of every passage, shape (P,): higher is better, 0 where no word is shared.

        Formula as in Lucene (Kamphuis et al. 2020); a word that stands twice in the question counts twice.
        """
        known = [] if self.bm25 is None else self.bm25.get_tokens_ids(search_words(question))
        if not known:
            return np.zeros(self.n_passages, dtype=np.float32)
        return np.asarray(self.bm25.get_scores_from_ids(known), dtype=np.float32)
