"""What the vault makes of an AWS that cannot be reached at all, and of secrets that hold nothing."""

from contextlib import AbstractContextManager
from types import SimpleNamespace
from typing import Any

import pytest
from botocore.exceptions import EndpointConnectionError

from chalicelib.adapters.aws import delivery_errors, kms_errors
from chalicelib.adapters.secrets_manager import SecretsManager, SecretUnreadable
from chalicelib.domain.errors import KeyUnavailable, Undeliverable
from chalicelib.stores import tables
from chalicelib.stores.audit_log import _time
from chalicelib.stores.table_check import table_faults

UNREACHABLE = EndpointConnectionError(endpoint_url="https://aws.example")


@pytest.mark.parametrize(
    ("errors", "expected", "detail"),
    [
        (kms_errors(), KeyUnavailable, "KMS: EndpointConnectionError"),
        (delivery_errors("SES"), Undeliverable, "SES: EndpointConnectionError"),
    ],
)
def test_r54_a_service_that_cannot_be_reached_is_said_as_such(
    errors: AbstractContextManager[None], expected: type[Exception], detail: str
) -> None:
    with pytest.raises(expected) as raised, errors:
        raise UNREACHABLE
    assert raised.value.detail == detail  # type: ignore[attr-defined]


def secrets(answer: dict[str, str] | Exception) -> SecretsManager:
    def get(**_: str) -> dict[str, str]:
        if isinstance(answer, Exception):
            raise answer
        return answer

    clients: Any = SimpleNamespace(secrets_manager=SimpleNamespace(get_secret_value=get))
    return SecretsManager(clients)


@pytest.mark.parametrize(
    ("answer", "why"),
    [
        (UNREACHABLE, "EndpointConnectionError"),
        ({}, "empty"),
        ({"SecretString": "  "}, "empty"),
        ({"SecretString": '{"username": "vault"}'}, "empty"),
        ({"SecretString": '{"password": 7}'}, "empty"),
    ],
)
def test_a_secret_that_cannot_be_read_says_why_and_nothing_of_itself(
    answer: dict[str, str] | Exception, why: str
) -> None:
    with pytest.raises(SecretUnreadable, match=f"^{why}$"):
        secrets(answer).read("vault")


@pytest.mark.parametrize("text", ["a-password", '{"password": "a-password"}'])
def test_a_secret_is_the_text_or_its_password(text: str) -> None:
    assert secrets({"SecretString": text}).read("vault").reveal() == "a-password"


def test_a_table_that_is_being_made_is_said_to_be_so() -> None:
    described = {**tables.SESSIONS.create_arguments("vault-sessions"), "TableStatus": "CREATING"}
    client = SimpleNamespace(
        describe_table=lambda **_: {"Table": described},
        describe_time_to_live=lambda **_: {"TimeToLiveDescription": {"TimeToLiveStatus": "DISABLED"}},
        describe_continuous_backups=lambda **_: {"ContinuousBackupsDescription": {}},
    )
    faults = list(table_faults(client, "VAULT_SESSIONS_TABLE", "vault-sessions", tables.SESSIONS))
    assert ("table_not_ready", True) in [(fault.code, "CREATING" in fault.sentence) for fault in faults]


def test_a_position_that_is_none_has_no_time() -> None:
    assert (_time("2027-01-15T08:00:01#a"), _time("yesterday")) == (1800000001, 0)
