"""The runbook's tables are those of the template."""

import re

from deploy.template.merge import merge_template
from deploy.template.watch import EVENTS
from dev.process import ROOT

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
