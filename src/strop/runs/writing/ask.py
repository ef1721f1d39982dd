"""Ask a model, in this process or on a server."""

from collections.abc import Callable, Mapping
from dataclasses import dataclass, replace

import numpy as np
from accelerate import Accelerator

from strop.inference.engines import Asked, Engine
from strop.inference.engines.local import LocalEngine
from strop.inference.generated import answers_of
from strop.models.network import Network
from strop.recipe.answer import Answering, Decoding
from strop.records.answers import Answers
from strop.records.completions import Completions
from strop.records.dataset import strings
from strop.records.ledger import Entry, Note, unsaid
from strop.records.run_folder import RunFolder
from strop.text.tokenizer import TextTokenizer


def noted_in(folder: RunFolder) -> Note:
    """Writes notes to the ledger of a run, each once."""

    def note(words: str) -> None:
        folder.ledger.write(Entry("note", "answering", words))

    return note


@dataclass(frozen=True)
class Asker:
    """How rows are asked.

    Attributes:
        answering: The recipe's section.
        tokenizer: The model's tokenizer.
        end_ids: Token ids that end an answer.
        seed: Draws samples.
        rules: By which rules answers are equal, where windows of a row vote.
    """

    answering: Answering
    tokenizer: TextTokenizer
    end_ids: tuple[int, ...]
    seed: int
    rules: str

    def local(self, network: Network, accelerator: Accelerator) -> LocalEngine:
        """The engine of this process."""
        tokenizer = self.tokenizer
        return LocalEngine(network, accelerator, tokenizer.pad_id, self.end_ids, tokenizer.tokenizer.decode)

    def ask(
        self,
        engine: Engine,
        asked: Asked,
        *,
        part: str,
        made_by: Mapping[str, str],
        fold: int | None = None,
        decoding: Decoding | None = None,
        done: Callable[[int, int], None] | None = None,
        note: Note = unsaid,
    ) -> Answers:
        """Answers as a model writes them, to rows that it was not trained on.

        Args:
            engine: Who writes.
            asked: Prompts of the rows.
            part: The part that the rows belong to.
            made_by: Which model it is.
            fold: Number of the fold whose model it is.
            decoding: How tokens are chosen; without one as the recipe says.
            done: Told how many of how many prompts are done.
            note: Told what a reader should know.
        """
        chosen = decoding or self.answering.decoding
        generated = engine.answer(
            asked,
            chosen,
            max_answer_tokens=self.answering.prompt.max_answer_tokens,
            seed=self.seed,
            done=done,
        )
        n_rows = asked.completions.n_rows
        answers, notes = answers_of(
            generated,
            asked.completions,
            part=strings([part] * n_rows),
            seen_R=np.zeros(n_rows, dtype=np.bool_),
            fold_R=np.full(n_rows, -1 if fold is None else fold, dtype=np.int64),
            rules=self.rules,
            no_answer=self.answering.prompt.no_answer,
            made_by={**made_by, "decoding": chosen.name},
        )
        for words in notes:
            note(words)
        return answers


def in_order_of(completions: Completions, ids: list[str]) -> Completions:
    """The prompts of these rows, in this order."""
    position = {row_id: at for at, row_id in enumerate(completions.ids.tolist())}
    return completions.take(np.asarray([position[row_id] for row_id in ids], dtype=np.intp))


def concatenated(parts: list[Answers], ids: list[str], made_by: Mapping[str, str]) -> Answers:
    """Answers of different rows as one, in the order of `ids`.

    Raises:
        KeyError: A row was not answered.
    """
    names = ("ids", "text_RC", "log_likelihood_RC", "n_tokens_RC", "ended_RC", "part", "seen_R", "fold_R")
    joined = {name: np.concatenate([getattr(one, name) for one in parts]) for name in names}
    return replace(parts[0], **joined, made_by=made_by).select(ids)
