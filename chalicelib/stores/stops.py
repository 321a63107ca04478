"""Stops and blocks: an item each, under keys that a release can read along without knowing whether they are there."""

from chalicelib.domain.audit import Actor
from chalicelib.domain.errors import Conflict
from chalicelib.domain.stop import ALL, Block, Stop, StopKind

from .items import Item, load, read_or
from .table import Condition, ConditionFailed, Table
from .tables import KEY, SORT

_KINDS = (StopKind.EVERYTHING, StopKind.PROVIDER, StopKind.PERSON)
"""An application's stop is in its own item, which every release reads anyway."""
BLOCK = "BLOCK#"


class DynamoStopStore:
    """Implements `ports.StopStore`."""

    def __init__(self, table: Table) -> None:
        self._table = table

    def all(self) -> list[Stop]:
        items = [item for kind in _KINDS for item in self._table.query_all(Condition.equals(**{KEY: _partition(kind)}))]
        return sorted(map(_stop, items), key=lambda stop: stop.at, reverse=True)

    def add(self, stop: Stop) -> None:
        values = {
            "kind": stop.kind.value,
            "target": stop.target,
            "target_name": stop.target_name,
            "reason": stop.reason,
            "at": stop.at,
            "actor": stop.by.id,
            "actor_name": stop.by.name,
        }
        try:
            self._table.put(stop_key(stop.kind, stop.target) | values, Condition.absent(KEY))
        except ConditionFailed:
            raise Conflict from None

    def remove(self, kind: StopKind, target: str) -> Stop | None:
        item = self._table.delete(stop_key(kind, target))
        return _stop(item) if item else None

    def blocks(self, user_id: str) -> list[Block]:
        expression = f"#{KEY} = :user AND begins_with( #{SORT} , :block )"
        condition = Condition(expression, {"user": _of_user(user_id), "block": BLOCK})
        return [_block(item) for item in self._table.query_all(condition)]

    def block(self, block: Block) -> bool:
        values = {"user_id": block.user_id, "application_id": block.application_id, "at": block.at}
        try:
            self._table.put(block_key(block.user_id, block.application_id) | values, Condition.absent(KEY))
        except ConditionFailed:
            return False
        return True

    def unblock(self, user_id: str, application_id: str) -> bool:
        return self._table.delete(block_key(user_id, application_id)) is not None


def stop_key(kind: StopKind, target: str = ALL) -> Item:
    return {KEY: _partition(kind), SORT: target}


def block_key(user_id: str, application_id: str) -> Item:
    return {KEY: _of_user(user_id), SORT: f"{BLOCK}{application_id}"}


def _partition(kind: StopKind) -> str:
    return f"STOPS#{kind.value}"


def _of_user(user_id: str) -> str:
    return f"USER#{user_id}"


_UNREADABLE = "This stop cannot be read. It counts until it is taken back."


def _stop(item: Item) -> Stop:
    return read_or("stop", item, _parsed_stop, _odd_stop)


def _parsed_stop(item: Item) -> Stop:
    stop = load(Stop, {**item, "by": {"id": item["actor"], "name": item["actor_name"]}})
    if stop_key(stop.kind, stop.target) != {KEY: item[KEY], SORT: item[SORT]}:
        raise ValueError("another stop's")
    return stop


def _odd_stop(item: Item) -> Stop:
    """A release looks for the key alone (fail closed), so what is shown and taken back is what the key says."""
    kind = StopKind(str(item[KEY]).partition("#")[2])
    return Stop(kind, str(item[SORT]), _UNREADABLE, 0, Actor("-"))


def _block(item: Item) -> Block:
    return read_or("block", item, lambda item: load(Block, item), _odd_block)


def _odd_block(item: Item) -> Block:
    return Block(str(item[KEY]).partition("#")[2], str(item[SORT]).removeprefix(BLOCK), 0)
