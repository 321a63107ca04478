"""From a password to a session, and what the audit log says of it."""

from dataclasses import replace
from unittest.mock import Mock

import pytest

from chalicelib.domain.audit import AuditTag, Origin, Outcome
from chalicelib.domain.directory_report import ADVICE, StepName
from chalicelib.domain.errors import (
    Conflict,
    DirectoryUnavailable,
    ItemUnreadable,
    LoginRefused,
    StorageUnavailable,
    TooManyTries,
)
from chalicelib.domain.secret import Secret, fingerprint
from chalicelib.domain.session import MAX_SESSIONS_PER_USER
from chalicelib.domain.throttle import EVERYBODY, SOURCE
from chalicelib.domain.user import Departure, User
from chalicelib.services.login import REFUSAL_SECONDS, Client, LoggedIn, LoginService
from chalicelib.services.sessions import SessionService
from chalicelib.services.throttle import MOST_VALUES, Attempt, Throttle
from tests.fakes import directory
from tests.fakes.directory import FakeDirectory
from tests.fakes.stores import (
    FakeAdministratorStore,
    FakeAuditLog,
    FakeAuthorizationRequestStore,
    FakeSessionStore,
    FakeTryStore,
    FakeUserStore,
)
from tests.fakes.system import FakeClock, FakeRandom

ORIGIN = Origin("request-1", "127.0.0.1")
FIREFOX = Client("Firefox", "", ORIGIN)
ALICE = directory.ALICE.user


class World:
    def __init__(self) -> None:
        self.requests = FakeAuthorizationRequestStore()
        self.store, self.audit_log = FakeSessionStore(), FakeAuditLog()
        self.directory = FakeDirectory(directory.ALICE, directory.BOB)
        self.clock, self.random, self.tries, self.users = FakeClock(), FakeRandom(), FakeTryStore(), FakeUserStore()
        self.sessions = SessionService(
            sessions=self.store,
            requests=self.requests,
            audit_log=self.audit_log,
            clock=self.clock,
            random=self.random,
            users=self.users,
            administrators=FakeAdministratorStore(),
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


def try_in_vain(world: World, times: int = 1, *, client: Client = FIREFOX, name: str = "CONTOSO\\alice") -> list[str]:
    """Log in with a wrong password, and tell what came of each try."""
    outcomes = []
    for _ in range(times):
        try:
            world.service.log_in(name, Secret("wrong"), client)
        except (LoginRefused, TooManyTries) as error:
            outcomes.append(error.code)
    return outcomes


def log_in(world: World, client: Client = FIREFOX, *, name: str = "alice") -> LoggedIn:
    return world.service.log_in(f"CONTOSO\\{name}", Secret(f"{name}-pass"), client)


def known_firefox(world: World, *, name: str = "alice") -> Client:
    """A browser with which this person has logged in before."""
    cookie = log_in(world, name=name).known_browser
    assert cookie is not None
    return replace(FIREFOX, known_browser=cookie.reveal())


class TestThrottle:
    def test_r30_the_directory_is_asked_no_more_two_tries_before_it_locks(self, world: World) -> None:
        assert try_in_vain(world, 4) == ["login_refused", "login_refused", "too_many_tries", "too_many_tries"]
        assert world.directory.asked == 2

    def test_r30_not_even_all_browsers_together_come_near_the_lock_out(self, world: World) -> None:
        known = known_firefox(world)
        world.directory.asked = 0
        try_in_vain(world, 5)
        try_in_vain(world, 5, client=known)
        assert world.directory.asked == 3

    @pytest.mark.parametrize("looks_up", [False, True])
    def test_r30_another_spelling_is_the_same_account(self, world: World, looks_up: bool) -> None:
        world.directory.looks_up = looks_up
        spellings = ["CONTOSO\\alice", "contoso\\ALICE", " Contoso\\Alice", "CONTOSO\\\uff41lice"]
        outcomes = [try_in_vain(world, name=name)[0] for name in spellings]
        assert outcomes.count("login_refused") <= 2 + looks_up
        assert world.directory.asked <= 2

    def test_r30_the_tries_come_back_when_the_directory_has_forgotten_too(self, world: World) -> None:
        try_in_vain(world, 3)
        world.clock.advance(30 * 60 - 5)
        assert try_in_vain(world) == ["too_many_tries"]
        world.clock.advance(5)
        assert try_in_vain(world, 3) == ["login_refused", "login_refused", "too_many_tries"]

    def test_r30_the_right_password_makes_earlier_tries_undone(self, world: World) -> None:
        try_in_vain(world)
        log_in(world)
        assert try_in_vain(world, 3) == ["login_refused", "login_refused", "too_many_tries"]

    def test_r31_a_flood_does_not_lock_out_the_browser_the_person_uses(self, world: World) -> None:
        known = known_firefox(world)
        try_in_vain(world, 10)
        with pytest.raises(TooManyTries):
            log_in(world)
        assert log_in(world, known).session.user == ALICE

    def test_r31_a_browser_is_known_for_those_who_logged_in_with_it_only(self, world: World) -> None:
        known = known_firefox(world, name="bob")
        try_in_vain(world, 10)
        with pytest.raises(TooManyTries):
            log_in(world, known)

    def test_r31_a_browser_is_known_for_each_person_by_a_value_of_their_own(self, world: World) -> None:
        bobs = known_firefox(world, name="bob")
        both = log_in(world, bobs).known_browser
        assert both is not None
        alices, kept = both.reveal().split(".")
        assert (kept, len(alices)) == (bobs.known_browser, 43)
        together = replace(FIREFOX, known_browser=both.reveal())
        for name in ("alice", "bob"):
            assert log_in(world, together, name=name).known_browser is None
        try_in_vain(world, 10)
        for elsewhere in (bobs, replace(FIREFOX, known_browser=f"{kept}.x")):
            with pytest.raises(TooManyTries):
                log_in(world, elsewhere)
        assert log_in(world, replace(FIREFOX, known_browser=alices))

    def test_r31_a_cookie_of_before_counts_for_whom_it_was_given_out(self, world: World) -> None:
        everybody = {world.directory.account(f"CONTOSO\\{name}").key for name in ("alice", "bob")}
        world.tries.remember(fingerprint("old"), frozenset(everybody), world.clock.now() + 60)
        try_in_vain(world, 10)
        for name in ("alice", "bob"):
            assert log_in(world, replace(FIREFOX, known_browser="old"), name=name).known_browser is None

    def test_r31_a_browser_is_known_for_a_bounded_number_of_people(self, world: World) -> None:
        expires = world.clock.now() + 60
        for n in range(9):
            world.tries.remember(fingerprint(f"v{n}"), frozenset({f"somebody {n}"}), expires)
        cookie = log_in(world, replace(FIREFOX, known_browser=".".join(f"v{n}" for n in range(9)))).known_browser
        assert cookie
        assert cookie.reveal().split(".")[1:] == ["v0", "v1", "v2"]
        assert len(".".join(["x" * 43] * MOST_VALUES)) <= 256

    def test_r31_a_cookie_that_nobody_gave_out_is_worth_nothing(self, world: World) -> None:
        planted = replace(FIREFOX, known_browser="planted")
        try_in_vain(world, 10)
        with pytest.raises(TooManyTries):
            log_in(world, planted)
        world.clock.advance(3600)
        given = log_in(world, planted).known_browser
        assert given is not None
        assert given.reveal() != "planted"

    def test_r31_after_ninety_days_a_browser_is_a_stranger(self, world: World) -> None:
        known = known_firefox(world)
        world.clock.advance(90 * 86400)
        try_in_vain(world, 10)
        with pytest.raises(TooManyTries):
            log_in(world, known)

    @pytest.mark.parametrize("looks_up", [False, True])
    @pytest.mark.parametrize("name", ["CONTOSO\\nobody", "OTHER\\alice", "al*ce", "alice@contoso.example"])
    def test_r32_who_does_not_exist_is_answered_alike(self, world: World, name: str, looks_up: bool) -> None:
        world.directory.looks_up = looks_up
        known, unknown = (try_in_vain(world, 4, name=n) for n in ("CONTOSO\\alice", name))
        assert known == unknown

    def test_r32_an_address_that_tries_many_names_is_stopped(self, world: World) -> None:
        outcomes = [try_in_vain(world, name=f"CONTOSO\\user{n}")[0] for n in range(SOURCE.tries + 5)]
        assert outcomes.index("too_many_tries") == SOURCE.tries
        elsewhere = replace(FIREFOX, origin=Origin("request-2", "198.51.100.7"))
        assert try_in_vain(world, client=elsewhere) == ["login_refused"]

    def test_r32_one_subscriber_has_one_network_of_ipv6_addresses(self, world: World) -> None:
        def client(n: int) -> Client:
            return replace(FIREFOX, origin=Origin("r", f"2001:db8:1:2::{n:x}"))

        outcomes = [try_in_vain(world, client=client(n), name=f"CONTOSO\\u{n}")[0] for n in range(SOURCE.tries + 1)]
        assert outcomes[-1] == "too_many_tries"

    def test_r32_right_passwords_of_a_whole_office_do_not_count(self, world: World) -> None:
        for _ in range(SOURCE.tries + 5):
            log_in(world)

    def test_r32_everybody_together_has_a_limit_that_known_browsers_do_not_feel(self, world: World) -> None:
        known = known_firefox(world)
        for n in range(EVERYBODY.tries):
            client = replace(FIREFOX, origin=Origin("r", f"10.{n >> 8}.{n & 255}.1"))
            try_in_vain(world, client=client, name=f"CONTOSO\\user{n}")
        with pytest.raises(TooManyTries):
            log_in(world, replace(FIREFOX, origin=Origin("r", "192.0.2.1")))
        assert log_in(world, known)

    def test_r32_confirming_counts_as_logging_in_does(self, world: World) -> None:
        session = log_in(world).session
        for _ in range(2):
            with pytest.raises(LoginRefused):
                world.service.confirm(session, Secret("wrong"), FIREFOX)
        with pytest.raises(TooManyTries):
            log_in(world)

    def test_r32_a_store_that_is_down_lets_nobody_try(self, world: World, monkeypatch: pytest.MonkeyPatch) -> None:
        monkeypatch.setattr(world.tries, "reserve", Mock(side_effect=StorageUnavailable))
        with pytest.raises(StorageUnavailable):
            log_in(world)
        assert world.directory.asked == 0

    def test_f30_a_directory_that_nobody_reached_counts_no_try(self, world: World) -> None:
        world.directory.available = False
        for _ in range(10):
            with pytest.raises(DirectoryUnavailable):
                log_in(world)
        world.directory.available = True
        assert try_in_vain(world, 3) == ["login_refused", "login_refused", "too_many_tries"]

    def test_r30_a_try_whose_answer_never_came_stays_counted(self, world: World) -> None:
        world.directory.available, world.directory.was_asked = False, True
        for _ in range(2):
            with pytest.raises(DirectoryUnavailable):
                log_in(world)
        with pytest.raises(TooManyTries):
            log_in(world)

    @pytest.mark.parametrize("password", ["", " ", "a\0", "a" * 257])
    def test_r25_a_password_that_is_never_sent_counts_for_nobody(self, world: World, password: str) -> None:
        for name in ("CONTOSO\\alice", "CONTOSO\\nobody", "OTHER\\alice"):
            for _ in range(5):
                with pytest.raises(LoginRefused):
                    world.service.log_in(name, Secret(password), FIREFOX)
        assert world.directory.asked == 0

    def test_who_knows_the_password_of_a_closed_account_is_told_each_time(self, world: World) -> None:
        closed = directory.Person(directory.BOB.user, "bob-pass", LoginRefused("disabled", "This account is closed."))
        world.directory = FakeDirectory(closed)
        world.service = LoginService(
            world.directory,
            world.sessions,
            Throttle(world.tries, world.clock, world.random),
            world.audit_log,
            world.clock,
        )
        for _ in range(5):
            with pytest.raises(LoginRefused, match="closed"):
                log_in(world, name="bob")

    def test_r30_a_refusal_without_a_look_at_the_password_counts_for_its_source_only(self, world: World) -> None:
        """Samba and Windows refuse members of Protected Users whatever the password is, and count nothing."""
        restricted = LoginRefused("account_restricted", sub_code="52f", is_judged=False)
        world.directory = FakeDirectory(directory.Person(directory.BOB.user, "bob-pass", restricted))
        throttle = Throttle(world.tries, world.clock, world.random)
        world.service = LoginService(world.directory, world.sessions, throttle, world.audit_log, world.clock)
        for _ in range(SOURCE.tries):
            with pytest.raises(LoginRefused):
                log_in(world, name="bob")
        assert world.directory.asked == SOURCE.tries
        with pytest.raises(TooManyTries):
            log_in(world, name="bob")


class TestNotAllowedAnyMore:
    """Where nobody can be asked about others, a log-in is the only way to hear that somebody may not use the vault."""

    @pytest.fixture
    def world(self, world: World) -> World:
        log_in(world, name="bob")
        refusal = LoginRefused("not_allowed", "You may not use this application.")
        refusal.user_id = directory.BOB.user.id
        world.directory = FakeDirectory(directory.ALICE, directory.Person(directory.BOB.user, "bob-pass", refusal))
        throttle = Throttle(world.tries, world.clock, world.random)
        world.service = LoginService(world.directory, world.sessions, throttle, world.audit_log, world.clock)
        world.audit_log.events.clear()
        return world

    def test_r97_a_refused_log_in_ends_what_there_is(self, world: World) -> None:
        for _ in range(2):
            with pytest.raises(LoginRefused):
                log_in(world, name="bob")
        record = world.users.records[directory.BOB.user.id]
        assert (record.departure, record.departed_at > 0) == (Departure.NOT_ALLOWED, True)
        assert world.store.of_user(directory.BOB.user.id) == []
        told = [event for event in world.audit_log.events if event.tag is AuditTag.USER_DEPARTED]
        assert [event.facts for event in told] == [{"cause": "not_allowed", "sessions": "1"}]

    def test_r97_whoever_knows_no_password_ends_nothing(self, world: World) -> None:
        with pytest.raises(LoginRefused):
            world.service.log_in("CONTOSO\\bob", Secret("wrong"), FIREFOX)
        assert len(world.store.of_user(directory.BOB.user.id)) == 1

    def test_r97_a_write_of_somebody_else_in_between_is_left_alone(
        self, world: World, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        monkeypatch.setattr(world.users, "save", Mock(side_effect=Conflict))
        with pytest.raises(LoginRefused):
            log_in(world, name="bob")
        assert world.users.records[directory.BOB.user.id].departure is None

    def test_r97_f40_a_record_that_cannot_be_read_keeps_nobody_signed_in(
        self, world: World, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        monkeypatch.setattr(world.users, "get", Mock(side_effect=ItemUnreadable))
        with pytest.raises(LoginRefused):
            log_in(world, name="bob")
        assert world.store.of_user(directory.BOB.user.id) == []


class TestTiming:
    @pytest.mark.parametrize(
        ("name", "password"),
        [("CONTOSO\\alice", "wrong"), ("CONTOSO\\nobody", "wrong"), ("OTHER\\alice", "x"), ("CONTOSO\\alice", "")],
    )
    def test_r29_every_refusal_takes_the_same_time(self, world: World, name: str, password: str) -> None:
        with pytest.raises(LoginRefused):
            world.service.log_in(name, Secret(password), FIREFOX)
        assert world.clock.slept == REFUSAL_SECONDS

    def test_r29_however_long_the_directory_took(self, world: World, monkeypatch: pytest.MonkeyPatch) -> None:
        ask = world.directory.authenticate

        def slowly(*arguments: object) -> User:
            world.clock.sleep(0.137)
            return ask(*arguments)

        monkeypatch.setattr(world.directory, "authenticate", slowly)
        try_in_vain(world)
        assert world.clock.slept == pytest.approx(REFUSAL_SECONDS)

    def test_nobody_waits_for_a_log_in_that_succeeds(self, world: World) -> None:
        log_in(world)
        assert world.clock.slept == 0


class TestTesting:
    def test_an_administrator_sees_each_step(self, world: World) -> None:
        steps = world.service.test(directory.ADMIN.user.id, "CONTOSO\\alice", Secret("alice-pass"), FIREFOX)
        assert [(step.name, step.is_good) for step in steps] == [(StepName.NAME, True)]
        assert world.store.sessions == {}
        assert world.audit_log.events[-1].tag is AuditTag.LOGIN_TESTED

    @pytest.mark.parametrize(
        ("name", "password", "code"),
        [
            ("CONTOSO\\alice", "wrong", "bad_credentials"),
            ("OTHER\\alice", "x", "foreign_domain"),
            ("CONTOSO\\alice", " ", "empty_password"),
        ],
    )
    def test_and_the_code_of_what_went_wrong(self, world: World, name: str, password: str, code: str) -> None:
        steps = world.service.test(directory.ADMIN.user.id, name, Secret(password), FIREFOX)
        assert steps[-1].code == code
        assert steps[-1].advice in ADVICE.values()

    def test_r32_a_test_is_a_try_like_any_other(self, world: World) -> None:
        codes = [
            world.service.test(directory.ADMIN.user.id, "CONTOSO\\alice", Secret("wrong"), FIREFOX)[-1].code
            for _ in range(3)
        ]
        assert codes == ["bad_credentials", "bad_credentials", "too_many_tries"]

    def test_a_directory_that_is_down_is_a_step_too(self, world: World) -> None:
        world.directory.available = False
        steps = world.service.test(directory.ADMIN.user.id, "CONTOSO\\alice", Secret("alice-pass"), FIREFOX)
        assert steps[-1].code == "directory_unavailable"


def test_a_directory_that_cannot_even_name_the_account_costs_no_try(
    world: World, monkeypatch: pytest.MonkeyPatch
) -> None:
    def down(_: str) -> None:
        raise DirectoryUnavailable

    monkeypatch.setattr(world.directory, "account", down)
    for _ in range(SOURCE.tries + 1):
        with pytest.raises(DirectoryUnavailable):
            world.service.log_in("CONTOSO\\alice", Secret("alice-pass"), FIREFOX)


def test_r31_a_try_at_no_account_is_given_back_to_its_source(world: World) -> None:
    throttle = Throttle(world.tries, world.clock, world.random)
    for end in (Attempt.was_right, Attempt.was_none) * SOURCE.tries:
        end(throttle.attempt("10.1.2.3", ""))
