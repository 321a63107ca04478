"""Sealing the audit log, and proving that what was sealed is still what is stored."""

import json
import logging
from dataclasses import dataclass, field, replace
from datetime import timedelta
from itertools import islice

from chalicelib.domain.audit import BACKGROUND, AuditEvent, AuditTag, Outcome, Period, position, seconds_of
from chalicelib.domain.errors import Conflict
from chalicelib.domain.seal import (
    MAX_ENTRIES,
    SETTLE_SECONDS,
    WINDOW_SECONDS,
    Fault,
    FaultKind,
    Seal,
    Tip,
    chain_fault,
    compare,
    first_window,
    window_end,
)
from chalicelib.ports import AuditKey, AuditLog, Clock, SealStore

from .use_counts import UseCountService

_LOG = logging.getLogger(__name__)

SEALS_A_RUN = 60
"""Five hours of windows: after a longer pause several runs catch up."""
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
    ) -> None:
        self._audit_log = audit_log
        self._seals = seals
        self._key = key
        self._use_counts = use_counts
        self._clock = clock
        self._seconds = days * 86400

    def seal_due(self, *, at_most: int = SEALS_A_RUN) -> int:
        """Seal the windows that are closed, oldest first, and count use in them. Returns how many seals were written.

        A run that dies goes on at the next one; of two at once one writes each seal, and the other leaves it to that.
        """
        number = self._seal_due(at_most)
        self._use_counts.count_due()
        return number

    def _seal_due(self, at_most: int) -> int:
        tip = self._seals.tip()
        for number in range(at_most):
            seal = self._next(tip)
            if seal is None:
                return number
            try:
                self._seals.add(seal)
            except Conflict:
                return number
            tip = seal.tip()
            self._use_counts.note(seal)
            # Copies of these lines outside the account prove later that the chain was not made anew
            _LOG.info("audit.sealed", extra={"facts": json.dumps({"number": tip.number, "seal": tip.fingerprint})})
            self._look_back(seal)
        return at_most

    def verify(self, period: Period | None = None, *, anchor: Anchor | None = None) -> Verification:
        """Compare the seals of these days, or all there are, with what is stored.

        The seal that `anchor` names must be the one that was noted, if it is among these days.
        """
        begin, end = _positions(period)
        result = Verification()
        last = self._seals.before(begin)
        # What follows a seal that cannot be believed is held to its own MAC alone
        chain = last.tip() if last and self._is_authentic(last, anchor) else None
        for seal in self._seals.between(begin, end):
            if self._is_authentic(seal, anchor):
                result.faults += self._faults(seal, chain if last else _before_first(seal))
                chain = seal.tip()
            else:
                result.faults.append(Fault(FaultKind.SEAL_CHANGED, seal.begin, seal.end))
                chain = None
            result.note(seal)
            last = seal
        result.faults += self._faults_of_end(last, begin, end)
        return result

    def _next(self, tip: Tip | None) -> Seal | None:
        """The seal that follows, or None while its window is open."""
        now = self._clock.now()
        begin = tip.end if tip else first_window(now)
        closes = window_end(begin)
        if closes + SETTLE_SECONDS > now:
            return None
        end = position(closes)
        entries = list(islice(self._audit_log.stored(begin, end), MAX_ENTRIES + 1))
        if len(entries) > MAX_ENTRIES:
            end = entries.pop().position
        tip = tip or _GENESIS
        seal = Seal(tip.number + 1, begin, end, now, tip.fingerprint, tuple(entries))
        return replace(seal, mac=self._key.mac(seal.message()))

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

    def _faults(self, seal: Seal, chain: Tip | None) -> list[Fault]:
        fault = chain_fault(chain, seal) if chain else None
        return [*([fault] if fault else []), *self._compare(seal)]

    def _compare(self, seal: Seal) -> list[Fault]:
        faults = compare(seal, self._audit_log.stored(seal.begin, seal.end))
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
