"""Ending tokens: single ones, a person's, a provider's or all of them; at once here, and at the clouds if wanted."""

import logging
from collections import Counter
from collections.abc import Callable, Sequence
from dataclasses import replace

from chalicelib.domain.audit import Actor, AuditEvent, AuditTag, Origin, Outcome
from chalicelib.domain.errors import Conflict, IntegrityViolation, VaultError
from chalicelib.domain.grant import TOMBSTONE_SECONDS, Grant, Holding, Revocation
from chalicelib.domain.ids import GrantId
from chalicelib.domain.provider import Provider, ProviderKey
from chalicelib.domain.removal import CloudReceipt, Receipt, Removal, RemovalOrder, RemovalScope
from chalicelib.ports import AuditLog, Catalogue, Clock, GrantStore, ProviderStore, Random, RemovalStore, TokenCipher

from .administration import AdministrationService
from .people import Person
from .revocations import RevocationService

_LOG = logging.getLogger(__name__)

_ATTEMPTS = 3
RECENT = 50
"""So many receipts are listed."""


class RemovalService:
    """Every act here is an administrator's; the routes have checked that."""

    def __init__(
        self,
        *,
        providers: ProviderStore,
        grants: GrantStore,
        removals: RemovalStore,
        administration: AdministrationService,
        revocations: RevocationService,
        catalogue: Catalogue,
        cipher: TokenCipher,
        audit_log: AuditLog,
        clock: Clock,
        random: Random,
    ) -> None:
        self._providers = providers
        self._grants = grants
        self._removals = removals
        self._administration = administration
        self._revocations = revocations
        self._catalogue = catalogue
        self._cipher = cipher
        self._audit_log = audit_log
        self._clock = clock
        self._random = random

    def recent(self) -> list[Removal]:
        """The last removals, newest first."""
        return self._removals.recent(limit=RECENT)

    def receipt(self, removal_id: str) -> Receipt:
        """What has come of a removal until now. Raises NotFound."""
        return self._removals.receipt(removal_id)

    def remove(self, by: Actor, grant_ids: Sequence[str], origin: Origin, *, revoke: bool = False) -> Receipt:
        """Remove single grants; with `revoke` the clouds are asked to end them, too. Those that were gone do not count.

        Raises InvalidRequest for what is no grant id.
        """
        return self._remove_each(self._new(RemovalScope.TOKENS, by, revoke=revoke), grant_ids, origin)

    def remove_of(self, by: Actor, person: Person, origin: Origin, *, revoke: bool) -> Receipt:
        """Remove what one person has authorized, at all providers."""
        removal = self._new(RemovalScope.PERSON, by, revoke=revoke, target=person.id, target_name=person.name)
        return self._remove_each(removal, [grant.id for grant in self._administration.of_person(person)], origin)

    def remove_all(self, by: Actor, provider_id: str, origin: Origin, *, revoke: bool = False) -> Removal:
        """End all grants of a provider at once: a new key, then one write that raises the generation.

        From that write on no grant of before is found by anyone; the items go later, in `clean_up`, which is also
        what asks the cloud. Raises NotFound, Conflict.
        """
        provider = self._administration.provider(provider_id)
        removal = self._new(RemovalScope.PROVIDER, by, revoke=revoke, target=provider.id, target_name=provider.name)
        return self._end([provider], removal, origin)

    def remove_everything(self, by: Actor, origin: Origin, *, revoke: bool) -> Removal:
        """End all grants of all providers. One provider's trouble is raised only when the others are done."""
        removal = self._new(RemovalScope.EVERYTHING, by, revoke=revoke)
        return self._end(self._administration.providers(), removal, origin)

    def raise_generation(self, provider: Provider, order: Callable[[int], RemovalOrder]) -> Provider:
        """End everything that was stored under the provider's generation. Raises Conflict."""
        for _ in range(_ATTEMPTS):
            try:
                return self._providers.update(self._raised(provider, order(provider.generation)))
            except Conflict:
                # Edited or emptied by somebody else meanwhile; emptied is what was wanted
                again = self._providers.get(provider.id)
                if again.generation > provider.generation:
                    return again
                provider = again
        raise Conflict

    def _new(self, scope: RemovalScope, by: Actor, *, revoke: bool, target: str = "", target_name: str = "") -> Removal:
        return Removal(self._random.token(12), scope, revoke, by, self._clock.now(), target, target_name)

    # Single ones

    def _remove_each(self, removal: Removal, grant_ids: Sequence[str], origin: Origin) -> Receipt:
        counted: dict[str, Counter[str]] = {}
        for grant_id in dict.fromkeys(grant_ids):
            fate = self._remove(removal, grant_id, origin, is_first=not counted)
            if fate is not None:
                counts = counted.setdefault(GrantId.parse(grant_id).provider_id, Counter())
                counts.update(["removed", *fate])
        clouds = (CloudReceipt(provider_id, **counts) for provider_id, counts in counted.items())
        return Receipt(removal, tuple(clouds))

    def _remove(self, removal: Removal, grant_id: str, origin: Origin, *, is_first: bool) -> tuple[str, ...] | None:
        """What is to be counted of it on the receipt; None where there was nothing."""
        for _ in range(_ATTEMPTS):
            holding = self._administration.holding(grant_id)
            if holding is None or holding.grant is None:
                return None
            if is_first:
                self._removals.add(removal)
            fate, revocation = self._scheduled(removal, holding, holding.grant)
            counted = dict.fromkeys(("removed", *fate), 1)
            # Receipt and log name it before it is gone: nothing is removed that nobody can look up afterwards
            self._record_grant(removal, holding.grant, origin, fate)
            self._count(removal, holding.grant, counted)
            now = self._clock.now()
            removed = holding.grant.removed(now)
            try:
                self._grants.save(removed, replaces=holding.grant.version, expires_at=now + TOMBSTONE_SECONDS)
            except Conflict:
                self._count(removal, holding.grant, dict.fromkeys(counted, -1))
                if revocation is not None:
                    self._revocations.forget(revocation)
                continue
            return fate
        raise Conflict

    def _count(self, removal: Removal, grant: Grant, counted: dict[str, int]) -> None:
        of = grant.id if counted["removed"] > 0 else f"not {grant.id}"
        self._removals.count(removal.id, grant.provider_id, removal.at, of=of, **counted)

    def _scheduled(self, removal: Removal, holding: Holding, grant: Grant) -> tuple[tuple[str, ...], Revocation | None]:
        """Written down before the tokens are deleted: a crash between the two leaves work to do, not a lost token."""
        if not removal.revoke:
            return (), None
        provider = holding.provider
        if not self._catalogue.get(provider.type_id).can_revoke(provider.server):
            return ("not_offered",), None
        try:
            with self._cipher.unlock(holding.key) as box:
                return ("asked",), self._revocations.schedule(grant, box, removal_id=removal.id)
        except IntegrityViolation:
            return ("unreadable",), None

    # All of a provider

    def _end(self, providers: Sequence[Provider], removal: Removal, origin: Origin) -> Removal:
        failed: set[str] = set()
        failure: VaultError | None = None
        # Before the effect: whoever dies in between leaves a receipt that says who asked for what
        removal = replace(removal, ended=tuple((provider.id, provider.generation) for provider in providers))
        if providers:
            self._removals.add(removal)
        for provider in providers:
            try:
                self.raise_generation(provider, lambda g: RemovalOrder(g, removal.id, removal.revoke, removal.by))
            except VaultError as error:
                _LOG.error("removal.failed", extra={"provider_id": provider.id, "code": error.code})
                failure = error
                failed.add(provider.id)
                continue
            self._record_provider(removal, provider, origin)
        if failure is not None:
            self._removals.add(replace(removal, ended=tuple(one for one in removal.ended if one[0] not in failed)))
            raise failure
        return removal

    def _raised(self, provider: Provider, order: RemovalOrder) -> Provider:
        """The provider under the next generation, its secret moved to the new key."""
        key = self._next_key(provider)
        with self._cipher.unlock(self._providers.key(provider.id, provider.generation)) as box:
            secret = box.decrypt(provider.client_secret, provider.secret_context())
        raised = replace(
            provider,
            generation=key.generation,
            removed_at=self._clock.now(),
            removals=(*provider.removals, order),
        )
        with self._cipher.unlock(key) as box:
            return replace(raised, client_secret=box.encrypt(secret, raised.secret_context()))

    def _next_key(self, provider: Provider) -> ProviderKey:
        key = self._cipher.new_key(provider.id, provider.generation + 1)
        try:
            self._providers.add_key(key)
        except Conflict:
            # An interrupted removal has left one: it is as good as new
            return self._providers.key(provider.id, provider.generation + 1)
        return key

    # The audit log

    def _record_grant(self, removal: Removal, grant: Grant, origin: Origin, fate: tuple[str, ...]) -> None:
        facts = {"account": grant.account.label} | ({"cloud": fate[0]} if fate else {})
        self._audit_log.record(grant_removed(removal.by, grant, origin, facts))

    def _record_provider(self, removal: Removal, provider: Provider, origin: Origin) -> None:
        facts = {"generation": str(provider.generation), "removal": removal.id}
        facts |= {"cloud": "asked"} if removal.revoke else {}
        by = removal.by
        self._audit_log.record(
            AuditEvent(
                AuditTag.PROVIDER_TOKENS_REMOVED, Outcome.SUCCESS, by.id, origin, "", provider.id, facts,
                actor_name=by.name,
            )
        )  # fmt: skip


def grant_removed(by: Actor, grant: Grant, origin: Origin, facts: dict[str, str]) -> AuditEvent:
    """The entry that tells a person, too, who removed what."""
    return AuditEvent(
        AuditTag.GRANT_REMOVED,
        Outcome.SUCCESS,
        by.id,
        origin,
        grant.user_id,
        grant.provider_id,
        facts,
        actor_name=by.name,
        user_name=grant.user_name,
    )
