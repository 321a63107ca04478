"""Mail addresses: which are some, what came back from one, and which mails its person wants."""

import re
from dataclasses import dataclass
from enum import StrEnum

from .event import EventKind

KEPT_SECONDS = 90 * 24 * 3600
"""So long an address gets nothing after it refused a mail; then it is tried again."""
OPTIONAL = (EventKind.GRANT_FAILING, EventKind.GRANT_ABOUT_TO_LAPSE)
"""What a person may do without. That an authorization has ended, whyever, is told in any case."""

_LOCAL = r"[A-Za-z0-9!#$%&'*+/=?^_`{|}~-]+"
_LABEL = r"[A-Za-z0-9](?:[A-Za-z0-9-]{0,61}[A-Za-z0-9])?"
_ADDRESS = re.compile(rf"{_LOCAL}(?:\.{_LOCAL})*@{_LABEL}(?:\.{_LABEL})*")
_LONGEST, _LONGEST_LOCAL = 254, 64
"""RFC 5321 4.5.3.1 and its erratum 1690."""


def is_mail_address(text: str) -> bool:
    """Whether mail can be sent there: one plain address, without names, quotes, comments or line ends.

    A dot-atom and a domain of letters, digits and hyphens (RFC 5322 3.2.3 and 3.4.1, RFC 1123 2.1).
    """
    if len(text) > _LONGEST or len(text.partition("@")[0]) > _LONGEST_LOCAL:
        return False
    return _ADDRESS.fullmatch(text) is not None


class RefusalKind(StrEnum):
    """What came back from an address."""

    BOUNCED = "bounced"
    COMPLAINED = "complained"
    """Its person marked a mail as unwanted."""


@dataclass(frozen=True, slots=True)
class MailRefusal:
    """An address that gets no more mail for a while; `at` in epoch seconds."""

    address: str
    kind: RefusalKind
    at: int

    def counts(self, now: int) -> bool:
        return now - self.at < KEPT_SECONDS


@dataclass(frozen=True, slots=True)
class MailStanding:
    """Whether a person gets mails. `unwanted`: kinds among `OPTIONAL` that they turned off."""

    refusal: MailRefusal | None = None
    unwanted: frozenset[EventKind] = frozenset()

    def takes(self, kind: EventKind, now: int) -> bool:
        return kind not in self.unwanted and not (self.refusal and self.refusal.counts(now))
