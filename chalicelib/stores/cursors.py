"""Where background functions stopped, so that the next run goes on there."""

from .table import Table
from .tables import KEY, SORT


class DynamoCursorStore:
    """Implements `ports.CursorStore`. Without conditions: two runs at once do some of the work twice, at worst."""

    def __init__(self, table: Table) -> None:
        self._table = table

    def get(self, name: str) -> str | None:
        item = self._table.get(_key(name))
        cursor = item.get("cursor") if item else None
        # One that cannot be read is none: the round begins anew
        return cursor if isinstance(cursor, str) else None

    def put(self, name: str, cursor: str | None) -> None:
        self._table.put({**_key(name), "cursor": cursor})


def _key(name: str) -> dict[str, str]:
    return {KEY: f"CURSOR#{name}", SORT: "CURSOR"}
