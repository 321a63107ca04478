"""Tests a provider before any user meets its faults. Nothing is stored; what is sent is made up, but for the client."""

import secrets
import time
from collections.abc import Iterable
from email.utils import mktime_tz, parsedate_tz
from typing import Any
from urllib.parse import urlsplit

from requests import Response

from chalicelib.domain.authorization_request import AuthorizationRequest
from chalicelib.domain.directory_report import Step, Steps
from chalicelib.domain.errors import (
    CloudAnswerInvalid,
    CloudError,
    CloudMisconfigured,
    CloudRefusalUnclear,
    CloudRefused,
    CloudUnavailable,
)
from chalicelib.domain.provider import Provider
from chalicelib.domain.provider_report import CLOUD_ADVICE, CloudStep
from chalicelib.domain.provider_type import ProviderType, RevocationStyle
from chalicelib.domain.secret import Secret
from chalicelib.domain.token_set import TokenSet
from chalicelib.ports import Client, Clock

from .endpoint_guard import EndpointGuard
from .oauth_client import AuthlibClient
from .oauth_discovery import authorization_server, document_url

_CLOCK_SECONDS = 60
_CLIENT_ERROR = 400
_WITH_A_TOKEN = (RevocationStyle.RFC7009, RevocationStyle.RFC7009_JSON, RevocationStyle.RFC7009_WITHOUT_CLIENT)
_STANDARD_SCOPES = frozenset({"openid", "profile", "email", "address", "phone", "offline_access"})
_MADE_UP = "token-vault-test-"


class CloudCheck:
    """Implements `ports.ProviderCheck`."""

    def __init__(self, clock: Clock, guard: EndpointGuard) -> None:
        self._clock = clock
        self._guard = guard
        self._oauth = AuthlibClient(clock, guard)

    def check(
        self, provider: Provider, provider_type: ProviderType, client: Client, redirect_uri: str
    ) -> tuple[Step, ...]:
        """See `ports.ProviderCheck`. Ends where nothing later could go well."""
        steps = Steps(time.monotonic, CLOUD_ADVICE)
        if self._addresses(steps, provider.server.endpoints().values()):
            if provider_type.is_discovered:
                self._discovery(steps, provider, provider_type)
            self._authorization(steps, provider, provider_type, redirect_uri)
            if self._client(steps, provider_type, client):
                self._revocation(steps, provider_type, client)
        return tuple(steps.steps)

    def _addresses(self, steps: Steps, urls: Iterable[str]) -> bool:
        for url in urls:
            host = urlsplit(url).hostname or ""
            try:
                self._guard.check(url)
                self._guard.addresses(host)
            except CloudMisconfigured as error:
                steps.add(CloudStep.ADDRESSES, error.detail, code="address_refused", server=host)
                return False
            except CloudUnavailable as error:
                steps.add(CloudStep.ADDRESSES, error.detail, code="name_not_resolved", server=host)
                return False
        steps.add(CloudStep.ADDRESSES, ", ".join(sorted({urlsplit(url).hostname or "" for url in urls})))
        return True

    def _discovery(self, steps: Steps, provider: Provider, provider_type: ProviderType) -> None:
        issuer = provider_type.issuer(provider.fields)
        try:
            document = self._oauth.json_object(document_url(issuer))
            server = authorization_server(issuer, document)
        except CloudError as error:
            steps.add(CloudStep.DISCOVERY, error.detail, code=_code(error, "discovery_wrong"), server=issuer)
            return
        changed = "" if server == provider.server else "discovery_changed"
        steps.add(CloudStep.DISCOVERY, code=changed, server=issuer)
        self._offers(steps, document, provider)

    @staticmethod
    def _offers(steps: Steps, document: dict[str, Any], provider: Provider) -> None:
        methods = document.get("code_challenge_methods_supported")
        has_s256 = not isinstance(methods, list) or "S256" in methods
        said = "S256" if isinstance(methods, list) else "not said; it is sent, and ignored where it is not known"
        steps.add(CloudStep.PKCE, said if has_s256 else "", code="" if has_s256 else "no_s256")
        offered = document.get("scopes_supported")
        if isinstance(offered, list):
            # Large clouds list the scopes of OpenID Connect alone
            asked = set(provider.scopes) & (
                _STANDARD_SCOPES if set(offered) <= _STANDARD_SCOPES else {*provider.scopes}
            )
            missing = sorted(asked - set(offered))
            steps.add(CloudStep.SCOPES, " ".join(missing), code="scopes_not_offered" if missing else "")

    def _authorization(self, steps: Steps, provider: Provider, provider_type: ProviderType, redirect_uri: str) -> None:
        """What a browser would get first. Whoever answers with a log-in page or a way to it has nothing against us."""
        request = _sample(provider, redirect_uri)
        verifier = _MADE_UP + secrets.token_urlsafe(32)
        try:
            url = self._oauth.authorization_url(
                request, provider_type, state=_MADE_UP, code_verifier=verifier, again=False
            )
            with self._oauth.session() as session:
                response = session.get(url, withhold_token=True)
        except CloudAnswerInvalid:
            steps.add(CloudStep.AUTHORIZATION, "goes on to a log-in page")
            return
        except CloudError as error:
            steps.add(CloudStep.AUTHORIZATION, error.detail, code=_code(error, "authorization_refused"))
            return
        refused = response.status_code >= _CLIENT_ERROR
        detail = f"HTTP {response.status_code}"
        steps.add(CloudStep.AUTHORIZATION, detail, code="authorization_refused" if refused else "")
        self._time(steps, response)

    def _time(self, steps: Steps, response: Response) -> None:
        parsed = parsedate_tz(response.headers.get("Date", ""))
        if parsed is not None:
            apart = round(mktime_tz(parsed) - self._clock.now())
            steps.add(CloudStep.CLOCK, f"{apart:+d} s", code="clock_off" if abs(apart) > _CLOCK_SECONDS else "")

    def _client(self, steps: Steps, provider_type: ProviderType, client: Client) -> bool:
        """A made-up refresh token: who refuses the token has accepted the client (RFC 6749 5.2)."""
        try:
            self._oauth.refresh(client, provider_type, self._made_up())
        except CloudMisconfigured as error:
            steps.add(CloudStep.CLIENT, error.detail, code="client_refused")
            return False
        except CloudRefusalUnclear as error:
            code = _unclear(error)
            steps.add(CloudStep.CLIENT, error.detail, code=code)
            return not code
        except CloudRefused as error:
            steps.add(CloudStep.CLIENT, error.detail)
            return True
        except CloudError as error:
            steps.add(CloudStep.CLIENT, error.detail, code=_code(error, "not_a_token_endpoint"))
            return False
        steps.add(CloudStep.CLIENT, code="took_anything")
        return False

    def _revocation(self, steps: Steps, provider_type: ProviderType, client: Client) -> None:
        """A made-up token counts as revoked already (RFC 7009 2.2); other ways cannot be tried without a real one."""
        if provider_type.revocation not in _WITH_A_TOKEN or not provider_type.can_revoke(client.server):
            return
        try:
            self._oauth.revoke(client, provider_type, self._made_up())
        except CloudError as error:
            steps.add(CloudStep.REVOCATION, error.detail, code=_code(error, "revocation_refused"))
        else:
            steps.add(CloudStep.REVOCATION)

    def _made_up(self) -> TokenSet:
        token = Secret(_MADE_UP + secrets.token_urlsafe(16))
        return TokenSet(token, token, self._clock.now() + 3600, ())


def _sample(provider: Provider, redirect_uri: str) -> AuthorizationRequest:
    return AuthorizationRequest(
        state_hash="",
        flow_hash="",
        user_id="",
        provider_id=provider.id,
        generation=provider.generation,
        server=provider.server,
        client_id=provider.client_id,
        scopes=provider.scopes,
        redirect_uri=redirect_uri,
        nonce=_MADE_UP,
        code_verifier=b"",
        created_at=0,
    )


def _unclear(error: CloudRefusalUnclear) -> str:
    """Some clouds say of a token that they do not know what others say of a client that may not refresh."""
    if error.error.startswith("http_"):
        return "not_a_token_endpoint"
    return "client_or_token" if error.may_be_registration else ""


def _code(error: CloudError, otherwise: str) -> str:
    return "unreachable" if isinstance(error, CloudUnavailable) else otherwise
