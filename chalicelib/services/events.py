"""Telling people and programs what befell authorizations, each once: written down first, delivered in the background.

Whoever wins the write that changes a grant tells it here. That is one small write, which can fail without harm to
what is told about; the bus and the mail service are asked by a background function alone, again and again where they
do not answer (docs/adr/0050-events-leave-by-an-outbox.md).
"""

import logging
from collections.abc import Iterator
from dataclasses import dataclass, field
from functools import partial

from chalicelib.domain.errors import NotFound, VaultError
from chalicelib.domain.event import Channel, Delivery, Event, is_mail_address
from chalicelib.ports import Clock, EventBus, GrantStore, Mailer, Outbox, UserStore

from .background import Budget, Engine, Piece, Queue

_LOG = logging.getLogger(__name__)

BUDGET = Budget("deliver_events", run_seconds=50, piece_seconds=60, at_once=4)


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
                _LOG.error("event.lost", extra=_line(event, channel) | {"code": error.code, "detail": error.detail})

    def deliver_due(self, left: float | None = None) -> int:
        """Deliver what is due, in turns between the channels. Returns how much was delivered.

        `left`: seconds that the function still lives; None where nobody ends it.
        """
        channels = (None, *Channel) if self.is_on else ()
        queues = [Queue(channel or "", self._due(channel)) for channel in channels]
        return self._engine.run(BUDGET, queues, left).done

    def _due(self, channel: Channel | None) -> Iterator[Piece]:
        for delivery in self._outbox.due(channel, self._clock.now()):
            yield Piece(delivery.due_at, partial(self._deliver, delivery))

    def _deliver(self, delivery: Delivery) -> int | None:
        now = self._clock.now()
        self._outbox.claim(delivery, now)
        try:
            is_sent = self._send(delivery, now)
        except VaultError as error:
            self._failed(delivery, error, now)
            return None
        self._outbox.finish(delivery)
        return int(is_sent)

    def _send(self, delivery: Delivery, now: int) -> bool:
        """True when it went out, False where nobody is to hear of it any more."""
        if delivery.channel is not Channel.BUS:
            return self._mail(delivery.event, delivery.channel, now)
        if self._outlets.bus is None:
            return False
        self._outlets.bus.publish(delivery.event)
        return True

    def _mail(self, event: Event, channel: Channel, now: int) -> bool:
        mailer, addresses = self._outlets.mailer, self._addresses(event, channel)
        if mailer is None or not addresses or not self._still_holds(event):
            return False
        # The administrators hear of a provider, however many people it is about
        whose = event.grant_owner if channel is Channel.PERSON else ""
        mails = self._outbox.mails_sent(channel, event.subject, whose)
        if not mails.allows(event, now):
            return False
        self._outbox.note_mails(mails.with_sent(event, now), now)
        mailer.send(event, channel, addresses)
        return True

    def _addresses(self, event: Event, channel: Channel) -> tuple[str, ...]:
        """The address is the directory's of today; who left gets no mail."""
        if channel is Channel.ADMINISTRATORS:
            return self._outlets.administrators
        record = self._users.get(event.user_id)
        if record is None or record.departure is not None or not is_mail_address(record.user.email):
            return ()
        return (record.user.email,)

    def _still_holds(self, event: Event) -> bool:
        if event.client_id:
            # Stopped, and resumed perhaps: that it happened is what its reader must know
            return True
        try:
            return event.still_holds(self._grants.load(event.user_id, event.provider_id, event.slot))
        except NotFound:
            return False

    def _failed(self, delivery: Delivery, error: VaultError, now: int) -> None:
        """The claim has put it off already, unless there is no hope left."""
        extra = _line(delivery.event, delivery.channel) | {"code": error.code, "detail": error.detail}
        _LOG.warning("event.undelivered", extra=extra)
        if delivery.is_hopeless(now):
            self._outbox.finish(delivery)
            _LOG.error("event.lost", extra=extra)


def _line(event: Event, channel: Channel) -> dict[str, object]:
    facts = {"kind": event.kind.value, "channel": channel.value, "event": event.id}
    return {"user_id": event.user_id, "provider_id": event.provider_id, "facts": facts}
