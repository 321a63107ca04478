"""Rules about signed-in browsers."""

from dataclasses import replace

import pytest

from chalicelib.domain.administrators import Appointment, Appointments
from chalicelib.domain.audit import AuditEvent, AuditTag, Origin, Outcome
from chalicelib.domain.authorization_request import ConsentFailed
from chalicelib.domain.errors import NotFound
from chalicelib.domain.secret import fingerprint
from chalicelib.domain.session import MAX_OPEN_REQUESTS, MAX_SESSIONS_PER_USER, NOTICE_SECONDS, NoticeKind, Session
from chalicelib.domain.user import User
from chalicelib.services.sessions import SessionService, StartedSession
from tests.fakes.stores import (
    FakeAdministratorStore,
    FakeAuditLog,
    FakeAuthorizationRequestStore,
    FakeSessionStore,
    FakeUserStore,
)
from tests.fakes.system import FakeClock, FakeRandom
from tests.samples import ADMIN, ADMINISTRATOR, ADMINISTRATORS, ALICE, BOB, REQUEST

ORIGIN = Origin("request-1", "127.0.0.1")
MINUTE, HOUR = 60, 3600


class World:
    def __init__(self) -> None:
        self.requests = FakeAuthorizationRequestStore()
        self.store, self.audit_log, self.clock = FakeSessionStore(), FakeAuditLog(), FakeClock()
        self.users, self.administrators = FakeUserStore(), FakeAdministratorStore()
        self.service = SessionService(
            sessions=self.store,
            requests=self.requests,
            audit_log=self.audit_log,
            clock=self.clock,
            random=FakeRandom(),
            users=self.users,
            administrators=self.administrators,
            administrator_groups=frozenset({ADMINISTRATORS}),
        )

    def start(self, user: User, browser: str, *, replaces: Session | None = None) -> StartedSession:
        line = AuditEvent(AuditTag.LOGIN, Outcome.SUCCESS, user.id, ORIGIN, user.id)
        return self.service.start(user, browser, line, replaces=replaces)

    def is_live(self, cookie: str) -> bool:
        return self.service.find(cookie) is not None


@pytest.fixture
def world() -> World:
    return World()


def test_r2_the_store_holds_only_a_hash_of_the_cookie(world: World) -> None:
    started = world.start(ALICE, "Firefox")
    cookie = started.cookie.reveal()
    assert len(cookie) >= 43
    assert list(world.store.sessions) == [fingerprint(cookie)]
    assert not world.is_live(fingerprint(cookie))


def test_r3_each_log_in_makes_a_new_id(world: World) -> None:
    cookies = {world.start(ALICE, "Firefox").cookie.reveal() for _ in range(3)}
    assert len(cookies) == 3


@pytest.mark.parametrize(
    ("user", "idle", "absolute"), [(ALICE, 30 * MINUTE, 12 * HOUR), (ADMIN, 15 * MINUTE, 8 * HOUR)]
)
def test_r4_idle_and_absolute_life(world: World, user: object, idle: int, absolute: int) -> None:
    cookie = world.start(user, "Firefox").cookie.reveal()
    world.clock.advance(idle - 1)
    assert world.is_live(cookie)
    for _ in range((absolute - idle) // (idle - 1)):
        world.clock.advance(idle - 1)
        assert world.is_live(cookie)
    world.clock.advance(idle - 1)
    assert not world.is_live(cookie)


def test_r4_an_idle_session_is_over(world: World) -> None:
    cookie = world.start(ALICE, "Firefox").cookie.reveal()
    world.clock.advance(30 * MINUTE)
    assert not world.is_live(cookie)


def test_r85_an_expired_session_that_the_store_still_has_is_dead(world: World) -> None:
    cookie = world.start(ALICE, "Firefox").cookie.reveal()
    world.clock.advance(3 * 24 * HOUR)
    assert world.store.sessions
    assert not world.is_live(cookie)
    assert world.service.of_user(ALICE) == []


def test_activity_is_written_at_most_once_a_minute(world: World) -> None:
    cookie = world.start(ALICE, "Firefox").cookie.reveal()
    (started,) = world.store.sessions.values()
    world.clock.advance(59)
    world.service.find(cookie)
    assert list(world.store.sessions.values()) == [started]
    world.clock.advance(1)
    world.service.find(cookie)
    assert list(world.store.sessions.values()) == [replace(started, last_seen_at=world.clock.now())]


def test_r7_the_oldest_of_too_many_sessions_ends(world: World) -> None:
    cookies = []
    for _ in range(MAX_SESSIONS_PER_USER + 2):
        world.clock.advance(1)
        cookies.append(world.start(ALICE, "Firefox").cookie.reveal())
    assert [world.is_live(cookie) for cookie in cookies] == [False] * 2 + [True] * MAX_SESSIONS_PER_USER


def test_r7_people_end_their_own_sessions_and_no_others(world: World) -> None:
    mine, other, bobs = (world.start(user, "Firefox") for user in (ALICE, ALICE, BOB))
    world.service.end_other(mine.session, other.session.handle, ORIGIN)
    assert not world.is_live(other.cookie.reveal())
    for handle in (bobs.session.handle, mine.session.handle, other.session.handle, "nonsense"):
        with pytest.raises(NotFound):
            world.service.end_other(mine.session, handle, ORIGIN)
    assert world.is_live(bobs.cookie.reveal())
    assert world.audit_log.events[-1].tag is AuditTag.SESSION_ENDED


def test_r7_all_other_sessions_end_together(world: World) -> None:
    mine, *others = (world.start(ALICE, "Firefox") for _ in range(3))
    world.service.end_others(mine.session, ORIGIN)
    assert [world.is_live(started.cookie.reveal()) for started in (mine, *others)] == [True, False, False]
    assert world.audit_log.events[-1].facts == {"count": "2"}


def test_r5_signing_out_ends_the_session_in_the_store(world: World) -> None:
    started = world.start(ALICE, "Firefox")
    world.service.end(started.session, ORIGIN)
    assert not world.is_live(started.cookie.reveal())
    assert world.audit_log.events[-1].tag is AuditTag.LOGOUT


def test_r35_a_log_in_is_recent_for_five_minutes(world: World) -> None:
    session = world.start(ALICE, "Firefox").session
    world.clock.advance(5 * MINUTE - 1)
    assert world.service.logged_in_recently(session)
    world.clock.advance(1)
    assert not world.service.logged_in_recently(session)


def test_a_notice_shows_only_by_its_own_id_and_only_for_a_while(world: World) -> None:
    started = world.start(ALICE, "Firefox")
    notice = world.service.notify(started.session, NoticeKind.REVOKED, {"outcome": "revoked"})
    session = world.service.find(started.cookie.reveal())
    assert session is not None
    assert world.service.notice(session, notice.id) == notice
    assert world.service.notice(session, "forged") is None
    world.clock.advance(NOTICE_SECONDS + 1)
    assert world.service.notice(session, notice.id) is None


def test_r3_confirming_replaces_the_session_and_no_other(world: World) -> None:
    others = [world.start(ALICE, "Firefox") for _ in range(MAX_SESSIONS_PER_USER - 1)]
    first = world.start(ALICE, "Firefox")
    second = world.start(ALICE, "Firefox", replaces=first.session)
    assert not world.is_live(first.cookie.reveal())
    assert all(world.is_live(started.cookie.reveal()) for started in (*others, second))
    assert len(world.store.sessions) == MAX_SESSIONS_PER_USER


def test_r6_whoever_logs_in_is_asked_about_until_the_session_is_over(world: World) -> None:
    for user, hours in ((ALICE, 12), (ADMIN, 8)):
        world.start(user, "Firefox")
        assert world.users.records[user.id].sessions_until == world.clock.now() + hours * HOUR


def appointed(user: User) -> Appointments:
    return Appointments((Appointment(user.id, False, user.login_name, 1, ADMINISTRATOR),))


def test_r33_who_administrates_is_looked_up_each_time(world: World) -> None:
    alice, admin = world.start(ALICE, "x").session, world.start(ADMIN, "x").session
    world.administrators.stored = appointed(ALICE)
    assert world.service.is_administrator(admin) is True
    assert world.service.is_administrator(alice) is False
    again = world.start(ALICE, "x").session
    assert again.was_appointed
    assert world.service.is_administrator(again) is True
    world.administrators.stored = Appointments()
    assert world.service.is_administrator(again) is False
    world.administrators.stored = appointed(BOB)
    assert world.service.is_administrator(again) is False


def test_r4_an_appointed_one_has_an_administrators_life(world: World) -> None:
    world.administrators.stored = appointed(ALICE)
    cookie = world.start(ALICE, "x").cookie.reveal()
    world.clock.advance(15 * MINUTE)
    assert not world.is_live(cookie)


def test_r5_one_session_ended_is_counted_as_one(world: World) -> None:
    world.service.end(world.start(ALICE, "Firefox").session, ORIGIN)
    event = world.audit_log.events[-1]
    assert (event.actor, event.user_id, event.facts) == (ALICE.id, ALICE.id, {"count": "1"})


def test_r48_a_notice_closes_the_trip_that_is_finished_and_no_other(world: World) -> None:
    started = world.start(ALICE, "Firefox")
    world.store.open_requests(started.session.id_hash, ("one", "two"))
    session = world.service.find(started.cookie.reveal())
    assert session is not None
    notice = world.service.notify(session, NoticeKind.AUTHORIZED, {}, finished="one")
    assert world.store.sessions[session.id_hash].open_requests == ("two",)
    assert world.store.sessions[session.id_hash].notice == notice
    assert len(notice.id) >= 12


def test_the_limits_are_those_that_are_promised() -> None:
    """R7, R48: else a test that uses the constants would agree with any."""
    assert (MAX_SESSIONS_PER_USER, MAX_OPEN_REQUESTS, NOTICE_SECONDS) == (5, 20, 10 * MINUTE)


def test_a_notice_lasts_to_its_last_second(world: World) -> None:
    started = world.start(ALICE, "Firefox")
    notice = world.service.notify(started.session, NoticeKind.REVOKED, {})
    session = world.store.sessions[started.session.id_hash]
    world.clock.advance(NOTICE_SECONDS)
    assert world.service.notice(session, notice.id) == notice


def test_a_handle_is_the_beginning_of_the_hash_and_no_cookie(world: World) -> None:
    started = world.start(ALICE, "Firefox")
    assert started.session.handle == fingerprint(started.cookie.reveal())[:16]
    assert not world.is_live(started.session.handle)


class TestOpenRequests:
    """Where a session ends, what it set out to authorize ends with it."""

    @pytest.fixture
    def started(self, world: World) -> StartedSession:
        started = world.start(ALICE, "Firefox")
        world.requests.add(REQUEST)
        world.store.open_requests(started.session.id_hash, (REQUEST.state_hash,))
        return started

    def _session(self, world: World, started: StartedSession) -> Session:
        session = world.store.get(started.session.id_hash)
        assert session
        return session

    def _is_open(self, world: World) -> bool:
        try:
            world.requests.consume(
                REQUEST.state_hash,
                user_id=REQUEST.user_id,
                flow_hash=REQUEST.flow_hash,
                provider_id=REQUEST.provider_id,
                now=REQUEST.created_at,
            )
        except ConsentFailed:
            return False
        return True

    def test_signing_out_ends_them(self, world: World, started: StartedSession) -> None:
        world.service.end(self._session(world, started), ORIGIN)
        assert not self._is_open(world)

    def test_so_does_whoever_ends_the_session_from_another_browser(self, world: World, started: StartedSession) -> None:
        other = world.start(ALICE, "Chrome")
        world.service.end_others(other.session, ORIGIN)
        assert not self._is_open(world)

    def test_so_does_one_session_too_many(self, world: World, started: StartedSession) -> None:
        for _ in range(MAX_SESSIONS_PER_USER):
            world.clock.advance(1)
            world.start(ALICE, "Chrome")
        assert not self._is_open(world)

    def test_confirming_who_one_is_does_not(self, world: World, started: StartedSession) -> None:
        again = world.start(ALICE, "Firefox", replaces=self._session(world, started))
        assert again.session.open_requests == (REQUEST.state_hash,)
        assert self._is_open(world)
