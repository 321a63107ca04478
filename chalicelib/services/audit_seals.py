"""Sealing the audit log, and proving that what was sealed is still what is stored."""

import json
import logging
from collections.abc import Iterable, Iterator
from dataclasses import dataclass, field, replace
from datetime import timedelta
from functools import partial
from itertools import islice

from chalicelib.domain.audit import BACKGROUND, AuditEvent, AuditTag, Outcome, Period, position, seconds_of
from chalicelib.domain.seal import (
    MAX_ENTRIES,
    SETTLE_SECONDS,
    WINDOW_SECONDS,
    Fault,
    FaultKind,
    Seal,
    StoredEntry,
    Tip,
    chain_fault,
    compare,
    first_window,
    window_end,
)
from chalicelib.ports import AuditKey, AuditLog, Clock, SealStore

from .background import Budget, Engine, Piece, Queue
from .use_counts import UseCountService

_LOG = logging.getLogger(__name__)

BUDGET = Budget("seal_audit", run_seconds=270, piece_seconds=25)
"""A seal and the look back take a second at the most; runs follow each other every five minutes."""
LOOK_BACK_SECONDS = 3600
"""Each window is compared once more so long after its time, to notice what came late."""
OVERDUE_SECONDS = 30 * 60
"""So much later than a window can be sealed, it should have been."""
_BEGIN, _END = "0", "~"
"""Around every position."""
_GENESIS = Tip(0, "", "")


@dataclass(frozen=True, slots=True)
class Anchor:
    """A seal's number and fingerprint as they were noted elsewhere: in the log, or by an earlier verification."""

    number: int
    fingerprint: str


@dataclass(slots=True)
class Verification:
    """What was looked at and what was found; nothing found means that all is as it was sealed."""

    faults: list[Fault] = field(default_factory=list)
    seals: int = 0
    entries: int = 0
    begin: str = ""
    tip: Tip | None = None
    """The last seal that was looked at."""

    def note(self, seal: Seal) -> None:
        self.begin = self.begin or seal.begin
        self.seals += 1
        self.entries += len(seal.entries)
        self.tip = seal.tip()


class SealService:
    """Writes seals in the background and checks them on demand."""

    def __init__(
        self,
        *,
        audit_log: AuditLog,
        seals: SealStore,
        key: AuditKey,
        use_counts: UseCountService,
        clock: Clock,
        days: int,
        engine: Engine,
    ) -> None:
        self._engine = engine
        self._use_counts = use_counts
        self._audit_log = audit_log
        self._seals = seals
        self._key = key
        self._use_counts = use_counts
        self._clock = clock
        self._seconds = days * 86400

    def seal_due(self, left: float | None = None) -> int:
        """Seal the windows that are closed, oldest first, and count use in them. Returns how many seals were written.

        A run that dies goes on at the next one; of two at once one writes each seal, and the other leaves it to that.
        `left`: seconds that the function still lives; None where nobody ends it.
        """
        started, written = self._clock.monotonic(), [self._seals.tip()]
        done = self._engine.run(BUDGET, [Queue("", self._pieces(written))], left).done
        if tip := written[-1]:
            lag = self._clock.now() - seconds_of(tip.end)
            _LOG.info("audit.lag", extra={"seconds": lag})
        self._use_counts.count_due(started + BUDGET.begins_for(left))
        return done

    def _pieces(self, written: list[Tip | None]) -> Iterator[Piece]:
        """A piece for each seal; none after one that was not written."""
        for seal in self._chain(written[-1]):
            due_at = window_end(seal.begin) + SETTLE_SECONDS
            yield Piece(due_at, partial(self._write, seal, written))
            if written[-1] != seal.tip():
                return

    def _write(self, seal: Seal, written: list[Tip | None]) -> int:
        self._seals.add(replace(seal, mac=self._key.mac(seal.message())))
        written.append(tip := seal.tip())
        self._use_counts.note(seal)
        # Copies of these lines outside the account prove later that the chain was not made anew
        _LOG.info("audit.sealed", extra={"facts": json.dumps({"number": tip.number, "seal": tip.fingerprint})})
        self._look_back(seal)
        return 1

    def verify(self, period: Period | None = None, *, anchor: Anchor | None = None) -> Verification:
        """Compare the seals of these days, or all there are, with what is stored.

        The seal that `anchor` names must be the one that was noted, if it is among these days.
        """
        begin, end = _positions(period)
        result = Verification()
        last = self._seals.before(begin)
        # What follows a seal that cannot be believed is held to its own MAC alone
        chain = last.tip() if last and self._is_authentic(last, anchor) else None
        erased: dict[str, bool] = {}
        for seal in self._seals.between(begin, end):
            if self._is_authentic(seal, anchor):
                result.faults += self._faults(seal, chain if last else _before_first(seal), erased)
                chain = seal.tip()
            else:
                result.faults.append(Fault(FaultKind.SEAL_CHANGED, seal.begin, seal.end))
                chain = None
            result.note(seal)
            last = seal
        result.faults += self._faults_of_end(last, begin, end)
        return result

    def _chain(self, tip: Tip | None) -> Iterator[Seal]:
        """The seals that follow, without a MAC, up to the window that is open still."""
        begin = tip.end if tip else first_window(self._clock.now())
        last = tip or _GENESIS
        while window_end(begin) + SETTLE_SECONDS <= self._clock.now():
            for end, entries in self._portions(begin, position(window_end(begin))):
                seal = Seal(last.number + 1, begin, end, self._clock.now(), last.fingerprint, entries)
                yield seal
                last, begin = seal.tip(), end

    def _portions(self, begin: str, end: str) -> Iterator[tuple[str, tuple[StoredEntry, ...]]]:
        """A window's entries, read once, in portions that fit into a seal, each with where it ends."""
        entries = self._audit_log.stored(begin, end)
        portion = tuple(islice(entries, MAX_ENTRIES))
        while following := next(entries, None):
            yield following.position, portion
            portion = (following, *islice(entries, MAX_ENTRIES - 1))
        yield end, portion

    def _look_back(self, seal: Seal) -> None:
        begin, end = (position(seconds_of(place) - LOOK_BACK_SECONDS) for place in (seal.begin, seal.end))
        for earlier in self._seals.between(begin, end):
            for fault in self._compare(earlier):
                self._report(fault)

    def _report(self, fault: Fault) -> None:
        facts = {"fault": fault.kind.value, "where": fault.where}
        _LOG.error("audit.tampered", extra={"facts": json.dumps(facts)})
        self._audit_log.record(AuditEvent(AuditTag.AUDIT_TAMPERED, Outcome.FAILURE, "-", BACKGROUND, facts=facts))

    def _is_authentic(self, seal: Seal, anchor: Anchor | None) -> bool:
        if anchor and seal.number == anchor.number and seal.fingerprint() != anchor.fingerprint:
            return False
        return self._key.is_valid(seal.message(), seal.mac)

    def _faults(self, seal: Seal, chain: Tip | None, erased: dict[str, bool]) -> list[Fault]:
        fault = chain_fault(chain, seal) if chain else None
        stored = list(self._audit_log.stored(seal.begin, seal.end))
        return [*([fault] if fault else []), *self._compare(seal, stored), *self._nameless(stored, erased)]

    def _nameless(self, stored: Iterable[StoredEntry], erased: dict[str, bool]) -> Iterator[Fault]:
        """Entries without the names of somebody whom no entry calls erased. `erased`: what was found out before."""
        for entry in stored:
            for user_id in entry.nameless:
                if user_id not in erased:
                    of_user = self._audit_log.of_user(user_id)
                    erased[user_id] = any(one.event.tag is AuditTag.USER_ERASED for one in of_user)
                if not erased[user_id]:
                    yield Fault(FaultKind.NAMES_MISSING, entry.position)

    def _compare(self, seal: Seal, stored: Iterable[StoredEntry] | None = None) -> list[Fault]:
        faults = compare(seal, self._audit_log.stored(seal.begin, seal.end) if stored is None else stored)
        # What is past its time is deleted by DynamoDB, days later. Until then it must be as it was
        kept_since = position(self._clock.now() - self._seconds)
        return [f for f in faults if f.kind is not FaultKind.ENTRY_MISSING or f.where >= kept_since]

    def _faults_of_end(self, last: Seal | None, begin: str, end: str) -> list[Fault]:
        """Whether seals were cut off behind the last one, or are long due."""
        tip = self._seals.tip()
        if last is None:
            return [self._nothing_sealed(tip, begin, end)]
        if tip and last.end < min(end, tip.end):
            return [Fault(FaultKind.SEAL_MISSING, last.end, min(end, tip.end))]
        if tip and tip.number == last.number and tip != last.tip():
            return [Fault(FaultKind.SEAL_CHANGED, last.begin, last.end)]
        due = position(self._clock.now() - SETTLE_SECONDS - WINDOW_SECONDS - OVERDUE_SECONDS)
        return [Fault(FaultKind.NOT_SEALED, last.end, min(end, due))] if last.end < min(end, due) else []

    def _nothing_sealed(self, tip: Tip | None, begin: str, end: str) -> Fault:
        first = next(self._seals.between(_BEGIN, _END), None)
        if tip and first is None:
            return Fault(FaultKind.SEAL_MISSING, begin, min(end, tip.end))
        return Fault(FaultKind.NOT_SEALED, begin, min(end, first.begin) if first else end)


def _positions(period: Period | None) -> tuple[str, str]:
    if period is None:
        return _BEGIN, _END
    return f"{period.first}T00:00:00", f"{period.last + timedelta(days=1)}T00:00:00"


def _before_first(seal: Seal) -> Tip:
    """What the first seal of all follows: nothing. One with a higher number has lost those before it."""
    return replace(_GENESIS, end=seal.begin)
