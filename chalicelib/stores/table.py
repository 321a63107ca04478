"""One DynamoDB table through the few operations the vault uses: single items, strongly consistent, conditional."""

from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from contextvars import ContextVar
from dataclasses import dataclass
from typing import Any, Self

from botocore.exceptions import BotoCoreError, ClientError

from chalicelib.domain.errors import Conflict, NotFound, StorageUnavailable
from chalicelib.ports import Clock, Random

from .items import ODD_VERSION, Item, is_odd, pack, readable, unpack, version_of
from .tables import KEY, SORT, Index

_BATCH_WRITE_LIMIT, _BATCH_READ_LIMIT = 25, 100
_TRANSACTION_LIMIT = 90
"""Of 100; some are left for companions."""
_TRIES = 10
_FIRST_PAUSE, _LONGEST_PAUSE, _PATIENCE = 0.05, 1.0, 5.0
"""Seconds: at most before the second try, at most before any, and at most in all, so that a request can still say in
time that it failed (R79)."""
WRITER = "writer"

Write = dict[str, Any]
"""One write of a transaction, as DynamoDB takes it."""


class ConditionFailed(Exception):
    """A conditional write found something else. `item` is what it found, None for nothing."""

    def __init__(self, item: Item | None) -> None:
        self.item = item
        super().__init__("condition failed")


@dataclass(frozen=True, slots=True)
class Condition:
    """A condition expression and its values. Attribute names are written `#name` (many words are reserved)."""

    expression: str
    values: Mapping[str, Any]

    @classmethod
    def absent(cls, key: str) -> Self:
        return cls(f"attribute_not_exists(#{key})", {})

    @classmethod
    def present(cls, key: str) -> Self:
        return cls(f"attribute_exists(#{key})", {})

    @classmethod
    def version(cls, version: int, **values: Any) -> Self:
        """That version, or an item that has no readable one where it is `ODD_VERSION`."""
        if version != ODD_VERSION:
            return cls.equals(version=version, **values)
        return cls(f"attribute_exists(#{KEY}) AND NOT attribute_type(#version, :number)", {"number": "N"})

    @classmethod
    def equals(cls, **values: Any) -> Self:
        return cls(" AND ".join(f"#{name} = :{name}" for name in values), values)


@dataclass(frozen=True, slots=True)
class Page:
    """Items of one query, and the key after which the next page starts (None: that was all)."""

    items: list[Item]
    last_key: Item | None


@dataclass(frozen=True, slots=True)
class Addition:
    """What is added to the counters of an item of some kind."""

    kind: str
    expression: str
    values: Item
    parse: Callable[[Item], Any]


class Companions:
    """New items that go with the next write of this thread, whichever table that is in; see `Table.together`."""

    def __init__(self, table: str, items: Sequence[Item]) -> None:
        absent = _conditional(Condition.absent(KEY))
        self.puts = [{"Put": {"TableName": table, "Item": pack(item), **absent}} for item in items]
        self.are_stored = not items


_COMPANIONS: ContextVar[Companions | None] = ContextVar("companions", default=None)


class _Cancelled(Exception):
    """DynamoDB did nothing of a transaction. `reasons`: why, one for each of its writes."""

    def __init__(self, reasons: Sequence[Mapping[str, Any]]) -> None:
        self.reasons = reasons
        super().__init__("transaction cancelled")

    def is_condition(self, number: int) -> bool:
        return bool(self.reasons[number].get("Code") == "ConditionalCheckFailed")

    def check(self) -> None:
        """Raises ConditionFailed for the first condition that failed, StorageUnavailable for what will not pass."""
        for number, reason in enumerate(self.reasons):
            if self.is_condition(number):
                found = reason.get("Item")
                raise ConditionFailed(unpack(found) if found else None)
        codes = {str(reason.get("Code")) for reason in self.reasons}
        if not codes <= _PASSING:
            raise StorageUnavailable(detail=f"DynamoDB TransactWriteItems: {' '.join(sorted(codes))}")


_PASSING = frozenset({"None", "TransactionConflict", "ThrottlingError", "ProvisionedThroughputExceeded"})
"""Codes of a write that was no reason, or one that passes (API reference, TransactWriteItems)."""


class Table:
    """A named table. Raises StorageUnavailable for whatever DynamoDB cannot do now."""

    def __init__(self, client: Any, name: str, random: Random, clock: Clock) -> None:
        self._client = client
        self._random = random
        self._clock = clock
        self.name = name

    def get(self, key: Item) -> Item | None:
        with storage_errors():
            answer = self._client.get_item(TableName=self.name, Key=pack(key), ConsistentRead=True)
        return unpack(answer["Item"]) if "Item" in answer else None

    def put(self, item: Item, condition: Condition | None = None, *also: Write) -> None:
        """Write the whole item; with `also` all of them are written, or none. Raises ConditionFailed.

        A write whose reply was lost is repeated by the client and then finds itself: the writer id tells.
        """
        writer = self._random.token(12)
        arguments: dict[str, Any] = {"TableName": self.name, "Item": pack({**item, WRITER: writer})}
        if condition is not None:
            arguments |= _conditional(condition)
        try:
            companions = _pending()
            if companions or also:
                self._write_together([{"Put": arguments}, *also], companions)
                return
            with storage_errors():
                self._client.put_item(**arguments)
        except ConditionFailed as failure:
            if failure.item is None or failure.item.get(WRITER) != writer:
                raise

    def writing(self, item: Item, condition: Condition | None = None) -> Write:
        """A put of this table, to go with a write of the same or another one."""
        conditional = _conditional(condition) if condition is not None else {}
        return {"Put": {"TableName": self.name, "Item": pack(item), **conditional}}

    def deleting(self, key: Item) -> Write:
        """A delete of this table, to go with a write of the same or another one."""
        return {"Delete": {"TableName": self.name, "Key": pack(key)}}

    def update(self, key: Item, expression: str, values: Item, condition: Condition | None = None) -> Item | None:
        """Change attributes of one item and return what it was; names are written `#name`. Raises ConditionFailed.

        Without a condition an item that is not there is made.
        """
        arguments: dict[str, Any] = {
            "ExpressionAttributeNames": _names(expression),
            "ExpressionAttributeValues": _values(values),
        }
        if condition is not None:
            arguments = _conditional(Condition(condition.expression, {**values, **condition.values}), expression)
        arguments |= {"TableName": self.name, "Key": pack(key), "UpdateExpression": expression}
        if companions := _pending():
            before = self.get(key)
            self._write_together([{"Update": arguments}], companions)
            return before
        with storage_errors():
            answer = self._client.update_item(ReturnValues="ALL_OLD", **arguments)
        return unpack(answer["Attributes"]) if "Attributes" in answer else None

    def add(self, what: Addition, key: Item, condition: Condition) -> None:
        """`update` that adds to counters. What stands there and cannot be read takes nothing: it is told, and left."""
        try:
            self.update(key, what.expression, what.values, condition)
        except StorageUnavailable:
            item = self.get(key)
            if item is None or next(readable(what.kind, [item], what.parse), None) is not None:
                raise

    def delete(self, key: Item, condition: Condition | None = None, *also: Write) -> Item | None:
        """Delete one item and return what it was. Raises ConditionFailed.

        With `also` all is done, or nothing, and nothing is returned.
        """
        arguments = _conditional(condition) if condition is not None else {}
        arguments |= {"TableName": self.name, "Key": pack(key)}
        companions = _pending()
        if also:
            self._write_together([{"Delete": arguments}, *also], companions)
            return None
        if companions:
            before = self.get(key)
            if before is not None or condition is not None:
                self._write_together([{"Delete": arguments}], companions)
            return before
        with storage_errors():
            answer = self._client.delete_item(ReturnValues="ALL_OLD", **arguments)
        return unpack(answer["Attributes"]) if "Attributes" in answer else None

    @contextmanager
    def together(self, *items: Item) -> Iterator[Companions]:
        """`items`, new ones of this table, go with the first single write inside: all are stored, or none.

        Where nothing is written inside, they are stored at the end; where an error comes before the write, not at all.
        Whoever does not know what became of the write may try the same one again, inside: where the items are stored,
        so is the write.
        """
        companions = Companions(self.name, items)
        token = _COMPANIONS.set(companions)
        try:
            yield companions
        finally:
            _COMPANIONS.reset(token)
        if not companions.are_stored:
            self._write_together([], companions)

    def odd(self, key: Item, parse: Callable[[Item], Any]) -> Condition:
        """The condition of a write over the item there, which cannot be read.

        Raises NotFound where there is none, Conflict where it can be read (by now).
        """
        item = self.get(key)
        if item is None:
            raise NotFound
        if not is_odd(item, parse):
            raise Conflict
        return Condition.version(version_of(item))

    def delete_odd(self, key: Item, parse: Callable[[Item], Any]) -> None:
        """Delete an item that cannot be read. Raises NotFound and Conflict as `odd` does."""
        try:
            self.delete(key, self.odd(key, parse))
        except ConditionFailed:
            raise Conflict from None

    def delete_all(self, keys: Sequence[Item]) -> None:
        """Delete items, as many in one transaction as there may be; with companions, if there are some."""
        if len(keys) == 1 and not _pending():
            self.delete(keys[0])
            return
        for start in range(0, len(keys), _TRANSACTION_LIMIT):
            some = keys[start : start + _TRANSACTION_LIMIT]
            self._write_together([{"Delete": {"TableName": self.name, "Key": pack(key)}} for key in some], _pending())

    def _write_together(self, writes: list[dict[str, Any]], companions: Companions | None) -> None:
        """One transaction. Raises ConditionFailed for the first of the writes whose condition failed.

        Repeated by the client it happens once: the token tells, for ten minutes (API reference, ClientRequestToken).
        """
        number, writes = len(writes), [*writes, *(companions.puts if companions else [])]
        for _ in self._tries():
            try:
                with storage_errors():
                    self._client.transact_write_items(TransactItems=writes, ClientRequestToken=self._random.token(12))
            except _Cancelled as cancelled:
                if any(cancelled.is_condition(one) for one in range(number, len(writes))):
                    # They were stored by an earlier try, whose reply was lost
                    break
                cancelled.check()
                continue
            break
        else:
            raise StorageUnavailable(detail="DynamoDB TransactWriteItems: contention")
        if companions:
            companions.are_stored = True

    def query(
        self,
        key_condition: Condition,
        *,
        index: Index | None = None,
        filter_by: Condition | None = None,
        limit: int | None = None,
        after: Item | None = None,
        descending: bool = False,
    ) -> Page:
        """One page: by an index as it lags, by the table itself strongly consistent."""
        arguments = _query_arguments(self.name, key_condition, filter_by, index)
        if descending:
            arguments["ScanIndexForward"] = False
        if limit is not None:
            arguments["Limit"] = limit
        if after is not None:
            arguments["ExclusiveStartKey"] = pack(after)
        with storage_errors():
            answer = self._client.query(**arguments)
        last_key = answer.get("LastEvaluatedKey")
        return Page([unpack(item) for item in answer["Items"]], unpack(last_key) if last_key else None)

    def query_all(
        self,
        key_condition: Condition,
        *,
        index: Index | None = None,
        filter_by: Condition | None = None,
        limit: int | None = None,
        descending: bool = False,
    ) -> Iterator[Item]:
        """All items, page after page of at most `limit`, each read when it is needed."""
        after = None
        while True:
            page = self.query(
                key_condition, index=index, filter_by=filter_by, limit=limit, after=after, descending=descending
            )
            yield from page.items
            if page.last_key is None:
                return
            after = page.last_key

    def listed(
        self,
        key_condition: Condition,
        *,
        index: Index,
        limit: int,
        after: Item | None = None,
        descending: bool = False,
    ) -> Page:
        """One page of an index, at most 100, each item whole as the table has it; not those that left it meanwhile.

        Where only keys are projected, and wherever an item is written back: a projection would lose the rest of it.
        """
        page = self.query(key_condition, index=index, limit=limit, after=after, descending=descending)
        if not page.items:
            return page
        places = {_key_of(item): item[index.key] for item in page.items}
        found = self.get_all([dict(key) for key in places])
        now = {_key_of(item): item for item in found if item.get(index.key) == places[_key_of(item)]}
        return Page([now[key] for key in places if key in now], page.last_key)

    def count(self, key_condition: Condition, *, index: Index, at_most: int) -> int:
        """Items under a key, counting no further than `at_most`."""
        arguments = _query_arguments(self.name, key_condition, None, index) | {"Select": "COUNT", "Limit": at_most}
        total = 0
        while True:
            with storage_errors():
                answer = self._client.query(**arguments)
            total += answer["Count"]
            if total >= at_most or "LastEvaluatedKey" not in answer:
                return min(int(total), at_most)
            arguments["ExclusiveStartKey"] = answer["LastEvaluatedKey"]

    def scan(self, prefix: str = "") -> Iterator[Item]:
        """The items whose key begins so (strongly consistent). It reads the whole table: for operators alone."""
        arguments: dict[str, Any] = {"TableName": self.name, "ConsistentRead": True}
        if prefix:
            condition = Condition(f"begins_with( #{KEY} , :prefix )", {"prefix": prefix})
            arguments |= {
                "FilterExpression": condition.expression,
                "ExpressionAttributeNames": _names(condition.expression),
                "ExpressionAttributeValues": _values(condition.values),
            }
        while True:
            with storage_errors():
                answer = self._client.scan(**arguments)
            yield from map(unpack, answer["Items"])
            if "LastEvaluatedKey" not in answer:
                return
            arguments["ExclusiveStartKey"] = answer["LastEvaluatedKey"]

    def get_all(self, keys: Sequence[Item]) -> list[Item]:
        """What is stored under these keys, each named once, in any order (strongly consistent)."""
        found: list[Item] = []
        for start in range(0, len(keys), _BATCH_READ_LIMIT):
            found += self.get_with(keys[start : start + _BATCH_READ_LIMIT])
        return found

    def get_with(self, keys: Sequence[Item], other: "Table | None" = None, others: Sequence[Item] = ()) -> list[Item]:
        """The same, and what `other` stores under `others`, in one call: at most 100 keys together."""
        wanted = {self.name: keys} | ({other.name: others} if other is not None else {})
        requests: dict[str, Any] = {
            table: {"Keys": [pack(key) for key in some], "ConsistentRead": True} for table, some in wanted.items()
        }
        found: list[Item] = []
        for _ in self._tries():
            with storage_errors():
                answer = self._client.batch_get_item(RequestItems=requests)
            found += [unpack(item) for items in answer["Responses"].values() for item in items]
            requests = answer.get("UnprocessedKeys", {})
            if not requests:
                return found
        raise StorageUnavailable(detail="BatchGetItem left keys over")

    def put_all(self, items: Sequence[Item]) -> None:
        """Write items unconditionally in batches; what DynamoDB leaves over is sent again."""
        for start in range(0, len(items), _BATCH_WRITE_LIMIT):
            self._put_batch(
                [{"PutRequest": {"Item": pack(item)}} for item in items[start : start + _BATCH_WRITE_LIMIT]]
            )

    def _put_batch(self, requests: list[dict[str, Any]]) -> None:
        for _ in self._tries():
            with storage_errors():
                answer = self._client.batch_write_item(RequestItems={self.name: requests})
            requests = answer.get("UnprocessedItems", {}).get(self.name, [])
            if not requests:
                return
        raise StorageUnavailable(detail="BatchWriteItem left items over")

    def _tries(self) -> Iterator[None]:
        """Each try of what DynamoDB left over, after a pause that grows, with full jitter: what is sent again at once
        is throttled again (AWS, "Error handling and exponential backoff").
        """
        ends = self._clock.monotonic() + _PATIENCE
        yield
        for number in range(_TRIES - 1):
            pause = self._random.fraction() * min(_FIRST_PAUSE * 2**number, _LONGEST_PAUSE)
            if self._clock.monotonic() + pause > ends:
                return
            self._clock.sleep(pause)
            yield


def _pending() -> Companions | None:
    companions = _COMPANIONS.get()
    return companions if companions is not None and not companions.are_stored else None


def _key_of(item: Item) -> tuple[tuple[str, Any], ...]:
    return (KEY, item[KEY]), (SORT, item[SORT])


@contextmanager
def storage_errors() -> Iterator[None]:
    """Translate the client's errors once: a failed condition, or storage that cannot be used now."""
    try:
        yield
    except ClientError as error:
        response: dict[str, Any] = dict(error.response)
        code = response["Error"]["Code"]
        if code == "TransactionCanceledException" and response.get("CancellationReasons"):
            raise _Cancelled(response["CancellationReasons"]) from None
        if code == "ConditionalCheckFailedException":
            item = response.get("Item")
            raise ConditionFailed(unpack(item) if item else None) from None
        raise StorageUnavailable(detail=f"DynamoDB {error.operation_name}: {code}") from error
    except BotoCoreError as error:
        raise StorageUnavailable(detail=f"DynamoDB: {type(error).__name__}") from error


def _names(*expressions: str) -> dict[str, str]:
    """Every `#name` of the expressions, for ExpressionAttributeNames."""
    words = (
        word for text in expressions for word in text.replace(",", " ").replace("(", " ").replace(")", " ").split()
    )
    return {word: word[1:] for word in words if word.startswith("#")}


def _values(values: Mapping[str, Any]) -> dict[str, Any]:
    return {f":{name}": value for name, value in pack(values).items()}


def _conditional(condition: Condition, *more: str) -> dict[str, Any]:
    arguments: dict[str, Any] = {
        "ConditionExpression": condition.expression,
        "ExpressionAttributeNames": _names(condition.expression, *more),
        "ReturnValuesOnConditionCheckFailure": "ALL_OLD",
    }
    if condition.values:
        arguments["ExpressionAttributeValues"] = _values(condition.values)
    return arguments


def _query_arguments(
    table: str, key_condition: Condition, filter_by: Condition | None, index: Index | None
) -> dict[str, Any]:
    arguments: dict[str, Any] = {"TableName": table, "KeyConditionExpression": key_condition.expression}
    expressions, values = [key_condition.expression], dict(key_condition.values)
    if filter_by is not None:
        arguments["FilterExpression"] = filter_by.expression
        expressions.append(filter_by.expression)
        values |= filter_by.values
    arguments |= {"ConsistentRead": True} if index is None else {"IndexName": index.name}
    return arguments | {
        "ExpressionAttributeNames": _names(*expressions),
        "ExpressionAttributeValues": _values(values),
    }
