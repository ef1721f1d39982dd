"""What was looked up is kept with its places."""

from pathlib import Path

from strop.records.evidence import Found, Passage, Retrieved

CORPUS = (Passage("a cat", "pubmed:1", 0, 5, "Cats"), Passage("a dog"), Passage("a cow", "pubmed:2", 7, 12))


def test_what_was_found_is_saved_and_loaded(tmp_path: Path) -> None:
    found = [[Found(CORPUS[2], 0.5, 1), Found(CORPUS[0], 0.25, 2)], []]
    retrieved = Retrieved.of(CORPUS, found)
    assert retrieved.found == ((2, 0), ())
    assert retrieved.passages(0) == (CORPUS[2], CORPUS[0])
    assert retrieved.passages(1) == ()
    retrieved.save(tmp_path)
    assert Retrieved.load(tmp_path) == retrieved
