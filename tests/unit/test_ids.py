"""Every kind of person's id that any way in makes, through every act that takes an id."""

from collections.abc import Callable
from dataclasses import replace
from datetime import date

import pytest

from chalicelib.adapters.active_directory import sid, sid_octets
from chalicelib.domain.accounts import new_slot
from chalicelib.domain.assertions import subject_name
from chalicelib.domain.audit import AuditEntry, AuditEvent, AuditFilter, AuditTag, Outcome, Period
from chalicelib.domain.errors import InvalidRequest
from chalicelib.domain.ids import GrantId, PersonId, is_person_id, is_provider_id
from chalicelib.domain.sign_in import SignInSettings
from chalicelib.domain.stop import StopKind
from chalicelib.services.audit import AuditService
from chalicelib.services.stops import StopService
from tests.fakes.services import ORIGIN, AdministeredVault
from tests.fakes.system import FakeRandom
from tests.samples import ADMINISTRATOR, ALICE, GRANT, NOW

TENANT, OID = "aaaabbbb-0000-cccc-1111-dddd2222eeee", "00000000-0000-0000-66f3-3332eca7ea81"
_ENTRA = SignInSettings(
    issuer=f"https://login.microsoftonline.com/{TENANT}/v2.0", client_id="vault", client_secret="secret"
)
_OPENID = SignInSettings(issuer="https://id.example", client_id="vault", client_secret="secret", kind="openid")

IDS = [
    pytest.param(sid(sid_octets("S-1-5-21-1004336348-1177238915-682003330-1101")), id="Active Directory"),
    pytest.param("0f8fad5b-d9cb-469f-a165-70867728950e", id="OpenLDAP"),
    pytest.param("0F8FAD5B-D9CB-469F-A165-70867728950E", id="a directory that writes capitals"),
    pytest.param(_ENTRA.user({"sub": "s", "tid": TENANT, "oid": OID}).id, id="Entra ID"),
    pytest.param(_OPENID.user({"sub": "alice"}).id, id="OpenID"),
]
SLOTS = ["", new_slot(NOW, FakeRandom().token(6)), new_slot(NOW, "-_-_-_-_")]


class World(AdministeredVault):
    def __init__(self) -> None:
        super().__init__()
        self.stops = StopService(
            stops=self.stop_store,
            applications=self.applications,
            providers=self.providers,
            people=self.people,
            audit_log=self.audit_log,
            clock=self.clock,
        )


@pytest.fixture
def world() -> World:
    return World()


@pytest.mark.parametrize("user_id", IDS)
class TestEveryKind:
    def test_it_is_an_id_and_no_name(self, user_id: str) -> None:
        assert is_person_id(user_id)
        assert PersonId.parse(user_id) == user_id
        assert subject_name(user_id) == user_id

    @pytest.mark.parametrize("slot", SLOTS)
    def test_r91_a_grants_id_is_read_back_as_it_was_written(self, user_id: str, slot: str) -> None:
        text = replace(GRANT, user_id=user_id, slot=slot).id
        assert GrantId.parse(text) == GrantId("northwind", PersonId(user_id), slot)
        assert str(GrantId.parse(text)) == text

    @pytest.mark.parametrize("slot", SLOTS)
    @pytest.mark.parametrize("revoke", [False, True])
    def test_a_token_is_found_and_removed_by_its_id(self, world: World, user_id: str, slot: str, revoke: bool) -> None:
        grant = replace(GRANT, user_id=user_id, slot=slot)
        world.grant_store.save(grant, replaces=None)
        assert world.administration.find([grant.id]) == [grant]
        receipt = world.removals.remove(ADMINISTRATOR, [grant.id], ORIGIN, revoke=revoke)
        assert [(cloud.provider_id, cloud.removed) for cloud in receipt.clouds] == [("northwind", 1)]
        assert world.administration.find([grant.id]) == []

    def test_all_of_a_person_is_removed(self, world: World, user_id: str) -> None:
        world.grant_store.save(replace(GRANT, user_id=user_id), replaces=None)
        person = world.administration.person(user_id)
        assert person is not None
        receipt = world.removals.remove_of(ADMINISTRATOR, person, ORIGIN, revoke=False)
        assert [cloud.removed for cloud in receipt.clouds] == [1]

    def test_the_person_is_found_stopped_and_resumed(self, world: World, user_id: str) -> None:
        assert world.people.find(f" {user_id} ").id == user_id
        stop = world.stops.stop(StopKind.PERSON, user_id, "reason", ADMINISTRATOR, ORIGIN)
        assert stop.target == user_id
        world.stops.resume(StopKind.PERSON, user_id, ADMINISTRATOR, ORIGIN)
        assert world.stops.all() == []

    def test_the_audit_log_finds_the_entries_by_its_index(
        self, world: World, user_id: str, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        event = AuditEvent(AuditTag.LOGIN, Outcome.SUCCESS, user_id, ORIGIN, user_id)
        found = {user_id: [AuditEntry("2027-01-15T08:00:00#1", NOW, event)]}
        monkeypatch.setattr(world.audit_log, "of_user", lambda one, **_: iter(found[one]))
        monkeypatch.setattr(world.audit_log, "entries", lambda *_, **__: pytest.fail("the whole log is read"))
        day = Period(date(2027, 1, 15), date(2027, 1, 15))
        page = AuditService(world.audit_log, world.providers, world.clock).page(AuditFilter(user=user_id), day, "")
        assert [entry.event for entry in page.entries] == [event]


@pytest.mark.parametrize(
    "text",
    [
        "",
        "northwind",
        "northwind.",
        f".{ALICE.id}",
        "northwind.alice",
        f"north wind.{ALICE.id}",
        f"northwind.{ALICE.id}.",
        f"northwind.{ALICE.id}.a.b",
        f"northwind.{ALICE.id}.sl ot",
        f"northwind.{ALICE.id}\n",
        f"northwind..{ALICE.id}",
    ],
)
def test_what_is_no_grants_id_is_refused(text: str) -> None:
    with pytest.raises(InvalidRequest):
        GrantId.parse(text)


@pytest.mark.parametrize("check", [is_person_id, is_provider_id])
@pytest.mark.parametrize("text", ["", ".", "a.b", "CONTOSO\\alice", "alice@contoso.example", "a\n", "openid.alice"])
def test_a_name_is_no_id(check: Callable[[str], bool], text: str) -> None:
    assert not check(text)
