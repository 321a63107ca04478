"""Tries counted for accounts and addresses, and the browsers that are known for an account."""

from contextlib import suppress

from chalicelib.domain.secret import fingerprint

from .items import Item
from .table import Condition, ConditionFailed, Table
from .tables import EXPIRES, KEY


class DynamoTryStore:
    """Implements `ports.TryStore`. Keys are stored hashed: they hold names and addresses of people."""

    def __init__(self, table: Table) -> None:
        self._table = table

    def reserve(self, key: str, *, limit: int, seconds: int, now: int) -> int | None:
        item, oldest = _tries(key), now - seconds
        first = {**item, "tries": 1, "last_at": now, EXPIRES: now + seconds}
        try:
            self._table.put(first, Condition("attribute_not_exists(#pk) OR #last_at <= :oldest", {"oldest": oldest}))
        except ConditionFailed as counted:
            return self._reserve_next(item, counted.item or first, limit, seconds, now)
        return None

    def waiting(self, key: str, *, limit: int, seconds: int, now: int) -> int | None:
        item = self._table.get(_tries(key))
        if item is None or item["tries"] < limit or item["last_at"] <= now - seconds:
            return None
        return max(1, int(item["last_at"]) + seconds - now)

    def give_back(self, key: str) -> None:
        with suppress(ConditionFailed):
            condition = Condition("#tries > :none", {"none": 0})
            self._table.update(_tries(key), "SET #tries = #tries - :one", {"one": 1}, condition)

    def forget(self, key: str) -> None:
        self._table.delete(_tries(key))

    def known_accounts(self, browser_hash: str, now: int) -> frozenset[str]:
        item = self._table.get(_browser(browser_hash))
        return frozenset(item["accounts"]) if item and item[EXPIRES] > now else frozenset()

    def remember(self, browser_hash: str, accounts: frozenset[str], expires_at: int) -> None:
        self._table.put({**_browser(browser_hash), "accounts": sorted(accounts), EXPIRES: expires_at})

    def _reserve_next(self, key: Item, counted: Item, limit: int, seconds: int, now: int) -> int | None:
        values = {"one": 1, "last_at": now, EXPIRES: now + seconds}
        expression = f"SET #tries = #tries + :one , #last_at = :last_at , #{EXPIRES} = :{EXPIRES}"
        try:
            self._table.update(key, expression, values, Condition("#tries < :limit", {"limit": limit}))
        except ConditionFailed as full:
            last_at = int((full.item or counted)["last_at"])
            return max(1, last_at + seconds - now)
        return None


def _tries(key: str) -> Item:
    return {KEY: f"TRIES#{fingerprint(key)}"}


def _browser(browser_hash: str) -> Item:
    return {KEY: f"BROWSER#{browser_hash}"}
