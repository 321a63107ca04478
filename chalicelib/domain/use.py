"""How much the vault is used: when each grant last was, and what each application got and did not get on a day.

Both are read off the ledger once its windows are sealed, so that a release writes nothing more (docs/adr/0120).
"""

import re
from collections import Counter
from collections.abc import Iterable, Mapping
from contextlib import suppress
from dataclasses import dataclass, field
from datetime import UTC, date, datetime

from .audit import AuditEvent, AuditTag, seconds_of
from .seal import StoredEntry
from .token_exchange import RefusalReason

HOUR_SECONDS = 3600
NONE = "-"
"""Stands for an application that did not prove who it is, and for a provider that it did not get to name."""
OTHER = "other"
"""Stands for a reason that this version does not know."""
_REASONS = frozenset(RefusalReason)
_LONGEST_ID, _LONGEST_KEY = 64, 512
_GENERATION = re.compile(r"[0-9]{1,9}")


@dataclass(frozen=True, slots=True, order=True)
class LastUse:
    """The last release of one grant among those that were looked at, `at` in epoch seconds."""

    user_id: str
    provider_id: str
    generation: int
    slot: str
    at: int

    @property
    def hour(self) -> int:
        """The begin of the hour: finer than that, a grant in constant use would be written constantly."""
        return self.at // HOUR_SECONDS * HOUR_SECONDS


@dataclass(frozen=True, slots=True)
class UseCount:
    """What one application got of one provider on one day in UTC; refusals by `RefusalReason`, or `OTHER`."""

    day: date
    application: str
    provider: str
    released: int = 0
    refused: Mapping[str, int] = field(default_factory=dict)


class Tally:
    """Adds up the entries of a window. The same entries give the same sums, in the same order."""

    def __init__(self) -> None:
        self._counts: dict[tuple[date, str, str], Counter[str]] = {}
        self._last: dict[tuple[str, str, int, str], int] = {}

    def add(self, entries: Iterable[StoredEntry]) -> None:
        for entry in entries:
            if entry.event is not None and entry.event.tag in (AuditTag.TOKEN_RELEASED, AuditTag.TOKEN_REFUSED):
                # Whoever can write the table must not be able to stop the counting
                with suppress(ValueError):
                    self._add(entry.event, seconds_of(entry.position))

    def counts(self) -> list[UseCount]:
        """By day, application and provider."""
        return [_count(*where, counted) for where, counted in sorted(self._counts.items())]

    def last_uses(self) -> list[LastUse]:
        """By person, provider, generation and slot."""
        return sorted(LastUse(*grant, at) for grant, at in self._last.items())

    def _add(self, event: AuditEvent, at: int) -> None:
        day, application, provider = datetime.fromtimestamp(at, UTC).date(), event.actor, event.provider_id
        where = (day, application[:_LONGEST_ID] or NONE, provider[:_LONGEST_ID] or NONE)
        self._counts.setdefault(where, Counter())[_word(event)] += 1
        if event.tag is AuditTag.TOKEN_RELEASED:
            self._note_use(event, at)

    def _note_use(self, event: AuditEvent, at: int) -> None:
        # Lines of before do not say which generation it was: what they used stays as it is
        generation, slot = event.facts.get("generation", ""), event.facts.get("slot", "")
        if _GENERATION.fullmatch(generation) and len(event.user_id + event.provider_id + slot) <= _LONGEST_KEY:
            grant = (event.user_id, event.provider_id, int(generation), slot)
            self._last[grant] = max(at, self._last.get(grant, 0))


def _word(event: AuditEvent) -> str:
    """The reason of a refusal; empty for a release."""
    if event.tag is AuditTag.TOKEN_RELEASED:
        return ""
    code = event.facts.get("code", "")
    return code if code in _REASONS else OTHER


def _count(day: date, application: str, provider: str, counted: Mapping[str, int]) -> UseCount:
    refused = {word: number for word, number in sorted(counted.items()) if word}
    return UseCount(day, application, provider, counted.get("", 0), refused)
