"""The seals of the audit log, and apart from them how far the chain goes.

The tip is in another table: who can delete from one table alone cannot make the chain look shorter, and neither
does a restore of that table from a backup.
"""

from collections.abc import Iterator
from contextlib import suppress

from chalicelib.domain.errors import Conflict
from chalicelib.domain.seal import Seal, StoredEntry, Tip

from .items import Item, load, read
from .table import Condition, ConditionFailed, Table
from .tables import KEY, SORT

_SEALS = "SEALS"
_TIP = {KEY: "AUDIT-SEALS"}


class DynamoSealStore:
    """Implements `ports.SealStore`."""

    def __init__(self, vault: Table, keys: Table) -> None:
        self._vault = vault
        self._keys = keys

    def tip(self) -> Tip | None:
        noted = self._keys.get(_TIP)
        last = self.before("~")
        # Raised, not passed over: without the note nobody would see that the chain was cut off
        tips = [read("end of the seals", noted, lambda item: load(Tip, item))] if noted else []
        # The later one: a run may have ended between its seal and the note
        tips += [last.tip()] if last else []
        return max(tips, key=lambda tip: tip.number, default=None)

    def add(self, seal: Seal) -> None:
        try:
            self._vault.put(_to_item(seal), Condition.absent(KEY))
        except ConditionFailed:
            raise Conflict from None
        tip = seal.tip()
        note = _TIP | {"number": tip.number, "end": tip.end, "fingerprint": tip.fingerprint}
        further = Condition(f"attribute_not_exists(#{KEY}) OR #number < :number", {"number": tip.number})
        with suppress(ConditionFailed):
            self._keys.put(note, further)

    def between(self, begin: str, end: str) -> Iterator[Seal]:
        if begin >= end:
            return iter(())
        condition = Condition(
            f"#{KEY} = :seals AND #{SORT} BETWEEN :begin AND :end", {"seals": _SEALS, "begin": begin, "end": end}
        )
        return (_from_item(item) for item in self._vault.query_all(condition) if item[SORT] != end)

    def before(self, begin: str) -> Seal | None:
        condition = Condition(f"#{KEY} = :seals AND #{SORT} < :begin", {"seals": _SEALS, "begin": begin})
        found = self._vault.query(condition, limit=1, descending=True).items
        return _from_item(found[0]) if found else None


def _to_item(seal: Seal) -> Item:
    return {
        KEY: _SEALS,
        SORT: seal.begin,
        "number": seal.number,
        "end": seal.end,
        "sealed_at": seal.sealed_at,
        "previous": seal.previous,
        "entries": [f"{entry.position} {entry.digest}" for entry in seal.entries],
        "mac": seal.mac,
    }


def _from_item(item: Item) -> Seal:
    try:
        entries = tuple(StoredEntry(place, digest) for place, digest in (text.split(" ") for text in item["entries"]))
        number, sealed_at = int(item["number"]), int(item["sealed_at"])
        return Seal(number, item[SORT], str(item["end"]), sealed_at, str(item["previous"]), entries, bytes(item["mac"]))
    except (KeyError, ValueError, TypeError, AttributeError):
        return Seal(0, item[SORT], "", 0, "", ())
