"""Receipts of removals: one item for what was asked for, and one of counters for each cloud."""

from contextlib import suppress
from dataclasses import asdict, dataclass, fields, replace

from chalicelib.domain.errors import NotFound
from chalicelib.domain.removal import KEPT_SECONDS, CloudReceipt, Receipt, Removal

from .items import Item, load, read, readable
from .table import Addition, Condition, ConditionFailed, Table
from .tables import EXPIRES, KEY, LISTING, SORT

_LISTING = "REMOVALS"
_HEAD = "HEAD"
_CLOUD = "CLOUD#"
_COUNTERS = tuple(field.name for field in fields(CloudReceipt) if field.name != "provider_id")


class DynamoRemovalStore:
    """Implements `ports.RemovalStore`."""

    def __init__(self, table: Table) -> None:
        self._table = table

    def add(self, removal: Removal) -> None:
        self._table.put(_to_item(removal))

    def count(self, removal_id: str, provider_id: str, at: int, *, of: str, **counted: int) -> None:
        # Adding needs no read: the clean-up and any number of retries count at the same time
        added = {name: number for name, number in counted.items() if number}
        if not added:
            return
        parts = ", ".join(f"#{name} :{name}" for name in added)
        expression = f"ADD {parts} SET #{EXPIRES} = :{EXPIRES}, #of = :of"
        another = Condition("attribute_not_exists(#of) OR #of <> :of", {})
        # Counted already: the client repeats what got no reply, and a run that died behind this is gone on with
        with suppress(ConditionFailed):
            values = {**added, EXPIRES: at + KEPT_SECONDS, "of": of}
            self._table.add(Addition("receipt", expression, values, _receipt), _cloud(removal_id, provider_id), another)

    def receipt(self, removal_id: str) -> Receipt:
        items = list(self._table.query_all(Condition.equals(**{KEY: _partition(removal_id)})))
        heads = [item for item in items if item[SORT] == _HEAD]
        if not heads:
            raise NotFound
        clouds = readable("receipt", (item for item in items if item[SORT] != _HEAD), _receipt)
        return Receipt(read("removal", heads[0], _parsed), tuple(clouds))

    def recent(self, *, limit: int) -> list[Removal]:
        listed = self._table.query(
            Condition.equals(**{LISTING.key: _LISTING}), index=LISTING, limit=limit, descending=True
        )
        keys = [{KEY: item[KEY], SORT: item[SORT]} for item in listed.items]
        found = self._table.get_all(keys)
        return sorted(readable("removal", found, _parsed), key=lambda removal: (removal.at, removal.id), reverse=True)


def _partition(removal_id: str) -> str:
    return f"REMOVAL#{removal_id}"


def _cloud(removal_id: str, provider_id: str) -> Item:
    return {KEY: _partition(removal_id), SORT: f"{_CLOUD}{provider_id}"}


def _to_item(removal: Removal) -> Item:
    listed = {LISTING.key: _LISTING, LISTING.sort: f"{removal.at:012d}#{removal.id}"}
    kept = {EXPIRES: removal.at + KEPT_SECONDS}
    more = {"ended": dict(removal.ended), "joined": [list(pair) for pair in removal.joined]}
    return {KEY: _partition(removal.id), SORT: _HEAD} | listed | kept | asdict(removal) | more


def _parsed(item: Item) -> Removal:
    removal = load(Removal, {**item, "ended": []}, later=("joined", "is_open", "tokens", "people"))
    return replace(removal, ended=tuple(load(_Ended, item).ended.items()))


@dataclass(frozen=True, slots=True)
class _Ended:
    """As it is stored: the generation that was ended, by provider."""

    ended: dict[str, int]


def _receipt(item: Item) -> CloudReceipt:
    return load(CloudReceipt, {**item, "provider_id": str(item[SORT]).removeprefix(_CLOUD)}, later=_COUNTERS)
