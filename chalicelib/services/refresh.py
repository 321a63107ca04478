"""Fresh access tokens: one refresh for a grant however many ask, and an honest state whatever goes wrong.

Nothing else in the vault sends a refresh token. The order is the point: data key and lease are in hand before the
request goes out, the outcome is stored before anybody uses it, and every write names the version and the number of
the lease it was made under, so that a late one changes nothing (docs/adr/0013-a-lease-for-each-refresh.md). What a
cloud's refusal means, and for whom, is in docs/adr/0105-one-refusal-is-one-grants.md.
"""

import logging
from collections.abc import Callable
from contextlib import nullcontext, suppress
from dataclasses import dataclass, replace
from enum import Enum, auto
from functools import partial
from typing import TypeVar

from chalicelib.domain.audit import BACKGROUND, AuditEvent, AuditTag, Outcome
from chalicelib.domain.errors import (
    CloudError,
    CloudMisconfigured,
    CloudRefusalUnclear,
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
from chalicelib.domain.provider_health import believed
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

from .cloud_watch import CloudWatch
from .events import EventService
from .revocations import RevocationService, client_of

_LOG = logging.getLogger(__name__)

BUDGET_SECONDS = 24.0
"""How long one call waits and works; the gateway in front of it gives up at 29."""
REFRESH_SECONDS = 14.0
"""No refresh begins with less of that left: 13 s for the cloud at worst, and the write of what it gave."""
LONGEST_WAIT_SECONDS = LEASE_SECONDS + 1.0
_FIRST_POLL_SECONDS, _LONGEST_POLL_SECONDS = 0.1, 1.0
_SLACK_SECONDS = 2
"""What the lease is longer than the request to the cloud."""
_MOST_LOOKS = 60
"""More than the polls of the longest wait."""
_ATTEMPTS = 3
_AT_ONCE_SECONDS = 1
_PASSING = (RefusalReason.PROVIDER_UNAVAILABLE, RefusalReason.PROVIDER_MISCONFIGURED)
"""Refusals that say nothing about the grant: a token that is still good is served all the same."""

T = TypeVar("T")

Reread = Callable[[], Holding]
"""Reads the holding anew and checks whatever allowed the first read, so that a stop counts for who waits, too."""


@dataclass(frozen=True, slots=True)
class Fresh:
    """A grant whose access token is as fresh as was needed."""

    holding: Holding
    grant: Grant
    tokens: TokenSet


class _Next(Enum):
    """What to do where this attempt brought no token, and no refusal either."""

    LOOK_AGAIN = auto()
    """Somebody else has written, or is about to: what counts is what is stored then."""


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

    @property
    def person(self) -> str:
        """Whose trouble it is, in what everybody is told about the cloud."""
        return fingerprint(self.grant.user_id)

    def fresh(self) -> Fresh:
        return Fresh(self.holding, self.grant, self.tokens)


@dataclass(frozen=True, slots=True)
class _Attempt:
    """A refresh that was sent: for which case, under which lease, and what its outcome is written with."""

    case: _Case
    leased: Grant
    client: Client
    box: Box


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
        self._watch = CloudWatch(health=health, events=events, audit_log=audit_log, clock=clock)
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
            if isinstance(done, Fresh):
                return done
            patience.look_again()
            holding = reread()

    def end_again(self, holding: Holding) -> None:
        """Where what is held had ended and was put back: remove it again, with an entry (R50).

        Raises TokenRefused, not for good, where what was read is not what is there any more.
        """
        if not self._revocations.end_again(holding):
            raise TokenRefused(RefusalReason.VAULT_UNAVAILABLE, detail="changed meanwhile", retry_after=1)

    def _look(self, holding: Holding, box: Box, need: Need) -> _Case:
        grant, now = holding.grant, self._clock.now()
        if grant is None or grant.token_set is None:
            self.end_again(holding)
            raise TokenRefused(RefusalReason.NOT_CONNECTED)
        seen = grant.as_seen(holding.provider)
        if not seen.is_usable:
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
        is_due = need.renew or not is_usable or self._is_near_its_end(grant, holding.provider, now)
        return _Case(holding, grant, tokens, is_rejected, is_usable, is_due, now)

    def _is_near_its_end(self, grant: Grant, provider: Provider, now: int) -> bool:
        """As the type has it, which is asked only where it can matter: most releases need no catalogue."""
        return grant.is_near_its_end(now) and grant.is_near_its_end(
            now, self._catalogue.stored(provider.type_id).refresh_ahead_seconds
        )

    def _renew(self, case: _Case, box: Box, need: Need, patience: "_Patience") -> Fresh | _Next:
        """Refresh, or let somebody else finish. Raises TokenRefused where neither is possible."""
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
            return _Next.LOOK_AGAIN
        if self._bring_home(case):
            return _Next.LOOK_AGAIN
        wait = self._wait_for_outcome(case) or patience.wait_for_another_call()
        if wait:
            self._end_lease(case.grant)
            raise TokenRefused(RefusalReason.PROVIDER_UNAVAILABLE, detail="outcome or time", retry_after=wait)
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
        wait = max(pause, believed(grant.next_attempt_at - case.now), self._too_early(case))
        if wait > 0:
            raise TokenRefused(RefusalReason.PROVIDER_UNAVAILABLE, retry_after=wait)

    def _too_early(self, case: _Case) -> int:
        """Seconds until the cloud refreshes at all, where it does not before the access token has ended."""
        ahead = self._catalogue.stored(case.holding.provider.type_id).refresh_ahead_seconds
        return 0 if ahead or case.is_rejected else case.grant.expires_at - case.now

    def _wait_for_outcome(self, case: _Case) -> int:
        """Seconds to wait where a refresh was sent, its outcome is unknown, and the access token still lives (F3).

        The refresh token may be spent, and a cloud that detects reuse would end the access token as well.
        """
        grant = case.grant
        is_unknown = grant.unknown_since is not None or grant.lease is not None
        needs_care = is_unknown and case.is_needed_still and self._is_single_use(case)
        return grant.expires_at - case.now if needs_care else 0

    def _is_single_use(self, case: _Case) -> bool:
        """Whether a refresh token that was sent may be spent: also where nobody knows how the cloud does it."""
        return self._catalogue.stored(case.holding.provider.type_id).rotates_refresh_tokens is not False

    def _end_lease(self, grant: Grant) -> None:
        """Write down that a lease is over, so that the next caller need not watch it as long as this one did.

        Its number stays: its holder, if it lives after all, may still store what it got.
        """
        if grant.lease is not None:
            with suppress(Conflict):
                self._grants.save(grant.left_behind(), replaces=grant.version, fence=grant.fence)

    def _refresh(self, case: _Case, box: Box) -> Fresh | _Next:
        """Take the lease, ask the cloud once, store what came of it."""
        client = self._client(case, box)
        self._watch.claim_probe(case.holding, case.now)
        leased = case.grant.leased(self._clock.now())
        if not self._is_single_use(case):
            leased = replace(leased, unknown_since=None)
        try:
            self._grants.save(leased, replaces=case.grant.version, fence=case.grant.fence)
        except Conflict:
            return _Next.LOOK_AGAIN
        if self._is_late(leased):
            return _Next.LOOK_AGAIN
        attempt = _Attempt(case, leased, client, box)
        provider_type = self._catalogue.stored(case.holding.provider.type_id)
        try:
            tokens = self._oauth_client.refresh(client, provider_type, case.tokens)
        except CloudError as error:
            self._log(leased, error)
            return self._not_renewed(attempt, error)
        return self._keep(attempt, tokens)

    def _client(self, case: _Case, box: Box) -> Client:
        try:
            return client_of(case.holding.provider, box)
        except IntegrityViolation as violation:
            self._log(case.grant, violation)
            raise TokenRefused(RefusalReason.PROVIDER_MISCONFIGURED, detail="client secret") from violation

    def _is_late(self, leased: Grant) -> bool:
        """True, the lease given back, when that was so long in coming that the request would outlive it.

        A worker that was frozen with the lease in hand must not send: somebody else may have sent already (F5).
        """
        sent_at = leased.lease.sent_at if leased.lease else 0
        if abs(self._clock.now() - sent_at) < _SLACK_SECONDS:
            return False
        with suppress(Conflict):
            self._store(replace(leased, lease=None), leased)
        return True

    # What the cloud said

    def _keep(self, attempt: _Attempt, tokens: TokenSet) -> Fresh | _Next:
        case, leased, box = attempt.case, attempt.leased, attempt.box
        tokens = replace(tokens, refresh_token=tokens.refresh_token or case.tokens.refresh_token)
        grant = _sealed(leased.refreshed(tokens.expires_at, tokens.scopes, self._clock.now()), tokens, box)
        fresh = Fresh(replace(case.holding, grant=grant), grant, tokens)
        is_news = case.grant.state is GrantState.FAILING
        line = _event(AuditTag.GRANT_RECOVERED, Outcome.SUCCESS, grant) if is_news else None
        try:
            self._store(grant, leased, line)
        except Conflict:
            self._end_orphan(attempt, tokens)
            return _Next.LOOK_AGAIN
        except StorageUnavailable as error:
            self._spill(grant, error)
            return fresh
        self._watch.recovered(case.holding)
        if is_news:
            now = self._clock.now()
            self._events.tell(Event.of_recovery(case.grant, grant, case.holding.provider, now))
        _LOG.info("grant.refreshed", extra=_line(grant))
        return fresh

    def _not_renewed(self, attempt: _Attempt, error: CloudError) -> _Next:
        """Store what the error means. Raises TokenRefused, unless somebody else has written meanwhile (F14)."""
        match error:
            case CloudMisconfigured():
                return self._misconfigured(attempt, error, error.error)
            case CloudRefused():
                return self._refused(attempt, error, GrantReason.REFUSED_BY_CLOUD)
            case CloudRefusalUnclear():
                return self._unclear(attempt, error)
            case CloudUnavailable():
                return self._unavailable(attempt, error, error.retry_after, answer_lost=error.answer_lost)
        # Nobody understands what came: it may have been a new refresh token in some other form (F16)
        return self._unavailable(attempt, error, None, answer_lost=True)

    def _misconfigured(self, attempt: _Attempt, error: CloudError, word: str) -> _Next:
        """Our registration is wrong, and no grant is to blame (F15). The cloud has refused before it looked at any."""
        case, leased = attempt.case, attempt.leased
        try:
            self._store(replace(leased, lease=None), leased)
        except Conflict:
            return _Next.LOOK_AGAIN
        self._watch.misconfigured(case.holding, case.person, word)
        raise TokenRefused(RefusalReason.PROVIDER_MISCONFIGURED, detail=error.detail) from error

    def _refused(self, attempt: _Attempt, error: CloudError, reason: GrantReason) -> _Next:
        """Final, unless somebody else has written meanwhile: then theirs counts (F14)."""
        case, leased = attempt.case, attempt.leased
        if leased.unknown_since is not None:
            reason = GrantReason.OUTCOME_UNKNOWN
        if not self._end(case, leased, leased.ended(reason, self._clock.now()), attempt.box):
            return _Next.LOOK_AGAIN
        raise TokenRefused(RefusalReason.NEEDS_REAUTHORIZATION, detail=error.detail) from error

    def _unclear(self, attempt: _Attempt, error: CloudRefusalUnclear) -> _Next:
        """It may mean anything: the grant's own trouble, until somebody else is refused in the same words (R99)."""
        case, now, word = attempt.case, self._clock.now(), error.error
        holding, person = case.holding, case.person
        if holding.health.concerns_all(word, person, holding.provider.version, now):
            if error.may_be_registration:
                return self._misconfigured(attempt, error, word)
            return self._unavailable(attempt, error, error.retry_after, answer_lost=False, doubt=word)
        refused = attempt.leased.refused(now, error.retry_after)
        # What still works is given, whatever the cloud says of the next one
        if refused.is_refused_for_good(now) and not case.is_needed_still:
            return self._refused(attempt, error, GrantReason.REFUSED_REPEATEDLY)
        if refused.unknown_since is not None:
            # It may be spent, which explains the refusal: no evidence about anybody else
            return self._failing(attempt, error, refused, lambda: None)
        return self._failing(attempt, error, refused, lambda: self._watch.doubted(holding, person, word))

    def _unavailable(
        self, attempt: _Attempt, error: CloudError, retry_after: int | None, *, answer_lost: bool, doubt: str = ""
    ) -> _Next:
        """The cloud did not answer, or not so that it says anything about the grant. It may have acted (F3, F38)."""
        case = attempt.case
        answer_lost = answer_lost and self._is_single_use(case)
        failed = attempt.leased.failed(self._clock.now(), retry_after, answer_lost=answer_lost)
        note = partial(self._watch.failed, case.holding, case.person, retry_after, doubt=doubt)
        return self._failing(attempt, error, failed, note)

    def _failing(self, attempt: _Attempt, error: CloudError, failing: Grant, note: Callable[[], None]) -> _Next:
        """May pass: stored, noted for the others, and told when it begins."""
        case = attempt.case
        is_news = case.grant.state is not GrantState.FAILING
        line = _event(AuditTag.GRANT_FAILING, Outcome.FAILURE, failing) if is_news else None
        try:
            self._store(_sealed(failing, case.tokens, attempt.box), attempt.leased, line)
        except Conflict:
            return _Next.LOOK_AGAIN
        note()
        if is_news:
            self._tell(EventKind.GRANT_FAILING, failing, case.holding.provider)
        wait = failing.next_attempt_at - self._clock.now()
        raise TokenRefused(RefusalReason.PROVIDER_UNAVAILABLE, detail=error.detail, retry_after=wait) from error

    # Writing it down

    def _store(self, grant: Grant, leased: Grant, line: AuditEvent | None = None) -> None:
        """Write the outcome under the lease. Raises Conflict when it is no longer ours to write (F5).

        `line` is what the log says of it, where that is news.

        Tried again where the storage fails, since at that moment the new refresh token exists nowhere else.
        """
        attempts = 0

        def save() -> None:
            nonlocal attempts
            attempts += 1
            try:
                self._grants.save(grant, replaces=leased.version, fence=leased.fence)
            except Conflict:
                # A write of ours whose reply was lost is found in place
                if attempts == 1 or self._current(leased) != grant:
                    raise

        with self._audit_log.recording(line) if line else nullcontext():
            self._insist(save, grant)

    def _insist(self, call: Callable[[], T], grant: Grant) -> T:
        """What `call` gives, tried again where the storage fails."""
        for attempt in range(_ATTEMPTS - 1):
            try:
                return call()
            except StorageUnavailable as error:
                self._log(grant, error)
            self._clock.sleep(_FIRST_POLL_SECONDS * 2**attempt * (0.5 + self._random.fraction()))
        try:
            return call()
        except StorageUnavailable as error:
            self._log(grant, error)
            raise

    def _spill(self, grant: Grant, error: StorageUnavailable) -> None:
        """Keep the outcome in another table, encrypted as it is: the cloud will not give it again (F10)."""
        _LOG.error("refresh.unsaved", extra=_line(grant) | {"code": error.code, "detail": error.detail})
        self._grants.spill(grant, self._clock.now() + SPILL_SECONDS)

    def _bring_home(self, case: _Case) -> bool:
        """Store what the holder of a lease could only keep aside. True when there was something.

        Looked for after a lease was ended, too: its holder may have been slow, and not dead.
        """
        leased = case.grant
        was_sent = leased.lease is not None or leased.unknown_since is not None
        outcome = self._grants.spilled(leased) if was_sent else None
        if outcome is None:
            return False
        is_over = leased.state is GrantState.FAILING and outcome.state is GrantState.ACTIVE
        line = _event(AuditTag.GRANT_RECOVERED, Outcome.SUCCESS, outcome) if is_over else None
        with suppress(Conflict):
            self._store(outcome, leased, line)
            if is_over:
                self._events.tell(Event.of_recovery(leased, outcome, case.holding.provider, self._clock.now()))
        return True

    def _end(self, case: _Case, before: Grant, ended: Grant, box: Box) -> bool:
        """The person must authorize again: stored and told once. False when somebody else has written meanwhile."""
        try:
            line = _event(AuditTag.GRANT_NEEDS_REAUTHORIZATION, Outcome.FAILURE, ended)
            self._store(_sealed(ended, case.tokens, box), before, line)
        except Conflict:
            return False
        self._tell(EventKind.GRANT_NEEDS_REAUTHORIZATION, ended, case.holding.provider)
        return True

    def _quarantine(self, grant: Grant, provider: Provider, violation: IntegrityViolation, now: int) -> None:
        """What does not open is kept for whoever looks into it, and never tried again (F34)."""
        self._log(grant, violation)
        ended = grant.ended(GrantReason.UNREADABLE, now)
        try:
            with self._audit_log.recording(_event(AuditTag.INTEGRITY_VIOLATED, Outcome.FAILURE, grant)):
                self._grants.save(ended, replaces=grant.version)
        except Conflict:
            return
        self._tell(EventKind.GRANT_NEEDS_REAUTHORIZATION, ended, provider)

    def _end_orphan(self, attempt: _Attempt, tokens: TokenSet) -> None:
        """Somebody else has written while we refreshed: what the cloud gave must not live on unknown (F28, R95).

        Only where a grant of the same account lives is it left alone: at many clouds one revocation ends every
        authorization of an account, so also the newer one that is in use (docs/adr/0107-what-is-not-kept.md).
        """
        grant = attempt.case.grant
        current = self._insist(lambda: self._current(grant), grant)
        if current is not None and current.is_usable and current.account.subject == grant.account.subject:
            _LOG.info("refresh.superseded", extra=_line(current))
            return
        self._revocations.end_received(
            attempt.case.holding, tokens, attempt.client, attempt.box, user_id=grant.user_id, account=grant.account
        )

    def _current(self, grant: Grant) -> Grant | None:
        try:
            return self._grants.load(grant.user_id, grant.provider_id, grant.slot).grant
        except NotFound:
            return None

    def _tell(self, kind: EventKind, grant: Grant, provider: Provider) -> None:
        self._events.tell(Event.of_grant(kind, grant, provider, self._clock.now()))

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
        self._until = clock.monotonic() + BUDGET_SECONDS

    def look_again(self) -> None:
        """Raises TokenRefused when that leads nowhere: something changes the grant all the time, or we are too slow."""
        self._looks += 1
        if self._looks > _MOST_LOOKS:
            raise TokenRefused(RefusalReason.PROVIDER_UNAVAILABLE, detail="no end", retry_after=1)

    def wait_for_another_call(self) -> int:
        """0: there is time for a refresh in this call; else in how many seconds another one may come."""
        return 0 if self._until - self._clock.monotonic() >= REFRESH_SECONDS else _AT_ONCE_SECONDS

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


def _event(tag: AuditTag, outcome: Outcome, grant: Grant) -> AuditEvent:
    facts = {"reason": grant.reason.value, "account": grant.account.label}
    return AuditEvent(tag, outcome, "-", BACKGROUND, grant.user_id, grant.provider_id, facts)


def _sealed(grant: Grant, tokens: TokenSet, box: Box) -> Grant:
    return replace(grant, token_set=box.encrypt(tokens.to_bytes(), grant.encryption_context()))


def _line(grant: Grant) -> dict[str, str]:
    return {"user_id": grant.user_id, "provider_id": grant.provider_id}
