"""Two things at once: between each two calls of one act, another one happens whole, in another process.

What a race could do to one grant is one of these orders, and here each is tried, instead of hoping to meet it.
"""

from collections.abc import Callable
from dataclasses import dataclass

import pytest

from chalicelib.domain.stop import StopKind
from tests.fakes import directory
from tests.functional.client import Answer
from tests.functional.conftest import NORTHWIND
from tests.samples import ADMINISTRATOR

from . import seam
from .flows import (
    AHEAD,
    CALLBACK,
    CLEAN_UP,
    DELIVER,
    REAUTHORIZE,
    REFRESH,
    RELEASE,
    REMOVE_ALL,
    REMOVE_ONE,
    RESUME,
    RETRY,
    REVOKE,
    SEAL,
    STOP,
    Flow,
    Prepared,
)
from .invariants import check, check_settled, nothing_lives_unknown
from .test_every_call import EVERY
from .world import IDS, ORIGIN, World


@dataclass(frozen=True)
class Intruder:
    """What happens meanwhile. `ends` tells of which flows no grant may be left."""

    name: str
    act: Callable[[World], object]
    ends: tuple[Flow, ...] = ()
    stops: bool = False


def _revoke(world: World) -> None:
    world.second.vault.grants.revoke(directory.ALICE.user, NORTHWIND, ORIGIN)


def _remove_one(world: World) -> None:
    world.second.vault.removals.remove(ADMINISTRATOR, [f"{NORTHWIND}.{IDS['alice']}"], ORIGIN, revoke=True)


def _remove_all(world: World) -> None:
    world.second.vault.removals.remove_all(ADMINISTRATOR, NORTHWIND, ORIGIN, revoke=True)


def _stop(world: World) -> None:
    world.second.vault.stops.stop(StopKind.PROVIDER, NORTHWIND, "Laptop lost", ADMINISTRATOR, ORIGIN)


_RELEASES = (RELEASE, AHEAD, REFRESH)


def _another_account(world: World) -> None:
    if world.browser("alice", world.second).get("/providers").url != "/providers":
        world.log_in("alice", world.second)
    world.authorize("alice", "alice2", world.second)


# A consent that is given while an earlier grant is revoked or removed is newer than that; a removal of all ends it
INTRUDERS = (
    Intruder("revocation", _revoke, ends=_RELEASES),
    Intruder("removal-of-one", _remove_one, ends=_RELEASES),
    Intruder("removal-of-all", _remove_all, ends=(*_RELEASES, CALLBACK, REAUTHORIZE)),
    Intruder("stop", _stop, stops=True),
)


def interleaved(world: World, flow: Flow, act: Callable[[], object], judge: Callable[[], None]) -> list[str]:
    """Let `act` happen before each call of the flow in turn, and once behind the last. Gives what `judge` found."""
    prepared = flow.prepare(world)
    moment = world.moment()
    world.back_to(moment)
    with world.seam.treating() as places:
        flow.act(world, prepared)
    failures = []
    tried = places if EVERY else places[len(places) % 3 :: 3]
    for place in tried:
        world.back_to(moment)
        try:
            with world.seam.treating(seam.at(place.number, seam.meanwhile(act))) as calls:
                flow.act(world, prepared)
            assert len(calls) > place.number, "was never made"
            judge()
        except AssertionError as failure:
            failures.append(f"{place}: {failure!r:.300}")
    print(f"\nproof: {len(tried)} orders")
    return failures


@pytest.mark.parametrize("intruder", INTRUDERS, ids=lambda intruder: intruder.name)
@pytest.mark.parametrize("flow", [*_RELEASES, CALLBACK, REAUTHORIZE], ids=lambda flow: flow.name)
def test_f28_r76_what_ends_authorizations_wins_over_whatever_is_under_way(
    world: World, flow: Flow, intruder: Intruder
) -> None:
    def judge() -> None:
        check(world)
        if intruder.stops:
            status, body = world.fetch(process=world.second)
            assert (status, body["reason"]) == (400, "blocked"), body
        if flow in intruder.ends:
            assert world.grant() is None, "it came back"
        world.background(world.second, 0.05, 0.3)
        if flow in intruder.ends:
            assert world.grant() is None, "it came back later"
        nothing_lives_unknown(world)
        check_settled(world)

    failures = interleaved(world, flow, lambda: intruder.act(world), judge)
    assert not failures, "\n".join(failures)


@pytest.mark.parametrize("flow", [AHEAD, REFRESH], ids=lambda flow: flow.name)
def test_f28_r95_another_account_while_a_refresh_is_under_way_leaves_nothing_alive_unknown(
    world: World, flow: Flow
) -> None:
    def judge() -> None:
        check(world)
        world.background(world.second, 0.05, 0.3)
        grant = world.grant()
        assert grant is not None
        assert grant.account.subject == "cloud-alice2"
        nothing_lives_unknown(world)
        check_settled(world)

    failures = interleaved(world, flow, lambda: _another_account(world), judge)
    assert not failures, "\n".join(failures)


TWICE = (CALLBACK, AHEAD, REVOKE, REMOVE_ONE, REMOVE_ALL, STOP, RESUME, CLEAN_UP, RETRY, SEAL, DELIVER)


@pytest.mark.parametrize("flow", TWICE, ids=lambda flow: flow.name)
def test_f22_f29_r84_twice_at_once_is_as_once(world: World, flow: Flow) -> None:
    """A double click, a callback or a scheduled event that is delivered twice: in every order, one effect."""
    prepared: list[Prepared] = []

    def remembered(world: World) -> Prepared:
        prepared.append(flow.prepare(world))
        return prepared[0]

    def again() -> None:
        with world.swapped():
            flow.act(world, prepared[0])

    def judge() -> None:
        check(world)
        flow.again(world)
        flow.done(world)
        world.background(world.second, 0.05, 0.3)
        flow.done(world)
        check_settled(world)
        _once(world, flow)

    once = Flow(flow.name, remembered, flow.act, flow.again, flow.done)
    failures = interleaved(world, once, again, judge)
    assert not failures, "\n".join(failures)


def _once(world: World, flow: Flow) -> None:
    """One exchange, one refresh, one mail, one entry for each thing that happened."""
    tags = [item["tag"] for item in world.audit()]
    if flow is CALLBACK:
        assert tags.count("grant.authorized") == 1
        assert world.grant() is not None
    if flow is AHEAD:
        assert world.cloud.requests["/token"] == 2, "the code, and one refresh"
    if flow is DELIVER:
        assert world.published["grant.needs_reauthorization"] == 1


def _edit_page(world: World) -> Answer:
    return world.log_in("admin").get(f"/admin/providers/{NORTHWIND}/edit")


def test_two_administrators_who_save_one_provider_at_once(world: World) -> None:
    """One of them is told that it was changed meanwhile; nothing of both is mixed."""
    answers: dict[str, Answer] = {}

    def save(world: World, page: Answer, name: str = "First") -> bool:
        process = world.first if name == "First" else world.second
        answers[name] = world.browser("admin", process).press(page, "Save", name=name)
        return answers[name].status == 200

    page: list[Answer] = []

    def prepared(world: World) -> Answer:
        page.append(_edit_page(world))
        return page[0]

    def judge() -> None:
        won = [name for name, answer in answers.items() if answer.status == 200]
        assert len(won) == 1, {name: answer.status for name, answer in answers.items()}
        assert {answer.status for answer in answers.values()} == {200, 409}
        assert world.provider().name == won[0]
        answers.clear()

    flow = Flow("save", prepared, save, lambda world: None, lambda world: None)
    failures = interleaved(world, flow, lambda: save(world, page[0], "Second"), judge)
    assert not failures, "\n".join(failures)
