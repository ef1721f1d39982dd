"""A server on this machine with the interface of OpenAI, whose answers a test makes, faults included."""

import json
import threading
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from http.server import BaseHTTPRequestHandler
from types import TracebackType
from typing import Any, Self

from strop.testing.literature_server import Reply
from strop.testing.loopback import LoopbackServer


@dataclass(frozen=True)
class Request:
    """A request that arrived.

    Attributes:
        path: Its path.
        headers: Names in lower case.
        body: The object of JSON that was sent.
        number: How many requests came before it.
    """

    path: str
    headers: Mapping[str, str]
    body: Mapping[str, Any]
    number: int

    @property
    def prompt(self) -> str:
        """The prompt, or the last message."""
        last: str = self.body["prompt"] if "prompt" in self.body else self.body["messages"][-1]["content"]
        return last


def choices(*given: Mapping[str, Any], model: str = "tiny", **more: Any) -> Reply:
    """A reply with these choices."""
    return Reply(json.dumps({"model": model, "choices": given, **more}).encode())


def echo(request: Request) -> Reply:
    """Answers with the prompt in capitals, as many times as was asked for, and says all that a good server says."""
    text = request.prompt.upper()
    is_chat = "messages" in request.body
    values = [-0.25 * (1 + at) for at in range(len(text.split()) + 1)]
    said: Mapping[str, Any] = (
        {"content": [{"logprob": value} for value in values]} if is_chat else {"token_logprobs": values}
    )
    own = {"message": {"role": "assistant", "content": text}} if is_chat else {"text": text}
    one = {**own, "finish_reason": "stop", "logprobs": said if request.body.get("logprobs") else None}
    n_tokens = len(values) * int(request.body.get("n", 1))
    return choices(
        *[one] * int(request.body.get("n", 1)), model=request.body["model"], usage={"completion_tokens": n_tokens}
    )


class AnswerServer:
    """A server on 127.0.0.1, for the time of a `with`.

    Args:
        answer: Makes the reply to a request; it is called from several threads.
        port: Where, for one that takes the place of another; 0 for any that is free.

    Attributes:
        requests: Every request that arrived, in order.
        most_at_once: The most requests that were under way at once.
    """

    def __init__(self, answer: Callable[[Request], Reply] = echo, port: int = 0) -> None:
        self.answer = answer
        self.requests: list[Request] = []
        self.most_at_once = 0
        self.stopping = threading.Event()
        self._n_under_way = 0
        self._lock = threading.Lock()
        self._server = LoopbackServer(("127.0.0.1", port), _handler(self))
        self._thread = threading.Thread(target=self._server.serve_forever, args=(0.01,), daemon=True)

    @property
    def port(self) -> int:
        """Where it listens."""
        return int(self._server.server_address[1])

    @property
    def url(self) -> str:
        """What a recipe gives as `answer.server.url`."""
        return f"http://127.0.0.1:{self.port}/v1"

    def prompts(self) -> Sequence[str]:
        """The prompts of all requests, in order."""
        return [request.prompt for request in self.requests]

    def __enter__(self) -> Self:
        self._thread.start()
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self.stop()

    def stop(self) -> None:
        """Take no more requests, and break off those under way."""
        self.stopping.set()
        self._server.shutdown()
        self._server.server_close()
        self._thread.join()

    def reply(self, path: str, headers: Mapping[str, str], body: Mapping[str, Any]) -> Reply:
        """The reply to a request, which is noted."""
        with self._lock:
            request = Request(path, headers, body, len(self.requests))
            self.requests.append(request)
            self._n_under_way += 1
            self.most_at_once = max(self.most_at_once, self._n_under_way)
        try:
            return self.answer(request)
        finally:
            with self._lock:
                self._n_under_way -= 1


def _handler(server: AnswerServer) -> type[BaseHTTPRequestHandler]:
    class Handler(BaseHTTPRequestHandler):
        protocol_version = "HTTP/1.1"
        wbufsize = -1  # head and body leave together

        def do_POST(self) -> None:
            body = json.loads(self.rfile.read(int(self.headers.get("Content-Length", 0))))
            headers = {name.lower(): value for name, value in self.headers.items()}
            reply = server.reply(self.path, headers, body)
            if reply.hang or not isinstance(reply.body, bytes):
                server.stopping.wait()
                self.close_connection = True
                return
            self.send_response(reply.status)
            for name, value in reply.headers.items():
                self.send_header(name, value)
            length = len(reply.body) if reply.claimed_bytes is None else reply.claimed_bytes
            self.send_header("Content-Length", str(length))
            self.end_headers()
            self.wfile.write(reply.body)
            self.close_connection = length != len(reply.body) or server.stopping.is_set()

        def log_message(self, format: str, *args: Any) -> None:  # noqa: A002 (the name of the base class)
            """Nothing is printed."""

    return Handler
