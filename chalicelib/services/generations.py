"""Ending all that was authorized at a provider: its generation rises (docs/adr/0001-generation-in-the-key.md)."""

import logging
from dataclasses import replace

from chalicelib.domain.audit import BACKGROUND, AuditEvent, AuditTag, Origin, Outcome
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

    def end(self, provider: Provider, order: RemovalOrder, line: AuditEvent) -> Provider:
        """End what was stored under `order.generation`; `line` is what the log says of it. Raises Conflict.

        Where somebody else was faster nothing is raised twice: both orders are one, and the stronger wish wins.
        """
        for _ in range(_ATTEMPTS):
            try:
                provider = self.carried_out(provider)
                if provider.generation > order.generation:
                    with self._audit_log.recording(line):
                        return self._joined(provider, order)
                return self.end_once(provider, order, line)
            except Conflict:
                provider = self._providers.get(provider.id)
        raise Conflict

    def end_once(self, provider: Provider, order: RemovalOrder, line: AuditEvent) -> Provider:
        """The same, and whatever else is new about `provider`, in one write.

        Raises Conflict when the provider was changed meanwhile.
        """
        after = replace(provider.with_order(order), generation=provider.generation + 1, removed_at=self._clock.now())
        raised = self._resealed(provider, after)
        with self._audit_log.recording(line):
            return self._providers.update(raised)

    def move(
        self, before: Provider, after: Provider, order: RemovalOrder, secret: bytes, *lines: AuditEvent
    ) -> Provider:
        """End the same, and go to another server or client, in one write. `secret` is the serialized new one.

        Raises Conflict when the provider was changed meanwhile.
        """
        raised = replace(after.with_order(order), generation=before.generation + 1, removed_at=self._clock.now())
        sealed = self._sealed(raised, secret)
        with self._audit_log.recording(*lines):
            return self._providers.update(sealed)

    def unused(self, provider: Provider) -> Provider:
        """The provider above every generation that has a key: what those open is none of its, and is cleaned.

        An id may have been another provider's before, whose item was deleted by hand (docs/adr/0168).
        """
        known = self._providers.generations(provider.id)
        if not known:
            return provider
        after = replace(provider, generation=known[-1] + 1, cleaned_generation=known[0] - 1)
        return replace(after, removed_at=self._clock.now())

    def carried_out(self, provider: Provider) -> Provider:
        """The provider, raised first where everything was removed and its turn had not come. Raises Conflict."""
        if not provider.is_ending:
            return provider
        before = replace(provider, generation=provider.generation - 1)
        order = provider.order(before.generation)
        lines = [ended(before, order, BACKGROUND)] if order is not None else []
        raised = self._resealed(before, replace(provider, is_ending=False))
        try:
            with self._audit_log.recording(*lines):
                return self._providers.update(raised)
        except Conflict:
            # The background, or somebody else who needed it, was faster
            again = self._providers.get(provider.id)
            if again.is_ending:
                raise
            return again

    def _joined(self, provider: Provider, order: RemovalOrder) -> Provider:
        if provider.cleaned_generation >= order.generation:
            return provider
        both = provider.with_order(order)
        return provider if both == provider else self._providers.update(both)

    def _resealed(self, before: Provider, after: Provider) -> Provider:
        """With the client secret moved to the new key. One that does not open stays so: no token lives on for it.

        Nor is its key there any more where the provider was read long ago; storing it is a conflict then.
        """
        try:
            with self._cipher.unlock(self._providers.key(before.id, before.generation)) as box:
                secret = box.decrypt(before.client_secret, before.secret_context())
        except (IntegrityViolation, NotFound) as error:
            _LOG.error("provider.secret_unreadable", extra={"provider_id": before.id, "detail": error.detail})
            self.new_key(after)
            return after
        return self._sealed(after, secret)

    def _sealed(self, provider: Provider, secret: bytes) -> Provider:
        with self._cipher.unlock(self.new_key(provider)) as box:
            return replace(provider, client_secret=box.encrypt(secret, provider.secret_context()))

    def new_key(self, provider: Provider) -> ProviderKey:
        """The stored key of its generation. An act that broke off may have left one: that is as good as new."""
        key = self._cipher.new_key(provider.id, provider.generation)
        try:
            self._providers.add_key(key)
        except Conflict:
            return self._providers.key(provider.id, provider.generation)
        return key


def ended(provider: Provider, order: RemovalOrder, origin: Origin, *, outcome: Outcome = Outcome.SUCCESS) -> AuditEvent:
    """What the log says of the end of a generation."""
    facts = {"generation": str(provider.generation), "removal": order.removal_id}
    facts |= {"cloud": "asked"} if order.revoke else {}
    tag, by = AuditTag.PROVIDER_TOKENS_REMOVED, order.by
    return AuditEvent(tag, outcome, by.id, origin, "", provider.id, facts, actor_name=by.name)
