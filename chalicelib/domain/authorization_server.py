"""Where and how to talk to one cloud."""

from dataclasses import dataclass
from enum import StrEnum


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
    end_session_endpoint: str | None = None
    """Where a browser is sent to sign out there as well (OpenID Connect RP-Initiated Logout 1.0)."""

    def endpoints(self) -> dict[str, str]:
        """Every URL that the vault or a browser is sent to, by its name."""
        named = {name: getattr(self, name) for name in _ENDPOINTS}
        return {name: url for name, url in named.items() if url}


_ENDPOINTS = (
    "authorization_endpoint", "token_endpoint", "jwks_uri", "userinfo_endpoint", "revocation_endpoint",
    "end_session_endpoint", "issuer",
)  # fmt: skip
