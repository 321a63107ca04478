"""The OpenID provider that people may sign in with: its discovery, our secret there, the id_token of who came back."""

from collections.abc import Iterator, Mapping
from dataclasses import replace
from typing import Any

from chalicelib.domain.authorization_request import AuthorizationRequest
from chalicelib.domain.authorization_server import AuthorizationServer
from chalicelib.domain.configuration import ConfigurationFault
from chalicelib.domain.errors import CloudError, CloudMisconfigured
from chalicelib.domain.secret import Secret
from chalicelib.domain.session import RECENT_LOGIN_SECONDS
from chalicelib.domain.sign_in import ProviderKind, SignInSettings
from chalicelib.ports import Client, Clock, OAuthClient

from .dialects import STANDARD
from .oauth_client import NOTICEABLE_SECONDS
from .secrets_manager import SecretsManager, SecretUnreadable

SERVER_SECONDS = 3600
"""How long a discovery document is used; where a newer one cannot be had, the last one is, for as long as need be."""
_SETTING = "VAULT_SIGN_IN"
# Any max_age makes `auth_time` a must (OpenID Connect Core 2); with 0 there are servers that ask for ever
_ANEW = replace(STANDARD, reauthorize_parameters={"prompt": "login", "max_age": str(RECENT_LOGIN_SECONDS)})


class OpenIdProvider:
    """Implements `ports.IdentityProvider`."""

    def __init__(
        self, settings: SignInSettings, secrets: SecretsManager, oauth_client: OAuthClient, clock: Clock
    ) -> None:
        self._settings = settings
        self._secrets = secrets
        self._oauth_client = oauth_client
        self._clock = clock
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
        return self._server

    def authorization_url(self, request: AuthorizationRequest, *, state: str, code_verifier: str, anew: bool) -> str:
        """See `ports.IdentityProvider`."""
        return self._oauth_client.authorization_url(
            request, _ANEW, state=state, code_verifier=code_verifier, again=anew
        )

    def claims(self, request: AuthorizationRequest, *, code: str, code_verifier: Secret) -> Mapping[str, Any]:
        """See `ports.IdentityProvider`."""
        client = Client(self._settings.client_id, self._client_secret(), request.server)
        # Entra ID puts all into the id_token; elsewhere it may have no more than `sub` (OpenID Connect Core 5.4)
        asks_userinfo = self._settings.kind != ProviderKind.ENTRA
        return self._oauth_client.identify(
            client, request, code=code, code_verifier=code_verifier, asks_userinfo=asks_userinfo
        )

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

    def _client_secret(self) -> Secret:
        try:
            return self._secrets.read(self._settings.client_secret)
        except SecretUnreadable as error:
            problem = str(error)
        raise CloudMisconfigured("secret_unreadable", detail=f"client_secret of {_SETTING}: {problem}")
