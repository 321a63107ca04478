"""The AWS CLI, as a deployment calls it, and an account behind it in which every deployment of CloudFormation can fail.

Each argument is looked up in botocore's own model, which both versions of the CLI are made from; what is there of the
account is what `make deploy` reads and changes. Recorded from version 1 and read from version 2's guide: a value that
begins with https:// is fetched by version 1 (but for `--template-url`), version 2 shows long answers in a pager.
"""

import json
from collections.abc import Sequence
from dataclasses import dataclass, field
from functools import cache
from itertools import pairwise
from pathlib import Path
from typing import Any

from botocore import xform_name
from botocore.loaders import Loader
from botocore.model import OperationModel, ServiceModel, Shape
from botocore.validate import validate_parameters
from botocore.waiter import WaiterModel

REGION = "eu-central-1"
_GLOBAL = {"--region", "--output"}
_FETCHED_BY_NAME = {"--template-url"}


class Refused(Exception):
    """AWS says no; `code` as in its answer."""

    def __init__(self, code: str, message: str) -> None:
        self.code, self.message = code, message
        super().__init__(message)


@dataclass
class Done:
    returncode: int = 0
    stdout: str = ""
    stderr: str = ""


@dataclass
class Account:
    """`stacks`: status, parameters and outputs by name. `tables`: ARN of the key by name. `keys`: state by ARN."""

    stacks: dict[str, dict[str, Any]] = field(default_factory=dict)
    tables: dict[str, str] = field(default_factory=dict)
    keys: dict[str, str] = field(default_factory=dict)
    audit_keys: list[str] = field(default_factory=list)
    backup_vaults: set[str] = field(default_factory=set)
    log_role: str = "arn:aws:iam::123456789012:role/logs-of-all-apis"
    change_sets: dict[str, dict[str, Any]] = field(default_factory=dict)
    events: list[dict[str, str]] = field(default_factory=list)
    environment: dict[str, str] = field(default_factory=dict)
    failing: str = ""
    """Why the next change set that is carried out fails, if it does."""
    unchanged: bool = False
    invalid: str = ""


class AwsCli:
    """Stands for `subprocess.run`: `calls` has every command without its global options."""

    def __init__(self, account: Account | None = None, *, version: int = 2) -> None:
        self.account = account or Account()
        self.version = version
        self.calls: list[list[str]] = []
        self.refuses: dict[str, Refused] = {}
        """What is refused, by operation, such as `create-change-set`."""
        self.uploaded: dict[str, bytes] = {}
        self.sent: dict[str, dict[str, Any]] = {}
        """The last parameters of each operation, as the API gets them."""

    @property
    def operations(self) -> list[str]:
        return [" ".join(call[:2]) for call in self.calls]

    def __call__(self, command: Sequence[str], *, env: dict[str, str], **_: Any) -> Done:
        assert command[0] == "aws"
        if self.version == 2:
            assert env["AWS_PAGER"] == ""
        words = _without_globals(list(command[1:]))
        if words == ["configure", "get", "region"]:
            return Done(stdout=f"{REGION}\n")
        self.calls.append(words)
        try:
            return Done(stdout=self._answer(words))
        except Refused as refused:
            said = f"\nAn error occurred ({refused.code}) when calling the {words[1]} operation: {refused.message}\n"
            return Done(returncode=254, stderr=said)

    def _answer(self, words: list[str]) -> str:
        service, operation, *arguments = words
        if operation in self.refuses:
            raise self.refuses[operation]
        if service == "s3":
            _, source, target = arguments
            self.uploaded[target] = Path(source).read_bytes()
            return ""
        if operation == "wait":
            return self._wait(arguments)
        if self.version == 1:
            _fetched(arguments)
        parameters = parameters_of(service, operation, arguments)
        self.sent[operation] = parameters
        answer = getattr(self, f"_{operation.replace('-', '_')}")(parameters)
        return json.dumps(answer) if answer is not None else ""

    def _wait(self, arguments: list[str]) -> str:
        waiter, *_ = arguments
        assert waiter in waiters(), waiter
        given = dict(zip(arguments[1::2], arguments[2::2], strict=True))
        stack = self.account.stacks.get(given["--stack-name"], {})
        reached = {
            "change-set-create-complete": lambda: self._set(given["--change-set-name"])["Status"] == "CREATE_COMPLETE",
            "stack-delete-complete": lambda: not stack,
        }.get(waiter, lambda: stack["StackStatus"] == waiter[len("stack-") :].upper().replace("-", "_"))()
        if not reached:
            raise Refused("", "Waiter failed: terminal failure state")
        return ""

    def _set(self, name: str) -> dict[str, Any]:
        if name not in self.account.change_sets:
            raise Refused("ChangeSetNotFound", f"ChangeSet [{name}] does not exist")
        return self.account.change_sets[name]

    def _describe_stacks(self, given: dict[str, Any]) -> Any:
        if given["StackName"] not in self.account.stacks:
            raise Refused("ValidationError", f"Stack with id {given['StackName']} does not exist")
        return {"Stacks": [self.account.stacks[given["StackName"]]]}

    def _create_change_set(self, given: dict[str, Any]) -> Any:
        there = self.account.stacks.get(given["StackName"], {}).get("StackStatus", "REVIEW_IN_PROGRESS")
        is_new = there == "REVIEW_IN_PROGRESS"
        if (given["ChangeSetType"] == "UPDATE") is is_new:
            raise Refused("ValidationError", f"Stack [{given['StackName']}] cannot be changed so in {there}")
        self.account.stacks.setdefault(given["StackName"], {"StackStatus": "REVIEW_IN_PROGRESS"})
        reason = "The submitted information didn't contain changes." if self.account.unchanged else self.account.invalid
        status = "FAILED" if reason else "CREATE_COMPLETE"
        self.account.change_sets[given["ChangeSetName"]] = {**given, "Status": status, "StatusReason": reason}
        return {"Id": "arn:x"}

    def _describe_change_set(self, given: dict[str, Any]) -> Any:
        found = self._set(given["ChangeSetName"])
        change = {"Action": "Add", "LogicalResourceId": "VaultTable", "ResourceType": "AWS::DynamoDB::Table"}
        replaced = {"Action": "Modify", "LogicalResourceId": "A", "ResourceType": "X", "Replacement": "True"}
        changes = [{"Type": "Resource", "ResourceChange": one} for one in (change, replaced)]
        return {"Status": found["Status"], "StatusReason": found["StatusReason"], "Changes": changes}

    def _delete_change_set(self, given: dict[str, Any]) -> None:
        self.account.change_sets.pop(given["ChangeSetName"])

    def _execute_change_set(self, given: dict[str, Any]) -> None:
        done = self.account.change_sets.pop(given["ChangeSetName"])
        stack = self.account.stacks[given["StackName"]]
        kind = done["ChangeSetType"]
        if self.account.failing:
            stack["StackStatus"] = "ROLLBACK_COMPLETE" if kind == "CREATE" else f"{kind}_ROLLBACK_COMPLETE"
            return
        stack |= {"StackStatus": f"{kind}_COMPLETE", "Parameters": done["Parameters"]}
        stack["Outputs"] = [{"OutputKey": "PublicUrl", "OutputValue": "https://vault.contoso.com"}]

    def _describe_stack_events(self, given: dict[str, Any]) -> Any:
        """Newest first."""
        name = given["StackName"]
        failed = {"LogicalResourceId": "Domain", "ResourceType": "AWS::ApiGateway::DomainName"}
        cancelled = {"LogicalResourceId": "Other", "ResourceType": "X"}
        begun = {"LogicalResourceId": name, "ResourceType": "AWS::CloudFormation::Stack"}
        return {
            "StackEvents": [
                cancelled | {"ResourceStatus": "CREATE_FAILED", "ResourceStatusReason": "Resource creation cancelled"},
                failed | {"ResourceStatus": "CREATE_FAILED", "ResourceStatusReason": self.account.failing},
                begun | {"ResourceStatus": "UPDATE_IN_PROGRESS"},
                failed | {"ResourceStatus": "CREATE_FAILED", "ResourceStatusReason": "of long ago"},
            ]
        }

    def _delete_stack(self, given: dict[str, Any]) -> None:
        self.account.stacks.pop(given["StackName"])

    def _update_termination_protection(self, given: dict[str, Any]) -> Any:
        self.account.stacks[given["StackName"]]["EnableTerminationProtection"] = given["EnableTerminationProtection"]
        return {"StackId": "arn:x"}

    def _get_account(self, _: dict[str, Any]) -> Any:
        return {"cloudwatchRoleArn": self.account.log_role} if self.account.log_role else {}

    def _describe_table(self, given: dict[str, Any]) -> Any:
        name = given["TableName"]
        if name not in self.account.tables:
            raise Refused("ResourceNotFoundException", f"Requested resource not found: Table: {name} not found")
        return {"Table": {"TableName": name, "SSEDescription": {"KMSMasterKeyArn": self.account.tables[name]}}}

    def _get_resources(self, _: dict[str, Any]) -> Any:
        return {"ResourceTagMappingList": [{"ResourceARN": arn} for arn in self.account.audit_keys]}

    def _describe_key(self, given: dict[str, Any]) -> Any:
        return {"KeyMetadata": {"KeyState": self.account.keys.get(given["KeyId"], "Enabled")}}

    def _get_function_configuration(self, given: dict[str, Any]) -> Any:
        return {"Environment": {"Variables": self.account.environment}}

    def _assume_role(self, given: dict[str, Any]) -> Any:
        named = ("AccessKeyId", "SecretAccessKey", "SessionToken", "Expiration")
        return {"Credentials": {name: f"{name} of {given['RoleArn']}" for name in named}}

    def _describe_backup_vault(self, given: dict[str, Any]) -> Any:
        if given["BackupVaultName"] not in self.account.backup_vaults:
            raise Refused("AccessDeniedException", "Insufficient privileges to perform this action.")
        return {"BackupVaultName": given["BackupVaultName"]}


def _without_globals(words: list[str]) -> list[str]:
    rest, skip = [], False
    for word in words:
        if skip or word in _GLOBAL:
            skip = not skip
            continue
        rest.append(word)
    return rest


def _fetched(arguments: list[str]) -> None:
    for name, value in pairwise(arguments):
        assert not value.startswith(("http://", "https://")) or name in _FETCHED_BY_NAME, f"{name} would be fetched"


@cache
def waiters() -> set[str]:
    model = WaiterModel(Loader().load_service_model("cloudformation", "waiters-2"))
    return {xform_name(name, "-") for name in model.waiter_names}


@cache
def _operation(service: str, operation: str) -> OperationModel:
    model = ServiceModel(Loader().load_service_model(service, "service-2"))
    named = {xform_name(name, "-"): name for name in model.operation_names}
    assert operation in named, f"aws {service} has no {operation}"
    return model.operation_model(named[operation])


def parameters_of(service: str, operation: str, arguments: list[str]) -> dict[str, Any]:
    """As the API gets them; fails for an argument that the command does not have."""
    shape = _operation(service, operation).input_shape
    assert shape is not None
    members = {f"--{xform_name(name, '-')}": name for name in shape.members}
    found: dict[str, Any] = {}
    while arguments:
        word, *arguments = arguments
        positive = word.replace("--no-", "--", 1)
        assert positive in members, f"aws {service} {operation} has no {word}"
        name = members[positive]
        if shape.members[name].type_name == "boolean":
            found[name] = positive == word
            continue
        value, *arguments = arguments
        found[name] = _value(shape.members[name], value)
    validate_parameters(found, shape)
    return found


def _value(shape: Shape, text: str) -> Any:
    if text.startswith("file://"):
        return json.loads(Path(text.removeprefix("file://")).read_text(encoding="utf-8"))
    if shape.type_name == "integer":
        return int(text)
    if shape.type_name != "list":
        return text
    if shape.member.type_name == "string":
        return text.split(",")
    pairs = dict(part.split("=", 1) for part in text.split(","))
    kinds = shape.member.members
    return [{name: [value] if kinds[name].type_name == "list" else value for name, value in pairs.items()}]
