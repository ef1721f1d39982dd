"""Snippets and questions of BioASQ 7 to 11, and other real texts, as passages for the benchmarks of retrieval."""

import csv
import gzip
import json
from dataclasses import dataclass
from functools import lru_cache

from common_ground import REAL_DATA, model_folder, real_data
from strop.evidence.passages import cut_passages
from strop.recipe.evidence import Passages
from strop.records.evidence import Document, Passage
from strop.text.tokenizer import TextTokenizer


@dataclass(frozen=True)
class Questions:
    """Questions, and the distinct texts of all their snippets.

    Attributes:
        bodies: The questions that have a snippet.
        gold: For each the numbers of its snippets' texts.
        passages: Every distinct text once, with the first document it came with.
    """

    bodies: tuple[str, ...]
    gold: tuple[frozenset[int], ...]
    passages: tuple[Passage, ...]


def bioasq_questions(folder: str = "bioasq") -> Questions:
    """Read the golden sets: a snippet's text that several questions have is one passage."""
    real_data(folder)
    number_of: dict[str, int] = {}
    passages: list[Passage] = []
    bodies, gold = [], []
    for file in sorted((REAL_DATA / folder).glob("*_golden.json")):
        for question in json.loads(file.read_text(encoding="utf-8"))["questions"]:
            own = set()
            for snippet in question.get("snippets", []):
                text = snippet["text"].strip()
                if text and text not in number_of:
                    number_of[text] = len(passages)
                    passages.append(Passage(text, snippet["document"]))
                own |= {number_of[text]} if text else set()
            if own:
                bodies.append(question["body"])
                gold.append(frozenset(own))
    return Questions(tuple(bodies), tuple(gold), tuple(passages))


@lru_cache
def many_passages(n_passages: int) -> tuple[Passage, ...]:
    """So many passages of real texts: BioASQ snippets, then pathology reports and question pages, cut by sentences."""
    found = dict.fromkeys(passage.text for passage in bioasq_questions().passages)
    tokenizer = TextTokenizer.from_folder(model_folder("minilm"))
    documents = _reports() + _pages()
    for start in range(0, len(documents), 500):
        if len(found) >= n_passages:
            break
        cut = cut_passages(documents[start : start + 500], Passages(max_length_tokens=64), tokenizer)
        found |= dict.fromkeys(passage.text for passage in cut)
    if len(found) < n_passages:
        raise SystemExit(f"the real texts give {len(found)} distinct passages, {n_passages} are needed")
    return tuple(Passage(text, f"text:{at}") for at, text in enumerate(list(found)[:n_passages]))


def _reports() -> list[Document]:
    with gzip.open(real_data("tcga/reports_with_outcomes.jsonl.gz"), "rt", encoding="utf-8") as lines:
        return [Document(f"report:{at}", "found", text=json.loads(line)["text"]) for at, line in enumerate(lines)]


def _pages() -> list[Document]:
    with real_data("quest/train.csv").open(newline="", encoding="utf-8") as file:
        rows = list(csv.DictReader(file))
    return [
        Document(f"{column}:{at}", "found", text=row[column])
        for at, row in enumerate(rows)
        for column in ("question_body", "answer")
    ]
