"""What every store of counts of use does."""

from dataclasses import replace
from datetime import date

import pytest

from chalicelib.domain.use import NONE, UseCount
from chalicelib.ports import UseCountStore
from chalicelib.stores.use_counts import DynamoUseCountStore
from tests.aws import Aws
from tests.fakes.stores import FakeUseCountStore
from tests.samples import NOW

from .places import STORES, aws_of

DAY = date(2027, 1, 31)
COUNT = UseCount(DAY, "scanner", "northwind", 3, {"blocked": 1, "not_connected": 2})
FIRST, SECOND = "2027-01-31T08:05:00", "2027-01-31T08:10:00"


@pytest.fixture(params=STORES)
def store(request: pytest.FixtureRequest) -> UseCountStore:
    if request.param == "fake":
        return FakeUseCountStore()
    return DynamoUseCountStore(aws_of(request).table("vault"))


def test_counts_of_later_windows_add_up(store: UseCountStore) -> None:
    store.add(COUNT, counted_to=FIRST, expires_at=NOW)
    store.add(replace(COUNT, released=0, refused={"blocked": 1, "other": 4}), counted_to=SECOND, expires_at=NOW)
    expected = replace(COUNT, refused={"blocked": 2, "not_connected": 2, "other": 4})
    assert list(store.between(DAY, DAY)) == [expected]


def test_f29_the_same_window_counted_again_adds_nothing(store: UseCountStore) -> None:
    for counted_to in (SECOND, SECOND, FIRST):
        store.add(COUNT, counted_to=counted_to, expires_at=NOW)
    assert list(store.between(DAY, DAY)) == [COUNT]


def test_days_come_in_order_over_months_and_none_that_was_not_asked_for(store: UseCountStore) -> None:
    days = [date(2026, 12, 31), date(2027, 1, 1), DAY, date(2027, 2, 1), date(2027, 3, 1)]
    counts = [UseCount(day, application, "-", 1) for day in days for application in (NONE, "mailer", "scanner")]
    for count in reversed(counts):
        store.add(count, counted_to=FIRST, expires_at=NOW)
    assert list(store.between(days[0], days[-1])) == counts
    assert list(store.between(days[1], days[3])) == counts[3:12]
    assert list(store.between(date(2027, 1, 2), date(2027, 1, 30))) == []


def test_a_month_is_one_query_and_goes_by_itself(aws: Aws) -> None:
    store = DynamoUseCountStore(aws.table("vault"))
    store.add(COUNT, counted_to=FIRST, expires_at=NOW + 60)
    store.add(replace(COUNT, application="a#b", day=date(2027, 1, 1)), counted_to=FIRST, expires_at=NOW + 60)
    assert {item["pk"]["S"] for item in aws.items("vault")} == {"USE#2027-01"}
    assert {item["expires_at"]["N"] for item in aws.items("vault")} == {str(NOW + 60)}
    assert len(list(store.between(date(2027, 1, 1), DAY))) == 2
