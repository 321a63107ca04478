"""Copies of what administrators and people decided, outside the table that is restored from a backup.

Each write of such an item puts its copy into the table of keys, in one transaction, so that a restored table can be
brought to what held last (docs/adr/0169-what-was-decided-last-holds-after-a-restore.md).
"""

import json
from collections.abc import Iterator

from chalicelib.domain.copy import Copy, CopyKind
from chalicelib.ports import Clock

from .items import Item, is_odd
from .table import WRITER, Condition, Table, Write
from .tables import COPIES, COPY, KEY, LISTING, SORT

_HERE = {KEY: COPIES, SORT: COPIES}
_THERE = {KEY: COPIES}
_SETTLE_SECONDS = 3600
"""After an update functions of before may still be at work, which leave no copies."""
_GONE: Item = {}
_KINDS = {
    "CLIENT": CopyKind.APPLICATION,
    "PROVIDERS": CopyKind.PROVIDER,
    "STOPS": CopyKind.STOP,
    "USER": CopyKind.BLOCK,
    "ADMINISTRATORS": CopyKind.ADMINISTRATORS,
}
"""By how the key begins."""
_CLOSED_WITHOUT = (CopyKind.APPLICATION, CopyKind.PROVIDER, CopyKind.ADMINISTRATORS)
"""An item that is not there permits nothing either."""


def has_copy(key: Item) -> bool:
    """Whether what stands there in the vault's table has a copy: of a person only what they blocked."""
    partition = str(key[KEY]).partition("#")[0]
    return partition in _KINDS and (partition != "USER" or str(key[SORT]).startswith("BLOCK#"))


class CopiedTable(Table):
    """The vault's table for stores whose items have copies. These put and delete, one item at a time."""

    def __init__(self, table: Table, keys: Table) -> None:
        super().__init__(table._client, table.name, table._random, table._clock)
        self._keys = keys

    def put(self, item: Item, condition: Condition | None = None, *also: Write) -> None:
        super().put(item, condition, *also, self._copying(item, item))

    def delete(self, key: Item, condition: Condition | None = None, *also: Write) -> Item | None:
        before = self.get(key)
        if before is not None or condition is not None or also:
            super().delete(key, condition, *also, self._copying(key, None))
        return before

    def _copying(self, key: Item, item: Item | None) -> Write:
        return self._keys.writing(_copy_key(key) | {"at": self._clock.now(), "item": item or _GONE})


class DynamoCopyStore:
    """Implements `ports.CopyStore`."""

    def __init__(self, vault: Table, keys: Table, clock: Clock) -> None:
        self._vault = vault
        self._keys = keys
        self._clock = clock
        self._is_settled = False

    def settle(self) -> None:
        if self._is_settled:
            return
        (since, here, is_noted), now = self._notes(), self._clock.now()
        if since is None:
            self._keys.put(_THERE | {"since": now + _SETTLE_SECONDS})
        elif here == since:
            self._is_settled = True
        elif since <= now and not is_noted:
            # Once: a table without it, from then on, is a restored one
            self._note(since)

    def are_whole(self) -> bool:
        since, here, _ = self._notes()
        return since is not None and since == here

    def begin(self) -> None:
        self._note(self._clock.now())

    def _note(self, since: int) -> None:
        note = {"since": since, "is_noted": True}
        self._vault.put(_HERE | note, None, self._keys.writing(_THERE | note))

    def newer(self) -> Iterator[Copy]:
        since, _, _ = self._notes()
        for item in self._keys.scan(COPY):
            key = _key(item)
            there = _without_writer(self._vault.get(key))
            copy = _copy(key, item, there)
            # One of before the note may be older than what the table has
            if copy.values != there and (not copy.is_readable or item["at"] >= (since or 0)):
                yield copy

    def apply(self, copy: Copy) -> None:
        if copy.values is None:
            self._vault.delete(dict(copy.key))
        else:
            self._vault.put(dict(copy.values))

    def _notes(self) -> tuple[int | None, int | None, bool]:
        """Since when copies are left: what the table of keys says, what the vault's did when it was backed up, and
        whether the latter was ever written.
        """
        found = {SORT in item: item for item in self._vault.get_with([_HERE], self._keys, [_THERE])}
        since, here = (_since(found.get(is_here, {})) for is_here in (False, True))
        return since, here, "is_noted" in found.get(False, {})


def _since(note: Item) -> int | None:
    since = note.get("since")
    return since if type(since) is int else None


def _copy_key(key: Item) -> Item:
    return {KEY: COPY + json.dumps([key[KEY], key[SORT]])}


def _key(copy: Item) -> Item:
    return dict(zip((KEY, SORT), json.loads(str(copy[KEY]).removeprefix(COPY)), strict=True))


def _without_writer(item: Item | None) -> Item | None:
    return item and {name: value for name, value in item.items() if name != WRITER}


def _copy(key: Item, item: Item, there: Item | None) -> Copy:
    kind, id_ = _named(**key)
    if not is_odd(item, _check):
        values = item["item"] or None
        return Copy(kind, id_, _name(values or there), key, values)
    # Nobody knows what held: an item that cannot be read permits nothing (R94)
    listed = {name: there[name] for name in (LISTING.key, LISTING.sort) if there and name in there}
    values = None if there is None and kind in _CLOSED_WITHOUT else key | listed
    return Copy(kind, id_, _name(there), key, values, is_readable=False)


def _check(item: Item) -> None:
    """Raises one of `items.ODD`."""
    if (type(item["at"]), type(item["item"])) != (int, dict):
        raise TypeError


def _named(pk: str, sk: str) -> tuple[CopyKind, str]:
    """What is under a key of the vault's table."""
    partition, _, rest = pk.partition("#")
    kind, id_ = _KINDS.get(partition, CopyKind.OTHER), rest
    if kind is CopyKind.PROVIDER:
        return (CopyKind.EVERYTHING, "") if sk == "#EVERYTHING" else (kind, sk)
    if kind is CopyKind.STOP:
        id_ = f"{rest} {sk}".removesuffix(" -")
    elif kind is CopyKind.BLOCK:
        id_ = f"{sk.removeprefix('BLOCK#')} {rest}"
    return kind, id_


def _name(item: Item | None) -> str:
    name = item.get("name", item.get("target_name")) if item else None
    return name if isinstance(name, str) else ""
