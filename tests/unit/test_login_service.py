"""From a password to a session, and what the audit log says of it."""

from dataclasses import replace

import pytest

from chalicelib.domain.audit import AuditTag, Origin, Outcome
from chalicelib.domain.errors import DirectoryUnavailable, LoginRefused
from chalicelib.domain.secret import Secret
from chalicelib.domain.session import MAX_SESSIONS_PER_USER
from chalicelib.services.login import Client, LoginService
from chalicelib.services.sessions import SessionService
from chalicelib.services.throttle import Throttle
from tests.fakes import directory
from tests.fakes.directory import FakeDirectory
from tests.fakes.stores import FakeAuditLog, FakeSessionStore, FakeTryStore, FakeUserStore
from tests.fakes.system import FakeClock, FakeRandom

ORIGIN = Origin("request-1", "127.0.0.1")
FIREFOX = Client("Firefox", "", ORIGIN)
ALICE = directory.ALICE.user


class World:
    def __init__(self) -> None:
        self.store, self.audit_log = FakeSessionStore(), FakeAuditLog()
        self.directory = FakeDirectory(directory.ALICE, directory.BOB)
        self.clock, self.random, self.tries, self.users = FakeClock(), FakeRandom(), FakeTryStore(), FakeUserStore()
        self.sessions = SessionService(
            sessions=self.store,
            audit_log=self.audit_log,
            clock=self.clock,
            random=self.random,
            users=self.users,
            administrator_groups=frozenset(),
        )
        throttle = Throttle(self.tries, self.clock, self.random)
        self.service = LoginService(self.directory, self.sessions, throttle, self.audit_log, self.clock)


@pytest.fixture
def world() -> World:
    return World()


def test_r67_a_log_in_is_an_audit_event(world: World) -> None:
    started = world.service.log_in("contoso\\ALICE", Secret("alice-pass"), FIREFOX)
    assert started.session.user == ALICE
    (event,) = world.audit_log.events
    assert (event.tag, event.outcome, event.actor, event.origin) == (
        AuditTag.LOGIN, Outcome.SUCCESS, ALICE.id, ORIGIN,
    )  # fmt: skip


@pytest.mark.parametrize(
    ("name", "password", "cause"),
    [
        ("CONTOSO\\alice", "typed-password", "bad_credentials"),
        ("typed-password", "x", "form_not_allowed"),
        ("typed+password", "x", "malformed_name"),
        ("OTHER\\alice", "x", "foreign_domain"),
        ("CONTOSO\\alice", " ", "empty_password"),
    ],
)
def test_r67_a_refusal_is_one_too_and_holds_nothing_that_was_typed(
    world: World, name: str, password: str, cause: str
) -> None:
    with pytest.raises(LoginRefused):
        world.service.log_in(name, Secret(password), FIREFOX)
    (event,) = world.audit_log.events
    assert (event.tag, event.outcome, event.facts) == (AuditTag.LOGIN, Outcome.FAILURE, {"cause": cause})
    assert "typed-password" not in repr(event)
    assert world.store.sessions == {}


def test_a_directory_that_is_down_is_no_failed_try(world: World) -> None:
    world.directory.available = False
    with pytest.raises(DirectoryUnavailable):
        world.service.log_in("CONTOSO\\alice", Secret("alice-pass"), FIREFOX)
    assert world.audit_log.events == []


def test_r3_confirming_replaces_the_session(world: World) -> None:
    before = world.service.log_in("CONTOSO\\alice", Secret("alice-pass"), FIREFOX).session
    after = world.service.confirm(before, Secret("alice-pass"), FIREFOX).session
    assert list(world.store.sessions) == [after.id_hash]
    assert world.audit_log.events[-1].tag is AuditTag.LOGIN_CONFIRMED


def test_confirming_with_a_wrong_password_keeps_the_session(world: World) -> None:
    before = world.service.log_in("CONTOSO\\alice", Secret("alice-pass"), FIREFOX).session
    with pytest.raises(LoginRefused):
        world.service.confirm(before, Secret("wrong"), FIREFOX)
    assert list(world.store.sessions) == [before.id_hash]


def test_r24_a_name_that_now_belongs_to_somebody_else_confirms_nothing(world: World) -> None:
    before = world.service.log_in("CONTOSO\\alice", Secret("alice-pass"), FIREFOX).session
    somebody_else = replace(before, user=replace(before.user, id="S-1-5-21-9"))
    with pytest.raises(LoginRefused) as refusal:
        world.service.confirm(somebody_else, Secret("alice-pass"), FIREFOX)
    assert refusal.value.cause == "another_person"
    assert world.audit_log.events[-1].facts == {"cause": "another_person"}


def test_confirming_signs_no_other_browser_out(world: World) -> None:
    sessions = [
        world.service.log_in("CONTOSO\\alice", Secret("alice-pass"), FIREFOX).session
        for _ in range(MAX_SESSIONS_PER_USER)
    ]
    confirmed = world.service.confirm(sessions[-1], Secret("alice-pass"), FIREFOX).session
    assert set(world.store.sessions) == {s.id_hash for s in (*sessions[:-1], confirmed)}
