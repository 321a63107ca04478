"""AWS clients, made once a process, with limits that leave a request time to fail well (R79).

DynamoDB and KMS, which every request needs, have a lean one where the environment says all there is to know, as in
Lambda (see `json_client`). Otherwise, and for services that are called now and then, they are botocore's own. boto3
makes the same ones, and imports file transfers that every cold start would pay for.
"""

import os
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from functools import cached_property
from typing import Any

from botocore.exceptions import BotoCoreError, ClientError

from chalicelib.domain.errors import KeyUnavailable, Undeliverable

from . import json_client
from .json_client import DYNAMODB, KMS, LIMITS, JsonClient, Limits, Place

MAIL = Limits(read_seconds=10)
"""A mail that is sent twice arrives twice, so that SES has time to answer and is asked once: the outbox tries again."""


def botocore_client(
    name: str, limits: Limits = LIMITS, endpoint: str | None = None, attempts: int = json_client.ATTEMPTS
) -> Any:
    """botocore's client of a service, without what it does anew with each call: its description of itself, and its
    check of what the tests of the stores have checked.
    """
    from botocore.config import Config
    from botocore.session import Session

    config = Config(
        retries={"mode": "standard", "total_max_attempts": attempts},
        connect_timeout=limits.connect_seconds,
        read_timeout=limits.read_seconds,
        max_pool_connections=limits.connections,
        tcp_keepalive=True,
        user_agent=json_client.USER_AGENT,
        parameter_validation=False,
    )
    return Session().create_client(name, config=config, endpoint_url=endpoint)


@dataclass(frozen=True)
class AwsClients:
    """The clients the vault uses. Region, credentials and endpoint are the environment's (`AWS_*`)."""

    dynamodb: Any
    kms: Any

    @cached_property
    def secrets_manager(self) -> Any:
        """Made when first needed: only log-ins and the sweep read secrets."""
        return botocore_client("secretsmanager")

    @cached_property
    def events(self) -> Any:
        """EventBridge; made when first needed, by the function that delivers events."""
        return botocore_client("events")

    @cached_property
    def mail(self) -> Any:
        """Amazon SES; made when first needed, by the same function."""
        return botocore_client("sesv2", MAIL, attempts=1)

    @classmethod
    def create(cls, limits: Limits = LIMITS) -> "AwsClients":
        place = Place.of_environment(os.environ)
        if place is None:
            return cls.of_botocore(limits)
        send = json_client.session(limits).send
        return cls(dynamodb=JsonClient(DYNAMODB, place, send), kms=JsonClient(KMS, place, send))

    @classmethod
    def of_botocore(cls, limits: Limits = LIMITS) -> "AwsClients":
        return cls(dynamodb=botocore_client("dynamodb", limits), kms=botocore_client("kms", limits))


@contextmanager
def kms_errors() -> Iterator[None]:
    """No retry beyond the client's own and nothing deleted: a key back in a minute finds all as it was (R54)."""
    try:
        yield
    except ClientError as error:
        raise KeyUnavailable(detail=f"KMS {error.operation_name}: {error.response['Error']['Code']}") from error
    except BotoCoreError as error:
        raise KeyUnavailable(detail=f"KMS: {type(error).__name__}") from error


@contextmanager
def delivery_errors(service: str) -> Iterator[None]:
    """Whatever EventBridge or SES says, the event stays in the outbox and is tried again."""
    try:
        yield
    except ClientError as error:
        raise Undeliverable(detail=f"{service}: {error.response['Error']['Code']}") from error
    except BotoCoreError as error:
        raise Undeliverable(detail=f"{service}: {type(error).__name__}") from error
