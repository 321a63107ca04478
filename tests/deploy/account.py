"""An AWS account with what the template makes: its tables and keys in moto, and the settings of its functions."""

import json
from collections.abc import Mapping
from typing import Any

from chalicelib.adapters.aws import AwsClients
from deploy.conditions import Conditions
from dev.stack import SERVICE_PASSWORD, SERVICE_SECRET

STACK = "vault-test"
_NOT_FOR_MOTO = ("SSESpecification", "PointInTimeRecoverySpecification", "TimeToLiveSpecification")


class Account:
    """Creates everything from the resources of the transformed template."""

    def __init__(self, template: Mapping[str, Any], parameters: Mapping[str, str]) -> None:
        self._resources = template["Resources"]
        self._parameters = {
            **{n: str(p["Default"]) for n, p in template["Parameters"].items() if "Default" in p},
            **parameters,
        }
        self._conditions = Conditions(template["Conditions"], self._parameters)
        self.aws = AwsClients.create()
        self._arns = {name: self._create_key(name) for name in ("TokenKey", "AuditKey")}
        self._tables = {
            name: self._create_table(one["Properties"]) for name, one in self._of("AWS::DynamoDB::Table").items()
        }
        self.aws.secrets_manager.create_secret(Name=SERVICE_SECRET, SecretString=SERVICE_PASSWORD)

    def environment(self, function: str) -> dict[str, str]:
        """Environment of a function, by its logical id, as CloudFormation would resolve it."""
        variables = self._resources[function]["Properties"]["Environment"]["Variables"]
        return {name: self._resolve(value) for name, value in variables.items()}

    def _of(self, kind: str) -> dict[str, Any]:
        return {name: one for name, one in self._resources.items() if one["Type"] == kind}

    def _create_key(self, name: str) -> str:
        properties = self._resources[name]["Properties"]
        usage = {
            "KeyUsage": properties.get("KeyUsage", "ENCRYPT_DECRYPT"),
            "KeySpec": properties.get("KeySpec", "SYMMETRIC_DEFAULT"),
        }
        return str(self.aws.kms.create_key(**usage)["KeyMetadata"]["Arn"])

    def _create_table(self, properties: Mapping[str, Any]) -> str:
        arguments = {name: value for name, value in properties.items() if name not in _NOT_FOR_MOTO}
        name = self._resolve(properties["TableName"])
        self.aws.dynamodb.create_table(**arguments | {"TableName": name})
        return name

    def _resolve(self, value: Any) -> str:
        match value:
            case {"Ref": str(name)}:
                return self._tables[name] if name in self._resources else self._parameters[name]
            case {"Fn::GetAtt": [name, "Arn"]}:
                return self._arns[name]
            case {"Fn::If": [condition, held, otherwise]}:
                return self._resolve(held if self._conditions.holds(condition) else otherwise)
            case {"Fn::Sub": str(text)}:
                return text.replace("${AWS::StackName}", STACK)
        return str(value)


def directories(ready: Mapping[str, str]) -> str:
    """The embedded directory as a company describes its own."""
    described = {
        "domain": ready["domain"],
        "dns_name": ready["dns_name"],
        "servers": [ready["url"]],
        "ca_file": ready["ca_file"],
        "service_account": "CONTOSO\\svc-vault",
        "service_secret": SERVICE_SECRET,
        "user_name_forms": ["domain", "upn", "plain"],
        "administrator_groups": [ready["administrator_group"]],
    }
    return json.dumps([described])
