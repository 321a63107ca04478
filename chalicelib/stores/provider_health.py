"""How each provider's cloud is doing: one small item, read along with every grant, written only when that changes."""

from collections.abc import Sequence
from dataclasses import asdict

from chalicelib.domain.errors import Conflict
from chalicelib.domain.provider_health import ProviderHealth

from .items import Item, load, read_or, version_of
from .table import Condition, ConditionFailed, Table
from .tables import KEY, SORT


class DynamoProviderHealthStore:
    """Implements `ports.ProviderHealthStore`."""

    def __init__(self, table: Table) -> None:
        self._table = table

    def get(self, provider_id: str) -> ProviderHealth:
        return health_from_item(provider_id, self._table.get(health_key(provider_id)))

    def of_each(self, provider_ids: Sequence[str]) -> dict[str, ProviderHealth]:
        found = {item[KEY]: item for item in self._table.get_all([health_key(name) for name in provider_ids])}
        return {name: health_from_item(name, found.get(health_key(name)[KEY])) for name in provider_ids}

    def save(self, health: ProviderHealth) -> None:
        item = health_key(health.provider_id) | asdict(health) | {"version": max(health.version, 0) + 1}
        condition = Condition.version(health.version) if health.version else Condition.absent(KEY)
        try:
            self._table.put(item, condition)
        except ConditionFailed:
            raise Conflict from None


def health_key(provider_id: str) -> Item:
    return {KEY: f"HEALTH#{provider_id}", SORT: "HEALTH"}


_LATER = ("people", "doubts")
"""Not in items of before evidence was of people."""


def health_from_item(provider_id: str, item: Item | None) -> ProviderHealth:
    if item is None:
        return ProviderHealth(provider_id)
    # One that cannot be read says nothing about the cloud, and is written anew with the next trouble
    return read_or(
        "provider health",
        item,
        lambda item: load(ProviderHealth, {**item, "provider_id": provider_id}, later=_LATER),
        lambda item: ProviderHealth(provider_id, version=version_of(item)),
    )
