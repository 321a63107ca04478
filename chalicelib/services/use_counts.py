"""Counting use off the ledger, behind its seals: when each grant was last used, what each application got on a day.

A window is counted once it is sealed as a whole. A cursor says how far that has come, down to the last piece of a
window, and each count knows up to which window it was counted: whatever dies in between is gone on with, and nothing
is counted twice. Seals never wait for it.
"""

import json
import logging
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import suppress
from dataclasses import dataclass
from datetime import UTC, datetime, time

from chalicelib.domain.audit import position, seconds_of
from chalicelib.domain.errors import VaultError, place_of
from chalicelib.domain.seal import WINDOW_SECONDS, Seal, Tip
from chalicelib.domain.use import LastUse, Tally, UseCount
from chalicelib.ports import AuditLog, Clock, CursorStore, GrantStore, SealStore, UseCountStore

_LOG = logging.getLogger(__name__)

CURSOR = "use_counts"
PIECE = 500
"""So many grants are written before the cursor is, and before the time is looked at."""
_AT_ONCE = 8
_REMEMBERED = 100_000
_DAY_SECONDS = 86400


@dataclass(frozen=True, slots=True)
class _Place:
    """How far counting is: the window that begins at `window`, in epoch seconds, but for its first `done` grants."""

    window: int
    done: int = 0

    @classmethod
    def of(cls, cursor: str) -> "_Place":
        window, _, done = cursor.partition(" ")
        return cls(seconds_of(window), int(done))

    def __str__(self) -> str:
        return f"{position(self.window)} {self.done}"


class _Begun:
    """A window that was sealed up to `end` by now."""

    def __init__(self, begin: str) -> None:
        self.tally, self.end = Tally(), begin

    def follow(self, seal: Seal) -> None:
        self.tally.add(seal.entries)
        self.end = seal.end


class UseCountService:
    """`note` while seals are made, `count_due` when no more are."""

    def __init__(
        self,
        *,
        uses: UseCountStore,
        grants: GrantStore,
        audit_log: AuditLog,
        seals: SealStore,
        cursors: CursorStore,
        days: int,
        clock: Clock,
    ) -> None:
        self._uses = uses
        self._grants = grants
        self._audit_log = audit_log
        self._seals = seals
        self._cursors = cursors
        self._seconds = days * _DAY_SECONDS
        self._clock = clock
        self._begun: dict[int, _Begun] = {}
        # Only saves a call: the store itself never goes back to an earlier hour
        self._written: dict[tuple[str, str, int, str], int] = {}

    def note(self, seal: Seal) -> None:
        """Add up what was just sealed, while its entries are at hand."""
        window = _window(seal.begin)
        if seal.begin == position(window):
            self._begun[window] = _Begun(seal.begin)
        begun = self._begun.get(window)
        if begun is not None and begun.end == seal.begin:
            begun.follow(seal)

    def count_due(self, end: float) -> int:
        """Count the windows that are sealed, oldest first; returns how many were. Nothing begins after `end`, a reading
        of the monotonic clock.

        What goes wrong is logged and tried again by the next run: no seal depends on it.
        """
        counted = 0
        try:
            for _ in self._count(end):
                counted += 1
        except VaultError as error:
            facts = json.dumps({"code": error.code, "detail": error.detail})
            _LOG.error("use.not_counted", extra={"facts": facts})
        except Exception as error:
            _LOG.error("use.not_counted", extra={"error_type": type(error).__name__, "where": place_of(error)})
        finally:
            self._begun.clear()
        return counted

    def _count(self, end: float) -> Iterator[None]:
        tip = self._seals.tip()
        if tip is None:
            return
        place, sealed = self._place(tip), _window(tip.end)
        while place.window < sealed and self._clock.monotonic() < end:
            if not self._write(place, self._tally(place.window), end):
                return
            place = _Place(place.window + WINDOW_SECONDS)
            self._cursors.put(CURSOR, str(place))
            yield

    def _place(self, tip: Tip) -> _Place:
        """Where to go on. The first time, at the first seal of the day: all that is older would take too long."""
        cursor = self._cursors.get(CURSOR)
        if cursor is not None:
            # Of another version: as if there were none
            with suppress(ValueError):
                return _Place.of(cursor)
        # The tip itself is where an entry may still come
        day = datetime.fromtimestamp(seconds_of(tip.end) - 1, UTC).date()
        midnight = datetime.combine(day, time(), UTC)
        first = next(self._seals.between(position(int(midnight.timestamp())), tip.end), None)
        return _Place(_window(first.begin if first else tip.end))

    def _tally(self, window: int) -> Tally:
        """What stands in a sealed window: as it was sealed by this run, or read again."""
        begun, end = self._begun.get(window), position(window + WINDOW_SECONDS)
        if begun is not None and begun.end == end:
            return begun.tally
        tally = Tally()
        tally.add(self._audit_log.stored(position(window), end))
        return tally

    def _write(self, place: _Place, tally: Tally, end: float) -> bool:
        """False where the time was over before all of the window was written."""
        counted_to = position(place.window + WINDOW_SECONDS)
        if place.done == 0:
            for count in tally.counts():
                self._uses.add(count, counted_to=counted_to, expires_at=self._end_of(count))
        last_uses = tally.last_uses()
        for start in range(place.done, len(last_uses), PIECE):
            if self._clock.monotonic() >= end:
                return False
            self._write_piece(last_uses[start : start + PIECE])
            self._cursors.put(CURSOR, str(_Place(place.window, start + PIECE)))
        return True

    def _write_piece(self, last_uses: list[LastUse]) -> None:
        new = [use for use in last_uses if self._written.get(_grant(use), -1) < use.hour]
        with ThreadPoolExecutor(_AT_ONCE) as pool:
            list(pool.map(self._grants.note_use, new))
        if len(self._written) > _REMEMBERED:
            self._written.clear()
        self._written |= {_grant(use): use.hour for use in new}

    def _end_of(self, count: UseCount) -> int:
        """As long as the entries that were counted."""
        return int(datetime.combine(count.day, time(), UTC).timestamp()) + _DAY_SECONDS + self._seconds


def _window(place: str) -> int:
    """The begin of the window that a position lies in."""
    return seconds_of(place) // WINDOW_SECONDS * WINDOW_SECONDS


def _grant(use: LastUse) -> tuple[str, str, int, str]:
    return use.user_id, use.provider_id, use.generation, use.slot
