"""The model that turns a text into one vector, loaded when it is first needed.

Dimensions: N texts, D numbers of a vector.
"""

import hashlib
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from functools import cached_property
from typing import TYPE_CHECKING, Any

import numpy as np
from numpy.typing import NDArray

from strop.errors import MachineError, ModelError, Problem
from strop.evidence.libraries import evidence_library
from strop.models.locate import LocatedModel
from strop.text.tokenizer import TextTokenizer

if TYPE_CHECKING:
    import torch

Floats = NDArray[np.float32]

# Tokens of one padded batch. On a CPU more only leaves its caches, on an accelerator fewer leave it idle.
BATCH_TOKENS_CPU, BATCH_TOKENS_ACCELERATOR = 1024, 65_536
MOST_TEXTS_A_BATCH = 1024


@dataclass(frozen=True)
class Encoder:
    """A sentence-embedding model, or any encoder: without settings of its own its token states are averaged.

    Attributes:
        located: The model's folder.
        trust_remote_code: Whether Python code of the folder may be run.
    """

    located: LocatedModel
    trust_remote_code: bool = False

    @cached_property
    def key(self) -> str:
        """A digest of all that decides a text's vector: weights, settings, tokenizer and number format."""
        from strop.models.trained import weights_digest

        digest = hashlib.sha256(weights_digest(self.located.folder).encode())
        for file in sorted(self.located.folder.rglob("*")):
            if file.suffix in (".json", ".txt", ".model"):
                digest.update(f"\0{file.relative_to(self.located.folder)}\0".encode() + file.read_bytes())
        digest.update(str(self.dtype).encode())
        return digest.hexdigest()

    @cached_property
    def tokenizer(self) -> TextTokenizer:
        """The model's tokenizer."""
        return TextTokenizer.from_folder(self.located.folder, trust_remote_code=self.trust_remote_code)

    @cached_property
    def device(self) -> "torch.device":
        """Where the model runs."""
        from strop.models.precision import choose_device

        return choose_device()

    @property
    def dtype(self) -> "torch.dtype":
        """The number format of the weights."""
        import torch

        from strop.models.precision import has_fast_bfloat16

        return torch.bfloat16 if has_fast_bfloat16(self.device) else torch.float32

    @property
    def batch_tokens(self) -> int:
        """Tokens of one padded batch."""
        return BATCH_TOKENS_CPU if self.device.type == "cpu" else BATCH_TOKENS_ACCELERATOR

    @cached_property
    def network(self) -> Any:
        """The model itself.

        Raises:
            MachineError: sentence-transformers is missing, or the model does not fit the device.
            ModelError: The folder cannot be loaded.
        """
        library = evidence_library("sentence_transformers")
        with quiet_loading(self.located):
            network = library.SentenceTransformer(
                str(self.located.folder),
                device=str(self.device),
                trust_remote_code=self.trust_remote_code,
                local_files_only=True,
                model_kwargs={"dtype": self.dtype},
            )
        tokenizer = network.tokenizer
        if getattr(tokenizer, "pad_token", "") is None:
            # Attention leaves padding out, so any token will do.
            tokenizer.pad_token = tokenizer.eos_token
        limits = [one for one in (network.max_seq_length, self.located.max_positions) if one]
        network.max_seq_length = min(limits, default=None)
        return network.eval()

    @property
    def max_length_tokens(self) -> int | None:
        """The longest text in tokens, special tokens included; None where there is no limit."""
        limit = self.network.max_seq_length
        return None if limit is None else int(limit)

    def encode(self, texts: Sequence[str]) -> Floats:
        """Vectors of one batch of texts, of length 1, shape (N, D). Longer texts are cut.

        Raises:
            MachineError: The memory does not do.
            ModelError: The model gives no numbers.
        """
        import torch

        try:
            vectors = self.network.encode(list(texts), batch_size=len(texts), show_progress_bar=False, prompt="")
        except torch.OutOfMemoryError as error:
            raise MachineError(no_memory(self.located, error)) from error
        vectors_ND = np.asarray(vectors, dtype=np.float32)
        if not np.isfinite(vectors_ND).all():
            problem = Problem(
                where=str(self.located.folder),
                must="an encoder must give a finite vector for every text",
                came=f"NaN or infinity among {len(texts)} texts",
                do="use another encoder (evidence.retrieval.encoder)",
            )
            raise ModelError(problem)
        # Normalised here, in float32: models that do it themselves do it in the number format of their weights.
        length_N1 = np.linalg.norm(vectors_ND, axis=1, keepdims=True)
        return np.asarray(vectors_ND / np.maximum(length_N1, 1e-12), dtype=np.float32)


@contextmanager
def quiet_loading(located: LocatedModel) -> Iterator[None]:
    """Load a model through sentence-transformers without its bars and reports; its errors become words.

    Raises:
        MachineError: The model does not fit the device.
        ModelError: The folder cannot be loaded.
    """
    import torch
    from transformers.utils import logging

    from strop.models.host_memory import give_back_large_blocks

    give_back_large_blocks()
    verbosity = logging.get_verbosity()
    logging.disable_progress_bar()
    logging.set_verbosity_error()
    try:
        yield
    except torch.OutOfMemoryError as error:
        raise MachineError(no_memory(located, error)) from error
    except (ValueError, OSError, RuntimeError, KeyError, AttributeError, TypeError) as error:
        problem = Problem(
            where=str(located.folder),
            must="sentence-transformers must be able to load the model",
            came=(str(error).strip() or type(error).__name__).splitlines()[0],
            do="check that the folder is complete, or name another model under evidence.retrieval",
        )
        raise ModelError(problem) from error
    finally:
        logging.set_verbosity(verbosity)


def no_memory(located: LocatedModel, error: BaseException) -> Problem:
    """The problem that a model and its batch do not fit the device."""
    return Problem(
        where=str(located.folder),
        must="the model and a batch must fit the device's memory",
        came=str(error).strip().splitlines()[0],
        do="free memory, or name a smaller model under evidence.retrieval",
    )
