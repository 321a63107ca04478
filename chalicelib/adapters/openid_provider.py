"""The OpenID provider that people may sign in with: its discovery, our secret there, the id_token of who came back."""

import logging
from collections.abc import Iterator, Mapping
from dataclasses import replace
from typing import Any

from chalicelib.domain.authorization_request import AuthorizationRequest
from chalicelib.domain.authorization_server import AuthorizationServer
from chalicelib.domain.configuration import ConfigurationFault
from chalicelib.domain.errors import CloudError, CloudMisconfigured
from chalicelib.domain.secret import Secret
from chalicelib.domain.sign_in import SignInSettings
from chalicelib.ports import Client, Clock, Identity, OAuthClient, PostAsPerson

from .dialects import STANDARD
from .oauth_client import NOTICEABLE_SECONDS, WRONG_SECRET
from .secrets_manager import SecretsManager, SecretUnreadable

SERVER_SECONDS = 3600
"""How long a discovery document is used; where a newer one cannot be had, the last one is, for as long as need be."""
_RETRY_SECONDS = 60
"""Before a newer one is asked for again then."""
_SETTING = "VAULT_SIGN_IN"
_LOG = logging.getLogger(__name__)


class OpenIdProvider:
    """Implements `ports.IdentityProvider`."""

    def __init__(
        self, settings: SignInSettings, secrets: SecretsManager, oauth_client: OAuthClient, clock: Clock
    ) -> None:
        self._settings = settings
        self._secrets = secrets
        self._oauth_client = oauth_client
        self._clock = clock
        hosted = {"hd": settings.hosted_domain} if settings.hosted_domain else {}
        again = {**hosted, **settings.preset.again}
        self._dialect = replace(STANDARD, authorize_parameters=hosted, reauthorize_parameters=again)
        self._server: AuthorizationServer | None = None
        self._server_until = 0

    def server(self) -> AuthorizationServer:
        """See `ports.IdentityProvider`."""
        if self._server is None or self._clock.now() >= self._server_until:
            try:
                self._server = self._oauth_client.discover(self._settings.issuer)
                self._server_until = self._clock.now() + SERVER_SECONDS
            except CloudError:
                if self._server is None:
                    raise
                self._server_until = self._clock.now() + _RETRY_SECONDS
        return self._server

    def authorization_url(self, request: AuthorizationRequest, *, state: str, code_verifier: str, anew: bool) -> str:
        """See `ports.IdentityProvider`."""
        return self._oauth_client.authorization_url(
            request, self._dialect, state=state, code_verifier=code_verifier, again=anew
        )

    def identity(self, request: AuthorizationRequest, *, code: str, code_verifier: Secret) -> Identity:
        """See `ports.IdentityProvider`."""
        secret = self._client_secret()
        try:
            return self._identify(request, secret, code, code_verifier)
        except CloudMisconfigured as error:
            if error.error not in WRONG_SECRET:
                raise
            # Perhaps it was replaced since it was read. The code is not spent by this (RFC 6749 4.1.3)
            newest = self._client_secret(anew=True)
            if newest == secret:
                raise
        return self._identify(request, newest, code, code_verifier)

    def _identify(self, request: AuthorizationRequest, secret: Secret, code: str, code_verifier: Secret) -> Identity:
        return self._oauth_client.identify(
            Client(self._settings.client_id, secret, request.server),
            request,
            code=code,
            code_verifier=code_verifier,
            asks_userinfo=self._settings.preset.asks_userinfo,
            complete=self._with_groups,
        )

    def _with_groups(self, claims: Mapping[str, Any], post: PostAsPerson) -> Mapping[str, Any]:
        """With the groups that did not fit into the id_token, as Microsoft Graph has them.

        The address is ours: the one in `_claim_sources` is that of a retired service, and no token follows a claim.
        """
        if not self._settings.graph_host or not self._settings.names_no_groups(claims):
            return claims
        try:
            url = f"https://{self._settings.graph_host}/v1.0/me/getMemberObjects"
            found = post(url, {"securityEnabledOnly": False}).get("value")
        except CloudError as error:
            _LOG.warning("sign_in.groups_unread", extra={"code": error.code, "detail": error.detail})
            return claims
        return {**claims, self._settings.groups_claims[0]: found} if isinstance(found, list) else claims

    def faults(self) -> Iterator[ConfigurationFault]:
        """See `ports.IdentityProvider`."""
        name = self._settings.client_secret
        try:
            self._secrets.read(name, anew=True)
        except SecretUnreadable as error:
            words = f"The secret {name} (client_secret) cannot be read from Secrets Manager: {error}."
            yield ConfigurationFault(_SETTING, "secret_unreadable", words)
        issuer = self._settings.issuer
        try:
            self._oauth_client.discover(issuer)
            ahead = self._oauth_client.clock_ahead(issuer) or 0
        except CloudError as error:
            words = f"The discovery document of {issuer} cannot be used: {error.detail or error.code}."
            yield ConfigurationFault(_SETTING, "discovery_failed", words)
            return
        if abs(ahead) > NOTICEABLE_SECONDS:
            where = "ahead of" if ahead > 0 else "behind"
            words = (
                f"The clock of {issuer} is {abs(ahead)} seconds {where} this machine's. More than 300 sign nobody in."
            )
            yield ConfigurationFault(_SETTING, "clock_differs", words)

    def _client_secret(self, *, anew: bool = False) -> Secret:
        try:
            return self._secrets.read(self._settings.client_secret, anew=anew)
        except SecretUnreadable as error:
            problem = str(error)
        raise CloudMisconfigured("secret_unreadable", detail=f"client_secret of {_SETTING}: {problem}")
