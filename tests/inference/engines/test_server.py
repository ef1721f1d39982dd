"""A server's answers are read, kept and asked for again; what goes wrong is said row by row."""

import asyncio
import json
import socket
import sys
import threading
import time
from collections import Counter
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from strop.errors import MachineError, RecipeError
from strop.inference.engines import Asked
from strop.inference.engines.server import ServerEngine
from strop.inference.generated import Generated
from strop.recipe.answer import Decoding, Server
from strop.records.completions import Completions
from strop.records.dataset import strings
from strop.testing.answer_server import AnswerServer, Request, choices, echo
from strop.testing.literature_server import Reply

GREEDY = Decoding()


def asked(*texts: str) -> Asked:
    n_prompts = len(texts)
    completions = Completions(
        ids=strings([f"r{row}" for row in range(n_prompts)]),
        row_P=np.arange(n_prompts),
        prompts=[np.asarray([3], dtype=np.int32)] * n_prompts,
        answers=[np.asarray([], dtype=np.int32)] * n_prompts,
        context_P=np.zeros(n_prompts, dtype=np.int64),
        shared_P=np.zeros(n_prompts, dtype=np.int64),
        n_tokens_R=np.ones(n_prompts, dtype=np.int64),
        n_cut_R=np.zeros(n_prompts, dtype=np.int64),
    )
    return Asked(completions, texts, [[{"role": "user", "content": text}] for text in texts])


def engine(server: AnswerServer, folder: Path, **settings: Any) -> ServerEngine:
    entries: dict[str, Any] = {"url": server.url, "model": "tiny", "timeout_seconds": 5.0, **settings}
    return ServerEngine(Server(**entries), folder / "answers.jsonl", "weights", first_wait_seconds=0.02)


def answer(one: ServerEngine, questions: Asked, decoding: Decoding = GREEDY, **more: Any) -> Generated:
    return one.answer(questions, decoding, **{"max_answer_tokens": 16, "seed": 3, **more})


@pytest.mark.parametrize("interface", ["completions", "chat"])
def test_answers_log_probabilities_and_ends_are_read(tmp_path: Path, interface: str) -> None:
    told: list[tuple[int, int]] = []
    with AnswerServer() as server:
        found = answer(
            engine(server, tmp_path, interface=interface),
            asked("one two", "three"),
            done=lambda done, of: told.append((done, of)),
        )
    assert found.text_PC.tolist() == [["ONE TWO"], ["THREE"]]
    # Tokens of -0.25, -0.5 and -0.75; of -0.25 and -0.5.
    assert found.log_likelihood_PC.tolist() == [[-1.5], [-0.75]]
    assert found.n_tokens_PC.tolist() == [[3], [2]]
    assert found.ended_PC.all()
    assert told == [(1, 2), (2, 2)]
    path = {"completions": "/v1/completions", "chat": "/v1/chat/completions"}[interface]
    assert {request.path for request in server.requests} == {path}
    assert {name: server.requests[0].body[name] for name in ("model", "max_tokens", "temperature", "seed")} == {
        "model": "tiny",
        "max_tokens": 16,
        "temperature": 0.0,
        "seed": 3,
    }


def test_a_decoding_is_sent_in_the_server_s_words(tmp_path: Path) -> None:
    decoding = Decoding(method="sample", temperature=0.7, top_k=9, min_p=0.1, repetition_penalty=1.3, n_candidates=3)
    with AnswerServer() as server:
        found = answer(engine(server, tmp_path), asked("one"), decoding)
    body = server.requests[0].body
    names = ("temperature", "top_p", "top_k", "min_p", "repetition_penalty", "n")
    assert [body[name] for name in names] == [0.7, 1.0, 9, 0.1, 1.3, 3]
    assert len(server.requests) == 1
    assert found.text_PC.tolist() == [["ONE", "ONE", "ONE"]]
    assert found.note == "all candidates of every prompt are equal: the server may not draw at all"


def test_a_server_that_gives_one_candidate_at_a_time_is_asked_again_with_other_seeds(tmp_path: Path) -> None:
    def one_of_them(request: Request) -> Reply:
        return choices({"text": str(request.body["seed"]), "finish_reason": "length"}, usage={"completion_tokens": 16})

    with AnswerServer(one_of_them) as server:
        found = answer(engine(server, tmp_path), asked("one"), Decoding(method="sample", n_candidates=3))
    assert found.text_PC.tolist() == [["3", "4", "5"]]
    assert found.note == ""
    assert np.isnan(found.log_likelihood_PC).all()
    assert found.n_tokens_PC.tolist() == [[16, 16, 16]]
    assert not found.ended_PC.any()


def test_a_server_that_refuses_log_probabilities_is_asked_without(tmp_path: Path) -> None:
    def without(request: Request) -> Reply:
        return Reply(b'{"detail": "no logprobs"}', 422) if "logprobs" in request.body else echo(request)

    with AnswerServer(without) as server:
        found = answer(engine(server, tmp_path, max_connections=1), asked("one", "two", "three"))
    assert found.text_PC[:, 0].tolist() == ["ONE", "TWO", "THREE"]
    assert np.isnan(found.log_likelihood_PC).all()
    # The first prompt is asked for in three manners, the others as it was answered.
    assert len(server.requests) == 5


def test_the_key_comes_from_the_environment(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("KEY_OF_A_TEST", "abc\n")
    with AnswerServer() as server:
        answer(engine(server, tmp_path, api_key_variable="KEY_OF_A_TEST"), asked("one"))
        monkeypatch.delenv("KEY_OF_A_TEST")
        answer(engine(server, tmp_path, api_key_variable="KEY_OF_A_TEST"), asked("two"))
    assert server.requests[0].headers["authorization"] == "Bearer abc"
    assert "authorization" not in server.requests[1].headers
    assert "abc" not in (tmp_path / "answers.jsonl").read_text()


def test_no_more_requests_than_allowed_are_under_way(tmp_path: Path) -> None:
    def slowly(request: Request) -> Reply:
        time.sleep(0.02)
        return echo(request)

    with AnswerServer(slowly) as server:
        answer(engine(server, tmp_path, max_connections=3), asked(*map(str, range(12))))
    assert server.most_at_once == 3


def test_passing_faults_are_tried_again(tmp_path: Path) -> None:
    faults = [
        Reply(b"overloaded", 500),
        Reply(b"<html>not json</html>"),
        Reply(b'{"choices": []}'),
        Reply(b'{"model": "tiny", "choices": [{"text": 7}]}'),
        Reply(b'{"choices": [{"te', claimed_bytes=900),
        Reply(b"[1, 2]"),
        Reply(b"slow down", 429, {"Retry-After": "0.3"}),
    ]
    seen: Counter[str] = Counter()

    def fault_first(request: Request) -> Reply:
        seen[request.prompt] += 1
        return faults[int(request.prompt)] if seen[request.prompt] == 1 else echo(request)

    with AnswerServer(fault_first) as server:
        began = time.monotonic()
        found = answer(engine(server, tmp_path, n_attempts=2), asked(*map(str, range(len(faults)))))
        assert time.monotonic() - began >= 0.3
    assert found.text_PC[:, 0].tolist() == [str(number) for number in range(len(faults))]
    assert set(seen.values()) == {2}


def test_a_server_that_does_not_answer_in_time(tmp_path: Path) -> None:
    with AnswerServer(lambda _: Reply(hang=True)) as server:
        one = engine(server, tmp_path, timeout_seconds=0.2, n_attempts=2)
        with pytest.raises(MachineError, match=r"row 'r0': no reply within 0\.2 s \(2 attempts\)"):
            answer(one, asked("one"))
    assert len(server.requests) == 2


def test_what_came_is_kept_and_only_the_others_are_asked_for(tmp_path: Path) -> None:
    def some(request: Request) -> Reply:
        return Reply(b'{"error": {"message": "out of memory"}}', 500) if request.prompt in "bd" else echo(request)

    with AnswerServer(some) as server:
        one = engine(server, tmp_path, n_attempts=2)
        with pytest.raises(MachineError) as raised:
            answer(one, asked("a", "b", "c", "d"))
        (problem,) = raised.value.problems
        assert problem.where == f"answer.server ({server.url}, model 'tiny')"
        assert problem.must == "the server must answer every prompt"
        assert problem.came == (
            "2 of 4 prompts have no answer: row 'r1': HTTP 500: out of memory (2 attempts); "
            "row 'r3': HTTP 500: out of memory (2 attempts)"
        )
        assert problem.do == (
            "see to the server, then run the same command again: the 2 answers that came are kept in "
            f"{tmp_path / 'answers.jsonl'}, and only the others are asked for"
        )
        server.requests.clear()
        server.answer = echo
        found = answer(one, asked("a", "b", "c", "d"))
    assert sorted(server.prompts()) == ["b", "d"]
    assert found.text_PC[:, 0].tolist() == ["A", "B", "C", "D"]
    assert found.log_likelihood_PC[:, 0].tolist() == [-0.75] * 4


def test_answers_are_kept_by_prompt_decoding_model_and_seed(tmp_path: Path) -> None:
    sample = Decoding(method="sample", temperature=0.5)
    with AnswerServer() as server:
        one = engine(server, tmp_path)
        answer(one, asked("a", "a"))
        assert len(server.requests) == 1
        answer(one, asked("b", "a"))
        assert server.prompts() == ["a", "b"]
        answer(one, asked("a"), sample)
        answer(one, asked("a"), sample, seed=4)
        answer(one, asked("a"), max_answer_tokens=8)
        answer(engine(server, tmp_path, interface="chat"), asked("a"))
        assert len(server.requests) == 6
        answer(one, asked("a"), sample)
        assert len(server.requests) == 6


def test_answers_of_other_weights_or_another_server_are_not_taken(tmp_path: Path) -> None:
    with AnswerServer() as server, AnswerServer() as other:
        answer(engine(server, tmp_path), asked("a"))
        answer(engine(server, tmp_path, url=f"{server.url}/"), asked("a"))
        assert server.prompts() == ["a"]
        answer(replace(engine(server, tmp_path), model_digest="trained again"), asked("a"))
        assert server.prompts() == ["a", "a"]
        answer(engine(other, tmp_path), asked("a"))
        assert other.prompts() == ["a"]


def test_what_a_decoding_leaves_unset_is_sent_at_the_value_that_changes_nothing(tmp_path: Path) -> None:
    names = ("repetition_penalty", "top_k", "min_p")
    with AnswerServer() as server:
        one = engine(server, tmp_path)
        assert answer(one, asked("a")).note == ""
        answer(one, asked("a"), Decoding(method="sample", top_k=5))
        answer(one, asked("a"), Decoding(repetition_penalty=1.2))
    sent = [{name: request.body[name] for name in names if name in request.body} for request in server.requests]
    assert sent == [
        {"repetition_penalty": 1.0},
        {"repetition_penalty": 1.0, "top_k": 5, "min_p": 0.0},
        {"repetition_penalty": 1.2},
    ]


def test_a_server_that_refuses_unknown_fields_keeps_its_log_probabilities(tmp_path: Path) -> None:
    def strict(request: Request) -> Reply:
        unknown = {"repetition_penalty", "top_k", "min_p"} & set(request.body)
        return Reply(b'{"detail": "unexpected fields"}', 422) if unknown else echo(request)

    with AnswerServer(strict) as server:
        one = engine(server, tmp_path, max_connections=1)
        found = answer(one, asked("one", "two"), Decoding(method="sample"))
        assert len(server.requests) == 3
        assert found.log_likelihood_PC.tolist() == [[-0.75], [-0.75]]
        assert found.note == (
            "the server refuses repetition_penalty, top_k, min_p: it may use values of its own for them"
        )
        with pytest.raises(MachineError, match="row 'r0': HTTP 422: unexpected fields"):
            answer(one, asked("one"), Decoding(method="sample", top_k=5))


def test_a_line_that_was_cut_is_asked_for_again(tmp_path: Path) -> None:
    with AnswerServer() as server:
        one = engine(server, tmp_path, max_connections=1)
        answer(one, asked("a", "b"))
        kept = one.kept.read_bytes()
        one.kept.write_bytes(kept[:-20])
        server.requests.clear()
        assert answer(one, asked("a", "b")).text_PC[:, 0].tolist() == ["A", "B"]
        assert server.prompts() == ["b"]
        server.requests.clear()
        answer(one, asked("a", "b"))
        assert server.requests == []
    lines = one.kept.read_text().splitlines()
    assert [json.loads(lines[at])["row"] for at in (0, 2)] == ["r0", "r1"]


def test_a_server_that_dies_half_way_is_not_asked_for_ever(tmp_path: Path) -> None:
    questions = asked(*(f"q{number}" for number in range(60)))

    def until_stopped(request: Request) -> Reply:
        if request.number == 20:
            threading.Thread(target=server.stop).start()
        return echo(request)

    with AnswerServer(until_stopped) as server:
        one = engine(server, tmp_path, n_attempts=2, max_connections=2)
        with pytest.raises(MachineError) as raised:
            answer(one, questions)
    kept = one.kept.read_text().splitlines()
    assert 15 <= len(kept) < 50
    came = raised.value.problems[0].came
    assert came.startswith(f"{60 - len(kept)} of 60 prompts have no answer: row '")
    assert "no connection, or it broke" in came
    assert came.endswith(f"; and {60 - len(kept) - 10} more")
    with AnswerServer(port=server.port) as again:
        found = answer(one, questions)
    assert len(again.requests) == 60 - len(kept)
    assert found.text_PC[:, 0].tolist() == [f"Q{number}" for number in range(60)]


def test_a_port_without_a_server(tmp_path: Path) -> None:
    with socket.create_server(("127.0.0.1", 0)) as taken:
        port = taken.getsockname()[1]
    server = Server(url=f"http://127.0.0.1:{port}/v1", model="tiny", n_attempts=1, max_connections=1)
    with pytest.raises(MachineError) as raised:
        answer(ServerEngine(server, tmp_path / "answers.jsonl", "weights"), asked(*map(str, range(10))))
    came = raised.value.problems[0].came
    assert "row 'r0': no connection, or it broke: All connection attempts failed (1 attempt)" in came
    assert "row 'r9': not asked: 8 prompts in a row had no answer" in came


@pytest.mark.parametrize(
    ("reply", "reason"),
    [
        (choices({"text": "x"}, model="other"), "the model 'other' answered, where 'tiny' was asked"),
        (Reply(b'{"error": "bad key"}', 401), "the key is wrong, HTTP 401: bad key"),
        (Reply(b"", 404), "the address or the model is wrong, HTTP 404: (nothing)"),
    ],
)
def test_what_concerns_all_prompts_is_not_asked_again(tmp_path: Path, reply: Reply, reason: str) -> None:
    with AnswerServer(lambda _: reply) as server, pytest.raises(MachineError) as raised:
        answer(engine(server, tmp_path, max_connections=1), asked("a", "b"))
    assert f"row 'r0': {reason}; row 'r1': not asked: {reason}" in raised.value.problems[0].came
    assert len(server.requests) == 1


def test_a_revision_behind_the_model_s_name_is_no_other_model(tmp_path: Path) -> None:
    with AnswerServer(lambda _: choices({"text": "x"}, model="tiny@main")) as server:
        assert answer(engine(server, tmp_path), asked("a")).text_PC[0, 0] == "x"


def test_one_prompt_that_is_refused_leaves_the_others_as_they_are(tmp_path: Path) -> None:
    def no_long_ones(request: Request) -> Reply:
        return Reply(b'{"error": {"message": "too long"}}', 400) if request.prompt == "long" else echo(request)

    with AnswerServer(no_long_ones) as server:
        one = engine(server, tmp_path, max_connections=1)
        with pytest.raises(MachineError, match="1 of 3 prompts have no answer: row 'r0': HTTP 400: too long"):
            answer(one, asked("long", "b", "c"))
    # The refused prompt is asked in three manners; the others keep the first, with log-probabilities.
    assert len(server.requests) == 5
    assert [json.loads(line)["candidates"][0]["n_tokens"] for line in one.kept.read_text().splitlines()] == [2, 2]


def test_what_a_server_cannot_be_asked_is_said_before(tmp_path: Path) -> None:
    with AnswerServer() as server:
        only_text = Asked(asked("a").completions, ["a"])
        with pytest.raises(RecipeError) as raised:
            answer(engine(server, tmp_path, interface="chat"), only_text, Decoding(method="beams"))
        assert [problem.where for problem in raised.value.problems] == [
            "answer.decoding",
            "answer.server.interface",
        ]
        assert [problem.came for problem in raised.value.problems] == ["'beams'", "prompts made by a template"]
        assert 'strop predict --decoding "{method: greedy}"' in raised.value.problems[0].do
        assert server.requests == []


def test_rows_that_no_messages_make_are_named(tmp_path: Path) -> None:
    with AnswerServer() as server:
        two = replace(asked("a", "b"), messages_P=[[{"role": "user", "content": "a"}], []])
        with pytest.raises(RecipeError, match="prompts cut in the middle, rows 'r1'"):
            answer(engine(server, tmp_path, interface="chat"), two)
        assert server.requests == []


def test_a_missing_library_is_named(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(sys.modules, "httpx", None)
    one = ServerEngine(Server(url="http://127.0.0.1:1/v1", model="tiny"), tmp_path / "answers.jsonl", "weights")
    with pytest.raises(MachineError, match=r"install it with `pip install 'strop\[server\]'`"):
        answer(one, asked("a"))


def test_it_works_where_a_loop_runs_already(tmp_path: Path) -> None:
    async def notebook() -> Generated:
        return answer(engine(server, tmp_path), asked("a"))

    with AnswerServer() as server:
        assert asyncio.run(notebook()).text_PC[0, 0] == "A"
