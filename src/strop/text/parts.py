"""Read every text column as a part of its own, with its share of the length, and count what was cut of each.

R rows, P text parts (numbered from 1 in examples), T tokens in all.
"""

from collections.abc import Mapping, Sequence
from math import ceil

import numpy as np
from numpy.typing import NDArray

from strop.errors import Problem, RecipeError
from strop.recipe.sections import Text, TextPart
from strop.records.dataset import Strings
from strop.records.examples import Examples
from strop.records.ledger import Entry
from strop.text.tokenizer import TextTokenizer
from strop.text.windows import KEPT, kept_positions

# Of the room that parts without a share leave to the others, where these need it: else a long one would starve them.
LEAST_FOR_SHARES = 0.25


def make_part_examples(ids: Strings, texts: Mapping[str, Strings], tokenizer: TextTokenizer, text: Text) -> Examples:
    """Tokenise text parts and join them into one window a row, of at most `text.max_length_tokens`.

    A window is the special tokens that stand before a text, then every part's tokens, each followed by the special
    tokens that stand after a text: [CLS] title [SEP] body [SEP] answer [SEP]. What a part may take says `budgets`; of a
    longer part the tokens that its `keep` names stay. A blank part is followed by its separator all the same.

    Args:
        ids: Row ids, shape (R,).
        texts: For every part one text a row, shape (R,) each.
        tokenizer: The model's tokenizer.
        text: The recipe's section, with `parts`.

    Returns:
        One window a row, with `part_T`: a separator has the number of the part before it.

    Raises:
        RecipeError: The length leaves no room for a token of every part.
    """
    parts = _parts_of(text)
    room = _room(tokenizer, text)
    encoded = [tokenizer.encode(texts[name]) for name in parts]
    n_own_RP = _lengths(encoded, len(ids))
    shares = [part.share for part in parts.values()]
    windows: list[NDArray[np.int32]] = []
    numbers: list[NDArray[np.int8]] = []
    n_cut_R = np.zeros(len(ids), dtype=np.int64)
    for row, n_own_P in enumerate(n_own_RP):
        budget_P = budgets(n_own_P, shares, room)
        pieces = [
            tokens[row][kept_positions(len(tokens[row]), budget, part.keep)]
            for tokens, budget, part in zip(encoded, budget_P.tolist(), parts.values(), strict=True)
        ]
        window, number = _joined(pieces, tokenizer)
        windows.append(window)
        numbers.append(number)
        n_cut_R[row] = (n_own_P - budget_P).sum()
    n_special = len(tokenizer.prefix_ids) + len(parts) * len(tokenizer.suffix_ids)
    return Examples(
        ids=ids,
        row_W=np.arange(len(ids), dtype=np.int64),
        tokens_T=np.concatenate([np.zeros(0, dtype=np.int32), *windows]),
        start_W1=np.cumsum([0, *map(len, windows)]).astype(np.int64),
        n_tokens_R=np.maximum(n_own_RP.sum(axis=1) + n_special, 1),
        n_cut_R=n_cut_R,
        part_T=np.concatenate([np.zeros(0, dtype=np.int8), *numbers]),
    )


def budgets(n_tokens_P: NDArray[np.int64], shares: Sequence[float | None], room: int) -> NDArray[np.int64]:
    """How many tokens of every part are read; where any is cut, they fill the room.

    Parts without a share are read whole, before the others, as long as these keep a quarter of the room, or all that
    they have. Where they do not fit so, they divide what is left to them evenly. The parts with a share divide the rest
    in proportion to their shares. What a part does not need passes on to the others of its kind in the same proportion
    (water filling), and then to the other kind.

    Args:
        n_tokens_P: Tokens that every part has, shape (P,).
        shares: The share of every part, None for one that is read whole.
        room: Tokens that may be read of all parts together.

    Returns:
        Tokens that are read of every part, shape (P,), none above what it has.
    """
    share_P = np.array([share or 0.0 for share in shares])
    is_whole_P = share_P == 0.0
    whole_P, shared_P = n_tokens_P[is_whole_P], n_tokens_P[~is_whole_P]
    kept_for_shared = min(int(shared_P.sum()), ceil(LEAST_FOR_SHARES * room))
    budget_P = np.zeros(len(shares), dtype=np.int64)
    budget_P[is_whole_P] = _divided(whole_P, np.ones(len(whole_P)), room - kept_for_shared)
    budget_P[~is_whole_P] = _divided(shared_P, share_P[~is_whole_P], room - int(budget_P.sum()))
    return budget_P


def _divided(n_tokens_P: NDArray[np.int64], share_P: NDArray[np.float64], room: int) -> NDArray[np.int64]:
    """Divide the room in proportion to shares above 0; what a part does not need passes on to the others."""
    budget_P = np.zeros(len(n_tokens_P), dtype=np.int64)
    open_P = np.ones(len(n_tokens_P), dtype=np.bool_)
    while open_P.any():
        level_P = room * share_P / share_P[open_P].sum()
        filled_P = open_P & (n_tokens_P <= level_P)
        if not filled_P.any():
            break
        budget_P[filled_P] = n_tokens_P[filled_P]
        room -= int(n_tokens_P[filled_P].sum())
        open_P &= ~filled_P
    if open_P.any():
        at = np.flatnonzero(open_P)
        # Whole tokens by largest remainder. Each open part has more than its level: one token above is never too many.
        whole = np.floor(level_P[at]).astype(np.int64)
        nearest = np.argsort(whole - level_P[at], kind="stable")
        whole[nearest[: room - int(whole.sum())]] += 1
        budget_P[at] = whole
    return budget_P


def segments(text: Text, columns: Sequence[str]) -> tuple[int, ...]:
    """The segment id (token type) of every part by its number; the first entry is that of the special tokens in front.

    Args:
        text: The recipe's section, with `parts`.
        columns: The text columns in their order.
    """
    parts = _parts_of(text)
    given = [parts[name].segment for name in columns]
    return (0, *(min(number, 1) if segment is None else segment for number, segment in enumerate(given)))


def part_cut_entries(
    examples: Examples, texts: Mapping[str, Strings], tokenizer: TextTokenizer, text: Text
) -> tuple[Entry, ...]:
    """What the ledger says about parts: for each at most one entry on cut rows, and one on rows that lack it.

    Args:
        examples: What `make_part_examples` made of the other arguments.
        texts: For every part one text a row, shape (R,) each.
        tokenizer: The model's tokenizer.
        text: The recipe's section, with `parts`.
    """
    parts = _parts_of(text)
    cut_rows = np.flatnonzero(examples.n_cut_R)
    entries: list[Entry] = []
    for number, (name, part) in enumerate(parts.items(), 1):
        (n_own_C,) = _lengths([tokenizer.encode(texts[name][cut_rows])], len(cut_rows)).T
        held = [int((examples.window_parts(row) == number).sum()) for row in cut_rows.tolist()]
        n_cut_C = n_own_C - (np.array(held, dtype=np.int64) - len(tokenizer.suffix_ids))
        is_cut_C = n_cut_C > 0
        if is_cut_C.any():
            ids = tuple(examples.ids[cut_rows[is_cut_C]].tolist())
            entries.append(_cut_entry(name, part, ids, n_cut_C[is_cut_C], examples.n_rows, text))
        missing = [row for row, value in enumerate(texts[name]) if not value.strip()]
        if missing:
            ids = tuple(examples.ids[missing].tolist())
            what = f"The text part '{name}' is missing in {len(ids)} of {examples.n_rows} rows; it is read as empty"
            entries.append(Entry("note", "examples", what, n_rows=len(ids), ids=ids, details={"part": name}))
    return tuple(entries)


def _cut_entry(
    name: str, part: TextPart, ids: tuple[str, ...], n_cut_C: NDArray[np.int64], n_rows: int, text: Text
) -> Entry:
    without_share = f"; it has no share (text.parts.{name}.share), and was cut only to leave room for the other parts"
    return Entry(
        kind="cut",
        station="examples",
        what=f"The text part '{name}' did not fit whole into the {text.max_length_tokens} tokens in {len(ids)} of "
        f"{n_rows} rows: {KEPT[part.keep]} of each was kept, {int(n_cut_C.sum())} tokens were cut"
        f"{without_share if part.share is None else ''}",
        n_rows=len(ids),
        ids=ids,
        details={
            "part": name,
            "n_tokens_cut": dict(zip(ids, n_cut_C.tolist(), strict=True)),
            "max_length_tokens": text.max_length_tokens,
            "keep": part.keep,
        },
    )


def _parts_of(text: Text) -> Mapping[str, TextPart]:
    if text.parts is None:
        raise ValueError("the recipe must have text.parts")
    return text.parts


def _room(tokenizer: TextTokenizer, text: Text) -> int:
    """Tokens of the parts' own that fit a window."""
    n_parts = len(_parts_of(text))
    n_special = len(tokenizer.prefix_ids) + n_parts * len(tokenizer.suffix_ids)
    least = n_special + n_parts
    if text.max_length_tokens < least:
        problem = Problem(
            where="text.max_length_tokens",
            must=f"it must be at least {least}: {n_special} special tokens, and 1 for each of {n_parts} text parts",
            came=str(text.max_length_tokens),
            do=f"set text.max_length_tokens to {least} or more, or read fewer text parts",
        )
        raise RecipeError(problem)
    return text.max_length_tokens - n_special


def _lengths(encoded: Sequence[Sequence[NDArray[np.int32]]], n_rows: int) -> NDArray[np.int64]:
    """Tokens of every row and part, shape (R, P)."""
    lengths = [[len(tokens) for tokens in one] for one in encoded]
    return np.array(lengths, dtype=np.int64).reshape(len(encoded), n_rows).T


def _joined(
    pieces: Sequence[NDArray[np.int32]], tokenizer: TextTokenizer
) -> tuple[NDArray[np.int32], NDArray[np.int8]]:
    """One window of the parts' tokens and separators, and the part number of each; never empty."""
    prefix, suffix = (np.array(ids, dtype=np.int32) for ids in (tokenizer.prefix_ids, tokenizer.suffix_ids))
    whole = [prefix, *(np.concatenate([piece, suffix]) for piece in pieces)]
    numbers = np.repeat(np.arange(len(whole), dtype=np.int8), [len(one) for one in whole])
    if not len(numbers):
        return np.array([tokenizer.pad_id], dtype=np.int32), np.zeros(1, dtype=np.int8)
    return np.concatenate(whole), numbers
