"""The audit log: one put an entry, spread over shards of a day so that no partition is the bottleneck.

An entry about a user is in the listing index too, under that user: the index is written by DynamoDB.
What it says of each of the two people it names stands apart, so that it can be taken out without a change of what was
sealed (docs/adr/0173-names-are-sealed-by-their-digest.md).
"""

import json
import logging
from base64 import urlsafe_b64encode
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from datetime import date, timedelta
from hashlib import sha256
from heapq import merge
from itertools import count
from typing import Any
from zlib import crc32

from chalicelib.domain.audit import (
    PERSONAL_FACTS,
    AuditEntry,
    AuditEvent,
    AuditTag,
    Origin,
    Outcome,
    Period,
    position,
    seconds_of,
)
from chalicelib.domain.errors import Conflict
from chalicelib.domain.seal import StoredEntry
from chalicelib.ports import Clock, Random

from .items import Item
from .table import Condition, ConditionFailed, Table
from .tables import EXPIRES, KEY, LISTING, SORT

_LOG = logging.getLogger(__name__)

SHARDS = 8
_SHARD_PAGE = 25
_DAY_SECONDS = 86400
_NUMBERS = 10**6
"""More than one process can write in a second."""
_DAY = 10
"""Characters of a position that name its day."""
_BEGIN, _END = "00:00:00", "24:00:00"
"""Sort keys around every entry of a day."""
_PARTS = {"user": ("user_id", ("user_name", "about")), "actor": ("actor", ("actor_name", "source", "browser"))}
"""What is said of each of the two people: the attribute with the id, and those that can be taken out."""
_SALT, _DIGEST = "_salt", "_digest"
_SALT_SIZE = 16
"""Bytes, so that nobody finds a name that was taken out by trying names."""


class DynamoAuditLog:
    """Implements `ports.AuditLog`; each entry is a log line too."""

    def __init__(self, table: Table, clock: Clock, random: Random, *, days: int) -> None:
        self._table = table
        self._clock = clock
        self._random = random
        self._seconds = days * _DAY_SECONDS
        self._written = count()

    def record(self, event: AuditEvent) -> None:
        at = self._clock.now()
        self._table.put(self._item(event, at, self._entry_id()), Condition.absent(KEY))
        _LOG.info(event.tag.value, extra=_to_line(event))

    @contextmanager
    def recording(self, *events: AuditEvent) -> Iterator[None]:
        at, companions = self._clock.now(), None
        try:
            with self._table.together(*(self._item(one, at, self._entry_id()) for one in events)) as companions:
                yield
        finally:
            if companions is not None and companions.are_stored:
                for event in events:
                    _LOG.info(event.tag.value, extra=_to_line(event))

    def record_all(self, events: Sequence[AuditEvent]) -> None:
        at = self._clock.now()
        self._table.put_all([self._item(event, at, self._entry_id()) for event in events])
        for event in events:
            _LOG.info(event.tag.value, extra=_to_line(event))

    def record_once(self, event: AuditEvent, entry_id: str, at: int) -> None:
        item = self._item(event, at, entry_id) | {"recorded_at": self._clock.now()}
        try:
            self._table.put(item, Condition.absent(KEY))
        except ConditionFailed:
            raise Conflict from None
        _LOG.info(event.tag.value, extra=_to_line(event))

    def _entry_id(self) -> str:
        """In one second the entries of one process stand as it wrote them: positions are compared as text."""
        return f"{next(self._written) % _NUMBERS:06}{self._random.token(12)}"

    def entries(self, period: Period, *, before: str | None = None) -> Iterator[AuditEntry]:
        last = min(period.last, _day(before)) if before else period.last
        for number in range((last - period.first).days + 1):
            day = last - timedelta(days=number)
            end = _sort(before) if before and day == _day(before) else _END
            yield from map(_from_item, self._of_day(day, end))

    def of_user(self, user_id: str, *, period: Period | None = None, before: str | None = None) -> Iterator[AuditEntry]:
        first, last = (f"{period.first}", f"{period.last}T{_END}") if period else ("0", "9")
        end = min(last, before) if before else last
        if end < first:
            return iter(())
        condition = _between(LISTING.key, _listing(user_id), LISTING.sort, first, end)
        return (_from_item(item) for item in self._listed(condition) if item[LISTING.sort] != end)

    def _listed(self, condition: Condition) -> Iterator[Item]:
        """Newest first, page after page, each read when it is needed."""
        after: Item | None = None
        while True:
            page = self._table.listed(condition, index=LISTING, limit=_SHARD_PAGE, after=after, descending=True)
            yield from page.items
            after = page.last_key
            if after is None:
                return

    def stored(self, begin: str, end: str) -> Iterator[StoredEntry]:
        for number in range((_day(end) - _day(begin)).days + 1):
            day = _day(begin) + timedelta(days=number)
            low = _sort(begin) if day == _day(begin) else _BEGIN
            high = _sort(end) if day == _day(end) else _END
            if low < high:
                shards = (self._of_shard(f"{_partition(day)}#{shard}", high, begin=low) for shard in range(SHARDS))
                yield from map(_evidence, merge(*shards, key=_sort_key))

    def _item(self, event: AuditEvent, at: int, entry_id: str) -> Item:
        item = _to_item(event, at, entry_id) | {EXPIRES: at + self._seconds}
        for part, (_, names) in _PARTS.items():
            if said := {name: item[name] for name in names if item[name]}:
                salt = self._random.token(_SALT_SIZE)
                item |= {part + _SALT: salt, part + _DIGEST: _digest(salt, said)}
        return item

    def _of_day(self, day: date, end: str) -> Iterator[Item]:
        """The items of a day below the sort key `end`, newest first, from all shards at once."""
        shards = (
            self._of_shard(f"{_partition(day)}#{shard}", end, limit=_SHARD_PAGE, descending=True)
            for shard in range(SHARDS)
        )
        return merge(*shards, key=_sort_key, reverse=True)

    def _of_shard(
        self, partition: str, end: str, *, begin: str = _BEGIN, limit: int | None = None, descending: bool = False
    ) -> Iterator[Item]:
        condition = _between(KEY, partition, SORT, begin, end)
        items = self._table.query_all(condition, limit=limit, descending=descending)
        return (item for item in items if item[SORT] != end)


def _between(key: str, partition: str, sort: str, begin: str, end: str) -> Condition:
    """BETWEEN takes both ends; what is exactly at `end` is for the caller to leave out."""
    expression = f"#{key} = :partition AND #{sort} BETWEEN :begin AND :end"
    return Condition(expression, {"partition": partition, "begin": begin, "end": end})


def _sort_key(item: Item) -> str:
    return str(item[SORT])


def _place(item: Item) -> str:
    return f"{item[KEY][len('AUDIT#') :][:_DAY]}T{item[SORT]}"


def _evidence(item: Item) -> StoredEntry:
    """Every attribute counts, also those that no reader looks at; names by their digest, whether or not they are there.

    One whose names are not those of the digest counts as it is, and so is another one than what was sealed.
    """
    counting, nameless = dict(item), []
    for part, (person, names) in _PARTS.items():
        said = {name: item[name] for name in names if item.get(name)}
        salt, digest = item.get(part + _SALT), item.get(part + _DIGEST)
        is_gone = not said and salt is None
        if isinstance(digest, str) and (is_gone or digest == _digest(str(salt), said)):
            counting = {name: one for name, one in counting.items() if name not in (*names, part + _SALT)}
            nameless += [str(item.get(person, ""))] if is_gone else []
    text = json.dumps(counting, sort_keys=True, default=repr)
    return StoredEntry(_place(item), sha256(text.encode()).hexdigest(), _from_item(item).event, tuple(nameless))


def _digest(salt: str, said: Item) -> str:
    """SHA-256, shorter than in hex: an entry is to stay below 1 KB, which is one write unit."""
    text = json.dumps([salt, said], sort_keys=True, default=repr)
    return urlsafe_b64encode(sha256(text.encode()).digest()).decode().rstrip("=")


def names_in(item: Mapping[str, Any], user_id: str) -> list[str]:
    """The attributes of an entry that say more of this person than the id, and can be taken out."""
    parts = [(part, names) for part, (person, names) in _PARTS.items() if item.get(person) == user_id]
    found = [(*names, part + _SALT) for part, names in parts if part + _DIGEST in item]
    return [name for names in found for name in names if name in item]


def _partition(day: date) -> str:
    return f"AUDIT#{day}"


def _listing(user_id: str) -> str:
    return f"AUDIT#{user_id}"


def _day(place: str) -> date:
    return date.fromisoformat(place[:_DAY])


def _sort(place: str) -> str:
    return place[_DAY + 1 :]


def _to_line(event: AuditEvent) -> dict[str, str]:
    return {
        "outcome": event.outcome.value,
        "actor": event.actor,
        "user_id": event.user_id,
        "provider_id": event.provider_id,
        "request_id": event.origin.request_id,
        "source": event.origin.source,
        "facts": json.dumps(event.facts),
    }


def _to_item(event: AuditEvent, at: int, entry_id: str) -> Item:
    place = position(at, entry_id)
    listed = {LISTING.key: _listing(event.user_id), LISTING.sort: place} if event.user_id else {}
    return listed | {
        KEY: f"{_partition(_day(place))}#{crc32(entry_id.encode()) % SHARDS}",
        SORT: _sort(place),
        "at": at,
        "tag": event.tag.value,
        "outcome": event.outcome.value,
        "actor": event.actor,
        "actor_name": event.actor_name,
        "user_id": event.user_id,
        "user_name": event.user_name,
        "provider_id": event.provider_id,
        "request_id": event.origin.request_id,
        "source": event.origin.source,
        "browser": event.origin.browser,
        "facts": {name: fact for name, fact in event.facts.items() if name not in PERSONAL_FACTS},
        "about": {name: fact for name, fact in event.facts.items() if name in PERSONAL_FACTS},
    }


def _from_item(item: Item) -> AuditEntry:
    place = _place(item)
    at = _time(place)
    try:
        if item["at"] != at:
            raise ValueError
        return AuditEntry(place, at, _event(item))
    except (KeyError, ValueError, TypeError):
        # Whoever can write the table must not be able to take the whole page away
        return AuditEntry(place, at, AuditEvent(AuditTag.AUDIT_UNREADABLE, Outcome.FAILURE, "-", Origin("-", "-")))


def _time(place: str) -> int:
    """Epoch seconds of a position, 0 for what is none."""
    try:
        return seconds_of(place)
    except ValueError:
        return 0


def _event(item: Item) -> AuditEvent:
    return AuditEvent(
        AuditTag(item["tag"]),
        Outcome(item["outcome"]),
        str(item["actor"]),
        Origin(str(item["request_id"]), str(item.get("source", "")), str(item.get("browser", ""))),
        str(item["user_id"]),
        str(item["provider_id"]),
        {str(name): str(value) for name, value in (dict(item["facts"]) | dict(item.get("about", {}))).items()},
        str(item.get("actor_name", "")),
        str(item.get("user_name", "")),
    )
