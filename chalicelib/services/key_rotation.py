"""Every provider key wrapped anew under the current KMS key, one after the other, while the vault goes on (R53).

There is nothing to be noted for a later run: each wrapped key says by itself under which KMS key it is.
"""

from collections.abc import Iterator
from dataclasses import dataclass
from enum import StrEnum

from chalicelib.domain.audit import Actor, AuditEvent, AuditTag, Origin, Outcome
from chalicelib.domain.errors import Conflict, NotFound
from chalicelib.domain.provider import ProviderKey
from chalicelib.ports import AuditLog, ProviderStore, TokenCipher


class Rewrapping(StrEnum):
    DONE = "done"
    ALREADY = "already"
    """It was wrapped under the current KMS key, by an earlier run or from the beginning."""
    GONE = "gone"
    """Its generation ended meanwhile: the key was deleted, and stays so."""


@dataclass(frozen=True, slots=True)
class Progress:
    """One key of `total`, and what became of it."""

    provider_id: str
    generation: int
    number: int
    total: int
    outcome: Rewrapping


class KeyRotationService:
    """For operators alone; no route calls it."""

    def __init__(self, providers: ProviderStore, cipher: TokenCipher, audit_log: AuditLog) -> None:
        self._providers = providers
        self._cipher = cipher
        self._audit_log = audit_log

    def run(self, actor: Actor, origin: Origin) -> Iterator[Progress]:
        """Wrap one key with each step. Stopped anywhere, it goes on with the next call; running twice harms nothing.

        Raises KeyUnavailable and StorageUnavailable, which leave every key as it was or wrapped anew.
        """
        keys = list(self._keys())
        for number, key in enumerate(keys, 1):
            outcome = self._rewrap(key, actor, origin)
            yield Progress(key.provider_id, key.generation, number, len(keys), outcome)

    def _keys(self) -> Iterator[ProviderKey]:
        """Of each generation that was not cleaned yet: pending revocations still need those that ended."""
        for provider in self._providers.all():
            for generation in range(provider.cleaned_generation + 1, provider.generation + 1):
                try:
                    yield self._providers.key(provider.id, generation)
                except NotFound:
                    continue

    def _rewrap(self, key: ProviderKey, actor: Actor, origin: Origin) -> Rewrapping:
        rewrapped = self._cipher.rewrap(key)
        if rewrapped is None:
            return Rewrapping.ALREADY
        try:
            with self._audit_log.recording(_event(key, actor, origin)):
                self._providers.replace_key(key, rewrapped)
        except Conflict:
            return Rewrapping.GONE
        return Rewrapping.DONE


def _event(key: ProviderKey, actor: Actor, origin: Origin) -> AuditEvent:
    return AuditEvent(
        AuditTag.PROVIDER_KEY_REWRAPPED,
        Outcome.SUCCESS,
        actor.id,
        origin,
        provider_id=key.provider_id,
        facts={"generation": str(key.generation)},
        actor_name=actor.name,
    )
