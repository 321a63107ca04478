"""What outlives a stack: the tables of what must last, and the keys that they and the tokens in them need.

CloudFormation takes such things into a new stack by an import, in which nothing else is changed ("Import AWS resources
into a CloudFormation stack"); the deployment after it then finds them in the stack.
"""

from collections.abc import Mapping
from contextlib import suppress
from typing import Any

from .aws_program import AwsError, AwsProgram
from .conditions import chosen
from .errors import BuildError
from .template.keeping import AUDIT_KEY_TAG
from .template.tables import NAMES, TABLES

_LASTING = tuple(name for name, table in TABLES.items() if table.deletion_protection)


class Kept:
    """What is there of an earlier stack of this name."""

    def __init__(self, aws: AwsProgram, stack: str) -> None:
        self._aws, self._stack = aws, stack
        self._tables = {name: self._table(f"{stack}-{NAMES[name]}") for name in _LASTING}

    @property
    def names(self) -> list[str]:
        """Of the tables, which show whether there is anything."""
        return [str(one["TableName"]) for one in self._tables.values() if one]

    def to_import(self, template: Mapping[str, Any], values: Mapping[str, str]) -> list[dict[str, Any]]:
        """CloudFormation's ResourcesToImport. Raises BuildError where more than one key could be the one."""
        found = {name: {"TableName": one["TableName"]} for name, one in self._tables.items() if one}
        found |= {name: {"KeyId": arn.rpartition("/")[2]} for name, arn in self._keys().items() if arn}
        if "BackupVault" in chosen(template, values) and self._has_backup_vault():
            found["BackupVault"] = {"BackupVaultName": self._stack}
        kinds = template["Resources"]
        return [
            {"ResourceType": kinds[name]["Type"], "LogicalResourceId": name, "ResourceIdentifier": identifier}
            for name, identifier in found.items()
        ]

    def _keys(self) -> dict[str, str]:
        tables = [one for one in self._tables.values() if one]
        return {"TokenKey": tables[0]["SSEDescription"]["KMSMasterKeyArn"], "AuditKey": self._audit_key()}

    def _audit_key(self) -> str:
        """By its tag: nothing else that is kept names it."""
        tag = f"Key={AUDIT_KEY_TAG},Values={self._stack}"
        asked = [
            "resourcegroupstaggingapi",
            "get-resources",
            "--resource-type-filters",
            "kms:key",
            "--tag-filters",
            tag,
        ]
        arns = [one["ResourceARN"] for one in self._aws.call(*asked)["ResourceTagMappingList"]]
        living = [arn for arn in arns if self._state_of(arn) == "Enabled"]
        if len(living) > 1:
            raise BuildError(
                f"Several keys could be the one that sealed the audit log: {', '.join(living)}. Take the tag "
                f"{AUDIT_KEY_TAG} from those that are not; `python -m chalicelib verify-audit` tells them apart."
            )
        return living[0] if living else ""

    def _state_of(self, arn: str) -> str:
        return str(self._aws.call("kms", "describe-key", "--key-id", arn)["KeyMetadata"]["KeyState"])

    def _table(self, name: str) -> dict[str, Any]:
        try:
            found: dict[str, Any] = self._aws.call("dynamodb", "describe-table", "--table-name", name)["Table"]
        except AwsError as error:
            if error.code == "ResourceNotFoundException":
                return {}
            raise
        return found

    def _has_backup_vault(self) -> bool:
        # AWS Backup says AccessDeniedException of a vault that is not there
        with suppress(AwsError):
            return bool(self._aws.call("backup", "describe-backup-vault", "--backup-vault-name", self._stack))
        return False


def only(template: Mapping[str, Any], imported: list[dict[str, Any]]) -> dict[str, Any]:
    """The template with nothing but what is imported, as an import wants it."""
    resources = {one["LogicalResourceId"]: template["Resources"][one["LogicalResourceId"]] for one in imported}
    return {name: part for name, part in template.items() if name not in ("Outputs", "Metadata")} | {
        "Resources": resources
    }
