"""Who administrates the vault beside the groups that the settings name."""

from dataclasses import dataclass, replace
from typing import Self

from .audit import Actor
from .errors import InvalidRequest, NotFound
from .user import User

MOST = 100


@dataclass(frozen=True, slots=True)
class Appointment:
    """One group or one person. `key` is the group's key among `User.groups`, or the person's id."""

    key: str
    is_group: bool
    name: str
    at: int
    by: Actor

    def covers(self, user: User) -> bool:
        # A SID is of one or the other, and may have been given before its person ever logged in
        return self.key == user.id or self.key in user.groups


@dataclass(frozen=True, slots=True)
class Appointments:
    """All of them. `version` rises with every change."""

    entries: tuple[Appointment, ...] = ()
    version: int = 0

    def cover(self, user: User) -> bool:
        return any(entry.covers(user) for entry in self.entries)

    def with_one(self, appointment: Appointment) -> Self:
        """Raises InvalidRequest when there are too many. One that is there already stays as it is."""
        if any(entry.key == appointment.key for entry in self.entries):
            return self
        if len(self.entries) >= MOST:
            raise InvalidRequest(f"There are {MOST} entries already. Please use a group instead of single people.")
        return replace(self, entries=(*self.entries, appointment))

    def without(self, key: str) -> Self:
        """Raises NotFound."""
        remaining = tuple(entry for entry in self.entries if entry.key != key)
        if remaining == self.entries:
            raise NotFound
        return replace(self, entries=remaining)
