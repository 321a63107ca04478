"""What the tables see: no item is hot however often one token is fetched, and a restored one brings nothing back."""

from collections import Counter
from copy import deepcopy
from dataclasses import replace
from urllib.parse import urlencode

import pytest

from chalicelib.services.restoration import Restored
from tests.functional.client import Browser
from tests.functional.conftest import NORTHWIND
from tests.samples import ADMINISTRATOR

from .invariants import everything_opens
from .seam import Call
from .world import ORIGIN, World

RELEASES = 100
_WRITES = ("PutItem", "UpdateItem", "DeleteItem", "BatchWriteItem")


def written(world: World, fetches: int) -> Counter[str]:
    """How often each item was written while the token was fetched so many times."""
    found: Counter[str] = Counter()

    def watch(call: Call) -> None:
        if call.operation in _WRITES:
            key = call.arguments.get("Key") or call.arguments["Item"]
            found[f"{key['pk']['S']} {key.get('sk', {}).get('S', '')}"] += 1

    world.seam.watchers.append(watch)
    for _ in range(fetches):
        assert world.fetch()[0] == 200
    world.seam.watchers.remove(watch)
    return found


def test_f33_no_item_is_written_again_with_each_release(world: World) -> None:
    """A partition takes a thousand writes a second: one grant, fetched by everybody, must not meet that."""
    world.log_in("alice")
    world.authorize("alice")
    writes = written(world, RELEASES)
    assert len(writes) == RELEASES, "a line of the ledger each"
    assert set(writes.values()) == {1}


def test_f33_a_counted_application_has_one_counter_and_nothing_else_is_written_again(world: World) -> None:
    service = world.first.vault.client_applications
    service.change(replace(service.get("scanner"), calls_per_minute=RELEASES), ADMINISTRATOR, ORIGIN)
    world.log_in("alice")
    world.authorize("alice")
    again = {key: count for key, count in written(world, RELEASES).items() if count > 1}
    assert [key.partition("#")[0] for key in again] == ["USAGE"]
    assert sum(again.values()) <= RELEASES


def test_f33_an_application_far_beyond_its_limit_is_stopped_and_others_are_not(world: World) -> None:
    service = world.first.vault.client_applications
    service.change(replace(service.get("scanner"), calls_per_minute=10), ADMINISTRATOR, ORIGIN)
    world.log_in("alice")
    world.authorize("alice")
    answers = Counter(world.fetch()[0] for _ in range(RELEASES))
    assert answers == {200: 10, 400: RELEASES - 10}
    assert world.provider().enabled


@pytest.mark.parametrize("with_clean_up", [True, False], ids=["cleaned up", "not cleaned up yet"])
def test_f35_what_was_removed_stays_removed_when_the_table_is_restored(world: World, with_clean_up: bool) -> None:
    """Keys and copies are never restored: they tell what happened since, to the gate before the table is used."""
    _settle(world)
    world.log_in("alice")
    world.authorize("alice")
    _restored(world, with_clean_up=with_clean_up)
    outcomes = [one.outcome for one in world.first.vault.restoration.run(ADMINISTRATOR, ORIGIN)]
    assert Restored.AS_LAST in outcomes
    assert not {Restored.CLOSED, Restored.NEEDS_SECRET} & {*outcomes}
    assert world.fetch()[0] == 400
    again = {one.outcome for one in world.second.vault.restoration.run(ADMINISTRATOR, ORIGIN)}
    assert again == {Restored.CURRENT}
    world.authorize("alice")
    assert world.fetch()[0] == 200
    everything_opens(world)


def test_f35_nothing_opens_where_the_gate_was_forgotten_and_the_keys_are_gone(world: World) -> None:
    world.log_in("alice")
    world.authorize("alice")
    _restored(world, with_clean_up=True)
    assert world.fetch()[0] == 503


def _restored(world: World, *, with_clean_up: bool) -> None:
    """The table as it was before all tokens were removed; the keys as they are now."""
    before = deepcopy(world._items("vault"))
    _remove_all(world.log_in("admin"))
    if with_clean_up:
        # Once to bury what is left, once to delete the key: not in one run, since lists lag
        world.background(world.first, 0.1, 0.2)
    world._items("vault").clear()
    world._items("vault").update(before)
    for process in (world.first, world.second):
        process.forget()


def _settle(world: World) -> None:
    """As the background does it in the hour after an update: from then on every change leaves a copy."""
    for _ in range(2):
        world.first.vault.restoration.prepare()
        world.clock.advance(3600)


def _remove_all(admin: Browser) -> None:
    page = admin.get(f"/admin/tokens/remove-all?{urlencode({'provider': NORTHWIND})}")
    admin.press(page, "Remove", confirm="Northwind Cloud")
