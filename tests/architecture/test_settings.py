"""README's table of settings is the one of `settings.py`."""

import re
from dataclasses import MISSING, Field, fields
from typing import Any

import pytest

from chalicelib.settings import Settings, variable
from dev.process import ROOT

ROW = re.compile(r"^\| `(?P<name>VAULT_\w+)` \| (?P<default>[^|]*) \|", re.MULTILINE)


def documented() -> dict[str, str]:
    """Environment variable and default, as README's rows `| `VAULT_X` | default | meaning |` give them."""
    return {
        row["name"]: row["default"].strip() for row in ROW.finditer((ROOT / "README.md").read_text(encoding="utf-8"))
    }


def default_in_words(setting: "Field[Any]") -> str:
    """`required`, `empty` or the value as the environment would have it."""
    if setting.default is MISSING:
        return "required"
    if isinstance(setting.default, bool):
        return f"`{str(setting.default).lower()}`"
    return "empty" if setting.default in ("", (), None) else f"`{setting.default}`"


def test_no_setting_is_documented_that_does_not_exist() -> None:
    assert set(documented()) <= {variable(setting) for setting in fields(Settings)}


@pytest.mark.parametrize("setting", fields(Settings), ids=variable)
def test_the_setting_is_documented_with_its_default(setting: "Field[Any]") -> None:
    assert documented().get(variable(setting)) == default_in_words(setting)


@pytest.mark.parametrize("setting", fields(Settings), ids=variable)
def test_the_setting_has_a_meaning_in_whole_sentences(setting: "Field[Any]") -> None:
    assert setting.metadata["meaning"].endswith(".")
