"""Lists by due time in the index `listing`: what waits for its moment, each kind and provider in a list of its own."""

from collections.abc import Callable, Iterator
from typing import TypeVar

from .items import Item, readable
from .table import Condition, Table
from .tables import KEY, LISTING, SORT

_Entry = TypeVar("_Entry")

_PAGE = 25


def listed(listing: str, due_at: int) -> Item:
    """The attributes that put an item on a list."""
    return {LISTING.key: listing, LISTING.sort: _moment(due_at)}


def due(table: Table, listing: str, now: int, read: Callable[[Item], _Entry]) -> Iterator[_Entry]:
    """What of a list is due, the longest due first, page by page as it is taken.

    The index lags and only says where to look: an item counts as it is stored now, and one that was put off or done
    meanwhile is left out. So is one that cannot be read, which would otherwise keep all behind it from their turn.
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
        yield from readable(sorted(still, key=lambda item: str(item[LISTING.sort])), read)
        after = page.last_key
        if after is None:
            return


def _moment(at: int) -> str:
    return f"{at:012d}"
