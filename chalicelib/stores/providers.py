"""Registered providers, all under one key so that one query lists them, and their wrapped keys.

Beside them, in the same query, is what was removed altogether: no read of a provider can miss it.
"""

from dataclasses import asdict, replace

from chalicelib.domain.errors import Conflict, NotFound
from chalicelib.domain.provider import Provider, ProviderKey
from chalicelib.domain.removal import Everything
from chalicelib.domain.text import in_order

from .groups import group_keys
from .items import Item, is_odd, load, read, readable
from .table import Condition, ConditionFailed, Table
from .tables import KEY, SORT

_PARTITION = "PROVIDERS"
_EVERYTHING = "#EVERYTHING"
"""No provider's id begins so."""
_KEYS_AT_ONCE, _KEYS_SOUGHT = 100, 300
"""Generations whose keys are looked for in one call, and at least in all."""


class DynamoProviderStore:
    """Implements `ports.ProviderStore`."""

    def __init__(self, vault: Table, keys: Table) -> None:
        self._vault = vault
        self._keys = keys

    def all(self) -> list[Provider]:
        items = {item[SORT]: item for item in self._vault.query_all(Condition.equals(**{KEY: _PARTITION}))}
        everything = everything_from_item(items.pop(_EVERYTHING, None))
        found = (provider.under(everything) for provider in readable("provider", items.values(), _parsed))
        return sorted(found, key=lambda p: in_order(p.name))

    def get(self, provider_id: str) -> Provider:
        if not is_provider_id(provider_id):
            raise NotFound
        found = {item[SORT]: item for item in self._vault.get_all([provider_key(provider_id), everything_key()])}
        if provider_id not in found:
            raise NotFound
        return provider_from_item(found[provider_id], everything_from_item(found.get(_EVERYTHING)))

    def everything(self) -> Everything:
        return everything_from_item(self._vault.get(everything_key()))

    def save_everything(self, everything: Everything, *, replaces: int) -> None:
        item = everything_key() | {"last": everything.last} | asdict(everything)
        _put(self._vault, item, Condition.equals(last=replaces) if replaces else Condition.absent(KEY))

    def add(self, provider: Provider) -> None:
        _put(self._vault, _provider_to_item(provider), Condition.absent(KEY))

    def update(self, provider: Provider) -> Provider:
        if provider.is_ending:
            raise Conflict
        updated = replace(provider, version=provider.version + 1)
        _put(self._vault, _provider_to_item(updated), Condition.equals(version=provider.version))
        return updated

    def delete(self, provider: Provider) -> None:
        try:
            self._vault.delete(provider_key(provider.id), Condition.equals(version=provider.version))
        except ConditionFailed as failure:
            if failure.item is not None:
                raise Conflict from None

    def odd(self) -> list[str]:
        items = self._vault.query_all(Condition.equals(**{KEY: _PARTITION}))
        return [str(item[SORT]) for item in items if item[SORT] != _EVERYTHING and is_odd(item, _parsed)]

    def replace_odd(self, provider: Provider) -> None:
        if not is_provider_id(provider.id):
            raise NotFound
        _put(self._vault, _provider_to_item(provider), self._vault.odd(provider_key(provider.id), _parsed))

    def generations(self, provider_id: str) -> list[int]:
        found, begin = list[int](), 1
        # The clean-up deletes the keys of earlier generations, so that there may be a gap before the first
        while begin <= _KEYS_SOUGHT or (found and found[-1] >= begin - _KEYS_AT_ONCE):
            keys = [wrapped_key_key(provider_id, number) for number in range(begin, begin + _KEYS_AT_ONCE)]
            found += sorted(int(item[KEY].rpartition("#")[2]) for item in self._keys.get_all(keys))
            begin += _KEYS_AT_ONCE
        return found

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


_LATER = ("removals", "emptied")


def is_provider_id(text: str) -> bool:
    """Whether a provider, and nothing else, can be there under this id."""
    return text != _EVERYTHING


def everything_key() -> Item:
    return {KEY: _PARTITION, SORT: _EVERYTHING}


def everything_from_item(item: Item | None) -> Everything:
    """Raises ItemUnreadable: whether what is stored was removed is not known then, so that nothing of it is used."""
    return read("removals of everything", item, lambda item: load(Everything, item)) if item else Everything()


def provider_from_item(item: Item, everything: Everything) -> Provider:
    return read("provider", item, _parsed).under(everything)


def _parsed(item: Item) -> Provider:
    return load(Provider, {**item, "is_ending": False, "visible_to": group_keys(item["visible_to"])}, later=_LATER)


def _provider_to_item(provider: Provider) -> Item:
    item = provider_key(provider.id) | asdict(provider)
    del item["is_ending"]
    return item


def _put(table: Table, item: Item, condition: Condition) -> None:
    try:
        table.put(item, condition)
    except ConditionFailed:
        raise Conflict from None
