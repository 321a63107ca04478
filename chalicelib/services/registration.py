"""Providers in the hands of administrators: registered, changed, enabled, disabled, deleted. Each is audited."""

from collections.abc import Iterator, Mapping
from contextlib import contextmanager, suppress
from dataclasses import dataclass, replace

from chalicelib.domain.audit import Actor, AuditEvent, AuditTag, Origin, Outcome
from chalicelib.domain.authorization_server import AuthorizationServer
from chalicelib.domain.directory_report import Step
from chalicelib.domain.errors import CloudError, Conflict, InvalidForm, StorageUnavailable, VaultError
from chalicelib.domain.provider import ClientSecrets, Provider
from chalicelib.domain.provider_type import ProviderType
from chalicelib.domain.removal import FormerClient, RemovalOrder
from chalicelib.domain.secret import Secret
from chalicelib.domain.text import is_clean
from chalicelib.ports import AuditLog, Catalogue, Clock, OAuthClient, ProviderCheck, ProviderStore, TokenCipher

from .administration import AdministrationService, Count
from .generations import GenerationService, ended
from .removals import RemovalService
from .revocations import client_of

MAX_NAME = 60
_SECRET_AGAIN = "The client or its server is another one now: please give the secret again."  # noqa: S105 - a sentence


@dataclass(frozen=True, slots=True)
class Registration:
    """What an administrator says about a provider. An empty `client_secret` keeps the one there is."""

    type_id: str
    name: str
    client_id: str
    client_secret: Secret
    fields: Mapping[str, str]
    scopes: tuple[str, ...]
    visible_to: tuple[str, ...] = ()
    secret_ends_at: int | None = None
    keeps_older_secret: bool = False
    """A new secret goes beside the current one instead of replacing it."""
    authorize_again: bool = False
    """People whose authorizations lack a scope that is new must authorize again; else those stay as they are."""
    ends_authorizations: bool = False
    """Where tokens would go to another server or client than issued them: end those there are."""
    revokes_authorizations: bool = False
    """Have them revoked where they were issued, too."""


class RegistrationService:
    """Makes providers out of what administrators, or a seed, say about them."""

    def __init__(
        self,
        *,
        providers: ProviderStore,
        cipher: TokenCipher,
        oauth_client: OAuthClient,
        check: ProviderCheck,
        catalogue: Catalogue,
        administration: AdministrationService,
        generations: GenerationService,
        removals: RemovalService,
        audit_log: AuditLog,
        clock: Clock,
    ) -> None:
        self._providers = providers
        self._cipher = cipher
        self._oauth_client = oauth_client
        self._check = check
        self._catalogue = catalogue
        self._administration = administration
        self._generations = generations
        self._removals = removals
        self._audit_log = audit_log
        self._clock = clock

    def types(self) -> list[ProviderType]:
        """The kinds of cloud, by name."""
        return self._catalogue.all()

    def type(self, type_id: str) -> ProviderType:
        """Raises NotFound."""
        return self._catalogue.get(type_id)

    def type_of(self, provider: Provider) -> ProviderType:
        """That of a provider that is stored, whatever it is."""
        return self._catalogue.stored(provider.type_id)

    def all(self) -> list[Provider]:
        """Every provider, enabled or not, by name."""
        return self._administration.providers()

    def get(self, provider_id: str) -> Provider:
        """Raises NotFound."""
        return self._administration.provider(provider_id)

    def discover(self, issuer: str) -> AuthorizationServer:
        """The server as its OpenID Connect discovery document describes it. Raises a CloudError."""
        return self._oauth_client.discover(issuer)

    def add(self, provider_id: str, asked: Registration, actor: Actor, origin: Origin) -> Provider:
        """Store a new provider, disabled. Raises InvalidForm, or Conflict for a taken id."""
        self._check_name(asked.name, provider_id)
        if not asked.client_secret:
            raise InvalidForm({"client_secret": "Please give the client secret."})
        provider_type = self._catalogue.get(asked.type_id)
        fields = provider_type.checked(asked.fields)
        provider = Provider(
            id=provider_id,
            type_id=asked.type_id,
            name=asked.name,
            client_id=asked.client_id,
            client_secret=b"",
            server=self.server(provider_type, fields),
            scopes=asked.scopes,
            enabled=False,
            fields=fields,
            visible_to=asked.visible_to,
            secret_ends_at=asked.secret_ends_at,
        )
        return self._store(provider, asked.client_secret, actor, origin)

    def register(
        self,
        provider_id: str,
        type_id: str,
        name: str,
        *,
        client_id: str,
        client_secret: Secret,
        server: AuthorizationServer,
        scopes: tuple[str, ...],
        actor: str,
        origin: Origin,
        fields: Mapping[str, str] | None = None,
    ) -> Provider:
        """Store a new one, enabled, whose server is known.

        Raises NotFound for the type, Conflict for a taken id, InvalidForm for an endpoint that may not be one.
        """
        provider_type = self._catalogue.get(type_id)
        self._check_endpoints(provider_type, server)
        provider = Provider(
            id=provider_id,
            type_id=provider_type.id,
            name=name,
            client_id=client_id,
            client_secret=b"",
            server=server,
            scopes=scopes,
            fields=dict(fields or {}),
        )
        return self._store(provider, client_secret, Actor(actor), origin)

    def change(self, provider: Provider, asked: Registration, actor: Actor, origin: Origin) -> Provider:
        """Store it as asked, all or nothing. Raises InvalidForm, or Conflict when it was changed meanwhile.

        Tokens belong to the server and client that issued them (R92): where those change, what was authorized before
        ends in the same write, which has to be asked for.
        """
        self._check_name(asked.name, provider.id)
        provider = self._as_seen(provider)
        changed = self._changed(provider, asked)
        self._check_endpoints(self._catalogue.stored(changed.type_id), changed.server)
        facts = {"changed": " ".join(_differences(provider, changed, asked))}
        if changed.server_id != provider.server_id:
            return self._move(provider, changed, asked, actor, origin, facts=facts)
        changed = self._with_secret(provider, changed, asked)
        with self._recording(_event(AuditTag.PROVIDER_CHANGED, provider, actor, origin, facts)):
            return self._providers.update(changed)

    def ends(self, provider: Provider, asked: Registration) -> Count:
        """How many authorizations such a change would end. Raises InvalidForm."""
        changed = self._changed(provider, asked)
        return self._administration.count(provider) if changed.server_id != provider.server_id else Count(0)

    def _changed(self, provider: Provider, asked: Registration) -> Provider:
        """But for the secret."""
        provider_type = self._catalogue.stored(provider.type_id)
        fields = provider_type.checked(asked.fields)
        # Not discovered anew where nobody asked for it: a document that changed moves no provider
        server = provider.server if fields == provider.fields else self.server(provider_type, fields)
        needs_more = asked.authorize_again and not set(asked.scopes) <= set(provider.scopes)
        return replace(
            provider,
            name=asked.name,
            client_id=asked.client_id,
            server=server,
            fields=fields,
            scopes=asked.scopes,
            visible_to=asked.visible_to,
            secret_ends_at=asked.secret_ends_at,
            authorize_again_since=self._clock.now() if needs_more else provider.authorize_again_since,
        )

    def _move(
        self,
        before: Provider,
        after: Provider,
        asked: Registration,
        actor: Actor,
        origin: Origin,
        *,
        facts: dict[str, str],
    ) -> Provider:
        """To another server or client; the order keeps what it takes to revoke at the one of before."""
        held = self._administration.count(before)
        _check_move(asked, held)
        former = FormerClient(before.server, before.client_id, before.client_secret)
        after = replace(after, has_older_secret=False)
        secret = ClientSecrets(asked.client_secret).to_bytes()
        line = _event(AuditTag.PROVIDER_CHANGED, before, actor, origin, facts)
        with self._failure_recorded(line):
            if not held.number:
                # Revoked all the same: what was stored a moment ago is not counted yet
                order = RemovalOrder(before.generation, "", True, actor, former)
                return self._generations.move(before, after, order, secret, line)
            revoke = asked.revokes_authorizations
            removal = self._removals.announce(before, actor, revoke=revoke)
            order = RemovalOrder(before.generation, removal.id, revoke, actor, former)
            with self._removals.failure_recorded(order, before, origin):
                return self._generations.move(before, after, order, secret, line, ended(before, order, origin))

    def enable(self, provider: Provider, actor: Actor, origin: Origin) -> Provider:
        """People see it from now on. Raises Conflict, or InvalidForm where an endpoint may not be one (R103)."""
        self._check_endpoints(self._catalogue.stored(provider.type_id), provider.server)
        return self._switch(provider, True, AuditTag.PROVIDER_ENABLED, actor, origin)

    def disable(self, provider: Provider, actor: Actor, origin: Origin) -> Provider:
        """Nobody sees it and nothing of it is released; authorizations stay. Raises Conflict."""
        return self._switch(provider, False, AuditTag.PROVIDER_DISABLED, actor, origin)

    def test(self, provider: Provider, redirect_uri: str, actor: Actor, origin: Origin) -> tuple[Step, ...]:
        """Try the provider without any person. Changes nothing but the audit log."""
        provider = self._as_seen(provider)
        with self._cipher.unlock(self._providers.key(provider.id, provider.generation)) as box:
            client = client_of(provider, box)
        steps = self._check.check(provider, self._catalogue.stored(provider.type_id), client, redirect_uri)
        found = " ".join(step.code for step in steps if step.code) or "all good"
        self._audit_log.record(_event(AuditTag.PROVIDER_TESTED, provider, actor, origin, {"found": found}))
        return steps

    def delete(self, provider: Provider, actor: Actor, origin: Origin) -> None:
        """It is gone at once, its authorizations with it; what is stored follows. Raises Conflict."""
        provider = self._as_seen(provider)
        line = _event(AuditTag.PROVIDER_DELETED, provider, actor, origin, {"name": provider.name})
        hidden = replace(provider, enabled=False, is_deleted=True)
        with self._failure_recorded(line):
            # Its generation ends, too, so that not even a restored backup brings an authorization back
            self._generations.end_once(hidden, RemovalOrder(hidden.generation, "", False, actor), line)

    def _store(self, provider: Provider, client_secret: Secret, actor: Actor, origin: Origin) -> Provider:
        provider = self._generations.unused(provider)
        with self._cipher.unlock(self._generations.new_key(provider)) as box:
            secret = box.encrypt(ClientSecrets(client_secret).to_bytes(), provider.secret_context())
        # What was removed before it was there is none of its
        provider = replace(provider, client_secret=secret, emptied=self._providers.everything().last)
        with self._recording(_event(AuditTag.PROVIDER_REGISTERED, provider, actor, origin, {"name": provider.name})):
            self._providers.add(provider)
        return provider

    def _with_secret(self, before: Provider, after: Provider, asked: Registration) -> Provider:
        """The secret encrypted for where it goes now. An old one never goes elsewhere than it was given for."""
        is_elsewhere = before.secret_context() != after.secret_context()
        if not asked.client_secret and not is_elsewhere:
            return after
        if not asked.client_secret:
            raise InvalidForm({"client_secret": _SECRET_AGAIN})
        keeps = asked.keeps_older_secret and not is_elsewhere
        with self._cipher.unlock(self._providers.key(before.id, before.generation)) as box:
            secrets = ClientSecrets(asked.client_secret)
            if keeps:
                current = ClientSecrets.from_bytes(box.decrypt(before.client_secret, before.secret_context()))
                secrets = current.with_newest(asked.client_secret, keeps_current=True)
            sealed = box.encrypt(secrets.to_bytes(), after.secret_context())
        return replace(after, client_secret=sealed, has_older_secret=keeps)

    def server(self, provider_type: ProviderType, fields: Mapping[str, str]) -> AuthorizationServer:
        """The server that these fields mean, each endpoint checked. Raises InvalidForm with each fault at its field."""
        server = self._server(provider_type, fields)
        self._check_endpoints(provider_type, server)
        return server

    def _server(self, provider_type: ProviderType, fields: Mapping[str, str]) -> AuthorizationServer:
        if not provider_type.is_discovered:
            return provider_type.server(fields)
        try:
            return self._oauth_client.discover(provider_type.issuer(fields))
        except CloudError as error:
            why = f"The cloud's discovery document cannot be used: {error.detail or error.message}"
            raise InvalidForm({_place(provider_type, "issuer"): why}) from error

    def _check_endpoints(self, provider_type: ProviderType, server: AuthorizationServer) -> None:
        """Raises InvalidForm. An endpoint that is typed is named by its field, another one by its own name (R103)."""
        problems: dict[str, str] = {}
        for name, sentence in self._oauth_client.endpoint_faults(server).items():
            field, own = _place(provider_type, name), name == provider_type.field_of(name)
            problems.setdefault(field, sentence if own else f"{name}: {sentence}")
        if problems:
            raise InvalidForm(problems)

    def _check_name(self, name: str, provider_id: str) -> None:
        """Not a lock: two at the same moment may still get one name, and are told apart by their ids."""
        if not 0 < len(name) <= MAX_NAME or not is_clean(name):
            raise InvalidForm({"name": f"Please give a name of at most {MAX_NAME} characters: people see it."})
        if any(other.name.casefold() == name.casefold() for other in self.all() if other.id != provider_id):
            raise InvalidForm({"name": "There is a provider of this name already. Please choose another one."})

    def _switch(self, provider: Provider, enabled: bool, tag: AuditTag, actor: Actor, origin: Origin) -> Provider:
        line = _event(tag, provider, actor, origin, {})
        if provider.enabled == enabled:
            self._audit_log.record(line)
            return provider
        provider = self._as_seen(provider)
        with self._recording(line):
            return self._providers.update(replace(provider, enabled=enabled))

    def _as_seen(self, provider: Provider) -> Provider:
        """The provider, not ending any more. Raises Conflict where anything else has changed since it was read."""
        settled = self._generations.carried_out(provider)
        if settled.version > provider.version + 1:
            raise Conflict
        return settled

    @contextmanager
    def _recording(self, line: AuditEvent) -> Iterator[None]:
        with self._failure_recorded(line), self._audit_log.recording(line):
            yield

    @contextmanager
    def _failure_recorded(self, line: AuditEvent) -> Iterator[None]:
        """What an administrator asked for and did not get is in the log as well."""
        try:
            yield
        except VaultError:
            with suppress(StorageUnavailable):
                self._audit_log.record(replace(line, outcome=Outcome.FAILURE))
            raise


def _event(tag: AuditTag, provider: Provider, actor: Actor, origin: Origin, facts: dict[str, str]) -> AuditEvent:
    return AuditEvent(
        tag, Outcome.SUCCESS, actor.id, origin, provider_id=provider.id, facts=facts, actor_name=actor.name
    )


def _place(provider_type: ProviderType, endpoint: str) -> str:
    """Where a form says what is wrong with an endpoint."""
    return provider_type.field_of(endpoint) or "type"


def _check_move(asked: Registration, held: Count) -> None:
    """Raises InvalidForm with everything that has to be said before a provider goes elsewhere."""
    problems = {}
    if held.number and not asked.ends_authorizations:
        number = f"More than {held.number:,}" if held.more else f"{held.number:,}"
        problems["end_grants"] = (
            f"Tokens belong to the server and client that issued them, and one of these is another one now. "
            f"{number} stored authorization{'' if number == '1' else 's'} would end."
        )
    if problems or not asked.client_secret:
        problems["client_secret"] = _SECRET_AGAIN
    if problems:
        raise InvalidForm(problems)


def _differences(before: Provider, after: Provider, asked: Registration) -> list[str]:
    """What was changed, by name: values may be secrets, or long."""
    names = ("name", "client_id", "fields", "scopes", "visible_to", "secret_ends_at", "authorize_again_since")
    changed = [name for name in names if getattr(before, name) != getattr(after, name)]
    return [*changed, *(["client_secret"] if asked.client_secret else [])]
