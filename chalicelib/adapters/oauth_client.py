"""The vault as an OAuth 2.0 and OpenID Connect client, on Authlib and requests.

Authlib builds the requests and authenticates us. What comes back is read here and not by Authlib, which takes any
JSON object without `error` for a token; and the whole URL of a callback is never handed to it, since one without a
code would make it send a client_credentials request with our secret (R42).
"""

import base64
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from dataclasses import replace
from functools import partial
from typing import Any
from urllib.parse import parse_qsl, quote, quote_plus, urlencode, urlsplit

from authlib.integrations.requests_client import OAuth2Session
from authlib.oauth2.rfc7636 import create_s256_code_challenge
from requests import RequestException, Response
from requests.exceptions import InvalidSchema, InvalidURL, MissingSchema

from chalicelib.domain.authorization_request import AuthorizationRequest
from chalicelib.domain.errors import CloudAnswerInvalid, CloudError, CloudMisconfigured, CloudUnavailable
from chalicelib.domain.provider import AuthorizationServer, ClientAuthentication, ProviderType
from chalicelib.domain.secret import Secret
from chalicelib.domain.token_set import CloudAccount, TokenSet
from chalicelib.ports import Client, Clock

from .cloud_transport import CloudTransport
from .endpoint_guard import EndpointGuard
from .id_token import IdTokenVerifier
from .oauth_answers import clean, json_object, raise_for_error, token_set
from .oauth_discovery import authorization_server, document_url, endpoints

_OPENID = "openid"
_HTTP_OK = 200


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
        self._guard.check(endpoint)
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
    ) -> tuple[TokenSet, CloudAccount]:
        """See `ports.OAuthClient` (RFC 6749 4.1.3, RFC 7636 4.5)."""
        _check_identity_source(request)
        with self._session(client) as session:
            answer = _fetch_token(
                session, request, hide=(client.secret, Secret(code), code_verifier), code=code, verifier=code_verifier
            )
            tokens = token_set(answer, provider_type, request.scopes, self._clock.now())
            claims = self._claims(session, provider_type, request, answer.get("id_token"), tokens.access_token)
        return tokens, _account(claims, provider_type)

    def refresh(self, client: Client, provider_type: ProviderType, tokens: TokenSet) -> TokenSet:
        """See `ports.OAuthClient` (RFC 6749 6). The scopes go along: some clouds pin the resource by them."""
        current = tokens.refresh_token or Secret("")
        with self._session(client) as session:
            response = session.post(
                client.server.token_endpoint,
                data={
                    "grant_type": "refresh_token",
                    "refresh_token": current.reveal(),
                    "scope": provider_type.scope_delimiter.join(tokens.scopes),
                },
                auth=session.client_auth(client.server.client_authentication.value),
                headers={"Accept": "application/json"},
                withhold_token=True,
            )
        answer = json_object(response, client.secret, current)
        fresh = token_set(answer, provider_type, tokens.scopes, self._clock.now())
        kept = fresh.refresh_token or tokens.refresh_token
        return replace(fresh, refresh_token=kept, extra=tokens.extra | fresh.extra)

    def revoke(self, client: Client, token: Secret) -> None:
        """See `ports.OAuthClient`. No hint goes along: it is optional, and a wrong one only costs time."""
        endpoint = client.server.revocation_endpoint
        if endpoint is None:
            raise CloudMisconfigured("no_revocation_endpoint")
        with self._session(client) as session:
            response = session.revoke_token(endpoint, token=token.reveal(), headers={"Accept": "application/json"})
        raise_for_error(response, client.secret, token)
        if response.status_code != _HTTP_OK:
            raise CloudAnswerInvalid(detail=f"HTTP {response.status_code} from the revocation endpoint")

    def discover(self, issuer: str) -> AuthorizationServer:
        """See `ports.OAuthClient`."""
        with self._session() as session:
            server = authorization_server(issuer, _get(session, document_url(issuer)))
        for url in endpoints(server):
            self._guard.check(url)
        return server

    def json_object(self, url: str) -> dict[str, Any]:
        """The JSON object at a public address, for example a JWKS. Raises a CloudError."""
        with self._session() as session:
            return _get(session, url)

    @contextmanager
    def _session(self, client: Client | None = None) -> Iterator[Any]:
        """A session for one operation, as `client` or as nobody."""
        session = _authenticated(client) if client else OAuth2Session()
        session.trust_env = False  # no proxy, CA file or password file that the environment names
        transport = CloudTransport(self._guard, self._clock)
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
        id_token: object,
        access_token: Secret,
    ) -> dict[str, Any]:
        """Who consented: what the verified id_token says, and userinfo where that names nobody."""
        fetch = partial(_get, session)
        userinfo_endpoint = request.server.userinfo_endpoint
        if _OPENID not in request.scopes:
            return fetch(userinfo_endpoint or "", access_token)
        claims = self._id_tokens.verify(id_token, request, fetch)
        if userinfo_endpoint is None or _names_somebody(claims, provider_type):
            return claims
        userinfo = {}
        with suppress(CloudError):  # the account is known: its label alone is not worth a consent
            userinfo = fetch(userinfo_endpoint, access_token)
        if userinfo and userinfo.get("sub") != claims["sub"]:
            raise CloudAnswerInvalid(detail="userinfo: another sub")  # OpenID Connect Core 5.3.2
        return userinfo | claims


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
    nonce = {"nonce": request.nonce} if _OPENID in request.scopes else {}
    return nonce | {
        "response_type": "code",
        "client_id": request.client_id,
        "redirect_uri": request.redirect_uri,
        "scope": provider_type.scope_delimiter.join(request.scopes),
        "state": state,
        "code_challenge": create_s256_code_challenge(code_verifier),
        "code_challenge_method": "S256",
    }


def _check_identity_source(request: AuthorizationRequest) -> None:
    """Before the code is spent: without an identity a second account could not be told from the first."""
    server = request.server
    known = server.issuer and server.jwks_uri if _OPENID in request.scopes else server.userinfo_endpoint
    if not known:
        raise CloudMisconfigured("no_identity_source", detail="neither an id_token nor userinfo can name the account")


def _fetch_token(
    session: Any, request: AuthorizationRequest, *, hide: tuple[Secret, ...], code: str, verifier: Secret
) -> dict[str, Any]:
    """One request to the token endpoint. A code works once: whatever happens, it is never sent again."""

    def checked(response: Response) -> Response:
        json_object(response, *hide)
        return response

    session.register_compliance_hook("access_token_response", checked)
    try:
        return dict(
            session.fetch_token(
                request.server.token_endpoint,
                grant_type="authorization_code",
                code=code,
                redirect_uri=request.redirect_uri,
                code_verifier=verifier.reveal(),
            )
        )
    except RequestException:
        raise
    except (ValueError, TypeError, OverflowError):
        # Authlib converts expires_in and expires_at before we see them
        raise CloudAnswerInvalid(detail="expires_in is malformed") from None


def _get(session: Any, url: str, access_token: Secret | None = None) -> dict[str, Any]:
    """The JSON object at `url`. Tried twice where nothing came back: reading changes nothing."""
    headers = {"Accept": "application/json"}
    if access_token:
        headers["Authorization"] = f"Bearer {access_token.reveal()}"
    get = partial(session.get, url, headers=headers, withhold_token=True)
    try:
        response = get()
    except CloudUnavailable as error:
        if error.retry_after is not None:
            raise
        response = get()
    return json_object(response, *filter(None, [access_token]))


def _encoded_basic(client: Any, _method: str, uri: str, headers: Any, body: Any) -> tuple[str, Any, Any]:
    """HTTP Basic with id and secret form-encoded first (RFC 6749 2.3.1), which Authlib leaves out."""
    pair = f"{quote_plus(client.client_id)}:{quote_plus(client.client_secret)}"
    headers["Authorization"] = "Basic " + base64.b64encode(pair.encode()).decode()
    return uri, headers, body


def _names_somebody(claims: dict[str, Any], provider_type: ProviderType) -> bool:
    """True when there is a label that tells a person more than the subject does."""
    return any(claims.get(field) for field in provider_type.label_fields if field not in provider_type.subject_fields)


def _account(claims: dict[str, Any], provider_type: ProviderType) -> CloudAccount:
    subject = _first(claims, provider_type.subject_fields)
    if not subject:
        raise CloudAnswerInvalid(detail="the answer names no account")
    return CloudAccount(subject, clean(_first(claims, provider_type.label_fields)) or subject)


def _first(claims: dict[str, Any], fields: tuple[str, ...]) -> str:
    """The first field with a value. Some clouds have numbers for subjects."""
    values = (claims.get(field) for field in fields)
    return next((str(value) for value in values if value and type(value) in (str, int)), "")
