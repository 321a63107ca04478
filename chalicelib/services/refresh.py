"""Fresh access tokens: one refresh for a grant however many ask, and an honest state whatever goes wrong.

Nothing else in the vault sends a refresh token. The order is the point: data key and lease are in hand before the
request goes out, the outcome is stored before anybody uses it, and every write names the version and the number of
the lease it was made under, so that a late one changes nothing (docs/adr/0013-a-lease-for-each-refresh.md).
"""

import logging
from collections.abc import Callable
from contextlib import suppress
from dataclasses import dataclass, replace

from chalicelib.domain.audit import BACKGROUND, AuditEvent, AuditTag, Outcome
from chalicelib.domain.errors import (
    CloudAnswerInvalid,
    CloudMisconfigured,
    CloudRefused,
    CloudUnavailable,
    Conflict,
    IntegrityViolation,
    NotFound,
    StorageUnavailable,
    VaultError,
)
from chalicelib.domain.event import Event, EventKind
from chalicelib.domain.grant import LEASE_SECONDS, SPILL_SECONDS, Grant, GrantReason, GrantState, Holding
from chalicelib.domain.provider import Provider
from chalicelib.domain.provider_health import PAUSE_SECONDS, ProviderHealth
from chalicelib.domain.secret import fingerprint
from chalicelib.domain.token_exchange import Need, RefusalReason, TokenRefused
from chalicelib.domain.token_set import TokenSet
from chalicelib.ports import (
    AuditLog,
    Box,
    Catalogue,
    Client,
    Clock,
    GrantStore,
    OAuthClient,
    ProviderHealthStore,
    Random,
)

from .events import EventService
from .revocations import RevocationService, client_of

_LOG = logging.getLogger(__name__)

LONGEST_WAIT_SECONDS = LEASE_SECONDS + 1.0
_FIRST_POLL_SECONDS, _LONGEST_POLL_SECONDS = 0.1, 1.0
_SLACK_SECONDS = 2
"""What the lease is longer than the request to the cloud."""
_MOST_LOOKS = 60
"""More than the polls of the longest wait."""
_ATTEMPTS = 3
_PASSING = (RefusalReason.PROVIDER_UNAVAILABLE, RefusalReason.PROVIDER_MISCONFIGURED)
"""Refusals that say nothing about the grant: a token that is still good is served all the same."""

Reread = Callable[[], Holding]
"""Reads the holding anew and checks whatever allowed the first read, so that a stop counts for who waits, too."""


@dataclass(frozen=True, slots=True)
class Fresh:
    """A grant whose access token is as fresh as was needed."""

    holding: Holding
    grant: Grant
    tokens: TokenSet


@dataclass(frozen=True, slots=True)
class _Case:
    """One look at a grant: what it holds, and whether that will do."""

    holding: Holding
    grant: Grant
    tokens: TokenSet
    is_rejected: bool
    is_usable: bool
    is_due: bool
    now: int

    @property
    def is_needed_still(self) -> bool:
        """The access token may be in use somewhere: nothing is tried that could end it."""
        return not self.is_rejected and self.grant.expires_at > self.now

    def fresh(self) -> Fresh:
        return Fresh(self.holding, self.grant, self.tokens)


class RefreshService:
    """Gives tokens that are fresh enough, refreshing where it must and may."""

    def __init__(
        self,
        *,
        grants: GrantStore,
        health: ProviderHealthStore,
        catalogue: Catalogue,
        oauth_client: OAuthClient,
        revocations: RevocationService,
        events: EventService,
        audit_log: AuditLog,
        clock: Clock,
        random: Random,
    ) -> None:
        self._grants = grants
        self._health = health
        self._catalogue = catalogue
        self._oauth_client = oauth_client
        self._revocations = revocations
        self._events = events
        self._audit_log = audit_log
        self._clock = clock
        self._random = random

    def fresh(self, holding: Holding, box: Box, need: Need, reread: Reread) -> Fresh:
        """A token that lives as long as needed; refreshed by us, or by somebody else while we waited.

        Raises TokenRefused, what `reread` raises, or StorageUnavailable.
        """
        patience = _Patience(self._clock, self._random)
        while True:
            case = self._look(holding, box, need)
            if not case.is_due:
                return case.fresh()
            try:
                done = self._renew(case, box, need, patience)
            except TokenRefused as refusal:
                if case.is_usable and refusal.reason in _PASSING:
                    return case.fresh()
                raise
            if done:
                return done
            patience.look_again()
            holding = reread()

    def _look(self, holding: Holding, box: Box, need: Need) -> _Case:
        grant, now = holding.grant, self._clock.now()
        if grant is None or grant.token_set is None:
            raise TokenRefused(RefusalReason.NOT_CONNECTED)
        seen = grant.as_seen(holding.provider)
        if seen.state not in (GrantState.ACTIVE, GrantState.FAILING):
            raise TokenRefused(RefusalReason.NEEDS_REAUTHORIZATION, detail=seen.reason.value)
        if grant.is_of_another_server:
            # It is the provider that is wrong: put right, everything opens again
            raise TokenRefused(RefusalReason.PROVIDER_MISCONFIGURED, detail="another server")
        try:
            tokens = TokenSet.from_bytes(box.decrypt(grant.token_set, grant.encryption_context()))
        except IntegrityViolation as violation:
            self._quarantine(grant, holding.provider, violation, now)
            raise TokenRefused(RefusalReason.NEEDS_REAUTHORIZATION, detail=GrantReason.UNREADABLE.value) from violation
        is_rejected = fingerprint(tokens.access_token.reveal()) == need.rejected_token_hash
        is_usable = not is_rejected and grant.is_good_for(need.minimum_seconds, now)
        is_due = need.renew or not is_usable or grant.is_near_its_end(now)
        return _Case(holding, grant, tokens, is_rejected, is_usable, is_due, now)

    def _renew(self, case: _Case, box: Box, need: Need, patience: "_Patience") -> Fresh | None:
        """Refresh, or let somebody else finish. None: look again. Raises TokenRefused where neither is possible."""
        # Of one that was taken over from another vault nobody knows yet how long its tokens live
        if need.minimum_seconds is not None and 0 < case.grant.lifetime < need.minimum_seconds:
            raise TokenRefused(RefusalReason.LIFE_TOO_SHORT)
        if case.tokens.refresh_token is None:
            return self._without_refresh_token(case, box)
        self._check_pauses(case)
        if case.grant.holds_lease(case.now) and not patience.is_over(case.grant):
            if case.is_usable:
                return case.fresh()
            patience.wait(case.grant)
            return None
        if case.grant.lease is not None and self._bring_home(case.grant):
            return None
        self._check_outcome_unknown(case)
        return self._refresh(case, box)

    def _without_refresh_token(self, case: _Case, box: Box) -> Fresh:
        if case.is_usable:
            return case.fresh()
        if not case.is_needed_still:
            self._end(case, case.grant, case.grant.ended(GrantReason.EXPIRED, case.now), box)
        raise TokenRefused(RefusalReason.NEEDS_REAUTHORIZATION, detail=GrantReason.EXPIRED.value)

    def _check_pauses(self, case: _Case) -> None:
        """Raises TokenRefused while the cloud, or this grant, is to be left alone."""
        provider, health, grant = case.holding.provider, case.holding.health, case.grant
        pause = health.pause(provider.version, case.now)
        if pause and health.is_misconfigured(provider.version):
            raise TokenRefused(RefusalReason.PROVIDER_MISCONFIGURED, retry_after=pause)
        wait = max(pause, grant.next_attempt_at - case.now)
        if wait > 0:
            raise TokenRefused(RefusalReason.PROVIDER_UNAVAILABLE, retry_after=wait)

    def _check_outcome_unknown(self, case: _Case) -> None:
        """Raises TokenRefused where a refresh was sent, its outcome is unknown, and the access token still lives (F3).

        The refresh token may be spent, and a cloud that detects reuse would end the access token as well.
        """
        grant = case.grant
        is_unknown = grant.unknown_since is not None or grant.lease is not None
        if is_unknown and case.is_needed_still:
            raise TokenRefused(RefusalReason.PROVIDER_UNAVAILABLE, retry_after=grant.expires_at - case.now)

    def _refresh(self, case: _Case, box: Box) -> Fresh | None:
        """Take the lease, ask the cloud once, store what came of it. None: somebody else was faster."""
        client = self._client(case, box)
        self._claim_probe(case)
        leased = case.grant.leased(self._clock.now())
        try:
            self._grants.save(leased, replaces=case.grant.version, fence=case.grant.fence)
        except Conflict:
            return None
        if self._is_late(case, leased):
            return None
        provider_type = self._catalogue.get(case.holding.provider.type_id)
        try:
            tokens = self._oauth_client.refresh(client, provider_type, case.tokens)
        except CloudMisconfigured as error:
            return self._misconfigured(case, leased, error)
        except CloudRefused as error:
            return self._refused(case, leased, error, box)
        except (CloudUnavailable, CloudAnswerInvalid) as error:
            return self._failed(case, leased, error, box)
        return self._keep(case, leased, client, tokens, box)

    def _client(self, case: _Case, box: Box) -> Client:
        try:
            return client_of(case.holding.provider, box)
        except IntegrityViolation as violation:
            self._log(case.grant, violation)
            raise TokenRefused(RefusalReason.PROVIDER_MISCONFIGURED, detail="client secret") from violation

    def _claim_probe(self, case: _Case) -> None:
        """After a pause one caller finds out for all whether the cloud is back (R81)."""
        health = case.holding.health
        if not health.needs_probe(case.holding.provider.version):
            return
        try:
            self._health.save(health.probing(case.now))
        except Conflict:
            raise TokenRefused(RefusalReason.PROVIDER_UNAVAILABLE, retry_after=PAUSE_SECONDS) from None

    def _is_late(self, case: _Case, leased: Grant) -> bool:
        """True, the lease given back, when that was so long in coming that the request would outlive it.

        A worker that was frozen with the lease in hand must not send: somebody else may have sent already (F5).
        """
        sent_at = leased.lease.sent_at if leased.lease else 0
        if abs(self._clock.now() - sent_at) < _SLACK_SECONDS:
            return False
        with suppress(Conflict):
            self._store(replace(leased, lease=None, unknown_since=case.grant.unknown_since), leased)
        return True

    # What the cloud said

    def _keep(self, case: _Case, leased: Grant, client: Client, tokens: TokenSet, box: Box) -> Fresh | None:
        tokens = replace(tokens, refresh_token=tokens.refresh_token or case.tokens.refresh_token)
        grant = _sealed(leased.refreshed(tokens.expires_at, tokens.scopes, self._clock.now()), tokens, box)
        try:
            self._store(grant, leased)
        except Conflict:
            self._end_orphan(case, client, tokens)
            return None
        except StorageUnavailable as error:
            self._spill(grant, error)
            return Fresh(replace(case.holding, grant=grant), grant, tokens)
        if not case.holding.health.is_well:
            self._note(case, lambda health: health.recovered())
        if case.grant.state is GrantState.FAILING:
            self._tell(EventKind.GRANT_RECOVERED, grant, case.holding.provider)
            self._record(AuditTag.GRANT_RECOVERED, Outcome.SUCCESS, grant)
        _LOG.info("grant.refreshed", extra=_line(grant))
        return Fresh(replace(case.holding, grant=grant), grant, tokens)

    def _misconfigured(self, case: _Case, leased: Grant, error: CloudMisconfigured) -> Fresh | None:
        """Our registration is wrong, and no grant is to blame (F15). The cloud has refused before it looked at any."""
        self._log(leased, error)
        try:
            self._store(replace(leased, lease=None, unknown_since=case.grant.unknown_since), leased)
        except Conflict:
            return None
        self._note_misconfigured(case, error.error)
        raise TokenRefused(RefusalReason.PROVIDER_MISCONFIGURED, detail=error.detail) from error

    def _refused(self, case: _Case, leased: Grant, error: CloudRefused, box: Box) -> Fresh | None:
        """Final, unless somebody else has written meanwhile: then theirs counts (F14)."""
        self._log(leased, error)
        lost = leased.unknown_since is not None
        reason = GrantReason.OUTCOME_UNKNOWN if lost else GrantReason.REFUSED_BY_CLOUD
        if not self._end(case, leased, leased.ended(reason, self._clock.now()), box):
            return None
        raise TokenRefused(RefusalReason.NEEDS_REAUTHORIZATION, detail=error.detail) from error

    def _failed(
        self, case: _Case, leased: Grant, error: CloudUnavailable | CloudAnswerInvalid, box: Box
    ) -> Fresh | None:
        """May pass. An answer that never came, or that nobody understands, may have spent the refresh token (F3)."""
        self._log(leased, error)
        now = self._clock.now()
        retry_after = error.retry_after if isinstance(error, CloudUnavailable) else None
        answer_lost = isinstance(error, CloudAnswerInvalid) or error.answer_lost
        failed = leased.failed(now, retry_after, answer_lost=answer_lost)
        try:
            self._store(_sealed(failed, case.tokens, box), leased)
        except Conflict:
            return None
        self._note(case, lambda health: health.failed(now, retry_after))
        if case.grant.state is not GrantState.FAILING:
            self._tell(EventKind.GRANT_FAILING, failed, case.holding.provider)
            self._record(AuditTag.GRANT_FAILING, Outcome.FAILURE, failed)
        raise TokenRefused(
            RefusalReason.PROVIDER_UNAVAILABLE, detail=error.detail, retry_after=failed.next_attempt_at - now
        ) from error

    # Writing it down

    def _store(self, grant: Grant, leased: Grant) -> None:
        """Write the outcome under the lease. Raises Conflict when it is no longer ours to write (F5).

        Tried again where the storage fails, since at that moment the new refresh token exists nowhere else.
        """
        attempt = 1
        while True:
            try:
                return self._grants.save(grant, replaces=leased.version, fence=leased.fence)
            except Conflict:
                # A write of ours whose reply was lost is found in place
                if attempt > 1 and self._current(leased) == grant:
                    return None
                raise
            except StorageUnavailable as error:
                self._log(grant, error)
                if attempt == _ATTEMPTS:
                    raise
            self._clock.sleep(_FIRST_POLL_SECONDS * 2 ** (attempt - 1) * (0.5 + self._random.fraction()))
            attempt += 1

    def _spill(self, grant: Grant, error: StorageUnavailable) -> None:
        """Keep the outcome in another table, encrypted as it is: the cloud will not give it again (F10)."""
        _LOG.error("refresh.unsaved", extra=_line(grant) | {"code": error.code, "detail": error.detail})
        self._grants.spill(grant, self._clock.now() + SPILL_SECONDS)

    def _bring_home(self, leased: Grant) -> bool:
        """Store what the holder of a lease could only keep aside. True when there was something."""
        outcome = self._grants.spilled(leased)
        if outcome is None:
            return False
        with suppress(Conflict):
            self._store(outcome, leased)
        return True

    def _end(self, case: _Case, before: Grant, ended: Grant, box: Box) -> bool:
        """The person must authorize again: stored and told once. False when somebody else has written meanwhile."""
        try:
            self._store(_sealed(ended, case.tokens, box), before)
        except Conflict:
            return False
        self._tell(EventKind.GRANT_NEEDS_REAUTHORIZATION, ended, case.holding.provider)
        self._record(AuditTag.GRANT_NEEDS_REAUTHORIZATION, Outcome.FAILURE, ended)
        return True

    def _quarantine(self, grant: Grant, provider: Provider, violation: IntegrityViolation, now: int) -> None:
        """What does not open is kept for whoever looks into it, and never tried again (F34)."""
        self._log(grant, violation)
        ended = grant.ended(GrantReason.UNREADABLE, now)
        try:
            self._grants.save(ended, replaces=grant.version)
        except Conflict:
            return
        self._tell(EventKind.GRANT_NEEDS_REAUTHORIZATION, ended, provider)
        self._record(AuditTag.INTEGRITY_VIOLATED, Outcome.FAILURE, grant)

    def _end_orphan(self, case: _Case, client: Client, tokens: TokenSet) -> None:
        """The grant was revoked or removed while it was refreshed: what the cloud gave must not live on (F28)."""
        current = self._current(case.grant)
        if current is None or current.token_set is None:
            provider = case.holding.provider
            self._revocations.end_orphan(provider, self._catalogue.get(provider.type_id), client, tokens)

    def _current(self, grant: Grant) -> Grant | None:
        try:
            return self._grants.load(grant.user_id, grant.provider_id, grant.slot).grant
        except NotFound:
            return None

    def _note(self, case: _Case, change: Callable[[ProviderHealth], ProviderHealth]) -> None:
        """Tell the others how the cloud is doing. Whatever goes wrong with that, the outcome itself is stored."""
        provider = case.holding.provider
        for _ in range(_ATTEMPTS):
            try:
                health = self._health.get(provider.id)
                changed = change(health)
                # While nobody asks anyhow, only a longer pause is news
                if changed.is_well or changed.open_until > health.open_until or not health.pause(0, case.now):
                    self._health.save(changed)
            except Conflict:
                continue
            except StorageUnavailable as error:
                self._log(case.grant, error)
            return

    def _note_misconfigured(self, case: _Case, error: str) -> None:
        """Noted, and told to the administrators, once for each version of the provider."""
        provider = case.holding.provider
        for _ in range(_ATTEMPTS):
            health, now = self._health.get(provider.id), self._clock.now()
            known = health.is_misconfigured(provider.version)
            try:
                self._health.save(health.misconfigured(error, provider.version, now))
            except Conflict:
                continue
            if not known:
                self._events.tell(Event.of_provider(EventKind.PROVIDER_MISCONFIGURED, provider, error, now))
                facts = {"error": error}
                tag = AuditTag.PROVIDER_MISCONFIGURED
                event = AuditEvent(tag, Outcome.FAILURE, "-", BACKGROUND, provider_id=provider.id, facts=facts)
                self._audit_log.record(event)
            return

    def _tell(self, kind: EventKind, grant: Grant, provider: Provider) -> None:
        self._events.tell(Event.of_grant(kind, grant, provider, self._clock.now()))

    def _record(self, tag: AuditTag, outcome: Outcome, grant: Grant) -> None:
        facts = {"reason": grant.reason.value, "account": grant.account.label}
        self._audit_log.record(AuditEvent(tag, outcome, "-", BACKGROUND, grant.user_id, grant.provider_id, facts))

    def _log(self, grant: Grant, error: VaultError) -> None:
        _LOG.warning("refresh.failed", extra=_line(grant) | {"code": error.code, "detail": error.detail})


class _Patience:
    """Waits for the lease of somebody else, and decides when that one is gone.

    It adds up its own pauses instead of comparing clocks: a worker whose clock is five minutes off must not take a
    lease that is alive (F18).
    """

    def __init__(self, clock: Clock, random: Random) -> None:
        self._clock = clock
        self._random = random
        self._watched: tuple[int, int] | None = None
        self._watched_for = 0.0
        self._waited = 0.0
        self._pause = _FIRST_POLL_SECONDS
        self._looks = 0

    def look_again(self) -> None:
        """Raises TokenRefused when that leads nowhere: something changes the grant all the time, or we are too slow."""
        self._looks += 1
        if self._looks > _MOST_LOOKS:
            raise TokenRefused(RefusalReason.PROVIDER_UNAVAILABLE, detail="no end", retry_after=1)

    def is_over(self, grant: Grant) -> bool:
        """True when this very lease was there for as long as one can last."""
        return self._watched == (grant.version, grant.fence) and self._watched_for >= LEASE_SECONDS

    def wait(self, grant: Grant) -> None:
        """One pause, a little longer each time and never the same for two. Raises TokenRefused after too many."""
        if self._waited >= LONGEST_WAIT_SECONDS:
            raise TokenRefused(RefusalReason.PROVIDER_UNAVAILABLE, detail="lease", retry_after=1)
        if self._watched != (grant.version, grant.fence):
            self._watched, self._watched_for = (grant.version, grant.fence), 0.0
        pause = self._pause * (0.5 + self._random.fraction())
        self._clock.sleep(pause)
        self._watched_for += pause
        self._waited += pause
        self._pause = min(self._pause * 1.5, _LONGEST_POLL_SECONDS)


def _sealed(grant: Grant, tokens: TokenSet, box: Box) -> Grant:
    return replace(grant, token_set=box.encrypt(tokens.to_bytes(), grant.encryption_context()))


def _line(grant: Grant) -> dict[str, str]:
    return {"user_id": grant.user_id, "provider_id": grant.provider_id}
