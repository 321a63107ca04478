"""One engine for everything that is done in the background: fair turns, within the time that a run has.

A job is some queues, one for each provider or one for all, and each gives pieces: small things to do, what is due first
comes first. The engine takes turns between the queues, begins no piece that could outlive the function, works on
several at once where they wait for clouds, and lets no failure end anything but its own piece. A queue that fails comes
after all that do not, in the next run as well (docs/adr/0115-one-engine-for-background-work.md).
"""

import json
import logging
from collections import deque
from collections.abc import Callable, Iterable, Iterator
from concurrent.futures import FIRST_COMPLETED, Executor, Future, wait
from contextlib import suppress
from dataclasses import dataclass, replace
from functools import partial
from itertools import chain
from typing import Any, Self, TypeVar

from chalicelib.domain.errors import Conflict, VaultError, place_of
from chalicelib.ports import Clock, CursorStore

_LOG = logging.getLogger(__name__)
_Answer = TypeVar("_Answer")

RESERVE_SECONDS = 5.0
"""For the last writes and log lines of a run."""
_PEEK_SECONDS = 2.0
"""How long a run that is over looks for what it leaves behind."""


@dataclass(frozen=True, slots=True)
class Piece:
    """One thing to do, due since `due_at` (epoch seconds).

    `do` returns how much was done, 0 where nothing was needed, None where it failed; it may raise, too. It is safe to
    kill and to repeat: what it has begun is written down by itself.
    """

    due_at: int
    do: Callable[[], int | None]


@dataclass(frozen=True, slots=True)
class Queue:
    """Pieces in the order in which they should be done, read as they are taken. `name` is a provider's id, as a rule.

    A queue without a name is everybody's: it is never put behind the others.
    """

    name: str
    pieces: Iterator[Piece]
    at_once: int | None = None
    """Pieces of it at the same time, where the job's number is too many."""
    waits_since: Callable[[], int | None] = lambda: None
    """Since when something has been due (epoch seconds) that its pieces do not bring in this run; None: nothing."""


@dataclass(frozen=True, slots=True)
class Budget:
    """The time of a job. `piece_seconds` is the longest that one piece may take; nothing begins after `run_seconds`."""

    job: str
    run_seconds: float
    piece_seconds: float
    at_once: int = 1
    """Pieces of one queue at the same time; of a queue that fails one."""

    @property
    def function_seconds(self) -> int:
        """How long the function must be allowed to live."""
        return round(self.run_seconds + self.piece_seconds + RESERVE_SECONDS)

    def after(self, seconds: float) -> Self:
        """What is left of it when something else took so long."""
        return replace(self, run_seconds=self.run_seconds - seconds)

    def begins_for(self, left: float | None) -> float:
        """Seconds in which pieces may be begun, where the function is killed in `left` seconds (None: never)."""
        if left is None:
            return self.run_seconds
        return min(self.run_seconds, left - self.piece_seconds - RESERVE_SECONDS)


@dataclass(frozen=True, slots=True)
class Tally:
    """What a run did: how much, in how many pieces it failed, and how many queues have work left that is due."""

    done: int = 0
    failed: int = 0
    left: int = 0


def seconds_left(context: Any) -> float:
    """How long the function still lives, as Lambda's context object says
    (https://docs.aws.amazon.com/lambda/latest/dg/python-context.html).
    """
    return float(context.get_remaining_time_in_millis()) / 1000


class Engine:
    """Runs jobs: `at_once` pieces at the same time, all queues together. With 1 the caller's own thread does it all."""

    def __init__(self, clock: Clock, cursors: CursorStore, *, at_once: int = 1) -> None:
        self._clock = clock
        self._cursors = cursors
        self._at_once = at_once

    def run(self, budget: Budget, queues: Iterable[Queue], left: float | None = None) -> Tally:
        """Do what is due, and say in a line of the log what was done and how old the oldest of the rest is."""
        end = self._clock.monotonic() + budget.begins_for(left)
        lanes = [_Lane(queue, queue.pieces) for queue in queues]
        noted = self._failing(budget.job, {lane.queue.name for lane in lanes})
        turns, running = _Turns(budget, lanes, noted), dict[Future[int | None], _Lane]()
        with _workers(self._at_once) as workers:
            while True:
                while len(running) < self._at_once and (turn := self._turn(turns, end)):
                    running[workers.submit(turns.do, *turn)] = turn[0]
                for future in wait(running, return_when=FIRST_COMPLETED).done:
                    turns.ended(running.pop(future), future.result())
                if turns.failing - noted or (not running and turns.failing != noted):
                    # At once: who is killed must not begin with the same again
                    noted = self._note(budget.job, turns.failing)
                if not running and (self._clock.monotonic() >= end or not turns.are_left):
                    return self._told(turns, end, [lane.queue for lane in lanes])

    def _turn(self, turns: "_Turns", end: float) -> "tuple[_Lane, Piece] | None":
        if self._clock.monotonic() >= end:
            return None
        turn = turns.next()
        if turn and self._clock.monotonic() >= end:
            # To read a list takes time, too
            turns.give_back(*turn)
            return None
        return turn

    def _failing(self, job: str, names: set[str]) -> frozenset[str]:
        """The queues that failed when they last had a turn. To know them helps, and is not needed."""
        if names - {""}:
            # Nor what another version noted
            with suppress(VaultError, ValueError, TypeError):
                return frozenset(names.intersection(json.loads(self._cursors.get(_cursor(job)) or "[]")))
        return frozenset()

    def _note(self, job: str, failing: set[str]) -> frozenset[str]:
        with suppress(VaultError):
            self._cursors.put(_cursor(job), json.dumps(sorted(failing)))
        return frozenset(failing)

    def _told(self, turns: "_Turns", end: float, queues: Iterable[Queue]) -> Tally:
        now, left = self._clock.now(), 0
        age = max((now - since for queue in queues if (since := queue.waits_since()) is not None), default=0)
        until = max(end, self._clock.monotonic()) + _PEEK_SECONDS
        for piece in turns.rest():
            left, age = left + 1, max(age, now - piece.due_at)
            if self._clock.monotonic() >= until:
                break
        facts = {"done": turns.done, "failed": turns.failed, "left": left}
        _LOG.info("background.ran", extra={"job": turns.job, "seconds": age, "facts": facts})
        return Tally(turns.done, turns.failed, left)


@dataclass(slots=True, eq=False)
class _Lane:
    """A queue, how many of its pieces are being done, and whether it waits for its turn."""

    queue: Queue
    pieces: Iterator[Piece]
    running: int = 0
    is_waiting: bool = True


class _Turns:
    """Whose turn it is: the queue that waits longest, and only where no other can go on, one that fails."""

    def __init__(self, budget: Budget, lanes: Iterable[_Lane], failing: Iterable[str]) -> None:
        self.job, self._at_once = budget.job, budget.at_once
        self.failing, self.failed, self.done = set(failing), 0, 0
        self._well, self._behind = deque[_Lane](), deque[_Lane]()
        for lane in lanes:
            self._lane_up(lane)

    @property
    def are_left(self) -> bool:
        return bool(self._well or self._behind)

    def next(self) -> tuple[_Lane, Piece] | None:
        """The next piece, which must be begun now. None while nobody has one."""
        while self.are_left:
            lane = (self._well or self._behind).popleft()
            lane.is_waiting = False
            is_failing = lane.queue.name in self.failing
            if is_failing and self._well:
                self._lane_up(lane)
            elif lane.running < (1 if is_failing else lane.queue.at_once or self._at_once) and (
                piece := self._piece(lane)
            ):
                lane.running += 1
                self._lane_up(lane)
                return lane, piece
        return None

    def give_back(self, lane: _Lane, piece: Piece) -> None:
        """It is not begun after all."""
        lane.running -= 1
        lane.pieces = chain([piece], lane.pieces)

    def rest(self) -> Iterator[Piece]:
        """The first piece of each queue that is not at its end; none of them is begun."""
        for lane in (*self._well, *self._behind):
            if piece := self._piece(lane):
                yield piece

    def do(self, lane: _Lane, piece: Piece) -> int | None:
        """On any thread."""
        return self._tried(lane, partial(_unless_overtaken, piece.do), None)

    def ended(self, lane: _Lane, done: int | None) -> None:
        lane.running -= 1
        self.done += done or 0
        if done is None:
            self._failed(lane)
        elif done:
            self.failing.discard(lane.queue.name)
        if not lane.is_waiting:
            self._lane_up(lane)

    def _lane_up(self, lane: _Lane) -> None:
        lane.is_waiting = True
        (self._behind if lane.queue.name in self.failing else self._well).append(lane)

    def _piece(self, lane: _Lane) -> Piece | None:
        """None at the end, and where the list cannot be read."""
        piece = self._tried(lane, partial(next, lane.pieces, None), _UNREAD)
        if piece is _UNREAD:
            self._failed(lane)
            return None
        return piece

    def _failed(self, lane: _Lane) -> None:
        self.failed += 1
        self.failing |= {lane.queue.name} - {""}

    def _tried(self, lane: _Lane, do: Callable[[], _Answer], otherwise: _Answer) -> _Answer:
        """Whatever goes wrong with one piece keeps no other from being done."""
        extra = {"job": self.job, "provider_id": lane.queue.name}
        try:
            return do()
        except VaultError as error:
            _LOG.error("background.failed", extra=extra | {"code": error.code, "detail": error.detail})
        except Exception as error:
            _LOG.error(
                "background.failed", extra=extra | {"error_type": type(error).__name__, "where": place_of(error)}
            )
        return otherwise


_UNREAD = Piece(0, lambda: None)


def _unless_overtaken(do: Callable[[], int | None]) -> int | None:
    """Two runs at once: what somebody else was faster with is done."""
    try:
        return do()
    except Conflict:
        return 0


def _cursor(job: str) -> str:
    return f"failing/{job}"


class _Here(Executor):
    """Does it at once, on the caller's own thread."""

    def submit(self, fn: Callable[..., Any], /, *args: Any, **kwargs: Any) -> Future[Any]:
        future: Future[Any] = Future()
        future.set_result(fn(*args, **kwargs))
        return future


def _workers(at_once: int) -> Executor:
    if at_once == 1:
        return _Here()
    # No request needs it, and each cold start would pay for it
    from concurrent.futures import ThreadPoolExecutor  # noqa: PLC0415

    return ThreadPoolExecutor(at_once)
