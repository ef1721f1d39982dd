"""What a model reads of rows: their texts, with their evidence where the recipe asks for any, as token ids."""

from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np

from strop.evidence.augment import PieceExamples
from strop.evidence.prompt import Pieces, Prompts, RowEvidence, make_prompts
from strop.recipe.sections import Recipe
from strop.records.dataset import Dataset, Strings, strings
from strop.records.examples import Examples
from strop.records.files import read_json, write_json
from strop.records.ledger import Entry
from strop.records.run_folder import TEXTS_READ
from strop.text.parts import make_part_examples, part_cut_entries
from strop.text.template import render_texts
from strop.text.tokenizer import TextTokenizer
from strop.text.windows import cut_entries, make_examples, own_tokens


@dataclass(frozen=True)
class Tokenized:
    """Rows as a model reads them, R rows.

    Attributes:
        examples: Token ids, one or more windows a row.
        texts: What the baselines read of every row, shape (R,).
        pieces: Token ids of pieces of every row, where the recipe augments the training part by them.
        entries: What the ledger says about texts that were cut and evidence that was left out.
    """

    examples: Examples
    texts: Strings
    pieces: PieceExamples | None
    entries: tuple[Entry, ...]


def tokenize(
    recipe: Recipe, dataset: Dataset, tokenizer: TextTokenizer, of_rows: Sequence[RowEvidence] | None = None
) -> Tokenized:
    """Token ids of every row.

    Args:
        recipe: The recipe; its sections `text` and `evidence`.
        dataset: The rows.
        tokenizer: The model's tokenizer.
        of_rows: The evidence of every row, where the recipe asks for any.

    Raises:
        RecipeError: A template does not fit the rows, or the length leaves no room.
    """
    text = recipe.text
    if of_rows is not None:
        return _with_evidence(recipe, dataset, tokenizer, of_rows)
    if text.parts is not None:
        examples = make_part_examples(dataset.ids, dataset.texts, tokenizer, text)
        entries = part_cut_entries(examples, dataset.texts, tokenizer, text)
        return Tokenized(examples, dataset.joined_texts(), None, entries)
    examples = make_examples(dataset.ids, render_texts(dataset, text.template), tokenizer, text)
    return Tokenized(examples, dataset.joined_texts(), None, cut_entries(examples, text))


def _with_evidence(
    recipe: Recipe, dataset: Dataset, tokenizer: TextTokenizer, of_rows: Sequence[RowEvidence]
) -> Tokenized:
    evidence = recipe.evidence
    if evidence is None:
        raise ValueError("rows have evidence only where the recipe has the section evidence")
    room_tokens = own_tokens(tokenizer, recipe.text)

    def prompts(kind: Pieces) -> Prompts:
        return make_prompts(dataset, of_rows, evidence, tokenizer, room_tokens=room_tokens, kind=kind)

    whole = prompts("whole")
    examples = make_examples(dataset.ids, whole.texts, tokenizer, recipe.text)
    entries = (*whole.left_out(dataset.ids), *cut_entries(examples, recipe.text))
    if evidence.augmentation is None:
        return Tokenized(examples, whole.texts, None, entries)
    divided = prompts(evidence.augmentation.pieces)
    of_pieces = make_examples(dataset.ids[divided.row_of_P], divided.texts, tokenizer, recipe.text)
    pieces = PieceExamples(of_pieces, divided.row_of_P)
    if evidence.predict == "pieces":
        examples = of_pieces.regrouped(divided.row_of_P, dataset.ids)
        entries = divided.left_out(dataset.ids)
    return Tokenized(examples, whole.texts, pieces, entries)


def save_tokenized(tokenized: Tokenized, place: Path) -> None:
    """Write rows as a model reads them into a folder; what the ledger says of them is not kept."""
    tokenized.examples.save(place / "examples.arrow")
    if tokenized.pieces is not None:
        tokenized.pieces.examples.save(place / "pieces.arrow")
    row_of_P = None if tokenized.pieces is None else tokenized.pieces.row_of_P.tolist()
    # Written last: where it stands the others stand too.
    ids = tokenized.examples.ids.tolist()
    write_json(place / TEXTS_READ, {"ids": ids, "texts": tokenized.texts.tolist(), "row_of_piece": row_of_P})


def load_tokenized(place: Path) -> Tokenized:
    """Read what `save_tokenized` wrote.

    Raises:
        RunError: A file is missing or damaged.
    """
    about = read_json(place / TEXTS_READ)
    pieces = None
    if about["row_of_piece"] is not None:
        pieces = PieceExamples(Examples.load(place / "pieces.arrow"), np.asarray(about["row_of_piece"], dtype=np.intp))
    return Tokenized(Examples.load(place / "examples.arrow"), strings(about["texts"]), pieces, ())
