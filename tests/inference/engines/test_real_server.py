"""The same model writes the same answers in this process and behind `transformers serve`."""

import os
import socket
import subprocess
import sys
import time
from collections.abc import Iterator
from pathlib import Path

import numpy as np
import pytest
import torch
from transformers import AutoModelForCausalLM, AutoTokenizer
from transformers.utils.import_utils import is_serve_available

from strop.errors import MachineError
from strop.inference.engines import Asked
from strop.inference.engines.local import LocalEngine
from strop.inference.engines.server import ServerEngine
from strop.models.network import Network
from strop.models.precision import make_accelerator
from strop.recipe.answer import Decoding, Server
from strop.records.completions import Completions
from strop.records.dataset import strings

TEXTS = ["login grade submit ?", "chair heating", "proof theorem limit define meaning the a my", "기차 표 지도"]
CHAT_TEMPLATE = "{{ bos_token }}{% for message in messages %}{{ message.content }}{% endfor %}"
pytestmark = pytest.mark.skipif(
    not is_serve_available(),
    reason="`transformers serve` is not installed: pip install 'transformers[serving]'",
)


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory, tiny_causal: Path) -> Path:
    """A tiny Llama with a chat template."""
    folder = tmp_path_factory.mktemp("served") / "tiny"
    model = AutoModelForCausalLM.from_pretrained(tiny_causal, dtype=torch.float32)
    model.generation_config.do_sample = True  # this server draws only where the folder says so
    model.save_pretrained(folder)
    tokenizer = AutoTokenizer.from_pretrained(tiny_causal)
    tokenizer.chat_template = CHAT_TEMPLATE
    tokenizer.save_pretrained(folder)
    return folder


@pytest.fixture(scope="module")
def url(folder: Path, tmp_path_factory: pytest.TempPathFactory) -> Iterator[str]:
    """Where `transformers serve` listens."""
    with socket.create_server(("127.0.0.1", 0)) as taken:
        port = taken.getsockname()[1]
    command = [sys.executable, "-m", "transformers.cli.transformers", "serve", "--host", "127.0.0.1"]
    log = tmp_path_factory.mktemp("log") / "serve.log"
    with log.open("wb") as file:
        environment = {**os.environ, "HF_HUB_OFFLINE": "1", "OMP_NUM_THREADS": "1"}
        process = subprocess.Popen(
            [*command, "--port", str(port), "--device", "cpu", "--dtype", "float32"],
            stdout=file,
            stderr=file,
            env=environment,
        )
    try:
        _wait_for(port, process, log)
        yield f"http://127.0.0.1:{port}/v1"
    finally:
        process.terminate()
        process.wait(30)


def _wait_for(port: int, process: "subprocess.Popen[bytes]", log: Path) -> None:
    for _ in range(1200):
        if process.poll() is not None:
            pytest.fail(f"the server did not start: {log.read_text()[-2000:]}")
        try:
            socket.create_connection(("127.0.0.1", port), 0.1).close()
        except OSError:
            time.sleep(0.1)
        else:
            return
    pytest.fail("the server did not start in two minutes")


def test_answers_are_those_of_this_process(folder: Path, url: str, tmp_path: Path) -> None:
    tokenizer = AutoTokenizer.from_pretrained(folder)
    prompts = [np.asarray(tokenizer(text)["input_ids"], dtype=np.int32) for text in TEXTS]
    n_prompts = len(prompts)
    asked = Asked(
        Completions(
            ids=strings([f"r{row}" for row in range(n_prompts)]),
            row_P=np.arange(n_prompts),
            prompts=prompts,
            answers=[np.asarray([], dtype=np.int32)] * n_prompts,
            context_P=np.arange(n_prompts),
            shared_P=np.zeros(n_prompts, dtype=np.int64),
            n_tokens_R=np.ones(n_prompts, dtype=np.int64),
            n_cut_R=np.zeros(n_prompts, dtype=np.int64),
        ),
        TEXTS,
        [[{"role": "user", "content": text}] for text in TEXTS],
    )
    network = Network(AutoModelForCausalLM.from_pretrained(folder, dtype=torch.float32), None, "native", ())

    def decode(ids: list[int]) -> str:
        text: str = tokenizer.decode(ids, skip_special_tokens=True)
        return text

    end_id = tokenizer.eos_token_id
    local = LocalEngine(network, make_accelerator("float32"), end_id, [end_id], decode)
    here = local.answer(asked, Decoding(), max_answer_tokens=10, seed=0)
    server = Server(url=url, model=str(folder), max_connections=2, timeout_seconds=60.0)
    there = ServerEngine(server, tmp_path / "answers.jsonl", "weights").answer(
        asked, Decoding(), max_answer_tokens=10, seed=0
    )
    assert there.text_PC.tolist() == here.text_PC.tolist()
    assert there.n_tokens_PC.tolist() == here.n_tokens_PC.tolist()
    assert there.ended_PC.tolist() == here.ended_PC.tolist()
    chat = server.model_copy(update={"interface": "chat"})
    chatted = ServerEngine(chat, tmp_path / "chat.jsonl", "weights").answer(
        asked, Decoding(), max_answer_tokens=10, seed=0
    )
    assert [text.strip() for text in chatted.text_PC[:, 0]] == [text.strip() for text in here.text_PC[:, 0]]
    drawn = ServerEngine(server, tmp_path / "drawn.jsonl", "weights").answer(
        asked, Decoding(method="sample", n_candidates=3), max_answer_tokens=10, seed=0
    )
    assert drawn.text_PC.shape == (n_prompts, 3)
    assert len({*drawn.text_PC[0]}) > 1


def test_a_model_that_the_server_does_not_have(url: str, tmp_path: Path) -> None:
    completions = Completions(
        ids=strings(["r0"]),
        row_P=np.asarray([0]),
        prompts=[np.asarray([3], dtype=np.int32)],
        answers=[np.asarray([], dtype=np.int32)],
        context_P=np.asarray([0]),
        shared_P=np.asarray([0]),
        n_tokens_R=np.asarray([1]),
        n_cut_R=np.asarray([0]),
    )
    server = Server(url=url, model=str(tmp_path / "nowhere"), n_attempts=1)
    engine = ServerEngine(server, tmp_path / "answers.jsonl", "weights")
    with pytest.raises(MachineError, match="1 of 1 prompts have no answer: row 'r0': HTTP"):
        engine.answer(Asked(completions, ["a"]), Decoding(), max_answer_tokens=4, seed=0)
