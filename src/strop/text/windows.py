"""Cut or window texts to the length a model reads, and count what was cut."""

import numpy as np
from numpy.typing import NDArray

from strop.errors import Problem, RecipeError
from strop.recipe.sections import Text
from strop.records.dataset import Strings
from strop.records.examples import Examples
from strop.records.ledger import Entry
from strop.text.tokenizer import TextTokenizer

KEPT = {"head": "the beginning", "tail": "the end", "middle": "the middle", "ends": "beginning and end"}


def check_length(text: Text, max_positions: int | None) -> None:
    """Check that the model can read texts as long as the recipe allows.

    Args:
        text: The recipe's section.
        max_positions: Positions the model has, None where it has no limit.

    Raises:
        RecipeError: It cannot.
    """
    if max_positions is not None and text.max_length_tokens > max_positions:
        problem = Problem(
            where="text.max_length_tokens",
            must=f"it must not exceed the model's positions, {max_positions}",
            came=str(text.max_length_tokens),
            do=f"set it to {max_positions} or less; text.windows reads longer texts in windows",
        )
        raise RecipeError(problem)


def make_examples(ids: Strings, texts: Strings, tokenizer: TextTokenizer, text: Text) -> Examples:
    """Tokenise texts and bring each to windows of at most `text.max_length_tokens`, special tokens included.

    A longer text keeps the part that `text.keep` names. With `text.windows` it is read in up to `max_windows` windows
    that share at least `stride_tokens`; the last window ends where the text ends and is as long as the others, and
    `text.keep` names the part that stays where even these windows are too few.

    Args:
        ids: Row ids, shape (R,).
        texts: One text a row, shape (R,).
        tokenizer: The model's tokenizer.
        text: The recipe's section.

    Returns:
        At least one window a row; a row without text has a window of special tokens alone.

    Raises:
        RecipeError: The length leaves no room beside special tokens and stride.
    """
    room, step = _room_and_step(tokenizer, text)
    encoded = tokenizer.encode(texts)
    capacity = own_tokens(tokenizer, text)
    windows: list[NDArray[np.int32]] = []
    n_windows_R = np.zeros(len(texts), dtype=np.int64)
    for row, tokens in enumerate(encoded):
        kept = tokens[kept_positions(len(tokens), capacity, text.keep)]
        starts = _window_starts(len(kept), room, step)
        windows += [tokenizer.with_special(kept[start : start + room]) for start in starts]
        n_windows_R[row] = len(starts)
    n_own_R = np.fromiter((len(tokens) for tokens in encoded), dtype=np.int64, count=len(encoded))
    length_W = np.fromiter((len(window) for window in windows), dtype=np.int64, count=len(windows))
    return Examples(
        ids=ids,
        row_W=np.repeat(np.arange(len(texts), dtype=np.int64), n_windows_R),
        tokens_T=np.concatenate(windows) if windows else np.zeros(0, dtype=np.int32),
        start_W1=np.concatenate([[0], np.cumsum(length_W)]).astype(np.int64),
        n_tokens_R=np.maximum(n_own_R + tokenizer.n_special, 1),
        n_cut_R=np.maximum(n_own_R - capacity, 0),
    )


def own_tokens(tokenizer: TextTokenizer, text: Text) -> int:
    """How many tokens of a text's own are read, in all its windows together.

    Raises:
        RecipeError: The length leaves no room beside special tokens and stride.
    """
    room, step = _room_and_step(tokenizer, text)
    return room + (text.windows.max_windows - 1) * step if text.windows else room


def cut_entries(examples: Examples, text: Text) -> tuple[Entry, ...]:
    """What the ledger says about cut texts: one entry with the count of every cut row, or none."""
    cut = np.flatnonzero(examples.n_cut_R)
    if not len(cut):
        return ()
    n_cut, n_all = int(examples.n_cut_R.sum()), int(examples.n_tokens_R.sum())
    how = f"in up to {text.windows.max_windows} windows, " if text.windows else ""
    ids = tuple(examples.ids[cut].tolist())
    entry = Entry(
        kind="cut",
        station="examples",
        what=f"{len(cut)} of {examples.n_rows} texts are longer than what is read ({how}"
        f"{text.max_length_tokens} tokens at a time): {KEPT[text.keep]} of each was kept, {n_cut} of {n_all} tokens "
        f"({n_cut / n_all:.1%}) were cut",
        n_rows=len(cut),
        ids=ids,
        details={
            "n_tokens_cut": dict(zip(ids, examples.n_cut_R[cut].tolist(), strict=True)),
            "max_length_tokens": text.max_length_tokens,
            "keep": text.keep,
        },
    )
    return (entry,)


def _room_and_step(tokenizer: TextTokenizer, text: Text) -> tuple[int, int]:
    """Tokens of a text's own that fit one window, and how far the next window starts from it."""
    room = text.max_length_tokens - tokenizer.n_special
    stride = text.windows.stride_tokens if text.windows else 0
    if room <= stride:
        where, least = "text.max_length_tokens", tokenizer.n_special + stride + 1
        problem = Problem(
            where=where,
            must=f"it must be at least {least}: {tokenizer.n_special} special tokens, {stride} shared with the next "
            "window, 1 new",
            came=str(text.max_length_tokens),
            do=f"set {where} to {least} or more" + (", or lower text.windows.stride_tokens" if stride else ""),
        )
        raise RecipeError(problem)
    return room, room - stride


def kept_positions(n_tokens: int, capacity: int, keep: str) -> NDArray[np.intp]:
    """Positions of the tokens that stay, ascending."""
    if n_tokens <= capacity:
        return np.arange(n_tokens)
    if keep == "ends":
        n_head = (capacity + 1) // 2
        return np.concatenate([np.arange(n_head), np.arange(n_tokens - (capacity - n_head), n_tokens)])
    start = {"head": 0, "middle": (n_tokens - capacity) // 2, "tail": n_tokens - capacity}[keep]
    return np.arange(start, start + capacity)


def _window_starts(n_tokens: int, room: int, step: int) -> list[int]:
    """Where windows start; the last is moved back so that it is full."""
    if n_tokens <= room:
        return [0]
    last = n_tokens - room
    return [*range(0, last, step), last]
