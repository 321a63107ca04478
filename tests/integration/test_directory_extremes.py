"""What large and old directories, firewalls and half-made accounts do to a log-in, on Samba and slapd."""

from dataclasses import replace
from urllib.parse import urlsplit

import pytest

from chalicelib.adapters.active_directory import sid_octets
from chalicelib.domain.distinguished_name import folded_dn
from chalicelib.domain.errors import LoginRefused
from tests.directories.people import USERS, Person
from tests.directories.relay import Relay
from tests.directories.vault import contoso, contoso_with_service, directories, example, example_with_service, log_in
from tests.samples import SESSION

from .test_directory_word import Sweep

pytestmark = [pytest.mark.integration, pytest.mark.xdist_group("directories")]

OLD_GROUP, OLD_SELF = "S-1-5-21-1111111111-2222222222-333333333-1601", "S-1-5-21-1111111111-2222222222-333333333-1101"


class TestSidHistory:
    """A migrated account carries the SIDs of the account before: they are groups of today, and no identity."""

    def test_r24_who_has_the_sid_of_somebody_before_is_still_who_the_entry_says(self, samba):
        """Samba 4.17 leaves the history out of `tokenGroups`; what Windows does is in tests/unit."""
        samba.add(Person("migrated", "Mina Migrated", (USERS,)))
        samba.change("migrated", sIDHistory=[sid_octets(OLD_SELF), sid_octets(OLD_GROUP)])
        world = Sweep(directories(contoso_with_service(samba)))
        world.enrol(samba, "CONTOSO\\migrated")
        own = log_in(directories(contoso(samba)), "CONTOSO\\migrated", "migrated-Pass1!")
        assert own.id == samba.sid("migrated")
        enrolled = world.users.records[own.id].user
        assert replace(own, also_called=enrolled.also_called) == enrolled, "by other settings the plain name is another"
        assert world.rounds(2) == {}
        assert world.users.records[own.id].user == enrolled
        with pytest.raises(LoginRefused):
            world.directory.person(OLD_SELF)
        samba.delete("migrated")


class TestLargeGroups:
    @pytest.mark.parametrize("members", [3_000, 20_000])
    @pytest.mark.parametrize("group_search", [True, False])
    def test_a_group_of_thousands_is_matched_and_checked(self, openldap, members, group_search):
        name = f"Everybody {members} {group_search}"
        openldap.add_group(name, "alice")
        dn = openldap.dn(name)
        openldap.add_members(dn, [f"uid=nobody{n},{openldap.people_dn}" for n in range(members)])
        one = example_with_service(openldap, allowed_groups=(dn,), group_search=group_search)
        domain = directories(one, secret=openldap.service_password)
        assert folded_dn(dn) in log_in(domain, "EXAMPLE\\alice", "alice-Pass1!").groups
        with pytest.raises(LoginRefused):
            log_in(domain, "EXAMPLE\\nogroup", "nogroup-Pass1!")
        (report,) = domain.check()
        assert report.is_good
        openldap.delete_entry(dn)


class TestFirewall:
    def test_f30_a_kept_connection_that_is_swallowed_is_renewed(self, openldap, monkeypatch):
        with Relay(openldap.host, urlsplit(openldap.ldaps_url).port) as relay:
            one = example_with_service(openldap, servers=(f"ldaps://{openldap.host}:{relay.port}",), answer_seconds=1)
            domain = directories(one, secret=openldap.service_password)
            monkeypatch.setattr("chalicelib.adapters.ldap_connection.resolve", lambda *_: ["127.0.0.1"])
            assert domain.account("EXAMPLE\\alice").user_id
            assert domain.account("EXAMPLE\\bob").user_id
            assert relay.connections == 1
            relay.swallow()
            assert domain.account("EXAMPLE\\alice").user_id == openldap.entry_uuid("alice")
            assert relay.connections == 2


class TestResetPassword:
    def test_r6_an_ordered_change_ends_the_open_sessions_and_refuses_the_next_log_in(self, openldap):
        openldap.add(Person("reset", "Rita Reset"))
        domain = directories(example_with_service(openldap), secret=openldap.service_password)
        world = Sweep(domain)
        user = log_in(domain, "EXAMPLE\\reset", "reset-Pass1!")
        world.users.enrol(user, sessions_until=10**12, at=world.clock.now())
        world.sessions.add(replace(SESSION, id_hash="e" * 64, user=user), 0)
        assert world.rounds(1) == {}
        assert world.sessions.of_user(user.id)
        openldap.must_change_password("reset")
        for of in (domain, directories(example(openldap))):
            with pytest.raises(LoginRefused) as caught:
                log_in(of, "EXAMPLE\\reset", "reset-Pass1!")
            assert caught.value.cause == "must_change_password"
        assert world.rounds(2) == {}, "nobody has left"
        assert world.sessions.of_user(user.id) == []
        openldap.delete("reset")
