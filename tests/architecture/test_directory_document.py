"""docs/directories.md describes every setting and every code, as the code has them."""

import json
import re
from dataclasses import MISSING, Field, fields
from typing import Any

import pytest

from chalicelib.adapters.ldap_faults import Fault
from chalicelib.domain.directory import DirectorySettings
from chalicelib.domain.directory_report import ADVICE
from dev.process import ROOT

TEXT = (ROOT / "docs" / "directories.md").read_text(encoding="utf-8")
SETTINGS = dict(re.findall(r"^\| `(\w+)` \| ([^|]*) \|", TEXT, re.MULTILINE))
CODES = dict(re.findall(r"^\| `(\w+)` \| ([^|]*) \|$", TEXT, re.MULTILINE))


def default_in_words(setting: "Field[Any]") -> str:
    if setting.default is MISSING:
        return "required"
    if isinstance(setting.default, tuple):
        return f"`{json.dumps(list(setting.default))}`" if setting.default else "none"
    if isinstance(setting.default, bool):
        return f"`{str(setting.default).lower()}`"
    return f"`{setting.default}`" if setting.default != "" else "empty"


@pytest.mark.parametrize("setting", fields(DirectorySettings), ids=lambda setting: setting.name)
def test_every_setting_is_described_with_its_default(setting: "Field[Any]") -> None:
    assert SETTINGS[setting.name] == default_in_words(setting)


@pytest.mark.parametrize("code", ADVICE)
def test_every_code_is_described_as_the_page_says_it(code: str) -> None:
    assert CODES[code] == ADVICE[code]


@pytest.mark.parametrize("fault", Fault)
def test_every_fault_of_a_server_has_advice(fault: Fault) -> None:
    assert fault.value in ADVICE
