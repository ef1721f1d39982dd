"""How long do 13,025 PubMed records take, are they complete and correct, and what does a killed run cost?

The server is our own, on this machine, and behaves as NCBI's: every answer takes 300 ms, more than 3 requests within a
second are answered with 429, 2 % of the requests with 500, and 1 % never. Of every 100 ids one has no record and two
have no abstract. Every document in the store is compared with what the server made.

Three parts:
1. `strop evidence fetch` with the settings of a recipe that says nothing, in a process of its own; three times with
   other requests that go wrong, the slowest counts. The server's draws are chosen so that each time at least one of the
   first 59 requests is never answered: the wait of 30 s is always part of the measurement.
2. The peer: one id a request, one request after the other, no faster than allowed, tried again after a second. Measured
   on 200 documents and extrapolated. It waits for an answer as long as we do, 30 s; of these waits the 1 % that the
   server draws is counted, not how many happen to fall on the 200.
3. A run that is killed (SIGKILL) five times at moments drawn at random, and then ends. "Fetched twice" counts requests
   that hold an id which the store held, committed, when the process died: there must be none. Ids whose answer was
   under way at that moment are asked for again, as they must be; they are counted apart.

    python benchmarks/fetch_documents.py            # about 7 minutes
    python benchmarks/fetch_documents.py --quick    # 2,000 documents, 20 one by one, killed twice
"""

import argparse
import itertools
import json
import os
import random
import signal
import statistics
import subprocess
import sys
import tempfile
import time
from collections.abc import Sequence
from importlib.metadata import version
from pathlib import Path

from common_ground import QUIET, REPOSITORY, run_side, say_machine, say_result
from strop.evidence.store import DocumentStore
from strop.testing.literature_server import EFETCH, LiteratureServer, expected_document

GOAL_SECONDS = 90.0
N_DOCUMENTS, N_ONE_BY_ONE, N_KILLS = 13_025, 200, 5
N_WHOLE = 3
QUICK = (2_000, 20, 2)
SEED = 12
TIMEOUT_SECONDS = 30.0
HANG_FRACTION = 0.01


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--quick", action="store_true")
    parser.add_argument("--side", nargs=3, metavar=("URL", "STORE", "N"), help=argparse.SUPPRESS)
    asked = parser.parse_args()
    if asked.side:
        fetch_side(*asked.side)
        return
    n_documents, n_one_by_one, n_kills = QUICK if asked.quick else (N_DOCUMENTS, N_ONE_BY_ONE, N_KILLS)
    say_machine(__doc__.splitlines()[0])
    print(f"          httpx {version('httpx')}, lxml {version('lxml')}; {n_documents:,} documents")
    numbers = pubmed_ids(n_documents)
    with tempfile.TemporaryDirectory() as work:
        wholes = [measure_whole(Path(work) / f"{n}.sqlite", numbers, n) for n in seeds_with_a_hang(n_documents // 220)]
        ours = max(wholes, key=lambda whole: whole["seconds"])
        n_wrong = sum(whole["n_wrong"] for whole in wholes)
        one_by_one = measure_one_by_one(numbers[:n_one_by_one]) * n_documents
        killed = measure_killed(Path(work) / "killed.sqlite", numbers, n_kills)
    print(f"  one by one, extrapolated from {n_one_by_one}: {one_by_one:,.0f} s ({one_by_one / 3600:.1f} h)")
    say_result(
        "fetch_documents",
        ours=round(ours["seconds"], 1),
        peer=round(one_by_one, 1),
        ratio=round(one_by_one / ours["seconds"], 1),
        goal=GOAL_SECONDS,
        met=ours["seconds"] < GOAL_SECONDS and not n_wrong + killed["n_fetched_twice"] + killed["n_lost"],
        n_documents=n_documents,
        wholes=wholes,
        killed=killed,
    )


def pubmed_ids(n_documents: int) -> list[str]:
    """Distinct ids of 8 digits, in no order."""
    return [str(number) for number in random.Random(SEED).sample(range(10**7, 4 * 10**7), n_documents)]


def like_ncbi(seed: int) -> LiteratureServer:
    return LiteratureServer(
        latency_seconds=0.3, requests_per_second=3, error_fraction=0.02, hang_fraction=HANG_FRACTION, seed=seed
    )


def seeds_with_a_hang(n_requests: int) -> list[int]:
    """The first seeds with which the server leaves at least one of so many requests unanswered."""

    def hangs(seed: int) -> bool:
        draw = random.Random(seed)
        return any(draw.random() < HANG_FRACTION for _ in range(n_requests))

    return list(itertools.islice(filter(hangs, itertools.count(SEED)), N_WHOLE))


def measure_whole(path: Path, numbers: Sequence[str], seed: int) -> dict[str, float]:
    """Seconds of a whole run, from the first request to the last document in the store."""
    with like_ncbi(seed) as server:
        said = run_side(__file__, ["--side", server.pubmed_url, str(path), str(len(numbers))])
        n_refused, n_hung, n_asked = server.n_refused, server.n_hung, len(server.asked)
    n_wrong = count_wrong(path, numbers)
    print(
        f"  ours: {said['seconds']:.1f} s, {n_asked} requests, {n_refused} answered with 429, {n_hung} never, "
        f"peak memory {said['peak_gib']} GiB, documents that are missing or not as they were sent: {n_wrong}"
    )
    return {**said, "n_requests": n_asked, "n_429": n_refused, "n_hung": n_hung, "n_wrong": n_wrong}


def measure_one_by_one(numbers: Sequence[str]) -> float:
    """Seconds a document, one id a request and one request after the other."""
    import httpx

    times = []
    with like_ncbi(SEED) as server, httpx.Client(timeout=TIMEOUT_SECONDS, trust_env=False) as client:
        for number in numbers:
            began = time.monotonic()
            while not answered(client, server, number):
                time.sleep(1.0)
            # No faster than 3 requests a second; a third of a second is what an answer takes anyway.
            time.sleep(max(0.0, 0.35 - (time.monotonic() - began)))
            times.append(time.monotonic() - began)
    measured, n_hung = statistics.fmean(times), server.n_hung
    counted = measured - n_hung / len(numbers) * TIMEOUT_SECONDS + HANG_FRACTION * TIMEOUT_SECONDS
    print(
        f"  one by one: {measured:.3f} s a document with {n_hung} of {len(numbers)} never answered, "
        f"{counted:.3f} s with 1 % (median {statistics.median(times):.3f} s)"
    )
    return counted


def answered(client: "object", server: LiteratureServer, number: str) -> bool:
    import httpx

    assert isinstance(client, httpx.Client)
    try:
        return client.post(server.url + EFETCH, data={"db": "pubmed", "id": number}).status_code == httpx.codes.OK
    except httpx.TimeoutException:
        return False


def measure_killed(path: Path, numbers: Sequence[str], n_kills: int) -> dict[str, int]:
    """A run that is killed and goes on: what is asked for although the store held it, and what is not there at last."""
    draw = random.Random(SEED)
    share_seconds = len(numbers) / 200 / 3 / n_kills  # so that it cannot end before it was killed often enough
    n_twice, held = 0, set[str]()
    with like_ncbi(SEED + 1) as server:
        for kill in range(n_kills + 1):
            server.round = kill
            process = start(server, path, len(numbers))
            if kill < n_kills:
                kill_within(process, server, draw.uniform(0.1, 0.9) * share_seconds)
            elif process.wait() != 0:
                raise SystemExit(f"the last run ended with {process.returncode}")
            asked = [number for one in server.asked if one.round == kill for number in one.ids]
            n_twice += sum(number in held for number in asked)
            with DocumentStore(path) as store:
                held = {name.removeprefix("pubmed:") for name in store.statuses([f"pubmed:{n}" for n in numbers])}
            print(f"  run {kill + 1}: {'killed' if kill < n_kills else 'ended'}, the store holds {len(held):,}")
        n_under_way = sum(count > 1 for count in server.n_answered.values())
    n_lost = count_wrong(path, numbers)
    print(f"  killed {n_kills} times: fetched twice {n_twice}, lost {n_lost}, under way when killed {n_under_way}")
    return {"n_kills": n_kills, "n_fetched_twice": n_twice, "n_lost": n_lost, "n_under_way": n_under_way}


def start(server: LiteratureServer, path: Path, n_documents: int) -> subprocess.Popen[bytes]:
    command = [sys.executable, __file__, "--side", server.pubmed_url, str(path), str(n_documents)]
    return subprocess.Popen(command, stdout=subprocess.DEVNULL, env={**os.environ, **QUIET}, cwd=REPOSITORY)


def kill_within(process: subprocess.Popen[bytes], server: LiteratureServer, seconds: float) -> None:
    """Kill a process so many seconds after its first request arrived."""
    while not any(one.round == server.round for one in server.asked):
        if process.poll() is not None:
            raise SystemExit("a run ended before it asked for anything")
        time.sleep(0.01)
    time.sleep(seconds)
    if process.poll() is not None:
        raise SystemExit("a run ended before it could be killed")
    process.send_signal(signal.SIGKILL)
    process.wait()


def count_wrong(path: Path, numbers: Sequence[str]) -> int:
    """Documents that the store lacks or that differ from what the server made, in any field."""
    with DocumentStore(path) as store:
        stored = store.get_many([f"pubmed:{number}" for number in numbers])
    return sum(stored.get(f"pubmed:{number}") != expected_document(number) for number in numbers)


def fetch_side(url: str, path: str, n_documents: str) -> None:
    """One run of ours, with the settings that a recipe has which says nothing."""
    from strop.evidence.fetch import fetch_documents
    from strop.recipe.evidence import Fetch

    fetch = Fetch(contact="benchmark@example.org", pubmed_url=url, allow_hosts=["127.0.0.1"])
    with DocumentStore(Path(path)) as store:
        summary = fetch_documents(pubmed_ids(int(n_documents)), fetch, store)
    print(json.dumps({"seconds": round(summary.seconds, 2), **{f"n_{k}": v for k, v in summary.n_by_status.items()}}))


if __name__ == "__main__":
    main()
