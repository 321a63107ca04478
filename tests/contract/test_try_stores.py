"""What every store of counted tries does."""

from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from threading import Lock
from typing import Any

import pytest

from chalicelib.ports import TryStore
from chalicelib.stores.tries import DynamoTryStore
from tests.fakes.stores import FakeTryStore
from tests.samples import NOW

from .places import STORES, aws_of

KEY, WINDOW = "account S-1-5-21-1", 1800


def reserve(store: TryStore, *, limit: int = 2, now: int = NOW, key: str = KEY) -> int | None:
    return store.reserve(key, limit=limit, seconds=WINDOW, now=now)


class TestTryStore:
    @pytest.fixture(params=STORES)
    def store(self, request: pytest.FixtureRequest) -> TryStore:
        if request.param == "fake":
            return FakeTryStore()
        return DynamoTryStore(aws_of(request).table("vault-sessions"))

    def test_counts_up_to_the_limit(self, store: TryStore) -> None:
        assert [reserve(store) for _ in range(3)] == [None, None, WINDOW]

    def test_a_higher_limit_finds_the_same_count(self, store: TryStore) -> None:
        assert [reserve(store), reserve(store)] == [None, None]
        assert [reserve(store, limit=3), reserve(store, limit=3)] == [None, WINDOW]

    def test_keys_do_not_touch_each_other(self, store: TryStore) -> None:
        assert [reserve(store), reserve(store), reserve(store, key="other")] == [None, None, None]

    def test_the_window_slides_with_the_last_try(self, store: TryStore) -> None:
        reserve(store)
        assert reserve(store, now=NOW + WINDOW - 1) is None
        assert reserve(store, now=NOW + WINDOW) == WINDOW - 1
        assert reserve(store, now=NOW + 2 * WINDOW - 1) is None
        assert reserve(store, now=NOW + 2 * WINDOW - 1) is None

    def test_a_refused_try_does_not_prolong_the_wait(self, store: TryStore) -> None:
        assert [reserve(store), reserve(store)] == [None, None]
        assert reserve(store, now=NOW + 100) == WINDOW - 100
        assert reserve(store, now=NOW + 200) == WINDOW - 200

    def test_waiting_tells_without_counting(self, store: TryStore) -> None:
        def waiting(now: int = NOW) -> int | None:
            return store.waiting(KEY, limit=1, seconds=WINDOW, now=now)

        assert waiting() is None
        assert reserve(store, limit=1) is None
        assert (waiting(), waiting(NOW + 60), waiting(NOW + WINDOW)) == (WINDOW, WINDOW - 60, None)

    def test_a_try_can_be_given_back_but_none_below_nothing(self, store: TryStore) -> None:
        store.give_back(KEY)
        reserve(store)
        reserve(store)
        store.give_back(KEY)
        assert [reserve(store), reserve(store)] == [None, WINDOW]

    def test_forgetting_starts_from_nothing(self, store: TryStore) -> None:
        store.forget(KEY)
        reserve(store)
        reserve(store)
        store.forget(KEY)
        assert [reserve(store), reserve(store), reserve(store)] == [None, None, WINDOW]

    def test_a_browser_is_known_for_its_accounts_until_it_expires(self, store: TryStore) -> None:
        assert store.known_accounts("b" * 64, NOW) == frozenset()
        store.remember("b" * 64, frozenset({"alice", "bob"}), NOW + 60)
        assert store.known_accounts("b" * 64, NOW + 59) == {"alice", "bob"}
        assert store.known_accounts("b" * 64, NOW + 60) == frozenset()


def test_r32_many_at_once_get_no_more_than_the_limit(aws, monkeypatch) -> None:
    # DynamoDB checks the condition and writes in one step; moto, in one process with us, can be interrupted in between
    step = Lock()

    def in_one_step(write: Callable[..., Any]) -> Callable[..., Any]:
        def call(**arguments: Any) -> Any:
            with step:
                return write(**arguments)

        return call

    for name in ("put_item", "update_item"):
        monkeypatch.setattr(aws.clients.dynamodb, name, in_one_step(getattr(aws.clients.dynamodb, name)))
    store = DynamoTryStore(aws.table("vault-sessions"))
    with ThreadPoolExecutor(16) as pool:
        results = list(pool.map(lambda _: reserve(store, limit=3), range(64)))
    assert results.count(None) == 3


def test_no_name_and_no_address_is_stored(aws) -> None:
    store = DynamoTryStore(aws.table("vault-sessions"))
    store.reserve("account contosoalice", limit=3, seconds=WINDOW, now=NOW)
    store.reserve("source 203.0.113.7", limit=3, seconds=WINDOW, now=NOW)
    stored = str(aws.items("vault-sessions"))
    assert "alice" not in stored
    assert "203.0.113" not in stored
