"""Registering providers."""

from dataclasses import replace

from chalicelib.domain.audit import AuditEvent, AuditTag, Origin, Outcome
from chalicelib.domain.authorization_server import AuthorizationServer
from chalicelib.domain.provider import Provider
from chalicelib.domain.secret import Secret
from chalicelib.ports import AuditLog, Catalogue, OAuthClient, ProviderStore, TokenCipher

_FIRST_GENERATION = 1


class RegistrationService:
    """Makes a provider out of what an administrator, or a seed, says about it."""

    def __init__(
        self,
        *,
        providers: ProviderStore,
        cipher: TokenCipher,
        oauth_client: OAuthClient,
        catalogue: Catalogue,
        audit_log: AuditLog,
    ) -> None:
        self._providers = providers
        self._cipher = cipher
        self._oauth_client = oauth_client
        self._catalogue = catalogue
        self._audit_log = audit_log

    def discover(self, issuer: str) -> AuthorizationServer:
        """The server as its OpenID Connect discovery document describes it. Raises a CloudError."""
        return self._oauth_client.discover(issuer)

    def register(
        self,
        provider_id: str,
        type_id: str,
        name: str,
        *,
        client_id: str,
        client_secret: Secret,
        server: AuthorizationServer,
        scopes: tuple[str, ...],
        actor: str,
        origin: Origin,
    ) -> Provider:
        """Store a new provider, its secret encrypted. Raises NotFound for the type, Conflict for a taken id."""
        provider = Provider(
            id=provider_id,
            type_id=self._catalogue.get(type_id).id,
            name=name,
            client_id=client_id,
            client_secret=b"",
            server=server,
            scopes=scopes,
            generation=_FIRST_GENERATION,
        )
        key = self._cipher.new_key(provider_id, _FIRST_GENERATION)
        with self._cipher.unlock(key) as box:
            secret = box.encrypt(client_secret.reveal().encode(), provider.secret_context())
        provider = replace(provider, client_secret=secret)
        self._providers.add(provider, key)
        self._audit_log.record(
            AuditEvent(AuditTag.PROVIDER_REGISTERED, Outcome.SUCCESS, actor, origin, provider_id=provider_id)
        )
        return provider
