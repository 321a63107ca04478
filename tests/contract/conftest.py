"""npm's dynalite with the vault's tables as the template defines them."""

from collections.abc import Iterator
from dataclasses import replace
from typing import Any, cast

import pytest
from botocore.exceptions import ClientError

from chalicelib.adapters import json_client
from chalicelib.adapters.aws import AwsClients
from chalicelib.adapters.json_client import DYNAMODB, JsonClient, Place
from deploy.template import tables as template
from dev.process import ROOT
from tests.aws import ENVIRONMENT, Aws
from tests.node import node

PROJECT = ROOT / "tests" / "dynalite"
_OF_CLOUDFORMATION = ("DeletionProtectionEnabled", "PointInTimeRecoverySpecification", "SSESpecification")


@pytest.fixture(scope="session")
def dynalite_client() -> Iterator[Any]:
    """A client of the started server, the tables made."""
    with node(PROJECT, "server.js") as ready:
        place = Place.of_environment(ENVIRONMENT | {"AWS_ENDPOINT_URL": ready["endpoint"]})
        assert place is not None
        session = json_client.session()
        client = _Dynalite(DYNAMODB, place, session.send)
        for logical_id, name in template.NAMES.items():
            client.create_table(**_create_arguments(logical_id) | {"TableName": name})
        yield client
        session.close()


class _Dynalite(JsonClient):
    """With ReturnValuesOnConditionCheckFailure, which DynamoDB has had since 2023, and transactions: dynalite has none.

    One write of a transaction follows the other here; what a transaction is for is tried on moto.
    """

    def call(self, operation: str, /, **arguments: Any) -> dict[str, Any]:
        if operation == "TransactWriteItems":
            return self._one_by_one(arguments["TransactItems"])
        try:
            return super().call(operation, **arguments)
        except ClientError as error:
            is_wanted = arguments.get("ReturnValuesOnConditionCheckFailure") == "ALL_OLD"
            if is_wanted and error.response["Error"]["Code"] == "ConditionalCheckFailedException":
                self._add_old_item(error, arguments)
            raise

    def _one_by_one(self, writes: list[dict[str, Any]]) -> dict[str, Any]:
        for number, one in enumerate(writes):
            for kind, write in one.items():
                try:
                    self.call(f"{kind}Item", **write)
                except ClientError as error:
                    raise self._cancelled(error, writes, number) from error
        return {}

    def _cancelled(self, error: ClientError, writes: list[dict[str, Any]], number: int) -> ClientError:
        code = error.response["Error"]["Code"].removesuffix("Exception")
        reasons: list[dict[str, Any]] = [{"Code": "None"} for _ in writes]
        reasons[number] = {"Code": code} | ({"Item": error.response["Item"]} if "Item" in error.response else {})
        for place, one in enumerate(writes[number + 1 :], number + 1):
            # What comes behind is new, or it fails as well
            key = {name: one["Put"]["Item"][name] for name in ("pk", "sk")}
            if "Item" in self.call("GetItem", TableName=one["Put"]["TableName"], Key=key):
                reasons[place] = {"Code": "ConditionalCheckFailed"}
        response: Any = {"Error": {"Code": "TransactionCanceledException"}, "CancellationReasons": reasons}
        return ClientError(response, "TransactWriteItems")

    def _add_old_item(self, error: ClientError, arguments: dict[str, Any]) -> None:
        response: dict[str, Any] = dict(error.response)
        item = arguments.get("Item", {})
        key = arguments.get("Key") or {name: item[name] for name in ("pk", "sk") if name in item}
        found = self.call("GetItem", TableName=arguments["TableName"], Key=key)
        error.response = cast(Any, response | {"Item": found["Item"]} if "Item" in found else response)


def _create_arguments(logical_id: str) -> dict[str, Any]:
    """What CloudFormation would ask DynamoDB for, as far as dynalite knows it."""
    properties = template.resources()[logical_id]["Properties"]
    other = (*_OF_CLOUDFORMATION, "TimeToLiveSpecification")
    return {name: value for name, value in properties.items() if name not in other}


@pytest.fixture
def dynalite(started_aws: Aws, dynalite_client: Any) -> Aws:
    """The vault's tables, all empty, on dynalite; keys are moto's."""
    for logical_id, name in template.NAMES.items():
        schema = _create_arguments(logical_id)["KeySchema"]
        for item in dynalite_client.scan(TableName=name)["Items"]:
            key = {part["AttributeName"]: item[part["AttributeName"]] for part in schema}
            dynalite_client.delete_item(TableName=name, Key=key)
    return replace(started_aws, clients=AwsClients(dynamodb=dynalite_client, kms=started_aws.clients.kms))
