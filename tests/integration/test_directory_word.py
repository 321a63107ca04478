"""What a real directory says counts, all of it and nothing else (R97, R98): Samba's AD DC and slapd, and the sweep."""

from itertools import product

import pytest

from chalicelib.domain.distinguished_name import folded_dn
from chalicelib.domain.errors import LoginRefused
from chalicelib.domain.user import Departure
from chalicelib.services.leavers import UNCERTAIN_SECONDS, LeaverService
from tests.directories.people import USERS, Person
from tests.directories.samba import SambaController
from tests.directories.slapd import OpenLdap
from tests.directories.vault import (
    SERVICE,
    contoso_with_service,
    directories,
    example,
    example_with_service,
    log_in,
)
from tests.fakes.services import FakeVault
from tests.fakes.stores import FakeUserStore

pytestmark = [pytest.mark.integration, pytest.mark.xdist_group("directories")]


class Sweep(FakeVault):
    """The leavers' sweep on real directories, with a clock of its own; people are known by their user names."""

    def __init__(self, of) -> None:
        super().__init__()
        self.directory, self.users = of, FakeUserStore()
        self.leavers = LeaverService(
            users=self.users,
            directory=of,
            sessions=self.sessions,
            grant_store=self.grant_store,
            grants=self.grants,
            audit_log=self.audit_log,
            clock=self.clock,
            days=30,
            engine=self.engine,
        )

    def enrol(self, server: SambaController | OpenLdap, *names: str) -> None:
        for name in names:
            user = log_in(self.directory, name, server.passwords[name.partition("\\")[2]])
            self.users.enrol(user, sessions_until=10**12, at=self.clock.now())

    def rounds(self, number: int, *, after: int = 130) -> dict[str, Departure]:
        for _ in range(number):
            self.clock.advance(after)
            self.leavers.sweep()
        return {r.user.login_name.partition("\\")[2]: r.departure for r in self.users.records.values() if r.departure}

    def ask(self, of) -> None:
        """From now on the settings are others."""
        self.directory = self.leavers._directory = of


class TestSamba:
    def sweep(self, samba: SambaController, **changed) -> Sweep:
        world = Sweep(directories(contoso_with_service(samba, **changed)))
        world.enrol(samba, "CONTOSO\\alice", "CONTOSO\\leaver1", "CONTOSO\\leaver2", "CONTOSO\\leaver3")
        return world

    @pytest.mark.parametrize("by", ["sid", "dn"])
    def test_r97_out_of_the_allowed_groups_and_back(self, samba, by):
        world = self.sweep(samba, allowed_groups=(samba.sid(USERS) if by == "sid" else samba.dn(USERS),))
        assert world.rounds(2) == {}
        samba.remove_from_group("leaver1", USERS)
        try:
            assert world.rounds(1) == {"leaver1": Departure.NOT_ALLOWED}
        finally:
            samba.add_to_group("leaver1", USERS)
        assert world.rounds(1) == {}

    def test_r98_an_allowed_group_that_cannot_be_found_ends_nothing(self, samba):
        world = self.sweep(samba, allowed_groups=(samba.dn(USERS),))
        world.directory._of_domain("CONTOSO")._groups = {samba.dn(USERS): None}
        assert world.rounds(3) == {}

    def test_r98_a_deleted_account_is_gone_after_two_looks(self, samba):
        samba.add(Person("gone", "Gina Gone", (USERS,)))
        world = self.sweep(samba)
        world.enrol(samba, "CONTOSO\\gone")
        world.rounds(1)
        samba.delete("gone")
        assert world.rounds(1) == {}
        assert world.rounds(1) == {"gone": Departure.DELETED}

    @pytest.mark.parametrize("base", ["OU=Nowhere,DC=contoso,DC=test", "CN=Computers,DC=contoso,DC=test"])
    def test_r98_a_wrong_base_makes_nobody_deleted(self, samba, base, caplog):
        world = self.sweep(samba)
        world.rounds(1)
        world.ask(directories(contoso_with_service(samba, base_dn=base)))
        assert world.rounds(4, after=UNCERTAIN_SECONDS) == {}
        assert {"leavers.implausible", "leavers.stopped"} & set(caplog.messages)

    def test_r98_a_container_that_cannot_be_read_makes_nobody_deleted(self, samba, caplog):
        unit = samba.add_unit("Hidden")
        samba.add(Person("hidden", "Hilda Hidden", (USERS,)))
        samba.move("hidden", unit)
        world = self.sweep(samba)
        world.enrol(samba, "CONTOSO\\hidden")
        world.rounds(1)
        samba.hide(unit, SERVICE)
        assert world.rounds(4, after=UNCERTAIN_SECONDS) == {}
        assert "directory.container_hidden" in caplog.messages

    def test_r97_who_is_moved_out_of_the_base_is_not_allowed_and_not_deleted(self, samba):
        unit = samba.add_unit("Elsewhere")
        samba.add(Person("mover", "Mona Mover", (USERS,)))
        world = self.sweep(samba, base_dn=f"CN=Users,{samba.base_dn}")
        world.enrol(samba, "CONTOSO\\mover")
        world.rounds(1)
        samba.move("mover", unit)
        assert world.rounds(2) == {"mover": Departure.NOT_ALLOWED}
        samba.delete("mover")

    def test_r98_a_controller_that_has_not_replicated_yet_makes_nobody_deleted(self, samba, second_controller):
        samba.add(Person("newcomer", "Nele Newcomer", (USERS,)))
        world = self.sweep(samba)
        world.enrol(samba, "CONTOSO\\newcomer")
        world.ask(directories(contoso_with_service(samba, servers=(second_controller.ldaps_url, samba.ldaps_url))))
        assert world.rounds(4, after=UNCERTAIN_SECONDS) == {}
        samba.delete("newcomer")

    def test_r98_one_of_two_controllers_alone_is_believed_after_an_hour(self, samba, second_controller):
        samba.add(Person("lost", "Lola Lost", (USERS,)))
        one = contoso_with_service(samba, servers=(samba.ldaps_url, second_controller.ldaps_url))
        world = Sweep(directories(one))
        world.enrol(samba, "CONTOSO\\alice", "CONTOSO\\lost")
        world.rounds(1)
        samba.delete("lost")
        second_controller.stop()
        assert world.rounds(3) == {}
        assert world.rounds(1, after=UNCERTAIN_SECONDS) == {"lost": Departure.DELETED}

    def test_r98_an_account_that_one_controller_has_disabled_stays_out(self, samba, second_controller):
        world = self.sweep(samba)
        samba.disable("leaver2")
        both = (samba.ldaps_url, second_controller.ldaps_url)
        try:
            for servers in (both, both[::-1]) * 3:
                world.ask(directories(contoso_with_service(samba, servers=servers)))
                assert world.rounds(1) == {"leaver2": Departure.DISABLED}
        finally:
            samba.enable("leaver2")
        assert len([event for event in world.audit_log.events if event.user_name == "CONTOSO\\leaver2"]) == 1
        assert world.rounds(1) == {}

    def test_r98_a_changed_password_on_a_controller_that_lags_ends_sessions_once(self, samba, second_controller):
        world = self.sweep(samba)
        record = next(r for r in world.users.records.values() if r.user.login_name.endswith("leaver3"))
        samba.set_password("leaver3", "Another-Pass2!")
        stamps = []
        for controller in (samba, second_controller) * 3:
            world.ask(directories(contoso_with_service(samba, servers=(controller.ldaps_url,))))
            world.rounds(1)
            stamps.append(world.users.records[record.user.id].user.password_stamp)
        assert len(set(stamps)) == 1
        assert stamps[0] != record.user.password_stamp
        samba.set_password("leaver3", "leaver3-Pass1!")

    def test_groups_are_matched_whatever_is_in_their_names(self, samba):
        name = "odd staff"
        samba.add_group(name, common_name='Staff, EU + "Ops" <1> = ; #2')
        samba.add_to_group("alice", name)
        for spelling in (samba.dn(name), _in_hexadecimal(samba.dn(name))):
            one = contoso_with_service(samba, allowed_groups=(spelling,), administrator_groups=(spelling,))
            assert folded_dn(spelling) in log_in(directories(one), "CONTOSO\\alice", "alice-Pass1!").groups
            (report,) = directories(one).check()
            assert report.is_good
            assert "tried with CN=Alice Adams" in str(report.steps)


class TestOpenLdap:
    def of(self, openldap: OpenLdap, **changed):
        return directories(example_with_service(openldap, **changed), secret=openldap.service_password)

    def sweep(self, openldap: OpenLdap, **changed) -> Sweep:
        world = Sweep(self.of(openldap, **changed))
        world.enrol(openldap, "EXAMPLE\\alice", "EXAMPLE\\leaver1", "EXAMPLE\\leaver2", "EXAMPLE\\leaver3")
        return world

    def test_groups_are_matched_whatever_is_in_their_names(self, openldap):
        for name in ("Staff, EU", "C++", "a=b;c", '#1 <"x">', "back\\slash", "Grün"):
            openldap.add_group(name, "alice")
            dn = openldap.dn(name)
            for spelling, group_search in product((dn, dn.upper(), _in_hexadecimal(dn)), (True, False)):
                changed = {"allowed_groups": (spelling,), "administrator_groups": (spelling,)}
                domain = self.of(openldap, group_search=group_search, **changed)
                assert folded_dn(spelling) in log_in(domain, "EXAMPLE\\alice", "alice-Pass1!").groups
                own = directories(example(openldap, group_search=group_search, **changed))
                assert folded_dn(spelling) in log_in(own, "EXAMPLE\\alice", "alice-Pass1!").groups
                with pytest.raises(LoginRefused):
                    log_in(domain, "EXAMPLE\\nogroup", "nogroup-Pass1!")
                (report,) = domain.check()
                assert report.is_good
                assert "tried with uid=alice" in str(report.steps)

    def test_r97_out_of_the_allowed_groups_and_back(self, openldap):
        world = self.sweep(openldap, allowed_groups=(openldap.dn(USERS),))
        assert world.rounds(2) == {}
        openldap.remove_from_group("leaver1", USERS)
        assert world.rounds(1) == {"leaver1": Departure.NOT_ALLOWED}
        openldap.add_to_group("leaver1", USERS)
        assert world.rounds(1) == {}

    def test_r98_memberships_that_cannot_be_read_any_more_end_nothing(self, openldap, caplog):
        world = self.sweep(openldap, allowed_groups=(openldap.dn(USERS),), group_search=False)
        assert world.rounds(1) == {}
        with openldap.configured(access="access to attrs=memberOf by * none"):
            assert world.rounds(3) == {}
        assert "leavers.failed" in caplog.messages
        with openldap.configured(access=f'access to dn.subtree="{openldap.groups_dn}" by * none'):
            world.ask(self.of(openldap, allowed_groups=(openldap.dn(USERS),), group_search=True))
            assert world.rounds(3) == {}
        assert "directory.group_not_found" in caplog.messages

    @pytest.mark.parametrize("limits", ["size=2", "size.hard=2 size.soft=2", "size.unchecked=1"])
    def test_r98_f42_a_search_that_is_cut_by_a_limit_makes_nobody_deleted(self, openldap, limits, caplog):
        world = self.sweep(openldap)
        world.rounds(1)
        with openldap.configured(limits=f'limits dn.exact="{openldap.service_dn}" {limits}'):
            assert world.rounds(4, after=UNCERTAIN_SECONDS) == {}
        assert "leavers.stopped" in caplog.messages

    def test_r98_a_container_that_cannot_be_read_makes_nobody_deleted(self, openldap, caplog):
        unit = openldap.add_unit("hidden")
        openldap.add(Person("hidden", "Hilda Hidden"))
        openldap.move("hidden", unit)
        world = self.sweep(openldap, base_dn=openldap.base_dn)
        world.users.enrol(world.directory.person(openldap.entry_uuid("hidden")), sessions_until=0, at=world.clock.now())
        world.rounds(1)
        with openldap.configured(access=f'access to dn.subtree="{unit}" by * none'):
            assert world.rounds(4, after=UNCERTAIN_SECONDS) == {}
        assert "directory.container_hidden" in caplog.messages
        openldap.delete("hidden")
        assert world.rounds(3) == {}, "nobody else is seen there"
        assert world.rounds(1, after=UNCERTAIN_SECONDS) == {"hidden": Departure.DELETED}

    def test_r98_a_deleted_account_is_gone_after_two_looks(self, openldap):
        openldap.add(Person("gone", "Gina Gone"))
        world = self.sweep(openldap)
        world.enrol(openldap, "EXAMPLE\\gone")
        world.rounds(1)
        openldap.delete("gone")
        assert world.rounds(1) == {}
        assert world.rounds(1) == {"gone": Departure.DELETED}

    def test_a_check_tells_a_group_whose_members_are_not_seen_in_it(self, openldap):
        openldap.add_group("Plain Names", "alice")
        dn = openldap.dn("Plain Names")
        with openldap.configured(access="access to attrs=memberOf by * none"):
            (report,) = self.of(openldap, group_search=False, allowed_groups=(dn,)).check()
            assert [step.code for step in report.steps if step.code] == ["group_not_matched"]
            (report,) = self.of(openldap, group_search=True, allowed_groups=(dn,)).check()
            assert report.is_good


def _in_hexadecimal(dn: str) -> str:
    r"""The same name with `\,` as `\2C`, and the other way round."""
    escaped = {character: f"\\{ord(character):02X}" for character in ',+"<>=;#\\'}
    if "\\2C" in dn or "\\2B" in dn:
        for character, octet in escaped.items():
            dn = dn.replace(octet, f"\\{character}")
        return dn
    for character, octet in escaped.items():
        dn = dn.replace(f"\\{character}", octet)
    return dn
