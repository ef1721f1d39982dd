"""The engine that asks a server with the interface of OpenAI: vLLM, SGLang, llama.cpp, `transformers serve`.

Dimensions: P prompts, C candidates.
"""

import asyncio
import os
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from http import HTTPStatus
from pathlib import Path
from typing import TYPE_CHECKING, Any, NamedTuple

import numpy as np

from strop.errors import MachineError, Problem, RecipeError
from strop.evidence.attempts import LONGEST_WAIT_SECONDS, Failure, Malformed, Trouble, attempted, retry_after_seconds
from strop.evidence.event_loop import run_to_end
from strop.inference.engines import Asked
from strop.inference.engines.kept_answers import KeptAnswers, key_of
from strop.inference.engines.replies import MANNERS, PATHS, Question, Written, question, read_reply, said
from strop.inference.generated import Generated
from strop.recipe.answer import Decoding, Server

if TYPE_CHECKING:
    import httpx

WHERE = "answer.server"
# So many prompts in a row without an answer: the others are not asked any more.
MOST_FAILURES_IN_A_ROW = 8
_MOST_SHOWN = 10
_PASSING = {408, 409, 425, 429}
_SERVER_ERRORS = 500
_FOR_ALL = {401: "the key", 403: "the key", 404: "the address or the model"}
_LOOPBACK = ("localhost", "127.0.0.1", "::1")


class _Refused(Failure):
    """The server does not take this request as it is."""


class _Hopeless(Exception):  # noqa: N818 (an outcome)
    """No prompt would be answered; its words are the reason."""


class _Task(NamedTuple):
    """A prompt that is to be asked for."""

    at: int
    key: str
    question: Question


@dataclass(frozen=True)
class ServerEngine:
    """Answers through a server; what was answered is kept, so that a command that was killed or failed goes on.

    Attributes:
        server: The recipe's section.
        kept: The file that answers are written to as they come, see `KeptAnswers`.
        model_digest: Digest of the weights that the server is to have loaded: answers of others are not taken from
            `kept`.
        first_wait_seconds: Longest wait after a first failed attempt; the next ones are longer.
    """

    server: Server
    kept: Path
    model_digest: str
    first_wait_seconds: float = 1.0

    def answer(
        self,
        asked: Asked,
        decoding: Decoding,
        *,
        max_answer_tokens: int,
        seed: int,
        done: Callable[[int, int], None] | None = None,
    ) -> Generated:
        """Ask for candidates behind every prompt that is not answered yet.

        Log-likelihoods are those that the server gives, NaN from one that gives none.

        Raises:
            RecipeError: The decoding, or the interface, cannot be asked of a server.
            MachineError: httpx is not installed, or not every prompt was answered.
        """
        _check(self.server, asked, decoding)
        questions = [
            question(self.server, asked, at, decoding, max_answer_tokens) for at in range(asked.completions.n_prompts)
        ]
        keys = [key_of(one, seed, url=self.server.url, model_digest=self.model_digest) for one in questions]
        row_ids = asked.completions.ids[asked.completions.row_P].tolist()
        with KeptAnswers(self.kept) as kept:
            new = {key: at for at, key in reversed(list(enumerate(keys))) if kept.get(key) is None}
            tasks = [_Task(at, key, questions[at]) for key, at in sorted(new.items(), key=lambda entry: entry[1])]
            asking = _Asking(self, kept, row_ids, seed, done)
            if tasks:
                run_to_end(asking.ask_all(tasks))
            found = [kept.get(key) for key in keys]
        missing = [
            (row, asking.failures[key]) for row, key in zip(row_ids, keys, strict=True) if key in asking.failures
        ]
        if missing:
            raise MachineError(_not_answered(self, missing, len(keys)))
        unsaid = questions[0].neutral if asking.leaves_values_to_the_server else {}
        return _collect([own for own in found if own is not None], list(unsaid))


class _Asking:
    """One round of asking.

    Attributes:
        failures: Why a prompt has no answer, by its key.
    """

    def __init__(
        self,
        engine: ServerEngine,
        kept: KeptAnswers,
        row_ids: Sequence[str],
        seed: int,
        done: Callable[[int, int], None] | None,
    ) -> None:
        self.failures: dict[str, str] = {}
        self._engine = engine
        self._server = engine.server
        self._kept = kept
        self._row_ids = row_ids
        self._seed = seed
        self._done = done
        self._manner = 0
        self._n_failed_in_a_row = 0
        self._n_answered = 0
        self._hopeless = ""

    @property
    def leaves_values_to_the_server(self) -> bool:
        """Whether the server refused what the decoding leaves unset."""
        return not MANNERS[self._manner].is_explicit

    async def ask_all(self, tasks: Sequence[_Task]) -> None:
        """Ask for all prompts, several at a time."""
        httpx = server_library()
        server = self._server
        key = os.environ.get(server.api_key_variable, "").strip()
        async with httpx.AsyncClient(
            headers={"Authorization": f"Bearer {key}"} if key else {},
            timeout=server.timeout_seconds,
            limits=httpx.Limits(max_connections=server.max_connections),
            # A proxy that the environment names would look for the server on its own machine.
            trust_env=httpx.URL(server.url).host not in _LOOPBACK,
        ) as client:
            waiting = iter(tasks)
            await asyncio.gather(*(self._work(client, waiting, len(tasks)) for _ in range(server.max_connections)))

    async def _work(self, client: "httpx.AsyncClient", waiting: Iterator[_Task], n_tasks: int) -> None:
        for task in waiting:
            if self._hopeless:
                self.failures[task.key] = f"not asked: {self._hopeless}"
                continue
            try:
                candidates = await self._candidates(client, task.question)
            except (_Hopeless, Failure) as failure:
                self._note_failure(task, failure)
                continue
            self._n_failed_in_a_row = 0
            self._n_answered += 1
            self._kept.keep(task.key, self._row_ids[task.at], candidates)
            if self._done is not None:
                self._done(self._n_answered, n_tasks)

    def _note_failure(self, task: _Task, failure: Exception) -> None:
        self.failures[task.key] = str(failure)
        if isinstance(failure, _Hopeless):
            self._hopeless = str(failure)
        elif not isinstance(failure, _Refused):
            self._n_failed_in_a_row += 1
            if self._n_failed_in_a_row >= MOST_FAILURES_IN_A_ROW:
                self._hopeless = f"{self._n_failed_in_a_row} prompts in a row had no answer"

    async def _candidates(self, client: "httpx.AsyncClient", asked: Question) -> list[Written]:
        """As many candidates as are wanted; servers that give one at a time are asked again."""
        found: list[Written] = []
        while len(found) < asked.n_candidates:
            n_more = asked.n_candidates - len(found)
            found += (await self._in_some_manner(client, asked, n_more, self._seed + len(found)))[:n_more]
        return found

    async def _in_some_manner(
        self, client: "httpx.AsyncClient", asked: Question, n_more: int, seed: int
    ) -> list[Written]:
        """With all that is wanted, or with less where the server refuses that and takes less."""
        for number in range(self._manner, len(MANNERS)):
            try:
                found = await self._ask(client, asked.body(n_more, seed, MANNERS[number]))
            except _Refused:
                if number == len(MANNERS) - 1:
                    raise
            else:
                self._manner = max(self._manner, number)
                return found
        raise AssertionError("a request is answered or refused")

    async def _ask(self, client: "httpx.AsyncClient", body: dict[str, Any]) -> list[Written]:
        """Send a request until it is answered, as often as the recipe allows."""
        return await attempted(
            lambda: self._attempt(client, body), self._server.n_attempts, self._engine.first_wait_seconds
        )

    async def _attempt(self, client: "httpx.AsyncClient", body: dict[str, Any]) -> list[Written]:
        httpx = server_library()
        server = self._server
        try:
            async with asyncio.timeout(server.timeout_seconds):
                response = await client.post(f"{server.url.rstrip('/')}/{PATHS[server.interface]}", json=body)
        except (httpx.TimeoutException, TimeoutError) as error:
            raise Trouble(f"no reply within {server.timeout_seconds:g} s") from error
        except httpx.TransportError as error:
            raise Trouble(f"no connection, or it broke: {error or type(error).__name__}") from error
        _check_status(response)
        try:
            return read_reply(response.content, server.model)
        except Malformed as error:
            raise _Hopeless(str(error)) from error


def server_library() -> Any:
    """The library httpx.

    Raises:
        MachineError: It is not installed.
    """
    try:
        import httpx
    except ImportError as error:
        problem = Problem(
            where=WHERE,
            must="a server is asked with the library httpx",
            came=str(error),
            do="install it with `pip install 'strop[server]'`",
        )
        raise MachineError(problem) from error
    return httpx


def _check(server: Server, asked: Asked, decoding: Decoding) -> None:
    server_library()
    problems = []
    if decoding.method == "beams":
        problems.append(
            Problem(
                where="answer.decoding",
                must="a server answers greedily or with samples",
                came=f"'{decoding.name}'",
                do='answer by another decoding (strop predict --decoding "{method: greedy}"), or without a server: '
                "beams need the model here",
            )
        )
    unsent = _without_messages(asked) if server.interface == "chat" else []
    if unsent:
        is_template = len(unsent) == asked.completions.n_prompts
        came = (
            "prompts made by a template"
            if is_template
            else f"prompts cut in the middle, rows {', '.join(unsent[:_MOST_SHOWN])}"
        )
        problems.append(
            Problem(
                where=f"{WHERE}.interface",
                must="the interface 'chat' sends messages",
                came=came,
                do="set interface: completions, which sends the very prompt that was trained on",
            )
        )
    if problems:
        raise RecipeError(*problems)
    if server.interface == "completions" and not asked.text_P:
        raise ValueError("the interface 'completions' needs the text of every prompt")


def _without_messages(asked: Asked) -> list[str]:
    """Rows with a prompt that no messages make."""
    messages_P = asked.messages_P or [()] * asked.completions.n_prompts
    row_ids = asked.completions.ids[asked.completions.row_P]
    return [f"'{row}'" for row, messages in zip(row_ids, messages_P, strict=True) if not messages]


def _check_status(response: "httpx.Response") -> None:
    status = response.status_code
    if status == HTTPStatus.OK:
        return
    words = f"HTTP {status}: {said(response.content)}"
    if status in _PASSING or status >= _SERVER_ERRORS:
        wait = retry_after_seconds(response.headers.get("retry-after")) or 0.0
        raise Trouble(words, min(wait, LONGEST_WAIT_SECONDS))
    if status in _FOR_ALL:
        raise _Hopeless(f"{_FOR_ALL[status]} is wrong, {words}")
    raise _Refused(words)


def _not_answered(engine: ServerEngine, missing: Sequence[tuple[str, str]], n_prompts: int) -> Problem:
    shown = "; ".join(f"row '{row}': {reason}" for row, reason in missing[:_MOST_SHOWN])
    more = f"; and {len(missing) - _MOST_SHOWN} more" if len(missing) > _MOST_SHOWN else ""
    server = engine.server
    return Problem(
        where=f"{WHERE} ({server.url}, model '{server.model}')",
        must="the server must answer every prompt",
        came=f"{len(missing)} of {n_prompts} prompts have no answer: {shown}{more}",
        do=f"see to the server, then run the same command again: the {n_prompts - len(missing)} answers that came are "
        f"kept in {engine.kept}, and only the others are asked for",
    )


def _collect(found: Sequence[Sequence[Written]], unsaid: Sequence[str]) -> Generated:
    # `transformers serve` draws only where the model's own generation_config.json says do_sample.
    all_equal = len(found[0]) > 1 and all(len({one.text for one in own}) == 1 for own in found)
    notes = ["all candidates of every prompt are equal: the server may not draw at all"] if all_equal else []
    if unsaid:
        notes.append(f"the server refuses {', '.join(unsaid)}: it may use values of its own for them")
    return Generated(
        note="; ".join(notes),
        text_PC=np.asarray([[one.text for one in own] for own in found], dtype=object),
        log_likelihood_PC=np.asarray([[one.log_likelihood for one in own] for own in found], dtype=np.float32),
        n_tokens_PC=np.asarray([[one.n_tokens for one in own] for own in found], dtype=np.int64),
        ended_PC=np.asarray([[one.ended for one in own] for own in found], dtype=np.bool_),
    )
