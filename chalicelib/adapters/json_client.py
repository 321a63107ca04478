"""A client of DynamoDB and KMS with what a call needs and no more: JSON out, signed and sent, JSON back.

botocore's own client makes each call anew from a description of the whole service, which was four fifths of what a
release costs and a fifth of a cold start. Signature, connections and errors are botocore's here, too; what differs is
that nothing is looked up that is the same in every call. `tests/contract/test_json_client.py` holds both to the same
requests and answers.
"""

import json
import os
import re
import socket
import time
from base64 import b64decode, b64encode
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from functools import lru_cache, partial
from http import HTTPStatus
from pathlib import Path
from typing import Any, NamedTuple, Protocol, Self

from botocore.auth import SigV4Auth
from botocore.awsrequest import AWSPreparedRequest, AWSRequest
from botocore.exceptions import ClientError, ConnectionError, HTTPClientError
from botocore.httpsession import URLLib3Session
from urllib3.connection import HTTPConnection

from .system import SystemRandom

ATTEMPTS = 3
USER_AGENT = "token-vault"

_THROTTLED = frozenset({
    "BandwidthLimitExceeded", "LimitExceededException", "ProvisionedThroughputExceededException",
    "RequestLimitExceeded", "RequestThrottled", "RequestThrottledException", "SlowDown", "ThrottledException",
    "Throttling", "ThrottlingException", "TooManyRequestsException", "TransactionInProgressException",
})  # fmt: skip
"""Error codes of a service that wants fewer calls, as botocore's standard mode knows them."""
_TRANSIENT = frozenset({"PriorRequestNotComplete", "ReplicatedWriteConflictException", "RequestTimeout",
                        "RequestTimeoutException", "TransactionConflictException"})  # fmt: skip
_TRANSIENT_STATUSES = frozenset({500, 502, 503, 504})
_THROTTLED_SCALE, _TRANSIENT_SCALE = 1.0, 0.025
"""Seconds before the second attempt, at most; twice as many before the third."""
_SPECIAL = ("AWS_DEFAULT_PROFILE", "AWS_PROFILE", "AWS_USE_FIPS_ENDPOINT", "AWS_USE_DUALSTACK_ENDPOINT",
            "AWS_IGNORE_CONFIGURED_ENDPOINT_URLS",
            "HTTPS_PROXY", "https_proxy", "HTTP_PROXY", "http_proxy")  # fmt: skip
_REGION = re.compile(r"(af|ap|ca|eu|il|me|mx|sa|us)(-gov)?-[a-z]+-\d+")
"""Regions below amazonaws.com; others have names of their own."""


@dataclass(frozen=True, slots=True)
class Limits:
    """Such that a request has time left to fail well (R79); `connections` are kept, one for each thread."""

    connect_seconds: float = 1
    read_seconds: float = 2
    connections: int = 10


LIMITS = Limits()
_RANDOM = SystemRandom()


class Credentials(NamedTuple):
    """What a request is signed with; named as botocore's signer asks for it."""

    access_key: str
    secret_key: str
    token: str | None


@dataclass(frozen=True, slots=True)
class Service:
    """A service that speaks AWS's JSON protocol. `blobs` are the bytes of its answers: those, and those only."""

    name: str
    target: str
    content_type: str
    blobs: Callable[[dict[str, Any]], dict[str, Any]]


def _attribute_value(part: dict[str, Any]) -> dict[str, Any]:
    """`{"B": "…"}` is the one place where DynamoDB has bytes: an attribute that is called B has a type inside."""
    if len(part) == 1 and isinstance(text := part.get("B"), str):
        return {"B": b64decode(text)}
    return part


def _kms_blobs(part: dict[str, Any]) -> dict[str, Any]:
    return part | {name: b64decode(part[name]) for name in ("CiphertextBlob", "Mac", "Plaintext") if name in part}


DYNAMODB = Service("dynamodb", "DynamoDB_20120810", "application/x-amz-json-1.0", _attribute_value)
KMS = Service("kms", "TrentService", "application/x-amz-json-1.1", _kms_blobs)


class Answer(Protocol):
    """What comes back: botocore's AWSResponse, as far as it is read."""

    @property
    def status_code(self) -> int: ...
    @property
    def content(self) -> bytes: ...
    @property
    def headers(self) -> Mapping[str, str]: ...


Send = Callable[[AWSPreparedRequest], Answer]
"""Brings a request there. Raises botocore's ConnectionError and HTTPClientError."""


@dataclass(frozen=True, slots=True)
class Place:
    """Where calls go, and who makes them."""

    region: str
    credentials: Credentials
    endpoints: Mapping[str, str]
    """By service; where there is none, AWS's own."""

    @classmethod
    def of_environment(cls, environment: Mapping[str, str]) -> Self | None:
        """As Lambda says it. None for whatever else botocore knows: profiles, proxies, FIPS, regions by other names."""
        region = environment.get("AWS_DEFAULT_REGION", "")
        key, secret = environment.get("AWS_ACCESS_KEY_ID"), environment.get("AWS_SECRET_ACCESS_KEY")
        is_special = any(environment.get(name) for name in _SPECIAL) or _has_configuration(environment)
        if not key or not secret or is_special or not _REGION.fullmatch(region):
            return None
        services = (DYNAMODB.name, KMS.name)
        named = {name: environment.get(f"AWS_ENDPOINT_URL_{name.upper()}") for name in services}
        common = environment.get("AWS_ENDPOINT_URL")
        endpoints = {name: url or common or f"https://{name}.{region}.amazonaws.com" for name, url in named.items()}
        return cls(region, Credentials(key, secret, environment.get("AWS_SESSION_TOKEN")), endpoints)


def _has_configuration(environment: Mapping[str, str]) -> bool:
    return Path(environment.get("AWS_CONFIG_FILE") or "~/.aws/config").expanduser().exists()


def session(limits: Limits = LIMITS) -> URLLib3Session:
    """Connections that are kept. `AWS_CA_BUNDLE`, else `REQUESTS_CA_BUNDLE`, names other authorities than certifi's."""
    return URLLib3Session(
        verify=os.environ.get("AWS_CA_BUNDLE") or os.environ.get("REQUESTS_CA_BUNDLE") or True,
        timeout=(limits.connect_seconds, limits.read_seconds),
        max_pool_connections=limits.connections,
        socket_options=[*HTTPConnection.default_socket_options, (socket.SOL_SOCKET, socket.SO_KEEPALIVE, 1)],
    )


class JsonClient:
    """Called as botocore's client is: `client.get_item(TableName=…)`. Raises its ClientError and BotoCoreError.

    Arguments are not checked beforehand; bytes are sent as base64.
    """

    def __init__(self, service: Service, place: Place, send: Send) -> None:
        self.service = service
        self._url = place.endpoints[service.name].rstrip("/") + "/"
        self._signer = SigV4Auth(place.credentials, service.name, place.region)
        self._headers = {"Content-Type": service.content_type, "User-Agent": USER_AGENT}
        self._send = send

    def __getattr__(self, name: str) -> Callable[..., dict[str, Any]]:
        if name.startswith("_"):
            raise AttributeError(name)
        return partial(self.call, _operation(name))

    def call(self, operation: str, /, **arguments: Any) -> dict[str, Any]:
        """One operation, repeated where that can help: a write may arrive twice, as with botocore's client."""
        body = json.dumps(arguments, default=_base64).encode()
        attempt = 1
        while True:
            try:
                return self._answer(operation, self._send(self._request(operation, body)))
            except (ClientError, ConnectionError, HTTPClientError) as error:
                scale = _scale(error)
                if scale is None or attempt == ATTEMPTS:
                    raise
            time.sleep(_RANDOM.fraction() * scale * 2 ** (attempt - 1))
            attempt += 1

    def _request(self, operation: str, body: bytes) -> AWSPreparedRequest:
        headers = {**self._headers, "X-Amz-Target": f"{self.service.target}.{operation}"}
        request = AWSRequest("POST", self._url, headers=headers, data=body)
        self._signer.add_auth(request)
        return request.prepare()

    def _answer(self, operation: str, answer: Answer) -> dict[str, Any]:
        if answer.status_code == HTTPStatus.OK:
            return self._read(answer)
        raise ClientError(_error(answer, self._read(answer)), operation)

    def _read(self, answer: Answer) -> dict[str, Any]:
        """Nothing where it is no JSON object: what stands between us and AWS may answer with a page."""
        try:
            found = json.loads(answer.content or b"{}", object_hook=self.service.blobs)
        except ValueError:
            found = None
        if isinstance(found, dict):
            return found
        if answer.status_code == HTTPStatus.OK:
            raise HTTPClientError(error="the answer is no JSON object")
        return {}


def _error(answer: Answer, body: dict[str, Any]) -> Any:
    """As botocore has it: the code without its namespace, and whatever else the error carries."""
    named = body.pop("__type", None) or str(answer.status_code)
    code = str(named).partition(":")[0].rpartition("#")[2]
    message = body.pop("message", None) or body.pop("Message", "")
    about = {"RequestId": answer.headers.get("x-amzn-requestid", ""), "HTTPStatusCode": answer.status_code}
    return {**body, "Error": {"Code": code, "Message": message}, "ResponseMetadata": about}


def _scale(error: Exception) -> float | None:
    """Seconds that the pause before another attempt is in proportion to; None where it would say the same again."""
    if not isinstance(error, ClientError):
        return _TRANSIENT_SCALE
    code, status = error.response["Error"]["Code"], error.response["ResponseMetadata"]["HTTPStatusCode"]
    if code in _THROTTLED:
        return _THROTTLED_SCALE
    return _TRANSIENT_SCALE if code in _TRANSIENT or status in _TRANSIENT_STATUSES else None


@lru_cache
def _operation(name: str) -> str:
    """`get_item` to GetItem."""
    return "".join(part.title() for part in name.split("_"))


def _base64(value: bytes) -> str:
    return b64encode(value).decode("ascii")
