"""What people of Active Directory are called, and whose a name is there, entry by entry."""

from typing import Any

import pytest

from chalicelib.adapters.active_directory import ActiveDirectory, sid_octets
from chalicelib.adapters.directory import Directories
from chalicelib.adapters.ldap_connection import Entry
from chalicelib.domain.directory import DirectorySettings
from chalicelib.domain.user import Called
from tests.fakes.system import FakeClock
from tests.samples import ALICE, BOB, NOW

DN = "CN=alice,DC=contoso"


def entry(user_id: str = ALICE.id, **values: str | bytes) -> Entry:
    named = {"sAMAccountName": "alice", "userAccountControl": "512"} | values
    octets = {name: [value if isinstance(value, bytes) else value.encode()] for name, value in named.items() if value}
    return Entry(DN, {"objectSid": [sid_octets(user_id)], **octets})


class Connection:
    def __init__(self, *entries: Entry) -> None:
        self.entries = entries
        self.searched = ""

    def find(self, _base_dn: str, condition: str, _attributes: object, *, at_most: int) -> list[Entry]:
        self.searched = condition
        return list(self.entries)[: at_most or None]


def described(**settings: Any) -> DirectorySettings:
    usual = {"domain": "CONTOSO", "dns_name": "contoso.example", "servers": ("ldaps://dc",)}
    service = {"service_account": "CONTOSO\\vault", "service_secret": "vault-directory"}
    return DirectorySettings(**(usual | service | settings))


def called(name: str, *entries: Entry) -> tuple[list[tuple[str, int]], str]:
    connection = Connection(*entries)
    found = ActiveDirectory(described()).called(connection, "DC=contoso", name)  # type: ignore[arg-type]
    return found, connection.searched


@pytest.mark.parametrize(
    ("values", "rank"),
    [
        ({"userPrincipalName": "Alice@contoso.example"}, 0),
        ({}, 1),
        ({"sAMAccountName": "other", "mail": "alice@contoso.example"}, 2),
    ],
)
def test_r91_a_principal_name_is_surer_than_the_one_everybody_has_and_that_than_an_address(
    values: dict[str, str], rank: int
) -> None:
    assert called("alice@contoso.example", entry(**values))[0] == [(ALICE.id, rank)]


@pytest.mark.parametrize(
    ("name", "condition"),
    [
        ("CONTOSO\\alice", "(sAMAccountName=alice)"),
        ("alice", "(sAMAccountName=alice)"),
        ("a@contoso.com", "(|(userPrincipalName=a@contoso.com)(mail=a@contoso.com))"),
        (
            "a@contoso.example",
            "(|(userPrincipalName=a@contoso.example)(mail=a@contoso.example)(sAMAccountName=a))",
        ),
        ("CONTOSO\\a*)(", "(sAMAccountName=a\\2a\\29\\28)"),
    ],
)
def test_r28_what_is_asked_for_is_the_name_and_nothing_else(name: str, condition: str) -> None:
    assert called(name)[1] == f"(&(objectClass=user)(!(objectClass=computer)){condition})"


@pytest.mark.parametrize(("forms", "plain"), [(("domain",), ()), (("domain", "plain"), ("alice",))])
def test_r91_people_are_called_by_both_principal_names_and_where_accepted_by_the_plain_one(
    forms: tuple[str, ...], plain: tuple[str, ...]
) -> None:
    dialect = ActiveDirectory(described(user_name_forms=forms))
    connection = Connection(entry(userPrincipalName="a.adams@contoso.com"))
    (standing,) = dialect.standings(connection, "DC=contoso", [ALICE.id], NOW)  # type: ignore[arg-type]
    assert standing.user is not None
    assert standing.user.also_called == ("a.adams@contoso.com", "alice@contoso.example", *plain)


@pytest.mark.parametrize("values", [{"sAMAccountName": ""}, {"sAMAccountName": b"\xff"}])
def test_names_that_cannot_be_read_leave_those_of_before(values: dict[str, Any]) -> None:
    connection = Connection(entry(**values))
    (standing,) = ActiveDirectory(described()).standings(connection, "DC=contoso", [ALICE.id], NOW)  # type: ignore[arg-type]
    assert (standing.user_id, standing.user, standing.departure) == (ALICE.id, None, None)


def test_r96_a_display_name_that_is_no_text_costs_nobody_a_name() -> None:
    connection = Connection(entry(displayName=b"\xff"))
    (standing,) = ActiveDirectory(described()).standings(connection, "DC=contoso", [ALICE.id], NOW)  # type: ignore[arg-type]
    assert standing.user is not None
    assert (standing.user.login_name, standing.user.display_name) == ("CONTOSO\\alice", "\ufffd")


class TestSeveralDirectories:
    @pytest.fixture
    def directories(self, monkeypatch: pytest.MonkeyPatch) -> Directories:
        """CONTOSO and FABRIKAM can be asked, TAILSPIN cannot."""
        plain = described(domain="FABRIKAM", user_name_forms=("domain", "plain"))
        mute = DirectorySettings(domain="TAILSPIN", servers=("ldaps://dc",))
        made = Directories((described(), plain, mute), None, FakeClock())  # type: ignore[arg-type]
        answers = {"CONTOSO": [(ALICE.id, 2)], "FABRIKAM": [(BOB.id, 0), ("S-1-5-21-9", 2)]}

        class Asked:
            def __init__(self, domain: str) -> None:
                self.domain = domain

            def called(self, _name: str) -> list[tuple[str, int]]:
                return answers[self.domain]

        monkeypatch.setattr(made, "_of_domain", Asked)
        return made

    def test_r91_each_is_asked_that_may_have_the_name_and_the_surest_counts(self, directories: Directories) -> None:
        both = frozenset({"contoso", "fabrikam"})
        assert directories.called("a@contoso.example") == Called((BOB.id,), both)
        assert directories.called("contoso\\alice") == Called((ALICE.id,), frozenset({"contoso"}))
        assert directories.called("alice") == Called((BOB.id,), frozenset({"fabrikam"}))
        assert directories.called("TAILSPIN\\alice") == Called()
