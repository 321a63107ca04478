"""After the table came back from a backup: what administrators removed since then is removed again (F35).

Wrapped keys are in a table that is never restored. A key of a later generation than the restored provider's says that
its tokens were removed after the backup was made, and no key at all that the provider was deleted.
"""

from collections.abc import Iterator
from dataclasses import dataclass, replace
from enum import StrEnum

from chalicelib.domain.audit import Actor, AuditEvent, AuditTag, Origin, Outcome
from chalicelib.domain.errors import IntegrityViolation, NotFound
from chalicelib.domain.provider import ClientSecrets, Provider, ProviderKey
from chalicelib.domain.secret import Secret
from chalicelib.ports import AuditLog, Clock, ProviderStore, TokenCipher

from .generations import GenerationService

_LOOK_AHEAD = 100
"""So many removals of one provider since the backup are found."""


class Restored(StrEnum):
    """What a restored provider needed."""

    CURRENT = "current"
    REMOVED_AGAIN = "removed_again"
    NEEDS_SECRET = "needs_secret"  # noqa: S105 - a word of the command
    """Removed again, and switched off until an administrator gives the client secret anew: its key is gone."""


@dataclass(frozen=True, slots=True)
class RestoredProvider:
    provider_id: str
    name: str
    outcome: Restored


class RestorationService:
    """For operators alone; no route calls it."""

    def __init__(self, providers: ProviderStore, cipher: TokenCipher, audit_log: AuditLog, clock: Clock) -> None:
        self._providers = providers
        self._cipher = cipher
        self._audit_log = audit_log
        self._clock = clock
        self._generations = GenerationService(providers=providers, cipher=cipher, audit_log=audit_log, clock=clock)

    def run(self, actor: Actor, origin: Origin) -> Iterator[RestoredProvider]:
        """Bring one provider up to date with each step. Running it again, or without need, changes nothing."""
        for restored in self._providers.all():
            # The backup may have been made while everything was being removed
            provider = self._generations.carried_out(restored)
            newest = self._newest_key(provider)
            outcome = Restored.CURRENT
            if newest is None or newest.generation > provider.generation:
                outcome = self._remove_again(provider, newest or self._new_key(provider), actor, origin)
            yield RestoredProvider(provider.id, provider.name, outcome)

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


def _event(provider: Provider, actor: Actor, origin: Origin) -> AuditEvent:
    facts = {"generation": str(provider.generation), "cause": "restored"}
    tag = AuditTag.PROVIDER_TOKENS_REMOVED
    return AuditEvent(tag, Outcome.SUCCESS, actor.id, origin, "", provider.id, facts, actor_name=actor.name)
