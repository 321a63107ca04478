"""Keeping alive what nobody uses: what is refreshed, how much a run does, and what stops it."""

from dataclasses import replace

import pytest

from chalicelib.domain.errors import CloudRefused, CloudUnavailable, NotFound, StorageUnavailable
from chalicelib.domain.event import Channel, EventKind
from chalicelib.domain.grant import CLOCKS_APART_SECONDS, LEASE_SECONDS, GrantState, Holding
from chalicelib.domain.provider_type import ProviderType
from chalicelib.domain.stop import ALL, Stop, StopKind
from chalicelib.ports import GrantPage
from chalicelib.services import keep_alive
from chalicelib.services.background import RESERVE_SECONDS, Tally
from chalicelib.services.events import EventService, Outlets
from chalicelib.services.keep_alive import BUDGET, WALK, KeepAliveService
from tests.fakes.killing import every_point
from tests.fakes.services import FakeVault
from tests.samples import ADMINISTRATOR, GRANT, NOW, TOKENS

DAY = 24 * 3600
IDLE = 60 * DAY


class World(FakeVault):
    """Refresh tokens of the one provider lapse after sixty days."""

    def __init__(self, people: int) -> None:
        super().__init__()
        self.catalogue.type = replace(self.catalogue.type, refresh_token_idle_seconds=IDLE)
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
            engine=self.engine,
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
        self.takes(0)

    def takes(self, seconds: float) -> None:
        """So long the cloud takes for each refresh."""

        def meanwhile() -> None:
            self.cloud.current_refresh_token = ""
            self.clock.sleep(seconds)

        self.cloud.meanwhile = meanwhile

    def fail_for(self, user_ids: set[str]) -> None:
        """The cloud does not answer when these are refreshed."""
        load = self.grant_store.load

        refresh, last = self.cloud.refresh, [""]

        def noted(user_id: str, *where: str) -> Holding:
            last[0] = user_id
            return load(user_id, *where)

        def answers_others(*arguments: object) -> object:
            if last[0] in user_ids:
                self.clock.sleep(13)
                raise CloudUnavailable(detail="HTTP 503")
            return refresh(*arguments)  # type: ignore[arg-type]

        self.grant_store.load = noted  # type: ignore[method-assign, assignment]
        self.cloud.refresh = answers_others  # type: ignore[method-assign, assignment]


@pytest.fixture
def world() -> World:
    made = World(60)
    made.forget_rotation()
    return made


def test_nothing_is_refreshed_that_has_time_left(world: World) -> None:
    world.clock.advance(45 * DAY - 1)
    assert world.keep_alive.run() == Tally()
    assert world.cloud.refreshes == 0


def test_what_would_lapse_is_refreshed_once(world: World) -> None:
    world.clock.advance(45 * DAY)
    assert world.keep_alive.run() == Tally(done=60)
    assert world.keep_alive.run() == Tally()
    assert world.refreshed() == 60


def test_r100_a_run_begins_no_refresh_that_it_cannot_end_and_the_next_one_goes_on(world: World) -> None:
    world.clock.advance(45 * DAY)
    world.takes(26)
    left = BUDGET.piece_seconds + RESERVE_SECONDS + 20 * 26
    started, end = world.clock.monotonic(), left
    assert world.keep_alive.run(left) == Tally(done=20, left=1)
    assert world.clock.monotonic() - started < end
    assert world.keep_alive.run() == Tally(done=21, left=1)
    assert world.keep_alive.run().done == 19
    assert world.refreshed() == 60


def test_r99_what_lapses_soonest_comes_first_whatever_its_persons_name(world: World) -> None:
    for number, (key, grant) in enumerate(sorted(world.grant_store.grants.items())):
        world.grant_store.grants[key] = replace(grant, authorized_at=grant.authorized_at - number)
    world.clock.advance(50 * DAY)
    world.takes(26)
    done = world.keep_alive.run().done
    soonest = sorted(world.grant_store.grants.values(), key=lambda grant: grant.authorized_at)[:done]
    assert 0 < done < 60
    assert all(grant.refreshed_at is not None for grant in soonest)


def test_r99_what_fails_is_tried_when_the_others_are_done(world: World) -> None:
    """A run each hour that has time for 20: the ten that lapse first and always fail keep nobody waiting."""
    stubborn = sorted(world.grant_store.grants)[:10]
    for key in stubborn:
        world.grant_store.grants[key] = replace(world.grant_store.grants[key], authorized_at=NOW - DAY)
    world.clock.advance(45 * DAY)
    world.fail_for({user_id for user_id, *_ in stubborn})
    for _ in range(4):
        world.takes(26)
        world.keep_alive.run()
        world.clock.advance(3600)
    assert world.refreshed() == 50


def test_r99_a_thousand_misconfigured_providers_starve_no_other(world: World) -> None:
    """Each has a grant that lapses before those of the good one, and is refused after 13 s."""
    good, key = world.providers.get("northwind"), world.providers.key("northwind", 1)
    for number in range(1000):
        one = replace(good, id=f"a-{number:04}", name=f"A {number:04}")
        world.providers.add_key(replace(key, provider_id=one.id))
        world.providers.add(one)
        grant = replace(GRANT, provider_id=one.id, authorized_at=NOW - DAY, token_set=b"sealed")
        world.grant_store.grants[grant.user_id, one.id, 1, ""] = grant
    world.clock.advance(45 * DAY)
    load = world.grant_store.load

    def slow(user_id: str, provider_id: str, slot: str = "") -> Holding:
        if provider_id != "northwind":
            world.clock.sleep(13)
            raise StorageUnavailable
        return load(user_id, provider_id, slot)

    world.grant_store.load = slow  # type: ignore[method-assign]
    runs = 0
    while world.refreshed() < 60:
        world.keep_alive.run()
        world.clock.advance(3600)
        runs += 1
    assert runs * 3600 < DAY * 2


def test_r100_a_long_list_is_gone_on_with_where_the_last_run_stopped(
    world: World, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(keep_alive, "_PAGE", 10)
    world.clock.advance(45 * DAY)
    page, looked = world.grant_store.page, []

    def slow(*arguments: object, **options: object) -> GrantPage:
        world.clock.sleep(WALK.run_seconds / 2)
        found = page(*arguments, **options)  # type: ignore[arg-type]
        looked.append(len(found.grants))
        return found

    world.grant_store.page = slow  # type: ignore[assignment, method-assign]
    assert [world.keep_alive.run().done for _ in range(3)] == [20, 20, 20]
    assert (world.refreshed(), looked) == (60, [10] * 6)
    assert world.cursors.get("keep-alive/northwind/1") is None


def test_r99_a_list_that_cannot_be_read_stops_no_other(world: World) -> None:
    one = replace(world.providers.get("northwind"), id="a-broken", name="A")
    world.providers.add_key(replace(world.providers.key("northwind", 1), provider_id="a-broken"))
    world.providers.add(one)
    world.clock.advance(45 * DAY)
    page = world.grant_store.page

    def broken(provider_id: str, *arguments: object, **options: object) -> GrantPage:
        if provider_id == "a-broken":
            raise KeyError
        return page(provider_id, *arguments, **options)  # type: ignore[arg-type]

    world.grant_store.page = broken  # type: ignore[assignment, method-assign]
    assert world.keep_alive.run() == Tally(done=60)


def test_r99_a_provider_of_an_unknown_type_stops_no_other(world: World, monkeypatch: pytest.MonkeyPatch) -> None:
    one = replace(world.providers.get("northwind"), id="a-gone", name="A", type_id="gone")
    world.providers.add_key(replace(world.providers.key("northwind", 1), provider_id="a-gone"))
    world.providers.add(one)
    get = world.catalogue.get

    def known(type_id: str) -> ProviderType:
        if type_id == "gone":
            raise NotFound
        return get(type_id)

    monkeypatch.setattr(world.catalogue, "get", known)
    world.clock.advance(45 * DAY)
    assert world.keep_alive.run() == Tally(done=60)


def test_of_very_many_that_are_due_those_that_lapse_soonest_are_remembered(
    world: World, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(keep_alive, "_MOST", 5)
    for number, (key, grant) in enumerate(sorted(world.grant_store.grants.items(), reverse=True)):
        world.grant_store.grants[key] = replace(grant, authorized_at=grant.authorized_at - number)
    world.clock.advance(45 * DAY)
    assert world.keep_alive.run() == Tally(done=5)
    renewed = [grant.authorized_at for grant in world.grant_store.grants.values() if grant.refreshed_at]
    assert sorted(renewed) == sorted(grant.authorized_at for grant in world.grant_store.grants.values())[:5]


def test_r100_f37_killed_at_any_call_the_next_runs_refresh_everything() -> None:
    def made() -> World:
        world = World(3)
        world.forget_rotation()
        world.clock.advance(45 * DAY)
        return world

    def ports(world: World) -> tuple[object, ...]:
        return world.grant_store, world.cipher, world.cloud, world.cursors, world.providers, world.stop_store

    points = 0
    for points, world in enumerate(every_point(made, lambda world: world.keep_alive.run(), ports), 1):  # noqa: B007
        # A lease that was left behind is over then; a cloud that ends families is the matter of others' tests
        world.cloud.current_refresh_token = ""
        world.clock.advance(LEASE_SECONDS + CLOCKS_APART_SECONDS)
        world.keep_alive.run()
        assert world.refreshed() == 3
    assert points > 30


def test_f29_two_runs_at_once_refresh_each_grant_once(world: World) -> None:
    world.clock.advance(45 * DAY)
    page = world.grant_store.page

    def meanwhile(*arguments: object, **options: object) -> GrantPage:
        world.grant_store.page = page  # type: ignore[method-assign]
        found = page(*arguments, **options)  # type: ignore[arg-type]
        world.keep_alive.run()
        return found

    world.grant_store.page = meanwhile  # type: ignore[assignment, method-assign]
    assert world.keep_alive.run() == Tally()
    assert (world.refreshed(), world.cloud.refreshes) == (60, 60)


def test_one_grants_trouble_stops_no_other(world: World) -> None:
    world.clock.advance(45 * DAY)
    world.cloud.fail_next(CloudUnavailable(detail="HTTP 503"))
    assert world.keep_alive.run() == Tally(done=59, failed=1)


@pytest.mark.parametrize("state", [GrantState.NEEDS_REAUTHORIZATION, GrantState.REMOVED])
def test_what_cannot_be_refreshed_is_left_alone(world: World, state: GrantState) -> None:
    world.clock.advance(45 * DAY)
    for key, grant in world.grant_store.grants.items():
        world.grant_store.grants[key] = replace(grant, state=state)
    assert world.keep_alive.run() == Tally()


def test_what_changed_since_it_was_listed_is_left_alone(world: World) -> None:
    world.clock.advance(45 * DAY)
    page = world.grant_store.page
    world.grant_store.page = lambda *a, **k: replace_versions(page(*a, **k))  # type: ignore[method-assign]
    assert world.keep_alive.run() == Tally()


def replace_versions(page: object) -> object:
    return replace(page, grants=[replace(grant, version=grant.version - 1) for grant in page.grants])  # type: ignore[attr-defined, type-var]


def test_a_cloud_without_idle_time_or_switched_off_is_not_asked(world: World) -> None:
    world.clock.advance(365 * DAY)
    world.providers.update(replace(world.providers.get("northwind"), enabled=False))
    assert world.keep_alive.run() == Tally()
    world.providers.update(replace(world.providers.get("northwind"), enabled=True))
    world.catalogue.type = replace(world.catalogue.type, refresh_token_idle_seconds=None)
    assert world.keep_alive.run() == Tally()


class TestStops:
    @pytest.mark.parametrize(("kind", "target"), [(StopKind.EVERYTHING, ALL), (StopKind.PROVIDER, "northwind")])
    def test_nothing_is_sent_while_everything_or_the_provider_is_stopped(self, kind: StopKind, target: str) -> None:
        world = World(1)
        world.clock.advance(IDLE - DAY)
        world.stop_store.add(Stop(kind, target, "incident", 0, ADMINISTRATOR))
        assert world.keep_alive.run() == Tally()
        assert world.cloud.refreshes == 0
        world.stop_store.remove(kind, target)
        assert world.keep_alive.run() == Tally(done=1)

    @pytest.mark.parametrize(("kind", "target"), [(StopKind.PERSON, "S-0"), (StopKind.PROVIDER, "other")])
    def test_another_stop_lets_it_go_on(self, kind: StopKind, target: str) -> None:
        world = World(1)
        world.clock.advance(IDLE - DAY)
        world.stop_store.add(Stop(kind, target, "incident", 0, ADMINISTRATOR))
        assert world.keep_alive.run() == Tally(done=1)


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
            outbox=world.outbox,
            outlets=Outlets(),
            grants=world.grant_store,
            users=world.users,
            mail=world.mail_store,
            audit_log=world.audit_log,
            clock=world.clock,
            engine=world.engine,
        )

    def test_where_nobody_is_told_it_is_tried_all_the_same(self) -> None:
        world = World(1)
        self.tell_nobody(world)
        world.clock.advance(54 * DAY)
        world.cloud.fail_next(CloudUnavailable(detail="HTTP 503"))
        assert world.keep_alive.run() == Tally(failed=1)
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
