"""What befell an authorization or a provider that people and programs outside are told about. Never a token."""

import re
from dataclasses import dataclass, field, replace
from enum import StrEnum
from hashlib import sha256
from typing import Self

from .client_application import ClientApplication
from .grant import FIRST_SLOT, Grant, GrantState, Holding
from .provider import Provider

PATIENCE_SECONDS = 3600
"""A refresh that failed is mailed about only if that has not passed by then."""
MAIL_PAUSE_SECONDS = 24 * 3600
"""Between two mails of one kind about the same thing to the same people."""
FIRST_RETRY_SECONDS = 60
LONGEST_WAIT_SECONDS = 6 * 3600
GIVE_UP_SECONDS = 3 * 24 * 3600
"""A mail that comes later than that helps nobody."""

_ADDRESS = re.compile(r"[A-Za-z0-9!#$%&'*+/=?^_`{|}~.-]{1,64}@[A-Za-z0-9-]+(\.[A-Za-z0-9-]+)*")
_MAX_ADDRESS = 254


class EventKind(StrEnum):
    """The words are those of the audit log, where it has one."""

    GRANT_FAILING = "grant.failing"
    GRANT_RECOVERED = "grant.recovered"
    GRANT_NEEDS_REAUTHORIZATION = "grant.needs_reauthorization"
    GRANT_ABOUT_TO_LAPSE = "grant.about_to_lapse"
    PROVIDER_MISCONFIGURED = "provider.misconfigured"
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
    state, or the OAuth error with which a cloud refused the vault's registration. `stamp` tells one occasion from
    the next: the grant's version, for a grant about to lapse when it was last refreshed, for a provider the time.
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

    @classmethod
    def of_grant(cls, kind: EventKind, grant: Grant, provider: Provider, at: int) -> Self:
        """The change that made the grant's current version."""
        return cls(
            kind,
            at,
            provider.id,
            provider.name,
            grant.generation,
            grant.version,
            grant.reason.value,
            grant.user_id,
            grant.user_name,
            grant.account.label,
            slot=grant.slot,
        )

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
    def grant_owner(self) -> str:
        """Whose grant, and which of their accounts: mails about one say nothing about another."""
        return f"{self.user_id}.{self.slot}" if self.slot else self.user_id

    @property
    def channels(self) -> tuple[Channel, ...]:
        """Who may be told: what is wrong with a registration or a program is nothing that a person could mend."""
        if self.kind in (EventKind.PROVIDER_MISCONFIGURED, EventKind.CLIENT_FROZEN):
            return (Channel.BUS, Channel.ADMINISTRATORS)
        return tuple(Channel)

    def still_holds(self, holding: Holding) -> bool:
        """Whether it is so now: a mail says what its reader will find, and nothing that passed meanwhile."""
        provider, grant = holding.provider, holding.grant
        if not provider.enabled or provider.generation != self.generation:
            return False
        if self.kind is EventKind.PROVIDER_MISCONFIGURED:
            return holding.health.is_misconfigured(provider.version)
        return grant is not None and grant.state in _STATES[self.kind] and self._is_unrenewed(grant)

    def _is_unrenewed(self, grant: Grant) -> bool:
        return self.kind is not EventKind.GRANT_ABOUT_TO_LAPSE or grant.last_renewed_at == self.stamp


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

    @classmethod
    def first(cls, event: Event, channel: Channel) -> Self:
        """At once, but for mails about what mostly passes by itself."""
        waits = event.kind is EventKind.GRANT_FAILING and channel is not Channel.BUS
        return cls(event, channel, event.at + (PATIENCE_SECONDS if waits else 0))

    def claimed(self, now: int) -> Self:
        """As whoever tries leaves it: should it fail or die, somebody tries again later."""
        wait = min(FIRST_RETRY_SECONDS * 4**self.attempts, LONGEST_WAIT_SECONDS)
        return replace(self, attempts=self.attempts + 1, due_at=now + wait)

    def is_hopeless(self, now: int) -> bool:
        return now - self.event.at >= GIVE_UP_SECONDS


@dataclass(frozen=True, slots=True)
class MailsSent:
    """Which mails went out lately about one grant to its person, or about one provider to the administrators.

    `user_id` is the event's `grant_owner`. `sent`: for each kind, when the last one did, and of which event.
    `version` 0: nothing stored.
    """

    channel: Channel
    provider_id: str
    user_id: str = ""
    sent: dict[EventKind, tuple[int, str]] = field(default_factory=dict)
    version: int = 0

    def allows(self, event: Event, now: int) -> bool:
        """Whether a mail about `event` may go out: one of a kind a day, a recovery only after a failure."""
        at, event_id = self.sent.get(event.kind, (0, ""))
        if event_id == event.id:
            # Ours, and it failed: this is the next attempt
            return True
        if event.kind is EventKind.GRANT_RECOVERED and self._at(EventKind.GRANT_FAILING) <= at:
            return False
        return now - at >= MAIL_PAUSE_SECONDS

    def with_sent(self, event: Event, now: int) -> Self:
        return replace(self, sent={**self.sent, event.kind: (now, event.id)})

    def _at(self, kind: EventKind) -> int:
        return self.sent.get(kind, (0, ""))[0]


def is_mail_address(text: str) -> bool:
    """Whether mail can be sent there: one plain address, without names, quotes, comments or line ends."""
    return len(text) <= _MAX_ADDRESS and _ADDRESS.fullmatch(text) is not None
