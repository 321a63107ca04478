"""The clouds that are registered."""

import json
from collections.abc import Set as AbstractSet
from dataclasses import dataclass, field, replace
from typing import Self

from .authorization_server import AuthorizationServer
from .removal import Everything, RemovalOrder
from .secret import Secret, fingerprint

SECRET_WARNING_SECONDS = 30 * 86400
"""So long before a client secret's end administrators are warned."""


@dataclass(frozen=True, slots=True)
class ClientSecrets:
    """The newest client secret, and one that may be good beside it while the cloud changes over."""

    newest: Secret
    older: Secret | None = None

    def with_newest(self, newest: Secret, *, keeps_current: bool) -> Self:
        """A new one in front; the current one stays beside it or goes."""
        return type(self)(newest, self.newest if keeps_current else None)

    def to_bytes(self) -> bytes:
        """The plain serialization, to be encrypted at once."""
        return json.dumps([secret.reveal() for secret in (self.newest, self.older) if secret]).encode()

    @classmethod
    def from_bytes(cls, data: bytes) -> Self:
        """The inverse of `to_bytes`."""
        return cls(*map(Secret, json.loads(data)))


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
    """`ClientSecrets`, encrypted under the key of this generation, in `secret_context()`."""
    server: AuthorizationServer
    scopes: tuple[str, ...]
    enabled: bool = True
    generation: int = 1
    cleaned_generation: int = 0
    """Generations up to this one have been deleted, their keys too."""
    removed_at: int | None = None
    """When `generation` was last raised, epoch seconds."""
    version: int = 1
    fields: dict[str, str] = field(default_factory=dict)
    """What the administrator gave for the fields of the type."""
    visible_to: tuple[str, ...] = ()
    """Keys of directory groups whose members may use it; none: everybody."""
    secret_ends_at: int | None = None
    """When the cloud stops taking the newest client secret, as far as the administrator knows; epoch seconds."""
    has_older_secret: bool = False
    authorize_again_since: int | None = None
    """Authorizations of before lack permissions that are asked for now, and are not used any more."""
    is_deleted: bool = False
    """Gone for everybody; what is left of it is being deleted."""
    removals: tuple[RemovalOrder, ...] = ()
    """What to do with the grants of ended generations that are not cleaned yet."""
    emptied: int = 0
    """The number of the last "remove everything" that it was raised for."""
    is_ending: bool = False
    """It is shown as it will be, since everything was removed and its turn to be raised has not come: there is no key
    of this generation yet, and `client_secret` is still that of the one before. Not stored."""

    def under(self, everything: Everything) -> Self:
        """As it is for everybody once everything was removed, whether or not it was raised already."""
        pending = everything.after(self.emptied)
        if not pending or self.is_deleted:
            return self
        revoke = any(order.revoke for order in pending)
        order = RemovalOrder(self.generation, pending[0].removal_id, revoke, pending[0].by)
        return replace(
            self.with_order(order),
            generation=self.generation + 1,
            removed_at=pending[-1].at,
            emptied=everything.last,
            is_ending=True,
        )

    def with_order(self, order: RemovalOrder) -> Self:
        """With one more order; of what it and earlier ones have ended, the stronger wish wins."""
        known = tuple(
            one.with_wish(order.revoke) if one.generation <= order.generation else one for one in self.removals
        )
        is_known = self.order(order.generation) is not None
        return replace(self, removals=known if is_known else (*known, order))

    def order(self, generation: int) -> RemovalOrder | None:
        """Who ended a generation, and how; None where it is cleaned, or was ended without anybody's order."""
        return next((order for order in self.removals if order.generation == generation), None)

    @property
    def server_id(self) -> str:
        """Names who receives the tokens: a digest of the issuer, the endpoints they are sent to, and our client there.

        Not in it: the authorization endpoint, which sees no token, and `jwks_uri`, which vouches for a consent and
        receives nothing.
        """
        server = self.server
        endpoints = (server.token_endpoint, server.revocation_endpoint, server.userinfo_endpoint)
        return fingerprint(json.dumps([server.issuer, *endpoints, self.client_id]))

    def as_of(self, generation: int) -> Self:
        """The provider as the tokens of that generation know it: `generation` is the one whose key opens its secret."""
        for order in self.removals:
            former = order.former
            if former is not None and order.generation >= generation:
                return replace(
                    self,
                    generation=order.generation,
                    server=former.server,
                    client_id=former.client_id,
                    client_secret=former.client_secret,
                )
        return self

    def is_for(self, groups: AbstractSet[str]) -> bool:
        """Whether members of these groups may use it."""
        return not self.visible_to or not groups.isdisjoint(self.visible_to)

    def is_offered_to(self, groups: AbstractSet[str]) -> bool:
        return self.enabled and not self.is_deleted and self.is_for(groups)

    def outdates(self, authorized_at: int) -> bool:
        """Whether an authorization of that time has to be given again: in one second nobody knows which was first."""
        return self.authorize_again_since is not None and authorized_at <= self.authorize_again_since

    def secret_ends_soon(self, now: int) -> bool:
        return self.secret_ends_at is not None and self.secret_ends_at - now < SECRET_WARNING_SECONDS

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
