"""Tries counted for accounts and addresses, and the browsers that are known for an account."""

from contextlib import suppress
from dataclasses import dataclass

from chalicelib.domain.secret import fingerprint

from .items import Item, load, readable
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
        # One that cannot be read ends with the window: a brake that nobody can read must not hold everybody
        counted = next(readable("counted tries", [item] if item else [], lambda item: load(_Counted, item)), None)
        if counted is None or counted.tries < limit or counted.last_at <= now - seconds:
            return None
        return max(1, counted.last_at + seconds - now)

    def give_back(self, key: str) -> None:
        with suppress(ConditionFailed):
            condition = Condition("#tries > :none", {"none": 0})
            self._table.update(_tries(key), "SET #tries = #tries - :one", {"one": 1}, condition)

    def forget(self, key: str) -> None:
        self._table.delete(_tries(key))

    def known_accounts(self, browser_hash: str, now: int) -> frozenset[str]:
        item = self._table.get(_browser(browser_hash))
        known = next(readable("known browser", [item] if item else [], lambda item: load(_Known, item)), None)
        return known.accounts if known and known.expires_at > now else frozenset()

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


@dataclass(frozen=True, slots=True)
class _Counted:
    tries: int
    last_at: int


@dataclass(frozen=True, slots=True)
class _Known:
    accounts: frozenset[str]
    expires_at: int


def _tries(key: str) -> Item:
    return {KEY: f"TRIES#{fingerprint(key)}"}


def _browser(browser_hash: str) -> Item:
    return {KEY: f"BROWSER#{browser_hash}"}
