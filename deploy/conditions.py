"""Which resources a set of parameters asks for: CloudFormation's conditions, evaluated here."""

from collections.abc import Mapping
from typing import Any


def chosen(template: Mapping[str, Any], parameters: Mapping[str, str]) -> dict[str, str]:
    """Types of the resources that would be made, by logical id. `parameters` are those that were given."""
    values = {name: str(one["Default"]) for name, one in template["Parameters"].items() if "Default" in one}
    conditions = Conditions(template["Conditions"], {**values, **parameters})
    resources = template["Resources"].items()
    return {
        name: one["Type"] for name, one in resources if "Condition" not in one or conditions.holds(one["Condition"])
    }


class Conditions:
    """The template's conditions under given values of its parameters."""

    def __init__(self, conditions: Mapping[str, Any], values: Mapping[str, str]) -> None:
        self._conditions = conditions
        self._values = values

    def holds(self, name: str) -> bool:
        return bool(self._evaluate(self._conditions[name]))

    def _evaluate(self, expression: Any) -> Any:
        match expression:
            case {"Condition": str(name)}:
                return self.holds(name)
            case {"Fn::Not": [one]}:
                return not self._evaluate(one)
            case {"Fn::And": [*several]}:
                return all(self._evaluate(one) for one in several)
            case {"Fn::Equals": [left, right]}:
                return self._evaluate(left) == self._evaluate(right)
            case {"Fn::Join": [_, {"Ref": str(name)}]} | {"Ref": str(name)}:
                return self._values[name]
        return expression
