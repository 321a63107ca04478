"""`python -m deploy.deploy --stage prod`: brings the package into the account of the AWS CLI.

Starts the bundle with the settings it would get, uploads it under its digest, lets CloudFormation work out what
changes, shows that, and carries it out. `--dry-run` calls nobody and says what would be asked for; `--review` stops at
the changes. The package must have been made before, of what is here now.
"""

import argparse
import json
import sys
from collections import Counter
from collections.abc import Sequence
from dataclasses import dataclass
from hashlib import sha256
from pathlib import Path
from typing import Any

from . import conditions, definition, environment, parameters, sources, start
from .aws_program import AwsProgram
from .errors import BuildError
from .kept import Kept, only
from .options import Options
from .package import BUNDLE, MADE_OF, TEMPLATE
from .stack import Stack, Wanted
from .stage import Stage

DEPLOYED, VALUES = "deployed.json", "parameters.json"
"""In the stage's output: the template and the value of every parameter, as they are sent; for other tools, too."""


@dataclass(frozen=True, slots=True)
class Plan:
    """What is sent."""

    template: dict[str, Any]
    values: dict[str, str]
    bundle: Path


def main(arguments: Sequence[str] | None = None) -> int:
    parser = argparse.ArgumentParser(prog="python -m deploy.deploy", description="Deploy the package of a stage.")
    parser.add_argument("--stage", required=True, help="a stage of .chalice/config.json, such as prod")
    parser.add_argument("--stack", default="", help="name of the CloudFormation stack (default: token-vault-STAGE)")
    parser.add_argument("--dry-run", action="store_true", help="only say what would be asked for")
    parser.add_argument("--review", action="store_true", help="make the change set, show it, and leave it there")
    parser.add_argument("--adopt", action="store_true", help="take over the tables and keys of an earlier stack")
    chosen = parser.parse_args(arguments)
    try:
        stage = Stage.named(chosen.stage)
        options = Options.read(stage, chosen.stack)
        plan = prepare(stage, options)
        if chosen.dry_run:
            print(_in_words(plan, options))
        else:
            deploy(plan, options, review=chosen.review, adopt=chosen.adopt)
    except BuildError as error:
        print(error, file=sys.stderr)
        return 1
    return 0


def prepare(stage: Stage, options: Options) -> Plan:
    """All that can be known here. Raises BuildError for anything that is missing or wrong, before anything is sent."""
    template = _template(stage)
    given = parameters.read(stage)
    parameters.check(given, template["Parameters"])
    values = parameters.complete(given, template["Parameters"])
    settled = environment.settle(template, values, options.stack, stage.output / BUNDLE)
    ports = start.check(settled.bundle, environment.of_functions(template, settled.values, options.stack))
    parameters.check_ports(settled.values, ports, template)
    plan = Plan(definition.revised(template, settled.values), settled.values, settled.bundle)
    for name, content in ((DEPLOYED, plan.template), (VALUES, plan.values)):
        (stage.output / name).write_text(json.dumps(content, indent=1, sort_keys=True) + "\n", encoding="utf-8")
    return plan


def _template(stage: Stage) -> dict[str, Any]:
    path = stage.output / TEMPLATE
    if not path.exists():
        raise BuildError(f"There is no package of the stage {stage.name}: make package STAGE={stage.name}.")
    made_of = stage.output / MADE_OF
    if not made_of.exists() or made_of.read_text(encoding="utf-8") != sources.digest(stage):
        raise BuildError(f"The package is not of what is here now: make package STAGE={stage.name}.")
    found: dict[str, Any] = json.loads(path.read_text(encoding="utf-8"))
    return found


def deploy(plan: Plan, options: Options, *, review: bool = False, adopt: bool = False) -> None:
    """Bring it into the account. Raises BuildError."""
    aws = AwsProgram()
    stack = Stack(aws, options, print)
    stack.make_ready()
    _check_log_role(aws, plan, stack)
    bucket = _Bucket(aws, plan.values["BundleBucket"])
    bucket.put(plan.bundle, plan.values["BundleKey"])
    if not stack.is_there:
        _look_after_kept(Kept(aws, options.stack), plan, stack, bucket, adopt=adopt)
    change_set = stack.propose(Wanted(bucket.put_template(plan.template), plan.values))
    if not change_set:
        print(f"The stack {stack.name} is as it should be: nothing to change.")
    elif review:
        print("Nothing was changed. Carry it out with:")
        print(f"aws cloudformation execute-change-set --stack-name {stack.name} --change-set-name {change_set}")
        return
    else:
        stack.execute(change_set)
    stack.protect()
    print("\n".join(f"{name}: {value}" for name, value in sorted(stack.outputs.items())))


def _look_after_kept(kept: Kept, plan: Plan, stack: Stack, bucket: "_Bucket", *, adopt: bool) -> None:
    if not kept.names:
        return
    if not adopt:
        raise BuildError(
            f"Tables of an earlier stack are there: {', '.join(kept.names)}. ADOPT=1 takes them over with their keys "
            "and all that is in them; docs/operations.md says how they are deleted for good."
        )
    imported = kept.to_import(plan.template, plan.values)
    wanted = Wanted(bucket.put_template(only(plan.template, imported)), plan.values, imported)
    stack.execute(stack.propose(wanted))


def _check_log_role(aws: AwsProgram, plan: Plan, stack: Stack) -> None:
    """The gateway writes no log without the account's role, and the first deployment would fail at that."""
    there = str(aws.call("apigateway", "get-account").get("cloudwatchRoleArn", ""))
    wanted = plan.values["GatewayLogRole"] == "true"
    if wanted and there and f"/{stack.name}-GatewayWriter-" not in there:
        raise BuildError(
            f"API Gateway of this account and region has a role for its logs already: {there}. All its APIs use it. "
            "Leave GatewayLogRole away."
        )
    if not wanted and not there:
        raise BuildError(
            'API Gateway of this account and region has no role to write logs with. Say "GatewayLogRole": "true", and '
            "the stack makes one, for all APIs of this account and region."
        )


class _Bucket:
    def __init__(self, aws: AwsProgram, name: str) -> None:
        self._aws, self._name = aws, name

    def put(self, path: Path, key: str) -> None:
        """A bundle that nothing refers to harms nobody."""
        self._aws.call("s3", "cp", "--only-show-errors", str(path), f"s3://{self._name}/{key}")

    def put_template(self, template: dict[str, Any]) -> str:
        """Its address; under its digest, so that a change set can be carried out later."""
        text = json.dumps(template, indent=1, sort_keys=True)
        key = f"token-vault/templates/{sha256(text.encode()).hexdigest()}.json"
        self._aws.put_text(text, f"s3://{self._name}/{key}")
        suffix = "amazonaws.com.cn" if self._aws.region.startswith("cn-") else "amazonaws.com"
        return f"https://s3.{self._aws.region}.{suffix}/{self._name}/{key}"


def _in_words(plan: Plan, options: Options) -> str:
    kinds = Counter(conditions.chosen(plan.template, plan.values).values())
    lines = [f"Stack {options.stack}, bundle s3://{plan.values['BundleBucket']}/{plan.values['BundleKey']}"]
    lines += ["Parameters:", *(f"  {name}={value}" for name, value in sorted(plan.values.items()))]
    lines += ["Resources:", *(f"  {number:3} {kind}" for kind, number in sorted(kinds.items()))]
    lines += ["The bundle starts with these settings. Nothing was called and nothing was changed."]
    return "\n".join(lines)


if __name__ == "__main__":
    sys.exit(main())
