"""The OpenAPI document says of every address of programs what the code does.

That answers are as it says is checked with every answer of `tests/functional/test_token.py`.
"""

import json
from typing import Any

import pytest
from openapi_spec_validator import OpenAPIV31SpecValidator, validate

from chalicelib.domain.access import Access
from chalicelib.domain.token_exchange import Detail, RefusalReason
from chalicelib.routes import token
from chalicelib.web.oauth import STATUS
from chalicelib.web.route import Route
from dev.process import ROOT

from .client import BASE, Browser
from .conftest import Running

DOCUMENT = json.loads((ROOT / "chalicelib/data/openapi.json").read_text(encoding="utf-8"))
FORM = "application/x-www-form-urlencoded"


@pytest.fixture
def routes(running: Running) -> list[Route]:
    return running.vault.endpoints.routes


def schema(of: dict[str, Any]) -> dict[str, Any]:
    return DOCUMENT["components"]["schemas"][of["$ref"].rpartition("/")[2]]


def test_it_is_openapi_31() -> None:
    validate(DOCUMENT, cls=OpenAPIV31SpecValidator)


def test_every_address_of_programs_is_in_it_and_no_other(routes: list[Route]) -> None:
    described = {(method.upper(), path) for path, methods in DOCUMENT["paths"].items() for method in methods}
    documents = {("GET", "/openapi.json"), ("GET", "/.well-known/oauth-authorization-server")}
    assert (
        described == {(route.method, route.path) for route in routes if route.access is Access.APPLICATION} | documents
    )


def test_every_parameter_is_in_it_and_no_other(routes: list[Route]) -> None:
    for route in routes:
        if route.access is Access.APPLICATION:
            body = DOCUMENT["paths"][route.path]["post"]["requestBody"]["content"][FORM]["schema"]
            assert set(schema(body)["properties"]) == set(route.fields), route.path
            needs_iam = DOCUMENT["paths"][route.path]["post"]["security"] != []
            assert needs_iam == route.iam, route.path


def test_every_refusal_is_in_it() -> None:
    refusal = DOCUMENT["components"]["schemas"]["Refusal"]["properties"]
    assert refusal["reason"]["examples"][: len(RefusalReason)] == [reason.value for reason in RefusalReason]
    assert refusal["detail"]["examples"] == [detail.value for detail in Detail]
    assert {reason.error for reason in RefusalReason} <= set(refusal["error"]["enum"])
    statuses = {str(STATUS.get(reason.error, 400)) for reason in RefusalReason}
    for path, methods in DOCUMENT["paths"].items():
        if "post" in methods:
            assert statuses <= set(methods["post"]["responses"]), path


def test_the_values_are_the_codes_own() -> None:
    properties = DOCUMENT["components"]["schemas"]["SignedTokenRequest"]["properties"]
    assert properties["grant_type"]["const"] == token.GRANT_TYPE
    assert properties["client_assertion_type"]["const"] == token.ASSERTION_TYPE
    assert properties["subject_token_type"]["enum"] == list(token.JWT_TYPES)
    assert properties["minimum_seconds"]["pattern"] == f"^{token._SECONDS.pattern}$"
    assert properties["rejected_token_hash"]["pattern"] == f"^{token._HASH.pattern}$"
    assert properties["account"]["maxLength"] == token._MAX_ACCOUNT


def test_the_vault_serves_it_with_its_own_address(running: Running) -> None:
    browser = Browser(running.app)
    served = json.loads(browser.get("/openapi.json").body)
    assert served == DOCUMENT | {"servers": [{"url": BASE}]}
    metadata = json.loads(browser.get("/.well-known/oauth-authorization-server").body)
    assert metadata["service_documentation"] == f"{BASE}/openapi.json"
