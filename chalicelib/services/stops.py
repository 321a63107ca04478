"""Stopping releases and taking that back; each counts on the next call, for stops are read with every release."""

from collections.abc import Callable
from contextlib import suppress
from dataclasses import replace

from chalicelib.domain.audit import Actor, AuditEvent, AuditTag, Origin, Outcome
from chalicelib.domain.client_application import ClientApplication, check_id
from chalicelib.domain.errors import Conflict, InvalidRequest, NotFound
from chalicelib.domain.stop import ALL, Stop, StopKind, checked_reason
from chalicelib.ports import AuditLog, ClientApplicationStore, Clock, ProviderStore, StopStore

from .people import PeopleService

_ATTEMPTS = 5


class StopService:
    """Every act here is an administrator's; the routes check that."""

    def __init__(
        self,
        *,
        stops: StopStore,
        applications: ClientApplicationStore,
        providers: ProviderStore,
        people: PeopleService,
        audit_log: AuditLog,
        clock: Clock,
    ) -> None:
        self._stops = stops
        self._applications = applications
        self._providers = providers
        self._people = people
        self._audit_log = audit_log
        self._clock = clock

    def all(self) -> list[Stop]:
        """What is stopped, newest first; everything, if that is, before all. People are called what they are now."""
        found = [self._as_named_now(stop) for stop in self._stops.all()]
        found += [_stop_of(application) for application in self._applications.all() if not application.enabled]
        return sorted(found, key=lambda stop: (stop.kind is not StopKind.EVERYTHING, -stop.at))

    def _as_named_now(self, stop: Stop) -> Stop:
        if stop.kind is not StopKind.PERSON:
            return stop
        return replace(stop, target_name=self._people.with_id(stop.target, stop.target_name).name)

    def everything(self) -> Stop | None:
        """The stop of everything, while there is one."""
        return next((stop for stop in self._stops.all() if stop.kind is StopKind.EVERYTHING), None)

    def stop(self, kind: StopKind, target: str, reason: str, by: Actor, origin: Origin) -> Stop:
        """Stop what `target` names; a person by any name. Stopping twice is stopping once: the first reason stays.

        Each time is in the log, and so is each time that something which is not stopped is let go on.

        Raises InvalidForm for a reason that is none, NotFound or InvalidRequest for a target that is none.
        """
        reason = checked_reason(reason)
        if kind is StopKind.APPLICATION:
            return self._stop_application(target, reason, by, origin)
        target, name = self._target(kind, target)
        stop = Stop(kind, target, reason, self._clock.now(), by, name)
        with self._audit_log.recording(_event(AuditTag.RELEASES_STOPPED, stop, by, origin)):
            try:
                self._stops.add(stop)
            except Conflict:
                return self._found(kind, target) or stop
        return stop

    def resume(self, kind: StopKind, target: str, by: Actor, origin: Origin) -> None:
        """Take a stop back; nothing changes where there is none. Raises NotFound for an unknown application."""
        if kind is StopKind.APPLICATION:
            self._change(target, ClientApplication.resumed, AuditTag.CLIENT_RESUMED, by, origin)
            return
        target = ALL if kind is StopKind.EVERYTHING else target
        stop = self._found(kind, target)
        if stop is None:
            # Text that names nothing is nothing to record
            with suppress(NotFound, InvalidRequest):
                target, name = self._target(kind, target)
                stop = Stop(kind, target, "", 0, by, name)
        if stop is None:
            return
        with self._audit_log.recording(_event(AuditTag.RELEASES_RESUMED, stop, by, origin)):
            self._stops.remove(kind, target)

    def _found(self, kind: StopKind, target: str) -> Stop | None:
        return next((stop for stop in self._stops.all() if (stop.kind, stop.target) == (kind, target)), None)

    def _target(self, kind: StopKind, target: str) -> tuple[str, str]:
        """Id and name of what is to be stopped."""
        match kind:
            case StopKind.PROVIDER:
                return target, self._provider_name(target)
            case StopKind.PERSON:
                person = self._people.find(target)
                return person.id, person.name
        return ALL, ""

    def _provider_name(self, provider_id: str) -> str:
        """Raises NotFound. Looked for in the list: the id may be any text."""
        for provider in self._providers.all():
            if provider.id == provider_id:
                return provider.name
        raise NotFound

    def _stop_application(self, application_id: str, reason: str, by: Actor, origin: Origin) -> Stop:
        def stopped(application: ClientApplication) -> ClientApplication:
            return application.stopped(reason, self._clock.now(), by.name or by.id)

        return _stop_of(self._change(application_id, stopped, AuditTag.CLIENT_STOPPED, by, origin))

    def _change(
        self,
        application_id: str,
        change: Callable[[ClientApplication], ClientApplication],
        tag: AuditTag,
        by: Actor,
        origin: Origin,
    ) -> ClientApplication:
        """Whoever edits the registration at the same moment does not keep it from being stopped."""
        is_wanted = tag is AuditTag.CLIENT_RESUMED
        for _ in range(_ATTEMPTS):
            application = self._applications.get(check_id(application_id))
            changed = application if application.enabled == is_wanted else change(application)
            try:
                with self._audit_log.recording(_event(tag, _stop_of(changed), by, origin)):
                    return changed if changed is application else self._applications.update(changed)
            except Conflict:
                continue
        raise Conflict


def _event(tag: AuditTag, stop: Stop, by: Actor, origin: Origin) -> AuditEvent:
    about = {"client": stop.target} if stop.kind is StopKind.APPLICATION else {"kind": stop.kind.value}
    is_person = stop.kind is StopKind.PERSON
    return AuditEvent(
        tag,
        Outcome.SUCCESS,
        by.id,
        origin,
        user_id=stop.target if is_person else "",
        provider_id=stop.target if stop.kind is StopKind.PROVIDER else "",
        facts=about | ({"reason": stop.reason} if stop.reason else {}),
        actor_name=by.name,
        user_name=stop.target_name if is_person else "",
    )


def _stop_of(application: ClientApplication) -> Stop:
    by = Actor("", application.stopped_by)
    at = application.stopped_at or application.created_at
    return Stop(StopKind.APPLICATION, application.id, application.stopped_reason, at, by, application.name)
