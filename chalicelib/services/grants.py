"""A grant's life for its owner: kept after consent, replaced by the next one, revoked."""

from collections.abc import Callable
from contextlib import suppress
from dataclasses import dataclass, replace
from typing import Protocol

from chalicelib.domain.accounts import UserGrants
from chalicelib.domain.audit import Actor, AuditEvent, AuditTag, Origin, Outcome
from chalicelib.domain.authorization_request import ConsentFailed, ConsentProblem
from chalicelib.domain.errors import Conflict, IntegrityViolation, NotFound, StorageUnavailable, VaultError
from chalicelib.domain.event import AUTHORIZED_AGAIN, Event
from chalicelib.domain.grant import FIRST_SLOT, Grant, GrantState, Holding, Revocation, RevocationOutcome
from chalicelib.domain.provider_type import ProviderType
from chalicelib.domain.token_set import CloudAccount, TokenSet
from chalicelib.domain.user import User
from chalicelib.ports import AuditLog, Box, Catalogue, Client, Clock, GrantStore, TokenCipher

from .events import EventService
from .revocations import RevocationService, client_of

_ATTEMPTS = 3


@dataclass(frozen=True, slots=True)
class Brought:
    """Whose consent, to which of their accounts, and what it brought."""

    user: User
    slot: str
    token_set: TokenSet
    account: CloudAccount
    at: int
    """When the person came back from the cloud, before anything about the provider was read: a change of what is
    needed that comes later is one that this consent does not know of."""


@dataclass(frozen=True, slots=True)
class Kept:
    """A consent that was stored. `previous` is the account it replaced, if that was another one."""

    previous: CloudAccount | None = None
    was_connected: bool = False
    """The account was connected beside the one that was asked for, which is as it was; its own grant was renewed."""


@dataclass(frozen=True, slots=True)
class Revoked:
    """What became of a revoked grant, as a fact."""

    outcome: RevocationOutcome
    account: CloudAccount


class Line(Protocol):
    """What the log says of a consent that is stored; `changed`: over the grant of another account."""

    def __call__(self, *, changed: bool) -> AuditEvent: ...


class GrantService:
    """Stores and ends grants of one person."""

    def __init__(
        self,
        *,
        grants: GrantStore,
        cipher: TokenCipher,
        catalogue: Catalogue,
        revocations: RevocationService,
        events: EventService,
        audit_log: AuditLog,
        clock: Clock,
    ) -> None:
        self._events = events
        self._grants = grants
        self._cipher = cipher
        self._catalogue = catalogue
        self._revocations = revocations
        self._audit_log = audit_log
        self._clock = clock

    def keep(self, brought: Brought, holding: Holding, *, client: Client, box: Box, line: Line) -> Kept:
        """Store what a consent brought, in its slot, or where the person has this very account already.

        `line` is stored with it: what cannot be recorded is not kept.

        The tokens of another account that it replaces are scheduled for revocation. What could not be stored is
        revoked at the cloud again, so that no authorization lives there that nobody here knows of; then raises
        ConsentFailed.
        """
        twin: Holding | None = None
        try:
            twin = self._twin(brought, holding)
            if twin is not None and twin.grant is not None:
                brought = replace(brought, slot=twin.grant.slot)
            grant = self._sealed(brought, twin or holding, box)
            with self._audit_log.recording(line(changed=_is_of_another(twin or holding, brought))):
                old, grant = self._replace(grant, brought, twin or holding, box)
        except Exception as error:
            # Whatever it was: these tokens are nowhere else, and must not live on unknown (R95)
            where = (brought.user.id, twin or holding, client, box)
            cloud = self.discard(*where, token_set=brought.token_set, account=brought.account)
            raise _not_kept(error, cloud) from error
        if old is not None and old.state in (GrantState.FAILING, GrantState.NEEDS_REAUTHORIZATION):
            now = self._clock.now()
            self._events.tell(Event.of_recovery(old, grant, holding.provider, now, AUTHORIZED_AGAIN))
        if grant.slot != FIRST_SLOT or holding.preferred is not None:
            had_tokens = old is not None and old.token_set is not None
            self._settle_default(brought.user.id, holding, first_again=None if had_tokens else grant.slot)
        if old is None or old.token_set is None or old.account.subject == brought.account.subject:
            return Kept(was_connected=twin is not None)
        self._end_replaced(old, holding, client, box)
        return Kept(old.account)

    def discard(
        self,
        user_id: str,
        holding: Holding,
        client: Client,
        box: Box,
        *,
        token_set: TokenSet,
        account: CloudAccount | None = None,
    ) -> str:
        """End at the cloud what a consent brought and nobody keeps; written down first. What became of it, in a word.

        `account` is None where nobody could say whose it is. Where ending one token ends all that the account gave,
        and the person keeps an authorization of this account, or of one that may be it, nothing is sent: that one
        would end, and whatever ends it later ends this, too.
        """
        if self._type(holding).revocation_side_effect and self._is_kept(user_id, holding, account):
            return "kept"
        return self._revocations.end_received(holding, token_set, client, box, user_id=user_id, account=account)

    def _is_kept(self, user_id: str, holding: Holding, account: CloudAccount | None) -> bool:
        held = UserGrants((holding.grant,) if holding.grant is not None else (), {})
        with suppress(StorageUnavailable):
            held = self._grants.at(user_id, holding.provider.id, holding.provider.generation)
        return held.holds(account.subject if account is not None else None)

    def prefer(self, user: User, provider_id: str, slot: str, origin: Origin) -> None:
        """Make one of the person's accounts their default. Raises NotFound where there is none in that slot."""
        grant = self._grants.load(user.id, provider_id, slot).grant
        if grant is None or grant.token_set is None:
            raise NotFound
        line = _event(AuditTag.ACCOUNT_PREFERRED, Outcome.SUCCESS, grant, origin, {"account": grant.account.label})
        with self._audit_log.recording(line):
            self._grants.prefer(user.id, provider_id, grant.generation, slot)

    def revoke(
        self, user: User, provider_id: str, origin: Origin, *, slot: str = FIRST_SLOT, actor: Actor | None = None
    ) -> Revoked | None:
        """End the user's grant here at once, then at the cloud. None when there is nothing to revoke (any more).

        `actor` is who does it, where it is not the user. Raises Conflict, nothing revoked, when the grant changes
        again and again.
        """
        for _ in range(_ATTEMPTS):
            holding = self._grants.load(user.id, provider_id, slot)
            if holding.grant is None or holding.grant.token_set is None:
                self._revocations.end_again(holding, is_wanted=True)
                return None
            # A refresh that ends at this moment makes another version: that one is to be revoked then
            with suppress(Conflict):
                return self._revoked(holding, holding.grant, origin, actor)
        raise Conflict

    def _revoked(self, holding: Holding, grant: Grant, origin: Origin, actor: Actor | None) -> Revoked:
        def line(cloud: str) -> AuditEvent:
            if cloud == RevocationOutcome.UNREADABLE:
                self._audit_log.record(
                    _event(AuditTag.INTEGRITY_VIOLATED, Outcome.FAILURE, grant, origin, {}, actor=actor)
                )
            facts = {"cloud": cloud, "account": grant.account.label}
            return _event(AuditTag.GRANT_REVOKED, Outcome.SUCCESS, grant, origin, facts, actor=actor)

        outcome = self._end(holding, grant, line)
        if holding.preferred is not None:
            self._settle_default(grant.user_id, holding)
        return Revoked(outcome, grant.account)

    def _end(self, holding: Holding, grant: Grant, line: Callable[[str], AuditEvent]) -> RevocationOutcome:
        """Whoever dies on the way leaves the grant, or the line of its end and an entry for the background."""
        ended = holding.end(self._clock.now())
        if not self._type(holding).can_revoke(holding.provider.server):
            with self._audit_log.recording(line(RevocationOutcome.NOT_OFFERED.value)):
                self._grants.delete(grant, ended=ended)
            return RevocationOutcome.NOT_OFFERED
        with self._cipher.unlock(holding.key) as box:
            try:
                revocation = self._revocations.schedule(grant, box)
            except IntegrityViolation:
                with self._audit_log.recording(line(RevocationOutcome.UNREADABLE.value)):
                    self._grants.delete(grant, ended=ended)
                return RevocationOutcome.UNREADABLE
            self._delete(grant, ended, revocation, line("asked"))
            try:
                client = client_of(holding.provider, box)
                confirmed = self._revocations.attempt(revocation, self._type(holding), client, box)
            except IntegrityViolation:
                # The client secret does not open: the grant is ended here all the same
                confirmed = False
        if not confirmed:
            return RevocationOutcome.PENDING
        # What stays behind is asked about once more, which no cloud minds
        with suppress(StorageUnavailable):
            self._revocations.done(revocation)
        return RevocationOutcome.REVOKED

    def _delete(self, grant: Grant, ended: int, revocation: Revocation, line: AuditEvent) -> None:
        """After the revocation is written down: a crash between the two leaves work to do, not a lost token."""
        try:
            with self._audit_log.recording(line):
                self._grants.delete(grant, ended=ended)
        except Conflict:
            self._revocations.forget(revocation)
            raise

    def _end_replaced(self, old: Grant, holding: Holding, client: Client, box: Box) -> None:
        """The account of before is to be ended at the cloud as well: by the background function, else at once."""
        if not self._type(holding).can_revoke(holding.provider.server):
            return
        with suppress(IntegrityViolation):
            try:
                self._revocations.schedule(old, box)
            except StorageUnavailable:
                tokens = TokenSet.from_bytes(box.decrypt(old.token_set or b"", old.encryption_context()))
                self._revocations.end_received(holding, tokens, client, box, user_id=old.user_id, account=old.account)

    def _settle_default(self, user_id: str, holding: Holding, *, first_again: str | None = None) -> None:
        """Write down which account is the default, for who has several, so that a release need not look for it.

        `first_again`: the slot of one that had no tokens until now. Where it is the only one that has some, after all
        were removed, it is the default, as the very first one was.
        """
        provider = holding.provider
        with suppress(StorageUnavailable):
            held = self._grants.at(user_id, provider.id, provider.generation).at(provider.id, provider.generation)
            live = [grant.slot for grant in held if grant.token_set is not None]
            slot = first_again if live == [first_again] else held[0].slot if held else None
            if slot != holding.preferred:
                self._grants.prefer(user_id, provider.id, provider.generation, slot)

    def _twin(self, brought: Brought, holding: Holding) -> Holding | None:
        """Where the person holds this account already, in another slot: no account is to be there twice."""
        user_id, provider, subject = brought.user.id, holding.provider, brought.account.subject
        if holding.grant is None and brought.slot == FIRST_SLOT:
            return None
        is_its_own = holding.grant is not None and holding.grant.account.subject == subject
        if is_its_own and holding.grant is not None and holding.grant.token_set is not None:
            return None
        held = self._grants.at(user_id, provider.id, provider.generation)
        others = [other for other in held if other.account.subject == subject and other.slot != brought.slot]
        live = [other for other in others if other.token_set is not None]
        found = next(iter(live if is_its_own else live or others), None)
        return self._grants.load(user_id, provider.id, found.slot) if found else None

    def _replace(self, grant: Grant, brought: Brought, holding: Holding, box: Box) -> tuple[Grant | None, Grant]:
        """Write over what is there; returns that, and what is there now.

        A faster tab is written over once more: this consent is newer.
        """
        try:
            self._save(grant, holding)
        except Conflict:
            again = self._grants.load(brought.user.id, holding.provider.id, brought.slot)
            if again.provider.generation != holding.provider.generation:
                raise
            holding, grant = again, self._sealed(brought, again, box)
            self._save(grant, holding)
        return holding.grant, grant

    def _sealed(self, brought: Brought, holding: Holding, box: Box) -> Grant:
        """What is to be stored. Raises ConsentFailed for what cannot be."""
        now, old, token_set = self._clock.now(), holding.grant, brought.token_set
        grant = Grant(
            user_id=brought.user.id,
            user_name=brought.user.login_name,
            provider_id=holding.provider.id,
            generation=holding.provider.generation,
            version=holding.next_version(now),
            state=GrantState.ACTIVE,
            account=brought.account,
            scopes=token_set.scopes,
            expires_at=token_set.expires_at,
            authorized_at=brought.at,
            state_at=now,
            slot=brought.slot,
            last_used_at=old.last_used_at if old and old.account.subject == brought.account.subject else None,
            server=holding.provider.server_id,
        )
        token_set = _with_refresh_token(token_set, grant, old, box)
        grant = replace(grant, is_renewable=token_set.refresh_token is not None)
        if not grant.is_storable:
            raise ConsentFailed(ConsentProblem.NOT_STORABLE)
        return replace(grant, token_set=box.encrypt(token_set.to_bytes(), grant.encryption_context()))

    def _save(self, grant: Grant, holding: Holding) -> None:
        try:
            replaces = holding.grant.version if holding.grant else None
            # What was there before has ended, also where somebody took it away and will put it back
            self._grants.save(grant, replaces=replaces, ended=grant.version - 1)
        except StorageUnavailable:
            # Stored, and only the replies lost? Its tokens must not be ended at the cloud then
            if not self._is_stored(grant):
                raise

    def _is_stored(self, grant: Grant) -> bool:
        try:
            return self._grants.load(grant.user_id, grant.provider_id, grant.slot).grant == grant
        except VaultError:
            return False

    def _type(self, holding: Holding) -> ProviderType:
        return self._catalogue.get(holding.provider.type_id)


def _event(
    tag: AuditTag,
    outcome: Outcome,
    grant: Grant,
    origin: Origin,
    facts: dict[str, str],
    *,
    actor: Actor | None = None,
) -> AuditEvent:
    actor = actor or Actor(grant.user_id, grant.user_name)
    return AuditEvent(
        tag,
        outcome,
        actor.id,
        origin,
        grant.user_id,
        grant.provider_id,
        facts,
        actor_name=actor.name,
        user_name=grant.user_name,
    )


def _not_kept(error: Exception, cloud: str) -> ConsentFailed:
    problem = error.problem if isinstance(error, ConsentFailed) else ConsentProblem.NOT_SAVED
    detail = error.detail if isinstance(error, VaultError) else type(error).__name__
    return ConsentFailed(problem, detail=detail, cloud=cloud)


def _is_of_another(holding: Holding, brought: Brought) -> bool:
    grant = holding.grant
    return grant is not None and grant.token_set is not None and grant.account.subject != brought.account.subject


def _with_refresh_token(token_set: TokenSet, grant: Grant, old: Grant | None, box: Box) -> TokenSet:
    """A refresh token is never overwritten with nothing: some clouds send one at the first consent only."""
    if token_set.refresh_token or old is None or old.token_set is None or old.account.subject != grant.account.subject:
        return token_set
    with suppress(IntegrityViolation):
        earlier = TokenSet.from_bytes(box.decrypt(old.token_set, old.encryption_context()))
        return replace(token_set, refresh_token=earlier.refresh_token)
    return token_set
