"""Callers at once for one expired token, at a cloud that rotates refresh tokens and ends a family that it sees reused.

Each caller is a thread with a signed request of its own; each has the whole request, from API Gateway's event to the
answer. After each round one more refresh shows that nobody was locked out.
"""

import threading
import time
from collections.abc import Sequence
from dataclasses import asdict, dataclass
from typing import Any

from .harness import NotMeasured
from .releases import HOUR, Bench

CALLERS, ROUNDS = 20, 20


@dataclass(frozen=True, slots=True)
class Round:
    """`calls` of all callers together; seconds on the wall of the slowest caller, and of one that refreshes alone."""

    refreshes: int
    answered: int
    calls: int
    slowest: float
    alone: float


def play(bench: Bench, callers: int = CALLERS) -> Round:
    """One round. Raises NotMeasured where somebody is locked out afterwards: then the tokens are lost."""
    bench.clock.off += HOUR
    events = [bench.signed_event() for _ in range(callers)]
    before = bench.cloud.refreshes
    bench.recorder.take()
    seconds = _at_once(bench, events)
    operations, _ = bench.recorder.take()
    refreshes = bench.cloud.refreshes - before
    return Round(refreshes, len(seconds), len(operations), max(seconds, default=0.0), _alone(bench))


def _at_once(bench: Bench, events: Sequence[dict[str, Any]]) -> list[float]:
    """Seconds of each caller that got a token."""
    seconds: list[float] = []
    start = threading.Barrier(len(events))

    def call(event: dict[str, Any]) -> None:
        start.wait()
        begin = time.perf_counter()
        try:
            bench.fetched(event)
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


def markdown(rounds: Sequence[Round], callers: int = CALLERS) -> str:
    """The worst of all rounds, each number by itself."""
    refreshes = f"{min(one.refreshes for one in rounds)} to {max(one.refreshes for one in rounds)}"
    calls = max(one.calls for one in rounds) / callers
    slowest = max(one.slowest for one in rounds)
    return (
        "| callers at once | rounds | refreshes a round | fewest answered | most calls a caller | slowest, s |\n"
        "|---|---|---|---|---|---|\n"
        f"| {callers} | {len(rounds)} | {refreshes} | {min(one.answered for one in rounds)} | {calls:.1f} "
        f"| {slowest:.2f} |\n"
    )


def as_json(rounds: Sequence[Round]) -> list[dict[str, Any]]:
    return [asdict(one) for one in rounds]
