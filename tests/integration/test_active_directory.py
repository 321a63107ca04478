"""Logging in against a real domain controller (Samba's AD DC) and a real slapd."""

import time
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from chalicelib.adapters.ldap_directory import REFUSED_SECONDS
from chalicelib.adapters.system import SystemClock, SystemRandom
from chalicelib.domain.aliases import normalized
from chalicelib.domain.audit import Origin
from chalicelib.domain.directory import Group
from chalicelib.domain.distinguished_name import folded_dn
from chalicelib.domain.errors import DirectoryUnavailable, InvalidRequest, LoginRefused, NotFound, TooManyTries
from chalicelib.domain.secret import Secret
from chalicelib.domain.throttle import Budget
from chalicelib.domain.user import Departure
from chalicelib.services.leavers import LeaverService
from chalicelib.services.login import Client, LoginService
from chalicelib.services.people import PeopleService
from chalicelib.services.sessions import SessionService
from chalicelib.services.throttle import Throttle
from dev.directory import Authority
from tests.directories.people import ADMINISTRATORS, NORMAL_ACCOUNT, REFUSED, USERS, Person
from tests.directories.samba import SambaController, quoted
from tests.directories.slapd import OpenLdap
from tests.directories.vault import (
    SERVICE,
    Secrets,
    contoso,
    contoso_with_service,
    directories,
    example,
    example_with_service,
    log_in,
)
from tests.fakes.services import FakeVault
from tests.fakes.stores import (
    FakeAdministratorStore,
    FakeAuditLog,
    FakeAuthorizationRequestStore,
    FakeSessionStore,
    FakeTryStore,
    FakeUserStore,
)
from tests.fakes.system import FakeClock

pytestmark = [pytest.mark.integration, pytest.mark.xdist_group("directories")]

ODD_NAMES = ["par(en)", "o'brien", "zoë.müller", "mary ann", "maximilian.musterman"]
BUDGET = 3
"""Tries that the vault lets through where the directory locks after five."""

# Every spelling of one account that a domain controller was seen to take, and more (see docs/directories.md)
SPELLINGS = [
    "CONTOSO\\alice",
    "contoso\\alice",
    "CONTOSO\\ALICE",
    "Contoso\\Alice",
    " CONTOSO\\alice",
    "CONTOSO\\alice ",
    "CONTOSO\\ alice",
    "CONTOSO \\alice",
    "CONTOSO\\al ice",
    "CONTOSO\\alice\0",
    "CONTOSO\\alice\0x",
    "CONTOSO\\alice\t",
    "CONTOSO\\alice\u00a0",
    "CONTOSO\\\uff41lice",
    "CONTOSO\\\u00e1lice",
    "CONTOSO/alice",
    "CONTOSO.TEST\\alice",
    "contoso.test\\alice",
    "alice",
    "ALICE",
    "alice@contoso.test",
    "ALICE@CONTOSO.TEST",
    "alice@CONTOSO",
    "\\alice",
    "CN=Alice Adams,CN=Users,DC=contoso,DC=test",
    "contoso.test/Users/Alice Adams",
    "contoso.test/Users\nAlice Adams",
    "CONTOSO\\alice*",
    "CONTOSO\\Alice Adams",
    "CONTOSO\\alice)(objectClass=*",
    "CONTOSO\\ali\\63e",
    "<SID=S-1-5-21-1>",
]


def refusal(of, name: str, password: str) -> LoginRefused:
    with pytest.raises(LoginRefused) as caught:
        log_in(of, name, password)
    return caught.value


class TestPeople:
    @pytest.fixture(params=["ldaps", "starttls", "service"])
    def domain(self, request: pytest.FixtureRequest, samba: SambaController):
        if request.param == "service":
            return directories(contoso_with_service(samba))
        servers = (samba.ldaps_url if request.param == "ldaps" else samba.starttls_url,)
        return directories(contoso(samba, servers=servers))

    def test_r24_a_person_is_the_objectsid(self, samba, domain):
        user = log_in(domain, "CONTOSO\\alice", samba.passwords["alice"])
        assert (user.id, user.login_name, user.display_name) == (samba.sid("alice"), "CONTOSO\\alice", "Alice Adams")
        assert user.email == "alice@contoso.example"
        assert user.password_stamp == samba.attribute("alice", "pwdLastSet")[0].decode()

    @pytest.mark.parametrize("login", ODD_NAMES)
    def test_r28_names_that_break_programs(self, samba, domain, login):
        user = log_in(domain, f"contoso\\{login.upper()}", samba.passwords[login])
        assert (user.id, user.login_name) == (samba.sid(login), f"CONTOSO\\{login}")

    def test_groups_are_nested_and_include_the_primary_one(self, samba, domain):
        bob = log_in(domain, "CONTOSO\\bob", samba.passwords["bob"])
        assert {samba.sid(USERS), samba.sid("Scan Team A"), samba.sid("Domain Users")} <= bob.groups
        assert samba.sid(USERS) not in log_in(domain, "CONTOSO\\nogroup", samba.passwords["nogroup"]).groups

    def test_a_hundred_groups_six_deep_and_a_circle(self, samba, domain):
        deep = log_in(domain, "CONTOSO\\deep", samba.passwords["deep"])
        assert {samba.sid("Deep Top"), *(samba.sid(f"Deep {n}") for n in range(1, 101))} <= deep.groups
        loop = log_in(domain, "CONTOSO\\loop", samba.passwords["loop"])
        assert {samba.sid("Loop A"), samba.sid("Loop B")} <= loop.groups

    @pytest.mark.parametrize("sub_code", REFUSED)
    def test_r29_help_comes_after_the_right_password_only(self, samba, domain, sub_code):
        person = REFUSED[sub_code]
        right = refusal(domain, f"CONTOSO\\{person.login}", person.password)
        wrong = refusal(domain, f"CONTOSO\\{person.login}", "wrong")
        assert (right.sub_code, right.followed_right_password) == (sub_code, True)
        assert (wrong.cause, wrong.sub_code, wrong.message) == ("bad_credentials", "52e", LoginRefused.message)

    def test_r29_a_locked_account_looks_like_any_other(self, samba, domain):
        for password in (samba.passwords["locked"], "wrong"):
            error = refusal(domain, "CONTOSO\\locked", password)
            assert (error.cause, error.sub_code, error.message) == ("locked_out", "775", LoginRefused.message)

    @pytest.mark.parametrize("password", ["", " ", "\0", "alice-Pass1!\0", "alice-Pass1!\n", "a" * 257])
    def test_r25_what_is_no_password_never_reaches_the_controller(self, samba, domain, password):
        assert refusal(domain, "CONTOSO\\alice", password).cause in ("empty_password", "malformed_password")
        assert samba.bad_password_count("alice") == 0


class TestAccountsThatNeedMore:
    @pytest.mark.parametrize("password", ["protected-Pass1!", "wrong"])
    def test_a_member_of_protected_users_is_told_apart_and_nothing_is_counted(self, samba, password):
        if "protected" not in samba.passwords:
            samba.add(Person("protected", "Pia Protected", (USERS,)))
            samba.add_to_group("protected", "Protected Users")
        error = refusal(directories(contoso(samba)), "CONTOSO\\protected", password)
        assert (error.cause, error.sub_code, error.message) == ("account_restricted", "52f", LoginRefused.message)
        assert (error.is_judged, samba.bad_password_count("protected")) == (False, 0)

    def test_an_account_with_a_smart_card_only_is_told_apart(self, samba):
        samba.add(Person("smart", "Sam Smart", (USERS,), {"userAccountControl": NORMAL_ACCOUNT | 0x40000}))
        error = refusal(directories(contoso_with_service(samba)), "CONTOSO\\smart", "smart-Pass1!")
        assert (error.cause, error.message) == ("smart_card_required", LoginRefused.message)
        assert (error.is_judged, samba.bad_password_count("smart")) == (True, 1)


class TestGroupsOfTheSettings:
    @pytest.mark.parametrize("by", ["sid", "dn"])
    def test_only_members_of_allowed_groups_are_let_in(self, samba, by):
        group = samba.sid(USERS) if by == "sid" else samba.dn(USERS).upper()
        domain = directories(contoso(samba, allowed_groups=(group,)))
        assert log_in(domain, "CONTOSO\\bob", samba.passwords["bob"]).id == samba.sid("bob")
        error = refusal(domain, "CONTOSO\\nogroup", samba.passwords["nogroup"])
        assert (error.cause, error.followed_right_password) == ("not_allowed", True)
        assert refusal(domain, "CONTOSO\\nogroup", "wrong").message == LoginRefused.message

    def test_r33_administrators_by_dn(self, samba):
        one = contoso(samba, administrator_groups=(samba.dn(ADMINISTRATORS),))
        domain = directories(one)
        key = folded_dn(samba.dn(ADMINISTRATORS))
        assert key in log_in(domain, "CONTOSO\\carol", samba.passwords["carol"]).groups
        assert key not in log_in(domain, "CONTOSO\\alice", samba.passwords["alice"]).groups


class TestGroups:
    def test_a_group_is_found_by_its_distinguished_name(self, samba):
        domain = directories(contoso_with_service(samba))
        assert domain.group(samba.dn(USERS).upper()) == Group(samba.sid(USERS), samba.dn(USERS))
        assert domain.group(samba.sid(USERS)).key == samba.sid(USERS)
        with pytest.raises(NotFound):
            domain.group(f"CN=Nobody,{samba.dn(USERS).partition(',')[2]}")
        with pytest.raises(NotFound):
            domain.group("CN=Users,DC=elsewhere,DC=example")

    def test_without_a_service_account_only_by_its_sid(self, samba):
        domain = directories(contoso(samba))
        assert domain.group(samba.sid(USERS)).key == samba.sid(USERS)
        with pytest.raises(InvalidRequest):
            domain.group(samba.dn(USERS))

    def test_one_that_the_settings_name_is_known_by_that_name(self, samba):
        dn = samba.dn(ADMINISTRATORS)
        found = directories(contoso(samba, administrator_groups=(dn,))).group(dn.upper())
        assert found == Group(folded_dn(dn), dn)

    def test_groups_of_openldap_are_known_by_their_names(self, openldap):
        dn = openldap.dn(ADMINISTRATORS)
        assert directories(example(openldap)).group(dn).key == folded_dn(dn)
        with_service = directories(example_with_service(openldap), secret=openldap.service_password)
        assert with_service.group(dn.upper()) == Group(folded_dn(dn), dn)
        with pytest.raises(NotFound):
            with_service.group(f"cn=nobody,{dn.partition(',')[2]}")


class TestNames:
    @pytest.mark.parametrize("spelling", SPELLINGS)
    @pytest.mark.parametrize("has_service", [False, True], ids=["own bind", "service account"])
    def test_r24_r30_any_spelling_is_one_account_or_none(self, samba, spelling, has_service):
        domain = directories(contoso_with_service(samba) if has_service else contoso(samba))
        plain, account = domain.account("CONTOSO\\alice"), domain.account(spelling)
        try:
            user = domain.authenticate(account, Secret(samba.passwords["alice"]))
        except LoginRefused:
            # Counted for alice, or never sent to the controller as hers
            domain_asked = not account.refusal
            assert not domain_asked or samba.bad_password_count("alice") == 0
        else:
            assert user.id == samba.sid("alice")
            assert account.key == plain.key

    @pytest.mark.parametrize(
        ("typed", "login"),
        [
            ("alice@contoso.test", "alice"),
            ("john.smith@corp.example", "jsmith07"),
            ("jsmith07@contoso.test", "jsmith07"),
            ("noupn@CONTOSO.test", "noupn"),
            ("alice", "alice"),
            ("Mary Ann", "mary ann"),
        ],
    )
    def test_other_forms_find_the_same_person(self, samba, typed, login):
        domain = directories(contoso_with_service(samba, upn_suffixes=("corp.example",)))
        assert domain.account(typed).key == domain.account(f"CONTOSO\\{login}").key == samba.sid(login)
        assert log_in(domain, typed, samba.passwords[login]).login_name == f"CONTOSO\\{login}"

    @pytest.mark.parametrize("typed", ["nobody", "nobody@contoso.test", "alice@elsewhere.example", "CONTOSO\\nobody"])
    def test_nobody_is_refused_without_a_bind(self, samba, typed):
        domain = directories(contoso_with_service(samba))
        assert domain.account(typed).refusal in ("no_such_account", "foreign_domain")
        assert refusal(domain, typed, "x").message == LoginRefused.message

    def test_a_plain_name_that_two_domains_have_is_refused_before_any_bind(self, samba, second_domain):
        both = directories(contoso_with_service(samba), contoso_with_service(second_domain))
        assert both.account("alice").refusal == "ambiguous_name"
        assert refusal(both, "alice", samba.passwords["alice"]).cause == "ambiguous_name"
        assert (samba.bad_password_count("alice"), second_domain.bad_password_count("alice")) == (0, 0)

    def test_r24_the_same_login_in_two_domains_is_two_people(self, samba, second_domain):
        both = directories(contoso(samba), contoso(second_domain))
        users = {log_in(both, f"{d}\\alice", samba.passwords["alice"]).id for d in ("CONTOSO", "FABRIKAM")}
        assert users == {samba.sid("alice"), second_domain.sid("alice")}

    def test_r24_who_is_renamed_stays_the_same_person(self, samba):
        samba.add(Person("tom", "Tom Tmp", (USERS,)))
        domain = directories(contoso(samba))
        before = log_in(domain, "CONTOSO\\tom", "tom-Pass1!")
        samba.rename("tom", "thomas")
        after = log_in(domain, "CONTOSO\\thomas", "tom-Pass1!")
        assert (after.id, after.login_name) == (before.id, "CONTOSO\\thomas")
        samba.delete("thomas")

    @settings(max_examples=1500, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])
    @given(name=st.one_of(st.text(max_size=20), st.text(st.sampled_from('alice*()\\&|!=~<>\0,+"#; @'), max_size=12)))
    def test_r28_any_name_finds_one_account_or_none(self, samba, name):
        domain = directories(contoso_with_service(samba))
        account = domain.account(f"CONTOSO\\{name}")
        assert account.refusal or account.user_id


class TestServiceAccount:
    def test_r30_a_wrong_secret_does_not_lock_it(self, samba, caplog):
        domain = directories(contoso_with_service(samba), secret="wrong")
        for _ in range(20):
            with pytest.raises(DirectoryUnavailable):
                domain.account("CONTOSO\\alice")
        assert samba.bad_password_count(SERVICE) == 1
        assert "directory.service_account_refused" in caplog.messages

    def test_a_rotated_secret_is_taken_up(self, samba):
        secrets = Secrets("svc-vault-Pass1!")
        domain = directories(contoso_with_service(samba))
        domain._secrets = secrets
        assert domain.account("alice").user_id
        secrets.password = "Rotated-Pass2!"
        samba.set_password(SERVICE, "Rotated-Pass2!")
        domain._of_domain("CONTOSO")._forget_service()
        assert domain.account("alice").user_id
        samba.set_password(SERVICE, "svc-vault-Pass1!")

    @pytest.mark.parametrize("trouble", ["disabled", "expired", "must change", "wrong password"])
    def test_one_that_was_repaired_works_again_within_seconds(self, samba, trouble, monkeypatch):
        clock = _seconds(monkeypatch)
        domain = directories(contoso_with_service(samba))
        break_account(samba, trouble)
        try:
            for _ in range(3):
                with pytest.raises(DirectoryUnavailable):
                    domain.account("CONTOSO\\alice")
        finally:
            repair_account(samba)
        clock.seconds += REFUSED_SECONDS
        assert domain.account("CONTOSO\\alice").user_id == samba.sid("alice")

    def test_r30_trying_it_again_does_not_lock_it_in_any_number_of_hours(self, samba, monkeypatch):
        clock = _seconds(monkeypatch)
        domain = directories(contoso_with_service(samba), secret="wrong")
        for _ in range(100):
            clock.seconds += 15
            with pytest.raises(DirectoryUnavailable):
                domain.account("CONTOSO\\alice")
        assert samba.bad_password_count(SERVICE) == BUDGET

    def test_a_check_that_can_bind_ends_the_pause(self, samba):
        domain = directories(contoso_with_service(samba), secret="wrong")
        with pytest.raises(DirectoryUnavailable):
            domain.account("CONTOSO\\alice")
        secret = domain._secrets.password = "svc-vault-Pass1!"
        domain._of_domain("CONTOSO")._refused_secret = Secret(secret)
        (report,) = domain.check()
        assert report.is_good
        assert domain.account("CONTOSO\\alice").user_id

    def test_a_connection_that_died_is_renewed(self, samba):
        domain = directories(contoso_with_service(samba))
        assert domain.account("alice").user_id
        samba.stop()
        samba.start()
        assert domain.account("alice").user_id


@dataclass
class _Seconds:
    """Seconds that pass for pauses only; sockets have the real time."""

    seconds: float = 0.0

    def monotonic(self) -> float:
        return time.monotonic() + self.seconds


def _seconds(monkeypatch: pytest.MonkeyPatch) -> _Seconds:
    clock = _Seconds()
    monkeypatch.setattr("chalicelib.adapters.ldap_directory.time", clock)
    return clock


def break_account(samba: SambaController, how: str) -> None:
    match how:
        case "disabled":
            samba.disable(SERVICE)
        case "expired":
            samba.expire_account(SERVICE)
        case "must change":
            samba.must_change_password(SERVICE)
        case _:
            for password in ("Something-Else1!", "Something-Else2!"):  # Samba takes the one before for an hour
                samba.change(SERVICE, unicodePwd=quoted(password))


def repair_account(samba: SambaController) -> None:
    samba.enable(SERVICE)
    samba.expire_account(SERVICE, None)
    samba.set_password(SERVICE, samba.passwords[SERVICE])


class World:
    """A vault's log-in on a real directory, with a clock of its own."""

    def __init__(self, of) -> None:
        self.tries, self.clock, self.random = FakeTryStore(), FakeClock(), SystemRandom()
        sessions = SessionService(
            sessions=FakeSessionStore(),
            requests=FakeAuthorizationRequestStore(),
            audit_log=FakeAuditLog(),
            clock=self.clock,
            random=self.random,
            users=FakeUserStore(),
            administrators=FakeAdministratorStore(),
            administrator_groups=frozenset(),
        )
        throttle = Throttle(self.tries, self.clock, self.random)
        self.service = LoginService(of, sessions, throttle, FakeAuditLog(), self.clock)

    def outcome(self, name: str, password: str, *, source: str = "203.0.113.1", cookie: str = "") -> str:
        try:
            self.service.log_in(name, Secret(password), Client("Firefox", cookie, Origin("r", source)))
        except (LoginRefused, TooManyTries) as error:
            return f"{error.code} {error.message}"
        return "success"


class TestLockOut:
    @pytest.mark.parametrize("has_service", [False, True], ids=["own bind", "service account"])
    def test_r30_a_flood_in_every_spelling_never_locks_the_account(self, samba, has_service):
        world = World(directories(contoso_with_service(samba) if has_service else contoso(samba)))
        tries = [(spelling, f"198.51.100.{n}") for n in range(4) for spelling in SPELLINGS]
        with ThreadPoolExecutor(20) as pool:
            list(pool.map(lambda one: world.outcome(one[0], "wrong", source=one[1]), tries))
        assert 1 <= samba.bad_password_count("alice") <= BUDGET
        assert not samba.is_locked("alice")

    def test_r31_the_persons_own_browser_is_let_in_afterwards(self, samba):
        world = World(directories(contoso(samba)))
        mine = world.service.log_in(
            "CONTOSO\\alice", Secret(samba.passwords["alice"]), Client("Firefox", "", Origin("r", "192.0.2.1"))
        )
        assert mine.known_browser
        for n in range(10):
            world.outcome("CONTOSO\\alice", "wrong", source=f"198.51.100.{n}")
        assert world.outcome("CONTOSO\\alice", samba.passwords["alice"]).startswith("too_many_tries")
        assert (
            world.outcome("CONTOSO\\alice", samba.passwords["alice"], cookie=mine.known_browser.reveal()) == "success"
        )
        assert samba.bad_password_count("alice") == 0

    @pytest.mark.parametrize("has_service", [False, True], ids=["own bind", "service account"])
    def test_r32_a_name_that_does_not_exist_gets_the_same_answers(self, samba, has_service):
        world = World(directories(contoso_with_service(samba) if has_service else contoso(samba)))
        answers = [[world.outcome(f"CONTOSO\\{name}", "wrong") for _ in range(4)] for name in ("alice", "nobody")]
        assert answers[0] == answers[1]

    def test_r29_the_median_time_of_refusals_differs_by_less_than_ten_milliseconds(self, samba, monkeypatch):
        world = World(directories(contoso(samba, lockout_threshold=0)))
        monkeypatch.setattr(world.service, "_clock", SystemClock())
        monkeypatch.setattr("chalicelib.services.login.REFUSAL_SECONDS", 0.15)
        samba.change("alice", lockoutTime=0)
        names = ("alice", "nobody", "disabled", "locked")
        taken: dict[str, list[float]] = {name: [] for name in names}
        for _ in range(7):
            for name in names:
                started = time.perf_counter()
                world.outcome(f"CONTOSO\\{name}", "wrong")
                taken[name].append(time.perf_counter() - started)
            samba.unlock_all()
        medians = [sorted(times)[len(times) // 2] for times in taken.values()]
        assert max(medians) - min(medians) < 0.01


class TestOwnPolicies:
    """The budget of an account is the smallest that any policy about it leaves (R30)."""

    def test_r30_a_fine_grained_policy_counts_for_whom_it_is_about(self, samba):
        samba.add(Person("vip", "Vera Vip", (USERS,)))
        dn = samba.add_policy("VIPs", "vip", threshold=4, minutes=60)
        samba.allow(dn, SERVICE)
        one = contoso_with_service(samba)
        domain = directories(one)
        assert domain.account("CONTOSO\\vip").budget == Budget.of(4, 60)
        assert domain.account("CONTOSO\\alice").budget == Budget.of(5, 30)
        (report,) = domain.check()
        assert report.is_good
        assert "VIPs: after 4 wrong passwords, forgotten after 60 minutes" in str(report.steps)
        world = World(domain)
        for n in range(10):
            world.outcome("CONTOSO\\vip", "wrong", source=f"198.51.100.{n}")
        assert samba.bad_password_count("vip") <= 2
        assert not samba.is_locked("vip")
        samba.delete("vip")

    def test_r30_the_domains_policy_counts_where_the_settings_promise_more(self, samba):
        domain = directories(contoso_with_service(samba, lockout_threshold=0, lockout_minutes=5))
        assert domain.account("CONTOSO\\alice").budget == Budget.of(5, 30)

    def test_r30_what_may_not_be_read_leaves_what_the_settings_say(self, samba, monkeypatch):
        monkeypatch.setattr("chalicelib.adapters.active_directory._lockout", lambda *_: None)
        domain = directories(contoso_with_service(samba))
        assert domain.account("CONTOSO\\alice").budget == Budget.of(5, 30)

    def test_r30_a_policy_of_openldap_counts_for_whom_it_is_about(self, openldap):
        openldap.add(Person("vip", "Vera Vip"))
        openldap.add_policy("vips", "vip", pwdLockout="TRUE", pwdMaxFailure="4", pwdFailureCountInterval="3600")
        domain = directories(example_with_service(openldap), secret=openldap.service_password)
        assert domain.account("EXAMPLE\\vip").budget == Budget.of(4, 60)
        world = World(domain)
        for n in range(10):
            world.outcome("EXAMPLE\\vip", "wrong", source=f"198.51.100.{n}")
        assert openldap.bad_password_count("vip") <= 2
        (report,) = domain.check()
        assert "vips: after 4 wrong passwords, forgotten after 60 minutes" in str(report.steps)
        assert domain.account("EXAMPLE\\alice").budget == Budget.of(4, 60), "whichever policy is the default"
        openldap.delete("vip")
        openldap.delete_entry(f"cn=vips,ou=policies,{openldap.base_dn}")


class TestFailOver:
    @pytest.mark.parametrize("failure", ["stopped", "hanging", "expired", "wrong name", "unknown authority"])
    def test_f30_another_controller_within_five_seconds(self, samba, second_controller, failure, caplog):
        domain = directories(contoso(samba, servers=(samba.ldaps_url, second_controller.ldaps_url)))
        expected = break_down(samba, failure)
        caplog.set_level("INFO", logger="chalicelib")
        try:
            started = time.monotonic()
            user = log_in(domain, "CONTOSO\\alice", samba.passwords["alice"])
            first = time.monotonic() - started
            started = time.monotonic()
            log_in(domain, "CONTOSO\\alice", samba.passwords["alice"])
            second = time.monotonic() - started
        finally:
            mend(samba)
        assert user.id == samba.sid("alice")
        assert first < 5
        assert second < 1  # the dead one is left alone for a while
        assert caplog.messages.count(f"directory.{expected}") == 1
        assert samba.passwords["alice"] not in caplog.text

    def test_f30_all_dead_is_unavailable_and_counts_no_try(self, samba):
        world = World(directories(contoso(samba)))
        samba.stop()
        for _ in range(5):
            with pytest.raises(DirectoryUnavailable):
                world.outcome("CONTOSO\\alice", "wrong")
        samba.start()
        assert world.outcome("CONTOSO\\alice", samba.passwords["alice"]) == "success"


def break_down(samba: SambaController, how: str) -> str:
    """Break the controller; gives the fault that the vault should name."""
    if how == "hanging":
        samba.pause()
        return "half_open"
    samba.stop()
    match how:
        case "stopped":
            return "port_closed"
        case "expired":
            samba.present_certificate(samba.host, until=datetime.now(UTC) - timedelta(hours=1))
            expected = "certificate_expired"
        case "wrong name":
            samba.present_certificate("dc9.contoso.test")
            expected = "certificate_wrong_name"
        case _:
            samba.present_certificate(samba.host, authority=Authority("Somebody"))
            expected = "certificate_untrusted"
    samba.start()
    return expected


def mend(samba: SambaController) -> None:
    samba.resume()
    samba.stop()
    samba.present_certificate(samba.host, samba.server_name)
    samba.start()


class TestCheck:
    """`python -m chalicelib check-directory` and the administrators' page, with one thing broken at a time."""

    def codes(self, *settings, secret: str | None = "svc-vault-Pass1!") -> list[str]:
        return [
            step.code for report in directories(*settings, secret=secret).check() for step in report.steps if step.code
        ]

    def test_nothing_is_wrong(self, samba):
        one = contoso_with_service(samba, allowed_groups=(samba.sid(USERS),), administrator_groups=(samba.dn(USERS),))
        (report,) = directories(one).check()
        assert report.is_good
        assert len(report.steps) == 9

    @pytest.mark.parametrize(
        ("changed", "code"),
        [
            ({"servers": ("ldaps://no-such-host.invalid",)}, "name_not_resolved"),
            ({"servers": ("ldaps://127.0.0.1:9",)}, "port_closed"),
            ({"ca_file": ""}, "certificate_untrusted"),
            ({"service_account": "CONTOSO\\nobody"}, "service_account_refused"),
            ({"service_account": "CONTOSO\\disabled"}, "service_account_refused"),
            ({"base_dn": "OU=Nowhere,DC=contoso,DC=test"}, "base_not_found"),
            ({"base_dn": "CN=Computers,DC=contoso,DC=test"}, "base_empty"),
            ({"allowed_groups": ("CN=Nobodies,DC=contoso,DC=test",)}, "group_not_found"),
            ({"administrator_groups": ("S-1-5-21-1-2-3-4",)}, "group_not_found"),
            ({"lockout_threshold": 10}, "lockout_differs"),
            ({"lockout_minutes": 5}, "lockout_forgets_later"),
        ],
        ids=lambda value: value if isinstance(value, str) else next(iter(value)),
    )
    def test_one_thing_is_wrong_in_the_settings(self, samba, changed, code, monkeypatch):
        if code == "name_not_resolved":  # the tests' guard resolves no name at all
            monkeypatch.setattr("chalicelib.adapters.names._within", lambda *_: (_ for _ in ()).throw(OSError()))
        secret = "disabled-Pass1!" if "disabled" in str(changed) else "svc-vault-Pass1!"
        assert self.codes(contoso_with_service(samba, **changed), secret=secret) == [code]

    def test_the_secret_is_not_there(self, samba):
        assert self.codes(contoso_with_service(samba), secret=None) == ["service_secret_unreadable"]

    def test_plain_ldap_answers_on_the_port(self, samba):
        url = samba.starttls_url.replace("ldap://", "ldaps://") + ":389"
        assert self.codes(contoso_with_service(samba, servers=(url,))) == ["tls_failed"]

    @pytest.mark.parametrize("how", ["hanging", "expired", "wrong name", "unknown authority"])
    def test_one_thing_is_wrong_at_the_server(self, samba, how):
        expected = break_down(samba, how)
        try:
            assert self.codes(contoso_with_service(samba)) == [expected]
        finally:
            mend(samba)

    def test_the_clocks_differ(self, samba):
        domain = directories(contoso_with_service(samba))
        domain._clock = FakeClock(int(time.time()) - 600)
        (report,) = domain.check()
        assert [step.code for step in report.steps if step.code] == ["clock_off"]


class TestLeavers:
    @pytest.fixture
    def world(self, samba) -> FakeVault:
        world = FakeVault()
        world.directory, world.users = directories(contoso_with_service(samba)), FakeUserStore()
        world.leavers = LeaverService(
            users=world.users,
            directory=world.directory,
            sessions=world.sessions,
            grant_store=world.grant_store,
            grants=world.grants,
            audit_log=world.audit_log,
            clock=world.clock,
            days=30,
            engine=world.engine,
        )
        for login in ("leaver1", "leaver2", "leaver3", "alice"):
            user = log_in(world.directory, f"CONTOSO\\{login}", samba.passwords[login])
            world.users.enrol(user, sessions_until=world.clock.now() + 10**6, at=world.clock.now())
        return world

    def departures(self, world) -> dict[str, Departure | None]:
        world.clock.advance(1000)
        world.leavers.sweep()
        return {r.user.login_name.partition("\\")[2]: r.departure for r in world.users.records.values() if r.departure}

    def test_r6_the_directory_says_who_left(self, samba, world):
        assert self.departures(world) == {}
        samba.disable("leaver1")
        samba.expire_account("leaver2")
        assert self.departures(world) == {"leaver1": Departure.DISABLED, "leaver2": Departure.EXPIRED}
        samba.enable("leaver1")
        samba.expire_account("leaver2", None)
        assert self.departures(world) == {}

    def test_r6_a_deleted_account(self, samba, world):
        samba.add(Person("gone", "Gina Gone", (USERS,)))
        user = log_in(world.directory, "CONTOSO\\gone", "gone-Pass1!")
        world.users.enrol(user, sessions_until=0, at=world.clock.now())
        self.departures(world)
        samba.delete("gone")
        assert self.departures(world) == {}, "once is not enough"
        assert self.departures(world) == {"gone": Departure.DELETED}

    def test_r6_a_removed_group_and_a_changed_password(self, samba, world):
        record = next(r for r in world.users.records.values() if r.user.login_name.endswith("leaver3"))
        samba.remove_from_group("leaver3", USERS)
        samba.set_password("leaver3", "Another-Pass2!")
        self.departures(world)
        now = world.users.records[record.user.id].user
        assert samba.sid(USERS) in record.user.groups
        assert samba.sid(USERS) not in now.groups
        assert now.password_stamp != record.user.password_stamp
        samba.add_to_group("leaver3", USERS)
        samba.set_password("leaver3", samba.passwords["leaver3"])

    def test_what_a_log_in_reads_and_what_the_sweep_reads_is_the_same(self, samba, world):
        before = {record.user for record in world.users.records.values()}
        self.departures(world)
        assert {record.user for record in world.users.records.values()} == before

    def test_r91_a_rename_moves_the_name_and_who_takes_the_old_one_gets_the_own(self, samba, world):
        world.directory, world.leavers._directory = (directories(contoso_with_service(samba)),) * 2
        world.users = world.leavers._users = FakeUserStore(world.aliases)
        world.releases._users = world.users
        people = PeopleService(world.aliases, world.users, world.directory, world.clock)

        def comes(login: str) -> str:
            user = log_in(world.directory, f"CONTOSO\\{login}", samba.passwords[login])
            world.users.enrol(user, sessions_until=0, at=world.clock.now())
            return user.id

        def bearer(name: str) -> str | None:
            held = world.releases.load("scanner", "northwind", normalized(name))
            return held.subject.user_id if held.subject else None

        samba.add(Person("smith", "Sam Smith", (USERS,)))
        old = comes("smith")
        spellings = ("CONTOSO\\{}", f"{{}}@{samba.dns_name}", "{}")
        assert {bearer(one.format("smith")) for one in spellings} == {old}
        samba.rename("smith", "jones")
        samba.change(
            "jones", displayName="Sam Jones", mail="jones@contoso.example", userPrincipalName=f"jones@{samba.dns_name}"
        )
        self.departures(world)
        assert world.users.records[old].user.display_name == "Sam Jones"
        assert {bearer(one.format("jones")) for one in spellings} == {old} == {bearer("jones@contoso.example")}
        assert {bearer(one.format("smith")) for one in spellings} == {None}
        samba.add(Person("smith", "Susan Smith", (USERS,)))
        assert people.find("contoso\\smith").id == samba.sid("smith") != old
        new = comes("smith")
        assert {bearer(one.format("smith")) for one in spellings} == {new}
        assert {bearer(one.format("jones")) for one in spellings} == {old}
        samba.delete("smith")
        samba.delete("jones")

    def test_r6_a_controller_that_is_down_says_nothing_about_anybody(self, samba, world):
        samba.stop()
        assert self.departures(world) == {}
        samba.start()


class TestOpenLdap:
    @pytest.fixture(params=["own bind", "service account"])
    def domain(self, request: pytest.FixtureRequest, openldap: OpenLdap):
        one = example(openldap) if request.param == "own bind" else example_with_service(openldap)
        return directories(one, secret=openldap.service_password)

    def test_r24_a_person_is_the_entryuuid(self, openldap, domain):
        user = log_in(domain, "example\\ALICE", openldap.passwords["alice"])
        assert (user.id, user.login_name) == (openldap.entry_uuid("alice"), "EXAMPLE\\alice")
        assert folded_dn(openldap.dn(USERS)) in user.groups

    @pytest.mark.parametrize("login", ["o'brien", "zoë.müller", "mary ann", "par(en)"])
    def test_r28_names_that_break_programs(self, openldap, domain, login):
        assert log_in(domain, f"EXAMPLE\\{login}", openldap.passwords[login]).id == openldap.entry_uuid(login)

    @pytest.mark.parametrize("password", ["", " ", "\0", "\t"])
    def test_r25_slapd_would_take_an_empty_password_and_we_do_not_send_it(self, domain, password):
        assert refusal(domain, "EXAMPLE\\alice", password).cause in ("empty_password", "malformed_password")

    def test_r24_r25_even_a_bind_as_nobody_is_no_log_in(self, openldap, domain, monkeypatch):
        monkeypatch.setattr("chalicelib.adapters.directory.check_password", lambda _: None)
        with pytest.raises((LoginRefused, DirectoryUnavailable)):
            log_in(domain, "EXAMPLE\\alice", "")

    def test_wrong_disabled_and_locked_look_alike(self, openldap, domain):
        for login in ("alice", "nobody", "disabled", "locked"):
            assert refusal(domain, f"EXAMPLE\\{login}", "wrong").message == LoginRefused.message

    def test_who_must_change_the_password_is_told(self, openldap, domain):
        error = refusal(domain, "EXAMPLE\\mustchange", openldap.passwords["mustchange"])
        assert error.cause == "must_change_password"

    def test_group_search_finds_nested_groups(self, openldap):
        domain = directories(example_with_service(openldap), secret=openldap.service_password)
        groups = log_in(domain, "EXAMPLE\\alice", openldap.passwords["alice"]).groups
        assert {folded_dn(openldap.dn(USERS)), folded_dn(openldap.dn("Nested"))} <= groups

    def test_r6_who_left(self, openldap):
        domain = directories(example_with_service(openldap), secret=openldap.service_password)
        openldap.add(Person("gone", "Gina Gone", ()))
        users = [log_in(domain, f"EXAMPLE\\{n}", f"{n}-Pass1!") for n in ("alice", "gone", "leaver1")]
        openldap.delete("gone")
        openldap.disable("leaver1")
        standings = domain.standings(users)
        openldap.enable("leaver1")
        assert [standings[user.id].departure for user in users] == [None, Departure.DELETED, Departure.DISABLED]

    def test_the_check_finds_nothing_wrong(self, openldap):
        one = example_with_service(openldap, administrator_groups=(openldap.dn(ADMINISTRATORS),))
        (report,) = directories(one, secret=openldap.service_password).check()
        assert [step.code for step in report.steps if step.code] == []
