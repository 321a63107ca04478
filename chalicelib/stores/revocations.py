"""Tokens that have still to be revoked at their cloud."""

from collections.abc import Sequence
from contextlib import suppress
from dataclasses import asdict
from typing import Any

from chalicelib.domain.grant import Revocation

from .items import Item, load
from .table import Condition, ConditionFailed, Table, batch_get, readable_or_later
from .tables import KEY, LISTING, SORT

_LISTING = "REVOCATIONS"


class DynamoRevocationStore:
    """Implements `ports.RevocationStore`."""

    def __init__(self, client: Any, table: Table) -> None:
        self._client = client
        self._table = table

    def add(self, revocation: Revocation) -> None:
        self._table.put(_to_item(revocation), Condition.absent(KEY))

    def add_all(self, revocations: Sequence[Revocation]) -> None:
        self._table.put_all([_to_item(revocation) for revocation in revocations])

    def reschedule(self, revocation: Revocation) -> None:
        # One that a parallel run has finished must not come back
        with suppress(ConditionFailed):
            self._table.put(_to_item(revocation), Condition.present(KEY))

    def delete(self, revocation_id: str) -> None:
        self._table.delete(_key(revocation_id))

    def due(self, now: int, *, limit: int) -> list[Revocation]:
        condition = Condition(
            f"#{LISTING.key} = :listing AND #{LISTING.sort} <= :now", {"listing": _LISTING, "now": _moment(now)}
        )
        keys = [{KEY: i[KEY], SORT: i[SORT]} for i in self._table.query(condition, index=LISTING, limit=limit).items]
        if not keys:
            return []
        items = batch_get(self._client, {self._table.name: keys})[self._table.name]
        # The index lags: what was put off or done since does not count as due
        found = readable_or_later(self._table, "revocation", items, _parsed, now)
        due = (revocation for revocation in found if revocation.next_attempt_at <= now)
        return sorted(due, key=lambda r: r.next_attempt_at)

    def any_of(self, provider_id: str, generation: int) -> bool:
        found = self._table.query_all(
            Condition.equals(**{LISTING.key: _LISTING}),
            index=LISTING,
            filter_by=Condition.equals(provider_id=provider_id, generation=generation),
        )
        return next(found, None) is not None


def _key(revocation_id: str) -> Item:
    return {KEY: f"REVOCATION#{revocation_id}", SORT: "REVOCATION"}


def _moment(at: int) -> str:
    return f"{at:012d}"


def _to_item(revocation: Revocation) -> Item:
    listed = {LISTING.key: _LISTING, LISTING.sort: _moment(revocation.next_attempt_at)}
    return _key(revocation.id) | listed | asdict(revocation)


def _parsed(item: Item) -> Revocation:
    return load(Revocation, item, later=("slot", "removal_id"))
