"""`eval "$(python -m deploy.shell --stage prod)"`: a shell for the commands of a deployed vault.

Prints the settings that the functions run with, as `export` lines, and credentials of the operators' role for an hour.
Comes from the stack's outputs and the function that they name. `--no-role` keeps the credentials that are there.
"""

import argparse
import json
import shlex
import sys
from collections.abc import Iterator, Mapping, Sequence
from pathlib import Path
from typing import Any

from . import parameters
from .aws_program import AwsProgram
from .environment import MOVED
from .errors import BuildError
from .options import Options
from .stack import Stack
from .stage import Stage

_CREDENTIALS = {
    "AccessKeyId": "AWS_ACCESS_KEY_ID",
    "SecretAccessKey": "AWS_SECRET_ACCESS_KEY",
    "SessionToken": "AWS_SESSION_TOKEN",
}
_DESCRIPTIONS = ("VAULT_DIRECTORIES", "VAULT_SIGN_IN")
_HERE_ONLY = ("VAULT_METRICS", "VAULT_GATEWAY_STAGE")
"""Of functions behind the gateway, which a shell is not."""


def main(arguments: Sequence[str] | None = None) -> int:
    parser = argparse.ArgumentParser(prog="python -m deploy.shell", description="Print the settings of a vault.")
    parser.add_argument("--stage", required=True, help="a stage of .chalice/config.json, such as prod")
    parser.add_argument("--stack", default="", help="name of the CloudFormation stack (default: as it is deployed)")
    parser.add_argument("--no-role", action="store_true", help="print no credentials of the operators' role")
    chosen = parser.parse_args(arguments)
    try:
        stage = Stage.named(chosen.stage)
        found = variables(stage, Options.read(stage, chosen.stack), with_role=not chosen.no_role)
    except BuildError as error:
        print(error, file=sys.stderr)
        return 1
    print("\n".join(f"export {name}={shlex.quote(value)}" for name, value in found.items()))
    return 0


def variables(stage: Stage, options: Options, *, with_role: bool) -> dict[str, str]:
    """Environment variables by name. Raises BuildError."""
    aws = AwsProgram()
    stack = Stack(aws, options, print)
    outputs = stack.outputs
    if not stack.is_there or "APIHandlerName" not in outputs:
        raise BuildError(f"There is no stack {stack.name} in {aws.region}: make deploy STAGE={stage.name}.")
    asked = ["lambda", "get-function-configuration", "--function-name", outputs["APIHandlerName"]]
    environment = aws.call(*asked)["Environment"]["Variables"]
    found = {name: value for name, value in environment.items() if name not in _HERE_ONLY}
    for name in _DESCRIPTIONS:
        found[name] = _described(stage, found.get(name, ""))
    return {"AWS_REGION": aws.region, "AWS_DEFAULT_REGION": aws.region, **found, **_role(aws, outputs, asked=with_role)}


def _role(aws: AwsProgram, outputs: Mapping[str, str], *, asked: bool) -> dict[str, str]:
    if not asked:
        return {}
    if "OperatorsRoleArn" not in outputs:
        raise BuildError("The stack has no role for operators: name yourself in OperatorArns and deploy, or --no-role.")
    role = outputs["OperatorsRoleArn"]
    given = aws.call("sts", "assume-role", "--role-arn", role, "--role-session-name", "token-vault")["Credentials"]
    return {variable: given[name] for name, variable in _CREDENTIALS.items()}


def _described(stage: Stage, text: str) -> str:
    """What lies in the bundle for the functions lies in the stage's folder, or in the output, for a shell."""
    if not text:
        return text
    described = json.loads(text if text.startswith(("[", "{")) else _file(stage, text))
    for one in _objects(described):
        if one.get("ca_file", "").startswith("stage/"):
            one["ca_file"] = str(_in_stage(stage, one["ca_file"]))
    return json.dumps(described)


def _file(stage: Stage, path: str) -> str:
    for parameter, moved in MOVED.items():
        if path == moved:
            return parameters.read(stage)[parameter]
    return _in_stage(stage, path).read_text(encoding="utf-8")


def _objects(described: Any) -> Iterator[dict[str, Any]]:
    yield from described if isinstance(described, list) else [described]


def _in_stage(stage: Stage, path: str) -> Path:
    return stage.folder / "bundle" / path.removeprefix("stage/")


if __name__ == "__main__":
    sys.exit(main())
