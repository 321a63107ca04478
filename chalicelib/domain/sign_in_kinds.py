"""What the kinds of OpenID providers have in common: where each puts names, groups and roles, and what it asks for.

Each is written from its vendor's documents (docs/sign-in.md names them).
"""

from collections.abc import Mapping
from dataclasses import dataclass, field
from enum import StrEnum
from typing import Any

from .session import RECENT_LOGIN_SECONDS


class ProviderKind(StrEnum):
    """A preset, and which claims identify people."""

    ENTRA = "entra"
    GOOGLE = "google"
    KEYCLOAK = "keycloak"
    OKTA = "okta"
    ADFS = "adfs"
    AUTH0 = "auth0"
    COGNITO = "cognito"
    OPENID = "openid"


# Any max_age makes `auth_time` a must (OpenID Connect Core 2); with 0 there are servers that ask for ever
_LOGIN_AGAIN = {"prompt": "login", "max_age": str(RECENT_LOGIN_SECONDS)}


@dataclass(frozen=True, slots=True, kw_only=True)
class Preset:
    """How one kind of provider differs from what OpenID Connect leaves open."""

    name: str
    name_claim: str = "preferred_username"
    groups_claims: tuple[str, ...] = ("groups",)
    roles_claims: tuple[str, ...] = ("roles",)
    asks_userinfo: bool = True
    """Whether the userinfo endpoint says more than the id_token (OpenID Connect Core 5.4)."""
    gives_names: bool = False
    """A user name belongs to one account at a time, and people do not choose their own."""
    again: Mapping[str, str] = field(default_factory=lambda: _LOGIN_AGAIN)
    """Parameters of the authorization request that ask for a new proof of who one is."""
    id_token_hint: bool = False
    """Whether signing out there takes the id_token, without which nothing, or an error, comes of it."""
    signed_out_parameter: str = "post_logout_redirect_uri"
    """What the address is called that people come back to after signing out (OpenID Connect RP-Initiated Logout 2)."""
    before_again: str = ""
    """What people must do by themselves, where no parameter makes the provider ask for the proof."""

    def settings(self) -> dict[str, Any]:
        """The settings that the kind stands for, where the administrator gives none."""
        return {
            "name": self.name,
            "name_claim": self.name_claim,
            "groups_claims": list(self.groups_claims),
            "roles_claims": list(self.roles_claims),
            "id_token_hint": self.id_token_hint,
        }


PRESETS = {
    ProviderKind.ENTRA: Preset(name="Microsoft", asks_userinfo=False, gives_names=True),
    ProviderKind.GOOGLE: Preset(
        name="Google",
        name_claim="email",
        groups_claims=(),
        roles_claims=(),
        asks_userinfo=False,
        gives_names=True,
        # There is no `prompt=login` at Google, nor anything else that makes it ask again
        again={"prompt": "select_account"},
        before_again=(
            "Google does not ask again for as long as you are signed in there. Sign out at accounts.google.com first, "
            "then go on here."
        ),
    ),
    ProviderKind.KEYCLOAK: Preset(
        name="Keycloak",
        roles_claims=("realm_access.roles", "resource_access.{client_id}.roles"),
        gives_names=True,
    ),
    ProviderKind.OKTA: Preset(name="Okta", gives_names=True, id_token_hint=True),
    ProviderKind.ADFS: Preset(
        name="AD FS",
        name_claim="upn",
        groups_claims=("group",),
        roles_claims=("role",),
        # Its userinfo endpoint has `sub` and nothing else
        asks_userinfo=False,
        gives_names=True,
        id_token_hint=True,
    ),
    ProviderKind.AUTH0: Preset(name="Auth0", name_claim="email", groups_claims=(), roles_claims=()),
    ProviderKind.COGNITO: Preset(
        name="Cognito",
        name_claim="email",
        groups_claims=("cognito:groups",),
        roles_claims=(),
        # It repeats the attributes, and all of them as text
        asks_userinfo=False,
        signed_out_parameter="logout_uri",
    ),
    ProviderKind.OPENID: Preset(name="your organization"),
}
