"""Events on their way out. One that was delivered stays for a while, so that it is not told again."""

import logging
from collections.abc import Collection, Iterable, Iterator, Sequence
from dataclasses import asdict, dataclass, replace
from datetime import UTC, datetime, timedelta
from functools import partial

from chalicelib.domain.audit import Period
from chalicelib.domain.errors import Conflict, NotFound
from chalicelib.domain.event import GIVE_UP_SECONDS, Channel, Delivery, EventKind, MailsSent

from .due import due, listed, odd
from .items import Item, load, read, read_or, readable, version_of
from .table import Condition, ConditionFailed, Table
from .tables import EXPIRES, KEY, LISTING, SORT

_LOG = logging.getLogger(__name__)

_LISTING = "OUTBOX"
_KIND, _PREFIX = "delivery", "EVENT#"
_TOLD = "told"
"""Whether it went out: what was no longer so by then is finished, and nobody heard of it."""
_DEAD = "OUTBOX#dead"
_PUBLISHED = "PUBLISHED"
_PAGE = 100
_KEPT_SECONDS = 90 * 24 * 3600
_LATER = ("client_id", "client_name", "slot", "loss", "sequence", "ms", "busy_until", "tried_since", "error")
"""What earlier versions did not write."""


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
        return due(self._table, _KIND, _listing(channel), now, _parsed, give_up=partial(_is_lost, now), order=_in_order)

    def odd(self) -> list[str]:
        return [f"{key.removeprefix(_PREFIX)}/{sort}" for key, sort in odd(self._table, _KIND, _parsed)]

    def delete_odd(self, item_id: str) -> None:
        event_id, _, channel = item_id.rpartition("/")
        self._table.delete_odd(_key(event_id, channel), _parsed)

    def change(self, delivery: Delivery, to: Delivery) -> None:
        try:
            self._table.put(_to_item(to) | _listed(to), Condition.equals(attempts=delivery.attempts))
        except ConditionFailed:
            raise Conflict from None

    def bury(self, delivery: Delivery) -> None:
        over = replace(delivery, attempts=delivery.attempts + 1)
        self._table.put(_to_item(over) | listed(_DEAD, delivery.event.at))

    def dead(self, *, limit: int) -> list[Delivery]:
        condition = Condition(f"#{LISTING.key} = :listing", {"listing": _DEAD})
        page = self._table.listed(condition, index=LISTING, limit=limit, descending=True)
        return list(readable("delivery", page.items, _parsed))

    def dead_one(self, event_id: str, channel: Channel) -> Delivery:
        item = self._table.get({KEY: f"EVENT#{event_id}", SORT: channel.value})
        if item is None or item.get(LISTING.key) != _DEAD:
            raise NotFound
        return read("delivery", item, _parsed)

    def finish(self, deliveries: Sequence[Delivery], *, told: Collection[str] = ()) -> None:
        # As a claim left it, so that nobody who read it earlier can claim it again
        over = (replace(one, attempts=one.attempts + 1) for one in deliveries)
        self._table.put_all([_to_item(one) | _ended(one, is_told=one.event.id in told) for one in over])

    def published(self, period: Period) -> Iterator[Delivery]:
        for number in range(period.days):
            day = period.first + timedelta(days=number)
            condition = Condition(f"#{LISTING.key} = :listing", {"listing": f"{_PUBLISHED}#{day.isoformat()}"})
            after = None
            while True:
                page = self._table.listed(condition, index=LISTING, limit=_PAGE, after=after)
                yield from sorted(readable("delivery", page.items, _parsed), key=_in_order)
                after = page.last_key
                if after is None:
                    break

    def told(self, channel: Channel, event_ids: Iterable[str]) -> frozenset[str]:
        keys = {event_id: {KEY: f"EVENT#{event_id}", SORT: channel.value} for event_id in event_ids}
        found = {item[KEY] for item in self._table.get_all(list(keys.values())) if item.get(_TOLD) is True}
        return frozenset(event_id for event_id, key in keys.items() if key[KEY] in found)

    def mails_sent(self, subject: str) -> MailsSent:
        empty = MailsSent(subject)
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


def _ended(delivery: Delivery, *, is_told: bool) -> Item:
    """What the bus took stays on a list of its day, for whoever needs it once more."""
    ended: Item = {_TOLD: is_told}
    if is_told and delivery.channel is Channel.BUS:
        day = datetime.fromtimestamp(delivery.event.at, UTC).date()
        ended |= listed(f"{_PUBLISHED}#{day.isoformat()}", delivery.event.at)
    return ended


def _in_order(delivery: Delivery) -> tuple[int, int, int]:
    """Of what happened in one second, what a grant's versions say."""
    return delivery.due_at, delivery.event.ms, delivery.event.sequence


def _is_lost(now: int, item: Item) -> bool:
    """Whether one that cannot be read has had the life that is promised; said in the log, as of every other."""
    expires_at = item.get(EXPIRES)
    if type(expires_at) is not int or now - (expires_at - _KEPT_SECONDS) < GIVE_UP_SECONDS:
        return False
    _LOG.error("event.lost", extra={"detail": f"{item[KEY]}/{item[SORT]}"})
    return True


def _mails_key(mails: MailsSent) -> Item:
    return {KEY: f"MAILS#-#{mails.subject}", SORT: Channel.ADMINISTRATORS.value}


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
        "busy_until": delivery.busy_until,
        "tried_since": delivery.tried_since,
        "error": delivery.error,
        EXPIRES: event.at + _KEPT_SECONDS,
    }


def _parsed(item: Item) -> Delivery:
    return load(Delivery, {**item, "channel": item[SORT]}, later=_LATER)


@dataclass(frozen=True, slots=True)
class _Mail:
    at: int
    event: str


@dataclass(frozen=True, slots=True)
class _Sent:
    sent: dict[EventKind, _Mail]
    version: int
