"""Seals: what makes a change of the audit log show, in the way of CloudTrail's digest files.

The log is cut into windows of time. When nobody can write into a window any more, a seal lists the digest of each
entry in it, names the seal before, and is authenticated with a key that never leaves KMS.
"""

import json
from collections import Counter
from collections.abc import Iterable
from dataclasses import dataclass, field
from enum import StrEnum
from hashlib import sha256

from .audit import AuditEvent, position, seconds_of

WINDOW_SECONDS = 5 * 60
SETTLE_SECONDS = 16 * 60
"""A Lambda function lives 15 minutes at the most: after this nobody can still be writing with an older time."""
MAX_ENTRIES = 2000
"""So many digests fit well into one item (400 KB); a window with more gets several seals."""
_PURPOSE = b"token-vault audit seal 1\n"


@dataclass(frozen=True, slots=True)
class StoredEntry:
    """An audit entry as evidence: its place, and the SHA-256 (hex) of everything stored there.

    `event` is what it says, where it was read from the log and not from a seal; it proves nothing more. `nameless` are
    the ids of those whose names were taken out of it.
    """

    position: str
    digest: str
    event: AuditEvent | None = field(default=None, compare=False, repr=False)
    nameless: tuple[str, ...] = field(default=(), compare=False, repr=False)


@dataclass(frozen=True, slots=True)
class Tip:
    """Where the chain ends: the next seal has the next number, begins at `end` and names `fingerprint`."""

    number: int
    end: str
    fingerprint: str


@dataclass(frozen=True, slots=True)
class Seal:
    """Says that from position `begin` up to, not including, `end` there are exactly these entries.

    `previous` is the fingerprint of the seal before; the first one, number 1, has none.
    """

    number: int
    begin: str
    end: str
    sealed_at: int
    previous: str
    entries: tuple[StoredEntry, ...]
    mac: bytes = b""

    def fingerprint(self) -> str:
        """SHA-256 (hex) of everything the seal says."""
        entries = [[entry.position, entry.digest] for entry in self.entries]
        content = [self.number, self.begin, self.end, self.sealed_at, self.previous, entries]
        return sha256(json.dumps(content, separators=(",", ":")).encode()).hexdigest()

    def message(self) -> bytes:
        """What the key authenticates. KMS takes 4,096 bytes at the most, so it is the fingerprint."""
        return _PURPOSE + self.fingerprint().encode()

    def tip(self) -> Tip:
        return Tip(self.number, self.end, self.fingerprint())


class FaultKind(StrEnum):
    """What verification can find."""

    ENTRY_MISSING = "entry_missing"
    ENTRY_CHANGED = "entry_changed"
    ENTRY_ADDED = "entry_added"
    NAMES_MISSING = "names_missing"
    """Names were taken out of an entry, and no erasure says so."""
    SEAL_MISSING = "seal_missing"
    SEAL_CHANGED = "seal_changed"
    SEAL_OUT_OF_ORDER = "seal_out_of_order"
    NOT_SEALED = "not_sealed"


@dataclass(frozen=True, slots=True)
class Fault:
    """`where` is the position of an entry, or of the begin of a window that goes up to `until`."""

    kind: FaultKind
    where: str
    until: str = ""


def first_window(now: int) -> str:
    """The begin of the last window that is closed."""
    end = (now - SETTLE_SECONDS) // WINDOW_SECONDS * WINDOW_SECONDS
    return position(end - WINDOW_SECONDS)


def window_end(begin: str) -> int:
    """When the window that `begin` lies in ends, epoch seconds."""
    return (seconds_of(begin) // WINDOW_SECONDS + 1) * WINDOW_SECONDS


def compare(seal: Seal, stored: Iterable[StoredEntry]) -> list[Fault]:
    """How what is stored differs from what was sealed, by position."""
    sealed, found = Counter(seal.entries), Counter(stored)
    gone = {entry.position for entry in sealed - found}
    new = {entry.position for entry in found - sealed}
    kinds = (
        (FaultKind.ENTRY_CHANGED, gone & new),
        (FaultKind.ENTRY_MISSING, gone - new),
        (FaultKind.ENTRY_ADDED, new - gone),
    )
    faults = [Fault(kind, place) for kind, places in kinds for place in places]
    return sorted(faults, key=lambda fault: fault.where)


def chain_fault(before: Tip, seal: Seal) -> Fault | None:
    """What is wrong between the end of a chain and the seal that should follow."""
    if (seal.number, seal.begin, seal.previous) == (before.number + 1, before.end, before.fingerprint):
        return None
    if seal.number > before.number + 1:
        return Fault(FaultKind.SEAL_MISSING, before.end, seal.begin)
    return Fault(FaultKind.SEAL_OUT_OF_ORDER, seal.begin, seal.end)
