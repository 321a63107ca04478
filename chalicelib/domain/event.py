"""What befell an authorization or a provider that people and programs outside are told about. Never a token."""

from dataclasses import dataclass, field, replace
from enum import StrEnum
from hashlib import sha256
from typing import Self

from .client_application import ClientApplication
from .grant import FIRST_SLOT, Grant, GrantState, Holding
from .provider import Provider

PATIENCE_SECONDS = 3600
"""A refresh that failed is mailed about only if that has not passed by then."""
DIGEST_SECONDS = 3600
"""Between two mails of one kind about one provider to the administrators: the second has all that happened since."""
DIGEST_RETRY_SECONDS = 60
AUTHORIZED_AGAIN = "authorized_again"
"""The reason of a recovery that the person brought about."""
FIRST_RETRY_SECONDS = 60
LONGEST_WAIT_SECONDS = 6 * 3600
GIVE_UP_SECONDS = 3 * 24 * 3600
"""A mail that comes later than that helps nobody."""


class EventKind(StrEnum):
    """The words are those of the audit log, where it has one."""

    GRANT_FAILING = "grant.failing"
    GRANT_RECOVERED = "grant.recovered"
    GRANT_NEEDS_REAUTHORIZATION = "grant.needs_reauthorization"
    GRANT_ABOUT_TO_LAPSE = "grant.about_to_lapse"
    PROVIDER_MISCONFIGURED = "provider.misconfigured"
    PROVIDER_RECOVERED = "provider.recovered"
    CLIENT_FROZEN = "client.frozen"


class Channel(StrEnum):
    """Who is told: programs by the event bus, the person and the administrators by mail."""

    BUS = "bus"
    PERSON = "person"
    ADMINISTRATORS = "administrators"


@dataclass(frozen=True, slots=True)
class Event:
    """One thing that happened; times are epoch seconds.

    `id` follows from what happened, so that the same thing told twice is one event. `reason` is a code: of the grant's
    state, or the OAuth error with which a cloud refused the vault's registration. `stamp` tells one matter from the
    next: when the grant came into its state, for a grant about to lapse when it was last refreshed, for a provider the
    time.
    """

    kind: EventKind
    at: int
    provider_id: str
    provider_name: str
    generation: int
    stamp: int
    reason: str = ""
    user_id: str = ""
    user_name: str = ""
    account: str = ""
    lapses_at: int = 0
    client_id: str = ""
    """Of the application it is about, where it is about one; it has a name, and no provider."""
    client_name: str = ""
    slot: str = FIRST_SLOT
    """Which of the person's accounts at the provider (`domain.accounts`)."""
    sequence: int = 0
    """Of a grant: its version then. A later event of it has a higher one."""
    ms: int = 0
    """Milliseconds after `at`."""
    loss: str = ""
    """Of a recovery: the id of the event of the loss that it ends."""

    @classmethod
    def of_grant(cls, kind: EventKind, grant: Grant, provider: Provider, at: int) -> Self:
        """The change that brought the grant into its state."""
        return cls(
            kind,
            at,
            provider.id,
            provider.name,
            grant.generation,
            grant.state_at,
            grant.reason.value,
            grant.user_id,
            grant.user_name,
            grant.account.label,
            slot=grant.slot,
            sequence=grant.version,
        )

    @classmethod
    def of_recovery(cls, lost: Grant, grant: Grant, provider: Provider, at: int, reason: str = "") -> Self:
        """`grant` holds again, which was `lost` before: failing, or to be authorized again."""
        kind = EventKind.GRANT_FAILING if lost.state is GrantState.FAILING else EventKind.GRANT_NEEDS_REAUTHORIZATION
        event = cls.of_grant(EventKind.GRANT_RECOVERED, grant, provider, at)
        return replace(event, reason=reason, loss=cls.of_grant(kind, lost, provider, at).id)

    @classmethod
    def of_lapse(cls, grant: Grant, provider: Provider, lapses_at: int, at: int) -> Self:
        """One for each time the grant was refreshed, however often somebody notices."""
        event = cls.of_grant(EventKind.GRANT_ABOUT_TO_LAPSE, grant, provider, at)
        return replace(event, stamp=grant.last_renewed_at, lapses_at=lapses_at)

    @classmethod
    def of_provider(cls, kind: EventKind, provider: Provider, reason: str, at: int) -> Self:
        """Of everybody's authorizations at the provider as it is registered now."""
        return cls(kind, at, provider.id, provider.name, provider.generation, at, reason)

    @classmethod
    def of_client(cls, application: ClientApplication, reason: str, at: int) -> Self:
        """An application that the vault stopped by itself; `reason` says which limit."""
        event = cls(EventKind.CLIENT_FROZEN, at, "", "", 0, application.version, reason)
        return replace(event, client_id=application.id, client_name=application.name)

    @property
    def id(self) -> str:
        told = [self.kind.value, self.user_id, self.provider_id, str(self.generation), str(self.stamp)]
        told += [part for part in (self.client_id, self.slot) if part]
        return sha256("\n".join(told).encode()).hexdigest()[:32]

    @property
    def subject(self) -> str:
        """What mails to administrators are counted by: the provider, or the application."""
        return f"client {self.client_id}" if self.client_id else self.provider_id

    @property
    def account_of(self) -> tuple[str, str]:
        """Whose grant, and which of their accounts."""
        return self.user_id, self.slot

    @property
    def line(self) -> tuple[str, ...]:
        """Of which grant, provider or application it is: events of one go out in the order in which they happened."""
        return (self.provider_id, self.user_id, self.slot, self.client_id)

    @property
    def grant_id(self) -> tuple[str, str, str]:
        """As `ports.GrantStore.load` takes it."""
        return self.user_id, self.provider_id, self.slot

    @property
    def channels(self) -> tuple[Channel, ...]:
        """Who may be told: what is wrong with a registration or a program is nothing that a person could mend.

        Nor is a person told what they have just done.
        """
        of_others = (EventKind.PROVIDER_MISCONFIGURED, EventKind.PROVIDER_RECOVERED, EventKind.CLIENT_FROZEN)
        if self.kind in of_others or self.reason == AUTHORIZED_AGAIN:
            return (Channel.BUS, Channel.ADMINISTRATORS)
        return tuple(Channel)

    def still_holds(self, holding: Holding, grant: Grant | None) -> bool:
        """Whether it is so now: a mail says what its reader will find, and nothing that passed meanwhile.

        A grant that held again and was lost again since is another matter, with an event of its own.
        """
        provider, health = holding.provider, holding.health
        if not provider.enabled or provider.generation != self.generation:
            return False
        match self.kind:
            case EventKind.PROVIDER_MISCONFIGURED:
                return health.is_misconfigured(provider.version)
            case EventKind.PROVIDER_RECOVERED:
                return not health.is_misconfigured(provider.version)
        return grant is not None and grant.state in _STATES[self.kind] and self._is_this(grant)

    def _is_this(self, grant: Grant) -> bool:
        if self.kind is EventKind.GRANT_ABOUT_TO_LAPSE:
            return grant.last_renewed_at == self.stamp
        return grant.state_at <= self.at


_STATES = {
    EventKind.GRANT_FAILING: (GrantState.FAILING,),
    EventKind.GRANT_RECOVERED: (GrantState.ACTIVE,),
    EventKind.GRANT_NEEDS_REAUTHORIZATION: (GrantState.NEEDS_REAUTHORIZATION,),
    EventKind.GRANT_ABOUT_TO_LAPSE: (GrantState.ACTIVE, GrantState.FAILING),
}


@dataclass(frozen=True, slots=True)
class Delivery:
    """An event on its way to one channel; waits in the outbox until it is there."""

    event: Event
    channel: Channel
    due_at: int
    attempts: int = 0
    """Rises with each attempt, and with each time that it is put off."""
    busy_until: int = 0
    """Somebody is at it; nobody else tries before."""
    tried_since: int = 0
    """When an administrator sent it again, with a life as long as its first one."""
    error: str = ""
    """What the last attempt that failed met, as a code of AWS."""

    @classmethod
    def first(cls, event: Event, channel: Channel) -> Self:
        """At once, but for mails about what mostly passes by itself."""
        waits = event.kind is EventKind.GRANT_FAILING and channel is not Channel.BUS
        return cls(event, channel, event.at + (PATIENCE_SECONDS if waits else 0))

    def claimed(self, now: int) -> Self:
        """As whoever tries leaves it: should it fail or die, somebody tries again later.

        One to the bus keeps its place in the list: no later event of the grant may overtake it.
        """
        if self.channel is Channel.BUS:
            return replace(self, attempts=self.attempts + 1, busy_until=now + FIRST_RETRY_SECONDS)
        wait = min(FIRST_RETRY_SECONDS * 4**self.attempts, LONGEST_WAIT_SECONDS)
        return replace(self, attempts=self.attempts + 1, due_at=now + wait)

    def held(self, until: int) -> Self:
        """Told later, together with what else happens until then."""
        return replace(self, attempts=self.attempts + 1, due_at=until)

    def failed(self, error: str) -> Self:
        """As whoever claimed it leaves it for the next attempt."""
        return replace(self, busy_until=0, error=error)

    def again(self, now: int) -> Self:
        """As an administrator sends it again."""
        return replace(self, attempts=self.attempts + 1, due_at=now, busy_until=0, tried_since=now, error="")

    def is_hopeless(self, now: int) -> bool:
        """Tried, and for as long as is promised. One to administrators may have been put off without a try."""
        is_tried = bool(self.error) or (self.attempts > 0 and self.channel is not Channel.ADMINISTRATORS)
        return is_tried and now - (self.tried_since or self.event.at) >= GIVE_UP_SECONDS


@dataclass(frozen=True, slots=True)
class MailsSent:
    """When the administrators last got a mail of each kind about one provider or application.

    `subject` is that of the events. `sent`: for each kind, when, and the event that led the mail. `version` 0: nothing
    stored.
    """

    subject: str
    sent: dict[EventKind, tuple[int, str]] = field(default_factory=dict)
    version: int = 0

    def next_at(self, kind: EventKind) -> int:
        """When the next mail of this kind may go out; what happens before is in that one."""
        return self.sent.get(kind, (-DIGEST_SECONDS, ""))[0] + DIGEST_SECONDS

    def is_open(self, loss: EventKind) -> bool:
        """Whether they were told of this loss, and not since that it is over."""
        at, over = (self.sent.get(kind, (0, ""))[0] for kind in (loss, EventKind.PROVIDER_RECOVERED))
        return at > over

    def with_sent(self, event: Event, now: int) -> Self:
        """Noted before it is sent: of two runs at once, one sends it."""
        return replace(self, sent={**self.sent, event.kind: (now, event.id)})

    def failed(self, event: Event, now: int) -> Self:
        """What was noted did not go out: the next attempt need not wait for an hour."""
        at = now - DIGEST_SECONDS + DIGEST_RETRY_SECONDS
        return replace(self.with_sent(event, at), version=self.version + 1)
