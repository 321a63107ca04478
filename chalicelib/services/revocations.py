"""Ending authorizations at their clouds, and trying again until it is done or given up (R88)."""

import logging
from collections.abc import Iterator, Sequence
from contextlib import suppress
from dataclasses import replace
from functools import partial

from chalicelib.domain.audit import BACKGROUND, AuditEvent, AuditTag, Outcome
from chalicelib.domain.errors import (
    CloudError,
    Conflict,
    IntegrityViolation,
    NotFound,
    StorageUnavailable,
    VaultError,
)
from chalicelib.domain.grant import TOMBSTONE_SECONDS, Grant, Holding, Revocation, RevocationOutcome
from chalicelib.domain.provider import ClientSecrets, Provider, ProviderKey
from chalicelib.domain.provider_type import ProviderType
from chalicelib.domain.secret import fingerprint
from chalicelib.domain.token_set import CloudAccount, TokenSet
from chalicelib.ports import (
    EARLIER,
    AuditLog,
    Box,
    Catalogue,
    Client,
    Clock,
    GrantStore,
    OAuthClient,
    ProviderStore,
    Random,
    RemovalStore,
    RevocationStore,
    TokenCipher,
)

from .background import Budget, Engine, Piece, Queue

_LOG = logging.getLogger(__name__)

FIRST_RETRY_SECONDS = 60
LONGEST_WAIT_SECONDS = 6 * 3600
GIVE_UP_SECONDS = 7 * 24 * 3600
BUDGET = Budget("retry_revocations", run_seconds=55, piece_seconds=120, at_once=4)
"""A cloud that wants a fresh token first, and each token apart, is asked up to four times: 26 s each at the longest."""
_NO_VERSION = 0
"""That of tokens that were never a grant's: no grant is deleted with them."""


def client_of(provider: Provider, box: Box) -> Client:
    """The vault as the provider's client, its secret opened with the key of the provider's own generation."""
    secrets = ClientSecrets.from_bytes(box.decrypt(provider.client_secret, provider.secret_context()))
    return Client(provider.client_id, secrets.newest, provider.server, secrets.older)


class RevocationService:
    """Keeps the list of tokens that must end at a cloud, and works it off."""

    def __init__(
        self,
        *,
        revocations: RevocationStore,
        removals: RemovalStore,
        providers: ProviderStore,
        grants: GrantStore,
        cipher: TokenCipher,
        catalogue: Catalogue,
        oauth_client: OAuthClient,
        audit_log: AuditLog,
        clock: Clock,
        random: Random,
        engine: Engine,
    ) -> None:
        self._engine = engine
        self._revocations = revocations
        self._removals = removals
        self._providers = providers
        self._grants = grants
        self._cipher = cipher
        self._catalogue = catalogue
        self._oauth_client = oauth_client
        self._audit_log = audit_log
        self._clock = clock
        self._random = random

    def schedule(self, grant: Grant, box: Box, *, removal_id: str = "") -> Revocation:
        """Write down that the grant's token must end. Raises IntegrityViolation when it cannot be opened.

        The first retry is due in a minute, so that it does not meet an attempt that is under way; at once where
        somebody waits for the receipt of a removal, since nobody else tries then.
        """
        revocation = self._entry(grant, box, self._random.token(16), removal_id)
        self._revocations.add(revocation)
        return revocation

    def schedule_all(self, grants: Sequence[Grant], box: Box, removal_id: str) -> set[str]:
        """The same for many, and as often as wanted: each has one entry. Returns the ids of those that opened."""
        entries: dict[str, Revocation] = {}
        for grant in grants:
            with suppress(IntegrityViolation):
                entries[grant.id] = self._entry(grant, box, fingerprint(f"{removal_id}.{grant.id}"), removal_id)
        self._revocations.add_all(list(entries.values()))
        return set(entries)

    def _entry(self, grant: Grant, box: Box, revocation_id: str, removal_id: str) -> Revocation:
        # What a refresh could only keep aside is newer than what the grant has
        newest = (self._grants.spilled(grant) if grant.lease is not None else None) or grant
        tokens = box.decrypt(newest.token_set or b"", newest.encryption_context())
        now = self._clock.now()
        revocation = Revocation(
            id=revocation_id,
            user_id=grant.user_id,
            provider_id=grant.provider_id,
            generation=grant.generation,
            grant_version=grant.version,
            account=grant.account,
            slot=grant.slot,
            tokens=b"",
            created_at=now,
            next_attempt_at=now if removal_id else now + FIRST_RETRY_SECONDS,
            removal_id=removal_id,
        )
        return replace(revocation, tokens=box.encrypt(tokens, revocation.encryption_context()))

    def forget(self, revocation: Revocation) -> None:
        """Take an entry back that is not needed, or not any more."""
        self._revocations.delete(revocation.id)

    def done(self, revocation: Revocation) -> None:
        """The cloud confirmed it at the first attempt: its line first, then the entry is not needed any more."""
        self._record(replace(revocation, attempts=1), Outcome.SUCCESS, "revoked")
        self.forget(revocation)

    def attempt(self, revocation: Revocation, provider_type: ProviderType, client: Client, box: Box) -> bool:
        """Ask the cloud once. True when it confirmed: once that is in the log, the entry is to be forgotten."""
        tokens = TokenSet.from_bytes(box.decrypt(revocation.tokens, revocation.encryption_context()))
        try:
            self._oauth_client.revoke(client, provider_type, tokens)
        except CloudError as error:
            self._log_failure(revocation.provider_id, error)
            return False
        return True

    def end_received(
        self,
        holding: Holding,
        token_set: TokenSet,
        client: Client,
        box: Box,
        *,
        user_id: str,
        account: CloudAccount | None,
    ) -> str:
        """End tokens that a cloud gave and nobody keeps: written down, asked for once, forgotten when done (R95).

        What became of it: a `RevocationOutcome`, or `failed` where neither the storage nor the cloud could be had.
        """
        provider = holding.provider
        provider_type, now = self._catalogue.get(provider.type_id), self._clock.now()
        if not provider_type.can_revoke(provider.server):
            return RevocationOutcome.NOT_OFFERED.value
        revocation = Revocation(
            id=self._random.token(16),
            user_id=user_id,
            provider_id=provider.id,
            generation=provider.generation,
            grant_version=_NO_VERSION,
            account=account or CloudAccount("", ""),
            tokens=b"",
            created_at=now,
            next_attempt_at=now + FIRST_RETRY_SECONDS,
        )
        tokens = box.encrypt(token_set.to_bytes(), revocation.encryption_context())
        revocation = replace(revocation, tokens=tokens)
        is_noted = self._is_noted(revocation)
        if not self.attempt(revocation, provider_type, client, box):
            return RevocationOutcome.PENDING.value if is_noted else "failed"
        with suppress(StorageUnavailable):
            self.forget(revocation)
        return RevocationOutcome.REVOKED.value

    def _is_noted(self, revocation: Revocation) -> bool:
        try:
            self._revocations.add(revocation)
        except StorageUnavailable as error:
            self._log_failure(revocation.provider_id, error)
            return False
        return True

    def end_again(self, holding: Holding, *, is_wanted: bool = False) -> None:
        """What had ended and was put back is a tombstone again, so that lists know, too; recorded with that write.

        `is_wanted`: somebody ends it now. What looks as if it were put back may be a grant whose version was lowered.
        """
        grant, now = holding.grant, self._clock.now()
        if grant is None or not holding.is_put_back:
            return
        facts = {"reason": grant.reason.value, "account": grant.account.label}
        line = AuditEvent(
            AuditTag.INTEGRITY_VIOLATED, Outcome.FAILURE, "-", BACKGROUND, grant.user_id, grant.provider_id, facts
        )
        removed = grant.removed(now, grant.reason)
        # Another one has done it, or a consent has come
        with suppress(Conflict), self._audit_log.recording(line):
            self._grants.save(
                removed,
                replaces=grant.version,
                expires_at=now + TOMBSTONE_SECONDS,
                ended=holding.end(now) if is_wanted else None,
            )

    def retry_due(self, left: float | None = None) -> int:
        """Work off what is due, in turns between the clouds. Returns how many they confirmed.

        `left`: seconds that the function still lives; None where nobody ends it.
        """
        ids = [EARLIER, *(provider.id for provider in self._providers.all())]
        return self._engine.run(BUDGET, [Queue(id_, self._due(id_)) for id_ in ids], left).done

    def _due(self, provider_id: str) -> Iterator[Piece]:
        for revocation in self._revocations.due(provider_id, self._clock.now()):
            yield Piece(revocation.next_attempt_at, partial(self._retry, revocation))

    def _retry(self, due: Revocation) -> int | None:
        """Put off before the cloud is asked: of two runs at once one asks, and whoever dies is followed by the next."""
        revocation = self._later(due)
        self._revocations.claim(revocation)
        try:
            holding = self._grants.load(revocation.user_id, revocation.provider_id, revocation.slot)
            self._finish_deletion(revocation, holding)
            if self._would_end_another(revocation, holding):
                return self._give_up(revocation, "authorized_again")
            confirmed = self._attempt_with(revocation, holding)
        except (NotFound, IntegrityViolation) as error:
            # The provider or its key is gone: there is nothing left that could be sent
            return self._give_up(revocation, error.code)
        except VaultError as error:
            # The next entry may fare better, and this one must reach its end too
            self._log_failure(revocation.provider_id, error)
            confirmed = False
        if confirmed:
            self._note(revocation, confirmed=1)
            self._record(revocation, Outcome.SUCCESS, "revoked")
            self.forget(revocation)
            return 1
        if self._clock.now() - revocation.created_at >= GIVE_UP_SECONDS:
            self._give_up(revocation, "no_confirmation")
        return None

    def _finish_deletion(self, revocation: Revocation, holding: Holding) -> None:
        """Delete the grant when the request that began to revoke it did not live to do so."""
        grant = holding.grant
        same = (revocation.generation, revocation.grant_version)
        if grant is not None and grant.token_set is not None and (grant.generation, grant.version) == same:
            # Counted by that request already, unless it died before it could: then the receipt is ours to keep
            self._note(revocation, of=grant.id, removed=1, asked=1)
            with suppress(Conflict), self._audit_log.recording(_unfinished(revocation, grant)):
                self._grants.delete(grant, ended=holding.end(self._clock.now()))

    def _would_end_another(self, revocation: Revocation, holding: Holding) -> bool:
        """Whether the person authorized this account again, at a cloud where one token's end ends all of an account.

        What ends the newer authorization ends this one, too.
        """
        provider = holding.provider
        if not self._catalogue.get(provider.type_id).revocation_side_effect or not revocation.account.subject:
            return False
        held = self._grants.at(revocation.user_id, provider.id, provider.generation)
        return held.holds(revocation.account.subject)

    def _attempt_with(self, revocation: Revocation, holding: Holding) -> bool:
        """At the server that issued the tokens, as the client they were issued to (R92)."""
        provider = holding.provider.as_of(revocation.generation)
        provider_type = self._catalogue.get(provider.type_id)
        is_current = provider.generation == holding.key.generation
        with self._cipher.unlock(holding.key if is_current else self._key(provider.id, provider.generation)) as box:
            client = client_of(provider, box)
            if revocation.generation == provider.generation:
                return self.attempt(revocation, provider_type, client, box)
        with self._cipher.unlock(self._key(provider.id, revocation.generation)) as older_box:
            return self.attempt(revocation, provider_type, client, older_box)

    def _key(self, provider_id: str, generation: int) -> ProviderKey:
        return self._providers.key(provider_id, generation)

    def _later(self, revocation: Revocation) -> Revocation:
        wait = min(FIRST_RETRY_SECONDS * 4**revocation.attempts, LONGEST_WAIT_SECONDS)
        return replace(revocation, attempts=revocation.attempts + 1, next_attempt_at=self._clock.now() + wait)

    def _give_up(self, revocation: Revocation, cause: str) -> int:
        self._note(revocation, given_up=1)
        self._record(revocation, Outcome.FAILURE, cause)
        self.forget(revocation)
        return 0

    def _note(self, revocation: Revocation, *, of: str = "", **counted: int) -> None:
        """For the receipt, where somebody waits for one."""
        if revocation.removal_id:
            now = self._clock.now()
            self._removals.count(revocation.removal_id, revocation.provider_id, now, of=of or revocation.id, **counted)

    def _record(self, revocation: Revocation, outcome: Outcome, cloud: str) -> None:
        facts = {"cloud": cloud, "attempts": str(revocation.attempts)}
        self._audit_log.record(
            AuditEvent(
                AuditTag.REVOCATION_RETRIED,
                outcome,
                "-",
                BACKGROUND,
                revocation.user_id,
                revocation.provider_id,
                facts,
            )
        )

    def _log_failure(self, provider_id: str, error: VaultError) -> None:
        _LOG.warning(
            "revocation.failed", extra={"provider_id": provider_id, "code": error.code, "detail": error.detail}
        )


def _unfinished(revocation: Revocation, grant: Grant) -> AuditEvent:
    """What the log says of a grant whose end a request had begun and did not live to carry out."""
    tag = AuditTag.GRANT_REMOVED if revocation.removal_id else AuditTag.GRANT_REVOKED
    facts = {"cloud": "asked", "account": grant.account.label}
    return AuditEvent(
        tag, Outcome.SUCCESS, "-", BACKGROUND, grant.user_id, grant.provider_id, facts, user_name=grant.user_name
    )
