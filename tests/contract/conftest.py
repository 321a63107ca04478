"""npm's dynalite with the vault's tables as the template defines them."""

from collections.abc import Iterator
from dataclasses import replace
from functools import partial
from typing import Any

import pytest
from botocore.session import Session

from chalicelib.adapters.aws import LIMITS, AwsClients
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
        client = _client(ready["endpoint"])
        for logical_id, name in template.NAMES.items():
            client.create_table(**_create_arguments(logical_id) | {"TableName": name})
        yield client
        client.close()


def _client(endpoint: str) -> Any:
    session = Session()
    session.set_credentials(ENVIRONMENT["AWS_ACCESS_KEY_ID"], ENVIRONMENT["AWS_SECRET_ACCESS_KEY"])
    region = ENVIRONMENT["AWS_DEFAULT_REGION"]
    client = session.create_client("dynamodb", region, endpoint_url=endpoint, config=LIMITS)
    client.meta.events.register("provide-client-params.dynamodb.*", _remember)
    client.meta.events.register("after-call.dynamodb.*", partial(_add_old_item, client))
    return client


def _remember(params: dict[str, Any], context: dict[str, Any], **_: Any) -> None:
    context["params"] = params


def _add_old_item(client: Any, parsed: dict[str, Any], context: dict[str, Any], **_: Any) -> None:
    """ReturnValuesOnConditionCheckFailure, which DynamoDB has had since 2023 and dynalite has not."""
    params = context.get("params", {})
    is_wanted = params.get("ReturnValuesOnConditionCheckFailure") == "ALL_OLD"
    if is_wanted and parsed.get("Error", {}).get("Code") == "ConditionalCheckFailedException":
        key = params.get("Key") or {name: params["Item"][name] for name in ("pk", "sk") if name in params["Item"]}
        parsed |= (
            {"Item": item} if (item := client.get_item(TableName=params["TableName"], Key=key).get("Item")) else {}
        )


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
