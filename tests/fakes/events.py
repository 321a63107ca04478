"""Outbox, bus and mail service in memory."""

from collections.abc import Collection, Iterable, Iterator, Mapping, Sequence
from dataclasses import replace
from datetime import UTC, datetime

from chalicelib.domain.audit import Period
from chalicelib.domain.errors import Conflict, NotFound, StorageUnavailable, Undeliverable
from chalicelib.domain.event import Channel, Delivery, Event, EventKind, MailsSent
from chalicelib.domain.mail import MailRefusal, MailStanding


class FakeOutbox:
    """Implements `ports.Outbox`. `fail_adding` plays a store that cannot be written."""

    def __init__(self) -> None:
        self.waiting: dict[tuple[str, Channel], Delivery] = {}
        self.known: set[tuple[str, Channel]] = set()
        self.buried: dict[tuple[str, Channel], Delivery] = {}
        self.delivered: dict[tuple[str, Channel], Delivery] = {}
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
        return iter(sorted(due, key=lambda one: (one.due_at, one.event.ms, one.event.sequence)))

    def change(self, delivery: Delivery, to: Delivery) -> None:
        ended = self.buried.pop(_key(delivery), None) or self.delivered.pop(_key(delivery), None)
        current = self.waiting.get(_key(delivery)) or ended
        if current is None or current.attempts != delivery.attempts:
            raise Conflict
        self.waiting[_key(delivery)] = to

    def bury(self, delivery: Delivery) -> None:
        self.waiting.pop(_key(delivery), None)
        self.buried[_key(delivery)] = replace(delivery, attempts=delivery.attempts + 1)

    def dead(self, *, limit: int) -> list[Delivery]:
        return sorted(self.buried.values(), key=lambda one: -one.event.at)[:limit]

    def dead_one(self, event_id: str, channel: Channel) -> Delivery:
        if (event_id, channel) not in self.buried:
            raise NotFound
        return self.buried[event_id, channel]

    def finish(self, deliveries: Sequence[Delivery], *, told: Collection[str] = ()) -> None:
        for delivery in deliveries:
            self.waiting.pop(_key(delivery), None)
            if delivery.event.id in told and delivery.channel is Channel.BUS:
                self.delivered[_key(delivery)] = replace(delivery, attempts=delivery.attempts + 1)
            if delivery.event.id in told:
                self.gone.add(_key(delivery))

    def published(self, period: Period) -> Iterator[Delivery]:
        found = sorted(self.delivered.values(), key=lambda one: (one.event.at, one.event.ms, one.event.sequence))
        days = ((one, datetime.fromtimestamp(one.event.at, UTC).date()) for one in found)
        return iter([one for one, day in days if period.first <= day <= period.last])

    def told(self, channel: Channel, event_ids: Iterable[str]) -> frozenset[str]:
        return frozenset(event_id for event_id in event_ids if (event_id, channel) in self.gone)

    def mails_sent(self, subject: str) -> MailsSent:
        return self.mails.get(subject, MailsSent(subject))

    def note_mails(self, mails: MailsSent, now: int) -> None:
        if self.mails.get(mails.subject, MailsSent(mails.subject)).version != mails.version:
            raise Conflict
        self.mails[mails.subject] = replace(mails, version=mails.version + 1)


def _key(delivery: Delivery) -> tuple[str, Channel]:
    return delivery.event.id, delivery.channel


class FakeBus:
    """Implements `ports.EventBus`; the next `fails` calls fail, and the events of `refused` people are not taken."""

    def __init__(self) -> None:
        self.published: list[Event] = []
        self.calls = 0
        self.fails = 0
        self.refused: set[str] = set()

    def publish(self, events: Sequence[Event]) -> Mapping[str, str]:
        assert len(events) <= 10
        self.calls += 1
        if self.fails:
            self.fails -= 1
            raise Undeliverable(detail="EventBridge: InternalFailure")
        refused = {event.id: "EventBridge: InternalFailure" for event in events if event.user_id in self.refused}
        self.published += [event for event in events if event.id not in refused]
        return refused


class FakeMailer:
    """Implements `ports.Mailer`; the next `fails` calls fail."""

    def __init__(self) -> None:
        self.sent: list[tuple[tuple[Event, ...], Channel, str]] = []
        self.fails = 0
        self.per_second, self.asked = 1e9, 0

    def rate(self) -> float:
        self.asked += 1
        return self.per_second

    def send(self, events: Sequence[Event], channel: Channel, address: str) -> None:
        if self.fails:
            self.fails -= 1
            raise Undeliverable(detail="SES: TooManyRequestsException")
        self.sent.append((tuple(events), channel, address))


class FakeMailStore:
    """Implements `ports.MailStore`."""

    def __init__(self) -> None:
        self.refusals: dict[str, MailRefusal] = {}
        self.unwanted: dict[str, frozenset[EventKind]] = {}

    def standing(self, user_id: str, address: str) -> MailStanding:
        return MailStanding(self.refusals.get(address.casefold()), self.unwanted.get(user_id, frozenset()))

    def refuse(self, refusal: MailRefusal) -> None:
        self.refusals[refusal.address.casefold()] = refusal

    def accept(self, address: str) -> None:
        self.refusals.pop(address.casefold(), None)

    def choose(self, user_id: str, unwanted: Iterable[EventKind]) -> None:
        self.unwanted[user_id] = frozenset(unwanted)
