"""Who could get whose token, and what people block for themselves."""

from dataclasses import replace
from typing import Any

import pytest

from chalicelib.domain.audit import AuditEvent, AuditTag, Outcome
from chalicelib.domain.client_application import ApplicationKey, ClientApplication, Whose
from chalicelib.domain.errors import NotFound
from chalicelib.domain.grant import GrantState
from chalicelib.domain.release import Obstacle
from chalicelib.domain.stop import ALL, Block, Stop, StopKind
from chalicelib.domain.user import Departure
from chalicelib.services import reach
from chalicelib.services.people import PeopleService
from chalicelib.services.reach import OwnApplication, ReachService
from tests.fakes.services import ORIGIN, FakeVault
from tests.samples import ADMINISTRATOR, ALICE, APPLICATION, BOB, GRANT, NOW, OTHER_ACCOUNT, PROVIDER, RULE

KEY = ApplicationKey("k1", "ES256", {"kty": "EC"}, NOW)
SCANNER = replace(APPLICATION, keys=(KEY,))
ROBOT = replace(SCANNER, id="robot", name="Archive robot")


class World(FakeVault):
    def __init__(self) -> None:
        super().__init__()
        self.users.enrol(ALICE, sessions_until=NOW, at=NOW)
        self.grant_store.save(GRANT, replaces=None)
        self.applications.add(SCANNER)
        self.service = ReachService(
            applications=self.applications,
            providers=self.providers,
            grants=self.grant_store,
            stops=self.stop_store,
            health=self.grant_store.health,
            people=PeopleService(self.aliases, self.users, self.directory, self.clock),
            audit_log=self.audit_log,
            clock=self.clock,
        )

    def change(self, application: ClientApplication) -> None:
        self.applications.applications[application.id] = application

    def obstacles(self) -> tuple[Obstacle, ...]:
        (found,) = self.service.who_could_get(ALICE.id, "northwind").reaches
        assert found.could_fetch == (not found.obstacles)
        return found.obstacles

    def own(self) -> list[OwnApplication]:
        return self.service.own(ALICE)

    def release(self, client_id: str, name: str, user_id: str = ALICE.id) -> None:
        event = AuditEvent(
            AuditTag.TOKEN_RELEASED, Outcome.SUCCESS, client_id, ORIGIN, user_id, "northwind", actor_name=name
        )
        self.audit_log.record(event)


@pytest.fixture
def world() -> World:
    return World()


class TestWhoCouldGet:
    def test_names_the_application_and_the_rules_that_fit(self, world: World) -> None:
        other = replace(RULE, provider_id="other")
        nobody = replace(RULE, whose=Whose(users=frozenset({BOB.id})))
        world.change(replace(SCANNER, rules=(other, RULE, nobody)))
        answer = world.service.who_could_get(ALICE.id, "northwind")
        assert (answer.person.name, answer.provider.name, answer.grants) == (
            ALICE.login_name,
            "Northwind Cloud",
            (GRANT,),
        )
        (found,) = answer.reaches
        assert (found.application.id, found.rules, found.could_fetch) == ("scanner", (RULE,), True)

    def test_r74_an_application_without_a_rule_is_not_among_them(self, world: World) -> None:
        world.change(replace(SCANNER, rules=(replace(RULE, whose=Whose(groups=frozenset({"S-1-5-9"}))),)))
        assert world.service.who_could_get(ALICE.id, "northwind").reaches == ()
        world.change(replace(SCANNER, rules=(replace(RULE, whose=Whose(groups=ALICE.groups)),)))
        assert world.obstacles() == ()

    @pytest.mark.parametrize(
        ("stop", "expected"),
        [
            ((StopKind.EVERYTHING, ALL), Obstacle.EVERYTHING_STOPPED),
            ((StopKind.PROVIDER, "northwind"), Obstacle.PROVIDER_STOPPED),
            ((StopKind.PERSON, ALICE.id), Obstacle.PERSON_STOPPED),
        ],
    )
    def test_a_stop_is_named(self, world: World, stop: tuple[StopKind, str], expected: Obstacle) -> None:
        world.stop_store.add(Stop(*stop, "reason", NOW, ADMINISTRATOR))
        assert world.obstacles() == (expected,)

    def test_stops_of_others_are_not(self, world: World) -> None:
        world.stop_store.add(Stop(StopKind.PROVIDER, "other", "reason", NOW, ADMINISTRATOR))
        world.stop_store.add(Stop(StopKind.PERSON, BOB.id, "reason", NOW, ADMINISTRATOR))
        world.stop_store.block(Block(ALICE.id, "robot", NOW))
        world.stop_store.block(Block(BOB.id, "scanner", NOW))
        assert world.obstacles() == ()

    @pytest.mark.parametrize(
        ("application", "expected"),
        [
            (SCANNER.stopped("x", NOW), Obstacle.APPLICATION_STOPPED),
            (replace(SCANNER, keys=()), Obstacle.NO_PROOF),
            (replace(SCANNER, keys=(replace(KEY, expires_at=NOW),)), Obstacle.NO_PROOF),
            (replace(SCANNER, rules=(replace(RULE, scopes=("openid",)),)), Obstacle.CEILING),
        ],
    )
    def test_what_the_application_lacks_is_named(
        self, world: World, application: ClientApplication, expected: Obstacle
    ) -> None:
        world.change(application)
        assert world.obstacles() == (expected,)

    def test_what_the_person_did_is_named(self, world: World) -> None:
        world.service.block(ALICE, "scanner", ORIGIN)
        assert world.obstacles() == (Obstacle.BLOCKED_BY_PERSON,)
        world.service.unblock(ALICE, "scanner", ORIGIN)
        for state, expected in (
            (GrantState.NEEDS_REAUTHORIZATION, Obstacle.NEEDS_REAUTHORIZATION),
            (GrantState.REMOVED, Obstacle.NOT_AUTHORIZED),
        ):
            world.grant_store.grants[ALICE.id, "northwind", 1, ""] = replace(GRANT, state=state)
            assert world.obstacles() == (expected,)
        world.grant_store.grants.clear()
        assert world.obstacles() == (Obstacle.NOT_AUTHORIZED,)

    @pytest.mark.parametrize(
        ("changes", "expected"),
        [
            ({"enabled": False}, Obstacle.PROVIDER_DISABLED),
            ({"is_deleted": True}, Obstacle.PROVIDER_DELETED),
            ({"visible_to": ("S-1-5-9",)}, Obstacle.PROVIDER_HIDDEN),
            ({"authorize_again_since": NOW}, Obstacle.PERMISSIONS_CHANGED),
        ],
    )
    def test_r105_what_the_provider_says_is_named_and_keeps_it_from_the_persons_list(
        self, world: World, changes: dict[str, Any], expected: Obstacle
    ) -> None:
        assert world.own() != []
        world.providers.providers["northwind"] = replace(PROVIDER, **changes)
        assert world.obstacles() == (expected,)
        assert world.own() == []

    def test_r105_a_later_account_counts(self, world: World) -> None:
        later = replace(GRANT, slot="0065a", account=OTHER_ACCOUNT)
        world.grant_store.save(later, replaces=None)
        removed = GRANT.removed(NOW)
        world.grant_store.grants[ALICE.id, "northwind", 1, ""] = removed
        answer = world.service.who_could_get(ALICE.id, "northwind")
        assert answer.grants == (later,)
        assert [one.accounts for one in answer.reaches] == [(later,)]
        assert [one.providers for one in world.own()] == [("Northwind Cloud",)]

    def test_a_stop_does_not_take_an_application_off_the_persons_list(self, world: World) -> None:
        world.change(SCANNER.stopped("x", NOW))
        assert [one.providers for one in world.own()] == [("Northwind Cloud",)]

    def test_who_left_gets_nothing_released(self, world: World) -> None:
        world.users.records[ALICE.id] = replace(world.users.records[ALICE.id], departure=Departure.DISABLED)
        assert world.obstacles() == (Obstacle.ACCOUNT_CLOSED,)

    @pytest.mark.parametrize(("name", "provider"), [("nobody", "northwind"), (ALICE.id, "other")])
    def test_what_does_not_exist_is_not_found(self, world: World, name: str, provider: str) -> None:
        with pytest.raises(NotFound):
            world.service.who_could_get(name, provider)


class TestOwn:
    def test_what_may_fetch_is_listed_before_it_ever_did(self, world: World) -> None:
        (one,) = world.own()
        assert (one.id, one.name, one.providers) == ("scanner", "Scan server", ("Northwind Cloud",))
        assert (one.fetched_at, one.blocked_at) == (None, None)

    def test_what_may_not_fetch_is_not(self, world: World) -> None:
        world.change(replace(SCANNER, rules=(replace(RULE, scopes=("openid",)),)))
        assert world.own() == []
        world.change(SCANNER)
        world.grant_store.grants.clear()
        assert world.own() == []

    def test_what_fetched_is_listed_with_its_last_time_also_when_it_is_gone(self, world: World) -> None:
        world.release("old", "Old robot")
        world.release("scanner", "Scan server")
        world.clock.advance(9)
        world.release("scanner", "Scan server")
        world.release("other", "Other", user_id=BOB.id)
        assert [one.is_registered for one in world.own()] == [False, True]
        assert [(one.id, one.name, one.fetched_at, one.fetched_from) for one in world.own()] == [
            ("old", "Old robot", NOW, "Northwind Cloud"),
            ("scanner", "Scan server", NOW + 9, "Northwind Cloud"),
        ]

    def test_the_search_ends(self, world: World, monkeypatch: pytest.MonkeyPatch) -> None:
        monkeypatch.setattr(reach, "_LOOKED_BACK", 1)
        world.release("old", "Old robot")
        world.clock.advance(9)
        world.release("scanner", "Scan server")
        assert [one.id for one in world.own()] == ["scanner"]

    def test_r93_a_block_is_a_line_of_the_ledger_each_time_and_is_taken_back(self, world: World) -> None:
        world.applications.add(ROBOT)
        for _ in range(2):
            world.service.block(ALICE, "robot", ORIGIN)
        assert [(one.id, one.blocked_at) for one in world.own()] == [("robot", NOW), ("scanner", None)]
        for _ in range(2):
            world.service.unblock(ALICE, "robot", ORIGIN)
        assert [one.blocked_at for one in world.own()] == [None, None]
        assert [(event.tag, event.actor, event.user_id, event.facts) for event in world.audit_log.events] == [
            (AuditTag.CLIENT_BLOCKED, ALICE.id, ALICE.id, {"client": "robot"}),
            (AuditTag.CLIENT_BLOCKED, ALICE.id, ALICE.id, {"client": "robot"}),
            (AuditTag.CLIENT_UNBLOCKED, ALICE.id, ALICE.id, {"client": "robot"}),
            (AuditTag.CLIENT_UNBLOCKED, ALICE.id, ALICE.id, {"client": "robot"}),
        ]
        world.service.unblock(ALICE, "nobody", ORIGIN)
        assert len(world.audit_log.events) == 4

    def test_only_what_exists_is_blocked_and_anything_unblocked(self, world: World) -> None:
        with pytest.raises(NotFound):
            world.service.block(ALICE, "nobody", ORIGIN)
        world.service.block(ALICE, "scanner", ORIGIN)
        world.applications.applications.clear()
        assert [one.name for one in world.own()] == ["scanner"]
        world.service.unblock(ALICE, "scanner", ORIGIN)
        assert world.own() == []
