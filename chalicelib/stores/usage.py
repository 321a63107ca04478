"""How much applications call, counted in the store: every Lambda sees the same number."""

from chalicelib.domain.secret import fingerprint

from .items import Item
from .table import Condition, ConditionFailed, Table
from .tables import EXPIRES, KEY

_REMEMBERED = 10_000


class DynamoUsageStore:
    """Implements `ports.UsageStore`. Who was counted is stored hashed."""

    def __init__(self, table: Table) -> None:
        self._table = table
        # Only what this process has counted itself: it saves a call, and nobody is missed by it
        self._counted: set[tuple[str, str]] = set()

    def add_call(self, window: str, expires_at: int) -> int:
        return self._add(_counter("CALLS", window), expires_at)

    def add_person(self, window: str, person: str, expires_at: int) -> int | None:
        if (window, person) in self._counted:
            return None
        marker = {KEY: f"USAGE#PERSON#{window}#{fingerprint(person)}", EXPIRES: expires_at}
        try:
            self._table.put(marker, Condition.absent(KEY))
        except ConditionFailed:
            found = None
        else:
            found = self._add(_counter("PEOPLE", window), expires_at)
        if len(self._counted) >= _REMEMBERED:
            self._counted.clear()
        self._counted.add((window, person))
        return found

    def _add(self, key: Item, expires_at: int) -> int:
        values = {"one": 1, EXPIRES: expires_at}
        before = self._table.update(key, f"ADD #counted :one SET #{EXPIRES} = :{EXPIRES}", values)
        return int(before["counted"]) + 1 if before and "counted" in before else 1


def _counter(what: str, window: str) -> Item:
    return {KEY: f"USAGE#{what}#{window}"}
