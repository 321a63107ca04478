"""dev/directory: the dialect of Active Directory that a log-in relies on, spoken to with ldap3 as a client."""

import contextlib
import json
import os
import signal
import socket
import ssl
import subprocess
import sys
import time
import uuid
from collections.abc import Callable, Iterator
from pathlib import Path

import ldap3
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from ldap3.core.exceptions import LDAPException

from dev.directory import Authority, EmbeddedDirectory
from dev.directory.accounts import Accounts
from dev.directory.ber import Malformed, integer, octets, read, sequence
from dev.directory.filters import IN_CHAIN
from dev.directory.server import MAX_MESSAGE
from dev.directory.session import Session
from dev.directory.tree import ANONYMOUS, EVERYONE, Tree, sid_bytes
from tests.fakes.directory import ALICE, VAULT_ADMINISTRATORS

BASE = "DC=contoso,DC=example"
PEOPLE = f"OU=People,{BASE}"
ADELE = f"CN=Adele Admin,{PEOPLE}"
WHO_AM_I = "1.3.6.1.4.1.4203.1.11.3"


@pytest.fixture(scope="module")
def authority() -> Authority:
    return Authority()


@pytest.fixture
def directory(authority) -> Iterator[EmbeddedDirectory]:
    with EmbeddedDirectory(authority, lockout_seconds=0.2) as running:
        yield running


@pytest.fixture(scope="module")
def searching() -> Callable[[bytes], list[bytes]]:
    """Evaluates a raw filter in a session of alice's, without a network."""
    tree = Tree.load()
    session = Session(tree, Accounts(tree, threshold=5, lockout_seconds=1))

    def answers(operation: bytes) -> list[bytes]:
        return list(session.answers(read(sequence([integer(1), operation]))[0]))

    def search(condition: bytes) -> list[bytes]:
        fields = [octets(BASE), b"\n\1\2", b"\n\1\0", integer(0), integer(0), b"\1\1\0", condition, sequence([])]
        return answers(sequence(fields, 0x63))

    answers(sequence([integer(3), octets("CONTOSO\\alice"), octets("alice-pass", 0x80)], 0x60))
    return search


class QuickTls(ldap3.Tls):
    """ldap3's own loads the system's CAs and waits for Nagle's algorithm: 60 ms for each of these tests."""

    def __init__(self, ca_pem: str) -> None:
        super().__init__(validate=ssl.CERT_REQUIRED)
        self.context = ssl.create_default_context(cadata=ca_pem)

    def wrap_socket(self, connection: ldap3.Connection, do_handshake: bool = False) -> None:
        connection.socket.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
        connection.socket = self.context.wrap_socket(connection.socket, server_hostname=connection.server.host)


@contextlib.contextmanager
def connected(directory: EmbeddedDirectory, user: str = "", password: str = "") -> Iterator[ldap3.Connection]:
    server = ldap3.Server(directory.url, tls=QuickTls(directory.ca_pem), get_info=ldap3.NONE, mode=ldap3.IP_V4_ONLY)
    kind = ldap3.SIMPLE if user else ldap3.ANONYMOUS
    connection = ldap3.Connection(server, user or None, password or None, authentication=kind, auto_referrals=False)
    connection.bind()
    try:
        yield connection
    finally:
        with contextlib.suppress(LDAPException):  # the directory may have hung up
            connection.unbind()
        if connection.socket is not None:
            connection.socket.close()


@pytest.fixture
def alice(directory) -> Iterator[ldap3.Connection]:
    with connected(directory, "CONTOSO\\alice", "alice-pass") as connection:
        yield connection


def bind(directory: EmbeddedDirectory, user: str, password: str) -> str:
    """`ok`, or the sub-code of the refusal."""
    with connected(directory, user, password) as connection:
        if connection.result["result"] == 0:
            return "ok"
        assert connection.result["result"] == 49
        text = connection.result["message"]
        assert text.startswith("80090308: LdapErr: DSID-0C090447, comment: AcceptSecurityContext error, data ")
        return text.split("data ")[1].split(",")[0]


def names(connection: ldap3.Connection) -> set[str]:
    return {found["raw_attributes"]["sAMAccountName"][0].decode() for found in connection.response}


class TestBind:
    @pytest.mark.parametrize(
        ("user", "outcome"),
        [
            ("CONTOSO\\alice", "ok"),
            ("contoso\\ALICE", "ok"),
            ("alice@contoso.example", "ok"),
            (f"CN=Alice Adams,{PEOPLE}", "ok"),
            (f"cn=alice adams, ou=people, {BASE.lower()}", "ok"),
            ("FABRIKAM\\alice", "52e"),
            ("alice", "52e"),
            ("alice@fabrikam.example", "52e"),
            ("CONTOSO\\alice ", "52e"),
            ("CONTOSO\\Vault Users", "52e"),
            (f"CN=Vault Users,OU=Groups,{BASE}", "52e"),
        ],
    )
    def test_name_forms(self, directory, user, outcome):
        assert bind(directory, user, "alice-pass") == outcome

    @pytest.mark.parametrize(
        ("login", "right", "wrong"),
        [
            ("nightly", "530", "52e"),
            ("elsewhere", "531", "52e"),
            ("expired", "532", "52e"),
            ("disabled", "533", "52e"),
            ("leaver", "701", "52e"),
            ("mustchange", "773", "52e"),
            ("locked", "775", "775"),
        ],
    )
    def test_states_show_after_the_right_password_only_but_for_the_lock(self, directory, login, right, wrong):
        assert bind(directory, f"CONTOSO\\{login}", f"{login}-pass") == right
        assert bind(directory, f"CONTOSO\\{login}", "wrong") == wrong

    def test_five_wrong_passwords_lock_the_account_for_a_while(self, directory):
        assert [bind(directory, "CONTOSO\\bob", "wrong") for _ in range(6)] == ["52e"] * 5 + ["775"]
        assert bind(directory, "CONTOSO\\bob", "bob-pass") == "775"
        assert bind(directory, "CONTOSO\\alice", "alice-pass") == "ok"
        time.sleep(0.25)
        assert bind(directory, "CONTOSO\\bob", "bob-pass") == "ok"

    def test_a_right_password_forgives_the_wrong_ones(self, directory):
        for _ in range(2):
            assert [bind(directory, "CONTOSO\\bob", "wrong") for _ in range(4)] == ["52e"] * 4
            assert bind(directory, "CONTOSO\\bob", "bob-pass") == "ok"

    def test_a_name_without_a_password_succeeds_as_nobody(self, directory):
        with connected(directory) as connection:
            request = sequence([integer(3), octets("CONTOSO\\alice"), octets("", 0x80)], 0x60)
            connection.socket.sendall(sequence([integer(9), request]))
            answer = connection.socket.recv(1000)
            connection.extended(WHO_AM_I)

        assert answer == sequence([integer(9), sequence([b"\n\1\0", octets(""), octets("")], 0x61)])
        assert not connection.result["responseValue"]

    def test_after_a_failed_bind_the_connection_is_anonymous(self, alice):
        assert not alice.rebind("CONTOSO\\bob", "wrong", authentication=ldap3.SIMPLE)
        alice.search(BASE, "(objectClass=*)")

        assert alice.result["result"] == 1
        assert "successful bind must be completed" in alice.result["message"]

    def test_who_am_i(self, alice):
        alice.extended(WHO_AM_I)

        assert alice.result["responseValue"] == b"u:CONTOSO\\alice"

    def test_other_ways_to_bind_and_to_extend_are_refused(self, alice):
        alice.extended("1.3.6.1.4.1.1466.20037")
        assert alice.result["result"] == 2
        alice.rebind("x", "y", authentication=ldap3.SASL, sasl_mechanism="PLAIN", sasl_credentials=(None, "x", "y"))
        assert alice.result["result"] == 7

    def test_older_protocols_are_refused(self, directory):
        with connected(directory) as connection:
            connection.version = 2
            connection.bind()

        assert connection.result["result"] == 2


class TestSearch:
    @pytest.mark.parametrize(
        ("condition", "found"),
        [
            ("(sAMAccountName=ALICE)", {"alice"}),
            ("(sAMAccountName=*)", None),
            ("(sAMAccountName=ali*)", {"alice"}),
            ("(sAMAccountName=*ice)", {"alice"}),
            ("(sAMAccountName=a*i*e)", {"alice"}),
            ("(displayName=*ül*)", {"zoë.müller"}),
            ("(sAMAccountName=a*i*n*n)", set()),
            ("(sAMAccountName~=bob)", {"bob"}),
            ("(displayName=O'Brien, Sean \\28Dublin\\29)", {"o'brien"}),
            ("(&(objectClass=user)(|(sAMAccountName=alice)(sAMAccountName=bob)))", {"alice", "bob"}),
            ("(&(objectClass=user)(!(mail=*)))", {"o'brien", "svc-vault"}),
            ("(&(objectClass=user)(sAMAccountName>=o)(sAMAccountName<=p))", {"o'brien"}),
            ("(userAccountControl>=514)", {"disabled"}),
            ("(pwdLastSet<=0)", {"mustchange"}),
            (f"(memberOf=CN=Vault Administrators,OU=Groups,{BASE})", {"IT Operations"}),
            (f"(memberOf:{IN_CHAIN}:=CN=Vault Administrators,OU=Groups,{BASE})", {"IT Operations", "admin"}),
            (f"(member:{IN_CHAIN}:={ADELE})", {"IT Operations", "Vault Administrators", "Vault Users"}),
            (f"(member={ADELE})", {"IT Operations", "Vault Users"}),
            (f"(member:{IN_CHAIN}:=CN=Nobody)", set()),
            (f"(manager:{IN_CHAIN}:={ADELE})", set()),
            ("(objectClass=nothing)", set()),
        ],
    )
    def test_filters(self, alice, condition, found):
        alice.search(BASE, condition, attributes=["sAMAccountName"])

        assert alice.result["result"] == 0
        assert names(alice) == found if found is not None else len(alice.response) == 17

    @pytest.mark.parametrize(
        ("base", "scope", "count"),
        [
            (BASE, ldap3.BASE, 1),
            (BASE, ldap3.LEVEL, 2),
            (BASE, ldap3.SUBTREE, 20),
            (PEOPLE, ldap3.LEVEL, 13),
            (ADELE, ldap3.SUBTREE, 1),
        ],
    )
    def test_scopes(self, alice, base, scope, count):
        alice.search(base, "(objectClass=*)", scope)

        assert len(alice.response) == count

    def test_a_base_that_is_not_there(self, alice):
        alice.search(f"OU=Nowhere,{BASE}", "(objectClass=*)")

        assert alice.result["result"] == 32

    def test_no_more_entries_than_asked_for(self, alice):
        alice.search(BASE, "(objectClass=user)", size_limit=2)

        assert len(alice.response) == 2
        assert alice.result["result"] == 4

    def test_identifiers_are_binary_and_always_the_same(self, alice):
        alice.search(BASE, "(sAMAccountName=alice)", attributes=["objectSid", "objectGUID"])
        attributes = alice.response[0]["raw_attributes"]

        assert attributes["objectSid"] == [sid_bytes(ALICE.user.id)]
        assert str(uuid.UUID(bytes_le=attributes["objectGUID"][0])) == "56fe3aab-ea6f-512c-ab47-5666711f9d61"

    def test_passwords_are_not_there_to_read(self, alice):
        alice.search(BASE, "(objectClass=*)", attributes=["*", "userPassword", "unicodePwd"])

        assert "-pass" not in str(alice.response)

    def test_anonymous_clients_read_the_root_only(self, directory):
        with connected(directory) as connection:
            connection.search("", "(objectClass=*)", ldap3.BASE, attributes=["*"])
            root = connection.response[0]["raw_attributes"]
            connection.search(BASE, "(objectClass=*)", ldap3.BASE)

        assert root["defaultNamingContext"] == [BASE.encode()]
        assert root["tokenGroups"] == [sid_bytes(ANONYMOUS), sid_bytes(EVERYONE)]
        assert connection.result["result"] == 1


class TestTokenGroups:
    def test_on_the_root_they_tell_who_is_bound_and_all_groups(self, directory):
        with connected(directory, "CONTOSO\\admin", "admin-pass") as connection:
            connection.search("", "(objectClass=*)", ldap3.BASE, attributes=["tokenGroups"])
            token = connection.response[0]["raw_attributes"]["tokenGroups"]

        assert {sid_bytes(VAULT_ADMINISTRATORS), sid_bytes(f"{ALICE.user.id[:-4]}1103")} <= set(token)
        assert sid_bytes(f"{ALICE.user.id[:-4]}513") in token

    def test_on_an_entry_they_are_constructed_for_who_asks_at_the_base(self, alice):
        alice.search(ADELE, "(objectClass=*)", ldap3.BASE, attributes=["tokenGroups"])
        assert len(alice.response[0]["raw_attributes"]["tokenGroups"]) == 4

        alice.search(ADELE, "(objectClass=*)", ldap3.BASE, attributes=["*"])
        assert "tokenGroups" not in alice.response[0]["raw_attributes"]

        alice.search(BASE, "(sAMAccountName=admin)", attributes=["tokenGroups"])
        assert (alice.response, alice.result["result"]) == ([], 1)

    def test_groups_in_a_circle_do_no_harm(self):
        groups = [{"rid": 1, "name": "A", "members": ["B"]}, {"rid": 2, "name": "B", "members": ["A", "eve"]}]
        people = [{"rid": 3, "login": "eve", "name": "Eve", "password": "x"}]
        tree = Tree(
            {"dns_name": "c.example", "netbios_name": "C", "sid": "S-1-5-21-1-2-3", "people": people, "groups": groups}
        )

        assert {group.text("cn") for group in tree.groups_of(tree.by_account_name("eve"))} == {"A", "B"}


class TestServer:
    def test_it_is_read_only(self, alice):
        results = []
        for change in (
            lambda: alice.add(f"CN=x,{PEOPLE}", "user"),
            lambda: alice.modify(ADELE, {"mail": [(ldap3.MODIFY_REPLACE, ["x"])]}),
            lambda: alice.modify_dn(ADELE, "CN=x"),
            lambda: alice.delete(ADELE),
            lambda: alice.compare(ADELE, "mail", "x"),
        ):
            change()
            results.append(alice.result["result"])

        assert results == [53] * 5

    @pytest.mark.parametrize(
        "garbage",
        [
            b"GET / HTTP/1.1\r\nHost: localhost\r\nUser-Agent: a program that speaks something else\r\n\r\n",
            b"0\x80\0\0",
            b"0\x84\xff\xff\xff\xff",
            b"0\x83" + (MAX_MESSAGE + 1).to_bytes(3, "big"),
            b"0\x89" + b"\xff" * 9,
            sequence([]),
            sequence([integer(1), sequence([], 0x60)]),
            sequence([integer(1), sequence([], 0x63)]),
            sequence([integer(1), octets("", 0x7F)]),
            sequence([integer(1), sequence([integer(3), octets(b"\xff"), octets("x", 0x80)], 0x60)]),
        ],
    )
    def test_garbage_ends_its_own_session_only(self, directory, alice, garbage):
        with connected(directory) as connection:
            connection.socket.settimeout(2)
            connection.socket.sendall(garbage)
            with contextlib.suppress(ConnectionError):  # a reset is as good an end as an orderly one
                assert connection.socket.recv(100) == b""

        assert alice.search(BASE, "(sAMAccountName=alice)")

    @settings(deadline=None, max_examples=40)
    @given(condition=st.binary(max_size=40))
    def test_any_filter_is_answered_or_ends_the_session(self, searching, condition):
        with contextlib.suppress(Malformed):
            searching(condition)

    @pytest.mark.parametrize(
        "condition",
        [
            octets("x", 0xAF),
            sequence([octets("mail", 0x87), octets("mail", 0x87)], 0xA2),
            sequence([octets("mail")], 0xA3),
            sequence([octets("mail", 0x82), octets("x", 0x83)], 0xA9),
            sequence([octets("2.5.13.2", 0x81), octets("mail", 0x82), octets("x", 0x83)], 0xA9),
        ],
        ids=["unknown", "not of two", "no value", "no rule", "other rule"],
    )
    def test_a_filter_that_is_none_is_refused(self, searching, condition):
        with pytest.raises(Malformed):
            searching(condition)

    def test_a_filter_nested_beyond_reason_is_refused(self, searching):
        condition = octets("objectClass", 0x87)
        for _ in range(60):
            condition = sequence([condition], 0xA2)

        with pytest.raises(Malformed, match="nested too deeply"):
            searching(condition)

    def test_plain_text_gets_no_answer(self, directory):
        host, port = directory.url.removeprefix("ldaps://").split(":")
        with socket.create_connection((host, int(port)), timeout=2) as plain:
            plain.sendall(sequence([integer(1), sequence([integer(3), octets(""), octets("", 0x80)], 0x60)]))
            with contextlib.suppress(ConnectionResetError):
                answer = plain.recv(100)
                assert answer[:1] in (b"", b"\x15")  # a TLS alert

    def test_a_message_may_come_in_pieces(self, directory):
        with connected(directory) as connection:
            message = sequence([integer(1), sequence([integer(3), octets(""), octets("", 0x80)], 0x60)])
            for octet in message:
                connection.socket.sendall(bytes([octet]))

            assert connection.socket.recv(100).startswith(b"0\x0c\x02\x01\x01a")


class TestProgram:
    @pytest.fixture
    def program(self, tmp_path) -> Iterator[subprocess.Popen[bytes]]:
        command = [sys.executable, "-m", "dev.directory", "--port", "0", "--folder", str(tmp_path)]
        with subprocess.Popen(  # noqa: S603 - our own program
            command, stdin=subprocess.PIPE, stdout=subprocess.PIPE, stderr=subprocess.PIPE
        ) as process:
            yield process
            process.kill()

    def test_it_says_in_one_line_where_it_listens_and_ends_with_its_input(self, program, tmp_path):
        ready = json.loads(program.stdout.readline())
        tls = ssl.create_default_context(cafile=ready["ca_file"])
        port = int(ready.pop("url").removeprefix("ldaps://localhost:"))
        with (
            socket.create_connection(("127.0.0.1", port)) as plain,
            tls.wrap_socket(plain, server_hostname="localhost"),
        ):
            pass

        assert ready == {
            "ready": True,
            "ca_file": str(tmp_path / "ca.pem"),
            "people": str(tmp_path / "people.json"),
            "administrator_group": VAULT_ADMINISTRATORS,
            "domain": "CONTOSO",
            "dns_name": "contoso.example",
        }
        assert program.communicate(timeout=5) == (b"", b"")
        assert program.returncode == 0

    @pytest.mark.parametrize("number", [signal.SIGTERM, signal.SIGINT])
    def test_a_signal_ends_it_quietly(self, program, number):
        program.stdout.readline()
        os.kill(program.pid, number)

        assert program.wait(timeout=5) == 0
        assert program.stderr.read() == b""

    def test_no_private_key_is_left_behind(self, program, tmp_path):
        program.stdout.readline()

        assert sorted(path.name for path in Path(tmp_path).iterdir()) == ["ca.pem", "people.json"]
        assert "PRIVATE" not in (tmp_path / "ca.pem").read_text()
