"""docs/token-endpoint.md says of every refusal and parameter what the code does."""

import re

import pytest

from chalicelib.adapters.catalogue import FileCatalogue
from chalicelib.domain.provider_type import ProviderType
from chalicelib.domain.token_exchange import Detail, RefusalReason
from chalicelib.routes import token
from chalicelib.web.oauth import STATUS
from dev.process import ROOT

TEXT = (ROOT / "docs/token-endpoint.md").read_text(encoding="utf-8")
ROW = re.compile(r"^\| `(\w+)` \| `(\w+)` \| (\d+) \|", re.MULTILINE)


def test_every_refusal_is_documented_with_its_error_and_status() -> None:
    expected = {(word.value, word.error, str(STATUS.get(word.error, 400))) for word in RefusalReason}
    assert set(ROW.findall(TEXT)) == expected


def test_every_part_of_a_request_that_can_be_wrong_is_documented() -> None:
    assert re.findall(r"^\| `(\w+)` \| [^`|]*[^|]*\|$", TEXT.partition("### What `detail`")[2], re.MULTILINE) == list(
        Detail
    )


@pytest.mark.parametrize("type_", FileCatalogue().all(), ids=lambda type_: type_.id)
def test_every_field_of_a_cloud_is_documented(type_: ProviderType) -> None:
    fields = sorted({*type_.extra_fields, *type_.account_extra_fields, *type_.callback_fields})
    row = f"| `{type_.id}` | {', '.join(f'`{name}`' for name in fields)} |"
    assert (row in TEXT.splitlines()) == bool(fields)


def test_every_parameter_is_documented() -> None:
    assert {name for name in (*token._SIGNED, *token._IAM) if f"`{name}`" not in TEXT} == set()
