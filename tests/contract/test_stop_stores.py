"""What every store of stops and blocks does."""

from dataclasses import replace

import pytest

from chalicelib.domain.errors import Conflict
from chalicelib.domain.stop import ALL, Block, Stop, StopKind
from chalicelib.ports import StopStore
from chalicelib.stores.stops import DynamoStopStore
from tests.aws import Aws
from tests.fakes.stores import FakeStopStore
from tests.samples import ADMINISTRATOR, ALICE, BOB, NOW

from .places import STORES, aws_of

EVERYTHING = Stop(StopKind.EVERYTHING, ALL, "incident", NOW, ADMINISTRATOR)
PROVIDER = Stop(StopKind.PROVIDER, "northwind", "their incident", NOW + 1, ADMINISTRATOR, "Northwind Cloud")
PERSON = Stop(StopKind.PERSON, ALICE.id, "lost laptop", NOW + 2, ADMINISTRATOR, ALICE.login_name)


@pytest.fixture(params=STORES)
def store(request: pytest.FixtureRequest) -> StopStore:
    if request.param == "fake":
        return FakeStopStore()
    aws: Aws = aws_of(request)
    return DynamoStopStore(aws.table("vault"))


def test_lists_what_is_stopped_newest_first(store: StopStore) -> None:
    for stop in (PROVIDER, EVERYTHING, PERSON):
        store.add(stop)
    assert store.all() == [PERSON, PROVIDER, EVERYTHING]


def test_the_first_stop_stays(store: StopStore) -> None:
    store.add(PROVIDER)
    with pytest.raises(Conflict):
        store.add(replace(PROVIDER, reason="another"))
    assert store.all() == [PROVIDER]


def test_what_is_taken_back_is_gone_and_can_come_again(store: StopStore) -> None:
    for stop in (PROVIDER, EVERYTHING):
        store.add(stop)
    assert store.remove(StopKind.PROVIDER, "northwind") == PROVIDER
    assert store.remove(StopKind.PROVIDER, "northwind") is None
    assert store.all() == [EVERYTHING]
    store.add(PROVIDER)


def test_blocks_are_a_persons_own(store: StopStore) -> None:
    mine, other = Block(ALICE.id, "scanner", NOW), Block(BOB.id, "scanner", NOW)
    assert store.block(mine)
    assert store.block(other)
    assert not store.block(replace(mine, at=NOW + 9))
    assert store.blocks(ALICE.id) == [mine]
    assert store.unblock(ALICE.id, "scanner")
    assert not store.unblock(ALICE.id, "scanner")
    assert (store.blocks(ALICE.id), store.blocks(BOB.id)) == ([], [other])
