"""Appointing administrators, and taking that back. The first ones come from the settings, never by logging in first."""

from collections.abc import Callable

from chalicelib.domain.administrators import Appointment, Appointments
from chalicelib.domain.audit import Actor, AuditEvent, AuditTag, Origin, Outcome
from chalicelib.domain.directory import is_group
from chalicelib.domain.errors import Conflict, DirectoryUnavailable, InvalidRequest, LoginRefused, NotFound
from chalicelib.domain.user import User
from chalicelib.ports import AdministratorStore, AuditLog, Clock, Directory

from .people import PeopleService, Person

_ATTEMPTS = 3
_LONGEST = 500


class AdministratorService:
    """Every act here is an administrator's; the routes have checked that."""

    def __init__(
        self,
        *,
        administrators: AdministratorStore,
        groups: frozenset[str],
        people: PeopleService,
        directory: Directory,
        audit_log: AuditLog,
        clock: Clock,
    ) -> None:
        self._administrators = administrators
        self.groups = groups
        """Keys of the groups of the settings: only a deployment changes these."""
        self._people = people
        self._directory = directory
        self._audit_log = audit_log
        self._clock = clock

    def all(self) -> Appointments:
        """Who was appointed here."""
        return self._administrators.get()

    def appoint(self, by: User, typed: str, origin: Origin) -> Appointment:
        """Let a group, by SID or distinguished name, or a person, by any name, administrate from the next log-in on.

        Raises NotFound or InvalidRequest with the sentence for who typed it, DirectoryUnavailable, Conflict.
        """
        typed = typed.strip()
        if not 0 < len(typed) <= _LONGEST:
            raise InvalidRequest("Please name a person or a group.")
        is_for_group = is_group(typed) and not self._is_person(typed)
        if is_for_group:
            group = self._directory.group(typed)
            key, name = group.key, group.name
        else:
            person = self._people.find(typed, must_ask=True)
            key, name = person.id, self._name(person, typed)
        appointment = Appointment(key, is_for_group, name, self._clock.now(), Actor(by.id, by.login_name))
        with self._audit_log.recording(_event(AuditTag.ADMINISTRATOR_APPOINTED, by, appointment, origin)):
            self._change(lambda appointments: appointments.with_one(appointment))
        return appointment

    def dismiss(self, by: User, key: str, origin: Origin) -> None:
        """Take a right back, from the next request on. Raises NotFound, Conflict.

        Nobody takes it from himself: so the last one cannot, and no slip locks everybody out.
        """
        entry = next((entry for entry in self.all().entries if entry.key == key), None)
        if entry is None:
            raise NotFound

        def without(appointments: Appointments) -> Appointments:
            remaining = appointments.without(key)
            if self.groups.isdisjoint(by.groups) and not remaining.cover(by):
                raise InvalidRequest(
                    "You would not be an administrator any more. Another administrator can take this right from you."
                )
            return remaining

        with self._audit_log.recording(_event(AuditTag.ADMINISTRATOR_DISMISSED, by, entry, origin)):
            self._change(without)

    def _name(self, person: Person, typed: str) -> str:
        """What the directory calls somebody who was never here, where it can be asked; else it is what was typed."""
        if person.name not in (person.id, typed):
            return person.name
        try:
            return self._directory.person(person.id).login_name
        except (LoginRefused, DirectoryUnavailable):
            return person.name

    def _is_person(self, typed: str) -> bool:
        """A SID may be either; whom the vault knows by it is a person."""
        return self._people.with_id(typed).name != typed

    def _change(self, change: Callable[[Appointments], Appointments]) -> None:
        for _ in range(_ATTEMPTS):
            before = self._administrators.get()
            after = change(before)
            if after == before:
                return
            try:
                self._administrators.save(after)
            except Conflict:
                continue
            return
        raise Conflict


def _event(tag: AuditTag, by: User, entry: Appointment, origin: Origin) -> AuditEvent:
    facts = {"group" if entry.is_group else "person": entry.name}
    user_id, user_name = ("", "") if entry.is_group else (entry.key, entry.name)
    return AuditEvent(
        tag, Outcome.SUCCESS, by.id, origin, user_id, facts=facts, actor_name=by.login_name, user_name=user_name
    )
