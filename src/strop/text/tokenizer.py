"""Turn texts into the token ids that the model's own tokenizer gives, without loading torch where that is possible."""

import json
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Self

import numpy as np
from numpy.typing import NDArray
from tokenizers import Tokenizer

from strop.errors import ModelError, Problem

# Files of which a model folder must hold at least one to have a tokenizer.
TOKENIZER_FILES = (
    "tokenizer.json",
    "tokenizer.model",
    "vocab.txt",
    "vocab.json",
    "spiece.model",
    "spm.model",
    "sentencepiece.bpe.model",
    "tekken.json",
    "tiktoken.model",
)
# For these classes tokenizer.json alone decides the ids; transformers rebuilds other families' tokenizers in code.
FILE_DECIDES = frozenset(
    {
        None,
        "TokenizersBackend",
        "PreTrainedTokenizerFast",
        "BertTokenizer",
        "BertTokenizerFast",
        "GemmaTokenizer",
        "GemmaTokenizerFast",
    }
)
# Entries of tokenizer_config.json that change what tokenizer.json says.
CHANGES_THE_FILE = ("add_prefix_space", "auto_map", "extra_special_tokens", "additional_special_tokens")
BERT_SETTINGS = {
    "do_lower_case": "lowercase",
    "tokenize_chinese_chars": "handle_chinese_chars",
    "strip_accents": "strip_accents",
}
ENCODED_AT_ONCE = 4096
PROBE = "a"


@dataclass(frozen=True)
class TextTokenizer:
    """A model's tokenizer, with truncation and padding turned off.

    Attributes:
        tokenizer: The tokenizer itself.
        prefix_ids: Special tokens that the model expects before a text, for example [CLS].
        suffix_ids: Special tokens that it expects after a text, for example [SEP].
        pad_id: The token that fills short windows: the padding token, or where the model has none its end token.
    """

    tokenizer: Tokenizer
    prefix_ids: tuple[int, ...]
    suffix_ids: tuple[int, ...]
    pad_id: int

    @property
    def n_special(self) -> int:
        """How many special tokens are put around a text."""
        return len(self.prefix_ids) + len(self.suffix_ids)

    @classmethod
    def from_folder(cls, folder: Path, *, trust_remote_code: bool = False) -> Self:
        """Read the tokenizer of a model folder.

        Args:
            folder: Holds tokenizer.json or an older tokenizer format; the older ones are read through transformers.
            trust_remote_code: Whether Python code of the folder may be run for it.

        Raises:
            ModelError: There is no tokenizer, or it is damaged.
        """
        settings = _settings(folder)
        if _file_alone_decides(folder, settings):
            tokenizer = _from_file(folder / "tokenizer.json")
        else:
            tokenizer = _through_transformers(folder, trust_remote_code=trust_remote_code)
        # Some folders carry the cut and the padding of whoever saved them, which would cut texts without a word.
        tokenizer.no_truncation()
        tokenizer.no_padding()
        prefix_ids, suffix_ids = _special_ids(tokenizer)
        return cls(tokenizer, prefix_ids, suffix_ids, _pad_id(folder, tokenizer, settings))

    def encode(self, texts: Sequence[str] | NDArray[np.object_]) -> list[NDArray[np.int32]]:
        """Token ids of every text, without the special tokens around it.

        Half surrogate pairs, which no tokenizer can read, count as the replacement character U+FFFD.
        """
        encoded: list[NDArray[np.int32]] = []
        for start in range(0, len(texts), ENCODED_AT_ONCE):
            some = [_readable(text) for text in texts[start : start + ENCODED_AT_ONCE]]
            batch = self.tokenizer.encode_batch_fast(some, add_special_tokens=False)
            encoded += [np.asarray(one.ids, dtype=np.int32) for one in batch]
        return encoded

    def with_special(self, ids: NDArray[np.int32]) -> NDArray[np.int32]:
        """Put the special tokens around one text's ids; what would be empty becomes one padding token."""
        whole = np.concatenate([self.prefix_ids, ids, self.suffix_ids]).astype(np.int32)
        return whole if len(whole) else np.asarray([self.pad_id], dtype=np.int32)


def _readable(text: str) -> str:
    try:
        text.encode("utf-8")
    except UnicodeEncodeError:
        return text.encode("utf-16", "surrogatepass").decode("utf-16", "replace")
    return text


def _settings(folder: Path) -> dict[str, Any]:
    """Read tokenizer_config.json over special_tokens_map.json; both may be absent."""
    merged: dict[str, Any] = {}
    for name in ("special_tokens_map.json", "tokenizer_config.json"):
        path = folder / name
        if not path.exists():
            continue
        try:
            merged.update(json.loads(path.read_text(encoding="utf-8")))
        except ValueError as error:
            raise ModelError(_damaged(path, error)) from error
    return merged


def _file_alone_decides(folder: Path, settings: Mapping[str, Any]) -> bool:
    path = folder / "tokenizer.json"
    if not path.exists() or settings.get("tokenizer_class") not in FILE_DECIDES:
        return False
    if any(settings.get(name) for name in CHANGES_THE_FILE):
        return False
    return not str(settings.get("tokenizer_class")).startswith("Bert") or _bert_settings_agree(path, settings)


def _bert_settings_agree(path: Path, settings: Mapping[str, Any]) -> bool:
    """Whether the normalizer in the file is the one transformers would build from the settings."""
    try:
        normalizer = json.loads(path.read_text(encoding="utf-8")).get("normalizer") or {}
    except ValueError as error:
        raise ModelError(_damaged(path, error)) from error
    defaults = {"do_lower_case": True, "tokenize_chinese_chars": True, "strip_accents": None}
    return normalizer.get("type") == "BertNormalizer" and all(
        settings.get(ours, defaults[ours]) == normalizer.get(theirs) for ours, theirs in BERT_SETTINGS.items()
    )


def _from_file(path: Path) -> Tokenizer:
    try:
        return Tokenizer.from_file(str(path))
    except Exception as error:  # the library raises bare Exception for a file it cannot read
        raise ModelError(_damaged(path, error)) from error


def _through_transformers(folder: Path, *, trust_remote_code: bool) -> Tokenizer:
    from transformers import AutoTokenizer

    try:
        if not any((folder / name).exists() for name in TOKENIZER_FILES):
            # transformers would make up a tokenizer of a few special tokens.
            raise FileNotFoundError("no tokenizer file")
        loaded = AutoTokenizer.from_pretrained(folder, trust_remote_code=trust_remote_code)
        tokenizer: Tokenizer = loaded.backend_tokenizer
    except (ValueError, OSError, ImportError, AttributeError, KeyError, TypeError) as error:
        problem = Problem(
            where=str(folder),
            must="the folder must hold a tokenizer that transformers can load as a fast one (tokenizer.json)",
            came=str(error).strip().splitlines()[0],
            do="copy tokenizer.json and tokenizer_config.json from the original model, or save the tokenizer again; "
            "SentencePiece models need `pip install 'strop[sentencepiece]'`",
        )
        raise ModelError(problem) from error
    return tokenizer


def _special_ids(tokenizer: Tokenizer) -> tuple[tuple[int, ...], tuple[int, ...]]:
    """What the tokenizer adds before and after a text, found by encoding a probe with and without."""
    bare = tokenizer.encode(PROBE, add_special_tokens=False).ids
    whole = tokenizer.encode(PROBE, add_special_tokens=True).ids
    for start in range(len(whole) - len(bare) + 1):
        end = start + len(bare)
        if whole[start:end] == bare:
            return tuple(whole[:start]), tuple(whole[end:])
    problem = Problem(
        where="tokenizer",
        must="special tokens must stand before and after a text, not inside it",
        came=f"{bare} without and {whole} with special tokens",
        do="use another model: Strop cuts texts between the special tokens",
    )
    raise ModelError(problem)


def _pad_id(folder: Path, tokenizer: Tokenizer, settings: Mapping[str, Any]) -> int:
    config_path = folder / "config.json"
    config = json.loads(config_path.read_text(encoding="utf-8")) if config_path.exists() else {}
    n_rows = config.get("vocab_size")
    for role in ("pad", "eos", "sep"):
        token = settings.get(f"{role}_token")
        content = token.get("content") if isinstance(token, dict) else token
        ids = config.get(f"{role}_token_id")
        candidates = [tokenizer.token_to_id(content)] if isinstance(content, str) else []
        for found in [*candidates, *(ids if isinstance(ids, list) else [ids])]:
            # A padding token that was added later may lie beyond the rows of the embedding matrix.
            if isinstance(found, int) and 0 <= found < (n_rows or found + 1):
                return found
    return 0


def _damaged(path: Path, error: Exception) -> Problem:
    return Problem(
        where=str(path),
        must="the file must be complete JSON, as the model's authors saved it",
        came=str(error).strip().splitlines()[0],
        do="fetch the model again, or copy this file from the original",
    )
