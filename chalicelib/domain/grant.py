"""One user's stored authorization at one provider."""

from dataclasses import dataclass, field, replace
from enum import StrEnum
from typing import Self

from .client_application import ClientApplication, Subject
from .ids import GrantId, PersonId
from .provider import Provider, ProviderKey
from .provider_health import CLOCKS_APART_SECONDS, ProviderHealth
from .stop import StopKind
from .token_set import CloudAccount

LEASE_SECONDS = 15
"""Longer than one request to a cloud (3 s to connect, 10 s for the answer): who is still silent then, is gone."""

DEFAULT_MINIMUM_SECONDS = 60
"""Life that a released token has at least, if nobody asks for more."""

AHEAD_SECONDS = 300
"""A token this near its end is refreshed ahead of time, while the current one is still good."""

LASTING_SECONDS = 24 * 3600
"""An access token that lives so long is one that its person is warned about, where nothing can renew it."""
WARNING_SECONDS = 7 * 24 * 3600
"""So long before its end, or a quarter of its life."""

FIRST_RETRY_SECONDS = 15
LONGEST_RETRY_SECONDS = 900
LONGEST_RETRY_AFTER_SECONDS = 3600
"""However long a cloud's Retry-After is."""

REFUSALS = 5
REFUSED_SECONDS = 3600
"""So many refusals, the first of them so long ago, and no token since: then also a word that nobody knows as final is.
Five at the pauses between them take four minutes: an hour is longer than a cloud's bad moment, or a limit of calls."""
SPILL_SECONDS = 30 * 24 * 3600
"""How long an outcome that could only be kept aside waits for somebody to bring it home."""

LONGEST_SCOPES = 16 * 1024
"""Characters of all scopes together. They are in the encryption context, which ends at 64 KB, and in the item."""

FIRST_SLOT = ""
"""Where a person's first cloud account at a provider is."""

_LATEST_VERSION = 2**32
"""Versions begin at the time and rise by one: what claims to be so far ahead of it was never sealed, and counts for
none."""

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
    PROVIDER_CHANGED = "provider_changed"
    """The provider goes to another server or client now, and tokens belong to the one that issued them."""
    REFUSED_BY_CLOUD = "refused_by_cloud"
    OUTCOME_UNKNOWN = "outcome_unknown"
    PERMISSIONS_CHANGED = "permissions_changed"
    PUT_BACK = "put_back"
    """It had ended, and somebody or a restore has put it back where it was stored."""
    UNREADABLE = "unreadable"
    CLOUD_UNAVAILABLE = "cloud_unavailable"
    REFUSED_FOR_NOW = "refused_for_now"
    """Failing: the cloud refused by a word that may mean anything."""
    REFUSED_REPEATEDLY = "refused_repeatedly"
    """It did so again and again (`REFUSALS`, `REFUSED_SECONDS`)."""
    EXPIRED = "expired"
    """The access token's time is over, and the cloud gave nothing to renew it with."""


@dataclass(frozen=True, slots=True)
class RefreshLease:
    """The right to refresh, held by one worker. Times are of its clock; the others count themselves how long it lasts.

    Nobody holds one without sending, so that a lease that was left behind means: sent, and the outcome is unknown.
    """

    sent_at: int
    until: int


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
    last_used_at: int | None = field(default=None, compare=False)
    """The begin of the hour of its last release, written behind the ledger's seals and not with the grant: two that
    differ in nothing else are the same write."""
    reason: GrantReason = GrantReason.NONE
    state_at: int = 0
    """When the grant came into its state."""
    token_set: bytes | None = None
    """The token set, encrypted in `encryption_context()`; None once it was removed."""
    fence: int = 0
    """Rises with every lease; a worker writes its outcome only under its own number."""
    lease: RefreshLease | None = None
    failures: int = 0
    """Refreshes that failed since the last good one, for reasons that may pass."""
    next_attempt_at: int = 0
    refusals: int = 0
    """Of these failures: by words that are not known to be final, and that were this grant's alone."""
    refused_since: int = 0
    """When the first of them was."""
    unknown_since: int | None = None
    """When a refresh was sent whose outcome nobody knows: a single-use refresh token may be spent."""
    is_renewable: bool = True
    """False where the cloud gave no refresh token; a hint for warnings, which decides no release."""
    slot: str = FIRST_SLOT
    """Which of the person's accounts at the provider it is (`domain.accounts`)."""
    server: str = ""
    """`Provider.server_id` of whoever issued the token set; empty where it was sealed before that was noted."""
    server_now: str = field(default="", compare=False)
    """That of the provider it was read with, not stored: the next version is bound to it."""

    def at(self, provider: Provider) -> Self:
        """As it may be opened at this provider: what was given to another server or client does not open (R92)."""
        return replace(self, server_now=provider.server_id)

    @property
    def is_of_another_server(self) -> bool:
        """Read with a provider that goes elsewhere than its tokens may: only a hand in the table can do that."""
        return bool(self.server and self.server_now) and self.server != self.server_now

    def encryption_context(self) -> dict[str, str]:
        """Binds the ciphertext to its owner and to every clear field that decides a release (R50)."""
        # Only for later accounts: what was sealed before there were several opens as it did
        slot = {"slot": self.slot} if self.slot else {}
        # Not for what was sealed before: a change of the server ends that together with its generation
        server = {"server": self.server_now or self.server} if self.server else {}
        return (
            slot
            | server
            | {
                "purpose": "token-set",
                "schema": "2",
                "user": self.user_id,
                "provider": self.provider_id,
                "generation": str(self.generation),
                "version": str(self.version),
                "state": self.state.value,
                "expires_at": str(self.expires_at),
                "scopes": " ".join(self.scopes),
                "account": self.account.subject,
                # Programs may ask by it, and people know the account by it
                "label": self.account.label,
            }
        )

    @property
    def is_storable(self) -> bool:
        """Whether everything about it that a cloud has said can be sealed and stored."""
        scopes = " ".join(self.scopes)
        return len(scopes) <= LONGEST_SCOPES and scopes.isprintable()

    def is_of(self, provider: Provider) -> bool:
        """False for a grant of a generation that an administrator has removed."""
        return self.generation == provider.generation

    def as_seen(self, provider: Provider) -> Self:
        """For showing, not for opening: with what the provider's registration says about it."""
        if not provider.outdates(self.authorized_at) or self.state is GrantState.REMOVED:
            return self
        state, reason = GrantState.NEEDS_REAUTHORIZATION, GrantReason.PERMISSIONS_CHANGED
        return replace(self, state=state, reason=reason, state_at=provider.authorize_again_since or 0)

    @property
    def is_usable(self) -> bool:
        """Whether there are tokens, and nothing that is known speaks against them."""
        return self.token_set is not None and self.state in (GrantState.ACTIVE, GrantState.FAILING)

    @property
    def last_renewed_at(self) -> int:
        """When the cloud last gave an access token."""
        return self.refreshed_at or self.authorized_at

    @property
    def lifetime(self) -> int:
        """Seconds the access token lives in all."""
        return self.expires_at - self.last_renewed_at

    def is_good_for(self, minimum_seconds: int | None, now: int) -> bool:
        """Whether the access token has that much life left; by default a minute, or half of a very short life."""
        if minimum_seconds is None:
            minimum_seconds = min(DEFAULT_MINIMUM_SECONDS, self.lifetime // 2)
        return self.expires_at - now >= max(1, minimum_seconds)

    def waits_for_its_cloud(self, now: int) -> bool:
        """Whether its next release needs an answer of the cloud, or it is failing for want of one."""
        return self.is_usable and (self.state is GrantState.FAILING or not self.is_good_for(None, now))

    def is_near_its_end(self, now: int, ahead_seconds: int = AHEAD_SECONDS) -> bool:
        """Time to refresh ahead: so many seconds before, or at four fifths of a short life; never where it is 0."""
        return self.expires_at - now < min(ahead_seconds, self.lifetime // 5)

    def warns_of_its_end(self, now: int) -> bool:
        """Whether a lasting access token ends soon: its person is to be warned, unless it can be renewed."""
        if self.state is not GrantState.ACTIVE or self.lifetime < LASTING_SECONDS:
            return False
        return 0 < self.expires_at - now <= min(WARNING_SECONDS, self.lifetime // 4)

    def holds_lease(self, now: int) -> bool:
        """True while somebody may be refreshing, as far as a clock can tell."""
        return self.lease is not None and now < self.lease.until + CLOCKS_APART_SECONDS

    def leased(self, now: int) -> Self:
        """Under a new lease. One that was left behind is remembered as a refresh without a known outcome."""
        return replace(
            self.left_behind(), fence=self.fence + 1, lease=RefreshLease(sent_at=now, until=now + LEASE_SECONDS)
        )

    def left_behind(self) -> Self:
        """Without the lease of somebody who is gone: a refresh was sent, and nobody knows what came of it."""
        return replace(
            self, lease=None, unknown_since=self.unknown_since or (self.lease.sent_at if self.lease else None)
        )

    def refreshed(self, expires_at: int, scopes: tuple[str, ...], now: int) -> Self:
        """With a new token set, to be sealed."""
        return replace(
            self._next(GrantState.ACTIVE, GrantReason.NONE, now),
            expires_at=expires_at,
            scopes=scopes,
            refreshed_at=now,
            failures=0,
            next_attempt_at=0,
            refusals=0,
            refused_since=0,
            unknown_since=None,
        )

    def failed(self, now: int, retry_after: int | None, *, answer_lost: bool) -> Self:
        """After a failure that may pass. The tokens stay, to be sealed anew."""
        sent_at = self.lease.sent_at if self.lease else now
        unknown_since = self.unknown_since or (sent_at if answer_lost else None)
        return replace(self, unknown_since=unknown_since)._failing(GrantReason.CLOUD_UNAVAILABLE, now, retry_after)

    def refused(self, now: int, retry_after: int | None) -> Self:
        """After a refusal that is not known to be final. The tokens stay, to be sealed anew."""
        counted = replace(self, refusals=self.refusals + 1, refused_since=self.refused_since or now)
        return counted._failing(GrantReason.REFUSED_FOR_NOW, now, retry_after)

    def is_refused_for_good(self, now: int) -> bool:
        """Whether it was refused so often, and for so long, that waiting leads nowhere."""
        return self.refusals >= REFUSALS and now - self.refused_since >= REFUSED_SECONDS

    def _failing(self, reason: GrantReason, now: int, retry_after: int | None) -> Self:
        """To be tried again after a pause that grows, or a longer one that the cloud asked for."""
        wait = min(FIRST_RETRY_SECONDS * 2**self.failures, LONGEST_RETRY_SECONDS)
        return replace(
            self._next(GrantState.FAILING, GrantReason.OUTCOME_UNKNOWN if self.unknown_since else reason, now),
            failures=self.failures + 1,
            next_attempt_at=now + max(wait, min(retry_after or 0, LONGEST_RETRY_AFTER_SECONDS)),
        )

    def ended(self, reason: GrantReason, now: int) -> Self:
        """The person must authorize again. The tokens stay until then, to be sealed anew."""
        return self._next(GrantState.NEEDS_REAUTHORIZATION, reason, now)

    def _next(self, state: GrantState, reason: GrantReason, now: int) -> Self:
        state_at = self.state_at if state is self.state else now
        server = self.server_now or self.server
        return replace(
            self, version=self.version + 1, state=state, reason=reason, state_at=state_at, lease=None, server=server
        )

    def ended_with(self, provider: Provider) -> Self:
        """What is left of it after its generation ended."""
        order = provider.order(self.generation)
        is_elsewhere = order is not None and order.former is not None
        reason = GrantReason.PROVIDER_CHANGED if is_elsewhere else GrantReason.REMOVED_BY_ADMINISTRATOR
        return self.removed(provider.removed_at or self.authorized_at, reason)

    def removed(self, at: int, reason: GrantReason = GrantReason.REMOVED_BY_ADMINISTRATOR) -> Self:
        """What is left after an administrator's act: the user sees why, no token is in it."""
        return replace(
            self,
            version=self.version + 1,
            state=GrantState.REMOVED,
            reason=reason,
            state_at=at,
            token_set=None,
            lease=None,
        )

    def under(self, ended: int) -> Self:
        """As it counts where all versions up to `ended` have ended: removed, whatever is stored.

        What claims no version that a grant can have is left to be found out: it does not open.
        """
        if self.token_set is None or not 0 < self.version <= ended:
            return self
        return replace(self, state=GrantState.REMOVED, reason=GrantReason.PUT_BACK, token_set=None, lease=None)

    def is_forgotten(self, now: int) -> bool:
        """True for a tombstone whose time is over: nothing is told of it any more, even where it is still stored."""
        return self.state is GrantState.REMOVED and now - self.state_at >= TOMBSTONE_SECONDS

    def is_account(self, asked: str) -> bool:
        """Whether a program that asks for this account means it: by its subject or its label."""
        return asked in (self.account.subject, self.account.label)

    @property
    def id(self) -> str:
        """Names the grant in forms and commands: a `GrantId` as text."""
        return str(GrantId(self.provider_id, PersonId(self.user_id), self.slot))


@dataclass(frozen=True, slots=True)
class Holding:
    """What one read brings for one user and provider: enough to open the grant, or to make one."""

    provider: Provider
    key: ProviderKey
    grant: Grant | None
    health: ProviderHealth
    preferred: str | None = None
    """The slot of the person's default account there; None while they never had several."""
    ended: int = 0
    """All versions up to this one have ended in this slot; kept where nothing is restored."""
    is_put_back: bool = False
    """A grant is stored that had ended (`Grant.under`): its version is the one that is stored."""

    def end(self, now: int) -> int:
        """What `ended` is once the grant has ended. Versions begin at the time: all that were ever stored are below,
        also where somebody has lowered the one that is stored.
        """
        # Twice as far, so that whatever `next_version` ever gave is among them
        return max(self.ended, now, self._version(now + 2 * _LATEST_VERSION))

    def next_version(self, now: int) -> int:
        """That of a new consent: of none that was ever stored here, so that what remembers one does not mean this."""
        return max(now, self._version(now + _LATEST_VERSION) + 1, self.ended + 1)

    def _version(self, highest: int) -> int:
        return self.grant.version if self.grant is not None and self.grant.version <= highest else 0


@dataclass(frozen=True, slots=True)
class ReleaseHolding:
    """What one read brings for a release: who asks, for whom, and what is held."""

    application: ClientApplication | None
    owners: tuple[str, ...]
    """The ids of everybody whom the name fits."""
    subject: Subject | None
    """The one person, None where the name fits nobody or several."""
    holding: Holding | None
    """None: there is no such provider."""
    stops: frozenset[StopKind] = frozenset()
    """Which stops there are for this provider, person and pair; an application's own stop is in its registration."""


class RevocationOutcome(StrEnum):
    """What a cloud did when it was asked to end an authorization: facts, never hopes (R88)."""

    REVOKED = "revoked"
    NOT_OFFERED = "not_offered"
    PENDING = "pending"
    UNREADABLE = "unreadable"
    """The stored tokens did not open, so there was nothing to send to the cloud."""


@dataclass(frozen=True, slots=True)
class Revocation:
    """Tokens that have still to be revoked at their cloud; retried until they are, or given up after a week."""

    id: str
    user_id: str
    provider_id: str
    generation: int
    grant_version: int
    account: CloudAccount
    tokens: bytes
    """The token set, encrypted in `encryption_context()`."""
    created_at: int
    next_attempt_at: int
    attempts: int = 0
    slot: str = FIRST_SLOT
    removal_id: str = ""
    """The removal whose receipt says what came of it; empty: nobody waits for one."""

    def encryption_context(self) -> dict[str, str]:
        """Binds the tokens to this entry and its owner."""
        return {
            "purpose": "revocation",
            "revocation": self.id,
            "user": self.user_id,
            "provider": self.provider_id,
            "generation": str(self.generation),
        }
