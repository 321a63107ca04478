"""The clouds that are registered."""

from dataclasses import dataclass

from .authorization_server import AuthorizationServer


@dataclass(frozen=True, slots=True)
class ProviderKey:
    """The data key of one provider and generation, wrapped by KMS; generations start at 1."""

    provider_id: str
    generation: int
    wrapped: bytes

    def encryption_context(self) -> dict[str, str]:
        """What KMS binds the wrapped key to; a key policy may ask for `purpose`."""
        return {"purpose": "provider-key", "provider": self.provider_id, "generation": str(self.generation)}


@dataclass(frozen=True, slots=True)
class Provider:
    """One registered authorization provider.

    `generation` rises by one when an administrator removes all its tokens: grants made under a lower one
    no longer exist for anybody, whether or not their items were deleted yet.
    """

    id: str
    type_id: str
    name: str
    client_id: str
    client_secret: bytes
    """The secret encrypted under the key of this generation, in `secret_context()`."""
    server: AuthorizationServer
    scopes: tuple[str, ...]
    enabled: bool = True
    generation: int = 1
    cleaned_generation: int = 0
    """Generations up to this one have been deleted, their keys too."""
    removed_at: int | None = None
    """When `generation` was last raised, epoch seconds."""
    version: int = 1

    def secret_context(self) -> dict[str, str]:
        """The encryption context of the client secret.

        Another provider's secret put here does not open, nor does this one once an endpoint was edited that the
        secret or a token would be sent to, or that decides whose id_token is believed.
        """
        server = self.server
        return {
            "purpose": "client-secret",
            "provider": self.id,
            "generation": str(self.generation),
            "client_id": self.client_id,
            "token_endpoint": server.token_endpoint,
            "revocation_endpoint": server.revocation_endpoint or "",
            "userinfo_endpoint": server.userinfo_endpoint or "",
            "issuer": server.issuer or "",
            "jwks_uri": server.jwks_uri or "",
            "client_authentication": server.client_authentication.value,
        }

    def redirect_path(self) -> str:
        """Own redirect URI per provider, the defence against mix-up (RFC 9700 4.4.2.2, R39)."""
        return f"/oauth/callback/{self.id}"
