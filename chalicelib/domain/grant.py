"""One user's stored authorization at one provider."""

from dataclasses import dataclass, replace
from enum import StrEnum
from typing import Self

from .provider import Provider, ProviderKey
from .token_set import CloudAccount

TOMBSTONE_SECONDS = 90 * 24 * 3600
"""How long a removed grant still tells its user why it is gone."""


class GrantState(StrEnum):
    """Where a grant stands. Only `ACTIVE` and `FAILING` ones can release a token."""

    ACTIVE = "active"
    FAILING = "failing"
    NEEDS_REAUTHORIZATION = "needs_reauthorization"
    REMOVED = "removed"


class GrantReason(StrEnum):
    """Why a grant is in its state."""

    NONE = ""
    REMOVED_BY_ADMINISTRATOR = "removed_by_administrator"
    REFUSED_BY_CLOUD = "refused_by_cloud"
    OUTCOME_UNKNOWN = "outcome_unknown"
    PERMISSIONS_CHANGED = "permissions_changed"
    UNREADABLE = "unreadable"


@dataclass(frozen=True, slots=True)
class Grant:
    """The encrypted token set and what may be known without opening it. Times are epoch seconds.

    `version` starts at the time of the first consent and rises by one with every write of the token set, so it is
    another one after a revocation, too. An item that is edited or mixed with another does not open.
    """

    user_id: str
    user_name: str
    provider_id: str
    generation: int
    version: int
    state: GrantState
    account: CloudAccount
    scopes: tuple[str, ...]
    expires_at: int
    authorized_at: int
    refreshed_at: int | None = None
    last_used_at: int | None = None
    reason: GrantReason = GrantReason.NONE
    state_at: int = 0
    """When the grant came into its state."""
    token_set: bytes | None = None
    """The token set, encrypted in `encryption_context()`; None once it was removed."""

    def encryption_context(self) -> dict[str, str]:
        """Binds the ciphertext to its owner and to every clear field that decides a release (R50)."""
        return {
            "purpose": "token-set",
            "schema": "1",
            "user": self.user_id,
            "provider": self.provider_id,
            "generation": str(self.generation),
            "version": str(self.version),
            "state": self.state.value,
            "expires_at": str(self.expires_at),
            "scopes": " ".join(self.scopes),
            "account": self.account.subject,
        }

    def is_of(self, provider: Provider) -> bool:
        """False for a grant of a generation that an administrator has removed."""
        return self.generation == provider.generation

    def removed(self, at: int) -> Self:
        """What is left after an administrator's removal: the user sees why, no token is in it."""
        return replace(
            self,
            version=self.version + 1,
            state=GrantState.REMOVED,
            reason=GrantReason.REMOVED_BY_ADMINISTRATOR,
            state_at=at,
            token_set=None,
        )

    @property
    def id(self) -> str:
        """Names the grant in forms: `<provider id>.<user id>`."""
        return f"{self.provider_id}.{self.user_id}"


@dataclass(frozen=True, slots=True)
class Holding:
    """What one read brings for one user and provider: enough to open the grant, or to make one."""

    provider: Provider
    key: ProviderKey
    grant: Grant | None


class RevocationOutcome(StrEnum):
    """What a cloud did when it was asked to end an authorization: facts, never hopes (R88)."""

    REVOKED = "revoked"
    NOT_OFFERED = "not_offered"
    PENDING = "pending"
    UNREADABLE = "unreadable"
    """The stored tokens did not open, so there was nothing to send to the cloud."""


@dataclass(frozen=True, slots=True)
class Revocation:
    """A token that has still to be revoked at its cloud; retried until it is, or given up after a week."""

    id: str
    user_id: str
    provider_id: str
    generation: int
    grant_version: int
    account: CloudAccount
    token: bytes
    """The token, encrypted in `encryption_context()`."""
    created_at: int
    next_attempt_at: int
    attempts: int = 0

    def encryption_context(self) -> dict[str, str]:
        """Binds the token to this entry and its owner."""
        return {
            "purpose": "revocation",
            "revocation": self.id,
            "user": self.user_id,
            "provider": self.provider_id,
            "generation": str(self.generation),
        }
