"""schemathesis on the API that the OpenAPI document describes: odd requests get the answers that it promises.

Part of `make fuzz`: schemathesis lives in the environment of that alone.
"""

import json
from collections.abc import Iterable
from typing import Any

import pytest
import schemathesis
from hypothesis import HealthCheck, settings
from schemathesis.checks import not_a_server_error
from schemathesis.specs.openapi.checks import (
    content_type_conformance,
    response_schema_conformance,
    status_code_conformance,
)

from dev.process import ROOT
from tests.aws import aws as start_aws
from tests.functional.client import Browser
from tests.functional.conftest import BASE, Running
from tests.functional.conftest import running as running_fixture

SCHEMA = schemathesis.openapi.from_dict(json.loads((ROOT / "chalicelib/data/openapi.json").read_text("utf-8")))
"""The document itself is what is held against the answers."""

running = running_fixture


@pytest.fixture
def aws() -> Iterable[Any]:
    with start_aws() as started:
        yield started


class Wsgi:
    """Chalice's test client as the WSGI program that schemathesis speaks to (PEP 3333)."""

    def __init__(self, running: Running) -> None:
        self._browser = Browser(running.app)

    def __call__(self, environ: dict[str, Any], start_response: Any) -> list[bytes]:
        if environ["REQUEST_METHOD"] == "OPTIONS":
            # The gateway's own answer; that of Chalice's test client is none
            start_response("405 x", [])
            return [b""]
        size = int(environ.get("CONTENT_LENGTH") or 0)
        headers = {name[5:].replace("_", "-"): text for name, text in environ.items() if name.startswith("HTTP_")}
        headers |= {"Content-Type": environ["CONTENT_TYPE"]} if environ.get("CONTENT_TYPE") else {}
        path = environ["PATH_INFO"] + (f"?{environ['QUERY_STRING']}" if environ.get("QUERY_STRING") else "")
        body = environ["wsgi.input"].read(size)
        answer = self._browser._send(environ["REQUEST_METHOD"], path, body, headers, follow=False)
        sent = [(name, text) for name, text in answer.headers.items() if isinstance(text, str)]
        start_response(f"{answer.status} x", sent)
        return [answer.body.encode()]


@SCHEMA.parametrize()
@settings(max_examples=10, deadline=None, suppress_health_check=list(HealthCheck), derandomize=True)
def test_the_api_answers_as_its_document_says(case: Any, running: Running) -> None:
    case.operation.app = Wsgi(running)
    case.call_and_validate(
        base_url=BASE,
        app=Wsgi(running),
        checks=(
            not_a_server_error, status_code_conformance, content_type_conformance, response_schema_conformance,
        ),
    )  # fmt: skip
