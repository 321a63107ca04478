"""Finding the person whom somebody means by a name: whoever bears it now."""

from collections.abc import Collection
from dataclasses import dataclass

from chalicelib.domain.aliases import as_written, bearing, meant, normalized
from chalicelib.domain.client_application import Subject
from chalicelib.domain.errors import Conflict, DirectoryUnavailable, InvalidRequest, NotFound
from chalicelib.domain.ids import is_person_id
from chalicelib.domain.user import AliasClaim, Called, UserRecord
from chalicelib.ports import Clock, Directory, UserAliasStore, UserStore

_ASKED_AGAIN_SECONDS = 60.0
"""So long the directory's word that a name is several people's holds for one process."""
_REMEMBERED = 1000


@dataclass(frozen=True, slots=True)
class Person:
    """Somebody by id. `name` is the log-in name where the vault knows it, else the id."""

    id: str
    name: str
    subject: Subject


class PeopleService:
    """Asks the directory, then the records of those who claim the name (R91)."""

    def __init__(self, aliases: UserAliasStore, users: UserStore, directory: Directory, clock: Clock) -> None:
        self._aliases = aliases
        self._users = users
        self._directory = directory
        self._clock = clock
        # Spares the directory a question for each call that names several people; what is released never rests on it
        self._several_until: dict[str, float] = {}

    def find(self, typed: str, *, must_ask: bool = False) -> Person:
        r"""The one person whom an id, `DOMAIN\user`, user principal name or e-mail address names now.

        While the directory does not answer, what it said last counts: a stop cannot wait. With `must_ask`
        DirectoryUnavailable is raised instead. Raises NotFound, or InvalidRequest where several people are called so.
        """
        typed = typed.strip()
        if is_person_id(typed):
            return self.with_id(typed)
        ids = self._called_so(typed, must_ask=must_ask)
        if len(ids) > 1:
            raise InvalidRequest(
                "Several people are called so. Please give the id in the directory of the one you mean."
            )
        if not ids:
            raise NotFound("Nobody is known by this name. Please give it as DOMAIN\\user, or the id in the directory.")
        return self.with_id(ids[0], typed)

    def with_id(self, user_id: str, called: str = "") -> Person:
        """Whoever has this id; `called` is the name where nobody with it has ever logged in."""
        record = self._users.get(user_id)
        if record is None:
            return Person(user_id, called or user_id, Subject(user_id))
        subject = Subject(user_id, record.user.groups, is_blocked=record.departure is not None)
        return Person(user_id, record.user.login_name, subject)

    def names(self, user_ids: Collection[str]) -> list[str]:
        """What several people are called, by name: the log-in name where the vault knows it, else the id."""
        known = {record.user.id: record.user.login_name for record in self._users.get_all(user_ids)}
        return sorted(known.get(user_id, user_id) for user_id in user_ids)

    def settle(self, name: str) -> bool:
        """Write down whose a normalized name is that several claim; True where nobody else's claim is left.

        The directory is the judge where more than one record bears it; while it does not answer nothing is settled.
        Claims go only after their record says that they do not count: whoever is about to renew one is not overrun.
        """
        if self._clock.monotonic() < self._several_until.get(name, 0):
            return False
        claims = self._aliases.claims(name)
        records = self._records(claims)
        bearers = [record for record in records.values() if bearing(record, name)]
        try:
            called = self._directory.called(as_written(bearers[0], name)) if len(bearers) > 1 else Called()
            owners = meant(name, bearers, called, claims)
            self._drop(name, [one for one in claims if one.user_id not in owners], records)
        except (DirectoryUnavailable, Conflict):
            return False
        if len(owners) > 1:
            self._note_several(name)
        return len(owners) <= 1

    def _drop(self, name: str, claims: list[AliasClaim], records: dict[str, UserRecord]) -> None:
        for user_id in dict.fromkeys(claim.user_id for claim in claims):
            if user_id in records:
                self._users.disown(records[user_id], name)
        self._aliases.release(name, claims)

    def _note_several(self, name: str) -> None:
        if len(self._several_until) >= _REMEMBERED:
            self._several_until.clear()
        self._several_until[name] = self._clock.monotonic() + _ASKED_AGAIN_SECONDS

    def _called_so(self, typed: str, *, must_ask: bool) -> tuple[str, ...]:
        name = normalized(typed)
        if not name:
            return ()
        try:
            called = self._directory.called(typed)
        except DirectoryUnavailable:
            if must_ask:
                raise
            called = Called()
        claims = () if called.ids else self._aliases.claims(name)
        return meant(name, self._records(claims).values(), called, claims)

    def _records(self, claims: tuple[AliasClaim, ...]) -> dict[str, UserRecord]:
        found = {claim.user_id: self._users.get(claim.user_id) for claim in claims}
        return {user_id: record for user_id, record in found.items() if record is not None}
