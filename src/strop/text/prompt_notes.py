"""What the ledger says about prompts: rows left out, contexts cut, and where prompt and answer meet."""

from collections import Counter
from collections.abc import Sequence

from strop.recipe.answer import Prompt
from strop.recipe.sections import Text
from strop.records.dataset import Dataset
from strop.records.ledger import Entry
from strop.text.fitting import Fit, How, Purpose
from strop.text.rendering import Renderer
from strop.text.tokenizer import TextTokenizer

STATION = "examples"


def _unanswered_entries(dataset: Dataset, asked: Sequence[str]) -> list[Entry]:
    """At most one entry, on rows that are not asked about because they have no answer.

    Args:
        dataset: All rows.
        asked: Ids of those that are asked about.
    """
    without = set(dataset.ids.tolist()) - set(asked)
    ids = [row_id for row_id in dataset.ids.tolist() if row_id in without]
    what = "Rows without an answer were left out; answer.prompt.no_answer would say what stands for it"
    return [_entry("dropped", what, ids)] if ids else []


def fit_entries(
    dataset: Dataset,
    ids: Sequence[str],
    fits: Sequence[Fit],
    prompt: Prompt,
    text: Text,
    purpose: Purpose,
    n_examples: int,
) -> list[Entry]:
    """What became of rows on their way to the model.

    Args:
        dataset: All rows.
        ids: Of every row that is asked about.
        fits: What became of it.
        prompt: The recipe's section on prompts.
        text: The recipe's section on texts.
        purpose: Whether the rows are trained on or answered: the same row may be cut in another way for each.
        n_examples: How many examples there are.
    """
    entries = _unanswered_entries(dataset, ids) + _length_entries(ids, fits, prompt, text, purpose)
    entries += _example_entries(ids, fits, n_examples)
    # Where prompt and answer meet is the same for prompts that are asked; once is enough.
    return entries + (_meeting_entries(ids, fits) if purpose == "train" else [])


def _length_entries(
    ids: Sequence[str], fits: Sequence[Fit], prompt: Prompt, text: Text, purpose: Purpose
) -> list[Entry]:
    """What was done with rows that are too long; an entry for each way, with all their ids.

    Args:
        ids: Of every row that is asked about.
        fits: What became of it.
        prompt: The recipe's section on prompts.
        text: The recipe's section on texts.
        purpose: Whether the rows are trained on or answered: the same row may be cut in another way for each.
    """
    what_for = "in training" if purpose == "train" else "to be answered"
    most = f"{text.max_length_tokens} tokens"
    kept_of_context = "around the answer, or nearest to the question"
    said: dict[How, tuple[str, str]] = {
        "long_answer": ("dropped", f"Rows whose answer has more than {prompt.max_answer_tokens} tokens were left out"),
        "dropped": ("dropped", f"Rows that do not fit {most} were left out: an answer is never trained on cut"),
        "cut": ("cut", f"Contexts that do not fit {most} were cut; what stands {kept_of_context} was kept"),
        "middle": ("cut", f"Prompts that do not fit {most} beside an answer were cut in their middle"),
        "windows": ("note", f"Contexts that do not fit {most} are read in overlapping windows"),
    }
    entries = []
    for how, (kind, what) in said.items():
        found = {row_id: fit for row_id, fit in zip(ids, fits, strict=True) if fit.how == how}
        if not found:
            continue
        cut = {row_id: fit.n_cut for row_id, fit in found.items() if fit.n_cut}
        details: dict[str, object] = {"max_length_tokens": text.max_length_tokens}
        if cut:
            details["n_tokens_cut"] = cut
        if how == "windows":
            details["n_windows"] = {row_id: len(fit.prompts) for row_id, fit in found.items()}
        unread = f"; {sum(cut.values())} tokens are not read" if cut else ""
        entries.append(_entry(kind, f"{what}{unread} ({what_for})", list(found), details))
    untrained = [
        row_id
        for row_id, fit in zip(ids, fits, strict=True)
        if fit.how == "windows" and not any(read.answer for read in fit.prompts)
    ]
    if untrained and any(read.answer for fit in fits for read in fit.prompts):
        what = "No window of these rows holds the answer: nothing is learnt from them"
        entries.append(_entry("dropped", what, untrained))
    return entries


def _example_entries(ids: Sequence[str], fits: Sequence[Fit], n_examples: int) -> list[Entry]:
    """At most one entry, on rows before which not all examples stand.

    Args:
        ids: Of every row that is asked about.
        fits: What became of it.
        n_examples: How many examples there are.
    """
    fewer = {row_id: fit.n_examples for row_id, fit in zip(ids, fits, strict=True) if fit.n_examples < n_examples}
    if not fewer:
        return []
    counts = ", ".join(f"{count} before {n_rows}" for count, n_rows in sorted(Counter(fewer.values()).items()))
    what = f"Before these rows stand fewer than {n_examples} examples, since all of them do not fit: {counts} rows"
    return [_entry("note", what, list(fewer), {"n_examples": fewer})]


def _meeting_entries(ids: Sequence[str], fits: Sequence[Fit]) -> list[Entry]:
    """What there is to know about the place where prompt and answer meet.

    Args:
        ids: Of every row that is asked about.
        fits: What became of it.
    """
    entries = []
    spaced = [row_id for row_id, fit in zip(ids, fits, strict=True) if any(one.asked.lead for one in fit.prompts)]
    apart = [row_id for row_id, fit in zip(ids, fits, strict=True) if any(one.joined.is_apart for one in fit.prompts)]
    if spaced:
        what = "The prompt ends with a space, which is left to the answer: tokenizers join it with the word behind it"
        entries.append(_entry("note", what, spaced))
    if apart:
        what = (
            "Running text has one token across the end of the prompt and the beginning of the answer; these answers "
            "begin with a token of their own, as they must at prediction"
        )
        entries.append(_entry("note", what, apart))
    return entries


def ending_entries(renderer: Renderer, tokenizer: TextTokenizer) -> list[Entry]:
    """At most one entry, on a chat template that does not say what ends an answer."""
    if renderer.kind == "template" or renderer.ending.is_written:
        return []
    token = tokenizer.tokenizer.id_to_token(renderer.ending.id)
    what = f"The chat template writes no token after an answer: the model's own end token, {token}, is learnt"
    return [_entry("note", what, [])]


def _entry(kind: str, what: str, ids: Sequence[str], details: dict[str, object] | None = None) -> Entry:
    return Entry(kind, STATION, what, n_rows=len(ids), ids=tuple(ids), details=details or {})
