"""By which names people are known: an item for each alias, with the ids of all who claim it."""

from dataclasses import dataclass

from .items import Item, load, readable
from .table import Table
from .tables import KEY, SORT


class DynamoUserAliasStore:
    """Implements `ports.UserAliasStore`."""

    def __init__(self, table: Table) -> None:
        self._table = table

    def claim(self, user_id: str, aliases: tuple[str, ...]) -> None:
        for alias in aliases:
            # Adding to a set: two who claim the same at the same moment are both in it, without any condition
            self._table.update(alias_key(alias), "ADD #user_ids :user_ids", {"user_ids": {user_id}})

    def owners(self, alias: str) -> tuple[str, ...]:
        return owners_from_item(self._table.get(alias_key(alias)))


def alias_key(alias: str) -> Item:
    return {KEY: f"ALIAS#{alias}", SORT: "ALIAS"}


def owners_from_item(item: Item | None) -> tuple[str, ...]:
    """Nobody where that cannot be read: a name that means somebody else would be worse than one that means nobody."""
    return next(readable("alias", [item] if item else [], _parsed), ())


def _parsed(item: Item) -> tuple[str, ...]:
    return tuple(sorted(load(_Owners, item).user_ids))


@dataclass(frozen=True, slots=True)
class _Owners:
    user_ids: frozenset[str]
