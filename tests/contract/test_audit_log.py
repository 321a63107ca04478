"""What every audit log does."""

from collections.abc import Iterator
from dataclasses import dataclass, replace
from datetime import date
from itertools import islice

import pytest

from chalicelib.adapters.system import SystemRandom
from chalicelib.domain.audit import AuditEntry, AuditEvent, AuditTag, Origin, Outcome, Period, check_position, position
from chalicelib.domain.errors import InvalidRequest
from chalicelib.ports import AuditLog
from chalicelib.stores.audit_log import DynamoAuditLog
from tests.aws import Aws
from tests.fakes.stores import FakeAuditLog
from tests.fakes.system import FakeClock
from tests.samples import ALICE, BOB, NOW

from .places import STORES, aws_of

EVENT = AuditEvent(
    AuditTag.GRANT_AUTHORIZED,
    Outcome.SUCCESS,
    ALICE.id,
    Origin("request-1", "192.0.2.7", "Firefox on Windows"),
    ALICE.id,
    "northwind",
    {"account": "alice@contoso.example"},
    ALICE.login_name,
    ALICE.login_name,
)
ABOUT_BOB = replace(EVENT, user_id=BOB.id, user_name=BOB.login_name)
DAY = date(2027, 1, 15)
"""The one of NOW, 08:00 UTC."""
WEEK = Period(date(2027, 1, 9), DAY)


@dataclass
class Log:
    """A log and its clock."""

    log: AuditLog
    clock: FakeClock

    def write(self, count: int, event: AuditEvent = EVENT, *, every: int = 1) -> None:
        for _ in range(count):
            self.clock.advance(every)
            self.log.record(event)

    def read(self, period: Period = WEEK, before: str | None = None) -> list[AuditEntry]:
        return list(self.log.entries(period, before=before))


@pytest.fixture(params=STORES)
def log(request: pytest.FixtureRequest) -> Log:
    clock = FakeClock(NOW)
    if request.param == "fake":
        return Log(FakeAuditLog(clock), clock)
    aws: Aws = aws_of(request)
    return Log(DynamoAuditLog(aws.table("vault"), clock, SystemRandom(), days=400), clock)


def test_what_is_stored_says_what_it_says(log: Log) -> None:
    log.write(1)
    log.write(1, ABOUT_BOB)
    stored = list(log.log.stored(position(NOW), position(NOW + 60)))
    assert [entry.event for entry in stored] == [EVENT, ABOUT_BOB]


def descending(entries: list[AuditEntry]) -> bool:
    places = [entry.position for entry in entries]
    return places == sorted(places, reverse=True) and len(set(places)) == len(places)


def test_gives_back_what_was_recorded(log: Log) -> None:
    log.write(1)
    (entry,) = log.read()
    assert (entry.at, entry.event) == (NOW + 1, EVENT)
    assert check_position(entry.position).startswith("2027-01-15T08:00:01#")


def test_gives_every_entry_of_all_shards_newest_first(log: Log) -> None:
    log.write(300, every=7)
    entries = log.read()
    assert len(entries) == 300
    assert descending(entries)


def test_one_second_is_told_in_the_order_of_writing(log: Log) -> None:
    facts = [{"number": f"{number}"} for number in range(30)]
    for one in facts[:10]:
        log.write(1, replace(EVENT, facts=one), every=0)
    log.log.record_all([replace(EVENT, facts=one) for one in facts[10:20]])
    for one in facts[20:]:
        log.write(1, replace(EVENT, facts=one), every=0)
    entries = log.read()
    assert [entry.event.facts for entry in entries] == facts[::-1]
    assert [entry.event.facts for entry in log.log.of_user(ALICE.id)] == facts[::-1]
    assert log.read(before=entries[14].position) == entries[15:]
    assert all(check_position(entry.position) for entry in entries)


def test_gives_whole_days_only(log: Log) -> None:
    log.write(6, every=12 * 3600)
    assert len(log.read(Period(DAY, DAY))) == 1
    assert len(log.read(Period(date(2027, 1, 16), date(2027, 1, 17)))) == 4
    assert log.read(Period(date(2027, 1, 19), date(2027, 1, 20))) == []


def test_goes_on_below_any_position(log: Log) -> None:
    log.write(40, every=5000)
    period = Period(DAY, date(2027, 1, 20))
    everything = log.read(period)
    for number in (0, 7, 39):
        assert log.read(period, before=everything[number].position) == everything[number + 1 :]
    assert log.read(period, before=position(NOW)) == []
    assert log.read(Period(date(2027, 1, 16), DAY), before=everything[0].position) == []


def test_an_entry_that_comes_meanwhile_moves_no_page(log: Log) -> None:
    log.write(10)
    first = list(islice(log.log.entries(WEEK), 4))
    log.write(3)
    rest = log.read(before=first[-1].position)
    assert len(rest) == 6
    assert descending(first + rest)


class TestOfUser:
    def read(self, log: Log, **options: object) -> list[AuditEntry]:
        found: Iterator[AuditEntry] = log.log.of_user(ALICE.id, **options)  # type: ignore[arg-type]
        return list(found)

    def test_gives_one_users_entries_newest_first(self, log: Log) -> None:
        for _ in range(30):
            log.write(1)
            log.write(1, ABOUT_BOB)
        mine = self.read(log)
        assert [entry.event for entry in mine] == [replace(EVENT)] * 30
        assert descending(mine)

    def test_goes_on_below_a_position_and_keeps_to_the_days(self, log: Log) -> None:
        log.write(6, every=12 * 3600)
        mine = self.read(log)
        assert self.read(log, before=mine[2].position) == mine[3:]
        days = Period(date(2027, 1, 16), date(2027, 1, 17))
        assert self.read(log, period=days) == mine[1:5]
        assert self.read(log, period=days, before=mine[2].position) == mine[3:5]
        assert self.read(log, period=days, before=mine[5].position) == []

    def test_an_entry_about_nobody_is_nobodys(self, log: Log) -> None:
        log.write(1, replace(EVENT, user_id=""))
        assert list(log.log.of_user("")) == []
        assert len(log.read()) == 1


@pytest.mark.parametrize("text", ["", "x", "2027-01-15", "2027-01-15T08:00:00", "2027-13-45T08:00:00#a", "\n" * 30])
def test_only_a_position_is_one(text: str) -> None:
    with pytest.raises(InvalidRequest):
        check_position(text)


def test_writing_an_entry_is_one_call(aws: Aws, monkeypatch: pytest.MonkeyPatch) -> None:
    made: list[str] = []
    note = lambda model, **_: made.append(model.name)  # noqa: E731 - boto3 wants a function with these names
    aws.clients.dynamodb.meta.events.register("before-call", note)
    DynamoAuditLog(aws.table("vault"), FakeClock(), SystemRandom(), days=400).record(EVENT)
    aws.clients.dynamodb.meta.events.unregister("before-call", note)
    assert made == ["PutItem"]


@pytest.mark.parametrize(
    "changed",
    [
        {"tag": {"S": "no.such"}},
        {"facts": {"S": "x"}},
        {"at": {"N": "1.5"}},
        {"at": {"S": "x"}},
        {"outcome": {"L": []}},
    ],
)
def test_what_nobody_here_wrote_is_shown_as_unreadable(aws: Aws, changed: dict[str, dict[str, object]]) -> None:
    clock = FakeClock(NOW)
    log = DynamoAuditLog(aws.table("vault"), clock, SystemRandom(), days=400)
    log.record(EVENT)
    (item,) = aws.items("vault")
    aws.clients.dynamodb.put_item(TableName="vault", Item=item | changed)
    clock.advance(1)
    log.record(EVENT)
    newer, older = log.entries(WEEK)
    assert newer.event == EVENT
    assert older.event.tag is AuditTag.AUDIT_UNREADABLE
    assert older.position.startswith("2027-01-15T08:00:00#")
