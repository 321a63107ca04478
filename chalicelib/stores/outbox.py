"""Events on their way out. One that was delivered stays for a while, so that it is not told again."""

from collections.abc import Iterator
from dataclasses import asdict, dataclass, replace

from chalicelib.domain.errors import Conflict
from chalicelib.domain.event import Channel, Delivery, EventKind, MailsSent

from .due import due, listed, odd
from .items import Item, load, read_or, version_of
from .table import Condition, ConditionFailed, Table
from .tables import EXPIRES, KEY, SORT

_LISTING = "OUTBOX"
_KIND, _PREFIX = "delivery", "EVENT#"
_KEPT_SECONDS = 90 * 24 * 3600


class DynamoOutbox:
    """Implements `ports.Outbox`."""

    def __init__(self, table: Table) -> None:
        self._table = table

    def add(self, delivery: Delivery) -> None:
        try:
            self._table.put(_to_item(delivery) | _listed(delivery), Condition.absent(KEY))
        except ConditionFailed:
            return

    def due(self, channel: Channel | None, now: int) -> Iterator[Delivery]:
        return due(self._table, _KIND, _listing(channel), now, _parsed)

    def claim(self, delivery: Delivery, now: int) -> None:
        claimed = delivery.claimed(now)
        try:
            self._table.put(_to_item(claimed) | _listed(claimed), Condition.equals(attempts=delivery.attempts))
        except ConditionFailed:
            raise Conflict from None

    def finish(self, delivery: Delivery) -> None:
        # As the claim left it, so that nobody who read it earlier can claim it again
        self._table.put(_to_item(replace(delivery, attempts=delivery.attempts + 1)))

    def odd(self) -> list[str]:
        return [f"{key.removeprefix(_PREFIX)}/{sort}" for key, sort in odd(self._table, _KIND, _parsed)]

    def delete_odd(self, item_id: str) -> None:
        event_id, _, channel = item_id.rpartition("/")
        self._table.delete_odd(_key(event_id, channel), _parsed)

    def mails_sent(self, channel: Channel, provider_id: str, user_id: str) -> MailsSent:
        empty = MailsSent(channel, provider_id, user_id)
        item = self._table.get(_mails_key(empty))
        if item is None:
            return empty
        # At worst one mail more: what cannot be read is written anew with it
        found = read_or("mails sent", item, lambda item: load(_Sent, item), lambda item: _Sent({}, version_of(item)))
        return replace(
            empty, sent={kind: (one.at, one.event) for kind, one in found.sent.items()}, version=found.version
        )

    def note_mails(self, mails: MailsSent, now: int) -> None:
        sent = {kind.value: {"at": at, "event": event_id} for kind, (at, event_id) in mails.sent.items()}
        values = {"sent": sent, "version": max(mails.version, 0) + 1, EXPIRES: now + _KEPT_SECONDS}
        condition = Condition.version(mails.version) if mails.version else Condition.absent(KEY)
        try:
            self._table.put(_mails_key(mails) | values, condition)
        except ConditionFailed:
            raise Conflict from None


def _mails_key(mails: MailsSent) -> Item:
    return {KEY: f"MAILS#{mails.user_id or '-'}#{mails.provider_id}", SORT: mails.channel.value}


def _listing(channel: Channel | None) -> str:
    """Of a channel; what was written down before each had a list of its own is on one together."""
    return f"{_LISTING}#{channel.value}" if channel else _LISTING


def _listed(delivery: Delivery) -> Item:
    return listed(_listing(delivery.channel), delivery.due_at)


def _key(event_id: str, channel: str) -> Item:
    return {KEY: f"{_PREFIX}{event_id}", SORT: channel}


def _to_item(delivery: Delivery) -> Item:
    event = delivery.event
    return {
        **_key(event.id, delivery.channel.value),
        "event": asdict(event) | {"kind": event.kind.value},
        "due_at": delivery.due_at,
        "attempts": delivery.attempts,
        EXPIRES: event.at + _KEPT_SECONDS,
    }


def _parsed(item: Item) -> Delivery:
    return load(Delivery, {**item, "channel": item[SORT]}, later=("client_id", "client_name", "slot"))


@dataclass(frozen=True, slots=True)
class _Mail:
    at: int
    event: str


@dataclass(frozen=True, slots=True)
class _Sent:
    sent: dict[EventKind, _Mail]
    version: int
