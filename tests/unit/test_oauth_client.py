"""The OAuth client against clouds that break every rule."""

import gzip
import json
import time
from collections.abc import Callable, Iterator
from dataclasses import dataclass, field, replace
from typing import Any
from urllib.parse import quote, quote_plus

import pytest

from chalicelib.adapters import cloud_transport
from chalicelib.adapters.catalogue import FileCatalogue
from chalicelib.adapters.endpoint_guard import EndpointGuard
from chalicelib.adapters.oauth_client import AuthlibClient
from chalicelib.adapters.oauth_discovery import authorization_server
from chalicelib.domain.authorization_request import AuthorizationRequest
from chalicelib.domain.authorization_server import AuthorizationServer, ClientAuthentication
from chalicelib.domain.errors import (
    CloudAnswerInvalid,
    CloudError,
    CloudMisconfigured,
    CloudRefusalUnclear,
    CloudRefused,
    CloudUnavailable,
)
from chalicelib.domain.provider_type import AccountSource, ProviderType, RevocationStyle
from chalicelib.domain.secret import Secret
from chalicelib.domain.token_set import CloudAccount, TokenSet
from chalicelib.ports import Client
from tests.fakes.cloud import CLIENT_ID, CLIENT_SECRET, REDIRECT_URI, ScriptedCloud, parameters
from tests.fakes.misbehaviour import Rule, body, delivered, edit, error, html, status
from tests.fakes.system import FakeClock
from tests.samples import NOW, REQUEST, SERVER
from tests.unit.test_endpoint_guard import PUBLIC, Names

VERIFIER = "v" * 64
TEN_YEARS = 10 * 365 * 24 * 3600
DISCOVERY = "/.well-known/openid-configuration"
TYPE = ProviderType(
    "openid-connect",
    "OpenID Connect",
    authorize_parameters={"prompt": "consent"},
    reauthorize_parameters={"prompt": "select_account consent"},
    default_access_token_seconds=1200,
    revocation=RevocationStyle.RFC7009,
)


@dataclass
class Trip:
    """One person's way to a cloud and back."""

    cloud: ScriptedCloud
    oauth: AuthlibClient
    clock: FakeClock
    request: AuthorizationRequest
    type: ProviderType = TYPE
    codes: list[str] = field(default_factory=list)

    @property
    def client(self) -> Client:
        return Client(CLIENT_ID, Secret(self.cloud.client_secret), self.request.server)

    def change(self, **server: Any) -> None:
        self.request = replace(self.request, server=replace(self.request.server, **server))

    def exchange(self, account: str = "alice") -> tuple[TokenSet, CloudAccount]:
        url = self.oauth.authorization_url(self.request, TYPE, state="s", code_verifier=VERIFIER, again=False)
        self.codes.append(parameters(self.cloud.consent(url, account))["code"])
        return self.oauth.exchange_code(
            self.client, self.type, self.request, code=self.codes[-1], code_verifier=Secret(VERIFIER)
        )

    def fail(self, *rules: Rule, path: str = "/token") -> CloudError:
        """The error of an exchange under these rules; shows no secret whatever happened."""
        self.cloud.misbehave(path, *rules)
        with pytest.raises(CloudError) as failed:
            self.exchange()
        shown = f"{failed.value!r} {failed.value} {failed.value.detail} {failed.value.__cause__!r}"
        assert not any(secret in shown for secret in (CLIENT_SECRET, VERIFIER, self.codes[-1]))
        return failed.value


def _odd(caplog: pytest.LogCaptureFixture) -> list[str]:
    """The members of answers that the log calls odd."""
    return [line.detail for line in caplog.records if line.message == "cloud.odd_answer"]  # type: ignore[attr-defined]


def retyped(content_type: str) -> Rule:
    return lambda handle: replace(handle(), headers={"Content-Type": content_type})


def with_byte_order_mark(handle: Callable[[], Any]) -> Any:
    answer = handle()
    return replace(answer, body=b"\xef\xbb\xbf" + answer.body)


@pytest.fixture
def trip() -> Iterator[Trip]:
    clock = FakeClock(NOW)
    with ScriptedCloud(now=clock.now) as cloud:
        oauth = AuthlibClient(clock, EndpointGuard(allow_private=True))
        yield Trip(cloud, oauth, clock, replace(REQUEST, server=cloud.server, redirect_uri=REDIRECT_URI))


@pytest.fixture
def oauth() -> AuthlibClient:
    return AuthlibClient(FakeClock(NOW), EndpointGuard(allow_private=False))


@pytest.fixture
def names(monkeypatch: pytest.MonkeyPatch) -> Names:
    names = Names(monkeypatch)
    names.point("cloud.example", [PUBLIC])
    return names


def test_r103_every_endpoint_of_a_server_is_looked_at(oauth: AuthlibClient, names: Names) -> None:
    names.point("inside.example", ["10.0.0.1"])
    good = AuthorizationServer(
        **dict.fromkeys(SERVER.endpoints() | {"end_session_endpoint": ""}, "https://cloud.example/")
    )
    assert oauth.endpoint_faults(good) == {}
    for name in good.endpoints():
        for url in ("http://cloud.example/", "https://127.0.0.1/", "https://inside.example/"):
            assert set(oauth.endpoint_faults(replace(good, **{name: url}))) == {name}


@pytest.mark.usefixtures("names")
class TestAuthorizationUrl:
    def url(
        self,
        oauth: AuthlibClient,
        request: AuthorizationRequest = REQUEST,
        provider_type: ProviderType = TYPE,
        *,
        verifier: str = VERIFIER,
        again: bool = False,
    ) -> str:
        return oauth.authorization_url(request, provider_type, state="the-state", code_verifier=verifier, again=again)

    def test_has_what_the_protocol_asks_for_and_nothing_else(self, oauth: AuthlibClient) -> None:
        verifier = "dBjftJeZ4CVP-mB92K27uhbUJU1p1r_wW1gFWFOEjXk"  # RFC 7636 appendix B
        url = self.url(oauth, verifier=verifier)
        assert url.startswith("https://cloud.example/authorize?")
        assert parameters(url) == {
            "response_type": "code",
            "client_id": "vault",
            "redirect_uri": "https://vault.example/oauth/callback/northwind",
            "scope": "openid email",
            "state": "the-state",
            "nonce": "nonce",
            "code_challenge": "E9Melhoa2OwvFrEMTJguCHaoeK1t8URWbuGJSstw-cM",
            "code_challenge_method": "S256",
            "prompt": "consent",
        }
        assert "+" not in url

    def test_lets_the_person_choose_again(self, oauth: AuthlibClient) -> None:
        assert parameters(self.url(oauth, again=True))["prompt"] == "select_account consent"

    def test_sends_no_nonce_without_openid(self, oauth: AuthlibClient) -> None:
        assert "nonce" not in parameters(self.url(oauth, replace(REQUEST, scopes=("files.read",))))

    def test_joins_scopes_as_the_cloud_wants(self, oauth: AuthlibClient) -> None:
        url = self.url(oauth, provider_type=replace(TYPE, scope_delimiter=","))
        assert parameters(url)["scope"] == "openid,email"

    @pytest.mark.parametrize("address", ["127.0.0.1", "169.254.169.254", "10.0.0.1"])
    def test_r103_sends_no_browser_to_an_address_that_is_not_public(
        self, oauth: AuthlibClient, names: Names, address: str
    ) -> None:
        names.point("moved.example", [address])
        for host in ("moved.example", address):
            server = replace(SERVER, authorization_endpoint=f"https://{host}/authorize")
            with pytest.raises(CloudMisconfigured):
                self.url(oauth, replace(REQUEST, server=server))

    def test_r103_a_silent_name_server_stops_no_browser(self, oauth: AuthlibClient, names: Names) -> None:
        names.point("cloud.example", [])
        assert self.url(oauth).startswith("https://cloud.example/authorize?")

    def test_keeps_the_endpoints_own_query(self, oauth: AuthlibClient) -> None:
        server = replace(SERVER, authorization_endpoint="https://cloud.example/authorize?tenant=contoso")
        url = self.url(oauth, replace(REQUEST, server=server))
        assert url.startswith("https://cloud.example/authorize?tenant=contoso&")
        assert url.count("?") == 1

    def test_r36_neither_type_nor_endpoint_overrides_the_protocols_parameters(self, oauth: AuthlibClient) -> None:
        protocol = parameters(self.url(oauth))
        evil = {name: "evil" for name in protocol if name != "prompt"}
        query = "&".join(f"{name}=evil" for name in evil)
        server = replace(SERVER, authorization_endpoint=f"https://cloud.example/authorize?{query}")
        url = self.url(oauth, replace(REQUEST, server=server), replace(TYPE, authorize_parameters=evil))
        assert "evil" not in url
        assert parameters(url).items() <= protocol.items()

    def test_r49_leads_to_https_only(self, oauth: AuthlibClient) -> None:
        for endpoint in ("http://cloud.example/authorize", "javascript:alert(1)"):
            with pytest.raises(CloudMisconfigured):
                self.url(oauth, replace(REQUEST, server=replace(SERVER, authorization_endpoint=endpoint)))


class TestExchange:
    def test_sends_the_code_with_its_proof_and_gets_tokens(self, trip: Trip) -> None:
        tokens, account = trip.exchange()
        assert account == CloudAccount("cloud-alice", "alice@contoso.example")
        assert trip.cloud.forms["/token"] == {
            "grant_type": "authorization_code",
            "code": trip.codes[0],
            "redirect_uri": REDIRECT_URI,
            "code_verifier": VERIFIER,
        }
        assert tokens.expires_at == NOW + 3600
        assert tokens.scopes == ("openid", "email")
        assert tokens.token_type == "Bearer"
        assert tokens.refresh_token
        assert trip.cloud.is_live(tokens.access_token.reveal())
        assert trip.cloud.is_live(tokens.refresh_token.reveal())
        assert trip.cloud.requests == {"/token": 1, "/jwks": 1}

    def test_basic_credentials_are_form_encoded_first(self, trip: Trip) -> None:
        assert any(c in trip.cloud.client_secret for c in "+%:& ü")
        trip.exchange()
        assert trip.cloud.headers["/token"]["authorization"].startswith("Basic ")

    @pytest.mark.parametrize("secret", ["simple", CLIENT_SECRET, "=&%?#/", "日本語"])
    def test_credentials_in_the_form(self, trip: Trip, secret: str) -> None:
        trip.cloud.client_secret = secret
        trip.cloud.client_authentication = ClientAuthentication.POST
        trip.change(client_authentication=ClientAuthentication.POST)
        assert trip.exchange()[0].access_token
        assert "authorization" not in trip.cloud.headers["/token"]

    @pytest.mark.parametrize(("expires_in", "seconds"), [(60, 60), ("60", 60), (..., 1200), (None, 1200)])
    def test_knows_when_the_access_token_ends(self, trip: Trip, expires_in: Any, seconds: int) -> None:
        trip.cloud.misbehave("/token", edit(expires_in=expires_in))
        assert trip.exchange()[0].expires_at == NOW + seconds

    @pytest.mark.parametrize(
        "expires_in",
        [
            *("soon", "-60", "1e3", "٣", "9" * 13, "", "0"),
            *(True, -1, 0, 0.5, float("nan"), float("-inf"), [3600], {"s": 1}, "2027-01-15T08:00:00Z"),
        ],
        ids=str,
    )
    def test_r101_a_lifetime_that_is_none_is_the_types(
        self, trip: Trip, expires_in: Any, caplog: pytest.LogCaptureFixture
    ) -> None:
        trip.cloud.misbehave("/token", edit(expires_in=expires_in))
        assert trip.exchange()[0].expires_at == NOW + 1200
        assert _odd(caplog) == ["expires_in"]

    @pytest.mark.parametrize(
        ("expires_in", "seconds"),
        [
            *((3599.5, 3599), ("3600.0", 3600), (" 3600 ", 3600), ("3599.9", 3599), (1.0, 1)),
            *((2**31 + 1, TEN_YEARS), (10**400, TEN_YEARS), (float("inf"), TEN_YEARS), ("9" * 12, TEN_YEARS)),
        ],
    )
    def test_r101_an_odd_lifetime_is_read_and_bounded(
        self, trip: Trip, expires_in: Any, seconds: int, caplog: pytest.LogCaptureFixture
    ) -> None:
        trip.cloud.misbehave("/token", edit(expires_in=expires_in))
        assert trip.exchange()[0].expires_at == NOW + seconds
        assert _odd(caplog) == ["expires_in"]

    @pytest.mark.parametrize(("expires_in", "seconds"), [(0, 3600), (-1, 3600), ("soon", 3600), (None, TEN_YEARS)])
    def test_r101_an_odd_lifetime_is_an_hour_at_most_where_the_types_tokens_never_end(
        self, trip: Trip, expires_in: Any, seconds: int
    ) -> None:
        trip.type = replace(trip.type, default_access_token_seconds=TEN_YEARS)
        trip.cloud.misbehave("/token", edit(expires_in=expires_in))
        assert trip.exchange()[0].expires_at == NOW + seconds

    def test_takes_no_expiry_date_from_the_cloud(self, trip: Trip) -> None:
        trip.cloud.misbehave("/token", edit(expires_at=NOW + 10**6))
        assert trip.exchange()[0].expires_at == NOW + 3600

    @pytest.mark.parametrize(
        ("scope", "delimiter", "scopes"),
        [
            ("openid", " ", ("openid",)),
            ("openid  files", " ", ("openid", "files")),
            ("a,b c", ",", ("a", "b", "c")),
            ("", " ", ("openid", "email")),
            (..., " ", ("openid", "email")),
            (None, " ", ("openid", "email")),
        ],
    )
    def test_knows_the_scopes_that_were_granted(
        self, trip: Trip, scope: Any, delimiter: str, scopes: tuple[str, ...], caplog: pytest.LogCaptureFixture
    ) -> None:
        trip.type = replace(TYPE, scope_delimiter=delimiter)
        trip.cloud.misbehave("/token", edit(scope=scope))
        assert trip.exchange()[0].scopes == scopes
        assert _odd(caplog) == []

    @pytest.mark.parametrize(
        ("scope", "scopes"),
        [
            ("a,b", ("a", "b")),
            ("a, b", ("a", "b")),
            (["a", "b"], ("a", "b")),
            (["a b", 7, None, "a"], ("a", "b")),
            ("a é b", ("a", "b")),
            (7, ("openid", "email")),
            ({"a": True}, ("openid", "email")),
            ([], ("openid", "email")),
            ("é", ("openid", "email")),
        ],
        ids=str,
    )
    def test_r101_scopes_are_read_however_they_are_divided(
        self, trip: Trip, scope: Any, scopes: tuple[str, ...], caplog: pytest.LogCaptureFixture
    ) -> None:
        trip.cloud.misbehave("/token", edit(scope=scope))
        assert trip.exchange()[0].scopes == scopes
        assert _odd(caplog) == ["scope"]

    def test_a_scope_that_was_asked_for_with_a_comma_is_not_divided(self, trip: Trip) -> None:
        trip.request = replace(trip.request, scopes=("openid", "a,b"))
        trip.cloud.misbehave("/token", edit(scope="openid a,b"))
        assert trip.exchange()[0].scopes == ("openid", "a,b")

    @pytest.mark.parametrize("type_id", ["google", "microsoft-365", "openid-connect"])
    def test_scopes_have_the_names_under_which_they_were_asked_for(self, trip: Trip, type_id: str) -> None:
        """As Google renames them, and as Entra ID leaves one out."""
        trip.type = replace(TYPE, answer_scope_names=FileCatalogue().get(type_id).answer_scope_names)
        trip.request = replace(trip.request, scopes=("openid", "email", "offline_access"))
        long = "https://www.googleapis.com/auth/userinfo.email"
        trip.cloud.misbehave("/token", edit(scope=f"openid {long if type_id == 'google' else 'email'} more"))
        assert set(trip.exchange()[0].scopes) == {"openid", "email", "more", "offline_access"}

    def test_a_refresh_asks_for_offline_access_where_the_type_wants_it(self, trip: Trip) -> None:
        """Also of what was stored before, when nothing in an answer said so."""
        mine, _ = trip.exchange()
        wanting = replace(TYPE, required_scopes=("openid", "offline_access"))
        trip.cloud.misbehave("/token", edit(scope="openid email"))
        fresh = trip.oauth.refresh(trip.client, wanting, replace(mine, scopes=("openid", "email")))
        assert trip.cloud.forms["/token"]["scope"] == "openid email offline_access"
        assert fresh.scopes == ("openid", "email", "offline_access")

    def test_offline_access_is_not_granted_where_no_refresh_token_came(self, trip: Trip) -> None:
        trip.request = replace(trip.request, scopes=("openid", "offline_access"))
        trip.cloud.misbehave("/token", edit(scope="openid", refresh_token=...))
        assert trip.exchange()[0].scopes == ("openid",)

    @pytest.mark.parametrize("nothing", [..., None, ""])
    def test_lives_without_a_refresh_token(self, trip: Trip, nothing: Any) -> None:
        trip.cloud.misbehave("/token", edit(refresh_token=nothing))
        tokens, _ = trip.exchange()
        assert tokens.refresh_token is None
        assert tokens.revocable() == tokens.access_token

    @pytest.mark.parametrize(
        ("given", "kept"), [("BEARER", "Bearer"), (..., "Bearer"), (None, "Bearer"), ("DPoP", "DPoP")]
    )
    def test_keeps_the_token_type(self, trip: Trip, given: Any, kept: str) -> None:
        trip.cloud.misbehave("/token", edit(token_type=given))
        assert trip.exchange()[0].token_type == kept

    @pytest.mark.parametrize("value", [7, True, ["x"], {"x": "y"}, "a\r\nb", "é", "\x00", "x" * 65_537], ids=range(8))
    def test_r44_refuses_access_tokens_that_are_not_text(self, trip: Trip, value: Any) -> None:
        failure = trip.fail(edit(access_token=value))
        assert isinstance(failure, CloudAnswerInvalid)
        assert failure.detail == "access_token is missing or malformed"

    @pytest.mark.parametrize(
        "value",
        [7, True, ["x"], {"x": "y"}, "\ud800", "x" * 65_537, " ", "\t", "null", "None", "undefined"],
        ids=range(11),
    )
    def test_r101_a_refresh_token_that_is_none_is_left_out(
        self, trip: Trip, value: Any, caplog: pytest.LogCaptureFixture
    ) -> None:
        trip.cloud.misbehave("/token", edit(refresh_token=value))
        assert trip.exchange()[0].refresh_token is None
        assert _odd(caplog) == ["refresh_token"]

    @pytest.mark.parametrize("value", ["é", "a\r\nb", "\x00"])
    def test_r101_odd_characters_lose_no_refresh_token(
        self, trip: Trip, value: str, caplog: pytest.LogCaptureFixture
    ) -> None:
        trip.cloud.misbehave("/token", edit(refresh_token=value))
        tokens = trip.exchange()[0]
        assert tokens.refresh_token == Secret(value)
        assert _odd(caplog) == ["refresh_token"]
        with pytest.raises(CloudRefused):
            trip.oauth.refresh(trip.client, TYPE, tokens)
        assert trip.cloud.forms["/token"]["refresh_token"] == value

    @pytest.mark.parametrize("value", [7, ["Bearer"], "a b", "é", "x" * 201], ids=range(5))
    def test_r101_a_token_type_that_is_none_is_the_usual_one(
        self, trip: Trip, value: Any, caplog: pytest.LogCaptureFixture
    ) -> None:
        trip.cloud.misbehave("/token", edit(token_type=value))
        assert trip.exchange()[0].token_type == "Bearer"
        assert _odd(caplog) == ["token_type"]

    def test_r101_what_was_odd_is_one_line_of_names(self, trip: Trip, caplog: pytest.LogCaptureFixture) -> None:
        trip.cloud.misbehave("/token", edit(error="", expires_in=-7, scope=["hush"], token_type="hush"))
        trip.exchange()
        (line,) = [line for line in caplog.records if line.message == "cloud.odd_answer"]
        assert (line.detail, line.server) == ("error expires_in scope token_type", TYPE.id)  # type: ignore[attr-defined]

    @pytest.mark.parametrize(
        "rule",
        [
            edit(access_token=...),
            edit(access_token=""),
            edit(access_token=None),
            edit(access_token=..., authed_user={"access_token": "nested"}),
            html(),
            body(b'["access_token"]'),
            body(b'"access_token"'),
            body(b"access_token=a&token_type=bearer"),
            body(b""),
            body(b"\xff\xfe\x00"),
            body(b"[" * 100_000),
        ],
    )
    def test_r44_refuses_what_is_no_token_answer(self, trip: Trip, rule: Rule) -> None:
        assert isinstance(trip.fail(rule), CloudAnswerInvalid)
        assert trip.cloud.requests["/token"] == 1

    @pytest.mark.parametrize(
        "rule",
        [
            delivered(status=201),
            delivered(status=400),
            edit(error=""),
            edit(error=None),
            edit(error="partial_consent"),
            edit(token_type="mac"),
            retyped("text/html; charset=utf-8"),
            retyped("application/x-www-form-urlencoded"),
            with_byte_order_mark,
        ],
    )
    def test_r101_keeps_an_answer_that_carries_a_token_whatever_else_is_odd(self, trip: Trip, rule: Rule) -> None:
        trip.cloud.misbehave("/token", rule)
        tokens, account = trip.exchange()
        assert trip.cloud.is_live(tokens.access_token.reveal())
        assert tokens.refresh_token
        assert trip.cloud.is_live(tokens.refresh_token.reveal())
        assert account.subject == "cloud-alice"

    def test_a_refusal_with_a_token_beside_it_is_one(self, trip: Trip) -> None:
        failure = trip.fail(lambda handle: replace(edit(error="invalid_grant", id_token=...)(handle), status=400))
        assert isinstance(failure, CloudRefused)

    @pytest.mark.parametrize(
        ("rule", "word"),
        [
            (html(400), "http_400"),
            (html(401), "http_401"),
            (html(403), "http_403"),
            (error(None), "http_400"),
            (error(""), "http_400"),
            (error({"message": "no"}), "unrecognized_error"),
            (error(["invalid_grant"]), "unrecognized_error"),
            (error(401), "401"),
        ],
    )
    def test_r101_a_refusal_in_no_known_word_is_a_refusal_and_not_final(
        self, trip: Trip, rule: Rule, word: str
    ) -> None:
        failure = trip.fail(rule)
        assert isinstance(failure, CloudRefusalUnclear)
        assert (failure.error, failure.may_be_registration) == (word, False)

    @pytest.mark.parametrize(
        ("rule", "expected"),
        [
            (error("invalid_grant"), CloudRefused),
            (error("access_denied", status=403), CloudRefusalUnclear),
            (error("Access Denied", status=403), CloudRefusalUnclear),
            (error("invalid_grant", status=200), CloudRefused),
            (error("invalid_grant", "too many requests for a new token"), CloudRefusalUnclear),
            (error("invalid_grant", "token request is already being processed"), CloudRefusalUnclear),
            (error("interaction_required"), CloudRefusalUnclear),
            (body(b'{"ok": false, "error": "bad_code"}'), CloudRefusalUnclear),
            (error("invalid_client", status=401), CloudMisconfigured),
            (error("unauthorized_client"), CloudRefusalUnclear),
            (error("invalid_scope"), CloudRefusalUnclear),
            (error("unsupported_grant_type"), CloudRefusalUnclear),
            (error("invalid_request", "redirect_uri does not match"), CloudRefusalUnclear),
            (error("redirect_uri_mismatch", status=200), CloudRefusalUnclear),
            (error("temporarily_unavailable"), CloudUnavailable),
            (error("rate_limit_exceeded", status=403), CloudUnavailable),
            (error("too_many_requests"), CloudUnavailable),
            (error("slow_down"), CloudUnavailable),
            (error("access_denied", "Rate limit exceeded", status=403), CloudUnavailable),
            (error("access_denied: Rate limit exceeded", status=403), CloudUnavailable),
            (error({"code": 403, "message": "Too many requests"}, status=403), CloudUnavailable),
            (error("invalid_client", "Request was throttled."), CloudUnavailable),
            (error("server_error", status=200), CloudUnavailable),
            (error("invalid_grant", status=500), CloudUnavailable),
            (error("rate_limited", status=429), CloudUnavailable),
            (status(500), CloudUnavailable),
            (html(502), CloudUnavailable),
        ],
    )
    def test_sorts_errors_by_who_can_mend_them(self, trip: Trip, rule: Rule, expected: type[CloudError]) -> None:
        failure = trip.fail(rule)
        assert type(failure) is expected
        assert trip.cloud.requests["/token"] == 1

    def test_the_code_of_a_refusal_is_kept(self, trip: Trip) -> None:
        failure = trip.fail(error("invalid_grant", "The code has expired."))
        assert isinstance(failure, CloudRefused)
        assert failure.error == "invalid_grant"
        assert failure.detail == "invalid_grant: The code has expired."
        assert "expired" not in failure.message

    def test_a_wrong_secret_is_our_registrations_fault(self, trip: Trip) -> None:
        client = replace(trip.client, secret=Secret("wrong"))
        with pytest.raises(CloudMisconfigured) as failed:
            trip.oauth.exchange_code(client, TYPE, trip.request, code="c", code_verifier=Secret(VERIFIER))
        assert failed.value.error == "invalid_client"

    def test_r17_an_error_description_cannot_forge_a_log_line(self, trip: Trip) -> None:
        failure = trip.fail(error("in\x1bvalid_grant", "a\r\nERROR b\u202ec\u2028\x00\ud800" + "x" * 500))
        assert failure.detail.startswith("invalid_grant: a ERROR bc xxx")
        assert len(failure.detail) == 200
        assert failure.detail.isprintable()

    def test_secrets_that_the_cloud_repeats_are_masked(self, trip: Trip) -> None:
        def repeat(_: Callable[[], Any]) -> Any:
            form = trip.cloud.forms["/token"]
            text = f"{form['code']} {form['code_verifier']} {CLIENT_SECRET}"
            return error(text, text)(_)

        failure = trip.fail(repeat)
        assert failure.detail == "*** *** ***: *** *** ***"
        assert isinstance(failure, CloudRefusalUnclear)
        assert failure.error == "unrecognized_error"

    @pytest.mark.parametrize("form", ["{0}", "{1}", "{2}"])
    def test_r17_no_form_of_a_secret_is_in_what_a_refusal_says(self, trip: Trip, form: str) -> None:
        def repeat(_: Callable[[], Any]) -> Any:
            broken = CLIENT_SECRET[:4] + "\x00" + CLIENT_SECRET[4:]
            return error(
                "invalid_grant", form.format(quote(CLIENT_SECRET, safe=""), quote_plus(CLIENT_SECRET), broken)
            )(_)

        assert trip.fail(repeat).detail == "invalid_grant: ***"

    @pytest.mark.parametrize(
        ("said", "kept"),
        [
            ("refresh token 1//0gAbCdEfGhIjKlMnOpQrStUv is dead", "refresh token *** is dead"),
            ("eyJhbGciOiJIUzI1NiJ9.eyJzdWIiOiIxMjM0NTY3ODkwIn0.x", "***.***.x"),
            ("AADSTS70008, Trace ID: 255d1aef-8c98-452f-ac51-23d051240864", ...),
            ("see https://login.microsoftonline.com/common", ...),
        ],
    )
    def test_r17_what_looks_like_a_token_is_masked_and_what_helps_is_not(
        self, trip: Trip, said: str, kept: Any
    ) -> None:
        failure = trip.fail(error("invalid_grant", said))
        assert failure.detail == f"invalid_grant: {said if kept is ... else kept}"

    def test_a_word_that_may_be_a_token_goes_no_further(self, trip: Trip) -> None:
        failure = trip.fail(error("0123456789abcdef0123456789abcdef"))
        assert isinstance(failure, CloudRefusalUnclear)
        assert (failure.error, failure.detail) == ("unrecognized_error", "***")


class TestTransport:
    @pytest.mark.parametrize(
        ("retry_after", "seconds"),
        [
            ("120", 120),
            ("0", 0),
            ("Fri, 15 Jan 2027 08:01:00 GMT", 60),  # the clock stands at 08:00:00
            ("Fri, 15 Jan 2027 07:00:00 GMT", 0),
            ("soon", None),
            ("-5", None),
            ("9" * 10, None),
            ("", None),
            ("Fri, 99 Jan 99999999999 08:01:00 GMT", None),
        ],
    )
    @pytest.mark.parametrize("code", [429, 503])
    def test_says_how_long_to_wait(self, trip: Trip, code: int, retry_after: str, seconds: int | None) -> None:
        failure = trip.fail(status(code, Retry_After=retry_after))
        assert isinstance(failure, CloudUnavailable)
        assert (failure.retry_after, failure.detail) == (seconds, f"HTTP {code}")

    @pytest.mark.parametrize("code", [301, 302, 303, 307, 308])
    def test_r44_no_redirect_is_followed(self, trip: Trip, code: int) -> None:
        failure = trip.fail(status(code, Location=f"{trip.cloud.issuer}/elsewhere"))
        assert isinstance(failure, CloudAnswerInvalid)
        assert trip.cloud.requests == {"/token": 1}

    @pytest.mark.parametrize(
        "rule", [delivered(delay=9), delivered(drip_head=0.05), delivered(drip_body=0.05)], ids=["slow", "head", "body"]
    )
    def test_r44_no_answer_takes_longer_than_the_limit(
        self, trip: Trip, rule: Rule, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        monkeypatch.setattr(cloud_transport, "ANSWER_SECONDS", 0.3)
        started = time.monotonic()
        failure = trip.fail(rule)
        assert 0.25 < time.monotonic() - started < 3
        assert isinstance(failure, CloudUnavailable)
        assert failure.detail in ("ReadTimeout", "ReadTimeoutError")
        assert trip.cloud.requests == {"/token": 1}

    def test_r44_not_even_what_has_arrived_is_read_after_the_limit(
        self, trip: Trip, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        monkeypatch.setattr(cloud_transport, "ANSWER_SECONDS", 1e-9)
        assert trip.fail().detail == "ReadTimeout"

    def test_r44_all_requests_together_take_no_longer_than_the_limit(
        self, trip: Trip, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        monkeypatch.setattr(cloud_transport, "TOTAL_SECONDS", 1.0)
        started = time.monotonic()
        failure = trip.fail(delivered(delay=9), delivered(delay=9), path="/jwks")
        assert time.monotonic() - started < 4
        assert isinstance(failure, CloudUnavailable)
        assert failure.detail == "no time left"  # for the second try
        assert trip.cloud.requests == {"/token": 1, "/jwks": 1}

    @pytest.mark.parametrize(
        "rule",
        [body(b" " * 1_000_001), body(gzip.compress(b" " * 50_000_000), Content_Encoding="gzip")],
        ids=["plain", "compressed"],
    )
    def test_r44_no_answer_is_larger_than_the_limit(self, trip: Trip, rule: Rule) -> None:
        failure = trip.fail(rule)
        assert isinstance(failure, CloudAnswerInvalid)
        assert failure.detail == "answer too large"

    def test_an_answer_just_below_the_limit_is_read(self, trip: Trip) -> None:
        trip.cloud.misbehave("/token", edit(padding="x" * 990_000))
        assert trip.exchange()[0].access_token

    @pytest.mark.parametrize(
        "rule",
        [
            delivered(lost=True),
            body(b"{", Content_Length="100"),
            body(b"nonsense", Transfer_Encoding="chunked"),
            body(b"nonsense", Content_Encoding="gzip"),
        ],
        ids=["lost", "cut", "bad chunks", "bad compression"],
    )
    def test_a_code_is_never_sent_twice(self, trip: Trip, rule: Rule) -> None:
        assert isinstance(trip.fail(rule), CloudUnavailable)
        assert trip.cloud.requests == {"/token": 1}

    def test_nobody_there(self, trip: Trip) -> None:
        trip.change(token_endpoint="http://127.0.0.1:1/token")
        failure = trip.fail()
        assert isinstance(failure, CloudUnavailable)
        assert failure.detail == "ConnectionError"

    @pytest.mark.parametrize("endpoint", ["", "token", "https://", "http://a b/", "ftp://127.0.0.1/", "http://x@y/"])
    def test_r49_an_endpoint_that_is_none(self, trip: Trip, endpoint: str) -> None:
        trip.change(token_endpoint=endpoint)
        failure = trip.fail()
        assert isinstance(failure, CloudMisconfigured)
        assert failure.error == "endpoint_refused"


class TestAccount:
    def test_r45_an_id_token_is_required_when_openid_was_asked(self, trip: Trip) -> None:
        failure = trip.fail(edit(id_token=...))
        assert isinstance(failure, CloudAnswerInvalid)
        assert failure.detail == "id_token: missing"

    @pytest.mark.parametrize("claims", [{"nonce": "x"}, {"aud": "x"}, {"iss": "x"}, {"exp": NOW - 301}, {"sub": ...}])
    def test_r45_a_wrong_id_token_is_refused(self, trip: Trip, claims: dict[str, Any]) -> None:
        trip.cloud.id_token_claims = claims
        assert isinstance(trip.fail(), CloudAnswerInvalid)

    def test_keys_are_fetched_once(self, trip: Trip) -> None:
        trip.exchange()
        assert trip.exchange("bob")[1].subject == "cloud-bob"
        assert trip.cloud.requests["/jwks"] == 1

    def test_keys_are_tried_twice(self, trip: Trip) -> None:
        trip.cloud.misbehave("/jwks", status(500))
        assert trip.exchange()[1].subject == "cloud-alice"
        assert trip.cloud.requests == {"/token": 1, "/jwks": 2}

    def test_a_cloud_that_asked_us_to_wait_is_not_tried_again(self, trip: Trip) -> None:
        failure = trip.fail(status(503, Retry_After="9"), path="/jwks")
        assert isinstance(failure, CloudUnavailable)
        assert trip.cloud.requests["/jwks"] == 1

    def test_userinfo_names_whom_the_id_token_does_not(self, trip: Trip) -> None:
        trip.cloud.id_token_claims = {"email": ..., "name": ...}
        tokens, account = trip.exchange()
        assert account == CloudAccount("cloud-alice", "alice@contoso.example")
        assert trip.cloud.headers["/userinfo"]["authorization"] == f"Bearer {tokens.access_token.reveal()}"

    def test_userinfo_overrides_no_verified_claim(self, trip: Trip) -> None:
        trip.cloud.id_token_claims = {"email": ..., "name": ..., "oid": "verified"}
        trip.type = replace(TYPE, subject_fields=("oid", "sub"))
        trip.cloud.misbehave("/userinfo", edit(oid="another"))
        assert trip.exchange()[1] == CloudAccount("verified", "alice@contoso.example")

    def test_userinfo_of_another_person_is_refused(self, trip: Trip) -> None:
        trip.cloud.id_token_claims = {"email": ..., "name": ...}
        failure = trip.fail(edit(sub="cloud-bob"), path="/userinfo")
        assert isinstance(failure, CloudAnswerInvalid)
        assert failure.detail == "userinfo: another sub"

    @pytest.mark.parametrize("rules", [[status(503), status(503)], [html()], [error("invalid_token", status=401)]])
    def test_without_userinfo_the_subject_is_the_label(self, trip: Trip, rules: list[Rule]) -> None:
        trip.cloud.id_token_claims = {"email": ..., "name": ...}
        trip.cloud.misbehave("/userinfo", *rules)
        assert trip.exchange()[1] == CloudAccount("cloud-alice", "cloud-alice")

    def test_without_a_userinfo_endpoint_the_subject_is_the_label(self, trip: Trip) -> None:
        trip.cloud.id_token_claims = {"email": ..., "name": ...}
        trip.change(userinfo_endpoint=None)
        assert trip.exchange()[1] == CloudAccount("cloud-alice", "cloud-alice")

    def test_the_answer_itself_may_name_the_account(self, trip: Trip) -> None:
        trip.type = replace(TYPE, account_from=AccountSource.ANSWER, subject_fields=("account_id",))
        trip.cloud.misbehave("/token", edit(account_id="dbid:1"))
        assert trip.exchange()[1].subject == "dbid:1"

    def test_who_signs_in_is_whom_the_id_token_names_where_nothing_more_is_asked_for(self, trip: Trip) -> None:
        url = trip.oauth.authorization_url(trip.request, TYPE, state="s", code_verifier=VERIFIER, again=False)
        code = parameters(trip.cloud.consent(url))["code"]
        identity = trip.oauth.identify(
            trip.client, trip.request, code=code, code_verifier=Secret(VERIFIER), asks_userinfo=False
        )
        assert identity.claims["sub"] == "cloud-alice"
        assert identity.id_token.reveal().count(".") == 2
        assert trip.cloud.requests["/userinfo"] == 0

    def test_r96_a_label_is_cleaned(self, trip: Trip) -> None:
        trip.cloud.id_token_claims = {"email": "bob@contoso.example\u202e\r\n" + "x" * 300}
        label = trip.exchange()[1].label
        assert label.startswith("bob@contoso.example xx")
        assert len(label) == 200

    def test_a_label_that_is_no_text_is_passed_over(self, trip: Trip) -> None:
        trip.cloud.id_token_claims = {"email": ["alice@contoso.example"], "name": "Alice"}
        assert trip.exchange()[1].label == "Alice"

    def test_a_label_of_nothing_visible_becomes_the_subject(self, trip: Trip) -> None:
        trip.cloud.id_token_claims = {"email": "\u202e"}
        assert trip.exchange()[1].label == "cloud-alice"


class TestAccountWithoutOpenId:
    @pytest.fixture
    def trip(self, trip: Trip) -> Trip:
        trip.request = replace(trip.request, scopes=("files.read",))
        trip.type = replace(TYPE, subject_fields=("id", "sub"), label_fields=("login", "email"))
        return trip

    def test_is_what_userinfo_says(self, trip: Trip) -> None:
        assert trip.exchange()[1] == CloudAccount("cloud-alice", "alice@contoso.example")
        assert trip.cloud.requests == {"/token": 1, "/userinfo": 1}

    def test_may_have_a_number(self, trip: Trip) -> None:
        trip.cloud.misbehave("/userinfo", edit(id=583231, login="octocat"))
        assert trip.exchange()[1] == CloudAccount("583231", "octocat")

    @pytest.mark.parametrize("subject", [..., None, "", True, ["x"], {"id": 1}])
    def test_must_be_named(self, trip: Trip, subject: Any) -> None:
        failure = trip.fail(edit(sub=subject), path="/userinfo")
        assert isinstance(failure, CloudAnswerInvalid)
        assert failure.detail == "the answer names no account"

    def test_is_not_guessed_when_userinfo_fails(self, trip: Trip) -> None:
        assert isinstance(trip.fail(status(503), status(503), path="/userinfo"), CloudUnavailable)

    def test_is_not_read_from_an_id_token_that_nobody_asked_for(self, trip: Trip) -> None:
        trip.cloud.misbehave("/token", edit(id_token="forged"))
        assert trip.exchange()[1].subject == "cloud-alice"


@pytest.mark.parametrize(
    ("scopes", "server"),
    [
        (("openid",), {"issuer": None}),
        (("openid",), {"jwks_uri": None}),
        (("files.read",), {"userinfo_endpoint": None}),
    ],
)
def test_a_code_is_not_spent_when_nothing_can_tell_whose_it_is(
    trip: Trip, scopes: tuple[str, ...], server: dict[str, Any]
) -> None:
    trip.request = replace(trip.request, scopes=scopes)
    trip.change(**server)
    assert isinstance(trip.fail(), CloudMisconfigured)
    assert not trip.cloud.requests


def tokens(text: str) -> TokenSet:
    return TokenSet(Secret(f"access-of-{text}"), Secret(text), NOW + 3600, ())


class TestRevoke:
    def revoke(self, trip: Trip, *rules: Rule) -> CloudError:
        trip.cloud.misbehave("/revoke", *rules)
        with pytest.raises(CloudError) as failed:
            trip.oauth.revoke(trip.client, trip.type, tokens("the-token"))
        assert "the-token" not in f"{failed.value!r} {failed.value.detail}"
        assert trip.cloud.requests["/revoke"] == 1
        return failed.value

    def test_the_older_secret_is_good_here_too_while_a_secret_is_changed(self, trip: Trip) -> None:
        mine, _ = trip.exchange()
        changed = replace(trip.client, secret=Secret("the newest"), older_secret=trip.client.secret)
        trip.oauth.revoke(changed, trip.type, mine)
        assert not trip.cloud.is_live(mine.access_token.reveal())

    def test_r88_sends_the_token_as_ourselves(self, trip: Trip) -> None:
        mine, _ = trip.exchange()
        trip.oauth.revoke(trip.client, trip.type, mine)
        assert trip.cloud.forms["/revoke"] == {"token": mine.revocable().reveal()}
        assert not trip.cloud.is_live(mine.access_token.reveal())

    def test_r88_with_credentials_in_the_form(self, trip: Trip) -> None:
        trip.cloud.client_authentication = ClientAuthentication.POST
        trip.change(client_authentication=ClientAuthentication.POST)
        trip.oauth.revoke(trip.client, trip.type, tokens("unknown"))
        assert trip.cloud.forms["/revoke"]["client_secret"] == CLIENT_SECRET

    def test_r88_what_the_confirmation_says_does_not_matter(self, trip: Trip) -> None:
        trip.cloud.misbehave("/revoke", html(), body(b"{}"), body(b"true"))
        for _ in range(3):
            trip.oauth.revoke(trip.client, trip.type, tokens("the-token"))

    @pytest.mark.parametrize("rule", [status(503), status(500), status(429), delivered(lost=True)])
    def test_r88_an_overloaded_cloud_is_to_be_asked_later(self, trip: Trip, rule: Rule) -> None:
        assert isinstance(self.revoke(trip, rule), CloudUnavailable)

    @pytest.mark.parametrize(
        ("rule", "expected"),
        [
            (error("unsupported_token_type"), CloudRefusalUnclear),
            (error("invalid_client", status=401), CloudMisconfigured),
            (error("invalid_request", "token the-token is malformed"), CloudRefusalUnclear),
            (body(b'{"ok": false, "error": "not_revoked"}'), CloudRefusalUnclear),
            (status(204), CloudAnswerInvalid),
            (status(302, Location="/login"), CloudAnswerInvalid),
            (html(400), CloudAnswerInvalid),
            (html(404), CloudAnswerInvalid),
        ],
    )
    def test_r88_anything_else_is_no_confirmation(self, trip: Trip, rule: Rule, expected: type[CloudError]) -> None:
        assert type(self.revoke(trip, rule)) is expected

    def test_r88_a_cloud_without_revocation_is_said_as_such(self, trip: Trip) -> None:
        trip.change(revocation_endpoint=None)
        with pytest.raises(CloudMisconfigured) as failed:
            trip.oauth.revoke(trip.client, trip.type, tokens("the-token"))
        assert failed.value.error == "no_revocation_endpoint"
        assert not trip.cloud.requests


class TestDiscover:
    def discover(self, trip: Trip, *rules: Rule) -> AuthorizationServer:
        trip.cloud.misbehave(DISCOVERY, *rules)
        return trip.oauth.discover(trip.cloud.issuer)

    def fail(self, trip: Trip, *rules: Rule) -> CloudError:
        with pytest.raises(CloudError) as failed:
            self.discover(trip, *rules)
        return failed.value

    def test_reads_the_document(self, trip: Trip) -> None:
        assert self.discover(trip) == trip.cloud.server

    def test_a_least_document_is_enough(self, trip: Trip) -> None:
        least = ("issuer", "authorization_endpoint", "token_endpoint", "jwks_uri")

        def shortened(handle: Callable[[], Any]) -> Any:
            answer = handle()
            document = json.loads(answer.body)
            return replace(answer, body=json.dumps({name: document[name] for name in least}).encode())

        server = trip.cloud.server
        assert self.discover(trip, shortened) == AuthorizationServer(
            issuer=server.issuer,
            authorization_endpoint=server.authorization_endpoint,
            token_endpoint=server.token_endpoint,
            jwks_uri=server.jwks_uri,
        )

    @pytest.mark.parametrize("issuer", ["{}/", "https://evil.example", "", None, ["{}"]])
    def test_r41_a_document_of_another_issuer_is_refused(self, trip: Trip, issuer: Any) -> None:
        if isinstance(issuer, str):
            issuer = issuer.format(trip.cloud.issuer)
        failure = self.fail(trip, edit(issuer=issuer))
        assert isinstance(failure, CloudAnswerInvalid)
        assert failure.error == "other_issuer"

    @pytest.mark.parametrize(
        ("asked", "found", "words"),
        [
            (
                "https://id.contoso.example/realms/contoso-0123456789/",
                "https://id.contoso.example/realms/contoso-0123456789",
                None,
            ),
            ("https://id.contoso.example", "https://id.contoso.example/", None),
            ("https://ID.contoso.example", "https://id.contoso.example", None),
            (
                "https://id.contoso.example",
                "https://id.fabrikam.example",
                "another issuer, https://id.fabrikam.example",
            ),
            ("https://id.contoso.example", None, "no issuer"),
        ],
    )
    def test_what_to_enter_instead_is_told_to_the_letter(self, asked: str, found: object, words: str | None) -> None:
        with pytest.raises(CloudAnswerInvalid) as refused:
            authorization_server(asked, {"issuer": found})
        assert refused.value.detail == f"discovery: {words or f'enter the issuer exactly as {found}'}"

    def test_an_issuer_with_a_slash_at_its_end_has_its_document_at_the_same_place(self, trip: Trip) -> None:
        issuer = f"{trip.cloud.issuer}/"
        trip.cloud.misbehave(DISCOVERY, edit(issuer=issuer))
        assert trip.oauth.discover(issuer).issuer == issuer

    @pytest.mark.parametrize("value", [..., None, "", 7, ["https://cloud.example"]])
    @pytest.mark.parametrize("name", ["authorization_endpoint", "token_endpoint", "jwks_uri"])
    def test_what_is_required_must_be_there(self, trip: Trip, name: str, value: Any) -> None:
        assert isinstance(self.fail(trip, edit(**{name: value})), CloudAnswerInvalid)

    @pytest.mark.parametrize(
        "url", ["ftp://cloud.example", "javascript:alert(1)", "/token", "http://a@b/", "http://a#b"]
    )
    @pytest.mark.parametrize(
        "name",
        ["authorization_endpoint", "token_endpoint", "jwks_uri", "userinfo_endpoint", "revocation_endpoint"],
    )
    def test_r49_every_endpoint_is_checked(self, trip: Trip, name: str, url: str) -> None:
        failure = self.fail(trip, edit(**{name: url}))
        assert isinstance(failure, CloudMisconfigured)
        assert failure.error == "endpoint_refused"

    def test_r49_an_issuer_is_checked_before_it_is_asked(self, oauth: AuthlibClient) -> None:
        for issuer in ("http://cloud.example", "https://127.0.0.1", "https://user@cloud.example", "cloud", ""):
            with pytest.raises(CloudMisconfigured):
                oauth.discover(issuer)

    @pytest.mark.parametrize(
        ("offered", "used"),
        [
            (["client_secret_post", "client_secret_basic"], ClientAuthentication.BASIC),
            (["private_key_jwt", "client_secret_post"], ClientAuthentication.POST),
            (..., ClientAuthentication.BASIC),
        ],
    )
    def test_finds_a_client_authentication(self, trip: Trip, offered: Any, used: ClientAuthentication) -> None:
        rule = edit(token_endpoint_auth_methods_supported=offered)
        assert self.discover(trip, rule).client_authentication is used

    def test_says_when_there_is_none_in_common(self, trip: Trip) -> None:
        failure = self.fail(trip, edit(token_endpoint_auth_methods_supported=["private_key_jwt", "none"]))
        assert isinstance(failure, CloudMisconfigured)
        assert failure.error == "no_common_client_authentication"

    @pytest.mark.parametrize(
        ("offered", "kept"),
        [
            (["none", "HS256", "ES256", "RS256"], ("RS256", "ES256")),
            (["PS512", "Ed25519"], ("PS512", "Ed25519")),
            (..., ("RS256",)),
        ],
    )
    def test_r45_keeps_public_key_signatures_only(self, trip: Trip, offered: Any, kept: tuple[str, ...]) -> None:
        assert self.discover(trip, edit(id_token_signing_alg_values_supported=offered)).id_token_algorithms == kept

    @pytest.mark.parametrize("offered", [["none", "HS256"], [], "RS256", None, {"RS256": 1}, [["RS256"]]])
    def test_r45_without_one_the_document_is_refused(self, trip: Trip, offered: Any) -> None:
        failure = self.fail(trip, edit(id_token_signing_alg_values_supported=offered))
        assert isinstance(failure, CloudAnswerInvalid)

    @pytest.mark.parametrize(("value", "promised"), [(True, True), (False, False), ("true", False), (..., False)])
    def test_r40_knows_whether_iss_is_promised(self, trip: Trip, value: Any, promised: bool) -> None:
        rule = edit(authorization_response_iss_parameter_supported=value)
        assert self.discover(trip, rule).iss_parameter_promised is promised

    @pytest.mark.parametrize("rule", [status(500), status(429), delivered(lost=True)])
    def test_is_tried_twice(self, trip: Trip, rule: Rule) -> None:
        assert self.discover(trip, rule) == trip.cloud.server
        assert trip.cloud.requests == {DISCOVERY: 2}

    def test_is_not_tried_a_third_time(self, trip: Trip) -> None:
        assert isinstance(self.fail(trip, status(500), status(500)), CloudUnavailable)
        assert trip.cloud.requests == {DISCOVERY: 2}

    @pytest.mark.parametrize(
        "rule", [html(), html(404), body(b"[]"), status(302, Location="https://evil.example"), error("nope")]
    )
    def test_a_document_that_is_none_is_refused(self, trip: Trip, rule: Rule) -> None:
        assert isinstance(self.fail(trip, rule), CloudAnswerInvalid | CloudRefusalUnclear)
        assert trip.cloud.requests == {DISCOVERY: 1}
