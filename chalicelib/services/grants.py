"""A grant's life for its owner: kept after consent, replaced by the next one, revoked."""

from collections.abc import Callable
from contextlib import suppress
from dataclasses import dataclass, replace

from chalicelib.domain.audit import Actor, AuditEvent, AuditTag, Origin, Outcome
from chalicelib.domain.authorization_request import ConsentFailed, ConsentProblem
from chalicelib.domain.errors import Conflict, IntegrityViolation, StorageUnavailable, VaultError
from chalicelib.domain.grant import Grant, GrantState, Holding, Revocation, RevocationOutcome
from chalicelib.domain.provider_type import ProviderType
from chalicelib.domain.token_set import CloudAccount, TokenSet
from chalicelib.domain.user import User
from chalicelib.ports import AuditLog, Box, Catalogue, Client, Clock, GrantStore, TokenCipher

from .revocations import RevocationService, client_of

_ATTEMPTS = 3


@dataclass(frozen=True, slots=True)
class Revoked:
    """What became of a revoked grant, as a fact."""

    outcome: RevocationOutcome
    account: CloudAccount


class GrantService:
    """Stores and ends grants of one person."""

    def __init__(
        self,
        *,
        grants: GrantStore,
        cipher: TokenCipher,
        catalogue: Catalogue,
        revocations: RevocationService,
        audit_log: AuditLog,
        clock: Clock,
    ) -> None:
        self._grants = grants
        self._cipher = cipher
        self._catalogue = catalogue
        self._revocations = revocations
        self._audit_log = audit_log
        self._clock = clock

    def keep(
        self,
        user: User,
        holding: Holding,
        *,
        client: Client,
        box: Box,
        token_set: TokenSet,
        account: CloudAccount,
        announce: Callable[[], None],
    ) -> CloudAccount | None:
        """Store what a consent brought, once `announce` has said so. Returns the account of before if it is another.

        Its tokens are then scheduled for revocation. What could not be stored is revoked at the cloud again,
        so that no authorization lives there that nobody here knows of; then raises ConsentFailed.
        """
        try:
            announce()
            old = self._replace(user, holding, box, token_set, account)
        except VaultError as error:
            self._revocations.end_orphan(holding.provider, self._type(holding), client, token_set)
            raise ConsentFailed(ConsentProblem.NOT_SAVED, detail=error.detail) from error
        if old is None or old.token_set is None or old.account.subject == account.subject:
            return None
        self._end_replaced(old, holding, client, box)
        return old.account

    def discard(self, holding: Holding, client: Client, token_set: TokenSet) -> None:
        """End at the cloud, as far as it lets us, what is not to be kept."""
        self._revocations.end_orphan(holding.provider, self._type(holding), client, token_set)

    def revoke(self, user: User, provider_id: str, origin: Origin, *, actor: Actor | None = None) -> Revoked | None:
        """End the user's grant here at once, then at the cloud. None when there is nothing to revoke (any more).

        `actor` is who does it, where it is not the user. Raises Conflict, nothing revoked, when the grant changes
        again and again.
        """
        for _ in range(_ATTEMPTS):
            holding = self._grants.load(user.id, provider_id)
            if holding.grant is None or holding.grant.token_set is None:
                return None
            # A refresh that ends at this moment makes another version: that one is to be revoked then
            with suppress(Conflict):
                return self._revoked(holding, holding.grant, origin, actor)
        raise Conflict

    def _revoked(self, holding: Holding, grant: Grant, origin: Origin, actor: Actor | None) -> Revoked:
        def tell(outcome: RevocationOutcome) -> None:
            if outcome is RevocationOutcome.UNREADABLE:
                self._record(AuditTag.INTEGRITY_VIOLATED, Outcome.FAILURE, grant, origin, {}, actor=actor)
            facts = {"cloud": outcome.value, "account": grant.account.label}
            self._record(AuditTag.GRANT_REVOKED, Outcome.SUCCESS, grant, origin, facts, actor=actor)

        return Revoked(self._end(holding, grant, tell), grant.account)

    def _end(self, holding: Holding, grant: Grant, tell: Callable[[RevocationOutcome], None]) -> RevocationOutcome:
        """Whoever dies on the way leaves a line in the log, or an entry from which the background makes one."""
        if not self._type(holding).can_revoke(holding.provider.server):
            tell(RevocationOutcome.NOT_OFFERED)
            self._grants.delete(grant)
            return RevocationOutcome.NOT_OFFERED
        with self._cipher.unlock(holding.key) as box:
            try:
                revocation = self._revocations.schedule(grant, box)
            except IntegrityViolation:
                tell(RevocationOutcome.UNREADABLE)
                self._grants.delete(grant)
                return RevocationOutcome.UNREADABLE
            self._delete(grant, revocation)
            try:
                client = client_of(holding.provider, box)
                confirmed = self._revocations.attempt(revocation, self._type(holding), client, box)
            except IntegrityViolation:
                # The client secret does not open: the grant is ended here all the same
                confirmed = False
        outcome = RevocationOutcome.REVOKED if confirmed else RevocationOutcome.PENDING
        tell(outcome)
        if confirmed:
            # What stays behind is asked about once more, which no cloud minds
            with suppress(StorageUnavailable):
                self._revocations.forget(revocation)
        return outcome

    def _delete(self, grant: Grant, revocation: Revocation) -> None:
        """After the revocation is written down: a crash between the two leaves work to do, not a lost token."""
        try:
            self._grants.delete(grant)
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
                self._revocations.end_orphan(holding.provider, self._type(holding), client, tokens)

    def _replace(
        self, user: User, holding: Holding, box: Box, token_set: TokenSet, account: CloudAccount
    ) -> Grant | None:
        """Write over what is there and return it. A faster tab is written over once more: this consent is newer."""
        try:
            self._save(user, holding, box, token_set, account)
        except Conflict:
            again = self._grants.load(user.id, holding.provider.id)
            if again.provider.generation != holding.provider.generation:
                raise
            holding = again
            self._save(user, holding, box, token_set, account)
        return holding.grant

    def _save(self, user: User, holding: Holding, box: Box, token_set: TokenSet, account: CloudAccount) -> None:
        now, old = self._clock.now(), holding.grant
        grant = Grant(
            user_id=user.id,
            user_name=user.login_name,
            provider_id=holding.provider.id,
            generation=holding.provider.generation,
            # Not from 1 again after a revocation: what remembers the earlier grant's version must not mean this one
            version=old.version + 1 if old else now,
            state=GrantState.ACTIVE,
            account=account,
            scopes=token_set.scopes,
            expires_at=token_set.expires_at,
            authorized_at=now,
            state_at=now,
        )
        token_set = _with_refresh_token(token_set, grant, old, box)
        grant = replace(grant, is_renewable=token_set.refresh_token is not None)
        sealed = replace(grant, token_set=box.encrypt(token_set.to_bytes(), grant.encryption_context()))
        try:
            self._grants.save(sealed, replaces=old.version if old else None)
        except StorageUnavailable:
            # Stored, and only the replies lost? Its tokens must not be ended at the cloud then
            if not self._is_stored(sealed):
                raise

    def _is_stored(self, grant: Grant) -> bool:
        try:
            return self._grants.load(grant.user_id, grant.provider_id).grant == grant
        except VaultError:
            return False

    def _type(self, holding: Holding) -> ProviderType:
        return self._catalogue.get(holding.provider.type_id)

    def _record(
        self,
        tag: AuditTag,
        outcome: Outcome,
        grant: Grant,
        origin: Origin,
        facts: dict[str, str],
        *,
        actor: Actor | None = None,
    ) -> None:
        actor = actor or Actor(grant.user_id, grant.user_name)
        event = AuditEvent(
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
        self._audit_log.record(event)


def _with_refresh_token(token_set: TokenSet, grant: Grant, old: Grant | None, box: Box) -> TokenSet:
    """A refresh token is never overwritten with nothing: some clouds send one at the first consent only."""
    if token_set.refresh_token or old is None or old.token_set is None or old.account.subject != grant.account.subject:
        return token_set
    with suppress(IntegrityViolation):
        earlier = TokenSet.from_bytes(box.decrypt(old.token_set, old.encryption_context()))
        return replace(token_set, refresh_token=earlier.refresh_token)
    return token_set
