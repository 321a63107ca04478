"""Client applications in the hands of administrators: registered, changed, deleted. Each is audited.

Stopping and resuming one is `services.stops`.
"""

from collections.abc import Sequence
from dataclasses import replace

from chalicelib.domain.audit import Actor, AuditEvent, AuditTag, Origin, Outcome
from chalicelib.domain.client_application import (
    AccessRule,
    ApplicationKey,
    ClientApplication,
)
from chalicelib.domain.errors import CloudError, Conflict, InvalidForm, InvalidRequest, NotFound
from chalicelib.ports import AuditLog, ClientApplicationStore, Clock, OAuthClient, PublicKeyReader

_LONGEST_ADDRESS = 512


class ClientApplicationService:
    """Every act here is an administrator's; the routes check that.

    Changes are made to an application as it was read: Conflict says that somebody else was faster.
    """

    def __init__(
        self,
        *,
        applications: ClientApplicationStore,
        key_reader: PublicKeyReader,
        oauth_client: OAuthClient,
        audit_log: AuditLog,
        clock: Clock,
    ) -> None:
        self._applications = applications
        self._key_reader = key_reader
        self._oauth_client = oauth_client
        self._audit_log = audit_log
        self._clock = clock

    def all(self) -> list[ClientApplication]:
        """Every application, by name."""
        return self._applications.all()

    def get(self, application_id: str) -> ClientApplication:
        """Raises NotFound."""
        return self._applications.get(application_id)

    def keys_of(self, text: str) -> tuple[ApplicationKey, ...]:
        """The public keys in a JWKS or certificate; none in empty text. Raises InvalidForm."""
        try:
            return self._key_reader.from_text(text, self._clock.now()) if text.strip() else ()
        except InvalidRequest as error:
            raise InvalidForm({"keys": error.message}) from error

    def jwks_uri_of(self, issuer: str) -> str:
        """Where a trusted identity provider publishes its keys, by its discovery document. Raises InvalidForm."""
        if not issuer or len(issuer) > _LONGEST_ADDRESS:
            raise InvalidForm({"issuer": "Please give the address of the issuer, as its tokens name it (“iss”)."})
        try:
            server = self._oauth_client.discover(issuer)
        except CloudError as error:
            raise InvalidForm({"issuer": "The discovery document of this issuer could not be read."}) from error
        jwks_uri = server.jwks_uri
        if not jwks_uri:
            raise InvalidForm({"issuer": "The discovery document of this issuer names no keys."})
        if fault := self._oauth_client.endpoint_faults(server).get("jwks_uri"):
            raise InvalidForm({"issuer": f"The keys of this issuer: {fault}"})
        return jwks_uri

    def register(self, application: ClientApplication, actor: Actor, origin: Origin) -> ClientApplication:
        """Store a new one. Raises InvalidForm for what cannot work and for an id or name that is taken."""
        registered = replace(application, created_at=self._clock.now(), version=1)
        registered.check()
        self._check_name(registered)
        try:
            with self._audit_log.recording(_event(AuditTag.CLIENT_REGISTERED, registered, actor, origin)):
                self._applications.add(registered)
        except Conflict as error:
            raise InvalidForm({"id": "Another application has this id. Please choose another one."}) from error
        return registered

    def change(self, application: ClientApplication, actor: Actor, origin: Origin) -> ClientApplication:
        """Store another name, role or way to name people. Raises InvalidForm or Conflict."""
        application.check()
        self._check_name(application)
        facts = {"name": application.name, "subject_mode": application.subject_mode.value}
        return self._change(application, AuditTag.CLIENT_CHANGED, actor, origin, facts)

    def set_rules(
        self, application: ClientApplication, rules: Sequence[AccessRule], actor: Actor, origin: Origin
    ) -> ClientApplication:
        """Replace what it may fetch. Raises InvalidForm, or Conflict when it was changed meanwhile."""
        facts = {"rules": str(len(rules)), "providers": " ".join(sorted({rule.provider_id for rule in rules}))}
        return self._change(
            replace(application, rules=tuple(rules)), AuditTag.CLIENT_RULES_CHANGED, actor, origin, facts
        )

    def add_keys(self, application: ClientApplication, text: str, actor: Actor, origin: Origin) -> ClientApplication:
        """Add the keys of a JWKS or certificate; those it has stay good, so that it can change over without a pause.

        Raises InvalidForm or Conflict.
        """
        keys = self.keys_of(text)
        if not keys:
            raise InvalidForm({"keys": "Please paste a certificate (PEM) or a JWKS."})
        facts = {"added": " ".join(key.id for key in keys)}
        added = replace(application, keys=application.keys + keys)
        return self._change(added, AuditTag.CLIENT_KEYS_CHANGED, actor, origin, facts)

    def remove_key(
        self, application: ClientApplication, key_id: str, actor: Actor, origin: Origin
    ) -> ClientApplication:
        """From the next call on nothing signed with it counts. Raises NotFound or Conflict."""
        keys = tuple(key for key in application.keys if key.id != key_id)
        if len(keys) == len(application.keys):
            raise NotFound("The application has no such key, or not any more.")
        facts = {"removed": key_id}
        return self._change(replace(application, keys=keys), AuditTag.CLIENT_KEYS_CHANGED, actor, origin, facts)

    def delete(self, application: ClientApplication, actor: Actor, origin: Origin) -> None:
        """From the next call on nobody knows it; what it did stays in the ledger. Raises Conflict."""
        facts = {"name": application.name}
        with self._audit_log.recording(_event(AuditTag.CLIENT_DELETED, application, actor, origin, facts)):
            self._applications.delete(application)

    def _check_name(self, application: ClientApplication) -> None:
        """Not a lock: two at the same moment may still get one name, and are told apart by their ids."""
        name = application.name.casefold()
        if any(other.name.casefold() == name for other in self.all() if other.id != application.id):
            raise InvalidForm({"name": "Another application has this name. Please choose another one."})

    def _change(
        self, application: ClientApplication, tag: AuditTag, actor: Actor, origin: Origin, facts: dict[str, str]
    ) -> ClientApplication:
        application.check()
        with self._audit_log.recording(_event(tag, application, actor, origin, facts)):
            return self._applications.update(application)


def _event(
    tag: AuditTag,
    application: ClientApplication,
    actor: Actor,
    origin: Origin,
    facts: dict[str, str] | None = None,
) -> AuditEvent:
    facts = {"client": application.id} | (facts or {})
    return AuditEvent(tag, Outcome.SUCCESS, actor.id, origin, facts=facts, actor_name=actor.name)
