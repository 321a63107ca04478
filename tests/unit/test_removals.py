"""Removing tokens: at once for everybody, cleaned up later, revoked where asked for, never undone by anything."""

import json
from dataclasses import replace
from typing import Any

import pytest

from chalicelib.domain.audit import Actor, AuditTag, Origin
from chalicelib.domain.authorization_request import ConsentFailed, ConsentProblem
from chalicelib.domain.client_application import Subject
from chalicelib.domain.errors import (
    CloudUnavailable,
    Conflict,
    IntegrityViolation,
    InvalidRequest,
    KeyUnavailable,
    NotFound,
    StorageUnavailable,
)
from chalicelib.domain.grant import Grant, GrantReason, GrantState
from chalicelib.domain.grant_search import GrantSearch
from chalicelib.domain.provider import ClientSecrets, Provider
from chalicelib.domain.provider_type import RevocationStyle
from chalicelib.domain.removal import CloudReceipt, Everything, Removal, RemovalOrder, RemovalScope
from chalicelib.domain.secret import Secret
from chalicelib.domain.token_set import CloudAccount, TokenSet
from chalicelib.services import removals
from chalicelib.services.administration import COUNT_LIMIT, EXPORT_LIMIT
from chalicelib.services.clean_up import CleanUpService
from chalicelib.services.generations import ended
from chalicelib.services.grant_import import GrantImportService, Imported
from chalicelib.services.people import Person
from chalicelib.services.providers import ProviderService
from tests.fakes.services import AdministeredVault
from tests.samples import ACCOUNT, ADMIN, ALICE, BOB, GRANT, PROVIDER, REVOCATION

ORIGIN = Origin("request-1", "127.0.0.1")
SECRETS = ClientSecrets(Secret("client-secret")).to_bytes()
BY = Actor(ADMIN.id, ADMIN.login_name)


class World(AdministeredVault):
    """The vault with one provider; its removals, and the clean-up behind them."""

    def __init__(self) -> None:
        super().__init__()
        self.cleaning = CleanUpService(
            providers=self.providers,
            grants=self.grant_store,
            removals=self.removal_store,
            revocation_store=self.revocation_store,
            revocations=self.revocations,
            catalogue=self.catalogue,
            cipher=self.cipher,
            audit_log=self.audit_log,
            clock=self.clock,
            engine=self.engine,
        )

    def hold(self, *grants: Grant) -> None:
        for grant in grants:
            self.grant_store.save(grant, replaces=None)

    def seal(self, *user_ids: str) -> None:
        """Grants with tokens in them that open."""
        for user_id in user_ids:
            grant = replace(GRANT, user_id=user_id, user_name=f"CONTOSO\\{user_id.casefold()}")
            with self.cipher.unlock(self.providers.key("northwind", 1)) as box:
                tokens = TokenSet(Secret(f"at-{user_id}"), Secret(f"rt-{user_id}"), grant.expires_at, grant.scopes)
                sealed = box.encrypt(tokens.to_bytes(), grant.encryption_context())
            self.hold(replace(grant, token_set=sealed))

    def client_secret(self) -> bytes:
        provider = self.providers.get("northwind")
        with self.cipher.unlock(self.providers.key("northwind", provider.generation)) as box:
            return box.decrypt(provider.client_secret, provider.secret_context())

    def removed(self, *grant_ids: str) -> int:
        """How many of them a removal found."""
        return sum(cloud.removed for cloud in self.removals.remove(BY, grant_ids, ORIGIN).clouds)

    def remove_all(self, *, revoke: bool = False) -> Removal:
        return self.removals.remove_all(BY, "northwind", ORIGIN, revoke=revoke)

    def provider(self) -> Provider:
        return self.providers.get("northwind")

    def clouds(self, removal: Removal) -> CloudReceipt:
        (cloud,) = self.removals.receipt(removal.id).clouds
        return cloud

    def settle(self) -> None:
        """Past the time in which a request of before could still write."""
        self.clock.advance(3600)


@pytest.fixture
def world() -> World:
    return World()


BOBS = replace(GRANT, user_id=BOB.id, user_name=BOB.login_name)


class TestRemove:
    def test_removes_the_ticked_ones_and_leaves_the_reason(self, world: World) -> None:
        world.hold(GRANT, BOBS)
        assert world.removed(GRANT.id) == 1
        left = world.grant_store.load(ALICE.id, "northwind").grant
        assert left is not None
        assert (left.state, left.reason) == (GrantState.REMOVED, GrantReason.REMOVED_BY_ADMINISTRATOR)
        assert left.token_set is None
        assert world.grant_store.load(BOB.id, "northwind").grant == BOBS

    def test_r67_each_removal_is_an_audit_event(self, world: World) -> None:
        world.hold(GRANT, BOBS)
        world.removals.remove(BY, [GRANT.id, BOBS.id], ORIGIN)
        assert [(e.tag, e.actor, e.user_id) for e in world.audit_log.events] == [
            (AuditTag.GRANT_REMOVED, ADMIN.id, ALICE.id),
            (AuditTag.GRANT_REMOVED, ADMIN.id, BOB.id),
        ]

    def test_r84_a_second_click_removes_nothing_more(self, world: World) -> None:
        world.hold(GRANT)
        assert world.removed(GRANT.id, GRANT.id) == 1
        assert world.removed(GRANT.id) == 0
        assert len(world.audit_log.events) == 1

    def test_r65_ids_that_do_not_exist_are_not_found_and_harm_nothing(self, world: World) -> None:
        world.hold(GRANT)
        ids = ["nobody.S-1-5-1", f"northwind.{BOB.id}"]
        assert world.administration.find(ids) == []
        assert world.removed(*ids) == 0
        assert world.grant_store.load(ALICE.id, "northwind").grant == GRANT

    @pytest.mark.parametrize("grant_id", ["", "northwind", "northwind.", ".S-1-5-1"])
    def test_refuses_what_is_no_grant_id(self, world: World, grant_id: str) -> None:
        with pytest.raises(InvalidRequest):
            world.removals.remove(BY, [grant_id], ORIGIN)

    def test_a_grant_that_changes_all_the_time_is_said_not_dropped(self, world: World) -> None:
        world.hold(GRANT)

        def always_changed(*_: object, **__: object) -> None:
            raise Conflict

        world.grant_store.save = always_changed
        with pytest.raises(Conflict):
            world.removals.remove(BY, [GRANT.id], ORIGIN)


class TestRemoveAll:
    def test_ends_every_grant_with_one_write_on_the_provider(self, world: World) -> None:
        world.hold(GRANT, BOBS)
        world.remove_all()
        assert (world.provider().generation, world.provider().version) == (2, 2)
        for user in (ALICE, BOB):
            assert world.grant_store.load(user.id, "northwind").grant is None
        assert world.audit_log.events[-1].tag is AuditTag.PROVIDER_TOKENS_REMOVED

    def test_the_provider_keeps_its_client_secret(self, world: World) -> None:
        world.remove_all()
        world.remove_all()
        assert world.client_secret() == SECRETS

    def test_a_secret_of_the_older_generation_put_back_does_not_open(self, world: World) -> None:
        older = world.providers.get("northwind").client_secret
        world.remove_all()
        world.providers.update(replace(world.provider(), client_secret=older))
        with pytest.raises(IntegrityViolation):
            world.client_secret()

    def test_goes_on_with_the_key_that_an_interrupted_removal_left(self, world: World) -> None:
        world.providers.add_key(world.cipher.new_key("northwind", 2))
        world.remove_all()
        assert world.provider().generation == 2
        assert world.client_secret() == SECRETS

    def test_an_edit_in_between_is_kept(self, world: World) -> None:
        stale = world.providers.get("northwind")
        world.providers.update(replace(stale, name="Edited"))
        first_read = iter([stale])
        read = world.providers.get
        world.providers.get = lambda provider_id: next(first_read, None) or read(provider_id)
        world.remove_all()
        assert (world.provider().name, world.provider().generation) == ("Edited", 2)

    def test_two_administrators_at_once_remove_once(self, world: World) -> None:
        stale = world.providers.get("northwind")
        world.remove_all()
        first_read = iter([stale])
        read = world.providers.get
        world.providers.get = lambda provider_id: next(first_read, None) or read(provider_id)
        world.remove_all()
        assert world.provider().generation == 2

    def test_gives_up_when_the_provider_changes_all_the_time(self, world: World) -> None:
        def always_changed(_: object) -> None:
            raise Conflict

        world.providers.update = always_changed
        with pytest.raises(Conflict):
            world.remove_all()

    def test_an_unknown_provider_is_not_found(self, world: World) -> None:
        with pytest.raises(NotFound):
            world.removals.remove_all(BY, "nobody", ORIGIN)


class TestCleanUp:
    def test_leaves_no_ciphertext_and_no_key_of_the_ended_generation(self, world: World) -> None:
        world.hold(*(replace(GRANT, user_id=f"S-{n}") for n in range(250)))
        world.remove_all()
        world.settle()
        assert world.cleaning.run() == 250
        # The lists lag: what was written a moment ago may need the key, and not be on them yet
        assert world.providers.key("northwind", 1)
        assert world.cleaning.run() == 0
        assert all(grant.token_set is None for grant in world.grant_store.grants.values())
        with pytest.raises(NotFound):
            world.providers.key("northwind", 1)
        assert world.providers.get("northwind").cleaned_generation == 1

    def test_f27_goes_on_where_it_was_stopped(self, world: World) -> None:
        world.hold(*(replace(GRANT, user_id=f"S-{n}") for n in range(250)))
        world.remove_all()
        world.settle()
        bury = world.grant_store.bury
        world.grant_store.bury = lambda *a: (world.clock.sleep(15), bury(*a))[1]  # type: ignore[method-assign, func-returns-value]
        assert [world.cleaning.run() for _ in range(4)] == [100, 100, 50, 0]

    def test_waits_until_no_request_of_before_can_still_write(self, world: World) -> None:
        world.remove_all()
        world.cleaning.run()
        assert world.providers.key("northwind", 1)
        late = replace(GRANT, user_id="S-late")
        world.hold(late)
        world.settle()
        assert world.cleaning.run() == 1
        assert world.cleaning.run() == 0
        with pytest.raises(NotFound):
            world.providers.key("northwind", 1)

    def test_keeps_the_key_while_a_revocation_needs_it(self, world: World) -> None:
        world.revocation_store.add(REVOCATION)
        world.remove_all()
        world.settle()
        world.cleaning.run()
        assert world.providers.key("northwind", 1)
        world.revocation_store.delete(REVOCATION.id)
        world.cleaning.run()
        with pytest.raises(NotFound):
            world.providers.key("northwind", 1)

    def test_a_generation_that_must_wait_is_not_passed_over(self, world: World) -> None:
        world.revocation_store.add(REVOCATION)
        world.remove_all()
        world.remove_all()
        world.settle()
        world.cleaning.run()
        assert world.providers.get("northwind").cleaned_generation == 0
        world.revocation_store.delete(REVOCATION.id)
        world.cleaning.run()
        assert world.providers.get("northwind").cleaned_generation == 2
        assert [generation for _, generation in world.providers.keys] == [3]

    def test_one_providers_trouble_does_not_keep_the_others_from_being_cleaned(self, world: World) -> None:
        world.hold(GRANT)
        world.remove_all()
        broken = replace(world.providers.get("northwind"), id="a-broken", name="A", version=1)
        world.providers.add_key(world.cipher.new_key("a-broken", 2))
        world.providers.add(broken)
        page = world.grant_store.page

        def fail_for_broken(provider_id: str, *arguments: object, **options: object) -> object:
            if provider_id == "a-broken":
                raise Conflict
            return page(provider_id, *arguments, **options)

        world.grant_store.page = fail_for_broken
        world.settle()
        assert world.cleaning.run() == 1

    def test_r99_a_deleted_provider_in_trouble_keeps_no_later_one_from_being_cleaned(self, world: World) -> None:
        world.hold(GRANT)
        world.remove_all()
        broken = replace(world.providers.get("northwind"), id="a-broken", name="A", cleaned_generation=1)
        world.providers.add_key(world.cipher.new_key("a-broken", 2))
        world.providers.add(replace(broken, is_deleted=True))
        delete = world.providers.delete

        def fail_for_broken(provider: Provider) -> None:
            if provider.id == "a-broken":
                raise StorageUnavailable
            delete(provider)

        world.providers.delete = fail_for_broken  # type: ignore[method-assign]
        world.settle()
        assert world.cleaning.run() == 1
        assert json.loads(world.cursors.get("failing/clean_up") or "") == ["a-broken"]

    def test_a_deleted_provider_stays_while_a_revocation_is_left(self, world: World) -> None:
        """A revocation is found by its provider."""
        deleted = replace(PROVIDER, id="old", is_deleted=True)
        world.providers.add_key(world.cipher.new_key("old", 1))
        world.providers.add(deleted)
        world.revocation_store.add(replace(REVOCATION, provider_id="old"))
        world.cleaning.run()
        assert world.providers.get("old") == deleted
        world.revocation_store.delete(REVOCATION.id)
        world.cleaning.run()
        with pytest.raises(NotFound):
            world.providers.get("old")

    def test_r99_a_large_removal_and_a_small_one_take_turns(self, world: World) -> None:
        world.hold(*(replace(GRANT, user_id=f"S-{n}") for n in range(1000)))
        world.remove_all()
        small = replace(world.providers.get("northwind"), id="z-small", name="Z")
        world.providers.add_key(world.cipher.new_key("z-small", 2))
        world.providers.add(small)
        world.hold(replace(GRANT, provider_id="z-small"))
        buried: list[str] = []
        bury = world.grant_store.bury

        def noted(grants: list[Grant], expires_at: int) -> None:
            buried.append(grants[0].provider_id)
            bury(grants, expires_at)

        world.grant_store.bury = noted  # type: ignore[method-assign]
        world.settle()
        world.cleaning.run()
        assert "z-small" in buried[:5]

    def test_never_touches_the_living_generation(self, world: World) -> None:
        world.remove_all()
        living = replace(GRANT, generation=2)
        world.hold(GRANT, living)
        world.settle()
        world.cleaning.run()
        assert world.grant_store.load(ALICE.id, "northwind").grant == living

    def test_f29_running_twice_is_as_running_once(self, world: World) -> None:
        world.hold(GRANT)
        world.remove_all()
        world.settle()
        world.cleaning.run()
        world.cleaning.run()
        events = len(world.audit_log.events)
        world.cleaning.run()
        assert len(world.audit_log.events) == events


class TestRevoke:
    def test_r66_a_receipt_says_what_the_cloud_confirmed(self, world: World) -> None:
        world.seal("S-1-5-1", "S-1-5-2", "S-1-5-3")
        removal = world.remove_all(revoke=True)
        world.settle()
        assert world.cleaning.run() == 3
        assert world.clouds(removal) == CloudReceipt("northwind", removed=3, asked=3)
        assert world.clouds(removal).pending == 3
        assert world.revocations.retry_due() == 3
        assert world.clouds(removal) == CloudReceipt("northwind", removed=3, asked=3, confirmed=3)
        assert sorted(world.cloud.revoked) == ["rt-S-1-5-1", "rt-S-1-5-2", "rt-S-1-5-3"]

    def test_the_key_lives_until_the_cloud_has_answered(self, world: World) -> None:
        world.seal("S-1-5-1")
        world.remove_all(revoke=True)
        world.settle()
        world.cleaning.run()
        assert world.providers.key("northwind", 1)
        world.revocations.retry_due()
        world.cleaning.run()
        with pytest.raises(NotFound):
            world.providers.key("northwind", 1)
        assert world.provider().removals == ()

    def test_f27_interrupted_between_the_cloud_and_the_tombstone(self, world: World) -> None:
        world.seal("S-1-5-1", "S-1-5-2")
        removal = world.remove_all(revoke=True)
        world.settle()
        bury = world.grant_store.bury

        def broken(*_: object) -> None:
            raise StorageUnavailable

        world.grant_store.bury = broken
        world.cleaning.run()
        world.grant_store.bury = bury
        world.cleaning.run()
        assert len(world.revocation_store.revocations) == 2
        assert world.clouds(removal) == CloudReceipt("northwind", removed=2, asked=2)

    def test_r88_a_cloud_without_revocation_is_said_to_have_none(self, world: World) -> None:
        world.catalogue.type = replace(world.catalogue.type, revocation=RevocationStyle.NONE)
        world.seal("S-1-5-1", "S-1-5-2")
        removal = world.remove_all(revoke=True)
        world.settle()
        world.cleaning.run()
        assert world.clouds(removal) == CloudReceipt("northwind", removed=2, not_offered=2)

    def test_what_does_not_open_is_counted_and_removed(self, world: World) -> None:
        world.seal("S-1-5-1")
        world.hold(replace(GRANT, user_id="S-1-5-2", token_set=b"not ours"))
        removal = world.remove_all(revoke=True)
        world.settle()
        world.cleaning.run()
        assert world.clouds(removal) == CloudReceipt("northwind", removed=2, asked=1, unreadable=1)

    def test_a_cloud_that_never_confirms_is_given_up_and_said(self, world: World) -> None:
        world.seal("S-1-5-1")
        removal = world.remove_all(revoke=True)
        world.settle()
        world.cleaning.run()
        world.cloud.fail_next(*[CloudUnavailable()] * 40)
        for _ in range(40):
            world.revocations.retry_due()
            world.clock.advance(6 * 3600)
        assert world.clouds(removal) == CloudReceipt("northwind", removed=1, asked=1, given_up=1)

    def test_single_ones_are_asked_for_at_once(self, world: World) -> None:
        world.seal("S-1-5-1", "S-1-5-2")
        receipt = world.removals.remove(BY, ["northwind.S-1-5-1"], ORIGIN, revoke=True)
        assert receipt.clouds == (CloudReceipt("northwind", removed=1, asked=1),)
        assert world.revocations.retry_due() == 1
        assert world.cloud.revoked == ["rt-S-1-5-1"]
        assert world.grant_store.load("S-1-5-2", "northwind").grant.token_set is not None

    def test_a_single_one_that_does_not_open_or_cannot_be_revoked(self, world: World) -> None:
        world.hold(GRANT)
        receipt = world.removals.remove(BY, [GRANT.id], ORIGIN, revoke=True)
        assert receipt.clouds == (CloudReceipt("northwind", removed=1, unreadable=1),)
        world.catalogue.type = replace(world.catalogue.type, revocation=RevocationStyle.NONE)
        world.hold(BOBS)
        receipt = world.removals.remove(BY, [BOBS.id], ORIGIN, revoke=True)
        assert receipt.clouds == (CloudReceipt("northwind", removed=1, not_offered=1),)

    def test_a_change_in_between_takes_the_first_request_back(self, world: World) -> None:
        world.seal("S-1-5-1")
        save, conflicts = world.grant_store.save, iter([Conflict()])

        def once(*arguments: object, **options: object) -> None:
            if (conflict := next(conflicts, None)) is not None:
                raise conflict
            save(*arguments, **options)

        world.grant_store.save = once
        world.removals.remove(BY, ["northwind.S-1-5-1"], ORIGIN, revoke=True)
        assert len(world.revocation_store.revocations) == 1


class TestWhose:
    def test_a_persons_at_every_provider(self, world: World) -> None:
        world.hold(GRANT, BOBS)
        person = Person(ALICE.id, ALICE.login_name, Subject(ALICE.id))
        receipt = world.removals.remove_of(BY, person, ORIGIN, revoke=False)
        assert receipt.clouds == (CloudReceipt("northwind", removed=1),)
        assert world.administration.of_person(person) == []
        assert world.grant_store.load(BOB.id, "northwind").grant == BOBS
        assert [removal.target_name for removal in world.removals.recent()] == [ALICE.login_name]

    def test_a_removal_that_found_nothing_leaves_no_receipt(self, world: World) -> None:
        assert world.removed(GRANT.id) == 0
        assert world.removals.recent() == []

    def test_everything_under_one_receipt(self, world: World) -> None:
        other = replace(PROVIDER, id="fabrikam", name="Fabrikam")
        key = world.cipher.new_key("fabrikam", 1)
        with world.cipher.unlock(key) as box:
            world.providers.add_key(key)
            world.providers.add(replace(other, client_secret=box.encrypt(SECRETS, other.secret_context())))
        world.hold(GRANT, replace(GRANT, provider_id="fabrikam"))
        removal = world.removals.remove_everything(BY, ORIGIN, revoke=False)
        assert dict(removal.ended) == {"northwind": 1, "fabrikam": 1}
        assert world.administration.count_all().number == 0
        world.settle()
        world.cleaning.run()
        assert {cloud.provider_id: cloud.removed for cloud in world.removals.receipt(removal.id).clouds} == {
            "northwind": 1,
            "fabrikam": 1,
        }

    def test_r67_everybody_whose_token_goes_has_an_entry_that_says_who_did_it(self, world: World) -> None:
        world.hold(GRANT, BOBS)
        world.remove_all()
        world.settle()
        world.cleaning.run()
        entries = [event for event in world.audit_log.events if event.tag is AuditTag.GRANT_REMOVED]
        assert {(event.user_id, event.actor_name) for event in entries} == {
            (ALICE.id, ADMIN.login_name),
            (BOB.id, ADMIN.login_name),
        }


class TestSearch:
    def found(self, world: World, **asked: Any) -> list[str]:
        search = GrantSearch(**asked)
        page = world.administration.tokens(world.provider(), search, None).page
        exported = [grant.id for _, grant in world.administration.export([world.provider()], search)]
        assert exported == [grant.id for grant in page.grants]
        return exported

    def test_by_account_state_scope_and_age(self, world: World) -> None:
        account = CloudAccount("b-1", "Bob@Contoso.example")
        world.hold(
            GRANT,
            replace(BOBS, account=account, scopes=("mail",), authorized_at=5, state=GrantState.FAILING),
        )
        assert self.found(world) == [GRANT.id, BOBS.id]
        assert self.found(world, account="bob@contoso") == [BOBS.id]
        assert self.found(world, account="B-1") == [BOBS.id]
        assert self.found(world, state=GrantState.FAILING) == [BOBS.id]
        assert self.found(world, state=GrantState.ACTIVE) == [GRANT.id]
        assert self.found(world, scope="mail") == [BOBS.id]
        assert self.found(world, scope="mai") == []
        assert self.found(world, authorized_before=6) == [BOBS.id]
        assert self.found(world, user_prefix="bo", account="bob") == [BOBS.id]

    def test_by_person(self, world: World) -> None:
        world.hold(GRANT, BOBS)
        assert self.found(world, user_id=BOB.id) == [BOBS.id]
        assert self.found(world, user_id=BOB.id, scope="nothing") == []

    def test_the_state_is_the_one_people_see(self, world: World) -> None:
        world.hold(GRANT)
        world.providers.update(replace(world.provider(), authorize_again_since=GRANT.authorized_at + 1))
        assert self.found(world, state=GrantState.NEEDS_REAUTHORIZATION) == [GRANT.id]
        assert self.found(world, state=GrantState.ACTIVE) == []

    def test_an_export_that_is_too_large_is_refused_with_the_way_out(self, world: World) -> None:
        world.hold(*(replace(GRANT, user_id=f"S-{n}") for n in range(EXPORT_LIMIT + 1)))
        with pytest.raises(InvalidRequest, match="list-tokens"):
            world.administration.export([world.provider()], GrantSearch())


def test_counting_stops_at_a_limit(world: World) -> None:
    world.hold(*(replace(GRANT, user_id=f"S-{n}") for n in range(COUNT_LIMIT)))
    provider = world.administration.provider("northwind")
    assert (world.administration.count(provider).number, world.administration.count(provider).more) == (
        COUNT_LIMIT,
        False,
    )
    world.hold(replace(GRANT, user_id="S-one-more"))
    assert (world.administration.count(provider).number, world.administration.count(provider).more) == (
        COUNT_LIMIT,
        True,
    )


def test_a_count_of_everything_stops_where_it_is_shown_as_more(world: World, monkeypatch: pytest.MonkeyPatch) -> None:
    world.providers.add_key(world.cipher.new_key("other", 1))
    world.providers.add(replace(PROVIDER, id="other", name="Other"))
    asked: list[str] = []

    def very_many(provider_id: str, _generation: int, *, at_most: int) -> int:
        asked.append(provider_id)
        return at_most

    monkeypatch.setattr(world.grant_store, "count", very_many)
    assert world.administration.count_all().more
    assert len(asked) == 1


def test_what_ended_without_anybodys_order_is_cleaned_without_a_line(world: World) -> None:
    """As after a restore, whose own line has said it."""
    world.seal("S-1-5-1", "S-1-5-2")
    world.providers.add_key(world.cipher.new_key("northwind", 2))
    world.providers.update(replace(world.provider(), generation=2, removed_at=world.clock.now()))
    world.settle()
    world.cleaning.run()
    assert [grant.token_set for grant in world.grant_store.grants.values()] == [None, None]
    assert AuditTag.GRANT_REMOVED not in [event.tag for event in world.audit_log.events]


def test_removing_everything_where_there_is_nothing_leaves_no_receipt(world: World) -> None:
    world.providers.providers.clear()
    removal = world.removals.remove_everything(BY, ORIGIN, revoke=False)
    assert (removal.ended, world.removal_store.removals) == ((), {})


def with_wish(world: World, provider_id: str = "northwind") -> bool:
    order = world.providers.get(provider_id).order(1)
    assert order is not None
    return order.revoke


class TestTwoRemovals:
    def stale(self, world: World) -> None:
        """The next removal has read the provider before the one that has just ended everything."""
        before = replace(world.provider(), generation=1, version=1, removals=(), removed_at=None)
        reads = iter([before])
        read = world.providers.get
        world.providers.get = lambda provider_id: next(reads, None) or read(provider_id)

    @pytest.mark.parametrize("revokes", [(False, True), (True, False), (True, True), (False, False)])
    def test_r66_f27_the_stronger_wish_of_two_at_once_wins_and_both_receipts_count(
        self, world: World, revokes: tuple[bool, bool]
    ) -> None:
        world.seal("S-1-5-1", "S-1-5-2")
        first = world.remove_all(revoke=revokes[0])
        self.stale(world)
        second = world.remove_all(revoke=revokes[1])
        assert world.provider().generation == 2
        assert with_wish(world) is any(revokes)
        world.settle()
        world.cleaning.run()
        asked = 2 if any(revokes) else 0
        assert world.revocations.retry_due() == asked
        counted = CloudReceipt("northwind", removed=2, asked=asked, confirmed=asked)
        assert world.clouds(first) == world.clouds(second) == counted

    def test_f27_a_wish_that_comes_after_the_end_says_what_was_not_revoked(self, world: World) -> None:
        world.seal("S-1-5-1")
        world.remove_all()
        world.settle()
        world.cleaning.run()
        world.cleaning.run()
        self.stale(world)
        second = world.remove_all(revoke=True)
        world.settle()
        world.cleaning.run()
        assert world.provider().cleaned_generation == 1
        assert world.cloud.revoked == []
        assert world.removals.receipt(second.id).clouds == ()

    def test_r66_what_was_deleted_before_the_wish_is_counted_as_not_revoked(self, world: World) -> None:
        assert CloudReceipt("northwind", removed=5, asked=2, not_offered=1, unreadable=1).not_asked == 1

    def test_r66_removing_all_again_with_that_wish_reaches_what_is_not_deleted_yet(self, world: World) -> None:
        world.seal("S-1-5-1")
        world.remove_all()
        second = world.remove_all(revoke=True)
        assert world.provider().generation == 3
        world.settle()
        world.cleaning.run()
        assert world.revocations.retry_due() == 1
        assert world.clouds(second) == CloudReceipt("northwind", removed=1, asked=1, confirmed=1)

    def test_one_without_an_order_gets_the_one_that_comes(self, world: World) -> None:
        """As after a restore."""
        world.seal("S-1-5-1")
        before = world.provider()
        world.providers.add_key(world.cipher.new_key("northwind", 2))
        raised = world.providers.update(replace(before, generation=2, removed_at=world.clock.now()))
        order = RemovalOrder(1, "r1", True, BY)
        world.generations.end(raised, order, ended(before, order, ORIGIN))
        assert with_wish(world)

    def test_r95_a_single_one_with_that_wish_is_revoked_although_somebody_else_removes_it(self, world: World) -> None:
        world.seal("S-1-5-1")
        save = world.grant_store.save

        def removed_meanwhile(grant: Grant, **options: Any) -> None:
            world.grant_store.save = save
            world.removals.remove(BY, ["northwind.S-1-5-1"], ORIGIN)
            save(grant, **options)

        world.grant_store.save = removed_meanwhile
        assert world.removals.remove(BY, ["northwind.S-1-5-1"], ORIGIN, revoke=True).clouds == ()
        assert world.revocations.retry_due() == 1
        assert world.cloud.revoked == ["rt-S-1-5-1"]
        (receipt,) = (one for one in world.removals.recent() if one.revoke)
        assert world.clouds(receipt) == CloudReceipt("northwind", asked=1, confirmed=1)


class TestUnderWay:
    def test_r95_f28_a_refresh_that_ends_after_the_removal_is_revoked_with_what_it_brought(self, world: World) -> None:
        """It began before the generation rose, and stores under it what the cloud has rotated to."""
        world.seal("S-1-5-1")
        world.remove_all(revoke=True)
        assert world.cleaning.run() == 0
        world.cloud.revoked.clear()
        old = world.grant_store.grants["S-1-5-1", "northwind", 1, ""]
        with world.cipher.unlock(world.providers.key("northwind", 1)) as box:
            fresh = old.refreshed(old.expires_at + 3600, old.scopes, world.clock.now())
            tokens = TokenSet(Secret("at-late"), Secret("rt-late"), fresh.expires_at, fresh.scopes)
            fresh = replace(fresh, token_set=box.encrypt(tokens.to_bytes(), fresh.encryption_context()))
        world.grant_store.save(fresh, replaces=old.version)
        world.settle()
        assert world.cleaning.run() == 1
        world.revocations.retry_due()
        assert world.cloud.revoked == ["rt-late"]

    @pytest.mark.parametrize("act", ["all", "single"])
    def test_r95_an_outcome_that_was_kept_aside_is_what_is_revoked(self, world: World, act: str) -> None:
        world.seal("S-1-5-1")
        leased = world.grant_store.grants["S-1-5-1", "northwind", 1, ""].leased(world.clock.now())
        world.grant_store.save(leased, replaces=leased.version)
        with world.cipher.unlock(world.providers.key("northwind", 1)) as box:
            outcome = leased.refreshed(leased.expires_at + 3600, leased.scopes, world.clock.now())
            tokens = TokenSet(Secret("at-aside"), Secret("rt-aside"), outcome.expires_at, outcome.scopes)
            outcome = replace(outcome, token_set=box.encrypt(tokens.to_bytes(), outcome.encryption_context()))
        world.grant_store.spill(outcome, 0)
        if act == "all":
            world.remove_all(revoke=True)
            world.settle()
            world.cleaning.run()
        else:
            world.removals.remove(BY, ["northwind.S-1-5-1"], ORIGIN, revoke=True)
        world.revocations.retry_due()
        assert world.cloud.revoked == ["rt-aside"]


class TestEverything:
    @pytest.fixture
    def many(self, world: World, monkeypatch: pytest.MonkeyPatch) -> World:
        """Five providers with a grant each, and no time at all within the request."""
        monkeypatch.setattr(removals, "IN_REQUEST", replace(removals.IN_REQUEST, run_seconds=0))
        self.add(world, "p1", "p2", "p3", "p4")
        world.seal("S-1-5-1")
        return world

    def add(self, world: World, *ids: str) -> None:
        for provider_id in ids:
            provider = replace(PROVIDER, id=provider_id, name=provider_id)
            key = world.cipher.new_key(provider_id, 1)
            with world.cipher.unlock(key) as box:
                sealed = box.encrypt(SECRETS, provider.secret_context())
            world.providers.add_key(key)
            world.providers.add(replace(provider, client_secret=sealed))
            world.hold(replace(GRANT, provider_id=provider_id))

    def waiting(self, world: World) -> list[str]:
        return [provider.id for provider in world.providers.all() if provider.is_ending]

    def test_r66_one_write_ends_everything_before_any_provider_was_raised(self, many: World) -> None:
        removal = many.removals.remove_everything(BY, ORIGIN, revoke=False)
        assert len(removal.ended) == len(self.waiting(many)) == 5
        assert all(provider.generation == 1 for provider in many.providers.providers.values())
        for provider_id in ("northwind", "p1"):
            assert many.grant_store.load(ALICE.id, provider_id).grant is None
        person = Person(ALICE.id, ALICE.login_name, Subject(ALICE.id))
        assert many.administration.count_all().number == 0
        assert many.administration.of_person(person) == []
        providers = ProviderService(
            many.providers, many.grant_store, many.grant_store.health, many.catalogue, many.clock
        )
        offers = providers.offers(ALICE)
        assert {grant.state for offer in offers for grant in offer.grants} == {GrantState.REMOVED}

    def test_f27_killed_anywhere_it_goes_on_and_every_provider_is_raised_once(self, many: World) -> None:
        removal = many.removals.remove_everything(BY, ORIGIN, revoke=True)
        for left in (4, 3, 2, 1, 0):
            dying, update = iter([True]), many.providers.update

            def dies(provider: Provider, update: Any = update, dying: Any = dying) -> Provider:
                done = update(provider)
                if next(dying, False):
                    raise KeyboardInterrupt
                return done

            many.providers.update = dies
            with pytest.raises(KeyboardInterrupt):
                many.removals.carry_on()
            many.providers.update = update
            assert len(self.waiting(many)) == left
        assert many.removals.carry_on() == 0
        assert {provider.generation for provider in many.providers.all()} == {2}
        many.settle()
        many.cleaning.run()
        many.revocations.retry_due()
        clouds = {cloud.provider_id: cloud for cloud in many.removals.receipt(removal.id).clouds}
        assert clouds["northwind"] == CloudReceipt("northwind", removed=1, asked=1, confirmed=1)
        assert sum(cloud.removed for cloud in clouds.values()) == 5
        lines = [e.provider_id for e in many.audit_log.events if e.tag is AuditTag.PROVIDER_TOKENS_REMOVED]
        assert sorted(lines) == ["northwind", "p1", "p2", "p3", "p4"]

    def test_r93_the_order_is_in_the_log_before_it_is_in_effect(self, many: World) -> None:
        def refuses(*_: object, **__: object) -> None:
            raise StorageUnavailable

        many.audit_log.recording = refuses
        with pytest.raises(StorageUnavailable):
            many.removals.remove_everything(BY, ORIGIN, revoke=False)
        assert self.waiting(many) == []

    def test_one_providers_trouble_costs_the_others_nothing(self, many: World) -> None:
        many.removals.remove_everything(BY, ORIGIN, revoke=False)
        new_key = many.cipher.new_key

        def fails_for_one(provider_id: str, generation: int) -> Any:
            if provider_id == "p1":
                raise KeyUnavailable
            return new_key(provider_id, generation)

        many.cipher.new_key = fails_for_one
        assert many.removals.carry_on() == 1
        assert self.waiting(many) == ["p1"]
        assert many.grant_store.load(ALICE.id, "p1").grant is None
        many.settle()
        many.cleaning.run()
        assert many.providers.providers["p1"].cleaned_generation == 0
        many.cipher.new_key = new_key
        assert many.removals.carry_on() == 0

    def test_a_provider_whose_secret_does_not_open_is_emptied_all_the_same(self, world: World) -> None:
        world.providers.add_key(world.cipher.new_key("broken", 1))
        world.providers.add(replace(PROVIDER, id="broken", name="A"))
        world.hold(replace(GRANT, provider_id="broken"))
        world.removals.remove_everything(BY, ORIGIN, revoke=False)
        assert self.waiting(world) == []
        assert world.grant_store.load(ALICE.id, "broken").grant is None

    def test_who_sets_out_at_one_whose_turn_has_not_come_has_it_raised_first(self, many: World) -> None:
        many.removals.remove_everything(BY, ORIGIN, revoke=False)
        many.authorize(ACCOUNT)
        assert "northwind" not in self.waiting(many)
        assert many.grant() is not None
        many.removals.carry_on()
        assert many.grant() is not None

    def test_r41_who_came_back_after_it_is_told_to_start_again(self, many: World) -> None:
        callback = many.trip(ACCOUNT)
        many.removals.remove_everything(BY, ORIGIN, revoke=False)
        with pytest.raises(ConsentFailed) as failure:
            many.consent.complete(many.session, callback, ORIGIN)
        assert failure.value.problem is ConsentProblem.PROVIDER_CHANGED

    def test_what_is_imported_at_one_whose_turn_has_not_come_stays(self, many: World) -> None:
        many.removals.remove_everything(BY, ORIGIN, revoke=False)
        importing = GrantImportService(
            grants=many.grant_store,
            generations=many.generations,
            people=many.people,
            users=many.users,
            directory=many.directory,
            cipher=many.cipher,
            audit_log=many.audit_log,
            clock=many.clock,
        )
        odd = CloudAccount("x" * 300, "label")
        taken = importing.take(Imported(BOB.id, Secret("rt"), odd, ("email",), 5), "northwind", BY, ORIGIN)
        assert taken is not None
        many.removals.carry_on()
        stored = many.grant_store.load(BOB.id, "northwind").grant
        assert stored is not None
        assert stored.account.subject.startswith("sha256:")

    def test_removing_one_of_them_alone_at_that_moment_is_both(self, many: World) -> None:
        many.removals.remove_everything(BY, ORIGIN, revoke=False)
        second = many.remove_all(revoke=True)
        assert with_wish(many)
        many.settle()
        many.cleaning.run()
        many.revocations.retry_due()
        assert many.clouds(second) == CloudReceipt("northwind", removed=1, asked=1, confirmed=1)

    def test_everything_twice_joins_what_waits_and_the_stronger_wish_wins(self, many: World) -> None:
        first = many.removals.remove_everything(BY, ORIGIN, revoke=False)
        many.generations.carried_out(many.provider())
        second = many.removals.remove_everything(BY, ORIGIN, revoke=True)
        assert many.removals.carry_on() == 0
        assert {p.id: p.generation for p in many.providers.all()} == {
            "northwind": 3,
            "p1": 2,
            "p2": 2,
            "p3": 2,
            "p4": 2,
        }
        assert with_wish(many, "p1")
        many.settle()
        many.cleaning.run()
        many.revocations.retry_due()
        for removal in (first, second):
            clouds = {cloud.provider_id: cloud for cloud in many.removals.receipt(removal.id).clouds}
            assert clouds["p1"] == CloudReceipt("p1", removed=1, unreadable=1)
            assert clouds["northwind"] == CloudReceipt("northwind", removed=1, asked=1, confirmed=1)

    def test_two_administrators_at_the_same_moment(self, many: World) -> None:
        everything, asked = many.providers.everything, iter([True])

        def meanwhile() -> Everything:
            found = everything()
            if next(asked, False):
                many.removals.remove_everything(BY, ORIGIN, revoke=True)
            return found

        many.providers.everything = meanwhile
        many.removals.remove_everything(BY, ORIGIN, revoke=False)
        many.removals.carry_on()
        assert {provider.generation for provider in many.providers.all()} == {2}
        assert with_wish(many, "p1")

    def test_it_gives_up_where_others_remove_everything_all_the_time(self, many: World) -> None:
        def always(*_: object, **__: object) -> None:
            raise Conflict

        many.providers.save_everything = always
        with pytest.raises(Conflict):
            many.removals.remove_everything(BY, ORIGIN, revoke=False)

    def test_who_needs_a_provider_that_somebody_else_is_raising_gets_it_raised(self, many: World) -> None:
        many.removals.remove_everything(BY, ORIGIN, revoke=False)
        seen = many.provider()
        raised = many.generations.carried_out(seen)
        assert many.generations.carried_out(seen) == raised
        many.removals.remove_everything(BY, ORIGIN, revoke=False)
        stale = many.provider()
        many.providers.providers["northwind"] = replace(raised, version=9)
        with pytest.raises(Conflict):
            many.generations.carried_out(stale)

    def test_what_was_registered_after_it_is_none_of_it(self, many: World) -> None:
        many.removals.remove_everything(BY, ORIGIN, revoke=False)
        many.removals.carry_on()
        many.removals.remove_everything(BY, ORIGIN, revoke=False)
        assert [order.number for order in many.providers.everything().orders] == [2]

    def test_nobody_stores_one_as_it_is_shown(self, many: World) -> None:
        many.removals.remove_everything(BY, ORIGIN, revoke=False)
        with pytest.raises(Conflict):
            many.providers.update(replace(many.provider(), name="Edited"))
        with pytest.raises(KeyUnavailable), many.cipher.unlock(many.grant_store.load(ALICE.id, "northwind").key):
            pass


class TestMoreThanOneRequestCanDo:
    """A person with hundreds of authorizations, or hundreds of ticked ones."""

    @pytest.fixture
    def hurried(self, world: World, monkeypatch: pytest.MonkeyPatch) -> World:
        """There is time for one token in each turn."""
        monkeypatch.setattr(removals, "SINGLE_SECONDS", 0)
        world.hold(*(replace(GRANT, slot=slot) for slot in ("", "1", "2")))
        return world

    def left(self, world: World) -> int:
        return sum(grant.token_set is not None for grant in world.grant_store.grants.values())

    @pytest.mark.parametrize("whose", ["person", "tokens"])
    def test_f27_r66_the_background_goes_on_and_the_receipt_says_until_then_that_it_is_not_done(
        self, hurried: World, whose: str
    ) -> None:
        person = Person(ALICE.id, ALICE.login_name, Subject(ALICE.id))
        if whose == "person":
            hurried.removals.remove_of(BY, person, ORIGIN, revoke=False)
        else:
            ids = [grant.id for grant in hurried.administration.of_person(person)]
            hurried.removals.remove(BY, ids, ORIGIN)
        (removal,) = hurried.removals.recent()
        assert (removal.is_open, self.left(hurried)) == (True, 2)
        hurried.removals.finish_open()
        assert self.left(hurried) == 2
        hurried.clock.advance(60)
        later = replace(GRANT, slot="3", authorized_at=hurried.clock.now())
        hurried.hold(later)
        for left in (2, 1, 1):
            hurried.removals.finish_open()
            assert self.left(hurried) == left
        (removal,) = hurried.removals.recent()
        assert not removal.is_open
        assert hurried.grant_store.load(ALICE.id, "northwind", "3").grant == later
        assert hurried.clouds(removal) == CloudReceipt("northwind", removed=3)

    def test_more_ids_than_can_be_noted_are_refused(self, world: World) -> None:
        with pytest.raises(InvalidRequest, match="At most"):
            world.removals.remove(BY, ["northwind.S"] * (removals.MOST_TOKENS + 1), ORIGIN)

    def test_ones_trouble_is_logged_and_tried_again(self, hurried: World, caplog: pytest.LogCaptureFixture) -> None:
        person = Person(ALICE.id, ALICE.login_name, Subject(ALICE.id))
        hurried.removals.remove_of(BY, person, ORIGIN, revoke=False)
        hurried.clock.advance(60)
        hurried.grant_store.fail_saving = True
        hurried.removals.finish_open()
        assert "background.failed" in caplog.text
        assert self.left(hurried) == 2


def test_a_receipt_names_three_people_and_says_that_there_are_others() -> None:
    removal = Removal("r1", RemovalScope.TOKENS, revoke=False, by=BY, at=0)
    for name in ("a", "b", "a", "c", "d", "e"):
        removal = removal.of(name)
    assert removal.people == ("a", "b", "c", "d")
