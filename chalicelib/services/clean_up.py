"""The clean-up behind a removal of all tokens: what nobody can find any more is deleted, a bounded piece at a time."""

from collections import Counter
from collections.abc import Iterator, Sequence
from dataclasses import replace
from functools import partial

from chalicelib.domain.audit import BACKGROUND, AuditEvent, AuditTag, Outcome
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

from .background import Budget, Engine, Piece, Queue
from .removals import grant_removed
from .revocations import RevocationService

_PAGE = 100
_AT_ONCE = 25
"""What DynamoDB writes in one call: so many are counted and deleted together."""
BUDGET = Budget("clean_up", run_seconds=45, piece_seconds=60)
"""A page takes some tenths of a second. Runs are to follow each other: two on the same page would count it twice."""
_FAR_SECONDS = 365 * 24 * 3600
_SETTLE_SECONDS = 120
"""Longer than any request or background refresh lives: after it nobody can be writing under an old generation."""


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
        engine: Engine,
    ) -> None:
        self._engine = engine
        self._providers = providers
        self._grants = grants
        self._removals = removals
        self._revocation_store = revocation_store
        self._revocations = revocations
        self._catalogue = catalogue
        self._cipher = cipher
        self._audit_log = audit_log
        self._clock = clock

    def run(self, left: float | None = None) -> int:
        """Bury what is left of ended generations, in turns between the providers. Returns how many grants.

        What was replaced leaves the listing, so the next run goes on where this one stopped. `left`: seconds that the
        function still lives; None where nobody ends it.
        """
        unclean = [one for one in self._providers.all() if one.is_deleted or _ended(one)]
        return self._engine.run(BUDGET, [Queue(one.id, self._pieces(one)) for one in unclean], left).done

    def _pieces(self, provider: Provider) -> Iterator[Piece]:
        """None while somebody can be at work under an ended generation.

        A refresh that was under way when it ended may still store what the cloud gave it: buried before, that token
        would live on, and nobody would know of it (R95).
        """
        due_at = (provider.removed_at or 0) + _SETTLE_SECONDS
        if provider.is_ending or self._clock.now() < due_at:
            return
        has_buried = False
        for generation in _ended(provider):
            for piece in self._burials(provider, generation, due_at):
                has_buried = True
                yield piece
        # Not in the run that buried: the lists lag, and a revocation of a moment ago still needs the key (F41)
        if not has_buried:
            yield Piece(due_at, partial(self._close_settled if _ended(provider) else self._forget, provider))

    def _burials(self, provider: Provider, generation: int, due_at: int) -> Iterator[Piece]:
        order, cursor = provider.order(generation), None
        while True:
            page = self._grants.page(provider.id, generation, user_prefix="", limit=_PAGE, cursor=cursor)
            if page.grants:
                yield Piece(due_at, partial(self._bury_page, provider, order, page.grants))
            # Not from the start again: the listing lags, and would give what was just buried once more
            cursor = page.next_cursor
            if cursor is None:
                return

    def _close_settled(self, provider: Provider) -> int:
        for generation in _ended(provider):
            # Closing a later one first would count this one as cleaned, and its key would stay for ever
            if not self._is_settled(provider, generation):
                return 0
            provider = self._close(provider, generation)
        return 0

    def _forget(self, provider: Provider) -> int:
        """The last of a deleted provider. Nothing was ever stored under its generation: it began with the deletion."""
        # A revocation is found by its provider, so none may be left behind
        if next(self._revocation_store.due(provider.id, self._clock.now() + _FAR_SECONDS), None) is None:
            self._providers.delete_key(provider.id, provider.generation)
            self._providers.delete(provider)
        return 0

    def _bury_page(self, provider: Provider, order: RemovalOrder | None, grants: Sequence[Grant]) -> int:
        """What the clouds are to be asked, and who did it, is written down before the tokens are deleted."""
        fates: dict[str, str] = {}
        if order is not None:
            fates = self._schedule(provider, order, grants) if order.revoke else {}
            self._audit_log.record_all([_removed(order, grant, fates.get(grant.id)) for grant in grants])
        for start in range(0, len(grants), _AT_ONCE):
            self._bury_some(provider, order, grants[start : start + _AT_ONCE], fates)
        return len(grants)

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
        if not self._catalogue.stored(provider.type_id).can_revoke(issuer.server):
            return dict.fromkeys((grant.id for grant in grants), "not_offered")
        sealed = [grant.at(issuer) for grant in self._grants.sealed(grants) if grant.token_set is not None]
        with self._cipher.unlock(self._providers.key(provider.id, order.generation)) as box:
            asked = self._revocations.schedule_all(sealed, box, order.removal_id)
        return {grant.id: "asked" if grant.id in asked else "unreadable" for grant in sealed}

    def _is_settled(self, provider: Provider, generation: int) -> bool:
        """True when no item of the generation is left, and no revocation needs its key."""
        return self._grants.count(provider.id, generation, at_most=1) == 0 and not self._revocation_store.any_of(
            provider.id, generation
        )

    def _close(self, provider: Provider, generation: int) -> Provider:
        """Delete the key: from now on nothing of that generation can be read, in backups neither."""
        self._providers.delete_key(provider.id, generation)
        orders = tuple(order for order in provider.removals if order.generation > generation)
        event = AuditEvent(
            AuditTag.PROVIDER_CLEANED,
            Outcome.SUCCESS,
            "-",
            BACKGROUND,
            "",
            provider.id,
            {"generation": str(generation)},
        )
        with self._audit_log.recording(event):
            return self._providers.update(replace(provider, cleaned_generation=generation, removals=orders))


def _removed(order: RemovalOrder, grant: Grant, fate: str | None) -> AuditEvent:
    facts = {"account": grant.account.label} | ({"cloud": fate} if fate else {})
    return grant_removed(order.by, grant, BACKGROUND, facts)


def _ended(provider: Provider) -> range:
    """The generations that are to be cleaned."""
    return range(provider.cleaned_generation + 1, provider.generation)
