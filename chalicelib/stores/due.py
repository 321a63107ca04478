"""Lists by due time in the index `listing`: what waits for its moment, each kind and provider in a list of its own."""

from collections.abc import Callable, Iterable, Iterator
from contextlib import suppress
from typing import Any

from chalicelib.domain.errors import ItemUnreadable

from .items import Item, Kind, is_odd, read
from .table import Condition, ConditionFailed, Table
from .tables import EXPIRES, KEY, LISTING, SORT

_PAGE = 100
_PUT_OFF_SECONDS = 24 * 3600
_BAR = "/"
_NOTED_SECONDS = 90 * 24 * 3600


def listed(listing: str, due_at: int) -> Item:
    """The attributes that put an item on a list."""
    return {LISTING.key: listing, LISTING.sort: _moment(due_at)}


def due(
    table: Table,
    kind: str,
    listing: str,
    now: int,
    parse: Callable[[Item], Kind],
    *,
    give_up: Callable[[Item], bool] = lambda _: False,
    order: Callable[[Kind], Any] | None = None,
) -> Iterator[Kind]:
    """What of a list is due, the longest due first, page by page as it is taken.

    The index lags and only says where to look: an item counts as it is stored now, and one that was put off or done
    meanwhile is left out. One that cannot be read is put off by a day, and told again then, until `give_up` says that
    it need not be. `order`: a key by which those of a page come, where the time to the second does not say enough.
    """
    condition = Condition(
        f"#{LISTING.key} = :listing AND #{LISTING.sort} <= :now", {"listing": listing, "now": _moment(now)}
    )
    after = None
    while True:
        page = table.query(condition, index=LISTING, limit=_PAGE, after=after)
        keys = [{KEY: item[KEY], SORT: item[SORT]} for item in page.items]
        found = table.get_all(keys)
        still = [i for i in found if i.get(LISTING.key) == listing and i[LISTING.sort] <= _moment(now)]
        at_their_time = sorted(still, key=lambda item: str(item[LISTING.sort]))
        entries = _readable(table, kind, at_their_time, parse, now=now, give_up=give_up)
        yield from sorted(entries, key=order) if order else entries
        after = page.last_key
        if after is None:
            return


def _readable(
    table: Table,
    kind: str,
    items: Iterable[Item],
    parse: Callable[[Item], Kind],
    *,
    now: int,
    give_up: Callable[[Item], bool],
) -> Iterator[Kind]:
    for item in items:
        try:
            entry = read(kind, item, parse)
        except ItemUnreadable:
            _note(table, kind, item, now)
            _put_off(table, item, None if give_up(item) else now + _PUT_OFF_SECONDS)
            continue
        yield entry


def odd(table: Table, kind: str, parse: Callable[[Item], object]) -> list[tuple[str, str]]:
    """The keys of what was put off, and still cannot be read. It is met, and noted, when it is due."""
    noted = table.query_all(Condition.equals(**{KEY: _noted(kind)}))
    keys = [dict(zip((KEY, SORT), str(item[SORT]).rsplit(_BAR, 1), strict=True)) for item in noted]
    return sorted((item[KEY], item[SORT]) for item in table.get_all(keys) if is_odd(item, parse))


def _noted(kind: str) -> str:
    return f"UNREADABLE#{kind}"


def _note(table: Table, kind: str, item: Item, now: int) -> None:
    """For administrators; noted again with each day, so that it outlives no item for long."""
    note = {KEY: _noted(kind), SORT: f"{item[KEY]}{_BAR}{item[SORT]}"}
    table.put(note | {EXPIRES: now + _NOTED_SECONDS})


def _put_off(table: Table, item: Item, until: int | None) -> None:
    """Where it stands the list would look late, and each run would tell it again (R94). None: off the list."""
    key = {name: item[name] for name in (KEY, SORT)}
    with suppress(ConditionFailed):
        if until is None:
            table.update(key, f"REMOVE #{LISTING.key} , #{LISTING.sort}", {}, Condition.present(LISTING.key))
        else:
            values = {"later": _moment(until)}
            table.update(key, f"SET #{LISTING.sort} = :later", values, Condition.present(LISTING.key))


def _moment(at: int) -> str:
    return f"{at:012d}"
