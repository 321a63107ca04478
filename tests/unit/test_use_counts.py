"""Use is counted behind the seals: once, whatever dies, and never in their way."""

from collections.abc import Callable, Iterator
from dataclasses import replace
from datetime import date
from math import inf
from typing import Any

import pytest

from chalicelib.domain.audit import AuditEvent, AuditTag, Origin, Outcome, position
from chalicelib.domain.errors import StorageUnavailable
from chalicelib.domain.seal import SETTLE_SECONDS, WINDOW_SECONDS, StoredEntry
from chalicelib.domain.use import LastUse, Tally, UseCount
from chalicelib.services import audit_seals, use_counts
from chalicelib.services.audit_seals import SealService
from chalicelib.services.background import Engine
from chalicelib.services.use_counts import CURSOR, UseCountService
from tests.fakes.audit_key import FakeAuditKey
from tests.fakes.stores import (
    FakeAuditLog,
    FakeCursorStore,
    FakeGrantStore,
    FakeProviderStore,
    FakeSealStore,
    FakeUseCountStore,
)
from tests.fakes.system import FakeClock
from tests.samples import ALICE, BOB, GRANT, NOW

DAY = date(2027, 1, 15)
"""The one of NOW, 08:00 UTC, where an hour and a window begin."""
RELEASED = AuditEvent(
    AuditTag.TOKEN_RELEASED,
    Outcome.SUCCESS,
    "scanner",
    Origin("request-1", "192.0.2.7"),
    ALICE.id,
    "northwind",
    {"generation": "1"},
)
REFUSED = replace(RELEASED, tag=AuditTag.TOKEN_REFUSED, outcome=Outcome.FAILURE, facts={"code": "blocked"})
STRANGER = replace(REFUSED, actor="-", user_id="", provider_id="", facts={"code": "invalid_client"})
SETTLED = SETTLE_SECONDS + WINDOW_SECONDS


class Killed(BaseException):
    """As when Lambda ends the process."""


class Later:
    """Counting that a run of seals leaves to another: what it sealed is noted, and no window is counted."""

    def __init__(self, counting: UseCountService) -> None:
        self.note = counting.note

    def count_due(self, end: float) -> int:
        return 0


class World:
    """A ledger, its seals, and alice's and bob's grants."""

    def __init__(self) -> None:
        self.clock = FakeClock(NOW)
        self.log, self.seals, self.cursors = FakeAuditLog(self.clock), FakeSealStore(), FakeCursorStore()
        self.uses, self.grants = FakeUseCountStore(), FakeGrantStore(FakeProviderStore())
        for user in (ALICE, BOB):
            grant = replace(GRANT, user_id=user.id, authorized_at=NOW - 86400)
            self.grants.grants[user.id, "northwind", 1, ""] = grant
        self.counting = self.process()
        self.sealing = self.sealer(self.counting)

    def process(self) -> UseCountService:
        return UseCountService(
            uses=self.uses,
            grants=self.grants,
            audit_log=self.log,
            seals=self.seals,
            cursors=self.cursors,
            days=400,
            clock=self.clock,
        )

    def sealer(self, counting: Any) -> SealService:
        return SealService(
            audit_log=self.log,
            seals=self.seals,
            key=FakeAuditKey(),
            use_counts=counting,
            clock=self.clock,
            days=400,
            engine=Engine(self.clock, FakeCursorStore()),
        )

    def write(self, *events: AuditEvent) -> None:
        for event in events:
            self.clock.advance(1)
            self.log.record(event)

    def settle(self) -> None:
        self.clock.advance(SETTLED)

    def seal(self) -> int:
        self.settle()
        return self.sealing.seal_due()

    def counts(self) -> list[UseCount]:
        return list(self.uses.between(date.min, date.max))

    def last_used(self, user_id: str = ALICE.id) -> int | None:
        return self.grants.grants[user_id, "northwind", 1, ""].last_used_at


@pytest.fixture
def world() -> World:
    world = World()
    world.seal()
    return world


def hour(at: int) -> int:
    return at // 3600 * 3600


def test_releases_and_refusals_are_counted_and_the_last_use_is_known_to_the_hour(world: World) -> None:
    world.write(RELEASED, RELEASED, REFUSED, STRANGER, replace(RELEASED, tag=AuditTag.CLIENT_IDENTIFIED))
    used = world.clock.now()
    world.seal()
    assert world.counts() == [
        UseCount(DAY, "-", "-", 0, {"invalid_client": 1}),
        UseCount(DAY, "scanner", "northwind", 2, {"blocked": 1}),
    ]
    assert (world.last_used(), world.last_used(BOB.id)) == (hour(used), None)


def test_nothing_is_counted_before_its_window_is_sealed(world: World) -> None:
    world.seal()
    world.write(RELEASED)
    world.sealing.seal_due()
    assert world.counts() == []
    world.seal()
    assert len(world.counts()) == 1


def test_the_ledger_is_not_read_again_for_it(world: World, monkeypatch: pytest.MonkeyPatch) -> None:
    world.write(RELEASED)
    reads: list[str] = []
    stored = world.log.stored

    def noted(begin: str, end: str) -> Iterator[StoredEntry]:
        reads.append(begin)
        return stored(begin, end)

    monkeypatch.setattr(world.log, "stored", noted)
    monkeypatch.setattr(world.sealing, "_look_back", lambda _: None)
    sealed = world.seal()
    assert len(reads) == sealed
    assert world.counts()[0].released == 1


def test_windows_with_several_seals_are_counted_whole(world: World, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(audit_seals, "MAX_ENTRIES", 2)
    world.write(*[RELEASED] * 7)
    world.settle()
    assert world.sealing.seal_due() > 1
    assert world.counts() == [UseCount(DAY, "scanner", "northwind", 7)]


def test_a_grant_in_constant_use_is_written_once_an_hour(world: World, monkeypatch: pytest.MonkeyPatch) -> None:
    written: list[int] = []
    note_use = world.grants.note_use
    monkeypatch.setattr(world.grants, "note_use", lambda use: (written.append(use.hour), note_use(use)))
    for _ in range(24):
        world.write(RELEASED)
        world.clock.advance(299)
    world.seal()
    assert len(written) == len(set(written))
    assert len(written) in (2, 3)


def test_who_is_remembered_as_written_is_forgotten_when_there_are_too_many(
    world: World, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(use_counts, "_REMEMBERED", 0)
    for event in (RELEASED, replace(RELEASED, user_id=BOB.id)):
        world.write(event)
        world.seal()
    assert list(world.counting._written) == [(BOB.id, "northwind", 1, "")]


def test_what_cannot_be_counted_is_logged_and_counted_by_the_next_run(
    world: World, monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    world.write(RELEASED)

    def down(*_: object, **__: object) -> None:
        raise StorageUnavailable(detail="table")

    with monkeypatch.context() as broken:
        broken.setattr(world.uses, "add", down)
        assert world.seal() > 0
    assert world.counts() == []
    assert [record.message for record in caplog.records if record.levelname == "ERROR"] == ["use.not_counted"]
    world.sealing.seal_due()
    assert world.counts() == [UseCount(DAY, "scanner", "northwind", 1)]
    assert world.last_used() is not None


def steps(world: World) -> list[tuple[Any, str]]:
    """Every call that counting makes of a port."""
    return [
        (world.uses, "add"), (world.grants, "note_use"), (world.cursors, "put"), (world.cursors, "get"),
        (world.seals, "tip"), (world.seals, "add"),
    ]  # fmt: skip


@pytest.mark.parametrize("is_done", [False, True])
def test_f29_killed_before_or_after_any_call_everything_is_counted_once(
    monkeypatch: pytest.MonkeyPatch, is_done: bool
) -> None:
    expected = [UseCount(DAY, "-", "-", 0, {"invalid_client": 1}), UseCount(DAY, "scanner", "northwind", 4)]
    deaths = 0
    for number in range(200):
        world = World()
        monkeypatch.setattr(use_counts, "PIECE", 1)
        world.seal()
        world.write(RELEASED, replace(RELEASED, user_id=BOB.id), STRANGER, RELEASED)
        world.clock.advance(WINDOW_SECONDS)
        world.write(RELEASED)
        with monkeypatch.context() as mortal:
            left = [number]
            for of, name in steps(world):
                mortal.setattr(of, name, mortally(getattr(of, name), left, is_done=is_done))
            try:
                world.seal()
            except Killed:
                deaths += 1
        world.sealing = world.sealer(world.process())
        world.sealing.seal_due()
        assert world.counts() == expected, number
        assert world.last_used() == world.last_used(BOB.id) == hour(NOW + SETTLED)
        if left[0] >= 0:
            break
    assert deaths > 10


def mortally(call: Callable[..., Any], left: list[int], *, is_done: bool) -> Callable[..., Any]:
    """`call`, that kills the process when `left` calls of all of these are made: before it, or when it is done."""

    def mortal(*args: Any, **kwargs: Any) -> Any:
        left[0] -= 1
        if left[0] == -1 and not is_done:
            raise Killed
        found = call(*args, **kwargs)
        if left[0] == -1:
            raise Killed
        return found

    return mortal


def test_f29_two_runs_at_once_count_once(world: World) -> None:
    world.write(RELEASED, REFUSED)
    world.settle()
    other = world.process()
    world.sealer(Later(other)).seal_due()
    world.counting.count_due(inf)
    other.count_due(inf)
    assert world.counts() == [UseCount(DAY, "scanner", "northwind", 1, {"blocked": 1})]


def test_f27_after_a_long_pause_counting_catches_up_in_bounded_runs(world: World) -> None:
    for _ in range(10):
        world.write(RELEASED)
        world.clock.advance(WINDOW_SECONDS)
    world.settle()
    world.sealer(Later(world.process())).seal_due()
    late, reads = world.process(), iter(range(100))
    # The clock goes on by a second with each look at it
    world.clock.monotonic = lambda: float(next(reads))
    runs = [late.count_due(next(reads) + 6.0) for _ in range(8)]
    assert all(0 < counted < 10 for counted in runs[:3])
    assert runs[-1] == 0
    assert sum(count.released for count in world.counts()) == 10


def test_the_first_run_of_all_begins_with_the_day_and_not_with_the_log(world: World) -> None:
    world.write(RELEASED)
    world.seal()
    world.clock.advance(86400 - 3 * 3600)
    world.write(RELEASED)
    world.settle()
    world.sealer(Later(world.counting)).seal_due()
    world.uses.counts.clear()
    del world.cursors.cursors[CURSOR]
    while world.counting.count_due(inf):
        pass
    assert [count.day for count in world.counts()] == [date(2027, 1, 16)]


def test_without_a_seal_nothing_is_counted() -> None:
    world = World()
    assert world.counting.count_due(inf) == 0
    assert world.cursors.cursors == {}


class TestTally:
    def tally(self, *events: AuditEvent, place: str = position(NOW, "a")) -> Tally:
        tally = Tally()
        tally.add([StoredEntry(place, "0" * 64, event) for event in events] + [StoredEntry(place, "0" * 64)])
        return tally

    def test_lines_of_before_are_counted_and_say_nothing_of_the_last_use(self) -> None:
        tally = self.tally(replace(RELEASED, facts={"scopes": "openid"}))
        assert (tally.counts()[0].released, tally.last_uses()) == (1, [])

    def test_the_account_that_was_used_is_named(self) -> None:
        later = replace(RELEASED, facts={"generation": "2", "slot": "b"})
        assert self.tally(later).last_uses() == [LastUse(ALICE.id, "northwind", 2, "b", NOW)]

    def test_a_word_of_a_newer_version_is_another_reason(self) -> None:
        assert self.tally(replace(REFUSED, facts={"code": "new"}), replace(REFUSED, facts={})).counts() == [
            UseCount(DAY, "scanner", "northwind", 0, {"other": 2})
        ]

    def test_the_latest_of_several_uses_counts_whatever_the_order(self) -> None:
        tally = self.tally(RELEASED, place=position(NOW + 5, "a"))
        tally.add([StoredEntry(position(NOW, "b"), "0" * 64, RELEASED)])
        assert [use.at for use in tally.last_uses()] == [NOW + 5]

    @pytest.mark.parametrize(
        "facts", [{"generation": "x"}, {"generation": "9" * 5000}, {"generation": "1", "slot": "s" * 900}]
    )
    def test_a_line_that_somebody_forged_stops_nothing(self, facts: dict[str, str]) -> None:
        assert self.tally(replace(RELEASED, facts=facts)).last_uses() == []
        long = self.tally(replace(RELEASED, actor="a" * 5000, provider_id="p" * 5000, facts=facts))
        assert {len(count.application + count.provider) for count in long.counts()} == {128}
        assert self.tally(RELEASED, place="2027-99-99T00:00:00#x").counts() == []
