"""What applications got on each day: one item for application, provider and day, all of a month under one key."""

from collections.abc import Iterator
from contextlib import suppress
from dataclasses import dataclass
from datetime import date, timedelta

from chalicelib.domain.use import UseCount

from .items import Item, load, readable
from .table import Addition, Condition, ConditionFailed, Table
from .tables import EXPIRES, KEY, SORT

_REFUSED = "refused_"


class DynamoUseCountStore:
    """Implements `ports.UseCountStore`."""

    def __init__(self, table: Table) -> None:
        self._table = table

    def add(self, count: UseCount, *, counted_to: str, expires_at: int) -> None:
        added = {_REFUSED + word: number for word, number in count.refused.items()} | {"released": count.released}
        parts = ", ".join(f"#{name} :{name}" for name in added)
        expression = f"ADD {parts} SET #counted_to = :counted_to, #{EXPIRES} = :{EXPIRES}"
        earlier = Condition("attribute_not_exists(#counted_to) OR #counted_to < :counted_to", {})
        # Counted already: by a run that died behind it, by another one, or by this call, repeated without its reply
        with suppress(ConditionFailed):
            values = {**added, "counted_to": counted_to, EXPIRES: expires_at}
            self._table.add(Addition("use count", expression, values, _parsed), _key(count), earlier)

    def between(self, first: date, last: date) -> Iterator[UseCount]:
        month = first.replace(day=1)
        while month <= last:
            # "~" is behind every id
            begin, end = f"{first}#", f"{last}#~"
            condition = Condition(
                f"#{KEY} = :month AND #{SORT} BETWEEN :begin AND :end",
                {"month": _partition(month), "begin": begin, "end": end},
            )
            yield from readable("use count", self._table.query_all(condition), _parsed)
            month = (month + timedelta(days=31)).replace(day=1)


def _partition(day: date) -> str:
    return f"USE#{day:%Y-%m}"


def _key(count: UseCount) -> Item:
    return {KEY: _partition(count.day), SORT: f"{count.day}#{count.application}#{count.provider}"}


def _parsed(item: Item) -> UseCount:
    day, application, provider = str(item[SORT]).split("#", 2)
    refused = {name.removeprefix(_REFUSED): number for name, number in item.items() if name.startswith(_REFUSED)}
    found = load(_Counted, {**item, "refused": dict(sorted(refused.items()))})
    return UseCount(date.fromisoformat(day), application, provider, found.released, found.refused)


@dataclass(frozen=True, slots=True)
class _Counted:
    released: int
    refused: dict[str, int]
