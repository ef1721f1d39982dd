"""Find texts that are nearly the same: MinHash over character shingles, locality-sensitive hashing, union-find."""

from collections.abc import Iterable, Sequence

import numpy as np
from numpy.typing import NDArray

from strop.records.dataset import Strings

SHINGLE_CHARACTERS = 5
MIN_SHINGLES = 3
_N_PERMUTATIONS = 128
_CHUNK = 1 << 16
# A missed pair may leak from a training part into a test part, a false candidate is sorted out by the estimate.
_WEIGHTS_OF_ERRORS = (0.2, 0.8)
_MULTIPLIERS = np.array(
    (0x9E3779B97F4A7C15, 0xBF58476D1CE4E5B9, 0x94D049BB133111EB, 0xD6E8FEB86659FD93, 0xA0761D6478BD642F),
    dtype=np.uint64,
)


def near_duplicate_clusters(texts: Strings, similarity: float, seed: int = 0) -> NDArray[np.int64]:
    """Number the clusters of texts that are equal or nearly so.

    Texts that are equal but for case and white space are in one cluster. Other texts are near duplicates if the
    Jaccard similarity of their sets of 5-character shingles, estimated from 128 MinHash values (standard error at most
    0.045), reaches `similarity`; clusters are the connected components of that relation. Texts with fewer than three
    shingles (7 characters) are near duplicates only if equal.

    Args:
        texts: One string a row, shape (n_rows,).
        similarity: From which estimated similarity, in (0, 1], two texts are near duplicates.
        seed: Draws the permutations.

    Returns:
        The number of each row's cluster, shape (n_rows,); clusters are numbered by their first row, a text without
        duplicates is a cluster of its own.
    """
    keys = [comparable(text) for text in texts]
    row_of_key = {key: row for row, key in reversed(list(enumerate(keys)))}
    first_rows = np.array([row_of_key[key] for key in keys], dtype=np.int64)
    pairs = _near_pairs(list(row_of_key.items()), similarity, seed)
    return connected(len(keys), [*enumerate(first_rows.tolist()), *pairs])


def comparable(text: str) -> str:
    """The text without differences in case and white space."""
    return " ".join(text.casefold().split())


def connected(n_rows: int, pairs: Iterable[tuple[int, int]]) -> NDArray[np.int64]:
    """Number the connected components of rows that pairs join, by first appearance, shape (n_rows,)."""
    from scipy.sparse import coo_array
    from scipy.sparse.csgraph import connected_components

    joined = np.array(list(pairs), dtype=np.int64).reshape(-1, 2)
    graph = coo_array((np.ones(len(joined), dtype=np.int8), (joined[:, 0], joined[:, 1])), shape=(n_rows, n_rows))
    _, component = connected_components(graph, directed=False)
    return numbered_by_appearance(component)


def numbered_by_appearance(values: Sequence[str] | NDArray[np.generic]) -> NDArray[np.int64]:
    """Equal values get equal numbers, counted from 0 in the order in which they appear, shape (n,)."""
    numbers: dict[object, int] = {}
    listed = values.tolist() if isinstance(values, np.ndarray) else values
    return np.array([numbers.setdefault(value, len(numbers)) for value in listed], dtype=np.int64)


def shingles(text: str) -> NDArray[np.uint32]:
    """Hashes of the distinct 5-character shingles of a text, shape (n_shingles,); none for shorter texts.

    A polynomial over code points with odd 64-bit multipliers, of which the upper half is kept.
    """
    codes = np.frombuffer(text.encode("utf-32-le", "surrogatepass"), dtype=np.uint32).astype(np.uint64)
    n = len(codes) - SHINGLE_CHARACTERS + 1
    if n < 1:
        return np.empty(0, dtype=np.uint32)
    mixed = np.zeros(n, dtype=np.uint64)
    for offset, multiplier in enumerate(_MULTIPLIERS):
        mixed = (mixed ^ codes[offset : offset + n]) * multiplier
        mixed ^= mixed >> np.uint64(29)
    return np.unique((mixed >> np.uint64(32)).astype(np.uint32))


def _near_pairs(keyed_rows: Sequence[tuple[str, int]], similarity: float, seed: int) -> list[tuple[int, int]]:
    """Pairs of rows whose estimated similarity reaches the threshold, enough of them to connect all such rows."""
    from datasketch import MinHash, MinHashLSH

    index = MinHashLSH(threshold=min(similarity, 0.99), num_perm=_N_PERMUTATIONS, weights=_WEIGHTS_OF_ERRORS)
    empty = MinHash(num_perm=_N_PERMUTATIONS, seed=seed, hashfunc=int)
    rows: list[int] = []
    joined = np.arange(len(keyed_rows))  # rows with the same number are connected, though not all that are have it
    values_RP = np.empty((len(keyed_rows), _N_PERMUTATIONS), dtype=empty.hashvalues.dtype)
    pairs: list[tuple[int, int]] = []
    for key, row in keyed_rows:
        hashes = shingles(key)
        if len(hashes) < MIN_SHINGLES:
            continue
        minhash = empty.copy()
        for start in range(0, len(hashes), _CHUNK):  # a text of megabytes must not need gigabytes
            minhash.update_batch(hashes[start : start + _CHUNK])
        number = len(rows)
        rows.append(row)
        values_RP[number] = minhash.hashvalues
        candidates = np.fromiter(index.query(minhash), dtype=np.int64)
        index.insert(number, minhash, check_duplication=False)
        if len(candidates):
            near = candidates[(values_RP[candidates] == values_RP[number]).mean(axis=1) >= similarity]
            numbers, first = np.unique(joined[near], return_index=True)
            joined[number] = min([number, *numbers])
            pairs += [(row, rows[other]) for other in near[first]]  # one pair a component: cliques stay small
    return pairs
