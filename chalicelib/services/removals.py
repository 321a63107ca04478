"""Ending tokens: single ones, a person's, a provider's or all of them; at once here, and at the clouds if wanted."""

from collections import Counter
from collections.abc import Iterator, Sequence
from contextlib import contextmanager, suppress
from dataclasses import replace
from functools import partial

from chalicelib.domain.audit import BACKGROUND, Actor, AuditEvent, AuditTag, Origin, Outcome
from chalicelib.domain.client_application import Subject
from chalicelib.domain.errors import (
    Conflict,
    IntegrityViolation,
    InvalidRequest,
    ItemUnreadable,
    StorageUnavailable,
    VaultError,
)
from chalicelib.domain.grant import TOMBSTONE_SECONDS, Grant, Holding, Revocation
from chalicelib.domain.ids import GrantId
from chalicelib.domain.provider import Provider
from chalicelib.domain.removal import (
    CloudReceipt,
    Everything,
    EverythingOrder,
    Receipt,
    Removal,
    RemovalOrder,
    RemovalScope,
    together,
)
from chalicelib.ports import AuditLog, Catalogue, Clock, GrantStore, ProviderStore, Random, RemovalStore, TokenCipher

from .administration import AdministrationService
from .background import Budget, Engine, Piece, Queue
from .generations import GenerationService, ended
from .people import Person
from .revocations import RevocationService

_ATTEMPTS = 3
IN_REQUEST = Budget("remove_everything", run_seconds=8, piece_seconds=15)
"""So long the request itself raises providers: its answer has to be there before the gateway gives up at 29 s."""
CARRY_ON = Budget("carry_on_removals", run_seconds=20, piece_seconds=15)
FINISH = Budget("finish_removals", run_seconds=20, piece_seconds=30)
"""A piece is one removal, as far as it gets in `SINGLE_SECONDS`."""
MOST_TOKENS = 3000
"""So many ids fit into the removal's item."""
SINGLE_SECONDS = 15.0
"""So long a request, or a run of the background, removes single ones."""
CUT_OFF_SECONDS = 60
"""No request lives so long: one that has not come to its end by then will not."""
RECENT = 50
"""So many receipts are listed."""


class RemovalService:
    """Every act here is an administrator's; the routes have checked that."""

    def __init__(
        self,
        *,
        providers: ProviderStore,
        generations: GenerationService,
        grants: GrantStore,
        removals: RemovalStore,
        administration: AdministrationService,
        revocations: RevocationService,
        catalogue: Catalogue,
        cipher: TokenCipher,
        audit_log: AuditLog,
        clock: Clock,
        random: Random,
        engine: Engine,
    ) -> None:
        self._engine = engine
        self._providers = providers
        self._generations = generations
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
        """What has come of a removal until now, what others had begun before it included. Raises NotFound."""
        receipt = self._removals.receipt(removal_id)
        others = {other: self._removals.receipt(other) for _, other in receipt.removal.joined}
        clouds = [*receipt.clouds]
        for provider_id, other in receipt.removal.joined:
            clouds += (cloud for cloud in others[other].clouds if cloud.provider_id == provider_id)
        return Receipt(receipt.removal, together(clouds))

    def remove(self, by: Actor, grant_ids: Sequence[str], origin: Origin, *, revoke: bool = False) -> Receipt:
        """Remove single grants; with `revoke` the clouds are asked to end them, too. Those that were gone do not count.

        Raises InvalidRequest for what is no grant id, or for too many.
        """
        if len(grant_ids) > MOST_TOKENS:
            raise InvalidRequest(f"At most {MOST_TOKENS:,} tokens can be named at once.")
        removal = replace(self._new(RemovalScope.TOKENS, by, revoke=revoke), tokens=tuple(grant_ids))
        return self._remove_each(removal, grant_ids, origin)

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
        removal = self.announce(provider, by, revoke=revoke)
        order = RemovalOrder(provider.generation, removal.id, revoke, by)
        with self.failure_recorded(order, provider, origin):
            after = self._generations.end(provider, order, ended(provider, order, origin))
        return self._linked(removal, [provider, after])

    def announce(self, provider: Provider, by: Actor, *, revoke: bool) -> Removal:
        """The receipt of an end that is about to come; it says by itself whether it came."""
        removal = self._new(RemovalScope.PROVIDER, by, revoke=revoke, target=provider.id, target_name=provider.name)
        removal = replace(removal, ended=((provider.id, provider.generation),))
        self._removals.add(removal)
        return removal

    @contextmanager
    def failure_recorded(self, order: RemovalOrder, provider: Provider, origin: Origin) -> Iterator[None]:
        """What was ordered and did not happen gets a line, too."""
        try:
            yield
        except VaultError:
            with suppress(StorageUnavailable):
                self._audit_log.record(ended(provider, order, origin, outcome=Outcome.FAILURE))
            raise

    def remove_everything(self, by: Actor, origin: Origin, *, revoke: bool) -> Removal:
        """End all grants of all providers by one write, which every read sees from then on (R66). Raises Conflict.

        What each provider needs for that is done here as far as time allows, and by the background for the others.
        """
        removal = self._new(RemovalScope.EVERYTHING, by, revoke=revoke)
        providers = self._administration.providers()
        if not providers and not self._providers.odd():
            return removal
        generations = tuple((provider.id, provider.generation - provider.is_ending) for provider in providers)
        removal = self._linked(replace(removal, ended=generations), providers)
        facts = {"removal": removal.id, "providers": str(len(providers))} | ({"cloud": "asked"} if revoke else {})
        event = AuditEvent(AuditTag.EVERYTHING_REMOVED, Outcome.SUCCESS, by.id, origin, facts=facts, actor_name=by.name)
        self._order(removal, providers, event)
        self._engine.run(IN_REQUEST, self._ending())
        return removal

    def _order(self, removal: Removal, providers: Sequence[Provider], line: AuditEvent) -> None:
        """In effect from now on. What was ordered before stays in it until it is carried out everywhere."""
        for _ in range(_ATTEMPTS):
            before = self._providers.everything()
            order = EverythingOrder(before.last + 1, removal.id, removal.revoke, removal.by, self._clock.now())
            is_done = all(provider.emptied == before.last and not provider.is_ending for provider in providers)
            # Somebody else may remove everything at this moment: both are carried out together then
            with suppress(Conflict):
                after = Everything((order,) if is_done else (*before.orders, order))
                with self._audit_log.recording(line):
                    return self._providers.save_everything(after, replaces=before.last)
        raise Conflict

    def finish_open(self, left: float | None = None) -> int:
        """Go on with removals of single tokens, or of a person's, that were cut off. Returns how many were.

        `left`: seconds that the function still lives; None where nobody ends it.
        """
        return self._engine.run(FINISH, [Queue("", self._cut_off())], left).done

    def carry_on(self, left: float | None = None) -> int:
        """Raise the providers that a removal of everything has not reached yet; returns how many are left.

        Killed anywhere it is gone on with: a provider that was raised is none of them any more. One that fails is in
        effect all the same, and has its turn again. `left`: seconds that the function still lives; None where nobody
        ends it.
        """
        waiting = self._ending()
        return len(waiting) - self._engine.run(CARRY_ON, waiting, left).done

    def _ending(self) -> list[Queue]:
        ending = (provider for provider in self._providers.all() if provider.is_ending)
        return [Queue(one.id, iter([Piece(one.removed_at or 0, partial(self._raise, one))])) for one in ending]

    def _raise(self, provider: Provider) -> int:
        self._generations.carried_out(provider)
        return 1

    def _cut_off(self) -> Iterator[Piece]:
        for removal in self._removals.recent(limit=RECENT):
            due_at = removal.at + CUT_OFF_SECONDS
            if removal.is_open and due_at <= self._clock.now():
                yield Piece(due_at, partial(self._go_on, removal))

    def _linked(self, removal: Removal, providers: Sequence[Provider]) -> Removal:
        """Stored with the other removals that ended the same tokens, whose counts are its own (see `receipt`)."""
        ended = dict(removal.ended)
        joined = dict.fromkeys(
            (provider.id, order.removal_id)
            for provider in providers
            for order in provider.removals
            if order.removal_id not in ("", removal.id)
            and (order.generation == ended[provider.id] or (removal.revoke and not order.revoke))
        )
        linked = replace(removal, joined=tuple(joined))
        if joined or removal.scope is RemovalScope.EVERYTHING:
            self._removals.add(linked)
        return linked

    def _new(self, scope: RemovalScope, by: Actor, *, revoke: bool, target: str = "", target_name: str = "") -> Removal:
        return Removal(self._random.token(12), scope, revoke, by, self._clock.now(), target, target_name)

    # Single ones

    def _remove_each(self, removal: Removal, grant_ids: Sequence[str], origin: Origin) -> Receipt:
        """As many as there is time for; what is left is noted, and the background goes on with it.

        So it does with what cannot be read now: its provider, for example.
        """
        end, is_all = self._clock.monotonic() + SINGLE_SECONDS, True
        counted: dict[str, Counter[str]] = {}
        removal, is_first = replace(removal, is_open=True), not removal.is_open
        for number, grant_id in enumerate(dict.fromkeys(grant_ids)):
            if number and self._clock.monotonic() >= end:
                break
            try:
                done = self._remove(removal, grant_id, origin, is_first=is_first and not counted)
            except ItemUnreadable:
                done, is_all = None, False
            if done is not None:
                user_name, fate = done
                removal = removal.of(user_name) if removal.scope is RemovalScope.TOKENS else removal
                counts = counted.setdefault(GrantId.parse(grant_id).provider_id, Counter())
                counts.update(["removed", *fate])
        else:
            removal = replace(removal, is_open=False, tokens=()) if is_all else removal
        if counted or not is_first or not is_all:
            self._removals.add(removal)
        clouds = (CloudReceipt(provider_id, **counts) for provider_id, counts in counted.items())
        return Receipt(removal, tuple(clouds))

    def _go_on(self, removal: Removal) -> int:
        """With what a request had no time for, or did not live to do. What was authorized since is none of it."""
        if removal.scope is RemovalScope.PERSON:
            person = Person(removal.target, removal.target_name, Subject(removal.target))
            held = self._administration.of_person(person)
            grant_ids = [grant.id for grant in held if grant.authorized_at <= removal.at]
        else:
            grant_ids = [grant_id for grant_id in removal.tokens if self._is_left(grant_id, removal.at)]
        self._remove_each(removal, grant_ids, BACKGROUND)
        return 1

    def _is_left(self, grant_id: str, at: int) -> bool:
        """Whether it is still to be removed: also where it cannot be read now, which keeps the removal open."""
        try:
            return any(grant.authorized_at <= at for grant in self._administration.find([grant_id]))
        except ItemUnreadable:
            return True

    def _remove(
        self, removal: Removal, grant_id: str, origin: Origin, *, is_first: bool
    ) -> tuple[str, tuple[str, ...]] | None:
        """Whose it was, and what is to be counted of it on the receipt; None where there was nothing."""
        for _ in range(_ATTEMPTS):
            holding = self._held(grant_id)
            if holding is None or holding.grant is None:
                return None
            if is_first:
                self._removals.add(removal)
            fate, revocation = self._scheduled(removal, holding, holding.grant)
            counted = dict.fromkeys(("removed", *fate), 1)
            # The receipt names it before it is gone: nothing is removed that nobody can look up afterwards
            self._count(removal, holding.grant, counted)
            now = self._clock.now()
            removed = holding.grant.removed(now)
            facts = {"account": holding.grant.account.label} | ({"cloud": fate[0]} if fate else {})
            try:
                with self._audit_log.recording(grant_removed(removal.by, holding.grant, origin, facts)):
                    until = now + TOMBSTONE_SECONDS
                    self._grants.save(removed, replaces=holding.grant.version, expires_at=until, ended=holding.end(now))
            except Conflict:
                if self._administration.holding(grant_id) is None:
                    # Somebody else has ended it: what the cloud is to be asked stays asked, the stronger wish wins
                    self._count(removal, holding.grant, {"removed": -1})
                    return None
                self._count(removal, holding.grant, dict.fromkeys(counted, -1))
                if revocation is not None:
                    self._revocations.forget(revocation)
                continue
            return holding.grant.user_name, fate
        raise Conflict

    def _held(self, grant_id: str) -> Holding | None:
        """What is there to be removed; None where there is nothing, or only what had ended already. Raises Conflict."""
        for _ in range(_ATTEMPTS):
            holding = self._administration.holding(grant_id)
            if holding is None or not holding.is_put_back:
                return holding
            if self._revocations.end_again(holding):
                return None
        raise Conflict

    def _count(self, removal: Removal, grant: Grant, counted: dict[str, int]) -> None:
        of = grant.id if counted["removed"] > 0 else f"not {grant.id}"
        self._removals.count(removal.id, grant.provider_id, removal.at, of=of, **counted)

    def _scheduled(self, removal: Removal, holding: Holding, grant: Grant) -> tuple[tuple[str, ...], Revocation | None]:
        """Written down before the tokens are deleted: a crash between the two leaves work to do, not a lost token."""
        if not removal.revoke:
            return (), None
        provider = holding.provider
        if not self._catalogue.stored(provider.type_id).can_revoke(provider.server):
            return ("not_offered",), None
        try:
            with self._cipher.unlock(holding.key) as box:
                return ("asked",), self._revocations.schedule(grant, box, removal_id=removal.id)
        except IntegrityViolation:
            return ("unreadable",), None


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
