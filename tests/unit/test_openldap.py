"""OpenLDAP's people as the vault reads them, entry by entry; tests/contract runs the same against a real slapd."""

from collections.abc import Callable
from typing import Any

import pytest

from chalicelib.adapters.ldap_connection import Entry
from chalicelib.adapters.ldap_directory import LdapDirectory
from chalicelib.adapters.ldap_faults import Fault, ServerFailed
from chalicelib.adapters.openldap import OpenLdap
from chalicelib.adapters.secrets_manager import SecretUnreadable
from chalicelib.domain.directory import DirectorySettings
from chalicelib.domain.errors import DirectoryUnavailable, LoginRefused
from chalicelib.domain.secret import Secret
from chalicelib.domain.throttle import Budget
from chalicelib.domain.user import Account, Departure, LoginName
from tests.samples import NOW

BASE = "dc=contoso"
DN = f"uid=alice,ou=people,{BASE}"
UUID = "00000000-aaaa-1111-bbbb-222222222222"
STAFF, EVERYBODY = f"cn=staff,ou=groups,{BASE}", f"cn=everybody,ou=groups,{BASE}"
ALICE = {"entryUUID": UUID, "uid": "alice", "cn": "Alice Adams", "mail": "alice@contoso.example", "memberOf": STAFF}
ACCOUNT = Account("key", Budget.of(5, 30), LoginName("CONTOSO", "alice"), dn=DN, user_id=UUID)


def entry(dn: str = DN, **changes: str) -> Entry:
    return Entry(dn, {name: [text.encode()] for name, text in (ALICE | changes).items() if text})


class Connection:
    """A bound connection to a directory of these entries; `faults` are raised by reads, one each."""

    def __init__(self, *entries: Entry, identity: str = f"dn:{DN}", faults: tuple[Fault, ...] = ()) -> None:
        self.entries = {one.dn: one for one in entries}
        self.identity = identity
        self.faults = list(faults)
        self.searched: list[str] = []
        self.is_closed = False

    def who_am_i(self) -> str:
        return self.identity

    def read(self, dn: str, _attributes: tuple[str, ...]) -> Entry | None:
        if self.faults:
            raise ServerFailed(self.faults.pop(0))
        return self.entries.get(dn)

    def find(self, _base_dn: str, condition: str, _attributes: tuple[str, ...], **_: int) -> list[Entry]:
        self.searched.append(condition)
        if "member=" in condition:
            return [one for one in self.entries.values() if any(dn in condition for dn in members(one))]
        return [one for one in self.entries.values() if one.text("entryUUID")]

    def allow(self, _limits: object) -> None:
        """Nothing takes time here."""

    def close(self) -> None:
        self.is_closed = True


def members(one: Entry) -> list[str]:
    return [value.decode() for value in one.all("member")]


def described(**settings: Any) -> DirectorySettings:
    usual = {"domain": "CONTOSO", "kind": "openldap", "servers": ("ldaps://ldap.example",), "base_dn": BASE}
    service = {"service_account": f"cn=vault,{BASE}", "service_secret": "vault-directory"}
    return DirectorySettings(**(usual | service | settings))


def dialect(**settings: Any) -> Any:
    return OpenLdap(described(**settings))


class TestNames:
    @pytest.mark.parametrize(
        ("name", "condition", "rank"),
        [
            ("CONTOSO\\alice", "uid=alice", 0),
            ("alice", "uid=alice", 0),
            ("alice@contoso.example", "mail=alice@contoso.example", 2),
            ("CONTOSO\\alice@x", "uid=alice@x", 0),
            ("CONTOSO\\a*)(", "uid=a\\2a\\29\\28", 0),
        ],
    )
    def test_r91_a_uid_is_one_persons_and_a_mail_address_may_be_several_peoples(
        self, name: str, condition: str, rank: int
    ) -> None:
        connection = Connection(entry())
        assert dialect().called(connection, BASE, name) == [(UUID, rank)]
        assert connection.searched == [f"(&(objectClass=person)({condition}))"]

    @pytest.mark.parametrize("changes", [{"uid": ""}, {"uid": "bad"}])
    def test_names_that_cannot_be_read_leave_those_of_before(self, changes: dict[str, str]) -> None:
        odd = entry(**changes)
        values = {name: [b"\xff"] if value == [b"bad"] else value for name, value in odd.values.items()}
        (standing,) = dialect().standings(Connection(Entry(DN, values)), BASE, [UUID], NOW)
        assert (standing.user_id, standing.user, standing.departure) == (UUID, None, None)

    def test_r96_a_display_name_that_is_no_text_costs_nobody_a_name(self) -> None:
        odd = Entry(DN, {**entry().values, "displayName": [b"\xff"]})
        (standing,) = dialect().standings(Connection(odd), BASE, [UUID], NOW)
        assert standing.user is not None
        assert (standing.user.login_name, standing.user.display_name) == ("CONTOSO\\alice", "\ufffd")

    def test_r91_the_plain_name_is_one_where_the_settings_accept_it(self) -> None:
        forms = ("domain", "plain")
        (standing,) = dialect(user_name_forms=forms).standings(Connection(entry()), BASE, [UUID], NOW)
        assert standing.user.also_called == ("alice",)


class TestIdentify:
    def test_r24_the_bound_entry_is_the_user(self) -> None:
        user = dialect().identify(Connection(entry()), BASE, ACCOUNT)
        assert (user.id, user.login_name, user.display_name) == (UUID, "CONTOSO\\alice", "Alice Adams")
        assert user.groups == {STAFF}

    @pytest.mark.parametrize(
        ("connection", "base_dn", "cause"),
        [
            (Connection(entry(), identity=""), BASE, "anonymous_bind"),
            (Connection(entry(), identity=f"dn:uid=bob,{BASE}"), BASE, "other_entry"),
            (Connection(), BASE, "no_entry"),
            (Connection(entry(entryUUID="")), BASE, "no_entry"),
            (Connection(entry()), "dc=elsewhere", "no_entry"),
            (Connection(entry(entryUUID=UUID.replace("2", "3"))), BASE, "other_entry"),
            (Connection(entry(), faults=(Fault.ACCESS_DENIED,)), BASE, "must_change_password"),
        ],
    )
    def test_r24_r25_whoever_is_not_the_bound_entry_is_refused(
        self, connection: Connection, base_dn: str, cause: str
    ) -> None:
        with pytest.raises(LoginRefused) as refusal:
            dialect().identify(connection, base_dn, ACCOUNT)
        assert refusal.value.cause == cause

    def test_a_server_that_fails_is_no_refusal(self) -> None:
        with pytest.raises(ServerFailed):
            dialect().identify(Connection(entry(), faults=(Fault.NO_CONNECTION,)), BASE, ACCOUNT)


class TestGroups:
    def test_a_name_of_another_domain_may_be_an_address(self) -> None:
        connection = Connection(entry())
        dialect().look_up(connection, BASE, LoginName("contoso.example", "alice"))
        dialect().look_up(connection, BASE, LoginName("CONTOSO", "alice"))
        assert ["mail=" in condition for condition in connection.searched if "uid=" in condition] == [True, False]

    def test_r98_an_entry_that_cannot_be_read_is_not_one_without_groups(self) -> None:
        assert dialect().groups(Connection(entry()), DN) == {STAFF}
        for connection in (Connection(), Connection(entry(entryUUID=""))):
            with pytest.raises(ServerFailed) as caught:
                dialect().groups(connection, DN)
            assert caught.value.fault is Fault.INCOMPLETE_ANSWER
        assert dialect().group_dn(Connection(), BASE, "S-1-5-21-1-2-3-4") == ""

    def test_groups_that_contain_each_other_are_found_once(self) -> None:
        staff = Entry(STAFF, {"member": [DN.encode(), EVERYBODY.encode()]})
        everybody = Entry(EVERYBODY, {"member": [STAFF.encode()]})
        searching = dialect(group_search=True)
        assert searching.groups(Connection(entry(), staff, everybody), DN) == {STAFF, EVERYBODY}

    def test_groups_nested_deeper_than_anybody_means_end_somewhere(self, monkeypatch: pytest.MonkeyPatch) -> None:
        monkeypatch.setattr("chalicelib.adapters.openldap._MAX_NESTING", 1)
        staff = Entry(STAFF, {"member": [DN.encode()]})
        everybody = Entry(EVERYBODY, {"member": [STAFF.encode()]})
        assert dialect(group_search=True).groups(Connection(entry(), staff, everybody), DN) == {STAFF}


@pytest.mark.parametrize(
    ("changes", "departure"),
    [
        ({}, None),
        ({"pwdAccountLockedTime": "000001010000Z"}, Departure.DISABLED),
        ({"nsAccountLock": "TRUE"}, Departure.DISABLED),
        ({"pwdEndTime": "20270115080000Z"}, Departure.EXPIRED),
        ({"pwdEndTime": "20270115080001Z"}, None),
    ],
)
def test_who_may_not_log_in_any_more_has_departed(changes: dict[str, str], departure: Departure | None) -> None:
    found = dialect().person(Connection(entry(**changes)), BASE, UUID, NOW)
    assert found is not None
    assert found[1] is departure


class Secrets:
    """Reads one secret, or none."""

    def __init__(self, *, readable: bool = True) -> None:
        self.readable = readable

    def read(self, _name: str, *, anew: bool = False) -> Secret:
        if not self.readable:
            raise SecretUnreadable("ResourceNotFoundException")
        return Secret("service-pass")


class Controllers:
    """Gives each of these connections once."""

    def __init__(self, *connections: Connection) -> None:
        self.connections = list(connections)

    def limits(self) -> None:
        """There are none here."""

    def connect(self, _bind: Callable[[object], None]) -> Connection:
        return self.connections.pop(0)


def directory(*connections: Connection, secrets: Secrets | None = None, **settings: Any) -> Any:
    made: Any = LdapDirectory(described(**settings), secrets or Secrets())  # type: ignore[arg-type]
    made.controllers = Controllers(*connections)
    return made


class TestServiceAccount:
    def test_a_closed_account_is_refused_and_nobody_is_nobody(self) -> None:
        assert directory(Connection()).person(UUID, NOW) is None
        with pytest.raises(LoginRefused, match="administrator") as refusal:
            directory(Connection(entry(nsAccountLock="true"))).person(UUID, NOW)
        assert refusal.value.cause == Departure.DISABLED.value

    def test_a_kept_connection_that_died_is_renewed_and_a_new_one_that_dies_is_the_directorys_trouble(self) -> None:
        kept, second = Connection(entry()), Connection(entry(), faults=(Fault.NO_CONNECTION,))
        asked = directory(kept, Connection(entry()), second)
        asked.groups(DN)
        kept.faults = [Fault.NO_CONNECTION]
        assert asked.groups(DN) == {STAFF}
        assert kept.is_closed
        asked._forget_service()
        with pytest.raises(DirectoryUnavailable):
            asked.groups(DN)
        assert second.is_closed

    def test_a_secret_that_cannot_be_read_is_said_and_nobody_is_bound(self) -> None:
        with pytest.raises(DirectoryUnavailable) as failure:
            directory(Connection(entry()), secrets=Secrets(readable=False)).groups(DN)
        assert "ResourceNotFoundException" in failure.value.detail

    def test_a_group_of_the_settings_that_is_not_there_is_named_in_the_log(
        self, caplog: pytest.LogCaptureFixture
    ) -> None:
        asked = directory(Connection(entry()), allowed_groups=(STAFF,))
        assert asked.groups(DN) == {STAFF}
        (line,) = [line for line in caplog.records if line.message == "directory.group_not_found"]
        assert line.detail == STAFF  # type: ignore[attr-defined]
