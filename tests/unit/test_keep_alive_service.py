"""Keeping alive what nobody uses: what is refreshed, how much a run does, and what stops it."""

from dataclasses import replace

import pytest

from chalicelib.domain.errors import CloudUnavailable
from chalicelib.domain.grant import GrantState
from chalicelib.domain.stop import ALL, Stop, StopKind
from chalicelib.services.keep_alive import KeepAliveService, KeptAlive
from tests.fakes.services import FakeVault
from tests.fakes.stores import FakeCursorStore
from tests.samples import ADMINISTRATOR, GRANT, TOKENS

DAY = 24 * 3600
IDLE = 60 * DAY


class World(FakeVault):
    """Refresh tokens of the one provider lapse after sixty days."""

    def __init__(self, people: int) -> None:
        super().__init__()
        self.catalogue.type = replace(self.catalogue.type, refresh_token_idle_seconds=IDLE)
        self.cursors = FakeCursorStore()
        self.keep_alive = KeepAliveService(
            providers=self.providers,
            grants=self.grant_store,
            cursors=self.cursors,
            catalogue=self.catalogue,
            cipher=self.cipher,
            refresh=self.refresh,
            events=self.events,
            stops=self.stop_store,
            clock=self.clock,
        )
        key = self.providers.key("northwind", 1)
        with self.cipher.unlock(key) as box:
            for number in range(people):
                grant = replace(GRANT, user_id=f"S-{number}", user_name=f"CONTOSO\\user{number:03}")
                tokens = replace(TOKENS, expires_at=grant.expires_at)
                sealed = box.encrypt(tokens.to_bytes(), grant.encryption_context())
                self.grant_store.save(replace(grant, token_set=sealed), replaces=None)

    def refreshed(self) -> int:
        return sum(grant.refreshed_at is not None for grant in self.grant_store.grants.values())

    def forget_rotation(self) -> None:
        """Each person's refresh token is good: the fake cloud knows one family only."""
        self.cloud.meanwhile = lambda: setattr(self.cloud, "current_refresh_token", "")


@pytest.fixture
def world() -> World:
    made = World(60)
    made.forget_rotation()
    return made


def test_nothing_is_refreshed_that_has_time_left(world: World) -> None:
    world.clock.advance(45 * DAY - 1)
    assert world.keep_alive.run() == KeptAlive()
    assert world.cloud.refreshes == 0


def test_what_would_lapse_is_refreshed_once(world: World) -> None:
    world.clock.advance(45 * DAY)
    assert world.keep_alive.run(refreshes=100) == KeptAlive(refreshed=60)
    assert world.keep_alive.run(refreshes=100) == KeptAlive()
    assert world.refreshed() == 60


def test_a_run_is_bounded_and_the_next_one_goes_on(world: World) -> None:
    world.clock.advance(45 * DAY)
    assert world.keep_alive.run(refreshes=20).refreshed == 25
    assert world.keep_alive.run(pages=1).refreshed == 25
    assert world.keep_alive.run().refreshed == 10
    assert world.refreshed() == 60
    assert set(world.cursors.cursors.values()) == {None}


def test_one_grants_trouble_stops_no_other(world: World) -> None:
    world.clock.advance(45 * DAY)
    world.cloud.fail_next(CloudUnavailable(detail="HTTP 503"))
    assert world.keep_alive.run(refreshes=100) == KeptAlive(refreshed=59, failed=1)


@pytest.mark.parametrize("state", [GrantState.NEEDS_REAUTHORIZATION, GrantState.REMOVED])
def test_what_cannot_be_refreshed_is_left_alone(world: World, state: GrantState) -> None:
    world.clock.advance(45 * DAY)
    for key, grant in world.grant_store.grants.items():
        world.grant_store.grants[key] = replace(grant, state=state)
    assert world.keep_alive.run() == KeptAlive()


def test_what_changed_since_it_was_listed_is_left_alone(world: World) -> None:
    world.clock.advance(45 * DAY)
    page = world.grant_store.page
    world.grant_store.page = lambda *a, **k: replace_versions(page(*a, **k))  # type: ignore[method-assign]
    assert world.keep_alive.run() == KeptAlive()


def replace_versions(page: object) -> object:
    return replace(page, grants=[replace(grant, version=grant.version - 1) for grant in page.grants])  # type: ignore[attr-defined, type-var]


def test_a_cloud_without_idle_time_or_switched_off_is_not_asked(world: World) -> None:
    world.clock.advance(365 * DAY)
    world.providers.update(replace(world.providers.get("northwind"), enabled=False))
    assert world.keep_alive.run() == KeptAlive()
    world.providers.update(replace(world.providers.get("northwind"), enabled=True))
    world.catalogue.type = replace(world.catalogue.type, refresh_token_idle_seconds=None)
    assert world.keep_alive.run() == KeptAlive()


class TestStops:
    @pytest.mark.parametrize(("kind", "target"), [(StopKind.EVERYTHING, ALL), (StopKind.PROVIDER, "northwind")])
    def test_nothing_is_sent_while_everything_or_the_provider_is_stopped(self, kind: StopKind, target: str) -> None:
        world = World(1)
        world.clock.advance(IDLE - DAY)
        world.stop_store.add(Stop(kind, target, "incident", 0, ADMINISTRATOR))
        assert world.keep_alive.run() == KeptAlive()
        assert world.cloud.refreshes == 0
        world.stop_store.remove(kind, target)
        assert world.keep_alive.run() == KeptAlive(refreshed=1)

    @pytest.mark.parametrize(("kind", "target"), [(StopKind.PERSON, "S-0"), (StopKind.PROVIDER, "other")])
    def test_another_stop_lets_it_go_on(self, kind: StopKind, target: str) -> None:
        world = World(1)
        world.clock.advance(IDLE - DAY)
        world.stop_store.add(Stop(kind, target, "incident", 0, ADMINISTRATOR))
        assert world.keep_alive.run() == KeptAlive(refreshed=1)
