"""Client applications, an item each; the index lists them by name."""

from dataclasses import asdict, replace

from chalicelib.domain.client_application import ClientApplication
from chalicelib.domain.errors import Conflict, NotFound
from chalicelib.domain.text import in_order

from .groups import group_keys
from .items import Item, is_odd, load, read, readable
from .table import Condition, ConditionFailed, Table
from .tables import KEY, LISTING, SORT

_LISTING = "CLIENTS"
_PREFIX = "CLIENT#"


class DynamoClientApplicationStore:
    """Implements `ports.ClientApplicationStore`."""

    def __init__(self, table: Table) -> None:
        self._table = table

    def all(self) -> list[ClientApplication]:
        found = readable("client application", self._items(), _parsed)
        return sorted(found, key=lambda application: in_order(application.name))

    def _items(self) -> list[Item]:
        listed = self._table.query_all(Condition.equals(**{LISTING.key: _LISTING}), index=LISTING)
        return self._table.get_all([{KEY: item[KEY], SORT: item[SORT]} for item in listed])

    def odd(self) -> list[str]:
        return sorted(str(item[KEY]).removeprefix(_PREFIX) for item in self._items() if is_odd(item, _parsed))

    def delete_odd(self, item_id: str) -> None:
        self._table.delete_odd(application_key(item_id), _parsed)

    def get(self, application_id: str) -> ClientApplication:
        item = self._table.get(application_key(application_id))
        if item is None:
            raise NotFound
        return application_from_item(item)

    def add(self, application: ClientApplication) -> None:
        self._put(application, Condition.absent(KEY))

    def update(self, application: ClientApplication) -> ClientApplication:
        updated = replace(application, version=application.version + 1)
        self._put(updated, Condition.equals(version=application.version))
        return updated

    def delete(self, application: ClientApplication) -> None:
        try:
            self._table.delete(application_key(application.id), Condition.equals(version=application.version))
        except ConditionFailed as failure:
            # Nothing there is what was wanted: the client repeats a delete whose reply was lost
            if failure.item is not None:
                raise Conflict from None

    def _put(self, application: ClientApplication, condition: Condition) -> None:
        try:
            self._table.put(_to_item(application), condition)
        except ConditionFailed:
            raise Conflict from None


def application_key(application_id: str) -> Item:
    return {KEY: f"{_PREFIX}{application_id}", SORT: "CLIENT"}


def application_from_item(item: Item) -> ClientApplication:
    return read("client application", item, _parsed)


def _parsed(item: Item) -> ClientApplication:
    return load(ClientApplication, {**item, "rules": list(map(_rule, item["rules"]))}, later=("stopped_by",))


def _rule(rule: Item) -> Item:
    whose = rule["whose"]
    return {**rule, "whose": {**whose, "groups": group_keys(whose["groups"])}}


def _to_item(application: ClientApplication) -> Item:
    listed = {LISTING.key: _LISTING, LISTING.sort: f"{application.name.casefold()}#{application.id}"}
    return application_key(application.id) | listed | asdict(application)
