"""AWS clients, made once a process, with limits that leave a request time to fail well (R79).

They are botocore's own. boto3 makes the same ones, and imports file transfers that every cold start would pay for.
"""

from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from functools import cached_property
from typing import Any

from botocore.config import Config
from botocore.exceptions import BotoCoreError, ClientError
from botocore.session import Session

from chalicelib.domain.errors import KeyUnavailable, Undeliverable

LIMITS = Config(
    retries={"mode": "standard", "total_max_attempts": 3},
    connect_timeout=1,
    read_timeout=2,
    tcp_keepalive=True,
    # botocore describes itself anew, and checks what the tests of the stores have checked, with each call
    user_agent="token-vault",
    parameter_validation=False,
)


@dataclass(frozen=True)
class AwsClients:
    """The clients the vault uses. Region, credentials and endpoint are the environment's (`AWS_*`)."""

    dynamodb: Any
    kms: Any

    @cached_property
    def secrets_manager(self) -> Any:
        """Made when first needed: only log-ins and the sweep read secrets."""
        return Session().create_client("secretsmanager", config=LIMITS)

    @cached_property
    def events(self) -> Any:
        """EventBridge; made when first needed, by the function that delivers events."""
        return Session().create_client("events", config=LIMITS)

    @cached_property
    def mail(self) -> Any:
        """Amazon SES; made when first needed, by the same function."""
        return Session().create_client("sesv2", config=LIMITS)

    @classmethod
    def create(cls) -> "AwsClients":
        session = Session()
        return cls(
            dynamodb=session.create_client("dynamodb", config=LIMITS),
            kms=session.create_client("kms", config=LIMITS),
        )


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
