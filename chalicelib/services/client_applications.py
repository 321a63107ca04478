"""Client applications in the hands of administrators: registered, changed, stopped, resumed. Each is audited."""

from collections.abc import Sequence
from dataclasses import replace

from chalicelib.domain.audit import AuditEvent, AuditTag, Origin, Outcome
from chalicelib.domain.client_application import (
    AccessRule,
    ApplicationKey,
    ClientApplication,
    Subject,
    could_fetch,
)
from chalicelib.domain.errors import InvalidRequest
from chalicelib.domain.grant import Grant
from chalicelib.ports import AuditLog, ClientApplicationStore, Clock, PublicKeyReader

_MAX_REASON = 200


class ClientApplicationService:
    """Every act here is an administrator's; the routes check that."""

    def __init__(
        self,
        *,
        applications: ClientApplicationStore,
        key_reader: PublicKeyReader,
        audit_log: AuditLog,
        clock: Clock,
    ) -> None:
        self._applications = applications
        self._key_reader = key_reader
        self._audit_log = audit_log
        self._clock = clock

    def all(self) -> list[ClientApplication]:
        """Every application, by name."""
        return self._applications.all()

    def get(self, application_id: str) -> ClientApplication:
        """Raises NotFound."""
        return self._applications.get(application_id)

    def register(self, application: ClientApplication, actor: str, origin: Origin) -> ClientApplication:
        """Store a new one. Raises InvalidRequest for what cannot work, Conflict when the id is taken."""
        registered = replace(application, created_at=self._clock.now(), version=1)
        registered.check()
        self._applications.add(registered)
        self._record(AuditTag.CLIENT_REGISTERED, registered, actor, origin)
        return registered

    def set_rules(
        self, application: ClientApplication, rules: Sequence[AccessRule], actor: str, origin: Origin
    ) -> ClientApplication:
        """Replace what it may fetch. Raises InvalidRequest, or Conflict when it was changed meanwhile."""
        facts = {"rules": str(len(rules)), "providers": " ".join(sorted({rule.provider_id for rule in rules}))}
        return self._change(
            replace(application, rules=tuple(rules)), AuditTag.CLIENT_RULES_CHANGED, actor, origin, facts
        )

    def add_jwks(self, application: ClientApplication, text: str, actor: str, origin: Origin) -> ClientApplication:
        """Add the keys of a JWKS; the ones it has stay good, so that it can change over without a pause."""
        return self._add_keys(application, self._key_reader.from_jwks(text, self._clock.now()), actor, origin)

    def add_certificate(
        self, application: ClientApplication, pem: str, actor: str, origin: Origin
    ) -> ClientApplication:
        """Add the key of an X.509 certificate, good until that expires."""
        return self._add_keys(application, (self._key_reader.from_certificate(pem, self._clock.now()),), actor, origin)

    def remove_key(self, application: ClientApplication, key_id: str, actor: str, origin: Origin) -> ClientApplication:
        """From the next call on nothing signed with it counts."""
        keys = tuple(key for key in application.keys if key.id != key_id)
        facts = {"removed": key_id}
        return self._change(replace(application, keys=keys), AuditTag.CLIENT_KEYS_CHANGED, actor, origin, facts)

    def stop(self, application_id: str, reason: str, actor: str, origin: Origin) -> ClientApplication:
        """Nothing is released to it from the next call on. Stopping twice is stopping once."""
        application = self._applications.get(application_id)
        reason = reason.strip()
        if not 0 < len(reason) <= _MAX_REASON or not reason.isprintable():
            raise InvalidRequest(f"Please give a reason of at most {_MAX_REASON} characters.")
        if not application.enabled:
            return application
        stopped = application.stopped(reason, self._clock.now())
        return self._change(stopped, AuditTag.CLIENT_STOPPED, actor, origin, {"reason": reason})

    def resume(self, application_id: str, actor: str, origin: Origin) -> ClientApplication:
        """Undo a stop."""
        application = self._applications.get(application_id)
        if application.enabled:
            return application
        return self._change(application.resumed(), AuditTag.CLIENT_RESUMED, actor, origin, {})

    def who_could_get(self, grant: Grant, subject: Subject) -> list[ClientApplication]:
        """The applications that could fetch this grant's token."""
        return [a for a in self._applications.all() if could_fetch(a, grant.provider_id, subject, grant.scopes)]

    def _add_keys(
        self, application: ClientApplication, keys: tuple[ApplicationKey, ...], actor: str, origin: Origin
    ) -> ClientApplication:
        added = replace(application, keys=application.keys + keys)
        facts = {"added": " ".join(key.id for key in keys)}
        return self._change(added, AuditTag.CLIENT_KEYS_CHANGED, actor, origin, facts)

    def _change(
        self, application: ClientApplication, tag: AuditTag, actor: str, origin: Origin, facts: dict[str, str]
    ) -> ClientApplication:
        application.check()
        updated = self._applications.update(application)
        self._record(tag, updated, actor, origin, facts)
        return updated

    def _record(
        self,
        tag: AuditTag,
        application: ClientApplication,
        actor: str,
        origin: Origin,
        facts: dict[str, str] | None = None,
    ) -> None:
        event = AuditEvent(tag, Outcome.SUCCESS, actor, origin, facts={"client": application.id} | (facts or {}))
        self._audit_log.record(event)
