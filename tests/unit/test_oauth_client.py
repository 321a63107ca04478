"""The OAuth client against clouds that break every rule."""

import gzip
import json
import time
from collections.abc import Callable, Iterator
from dataclasses import dataclass, field, replace
from typing import Any

import pytest

from chalicelib.adapters import cloud_transport
from chalicelib.adapters.endpoint_guard import EndpointGuard
from chalicelib.adapters.oauth_client import AuthlibClient
from chalicelib.domain.authorization_request import AuthorizationRequest
from chalicelib.domain.authorization_server import AuthorizationServer, ClientAuthentication
from chalicelib.domain.errors import (
    CloudAnswerInvalid,
    CloudError,
    CloudMisconfigured,
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
            *("soon", "-60", "1e3", "٣", "9" * 11, "", "0"),
            *(True, -1, 0, 3599.5, 2**31 + 1, 10**30, float("nan"), float("inf"), [3600], {"s": 1}),
        ],
        ids=str,
    )
    def test_refuses_a_lifetime_that_is_none(self, trip: Trip, expires_in: Any) -> None:
        failure = trip.fail(edit(expires_in=expires_in))
        assert isinstance(failure, CloudAnswerInvalid)
        assert failure.detail == "expires_in is malformed"

    def test_takes_no_expiry_date_from_the_cloud(self, trip: Trip) -> None:
        trip.cloud.misbehave("/token", edit(expires_at=NOW + 10**6))
        assert trip.exchange()[0].expires_at == NOW + 3600

    @pytest.mark.parametrize(
        ("scope", "delimiter", "scopes"),
        [
            ("openid", " ", ("openid",)),
            ("openid  files", " ", ("openid", "files")),
            ("a,b c", ",", ("a", "b", "c")),
            ("a,b", " ", ("a,b",)),
            ("", " ", ("openid", "email")),
            (..., " ", ("openid", "email")),
        ],
    )
    def test_knows_the_scopes_that_were_granted(
        self, trip: Trip, scope: Any, delimiter: str, scopes: tuple[str, ...]
    ) -> None:
        trip.type = replace(TYPE, scope_delimiter=delimiter)
        trip.cloud.misbehave("/token", edit(scope=scope))
        assert trip.exchange()[0].scopes == scopes

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

    @pytest.mark.parametrize("name", ["access_token", "refresh_token", "token_type", "scope"])
    @pytest.mark.parametrize("value", [7, True, ["x"], {"x": "y"}, "a\r\nb", "é", "\x00", "x" * 65_537], ids=range(8))
    def test_r44_refuses_values_that_are_not_text(self, trip: Trip, name: str, value: Any) -> None:
        failure = trip.fail(edit(**{name: value}))
        assert isinstance(failure, CloudAnswerInvalid)
        assert failure.detail == f"{name} is missing or malformed"

    @pytest.mark.parametrize(
        "rule",
        [
            edit(access_token=...),
            edit(access_token=""),
            edit(access_token=None),
            edit(access_token=..., authed_user={"access_token": "nested"}),
            html(),
            html(400),
            html(401),
            body(b'["access_token"]'),
            body(b'"access_token"'),
            body(b"access_token=a&token_type=bearer"),
            body(b""),
            body(b"\xff\xfe\x00"),
            body(b"[" * 100_000),
            delivered(status=201),
            delivered(status=400),
            error({"message": "no"}),
            error(None),
            error(["invalid_grant"]),
        ],
    )
    def test_r44_refuses_what_is_no_token_answer(self, trip: Trip, rule: Rule) -> None:
        assert isinstance(trip.fail(rule), CloudAnswerInvalid)
        assert trip.cloud.requests["/token"] == 1

    @pytest.mark.parametrize(
        ("rule", "expected"),
        [
            (error("invalid_grant"), CloudRefused),
            (error("access_denied", status=403), CloudRefused),
            (error("invalid_grant", status=200), CloudRefused),
            (error("interaction_required"), CloudRefused),
            (body(b'{"ok": false, "error": "bad_code"}'), CloudRefused),
            (error("invalid_client", status=401), CloudMisconfigured),
            (error("unauthorized_client"), CloudMisconfigured),
            (error("invalid_scope"), CloudMisconfigured),
            (error("unsupported_grant_type"), CloudMisconfigured),
            (error("invalid_request", "redirect_uri does not match"), CloudMisconfigured),
            (error("redirect_uri_mismatch", status=200), CloudMisconfigured),
            (error("temporarily_unavailable"), CloudUnavailable),
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
        assert isinstance(failure, CloudRefused)
        assert failure.error == "unrecognized_error"


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

    @pytest.mark.parametrize("claims", [{"nonce": "x"}, {"aud": "x"}, {"iss": "x"}, {"exp": NOW - 100}, {"sub": ...}])
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
        claims = trip.oauth.identify(
            trip.client, trip.request, code=code, code_verifier=Secret(VERIFIER), asks_userinfo=False
        )
        assert claims["sub"] == "cloud-alice"
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
            (error("unsupported_token_type"), CloudRefused),
            (error("invalid_client", status=401), CloudMisconfigured),
            (error("invalid_request", "token the-token is malformed"), CloudMisconfigured),
            (body(b'{"ok": false, "error": "not_revoked"}'), CloudRefused),
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
        assert failure.detail == "discovery: another issuer"

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
        assert isinstance(self.fail(trip, rule), CloudAnswerInvalid | CloudRefused)
        assert trip.cloud.requests == {DISCOVERY: 1}
