"""Are the tables there, with the keys, indexes, time to live and recovery that `tables` defines?"""

from collections.abc import Iterator
from typing import Any

from botocore.exceptions import BotoCoreError, ClientError

from chalicelib.domain.configuration import ConfigurationFault

from .tables import TableDefinition


def table_faults(dynamodb: Any, setting: str, name: str, wanted: TableDefinition) -> Iterator[ConfigurationFault]:
    """Every fault of one table. Needs dynamodb:DescribeTable, DescribeTimeToLive and DescribeContinuousBackups."""
    try:
        for code, words in _differences(dynamodb, name, wanted):
            yield ConfigurationFault(setting, code, f"The table {name} {words}")
    except ClientError as error:
        yield _unreadable(setting, name, error.response["Error"]["Code"])
    except BotoCoreError as error:
        yield _unreadable(setting, name, type(error).__name__)


def _unreadable(setting: str, name: str, cause: str) -> ConfigurationFault:
    if cause == "ResourceNotFoundException":
        return ConfigurationFault(setting, "table_missing", f"There is no table {name} in this account and region.")
    words = f"DynamoDB does not say how the table {name} is: {cause}. Check the region and the credentials."
    return ConfigurationFault(setting, "table_unreadable", words)


def _differences(dynamodb: Any, name: str, wanted: TableDefinition) -> Iterator[tuple[str, str]]:
    table = dynamodb.describe_table(TableName=name)["Table"]
    arguments = wanted.create_arguments(name)
    if table["TableStatus"] not in ("ACTIVE", "UPDATING"):
        yield "table_not_ready", f"is not ready: {table['TableStatus']}. Try again in a minute."
    if _in_order(table["KeySchema"]) != _in_order(arguments["KeySchema"]):
        yield "table_of_other_kind", "has another key. It is not the vault's, or two settings are mixed up."
    yield from _index_differences(table, arguments)
    if wanted.time_to_live:
        yield from _expiry_differences(dynamodb, name, wanted.time_to_live)
    if wanted.deletion_protection and not table.get("DeletionProtectionEnabled"):
        yield "table_unprotected", "has no deletion protection. Turn it on."
    if wanted.point_in_time_recovery and not _is_recoverable(dynamodb, name):
        yield "table_not_recoverable", "has no point-in-time recovery. Turn it on."


def _index_differences(table: dict[str, Any], arguments: dict[str, Any]) -> Iterator[tuple[str, str]]:
    there = {index["IndexName"]: index for index in table.get("GlobalSecondaryIndexes", ())}
    for index in arguments.get("GlobalSecondaryIndexes", ()):
        name = index["IndexName"]
        if name not in there:
            yield "index_missing", f"has no index {name}. Deploy the template again, or restore the index."
        elif _index_shape(there[name]) != _index_shape(index):
            yield (
                "index_of_other_kind",
                f"has an index {name} with other keys or attributes. Delete it and deploy again.",
            )


def _index_shape(index: dict[str, Any]) -> tuple[Any, ...]:
    projection = index["Projection"]
    projected = frozenset(projection.get("NonKeyAttributes", ()))
    return _in_order(index["KeySchema"]), projection["ProjectionType"], projected


def _in_order(schema: list[dict[str, str]]) -> list[tuple[str, str]]:
    return sorted((part["KeyType"], part["AttributeName"]) for part in schema)


def _expiry_differences(dynamodb: Any, name: str, attribute: str) -> Iterator[tuple[str, str]]:
    described = dynamodb.describe_time_to_live(TableName=name)["TimeToLiveDescription"]
    is_on = described["TimeToLiveStatus"] in ("ENABLED", "ENABLING")
    if not is_on or described.get("AttributeName") != attribute:
        yield "table_without_expiry", f"does not delete what expired. Turn time to live on, for {attribute}."


def _is_recoverable(dynamodb: Any, name: str) -> bool:
    described = dynamodb.describe_continuous_backups(TableName=name)["ContinuousBackupsDescription"]
    return bool(described["PointInTimeRecoveryDescription"]["PointInTimeRecoveryStatus"] == "ENABLED")
