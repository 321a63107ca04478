"""The engine of background work: whose turn it is, what is begun, and what a failure or the end of the time does."""

import json
import logging
import threading
from collections.abc import Callable, Iterator
from types import SimpleNamespace

import pytest

from chalicelib.domain.errors import Conflict, StorageUnavailable
from chalicelib.services.background import RESERVE_SECONDS, Budget, Engine, Piece, Queue, Tally, seconds_left
from tests.fakes.stores import FakeCursorStore
from tests.fakes.system import FakeClock

BUDGET = Budget("job", run_seconds=60, piece_seconds=20)


class Killed(BaseException):
    """The process is gone."""


class World:
    """`log` has what was done, in order."""

    def __init__(self, at_once: int = 1) -> None:
        self.clock, self.cursors = FakeClock(), FakeCursorStore()
        self.engine = Engine(self.clock, self.cursors, at_once=at_once)
        self.log: list[str] = []

    def queue(self, name: str, *acts: Callable[[], int | None], due_at: int = 0) -> Queue:
        return Queue(name, (Piece(due_at, self._noted(name, act)) for act in acts))

    def _noted(self, name: str, act: Callable[[], int | None]) -> Callable[[], int | None]:
        def do() -> int | None:
            self.log.append(name)
            return act()

        return do

    def slow(self, seconds: float = 10) -> int:
        self.clock.sleep(seconds)
        return 1

    def hangs(self) -> None:
        self.clock.sleep(3)


@pytest.fixture
def world() -> World:
    return World()


def good() -> int:
    return 1


def bad() -> None:
    """The cloud did not do it."""


def breaks(error: BaseException) -> Callable[[], int]:
    def do() -> int:
        raise error

    return do


def test_r99_queues_take_turns(world: World) -> None:
    queues = [world.queue("a", good, good, good), world.queue("b", good), world.queue("c", good, good)]
    assert world.engine.run(BUDGET, queues) == Tally(done=6)
    assert world.log == ["a", "b", "c", "a", "c", "a"]


def test_r99_a_queue_that_fails_comes_after_all_others(world: World) -> None:
    queues = [world.queue("a", bad, bad, bad), world.queue("b", good, good, good)]
    assert world.engine.run(BUDGET, queues) == Tally(done=3, failed=3)
    assert world.log == ["a", "b", "b", "b", "a", "a"]


def test_r99_what_failed_comes_last_in_the_next_run_until_it_works_again(world: World) -> None:
    world.engine.run(BUDGET, [world.queue("a", bad), world.queue("b", good)])
    world.engine.run(BUDGET, [world.queue("a", good), world.queue("b", good)])
    assert world.log[2:] == ["b", "a"]
    world.engine.run(BUDGET, [world.queue("a", good), world.queue("b", good)])
    assert world.log[4:] == ["a", "b"]


def test_r99_a_thousand_that_hang_keep_a_good_one_waiting_once_at_the_most(world: World) -> None:
    """They fill whole runs, and none of them twice while the good one has work."""

    def queues() -> list[Queue]:
        return [*(world.queue(f"a{n}", world.hangs) for n in range(1000)), world.queue("z", good)]

    while "z" not in world.log:
        world.engine.run(BUDGET, queues())
    before = world.log[: world.log.index("z")]
    assert len(set(before)) == len(before)
    world.log.clear()
    world.engine.run(BUDGET, queues())
    assert world.log[0] == "z"


def test_r99_f37_who_is_killed_does_not_begin_with_what_failed_again(world: World) -> None:
    queues = [world.queue("a", bad), world.queue("b", breaks(Killed()))]
    with pytest.raises(Killed):
        world.engine.run(BUDGET, queues)
    world.engine.run(BUDGET, [world.queue("a", good), world.queue("b", good)])
    assert world.log[2:] == ["b", "a"]


@pytest.mark.parametrize("error", [StorageUnavailable(detail="DynamoDB"), ZeroDivisionError()])
def test_r99_one_piece_that_breaks_ends_nothing_and_is_said(
    world: World, error: Exception, caplog: pytest.LogCaptureFixture
) -> None:
    assert world.engine.run(BUDGET, [world.queue("a", breaks(error), good)]) == Tally(done=1, failed=1)
    (line,) = [record for record in caplog.records if record.getMessage() == "background.failed"]
    assert (line.levelno, line.__dict__["provider_id"]) == (logging.ERROR, "a")
    assert line.__dict__.get("code", line.__dict__.get("error_type")) in ("storage_unavailable", "ZeroDivisionError")


def test_r99_a_list_that_cannot_be_read_keeps_no_other_from_its_turn(world: World) -> None:
    def unreadable() -> Iterator[Piece]:
        yield Piece(0, good)
        raise StorageUnavailable

    tally = world.engine.run(BUDGET, [Queue("a", unreadable()), world.queue("b", good)])
    assert tally == Tally(done=2, failed=1)


def test_f29_what_another_run_was_faster_with_is_no_failure(world: World) -> None:
    assert world.engine.run(BUDGET, [world.queue("a", breaks(Conflict()), good)]) == Tally(done=1)
    assert world.cursors.cursors == {}


def test_r100_nothing_begins_after_the_time_of_the_run(world: World) -> None:
    queues = [world.queue("a", *[world.slow] * 20)]
    assert world.engine.run(BUDGET, queues) == Tally(done=6, left=1)


def test_r100_nothing_begins_that_could_outlive_the_function(world: World) -> None:
    left = 40 + RESERVE_SECONDS
    started = world.clock.monotonic()
    world.engine.run(BUDGET, [world.queue("a", *[lambda: world.slow(19)] * 20)], left)
    assert world.clock.monotonic() - started <= 40
    assert len(world.log) == 2


def test_r100_nothing_begins_when_reading_the_list_took_the_time_that_was_left(world: World) -> None:
    def slow_to_read() -> Iterator[Piece]:
        world.clock.sleep(61)
        yield Piece(world.clock.now() - 100, lambda: world.log.append("a") or 1)  # type: ignore[func-returns-value]

    assert world.engine.run(BUDGET, [Queue("a", slow_to_read())]) == Tally(left=1)
    assert world.log == []


def test_r100_to_look_for_what_is_left_does_not_outlive_the_function_either(world: World) -> None:
    def slow_to_read() -> Iterator[Piece]:
        world.clock.sleep(1.5)
        yield Piece(0, good)

    started = world.clock.monotonic()
    world.engine.run(Budget("job", 0, 0), [Queue(f"a{number}", slow_to_read()) for number in range(100)])
    assert world.clock.monotonic() - started < RESERVE_SECONDS


def test_r100_a_function_without_time_begins_nothing(world: World) -> None:
    assert world.engine.run(BUDGET, [world.queue("a", good)], left=20) == Tally(left=1)
    assert world.log == []


def test_r100_a_function_lives_long_enough_for_its_budget() -> None:
    assert BUDGET.begins_for(BUDGET.function_seconds) == BUDGET.run_seconds


def test_r100_the_age_of_the_oldest_that_is_left_is_said(world: World, caplog: pytest.LogCaptureFixture) -> None:
    caplog.set_level(logging.INFO)
    now = world.clock.now()
    queues = [world.queue("a", good, world.slow, due_at=now - 50), world.queue("b", *[world.slow] * 9, due_at=now - 7)]
    world.engine.run(Budget("job", 15, 1), queues)
    line = caplog.records[-1]
    assert (line.getMessage(), line.__dict__["job"], line.__dict__["seconds"]) == ("background.ran", "job", 27)
    assert line.__dict__["facts"] == {"done": 3, "failed": 0, "left": 1}


def test_r100_a_job_without_work_says_so_and_calls_nobody(world: World, caplog: pytest.LogCaptureFixture) -> None:
    caplog.set_level(logging.INFO)

    def unused(name: str) -> str:
        raise AssertionError(name)

    world.cursors.get = unused  # type: ignore[method-assign]
    assert world.engine.run(BUDGET, []) == Tally()
    assert caplog.records[-1].__dict__["seconds"] == 0


def test_a_queue_of_everybody_is_never_put_behind(world: World) -> None:
    world.engine.run(BUDGET, [world.queue("", bad, good), world.queue("b", good, good)])
    assert world.log == ["", "b", "", "b"]
    assert world.cursors.cursors == {}


def test_what_was_remembered_of_others_is_forgotten(world: World) -> None:
    world.cursors.put("failing/job", json.dumps(["a", "gone"]))
    world.engine.run(BUDGET, [world.queue("a", good), world.queue("b", good)])
    assert (world.log, world.cursors.cursors) == (["b", "a"], {"failing/job": "[]"})


def test_a_memory_that_fails_costs_turns_and_no_work(world: World) -> None:
    def down(*_: object) -> None:
        raise StorageUnavailable

    world.cursors.get = world.cursors.put = down  # type: ignore[assignment, method-assign]
    assert world.engine.run(BUDGET, [world.queue("a", bad, good), world.queue("b", good)]) == Tally(done=2, failed=1)


class TestAtOnce:
    """On real threads. Nobody sleeps: who must wait for another one waits for its word."""

    def test_r99_a_cloud_that_hangs_takes_its_own_share_only(self) -> None:
        world, told = World(at_once=4), threading.Event()
        budget = Budget("job", 60, 20, at_once=2)

        def hangs() -> None:
            # Until the very last piece of the other queue is done
            assert told.wait(30)

        others = [good] * 50
        queues = [
            world.queue("a", *[hangs] * 10),
            world.queue("b", *others, lambda: told.set() or 1),  # type: ignore[func-returns-value]
        ]
        assert world.engine.run(budget, queues) == Tally(done=51, failed=10)

    def test_r99_of_one_queue_so_many_are_worked_on_at_once_and_of_one_that_fails_one(self) -> None:
        world, together, most = World(at_once=8), threading.Barrier(3), [0, 0]
        counted, lock = [0], threading.Lock()

        def meets() -> None:
            together.wait(30)

        def alone() -> None:
            with lock:
                counted[0] += 1
                most[0] = max(most[0], counted[0])
            with lock:
                counted[0] -= 1

        queue = world.queue("a", *[meets] * 3, *[alone] * 20)
        assert world.engine.run(Budget("job", 60, 20, at_once=3), [queue]).failed == 23
        assert most[0] <= 2

    def test_f37_a_process_that_dies_in_a_thread_dies(self) -> None:
        world = World(at_once=2)
        with pytest.raises(Killed):
            world.engine.run(BUDGET, [world.queue("a", breaks(Killed()))])


def test_the_time_that_is_left_is_lambdas() -> None:
    assert seconds_left(SimpleNamespace(get_remaining_time_in_millis=lambda: 12_500)) == 12.5
