"""docs/token-endpoint.md says of every refusal and parameter what the code does."""

import re

from chalicelib.domain.token_exchange import RefusalReason
from chalicelib.routes import token
from chalicelib.web.oauth import STATUS
from dev.process import ROOT

TEXT = (ROOT / "docs/token-endpoint.md").read_text(encoding="utf-8")
ROW = re.compile(r"^\| `(\w+)` \| `(\w+)` \| (\d+) \|", re.MULTILINE)
REFUSED = {"actor_token", "actor_token_type", "client_secret"}
"""Parameters that are read only to be refused."""


def test_every_refusal_is_documented_with_its_error_and_status() -> None:
    expected = {(word.value, word.error, str(STATUS.get(word.error, 400))) for word in RefusalReason}
    assert set(ROW.findall(TEXT)) == expected


def test_every_parameter_is_documented() -> None:
    optional = {"requested_token_type"}
    assert {name for name in (*token._SIGNED, *token._IAM) if f"`{name}`" not in TEXT} == REFUSED | optional
