"""The template as CloudFormation resolves it, with the longest words where only an account knows them."""

from collections.abc import Callable, Mapping
from typing import Any

from deploy.conditions import Conditions

STACK = "a-stack-whose-name-is-30-long-"
PSEUDO = {
    "AWS::StackName": STACK,
    "AWS::Region": "ap-southeast-2",
    "AWS::AccountId": "123456789012",
    "AWS::Partition": "aws",
    "AWS::URLSuffix": "amazonaws.com",
    "AWS::StackId": "arn:aws:cloudformation:ap-southeast-2:123456789012:stack/x/y",
}
_ARNS = {
    "AWS::IAM::Role": "arn:aws:iam::123456789012:role/name",
    "AWS::Events::Rule": "arn:aws:events:ap-southeast-2:123456789012:rule/name",
    "AWS::DynamoDB::Table": "arn:aws:dynamodb:ap-southeast-2:123456789012:table/name",
    "AWS::KMS::Key": "arn:aws:kms:ap-southeast-2:123456789012:key/11111111-1111-1111-1111-111111111111",
    "AWS::Logs::LogGroup": "arn:aws:logs:ap-southeast-2:123456789012:log-group:name",
    "AWS::WAFv2::WebACL": "arn:aws:wafv2:ap-southeast-2:123456789012:regional/webacl/name/1",
}
_ID = "abc1234567"
_IDS = {"GroupId": "sg-0a1b2c3d"}
_NAMES = ("TableName", "FunctionName", "LogGroupName", "RoleName", "BackupVaultName", "Name")
_NOTHING = object()


class Resolved:
    """Values of resources under given parameters."""

    def __init__(self, template: Mapping[str, Any], values: Mapping[str, str]) -> None:
        self._template, self._values = template, values
        self._conditions = Conditions(template["Conditions"], values)

    def resources(self) -> dict[str, dict[str, Any]]:
        """What would be made: type and properties by logical id."""
        made = self._template["Resources"].items()
        return {
            name: {"Type": one["Type"], "Properties": self.value(one.get("Properties", {}))}
            for name, one in made
            if "Condition" not in one or self._conditions.holds(one["Condition"])
        }

    def value(self, value: Any) -> Any:
        if isinstance(value, list):
            return [one for one in map(self.value, value) if one is not _NOTHING]
        if not isinstance(value, dict):
            return value
        if len(value) == 1 and next(iter(value)).startswith(("Fn::", "Ref")):
            return self._function(*next(iter(value.items())))
        found = {name: self.value(one) for name, one in value.items()}
        return {name: one for name, one in found.items() if one is not _NOTHING}

    def _function(self, name: str, given: Any) -> Any:
        known: dict[str, Callable[[Any], Any]] = {
            "Ref": lambda one: _NOTHING if one == "AWS::NoValue" else self._named(one),
            "Fn::GetAtt": lambda one: self._arn(one[0]) if one[1] == "Arn" else _IDS.get(one[1], _ID),
            "Fn::If": lambda one: self.value(one[1] if self._conditions.holds(one[0]) else one[2]),
            "Fn::Sub": self._sub,
            "Fn::Select": lambda one: self.value(one[1])[int(one[0])],
            "Fn::Split": lambda one: str(self.value(one[1])).split(one[0]),
        }
        return known[name](given)

    def _sub(self, given: Any) -> str:
        text, more = (given, {}) if isinstance(given, str) else given
        return self._text(text, {name: str(self.value(one)) for name, one in more.items()})

    def _arn(self, resource: str) -> str:
        kind = self._template["Resources"][resource]["Type"]
        return _ARNS.get(kind, "arn:aws:lambda:ap-southeast-2:123456789012:function:name")

    def _named(self, name: str) -> Any:
        if name in PSEUDO:
            return PSEUDO[name]
        if name in self._values:
            is_list = self._template["Parameters"][name]["Type"] == "CommaDelimitedList"
            return self._values[name].split(",") if is_list else self._values[name]
        properties = self._template["Resources"][name].get("Properties", {})
        return next((self.value(properties[one]) for one in _NAMES if one in properties), _ID)

    def _known(self, name: str) -> str:
        resource, dot, attribute = name.partition(".")
        return str(self._function("Fn::GetAtt", [resource, attribute]) if dot else self._named(name))

    def _text(self, text: str, more: Mapping[str, str]) -> str:
        found = text.replace("${!", "\0")
        while "${" in found:
            before, _, rest = found.partition("${")
            name, _, after = rest.partition("}")
            known = more[name] if name in more else self._known(name)
            found = before + known + after
        return found.replace("\0", "${")
