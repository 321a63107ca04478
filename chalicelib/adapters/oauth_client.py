"""The vault as an OAuth 2.0 and OpenID Connect client, on Authlib and requests.

Authlib authenticates us. What comes back is read here and not by Authlib, which takes any JSON object without `error`
for a token; and the whole URL of a callback is never handed to it, since one without a code would make it send a
client_credentials request with our secret (R42).
"""

import base64
import logging
from collections.abc import Iterator, Mapping
from contextlib import contextmanager, suppress
from dataclasses import replace
from functools import partial
from types import MappingProxyType
from typing import Any
from urllib.parse import parse_qsl, quote, quote_plus, urlencode, urlsplit

from authlib.integrations.requests_client import OAuth2Session
from authlib.oauth2.rfc7636 import create_s256_code_challenge
from requests import Response
from requests.exceptions import InvalidSchema, InvalidURL, MissingSchema

from chalicelib.domain.authorization_request import AuthorizationRequest
from chalicelib.domain.authorization_server import AuthorizationServer, ClientAuthentication
from chalicelib.domain.errors import (
    CloudAnswerForged,
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
from chalicelib.ports import Client, Clock, Completion, Identity

from . import cloud_transport
from .cloud_transport import CloudTransport
from .dialects import STANDARD, api_request, scope_parameters, token_request
from .endpoint_guard import EndpointGuard
from .id_token import IdTokenVerifier
from .oauth_answers import (
    OFFLINE,
    account,
    extra,
    json_object,
    names_somebody,
    raise_for_error,
    token_answer,
    token_set,
)
from .oauth_discovery import authorization_server, document_url

_LOG = logging.getLogger(__name__)

NOTICEABLE_SECONDS = 60
"""By so much two clocks that are set by a time server never differ."""
_OPENID = "openid"
_HTTP_OK = 200
_GONE = (204, 404)
"""Deleted now, or before."""
_SKEW_SECONDS = 60
WRONG_SECRET = ("invalid_client", "bad_client_secret", "incorrect_client_credentials")
"""Words for a client whose secret a server does not know."""
_JSON: Mapping[str, str] = MappingProxyType({"Accept": "application/json"})


class AuthlibClient:
    """Implements `ports.OAuthClient`. Holds nothing but public keys; every operation has a session of its own."""

    def __init__(self, clock: Clock, guard: EndpointGuard) -> None:
        self._clock = clock
        self._guard = guard
        self._id_tokens = IdTokenVerifier(clock)

    def authorization_url(
        self, request: AuthorizationRequest, provider_type: ProviderType, *, state: str, code_verifier: str, again: bool
    ) -> str:
        """See `ports.OAuthClient`. Raises CloudMisconfigured for an endpoint no browser should be sent to."""
        endpoint = request.server.authorization_endpoint
        with suppress(CloudUnavailable):  # the browser asks another name server: that ours is silent proves nothing
            self._guard.permit(endpoint)
        extra = provider_type.reauthorize_parameters if again else provider_type.authorize_parameters
        protocol = _protocol_parameters(request, provider_type, state, code_verifier)
        # The later ones win, so that neither the endpoint's own query nor the type can override the protocol's
        parameters = dict(parse_qsl(urlsplit(endpoint).query)) | extra | protocol
        return f"{endpoint.partition('?')[0]}?{urlencode(parameters, quote_via=quote)}"

    def exchange_code(
        self,
        client: Client,
        provider_type: ProviderType,
        request: AuthorizationRequest,
        *,
        code: str,
        code_verifier: Secret,
        brought: Mapping[str, str] | None = None,
    ) -> tuple[TokenSet, CloudAccount]:
        """See `ports.OAuthClient` (RFC 6749 4.1.3, RFC 7636 4.5)."""
        _check_identity_source(request, provider_type)
        form = {"grant_type": "authorization_code", "code": code, "redirect_uri": request.redirect_uri}
        if provider_type.uses_pkce:
            form["code_verifier"] = code_verifier.reveal()
        with self.session(client) as session:
            answer = _ask_for_tokens(session, client, provider_type, form, Secret(code), code_verifier)
            tokens = token_set(answer, provider_type, request.scopes, self._clock.now())
            with _received(tokens):
                claims = self._claims(session, provider_type, request, answer, tokens.access_token)
                more = extra(claims, provider_type.account_extra_fields)
                less = brought or {}
                known = account({**less, **claims}, provider_type)
                return replace(tokens, extra={**less, **tokens.extra, **more}), known

    def identify(
        self,
        client: Client,
        request: AuthorizationRequest,
        *,
        code: str,
        code_verifier: Secret,
        asks_userinfo: bool,
        complete: Completion | None = None,
    ) -> Identity:
        """See `ports.OAuthClient`. Neither access token nor refresh token outlives this call."""
        form = {
            "grant_type": "authorization_code",
            "code": code,
            "redirect_uri": request.redirect_uri,
            "code_verifier": code_verifier.reveal(),
        }
        with self.session(client) as session:
            answer = _ask_for_tokens(session, client, STANDARD, form, Secret(code), code_verifier)
            _note_clock(session, client.server.token_endpoint)

            def access_token() -> Secret:
                return token_set(answer, STANDARD, request.scopes, self._clock.now()).access_token

            claims: Mapping[str, Any] = self._id_tokens.verify(answer.get("id_token"), request, partial(_get, session))
            if asks_userinfo and request.server.userinfo_endpoint:
                userinfo = _userinfo(session, request.server.userinfo_endpoint, access_token())
                claims = _of_same_subject(userinfo, claims)
            if complete:
                claims = complete(claims, lambda url, body: _post(session, url, access_token(), body))
            return Identity(claims, Secret(answer["id_token"]))

    def refresh(self, client: Client, provider_type: ProviderType, tokens: TokenSet) -> TokenSet:
        """See `ports.OAuthClient` (RFC 6749 6). Some clouds pin the resource by the scopes that go along."""
        current = tokens.refresh_token or Secret("")
        form = {"grant_type": "refresh_token", "refresh_token": current.reveal()}
        # What was granted before `offline_access` was noted has it nonetheless
        asked = tuple(dict.fromkeys([*tokens.scopes, *({OFFLINE}.intersection(provider_type.required_scopes))]))
        if provider_type.refresh_sends_scope:
            form["scope"] = provider_type.scope_delimiter.join(asked)
        with self.session(client, seconds=cloud_transport.REFRESH_SECONDS) as session:
            answer = _ask_for_tokens(session, client, provider_type, form, current, tokens.access_token)
        fresh = token_set(answer, provider_type, asked, self._clock.now(), is_renewable=True)
        kept = fresh.refresh_token or tokens.refresh_token
        return replace(fresh, refresh_token=kept, extra=tokens.extra | fresh.extra)

    def revoke(self, client: Client, provider_type: ProviderType, tokens: TokenSet) -> None:
        """See `ports.OAuthClient`."""
        endpoint = (client.server.revocation_endpoint or "").replace("{client_id}", quote(client.id, safe=""))
        if not endpoint:
            raise CloudMisconfigured("no_revocation_endpoint")
        if provider_type.revocation is RevocationStyle.BEARER:
            try:
                tokens = self._alive(client, provider_type, tokens)
            except CloudMisconfigured:
                raise
            except CloudRefused:
                return  # neither token is good for anything any more
        for token in _to_be_revoked(tokens, provider_type):
            try:
                self._revoke(client, provider_type, endpoint, token)
            except CloudMisconfigured as error:
                if client.older_secret is None or error.error not in WRONG_SECRET:
                    raise
                self._revoke(replace(client, secret=client.older_secret), provider_type, endpoint, token)

    def _revoke(self, client: Client, provider_type: ProviderType, endpoint: str, token: Secret) -> None:
        with self.session(client) as session:
            response = _REVOCATIONS[provider_type.revocation](session, client, endpoint, token)
        self._check_revoked(response, provider_type, client.secret, token)

    def _alive(self, client: Client, provider_type: ProviderType, tokens: TokenSet) -> TokenSet:
        """A call with a token that has expired would end nothing."""
        has_expired = tokens.expires_at <= self._clock.now() + _SKEW_SECONDS
        return self.refresh(client, provider_type, tokens) if has_expired and tokens.refresh_token else tokens

    @staticmethod
    def _check_revoked(response: Response, provider_type: ProviderType, *hide: Secret) -> None:
        try:
            raise_for_error(response, *hide, provider_type=provider_type)
        except (CloudRefused, CloudRefusalUnclear) as error:
            if error.error in provider_type.ended_words:
                return
            raise
        is_gone = provider_type.revocation is RevocationStyle.REST_DELETE and response.status_code in _GONE
        if response.status_code != _HTTP_OK and not is_gone:
            raise CloudAnswerInvalid(detail=f"HTTP {response.status_code} from the revocation endpoint")

    def discover(self, issuer: str) -> AuthorizationServer:
        """See `ports.OAuthClient`."""
        with self.session() as session:
            server = authorization_server(issuer, _get(session, document_url(issuer)))
        for url in server.endpoints().values():
            self._guard.check(url)
        return server

    def clock_ahead(self, issuer: str) -> int | None:
        """See `ports.OAuthClient`."""
        url = document_url(issuer)
        with self.session() as session:
            _get(session, url)
            return _clock_ahead(session, url)

    def endpoint_faults(self, server: AuthorizationServer) -> dict[str, str]:
        """See `ports.OAuthClient`."""
        faults = {name: self._guard.fault(url) for name, url in server.endpoints().items()}
        return {name: sentence for name, sentence in faults.items() if sentence}

    def json_object(self, url: str) -> dict[str, Any]:
        """The JSON object at a public address, for example a JWKS. Raises a CloudError."""
        with self.session() as session:
            return _get(session, url)

    @contextmanager
    def session(self, client: Client | None = None, *, seconds: float | None = None) -> Iterator[Any]:
        """A session for one operation, as `client` or as nobody, that begins no request after so many `seconds`."""
        session = _authenticated(client) if client else OAuth2Session()
        session.trust_env = False  # no proxy, CA file or password file that the environment names
        transport = CloudTransport(self._guard, self._clock, seconds)
        session.mount("https://", transport)
        session.mount("http://", transport)
        try:
            with session:
                yield session
        except (InvalidSchema, InvalidURL, MissingSchema):
            raise CloudMisconfigured("endpoint_refused", detail="endpoint refused: not a URL") from None

    def _claims(
        self,
        session: Any,
        provider_type: ProviderType,
        request: AuthorizationRequest,
        answer: dict[str, Any],
        access_token: Secret,
    ) -> dict[str, Any]:
        """Who consented: what the verified id_token says, and userinfo where that names nobody."""
        fetch = partial(_get, session)
        userinfo_endpoint = request.server.userinfo_endpoint
        source = _account_source(request, provider_type)
        if source is AccountSource.ANSWER:
            return answer
        if source is AccountSource.USERINFO:
            return _get(session, userinfo_endpoint or "", access_token, provider_type)
        claims = self._id_tokens.verify(answer.get("id_token"), request, fetch)
        if userinfo_endpoint is None or names_somebody(claims, provider_type):
            return claims
        userinfo = {}
        with suppress(CloudError):  # the account is known: its label alone is not worth a consent
            userinfo = _get(session, userinfo_endpoint, access_token, provider_type)
        return _of_same_subject(userinfo, claims) if userinfo else claims


@contextmanager
def _received(tokens: TokenSet) -> Iterator[None]:
    """Whatever goes wrong from here on, the error brings the tokens to whoever can end them (R95)."""
    try:
        yield
    except Exception as error:
        known = error if isinstance(error, CloudError) else CloudAnswerInvalid(detail=type(error).__name__)
        known.received = tokens
        raise known from error


def _clock_ahead(session: Any, url: str) -> int | None:
    ahead: int | None = session.get_adapter(url).ahead
    return ahead


def _note_clock(session: Any, url: str) -> None:
    """A line of the log where the other clock is noticeably wrong, or ours is."""
    ahead = _clock_ahead(session, url)
    if ahead is not None and abs(ahead) > NOTICEABLE_SECONDS:
        _LOG.warning("cloud.clock_differs", extra={"server": urlsplit(url).hostname, "seconds": ahead})


def _userinfo(session: Any, endpoint: str, access_token: Secret) -> dict[str, Any]:
    """Raises CloudUnavailable or CloudAnswerInvalid: the sign-in itself was not refused."""
    try:
        return _get(session, endpoint, access_token)
    except CloudUnavailable:
        raise
    except CloudError as error:
        raise CloudAnswerInvalid(detail=f"userinfo: {error.detail or error.code}") from error


def _of_same_subject(userinfo: dict[str, Any], claims: Mapping[str, Any]) -> dict[str, Any]:
    """Both together; what is signed wins (OpenID Connect Core 5.3.2)."""
    if "sub" not in userinfo:
        raise CloudAnswerInvalid(detail="userinfo: no sub")
    if userinfo.get("sub") != claims["sub"]:
        raise CloudAnswerForged(detail="userinfo: another sub")
    return {**userinfo, **claims}


def _authenticated(client: Client) -> Any:
    method = client.server.client_authentication.value
    session = OAuth2Session(
        client.id,
        client.secret.reveal(),
        token_endpoint_auth_method=method,
        revocation_endpoint_auth_method=method,
    )
    session.register_client_auth_method((ClientAuthentication.BASIC.value, _encoded_basic))
    return session


def _protocol_parameters(
    request: AuthorizationRequest, provider_type: ProviderType, state: str, code_verifier: str
) -> dict[str, str]:
    parameters = {
        "response_type": "code",
        "client_id": request.client_id,
        "redirect_uri": request.redirect_uri,
        "state": state,
        **scope_parameters(request.scopes, provider_type),
    }
    if _account_source(request, provider_type) is AccountSource.OPENID:
        parameters["nonce"] = request.nonce
    if provider_type.uses_pkce:
        parameters["code_challenge"] = create_s256_code_challenge(code_verifier)
        parameters["code_challenge_method"] = "S256"
    return parameters


def _account_source(request: AuthorizationRequest, provider_type: ProviderType) -> AccountSource:
    """There is no id_token without the scope `openid` (OpenID Connect Core 3.1.2.1)."""
    if provider_type.account_from is AccountSource.OPENID and _OPENID not in request.scopes:
        return AccountSource.USERINFO
    return provider_type.account_from


def _check_identity_source(request: AuthorizationRequest, provider_type: ProviderType) -> None:
    """Before the code is spent: without an identity a second account could not be told from the first."""
    server = request.server
    known = {
        AccountSource.OPENID: server.issuer and server.jwks_uri,
        AccountSource.USERINFO: server.userinfo_endpoint,
        AccountSource.ANSWER: True,
    }
    if not known[_account_source(request, provider_type)]:
        raise CloudMisconfigured("no_identity_source", detail="neither an id_token nor userinfo can name the account")


def _ask_for_tokens(
    session: Any, client: Client, provider_type: ProviderType, form: dict[str, str], *hide: Secret
) -> dict[str, Any]:
    """The token endpoint's answer. Codes and many refresh tokens work once: a request is sent once.

    Only where the cloud does not know the newest client secret, and so has not looked at the rest (RFC 6749 4.1.3),
    the older one is tried.
    """
    try:
        response = _posted(session, client, provider_type, form)
        return token_answer(response, client.secret, *hide, provider_type=provider_type)
    except CloudMisconfigured as error:
        if client.older_secret is None or error.error not in WRONG_SECRET:
            raise
    older = replace(client, secret=client.older_secret, older_secret=None)
    with_older = _authenticated(older)
    with_older.adapters = session.adapters
    response = _posted(with_older, older, provider_type, form)
    return token_answer(response, older.secret, *hide, provider_type=provider_type)


def _posted(session: Any, client: Client, provider_type: ProviderType, form: dict[str, str]) -> Response:
    url, carried = token_request(client.server.token_endpoint, form, provider_type)
    authentication = session.client_auth(client.server.client_authentication.value)
    response: Response = session.post(url, **carried, auth=authentication, headers=_JSON, withhold_token=True)
    return response


def _to_be_revoked(tokens: TokenSet, provider_type: ProviderType) -> list[Secret]:
    if provider_type.revocation in (RevocationStyle.BEARER, RevocationStyle.REST_DELETE):
        return [tokens.access_token]
    named = {"refresh_token": tokens.refresh_token, "access_token": tokens.access_token}
    found = [token for name in provider_type.revoked_tokens if (token := named[name])]
    return found or [tokens.access_token]


def _revoke_as_client(session: Any, _client: Client, endpoint: str, token: Secret) -> Response:
    """RFC 7009 2.1. No hint goes along: it is optional, and a wrong one only costs time."""
    response: Response = session.revoke_token(endpoint, token=token.reveal(), headers={**_JSON})
    return response


def _revoke_by_json(session: Any, client: Client, endpoint: str, token: Secret) -> Response:
    authentication = session.client_auth(client.server.client_authentication.value)
    body = {"token": token.reveal()}
    response: Response = session.post(endpoint, json=body, auth=authentication, headers=_JSON, withhold_token=True)
    return response


def _revoke_as_nobody(session: Any, _client: Client, endpoint: str, token: Secret) -> Response:
    response: Response = session.post(endpoint, data={"token": token.reveal()}, headers=_JSON, withhold_token=True)
    return response


def _revoke_by_call(session: Any, _client: Client, endpoint: str, token: Secret) -> Response:
    headers = {**_JSON, "Authorization": f"Bearer {token.reveal()}"}
    response: Response = session.post(endpoint, headers=headers, withhold_token=True)
    return response


def _revoke_by_delete(session: Any, client: Client, endpoint: str, token: Secret) -> Response:
    pair = base64.b64encode(f"{client.id}:{client.secret.reveal()}".encode()).decode()
    headers = {**_JSON, "Authorization": f"Basic {pair}"}
    body = {"access_token": token.reveal()}
    response: Response = session.delete(endpoint, json=body, headers=headers, withhold_token=True)
    return response


_REVOCATIONS = {
    RevocationStyle.RFC7009: _revoke_as_client,
    RevocationStyle.RFC7009_JSON: _revoke_by_json,
    RevocationStyle.RFC7009_WITHOUT_CLIENT: _revoke_as_nobody,
    RevocationStyle.BEARER: _revoke_by_call,
    RevocationStyle.REST_DELETE: _revoke_by_delete,
}


def _get(
    session: Any, url: str, access_token: Secret | None = None, provider_type: ProviderType = STANDARD
) -> dict[str, Any]:
    """The JSON object at `url`. Tried twice where nothing came back: reading changes nothing."""
    method, carried = api_request(access_token.reveal(), provider_type) if access_token else ("GET", {})
    headers = {**_JSON, **carried.pop("headers", {})}
    get = partial(session.request, method, url, headers=headers, withhold_token=True, **carried)
    try:
        response = get()
    except CloudUnavailable as error:
        if error.retry_after is not None:
            raise
        response = get()
    return json_object(response, *filter(None, [access_token]), provider_type=provider_type)


def _post(session: Any, url: str, access_token: Secret, body: Mapping[str, Any]) -> dict[str, Any]:
    """The JSON object that comes back for one."""
    headers = {**_JSON, "Authorization": f"Bearer {access_token.reveal()}"}
    response = session.post(url, json=dict(body), headers=headers, withhold_token=True)
    return json_object(response, access_token)


def _encoded_basic(client: Any, _method: str, uri: str, headers: Any, body: Any) -> tuple[str, Any, Any]:
    """HTTP Basic with id and secret form-encoded first (RFC 6749 2.3.1), which Authlib leaves out."""
    pair = f"{quote_plus(client.client_id)}:{quote_plus(client.client_secret)}"
    headers["Authorization"] = "Basic " + base64.b64encode(pair.encode()).decode()
    return uri, headers, body
