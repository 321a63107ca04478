"""The lean client and botocore's: the same requests, the same answers, the same errors, and as patient."""

import json
import os
from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field
from datetime import UTC, datetime
from typing import Any

import pytest
from botocore.awsrequest import AWSPreparedRequest, AWSResponse
from botocore.exceptions import BotoCoreError, ClientError, ConnectTimeoutError, HTTPClientError, ReadTimeoutError

from chalicelib.adapters import json_client
from chalicelib.adapters.aws import AwsClients, botocore_client
from chalicelib.adapters.json_client import DYNAMODB, KMS, Credentials, JsonClient, Place, Service
from tests.aws import ENVIRONMENT

KEY = {"pk": {"S": "user#1"}, "sk": {"S": "grant"}}
BYTES = bytes(range(256))
CALLS: list[tuple[Service, str, dict[str, Any]]] = [
    (DYNAMODB, "get_item", {"TableName": "vault", "Key": KEY, "ConsistentRead": True}),
    (DYNAMODB, "put_item", {"TableName": "vault", "Item": KEY | {"n": {"N": "1"}, "sealed": {"B": BYTES}}}),
    (DYNAMODB, "batch_get_item", {"RequestItems": {"vault": {"Keys": [KEY], "ConsistentRead": True}}}),
    (DYNAMODB, "batch_write_item", {"RequestItems": {"vault": [{"PutRequest": {"Item": KEY}}]}}),
    (
        DYNAMODB,
        "update_item",
        {
            "TableName": "vault", "Key": KEY, "UpdateExpression": "SET #n = :n", "ReturnValues": "ALL_OLD",
            "ExpressionAttributeNames": {"#n": "n"}, "ExpressionAttributeValues": {":n": {"S": "Zoë €"}},
        },
    ),
    (DYNAMODB, "query", {"TableName": "vault", "KeyConditionExpression": "pk = :pk", "ScanIndexForward": False}),
    (DYNAMODB, "delete_item", {"TableName": "vault", "Key": KEY, "ReturnValues": "ALL_OLD"}),
    (DYNAMODB, "describe_time_to_live", {"TableName": "vault"}),
    (KMS, "decrypt", {"KeyId": "key", "CiphertextBlob": BYTES, "EncryptionContext": {"generation": "1"}}),
    (KMS, "re_encrypt", {"CiphertextBlob": BYTES, "SourceKeyId": "a", "DestinationKeyId": "b"}),
    (KMS, "generate_data_key_without_plaintext", {"KeyId": "key", "KeySpec": "AES_256"}),
    (KMS, "generate_mac", {"KeyId": "key", "Message": BYTES, "MacAlgorithm": "HMAC_SHA_256"}),
    (KMS, "verify_mac", {"KeyId": "key", "Message": b"m", "MacAlgorithm": "HMAC_SHA_256", "Mac": BYTES}),
]  # fmt: skip
ARGUMENTS = {operation: arguments for _, operation, arguments in CALLS}
NESTED = '{"M": {"B": {"S": "a name like a type"}, "inner": {"L": [{"B": "AAEC"}, {"N": "1"}, {"NULL": true}]}}}'
ANSWERS: list[tuple[Service, str, int, dict[str, str], str]] = [
    (DYNAMODB, "get_item", 200, {}, "{}"),
    (DYNAMODB, "get_item", 200, {}, f'{{"Item": {{"pk": {{"S": "B"}}, "sealed": {{"B": "/+8="}}, "m": {NESTED}}}}}'),
    (DYNAMODB, "query", 200, {}, '{"Items": [{"a": {"BOOL": false}}], "Count": 1, "ScannedCount": 1}'),
    (KMS, "decrypt", 200, {}, '{"KeyId": "key", "Plaintext": "AAEC", "EncryptionAlgorithm": "SYMMETRIC_DEFAULT"}'),
    (KMS, "generate_mac", 200, {}, '{"Mac": "/+8=", "MacAlgorithm": "HMAC_SHA_256", "KeyId": "key"}'),
    (
        DYNAMODB, "put_item", 400, {},
        '{"__type": "com.amazonaws.dynamodb.v20120810#ConditionalCheckFailedException",'
        ' "message": "The conditional request failed", "Item": {"sealed": {"B": "AAEC"}}}',
    ),
    (KMS, "decrypt", 400, {}, '{"__type": "IncorrectKeyException", "message": "another key"}'),
    (KMS, "decrypt", 400, {}, '{"__type": "DisabledException:http://internal.amazon.com/", "Message": "off"}'),
    (DYNAMODB, "get_item", 403, {}, ""),
]  # fmt: skip


@dataclass
class Wire:
    """Takes requests, and answers in turn; what is an exception is raised."""

    answers: list[AWSResponse | Exception] = field(default_factory=list)
    requests: list[AWSPreparedRequest] = field(default_factory=list)

    def send(self, request: AWSPreparedRequest, **_: Any) -> AWSResponse:
        self.requests.append(request)
        answer = self.answers.pop(0)
        if isinstance(answer, Exception):
            raise answer
        return answer


class _Raw:
    """A body, as urllib3 hands it over."""

    def __init__(self, content: bytes) -> None:
        self._content = content

    def stream(self) -> Iterator[bytes]:
        yield self._content


def response(status: int = 200, body: str = "{}", headers: Mapping[str, str] | None = None) -> AWSResponse:
    return AWSResponse("https://aws.example/", status, dict(headers or {}), _Raw(body.encode()))


@pytest.fixture
def pauses(monkeypatch: pytest.MonkeyPatch) -> list[float]:
    """Seconds of every pause, at their longest."""
    taken: list[float] = []
    monkeypatch.setattr(json_client.time, "sleep", taken.append)
    monkeypatch.setattr(json_client._RANDOM, "fraction", lambda: 1.0)
    return taken


@pytest.fixture(autouse=True)
def environment(monkeypatch: pytest.MonkeyPatch) -> None:
    for name, value in ENVIRONMENT.items():
        monkeypatch.setenv(name, value)
    monkeypatch.setattr("botocore.auth.get_current_datetime", lambda **_: datetime(2026, 11, 24, 12, tzinfo=UTC))


def lean(service: Service, wire: Wire) -> JsonClient:
    place = Place.of_environment(ENVIRONMENT)
    assert place is not None
    return JsonClient(service, place, wire.send)


def botocore(service: Service, wire: Wire) -> Any:
    client = botocore_client(service.name)
    # Before moto, which answers for all clients while it is on
    client.meta.events.register_first("before-send", wire.send)
    return client


@pytest.mark.parametrize(("service", "operation", "arguments"), CALLS, ids=[call[1] for call in CALLS])
def test_the_request_is_botocore_s(service: Service, operation: str, arguments: dict[str, Any]) -> None:
    sent = []
    for make in (lean, botocore):
        wire = Wire([response()])
        getattr(make(service, wire), operation)(**arguments)
        sent += wire.requests
    ours, theirs = sent
    body = ours.body if isinstance(ours.body, bytes) else str(ours.body).encode()
    assert (ours.method, ours.url) == (theirs.method, theirs.url)
    assert body == theirs.body
    # The signature covers host, body and date, so that it is the same where they are
    for name in ("Authorization", "Content-Type", "X-Amz-Date", "X-Amz-Target", "User-Agent", "Content-Length"):
        assert _text(ours.headers[name]) == _text(theirs.headers[name])


@pytest.mark.parametrize(("service", "operation", "status", "headers", "body"), ANSWERS)
def test_the_answer_is_botocore_s(
    service: Service, operation: str, status: int, headers: dict[str, str], body: str
) -> None:
    ours, theirs = (
        _outcome(make(service, Wire([response(status, body, headers)])), operation) for make in (lean, botocore)
    )
    assert ours == theirs


def _outcome(client: Any, operation: str) -> Any:
    """What is returned, or the error's operation and response; without what only botocore keeps."""
    try:
        found, kind = getattr(client, operation)(**ARGUMENTS[operation]), ""
    except ClientError as error:
        found, kind = dict(error.response), error.operation_name
    # Of the error's own words botocore keeps two copies
    return kind, {name: value for name, value in found.items() if name not in ("ResponseMetadata", "message")}


@pytest.mark.parametrize("body", ["<html>", "[]", ""])
def test_a_page_in_the_place_of_an_error_is_one_by_its_status(body: str, pauses: list[float]) -> None:
    wire = Wire([response(503, body), response(503, body), response(503, body)])
    with pytest.raises(ClientError) as caught:
        lean(DYNAMODB, wire).get_item(TableName="vault", Key=KEY)
    assert caught.value.response["Error"]["Code"] == "503"
    assert len(pauses) == 2


def test_a_page_in_the_place_of_an_answer_is_no_answer(pauses: list[float]) -> None:
    wire = Wire([response(200, "<html>")] * 3)
    with pytest.raises(BotoCoreError, match="no JSON object"):
        lean(DYNAMODB, wire).get_item(TableName="vault", Key=KEY)
    assert len(pauses) == 2


@pytest.mark.parametrize(
    ("fault", "longest"),
    [
        (ConnectTimeoutError(endpoint_url="https://aws.example"), [0.025, 0.05]),
        (ReadTimeoutError(endpoint_url="https://aws.example"), [0.025, 0.05]),
        (HTTPClientError(error="broken"), [0.025, 0.05]),
        (response(500, '{"__type": "InternalServerError"}'), [0.025, 0.05]),
        (response(400, '{"__type": "ReplicatedWriteConflictException"}'), [0.025, 0.05]),
        (response(400, '{"__type": "ProvisionedThroughputExceededException"}'), [1, 2]),
    ],
    ids=lambda value: type(value).__name__,
)
def test_what_may_pass_is_tried_twice_more(
    fault: AWSResponse | Exception, longest: list[float], pauses: list[float]
) -> None:
    wire = Wire([fault, fault, response(200, '{"Item": {}}')])
    assert lean(DYNAMODB, wire).get_item(TableName="vault", Key=KEY) == {"Item": {}}
    assert pauses == longest


def test_r79_the_third_failure_is_the_last(pauses: list[float]) -> None:
    wire = Wire([ReadTimeoutError(endpoint_url="https://aws.example")] * 3)
    with pytest.raises(ReadTimeoutError):
        lean(KMS, wire).decrypt(CiphertextBlob=b"")
    assert len(wire.requests) == 3
    assert len(pauses) == 2


@pytest.mark.parametrize("code", ["ConditionalCheckFailedException", "AccessDeniedException", "ValidationException"])
def test_what_will_not_change_is_asked_once(code: str, pauses: list[float]) -> None:
    wire = Wire([response(400, json.dumps({"__type": code}))])
    with pytest.raises(ClientError, match=code):
        lean(DYNAMODB, wire).get_item(TableName="vault", Key=KEY)
    assert pauses == []


def test_each_attempt_is_signed_anew(pauses: list[float], monkeypatch: pytest.MonkeyPatch) -> None:
    wire = Wire([response(500), response()])
    moments = iter(datetime(2026, 11, 24, 12, minute, tzinfo=UTC) for minute in range(2))
    monkeypatch.setattr("botocore.auth.get_current_datetime", lambda **_: next(moments))
    lean(DYNAMODB, wire).get_item(TableName="vault", Key=KEY)
    first, second = (request.headers["Authorization"] for request in wire.requests)
    assert first != second
    assert len(pauses) == 1


def test_r79_connections_give_up_in_time() -> None:
    session = json_client.session()
    assert (session._timeout.connect_timeout, session._timeout.read_timeout) == (1, 2)


def test_other_authorities_can_be_named(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("AWS_CA_BUNDLE", "/etc/company.pem")
    monkeypatch.setenv("REQUESTS_CA_BUNDLE", "/etc/other.pem")
    assert json_client.session()._verify == "/etc/company.pem"
    monkeypatch.delenv("AWS_CA_BUNDLE")
    assert json_client.session()._verify == "/etc/other.pem"
    monkeypatch.delenv("REQUESTS_CA_BUNDLE")
    assert json_client.session()._verify is True


def test_the_region_is_the_one_that_botocore_takes(monkeypatch: pytest.MonkeyPatch) -> None:
    """Otherwise keys and secrets of one vault would be looked for in two regions."""
    monkeypatch.setenv("AWS_REGION", "us-east-1")
    place = Place.of_environment(os.environ)
    assert place is not None
    assert place.region == botocore_client("secretsmanager").meta.region_name == ENVIRONMENT["AWS_DEFAULT_REGION"]


def test_a_name_of_its_own_is_no_operation() -> None:
    with pytest.raises(AttributeError):
        lean(DYNAMODB, Wire())._not_there  # noqa: B018


LAMBDA = {
    "AWS_DEFAULT_REGION": "eu-central-1", "AWS_ACCESS_KEY_ID": "id", "AWS_SECRET_ACCESS_KEY": "secret",
    "AWS_SESSION_TOKEN": "token", "AWS_CONFIG_FILE": "not-there",
}  # fmt: skip


def test_lambda_s_environment_says_all() -> None:
    assert Place.of_environment(LAMBDA) == Place(
        "eu-central-1",
        Credentials("id", "secret", "token"),
        {"dynamodb": "https://dynamodb.eu-central-1.amazonaws.com", "kms": "https://kms.eu-central-1.amazonaws.com"},
    )


def test_endpoints_can_be_named_for_all_and_for_one() -> None:
    named = LAMBDA | {"AWS_ENDPOINT_URL": "http://all", "AWS_ENDPOINT_URL_KMS": "http://keys"}
    place = Place.of_environment(named)
    assert place is not None
    assert place.endpoints == {"dynamodb": "http://all", "kms": "http://keys"}


@pytest.mark.parametrize(
    "more",
    [
        {"AWS_DEFAULT_REGION": "cn-north-1"},
        {"AWS_DEFAULT_REGION": "us-iso-east-1"},
        {"AWS_DEFAULT_REGION": "eusc-de-east-1"},
        {"AWS_DEFAULT_REGION": ""},
        {"AWS_ACCESS_KEY_ID": ""},
        {"AWS_SECRET_ACCESS_KEY": ""},
        {"AWS_PROFILE": "company"},
        {"AWS_DEFAULT_PROFILE": "company"},
        {"AWS_USE_FIPS_ENDPOINT": "true"},
        {"HTTPS_PROXY": "http://proxy.example"},
        {"AWS_CONFIG_FILE": __file__},
    ],
    ids=str,
)
def test_the_rest_is_left_to_botocore(more: dict[str, str]) -> None:
    assert Place.of_environment(LAMBDA | more) is None


@pytest.mark.parametrize(("proxy", "is_lean"), [("", True), ("http://proxy.example", False)])
def test_the_clients_are_lean_where_they_can_be(proxy: str, is_lean: bool, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("HTTPS_PROXY", proxy)
    monkeypatch.setenv("AWS_CONFIG_FILE", "not-there")
    clients = AwsClients.create()
    assert [isinstance(client, JsonClient) for client in (clients.dynamodb, clients.kms)] == [is_lean] * 2


def _text(value: Any) -> str:
    return value.decode() if isinstance(value, bytes) else str(value)
