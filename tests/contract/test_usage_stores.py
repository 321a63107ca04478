"""What every store of usage does."""

import pytest

from chalicelib.ports import UsageStore
from chalicelib.stores import usage
from chalicelib.stores.usage import DynamoUsageStore
from tests.aws import Aws
from tests.fakes.stores import FakeUsageStore
from tests.samples import ALICE, BOB, NOW

from .places import STORES, aws_of


@pytest.fixture(params=STORES)
def store(request: pytest.FixtureRequest) -> UsageStore:
    if request.param == "fake":
        return FakeUsageStore()
    return DynamoUsageStore(aws_of(request).table("vault-sessions"))


def test_counts_calls_of_each_window(store: UsageStore) -> None:
    assert [store.add_call("scanner#1#1", NOW) for _ in range(3)] == [1, 2, 3]
    assert store.add_call("scanner#1#2", NOW) == 1


def test_counts_each_person_once_in_a_window(store: UsageStore) -> None:
    people = [ALICE.id, BOB.id, ALICE.id, BOB.id, "contoso\\nobody"]
    assert [store.add_person("scanner#1#1", person, NOW) for person in people] == [1, 2, None, None, 3]
    assert store.add_person("scanner#1#2", ALICE.id, NOW) == 1


def test_processes_count_together(aws: Aws) -> None:
    first, second = (DynamoUsageStore(aws.table("vault-sessions")) for _ in range(2))
    assert (first.add_call("w", NOW), second.add_call("w", NOW)) == (1, 2)
    assert (first.add_person("w", ALICE.id, NOW), second.add_person("w", ALICE.id, NOW)) == (1, None)
    assert second.add_person("w", BOB.id, NOW) == 2


def test_what_is_counted_goes_by_itself_and_names_nobody(aws: Aws) -> None:
    store = DynamoUsageStore(aws.table("vault-sessions"))
    store.add_call("w", NOW + 60)
    store.add_person("w", ALICE.id, NOW + 60)
    items = aws.items("vault-sessions")
    assert [item["expires_at"]["N"] for item in items] == [str(NOW + 60)] * 3
    assert ALICE.id not in str(items)


def test_a_process_that_has_counted_very_many_forgets_them_and_counts_nobody_twice(
    aws: Aws, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(usage, "_REMEMBERED", 1)
    store = DynamoUsageStore(aws.table("vault-sessions"))
    assert [store.add_person("w", person, NOW) for person in (ALICE.id, BOB.id, ALICE.id)] == [1, 2, None]
    assert len(store._counted) == 1
