"""Whether a request may have reached the cloud: it decides whether a single-use token may be spent."""

import socket
import ssl
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import suppress
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest

from chalicelib.adapters.endpoint_guard import EndpointGuard
from chalicelib.adapters.oauth_client import AuthlibClient
from chalicelib.domain.authorization_server import AuthorizationServer
from chalicelib.domain.errors import CloudError, CloudRefusalUnclear, CloudUnavailable
from chalicelib.domain.provider_type import ProviderType
from chalicelib.domain.secret import Secret
from chalicelib.ports import Client
from tests.fakes.certificates import certificate
from tests.fakes.cloud import CLIENT_ID, CLIENT_SECRET, ScriptedCloud
from tests.fakes.misbehaviour import Answer, body, delivered, error, status
from tests.fakes.system import FakeClock
from tests.samples import NOW, TOKENS

TYPE = ProviderType("openid-connect", "OpenID Connect")


@pytest.fixture
def cloud() -> Iterator[ScriptedCloud]:
    with ScriptedCloud() as running:
        yield running


def refresh(server: AuthorizationServer) -> Any:
    client = Client(CLIENT_ID, Secret(CLIENT_SECRET), server)
    with pytest.raises((CloudUnavailable, CloudRefusalUnclear)) as failure:
        AuthlibClient(FakeClock(NOW), EndpointGuard(allow_private=True)).refresh(client, TYPE, TOKENS)
    return failure.value


def test_f3_a_connection_that_breaks_after_the_request_loses_the_answer(cloud: ScriptedCloud) -> None:
    cloud.misbehave("/token", delivered(lost=True))
    assert refresh(cloud.server).answer_lost


@pytest.mark.parametrize("code", [408, 499, 500, 501, 502, 503, 504, 520, 524, 599])
@pytest.mark.parametrize("content", [b"", b"<html>Bad gateway</html>", b'{"message": null}', b"[" * 100_000, b"[1]"])
def test_f38_a_gateway_s_page_after_the_cloud_has_rotated_loses_the_answer(
    cloud: ScriptedCloud, code: int, content: bytes
) -> None:
    cloud.misbehave("/token", body(content, code, Retry_After="7"))
    error = refresh(cloud.server)
    assert (error.answer_lost, error.retry_after, error.detail) == (True, 7, f"HTTP {code}")


def test_f38_an_answer_that_breaks_off_in_the_middle_is_lost(cloud: ScriptedCloud) -> None:
    cloud.misbehave("/token", lambda handle: replace(handle(), headers={"Content-Length": "100000"}))
    assert refresh(cloud.server).answer_lost


@pytest.mark.parametrize("code", [500, 502, 503])
def test_an_oauth_error_is_an_answer_whatever_its_status(cloud: ScriptedCloud, code: int) -> None:
    cloud.misbehave("/token", error("server_error", status=code))
    assert not refresh(cloud.server).answer_lost


def test_too_many_requests_is_an_answer(cloud: ScriptedCloud) -> None:
    cloud.misbehave("/token", status(429, Retry_After="7"))
    failure = refresh(cloud.server)
    assert (failure.answer_lost, failure.retry_after) == (False, 7)


@pytest.mark.parametrize(("word", "kind"), [("rate_limit_exceeded", CloudUnavailable), ("odd", CloudRefusalUnclear)])
@pytest.mark.parametrize("retry_after", ["7", "Fri, 15 Jan 2027 08:00:07 GMT"])
def test_f13_a_pause_that_comes_with_a_refusal_is_read(
    cloud: ScriptedCloud, word: str, kind: type[CloudError], retry_after: str
) -> None:
    def throttled(_: object) -> Answer:
        return Answer.json({"error": word}, 403, **{"Retry-After": retry_after})

    cloud.misbehave("/token", throttled)
    failure = refresh(cloud.server)
    assert isinstance(failure, kind)
    assert failure.retry_after == 7


def test_f38_a_certificate_that_is_refused_means_that_nothing_was_sent(tmp_path: Path) -> None:
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    context.load_cert_chain(certificate("cloud.example", tmp_path / "cloud.pem"))
    with socket.create_server(("127.0.0.1", 0)) as listening, ThreadPoolExecutor(1) as pool:

        def greet() -> None:
            connection, _ = listening.accept()
            with suppress(OSError):
                context.wrap_socket(connection, server_side=True).close()

        pool.submit(greet)
        server = AuthorizationServer("https://x", f"https://127.0.0.1:{listening.getsockname()[1]}/token")
        failure = refresh(server)
    assert (failure.answer_lost, failure.detail) == (False, "SSLError")


def test_a_connection_that_was_never_made_lost_nothing(cloud: ScriptedCloud) -> None:
    with socket.create_server(("127.0.0.1", 0)) as free:
        port = free.getsockname()[1]
    server = replace(cloud.server, token_endpoint=f"http://127.0.0.1:{port}/token")
    assert not refresh(server).answer_lost
