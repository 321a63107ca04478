"""A DynamoDB with the vault's tables and a KMS key, from moto, for tests that need the real calls."""

import os
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from threading import RLock
from typing import Any
from unittest.mock import patch

from moto import mock_aws
from moto.backends import get_backend
from moto.core import DEFAULT_ACCOUNT_ID as ACCOUNT_ID
from moto.core.botocore_stubber import BotocoreStubber

from chalicelib.adapters.aws import AwsClients
from chalicelib.adapters.system import SystemClock, SystemRandom
from chalicelib.stores import tables
from chalicelib.stores.table import Table
from dev import ses_account
from dev.quick_moto import quick_moto

ENVIRONMENT = {
    "AWS_ACCESS_KEY_ID": "test",
    "AWS_SECRET_ACCESS_KEY": "test",
    "AWS_DEFAULT_REGION": "eu-central-1",
    "AWS_EC2_METADATA_DISABLED": "true",
}
TABLES = {"vault": tables.VAULT, "vault-keys": tables.KEYS, "vault-sessions": tables.SESSIONS}


@dataclass(frozen=True, slots=True)
class Aws:
    clients: AwsClients
    kms_key: str
    audit_key: str

    def table(self, name: str) -> Table:
        return Table(self.clients.dynamodb, name, SystemRandom(), SystemClock())

    def items(self, name: str) -> list[dict[str, dict[str, object]]]:
        """Every stored item as DynamoDB holds it."""
        return self.clients.dynamodb.scan(TableName=name)["Items"]

    def empty(self) -> None:
        """Forget every item, inside moto: a tenth of the time that deleting them one by one takes."""
        backend = get_backend("dynamodb")[ACCOUNT_ID][ENVIRONMENT["AWS_DEFAULT_REGION"]]
        for name in TABLES:
            backend.get_table(name).items.clear()


_ANSWER = BotocoreStubber.__call__
_TURN = RLock()


def _one_at_a_time(*args: Any, **kwargs: Any) -> Any:
    """Moto looks at a condition and writes in two steps, so that two threads could both win."""
    with _TURN:
        return _ANSWER(*args, **kwargs)


@contextmanager
def aws() -> Iterator[Aws]:
    os.environ |= ENVIRONMENT
    ses_account.answer()
    with (
        mock_aws(),
        quick_moto(),
        patch.object(BotocoreStubber, "__call__", _one_at_a_time),
    ):
        clients = AwsClients.of_botocore()
        for name, table in TABLES.items():
            clients.dynamodb.create_table(**table.create_arguments(name))
        kms_key = clients.kms.create_key()["KeyMetadata"]["Arn"]
        audit_key = clients.kms.create_key(KeyUsage="GENERATE_VERIFY_MAC", KeySpec="HMAC_256")["KeyMetadata"]["Arn"]
        yield Aws(clients, kms_key, audit_key)
