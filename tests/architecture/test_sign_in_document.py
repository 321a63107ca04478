"""docs/sign-in.md describes every setting as the code has it."""

import re
from dataclasses import Field, fields
from typing import Any

import pytest

from chalicelib.domain.sign_in import SignInSettings
from dev.process import ROOT

from .test_directory_document import default_in_words

TEXT = (ROOT / "docs" / "sign-in.md").read_text(encoding="utf-8")
ROWS = {
    name: (default, words) for name, default, words in re.findall(r"^\| `(\w+)` \| ([^|]*) \| ([^|]*) \|$", TEXT, re.M)
}


@pytest.mark.parametrize("setting", fields(SignInSettings), ids=lambda setting: setting.name)
def test_every_setting_is_described_with_its_default(setting: "Field[Any]") -> None:
    assert ROWS[setting.name] == (default_in_words(setting), setting.metadata["meaning"])
