"""A DynamoDB with the vault's tables and a KMS key, from moto, for tests that need the real calls."""

import os
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass

from moto import mock_aws

from chalicelib.adapters.aws import AwsClients
from chalicelib.adapters.system import SystemRandom
from chalicelib.stores import tables
from chalicelib.stores.table import Table

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

    def table(self, name: str) -> Table:
        return Table(self.clients.dynamodb, name, SystemRandom())

    def items(self, name: str) -> list[dict[str, dict[str, object]]]:
        """Every stored item as DynamoDB holds it."""
        return self.clients.dynamodb.scan(TableName=name)["Items"]

    def empty(self) -> None:
        """Delete every item: quicker than new tables."""
        for name, table in TABLES.items():
            names = [table.key, table.sort] if table.sort else [table.key]
            for item in self.items(name):
                self.clients.dynamodb.delete_item(TableName=name, Key={n: item[n] for n in names})


@contextmanager
def aws() -> Iterator[Aws]:
    os.environ |= ENVIRONMENT
    with mock_aws():
        clients = AwsClients.create()
        for name, table in TABLES.items():
            clients.dynamodb.create_table(**table.create_arguments(name))
        yield Aws(clients, clients.kms.create_key()["KeyMetadata"]["Arn"])
