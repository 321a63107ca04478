"""Keeping alive what nobody uses: what is refreshed, how much a run does, and what stops it."""

from dataclasses import replace

import pytest

from chalicelib.domain.errors import CloudRefused, CloudUnavailable, StorageUnavailable
from chalicelib.domain.event import Channel, EventKind
from chalicelib.domain.grant import GrantState
from chalicelib.domain.stop import ALL, Stop, StopKind
from chalicelib.services.events import EventService, Outlets
from chalicelib.services.keep_alive import KeepAliveService, KeptAlive
from tests.fakes.services import FakeVault
from tests.fakes.stores import FakeCursorStore
from tests.samples import ADMINISTRATOR, GRANT, NOW, TOKENS

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


class TestWarnings:
    """Who cannot be kept alive is told before the end."""

    def told(self, world: World) -> list[tuple[str, int]]:
        waiting = [one.event for one in world.outbox.waiting.values() if one.channel is Channel.PERSON]
        return [(e.user_id, e.lapses_at - NOW) for e in waiting if e.kind is EventKind.GRANT_ABOUT_TO_LAPSE]

    def lasting(self, days: int, *, is_renewable: bool) -> World:
        """Somebody whose access token lives for days at a cloud without idle time."""
        world = World(1)
        world.catalogue.type = replace(world.catalogue.type, refresh_token_idle_seconds=None)
        for key, grant in world.grant_store.grants.items():
            changed = replace(grant, expires_at=NOW + days * DAY, is_renewable=is_renewable)
            world.grant_store.grants[key] = changed
        return world

    def test_a_cloud_that_does_not_answer_until_little_time_is_left(self) -> None:
        world = World(1)
        world.forget_rotation()
        for day in (50, 53, 54, 55):
            world.clock.advance(NOW + day * DAY - world.clock.now())
            world.cloud.fail_next(CloudUnavailable(detail="HTTP 503"))
            world.keep_alive.run()
            assert self.told(world) == ([("S-0", 60 * DAY)] if day >= 53 else [])

    def test_one_whose_cloud_refused_for_good_is_told_that_instead(self) -> None:
        world = World(1)
        world.clock.advance(54 * DAY)
        world.cloud.fail_next(CloudRefused("invalid_grant"))
        world.keep_alive.run()
        assert self.told(world) == []

    @pytest.mark.parametrize(("days", "warned_at"), [(60, 53), (8, 6), (1, 0.75)])
    def test_a_token_that_nothing_can_renew(self, days: int, warned_at: float) -> None:
        world = self.lasting(days, is_renewable=False)
        world.clock.advance(int(warned_at * DAY) - 1)
        world.keep_alive.run()
        assert self.told(world) == []
        for _ in range(3):
            world.clock.advance(1)
            world.keep_alive.run()
        assert self.told(world) == [("S-0", days * DAY)]

    def test_one_that_can_be_renewed_or_lives_for_hours_only(self) -> None:
        for world in (self.lasting(60, is_renewable=True), self.lasting(0, is_renewable=False)):
            world.clock.advance(59 * DAY)
            world.keep_alive.run()
            assert self.told(world) == []

    @staticmethod
    def tell_nobody(world: World) -> None:
        world.keep_alive._events = EventService(
            outbox=world.outbox, outlets=Outlets(), grants=world.grant_store, users=world.users, clock=world.clock
        )

    def test_where_nobody_is_told_it_is_tried_all_the_same(self) -> None:
        world = World(1)
        self.tell_nobody(world)
        world.clock.advance(54 * DAY)
        world.cloud.fail_next(CloudUnavailable(detail="HTTP 503"))
        assert world.keep_alive.run() == KeptAlive(failed=1)
        assert self.told(world) == []

    def test_a_grant_that_cannot_be_read_is_warned_of_by_the_next_run(self, monkeypatch: pytest.MonkeyPatch) -> None:
        world = self.lasting(60, is_renewable=False)
        world.clock.advance(59 * DAY)

        def down(*_: str) -> None:
            raise StorageUnavailable

        with monkeypatch.context() as broken:
            broken.setattr(world.grant_store, "load", down)
            world.keep_alive.run()
        assert self.told(world) == []
        world.keep_alive.run()
        assert self.told(world) == [("S-0", 60 * DAY)]

    def test_where_nobody_is_told_such_clouds_are_not_looked_through(self) -> None:
        world = self.lasting(60, is_renewable=False)
        self.tell_nobody(world)
        world.clock.advance(59 * DAY)
        world.keep_alive.run()
        assert (self.told(world), world.cursors.cursors) == ([], {})
