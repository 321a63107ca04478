"""After the table came back from a backup: what ended or was narrowed since then is so again (F35).

Three things tell, and none of them is ever restored. Copies say what applications, providers, stops, blocks and
appointments were last. Keys say which tokens were removed: one of a later generation than the restored provider's, or
none at all. The directory says who has left, and which groups people are in. What cannot be told is closed: everybody
is asked to authorize again, and an administrator to permit again.
"""

from collections.abc import Iterator, Mapping
from contextlib import suppress
from dataclasses import dataclass, replace
from enum import StrEnum

from chalicelib.domain.administrators import Appointments
from chalicelib.domain.audit import Actor, AuditEvent, AuditTag, Origin, Outcome
from chalicelib.domain.copy import Copy, CopyKind
from chalicelib.domain.errors import Conflict, IntegrityViolation, NotFound
from chalicelib.domain.provider import ClientSecrets, Provider, ProviderKey
from chalicelib.domain.secret import Secret
from chalicelib.domain.stop import ALL, Stop, StopKind
from chalicelib.ports import (
    AdministratorStore,
    AuditLog,
    ClientApplicationStore,
    Clock,
    CopyStore,
    ProviderStore,
    StopStore,
    TokenCipher,
)

from .generations import GenerationService
from .leavers import LeaverService

_LOOK_AHEAD = 100
"""So many removals of one provider since the backup are found."""
_REASON = "After a restore. Please look at keys and rules before you resume it."
_REASON_OF_ALL = "After a restore the directory could not be asked about everybody. It is asked every two minutes."
PEOPLE = "people"


class Restored(StrEnum):
    """What something in a restored table needed."""

    CURRENT = "current"
    AS_LAST = "as_last"
    DELETED_AGAIN = "deleted_again"
    REMOVED_AGAIN = "removed_again"
    NEEDS_SECRET = "needs_secret"  # noqa: S105 - a word of the command
    """Removed again, and switched off until an administrator gives the client secret anew: its key is gone."""
    CLOSED = "closed"
    """What it was last is not known: it permits nothing until an administrator says so."""


@dataclass(frozen=True, slots=True)
class RestoredRecord:
    """`kind` is one of `CopyKind`, or `PEOPLE` for what the directory was asked."""

    kind: str
    id: str
    name: str
    outcome: Restored


class RestorationService:
    """For operators alone; no route calls it."""

    def __init__(
        self,
        *,
        copies: CopyStore,
        providers: ProviderStore,
        applications: ClientApplicationStore,
        administrators: AdministratorStore,
        stops: StopStore,
        leavers: LeaverService,
        cipher: TokenCipher,
        audit_log: AuditLog,
        clock: Clock,
    ) -> None:
        self._copies = copies
        self._providers = providers
        self._applications = applications
        self._administrators = administrators
        self._stops = stops
        self._leavers = leavers
        self._cipher = cipher
        self._audit_log = audit_log
        self._clock = clock
        self._generations = GenerationService(providers=providers, cipher=cipher, audit_log=audit_log, clock=clock)

    def prepare(self) -> None:
        """Let backups of now be known as ones since which every change leaves a copy; for the background."""
        self._copies.settle()

    def run(self, actor: Actor, origin: Origin, *, ask_directory: bool = True) -> Iterator[RestoredRecord]:
        """Bring one thing up to date with each step. Running it again, or without need, changes nothing."""
        are_known = self._copies.are_whole()
        cleaned = {provider.id: provider.cleaned_generation for provider in self._providers.all()}
        deleted = set[str]()
        for copy in self._copies.newer():
            if copy.kind is CopyKind.PROVIDER and copy.values is None and copy.is_readable:
                deleted.add(copy.id)
            else:
                yield self._as_last(copy, actor, origin)
        for restored in self._providers.all():
            # The backup may have been made while everything was being removed
            provider = self._generations.carried_out(restored)
            if provider.id in deleted and not provider.is_deleted:
                yield self._deleted(provider, actor, origin)
            else:
                provider = self._uncleaned(provider, cleaned, actor, origin)
                yield self._provider(provider, actor, origin, is_known=are_known)
        if not are_known:
            yield from self._close(actor, origin)
            self._copies.begin()
        yield self._people(actor, origin, ask=ask_directory)

    def _as_last(self, copy: Copy, actor: Actor, origin: Origin) -> RestoredRecord:
        outcome = Restored.AS_LAST if copy.values else Restored.DELETED_AGAIN
        outcome = outcome if copy.is_readable else Restored.CLOSED
        with self._audit_log.recording(_restored(copy.kind, copy.id, outcome, actor, origin)):
            self._copies.apply(copy)
        return RestoredRecord(copy.kind, copy.id, copy.name, outcome)

    def _close(self, actor: Actor, origin: Origin) -> Iterator[RestoredRecord]:
        """Applications and appointments, where nobody knows what became of them since the backup."""
        for application in self._applications.all():
            if application.enabled:
                kind = CopyKind.APPLICATION
                with self._audit_log.recording(_restored(kind, application.id, Restored.CLOSED, actor, origin)):
                    self._applications.update(application.stopped(_REASON, self._clock.now(), actor.name or actor.id))
                yield RestoredRecord(kind, application.id, application.name, Restored.CLOSED)
        appointments = self._administrators.get()
        if appointments.entries:
            kind = CopyKind.ADMINISTRATORS
            with self._audit_log.recording(_restored(kind, "", Restored.CLOSED, actor, origin)):
                self._administrators.save(Appointments(version=appointments.version))
            yield RestoredRecord(kind, "", "", Restored.CLOSED)

    def _people(self, actor: Actor, origin: Origin, *, ask: bool) -> RestoredRecord:
        if ask and self._leavers.ask_about_all():
            return RestoredRecord(PEOPLE, "", "", Restored.CURRENT)
        stop = Stop(StopKind.EVERYTHING, ALL, _REASON_OF_ALL, self._clock.now(), actor)
        if all(one.kind is not StopKind.EVERYTHING for one in self._stops.all()):
            with suppress(Conflict), self._audit_log.recording(_restored(PEOPLE, "", Restored.CLOSED, actor, origin)):
                self._stops.add(stop)
        return RestoredRecord(PEOPLE, "", "", Restored.CLOSED)

    def _deleted(self, provider: Provider, actor: Actor, origin: Origin) -> RestoredRecord:
        """Deleted as an administrator does it: what people authorized there is back, too, and must be cleaned."""
        gone = replace(provider, is_deleted=True, enabled=False)
        self._remove_again(gone, self._newer_key(provider), actor, origin)
        return RestoredRecord(CopyKind.PROVIDER, provider.id, provider.name, Restored.DELETED_AGAIN)

    def _uncleaned(self, provider: Provider, cleaned: Mapping[str, int], actor: Actor, origin: Origin) -> Provider:
        """Of the generations that were cleaned since, the grants are back: nobody finds them, and they go once more."""
        before = cleaned.get(provider.id, provider.cleaned_generation)
        if provider.cleaned_generation <= before:
            return provider
        line = _restored(CopyKind.PROVIDER, provider.id, Restored.AS_LAST, actor, origin)
        with self._audit_log.recording(line):
            return self._providers.update(replace(provider, cleaned_generation=before))

    def _newer_key(self, provider: Provider) -> ProviderKey:
        """Of a later generation than the provider's."""
        newest = self._newest_key(provider)
        return newest if newest and newest.generation > provider.generation else self._new_key(provider)

    def _provider(self, provider: Provider, actor: Actor, origin: Origin, *, is_known: bool) -> RestoredRecord:
        newest, outcome = self._newest_key(provider), Restored.CURRENT
        is_closed = not is_known and not provider.is_deleted
        if is_closed or newest is None or newest.generation > provider.generation:
            provider = replace(provider, enabled=provider.enabled and is_known)
            outcome = self._remove_again(provider, self._newer_key(provider), actor, origin)
            outcome = Restored.CLOSED if is_closed and outcome is Restored.REMOVED_AGAIN else outcome
        return RestoredRecord(CopyKind.PROVIDER, provider.id, provider.name, outcome)

    def _newest_key(self, provider: Provider) -> ProviderKey | None:
        # Clean-up deletes older keys, so that there may be gaps before the newest
        keys = (
            self._key(provider.id, generation)
            for generation in range(provider.generation + _LOOK_AHEAD, provider.generation - 1, -1)
        )
        return next((key for key in keys if key), None)

    def _key(self, provider_id: str, generation: int) -> ProviderKey | None:
        try:
            return self._providers.key(provider_id, generation)
        except NotFound:
            return None

    def _new_key(self, provider: Provider) -> ProviderKey:
        key = self._cipher.new_key(provider.id, provider.generation + 1)
        self._providers.add_key(key)
        return key

    def _remove_again(self, provider: Provider, key: ProviderKey, actor: Actor, origin: Origin) -> Restored:
        secret = self._secret(provider)
        raised = replace(
            provider,
            generation=key.generation,
            removed_at=self._clock.now(),
            enabled=provider.enabled and secret is not None,
            has_older_secret=provider.has_older_secret and secret is not None,
        )
        with self._cipher.unlock(key) as box:
            kept = secret or ClientSecrets(Secret("")).to_bytes()
            raised = replace(raised, client_secret=box.encrypt(kept, raised.secret_context()))
        with self._audit_log.recording(_event(provider, actor, origin)):
            self._providers.update(raised)
        return Restored.REMOVED_AGAIN if secret else Restored.NEEDS_SECRET

    def _secret(self, provider: Provider) -> bytes | None:
        key = self._key(provider.id, provider.generation)
        if key is None:
            return None
        try:
            with self._cipher.unlock(key) as box:
                return box.decrypt(provider.client_secret, provider.secret_context())
        except IntegrityViolation:
            return None


def _restored(kind: str, id_: str, outcome: Restored, actor: Actor, origin: Origin) -> AuditEvent:
    facts = {"kind": str(kind), "outcome": outcome.value} | ({"id": id_} if id_ else {})
    return AuditEvent(AuditTag.RECORD_RESTORED, Outcome.SUCCESS, actor.id, origin, facts=facts, actor_name=actor.name)


def _event(provider: Provider, actor: Actor, origin: Origin) -> AuditEvent:
    facts = {"generation": str(provider.generation), "cause": "restored"}
    tag = AuditTag.PROVIDER_TOKENS_REMOVED
    return AuditEvent(tag, Outcome.SUCCESS, actor.id, origin, "", provider.id, facts, actor_name=actor.name)
