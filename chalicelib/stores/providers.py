"""Registered providers, all under one key so that one query lists them, and their wrapped keys."""

from dataclasses import asdict, replace

from chalicelib.domain.errors import Conflict, NotFound
from chalicelib.domain.provider import Provider, ProviderKey

from .items import Item, load, read, readable
from .table import Condition, ConditionFailed, Table
from .tables import KEY, SORT

_PARTITION = "PROVIDERS"


class DynamoProviderStore:
    """Implements `ports.ProviderStore`."""

    def __init__(self, vault: Table, keys: Table) -> None:
        self._vault = vault
        self._keys = keys

    def all(self) -> list[Provider]:
        items = self._vault.query_all(Condition.equals(**{KEY: _PARTITION}))
        return sorted(readable("provider", items, _parsed), key=lambda p: p.name.casefold())

    def get(self, provider_id: str) -> Provider:
        item = self._vault.get(provider_key(provider_id))
        if item is None:
            raise NotFound
        return provider_from_item(item)

    def add(self, provider: Provider, key: ProviderKey) -> None:
        # The key first: a provider without one could not be used, a key without a provider harms nobody
        self.add_key(key)
        _put(self._vault, _provider_to_item(provider), Condition.absent(KEY))

    def update(self, provider: Provider) -> Provider:
        updated = replace(provider, version=provider.version + 1)
        _put(self._vault, _provider_to_item(updated), Condition.equals(version=provider.version))
        return updated

    def delete(self, provider: Provider) -> None:
        try:
            self._vault.delete(provider_key(provider.id), Condition.equals(version=provider.version))
        except ConditionFailed as failure:
            if failure.item is not None:
                raise Conflict from None

    def key(self, provider_id: str, generation: int) -> ProviderKey:
        item = self._keys.get(wrapped_key_key(provider_id, generation))
        if item is None:
            raise NotFound
        return key_from_item(item)

    def add_key(self, key: ProviderKey) -> None:
        item = wrapped_key_key(key.provider_id, key.generation) | asdict(key)
        _put(self._keys, item, Condition.absent(KEY))

    def replace_key(self, old: ProviderKey, new: ProviderKey) -> None:
        item = wrapped_key_key(new.provider_id, new.generation) | asdict(new)
        _put(self._keys, item, Condition.equals(wrapped=old.wrapped))

    def delete_key(self, provider_id: str, generation: int) -> None:
        self._keys.delete(wrapped_key_key(provider_id, generation))


def provider_key(provider_id: str) -> Item:
    return {KEY: _PARTITION, SORT: provider_id}


def wrapped_key_key(provider_id: str, generation: int) -> Item:
    return {KEY: f"{provider_id}#{generation}"}


def key_from_item(item: Item) -> ProviderKey:
    return read("provider key", item, lambda item: load(ProviderKey, item))


_LATER = ("removals",)


def provider_from_item(item: Item) -> Provider:
    return read("provider", item, _parsed)


def _parsed(item: Item) -> Provider:
    return load(Provider, item, later=_LATER)


def _provider_to_item(provider: Provider) -> Item:
    return provider_key(provider.id) | asdict(provider)


def _put(table: Table, item: Item, condition: Condition) -> None:
    try:
        table.put(item, condition)
    except ConditionFailed:
        raise Conflict from None
