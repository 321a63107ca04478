"""How a stage is deployed, beside its template's parameters: `stages/<stage>/deployment.json`, where it is there."""

import json
from dataclasses import dataclass, field, fields
from typing import Any, Self

from .errors import BuildError
from .stage import Stage

FILE = "deployment.json"
_LONGEST_NAME = 30
"""Of a stack, since names of roles begin with it and the region, and have at most 64 characters."""


@dataclass(frozen=True, slots=True)
class Options:
    """`stack`: its name; `role_arn`: the role that CloudFormation works with, empty for the caller's own rights;
    `tags`: of the stack and all that is in it; `termination_protection`: whether deleting the stack is refused."""

    stack: str
    role_arn: str = ""
    tags: dict[str, str] = field(default_factory=dict)
    termination_protection: bool = True

    def __post_init__(self) -> None:
        if len(self.stack) > _LONGEST_NAME:
            raise BuildError(f"The stack's name {self.stack!r} has more than {_LONGEST_NAME} characters.")

    @classmethod
    def read(cls, stage: Stage, stack: str = "") -> Self:
        """Raises BuildError for a file that cannot be understood."""
        path = stage.folder / FILE
        found = _object(path.read_text(encoding="utf-8"), f"stages/{stage.name}/{FILE}") if path.exists() else {}
        named = stack or found.pop("stack", f"token-vault-{stage.name}")
        return cls(**{**found, "stack": named})


def _object(text: str, shown: str) -> dict[str, Any]:
    try:
        found = json.loads(text)
    except ValueError as error:
        raise BuildError(f"{shown} is no JSON: {error}.") from error
    if not isinstance(found, dict):
        raise BuildError(f"{shown} must be one JSON object.")
    known = {one.name: one for one in fields(Options)}
    wrong = [name for name, value in found.items() if name not in known or not _fits(name, value)]
    if wrong:
        raise BuildError(f"{shown}: {', '.join(wrong)}: unknown or of another kind; it has {', '.join(known)}.")
    return found


def _fits(name: str, value: Any) -> bool:
    if name == "tags":
        return isinstance(value, dict) and all(isinstance(one, str) for one in value.values())
    return isinstance(value, bool if name == "termination_protection" else str)
