"""A scripted cloud: an authorization server in this process that keeps the rules, until a test breaks one of them.

It shares no code with the client it is there to test: no Authlib, and PKCE, client authentication and rotation
written out from RFC 6749, 7636, 7009, 9207 and OpenID Connect Core.
"""

import base64
import secrets
import threading
import time
from collections import Counter
from collections.abc import Callable
from contextlib import suppress
from dataclasses import dataclass, field
from email.utils import formatdate
from functools import cache
from hashlib import sha256
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from typing import Any, Self
from urllib.parse import parse_qs, parse_qsl, unquote_plus, urlencode, urlsplit

from joserfc import jwt
from joserfc.jwk import RSAKey

from chalicelib.domain.authorization_server import AuthorizationServer, ClientAuthentication

from .misbehaviour import Answer, Rule

CLIENT_ID = "vault"
CLIENT_SECRET = "a+b%2Fc&d=e f:ü"
REDIRECT_URI = "https://vault.example/oauth/callback/northwind"
ACCOUNTS = {
    "alice": {"sub": "cloud-alice", "email": "alice@contoso.example", "name": "Alice Adams"},
    "alice2": {"sub": "cloud-alice2", "email": "alice.personal@mail.example", "name": "Alice A."},
    "alice3": {"sub": "cloud-alice3", "email": "alice.third@mail.example", "name": "Alice B."},
    "bob": {"sub": "cloud-bob", "email": "bob@contoso.example", "name": "Bob Brown"},
}


@cache
def signing_key() -> RSAKey:
    """One for all clouds of a test run: making it takes a while."""
    return RSAKey.generate_key(2048, {"kid": "k1", "use": "sig", "alg": "RS256"})


@dataclass
class _Authorization:
    """What one person allowed, with the tokens that live on it."""

    account: str
    scopes: list[str]
    nonce: str | None
    challenge: str
    redirect_uri: str
    code_used: bool = False
    ended: bool = False
    access_tokens: set[str] = field(default_factory=set)
    refresh_token: str = ""


class _ProtocolError(Exception):
    """RFC 6749 5.2."""

    def __init__(self, error: str, status: int = 400) -> None:
        self.error = error
        self.status = status
        super().__init__(error)


class ScriptedCloud:
    """Use as a context manager. `requests` counts by path, `forms` keeps the last form, `headers` the last headers."""

    def __init__(
        self,
        *,
        client_secret: str = CLIENT_SECRET,
        redirect_uri: str = REDIRECT_URI,
        now: Callable[[], float] = time.time,
    ) -> None:
        self.client_secret = client_secret
        self.redirect_uri = redirect_uri
        self.client_authentication = ClientAuthentication.BASIC
        self.access_token_seconds = 3600
        self.key = signing_key()
        self.jwks: dict[str, Any] = {"keys": [self.key.as_dict(private=False)]}
        self.id_token_claims: dict[str, Any] = {}
        """Claims to change in each id_token; `...` takes one away."""
        self.id_token_header: dict[str, Any] = {}
        """Fields to add to the header of each id_token."""
        self.ahead = 0
        """Seconds by which its clock is ahead of the right one."""
        self.code_bytes = 16
        self.algorithms = ["RS256", "HS256", "none"]
        """What discovery says of signatures."""
        self.issuer_in_discovery: str | None = None
        """Another issuer than its own."""
        self.requests: Counter[str] = Counter()
        self.forms: dict[str, dict[str, str]] = {}
        self.headers: dict[str, dict[str, str]] = {}
        self._right_time = now
        self._rules: dict[str, list[Rule]] = {}
        self._codes: dict[str, _Authorization] = {}
        self._refresh_tokens: dict[str, _Authorization] = {}
        self._access_tokens: dict[str, _Authorization] = {}
        self._http = _HttpServer(self)
        self._thread = threading.Thread(target=self._http.serve_forever, args=(0.02,), daemon=True)

    def __enter__(self) -> Self:
        self._thread.start()
        return self

    def __exit__(self, *_: object) -> None:
        self._http.shutdown()
        self._thread.join()
        self.close()

    def close(self) -> None:
        """Let go of the port; all that one has to do who never entered."""
        self._http.server_close()

    @property
    def issuer(self) -> str:
        return f"http://127.0.0.1:{self._http.server_port}"

    def now(self) -> int:
        """By its own clock."""
        return int(self._right_time()) + self.ahead

    @property
    def server(self) -> AuthorizationServer:
        """What a client has to know of it."""
        return AuthorizationServer(
            issuer=self.issuer,
            authorization_endpoint=f"{self.issuer}/authorize",
            token_endpoint=f"{self.issuer}/token",
            jwks_uri=f"{self.issuer}/jwks",
            userinfo_endpoint=f"{self.issuer}/userinfo",
            revocation_endpoint=f"{self.issuer}/revoke",
            end_session_endpoint=f"{self.issuer}/sign-out",
            iss_parameter_promised=True,
            client_authentication=self.client_authentication,
        )

    def misbehave(self, path: str, *rules: Rule) -> None:
        """Treat the next requests to `path` by these rules, one each; later ones go well again."""
        self._rules[path] = list(rules)

    # The person in the browser

    def consent(self, url: str, account: str = "alice") -> str:
        """The person allows everything as `account`. Gives the callback's URL."""
        query = self._authorization_request(url)
        code = secrets.token_urlsafe(self.code_bytes)
        self._codes[code] = _Authorization(
            account, query["scope"].split(), query.get("nonce"), query["code_challenge"], query["redirect_uri"]
        )
        return _callback(query, code=code, iss=self.issuer)

    def deny(self, url: str) -> str:
        """The person presses Deny (RFC 6749 4.1.2.1)."""
        return self.refuse(url, "access_denied")

    def refuse(self, url: str, error: str, description: str = "") -> str:
        """It sends the person back with an error instead of a code, whatever the person does."""
        said = {"error": error} | ({"error_description": description} if description else {})
        return _callback(self._authorization_request(url), **said, iss=self.issuer)

    def issued(self) -> set[str]:
        """Every code and token that was ever given out."""
        return {*self._codes, *self._access_tokens, *self._refresh_tokens}

    def _authorization_request(self, url: str) -> dict[str, str]:
        endpoint, _, text = url.partition("?")
        query = dict(parse_qsl(text, strict_parsing=True))
        expected = {
            "response_type": "code",
            "client_id": CLIENT_ID,
            "code_challenge_method": "S256",
            "redirect_uri": self.redirect_uri,
        }
        assert endpoint == f"{self.issuer}/authorize"
        assert len(query) == len(parse_qsl(text)), "no parameter may come twice (RFC 6749 3.1)"
        assert query.items() >= expected.items()
        assert len(query["code_challenge"]) == 43
        return query

    # The endpoints

    def answer(self, method: str, path: str, headers: dict[str, str], form: dict[str, str]) -> Answer:
        """What goes back for one request."""
        self.requests[path] += 1
        self.forms[path], self.headers[path] = form, headers
        rules = self._rules.get(path)
        if rules:
            return rules.pop(0)(lambda: self._proper_answer(method, path, headers, form))
        return self._proper_answer(method, path, headers, form)

    def _proper_answer(self, method: str, path: str, headers: dict[str, str], form: dict[str, str]) -> Answer:
        endpoints: dict[tuple[str, str], Callable[[dict[str, str], dict[str, str]], Answer]] = {
            ("POST", "/token"): self._token,
            ("POST", "/revoke"): self._revoke,
            ("GET", "/userinfo"): self._userinfo,
            ("GET", "/jwks"): lambda *_: Answer.json(self.jwks),
            ("GET", "/.well-known/openid-configuration"): lambda *_: Answer.json(self._metadata()),
        }
        if (method, path) not in endpoints:
            return Answer(404)
        try:
            return endpoints[method, path](headers, form)
        except _ProtocolError as error:
            return Answer.json({"error": error.error, "error_description": "no"}, error.status)

    def _metadata(self) -> dict[str, Any]:
        return {
            "issuer": self.issuer_in_discovery or self.issuer,
            "authorization_endpoint": f"{self.issuer}/authorize",
            "token_endpoint": f"{self.issuer}/token",
            "jwks_uri": f"{self.issuer}/jwks",
            "userinfo_endpoint": f"{self.issuer}/userinfo",
            "revocation_endpoint": f"{self.issuer}/revoke",
            "end_session_endpoint": f"{self.issuer}/sign-out",
            "authorization_response_iss_parameter_supported": True,
            "token_endpoint_auth_methods_supported": [self.client_authentication.value],
            "id_token_signing_alg_values_supported": self.algorithms,
        }

    def _token(self, headers: dict[str, str], form: dict[str, str]) -> Answer:
        self._authenticate(headers, form)
        match form.get("grant_type"):
            case "authorization_code":
                return self._issue(self._redeemed(form), with_id_token=True)
            case "refresh_token":
                return self._issue(self._rotated(form.get("refresh_token", "")), with_id_token=False)
        raise _ProtocolError("unsupported_grant_type")

    def _authenticate(self, headers: dict[str, str], form: dict[str, str]) -> None:
        """RFC 6749 2.3.1: one method, the registered one, Basic with both parts form-encoded."""
        scheme, _, encoded = headers.get("authorization", "").partition(" ")
        posted = (form.get("client_id"), form.get("client_secret"))
        if self.client_authentication is ClientAuthentication.BASIC and scheme == "Basic":
            pair = base64.b64decode(encoded, validate=True).decode("ascii").split(":")
            given: tuple[str | None, ...] = tuple(map(unquote_plus, pair)) if posted == (None, None) else ()
        else:
            given = posted if self.client_authentication is ClientAuthentication.POST and not scheme else ()
        if given != (CLIENT_ID, self.client_secret):
            raise _ProtocolError("invalid_client", 401)

    def _redeemed(self, form: dict[str, str]) -> _Authorization:
        authorization = self._codes.get(form.get("code", ""))
        if authorization is None:
            raise _ProtocolError("invalid_grant")
        if authorization.code_used:
            authorization.ended = True  # RFC 6749 4.1.2: a code that comes twice was stolen
            raise _ProtocolError("invalid_grant")
        authorization.code_used = True
        digest = sha256(form.get("code_verifier", "").encode()).digest()
        challenge = base64.urlsafe_b64encode(digest).rstrip(b"=").decode()
        if (challenge, form.get("redirect_uri")) != (authorization.challenge, authorization.redirect_uri):
            raise _ProtocolError("invalid_grant")
        return authorization

    def _rotated(self, refresh_token: str) -> _Authorization:
        authorization = self._refresh_tokens.get(refresh_token)
        if authorization is None or authorization.ended:
            raise _ProtocolError("invalid_grant")
        if authorization.refresh_token != refresh_token:
            authorization.ended = True  # RFC 9700 4.14.2: an old one that comes back was stolen
            raise _ProtocolError("invalid_grant")
        return authorization

    def _issue(self, authorization: _Authorization, *, with_id_token: bool) -> Answer:
        access_token, refresh_token = secrets.token_urlsafe(24), secrets.token_urlsafe(24)
        authorization.access_tokens.add(access_token)
        authorization.refresh_token = refresh_token
        self._access_tokens[access_token] = authorization
        self._refresh_tokens[refresh_token] = authorization
        answer = {
            "access_token": access_token,
            "refresh_token": refresh_token,
            "token_type": "bearer",
            "expires_in": self.access_token_seconds,
            "scope": " ".join(authorization.scopes),
        }
        if with_id_token and "openid" in authorization.scopes:
            answer["id_token"] = self.id_token(authorization.account, authorization.nonce)
        return Answer.json(answer)

    def id_token(self, account: str, nonce: str | None, **header: Any) -> str:
        """Signed, with `id_token_claims` worked in."""
        now = self.now()
        claims = ACCOUNTS[account] | {"iss": self.issuer, "aud": CLIENT_ID, "iat": now, "exp": now + 300}
        claims |= {"nonce": nonce} | self.id_token_claims
        kept = {name: value for name, value in claims.items() if value is not ...}
        fields = {"alg": "RS256", "kid": self.key.kid, **self.id_token_header, **header}
        registry = jwt.JWSRegistry(strict_check_header=False)
        registry.max_header_length = 100_000  # it writes what it likes
        return jwt.encode(fields, kept, self.key, registry=registry)

    def _userinfo(self, headers: dict[str, str], _form: dict[str, str]) -> Answer:
        scheme, _, token = headers.get("authorization", "").partition(" ")
        authorization = self._access_tokens.get(token)
        if scheme != "Bearer" or authorization is None or authorization.ended:
            raise _ProtocolError("invalid_token", 401)
        return Answer.json(ACCOUNTS[authorization.account])

    def _revoke(self, headers: dict[str, str], form: dict[str, str]) -> Answer:
        """RFC 7009: 200 also for a token that is not known (2.2)."""
        self._authenticate(headers, form)
        token = form.get("token", "")
        if not token:
            raise _ProtocolError("invalid_request")
        authorization = self._refresh_tokens.get(token) or self._access_tokens.get(token)
        is_spent = authorization is not None and token in self._refresh_tokens and authorization.refresh_token != token
        # A refresh token that was used up is not known any more, so that asking to end it ends nothing
        if authorization and not is_spent:
            authorization.ended = True
        return Answer()

    def is_live(self, token: str) -> bool:
        """Whether the authorization behind an access or refresh token still stands."""
        authorization = self._refresh_tokens.get(token) or self._access_tokens.get(token)
        return authorization is not None and not authorization.ended


def _callback(query: dict[str, str], **answer: str) -> str:
    return f"{query['redirect_uri']}?{urlencode(answer | {'state': query['state']})}"


def parameters(url: str) -> dict[str, str]:
    """The query of a URL."""
    return {name: values[0] for name, values in parse_qs(urlsplit(url).query).items()}


class _HttpServer(ThreadingHTTPServer):
    daemon_threads = True

    def __init__(self, cloud: ScriptedCloud) -> None:
        self.cloud = cloud
        super().__init__(("127.0.0.1", 0), _Handler)


class _Handler(BaseHTTPRequestHandler):
    server: _HttpServer

    def do_GET(self) -> None:
        self._answer()

    def do_POST(self) -> None:
        self._answer()

    def log_message(self, *_: object) -> None:
        """Tests look at `requests`, not at a log."""

    def _answer(self) -> None:
        text = self.rfile.read(int(self.headers.get("Content-Length", 0))).decode()
        headers = {name.lower(): value for name, value in self.headers.items()}
        form = dict(parse_qsl(text, keep_blank_values=True, strict_parsing=bool(text)))
        self._deliver(self.server.cloud.answer(self.command, self.path.partition("?")[0], headers, form))

    def _deliver(self, answer: Answer) -> None:
        time.sleep(answer.delay)
        if answer.lost:
            return
        date = formatdate(self.server.cloud.now(), usegmt=True)
        headers = {"Content-Length": str(len(answer.body)), "Connection": "close", "Date": date} | answer.headers
        lines = [f"HTTP/1.1 {answer.status} x", *(f"{name}: {value}" for name, value in headers.items()), "", ""]
        with suppress(ConnectionError):  # the client had enough
            self._send("\r\n".join(lines).encode("latin-1"), answer.drip_head)
            self._send(answer.body, answer.drip_body)

    def _send(self, octets: bytes, drip: float) -> None:
        for piece in (bytes([octet]) for octet in octets) if drip else [octets]:
            self.wfile.write(piece)
            time.sleep(drip)
