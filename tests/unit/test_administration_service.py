"""Removing tokens: at once for everybody, cleaned up later, never undone by anything."""

from dataclasses import replace

import pytest

from chalicelib.domain.audit import AuditTag, Origin
from chalicelib.domain.errors import Conflict, IntegrityViolation, InvalidRequest, NotFound
from chalicelib.domain.grant import Grant, GrantReason, GrantState
from chalicelib.services.administration import COUNT_LIMIT, AdministrationService
from tests.fakes.stores import FakeAuditLog, FakeGrantStore, FakeProviderStore, FakeRevocationStore
from tests.fakes.system import FakeClock
from tests.fakes.token_cipher import FakeTokenCipher
from tests.samples import ADMIN, ALICE, BOB, GRANT, PROVIDER, REVOCATION

ORIGIN = Origin("request-1", "127.0.0.1")
SECRET = b"client-secret"


class World:
    def __init__(self) -> None:
        self.providers, self.revocations = FakeProviderStore(), FakeRevocationStore()
        self.grants = FakeGrantStore(self.providers)
        self.cipher, self.audit_log, self.clock = FakeTokenCipher(), FakeAuditLog(), FakeClock()
        self.service = AdministrationService(
            providers=self.providers,
            grants=self.grants,
            revocations=self.revocations,
            cipher=self.cipher,
            audit_log=self.audit_log,
            clock=self.clock,
        )
        key = self.cipher.new_key("northwind", 1)
        with self.cipher.unlock(key) as box:
            self.providers.add(replace(PROVIDER, client_secret=box.encrypt(SECRET, PROVIDER.secret_context())), key)

    def hold(self, *grants: Grant) -> None:
        for grant in grants:
            self.grants.save(grant, replaces=None)

    def client_secret(self) -> bytes:
        provider = self.providers.get("northwind")
        with self.cipher.unlock(self.providers.key("northwind", provider.generation)) as box:
            return box.decrypt(provider.client_secret, provider.secret_context())

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
        assert world.service.remove(ADMIN, [GRANT.id], ORIGIN) == 1
        left = world.grants.load(ALICE.id, "northwind").grant
        assert left is not None
        assert (left.state, left.reason) == (GrantState.REMOVED, GrantReason.REMOVED_BY_ADMINISTRATOR)
        assert left.token_set is None
        assert world.grants.load(BOB.id, "northwind").grant == BOBS

    def test_r67_each_removal_is_an_audit_event(self, world: World) -> None:
        world.hold(GRANT, BOBS)
        world.service.remove(ADMIN, [GRANT.id, BOBS.id], ORIGIN)
        assert [(e.tag, e.actor, e.user_id) for e in world.audit_log.events] == [
            (AuditTag.GRANT_REMOVED, ADMIN.id, ALICE.id),
            (AuditTag.GRANT_REMOVED, ADMIN.id, BOB.id),
        ]

    def test_r84_a_second_click_removes_nothing_more(self, world: World) -> None:
        world.hold(GRANT)
        assert world.service.remove(ADMIN, [GRANT.id, GRANT.id], ORIGIN) == 1
        assert world.service.remove(ADMIN, [GRANT.id], ORIGIN) == 0
        assert len(world.audit_log.events) == 1

    def test_r65_ids_that_do_not_exist_are_not_found_and_harm_nothing(self, world: World) -> None:
        world.hold(GRANT)
        ids = ["nobody.S-1", f"northwind.{BOB.id}"]
        assert world.service.find(ids) == []
        assert world.service.remove(ADMIN, ids, ORIGIN) == 0
        assert world.grants.load(ALICE.id, "northwind").grant == GRANT

    @pytest.mark.parametrize("grant_id", ["", "northwind", "northwind.", ".S-1"])
    def test_refuses_what_is_no_grant_id(self, world: World, grant_id: str) -> None:
        with pytest.raises(InvalidRequest):
            world.service.remove(ADMIN, [grant_id], ORIGIN)

    def test_a_grant_that_changes_all_the_time_is_said_not_dropped(self, world: World) -> None:
        world.hold(GRANT)

        def always_changed(*_: object, **__: object) -> None:
            raise Conflict

        world.grants.save = always_changed
        with pytest.raises(Conflict):
            world.service.remove(ADMIN, [GRANT.id], ORIGIN)


class TestRemoveAll:
    def test_ends_every_grant_with_one_write_on_the_provider(self, world: World) -> None:
        world.hold(GRANT, BOBS)
        raised = world.service.remove_all(ADMIN, "northwind", ORIGIN)
        assert (raised.generation, raised.version) == (2, 2)
        for user in (ALICE, BOB):
            assert world.grants.load(user.id, "northwind").grant is None
        assert world.audit_log.events[-1].tag is AuditTag.PROVIDER_TOKENS_REMOVED

    def test_the_provider_keeps_its_client_secret(self, world: World) -> None:
        world.service.remove_all(ADMIN, "northwind", ORIGIN)
        world.service.remove_all(ADMIN, "northwind", ORIGIN)
        assert world.client_secret() == SECRET

    def test_a_secret_of_the_older_generation_put_back_does_not_open(self, world: World) -> None:
        older = world.providers.get("northwind").client_secret
        raised = world.service.remove_all(ADMIN, "northwind", ORIGIN)
        world.providers.update(replace(raised, client_secret=older))
        with pytest.raises(IntegrityViolation):
            world.client_secret()

    def test_goes_on_with_the_key_that_an_interrupted_removal_left(self, world: World) -> None:
        world.providers.add_key(world.cipher.new_key("northwind", 2))
        assert world.service.remove_all(ADMIN, "northwind", ORIGIN).generation == 2
        assert world.client_secret() == SECRET

    def test_an_edit_in_between_is_kept(self, world: World) -> None:
        stale = world.providers.get("northwind")
        world.providers.update(replace(stale, name="Edited"))
        first_read = iter([stale])
        read = world.providers.get
        world.providers.get = lambda provider_id: next(first_read, None) or read(provider_id)
        raised = world.service.remove_all(ADMIN, "northwind", ORIGIN)
        assert (raised.name, raised.generation) == ("Edited", 2)

    def test_two_administrators_at_once_remove_once(self, world: World) -> None:
        stale = world.providers.get("northwind")
        world.service.remove_all(ADMIN, "northwind", ORIGIN)
        first_read = iter([stale])
        read = world.providers.get
        world.providers.get = lambda provider_id: next(first_read, None) or read(provider_id)
        assert world.service.remove_all(ADMIN, "northwind", ORIGIN).generation == 2

    def test_gives_up_when_the_provider_changes_all_the_time(self, world: World) -> None:
        def always_changed(_: object) -> None:
            raise Conflict

        world.providers.update = always_changed
        with pytest.raises(Conflict):
            world.service.remove_all(ADMIN, "northwind", ORIGIN)

    def test_an_unknown_provider_is_not_found(self, world: World) -> None:
        with pytest.raises(NotFound):
            world.service.remove_all(ADMIN, "nobody", ORIGIN)


class TestCleanUp:
    def test_leaves_no_ciphertext_and_no_key_of_the_ended_generation(self, world: World) -> None:
        world.hold(*(replace(GRANT, user_id=f"S-{n}") for n in range(250)))
        world.service.remove_all(ADMIN, "northwind", ORIGIN)
        world.settle()
        assert world.service.clean_up() == 250
        assert all(grant.token_set is None for grant in world.grants.grants.values())
        with pytest.raises(NotFound):
            world.providers.key("northwind", 1)
        assert world.providers.get("northwind").cleaned_generation == 1
        assert world.service.clean_up() == 0

    def test_f27_goes_on_where_it_was_stopped(self, world: World) -> None:
        world.hold(*(replace(GRANT, user_id=f"S-{n}") for n in range(250)))
        world.service.remove_all(ADMIN, "northwind", ORIGIN)
        world.settle()
        assert [world.service.clean_up(pages=1) for _ in range(4)] == [100, 100, 50, 0]

    def test_waits_until_no_request_of_before_can_still_write(self, world: World) -> None:
        world.service.remove_all(ADMIN, "northwind", ORIGIN)
        world.service.clean_up()
        assert world.providers.key("northwind", 1)
        late = replace(GRANT, user_id="S-late")
        world.hold(late)
        world.settle()
        assert world.service.clean_up() == 1
        with pytest.raises(NotFound):
            world.providers.key("northwind", 1)

    def test_keeps_the_key_while_a_revocation_needs_it(self, world: World) -> None:
        world.revocations.add(REVOCATION)
        world.service.remove_all(ADMIN, "northwind", ORIGIN)
        world.settle()
        world.service.clean_up()
        assert world.providers.key("northwind", 1)
        world.revocations.delete(REVOCATION.id)
        world.service.clean_up()
        with pytest.raises(NotFound):
            world.providers.key("northwind", 1)

    def test_a_generation_that_must_wait_is_not_passed_over(self, world: World) -> None:
        world.revocations.add(REVOCATION)
        world.service.remove_all(ADMIN, "northwind", ORIGIN)
        world.service.remove_all(ADMIN, "northwind", ORIGIN)
        world.settle()
        world.service.clean_up()
        assert world.providers.get("northwind").cleaned_generation == 0
        world.revocations.delete(REVOCATION.id)
        world.service.clean_up()
        assert world.providers.get("northwind").cleaned_generation == 2
        assert [generation for _, generation in world.providers.keys] == [3]

    def test_one_providers_trouble_does_not_keep_the_others_from_being_cleaned(self, world: World) -> None:
        world.hold(GRANT)
        world.service.remove_all(ADMIN, "northwind", ORIGIN)
        broken = replace(world.providers.get("northwind"), id="a-broken", name="A", version=1)
        world.providers.add(broken, world.cipher.new_key("a-broken", 2))
        page = world.grants.page

        def fail_for_broken(provider_id: str, *arguments: object, **options: object) -> object:
            if provider_id == "a-broken":
                raise Conflict
            return page(provider_id, *arguments, **options)

        world.grants.page = fail_for_broken
        world.settle()
        assert world.service.clean_up() == 1

    def test_never_touches_the_living_generation(self, world: World) -> None:
        world.service.remove_all(ADMIN, "northwind", ORIGIN)
        living = replace(GRANT, generation=2)
        world.hold(GRANT, living)
        world.settle()
        world.service.clean_up()
        assert world.grants.load(ALICE.id, "northwind").grant == living

    def test_f29_running_twice_is_as_running_once(self, world: World) -> None:
        world.hold(GRANT)
        world.service.remove_all(ADMIN, "northwind", ORIGIN)
        world.settle()
        world.service.clean_up()
        events = len(world.audit_log.events)
        world.service.clean_up()
        assert len(world.audit_log.events) == events


def test_counting_stops_at_a_limit(world: World) -> None:
    world.hold(*(replace(GRANT, user_id=f"S-{n}") for n in range(COUNT_LIMIT)))
    provider = world.service.provider("northwind")
    assert (world.service.count(provider).number, world.service.count(provider).more) == (COUNT_LIMIT, False)
    world.hold(replace(GRANT, user_id="S-one-more"))
    assert (world.service.count(provider).number, world.service.count(provider).more) == (COUNT_LIMIT, True)
