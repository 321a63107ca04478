"""Ending all that was authorized at a provider: its generation rises (docs/adr/0001-generation-in-the-key.md)."""

import logging
from dataclasses import replace

from chalicelib.domain.audit import BACKGROUND, Actor, AuditEvent, AuditTag, Origin, Outcome
from chalicelib.domain.errors import Conflict, IntegrityViolation, NotFound
from chalicelib.domain.provider import Provider, ProviderKey
from chalicelib.domain.removal import RemovalOrder
from chalicelib.ports import AuditLog, Clock, ProviderStore, TokenCipher

_LOG = logging.getLogger(__name__)

_ATTEMPTS = 3


class GenerationService:
    """One write ends everything of a provider; what it needs is made before, what is left of it is deleted after."""

    def __init__(self, *, providers: ProviderStore, cipher: TokenCipher, audit_log: AuditLog, clock: Clock) -> None:
        self._providers = providers
        self._cipher = cipher
        self._audit_log = audit_log
        self._clock = clock

    def end(self, provider: Provider, order: RemovalOrder) -> Provider:
        """End what was stored under `order.generation`. Raises Conflict.

        Where somebody else was faster nothing is raised twice: both orders are one, and the stronger wish wins.
        """
        for _ in range(_ATTEMPTS):
            try:
                provider = self.carried_out(provider)
                if provider.generation > order.generation:
                    return self._joined(provider, order)
                return self._providers.update(self._raised(provider, order))
            except Conflict:
                provider = self._providers.get(provider.id)
        raise Conflict

    def move(self, before: Provider, after: Provider, order: RemovalOrder, secret: bytes) -> Provider:
        """End the same, and go to another server or client, in one write. `secret` is the serialized new one.

        Raises Conflict when the provider was changed meanwhile.
        """
        raised = replace(after.with_order(order), generation=before.generation + 1, removed_at=self._clock.now())
        return self._providers.update(self._sealed(raised, secret))

    def carried_out(self, provider: Provider) -> Provider:
        """The provider, raised first where everything was removed and its turn had not come. Raises Conflict."""
        if not provider.is_ending:
            return provider
        before = replace(provider, generation=provider.generation - 1)
        order = provider.order(before.generation)
        if order is not None:
            self.record(before, order.by, BACKGROUND, removal_id=order.removal_id, revoke=order.revoke)
        try:
            return self._providers.update(self._resealed(before, replace(provider, is_ending=False)))
        except Conflict:
            # The background, or somebody else who needed it, was faster
            again = self._providers.get(provider.id)
            if again.is_ending:
                raise
            return again

    def record(
        self,
        provider: Provider,
        by: Actor,
        origin: Origin,
        *,
        removal_id: str,
        revoke: bool,
        outcome: Outcome = Outcome.SUCCESS,
    ) -> None:
        """The log's line about the end of a generation; written before that takes effect (R93)."""
        facts = {"generation": str(provider.generation), "removal": removal_id} | ({"cloud": "asked"} if revoke else {})
        self._audit_log.record(
            AuditEvent(
                AuditTag.PROVIDER_TOKENS_REMOVED, outcome, by.id, origin, "", provider.id, facts, actor_name=by.name
            )
        )

    def _joined(self, provider: Provider, order: RemovalOrder) -> Provider:
        if provider.cleaned_generation >= order.generation:
            return provider
        both = provider.with_order(order)
        return provider if both == provider else self._providers.update(both)

    def _raised(self, provider: Provider, order: RemovalOrder) -> Provider:
        after = replace(provider.with_order(order), generation=provider.generation + 1, removed_at=self._clock.now())
        return self._resealed(provider, after)

    def _resealed(self, before: Provider, after: Provider) -> Provider:
        """With the client secret moved to the new key. One that does not open stays so: no token lives on for it.

        Nor is its key there any more where the provider was read long ago; storing it is a conflict then.
        """
        try:
            with self._cipher.unlock(self._providers.key(before.id, before.generation)) as box:
                secret = box.decrypt(before.client_secret, before.secret_context())
        except (IntegrityViolation, NotFound) as error:
            _LOG.error("provider.secret_unreadable", extra={"provider_id": before.id, "detail": error.detail})
            self._new_key(after)
            return after
        return self._sealed(after, secret)

    def _sealed(self, provider: Provider, secret: bytes) -> Provider:
        with self._cipher.unlock(self._new_key(provider)) as box:
            return replace(provider, client_secret=box.encrypt(secret, provider.secret_context()))

    def _new_key(self, provider: Provider) -> ProviderKey:
        key = self._cipher.new_key(provider.id, provider.generation)
        try:
            self._providers.add_key(key)
        except Conflict:
            # An interrupted removal has left one: it is as good as new
            return self._providers.key(provider.id, provider.generation)
        return key
