"""The clean-up behind a removal of all tokens: what nobody can find any more is deleted, a bounded piece at a time."""

import logging
from collections import Counter
from collections.abc import Sequence
from dataclasses import replace

from chalicelib.domain.audit import BACKGROUND, AuditEvent, AuditTag, Outcome
from chalicelib.domain.errors import VaultError
from chalicelib.domain.grant import TOMBSTONE_SECONDS, Grant
from chalicelib.domain.provider import Provider
from chalicelib.domain.removal import RemovalOrder
from chalicelib.domain.secret import fingerprint
from chalicelib.ports import (
    AuditLog,
    Catalogue,
    Clock,
    GrantStore,
    ProviderStore,
    RemovalStore,
    RevocationStore,
    TokenCipher,
)

from .removals import grant_removed
from .revocations import RevocationService

_LOG = logging.getLogger(__name__)

_PAGE = 100
_AT_ONCE = 25
"""What DynamoDB writes in one call: so many are counted and deleted together."""
RUN_SECONDS = 18.0
"""How long one run works; a function lives 29 s."""
_SETTLE_SECONDS = 120
"""Longer than any request lives: after it nobody can still be writing under an old generation."""


def _line(provider: Provider, error: VaultError) -> dict[str, str]:
    return {"provider_id": provider.id, "code": error.code, "detail": error.detail}


class CleanUpService:
    """Replaces grants of ended generations by tombstones, has them revoked where that was ordered, deletes keys."""

    def __init__(
        self,
        *,
        providers: ProviderStore,
        grants: GrantStore,
        removals: RemovalStore,
        revocation_store: RevocationStore,
        revocations: RevocationService,
        catalogue: Catalogue,
        cipher: TokenCipher,
        audit_log: AuditLog,
        clock: Clock,
    ) -> None:
        self._providers = providers
        self._grants = grants
        self._removals = removals
        self._revocation_store = revocation_store
        self._revocations = revocations
        self._catalogue = catalogue
        self._cipher = cipher
        self._audit_log = audit_log
        self._clock = clock

    def run(self, *, pages: int = 50) -> int:
        """Bury what is left of ended generations. Returns how many grants.

        Bounded by `pages` and time; what was replaced leaves the listing, so the next run goes on where this stopped.
        """
        end, buried = self._clock.monotonic() + RUN_SECONDS, 0
        for provider in self._providers.all():
            if provider.cleaned_generation < provider.generation - 1:
                try:
                    buried += self._clean(provider, pages, end)
                except VaultError as error:
                    # One provider's trouble must not keep the others' tokens from being deleted
                    _LOG.error("clean_up.failed", extra=_line(provider, error))
            elif provider.is_deleted:
                # Nothing was ever stored under the last generation: it began with the deletion
                self._providers.delete_key(provider.id, provider.generation)
                self._providers.delete(provider)
        return buried

    def _clean(self, provider: Provider, pages: int, end: float) -> int:
        """Only when nobody can be at work under an ended generation any more.

        A refresh that was under way when it ended may still store what the cloud gave it: buried before, that token
        would live on, and nobody would know of it (R95).
        """
        buried = 0
        if provider.is_ending or not self._is_quiet(provider):
            return buried
        for generation in range(provider.cleaned_generation + 1, provider.generation):
            here = self._bury(provider, generation, pages, end)
            buried += here
            # Closing a later one first would count this one as cleaned, and its key would stay for ever
            is_next = provider.cleaned_generation == generation - 1
            # Not in the run that buried: the lists lag, and a revocation of a moment ago still needs the key (F41)
            if not here and is_next and self._is_settled(provider, generation):
                provider = self._close(provider, generation)
        return buried

    def _bury(self, provider: Provider, generation: int, pages: int, end: float) -> int:
        buried, cursor = 0, None
        for _ in range(pages):
            page = self._grants.page(provider.id, generation, user_prefix="", limit=_PAGE, cursor=cursor)
            self._bury_page(provider, provider.order(generation), page.grants)
            buried += len(page.grants)
            # Not from the start again: the listing lags, and would give what was just buried once more
            cursor = page.next_cursor
            if cursor is None or self._clock.monotonic() >= end:
                break
        return buried

    def _bury_page(self, provider: Provider, order: RemovalOrder | None, grants: Sequence[Grant]) -> None:
        """What the clouds are to be asked, and who did it, is written down before the tokens are deleted."""
        if not grants:
            return
        fates: dict[str, str] = {}
        if order is not None:
            fates = self._schedule(provider, order, grants) if order.revoke else {}
            self._audit_log.record_all([_removed(order, grant, fates.get(grant.id)) for grant in grants])
        for start in range(0, len(grants), _AT_ONCE):
            self._bury_some(provider, order, grants[start : start + _AT_ONCE], fates)

    def _bury_some(
        self, provider: Provider, order: RemovalOrder | None, grants: Sequence[Grant], fates: dict[str, str]
    ) -> None:
        """Counted before they are gone: the run that goes on after this one died finds, and names, the same."""
        if order is not None and order.removal_id:
            counted = Counter(fates[grant.id] for grant in grants if grant.id in fates)
            of = fingerprint(" ".join(grant.id for grant in grants))
            now = self._clock.now()
            self._removals.count(order.removal_id, provider.id, now, of=of, removed=len(grants), **counted)
        removed_at = provider.removed_at or 0
        self._grants.bury([grant.ended_with(provider) for grant in grants], removed_at + TOMBSTONE_SECONDS)

    def _schedule(self, provider: Provider, order: RemovalOrder, grants: Sequence[Grant]) -> dict[str, str]:
        """What became of each, by its id, in the words of the receipt."""
        issuer = provider.as_of(order.generation)
        if not self._catalogue.get(provider.type_id).can_revoke(issuer.server):
            return dict.fromkeys((grant.id for grant in grants), "not_offered")
        sealed = [grant.at(issuer) for grant in self._grants.sealed(grants) if grant.token_set is not None]
        with self._cipher.unlock(self._providers.key(provider.id, order.generation)) as box:
            asked = self._revocations.schedule_all(sealed, box, order.removal_id)
        return {grant.id: "asked" if grant.id in asked else "unreadable" for grant in sealed}

    def _is_quiet(self, provider: Provider) -> bool:
        return self._clock.now() >= (provider.removed_at or 0) + _SETTLE_SECONDS

    def _is_settled(self, provider: Provider, generation: int) -> bool:
        """True when no item of the generation is left, and no revocation needs its key."""
        return self._grants.count(provider.id, generation, at_most=1) == 0 and not self._revocation_store.any_of(
            provider.id, generation
        )

    def _close(self, provider: Provider, generation: int) -> Provider:
        """Delete the key: from now on nothing of that generation can be read, in backups neither."""
        self._providers.delete_key(provider.id, generation)
        orders = tuple(order for order in provider.removals if order.generation > generation)
        closed = self._providers.update(replace(provider, cleaned_generation=generation, removals=orders))
        event = AuditEvent(
            AuditTag.PROVIDER_CLEANED,
            Outcome.SUCCESS,
            "-",
            BACKGROUND,
            "",
            provider.id,
            {"generation": str(generation)},
        )
        self._audit_log.record(event)
        return closed


def _removed(order: RemovalOrder, grant: Grant, fate: str | None) -> AuditEvent:
    facts = {"account": grant.account.label} | ({"cloud": fate} if fate else {})
    return grant_removed(order.by, grant, BACKGROUND, facts)
