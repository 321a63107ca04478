"""The environment that the functions would get, and whether Lambda takes it.

What only AWS knows before the stack is there (ARNs, account, region) is filled in with words as long as the longest.
"""

import json
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from . import archive
from .conditions import Conditions
from .errors import BuildError

MOST_BYTES = 4096
"""Of all names and values together, as JSON (AWS Lambda's guide, "Lambda quotas")."""
_REGION, _ACCOUNT = "ap-southeast-99", "000000000000"
_ARN = f"arn:aws-us-gov:kms:{_REGION}:{_ACCOUNT}:key/mrk-00000000000000000000000000000000"
_DESCRIPTIONS = {"Directories": "[", "SignIn": "{"}
"""Parameters that may as well be the path of a file in the bundle, and how one begins that is written out."""
MOVED = {"Directories": "settings/directories.json", "SignIn": "settings/sign-in.json"}
"""Where in the bundle they are put, by parameter."""
_FUNCTION = "APIHandler"


@dataclass(frozen=True, slots=True)
class Settled:
    """Parameters that Lambda takes, and the bundle that goes with them."""

    values: dict[str, str]
    bundle: Path


def of_functions(template: Mapping[str, Any], values: Mapping[str, str], stack: str) -> dict[str, str]:
    """Every function has the same."""
    variables = template["Resources"][_FUNCTION]["Properties"]["Environment"]["Variables"]
    resolver = _Resolver(template, values, stack)
    return {name: resolver.text(value) for name, value in variables.items()}


def size(environment: Mapping[str, str]) -> int:
    """Bytes, as Lambda counts them."""
    return len(json.dumps(environment, ensure_ascii=False, separators=(",", ":")).encode())


def settle(template: Mapping[str, Any], values: Mapping[str, str], stack: str, bundle: Path) -> Settled:
    """Descriptions that are too long for the environment go into a file of the bundle, by themselves.

    Raises BuildError where it is too long even so.
    """
    settled, files = dict(values), dict[str, bytes]()
    for name, begin in _DESCRIPTIONS.items():
        if size(of_functions(template, settled, stack)) <= MOST_BYTES:
            break
        if settled[name].startswith(begin):
            files[MOVED[name]] = settled[name].encode()
            settled[name] = MOVED[name]
    length = size(of_functions(template, settled, stack))
    if length > MOST_BYTES:
        raise BuildError(
            f"The settings have {length} bytes, and Lambda takes {MOST_BYTES}. Shorten the longest of them."
        )
    if not files:
        return Settled(settled, bundle)
    made = archive.add(bundle, files, bundle.with_name("bundle-with-settings.zip"))
    return Settled(settled | {"BundleKey": f"token-vault/{made.digest}.zip"}, made.path)


class _Resolver:
    """CloudFormation's functions, as far as the environment uses them."""

    def __init__(self, template: Mapping[str, Any], values: Mapping[str, str], stack: str) -> None:
        self._resources = template["Resources"]
        self._values = values
        self._conditions = Conditions(template["Conditions"], values)
        self._pseudo = {"AWS::StackName": stack, "AWS::Region": _REGION, "AWS::AccountId": _ACCOUNT}

    def text(self, value: Any) -> str:
        match value:
            case {"Ref": str(name)}:
                given = {**self._values, **self._pseudo}
                return given[name] if name in given else self._name(name)
            case {"Fn::GetAtt": [_, "Arn"]}:
                return _ARN
            case {"Fn::If": [condition, held, otherwise]}:
                return self.text(held if self._conditions.holds(condition) else otherwise)
            case {"Fn::Sub": str(text)}:
                for name, known in self._pseudo.items():
                    text = text.replace(f"${{{name}}}", known)
                return text
        return str(value)

    def _name(self, resource: str) -> str:
        return self.text(self._resources[resource]["Properties"]["TableName"])
