"""`python -m deploy.deploy --stage prod [--dry-run]`: brings the package into the account of the AWS CLI.

Uploads the bundle under its digest and lets CloudFormation change the stack to the template. `--dry-run` calls nobody
and says what would be asked for. The package must have been made before.
"""

import argparse
import json
import shlex
import subprocess
import sys
from collections import Counter
from collections.abc import Sequence
from typing import Any

from . import conditions, parameters
from .errors import BuildError
from .package import BUNDLE, TEMPLATE
from .stage import Stage

_LONGEST_NAME = 30
"""Of a stack, since names of roles begin with it and the region, and have at most 64 characters."""


def main(arguments: Sequence[str] | None = None) -> int:
    parser = argparse.ArgumentParser(prog="python -m deploy.deploy", description="Deploy the package of a stage.")
    parser.add_argument("--stage", required=True, help="a stage of .chalice/config.json, such as prod")
    parser.add_argument("--stack", default="", help="name of the CloudFormation stack (default: token-vault-STAGE)")
    parser.add_argument("--dry-run", action="store_true", help="only say what would be asked for")
    chosen = parser.parse_args(arguments)
    try:
        deploy(Stage.named(chosen.stage), chosen.stack or f"token-vault-{chosen.stage}", dry_run=chosen.dry_run)
    except BuildError as error:
        print(error, file=sys.stderr)
        return 1
    return 0


def deploy(stage: Stage, stack: str, *, dry_run: bool) -> None:
    """Raises BuildError for anything that is missing, before anything is sent."""
    if len(stack) > _LONGEST_NAME:
        raise BuildError(f"The stack's name {stack!r} has more than {_LONGEST_NAME} characters.")
    template = _template(stage)
    given = parameters.read(stage)
    parameters.check(given, template["Parameters"])
    commands = _commands(stage, stack, given, template["Parameters"]["BundleKey"]["Default"])
    if dry_run:
        print(_plan(template, given, commands))
        return
    for command in commands:
        _run(command)


def _template(stage: Stage) -> dict[str, Any]:
    path = stage.output / TEMPLATE
    if not path.exists():
        raise BuildError(f"There is no package of the stage {stage.name}: make package STAGE={stage.name}.")
    found: dict[str, Any] = json.loads(path.read_text(encoding="utf-8"))
    return found


def _commands(stage: Stage, stack: str, given: dict[str, str], bundle_key: str) -> list[list[str]]:
    """In this order: a bundle that nothing refers to harms nobody."""
    bucket = given["BundleBucket"]
    # The key of an earlier bundle would stay without it: the CLI keeps what a stack has
    overrides = [f"{name}={value}" for name, value in sorted({"BundleKey": bundle_key, **given}.items())]
    change = ["aws", "cloudformation", "deploy", "--stack-name", stack, "--template-file", str(stage.output / TEMPLATE)]
    where = ["--s3-bucket", bucket, "--s3-prefix", "token-vault/templates"]
    options = ["--capabilities", "CAPABILITY_NAMED_IAM", "--no-fail-on-empty-changeset"]
    return [
        ["aws", "s3", "cp", "--only-show-errors", str(stage.output / BUNDLE), f"s3://{bucket}/{bundle_key}"],
        [*change, *where, *options, "--parameter-overrides", *overrides],
    ]


def _plan(template: dict[str, Any], given: dict[str, str], commands: list[list[str]]) -> str:
    kinds = Counter(conditions.chosen(template, given).values())
    lines = ["Resources:", *(f"  {number:3} {kind}" for kind, number in sorted(kinds.items()))]
    lines += ["Commands:", *(f"  {shlex.join(command)}" for command in commands)]
    return "\n".join([*lines, "Nothing was called and nothing was changed."])


def _run(command: list[str]) -> None:
    try:
        done = subprocess.run(command, check=False)
    except FileNotFoundError:
        raise BuildError("The AWS CLI is not installed: https://aws.amazon.com/cli/ says how.") from None
    if done.returncode:
        raise BuildError(f"{shlex.join(command[:3])} failed with exit code {done.returncode}; see above.")


if __name__ == "__main__":
    sys.exit(main())
