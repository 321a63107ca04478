"""Outbox, bus and mail service in memory."""

from collections.abc import Iterator
from dataclasses import replace

from chalicelib.domain.errors import Conflict, StorageUnavailable, Undeliverable
from chalicelib.domain.event import Channel, Delivery, Event, MailsSent


class FakeOutbox:
    """Implements `ports.Outbox`. `fail_adding` plays a store that cannot be written."""

    def __init__(self) -> None:
        self.waiting: dict[tuple[str, Channel], Delivery] = {}
        self.known: set[tuple[str, Channel]] = set()
        self.mails: dict[tuple[Channel, str, str], MailsSent] = {}
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
        current = self.waiting.get(_key(delivery))
        if current is None or current.attempts != delivery.attempts:
            raise Conflict
        self.waiting[_key(delivery)] = delivery.claimed(now)

    def finish(self, delivery: Delivery) -> None:
        self.waiting.pop(_key(delivery), None)

    def mails_sent(self, channel: Channel, provider_id: str, user_id: str) -> MailsSent:
        return self.mails.get((channel, provider_id, user_id), MailsSent(channel, provider_id, user_id))

    def note_mails(self, mails: MailsSent, now: int) -> None:
        key = (mails.channel, mails.provider_id, mails.user_id)
        if self.mails_sent(*key).version != mails.version:
            raise Conflict
        self.mails[key] = replace(mails, version=mails.version + 1)


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
        self.sent: list[tuple[Event, Channel, tuple[str, ...]]] = []
        self.fails = 0

    def send(self, event: Event, channel: Channel, addresses: tuple[str, ...]) -> None:
        if self.fails:
            self.fails -= 1
            raise Undeliverable(detail="SES: TooManyRequestsException")
        self.sent.append((event, channel, addresses))
