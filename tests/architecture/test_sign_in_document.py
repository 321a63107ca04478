"""docs/sign-in.md describes every setting as the code has it."""

import json
import re
from dataclasses import Field, fields
from typing import Any

import pytest

from chalicelib.domain.sign_in import SignInSettings
from chalicelib.domain.sign_in_kinds import PRESETS, ProviderKind
from dev.process import ROOT

from .test_directory_document import default_in_words

TEXT = (ROOT / "docs" / "sign-in.md").read_text(encoding="utf-8")
ROWS = {
    name: (default, words) for name, default, words in re.findall(r"^\| `(\w+)` \| ([^|]*) \| ([^|]*) \|$", TEXT, re.M)
}


@pytest.mark.parametrize("setting", fields(SignInSettings), ids=lambda setting: setting.name)
def test_every_setting_is_described_with_its_default(setting: "Field[Any]") -> None:
    assert ROWS[setting.name] == (default_in_words(setting), setting.metadata["meaning"])


@pytest.mark.parametrize("kind", ProviderKind)
def test_every_kind_is_described_with_what_it_stands_for(kind: ProviderKind) -> None:
    preset = PRESETS[kind]
    paths = (
        f"`{json.dumps(list(claims))}`" if claims else "none" for claims in (preset.groups_claims, preset.roles_claims)
    )
    assert f"| `{kind}` | `{preset.name}` | `{preset.name_claim}` | {' | '.join(paths)} |\n" in TEXT


@pytest.mark.parametrize(
    "described", re.findall(r"^```json\n(.*?)^```", TEXT, re.M | re.S), ids=lambda text: text[4:40]
)
def test_every_example_is_taken(described: str) -> None:
    assert SignInSettings.from_mapping(json.loads(described))
