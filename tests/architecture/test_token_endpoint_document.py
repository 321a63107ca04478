"""docs/token-endpoint.md says of every refusal and parameter what the code does."""

import json
import re

import pytest

from chalicelib.adapters.catalogue import FileCatalogue
from chalicelib.domain.errors import InvalidRequest, VaultError
from chalicelib.domain.provider_type import ProviderType
from chalicelib.domain.token_exchange import Detail, RefusalReason, TokenRefused
from chalicelib.routes import token
from chalicelib.web import errors, oauth
from chalicelib.web.oauth import STATUS
from dev.process import ROOT

TEXT = (ROOT / "docs/token-endpoint.md").read_text(encoding="utf-8")
ROW = re.compile(r"^\| `(\w+)` \| `(\w+)` \| (\d+) \|", re.MULTILINE)


def answered(kind: type[VaultError]) -> tuple[str, str, str]:
    """What a program reads of an error that is none of the refusals: reason, error, status."""
    error = kind.__new__(kind)
    VaultError.__init__(error)
    if isinstance(error, InvalidRequest):
        error.parameter = ""
    answer = oauth.failure(error, "-")
    return str(answer.body["reason"]), str(answer.body["error"]), str(answer.status)


def test_every_refusal_is_documented_with_its_error_and_status() -> None:
    refusals = {(word.value, word.error, str(STATUS.get(word.error, 400))) for word in RefusalReason}
    others = {answered(kind) for kind in errors.STATUS if not issubclass(kind, TokenRefused)}
    assert set(ROW.findall(TEXT)) == refusals | others


def test_openapi_gives_every_reason() -> None:
    document = json.loads(token._OPENAPI.read_text("utf-8"))
    assert set(document["components"]["schemas"]["Refusal"]["properties"]["reason"]["examples"]) == {
        reason for reason, _, _ in ROW.findall(TEXT)
    }


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
