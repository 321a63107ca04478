"""The three tables as CloudFormation resources, from the definitions that the program itself uses."""

from typing import Any

from chalicelib.stores import tables
from chalicelib.stores.tables import TableDefinition

TABLES = {"VaultTable": tables.VAULT, "KeysTable": tables.KEYS, "SessionsTable": tables.SESSIONS}
"""By logical id."""
NAMES = {"VaultTable": "vault", "KeysTable": "vault-keys", "SessionsTable": "vault-sessions"}
"""What follows the stack's name in the table's."""


def resources() -> dict[str, Any]:
    return {logical_id: _resource(logical_id, table) for logical_id, table in TABLES.items()}


def _resource(logical_id: str, table: TableDefinition) -> dict[str, Any]:
    properties = table.create_arguments("")
    properties |= {
        # A name of our own cannot be replaced by accident: CloudFormation would have to make a second one of it
        "TableName": {"Fn::Sub": "${AWS::StackName}-" + NAMES[logical_id]},
        "DeletionProtectionEnabled": table.deletion_protection,
        "PointInTimeRecoverySpecification": {"PointInTimeRecoveryEnabled": table.point_in_time_recovery},
        "SSESpecification": {"SSEEnabled": True, "SSEType": "KMS", "KMSMasterKeyId": {"Ref": "TokenKey"}},
    }
    if table.time_to_live:
        properties["TimeToLiveSpecification"] = {"AttributeName": table.time_to_live, "Enabled": True}
    kept = "Retain" if table.deletion_protection else "Delete"
    return {
        "Type": "AWS::DynamoDB::Table",
        "DeletionPolicy": kept,
        "UpdateReplacePolicy": kept,
        "Properties": properties,
    }
