"""One CloudFormation stack: what state it is in, a set of changes to look at, and carrying that out."""

import json
import secrets
import tempfile
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from .aws_program import AwsError, AwsProgram
from .errors import BuildError
from .options import Options

_MISSING = "does not exist"
_NOTHING = ("didn't contain changes", "No updates are to be performed")
_NEVER_THERE = ("", "REVIEW_IN_PROGRESS", "DELETE_COMPLETE")
_FAILED_FIRST = "ROLLBACK_COMPLETE"
_STUCK = {
    "UPDATE_ROLLBACK_FAILED": "aws cloudformation continue-update-rollback --stack-name {stack}",
    "ROLLBACK_FAILED": "aws cloudformation delete-stack --stack-name {stack}",
    "CREATE_FAILED": "aws cloudformation delete-stack --stack-name {stack}",
    "DELETE_FAILED": "aws cloudformation delete-stack --stack-name {stack}",
}
_KIND = "AWS::CloudFormation::Stack"
_BEGINNINGS = tuple(f"{act}_IN_PROGRESS" for act in ("CREATE", "UPDATE", "IMPORT", "DELETE"))
"""Of what a stack does, in its own events; what is older belongs to something before."""
_REASONS = 5
_RESULT_OF_ANOTHER = "Resource creation cancelled"

Say = Callable[[str], None]


@dataclass(frozen=True, slots=True)
class Wanted:
    """A template at its address in the bucket, and a value for every parameter.

    `imported`: existing things to take over, as CloudFormation's ResourcesToImport; then nothing else is changed.
    """

    template_url: str
    parameters: Mapping[str, str]
    imported: Sequence[Mapping[str, Any]] = ()


class Stack:
    """The stack of a deployment. Everything raises AwsError where AWS refuses, BuildError where nothing can be done."""

    def __init__(self, aws: AwsProgram, options: Options, say: Say) -> None:
        self._aws, self._options, self._say = aws, options, say
        self.name = options.stack
        self._described = self._describe()

    @property
    def status(self) -> str:
        """Empty where there is none."""
        return str(self._described.get("StackStatus", ""))

    @property
    def is_there(self) -> bool:
        return self.status not in _NEVER_THERE

    @property
    def outputs(self) -> dict[str, str]:
        return {one["OutputKey"]: one["OutputValue"] for one in self._described.get("Outputs", ())}

    def make_ready(self) -> None:
        """Delete what a failed first deployment left. Raises BuildError for a stack that cannot be changed now."""
        if self.status.endswith("_IN_PROGRESS") and self.is_there:
            raise BuildError(f"The stack {self.name} is being changed ({self.status}). Wait until it is done.")
        if self.status in _STUCK:
            then = _STUCK[self.status].format(stack=self.name)
            raise BuildError(f"The stack {self.name} is stuck ({self.status}): {self._why()}\nThen go on with: {then}")
        if self.status == _FAILED_FIRST:
            self._say(f"The first deployment of {self.name} failed; what is left of the stack is deleted.")
            self._call("delete-stack", *self._role())
            self._call("wait", "stack-delete-complete")
            self._described = {}

    def propose(self, wanted: Wanted) -> str:
        """Make a change set and say what is in it. Returns its name, empty where there is nothing to change."""
        kind = "IMPORT" if wanted.imported else "UPDATE" if self.is_there else "CREATE"
        # Another name each time: a change set of before may be being deleted still
        name = f"token-vault-{kind.lower()}-{secrets.token_hex(4)}"
        self._create(name, kind, wanted)
        try:
            self._call("wait", "change-set-create-complete", "--change-set-name", name)
        except AwsError:
            reason = self._call("describe-change-set", "--change-set-name", name).get("StatusReason", "")
            self._call("delete-change-set", "--change-set-name", name)
            if any(one in reason for one in _NOTHING):
                return ""
            raise BuildError(f"CloudFormation refuses the template: {reason}") from None
        self._say("\n".join(self._changes(name, wanted)))
        return name

    def execute(self, change_set: str) -> None:
        """Carry it out and wait for its end. Raises BuildError with the reasons where it was rolled back."""
        kind = change_set.split("-")[2]
        self._call("execute-change-set", "--change-set-name", change_set)
        try:
            self._call("wait", f"stack-{kind}-complete")
        except AwsError:
            self._described = self._describe()
            raise BuildError(f"The deployment failed ({self.status}): {self._why()}\n{_afterwards(kind)}") from None
        self._described = self._describe()

    def protect(self) -> None:
        """Against being deleted, as the options say."""
        flag = "--enable" if self._options.termination_protection else "--no-enable"
        self._call("update-termination-protection", f"{flag}-termination-protection")

    def _create(self, name: str, kind: str, wanted: Wanted) -> None:
        with tempfile.TemporaryDirectory() as folder:
            # In files: the CLI would take a value that begins with https:// or has a comma for something else
            given = _file(folder, "parameters", _pairs(wanted.parameters, "ParameterKey", "ParameterValue"))
            # Always: a stack keeps its tags where none are said
            more = ["--tags", _file(folder, "tags", _pairs(self._options.tags, "Key", "Value"))]
            if wanted.imported:
                more += ["--resources-to-import", _file(folder, "import", [dict(one) for one in wanted.imported])]
            self._call(
                "create-change-set",
                *("--change-set-name", name, "--change-set-type", kind, "--template-url", wanted.template_url),
                *("--parameters", given, "--capabilities", "CAPABILITY_NAMED_IAM", *more, *self._role()),
            )

    def _changes(self, name: str, wanted: Wanted) -> Iterator[str]:
        described = self._call("describe-change-set", "--change-set-name", name)
        yield f"Changes of the stack {self.name}:"
        before = {one["ParameterKey"]: one.get("ParameterValue", "") for one in self._described.get("Parameters", ())}
        for parameter, value in sorted(wanted.parameters.items()):
            if self.is_there and before.get(parameter) != value:
                yield f"  parameter {parameter}: {before.get(parameter, '')!r} becomes {value!r}"
        for change in described.get("Changes", ()):
            yield f"  {_sentence(change['ResourceChange'])}"

    def _why(self) -> str:
        """The first failures, oldest first: what came later follows from them."""
        failed: list[str] = []
        for one in self._call("describe-stack-events")["StackEvents"]:
            if one["ResourceType"] == _KIND and one["ResourceStatus"] in _BEGINNINGS:
                break
            reason = one.get("ResourceStatusReason", "")
            if one["ResourceStatus"].endswith("_FAILED") and _RESULT_OF_ANOTHER not in reason:
                failed.append(f"- {one['LogicalResourceId']} ({one['ResourceType']}): {reason}")
        return "\n".join(["", *failed[::-1][:_REASONS]]) if failed else "no event says why."

    def _role(self) -> list[str]:
        return ["--role-arn", self._options.role_arn] if self._options.role_arn else []

    def _describe(self) -> dict[str, Any]:
        try:
            found: dict[str, Any] = self._call("describe-stacks")["Stacks"][0]
        except AwsError as error:
            if _MISSING in error.said:
                return {}
            raise
        return found

    def _call(self, operation: str, *arguments: str) -> Any:
        words = [operation, *arguments] if operation != "wait" else [operation, arguments[0]]
        rest = arguments[1:] if operation == "wait" else ()
        return self._aws.call("cloudformation", *words, "--stack-name", self.name, *rest)


def _sentence(change: Mapping[str, Any]) -> str:
    replaced = ", IS REPLACED" if change.get("Replacement") == "True" else ""
    return f"{change['Action'].lower():7} {change['LogicalResourceId']} ({change['ResourceType']}){replaced}"


def _afterwards(kind: str) -> str:
    if kind == "create":
        return "Mend the cause and deploy again with ADOPT=1: tables and keys that were made already are kept."
    return "The stack is as it was before. Mend the cause and deploy again."


def _pairs(values: Mapping[str, str], key: str, value: str) -> list[dict[str, Any]]:
    return [{key: name, value: text} for name, text in sorted(values.items())]


def _file(folder: str, name: str, content: Any) -> str:
    path = Path(folder) / f"{name}.json"
    path.write_text(json.dumps(content), encoding="utf-8")
    return f"file://{path}"
