"""The audit log: one put an entry, spread over shards of a day so that no partition is the bottleneck."""

import json
import logging
from datetime import UTC, datetime
from zlib import crc32

from chalicelib.domain.audit import AuditEvent
from chalicelib.domain.errors import Conflict
from chalicelib.ports import Clock, Random

from .items import Item
from .table import Condition, ConditionFailed, Table
from .tables import KEY, SORT

_LOG = logging.getLogger(__name__)

SHARDS = 8


class DynamoAuditLog:
    """Implements `ports.AuditLog`; each entry is a log line too."""

    def __init__(self, table: Table, clock: Clock, random: Random) -> None:
        self._table = table
        self._clock = clock
        self._random = random

    def record(self, event: AuditEvent) -> None:
        at = self._clock.now()
        entry_id = self._random.token(12)
        self._table.put(_to_item(event, at, entry_id), Condition.absent(KEY))
        _LOG.info(event.tag.value, extra=_to_line(event))

    def record_once(self, event: AuditEvent, entry_id: str, at: int) -> None:
        item = _to_item(event, at, entry_id) | {"recorded_at": self._clock.now()}
        try:
            self._table.put(item, Condition.absent(KEY))
        except ConditionFailed:
            raise Conflict from None
        _LOG.info(event.tag.value, extra=_to_line(event))


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
    moment = datetime.fromtimestamp(at, UTC)
    return {
        KEY: f"AUDIT#{moment:%Y-%m-%d}#{crc32(entry_id.encode()) % SHARDS}",
        SORT: f"{moment:%H:%M:%S}#{entry_id}",
        "at": at,
        "tag": event.tag.value,
        "outcome": event.outcome.value,
        "actor": event.actor,
        "user_id": event.user_id,
        "provider_id": event.provider_id,
        "request_id": event.origin.request_id,
        "source": event.origin.source,
        "facts": event.facts,
    }
