"""Complete, tiny models and data, built offline in well under a second, for test suites.

The models are untrained and far too small to be good at anything, but they are real: `transformers` loads them, and a
few epochs on `make_tiny_rows` teach them its classes.
"""

import csv
from collections.abc import Sequence
from pathlib import Path
from typing import Any, Literal

import numpy as np

TOPIC_WORDS: dict[str, tuple[str, ...]] = {
    "code": ("python", "loop", "function", "error", "compile", "함수", "변수", "오류"),
    "web": ("page", "button", "browser", "link", "server", "화면", "버튼", "접속"),
    "theory": ("proof", "theorem", "limit", "define", "meaning", "증명", "정의", "이론"),
    "system": ("login", "grade", "submit", "deadline", "password", "제출", "성적", "비밀번호"),
    "other": ("lunch", "weather", "thanks", "music", "holiday", "점심", "날씨", "감사"),
    "room": ("chair", "heating", "projector", "floor", "key", "의자", "난방", "열쇠"),
    "book": ("library", "chapter", "author", "print", "edition", "도서관", "저자", "인쇄"),
    "travel": ("train", "ticket", "station", "airport", "map", "기차", "표", "지도"),
}
NOISE_WORDS = ("the", "a", "my", "is", "please", "how", "today", "again", "왜", "그리고", "저", "좀", "다시", "?", ".")
TINY_WORDS = (*(word for words in TOPIC_WORDS.values() for word in words), *NOISE_WORDS)
N_POSITIONS = 512

Architecture = Literal["llama", "gemma3", "qwen3", "mistral"]


def make_tiny_encoder(folder: Path, *, seed: int = 0, vocabulary: Sequence[str] = TINY_WORDS) -> Path:
    """Write an untrained BERT of 2 layers and 32 dimensions, with a WordPiece tokenizer, to a folder.

    Args:
        folder: Where; created if need be.
        seed: Draws the weights.
        vocabulary: Words that are one token each; other words fall into single characters.

    Returns:
        The folder.
    """
    from transformers import BertConfig, BertModel

    tokenizer = _word_piece(vocabulary)
    config = BertConfig(
        vocab_size=len(tokenizer),
        hidden_size=32,
        num_hidden_layers=2,
        num_attention_heads=4,
        intermediate_size=64,
        max_position_embeddings=N_POSITIONS,
        pad_token_id=tokenizer.pad_token_id,
        # Wider than BERT's own 0.02, which 32 dimensions would need many epochs to get away from.
        initializer_range=0.1,
    )
    return _save(folder, BertModel, config, tokenizer, seed)


def make_tiny_causal(
    folder: Path, architecture: Architecture = "llama", *, seed: int = 0, sliding_window: int = 16
) -> Path:
    """Write an untrained causal model of 2 layers and 32 dimensions, with a byte-level BPE tokenizer, to a folder.

    The families differ as the real ones do: llama has no padding token and an output matrix of its own, gemma3 has
    sliding attention in one of its layers and mistral in all, qwen3 puts no special token before a text.

    Args:
        folder: Where; created if need be.
        architecture: The family.
        seed: Draws the weights.
        sliding_window: Tokens that sliding attention sees, in gemma3 and mistral.

    Returns:
        The folder.
    """
    from transformers import (
        Gemma3ForCausalLM,
        Gemma3TextConfig,
        LlamaConfig,
        LlamaForCausalLM,
        MistralConfig,
        MistralForCausalLM,
        Qwen3Config,
        Qwen3ForCausalLM,
    )

    tokenizer = _byte_level(has_bos=architecture != "qwen3", has_pad=architecture != "llama")
    shape: dict[str, Any] = {
        "vocab_size": len(tokenizer),
        "hidden_size": 32,
        "intermediate_size": 64,
        "num_hidden_layers": 2,
        "num_attention_heads": 4,
        "num_key_value_heads": 2,
        "head_dim": 8,
        "max_position_embeddings": N_POSITIONS,
        "bos_token_id": tokenizer.bos_token_id,
        "eos_token_id": tokenizer.eos_token_id,
        "pad_token_id": tokenizer.pad_token_id,
        "initializer_range": 0.1,
    }
    if architecture == "llama":
        return _save(folder, LlamaForCausalLM, LlamaConfig(**shape), tokenizer, seed)
    if architecture == "qwen3":
        config = Qwen3Config(**shape, tie_word_embeddings=True)
        return _save(folder, Qwen3ForCausalLM, config, tokenizer, seed)
    if architecture == "mistral":
        mistral = MistralConfig(**shape, sliding_window=sliding_window)
        return _save(folder, MistralForCausalLM, mistral, tokenizer, seed)
    layer_types = ["sliding_attention", "full_attention"]
    gemma = Gemma3TextConfig(**shape, sliding_window=sliding_window, layer_types=layer_types, query_pre_attn_scalar=8)
    return _save(folder, Gemma3ForCausalLM, gemma, tokenizer, seed)


def make_tiny_rows(path: Path, n_rows: int = 120, n_labels: int = 3, seed: int = 0) -> Path:
    """Write a CSV file (id, text, label) that can be learnt: texts hold words of their class between other words.

    Classes are uneven: each is smaller than the one before it, the k-th in proportion to 1 / k.

    Args:
        path: The file.
        n_rows: How many rows.
        n_labels: How many classes, 2 to 8.
        seed: Draws rows and words.

    Returns:
        The file.
    """
    topics = list(TOPIC_WORDS)[:n_labels]
    if not 2 <= n_labels <= len(TOPIC_WORDS) or n_rows < 2 * n_labels:
        raise ValueError(f"n_labels must be 2 to {len(TOPIC_WORDS)} and n_rows at least twice that")
    generator = np.random.default_rng(seed)
    shares = 1.0 / np.arange(1, n_labels + 1)
    drawn = generator.choice(n_labels, size=n_rows - 2 * n_labels, p=shares / shares.sum())
    # Two rows of every class are certain, so that a split by class is possible.
    labels = generator.permutation(np.concatenate([np.repeat(np.arange(n_labels), 2), drawn]))
    path.parent.mkdir(parents=True, exist_ok=True)
    with path.open("w", encoding="utf-8", newline="") as file:
        writer = csv.writer(file, lineterminator="\n")
        writer.writerow(["id", "text", "label"])
        for row, label in enumerate(labels):
            own = generator.choice(TOPIC_WORDS[topics[label]], size=generator.integers(2, 5))
            noise = generator.choice(NOISE_WORDS, size=generator.integers(1, 8))
            words = generator.permutation(np.concatenate([own, noise]))
            writer.writerow([f"r{row:04d}", " ".join(words.tolist()), topics[label]])
    return path


def _word_piece(vocabulary: Sequence[str]) -> Any:
    from tokenizers import Tokenizer, decoders, models, normalizers, pre_tokenizers, processors
    from transformers import PreTrainedTokenizerFast

    special = ["[PAD]", "[UNK]", "[CLS]", "[SEP]", "[MASK]"]
    characters = sorted({*"".join(vocabulary), *"abcdefghijklmnopqrstuvwxyz0123456789.,?!"})
    pieces = [*special, *vocabulary, *characters, *(f"##{character}" for character in characters)]
    ids = {piece: number for number, piece in enumerate(dict.fromkeys(pieces))}
    tokenizer = Tokenizer(models.WordPiece(ids, unk_token="[UNK]"))  # noqa: S106
    tokenizer.normalizer = normalizers.Sequence([normalizers.NFC(), normalizers.Lowercase()])
    tokenizer.pre_tokenizer = pre_tokenizers.BertPreTokenizer()
    tokenizer.decoder = decoders.WordPiece()
    tokenizer.post_processor = processors.TemplateProcessing(
        single="[CLS] $A [SEP]",
        pair="[CLS] $A [SEP] $B:1 [SEP]:1",
        special_tokens=[("[CLS]", ids["[CLS]"]), ("[SEP]", ids["[SEP]"])],
    )
    roles = dict(zip(("pad_token", "unk_token", "cls_token", "sep_token", "mask_token"), special, strict=True))
    return PreTrainedTokenizerFast(tokenizer_object=tokenizer, **roles)


def _byte_level(*, has_bos: bool, has_pad: bool) -> Any:
    from tokenizers import Tokenizer, decoders, models, pre_tokenizers, processors, trainers
    from transformers import PreTrainedTokenizerFast

    special = ["<bos>", "<eos>", *(["<pad>"] if has_pad else [])]
    tokenizer = Tokenizer(models.BPE())
    tokenizer.pre_tokenizer = pre_tokenizers.ByteLevel(add_prefix_space=False)
    tokenizer.decoder = decoders.ByteLevel()
    trainer = trainers.BpeTrainer(
        vocab_size=512,
        special_tokens=special,
        initial_alphabet=sorted(pre_tokenizers.ByteLevel.alphabet()),
        show_progress=False,
    )
    tokenizer.train_from_iterator([f"{word} {word}" for word in TINY_WORDS], trainer)
    if has_bos:
        bos = [("<bos>", tokenizer.token_to_id("<bos>"))]
        tokenizer.post_processor = processors.TemplateProcessing(
            single="<bos> $A", pair="<bos> $A $B:1", special_tokens=bos
        )
    roles = {"bos_token": "<bos>", "eos_token": "<eos>", **({"pad_token": "<pad>"} if has_pad else {})}
    return PreTrainedTokenizerFast(tokenizer_object=tokenizer, **roles)


def _save(folder: Path, model_class: Any, config: Any, tokenizer: Any, seed: int) -> Path:
    """Draw weights without touching the caller's generator, and write model and tokenizer."""
    import torch
    from transformers.utils import logging

    with torch.random.fork_rng(devices=[]):
        torch.manual_seed(seed)
        model = model_class(config)
    was_shown = logging.is_progress_bar_enabled()
    logging.disable_progress_bar()
    model.save_pretrained(folder)
    tokenizer.save_pretrained(folder)
    if was_shown:
        logging.enable_progress_bar()
    return folder
