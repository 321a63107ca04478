"""Tokens that have still to be revoked at their cloud."""

from collections.abc import Iterator, Sequence
from dataclasses import asdict
from itertools import chain

from chalicelib.domain.errors import Conflict
from chalicelib.domain.grant import Revocation
from chalicelib.ports import EARLIER

from .due import due, listed, odd
from .items import Item, load
from .table import Condition, ConditionFailed, Table
from .tables import KEY, LISTING, SORT

_LISTING = "REVOCATIONS"
_KIND, _PREFIX = "revocation", "REVOCATION#"


class DynamoRevocationStore:
    """Implements `ports.RevocationStore`."""

    def __init__(self, table: Table) -> None:
        self._table = table

    def add(self, revocation: Revocation) -> None:
        self._table.put(_to_item(revocation), Condition.absent(KEY))

    def add_all(self, revocations: Sequence[Revocation]) -> None:
        self._table.put_all([_to_item(revocation) for revocation in revocations])

    def claim(self, revocation: Revocation) -> None:
        # Neither one that a parallel run has claimed, nor one that it has finished and that must not come back
        try:
            self._table.put(_to_item(revocation), Condition.equals(attempts=revocation.attempts - 1))
        except ConditionFailed:
            raise Conflict from None

    def delete(self, revocation_id: str) -> None:
        self._table.delete(_key(revocation_id))

    def due(self, provider_id: str, now: int) -> Iterator[Revocation]:
        return due(self._table, _KIND, _listing(provider_id), now, _parsed)

    def odd(self) -> list[str]:
        return [key.removeprefix(_PREFIX) for key, _ in odd(self._table, _KIND, _parsed)]

    def delete_odd(self, item_id: str) -> None:
        self._table.delete_odd(_key(item_id), _parsed)

    def any_of(self, provider_id: str, generation: int) -> bool:
        wanted = Condition.equals(provider_id=provider_id, generation=generation)
        found = (
            self._table.query_all(Condition.equals(**{LISTING.key: listing}), index=LISTING, filter_by=wanted)
            for listing in (_listing(provider_id), _listing(EARLIER))
        )
        return next(chain.from_iterable(found), None) is not None


def _listing(provider_id: str) -> str:
    """Of a provider; those that were written down before each had a list of its own are on one together."""
    return f"{_LISTING}#{provider_id}" if provider_id else _LISTING


def _key(revocation_id: str) -> Item:
    return {KEY: f"{_PREFIX}{revocation_id}", SORT: "REVOCATION"}


def _to_item(revocation: Revocation) -> Item:
    on_list = listed(_listing(revocation.provider_id), revocation.next_attempt_at)
    return _key(revocation.id) | on_list | asdict(revocation)


def _parsed(item: Item) -> Revocation:
    return load(Revocation, item, later=("slot", "removal_id"))
