"""Turn texts into vectors, each text once for a model.

Dimensions: N texts, D numbers of a vector.
"""

from collections.abc import Callable, Iterator, Sequence
from contextlib import nullcontext
from dataclasses import dataclass
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from strop.evidence.embedding_cache import EmbeddingCache, Vectors, text_keys
from strop.evidence.encoder import MOST_TEXTS_A_BATCH, Encoder
from strop.text.batches import inference_batches

Floats = NDArray[np.float32]
Progress = Callable[[int, int], None]

# Texts whose vectors are written together: what a killed run computes again, at most.
TEXTS_A_FILE = 512
# Fewer texts than these are computed sooner than a cache is read.
LEAST_CACHED = 32


@dataclass(frozen=True)
class Embedded:
    """Vectors of texts, and where they came from.

    Attributes:
        vectors_ND: One vector of length 1 a text, in the order of the texts.
        n_computed: Distinct texts that were computed now.
        n_cached: Distinct texts whose vectors were there.
        n_cut: Distinct texts that are longer than the encoder reads; it read their beginning.
        damaged: Files of the cache that were damaged, and whose texts were computed anew.
    """

    vectors_ND: Floats
    n_computed: int
    n_cached: int
    n_cut: int
    damaged: tuple[str, ...]


def embed_texts(
    texts: Sequence[str],
    encoder: Encoder,
    *,
    prefix: str = "",
    cache: Path | None = None,
    progress: Progress | None = None,
) -> Embedded:
    """Turn texts into vectors; what a model once computed is not computed again.

    Texts are computed longest first, in batches of so many tokens, and written every 512 texts: a run that was killed
    goes on from there and ends with the vectors that it would have had.

    Args:
        texts: Any number.
        encoder: The model.
        prefix: What the encoder expects before every text.
        cache: A folder for the vectors of all models, each in a folder of its own; None, and for fewer than 32 texts,
            to keep nothing.
        progress: Receives how many distinct texts are done, and how many there are.

    Raises:
        MachineError: sentence-transformers is missing, the memory does not do, or the cache cannot be written.
        ModelError: The encoder cannot be loaded, or gives no numbers.
    """
    if not texts:
        return Embedded(np.empty((0, 0), dtype=np.float32), 0, 0, 0, ())
    whole = [prefix + text for text in texts]
    keys = text_keys(whole)
    distinct = dict(zip(keys, whole, strict=True))
    kept = None if cache is None or len(distinct) < LEAST_CACHED else EmbeddingCache(cache / encoder.key[:24])
    found: dict[bytes, tuple[Floats, bool]] = {}
    damaged: tuple[str, ...] = ()
    with nullcontext() if kept is None else kept.locked():
        if kept is not None:
            parts, damaged = kept.read()
            found = {key: value for part in parts for key, value in _by_key(part).items() if key in distinct}
        n_cached = len(found)
        missing = {key: text for key, text in distinct.items() if key not in found}
        for part in _computed(missing, encoder):
            if kept is not None:
                kept.write(part)
            found |= _by_key(part)
            if progress is not None:
                progress(len(found), len(distinct))
    vectors_ND = np.stack([found[key][0] for key in keys])
    n_cut = sum(is_cut for _, is_cut in found.values())
    return Embedded(vectors_ND, len(missing), n_cached, n_cut, damaged)


def _by_key(vectors: Vectors) -> dict[bytes, tuple[Floats, bool]]:
    return dict(zip(vectors.keys, zip(vectors.vectors_ND, vectors.is_cut_N.tolist(), strict=True), strict=True))


def _computed(missing: dict[bytes, str], encoder: Encoder) -> Iterator[Vectors]:
    """Compute vectors, so many texts at a time, longest first."""
    if not missing:
        return
    n_special = encoder.tokenizer.n_special
    length_of = {
        key: len(ids) + n_special
        for key, ids in zip(missing, encoder.tokenizer.encode(list(missing.values())), strict=True)
    }
    # By content where lengths are equal: the order of the texts, which may be another next time, plays no part.
    order = sorted(missing, key=lambda key: (-length_of[key], key))
    most = encoder.max_length_tokens
    for start in range(0, len(order), TEXTS_A_FILE):
        keys = order[start : start + TEXTS_A_FILE]
        length_N = np.array([length_of[key] for key in keys], dtype=np.int64)
        read_N = length_N if most is None else np.minimum(length_N, most)
        # Longest first already, so the batches follow one another.
        batches = inference_batches(read_N, MOST_TEXTS_A_BATCH, encoder.batch_tokens)
        vectors = [encoder.encode([missing[keys[at]] for at in batch]) for batch in batches]
        yield Vectors(tuple(keys), np.concatenate(vectors), length_N > read_N)
