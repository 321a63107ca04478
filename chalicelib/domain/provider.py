"""Kinds of cloud, and the ones that are registered."""

from dataclasses import dataclass, field
from enum import StrEnum


class RevocationStyle(StrEnum):
    """How a cloud lets a client end an authorization."""

    RFC7009 = "rfc7009"
    NONE = "none"


class ClientAuthentication(StrEnum):
    """How the vault proves itself at a token endpoint (OpenID Connect Core 9)."""

    BASIC = "client_secret_basic"
    POST = "client_secret_post"


@dataclass(frozen=True, slots=True)
class AuthorizationServer:
    """Where and how to talk to one cloud, resolved: no variables are left in it.

    Frozen into the provider when it is saved, and into each authorization request at its start, so that
    nothing read later can move a flow to another server (R41).
    """

    authorization_endpoint: str
    token_endpoint: str
    issuer: str | None = None
    jwks_uri: str | None = None
    userinfo_endpoint: str | None = None
    revocation_endpoint: str | None = None
    iss_parameter_promised: bool = False
    """RFC 9207: the metadata says that every authorization response carries `iss`."""
    client_authentication: ClientAuthentication = ClientAuthentication.BASIC
    id_token_algorithms: tuple[str, ...] = ("RS256",)


@dataclass(frozen=True, slots=True)
class ProviderType:
    """A kind of cloud from the catalogue: what is the same for every registration of it."""

    id: str
    name: str
    scope_delimiter: str = " "
    authorize_parameters: dict[str, str] = field(default_factory=dict)
    reauthorize_parameters: dict[str, str] = field(default_factory=dict)
    """Sent instead of `authorize_parameters` when the person should choose the cloud account anew."""
    revocation: RevocationStyle = RevocationStyle.NONE
    account_page: str | None = None
    """Where a person ends an authorization at the cloud by hand."""
    default_access_token_seconds: int = 3600
    """Assumed life of an access token when the answer has no `expires_in` (RFC 6749 5.1)."""
    refresh_token_idle_seconds: int | None = None
    """How long an unused refresh token lives; None: for ever, or nobody knows."""
    subject_fields: tuple[str, ...] = ("sub",)
    label_fields: tuple[str, ...] = ("email", "preferred_username", "name", "sub")
    """Claims that name the cloud account, the first one present wins."""
    scope_words: dict[str, str] = field(default_factory=dict)
    """What a scope allows, in plain words."""


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
