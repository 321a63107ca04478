"""People who leave: what the directory says of them takes effect, and nothing else does."""

from dataclasses import replace

import pytest

from chalicelib.domain.audit import AuditTag
from chalicelib.domain.errors import CloudUnavailable, Conflict, DirectoryUnavailable, NotFound, StorageUnavailable
from chalicelib.domain.user import Absence, Departure, Standing, SweepProgress, User
from chalicelib.ports import UserPage
from chalicelib.services import leavers
from chalicelib.services.leavers import (
    BUDGET,
    MISSING_SECONDS,
    PAGE_SIZE,
    ROUND_SECONDS,
    UNCERTAIN_SECONDS,
    LeaverService,
)
from tests.fakes.killing import every_point
from tests.fakes.services import ORIGIN, FakeVault
from tests.samples import ACCOUNT, ADMIN, ALICE, BOB, NOW, SESSION

DAYS = 30
DAY = 86400


class World(FakeVault):
    """Alice and Bob have logged in, Alice has authorized Northwind."""

    def __init__(self) -> None:
        super().__init__()
        self.leavers = LeaverService(
            users=self.users,
            directory=self.directory,
            sessions=self.sessions,
            grant_store=self.grant_store,
            grants=self.grants,
            audit_log=self.audit_log,
            clock=self.clock,
            days=DAYS,
            engine=self.engine,
        )
        for user in (ALICE, BOB):
            self.users.enrol(user, sessions_until=self.clock.now() + 12 * 3600, at=NOW)
        self.sessions.add(replace(SESSION, id_hash="b" * 64, user=BOB), 0)
        self.authorize(ACCOUNT)
        self.audit_log.events.clear()

    def sweep(self, *, after: int = ROUND_SECONDS) -> int:
        self.clock.advance(after)
        return self.leavers.sweep()

    def lose(self, user: User) -> None:
        """Both looks bring nothing."""
        self.directory.gone[user.id] = Departure.DELETED
        for _ in range(2):
            self.sweep()

    def tags(self) -> list[AuditTag]:
        return [event.tag for event in self.audit_log.events]

    def sessions_of(self, user: User) -> int:
        return len(self.sessions.of_user(user.id))


@pytest.fixture
def world() -> World:
    return World()


def test_who_is_still_there_notices_nothing(world: World) -> None:
    assert world.sweep() == 2
    assert (world.sessions_of(ALICE), world.sessions_of(BOB), world.tags()) == (1, 1, [])


@pytest.mark.parametrize("departure", [Departure.DISABLED, Departure.EXPIRED, Departure.DELETED])
def test_r6_who_left_loses_the_sessions_at_once_and_nobody_else_does(world: World, departure: Departure) -> None:
    world.directory.gone[ALICE.id] = departure
    world.sweep()
    if departure is Departure.DELETED:  # once is not enough
        assert (world.sessions_of(ALICE), world.tags()) == (1, [])
        world.sweep()
    assert (world.sessions_of(ALICE), world.sessions_of(BOB)) == (0, 1)
    record = world.leavers.find(ALICE.id)
    assert (record.departure, record.departed_at) == (departure, world.clock.now())
    assert [(event.tag, event.user_id, event.facts) for event in world.audit_log.events] == [
        (AuditTag.SESSION_ENDED, ALICE.id, {"cause": departure.value, "count": "1"}),
        (AuditTag.USER_DEPARTED, ALICE.id, {"cause": departure.value, "sessions": "1"}),
    ]


def test_r6_everything_takes_effect_within_five_minutes() -> None:
    """A run each minute begins a round at the latest when the last began this long ago."""
    assert ROUND_SECONDS + 60 + BUDGET.run_seconds < 300
    assert MISSING_SECONDS <= ROUND_SECONDS, "who was deleted is seen by two rounds, and not by three"


def test_the_grants_stay_until_their_day(world: World) -> None:
    world.directory.gone[ALICE.id] = Departure.DISABLED
    world.sweep()
    left_at = world.clock.now()
    assert world.leavers.removal_at(world.leavers.find(ALICE.id)) == left_at + DAYS * DAY
    world.sweep(after=DAYS * DAY - 1)
    assert world.grant() is not None
    assert world.cloud.revoked == []


def test_r6_then_they_are_revoked_at_the_cloud_and_removed(world: World) -> None:
    world.lose(ALICE)
    world.sweep(after=DAYS * DAY)
    assert world.grant() is None
    assert len(world.cloud.revoked) == 1
    assert world.users.get(ALICE.id) is None
    assert world.tags()[-3:] == [AuditTag.GRANT_REVOKED, AuditTag.REVOCATION_RETRIED, AuditTag.USER_REMOVED]
    assert [event.actor for event in world.audit_log.events[-3:]] == ["-", "-", "-"]


def test_who_comes_back_in_time_has_lost_nothing_but_the_sessions(world: World) -> None:
    world.directory.gone[ALICE.id] = Departure.DISABLED
    world.sweep()
    del world.directory.gone[ALICE.id]
    world.sweep()
    world.sweep(after=DAYS * DAY)
    assert world.grant() is not None
    assert world.tags() == [AuditTag.SESSION_ENDED, AuditTag.USER_DEPARTED, AuditTag.USER_RETURNED]
    with pytest.raises(NotFound):
        world.leavers.find(ALICE.id)


def test_an_administrator_can_keep_the_grants_and_let_them_go_after_all(world: World) -> None:
    world.directory.gone[ALICE.id] = Departure.DISABLED
    world.sweep()
    kept = world.leavers.decide(ADMIN, ALICE.id, keep=True, origin=ORIGIN)
    assert world.leavers.removal_at(kept) is None
    world.sweep(after=2 * DAYS * DAY)
    assert world.grant() is not None
    world.leavers.decide(ADMIN, ALICE.id, keep=False, origin=ORIGIN)
    world.sweep()
    assert world.grant() is None
    decisions = [event for event in world.audit_log.events if event.tag is AuditTag.USER_TOKENS_KEPT]
    assert [(event.actor, event.facts) for event in decisions] == [
        (ADMIN.id, {"keep": "true"}),
        (ADMIN.id, {"keep": "false"}),
    ]


def test_an_administrator_need_not_wait(world: World) -> None:
    world.directory.gone[ALICE.id] = Departure.DISABLED
    world.sweep()
    assert world.leavers.grants_of(world.leavers.find(ALICE.id)) == 1
    world.leavers.remove_now(ADMIN, ALICE.id, ORIGIN)
    assert (world.grant(), len(world.cloud.revoked)) == (None, 1)
    assert world.audit_log.events[-1].actor == ADMIN.id


def test_nobody_who_is_still_there_can_be_removed_by_this_way(world: World) -> None:
    for act in (
        lambda: world.leavers.remove_now(ADMIN, ALICE.id, ORIGIN),
        lambda: world.leavers.decide(ADMIN, ALICE.id, keep=True, origin=ORIGIN),
        lambda: world.leavers.find("S-1-5-21-9-9-9-9"),
    ):
        with pytest.raises(NotFound):
            act()
    assert world.grant() is not None


def test_a_cloud_that_is_down_keeps_no_grant_alive_here(world: World) -> None:
    world.lose(ALICE)
    world.cloud.fail_next(CloudUnavailable())
    world.sweep(after=DAYS * DAY)
    assert world.grant() is None
    assert len(world.revocation_store.revocations) == 1


def test_r6_a_changed_password_ends_the_sessions(world: World) -> None:
    world.directory.changed[ALICE.id] = replace(ALICE, password_stamp="p2")
    world.sweep()
    assert (world.sessions_of(ALICE), world.sessions_of(BOB)) == (0, 1)
    assert world.audit_log.events[-1].facts == {"cause": "password_changed", "count": "1"}


def test_a_session_of_after_the_change_stays(world: World) -> None:
    changed = replace(ALICE, password_stamp="p2")
    world.directory.changed[ALICE.id] = changed
    world.sessions.add(replace(SESSION, id_hash="c" * 64, user=changed), 0)
    world.sweep()
    assert [session.id_hash for session in world.sessions.of_user(ALICE.id)] == ["c" * 64]


def test_r6_a_removed_group_counts_in_the_sessions_there_are(world: World) -> None:
    world.directory.changed[ALICE.id] = replace(ALICE, groups=frozenset({"S-1-5-21-1-2-3-9"}))
    world.sweep()
    (session,) = world.sessions.of_user(ALICE.id)
    assert session.user.groups == {"S-1-5-21-1-2-3-9"}
    assert world.users.records[ALICE.id].user.groups == {"S-1-5-21-1-2-3-9"}


class TestRenames:
    JONES = replace(ALICE, login_name="CONTOSO\\jones", email="jones@contoso.example", display_name="Al Jones")

    def released(self, world: World, name: str) -> str | None:
        held = world.releases.load("scanner", "northwind", name)
        return held.subject.user_id if held.subject else None

    def test_r91_the_sweep_follows_one(self, world: World) -> None:
        world.directory.changed[ALICE.id] = self.JONES
        world.sweep()
        (session,) = world.sessions.of_user(ALICE.id)
        assert (session.user, world.users.records[ALICE.id].user) == (self.JONES, self.JONES)
        assert [self.released(world, name) for name in ("contoso\\alice", "contoso\\jones")] == [None, ALICE.id]
        assert world.grant().user_name == "CONTOSO\\jones"
        version = world.users.records[ALICE.id].version
        world.sweep()
        assert world.users.records[ALICE.id].version == version, "and then there is nothing to write"

    def test_a_grant_that_is_refreshed_at_that_moment_is_left_alone_and_the_name_moves_all_the_same(
        self, world: World, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        def busy(*_: object, **__: object) -> None:
            raise Conflict

        monkeypatch.setattr(world.grant_store, "save", busy)
        world.directory.changed[ALICE.id] = self.JONES
        world.sweep()
        assert self.released(world, "contoso\\jones") == ALICE.id
        assert world.grant().user_name == ALICE.login_name

    def test_r91_a_name_that_was_taken_from_somebody_comes_back_with_the_directorys_word(self, world: World) -> None:
        world.users.disown(world.users.records[ALICE.id], "contoso\\alice")
        assert self.released(world, "contoso\\alice") is None
        world.sweep()
        assert self.released(world, "contoso\\alice") == ALICE.id

    def test_r91_a_closed_account_that_is_renamed_leaves_its_name_free(self, world: World) -> None:
        world.directory.gone[ALICE.id] = Departure.DISABLED
        world.sweep()
        assert self.released(world, "contoso\\alice") == ALICE.id
        world.directory.changed[ALICE.id] = replace(self.JONES, login_name="CONTOSO\\zz-alice")
        world.sweep()
        assert [self.released(world, name) for name in ("contoso\\alice", "contoso\\zz-alice")] == [None, ALICE.id]
        assert world.leavers.find(ALICE.id).departure is Departure.DISABLED
        world.sweep(after=DAYS * DAY)
        assert world.aliases.claims("contoso\\zz-alice") == ()

    def test_names_that_the_directory_does_not_tell_stay(self, world: World, monkeypatch: pytest.MonkeyPatch) -> None:
        standings = {ALICE.id: Standing(ALICE.id, password_stamp="p2")}
        monkeypatch.setattr(world.directory, "standings", lambda _: standings)
        world.sweep()
        assert world.users.records[ALICE.id].user == replace(ALICE, password_stamp="p2")


def test_r6_a_directory_that_is_down_is_no_departure(world: World) -> None:
    world.directory.gone[ALICE.id] = Departure.DISABLED
    world.directory.available = False
    assert world.sweep() == 0
    assert (world.sessions_of(ALICE), world.tags()) == (1, [])
    world.directory.available = True
    world.sweep()
    assert world.sessions_of(ALICE) == 0


def test_somebody_of_a_directory_that_cannot_be_asked_stays(world: World, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(world.directory, "standings", lambda _: {})
    world.sweep()
    assert (world.sessions_of(ALICE), world.tags()) == (1, [])


class TestAbsence:
    """Absence is believed when it is complete, seen twice, and not everybody's at once (R98)."""

    def enrol(self, world: World, number: int, domain: str = "CONTOSO") -> list[str]:
        users = [
            replace(BOB, id=f"S-1-5-21-{len(domain)}-2-3-{2000 + n}", login_name=f"{domain}\\p{n}")
            for n in range(number)
        ]
        for user in users:
            world.users.enrol(user, sessions_until=0, at=NOW)
        return [user.id for user in users]

    def departed(self, world: World) -> set[str]:
        return {user_id for user_id, record in world.users.records.items() if record.departure}

    @pytest.mark.parametrize(("people", "missing", "is_believed"), [
        (4, 4, False), (4, 3, False), (4, 2, True), (4, 1, True), (1, 1, False),
        (1_000, 501, False), (1_000, 500, True),
    ])  # fmt: skip
    def test_r98_most_people_of_a_domain_gone_at_once_is_not_believed_however_many_they_are(
        self, world: World, people: int, missing: int, is_believed: bool, caplog: pytest.LogCaptureFixture
    ) -> None:
        ids = self.enrol(world, people, "FABRIKAM")
        self.enrol(world, 30, "ELSEWHERE")  # another domain that is well is no reason to believe it
        world.directory.gone = dict.fromkeys(ids[:missing], Departure.DELETED)
        for _ in range(4):
            world.sweep(after=1000)
        assert self.departed(world) == (set(ids[:missing]) if is_believed else set())
        assert ("leavers.implausible" in caplog.messages) is not is_believed

    def test_r98_once_an_administrator_believes_it_most_people_of_a_domain_count_as_gone(self, world: World) -> None:
        ids = self.enrol(world, 4, "FABRIKAM")
        world.directory.gone = dict.fromkeys(ids[:3], Departure.DELETED)
        for _ in range(2):
            world.sweep(after=1000)
        assert world.leavers.doubted() == ["FABRIKAM"]
        with pytest.raises(NotFound):
            world.leavers.believe(ADMIN, "CONTOSO", ORIGIN)
        world.leavers.believe(ADMIN, "FABRIKAM", ORIGIN)
        believed = [event for event in world.audit_log.events if event.tag is AuditTag.ABSENCE_BELIEVED]
        assert [(event.actor, event.facts["domain"]) for event in believed] == [(ADMIN.id, "FABRIKAM")]
        assert world.leavers.doubted() == []
        for _ in range(4):
            world.sweep(after=1000)
        assert self.departed(world) == set(ids[:3])

    def test_r98_it_is_believed_for_six_hours(self, world: World) -> None:
        ids = self.enrol(world, 4, "FABRIKAM")
        world.directory.gone = dict.fromkeys(ids[:3], Departure.DELETED)
        world.sweep()
        world.leavers.believe(ADMIN, "FABRIKAM", ORIGIN)
        for _ in range(4):
            world.sweep(after=6 * 3600)
        assert self.departed(world) == set()

    def test_r98_when_the_domain_is_seen_again_who_is_gone_counts(self, world: World) -> None:
        ids = self.enrol(world, 12)
        world.directory.gone = dict.fromkeys(ids, Departure.DELETED)
        for _ in range(3):
            world.sweep()
        for user_id in ids[:9]:
            del world.directory.gone[user_id]
        for _ in range(3):
            world.sweep()
        assert self.departed(world) == set(ids[9:])

    def test_r98_one_look_that_misses_somebody_is_no_departure(self, world: World) -> None:
        for _ in range(80):  # a server that lags, asked every other time
            world.directory.gone[ALICE.id] = Departure.DELETED
            world.sweep()
            del world.directory.gone[ALICE.id]
            world.sweep()
        assert (world.sessions_of(ALICE), world.tags(), world.directory.looked_for) == (1, [], [])

    def test_r98_the_second_look_is_for_this_person_alone_where_they_were_last_seen(self, world: World) -> None:
        world.directory.places[ALICE.id] = "CN=Alice,DC=contoso"
        world.sweep()
        world.lose(ALICE)
        assert world.directory.looked_for == [(ALICE.id, "CN=Alice,DC=contoso")]
        assert world.leavers.find(ALICE.id).departure is Departure.DELETED

    def test_r98_who_is_found_after_all_stays(self, world: World) -> None:
        world.directory.absences[ALICE.id] = Absence()
        world.lose(ALICE)
        for _ in range(50):
            world.sweep()
        assert (world.sessions_of(ALICE), world.tags()) == (1, [])

    def test_r98_what_is_not_certain_takes_an_hour(self, world: World) -> None:
        world.directory.absences[ALICE.id] = Absence(Departure.DELETED, is_certain=False)
        world.lose(ALICE)
        world.sweep(after=UNCERTAIN_SECONDS - 2 * ROUND_SECONDS)
        assert world.tags() == []
        world.sweep()
        assert world.tags() == [AuditTag.SESSION_ENDED, AuditTag.USER_DEPARTED]

    def test_r98_a_directory_that_fails_at_the_second_look_says_nothing(
        self, world: World, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        def fails(*_: object) -> Absence:
            raise DirectoryUnavailable

        with monkeypatch.context() as down:
            down.setattr(world.directory, "absence", fails)
            world.lose(ALICE)
        assert (world.sessions_of(ALICE), world.tags()) == (1, [])
        world.sweep()
        assert world.tags() == [AuditTag.SESSION_ENDED, AuditTag.USER_DEPARTED]

    def test_r98_while_servers_disagree_who_left_is_not_back(self, world: World) -> None:
        """An account that one controller has disabled and the other not yet makes one event, not one each round."""
        world.directory.disagreed.add(ALICE.id)
        for _ in range(80):
            world.directory.gone[ALICE.id] = Departure.DISABLED
            world.sweep()
            del world.directory.gone[ALICE.id]
            world.sweep()
        assert world.tags() == [AuditTag.SESSION_ENDED, AuditTag.USER_DEPARTED]
        world.directory.disagreed.clear()
        world.sweep()
        assert world.tags() == [AuditTag.SESSION_ENDED, AuditTag.USER_DEPARTED, AuditTag.USER_RETURNED]

    def test_r98_a_password_stamp_of_a_server_that_lags_ends_no_session(self, world: World) -> None:
        old, new = (
            replace(ALICE, password_stamp="133000000000000001"),
            replace(ALICE, password_stamp="133000000000000002"),
        )
        for user in (old, new, old, new, old, replace(ALICE, password_stamp="")):
            world.directory.changed[ALICE.id] = user
            world.sweep()
            if user is new and not world.sessions_of(ALICE):  # logs in with the new password
                world.sessions.add(replace(SESSION, id_hash="c" * 64, user=new), 0)
        assert [session.id_hash for session in world.sessions.of_user(ALICE.id)] == ["c" * 64]
        assert world.tags() == [AuditTag.SESSION_ENDED]

    def test_r6_an_ordered_change_of_the_password_ends_sessions_too(self, world: World) -> None:
        world.directory.changed[ALICE.id] = replace(ALICE, password_stamp="0")
        world.sweep()
        assert world.sessions_of(ALICE) == 0


class TestNotAllowed:
    """Who may not use the vault any more is out within minutes, loses nothing, and is back when allowed again (R97)."""

    @pytest.fixture
    def world(self, world: World) -> World:
        world.directory.allowed = frozenset({"S-1-5-21-1-2-3-77"})
        for user in (ALICE, BOB):
            world.directory.changed[user.id] = replace(user, groups=user.groups | world.directory.allowed)
        world.sweep()
        return world

    def leave(self, world: World) -> None:
        world.directory.changed[ALICE.id] = ALICE
        world.sweep()

    def test_r97_who_left_the_allowed_groups_is_signed_out_and_gets_no_release(self, world: World) -> None:
        self.leave(world)
        assert (world.sessions_of(ALICE), world.sessions_of(BOB)) == (0, 1)
        assert world.leavers.find(ALICE.id).departure is Departure.NOT_ALLOWED
        assert world.audit_log.events[-1].facts == {"cause": "not_allowed", "sessions": "1"}

    def test_r97_nothing_is_removed_however_long_it_takes(self, world: World) -> None:
        self.leave(world)
        assert world.leavers.removal_at(world.leavers.find(ALICE.id)) is None
        world.sweep(after=3 * DAYS * DAY)
        assert world.grant() is not None

    def test_r97_who_is_put_back_is_back_with_the_groups_of_now(self, world: World) -> None:
        self.leave(world)
        world.directory.changed[ALICE.id] = replace(ALICE, groups=world.directory.allowed)
        world.sweep()
        record = world.users.records[ALICE.id]
        assert (record.departure, record.user.groups) == (None, world.directory.allowed)
        assert world.tags() == [AuditTag.SESSION_ENDED, AuditTag.USER_DEPARTED, AuditTag.USER_RETURNED]

    def test_r91_r97_who_is_renamed_on_the_way_out_has_the_new_name_and_the_old_one_is_free(self, world: World) -> None:
        world.directory.changed[ALICE.id] = replace(ALICE, login_name="CONTOSO\\jones")
        world.sweep()
        record = world.leavers.find(ALICE.id)
        assert (record.user.login_name, record.departure) == ("CONTOSO\\jones", Departure.NOT_ALLOWED)
        assert not world.users.aliases.claims("contoso\\alice")
        assert [claim.user_id for claim in world.users.aliases.claims("contoso\\jones")] == [ALICE.id]
        grant = world.grant()
        assert grant is not None
        assert grant.user_name == "CONTOSO\\jones"

    def test_r97_an_account_that_closes_meanwhile_leaves_for_good(self, world: World) -> None:
        self.leave(world)
        world.directory.gone[ALICE.id] = Departure.DISABLED
        world.sweep()
        record = world.leavers.find(ALICE.id)
        assert (record.departure, record.departed_at) == (Departure.DISABLED, world.clock.now())
        world.sweep(after=DAYS * DAY)
        assert world.grant() is None

    def test_r97_an_account_that_is_deleted_meanwhile_leaves_for_good_an_hour_later(self, world: World) -> None:
        self.leave(world)
        world.lose(ALICE)
        assert world.leavers.find(ALICE.id).departure is Departure.NOT_ALLOWED
        world.sweep(after=UNCERTAIN_SECONDS)
        assert world.leavers.find(ALICE.id).departure is Departure.DELETED

    def test_r97_an_account_that_opens_again_outside_the_groups_is_kept_out_and_nothing_is_removed(
        self, world: World
    ) -> None:
        world.directory.gone[ALICE.id] = Departure.DISABLED
        world.sweep()
        del world.directory.gone[ALICE.id]
        self.leave(world)
        world.sweep(after=3 * DAYS * DAY)
        assert world.leavers.find(ALICE.id).departure is Departure.NOT_ALLOWED
        assert world.grant() is not None

    def test_r97_who_is_moved_out_of_the_base_is_kept_out_and_not_deleted(self, world: World) -> None:
        world.directory.absences[ALICE.id] = Absence(Departure.NOT_ALLOWED, is_certain=True)
        world.lose(ALICE)
        assert (world.sessions_of(ALICE), world.leavers.find(ALICE.id).departure) == (0, Departure.NOT_ALLOWED)
        world.sweep(after=2 * DAYS * DAY)
        assert world.leavers.find(ALICE.id).departure is Departure.NOT_ALLOWED
        assert world.tags() == [AuditTag.SESSION_ENDED, AuditTag.USER_DEPARTED]


class TestRounds:
    def enrol(self, world: World, number: int) -> None:
        for n in range(number):
            world.users.enrol(replace(BOB, id=f"S-1-5-21-1-2-3-{5000 + n}"), sessions_until=0, at=NOW)

    def test_a_round_begins_when_the_last_began_long_enough_ago(self, world: World) -> None:
        assert world.sweep() == 2
        assert world.sweep(after=ROUND_SECONDS - 1) == 0
        assert world.sweep(after=1) == 2

    def test_a_run_stops_in_time_and_the_next_goes_on(self, world: World, monkeypatch: pytest.MonkeyPatch) -> None:
        self.enrol(world, 3 * PAGE_SIZE)
        standings = world.directory.standings

        def slow(users: list[User]) -> object:
            world.clock.sleep(BUDGET.run_seconds)
            return standings(users)

        monkeypatch.setattr(world.directory, "standings", slow)
        assert [world.sweep(after=1000), world.sweep(after=60), world.sweep(after=60)] == [PAGE_SIZE] * 3
        assert world.sweep(after=60) == 2
        assert world.users.progress().checked == 3 * PAGE_SIZE + 2

    def test_f29_a_run_that_died_is_gone_on_with(self, world: World, monkeypatch: pytest.MonkeyPatch) -> None:
        self.enrol(world, 2 * PAGE_SIZE)
        asked: list[int] = []
        standings = world.directory.standings

        def dies_the_second_time(users: list[User]) -> object:
            asked.append(len(users))
            if len(asked) == 2:
                raise StorageUnavailable
            return standings(users)

        monkeypatch.setattr(world.directory, "standings", dies_the_second_time)
        world.sweep()
        world.sweep(after=1)
        assert asked == [PAGE_SIZE, PAGE_SIZE, PAGE_SIZE, 2]

    def test_r100_f37_killed_at_any_call_the_next_run_asks_whoever_was_not_asked(
        self, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        monkeypatch.setattr(leavers, "PAGE_SIZE", 2)

        def made() -> World:
            world = World()
            self.enrol(world, 3)
            world.directory.gone = {ALICE.id: Departure.DISABLED, "S-1-5-21-1-2-3-5002": Departure.DISABLED}
            world.clock.advance(ROUND_SECONDS)
            return world

        def ports(world: World) -> tuple[object, ...]:
            return world.users, world.directory, world.sessions, world.cursors

        points = 0
        for points, world in enumerate(every_point(made, lambda world: world.leavers.sweep(), ports), 1):  # noqa: B007
            world.sweep(after=1)
            assert world.users.progress().cursor is None
            assert {r.user.id for r in world.users.records.values() if r.departure} == set(world.directory.gone)
            assert world.sessions_of(ALICE) == 0
        assert points > 30

    def test_r99_pages_are_noted_in_their_order_whichever_is_done_first(self, world: World) -> None:
        going = leavers._Round(world.users, world.clock, SweepProgress(started_at=NOW))
        first, second = UserPage([], "1"), UserPage([], None)
        going.finish(1, second, {})
        assert world.users.progress() == SweepProgress()
        going.finish(0, first, {})
        assert world.users.progress() == SweepProgress(NOW, world.clock.now(), None, 0)

    def test_r99_a_page_that_breaks_the_program_stops_nobody_behind_it(
        self, world: World, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        self.enrol(world, PAGE_SIZE)
        world.directory.gone[f"S-1-5-21-1-2-3-{5000 + PAGE_SIZE - 1}"] = Departure.DISABLED
        standings = world.directory.standings

        def breaks(users: list[User]) -> object:
            if ALICE in users:
                raise ZeroDivisionError
            return standings(users)

        monkeypatch.setattr(world.directory, "standings", breaks)
        world.sweep()
        assert world.tags() == [AuditTag.USER_DEPARTED]
        assert world.users.progress().cursor is None

    def test_r99_a_page_of_the_departed_that_breaks_the_program_keeps_nobody_from_what_is_due(
        self, world: World, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        world.directory.gone[ALICE.id] = Departure.DISABLED
        world.sweep()
        monkeypatch.setattr(world.directory, "standings", lambda _: 1 // 0)
        world.clock.advance(31 * 86400)
        world.sweep()
        assert AuditTag.USER_REMOVED in world.tags()

    def test_f40_a_cursor_of_another_version_begins_the_round_anew(self, world: World) -> None:
        world.users.note_progress(SweepProgress(NOW, cursor="of the next version"))
        world.directory.gone[ALICE.id] = Departure.DISABLED
        world.sweep()
        assert AuditTag.USER_DEPARTED in world.tags()

    def test_r99_a_person_that_breaks_the_program_keeps_nobody_else_waiting(
        self, world: World, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        world.directory.gone = {ALICE.id: Departure.DISABLED, BOB.id: Departure.DISABLED}
        of_user = world.sessions.of_user

        def breaks_for_alice(user_id: str) -> object:
            return 1 // 0 if user_id == ALICE.id else of_user(user_id)

        monkeypatch.setattr(world.sessions, "of_user", breaks_for_alice)
        world.sweep()
        assert world.leavers.find(BOB.id).departure is Departure.DISABLED

    def test_one_persons_trouble_keeps_nobody_else_waiting(self, world: World, monkeypatch: pytest.MonkeyPatch) -> None:
        world.directory.gone = {ALICE.id: Departure.DISABLED, BOB.id: Departure.DISABLED}
        of_user = world.sessions.of_user

        def fails_for_alice(user_id: str) -> object:
            if user_id == ALICE.id:
                raise StorageUnavailable
            return of_user(user_id)

        monkeypatch.setattr(world.sessions, "of_user", fails_for_alice)
        world.sweep()
        assert world.leavers.find(BOB.id).departure is Departure.DISABLED
        monkeypatch.undo()
        world.sweep()
        assert (world.leavers.find(ALICE.id).departure, world.sessions_of(ALICE)) == (Departure.DISABLED, 0)


def test_who_left_is_looked_at_however_many_there_are(world: World) -> None:
    for number in range(PAGE_SIZE + 1):
        user = replace(BOB, id=f"S-1-5-21-1-2-3-{7000 + number}")
        world.users.enrol(user, sessions_until=0, at=NOW)
        world.directory.gone[user.id] = Departure.DISABLED
    world.sweep()
    world.sweep(after=DAYS * DAY)
    assert world.tags().count(AuditTag.USER_REMOVED) == PAGE_SIZE + 1


def test_while_the_directory_does_not_say_who_is_back_their_day_comes_all_the_same(
    world: World, monkeypatch: pytest.MonkeyPatch
) -> None:
    world.directory.gone[ALICE.id] = Departure.DISABLED
    world.sweep()
    standings = world.directory.standings

    def fails_for_who_left(users: list[User]) -> object:
        if ALICE in users:
            raise DirectoryUnavailable
        return standings(users)

    monkeypatch.setattr(world.directory, "standings", fails_for_who_left)
    world.sweep(after=DAYS * DAY)
    assert (world.grant(), world.tags()[-1]) == (None, AuditTag.USER_REMOVED)


def test_what_was_removed_before_is_not_revoked_again(world: World) -> None:
    grant = world.grant()
    assert grant is not None
    world.grant_store.save(grant.removed(world.clock.now()), replaces=grant.version)
    world.directory.gone[ALICE.id] = Departure.DISABLED
    world.sweep()
    world.sweep(after=DAYS * DAY)
    assert (world.cloud.revoked, world.audit_log.events[-1].facts) == ([], {"grants": "0"})


def test_who_logs_in_at_the_moment_of_the_note_is_looked_at_again(
    world: World, monkeypatch: pytest.MonkeyPatch
) -> None:
    world.directory.gone[ALICE.id] = Departure.DISABLED

    def overtaken(_: object) -> None:
        raise Conflict

    with monkeypatch.context() as busy:
        busy.setattr(world.users, "save", overtaken)
        world.sweep()
    assert world.tags() == [AuditTag.SESSION_ENDED]
    world.sweep()
    assert world.tags() == [AuditTag.SESSION_ENDED, AuditTag.USER_DEPARTED]
