"""How often a log-in may be tried before the vault stops asking the directory (R30-R32)."""

import unicodedata
from dataclasses import dataclass
from typing import Self

_TRIES_WITHOUT_LOCKOUT = 10
_LEFT_TO_OTHERS = 2
"""Tries that stay for mistakes elsewhere: at the person's own computer, at another application."""


@dataclass(frozen=True, slots=True)
class Lockout:
    """A directory's policy: after how many wrong passwords it locks (0: never), and how long it remembers them."""

    threshold: int
    minutes: int

    def __str__(self) -> str:
        if not self.threshold:
            return "never"
        return f"after {self.threshold} wrong passwords, forgotten after {self.minutes} minutes"


@dataclass(frozen=True, slots=True)
class Budget:
    """`tries` wrong passwords in a row until `seconds` have passed since the last one.

    Some of them, `tries - tries_unknown`, are kept for browsers that this person has logged in with before, so
    that a flood from elsewhere does not lock anybody out.
    """

    tries: int
    tries_unknown: int
    seconds: int

    @classmethod
    def of(cls, lockout_threshold: int, lockout_minutes: int) -> Self:
        """Below the directory's own threshold (0: it never locks), for as long as it remembers; at least one try."""
        tries = max(1, lockout_threshold - _LEFT_TO_OTHERS) if lockout_threshold else _TRIES_WITHOUT_LOCKOUT
        return cls(tries, max(1, tries - max(1, tries // 3)), lockout_minutes * 60)

    @classmethod
    def under(cls, *lockouts: Lockout) -> Self:
        """The smallest that any of these policies leaves."""
        thresholds = [lockout.threshold for lockout in lockouts if lockout.threshold]
        return cls.of(min(thresholds, default=0), max(lockout.minutes for lockout in lockouts))

    def limit(self, *, is_known: bool) -> int:
        return self.tries if is_known else self.tries_unknown


SOURCE = Budget(tries=50, tries_unknown=50, seconds=15 * 60)
"""For one network address. A whole office may share one: right passwords do not count."""

EVERYBODY = Budget(tries=3000, tries_unknown=3000, seconds=15 * 60)
"""For all unknown browsers together: the brake on a password tried on every name from many addresses."""


def folded_name(text: str) -> str:
    """One key for every spelling of an account's name that a domain controller might take for the same.

    Active Directory compares without case, accents and width. What differs here although it is the same account
    would give an attacker another budget; what is the same although it differs only makes two people share one.
    """
    decomposed = unicodedata.normalize("NFKD", unicodedata.normalize("NFKD", text).casefold())
    return "".join(c for c in decomposed if c.isalnum()) or decomposed
