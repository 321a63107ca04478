"""The runbook's tables are those of the template."""

import re

from deploy.template.merge import merge_template
from deploy.template.watch import EVENTS
from dev.process import ROOT
from tests.fakes.aws_cli import parameters_of, waiters

TEXT = (ROOT / "docs" / "operations.md").read_text(encoding="utf-8")
ROW = re.compile(r"^\| `(?P<name>\w+)` \| (?P<default>[^|]+) \| (?P<meaning>[^|]+) \|$", re.MULTILINE)


def test_parameters() -> None:
    described = {row["name"]: (row["default"].strip("` "), row["meaning"].strip()) for row in ROW.finditer(TEXT)}
    for name, one in merge_template()["Parameters"].items():
        default = "required" if "Default" not in one else str(one["Default"]) or "empty"
        assert described[name][1] == one["Description"], name
        assert name == "BundleKey" or described[name][0] == default, name


def test_every_alarm_says_what_to_do() -> None:
    assert [event.metric for event in EVENTS if event.too_many and f"`{event.metric}`" not in TEXT] == []


COMMANDS = re.findall(r"^aws ([a-z0-9-]+) ([a-z-]+) (.*)$", TEXT, re.MULTILINE)


def test_every_command_of_the_aws_cli_in_a_block_has_arguments_that_it_knows() -> None:
    assert {operation for _, operation, _ in COMMANDS} >= {"delete-stack", "delete-table", "schedule-key-deletion"}
    for service, operation, arguments in COMMANDS:
        words = arguments.split()
        if operation == "wait":
            assert words[0] in waiters()
        else:
            parameters_of(service, operation, words)


def test_uninstalling_for_good_takes_the_protection_off_before_it_deletes() -> None:
    said = [f"{operation} {arguments}" for _, operation, arguments in COMMANDS]
    for table in ("token-vault-prod-vault", "token-vault-prod-vault-keys"):
        off = said.index(f"update-table --table-name {table} --no-deletion-protection-enabled")
        assert off < said.index(f"delete-table --table-name {table}")
    protected = [one for one in said if one.startswith("update-termination-protection")]
    assert said.index(protected[0]) < said.index("delete-stack --stack-name token-vault-prod")
