"""Whether a request may have reached the cloud: it decides whether a single-use token may be spent."""

import socket
from collections.abc import Iterator
from dataclasses import replace

import pytest

from chalicelib.adapters.endpoint_guard import EndpointGuard
from chalicelib.adapters.oauth_client import AuthlibClient
from chalicelib.domain.authorization_server import AuthorizationServer
from chalicelib.domain.errors import CloudUnavailable
from chalicelib.domain.provider_type import ProviderType
from chalicelib.domain.secret import Secret
from chalicelib.ports import Client
from tests.fakes.cloud import CLIENT_ID, CLIENT_SECRET, ScriptedCloud
from tests.fakes.misbehaviour import delivered, status
from tests.fakes.system import FakeClock
from tests.samples import TOKENS

TYPE = ProviderType("openid-connect", "OpenID Connect")


@pytest.fixture
def cloud() -> Iterator[ScriptedCloud]:
    with ScriptedCloud() as running:
        yield running


def refresh(server: AuthorizationServer) -> CloudUnavailable:
    client = Client(CLIENT_ID, Secret(CLIENT_SECRET), server)
    with pytest.raises(CloudUnavailable) as failure:
        AuthlibClient(FakeClock(), EndpointGuard(allow_private=True)).refresh(client, TYPE, TOKENS)
    return failure.value


def test_f3_a_connection_that_breaks_after_the_request_loses_the_answer(cloud: ScriptedCloud) -> None:
    cloud.misbehave("/token", delivered(lost=True))
    assert refresh(cloud.server).answer_lost


def test_an_error_of_the_cloud_is_an_answer(cloud: ScriptedCloud) -> None:
    cloud.misbehave("/token", status(503, Retry_After="7"))
    error = refresh(cloud.server)
    assert (error.answer_lost, error.retry_after) == (False, 7)


def test_a_connection_that_was_never_made_lost_nothing(cloud: ScriptedCloud) -> None:
    with socket.create_server(("127.0.0.1", 0)) as free:
        port = free.getsockname()[1]
    server = replace(cloud.server, token_endpoint=f"http://127.0.0.1:{port}/token")
    assert not refresh(server).answer_lost
