"""Each kind of cloud as its vendor describes it: strict about what it is asked, and answering in its own way.

Written from the vendors' documents and not from the catalogue, so that the two can be compared. The clouds are at their
real addresses: `Wire` takes the place of the network.
"""

import base64
import json
import secrets
from collections.abc import Callable
from dataclasses import dataclass, field
from hashlib import sha256
from io import BytesIO
from typing import Any, ClassVar
from urllib.parse import parse_qsl, unquote_plus, urlencode

import requests
from joserfc import jwt
from requests.adapters import BaseAdapter

from chalicelib.domain.errors import CloudError, CloudMisconfigured, CloudRefusalUnclear, CloudRefused, CloudUnavailable
from tests.fakes.cloud import CLIENT_ID, CLIENT_SECRET, REDIRECT_URI, parameters, signing_key
from tests.fakes.misbehaviour import Answer

PLAIN = {"response_type", "client_id", "redirect_uri", "state"}
PKCE = {"code_challenge", "code_challenge_method"}
TENANT = "8f3d1c1e-0000-4000-8000-1234567890ab"
FORM = "application/x-www-form-urlencoded"


class Wire(BaseAdapter):
    """For a requests session: every request goes to the cloud, whatever its address."""

    def __init__(self, cloud: "Cloud") -> None:
        super().__init__()
        self._cloud = cloud

    def send(self, request: requests.PreparedRequest, **_: Any) -> requests.Response:
        answer = self._cloud.answer(request)
        response = requests.Response()
        response.status_code, response.raw = answer.status, BytesIO(answer.body)
        response.headers.update(answer.headers)
        response.request, response.url = request, str(request.url)
        return response

    def close(self) -> None:
        pass


@dataclass
class Authorization:
    challenge: str
    scopes: list[str]
    nonce: str = ""
    access_tokens: list[str] = field(default_factory=list)
    refresh_tokens: list[str] = field(default_factory=list)
    ended: set[str] = field(default_factory=set)
    code_used: bool = False


class Refusal(Exception):
    def __init__(self, answer: Answer) -> None:
        self.answer = answer


class Cloud:
    """What most clouds do; subclasses say what theirs does otherwise."""

    type_id: ClassVar[str]
    values: ClassVar[dict[str, str]] = {}
    chosen: ClassVar[tuple[str, ...]] = ()
    asked: ClassVar[tuple[str, ...]]
    """The scopes that arrive."""
    authorize_url: ClassVar[str]
    token_url: ClassVar[str]
    account_url: ClassVar[str] = ""
    revoke_url: ClassVar[str] = ""
    authorize_extra: ClassVar[dict[str, str]] = {}
    reauthorize_extra: ClassVar[dict[str, str]] = {}
    scope_name: ClassVar[str] = "scope"
    delimiter: ClassVar[str] = " "
    basic: ClassVar[bool] = False
    pkce: ClassVar[bool] = True
    rotates: ClassVar[bool] = True
    """Each refresh brings another refresh token."""
    single_use: ClassVar[bool] = True
    """And the one before is over."""
    account: ClassVar[tuple[str, str]]
    """Subject and label."""
    life: ClassVar[int] = 3600
    extra: ClassVar[dict[str, str]] = {}
    returns: ClassVar[dict[str, str]] = {}
    """What the browser brings back beside the code."""
    refresh_errors: ClassVar[list[tuple[Answer, type[CloudError]]]] = []

    def __init__(self, now: Callable[[], int]) -> None:
        self.now = now
        self.log: list[tuple[str, str]] = []
        self.codes: dict[str, Authorization] = {}
        self.instead: Answer | None = None

    # In the browser

    def consent(self, url: str, *, again: bool) -> str:
        """The person allows everything. The request must be what the vendor documents, and nothing else."""
        endpoint, query = url.partition("?")[0], parameters(url)
        assert endpoint == self.authorize_url
        extra = self.reauthorize_extra if again else self.authorize_extra
        expected = PLAIN | set(extra) | (PKCE if self.pkce else set()) | ({self.scope_name} if self.asked else set())
        assert set(query) - {"nonce"} == expected
        assert {name: query[name] for name in extra} == extra
        assert (query["client_id"], query["redirect_uri"]) == (CLIENT_ID, REDIRECT_URI)
        assert tuple(filter(None, query.get(self.scope_name, "").split(self.delimiter))) == self.asked
        code = secrets.token_urlsafe(12)
        scopes = list(self.asked)
        self.codes[code] = Authorization(query.get("code_challenge", ""), scopes, query.get("nonce", ""))
        return code

    def is_live(self, token: str) -> bool:
        found = self._authorization_of(token)
        return found is not None and token not in found.ended

    # On the wire

    def answer(self, request: requests.PreparedRequest) -> Answer:
        url = str(request.url)
        self.log.append((str(request.method), url))
        if self.instead is not None:
            return self.instead
        try:
            return self._route(request, url)
        except Refusal as refusal:
            return refusal.answer

    def _route(self, request: requests.PreparedRequest, url: str) -> Answer:
        if url == self.token_url:
            return self.token(request)
        if self.account_url and url == self.account_url:
            return self.who(request)
        if self.revoke_url and url == self.revoke_url:
            return self.revoke(request)
        raise AssertionError(f"nobody at {url}")

    def token(self, request: requests.PreparedRequest) -> Answer:
        form = self.form(request)
        self.authenticate(request, form)
        if form["grant_type"] == "authorization_code":
            authorization = self._redeemed(form)
        else:
            assert form["grant_type"] == "refresh_token"
            authorization = self._refreshed(form)
        return self.issue(authorization, is_refresh=form["grant_type"] == "refresh_token")

    def issue(self, authorization: Authorization, *, is_refresh: bool) -> Answer:
        access_token = secrets.token_urlsafe(24)
        authorization.access_tokens.append(access_token)
        fields: dict[str, Any] = {"access_token": access_token, "token_type": "bearer", "expires_in": self.life}
        if self.rotates or not is_refresh:
            authorization.refresh_tokens.append(secrets.token_urlsafe(24))
            fields["refresh_token"] = authorization.refresh_tokens[-1]
        if authorization.scopes:
            fields["scope"] = self.delimiter.join(authorization.scopes)
        return Answer.json(self.token_fields(fields, authorization, is_refresh=is_refresh))

    def token_fields(
        self, fields: dict[str, Any], _authorization: Authorization, *, is_refresh: bool
    ) -> dict[str, Any]:
        return fields

    def who(self, request: requests.PreparedRequest) -> Answer:
        assert request.method == "GET"
        self.bearer(request)
        return Answer.json(self.account_fields())

    def account_fields(self) -> dict[str, Any]:
        raise NotImplementedError

    def revoke(self, request: requests.PreparedRequest) -> Answer:
        """RFC 7009, with the client's credentials: a refresh token takes its access tokens along."""
        form = self.form(request)
        self.authenticate(request, form)
        self.end(form["token"])
        return Answer()

    def error(self, code: str, status: int = 400) -> Refusal:
        return Refusal(Answer.json({"error": code, "error_description": "no"}, status))

    # Tools

    @staticmethod
    def form(request: requests.PreparedRequest) -> dict[str, str]:
        body = request.body.decode() if isinstance(request.body, bytes) else str(request.body or "")
        pairs = parse_qsl(body, keep_blank_values=True)
        assert len(pairs) == len(dict(pairs))
        return dict(pairs)

    def authenticate(self, request: requests.PreparedRequest, form: dict[str, str]) -> None:
        scheme, _, encoded = request.headers.get("Authorization", "").partition(" ")
        posted = (form.get("client_id"), form.get("client_secret"))
        if self.basic:
            given = tuple(map(unquote_plus, base64.b64decode(encoded).decode().split(":"))) if scheme == "Basic" else ()
            assert posted == (None, None)
        else:
            given = posted
            assert not scheme
        if given != (CLIENT_ID, CLIENT_SECRET):
            raise self.error("invalid_client", 401)

    def bearer(self, request: requests.PreparedRequest) -> str:
        scheme, _, token = request.headers["Authorization"].partition(" ")
        if scheme != "Bearer" or not self.is_live(token):
            raise self.error("invalid_token", 401)
        return token

    def end(self, token: str) -> None:
        authorization = self._authorization_of(token)
        if authorization is not None:
            is_refresh = token in authorization.refresh_tokens
            authorization.ended |= {token, *(authorization.access_tokens if is_refresh else ())}

    def end_all(self, token: str) -> None:
        authorization = self._authorization_of(token)
        if authorization is not None:
            authorization.ended |= {*authorization.access_tokens, *authorization.refresh_tokens}

    def _authorization_of(self, token: str) -> Authorization | None:
        found = [a for a in self.codes.values() if token in a.access_tokens or token in a.refresh_tokens]
        return found[0] if found else None

    def _redeemed(self, form: dict[str, str]) -> Authorization:
        authorization = self.codes.get(form["code"])
        if authorization is None or authorization.code_used:
            raise self.error("invalid_grant")
        authorization.code_used = True
        assert form["redirect_uri"] == REDIRECT_URI
        challenge = base64.urlsafe_b64encode(sha256(form.get("code_verifier", "").encode()).digest()).rstrip(b"=")
        assert ("code_verifier" in form) == self.pkce
        assert not self.pkce or challenge.decode() == authorization.challenge
        return authorization

    def _refreshed(self, form: dict[str, str]) -> Authorization:
        token = form["refresh_token"]
        authorization = self._authorization_of(token)
        stale = (
            authorization is not None and self.rotates and self.single_use and token != authorization.refresh_tokens[-1]
        )
        if authorization is None or token in authorization.ended or stale:
            raise self.bad_refresh_token()
        return authorization

    def bad_refresh_token(self) -> Refusal:
        return self.error("invalid_grant")


class OpenId(Cloud):
    """One with a discovery document and id_tokens."""

    issuer: ClassVar[str]
    claims: ClassVar[dict[str, Any]]
    discovery: ClassVar[dict[str, Any]] = {}
    discovery_url: ClassVar[str]

    def __init__(self, now: Callable[[], int]) -> None:
        super().__init__(now)
        self.key = signing_key()

    def _route(self, request: requests.PreparedRequest, url: str) -> Answer:
        if url == self.discovery_url:
            return Answer.json(self._metadata())
        if url == "https://keys.example/jwks":
            return Answer.json({"keys": [self.key.as_dict(private=False)]})
        return super()._route(request, url)

    def _metadata(self) -> dict[str, Any]:
        metadata = {
            "issuer": self.issuer,
            "authorization_endpoint": self.authorize_url,
            "token_endpoint": self.token_url,
            "userinfo_endpoint": self.account_url,
            "jwks_uri": "https://keys.example/jwks",
            "id_token_signing_alg_values_supported": ["RS256"],
            "token_endpoint_auth_methods_supported": ["client_secret_post", "client_secret_basic"],
        }
        return metadata | ({"revocation_endpoint": self.revoke_url} if self.revoke_url else {}) | self.discovery

    def token_fields(self, fields: dict[str, Any], authorization: Authorization, *, is_refresh: bool) -> dict[str, Any]:
        if is_refresh:
            return fields
        claims = {"iss": self.issuer, "aud": CLIENT_ID, "iat": self.now(), "exp": self.now() + 300} | self.claims
        signed = jwt.encode({"alg": "RS256", "kid": self.key.kid}, claims | {"nonce": authorization.nonce}, self.key)
        return fields | {"id_token": signed}


class Generic(OpenId):
    type_id = "openid-connect"
    values: ClassVar = {"issuer": "https://id.example"}
    issuer = "https://id.example"
    discovery_url = "https://id.example/.well-known/openid-configuration"
    chosen = ("email", "offline_access")
    asked = ("openid", "email", "offline_access")
    authorize_url, token_url = "https://id.example/authorize", "https://id.example/token"
    account_url, revoke_url = "https://id.example/userinfo", "https://id.example/revoke"
    authorize_extra: ClassVar = {"prompt": "consent"}
    reauthorize_extra: ClassVar = {"prompt": "select_account consent"}
    basic = True
    claims: ClassVar = {"sub": "u-1", "email": "alice@id.example"}
    account = ("u-1", "alice@id.example")


class OAuth2(Cloud):
    type_id = "oauth2"
    authorize_url, token_url = "https://cloud.example/auth", "https://cloud.example/token"
    account_url, revoke_url = "https://cloud.example/me", "https://cloud.example/revoke"
    values: ClassVar = {
        "authorization_endpoint": authorize_url,
        "token_endpoint": token_url,
        "userinfo_endpoint": account_url,
        "revocation_endpoint": revoke_url,
        "client_authentication": "client_secret_post",
    }
    chosen = asked = ("files",)
    account = ("17", "alice@cloud.example")

    def account_fields(self) -> dict[str, Any]:
        return {"id": 17, "email": "alice@cloud.example"}


class Microsoft(OpenId):
    type_id = "microsoft-365"
    values: ClassVar = {"tenant": "organizations"}
    issuer = f"https://login.microsoftonline.com/{TENANT}/v2.0"
    discovery: ClassVar = {"issuer": "https://login.microsoftonline.com/{tenantid}/v2.0"}
    discovery_url = "https://login.microsoftonline.com/organizations/v2.0/.well-known/openid-configuration"
    chosen = ("Files.ReadWrite",)
    asked = ("openid", "profile", "email", "offline_access", "Files.ReadWrite")
    authorize_url = "https://login.microsoftonline.com/organizations/oauth2/v2.0/authorize"
    token_url = "https://login.microsoftonline.com/organizations/oauth2/v2.0/token"
    account_url = "https://graph.microsoft.com/oidc/userinfo"
    reauthorize_extra: ClassVar = {"prompt": "select_account"}
    basic = True
    single_use = False
    claims: ClassVar = {"sub": "pairwise", "tid": TENANT, "oid": "o-1", "preferred_username": "alice@contoso.example"}
    account = (f"{TENANT}/o-1", "alice@contoso.example")
    refresh_errors: ClassVar = [
        (
            Answer.json({"error": "interaction_required", "error_codes": [50076], "suberror": "basic_action"}, 400),
            CloudRefused,
        ),
        (Answer.json({"error": "invalid_grant", "error_codes": [700082]}, 400), CloudRefused),
        (Answer.json({"error": "invalid_client", "error_codes": [7000222]}, 401), CloudMisconfigured),
        (Answer.json({"error": "temporarily_unavailable"}, 400), CloudUnavailable),
    ]


class Google(OpenId):
    type_id = "google"
    issuer = "https://accounts.google.com"
    discovery_url = "https://accounts.google.com/.well-known/openid-configuration"
    chosen = ("https://www.googleapis.com/auth/drive.file",)
    asked = ("openid", "email", "https://www.googleapis.com/auth/drive.file")
    authorize_url, token_url = "https://accounts.google.com/o/oauth2/v2/auth", "https://oauth2.googleapis.com/token"
    account_url, revoke_url = "https://openidconnect.googleapis.com/v1/userinfo", "https://oauth2.googleapis.com/revoke"
    authorize_extra: ClassVar = {"access_type": "offline", "prompt": "consent"}
    reauthorize_extra: ClassVar = {"access_type": "offline", "prompt": "select_account consent"}
    basic = True
    rotates = single_use = False
    claims: ClassVar = {"sub": "1122", "email": "alice@gmail.example", "azp": CLIENT_ID}
    account = ("1122", "alice@gmail.example")
    refresh_errors: ClassVar = [
        (Answer.json({"error": "admin_policy_enforced"}, 400), CloudRefused),
        (
            Answer.json({"error": "invalid_grant", "error_description": "Token has been expired or revoked."}, 400),
            CloudRefused,
        ),
    ]

    def revoke(self, request: requests.PreparedRequest) -> Answer:
        """No client authentication; everything of the project ends; 400 for what is over already."""
        form = self.form(request)
        assert set(form) == {"token"}
        assert "Authorization" not in request.headers
        if not self.is_live(form["token"]):
            raise self.error("invalid_token")
        self.end_all(form["token"])
        return Answer.json({})


class Box(Cloud):
    type_id = "box"
    chosen = asked = ("root_readwrite",)
    authorize_url, token_url = "https://account.box.com/api/oauth2/authorize", "https://api.box.com/oauth2/token"
    account_url, revoke_url = "https://api.box.com/2.0/users/me", "https://api.box.com/oauth2/revoke"
    account = ("11446498", "alice@contoso.example")

    def account_fields(self) -> dict[str, Any]:
        return {"type": "user", "id": "11446498", "name": "Alice", "login": "alice@contoso.example"}

    def token_fields(
        self, fields: dict[str, Any], _authorization: Authorization, *, is_refresh: bool
    ) -> dict[str, Any]:
        """No scope in the answer."""
        return {name: value for name, value in fields.items() if name != "scope"} | {"restricted_to": []}

    def end(self, token: str) -> None:
        """Nothing is written about the other token: only this one ends."""
        authorization = self._authorization_of(token)
        assert authorization is not None
        authorization.ended.add(token)


class Dropbox(Cloud):
    type_id = "dropbox"
    chosen = ("files.content.write",)
    asked = ("account_info.read", "files.content.write")
    authorize_url, token_url = "https://www.dropbox.com/oauth2/authorize", "https://api.dropboxapi.com/oauth2/token"
    account_url = "https://api.dropboxapi.com/2/users/get_current_account"
    revoke_url = "https://api.dropboxapi.com/2/auth/token/revoke"
    authorize_extra: ClassVar = {"token_access_type": "offline"}
    reauthorize_extra: ClassVar = {"token_access_type": "offline", "force_reauthentication": "true"}
    rotates = single_use = False
    life = 14400
    account = ("dbid:AAH", "alice@contoso.example")

    def who(self, request: requests.PreparedRequest) -> Answer:
        assert (request.method, request.body) == ("POST", None)
        self.bearer(request)
        name = {"display_name": "Alice Adams"}
        return Answer.json({"account_id": "dbid:AAH", "email": "alice@contoso.example", "name": name})

    def revoke(self, request: requests.PreparedRequest) -> Answer:
        assert (request.method, request.body) == ("POST", None)
        self.end_all(self.bearer(request))
        return Answer.json(None)


class IManage(Cloud):
    type_id = "imanage-work"
    values: ClassVar = {"host": "imanage.contoso.example"}
    asked = ("user",)
    authorize_url = "https://imanage.contoso.example/auth/oauth2/authorize"
    token_url = "https://imanage.contoso.example/auth/oauth2/token"
    account_url = "https://imanage.contoso.example/api"
    life = 1800
    account = ("1/ALICE", "alice@contoso.example")

    def who(self, request: requests.PreparedRequest) -> Answer:
        assert "Authorization" not in request.headers
        assert self.is_live(request.headers["X-Auth-Token"])
        user = {"customer_id": 1, "id": "ALICE", "email": "alice@contoso.example"}
        return Answer.json({"data": {"user": user, "versions": []}})


class NetDocuments(Cloud):
    type_id = "netdocuments"
    values: ClassVar = {"vault": "eu.netdocuments.com"}
    chosen = asked = ("read", "edit", "organize")
    delimiter = ","
    authorize_url = "https://eu.netdocuments.com/neWeb2/OAuth.aspx"
    token_url = "https://api.eu.netdocuments.com/v1/OAuth"
    account_url = "https://api.eu.netdocuments.com/v1/User/info"
    account = ("DUCOT-alice", "alice@contoso.example")

    def account_fields(self) -> dict[str, Any]:
        return {"id": "DUCOT-alice", "displayName": "Alice Adams", "email": "alice@contoso.example"}


class Slack(Cloud):
    type_id = "slack"
    chosen = asked = ("chat:write", "files:write")
    scope_name, delimiter = "user_scope", ","
    authorize_url, token_url = "https://slack.com/oauth/v2/authorize", "https://slack.com/api/oauth.v2.access"
    account_url, revoke_url = "https://slack.com/api/auth.test", "https://slack.com/api/auth.revoke"
    basic, pkce = True, False
    life = 43200
    account = ("T1/U1", "alice/Contoso")
    refresh_errors: ClassVar = [
        (Answer.json({"ok": False, "error": "invalid_refresh_token"}), CloudRefused),
        (Answer.json({"ok": False, "error": "bad_client_secret"}), CloudMisconfigured),
        (Answer.json({"ok": False, "error": "ratelimited"}), CloudUnavailable),
        (Answer.json({"ok": False}), CloudRefusalUnclear),
    ]

    def error(self, code: str, status: int = 400) -> Refusal:
        return Refusal(Answer.json({"ok": False, "error": {"invalid_client": "bad_client_secret"}.get(code, code)}))

    def bad_refresh_token(self) -> Refusal:
        return self.error("invalid_refresh_token")

    def token_fields(
        self, fields: dict[str, Any], _authorization: Authorization, *, is_refresh: bool
    ) -> dict[str, Any]:
        person = fields | {"token_type": "user", "id": "U1"}
        if is_refresh:
            return {"ok": True, **person}
        return {
            "ok": True,
            "access_token": "xoxb-of-the-bot",
            "token_type": "bot",
            "authed_user": person,
            "team": {"id": "T1"},
        }

    def who(self, request: requests.PreparedRequest) -> Answer:
        self.bearer(request)
        return Answer.json({"ok": True, "team": "Contoso", "user": "alice", "team_id": "T1", "user_id": "U1"})

    def revoke(self, request: requests.PreparedRequest) -> Answer:
        self.end_all(self.bearer(request))
        return Answer.json({"ok": True, "revoked": True})


class GitHub(Cloud):
    type_id = "github"
    chosen = asked = ("repo", "read:user")
    authorize_url, token_url = "https://github.com/login/oauth/authorize", "https://github.com/login/oauth/access_token"
    account_url = "https://api.github.com/user"
    revoke_url = f"https://api.github.com/applications/{CLIENT_ID}/grant"
    reauthorize_extra: ClassVar = {"prompt": "select_account"}
    life = 28800
    account = ("583231", "alice")
    refresh_errors: ClassVar = [
        (
            Answer(
                200, b"error=bad_refresh_token&error_description=The+refresh+token+is+wrong", {"Content-Type": FORM}
            ),
            CloudRefused,
        ),
        (Answer.json({"error": "incorrect_client_credentials"}), CloudMisconfigured),
    ]

    def issue(self, authorization: Authorization, *, is_refresh: bool) -> Answer:
        """Form-encoded, with commas between scopes."""
        fields = json.loads(super().issue(authorization, is_refresh=is_refresh).body)
        fields["scope"] = ",".join(authorization.scopes)
        return Answer(200, urlencode(fields).encode(), {"Content-Type": f"{FORM}; charset=utf-8"})

    def bad_refresh_token(self) -> Refusal:
        return Refusal(Answer(200, b"error=bad_refresh_token", {"Content-Type": FORM}))

    def account_fields(self) -> dict[str, Any]:
        return {"login": "alice", "id": 583231, "email": None}

    def revoke(self, request: requests.PreparedRequest) -> Answer:
        assert request.method == "DELETE"
        pair = base64.b64encode(f"{CLIENT_ID}:{CLIENT_SECRET}".encode()).decode()
        assert request.headers["Authorization"] == f"Basic {pair}"
        token = json.loads(request.body or b"")["access_token"]
        if not self.is_live(token):
            return Answer.json({"message": "Not Found"}, 404)
        self.end_all(token)
        return Answer(204)


class Salesforce(Cloud):
    type_id = "salesforce"
    values: ClassVar = {"login": "contoso.my.salesforce.com"}
    chosen = ("api",)
    asked = ("openid", "refresh_token", "api")
    authorize_url = "https://contoso.my.salesforce.com/services/oauth2/authorize"
    token_url = "https://contoso.my.salesforce.com/services/oauth2/token"
    account_url = "https://contoso.my.salesforce.com/services/oauth2/userinfo"
    revoke_url = "https://contoso.my.salesforce.com/services/oauth2/revoke"
    reauthorize_extra: ClassVar = {"prompt": "login consent"}
    rotates = single_use = False
    life = 900
    account = ("00D1/0051", "alice@contoso.example")
    extra: ClassVar = {"instance_url": "https://eu1.salesforce.example"}
    refresh_errors: ClassVar = [
        (Answer.json({"error": "inactive_user"}, 400), CloudRefused),
        (Answer.json({"error": "invalid_client_id"}, 400), CloudMisconfigured),
        (Answer.json({"error": "rate_limit_exceeded"}, 400), CloudUnavailable),
    ]

    def token_fields(
        self, fields: dict[str, Any], _authorization: Authorization, *, is_refresh: bool
    ) -> dict[str, Any]:
        """No life, and where to send the calls."""
        kept = {name: value for name, value in fields.items() if name != "expires_in"}
        return kept | {"instance_url": "https://eu1.salesforce.example", "id": "https://login/id/00D1/0051"}

    def account_fields(self) -> dict[str, Any]:
        return {"user_id": "0051", "organization_id": "00D1", "preferred_username": "alice@contoso.example"}

    def revoke(self, request: requests.PreparedRequest) -> Answer:
        if not self.is_live(self.form(request)["token"]):
            raise self.error("invalid_token")
        return super().revoke(request)


class Atlassian(Cloud):
    type_id = "atlassian"
    chosen = ("read:jira-work",)
    asked = ("read:me", "offline_access", "read:jira-work")
    authorize_url, token_url = "https://auth.atlassian.com/authorize", "https://auth.atlassian.com/oauth/token"
    account_url = "https://api.atlassian.com/me"
    authorize_extra: ClassVar = {"audience": "api.atlassian.com", "prompt": "consent"}
    reauthorize_extra = authorize_extra
    account = ("5b10", "alice@contoso.example")

    def account_fields(self) -> dict[str, Any]:
        return {"account_id": "5b10", "email": "alice@contoso.example", "name": "Alice Adams"}


class Zoom(Cloud):
    type_id = "zoom"
    asked = ()
    authorize_url, token_url = "https://zoom.us/oauth/authorize", "https://zoom.us/oauth/token"
    account_url, revoke_url = "https://api.zoom.us/v2/users/me", "https://zoom.us/oauth/revoke"
    basic = True
    account = ("z8", "alice@contoso.example")
    refresh_errors: ClassVar = [
        (Answer.json({"code": 4741, "reason": "Invalid Token!", "error": "invalid_request"}, 400), CloudRefused),
        (Answer.json({"error": "invalid_client"}, 401), CloudMisconfigured),
    ]

    def account_fields(self) -> dict[str, Any]:
        return {"id": "z8", "account_id": "a1", "email": "alice@contoso.example", "display_name": "Alice"}

    def revoke(self, request: requests.PreparedRequest) -> Answer:
        """The access token, which takes its refresh token along."""
        form = self.form(request)
        self.authenticate(request, form)
        authorization = self._authorization_of(form["token"])
        assert authorization is not None
        assert form["token"] in authorization.access_tokens
        self.end_all(form["token"])
        return Answer.json({"status": "success"})


class DocuSign(Cloud):
    type_id = "docusign"
    values: ClassVar = {"account": "account-d.docusign.com"}
    asked = ("signature", "extended")
    authorize_url, token_url = "https://account-d.docusign.com/oauth/auth", "https://account-d.docusign.com/oauth/token"
    account_url = "https://account-d.docusign.com/oauth/userinfo"
    reauthorize_extra: ClassVar = {"prompt": "login"}
    basic = True
    life = 28800
    account = ("50d8", "alice@contoso.example")
    extra: ClassVar = {"base_uri": "https://eu.docusign.example", "account_id": "acc-2"}

    def account_fields(self) -> dict[str, Any]:
        accounts = [
            {"account_id": "acc-1", "is_default": False, "base_uri": "https://us.docusign.example"},
            {"account_id": "acc-2", "is_default": True, "base_uri": "https://eu.docusign.example"},
        ]
        return {"sub": "50d8", "email": "alice@contoso.example", "accounts": accounts}


class ServiceNow(Cloud):
    type_id = "servicenow"
    values: ClassVar = {"instance": "contoso.service-now.com"}
    chosen = asked = ("useraccount",)
    authorize_url = "https://contoso.service-now.com/oauth_auth.do"
    token_url = "https://contoso.service-now.com/oauth_token.do"
    account_url = (
        "https://contoso.service-now.com/api/now/table/sys_user?sysparm_query=sys_id%3Djavascript%3Ags.getUserID()"
        "&sysparm_fields=sys_id,user_name,email&sysparm_limit=1"
    )
    revoke_url = "https://contoso.service-now.com/oauth_revoke_token.do"
    life = 1800
    account = ("6816f79c", "alice@contoso.example")

    def account_fields(self) -> dict[str, Any]:
        return {"result": [{"sys_id": "6816f79c", "user_name": "alice", "email": "alice@contoso.example"}]}

    def revoke(self, request: requests.PreparedRequest) -> Answer:
        """Only the one token is marked as expired; nobody has to authenticate."""
        authorization = self._authorization_of(self.form(request)["token"])
        assert authorization is not None
        authorization.ended.add(self.form(request)["token"])
        return Answer()


class HubSpot(Cloud):
    type_id = "hubspot"
    chosen = ("files",)
    asked = ("oauth", "files")
    authorize_url = "https://app.hubspot.com/oauth/authorize"
    token_url = "https://api.hubapi.com/oauth/2026-03/token"
    rotates = single_use = False
    life = 1800
    account = ("62515/7", "contoso.hubspot.example")

    def token_fields(self, fields: dict[str, Any], authorization: Authorization, *, is_refresh: bool) -> dict[str, Any]:
        """Scopes as a list of another name, and whose account it is."""
        kept = {name: value for name, value in fields.items() if name != "scope"}
        whose = {"hub_id": 62515, "user_id": 7, "hub_domain": "contoso.hubspot.example"}
        return kept | whose | {"scopes": authorization.scopes}


class Xero(OpenId):
    type_id = "xero"
    issuer = "https://identity.xero.com"
    discovery_url = "https://identity.xero.com/.well-known/openid-configuration"
    chosen = ("files",)
    asked = ("openid", "profile", "email", "offline_access", "files")
    authorize_url = "https://login.xero.com/identity/connect/authorize"
    token_url, revoke_url = "https://identity.xero.com/connect/token", "https://identity.xero.com/connect/revocation"
    account_url = "https://identity.xero.com/connect/userinfo"
    basic = True
    life = 1800
    claims: ClassVar = {"sub": "db01", "xero_userid": "1945", "email": "alice@contoso.example"}
    account = ("1945", "alice@contoso.example")


class Webex(Cloud):
    type_id = "webex"
    chosen = ("spark:messages_write",)
    asked = ("spark:people_read", "spark:messages_write")
    authorize_url, token_url = "https://webexapis.com/v1/authorize", "https://webexapis.com/v1/access_token"
    account_url = "https://webexapis.com/v1/people/me"
    reauthorize_extra: ClassVar = {"prompt": "select_account"}
    rotates = single_use = False
    life = 1209599
    account = ("Y2lzY29", "alice@contoso.example")

    def token_fields(
        self, fields: dict[str, Any], _authorization: Authorization, *, is_refresh: bool
    ) -> dict[str, Any]:
        return fields | {"refresh_token_expires_in": 7775999}

    def account_fields(self) -> dict[str, Any]:
        return {"id": "Y2lzY29", "emails": ["alice@contoso.example"], "displayName": "Alice Adams"}


class Asana(Cloud):
    type_id = "asana"
    chosen = asked = ("tasks:read", "tasks:write")
    authorize_url, token_url = "https://app.asana.com/-/oauth_authorize", "https://app.asana.com/-/oauth_token"
    revoke_url = "https://app.asana.com/-/oauth_revoke"
    rotates = single_use = False
    account = ("4673218951", "alice@contoso.example")

    def token_fields(
        self, fields: dict[str, Any], _authorization: Authorization, *, is_refresh: bool
    ) -> dict[str, Any]:
        person = {"id": 4673218951, "gid": "4673218951", "name": "Alice Adams", "email": "alice@contoso.example"}
        return fields | {"data": person}


class Miro(Cloud):
    type_id = "miro"
    asked = ()
    authorize_url, token_url = "https://miro.com/oauth/authorize", "https://api.miro.com/v1/oauth/token"
    account_url = "https://api.miro.com/v1/oauth-token"
    account = ("3074457", "Alice/Contoso")

    def account_fields(self) -> dict[str, Any]:
        return {"user": {"id": "3074457", "name": "Alice"}, "team": {"id": "99", "name": "Contoso"}, "scopes": []}


class Zoho(Cloud):
    type_id = "zoho"
    values: ClassVar = {"accounts": "accounts.zoho.eu"}
    chosen = ("ZohoMail.messages.CREATE",)
    asked = ("AaaServer.profile.READ", "ZohoMail.messages.CREATE")
    delimiter = ","
    authorize_url, token_url = "https://accounts.zoho.eu/oauth/v2/auth", "https://accounts.zoho.eu/oauth/v2/token"
    account_url = "https://accounts.zoho.eu/oauth/user/info"
    revoke_url = "https://accounts.zoho.eu/oauth/v2/token/revoke"
    authorize_extra: ClassVar = {"access_type": "offline", "prompt": "consent"}
    reauthorize_extra = authorize_extra
    rotates = single_use = False
    account = ("6001", "alice@contoso.example")
    extra: ClassVar = {"api_domain": "https://www.zohoapis.eu"}
    refresh_errors: ClassVar = [(Answer.json({"error": "invalid_code"}), CloudRefused)]

    def error(self, code: str, status: int = 400) -> Refusal:
        """Errors come with status 200."""
        return Refusal(Answer.json({"error": {"invalid_client": "invalid_client_secret"}.get(code, code)}))

    def bad_refresh_token(self) -> Refusal:
        return self.error("invalid_code")

    def token_fields(self, fields: dict[str, Any], authorization: Authorization, *, is_refresh: bool) -> dict[str, Any]:
        return fields | {"api_domain": "https://www.zohoapis.eu", "scope": " ".join(authorization.scopes)}

    def account_fields(self) -> dict[str, Any]:
        return {"ZUID": 6001, "Email": "alice@contoso.example", "Display_Name": "Alice"}

    def revoke(self, request: requests.PreparedRequest) -> Answer:
        """The token alone."""
        form = self.form(request)
        assert set(form) == {"token"}
        self.end_all(form["token"])
        return Answer.json({"status": "success"})


class Egnyte(Cloud):
    type_id = "egnyte"
    values: ClassVar = {"domain": "contoso.egnyte.com"}
    chosen = asked = ("Egnyte.filesystem",)
    authorize_url = token_url = "https://contoso.egnyte.com/puboauth/token"
    account_url = "https://contoso.egnyte.com/pubapi/v1/userinfo"
    life = 2592000
    account = ("9", "alice")

    def account_fields(self) -> dict[str, Any]:
        return {"id": 9, "first_name": "Alice", "last_name": "Adams", "username": "alice"}


class ShareFile(Cloud):
    type_id = "sharefile"
    values: ClassVar = {"subdomain": "contoso"}
    asked = ()
    authorize_url = "https://contoso.sharefile.com/oauth/authorize"
    token_url = "https://contoso.sharefile.com/oauth/token"
    account_url = "https://contoso.sf-api.com/sf/v3/Users"
    life = 28800
    account = ("d3c1", "alice@contoso.example")
    extra: ClassVar = {"subdomain": "contoso", "apicp": "sf-api.com"}

    def token_fields(
        self, fields: dict[str, Any], _authorization: Authorization, *, is_refresh: bool
    ) -> dict[str, Any]:
        return fields | {"subdomain": "contoso", "apicp": "sf-api.com", "appcp": "sharefile.com"}

    def account_fields(self) -> dict[str, Any]:
        return {"Id": "d3c1", "Email": "alice@contoso.example", "FullName": "Alice Adams"}


class QuickBooks(Cloud):
    type_id = "quickbooks-online"
    values: ClassVar = {"accounts": "sandbox-accounts.platform.intuit.com"}
    chosen = ("com.intuit.quickbooks.accounting",)
    asked = ("openid", "email", "com.intuit.quickbooks.accounting")
    authorize_url = "https://appcenter.intuit.com/connect/oauth2"
    token_url = "https://oauth.platform.intuit.com/oauth2/v1/tokens/bearer"
    account_url = "https://sandbox-accounts.platform.intuit.com/v1/openid_connect/userinfo"
    revoke_url = "https://developer.api.intuit.com/v2/oauth2/tokens/revoke"
    basic = True
    rotates = single_use = False
    returns: ClassVar = {"realmId": "4620816365001234567"}
    account = ("4620816365001234567/d2e3", "alice@contoso.example/4620816365001234567")
    extra: ClassVar = {"realm_id": "4620816365001234567"}

    def token_fields(self, fields: dict[str, Any], authorization: Authorization, *, is_refresh: bool) -> dict[str, Any]:
        """The refresh token comes each time, mostly the same one; scopes do not."""
        kept = {name: value for name, value in fields.items() if name != "scope"}
        more = {"refresh_token": authorization.refresh_tokens[-1], "x_refresh_token_expires_in": 8726400}
        return kept | more | ({} if is_refresh else {"id_token": "not looked at"})

    def account_fields(self) -> dict[str, Any]:
        return {"sub": "d2e3", "email": "alice@contoso.example", "emailVerified": True}

    def revoke(self, request: requests.PreparedRequest) -> Answer:
        """JSON, and either token ends both."""
        assert request.headers["Content-Type"] == "application/json"
        self.authenticate(request, {})
        self.end_all(json.loads(request.body or b"")["token"])
        return Answer()


class Notion(Cloud):
    type_id = "notion"
    asked = ()
    authorize_url, token_url = "https://api.notion.com/v1/oauth/authorize", "https://api.notion.com/v1/oauth/token"
    revoke_url = "https://api.notion.com/v1/oauth/revoke"
    authorize_extra: ClassVar = {"owner": "user"}
    reauthorize_extra = authorize_extra
    basic = True
    pkce = False
    life = 315360000
    account = ("w-1/u-1", "alice@contoso.example/Contoso")

    @staticmethod
    def form(request: requests.PreparedRequest) -> dict[str, str]:
        assert request.headers["Content-Type"] == "application/json"
        form = json.loads(request.body or b"")
        assert set(form) <= {"grant_type", "code", "redirect_uri", "refresh_token", "token"}
        assert isinstance(form, dict)
        return form

    def token_fields(
        self, fields: dict[str, Any], _authorization: Authorization, *, is_refresh: bool
    ) -> dict[str, Any]:
        """No life, and whose token it is."""
        person = {"object": "user", "id": "u-1", "type": "person", "person": {"email": "alice@contoso.example"}}
        whose = {"workspace_id": "w-1", "workspace_name": "Contoso", "owner": {"type": "user", "user": person}}
        kept = {name: value for name, value in fields.items() if name != "expires_in"}
        return kept | whose | {"bot_id": secrets.token_hex(4), "workspace_icon": None, "duplicated_template_id": None}

    def revoke(self, request: requests.PreparedRequest) -> Answer:
        form = self.form(request)
        self.authenticate(request, {})
        self.end_all(form["token"])
        return Answer.json({"request_id": "r-1"})


class Linear(Cloud):
    type_id = "linear"
    chosen = ("issues:create",)
    asked = ("read", "issues:create")
    delimiter = ","
    authorize_url, token_url = "https://linear.app/oauth/authorize", "https://api.linear.app/oauth/token"
    account_url, revoke_url = "https://api.linear.app/graphql", "https://api.linear.app/oauth/revoke"
    reauthorize_extra: ClassVar = {"prompt": "consent"}
    life = 86399
    account = ("o-1/v-1", "alice@contoso.example/Contoso")

    def token_fields(self, fields: dict[str, Any], authorization: Authorization, *, is_refresh: bool) -> dict[str, Any]:
        return fields | {"scope": " ".join(authorization.scopes)}

    def who(self, request: requests.PreparedRequest) -> Answer:
        """GraphQL: one address, and what is asked for is in the body."""
        assert request.method == "POST"
        assert request.headers["Content-Type"] == "application/json"
        self.bearer(request)
        query = json.loads(request.body or b"")["query"]
        assert " ".join(query.split()) == "{ viewer { id name email organization { id name } } }"
        workspace = {"id": "o-1", "name": "Contoso"}
        viewer = {"id": "v-1", "name": "Alice Adams", "email": "alice@contoso.example", "organization": workspace}
        return Answer.json({"data": {"viewer": viewer}})

    def revoke(self, request: requests.PreparedRequest) -> Answer:
        form = self.form(request)
        assert set(form) == {"token"}
        if not self.is_live(form["token"]):
            return Answer(400)
        self.end_all(form["token"])
        return Answer()


class AcrobatSign(Cloud):
    type_id = "acrobat-sign"
    values: ClassVar = {"shard": "eu1"}
    chosen = ("agreement_send:self",)
    asked = ("user_read:self", "agreement_send:self")
    authorize_url = "https://secure.eu1.adobesign.com/public/oauth/v2"
    token_url = "https://api.eu1.adobesign.com/oauth/v2/token"
    refresh_url = "https://api.eu1.adobesign.com/oauth/v2/refresh"
    account_url = "https://api.eu1.adobesign.com/api/rest/v6/users/me"
    revoke_url = "https://api.eu1.adobesign.com/oauth/v2/revoke"
    rotates = single_use = False
    account = ("CBJCHBCAABAA", "alice@contoso.example")
    returns: ClassVar = {
        "api_access_point": "https://api.eu1.echosign.com/",
        "web_access_point": "https://secure.eu1.echosign.com/",
    }
    extra: ClassVar = {
        "api_access_point": "https://api.eu1.adobesign.com/",
        "web_access_point": "https://secure.eu1.adobesign.com/",
    }
    refresh_errors: ClassVar = [(Answer.json({"error": "INVALID_GRANT"}, 400), CloudRefused)]

    def _route(self, request: requests.PreparedRequest, url: str) -> Answer:
        """A code at the one address, a refresh token at the other."""
        if url in (self.token_url, self.refresh_url):
            expected = "authorization_code" if url == self.token_url else "refresh_token"
            assert self.form(request)["grant_type"] == expected
            return self.token(request)
        return super()._route(request, url)

    def token_fields(
        self, fields: dict[str, Any], _authorization: Authorization, *, is_refresh: bool
    ) -> dict[str, Any]:
        """Where the account is comes with the code's answer alone."""
        kept = {name: value for name, value in fields.items() if name != "scope"}
        return kept | ({} if is_refresh else self.extra)

    def account_fields(self) -> dict[str, Any]:
        return {"id": "CBJCHBCAABAA", "email": "alice@contoso.example", "firstName": "Alice", "status": "ACTIVE"}

    def revoke(self, request: requests.PreparedRequest) -> Answer:
        """The token alone; errors in capitals."""
        form = self.form(request)
        assert set(form) == {"token"}
        if not self.is_live(form["token"]):
            return Answer.json({"code": "EXPIRED_TOKEN", "message": "The token is expired or already revoked"}, 400)
        self.end_all(form["token"])
        return Answer()


class DocuShareFlex(Cloud):
    """Nobody outside knows its addresses: an administrator types them."""

    type_id = "docushare-flex"
    authorize_url, token_url = "https://docushare.example/authorize", "https://docushare.example/token"
    account_url = "https://docushare.example/me"
    values: ClassVar = {
        "authorization_endpoint": authorize_url,
        "token_endpoint": token_url,
        "userinfo_endpoint": account_url,
    }
    asked = ()
    basic = True
    account = ("alice", "alice@contoso.example")

    def account_fields(self) -> dict[str, Any]:
        return {"username": "alice", "email": "alice@contoso.example"}


CLOUDS: tuple[type[Cloud], ...] = (
    Generic, OAuth2, Microsoft, Google, Box, Dropbox, IManage, NetDocuments, Slack, GitHub, Salesforce, Atlassian, Zoom,
    DocuSign, ServiceNow, HubSpot, Xero, Webex, Asana, Miro, Zoho, Egnyte, ShareFile, QuickBooks, Notion, Linear,
    AcrobatSign, DocuShareFlex,
)  # fmt: skip
