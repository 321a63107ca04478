"""Telling people and programs what befell authorizations, each once: written down first, delivered in the background.

Whoever wins the write that changes a grant tells it here. That is one small write, which can fail without harm to
what is told about; the bus and the mail service are asked by a background function alone, again and again where they
do not answer (docs/adr/0050-events-leave-by-an-outbox.md).
"""

import logging
from dataclasses import dataclass, field

from chalicelib.domain.errors import Conflict, NotFound, VaultError
from chalicelib.domain.event import Channel, Delivery, Event, is_mail_address
from chalicelib.ports import Clock, EventBus, GrantStore, Mailer, Outbox, UserStore

_LOG = logging.getLogger(__name__)

_PAGE = 25


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

    def __init__(self, *, outbox: Outbox, outlets: Outlets, grants: GrantStore, users: UserStore, clock: Clock) -> None:
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

    def deliver_due(self, *, seconds: float = 15.0) -> int:
        """Deliver what is due, beginning nothing more after `seconds`. Returns how much was delivered."""
        if not self.is_on:
            return 0
        end, delivered = self._clock.monotonic() + seconds, 0
        while due := self._outbox.due(self._clock.now(), limit=_PAGE):
            for delivery in due:
                if self._clock.monotonic() >= end:
                    return delivered
                delivered += self._deliver(delivery)
        return delivered

    def _deliver(self, delivery: Delivery) -> bool:
        now = self._clock.now()
        try:
            self._outbox.claim(delivery, now)
        except Conflict:
            return False
        try:
            is_sent = self._send(delivery, now)
        except VaultError as error:
            return self._failed(delivery, error, now)
        self._outbox.finish(delivery)
        return is_sent

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

    def _failed(self, delivery: Delivery, error: VaultError, now: int) -> bool:
        """The claim has put it off already, unless there is no hope left."""
        extra = _line(delivery.event, delivery.channel) | {"code": error.code, "detail": error.detail}
        _LOG.warning("event.undelivered", extra=extra)
        if delivery.is_hopeless(now):
            self._outbox.finish(delivery)
            _LOG.error("event.lost", extra=extra)
        return False


def _line(event: Event, channel: Channel) -> dict[str, object]:
    facts = {"kind": event.kind.value, "channel": channel.value, "event": event.id}
    return {"user_id": event.user_id, "provider_id": event.provider_id, "facts": facts}
