from pathlib import Path

import numpy as np
import pytest

from strop.errors import ModelError
from strop.evidence import embed
from strop.evidence.embed import Embedded, embed_texts
from strop.evidence.embedding_cache import EmbeddingCache, Vectors, text_keys
from strop.evidence.encoder import Encoder
from strop.models.locate import locate_model
from strop.recipe.sections import Model
from strop.testing.tiny_models import make_tiny_encoder

TEXTS = [
    f"{first} {second} please"
    for first in ("python", "page", "proof", "login", "날씨")
    for second in ("today", "is", "how", "my", "error", "link", "limit", "grade")
]


@pytest.fixture(scope="module")
def encoder(tiny_encoder: Path) -> Encoder:
    return Encoder(locate_model(Model(name=str(tiny_encoder))))


@pytest.fixture
def small_files(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(embed, "TEXTS_A_FILE", 16)


def files(cache: Path) -> dict[str, bytes]:
    return {file.name: file.read_bytes() for file in sorted(cache.rglob("*.arrow"))}


def counts(embedded: Embedded) -> tuple[int, int]:
    return embedded.n_computed, embedded.n_cached


def test_vectors_are_means_of_token_states_of_length_one(encoder: Encoder) -> None:
    import torch
    from transformers import AutoModel

    found = embed_texts(TEXTS, encoder)
    model = AutoModel.from_pretrained(encoder.located.folder, dtype=encoder.dtype).eval()
    for text, vector in list(zip(TEXTS, found.vectors_ND, strict=True))[::7]:
        ids = encoder.tokenizer.with_special(encoder.tokenizer.encode([text])[0])
        with torch.inference_mode():
            states = model(input_ids=torch.tensor(ids[None].astype(np.int64))).last_hidden_state.float()
        mean = states[0].mean(dim=0).numpy()
        assert vector @ mean / np.linalg.norm(mean) == pytest.approx(1.0, abs=2e-3)
    np.testing.assert_allclose(np.linalg.norm(found.vectors_ND, axis=1), 1.0, atol=1e-5)
    assert found.vectors_ND.dtype == np.float32


def test_equal_texts_are_computed_once_and_a_prefix_makes_another_text(encoder: Encoder) -> None:
    found = embed_texts(["my page", "my python", "my page"], encoder)
    assert found.n_computed == 2
    np.testing.assert_array_equal(found.vectors_ND[0], found.vectors_ND[2])
    prefixed = embed_texts(["page"], encoder, prefix="my ")
    np.testing.assert_allclose(prefixed.vectors_ND[0], found.vectors_ND[0], atol=5e-3)
    assert embed_texts([], encoder).vectors_ND.shape == (0, 0)


def test_longer_texts_than_the_encoder_reads_are_counted(encoder: Encoder) -> None:
    assert embed_texts(["page " * 510, "page " * 511, "page"], encoder).n_cut == 1


@pytest.mark.usefixtures("small_files")
def test_what_was_computed_is_read_and_only_the_rest_computed(encoder: Encoder, tmp_path: Path) -> None:
    done: list[tuple[int, int]] = []
    first = embed_texts(TEXTS, encoder, cache=tmp_path, progress=lambda n, of: done.append((n, of)))
    assert counts(first) == (40, 0)
    assert done == [(16, 40), (32, 40), (40, 40)]
    before = files(tmp_path)
    assert len(before) == 3
    again = embed_texts(TEXTS[::-1], encoder, cache=tmp_path)
    assert counts(again) == (0, 40)
    np.testing.assert_array_equal(again.vectors_ND, first.vectors_ND[::-1])
    assert files(tmp_path) == before
    more = embed_texts([*TEXTS, "a new page"], encoder, cache=tmp_path)
    assert counts(more) == (1, 40)
    assert counts(embed_texts(TEXTS, encoder, prefix="my ", cache=tmp_path)) == (40, 0)


@pytest.mark.usefixtures("small_files")
def test_a_killed_run_goes_on_and_ends_with_the_same_files(encoder: Encoder, tmp_path: Path) -> None:
    embed_texts(TEXTS, encoder, cache=tmp_path / "whole")

    def kill(n_done: int, n_texts: int) -> None:
        if n_done >= 16:
            raise KeyboardInterrupt

    with pytest.raises(KeyboardInterrupt):
        embed_texts(TEXTS, encoder, cache=tmp_path / "killed", progress=kill)
    assert len(files(tmp_path / "killed")) == 1
    assert counts(embed_texts(TEXTS, encoder, cache=tmp_path / "killed")) == (24, 16)
    assert files(tmp_path / "killed") == files(tmp_path / "whole")


@pytest.mark.usefixtures("small_files")
@pytest.mark.parametrize("damage", ["cut", "flipped", "empty", "another"])
def test_damaged_files_are_named_and_computed_anew(encoder: Encoder, tmp_path: Path, damage: str) -> None:
    first = embed_texts(TEXTS, encoder, cache=tmp_path)
    before = files(tmp_path)
    vector = first.vectors_ND[0].tobytes()
    hurt, other = sorted(tmp_path.rglob("*.arrow"), key=lambda file: vector not in file.read_bytes())[:2]
    content = bytearray(hurt.read_bytes())
    if damage == "flipped":
        content[content.index(vector) + 2] ^= 0x40
    elif damage == "another":
        content = bytearray(other.read_bytes()[:-8])
    hurt.write_bytes({"cut": content[: len(content) // 2], "empty": b""}.get(damage, content))
    again = embed_texts(TEXTS, encoder, cache=tmp_path)
    assert again.damaged == (hurt.name,)
    assert again.n_computed in (8, 16)
    np.testing.assert_array_equal(again.vectors_ND, first.vectors_ND)
    assert files(tmp_path) == before


def test_another_model_has_a_cache_of_its_own(encoder: Encoder, tmp_path: Path) -> None:
    other = Encoder(locate_model(Model(name=str(make_tiny_encoder(tmp_path / "other", seed=1)))))
    assert other.key != encoder.key
    embed_texts(TEXTS, encoder, cache=tmp_path / "cache")
    assert counts(embed_texts(TEXTS, other, cache=tmp_path / "cache")) == (40, 0)


def test_a_few_texts_leave_nothing_behind(encoder: Encoder, tmp_path: Path) -> None:
    embed_texts(TEXTS[:5], encoder, cache=tmp_path / "cache")
    assert not (tmp_path / "cache").exists()


def test_causal_models_without_padding_token_embed_too(tiny_causal: Path) -> None:
    encoder = Encoder(locate_model(Model(name=str(tiny_causal))))
    alone = embed_texts(["python"], encoder).vectors_ND[0]
    beside = embed_texts(["python", "python error page today"], encoder).vectors_ND[0]
    assert alone @ beside == pytest.approx(1.0, abs=2e-3)


def test_a_folder_that_cannot_be_loaded_is_named(tmp_path: Path) -> None:
    folder = make_tiny_encoder(tmp_path / "model")
    located = locate_model(Model(name=str(folder)))
    (folder / "config.json").write_text('{"model_type": "of-no-family"}', encoding="utf-8")
    with pytest.raises(ModelError) as raised:
        embed_texts(["page"], Encoder(located))
    (problem,) = raised.value.problems
    assert problem.where == str(folder)
    assert problem.must == "sentence-transformers must be able to load the model"
    assert "of-no-family" in problem.came


def test_a_cache_file_keeps_keys_vectors_and_what_was_cut(tmp_path: Path) -> None:
    vectors = Vectors(tuple(text_keys(["a", "b\ud800"])), np.eye(2, 3, dtype=np.float32), np.array([True, False]))
    cache = EmbeddingCache(tmp_path)
    cache.write(vectors)
    (read,), damaged = cache.read()
    assert damaged == ()
    assert read.keys == vectors.keys
    np.testing.assert_array_equal(read.vectors_ND, vectors.vectors_ND)
    assert read.is_cut_N.tolist() == [True, False]
