"""Stopping and resuming: what is kept, what is refused, what the ledger says."""

from dataclasses import replace

import pytest

from chalicelib.domain.audit import AuditTag
from chalicelib.domain.client_application import ClientApplication
from chalicelib.domain.errors import Conflict, DirectoryUnavailable, InvalidForm, InvalidRequest, NotFound
from chalicelib.domain.stop import ALL, Stop, StopKind
from chalicelib.services.people import PeopleService
from chalicelib.services.stops import StopService
from tests.fakes.directory import FakeDirectory, Person
from tests.fakes.services import ORIGIN, FakeVault
from tests.samples import ADMIN, ADMINISTRATOR, ALICE, APPLICATION, BOB, NOW

SHARED = replace(BOB, email="shared@contoso.example")
OTHER = replace(ADMIN, email="shared@contoso.example")


class World(FakeVault):
    def __init__(self) -> None:
        super().__init__()
        self.directory = FakeDirectory(Person(ALICE, ""), Person(SHARED, ""), Person(OTHER, ""), looks_up=True)
        self.users.enrol(ALICE, sessions_until=NOW, at=NOW)
        self.applications.add(APPLICATION)
        self.people = PeopleService(self.aliases, self.users, self.directory, self.clock)
        self.service = StopService(
            stops=self.stop_store,
            applications=self.applications,
            providers=self.providers,
            people=self.people,
            audit_log=self.audit_log,
            clock=self.clock,
        )

    def stop(self, kind: StopKind, target: str = ALL, reason: str = " lost laptop ") -> Stop:
        return self.service.stop(kind, target, reason, ADMINISTRATOR, ORIGIN)

    def resume(self, kind: StopKind, target: str = ALL) -> None:
        self.service.resume(kind, target, ADMINISTRATOR, ORIGIN)


@pytest.fixture
def world() -> World:
    return World()


TARGETS = {
    StopKind.EVERYTHING: (ALL, ALL, ""),
    StopKind.PROVIDER: ("northwind", "northwind", "Northwind Cloud"),
    StopKind.PERSON: ("CONTOSO\\ALICE", ALICE.id, ALICE.login_name),
    StopKind.APPLICATION: ("scanner", "scanner", "Scan server"),
}


@pytest.mark.parametrize("kind", TARGETS)
def test_r93_a_stop_says_what_since_when_by_whom_and_why_and_is_taken_back(world: World, kind: StopKind) -> None:
    typed, target, name = TARGETS[kind]
    made = world.stop(kind, typed)
    assert (made.kind, made.target, made.target_name, made.reason, made.at) == (kind, target, name, "lost laptop", NOW)
    assert made.by.name == ADMINISTRATOR.name
    assert world.service.all() == [made]
    world.clock.advance(9)
    assert world.stop(kind, typed, "again") == made
    for _ in range(2):
        world.resume(kind, target)
    assert world.service.all() == []
    assert len(world.audit_log.events) == 4, "each time is recorded"


def test_r67_each_is_a_line_of_the_ledger(world: World) -> None:
    world.stop(StopKind.PERSON, ALICE.id)
    world.stop(StopKind.PROVIDER, "northwind")
    world.stop(StopKind.APPLICATION, "scanner")
    world.resume(StopKind.APPLICATION, "scanner")
    world.stop(StopKind.EVERYTHING)
    world.resume(StopKind.EVERYTHING)
    assert {(event.actor, event.actor_name) for event in world.audit_log.events} == {
        (ADMINISTRATOR.id, ADMINISTRATOR.name)
    }
    reason = {"reason": "lost laptop"}
    assert [(event.tag, event.user_id, event.provider_id, event.facts) for event in world.audit_log.events] == [
        (AuditTag.RELEASES_STOPPED, ALICE.id, "", {"kind": "person"} | reason),
        (AuditTag.RELEASES_STOPPED, "", "northwind", {"kind": "provider"} | reason),
        (AuditTag.CLIENT_STOPPED, "", "", {"client": "scanner"} | reason),
        (AuditTag.CLIENT_RESUMED, "", "", {"client": "scanner"}),
        (AuditTag.RELEASES_STOPPED, "", "", {"kind": "everything"} | reason),
        (AuditTag.RELEASES_RESUMED, "", "", {"kind": "everything"} | reason),
    ]


def test_everything_is_listed_first(world: World) -> None:
    assert world.service.everything() is None
    world.stop(StopKind.EVERYTHING)
    world.clock.advance(9)
    world.stop(StopKind.APPLICATION, "scanner")
    world.stop(StopKind.PERSON, BOB.id)
    assert next(stop.kind for stop in world.service.all()) is StopKind.EVERYTHING
    assert world.service.everything() == world.service.all()[0]


@pytest.mark.parametrize("kind", TARGETS)
@pytest.mark.parametrize("reason", ["", "  ", "x" * 201, "a\nb"])
def test_a_stop_has_a_reason(world: World, kind: StopKind, reason: str) -> None:
    with pytest.raises(InvalidForm) as refusal:
        world.stop(kind, TARGETS[kind][0], reason)
    assert set(refusal.value.problems) == {"reason"}
    assert world.service.all() == []


def test_r91_who_is_stopped_is_called_what_they_are_called_now(world: World) -> None:
    world.stop(StopKind.PERSON, ALICE.id)
    record = world.users.get(ALICE.id)
    assert record is not None
    world.users.rename(record, replace(ALICE, login_name="CONTOSO\\alice.adams"), at=NOW)
    assert [stop.target_name for stop in world.service.all()] == ["CONTOSO\\alice.adams"]


@pytest.mark.parametrize("kind", [StopKind.APPLICATION, StopKind.PROVIDER, StopKind.PERSON])
def test_what_does_not_exist_is_not_found(world: World, kind: StopKind) -> None:
    with pytest.raises(NotFound):
        world.stop(kind, "nobody")
    assert world.service.all() == []


def test_an_edit_at_the_same_moment_does_not_keep_an_application_from_being_stopped(
    world: World, monkeypatch: pytest.MonkeyPatch
) -> None:
    update, edits = world.applications.update, [1, 2]

    def edited_first(application: ClientApplication) -> ClientApplication:
        if edits and edits.pop():
            update(world.applications.get("scanner"))
        return update(application)

    monkeypatch.setattr(world.applications, "update", edited_first)
    world.stop(StopKind.APPLICATION, "scanner")
    assert not world.applications.get("scanner").enabled


def test_an_application_that_is_changed_all_the_time_is_not_said_to_be_stopped(
    world: World, monkeypatch: pytest.MonkeyPatch
) -> None:
    def conflict(application: ClientApplication) -> ClientApplication:
        raise Conflict

    monkeypatch.setattr(world.applications, "update", conflict)
    with pytest.raises(Conflict):
        world.stop(StopKind.APPLICATION, "scanner")
    assert world.audit_log.events == []


class TestPeople:
    @pytest.mark.parametrize("typed", [ALICE.id, " contoso\\Alice", "CONTOSO\\alice"])
    def test_r91_are_found_by_what_they_are_called_now(self, world: World, typed: str) -> None:
        person = world.people.find(typed)
        assert (person.id, person.name, person.subject.groups) == (ALICE.id, ALICE.login_name, ALICE.groups)

    def test_who_never_came_is_found_in_the_directory(self, world: World) -> None:
        person = world.people.find("CONTOSO\\bob")
        assert (person.id, person.name) == (BOB.id, "CONTOSO\\bob")

    def test_an_id_that_nobody_has_yet_is_taken_as_it_is(self, world: World) -> None:
        assert world.people.find("S-1-5-21-9").name == "S-1-5-21-9"

    @pytest.mark.parametrize("typed", ["", "nobody", "CONTOSO\\nobody", "x" * 400, "a\x00b"])
    def test_nobody(self, world: World, typed: str) -> None:
        with pytest.raises(NotFound):
            world.people.find(typed)

    def test_while_the_directory_is_down_its_last_word_counts_unless_it_must_be_asked(self, world: World) -> None:
        world.directory.available = False
        assert world.people.find("CONTOSO\\alice").id == ALICE.id
        with pytest.raises(NotFound):
            world.people.find("CONTOSO\\bob")
        with pytest.raises(DirectoryUnavailable):
            world.people.find("CONTOSO\\alice", must_ask=True)

    def test_a_name_of_two_people_is_not_guessed(self, world: World) -> None:
        with pytest.raises(InvalidRequest, match="Several people"):
            world.people.find("shared@contoso.example")
