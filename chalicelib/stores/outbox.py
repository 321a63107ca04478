"""Events on their way out. One that was delivered stays for a while, so that it is not told again."""

from dataclasses import asdict, dataclass, replace
from typing import Any

from chalicelib.domain.errors import Conflict
from chalicelib.domain.event import Channel, Delivery, EventKind, MailsSent

from .items import Item, load, read_or, version_of
from .table import Condition, ConditionFailed, Table, batch_get, readable_or_later
from .tables import EXPIRES, KEY, LISTING, SORT

_LISTING = "OUTBOX"
_KEPT_SECONDS = 90 * 24 * 3600


class DynamoOutbox:
    """Implements `ports.Outbox`."""

    def __init__(self, client: Any, table: Table) -> None:
        self._client = client
        self._table = table

    def add(self, delivery: Delivery) -> None:
        try:
            self._table.put(_to_item(delivery) | _listed(delivery), Condition.absent(KEY))
        except ConditionFailed:
            return

    def due(self, now: int, *, limit: int) -> list[Delivery]:
        condition = Condition(
            f"#{LISTING.key} = :listing AND #{LISTING.sort} <= :now", {"listing": _LISTING, "now": _moment(now)}
        )
        keys = [{KEY: i[KEY], SORT: i[SORT]} for i in self._table.query(condition, index=LISTING, limit=limit).items]
        if not keys:
            return []
        found = batch_get(self._client, {self._table.name: keys})[self._table.name]
        listed = [item for item in found if LISTING.key in item]
        waiting = readable_or_later(self._table, "delivery", listed, _parsed, now)
        return sorted((one for one in waiting if one.due_at <= now), key=lambda one: one.due_at)

    def claim(self, delivery: Delivery, now: int) -> None:
        claimed = delivery.claimed(now)
        try:
            self._table.put(_to_item(claimed) | _listed(claimed), Condition.equals(attempts=delivery.attempts))
        except ConditionFailed:
            raise Conflict from None

    def finish(self, delivery: Delivery) -> None:
        # As the claim left it, so that nobody who read it earlier can claim it again
        self._table.put(_to_item(replace(delivery, attempts=delivery.attempts + 1)))

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


def _moment(at: int) -> str:
    return f"{at:012d}"


def _listed(delivery: Delivery) -> Item:
    return {LISTING.key: _LISTING, LISTING.sort: _moment(delivery.due_at)}


def _to_item(delivery: Delivery) -> Item:
    event = delivery.event
    return {
        KEY: f"EVENT#{event.id}",
        SORT: delivery.channel.value,
        "event": asdict(event) | {"kind": event.kind.value},
        "due_at": delivery.due_at,
        "attempts": delivery.attempts,
        EXPIRES: event.at + _KEPT_SECONDS,
    }


def _parsed(item: Item) -> Delivery:
    return load(Delivery, {**item, "channel": item[SORT]})


@dataclass(frozen=True, slots=True)
class _Mail:
    at: int
    event: str


@dataclass(frozen=True, slots=True)
class _Sent:
    sent: dict[EventKind, _Mail]
    version: int
