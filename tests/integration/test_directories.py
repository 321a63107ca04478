"""The real directories are what other tests take them for: their people, their refusals and their traps."""

import re
import socket
import ssl
import time
from collections.abc import Iterator
from contextlib import contextmanager
from datetime import UTC, datetime, timedelta
from urllib.parse import urlsplit

import pytest
from ldap3 import BASE, NONE, SIMPLE, SUBTREE, Connection, Server, Tls
from ldap3.core.exceptions import LDAPPasswordIsMandatoryError
from ldap3.operation.bind import bind_operation
from ldap3.utils.conv import escape_filter_chars

from tests.directories.people import EVERYDAY, LOCKED, ONLY_ACTIVE_DIRECTORY, REFUSED, SCAN_TEAM, USERS, Person
from tests.directories.samba import LOCKOUT_THRESHOLD, SambaController, sid_text
from tests.directories.slapd import NESTED, OpenLdap

pytestmark = [pytest.mark.integration, pytest.mark.xdist_group("directories")]

WELCOME = [person for person in (*EVERYDAY, *ONLY_ACTIVE_DIRECTORY) if person.login != LOCKED]


class VerifyingTls(Tls):
    """ldap3's own check of names refuses certificates for IP addresses; OpenSSL's does not."""

    def __init__(self, ca_pem: str) -> None:
        super().__init__(validate=ssl.CERT_REQUIRED)
        self._context = ssl.create_default_context(cadata=ca_pem)

    def wrap_socket(self, connection: Connection, do_handshake: bool = False) -> None:
        connection.socket.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
        connection.socket = self._context.wrap_socket(connection.socket, server_hostname=connection.server.host)


@contextmanager
def connected(directory: SambaController | OpenLdap, name: str, password: str, url: str = "") -> Iterator[Connection]:
    """A connection with an attempt to bind behind it, over LDAPS or, for an ldap:// address, StartTLS."""
    where = Server(url or directory.ldaps_url, get_info=NONE, tls=VerifyingTls(directory.ca_pem), connect_timeout=5)
    connection = Connection(
        where, name, password.encode(), authentication=SIMPLE, auto_referrals=False, receive_timeout=10
    )
    try:
        connection.open()
        if not where.ssl:
            assert connection.start_tls()
        connection.bind()
        yield connection
    finally:
        connection.unbind()


def outcome(directory: SambaController, login: str, password: str | None = None, url: str = "") -> str:
    """ "ok", or the sub-code of the refusal."""
    right = directory.passwords.get(login, "")
    with connected(directory, f"{directory.netbios}\\{login}", right if password is None else password, url) as bound:
        if bound.result["result"] == 0:
            return "ok"
        found = re.search(r"\bdata ([0-9a-f]+)", bound.result["message"])
        assert found, bound.result
        return found[1]


def groups_of(directory: SambaController, login: str) -> set[str]:
    """SIDs of all security groups, by the account's own tokenGroups."""
    with connected(directory, f"{directory.netbios}\\{login}", directory.passwords[login]) as bound:
        assert bound.search(directory.dn(login), "(objectClass=*)", BASE, attributes=["tokenGroups"])
        return {sid_text(raw) for raw in bound.response[0]["raw_attributes"]["tokenGroups"]}


def certificate(context: ssl.SSLContext, address: tuple[str, int], timeout: float = 5) -> dict[str, object]:
    with (
        socket.create_connection(address, timeout) as connection,
        context.wrap_socket(connection, server_hostname=address[0]) as secured,
    ):
        return secured.getpeercert()


class TestSamba:
    @pytest.mark.parametrize("person", WELCOME, ids=lambda person: person.login)
    def test_everyday_people_sign_in(self, samba, person):
        assert outcome(samba, person.login) == "ok"

    @pytest.mark.parametrize(("code", "person"), REFUSED.items(), ids=REFUSED)
    def test_a_refusal_says_why_after_the_right_password_only(self, samba, code, person):
        assert outcome(samba, person.login) == code
        assert outcome(samba, person.login, "wrong") == "52e"

    def test_who_is_locked_is_told_so_in_any_case(self, samba):
        assert outcome(samba, LOCKED) == "775"
        assert outcome(samba, LOCKED, "wrong") == "775"

    @pytest.mark.parametrize(("login", "password"), [("alice", "wrong"), ("nobody", "wrong"), ("alice", "bob-Pass1!")])
    def test_wrong_names_and_passwords_are_the_same(self, samba, login, password):
        assert outcome(samba, login, password) == "52e"

    def test_wrong_passwords_are_counted_until_the_account_is_locked(self, samba):
        for count in range(1, LOCKOUT_THRESHOLD + 1):
            assert outcome(samba, "leaver1", "wrong") == "52e"
            assert samba.bad_password_count("leaver1") == count
        assert samba.is_locked("leaver1")
        assert outcome(samba, "leaver1") == "775"

        samba.unlock_all()

        assert outcome(samba, "leaver1") == "ok"
        assert outcome(samba, LOCKED) == "775"

    def test_the_lockout_policy_can_be_read_by_anybody_who_signed_in(self, samba):
        names = ["lockoutThreshold", "lockOutObservationWindow", "lockoutDuration"]
        with connected(samba, "CONTOSO\\nogroup", samba.passwords["nogroup"]) as bound:
            assert bound.search(samba.base_dn, "(objectClass=*)", BASE, attributes=names)
            policy = bound.response[0]["raw_attributes"]

        assert {name: int(policy[name][0]) for name in names} == {
            "lockoutThreshold": 5,
            "lockOutObservationWindow": -18_000_000_000,
            "lockoutDuration": -18_000_000_000,
        }

    @pytest.mark.parametrize("person", [*EVERYDAY, *ONLY_ACTIVE_DIRECTORY], ids=lambda person: person.login)
    def test_people_have_a_sid_of_the_domain_and_their_names(self, samba, person):
        query = f"(sAMAccountName={escape_filter_chars(person.login)})"
        with connected(samba, "CONTOSO\\svc-vault", samba.passwords["svc-vault"]) as bound:
            bound.search(samba.base_dn, query, SUBTREE, attributes=["objectSid", "displayName", "cn", "mail"])
            [entry] = [found for found in bound.response if found["type"] == "searchResEntry"]

        raw = entry["raw_attributes"]
        assert sid_text(raw["objectSid"][0]) == samba.sid(person.login)
        assert samba.sid(person.login).rpartition("-")[0] == samba.sid(USERS).rpartition("-")[0]
        assert [raw[name][0].decode() for name in ("displayName", "cn", "mail")] == [person.name] * 2 + [person.mail]

    @pytest.mark.parametrize(
        ("login", "inside", "outside"),
        [
            ("alice", ["VaultUsers"], ["Scan Team A", "VaultAdmins"]),
            ("bob", ["Scan Team A", "Scanning (EU)", "VaultUsers"], ["VaultAdmins"]),
            ("carol", ["IT", "VaultAdmins"], ["VaultUsers"]),
            ("nogroup", [], ["VaultUsers", "VaultAdmins"]),
            ("loop", ["Loop A", "Loop B"], ["VaultUsers"]),
            ("deep", [*(f"Deep {number}" for number in range(1, 101)), "Deep Top"], ["VaultUsers"]),
        ],
    )
    def test_groups_are_nested(self, samba, login, inside, outside):
        sids = groups_of(samba, login)

        assert {samba.sid(name) for name in inside} <= sids
        assert not {samba.sid(name) for name in outside} & sids

    def test_a_upn_may_differ_from_the_login_or_be_absent(self, samba):
        with connected(samba, "john.smith@corp.example", samba.passwords["jsmith07"]) as bound:
            assert bound.result["result"] == 0
        assert samba.attribute("noupn", "userPrincipalName") == []

    def test_starttls_is_verified_too(self, samba):
        assert outcome(samba, "alice", url=samba.starttls_url) == "ok"

    def test_plain_passwords_are_refused(self, samba):
        where = Server(samba.starttls_url, get_info=NONE)
        connection = Connection(where, "CONTOSO\\alice", samba.passwords["alice"].encode(), authentication=SIMPLE)

        assert not connection.bind()
        assert connection.result["description"] == "strongerAuthRequired"
        connection.unbind()

    def test_the_certificate_names_address_and_host_and_no_other_ca_vouches_for_it(self, samba, second_domain):
        address = (samba.host, 636)
        context = ssl.create_default_context(cadata=samba.ca_pem)
        presented = certificate(context, address)
        assert presented["subjectAltName"] == (("IP Address", samba.host), ("DNS", "dc1.contoso.test"))

        with pytest.raises(ssl.SSLCertVerificationError, match="unable to get local issuer certificate"):
            certificate(ssl.create_default_context(cadata=second_domain.ca_pem), address)

    def test_edits_count_at_once(self, samba):
        samba.add(Person("temporary", "Tom Temporary", (USERS,)))
        edits = {
            "533": (lambda: samba.disable("temporary"), lambda: samba.enable("temporary")),
            "773": (
                lambda: samba.must_change_password("temporary"),
                lambda: samba.set_password("temporary", "New-Pass1!"),
            ),
            "532": (
                lambda: samba.expire_password("temporary"),
                lambda: samba.set_password_moment("temporary", datetime.now(UTC) - timedelta(minutes=1)),
            ),
            "701": (
                lambda: samba.expire_account("temporary"),
                lambda: samba.expire_account("temporary", None),
            ),
            "530": (
                lambda: samba.change("temporary", logonHours=bytes(21)),
                lambda: samba.change("temporary", logonHours=None),
            ),
        }
        for code, (worsen, mend) in edits.items():
            worsen()
            assert outcome(samba, "temporary") == code
            mend()
            assert outcome(samba, "temporary") == "ok", code

        samba.delete("temporary")

        assert outcome(samba, "temporary") == "52e"
        with pytest.raises(LookupError):
            samba.sid("temporary")

    def test_memberships_change_at_once(self, samba):
        samba.remove_from_group("leaver2", USERS)
        assert samba.sid(USERS) not in groups_of(samba, "leaver2")
        samba.add_to_group("leaver2", SCAN_TEAM)
        assert samba.sid(USERS) in groups_of(samba, "leaver2")

    def test_a_new_login_is_the_same_account(self, samba):
        sid = samba.sid("leaver3")

        samba.rename("leaver3", "stayer3")

        assert outcome(samba, "stayer3") == "ok"
        assert outcome(samba, "leaver3", samba.passwords["stayer3"]) == "52e"
        assert samba.sid("stayer3") == sid
        samba.rename("stayer3", "leaver3")

    def test_the_same_login_in_another_domain_is_another_person(self, samba, second_domain):
        assert outcome(second_domain, "alice") == "ok"
        assert second_domain.sid("alice") != samba.sid("alice")
        assert samba.host != second_domain.host

    def test_a_second_controller_has_the_same_people(self, samba, second_controller):
        samba.stop()
        assert outcome(second_controller, "alice") == "ok"
        assert second_controller.sid("alice") == samba.sid("alice")
        assert second_controller.host != samba.host

    def test_a_stopped_controller_refuses_connections_and_a_paused_one_hangs(self, samba):
        samba.stop()
        with pytest.raises(ConnectionRefusedError):
            certificate(ssl.create_default_context(), (samba.host, 636))
        samba.start()
        samba.pause()
        with pytest.raises(TimeoutError):
            certificate(ssl.create_default_context(), (samba.host, 636), timeout=0.5)
        samba.resume()
        assert outcome(samba, "alice") == "ok"

    def test_an_expired_certificate_is_expired(self, samba):
        samba.stop()
        samba.present_certificate(until=datetime.now(UTC) - timedelta(days=1))
        samba.start()
        try:
            with pytest.raises(ssl.SSLCertVerificationError, match="certificate has expired"):
                certificate(ssl.create_default_context(cadata=samba.ca_pem), (samba.host, 636))
        finally:
            samba.stop()
            samba.present_certificate()
        samba.start()
        assert outcome(samba, "alice") == "ok"

    def test_edits_are_quick(self, samba):
        begin = time.perf_counter()
        for _ in range(10):
            samba.change("leaver1", description="again")
            samba.unlock_all()
        assert (time.perf_counter() - begin) / 20 < 0.5


class TestOpenLdap:
    def bind(self, openldap: OpenLdap, uid: str, password: str | None = None, url: str = "") -> str:
        right = openldap.passwords[uid] if password is None else password
        with connected(openldap, openldap.dn(uid), right, url) as bound:
            return str(bound.result["description"])

    @pytest.mark.parametrize(
        "login", ["alice", "bob", "carol", "nogroup", "par(en)", "o'brien", "zoë.müller", "mary ann"]
    )
    def test_everyday_people_sign_in_over_ldaps_and_starttls(self, openldap, login):
        assert self.bind(openldap, login) == "success"
        assert self.bind(openldap, login, url=openldap.starttls_url) == "success"
        assert self.bind(openldap, login, "wrong") == "invalidCredentials"

    @pytest.mark.parametrize("login", [LOCKED, "disabled"])
    def test_who_is_locked_gets_the_answer_to_a_wrong_password(self, openldap, login):
        assert self.bind(openldap, login) == "invalidCredentials"

    def test_who_must_change_the_password_may_do_nothing_else(self, openldap):
        with connected(openldap, openldap.dn("mustchange"), openldap.passwords["mustchange"]) as bound:
            assert bound.result["description"] == "success"
            bound.search(openldap.base_dn, "(uid=alice)")
            assert bound.result["description"] == "insufficientAccessRights"

    def test_an_empty_password_is_welcomed_as_nobody(self, openldap):
        with connected(openldap, openldap.dn("alice"), openldap.passwords["alice"]) as bound:
            with pytest.raises(LDAPPasswordIsMandatoryError):
                bound.rebind(openldap.dn("alice"), "")
            request = bind_operation(3, SIMPLE, openldap.dn("alice"), b"ldap3 makes none without")
            request["authentication"]["simple"] = b""
            answer = bound.post_send_single_response(bound.send("bindRequest", request))

            assert answer[0]["description"] == "success"
            assert bound.extend.standard.who_am_i() in ("", None)

    def test_the_service_account_reads_groups_of_others(self, openldap):
        with connected(openldap, openldap.service_dn, openldap.service_password) as bound:
            assert bound.search(openldap.base_dn, "(uid=bob)", attributes=["memberOf", "mail", "entryUUID"])
            entry = bound.response[0]["raw_attributes"]

        assert entry["memberOf"] == [openldap.dn(SCAN_TEAM).encode()]
        assert entry["mail"] == [b"bob@contoso.example"]
        assert entry["entryUUID"][0].decode() == openldap.entry_uuid("bob")

    def test_a_group_can_be_a_member_of_another(self, openldap):
        assert openldap.attribute(USERS, "memberOf") == [openldap.dn(NESTED).encode()]

    def test_no_password_hash_is_readable(self, openldap):
        with connected(openldap, openldap.service_dn, openldap.service_password) as bound:
            bound.search(openldap.base_dn, "(uid=alice)", attributes=["userPassword"])
            assert bound.response[0]["raw_attributes"]["userPassword"] == []

    def test_edits_count_at_once(self, openldap):
        for login in ("edited", "removed"):
            openldap.add(Person(login, login.title(), (USERS,)))
        openldap.disable("edited")
        assert self.bind(openldap, "edited") == "invalidCredentials"
        openldap.enable("edited")
        openldap.set_password("edited", "New-Pass1!")
        openldap.remove_from_group("edited", USERS)
        assert self.bind(openldap, "edited", "New-Pass1!") == "success"
        assert openldap.attribute("edited", "memberOf") == []
        openldap.delete("removed")
        openldap.delete("edited")
        assert openldap.dn("leaver3").encode() in openldap.attribute(USERS, "member")
        assert not [dn for dn in openldap.attribute(USERS, "member") if b"removed" in dn or b"edited" in dn]

    def test_wrong_passwords_are_counted_and_can_be_forgotten(self, openldap):
        for _ in range(2):
            assert self.bind(openldap, "leaver3", "wrong") == "invalidCredentials"
        assert openldap.bad_password_count("leaver3") == 2

        openldap.unlock_all()

        assert openldap.bad_password_count("leaver3") == 0
        assert openldap.bad_password_count(LOCKED) == 5
        assert self.bind(openldap, "disabled") == "invalidCredentials"

    def test_it_stops_pauses_and_comes_back(self, openldap):
        address = (openldap.host, urlsplit(openldap.ldaps_url).port)
        openldap.pause()
        with pytest.raises(TimeoutError):
            certificate(ssl.create_default_context(), address, timeout=0.5)
        openldap.stop()
        with pytest.raises(ConnectionRefusedError):
            certificate(ssl.create_default_context(), address)
        openldap.start()
        assert self.bind(openldap, "alice") == "success"

    def test_no_other_ca_vouches_for_it(self, openldap):
        address = (openldap.host, urlsplit(openldap.ldaps_url).port)
        assert certificate(ssl.create_default_context(cadata=openldap.ca_pem), address)
        with pytest.raises(ssl.SSLCertVerificationError, match="certificate verify failed"):
            certificate(ssl.create_default_context(), address)
