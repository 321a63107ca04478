"""docs/providers.md says of every provider type and quirk what the data says."""

import pytest

from chalicelib.adapters.catalogue import FileCatalogue
from chalicelib.domain.provider_type import ProviderType, Quirk
from dev.process import ROOT

TEXT = (ROOT / "docs/providers.md").read_text(encoding="utf-8")
DAY = 86400


def days(seconds: int | None) -> str:
    return f"{seconds // DAY} days" if seconds else "-"


def row(type_: ProviderType) -> str:
    single_use = {True: "once", False: "again and again", None: "?"}[type_.rotates_refresh_tokens]
    cells = [
        f"`{type_.id}`",
        type_.name,
        type_.account_from.value,
        single_use,
        days(type_.refresh_token_idle_seconds),
        days(type_.refresh_token_absolute_seconds),
        type_.revocation.value,
        ", ".join(f"`{quirk}`" for quirk in sorted(type_.quirks)) or "-",
        type_.looked_at,
    ]
    return f"| {' | '.join(cells)} |"


@pytest.mark.parametrize("type_", FileCatalogue().all(), ids=lambda type_: type_.id)
def test_every_type_is_documented(type_: ProviderType) -> None:
    assert row(type_) in TEXT.splitlines()


@pytest.mark.parametrize("type_", FileCatalogue().all(), ids=lambda type_: type_.id)
def test_what_is_not_verified_is_said(type_: ProviderType) -> None:
    section = TEXT.partition(f"**{type_.name}**:")[2].partition("\n")[0]
    assert all(fact in section for fact in type_.unverified), type_.unverified


@pytest.mark.parametrize("quirk", Quirk)
def test_every_quirk_is_explained(quirk: Quirk) -> None:
    assert f"| `{quirk}` |" in TEXT
