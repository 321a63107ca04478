"""Rules about signed-in browsers."""

from dataclasses import replace

import pytest

from chalicelib.domain.audit import AuditTag, Origin
from chalicelib.domain.errors import NotFound
from chalicelib.domain.secret import fingerprint
from chalicelib.domain.session import MAX_SESSIONS_PER_USER, NOTICE_SECONDS, NoticeKind
from chalicelib.services.sessions import SessionService
from tests.fakes.stores import FakeAdministratorStore, FakeAuditLog, FakeSessionStore, FakeUserStore
from tests.fakes.system import FakeClock, FakeRandom
from tests.samples import ADMIN, ADMINISTRATORS, ALICE, BOB

ORIGIN = Origin("request-1", "127.0.0.1")
MINUTE, HOUR = 60, 3600


class World:
    def __init__(self) -> None:
        self.store, self.audit_log, self.clock = FakeSessionStore(), FakeAuditLog(), FakeClock()
        self.users = FakeUserStore()
        self.service = SessionService(
            sessions=self.store,
            audit_log=self.audit_log,
            clock=self.clock,
            random=FakeRandom(),
            users=self.users,
            administrators=FakeAdministratorStore(),
            administrator_groups=frozenset({ADMINISTRATORS}),
        )

    def is_live(self, cookie: str) -> bool:
        return self.service.find(cookie) is not None


@pytest.fixture
def world() -> World:
    return World()


def test_r2_the_store_holds_only_a_hash_of_the_cookie(world: World) -> None:
    started = world.service.start(ALICE, "Firefox")
    cookie = started.cookie.reveal()
    assert len(cookie) >= 43
    assert list(world.store.sessions) == [fingerprint(cookie)]
    assert not world.is_live(fingerprint(cookie))


def test_r3_each_log_in_makes_a_new_id(world: World) -> None:
    cookies = {world.service.start(ALICE, "Firefox").cookie.reveal() for _ in range(3)}
    assert len(cookies) == 3


@pytest.mark.parametrize(
    ("user", "idle", "absolute"), [(ALICE, 30 * MINUTE, 12 * HOUR), (ADMIN, 15 * MINUTE, 8 * HOUR)]
)
def test_r4_idle_and_absolute_life(world: World, user: object, idle: int, absolute: int) -> None:
    cookie = world.service.start(user, "Firefox").cookie.reveal()
    world.clock.advance(idle - 1)
    assert world.is_live(cookie)
    for _ in range((absolute - idle) // (idle - 1)):
        world.clock.advance(idle - 1)
        assert world.is_live(cookie)
    world.clock.advance(idle - 1)
    assert not world.is_live(cookie)


def test_r4_an_idle_session_is_over(world: World) -> None:
    cookie = world.service.start(ALICE, "Firefox").cookie.reveal()
    world.clock.advance(30 * MINUTE)
    assert not world.is_live(cookie)


def test_r85_an_expired_session_that_the_store_still_has_is_dead(world: World) -> None:
    cookie = world.service.start(ALICE, "Firefox").cookie.reveal()
    world.clock.advance(3 * 24 * HOUR)
    assert world.store.sessions
    assert not world.is_live(cookie)
    assert world.service.of_user(ALICE) == []


def test_activity_is_written_at_most_once_a_minute(world: World) -> None:
    cookie = world.service.start(ALICE, "Firefox").cookie.reveal()
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
        cookies.append(world.service.start(ALICE, "Firefox").cookie.reveal())
    assert [world.is_live(cookie) for cookie in cookies] == [False] * 2 + [True] * MAX_SESSIONS_PER_USER


def test_r7_people_end_their_own_sessions_and_no_others(world: World) -> None:
    mine, other, bobs = (world.service.start(user, "Firefox") for user in (ALICE, ALICE, BOB))
    world.service.end_other(mine.session, other.session.handle, ORIGIN)
    assert not world.is_live(other.cookie.reveal())
    for handle in (bobs.session.handle, mine.session.handle, other.session.handle, "nonsense"):
        with pytest.raises(NotFound):
            world.service.end_other(mine.session, handle, ORIGIN)
    assert world.is_live(bobs.cookie.reveal())
    assert world.audit_log.events[-1].tag is AuditTag.SESSION_ENDED


def test_r7_all_other_sessions_end_together(world: World) -> None:
    mine, *others = (world.service.start(ALICE, "Firefox") for _ in range(3))
    world.service.end_others(mine.session, ORIGIN)
    assert [world.is_live(started.cookie.reveal()) for started in (mine, *others)] == [True, False, False]
    assert world.audit_log.events[-1].facts == {"count": "2"}


def test_r5_signing_out_ends_the_session_in_the_store(world: World) -> None:
    started = world.service.start(ALICE, "Firefox")
    world.service.end(started.session, ORIGIN)
    assert not world.is_live(started.cookie.reveal())
    assert world.audit_log.events[-1].tag is AuditTag.LOGOUT


def test_r35_a_log_in_is_recent_for_five_minutes(world: World) -> None:
    session = world.service.start(ALICE, "Firefox").session
    world.clock.advance(5 * MINUTE - 1)
    assert world.service.logged_in_recently(session)
    world.clock.advance(1)
    assert not world.service.logged_in_recently(session)


def test_a_notice_shows_only_by_its_own_id_and_only_for_a_while(world: World) -> None:
    started = world.service.start(ALICE, "Firefox")
    notice = world.service.notify(started.session, NoticeKind.REVOKED, {"outcome": "revoked"})
    session = world.service.find(started.cookie.reveal())
    assert session is not None
    assert world.service.notice(session, notice.id) == notice
    assert world.service.notice(session, "forged") is None
    world.clock.advance(NOTICE_SECONDS + 1)
    assert world.service.notice(session, notice.id) is None
