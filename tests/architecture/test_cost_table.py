"""The runbook's costs: what the tables say is what their arithmetic gives, for what the template makes."""

import ast
import operator
import re
from collections.abc import Callable
from decimal import ROUND_HALF_UP, Decimal

import pytest

from deploy.template import watch
from deploy.template.merge import merge_template
from dev.process import ROOT

_TEXT = (ROOT / "docs" / "operations.md").read_text(encoding="utf-8").partition("## What it costs")[2]
ROWS = [[cell.strip() for cell in line.strip("|").split("|")] for line in _TEXT.splitlines() if line.startswith("| ")]
FIXED = {row[0]: row for row in ROWS if len(row) == 3 and row[0] != "what"}
GROWING = {row[0]: row for row in ROWS if len(row) == 5 and row[0] not in ("what", "**sum**")}
(SUM,) = [row for row in ROWS if row[0] == "**sum**"]
_TIMES = "\u00d7"
PEOPLE = (100, 10_000, 1_000_000)
_OPERATORS: dict[type[ast.operator], Callable[[Decimal, Decimal], Decimal]] = {
    ast.Add: operator.add,
    ast.Mult: operator.mul,
}


def calculated(arithmetic: str) -> Decimal:
    return _value(ast.parse(arithmetic.replace(",", "").replace(_TIMES, "*"), mode="eval").body)


def _value(node: ast.expr) -> Decimal:
    if isinstance(node, ast.BinOp):
        return _OPERATORS[type(node.op)](_value(node.left), _value(node.right))
    assert isinstance(node, ast.Constant)
    return Decimal(str(node.value))


def cents(number: Decimal) -> Decimal:
    return number.quantize(Decimal("0.01"), ROUND_HALF_UP)


def said(cell: str) -> Decimal:
    return Decimal(cell.strip("*").replace(",", ""))


@pytest.mark.parametrize("row", FIXED.values(), ids=FIXED.keys())
def test_what_is_paid_every_month(row: list[str]) -> None:
    assert said(row[2]) == cents(calculated(row[1]))


@pytest.mark.parametrize("row", GROWING.values(), ids=GROWING.keys())
def test_what_is_paid_for_people(row: list[str]) -> None:
    assert [said(cell) for cell in row[2:]] == [cents(calculated(row[1]) * people) for people in PEOPLE]


def test_the_sum_is_of_all_that_is_always_on() -> None:
    each = sum((calculated(row[1]) for name, row in GROWING.items() if "if on" not in name), Decimal(0))
    assert [said(cell) for cell in SUM[2:]] == [cents(each * people) for people in PEOPLE]


def first_number(name: str) -> int:
    (row,) = [row for row in FIXED.values() if row[0].startswith(name)]
    found = re.match(r"[0-9]+", row[1])
    assert found
    return int(found[0])


def test_alarms_metrics_and_rules_are_as_many_as_the_template_makes() -> None:
    resources = merge_template()["Resources"]
    assert first_number("alarms") == sum(one.get("Type") == "AWS::CloudWatch::Alarm" for one in resources.values())
    assert first_number("metrics from logs") == len(watch.EVENTS)
    rules = resources["FirewallRules"]["Properties"]["Rules"]
    assert FIXED["firewall, if on"][1] == f"5.00 + {len(rules)} {_TIMES} 1.00"


def test_copies_are_as_many_as_the_plan_keeps() -> None:
    plan = merge_template()["Resources"]["BackupPlan"]["Properties"]["BackupPlan"]["BackupPlanRule"]
    assert [one["RuleName"] for one in plan] == ["weekly"]
    days = int(merge_template()["Parameters"]["BackupDays"]["Default"])
    assert f"{_TIMES} {days // 7} {_TIMES} 0.10" in GROWING["five weekly copies"][1]
