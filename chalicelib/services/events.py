"""Telling people and programs what befell authorizations, each once: written down first, delivered in the background.

Whoever wins the write that changes a grant tells it here. That is one small write, which can fail without harm to
what is told about; the bus and the mail service are asked by a background function alone, again and again where they
do not answer (docs/adr/0050-events-leave-by-an-outbox.md).
"""

import logging
from collections.abc import Iterator, Sequence
from contextlib import suppress
from dataclasses import dataclass, field
from functools import partial
from itertools import islice

from chalicelib.domain.errors import Conflict, NotFound, VaultError
from chalicelib.domain.event import Channel, Delivery, Event, EventKind, MailsSent, is_mail_address
from chalicelib.ports import Clock, EventBus, GrantStore, Mailer, Outbox, UserStore

from .background import Budget, Engine, Piece, Queue

_LOG = logging.getLogger(__name__)

BUDGET = Budget("deliver_events", run_seconds=50, piece_seconds=60, at_once=4)
_MOST_IN_DIGESTS = 10_000
"""So many deliveries are read and finished in some ten seconds."""
_HELD_AT_ONCE = 100


@dataclass(frozen=True, slots=True)
class Outlets:
    """Where events go; what the settings leave out is not there, and without any nothing is written down."""

    bus: EventBus | None = None
    mailer: Mailer | None = None
    administrators: tuple[str, ...] = ()
    """Their mail addresses."""
    channels: frozenset[Channel] = field(init=False)

    def __post_init__(self) -> None:
        there = {
            Channel.BUS: self.bus is not None,
            Channel.PERSON: self.mailer is not None,
            Channel.ADMINISTRATORS: self.mailer is not None and bool(self.administrators),
        }
        object.__setattr__(self, "channels", frozenset(channel for channel, is_there in there.items() if is_there))


class EventService:
    """Takes events in and brings them out."""

    def __init__(
        self,
        *,
        outbox: Outbox,
        outlets: Outlets,
        grants: GrantStore,
        users: UserStore,
        clock: Clock,
        engine: Engine,
    ) -> None:
        self._engine = engine
        self._outbox = outbox
        self._outlets = outlets
        self._grants = grants
        self._users = users
        self._clock = clock

    @property
    def is_on(self) -> bool:
        """False where nobody wants to hear anything: then nothing is called for it."""
        return bool(self._outlets.channels)

    def tell(self, event: Event) -> None:
        """Write the event down for everybody who is told. Never fails: what it is about has happened already."""
        for channel in event.channels:
            if channel not in self._outlets.channels:
                continue
            try:
                self._outbox.add(Delivery.first(event, channel))
            except VaultError as error:
                _LOG.error("event.lost", extra=_line(event, channel) | _cause(error))

    def deliver_due(self, left: float | None = None) -> int:
        """Deliver what is due, in turns between the channels. Returns how much was delivered.

        `left`: seconds that the function still lives; None where nobody ends it.
        """
        channels = (None, *Channel) if self.is_on else ()
        queues = [Queue(channel or "", self._pieces(channel)) for channel in channels]
        return self._engine.run(BUDGET, queues, left).done

    def _pieces(self, channel: Channel | None) -> Iterator[Piece]:
        due = self._outbox.due(channel, self._clock.now())
        if channel is Channel.ADMINISTRATORS:
            yield from self._digests(due)
            return
        for delivery in due:
            yield Piece(delivery.due_at, partial(self._deliver, delivery))

    def _deliver(self, delivery: Delivery) -> int | None:
        if delivery.channel is Channel.ADMINISTRATORS:
            return self._digest([delivery])
        now = self._clock.now()
        self._outbox.claim(delivery, now)
        try:
            is_sent = self._send(delivery.event, delivery.channel)
        except VaultError as error:
            self._failed([delivery], error, now)
            return None
        self._outbox.finish([delivery], told=[delivery.event.id] if is_sent else [])
        return int(is_sent)

    def _send(self, event: Event, channel: Channel) -> bool:
        """True when it went out, False where nobody is to hear of it any more."""
        if channel is Channel.PERSON:
            return self._mail(event)
        if self._outlets.bus is None:
            return False
        self._outlets.bus.publish(event)
        return True

    # Mails to people

    def _mail(self, event: Event) -> bool:
        mailer, address = self._outlets.mailer, self._address(event)
        if mailer is None or not address or not self._holding([event], Channel.PERSON):
            return False
        mailer.send([event], Channel.PERSON, address)
        return True

    def _address(self, event: Event) -> str:
        """The directory's of today; who left gets no mail."""
        record = self._users.get(event.user_id)
        if record is None or record.departure is not None or not is_mail_address(record.user.email):
            return ""
        return record.user.email

    def _holding(self, events: Sequence[Event], channel: Channel) -> list[Event]:
        """Those that are so now, and news to who is told. All are about one provider or application."""
        first = events[0]
        if first.client_id:
            # Stopped, and resumed perhaps: that it happened is what its reader must know
            return list(events)
        try:
            holding = self._grants.load(*first.grant_id)
        except NotFound:
            return []
        grants = {first.account_of: holding.grant}
        if others := [event.account_of for event in events[1:]]:
            found = self._grants.of_these(first.provider_id, holding.provider.generation, others)
            grants |= {(grant.user_id, grant.slot): grant for grant in found}
        told = self._outbox.told(channel, {event.loss for event in events} - {""})
        still = [event for event in events if event.still_holds(holding, grants.get(event.account_of))]
        return [event for event in still if event.kind is not EventKind.GRANT_RECOVERED or event.loss in told]

    # Mails to administrators

    def _digests(self, due: Iterator[Delivery]) -> Iterator[Piece]:
        """What is due, by kind and provider: one mail each, unless the last one was a moment ago."""
        groups: dict[tuple[EventKind, str], list[Delivery]] = {}
        for delivery in islice(due, _MOST_IN_DIGESTS):
            groups.setdefault((delivery.event.kind, delivery.event.subject), []).append(delivery)
        for (kind, subject), group in groups.items():
            until = self._outbox.mails_sent(subject).next_at(kind)
            if until <= self._clock.now():
                yield Piece(group[0].due_at, partial(self._digest, group))
                continue
            for start in range(0, len(group), _HELD_AT_ONCE):
                part = group[start : start + _HELD_AT_ONCE]
                yield Piece(part[0].due_at, partial(self._hold, part, until))

    def _hold(self, deliveries: Sequence[Delivery], until: int) -> int:
        for delivery in deliveries:
            with suppress(Conflict):
                self._outbox.hold(delivery, until)
        return 0

    def _digest(self, group: Sequence[Delivery]) -> int | None:
        """One mail about all of it, to each administrator. What is no longer so is in none."""
        now, mails = self._clock.now(), self._outbox.mails_sent(group[0].event.subject)
        until = mails.next_at(group[0].event.kind)
        if until > now:
            # Another run was faster
            return self._hold(group, until)
        events = self._news([delivery.event for delivery in group], mails)
        if events:
            # Whoever is faster with this sends it, the other one finds a conflict
            self._outbox.note_mails(mails.with_sent(events[0], now), now)
            try:
                self._send_to_each(events)
            except VaultError as error:
                with suppress(Conflict):
                    self._outbox.note_mails(mails.failed(events[0], now), now)
                self._failed(group, error, now)
                return None
        self._outbox.finish(group, told=[event.id for event in events])
        return len(events)

    def _news(self, events: Sequence[Event], mails: MailsSent) -> list[Event]:
        if self._outlets.mailer is None or not self._outlets.administrators:
            return []
        if events[0].kind is EventKind.PROVIDER_RECOVERED and not mails.is_open(EventKind.PROVIDER_MISCONFIGURED):
            return []
        return self._holding(events, Channel.ADMINISTRATORS)

    def _send_to_each(self, events: Sequence[Event]) -> None:
        """Raises Undeliverable where nobody got it: who has it is not to get it again for somebody who has not."""
        failures = []
        for address in self._outlets.administrators:
            try:
                self._outlets.mailer.send(events, Channel.ADMINISTRATORS, address)  # type: ignore[union-attr]
            except VaultError as error:
                failures.append(error)
                _LOG.warning("event.undelivered", extra=_line(events[0], Channel.ADMINISTRATORS) | _cause(error))
        if len(failures) == len(self._outlets.administrators):
            raise failures[0]

    def _failed(self, deliveries: Sequence[Delivery], error: VaultError, now: int) -> None:
        """It stays in the outbox, unless there is no hope left."""
        for delivery in deliveries:
            extra = _line(delivery.event, delivery.channel) | _cause(error)
            _LOG.warning("event.undelivered", extra=extra)
            if delivery.is_hopeless(now):
                self._outbox.finish([delivery])
                _LOG.error("event.lost", extra=extra)


def _line(event: Event, channel: Channel) -> dict[str, object]:
    facts = {"kind": event.kind.value, "channel": channel.value, "event": event.id}
    return {"user_id": event.user_id, "provider_id": event.provider_id, "facts": facts}


def _cause(error: VaultError) -> dict[str, object]:
    return {"code": error.code, "detail": error.detail}
