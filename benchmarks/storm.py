"""Callers at once for one expired token, at a cloud that rotates refresh tokens and ends a family that it sees reused.

Each caller of the vault is a thread with a signed request of its own; each has the whole request, from API Gateway's
event to the answer. After each round one more refresh shows whether anybody was locked out. Peers have as many callers
in one process, at the same cloud.
"""

import json
import os
import subprocess
import sys
import threading
import time
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import ExitStack, contextmanager
from dataclasses import asdict, dataclass, replace
from typing import Any

from chalicelib.domain.secret import Secret
from tests.samples import SERVER

from .dynalite import dynalite
from .harness import NotMeasured
from .local_aws import local_aws
from .peer import Peer
from .releases import HOUR, Bench
from .start import settings_of
from .strict_cloud import StrictCloud

CALLERS, ROUNDS = 20, 20
PROCESSES = 2
_HEAD = (
    "| storm | callers at once | rounds | refreshes a round | fewest answered | rounds that locked the person out "
    "| most calls a caller | slowest, s | alone, s |\n"
    "|---|---|---|---|---|---|---|---|---|"
)


@dataclass(frozen=True, slots=True)
class Round:
    """`calls` of all callers together, None where nothing is counted; seconds on the wall of the slowest caller that
    got a token, and of one that refreshes alone.
    """

    refreshes: int
    answered: int
    calls: int | None
    slowest: float
    alone: float
    locked_out: bool = False


Storms = Mapping[str, Sequence[Round] | str]
"""The rounds of each contender, or why there are none."""


def play(bench: Bench, callers: int = CALLERS) -> Round:
    """One round. Raises NotMeasured where somebody is locked out afterwards: then the tokens are lost."""
    bench.clock.off += HOUR
    events = [bench.signed_event() for _ in range(callers)]
    before = bench.cloud.refreshes
    bench.recorder.take()
    seconds = at_once(bench.fetched, events)
    operations, _ = bench.recorder.take()
    refreshes = bench.cloud.refreshes - before
    return Round(refreshes, len(seconds), len(operations), max(seconds, default=0.0), _alone(bench))


def at_once(fetch: Callable[[dict[str, Any]], Any], events: Sequence[dict[str, Any]]) -> list[float]:
    """Seconds of each caller that got a token."""
    seconds: list[float] = []
    start = threading.Barrier(len(events))

    def call(event: dict[str, Any]) -> None:
        start.wait()
        begin = time.perf_counter()
        try:
            fetch(event)
        except NotMeasured:
            return
        seconds.append(time.perf_counter() - begin)

    threads = [threading.Thread(target=call, args=(event,)) for event in events]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    return seconds


def _alone(bench: Bench) -> float:
    bench.clock.off += HOUR
    event = bench.signed_event()
    begin = time.perf_counter()
    bench.fetched(event)
    return time.perf_counter() - begin


class Workers:
    """Processes of the vault that share its tables and one cloud, but no memory."""

    def __init__(self, bench: Bench, cloud: StrictCloud, children: Sequence["subprocess.Popen[str]"]) -> None:
        self._bench = bench
        self._cloud = cloud
        self._children = children

    def play(self, callers: int = CALLERS) -> Round:
        """One round, its callers spread evenly. Raises NotMeasured where somebody is locked out afterwards."""
        before = self._cloud.families.refreshes
        answers = self._ask([callers // len(self._children)] * len(self._children))
        refreshes = self._cloud.families.refreshes - before
        seconds = [one for answer in answers for one in answer["seconds"]]
        (after,) = self._ask([1])
        if not after["seconds"]:
            raise NotMeasured("after a storm of several processes the token cannot be refreshed any more")
        calls = sum(answer["calls"] for answer in answers)
        return Round(refreshes, len(seconds), calls, max(seconds, default=0.0), *after["seconds"])

    def _ask(self, callers: Sequence[int]) -> list[dict[str, Any]]:
        """So many callers in each process; the token has expired since the last time."""
        self._bench.clock.off += HOUR
        off, asked = self._bench.clock.off, self._children[: len(callers)]
        for child, number in zip(asked, callers, strict=True):
            events = [self._bench.signed_event() for _ in range(number)]
            print(json.dumps({"off": off, "events": events}), file=child.stdin, flush=True)
        return [_answer(child) for child in asked]


@contextmanager
def workers(endpoint: str, cloud: StrictCloud, processes: int = PROCESSES) -> Iterator[Workers]:
    """Ready to play; they end with the block."""
    server = replace(SERVER, token_endpoint=cloud.token_endpoint)
    bench = Bench(endpoint, server=server, refresh_token=Secret(cloud.families.start()))
    with ExitStack() as stack:
        children = [stack.enter_context(_child(bench)) for _ in range(processes)]
        for child in children:
            _answer(child)
        yield Workers(bench, cloud, children)


@contextmanager
def _child(bench: Bench) -> Iterator["subprocess.Popen[str]"]:
    command = [sys.executable, "-m", "benchmarks.storm_worker"]
    environment = os.environ | settings_of(bench)
    child = subprocess.Popen(command, stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True, env=environment)
    try:
        yield child
    finally:
        child.terminate()
        child.wait()


def _answer(child: "subprocess.Popen[str]") -> dict[str, Any]:
    assert child.stdout is not None  # noqa: S101 - it is a pipe
    line = child.stdout.readline()
    if not line:
        raise NotMeasured(f"a process of the storm ended with {child.wait()}")
    answer: dict[str, Any] = json.loads(line)
    return answer


def of_processes(rounds: int = ROUNDS) -> list[Round]:
    """The storm of several processes, on dynalite, since their wall time counts. Raises NotMeasured without it."""
    with StrictCloud() as cloud, dynalite(), local_aws() as endpoint, workers(endpoint, cloud) as several:
        return [several.play() for _ in range(rounds)]


def of_peer(peer: Peer, cloud: StrictCloud, rounds: int = ROUNDS) -> list[Round]:
    """The peer's rounds; after one that locked the person out, that person authorizes again. Raises NotMeasured."""
    played: list[Round] = []
    for _ in range(rounds):
        is_new = not played or played[-1].locked_out
        asked = {"refresh_token": cloud.families.start()} if is_new else {}
        before = cloud.families.refreshes
        seconds = _stormed(peer, asked | {"callers": CALLERS})
        refreshes = cloud.families.refreshes - before
        alone = _stormed(peer, {"callers": 1})
        played.append(Round(refreshes, len(seconds), None, max(seconds, default=0.0), sum(alone), locked_out=not alone))
    return played


def _stormed(peer: Peer, asked: dict[str, Any]) -> list[float]:
    seconds: list[float] = peer.ask("storm", json.dumps(asked))["result"]["seconds"]
    return seconds


def markdown(storms: Storms) -> str:
    """A row for each contender: the worst of all rounds, each number by itself."""
    return "\n".join([_HEAD, *(_row(name, rounds) for name, rounds in storms.items())]) + "\n"


def _row(name: str, rounds: Sequence[Round] | str) -> str:
    if isinstance(rounds, str):
        return f"| {name} | not measured |" + " |" * 7
    refreshes = f"{min(one.refreshes for one in rounds)} to {max(one.refreshes for one in rounds)}"
    counted = [one.calls for one in rounds if one.calls is not None]
    alone = [one.alone for one in rounds if not one.locked_out]
    cells = (
        name,
        str(CALLERS),
        str(len(rounds)),
        refreshes,
        str(min(one.answered for one in rounds)),
        str(sum(one.locked_out for one in rounds)),
        f"{max(counted) / CALLERS:.1f}" if counted else "-",
        f"{max(one.slowest for one in rounds):.2f}",
        f"{max(alone):.2f}" if alone else "-",
    )
    return f"| {' | '.join(cells)} |"


def as_json(storms: Storms) -> dict[str, Any]:
    """Every round, and why there are none."""
    return {
        name: {"not_measured": rounds} if isinstance(rounds, str) else [asdict(one) for one in rounds]
        for name, rounds in storms.items()
    }
