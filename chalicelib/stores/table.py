"""One DynamoDB table through the few operations the vault uses: single items, strongly consistent, conditional."""

import random
import time
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from typing import Any, Self

from botocore.exceptions import BotoCoreError, ClientError

from chalicelib.domain.errors import StorageUnavailable
from chalicelib.ports import Random

from .items import Item, pack, unpack
from .tables import KEY, SORT, Index

_BATCH_WRITE_LIMIT = 25
_ATTEMPTS = 5
_FIRST_PAUSE_SECONDS = 0.03
WRITER = "writer"


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
    def equals(cls, **values: Any) -> Self:
        return cls(" AND ".join(f"#{name} = :{name}" for name in values), values)


@dataclass(frozen=True, slots=True)
class Page:
    """Items of one query, and the key after which the next page starts (None: that was all)."""

    items: list[Item]
    last_key: Item | None


class Table:
    """A named table. Raises StorageUnavailable for whatever DynamoDB cannot do now."""

    def __init__(self, client: Any, name: str, random: Random) -> None:
        self._client = client
        self._random = random
        self.name = name

    def get(self, key: Item) -> Item | None:
        with storage_errors():
            answer = self._client.get_item(TableName=self.name, Key=pack(key), ConsistentRead=True)
        return unpack(answer["Item"]) if "Item" in answer else None

    def put(self, item: Item, condition: Condition | None = None) -> None:
        """Write the whole item. Raises ConditionFailed.

        A write whose reply was lost is repeated by the client and then finds itself: the writer id tells.
        """
        writer = self._random.token(12)
        arguments: dict[str, Any] = {"TableName": self.name, "Item": pack({**item, WRITER: writer})}
        if condition is not None:
            arguments |= _conditional(condition)
        try:
            with storage_errors():
                self._client.put_item(**arguments)
        except ConditionFailed as failure:
            if failure.item is None or failure.item.get(WRITER) != writer:
                raise

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
        with storage_errors():
            answer = self._client.update_item(
                TableName=self.name, Key=pack(key), UpdateExpression=expression, ReturnValues="ALL_OLD", **arguments
            )
        return unpack(answer["Attributes"]) if "Attributes" in answer else None

    def delete(self, key: Item, condition: Condition | None = None) -> Item | None:
        """Delete one item and return what it was. Raises ConditionFailed."""
        arguments = _conditional(condition) if condition is not None else {}
        with storage_errors():
            answer = self._client.delete_item(TableName=self.name, Key=pack(key), ReturnValues="ALL_OLD", **arguments)
        return unpack(answer["Attributes"]) if "Attributes" in answer else None

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
        found = batch_get(self._client, {self.name: [dict(key) for key in places]}, is_consistent=False)[self.name]
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

    def put_all(self, items: Sequence[Item]) -> None:
        """Write items unconditionally in batches; what DynamoDB leaves over is sent again."""
        for start in range(0, len(items), _BATCH_WRITE_LIMIT):
            self._put_batch(
                [{"PutRequest": {"Item": pack(item)}} for item in items[start : start + _BATCH_WRITE_LIMIT]]
            )

    def _put_batch(self, requests: list[dict[str, Any]]) -> None:
        for attempt in range(_ATTEMPTS):
            _give_way(attempt)
            with storage_errors():
                answer = self._client.batch_write_item(RequestItems={self.name: requests})
            requests = answer.get("UnprocessedItems", {}).get(self.name, [])
            if not requests:
                return
        raise StorageUnavailable(detail="BatchWriteItem left items over")


def _key_of(item: Item) -> tuple[tuple[str, Any], ...]:
    return (KEY, item[KEY]), (SORT, item[SORT])


def batch_get(client: Any, keys: Mapping[str, Sequence[Item]], *, is_consistent: bool = True) -> dict[str, list[Item]]:
    """Read items of several tables (`keys` by table name) in one call, strongly consistent unless it need not be."""
    requests: dict[str, Any] = {
        table: {"Keys": [pack(key) for key in wanted], "ConsistentRead": is_consistent}
        for table, wanted in keys.items()
    }
    found: dict[str, list[Item]] = {table: [] for table in keys}
    for attempt in range(_ATTEMPTS):
        _give_way(attempt)
        with storage_errors():
            answer = client.batch_get_item(RequestItems=requests)
        for table, items in answer["Responses"].items():
            found[table] += [unpack(item) for item in items]
        requests = answer.get("UnprocessedKeys", {})
        if not requests:
            return found
    raise StorageUnavailable(detail="BatchGetItem left keys over")


def _give_way(attempt: int) -> None:
    """Wait before what DynamoDB left over is sent again: it left it because a partition is at its limit (AWS's guide).

    15 to 30 milliseconds at first, then twice as long each time: half a second in all at most.
    """
    if attempt:
        time.sleep(_FIRST_PAUSE_SECONDS * 2 ** (attempt - 1) * random.uniform(0.5, 1))  # spread only  # noqa: S311


@contextmanager
def storage_errors() -> Iterator[None]:
    """Translate the client's errors once: a failed condition, or storage that cannot be used now."""
    try:
        yield
    except ClientError as error:
        response: dict[str, Any] = dict(error.response)
        code = response["Error"]["Code"]
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
