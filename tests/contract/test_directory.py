"""What every `ports.Directory` promises: run on the fake and on LDAP against the embedded directory."""

from collections.abc import Iterator
from pathlib import Path

import pytest

from chalicelib.adapters.directory import Directories
from chalicelib.domain.directory import DirectorySettings
from chalicelib.domain.errors import DirectoryUnavailable, LoginRefused
from chalicelib.domain.secret import Secret
from chalicelib.domain.user import User
from chalicelib.ports import Directory
from dev.directory import Authority, EmbeddedDirectory
from tests.fakes.directory import ADMIN, ALICE, BOB, VAULT_ADMINISTRATORS, VAULT_USERS, FakeDirectory
from tests.fakes.system import FakeClock


@pytest.fixture(scope="module")
def authority() -> Authority:
    return Authority()


@pytest.fixture(params=["fake", "ldap"])
def directory(request: pytest.FixtureRequest, authority: Authority, tmp_path: Path) -> Iterator[Directory]:
    if request.param == "fake":
        yield FakeDirectory(ALICE, BOB, ADMIN)
        return
    with EmbeddedDirectory(authority) as embedded:
        yield over_ldap(embedded, tmp_path)


def over_ldap(embedded: EmbeddedDirectory, folder: Path) -> Directory:
    ca_file = folder / "ca.pem"
    ca_file.write_text(embedded.ca_pem)
    settings = DirectorySettings(domain="CONTOSO", servers=(embedded.url,), ca_file=str(ca_file))
    return Directories((settings,), None, FakeClock())


def log_in(directory: Directory, name: str, password: str) -> User:
    return directory.authenticate(directory.account(name), Secret(password))


@pytest.fixture(params=["fake", "ldap"])
def dead_directory(request: pytest.FixtureRequest, authority: Authority, tmp_path: Path) -> Directory:
    if request.param == "fake":
        fake = FakeDirectory(ALICE)
        fake.available = False
        return fake
    with EmbeddedDirectory(authority) as embedded:
        return over_ldap(embedded, tmp_path)


class TestDirectory:
    @pytest.mark.parametrize("person", [ALICE, BOB, ADMIN], ids=lambda person: person.user.display_name)
    def test_the_right_password_tells_who_it_is(self, directory, person):
        user = log_in(directory, person.user.login_name, person.password)

        assert (user.id, user.login_name, user.display_name, user.email) == (
            person.user.id,
            person.user.login_name,
            person.user.display_name,
            person.user.email,
        )

    def test_groups_are_sids_with_nested_ones_and_without_the_user(self, directory):
        user = log_in(directory, "CONTOSO\\admin", "admin-pass")

        assert {VAULT_USERS, VAULT_ADMINISTRATORS} <= user.groups
        assert user.id not in user.groups

    def test_who_is_no_administrator_is_not_in_their_group(self, directory):
        user = log_in(directory, "CONTOSO\\alice", "alice-pass")

        assert VAULT_ADMINISTRATORS not in user.groups

    def test_r24_every_spelling_of_a_name_is_the_same_user(self, directory):
        spellings = ["CONTOSO\\alice", "contoso\\ALICE", " Contoso\\Alice "]

        users = {log_in(directory, spelling, "alice-pass") for spelling in spellings}

        assert len(users) == 1

    @pytest.mark.parametrize(
        ("name", "password", "cause"),
        [
            ("CONTOSO\\alice", "bob-pass", "bad_credentials"),
            ("CONTOSO\\alice", "ALICE-PASS", "bad_credentials"),
            ("CONTOSO\\alice", "alice-pass ", "bad_credentials"),
            ("CONTOSO\\nobody", "alice-pass", "bad_credentials"),
            ("FABRIKAM\\alice", "alice-pass", "foreign_domain"),
            ("CONTOSO\\alice", "", "empty_password"),
            ("CONTOSO\\alice", " \t ", "empty_password"),
            ("CONTOSO\\alice", "alice-pass\0", "malformed_password"),
            ("CONTOSO\\alice", "alice\x1bpass", "malformed_password"),
            ("CONTOSO\\alice", "a" * 257, "malformed_password"),
        ],
    )
    def test_r29_every_refusal_has_its_cause_and_the_one_sentence(self, directory, name, password, cause):
        with pytest.raises(LoginRefused) as caught:
            log_in(directory, name, password)

        assert caught.value.cause == cause
        assert caught.value.message == LoginRefused.message

    def test_a_refusal_does_not_stop_the_next_login(self, directory):
        with pytest.raises(LoginRefused):
            log_in(directory, "CONTOSO\\alice", "wrong")

        assert log_in(directory, "CONTOSO\\alice", "alice-pass").login_name == "CONTOSO\\alice"

    def test_a_directory_that_nobody_can_reach_is_unavailable(self, dead_directory):
        with pytest.raises(DirectoryUnavailable):
            log_in(dead_directory, "CONTOSO\\alice", "alice-pass")
