"""Outbox, bus and mail service in memory."""

from collections.abc import Collection, Iterable, Iterator, Sequence
from dataclasses import replace

from chalicelib.domain.errors import Conflict, StorageUnavailable, Undeliverable
from chalicelib.domain.event import Channel, Delivery, Event, MailsSent


class FakeOutbox:
    """Implements `ports.Outbox`. `fail_adding` plays a store that cannot be written."""

    def __init__(self) -> None:
        self.waiting: dict[tuple[str, Channel], Delivery] = {}
        self.known: set[tuple[str, Channel]] = set()
        self.gone: set[tuple[str, Channel]] = set()
        self.mails: dict[str, MailsSent] = {}
        self.fail_adding = False

    def add(self, delivery: Delivery) -> None:
        if self.fail_adding:
            raise StorageUnavailable
        if _key(delivery) not in self.known:
            self.known.add(_key(delivery))
            self.waiting[_key(delivery)] = delivery

    def due(self, channel: Channel | None, now: int) -> Iterator[Delivery]:
        due = [one for one in self.waiting.values() if one.channel is channel and one.due_at <= now]
        return iter(sorted(due, key=lambda one: one.due_at))

    def claim(self, delivery: Delivery, now: int) -> None:
        self._put_off(delivery, delivery.claimed(now))

    def hold(self, delivery: Delivery, until: int) -> None:
        self._put_off(delivery, delivery.held(until))

    def _put_off(self, delivery: Delivery, later: Delivery) -> None:
        current = self.waiting.get(_key(delivery))
        if current is None or current.attempts != delivery.attempts:
            raise Conflict
        self.waiting[_key(delivery)] = later

    def finish(self, deliveries: Sequence[Delivery], *, told: Collection[str] = ()) -> None:
        for delivery in deliveries:
            self.waiting.pop(_key(delivery), None)
            if delivery.event.id in told:
                self.gone.add(_key(delivery))

    def told(self, channel: Channel, event_ids: Iterable[str]) -> frozenset[str]:
        return frozenset(event_id for event_id in event_ids if (event_id, channel) in self.gone)

    def mails_sent(self, subject: str) -> MailsSent:
        return self.mails.get(subject, MailsSent(subject))

    def note_mails(self, mails: MailsSent, now: int) -> None:
        if self.mails_sent(mails.subject).version != mails.version:
            raise Conflict
        self.mails[mails.subject] = replace(mails, version=mails.version + 1)


def _key(delivery: Delivery) -> tuple[str, Channel]:
    return delivery.event.id, delivery.channel


class FakeBus:
    """Implements `ports.EventBus`; the next `fails` calls fail."""

    def __init__(self) -> None:
        self.published: list[Event] = []
        self.fails = 0

    def publish(self, event: Event) -> None:
        if self.fails:
            self.fails -= 1
            raise Undeliverable(detail="EventBridge: InternalFailure")
        self.published.append(event)


class FakeMailer:
    """Implements `ports.Mailer`; the next `fails` calls fail."""

    def __init__(self) -> None:
        self.sent: list[tuple[tuple[Event, ...], Channel, str]] = []
        self.fails = 0

    def send(self, events: Sequence[Event], channel: Channel, address: str) -> None:
        if self.fails:
            self.fails -= 1
            raise Undeliverable(detail="SES: TooManyRequestsException")
        self.sent.append((tuple(events), channel, address))
