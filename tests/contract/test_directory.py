"""What every `ports.Directory` promises: on the fake, and over LDAP on the embedded directory, Samba and slapd."""

from collections.abc import Callable, Iterator
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

import pytest

from chalicelib.adapters.directory import Directories
from chalicelib.domain.directory import DirectorySettings
from chalicelib.domain.distinguished_name import folded_dn
from chalicelib.domain.errors import DirectoryUnavailable, LoginRefused
from chalicelib.domain.secret import Secret
from chalicelib.domain.user import Absence, Called, Departure, User
from chalicelib.ports import Directory
from dev.directory import Authority, EmbeddedDirectory
from tests.directories import people
from tests.directories.samba import SambaController
from tests.directories.slapd import OpenLdap
from tests.directories.vault import contoso, contoso_with_service, directories, example, example_with_service
from tests.fakes.directory import ADMIN, ALICE, BOB, VAULT_ADMINISTRATORS, VAULT_USERS, FakeDirectory
from tests.fakes.system import FakeClock

STRANGERS = ("00000000-0000-4000-8000-000000000000", "S-1-5-21-1-2-3-4")


@dataclass(frozen=True)
class Place:
    """One directory with alice, bob and somebody who administers; groups are keys as users hold them."""

    directory: Directory
    domain: str
    administrator: str
    ids: Callable[[str], str]
    users: str
    administrators: str
    password_end: str = "-Pass1!"

    def password(self, login: str) -> str:
        return login + self.password_end

    def log_in(self, login: str, password: str | None = None) -> User:
        return self.try_name(f"{self.domain}\\{login}", self.password(login) if password is None else password)

    def try_name(self, name: str, password: str) -> User:
        return self.directory.authenticate(self.directory.account(name), Secret(password))


@pytest.fixture(scope="module")
def authority() -> Authority:
    return Authority()


_REAL = [pytest.mark.integration, pytest.mark.xdist_group("directories")]
_PLACES = [
    "fake",
    "embedded",
    *(
        pytest.param(name, marks=_REAL)
        for name in ("samba, own bind", "samba, service account", "slapd, own bind", "slapd, service account")
    ),
]

_WITH_SERVICE = [
    "fake",
    *(pytest.param(name, marks=_REAL) for name in ("samba, service account", "slapd, service account")),
]


@pytest.fixture(params=_PLACES)
def place(request: pytest.FixtureRequest, authority: Authority, tmp_path: Path) -> Iterator[Place]:
    kind, _, reader = request.param.partition(", ")
    if kind == "samba":
        yield _on_samba(request.getfixturevalue("samba"), reader == "service account")
    elif kind == "slapd":
        yield _on_slapd(request.getfixturevalue("openldap"), reader == "service account")
    elif kind == "fake":
        yield _contoso(FakeDirectory(ALICE, BOB, ADMIN))
    else:
        with EmbeddedDirectory(authority) as embedded:
            yield _contoso(_over_ldap(embedded, tmp_path))


def _contoso(directory: Directory) -> Place:
    ids = {person.user.login_name.split("\\")[1]: person.user.id for person in (ALICE, BOB, ADMIN)}
    return Place(directory, "CONTOSO", "admin", ids.__getitem__, VAULT_USERS, VAULT_ADMINISTRATORS, "-pass")


def _on_samba(samba: SambaController, has_service: bool) -> Place:
    settings = contoso_with_service(samba) if has_service else contoso(samba)
    groups = samba.sid(people.USERS), samba.sid(people.ADMINISTRATORS)
    return Place(directories(settings), "CONTOSO", "carol", samba.sid, *groups)


def _on_slapd(openldap: OpenLdap, has_service: bool) -> Place:
    groups = openldap.dn(people.USERS), openldap.dn(people.IT)
    changed: dict[str, Any] = {"administrator_groups": groups}
    settings = example_with_service(openldap, **changed) if has_service else example(openldap, **changed)
    directory = directories(settings, secret=openldap.service_password)
    return Place(directory, "EXAMPLE", "carol", openldap.entry_uuid, *map(folded_dn, groups))


def _over_ldap(embedded: EmbeddedDirectory, folder: Path) -> Directory:
    ca_file = folder / "ca.pem"
    ca_file.write_text(embedded.ca_pem)
    settings = DirectorySettings(domain="CONTOSO", servers=(embedded.url,), ca_file=str(ca_file))
    return Directories((settings,), None, FakeClock())


@pytest.fixture(params=_PLACES)
def dead_place(request: pytest.FixtureRequest, authority: Authority, tmp_path: Path) -> Place:
    kind, _, reader = request.param.partition(", ")
    if kind == "samba":
        samba = request.getfixturevalue("samba")
        here = _on_samba(samba, reader == "service account")
        samba.stop()
        return here
    if kind == "slapd":
        openldap = request.getfixturevalue("openldap")
        here = _on_slapd(openldap, reader == "service account")
        openldap.stop()
        return here
    if kind == "fake":
        fake = FakeDirectory(ALICE)
        fake.available = False
        return _contoso(fake)
    with EmbeddedDirectory(authority) as embedded:
        return _contoso(_over_ldap(embedded, tmp_path))


class TestDirectory:
    @pytest.mark.parametrize("login", ["alice", "bob"])
    def test_the_right_password_tells_who_it_is(self, place, login):
        user = place.log_in(login)

        names = {"alice": "Alice Adams", "bob": "Bob Brown"}
        assert (user.id, user.login_name, user.display_name, user.email) == (
            place.ids(login),
            f"{place.domain}\\{login}",
            names[login],
            f"{login}@contoso.example",
        )

    def test_groups_are_keys_of_the_settings_and_without_the_user(self, place):
        user = place.log_in(place.administrator)

        assert place.administrators in user.groups
        assert user.id not in user.groups
        assert place.users in place.log_in("alice").groups

    def test_who_is_no_administrator_is_not_in_their_group(self, place):
        assert place.administrators not in place.log_in("alice").groups

    def test_r24_every_spelling_of_a_name_is_the_same_user(self, place):
        domain = place.domain
        spellings = [f"{domain}\\alice", f"{domain.lower()}\\ALICE", f" {domain.title()}\\Alice "]

        users = {place.try_name(spelling, place.password("alice")) for spelling in spellings}

        assert len(users) == 1

    @pytest.mark.parametrize(
        ("name", "password", "causes"),
        [
            ("{domain}\\alice", "bob{end}", {"bad_credentials"}),
            ("{domain}\\alice", "ALICE{END}", {"bad_credentials"}),
            ("{domain}\\alice", "alice{end} ", {"bad_credentials"}),
            # A service account knows it before any bind
            ("{domain}\\nobody", "alice{end}", {"bad_credentials", "no_such_account"}),
            ("FABRIKAM\\alice", "alice{end}", {"foreign_domain"}),
            ("{domain}\\alice", "", {"empty_password"}),
            ("{domain}\\alice", " \t ", {"empty_password"}),
            ("{domain}\\alice", "alice{end}\0", {"malformed_password"}),
            ("{domain}\\alice", "alice\x1b{end}", {"malformed_password"}),
            ("{domain}\\alice", "a" * 257, {"malformed_password"}),
        ],
    )
    def test_r29_every_refusal_has_its_cause_and_the_one_sentence(self, place, name, password, causes):
        end = place.password_end
        with pytest.raises(LoginRefused) as caught:
            place.try_name(name.format(domain=place.domain), password.format(end=end, END=end.upper()))

        assert caught.value.cause in causes
        assert caught.value.message == LoginRefused.message

    def test_a_refusal_does_not_stop_the_next_login(self, place):
        with pytest.raises(LoginRefused):
            place.log_in("alice", "wrong")

        assert place.log_in("alice").login_name == f"{place.domain}\\alice"

    @pytest.mark.parametrize("place", _WITH_SERVICE, indirect=True)
    def test_a_person_is_found_by_id_as_a_login_would_read_them(self, place):
        user = place.log_in("alice")

        assert place.directory.person(user.id) == user

    @pytest.mark.parametrize("place", _WITH_SERVICE, indirect=True)
    def test_r91_a_name_is_whoever_bears_it_today(self, place):
        if isinstance(place.directory, FakeDirectory):
            place.directory.looks_up = True
        alice, asked = place.log_in("alice"), frozenset({place.domain.casefold()})
        for name in (f"{place.domain}\\ALICE", alice.email.upper(), *alice.also_called):
            assert place.directory.called(name) == Called((alice.id,), asked)
        for name in (f"{place.domain.lower()}\\nobody", "nobody@contoso.example"):
            assert place.directory.called(name) == Called((), asked)
        assert place.directory.called("FABRIKAM\\alice") == Called()

    @pytest.mark.parametrize("place", _WITH_SERVICE, indirect=True)
    def test_r91_how_people_stand_tells_what_they_are_called_today(self, place):
        alice = place.log_in("alice")
        standing = place.directory.standings([alice])[alice.id]
        assert standing.user == replace(alice, groups=frozenset())
        assert place.directory.groups(alice, standing) == alice.groups

    @pytest.mark.parametrize("place", _WITH_SERVICE, indirect=True)
    def test_r98_who_is_there_is_not_absent_and_who_is_nowhere_is(self, place):
        user = place.log_in("alice")

        assert place.directory.absence(user, "") == Absence()
        assert place.directory.is_back(user)
        assert place.directory.may_use(user)
        stranger = place.directory.absence(replace(user, id=STRANGERS[user.id.startswith("S-")]), "")
        assert stranger.departure is Departure.DELETED

    @pytest.mark.parametrize(
        "user_id", ["S-1-5-21-1-2-3-4", "00000000-0000-4000-8000-000000000000", "*", "alice", "", "a)(uid=*"]
    )
    def test_nobody_is_found_by_an_id_that_nobody_has(self, place, user_id, request):
        with pytest.raises(LoginRefused) as caught:
            place.directory.person(user_id)

        is_asked = "service account" in request.node.name
        assert caught.value.cause == ("no_such_account" if is_asked else "not_asked")
        assert "password" not in caught.value.message, "no password was asked for"

    def test_a_directory_that_nobody_can_reach_is_unavailable(self, dead_place):
        with pytest.raises(DirectoryUnavailable):
            dead_place.log_in("alice")
