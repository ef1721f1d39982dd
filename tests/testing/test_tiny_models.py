import csv
from collections import Counter
from pathlib import Path

import pytest

from strop.testing.tiny_models import TINY_WORDS, TOPIC_WORDS, make_tiny_causal, make_tiny_encoder, make_tiny_rows


def content(folder: Path) -> dict[str, bytes]:
    return {path.name: path.read_bytes() for path in sorted(folder.iterdir())}


def test_the_encoder_loads_for_features_and_for_classification(tiny_encoder: Path) -> None:
    import torch
    from transformers import AutoModel, AutoModelForSequenceClassification, AutoTokenizer

    tokenizer = AutoTokenizer.from_pretrained(tiny_encoder)
    batch = tokenizer(["python 함수 오류", "점심 ?"], padding=True, return_tensors="pt")
    with torch.no_grad():
        states = AutoModel.from_pretrained(tiny_encoder)(**batch).last_hidden_state
        logits = AutoModelForSequenceClassification.from_pretrained(tiny_encoder, num_labels=3)(**batch).logits
    assert states.shape == (2, 5, 32)
    assert logits.shape == (2, 3)
    assert {"config.json", "model.safetensors", "tokenizer.json", "tokenizer_config.json"} <= content(
        tiny_encoder
    ).keys()


@pytest.mark.parametrize("architecture", ["llama", "gemma3", "qwen3", "mistral"])
def test_causal_models_load_for_text_and_for_classification(architecture: str, tmp_path: Path) -> None:
    import torch
    from transformers import AutoModelForCausalLM, AutoModelForSequenceClassification, AutoTokenizer

    folder = make_tiny_causal(tmp_path / architecture, architecture)
    tokenizer = AutoTokenizer.from_pretrained(folder)
    batch = tokenizer("python 함수 오류", return_tensors="pt")
    assert tokenizer.decode(batch["input_ids"][0], skip_special_tokens=True) == "python 함수 오류"
    with torch.no_grad():
        logits = AutoModelForCausalLM.from_pretrained(folder)(**batch).logits
        labelled = AutoModelForSequenceClassification.from_pretrained(folder, num_labels=3)(**batch).logits
    assert logits.shape == (1, batch["input_ids"].shape[1], len(tokenizer))
    assert labelled.shape == (1, 3)
    assert (tokenizer.pad_token is None) == (architecture == "llama")
    assert (batch["input_ids"][0, 0] == tokenizer.bos_token_id) == (architecture != "qwen3")


def test_the_same_seed_writes_the_same_bytes(tiny_encoder: Path, tmp_path: Path) -> None:
    again, other = make_tiny_encoder(tmp_path / "again"), make_tiny_encoder(tmp_path / "other", seed=1)
    assert content(again) == content(tiny_encoder)
    assert content(other)["model.safetensors"] != content(again)["model.safetensors"]
    assert content(make_tiny_causal(tmp_path / "a")) == content(make_tiny_causal(tmp_path / "b"))


def test_the_callers_random_numbers_are_left_alone(tmp_path: Path) -> None:
    import torch

    torch.manual_seed(3)
    expected = torch.rand(4)
    torch.manual_seed(3)
    make_tiny_encoder(tmp_path / "m")
    assert torch.equal(torch.rand(4), expected)


def test_a_vocabulary_of_ones_own(tmp_path: Path) -> None:
    from transformers import AutoTokenizer

    tokenizer = AutoTokenizer.from_pretrained(make_tiny_encoder(tmp_path / "m", vocabulary=["kidney", "신장"]))
    assert tokenizer.tokenize("Kidney 신장") == ["kidney", "신장"]


def test_rows_are_uneven_and_hold_words_of_their_class(tiny_rows: Path) -> None:
    with tiny_rows.open(encoding="utf-8", newline="") as file:
        rows = list(csv.DictReader(file))
    assert len(rows) == 120
    assert len({row["id"] for row in rows}) == 120
    counts = Counter(row["label"] for row in rows)
    assert counts["code"] > counts["web"] > counts["theory"] >= 2
    for row in rows:
        topics = {topic for topic, words in TOPIC_WORDS.items() if set(row["text"].split()) & set(words)}
        assert topics == {row["label"]}


def test_every_class_has_two_rows_even_in_small_files(tmp_path: Path) -> None:
    path = make_tiny_rows(tmp_path / "deep" / "rows.csv", n_rows=16, n_labels=8, seed=5)
    with path.open(encoding="utf-8", newline="") as file:
        assert Counter(row["label"] for row in csv.DictReader(file)) == dict.fromkeys(TOPIC_WORDS, 2)


def test_rows_depend_on_the_seed_alone(tiny_rows: Path, tmp_path: Path) -> None:
    assert make_tiny_rows(tmp_path / "a.csv", 120, 3, 0).read_bytes() == tiny_rows.read_bytes()
    assert make_tiny_rows(tmp_path / "b.csv", 120, 3, 1).read_bytes() != tiny_rows.read_bytes()


@pytest.mark.parametrize(("n_rows", "n_labels"), [(10, 1), (100, 9), (5, 3)])
def test_impossible_rows_are_refused(n_rows: int, n_labels: int, tmp_path: Path) -> None:
    with pytest.raises(ValueError, match="n_labels must be 2 to 8 and n_rows at least twice that"):
        make_tiny_rows(tmp_path / "x.csv", n_rows, n_labels)


def test_classes_share_no_words() -> None:
    assert len(set(TINY_WORDS)) == len(TINY_WORDS)


def test_rows_can_be_learnt(tiny_rows: Path) -> None:
    from sklearn.feature_extraction.text import CountVectorizer
    from sklearn.linear_model import LogisticRegression

    with tiny_rows.open(encoding="utf-8", newline="") as file:
        rows = list(csv.DictReader(file))
    texts, labels = [row["text"] for row in rows], [row["label"] for row in rows]
    counts = CountVectorizer().fit_transform(texts)
    model = LogisticRegression(max_iter=1000).fit(counts[:80], labels[:80])
    assert model.score(counts[80:], labels[80:]) > 0.9
