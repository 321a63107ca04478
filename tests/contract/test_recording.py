"""R93: an act and its line in the log are one write, whatever becomes of the call that makes it."""

from collections.abc import Callable
from contextlib import suppress
from dataclasses import replace
from typing import Any

import pytest
from botocore.exceptions import ClientError, ReadTimeoutError

from chalicelib.adapters.aws import AwsClients
from chalicelib.domain.audit import Actor, AuditEvent, AuditTag, Origin, Outcome, Period
from chalicelib.domain.errors import Conflict, StorageUnavailable
from chalicelib.domain.stop import Stop, StopKind
from tests.aws import Aws
from tests.samples import ALICE, NOW, SESSION

from .places import aws_of
from .stores import Stores
from .test_audit_log import DAY

STOP = Stop(StopKind.PROVIDER, "northwind", "lost laptop", NOW, Actor("admin"))
LINE = AuditEvent(AuditTag.RELEASES_STOPPED, Outcome.SUCCESS, "admin", Origin("request-1", "192.0.2.7"))
OTHER_LINE = replace(LINE, tag=AuditTag.PROVIDER_CHANGED)


class Wire:
    """A DynamoDB client whose calls can go wrong."""

    def __init__(self, client: Any) -> None:
        self._client = client
        self.treat: dict[str, Callable[[Callable[[], Any]], Any]] = {}

    def __getattr__(self, name: str) -> Any:
        def call(**arguments: Any) -> Any:
            def do() -> Any:
                return getattr(self._client, name)(**arguments)

            treatment = self.treat.pop(name, None)
            return treatment(do) if treatment else do()

        return call


class World(Stores):
    def __init__(self, aws: Aws) -> None:
        self.wire = Wire(aws.clients.dynamodb)
        super().__init__(replace(aws, clients=AwsClients(dynamodb=self.wire, kms=aws.clients.kms)))

    def tags(self) -> list[AuditTag]:
        return [entry.event.tag for entry in self.audit_log.entries(Period(DAY, DAY))]


@pytest.fixture(params=["dynamodb", pytest.param("dynalite", marks=pytest.mark.integration)])
def world(request: pytest.FixtureRequest) -> World:
    return World(aws_of(request))


def cancelled(*codes: str) -> Callable[[Callable[[], Any]], Any]:
    def treat(_do: Callable[[], Any]) -> Any:
        response: Any = {
            "Error": {"Code": "TransactionCanceledException", "Message": "no"},
            "CancellationReasons": [{"Code": code} for code in codes],
        }
        raise ClientError(response, "TransactWriteItems")

    return treat


def reply_lost(do: Callable[[], Any]) -> Any:
    do()
    raise ReadTimeoutError(endpoint_url="https://aws.example")


def never_sent(_do: Callable[[], Any]) -> Any:
    raise ReadTimeoutError(endpoint_url="https://aws.example")


def test_r93_both_are_stored(world: World) -> None:
    with world.audit_log.recording(LINE):
        world.stops.add(STOP)
        assert world.tags() == [LINE.tag], "with the write, not after it"
    assert (world.stops.all(), world.tags()) == ([STOP], [LINE.tag])


def test_r93_two_lines_go_with_one_write(world: World) -> None:
    with world.audit_log.recording(LINE, OTHER_LINE):
        world.stops.add(STOP)
    assert set(world.tags()) == {LINE.tag, OTHER_LINE.tag}


def test_r93_neither_where_the_write_is_refused(world: World) -> None:
    world.stops.add(STOP)
    with pytest.raises(Conflict), world.audit_log.recording(LINE):
        world.stops.add(STOP)
    assert world.tags() == []


def test_r93_neither_where_it_never_arrives(world: World) -> None:
    world.wire.treat["transact_write_items"] = never_sent
    with pytest.raises(StorageUnavailable), world.audit_log.recording(LINE):
        world.stops.add(STOP)
    assert (world.stops.all(), world.tags()) == ([], [])


def test_r93_what_changes_nothing_is_recorded_too(world: World) -> None:
    with world.audit_log.recording(LINE):
        pass
    assert world.tags() == [LINE.tag]


def test_r93_a_refusal_that_is_caught_inside_is_recorded_alone(world: World) -> None:
    world.stops.add(STOP)
    with world.audit_log.recording(LINE), suppress(Conflict):
        world.stops.add(STOP)
    assert world.tags() == [LINE.tag]


def test_r93_an_error_before_the_write_leaves_no_line(world: World) -> None:
    with pytest.raises(ZeroDivisionError), world.audit_log.recording(LINE):
        raise ZeroDivisionError
    assert world.tags() == []


def test_r93_an_error_after_the_write_takes_neither_back(world: World) -> None:
    def added_and_failed() -> None:
        world.stops.add(STOP)
        raise ZeroDivisionError

    with pytest.raises(ZeroDivisionError), world.audit_log.recording(LINE):
        added_and_failed()
    assert (world.stops.all(), world.tags()) == ([STOP], [LINE.tag])


def test_r93_a_reply_that_is_lost_makes_no_second_line(world: World) -> None:
    world.wire.treat["transact_write_items"] = reply_lost
    with world.audit_log.recording(LINE):
        with pytest.raises(StorageUnavailable):
            world.stops.add(STOP)
        world.stops.add(STOP)
    assert (world.stops.all(), world.tags()) == ([STOP], [LINE.tag])


def test_r93_a_reply_that_is_lost_and_looked_after_makes_no_second_line(world: World) -> None:
    world.wire.treat["transact_write_items"] = reply_lost
    with world.audit_log.recording(LINE):
        with pytest.raises(StorageUnavailable):
            world.stops.add(STOP)
        assert world.stops.all() == [STOP]
    assert world.tags() == [LINE.tag]


def test_r93_who_meets_another_transaction_tries_again(world: World) -> None:
    world.wire.treat["transact_write_items"] = cancelled("TransactionConflict", "None")
    with world.audit_log.recording(LINE):
        world.stops.add(STOP)
    assert (world.stops.all(), world.tags()) == ([STOP], [LINE.tag])


def test_r93_what_does_not_pass_is_said(world: World) -> None:
    world.wire.treat["transact_write_items"] = cancelled("ItemCollectionSizeLimitExceeded", "None")
    with pytest.raises(StorageUnavailable) as caught, world.audit_log.recording(LINE):
        world.stops.add(STOP)
    assert "ItemCollectionSizeLimitExceeded" in caught.value.detail


def test_r93_what_is_deleted_is_given_back(world: World) -> None:
    world.stops.add(STOP)
    with world.audit_log.recording(LINE):
        assert world.stops.remove(STOP.kind, STOP.target) == STOP
        assert world.tags() == [LINE.tag]
    with world.audit_log.recording(OTHER_LINE):
        assert world.stops.remove(STOP.kind, STOP.target) is None
    assert set(world.tags()) == {LINE.tag, OTHER_LINE.tag}


def test_r93_an_update_goes_with_its_line(world: World) -> None:
    world.sessions.add(SESSION, NOW + 60)
    with world.audit_log.recording(LINE):
        world.sessions.touch(SESSION.id_hash, NOW + 9, NOW + 90)
        assert world.tags() == [LINE.tag]
    found = world.sessions.get(SESSION.id_hash)
    assert found is not None
    assert found.last_seen_at == NOW + 9


@pytest.mark.parametrize("count", [1, 3, 95])
def test_r93_several_sessions_end_with_one_line(world: World, count: int) -> None:
    sessions = [replace(SESSION, id_hash=f"{number:064}") for number in range(count)]
    for session in sessions:
        world.sessions.add(session, NOW + 60)
    with world.audit_log.recording(LINE):
        world.sessions.delete(*(session.id_hash for session in sessions))
        assert world.tags() == [LINE.tag]
    assert (world.sessions.of_user(ALICE.id), world.tags()) == ([], [LINE.tag])


def test_r93_sessions_end_all_or_none(world: World) -> None:
    sessions = [replace(SESSION, id_hash=f"{number:064}") for number in range(3)]
    for session in sessions:
        world.sessions.add(session, NOW + 60)
    world.wire.treat["transact_write_items"] = never_sent
    with pytest.raises(StorageUnavailable), world.audit_log.recording(LINE):
        world.sessions.delete(*(session.id_hash for session in sessions))
    assert (len(world.sessions.of_user(ALICE.id)), world.tags()) == (3, [])


def test_a_line_with_its_act_stands_in_order_among_the_others(world: World) -> None:
    world.audit_log.record(OTHER_LINE)
    with world.audit_log.recording(LINE):
        world.stops.add(STOP)
    world.audit_log.record(OTHER_LINE)
    assert world.tags() == [OTHER_LINE.tag, LINE.tag, OTHER_LINE.tag]
