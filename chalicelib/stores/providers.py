"""Registered providers, all under one key so that one query lists them, and their wrapped keys.

Beside them, in the same query, is what was removed altogether: no read of a provider can miss it.
"""

from dataclasses import asdict, replace
from typing import Any

from chalicelib.domain.audit import Actor
from chalicelib.domain.authorization_server import AuthorizationServer, ClientAuthentication
from chalicelib.domain.directory import stored_group_key
from chalicelib.domain.errors import Conflict, NotFound
from chalicelib.domain.provider import Provider, ProviderKey
from chalicelib.domain.removal import Everything, EverythingOrder, FormerClient, RemovalOrder

from .items import Item
from .table import Condition, ConditionFailed, Table
from .tables import KEY, SORT

_PARTITION = "PROVIDERS"
_EVERYTHING = "#EVERYTHING"
"""No provider's id begins so."""


class DynamoProviderStore:
    """Implements `ports.ProviderStore`."""

    def __init__(self, vault: Table, keys: Table) -> None:
        self._vault = vault
        self._keys = keys

    def all(self) -> list[Provider]:
        items = {item[SORT]: item for item in self._vault.query_all(Condition.equals(**{KEY: _PARTITION}))}
        everything = everything_from_item(items.pop(_EVERYTHING, None))
        found = (provider_from_item(item, everything) for item in items.values())
        return sorted(found, key=lambda p: p.name.casefold())

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

    def add(self, provider: Provider, key: ProviderKey) -> None:
        # The key first: a provider without one could not be used, a key without a provider harms nobody
        self.add_key(key)
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
    return ProviderKey(item["provider_id"], item["generation"], item["wrapped"])


def is_provider_id(text: str) -> bool:
    """Whether a provider, and nothing else, can be there under this id."""
    return text != _EVERYTHING


def everything_key() -> Item:
    return {KEY: _PARTITION, SORT: _EVERYTHING}


def everything_from_item(item: Item | None) -> Everything:
    orders = item["orders"] if item else ()
    return Everything(tuple(EverythingOrder(**{**values, "by": Actor(**values["by"])}) for values in orders))


def provider_from_item(item: Item, everything: Everything) -> Provider:
    provider = Provider(
        id=item["id"],
        type_id=item["type_id"],
        name=item["name"],
        client_id=item["client_id"],
        client_secret=item["client_secret"],
        server=server_from_item(item["server"]),
        scopes=tuple(item["scopes"]),
        enabled=item["enabled"],
        generation=item["generation"],
        cleaned_generation=item["cleaned_generation"],
        removed_at=item.get("removed_at"),
        version=item["version"],
        fields=item["fields"],
        visible_to=tuple(map(stored_group_key, item["visible_to"])),
        secret_ends_at=item.get("secret_ends_at"),
        has_older_secret=item["has_older_secret"],
        authorize_again_since=item.get("authorize_again_since"),
        is_deleted=item["is_deleted"],
        removals=tuple(_order_from_item(order) for order in item.get("removals", ())),
        emptied=item.get("emptied", 0),
    )
    return provider.under(everything)


def _order_from_item(values: dict[str, Any]) -> RemovalOrder:
    former = values.get("former")
    read = {"by": Actor(**values["by"]), "former": _former_from_item(former) if former else None}
    return RemovalOrder(**{**values, **read})


def _former_from_item(values: dict[str, Any]) -> FormerClient:
    return FormerClient(**{**values, "server": server_from_item(values["server"])})


def server_from_item(values: dict[str, Any]) -> AuthorizationServer:
    return AuthorizationServer(
        **{
            **values,
            "client_authentication": ClientAuthentication(values["client_authentication"]),
            "id_token_algorithms": tuple(values["id_token_algorithms"]),
        }
    )


def _provider_to_item(provider: Provider) -> Item:
    item = provider_key(provider.id) | asdict(provider)
    del item["is_ending"]
    return item


def _put(table: Table, item: Item, condition: Condition) -> None:
    try:
        table.put(item, condition)
    except ConditionFailed:
        raise Conflict from None
