"""What every OAuth client does."""

from collections.abc import Callable, Iterator
from dataclasses import dataclass, replace

import pytest

from chalicelib.adapters.endpoint_guard import EndpointGuard
from chalicelib.adapters.oauth_client import AuthlibClient
from chalicelib.domain.authorization_request import AuthorizationRequest
from chalicelib.domain.errors import CloudError, CloudRefused, CloudUnavailable
from chalicelib.domain.provider_type import ProviderType, RevocationStyle
from chalicelib.domain.secret import Secret
from chalicelib.domain.token_set import CloudAccount, TokenSet
from chalicelib.ports import Client, OAuthClient
from tests.fakes.cloud import CLIENT_ID, CLIENT_SECRET, REDIRECT_URI, ScriptedCloud, parameters
from tests.fakes.misbehaviour import status
from tests.fakes.oauth_client import FakeOAuthClient
from tests.fakes.system import FakeClock
from tests.samples import REQUEST, SERVER

VERIFIER = "v" * 64
TYPE = ProviderType(
    "openid-connect",
    "OpenID Connect",
    reauthorize_parameters={"prompt": "select_account"},
    revocation=RevocationStyle.RFC7009,
)
ALICE = CloudAccount("cloud-alice", "alice@contoso.example")


@dataclass
class World:
    """A client, the cloud it talks to, and the person in front of it."""

    oauth: OAuthClient
    client: Client
    request: AuthorizationRequest
    consent: Callable[[str], str]
    is_revoked: Callable[[Secret], bool]
    fail_next: Callable[[], None]
    now: int

    def start(self) -> str:
        return self.oauth.authorization_url(self.request, TYPE, state="the-state", code_verifier=VERIFIER, again=False)

    def exchange(self, code: str, verifier: str = VERIFIER) -> object:
        return self.oauth.exchange_code(self.client, TYPE, self.request, code=code, code_verifier=Secret(verifier))


def _fake_world() -> Iterator[World]:
    clock = FakeClock()
    fake = FakeOAuthClient(clock)
    fake.servers[str(SERVER.issuer)] = SERVER
    yield World(
        oauth=fake,
        client=Client(CLIENT_ID, Secret(CLIENT_SECRET), SERVER),
        request=REQUEST,
        consent=lambda url: fake.consent(url, ALICE),
        is_revoked=lambda token: token.reveal() in fake.revoked,
        fail_next=lambda: fake.fail_next(CloudUnavailable(retry_after=7)),
        now=clock.now(),
    )


def _real_world() -> Iterator[World]:
    clock = FakeClock()
    with ScriptedCloud(now=clock.now) as cloud:

        def fail_next() -> None:
            for path in ("/token", "/revoke", "/.well-known/openid-configuration"):
                cloud.misbehave(path, status(503, Retry_After="7"))

        yield World(
            oauth=AuthlibClient(clock, EndpointGuard(allow_private=True)),
            client=Client(CLIENT_ID, Secret(CLIENT_SECRET), cloud.server),
            request=replace(REQUEST, server=cloud.server, redirect_uri=REDIRECT_URI),
            consent=lambda url: parameters(cloud.consent(url))["code"],
            is_revoked=lambda token: not cloud.is_live(token.reveal()),
            fail_next=fail_next,
            now=clock.now(),
        )


class TestOAuthClient:
    @pytest.fixture(params=[_fake_world, _real_world], ids=["fake", "authlib"])
    def world(self, request: pytest.FixtureRequest) -> Iterator[World]:
        yield from request.param()

    def test_sends_the_browser_to_the_server_with_the_state(self, world: World) -> None:
        url = world.start()
        assert url.startswith(world.request.server.authorization_endpoint + "?")
        assert parameters(url)["state"] == "the-state"
        assert parameters(url)["redirect_uri"] == world.request.redirect_uri
        assert VERIFIER not in url

    def test_lets_the_person_choose_the_account_again(self, world: World) -> None:
        url = world.oauth.authorization_url(world.request, TYPE, state="s", code_verifier=VERIFIER, again=True)
        assert parameters(url)["prompt"] == "select_account"
        assert "prompt" not in parameters(world.start())

    def test_exchanges_a_code_for_tokens_and_the_account(self, world: World) -> None:
        code = world.consent(world.start())
        tokens, account = world.oauth.exchange_code(
            world.client, TYPE, world.request, code=code, code_verifier=Secret(VERIFIER)
        )
        assert account == ALICE
        assert tokens.access_token
        assert tokens.refresh_token
        assert (tokens.expires_at, tokens.scopes) == (world.now + 3600, world.request.scopes)

    def test_a_code_works_once(self, world: World) -> None:
        code = world.consent(world.start())
        world.exchange(code)
        with pytest.raises(CloudRefused) as refused:
            world.exchange(code)
        assert refused.value.error == "invalid_grant"

    def test_r36_a_code_without_its_verifier_is_worthless(self, world: World) -> None:
        code = world.consent(world.start())
        with pytest.raises(CloudRefused):
            world.exchange(code, verifier="w" * 64)

    def test_an_unknown_code_is_refused(self, world: World) -> None:
        with pytest.raises(CloudRefused):
            world.exchange("guessed")

    def test_trouble_at_the_cloud_is_not_a_refusal(self, world: World) -> None:
        code = world.consent(world.start())
        world.fail_next()
        with pytest.raises(CloudUnavailable) as unavailable:
            world.exchange(code)
        assert unavailable.value.retry_after == 7

    def test_r88_revokes_the_authorization(self, world: World) -> None:
        code = world.consent(world.start())
        tokens, _ = world.oauth.exchange_code(
            world.client, TYPE, world.request, code=code, code_verifier=Secret(VERIFIER)
        )
        world.oauth.revoke(world.client, TYPE, tokens)
        assert world.is_revoked(tokens.revocable())

    def test_r88_an_unknown_token_counts_as_revoked(self, world: World) -> None:
        world.oauth.revoke(world.client, TYPE, TokenSet(Secret("access"), Secret("never-issued"), world.now + 60, ()))
        assert world.is_revoked(Secret("never-issued"))

    def test_r88_a_revocation_that_was_not_confirmed_is_said_as_such(self, world: World) -> None:
        world.fail_next()
        with pytest.raises(CloudUnavailable):
            world.oauth.revoke(world.client, TYPE, TokenSet(Secret("access"), None, world.now + 60, ()))

    def test_discovers_a_server(self, world: World) -> None:
        issuer = str(world.request.server.issuer)
        found = world.oauth.discover(issuer)
        assert (found.issuer, found.token_endpoint) == (issuer, world.request.server.token_endpoint)

    def test_r103_names_the_endpoints_that_may_not_be_any(self, world: World) -> None:
        assert world.oauth.endpoint_faults(world.request.server) == {}
        server = replace(
            world.request.server, token_endpoint="ftp://cloud.example/token", revocation_endpoint="javascript:x"
        )
        assert set(world.oauth.endpoint_faults(server)) == {"token_endpoint", "revocation_endpoint"}

    def test_discovery_of_nobody_fails(self, world: World) -> None:
        with pytest.raises(CloudError):
            world.oauth.discover("http://127.0.0.1:1")
