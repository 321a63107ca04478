"""Refreshing: what is sent, what is kept, and what is said, whatever fails at whatever moment."""

import hashlib
import logging
from collections.abc import Callable
from dataclasses import replace
from typing import Any

import pytest

from chalicelib.adapters import cloud_transport
from chalicelib.domain.audit import AuditTag
from chalicelib.domain.errors import (
    CloudAnswerInvalid,
    CloudError,
    CloudMisconfigured,
    CloudRefusalUnclear,
    CloudRefused,
    CloudUnavailable,
    Conflict,
    IntegrityViolation,
    KeyUnavailable,
    NotFound,
    StorageUnavailable,
)
from chalicelib.domain.grant import (
    LEASE_SECONDS,
    REFUSALS,
    REFUSED_SECONDS,
    SPILL_SECONDS,
    Grant,
    GrantReason,
    GrantState,
    Holding,
    RefreshLease,
    Revocation,
)
from chalicelib.domain.provider_health import DOUBT_SECONDS, FAILURES, PAUSE_SECONDS, ProviderHealth
from chalicelib.domain.provider_type import RevocationStyle
from chalicelib.domain.secret import Secret
from chalicelib.domain.token_exchange import Need, RefusalReason, TokenRefused
from chalicelib.domain.token_set import CloudAccount, TokenSet
from chalicelib.services.refresh import BUDGET_SECONDS, LONGEST_WAIT_SECONDS, REFRESH_SECONDS, Fresh
from tests.fakes.services import ORIGIN, FakeVault
from tests.samples import ACCOUNT, ALICE, BOB, NOW

HOUR = 3600
CAROL = "S-1-5-21-1-2-3-1103"
REASONS = RefusalReason


class World(FakeVault):
    """Alice has authorized; her access token lives an hour."""

    def __init__(self) -> None:
        super().__init__()
        self.authorize(ACCOUNT)
        self.audit_log.events.clear()
        self.rereads = 0

    def load(self) -> Holding:
        self.rereads += 1
        return self.grant_store.load(ALICE.id, "northwind")

    def authorize_others(self) -> None:
        """Bob and carol have authorized as well: grants of other people, with tokens of their own."""
        for user_id in (BOB.id, CAROL):
            tokens = replace(self.stored(), refresh_token=Secret(f"refresh-of-{user_id}"))
            self.put(self.seal(replace(self.held(), user_id=user_id), tokens))

    def seal(self, grant: Grant, tokens: TokenSet) -> Grant:
        with self.cipher.unlock(self.providers.key("northwind", 1)) as box:
            return replace(grant, token_set=box.encrypt(tokens.to_bytes(), grant.encryption_context()))

    def of(self, user_id: str) -> Grant:
        grant = self.grant_store.load(user_id, "northwind").grant
        assert grant is not None
        return grant

    def fetch_of(self, user_id: str, need: Need = Need()) -> Fresh:  # noqa: B008 - frozen
        def load() -> Holding:
            return self.grant_store.load(user_id, "northwind")

        # Each person's refresh tokens are a line of their own, and the cloud here knows one line
        self.cloud.current_refresh_token = ""
        with self.cipher.unlock(load().key) as box:
            return self.refresh.fresh(load(), box, need, load)

    def refuse_of(self, user_id: str, *errors: CloudError) -> TokenRefused:
        """What is said to who asks for this person's token, the cloud failing so."""
        self.cloud.fail_next(*errors)
        with pytest.raises(TokenRefused) as refusal:
            self.fetch_of(user_id)
        return refusal.value

    def fetch(self, need: Need = Need(), holding: Holding | None = None) -> Fresh:  # noqa: B008 - frozen
        holding = holding or self.grant_store.load(ALICE.id, "northwind")
        with self.cipher.unlock(holding.key) as box:
            return self.refresh.fresh(holding, box, need, self.load)

    def refuse(self, need: Need = Need()) -> TokenRefused:  # noqa: B008 - frozen
        with pytest.raises(TokenRefused) as refusal:
            self.fetch(need)
        return refusal.value

    def held(self) -> Grant:
        grant = self.grant()
        assert grant is not None
        return grant

    def stored(self) -> TokenSet:
        return self.tokens(self.held())

    def put(self, grant: Grant) -> None:
        """Change fields that are not bound to the ciphertext, behind everybody's back."""
        self.grant_store.grants[(grant.user_id, grant.provider_id, grant.generation, grant.slot)] = grant

    def leave_lease(self, *, sent_at: int | None = None) -> None:
        """As a worker leaves it that was killed after taking the lease."""
        self.put(self.held().leased(self.clock.now() if sent_at is None else sent_at))

    def tags(self) -> list[AuditTag]:
        return [event.tag for event in self.audit_log.events]


@pytest.fixture
def world() -> World:
    return World()


class TestFresh:
    def test_a_token_with_life_left_is_given_as_it_is(self, world: World) -> None:
        before = world.held()
        assert world.fetch().tokens == world.stored()
        assert (world.cloud.refreshes, world.held()) == (0, before)

    def test_an_expired_one_is_refreshed_and_stored_before_it_is_given(self, world: World) -> None:
        before = world.held()
        world.clock.advance(HOUR)
        fresh = world.fetch()
        after = world.held()
        assert fresh.tokens == world.stored() == world.tokens(after)
        assert (after.version, after.fence, after.lease) == (before.version + 1, 1, None)
        assert (after.state, after.refreshed_at, after.expires_at) == (GrantState.ACTIVE, NOW + HOUR, NOW + 2 * HOUR)
        assert (after.account, after.authorized_at) == (before.account, before.authorized_at)
        assert world.tags() == []

    @pytest.mark.parametrize(
        ("left", "minimum", "refreshes"),
        [
            (301, None, 0),
            (299, None, 1),
            (60, None, 1),
            (301, 300, 0),
            (301, 302, 1),
            (3600, 3600, 0),
        ],
    )
    def test_r78_never_less_life_than_needed_and_refreshed_ahead_of_time(
        self, world: World, left: int, minimum: int | None, refreshes: int
    ) -> None:
        world.clock.advance(HOUR - left)
        fresh = world.fetch(Need(minimum))
        assert world.cloud.refreshes == refreshes
        assert fresh.grant.expires_at - world.clock.now() >= (minimum or 60)

    def test_r78_more_life_than_the_cloud_ever_gives_is_refused_without_a_refresh(self, world: World) -> None:
        assert world.refuse(Need(HOUR + 1)).reason is REASONS.LIFE_TOO_SHORT
        assert world.cloud.refreshes == 0

    def test_a_cloud_whose_tokens_live_seconds_works(self, world: World) -> None:
        world.cloud.lifetime = 4
        world.clock.advance(HOUR)
        for _ in range(3):
            first, second = world.fetch(), world.fetch()
            assert first.tokens == second.tokens
            world.clock.advance(3)
        assert world.cloud.refreshes == 3

    def test_a_token_that_the_cloud_refused_is_refreshed_once(self, world: World) -> None:
        rejected = world.stored().access_token
        need = Need(rejected_token_hash=hashlib.sha256(rejected.reveal().encode()).hexdigest())
        fresh = [world.fetch(need) for _ in range(3)]
        assert world.cloud.refreshes == 1
        assert {f.tokens.access_token for f in fresh} == {world.stored().access_token} != {rejected}

    def test_a_cloud_that_gives_the_refused_token_again_is_asked_once_a_call(self, world: World) -> None:
        rejected = world.stored().access_token
        world.cloud.next_answer = {"access_token": rejected}
        world.fetch(Need(rejected_token_hash=hashlib.sha256(rejected.reveal().encode()).hexdigest()))
        assert world.cloud.refreshes == 1

    def test_f17_an_answer_without_a_refresh_token_keeps_the_one_there_is(self, world: World) -> None:
        before = world.stored().refresh_token
        world.clock.advance(HOUR)
        world.cloud.next_answer = {"refresh_token": None}
        world.fetch()
        assert world.stored().refresh_token == before

    def test_narrower_scopes_are_noted(self, world: World) -> None:
        world.clock.advance(HOUR)
        world.cloud.next_answer = {"scopes": ("email",)}
        assert world.fetch().grant.scopes == world.held().scopes == ("email",)

    def test_without_a_refresh_token_it_ends_with_its_access_token(self, world: World) -> None:
        self.without_refresh_token(world)
        world.clock.advance(HOUR - 61)
        assert world.fetch().tokens.access_token == world.stored().access_token
        world.clock.advance(2)
        assert world.refuse().reason is REASONS.NEEDS_REAUTHORIZATION
        assert world.held().state is GrantState.ACTIVE
        world.clock.advance(60)
        assert world.refuse().reason is REASONS.NEEDS_REAUTHORIZATION
        assert (world.held().state, world.held().reason) == (GrantState.NEEDS_REAUTHORIZATION, GrantReason.EXPIRED)
        assert world.tags() == [AuditTag.GRANT_NEEDS_REAUTHORIZATION]

    @staticmethod
    def without_refresh_token(world: World) -> None:
        world.put(world.seal(world.held(), replace(world.stored(), refresh_token=None)))

    @pytest.mark.parametrize("state", [GrantState.NEEDS_REAUTHORIZATION, GrantState.REMOVED])
    def test_what_is_not_releasable_is_not_refreshed(self, world: World, state: GrantState) -> None:
        world.put(replace(world.held(), state=state))
        assert world.refuse().reason is REASONS.NEEDS_REAUTHORIZATION
        world.put(replace(world.held(), token_set=None))
        assert world.refuse().reason is REASONS.NOT_CONNECTED
        assert world.cloud.refreshes == 0

    def test_keeping_alive_refreshes_what_is_not_due(self, world: World) -> None:
        world.fetch(Need(renew=True))
        assert world.cloud.refreshes == 1


class TestLease:
    def test_r82_who_finds_a_lease_waits_and_uses_what_the_other_one_got(self, world: World) -> None:
        world.clock.advance(HOUR)
        holding = world.load()
        world.leave_lease()
        world.load = self.finish(world)  # type: ignore[method-assign]
        fresh = world.fetch(holding=holding)
        assert world.cloud.refreshes == 1
        assert fresh.tokens == world.stored()
        assert 0 < world.clock.slept < 2

    @staticmethod
    def finish(world: World) -> Callable[[], Holding]:
        reads = iter((False, True))

        def load() -> Holding:
            if next(reads):
                world.put(replace(world.held(), lease=None))
                return world.fetch().holding
            return world.grant_store.load(ALICE.id, "northwind")

        return load

    def test_r82_of_two_that_read_the_same_one_alone_sends(self, world: World) -> None:
        world.clock.advance(HOUR)
        holding = world.load()
        first = world.fetch(holding=holding)
        second = world.fetch(holding=holding)
        assert world.cloud.refreshes == 1
        assert first.tokens == second.tokens

    def test_while_somebody_refreshes_ahead_of_time_nobody_waits(self, world: World) -> None:
        world.clock.advance(HOUR - 100)
        world.leave_lease()
        assert world.fetch().tokens == world.stored()
        assert (world.clock.slept, world.cloud.refreshes) == (0, 0)

    def test_f2_who_has_watched_a_dead_lease_ends_it_and_the_next_caller_refreshes_at_once(self, world: World) -> None:
        """A refresh after fifteen seconds of waiting could outlive the gateway's patience: it is another call's."""
        world.clock.advance(HOUR)
        world.leave_lease()
        refusal = world.refuse()
        assert (refusal.reason, refusal.retry_after) == (REASONS.PROVIDER_UNAVAILABLE, 1)
        assert LEASE_SECONDS <= world.clock.slept <= LEASE_SECONDS + 2 < BUDGET_SECONDS
        left = world.held()
        assert (left.lease, left.unknown_since, left.fence, world.cloud.refreshes) == (None, NOW + HOUR, 1, 0)
        slept = world.clock.slept
        fresh = world.fetch()
        assert (world.clock.slept, world.cloud.refreshes) == (slept, 1)
        assert (fresh.grant.fence, fresh.grant.lease, fresh.grant.unknown_since) == (2, None, None)

    def test_f2_of_two_who_end_a_dead_lease_one_alone_does(self, world: World) -> None:
        world.clock.advance(HOUR)
        world.leave_lease()
        save = world.grant_store.save

        def overtaken(grant: Grant, **how: object) -> None:
            world.grant_store.save = save  # type: ignore[method-assign]
            world.put(world.held().left_behind())
            world.fetch()
            save(grant, **how)  # type: ignore[arg-type]

        world.grant_store.save = overtaken  # type: ignore[method-assign, assignment]
        assert world.refuse().retry_after == 1
        assert (world.held().fence, world.held().state, world.cloud.refreshes) == (2, GrantState.ACTIVE, 1)

    def test_f2_whoever_is_slow_and_not_dead_still_stores_what_it_got(self, world: World) -> None:
        """The lease was ended by who watched it, and nobody has sent since: the outcome is good."""
        world.clock.advance(HOUR)
        world.cloud.meanwhile = lambda: world.put(world.held().left_behind())
        fresh = world.fetch()
        assert fresh.grant == world.held()
        assert (world.held().unknown_since, world.cloud.refreshes) == (None, 1)

    def test_f10_what_a_slow_holder_kept_aside_is_found_after_its_lease_was_ended(self, world: World) -> None:
        world.clock.advance(HOUR)
        TestStorage.break_saving(world, after=1, times=3)
        first = world.fetch()
        world.put(world.held().left_behind())
        assert world.fetch().tokens == first.tokens == world.stored()
        assert world.cloud.refreshes == 1

    def test_f3_a_dead_lease_that_must_not_be_followed_yet_is_watched_once(self, world: World) -> None:
        world.clock.advance(HOUR - 30)
        world.leave_lease()
        assert world.refuse().retry_after in (13, 14, 15)
        slept = world.clock.slept
        assert world.refuse().reason is REASONS.PROVIDER_UNAVAILABLE
        assert (world.clock.slept, world.cloud.refreshes) == (slept, 0)

    def test_f3_a_cloud_that_never_rotates_is_asked_again_at_once(self, world: World) -> None:
        world.catalogue.type = replace(world.catalogue.type, rotates_refresh_tokens=False)
        world.clock.advance(HOUR - 30)
        world.leave_lease(sent_at=world.clock.now() - 3600)
        assert world.fetch().grant.unknown_since is None
        assert world.cloud.refreshes == 1

    def test_f3_an_outcome_stays_unknown_when_the_next_refresh_was_not_sent(self, world: World) -> None:
        world.clock.advance(HOUR)
        world.leave_lease(sent_at=0)
        world.cloud.fail_next(CloudMisconfigured("invalid_client"))
        world.refuse()
        assert (world.held().lease, world.held().unknown_since) == (None, 0)

    def test_f3_a_crash_after_sending_leaves_the_living_token_alone(self, world: World) -> None:
        world.clock.advance(HOUR - 30)
        world.leave_lease(sent_at=world.clock.now() - 3600)
        refusal = world.refuse()
        assert (refusal.reason, refusal.retry_after) == (REASONS.PROVIDER_UNAVAILABLE, 30)
        assert world.cloud.refreshes == 0

    def test_f3_a_spent_refresh_token_is_said_as_an_unknown_outcome(self, world: World) -> None:
        world.clock.advance(HOUR)
        world.leave_lease(sent_at=0)
        world.cloud.current_refresh_token = "the worker that died got this one"
        assert world.refuse().reason is REASONS.NEEDS_REAUTHORIZATION
        left = world.held()
        assert (left.state, left.reason) == (GrantState.NEEDS_REAUTHORIZATION, GrantReason.OUTCOME_UNKNOWN)
        assert world.stored().refresh_token is not None
        assert world.tags() == [AuditTag.GRANT_NEEDS_REAUTHORIZATION]

    @pytest.mark.parametrize("minutes", [-5, 5])
    def test_f18_a_lease_of_a_worker_whose_clock_is_off_is_respected(self, world: World, minutes: int) -> None:
        world.clock.advance(HOUR)
        world.leave_lease(sent_at=world.clock.now() + 60 * minutes)
        holding = world.load()
        pauses = []

        def load() -> Holding:
            pauses.append(world.clock.slept)
            if len(pauses) == 3:
                world.put(replace(world.held(), lease=None))
            return world.grant_store.load(ALICE.id, "northwind")

        world.load = load  # type: ignore[method-assign]
        world.fetch(holding=holding)
        assert len(pauses) == 3

    def test_a_lease_older_than_any_clock_can_be_wrong_is_nobodys(self, world: World) -> None:
        world.clock.advance(HOUR)
        world.leave_lease(sent_at=world.clock.now() - LEASE_SECONDS - 600)
        world.fetch()
        assert world.clock.slept == 0

    def test_a_lease_that_changes_hands_all_the_time_is_not_waited_for_for_ever(self, world: World) -> None:
        world.clock.advance(HOUR)
        world.leave_lease()

        def load() -> Holding:
            world.leave_lease()
            return world.grant_store.load(ALICE.id, "northwind")

        world.load = load  # type: ignore[method-assign]
        refusal = world.refuse()
        assert (refusal.reason, refusal.retry_after) == (REASONS.PROVIDER_UNAVAILABLE, 1)
        assert world.clock.slept <= LONGEST_WAIT_SECONDS + 1.5
        assert world.cloud.refreshes == 0

    def test_a_grant_that_is_changed_all_the_time_is_looked_at_sixty_times(self, world: World) -> None:
        world.clock.advance(HOUR)

        def changed(*_: object, **__: object) -> None:
            raise Conflict

        world.grant_store.save = changed  # type: ignore[method-assign]
        refusal = world.refuse()
        assert (refusal.reason, refusal.detail, refusal.retry_after) == (REASONS.PROVIDER_UNAVAILABLE, "no end", 1)
        assert (world.rereads, world.cloud.refreshes) == (60, 0)

    def test_f5_a_worker_that_wakes_after_its_lease_changes_nothing(self, world: World) -> None:
        world.clock.advance(HOUR)
        stolen: list[Grant] = []

        def another_worker() -> None:
            world.cloud.meanwhile = lambda: None
            world.cloud.current_refresh_token = ""
            world.put(replace(world.held(), lease=RefreshLease(0, 0)))
            stolen.append(world.fetch().grant)

        world.cloud.meanwhile = another_worker
        fresh = world.fetch()
        assert world.held() == stolen[0] == fresh.grant
        assert fresh.grant.fence == 2
        assert world.cloud.revoked == []

    @pytest.mark.parametrize("frozen", [2, -300])
    def test_f5_a_worker_that_was_frozen_with_the_lease_in_hand_sends_nothing(self, world: World, frozen: int) -> None:
        world.clock.advance(HOUR)
        save = world.grant_store.save

        def slow(grant: Grant, **how: object) -> None:
            save(grant, **how)  # type: ignore[arg-type]
            world.grant_store.save = save  # type: ignore[method-assign]
            world.clock.advance(frozen)

        world.grant_store.save = slow  # type: ignore[method-assign, assignment]
        reread, seen = world.load, []

        def load() -> Holding:
            seen.append((world.cloud.refreshes, world.held().lease, world.held().unknown_since, world.held().fence))
            return reread()

        world.load = load  # type: ignore[method-assign]
        assert world.fetch(Need(renew=True)).grant.fence == 2
        assert seen == [(0, None, None, 1)]
        assert world.cloud.refreshes == 1

    def test_f5_who_was_frozen_for_longer_than_a_call_may_take_leaves_it_to_the_next(self, world: World) -> None:
        world.clock.advance(HOUR)
        save = world.grant_store.save

        def slow(grant: Grant, **how: object) -> None:
            save(grant, **how)  # type: ignore[arg-type]
            world.grant_store.save = save  # type: ignore[method-assign]
            world.clock.advance(LEASE_SECONDS + 60)

        world.grant_store.save = slow  # type: ignore[method-assign, assignment]
        assert world.refuse().retry_after == 1
        assert (world.cloud.refreshes, world.held().lease) == (0, None)

    def test_a_worker_that_is_always_too_slow_gives_up_without_sending(self, world: World) -> None:
        world.clock.advance(HOUR)
        save = world.grant_store.save

        def slow(grant: Grant, **how: object) -> None:
            save(grant, **how)  # type: ignore[arg-type]
            world.clock.advance(3)

        world.grant_store.save = slow  # type: ignore[method-assign, assignment]
        assert world.refuse().reason is REASONS.PROVIDER_UNAVAILABLE
        assert world.cloud.refreshes == 0

    def test_f28_a_removal_during_a_refresh_wins_and_the_orphan_is_ended(self, world: World) -> None:
        world.clock.advance(HOUR)

        def removed() -> None:
            grant = world.held()
            world.grant_store.save(grant.removed(NOW), replaces=grant.version)

        world.cloud.meanwhile = removed
        assert world.refuse().reason is REASONS.NOT_CONNECTED
        assert world.held().state is GrantState.REMOVED
        assert world.cloud.revoked == [world.cloud.current_refresh_token]

    def test_f28_a_revocation_that_meets_a_refresh_ends_what_that_stored(self, world: World) -> None:
        world.clock.advance(HOUR)
        schedule = world.revocations.schedule

        def refreshed_meanwhile(*arguments: Any) -> Revocation:
            world.revocations.schedule = schedule  # type: ignore[method-assign]
            scheduled = schedule(*arguments)
            world.fetch()
            return scheduled

        world.revocations.schedule = refreshed_meanwhile  # type: ignore[method-assign]
        assert world.grants.revoke(ALICE, "northwind", ORIGIN) is not None
        assert world.grant() is None
        assert world.cloud.revoked == [world.cloud.current_refresh_token]
        assert world.revocation_store.revocations == {}

    def test_f28_a_revocation_that_never_gets_through_is_not_said_to_have_done_so(self, world: World) -> None:
        def changed(*_: object, **__: object) -> None:
            raise Conflict

        world.grant_store.delete = changed  # type: ignore[method-assign]
        with pytest.raises(Conflict):
            world.grants.revoke(ALICE, "northwind", ORIGIN)
        assert (world.cloud.revoked, world.revocation_store.revocations) == ([], {})

    def test_f28_a_consent_during_a_refresh_wins_and_is_not_ended(self, world: World) -> None:
        world.clock.advance(HOUR)

        def consented() -> None:
            world.cloud.meanwhile = lambda: None
            world.authorize(ACCOUNT)

        world.cloud.meanwhile = consented
        fresh = world.fetch()
        assert fresh.grant == world.held()
        assert fresh.grant.authorized_at == NOW + HOUR
        assert (world.cloud.revoked, world.revocation_store.revocations) == ([], {})

    def test_f28_r95_a_consent_of_another_account_during_a_refresh_ends_what_the_refresh_brought(
        self, world: World
    ) -> None:
        world.clock.advance(HOUR)
        brought: list[str] = []

        def consented() -> None:
            world.cloud.meanwhile = lambda: None
            brought.append(world.cloud.current_refresh_token)
            world.authorize(CloudAccount("cloud-2", "alice@other.example"))

        world.cloud.meanwhile = consented
        fresh = world.fetch()
        assert fresh.grant == world.held()
        assert world.cloud.revoked == brought

    def test_r95_what_a_cloud_that_is_down_does_not_end_is_written_down_and_ended_later(self, world: World) -> None:
        world.clock.advance(HOUR)

        def removed() -> None:
            world.grant_store.save(world.held().removed(NOW), replaces=world.held().version)
            world.cloud.fail_next(unavailable())

        world.cloud.meanwhile = removed
        assert world.refuse().reason is REASONS.NOT_CONNECTED
        assert world.cloud.revoked == []
        (entry,) = world.revocation_store.revocations.values()
        assert (entry.user_id, entry.generation, entry.grant_version) == (ALICE.id, 1, 0)
        world.clock.advance(60)
        assert world.revocations.retry_due() == 1
        assert world.cloud.revoked == [world.cloud.current_refresh_token]
        assert world.revocation_store.revocations == {}

    def test_r95_what_cannot_be_written_down_is_tried_at_once(self, world: World) -> None:
        world.clock.advance(HOUR)

        def down(_: Revocation) -> None:
            raise StorageUnavailable

        def removed() -> None:
            world.grant_store.save(world.held().removed(NOW), replaces=world.held().version)
            world.revocation_store.add = down  # type: ignore[method-assign]

        world.cloud.meanwhile = removed
        assert world.refuse().reason is REASONS.NOT_CONNECTED
        assert world.cloud.revoked == [world.cloud.current_refresh_token]

    def test_r95_a_removal_is_seen_although_the_storage_fails_at_that_moment(self, world: World) -> None:
        world.clock.advance(HOUR)
        load = world.grant_store.load
        failures = iter((StorageUnavailable(), StorageUnavailable()))

        def shaky(*where: Any) -> Holding:
            for failure in failures:
                raise failure
            return load(*where)

        def removed() -> None:
            world.grant_store.save(world.held().removed(NOW), replaces=world.held().version)
            world.grant_store.load = shaky  # type: ignore[method-assign]

        world.cloud.meanwhile = removed
        assert world.refuse().reason is REASONS.NOT_CONNECTED
        assert world.cloud.revoked == [world.cloud.current_refresh_token]

    def test_r95_a_grant_that_somebody_ended_meanwhile_keeps_nothing_alive(self, world: World) -> None:
        """Two refreshes crossed: the other one was refused, and what this one brought has no place any more."""
        world.clock.advance(HOUR)

        def ended() -> None:
            grant = world.held()
            world.put(world.seal(grant.ended(GrantReason.OUTCOME_UNKNOWN, NOW), world.stored()))

        world.cloud.meanwhile = ended
        assert world.refuse().reason is REASONS.NEEDS_REAUTHORIZATION
        assert world.cloud.revoked == [world.cloud.current_refresh_token]

    def test_a_cloud_without_revocation_is_not_asked_to_end_anything(self, world: World) -> None:
        world.catalogue.type = replace(world.catalogue.type, revocation=RevocationStyle.NONE)
        world.clock.advance(HOUR)
        world.cloud.meanwhile = lambda: world.grant_store.delete(world.held(), ended=world.held().version)
        assert world.refuse().reason is REASONS.NOT_CONNECTED
        assert (world.cloud.revoked, world.revocation_store.revocations) == ([], {})

    def test_f28_what_stops_the_caller_stops_who_waits(self, world: World) -> None:
        world.clock.advance(HOUR)
        world.leave_lease()

        def stopped() -> Holding:
            raise TokenRefused(REASONS.BLOCKED)

        world.load = stopped  # type: ignore[method-assign]
        assert world.refuse().reason is REASONS.BLOCKED


def unavailable(**how: object) -> CloudUnavailable:
    return CloudUnavailable(detail="HTTP 503", **how)  # type: ignore[arg-type]


class TestServer:
    def test_r92_what_was_sealed_before_servers_were_noted_opens_and_is_bound_with_its_next_version(
        self, world: World
    ) -> None:
        stored = world.grant()
        with world.cipher.unlock(world.providers.key("northwind", 1)) as box:
            unbound = replace(stored, server="")
            unbound = replace(
                unbound, token_set=box.encrypt(world.tokens(stored).to_bytes(), unbound.encryption_context())
            )
        world.grant_store.grants[stored.user_id, "northwind", 1, ""] = unbound
        assert "server" not in world.grant().encryption_context()
        world.clock.advance(HOUR)
        fresh = world.fetch().grant
        assert fresh.server == world.grant().server == world.providers.get("northwind").server_id
        assert world.tokens(world.grant())

    def test_r92_a_provider_that_a_hand_in_the_table_sent_elsewhere_gets_nothing_and_nothing_is_lost(
        self, world: World
    ) -> None:
        world.fetch()
        before, provider = world.grant(), world.providers.get("northwind")
        evil = replace(provider, server=replace(provider.server, token_endpoint="https://evil.example"))
        world.providers.providers["northwind"] = evil
        assert world.refuse().reason is REASONS.PROVIDER_MISCONFIGURED
        world.providers.providers["northwind"] = provider
        assert world.fetch().grant == before


class TestTrouble:
    @pytest.mark.parametrize(
        ("error", "reason"),
        [
            (unavailable(), GrantReason.CLOUD_UNAVAILABLE),
            (unavailable(retry_after=3), GrantReason.CLOUD_UNAVAILABLE),
            (CloudUnavailable(detail="ReadTimeout", answer_lost=True), GrantReason.OUTCOME_UNKNOWN),
            (CloudAnswerInvalid(detail="HTML"), GrantReason.OUTCOME_UNKNOWN),
        ],
    )
    def test_f12_f16_trouble_that_may_pass_never_ends_a_grant(
        self, world: World, error: CloudError, reason: GrantReason
    ) -> None:
        tokens = world.stored()
        world.clock.advance(HOUR)
        world.cloud.fail_next(error)
        refusal = world.refuse()
        assert (refusal.reason, refusal.retry_after) == (REASONS.PROVIDER_UNAVAILABLE, 15)
        failing = world.held()
        assert (failing.state, failing.reason, failing.failures) == (GrantState.FAILING, reason, 1)
        assert (world.stored(), failing.lease) == (tokens, None)
        assert world.tags() == [AuditTag.GRANT_FAILING]
        world.clock.advance(15)
        assert world.fetch().grant.state is GrantState.ACTIVE
        assert (world.held().failures, world.held().unknown_since) == (0, None)
        assert world.tags() == [AuditTag.GRANT_FAILING, AuditTag.GRANT_RECOVERED]

    @pytest.mark.parametrize("error", [unavailable(), CloudMisconfigured("invalid_client"), CloudAnswerInvalid()])
    def test_f12_a_token_that_lives_is_served_while_the_cloud_is_down(self, world: World, error: CloudError) -> None:
        tokens = world.stored()
        world.clock.advance(HOUR - 200)
        world.cloud.fail_next(error)
        assert [world.fetch().tokens for _ in range(3)] == [tokens] * 3
        assert world.cloud.refreshes == 1

    def test_a_failing_grant_is_told_once_and_tried_less_and_less_often(self, world: World) -> None:
        world.clock.advance(HOUR)
        waits = []
        for _ in range(3):
            world.cloud.fail_next(unavailable())
            waits.append(world.refuse().retry_after or 0)
            world.clock.advance(40)
            world.grant_store.health.stored.clear()
            world.clock.advance(waits[-1])
        assert waits == [15, 30, 60]
        assert world.tags() == [AuditTag.GRANT_FAILING]

    def test_f13_after_too_many_requests_nobody_asks_before_the_time_the_cloud_gave(self, world: World) -> None:
        world.clock.advance(HOUR)
        world.cloud.fail_next(unavailable(retry_after=30))
        assert world.refuse().retry_after == 30
        world.clock.advance(29)
        assert world.refuse().retry_after == 1
        assert world.cloud.refreshes == 1
        world.clock.advance(1)
        world.fetch()
        assert world.cloud.refreshes == 2

    def test_f13_a_pause_of_an_hour_is_kept_to_its_end(self, world: World) -> None:
        world.clock.advance(HOUR)
        world.cloud.fail_next(unavailable(retry_after=86400))
        assert world.refuse().retry_after == HOUR

    def test_f13_r99_a_pause_that_one_person_s_grant_was_given_is_nobody_else_s(self, world: World) -> None:
        world.authorize_others()
        world.clock.advance(HOUR)
        assert world.refuse_of(ALICE.id, unavailable(retry_after=900)).retry_after == 900
        assert world.fetch_of(BOB.id).grant.state is GrantState.ACTIVE

    def test_f13_a_pause_that_two_people_s_grants_were_given_is_everybody_s(self, world: World) -> None:
        world.authorize_others()
        world.clock.advance(HOUR)
        for user_id in (ALICE.id, BOB.id):
            world.refuse_of(user_id, unavailable(retry_after=900))
        assert world.refuse_of(CAROL).retry_after == 900
        assert world.cloud.refreshes == 2
        assert world.of(CAROL).state is GrantState.ACTIVE

    def test_f18_a_pause_that_a_clock_far_ahead_has_noted_counts_for_nothing(self, world: World) -> None:
        world.clock.advance(HOUR)
        world.refuse_of(ALICE.id, unavailable(retry_after=60))
        day = 24 * HOUR
        held = world.held()
        world.grant_store.save(replace(held, next_attempt_at=world.clock.now() + day), replaces=held.version)
        health = world.grant_store.health.get("northwind")
        world.grant_store.health.save(replace(health, open_until=world.clock.now() + day))
        assert world.fetch().grant.state is GrantState.ACTIVE

    def test_f3_a_lost_answer_is_retried_once_when_the_access_token_is_over(self, world: World) -> None:
        world.clock.advance(HOUR - 200)
        world.cloud.answer_lost = True
        for _ in range(3):
            world.fetch()
            world.clock.advance(40)
        assert world.cloud.refreshes == 1
        assert world.held().unknown_since == NOW + HOUR - 200
        world.clock.advance(80)
        refusal = world.refuse()
        assert (refusal.reason, world.cloud.refreshes) == (REASONS.NEEDS_REAUTHORIZATION, 2)
        assert world.held().reason is GrantReason.OUTCOME_UNKNOWN

    def test_f4_a_cloud_that_takes_the_token_again_makes_the_retry_succeed(self, world: World) -> None:
        world.clock.advance(HOUR)
        world.cloud.answer_lost = True
        assert world.refuse().reason is REASONS.PROVIDER_UNAVAILABLE
        world.clock.advance(15)
        world.cloud.current_refresh_token = ""
        assert world.fetch().grant.state is GrantState.ACTIVE

    def test_f14_a_refusal_is_final_told_once_and_keeps_the_ciphertext(self, world: World) -> None:
        tokens = world.stored()
        world.clock.advance(HOUR)
        error = CloudRefused("invalid_grant", detail="token revoked")
        world.cloud.fail_next(error)
        assert world.refuse().detail == error.detail
        for _ in range(2):
            assert world.refuse().reason is REASONS.NEEDS_REAUTHORIZATION
        left = world.held()
        assert (left.state, left.reason) == (GrantState.NEEDS_REAUTHORIZATION, GrantReason.REFUSED_BY_CLOUD)
        assert world.tokens(left) == tokens
        assert world.cloud.refreshes == 1
        assert world.tags() == [AuditTag.GRANT_NEEDS_REAUTHORIZATION]

    @pytest.mark.parametrize(
        "error",
        [CloudRefused("invalid_grant"), CloudMisconfigured("invalid_client"), unavailable(), CloudAnswerInvalid()],
    )
    def test_f14_no_trouble_counts_when_a_newer_version_is_there(self, world: World, error: CloudError) -> None:
        world.clock.advance(HOUR)
        holding = world.load()
        refresh = world.cloud.refresh

        def somebody_consents_meanwhile(*arguments: object) -> TokenSet:
            world.cloud.refresh = refresh  # type: ignore[method-assign]
            world.authorize(ACCOUNT)
            raise error

        world.cloud.refresh = somebody_consents_meanwhile  # type: ignore[method-assign, assignment]
        assert world.fetch(holding=holding).grant == world.held()
        assert world.held().state is GrantState.ACTIVE
        assert world.tags() == [AuditTag.GRANT_AUTHORIZED]

    def test_f28_a_provider_that_is_gone_leaves_no_token_alive(self, world: World) -> None:
        world.clock.advance(HOUR)

        def deleted() -> None:
            world.grant_store.grants.clear()
            world.providers.providers.clear()

        world.cloud.meanwhile = deleted
        with pytest.raises(NotFound):
            world.fetch()
        assert world.cloud.revoked == [world.cloud.current_refresh_token]

    def test_f14_a_grant_that_is_gone_stays_gone(self, world: World) -> None:
        world.clock.advance(HOUR)

        def deleted() -> None:
            world.grant_store.delete(world.held(), ended=world.held().version)

        world.cloud.meanwhile = deleted
        assert world.refuse().reason is REASONS.NOT_CONNECTED
        assert (world.grant(), len(world.cloud.revoked)) == (None, 1)

    def test_f15_a_wrong_client_secret_is_nobodys_grant_and_told_once(self, world: World) -> None:
        before = world.held()
        world.clock.advance(HOUR)
        for _ in range(3):
            world.cloud.fail_next(CloudMisconfigured("invalid_client"))
            assert world.refuse().reason is REASONS.PROVIDER_MISCONFIGURED
            world.clock.advance(60)
        after = world.held()
        assert (after.state, after.version, after.lease) == (GrantState.ACTIVE, before.version, None)
        assert world.cloud.refreshes == 3
        assert world.tags() == [AuditTag.PROVIDER_MISCONFIGURED]
        world.cloud._failures.clear()
        world.fetch()
        assert world.grant_store.health.get("northwind").is_well

    def test_f15_who_cannot_note_it_has_said_it_to_the_caller(self, world: World) -> None:
        """Somebody else notes at the same moment, again and again: the last of the tries is theirs, too."""
        world.clock.advance(HOUR)

        def overtaken(_: object) -> None:
            raise Conflict

        world.grant_store.health.save = overtaken  # type: ignore[method-assign]
        world.cloud.fail_next(CloudMisconfigured("invalid_client"))
        assert world.refuse().reason is REASONS.PROVIDER_MISCONFIGURED
        assert world.tags() == []
        world.clock.advance(60)
        world.cloud.fail_next(unavailable())
        assert world.refuse().reason is REASONS.PROVIDER_UNAVAILABLE

    def test_f15_after_the_registration_was_changed_it_is_tried_at_once(self, world: World) -> None:
        world.clock.advance(HOUR)
        world.cloud.fail_next(CloudMisconfigured("invalid_client"))
        world.refuse()
        assert world.refuse().reason is REASONS.PROVIDER_MISCONFIGURED
        assert world.cloud.refreshes == 1
        world.providers.update(replace(world.providers.get("northwind"), name="New"))
        world.fetch()
        assert world.cloud.refreshes == 2

    def test_a_client_secret_that_does_not_open_is_a_misconfiguration(self, world: World) -> None:
        world.clock.advance(HOUR)
        provider = world.providers.get("northwind")
        world.providers.update(replace(provider, server=replace(provider.server, jwks_uri="https://other.example")))
        assert world.refuse().reason is REASONS.PROVIDER_MISCONFIGURED
        assert (world.cloud.refreshes, world.held().state, world.held().fence) == (0, GrantState.ACTIVE, 0)

    def test_f34_what_does_not_open_is_kept_aside_and_told_once(self, world: World) -> None:
        broken = (world.held().token_set or b"")[:-1] + b"?"
        world.put(replace(world.held(), token_set=broken))
        for _ in range(2):
            assert world.refuse().reason is REASONS.NEEDS_REAUTHORIZATION
        left = world.held()
        assert (left.state, left.reason) == (GrantState.NEEDS_REAUTHORIZATION, GrantReason.UNREADABLE)
        assert left.token_set == broken
        assert world.tags() == [AuditTag.INTEGRITY_VIOLATED]

    def test_f34_what_was_mended_meanwhile_is_not_kept_aside(self, world: World) -> None:
        whole = world.held()
        world.put(replace(whole, token_set=b"changed"))
        holding = world.load()
        world.put(replace(whole, version=whole.version + 1))
        with pytest.raises(TokenRefused):
            world.fetch(holding=holding)
        assert (world.held().state, world.tags()) == (GrantState.ACTIVE, [])


def unclear(error: str = "invalid_request", **how: object) -> CloudRefusalUnclear:
    how = {"may_be_registration": error in WORDS} | how
    return CloudRefusalUnclear(error, detail=f"{error}: no", **how)  # type: ignore[arg-type]


WORDS = ("invalid_request", "invalid_scope", "unauthorized_client")


class TestUnclearRefusals:
    """A word that may mean anything is one grant's own, until somebody else is refused in it (R99, R101)."""

    @pytest.fixture(autouse=True)
    def others(self, world: World) -> None:
        world.authorize_others()
        world.clock.advance(HOUR)

    def pause(self, world: World) -> None:
        """Until the next attempt for alice is allowed."""
        world.clock.advance(world.held().next_attempt_at - world.clock.now())

    @pytest.mark.parametrize("word", [*WORDS, "access_denied", "http_403"])
    def test_r99_one_person_s_refusal_stops_nobody_else(self, world: World, word: str) -> None:
        refusal = world.refuse_of(ALICE.id, unclear(word))
        assert (refusal.reason, refusal.retry_after) == (REASONS.PROVIDER_UNAVAILABLE, 15)
        failing = world.held()
        assert (failing.state, failing.reason) == (GrantState.FAILING, GrantReason.REFUSED_FOR_NOW)
        assert world.tags() == [AuditTag.GRANT_FAILING]
        for user_id in (BOB.id, CAROL):
            assert world.fetch_of(user_id).grant.state is GrantState.ACTIVE
        assert world.tags() == [AuditTag.GRANT_FAILING]

    def test_r101_it_passes_when_the_cloud_gives_a_token_again(self, world: World) -> None:
        world.refuse_of(ALICE.id, unclear("access_denied"))
        self.pause(world)
        fresh = world.fetch()
        assert (fresh.grant.state, fresh.grant.refusals, fresh.grant.refused_since) == (GrantState.ACTIVE, 0, 0)
        assert world.tags() == [AuditTag.GRANT_FAILING, AuditTag.GRANT_RECOVERED]

    def refused_again_and_again(self, world: World, seconds: int) -> int:
        """As often as it may be tried in so many seconds. Gives how often that was."""
        end, times = world.clock.now() + seconds, 0
        while world.clock.now() < end and world.held().state is not GrantState.NEEDS_REAUTHORIZATION:
            world.refuse_of(ALICE.id, unclear("access_denied"))
            times += 1
            self.pause(world)
        return times

    def test_r101_repeated_and_spread_out_it_is_final_and_told_once(self, world: World) -> None:
        assert self.refused_again_and_again(world, REFUSED_SECONDS - 1) >= REFUSALS
        assert world.held().state is GrantState.FAILING
        assert self.refused_again_and_again(world, REFUSED_SECONDS) == 1
        left = world.held()
        assert (left.state, left.reason) == (GrantState.NEEDS_REAUTHORIZATION, GrantReason.REFUSED_REPEATEDLY)
        assert world.refuse().reason is REASONS.NEEDS_REAUTHORIZATION
        assert world.tags() == [AuditTag.GRANT_FAILING, AuditTag.GRANT_NEEDS_REAUTHORIZATION]

    def test_r101_few_refusals_over_days_are_not(self, world: World) -> None:
        for _ in range(REFUSALS - 1):
            world.refuse_of(ALICE.id, unclear("access_denied"))
            world.clock.advance(86400)
        assert world.held().state is GrantState.FAILING

    def test_r101_a_token_that_lives_is_given_however_often_the_next_one_is_refused(self, world: World) -> None:
        now = world.clock.now()
        world.put(world.seal(replace(world.held(), expires_at=now + 86400), world.stored()))
        for _ in range(2 * REFUSALS):
            world.cloud.fail_next(unclear("access_denied"))
            assert world.fetch(Need(renew=True)).tokens == world.stored()
            world.clock.advance(1000)
        assert (world.held().state, world.held().refusals) == (GrantState.FAILING, 2 * REFUSALS)

    def test_a_pause_that_the_cloud_asks_for_with_it_is_kept(self, world: World) -> None:
        assert world.refuse_of(ALICE.id, unclear("access_denied", retry_after=600)).retry_after == 600

    def test_f3_after_a_lost_answer_it_is_said_as_an_unknown_outcome(self, world: World) -> None:
        world.put(replace(world.held(), unknown_since=NOW))
        world.refuse_of(ALICE.id, unclear())
        assert world.held().reason is GrantReason.OUTCOME_UNKNOWN
        self.refused_again_and_again(world, 2 * REFUSED_SECONDS)
        assert (world.held().state, world.held().reason) == (
            GrantState.NEEDS_REAUTHORIZATION,
            GrantReason.OUTCOME_UNKNOWN,
        )

    @pytest.mark.parametrize("word", WORDS)
    def test_f15_r99_two_people_who_are_refused_in_one_word_within_the_hour_concern_all(
        self, world: World, word: str
    ) -> None:
        world.refuse_of(ALICE.id, unclear(word))
        world.clock.advance(DOUBT_SECONDS - 1)
        assert world.refuse_of(BOB.id, unclear(word)).reason is REASONS.PROVIDER_MISCONFIGURED
        assert world.of(BOB.id).state is GrantState.ACTIVE
        assert world.tags() == [AuditTag.GRANT_FAILING, AuditTag.PROVIDER_MISCONFIGURED]
        assert world.refuse_of(CAROL).reason is REASONS.PROVIDER_MISCONFIGURED
        assert world.cloud.refreshes == 2

    @pytest.mark.parametrize(
        "between",
        [
            lambda world: world.clock.advance(DOUBT_SECONDS),
            lambda world: world.fetch_of(CAROL),
            lambda world: world.providers.update(replace(world.providers.get("northwind"), name="New")),
        ],
        ids=["an hour", "somebody's token", "another registration"],
    )
    def test_r99_two_refusals_with_something_between_them_do_not(
        self, world: World, between: Callable[[World], object]
    ) -> None:
        world.refuse_of(ALICE.id, unclear())
        between(world)
        assert world.refuse_of(BOB.id, unclear()).reason is REASONS.PROVIDER_UNAVAILABLE
        assert world.of(BOB.id).state is GrantState.FAILING

    def test_r99_two_words_are_two_matters(self, world: World) -> None:
        world.refuse_of(ALICE.id, unclear("invalid_request"))
        assert world.refuse_of(BOB.id, unclear("invalid_scope")).reason is REASONS.PROVIDER_UNAVAILABLE

    def test_r99_one_person_with_two_accounts_is_one(self, world: World) -> None:
        world.refuse_of(ALICE.id, unclear())
        self.pause(world)
        assert world.refuse_of(ALICE.id, unclear()).reason is REASONS.PROVIDER_UNAVAILABLE

    def test_f15_one_who_gets_through_ends_it_for_all(self, world: World) -> None:
        for user_id in (ALICE.id, BOB.id):
            world.refuse_of(user_id, unclear())
        world.clock.advance(60)
        assert world.fetch_of(CAROL).grant.state is GrantState.ACTIVE
        assert world.grant_store.health.get("northwind").is_well

    def test_r99_what_refuses_everybody_in_an_unknown_word_ends_no_grant(self, world: World) -> None:
        """A gateway that refuses the vault's address, for a day."""
        everybody = (ALICE.id, BOB.id, CAROL)
        for _ in range(100):
            for user_id in everybody:
                world.refuse_of(user_id, unclear("http_403"))
            world.clock.advance(900)
        assert {world.of(user_id).state for user_id in everybody} == {GrantState.FAILING}
        world.cloud._failures.clear()
        world.clock.advance(900)
        assert world.fetch_of(CAROL).grant.state is GrantState.ACTIVE

    def test_r99_refusals_after_lost_answers_say_nothing_about_others(self, world: World) -> None:
        """A gateway was down for a moment, and several refresh tokens are spent."""
        for user_id in (ALICE.id, BOB.id):
            world.put(replace(world.of(user_id), unknown_since=NOW))
            assert world.refuse_of(user_id, unclear()).reason is REASONS.PROVIDER_UNAVAILABLE
        assert world.grant_store.health.get("northwind").is_well
        assert world.fetch_of(CAROL).grant.state is GrantState.ACTIVE

    def test_r99_a_wrong_client_is_everybody_s_at_once(self, world: World) -> None:
        world.refuse_of(ALICE.id, CloudMisconfigured("invalid_client"))
        assert world.refuse_of(BOB.id).reason is REASONS.PROVIDER_MISCONFIGURED
        assert world.cloud.refreshes == 1

    def test_f14_a_newer_version_counts_more(self, world: World) -> None:
        refresh = world.cloud.refresh

        def somebody_consents_meanwhile(*_: object) -> TokenSet:
            world.cloud.refresh = refresh  # type: ignore[method-assign]
            world.authorize(ACCOUNT)
            raise unclear()

        world.cloud.refresh = somebody_consents_meanwhile  # type: ignore[method-assign, assignment]
        assert world.fetch().grant.state is GrantState.ACTIVE


class TestAhead:
    @pytest.mark.parametrize(("ahead", "refreshes"), [(300, 1), (100, 0), (0, 0)])
    def test_r78_how_long_ahead_is_the_type_s(self, world: World, ahead: int, refreshes: int) -> None:
        world.catalogue.type = replace(world.catalogue.type, refresh_ahead_seconds=ahead)
        world.clock.advance(HOUR - 200)
        world.fetch()
        assert world.cloud.refreshes == refreshes

    def test_r78_a_cloud_that_refuses_early_refreshes_is_not_asked_early(self, world: World) -> None:
        world.catalogue.type = replace(world.catalogue.type, refresh_ahead_seconds=0)
        assert world.fetch(Need(renew=True)).tokens == world.stored()
        world.clock.advance(HOUR - 59)
        refusal = world.refuse()
        assert (refusal.reason, refusal.retry_after) == (REASONS.PROVIDER_UNAVAILABLE, 59)
        assert (world.cloud.refreshes, world.held().state) == (0, GrantState.ACTIVE)
        world.clock.advance(59)
        assert world.fetch().grant.state is GrantState.ACTIVE

    def test_a_token_that_was_refused_is_renewed_there_too(self, world: World) -> None:
        world.catalogue.type = replace(world.catalogue.type, refresh_ahead_seconds=0)
        rejected = hashlib.sha256(world.stored().access_token.reveal().encode()).hexdigest()
        world.fetch(Need(rejected_token_hash=rejected))
        assert world.cloud.refreshes == 1

    def test_a_refresh_that_began_in_time_ends_in_time(self) -> None:
        """What is left of a call covers the worst request to a cloud, and the gateway waits for longer than a call."""
        worst = cloud_transport.CONNECT_SECONDS + cloud_transport.ANSWER_SECONDS
        assert worst < REFRESH_SECONDS < BUDGET_SECONDS < 29
        assert worst < LEASE_SECONDS
        assert cloud_transport.REFRESH_SECONDS <= cloud_transport.ANSWER_SECONDS


class TestBreaker:
    @pytest.fixture(autouse=True)
    def others(self, world: World) -> None:
        world.authorize_others()

    def fail(self, world: World, times: int, people: tuple[str, ...] = (ALICE.id, BOB.id)) -> None:
        for number in range(times):
            user_id = people[number % len(people)]
            world.put(replace(world.of(user_id), next_attempt_at=0))
            world.refuse_of(user_id, unavailable())

    def test_r99_one_person_s_storm_of_failures_stops_nobody_else(self, world: World) -> None:
        world.clock.advance(HOUR)
        self.fail(world, 4 * FAILURES, (ALICE.id,))
        assert world.fetch_of(BOB.id).grant.state is GrantState.ACTIVE
        assert world.grant_store.health.get("northwind").is_well

    def test_r81_five_failures_and_nobody_asks_for_half_a_minute(self, world: World) -> None:
        world.clock.advance(HOUR)
        self.fail(world, FAILURES)
        assert world.cloud.refreshes == FAILURES
        world.put(replace(world.held(), next_attempt_at=0))
        assert world.refuse().retry_after == PAUSE_SECONDS
        assert world.cloud.refreshes == FAILURES

    def test_r81_then_one_alone_finds_out(self, world: World) -> None:
        world.clock.advance(HOUR)
        self.fail(world, FAILURES)
        world.put(replace(world.held(), next_attempt_at=0))
        world.clock.advance(PAUSE_SECONDS)
        holding = world.load()
        world.cloud.meanwhile = lambda: self.refused_while_probing(world, holding)
        world.fetch(holding=holding)
        assert world.cloud.refreshes == FAILURES + 1
        assert world.grant_store.health.get("northwind").is_well

    @staticmethod
    def refused_while_probing(world: World, holding: Holding) -> None:
        """Another grant, read before the probe began, and one read now."""
        for read in (holding, replace(holding, health=world.grant_store.health.get("northwind"))):
            with pytest.raises(TokenRefused) as refusal:
                world.fetch(holding=read)
            assert refusal.value.retry_after == PAUSE_SECONDS

    def test_r81_a_probe_that_fails_means_another_pause(self, world: World) -> None:
        world.clock.advance(HOUR)
        self.fail(world, FAILURES)
        world.clock.advance(PAUSE_SECONDS)
        self.fail(world, 1)
        world.put(replace(world.held(), next_attempt_at=0))
        assert world.refuse().retry_after == PAUSE_SECONDS
        assert world.cloud.refreshes == FAILURES + 1

    def test_r81_failures_far_apart_open_nothing(self, world: World) -> None:
        world.clock.advance(HOUR)
        for _ in range(FAILURES + 1):
            self.fail(world, 1)
            world.clock.advance(PAUSE_SECONDS)
        assert world.cloud.refreshes == FAILURES + 1

    def test_of_a_cloud_that_is_well_nothing_is_noted(self, world: World) -> None:
        world.clock.advance(HOUR)
        world.fetch()
        assert world.grant_store.health.stored == {}

    @pytest.mark.parametrize(
        ("asked_for", "is_news"), [(None, False), (PAUSE_SECONDS, False), (PAUSE_SECONDS + 1, True)]
    )
    def test_while_nobody_asks_anyhow_only_a_longer_pause_is_news(
        self, world: World, asked_for: int | None, is_news: bool
    ) -> None:
        world.clock.advance(HOUR)
        before = world.load()
        now = world.clock.now()
        known = ProviderHealth("northwind", FAILURES, now, people=("a", "b"), open_until=now + PAUSE_SECONDS)
        world.grant_store.health.stored["northwind"] = known
        world.cloud.fail_next(unavailable(retry_after=asked_for))
        with pytest.raises(TokenRefused):
            world.fetch(holding=before)
        assert (world.grant_store.health.get("northwind") != known) is is_news

    def test_a_note_about_the_cloud_that_cannot_be_stored_loses_nothing(self, world: World) -> None:
        world.clock.advance(HOUR)
        errors = iter([Conflict(), StorageUnavailable()])

        def broken(_: object) -> None:
            raise next(errors)

        world.grant_store.health.save = broken  # type: ignore[method-assign]
        world.cloud.fail_next(unavailable())
        assert world.refuse().reason is REASONS.PROVIDER_UNAVAILABLE
        assert world.held().state is GrantState.FAILING


class TestStorage:
    @staticmethod
    def break_saving(world: World, *, after: int, times: int, stores: bool = False) -> None:
        """Let `after` writes of grants pass and the next `times` fail, after they were stored or not."""
        save, count = world.grant_store.save, 0

        def broken(grant: Grant, **how: object) -> None:
            nonlocal count
            count += 1
            if not after < count <= after + times:
                save(grant, **how)  # type: ignore[arg-type]
                return
            if stores:
                save(grant, **how)  # type: ignore[arg-type]
            raise StorageUnavailable

        world.grant_store.save = broken  # type: ignore[method-assign]

    def test_f10_a_write_that_fails_is_tried_again(self, world: World) -> None:
        world.clock.advance(HOUR)
        self.break_saving(world, after=1, times=2)
        assert world.fetch().tokens == world.stored()
        assert world.cloud.refreshes == 1
        assert world.clock.slept == pytest.approx(0.1 + 0.2)

    def test_f9_an_outcome_whose_reply_was_lost_recognises_itself(self, world: World) -> None:
        world.clock.advance(HOUR)
        self.break_saving(world, after=1, times=1, stores=True)
        assert world.fetch().tokens == world.stored()
        assert (world.cloud.refreshes, world.cloud.revoked) == (1, [])

    def test_f9_a_recovery_whose_reply_was_lost_is_told(self, world: World) -> None:
        world.clock.advance(HOUR)
        world.cloud.fail_next(unavailable())
        world.refuse()
        world.clock.advance(15)
        self.break_saving(world, after=1, times=1, stores=True)
        world.fetch()
        assert world.tags() == [AuditTag.GRANT_FAILING, AuditTag.GRANT_RECOVERED]

    def test_f28_a_removal_between_two_tries_of_a_write_wins(self, world: World) -> None:
        world.clock.advance(HOUR)
        self.break_saving(world, after=1, times=1)
        sleep = world.clock.sleep

        def removed(seconds: float) -> None:
            world.put(world.held().removed(NOW))
            sleep(seconds)

        world.clock.sleep = removed  # type: ignore[method-assign]
        assert world.refuse().reason is REASONS.NOT_CONNECTED
        assert world.cloud.revoked == [world.cloud.current_refresh_token]

    def test_f10_what_the_table_does_not_take_is_kept_aside_and_brought_home(self, world: World) -> None:
        world.clock.advance(HOUR)
        self.break_saving(world, after=1, times=3)
        first = world.fetch()
        assert world.held().lease is not None
        saves, save = [], world.grant_store.save

        def counted(grant: Grant, **how: object) -> None:
            saves.append(grant)
            save(grant, **how)  # type: ignore[arg-type]

        world.grant_store.save = counted  # type: ignore[method-assign, assignment]
        second = world.fetch()
        assert second.tokens == first.tokens == world.stored()
        assert (world.cloud.refreshes, world.held().lease) == (1, None)
        assert saves == [second.grant]

    def test_f10_it_is_kept_aside_for_as_long_as_promised(self, world: World) -> None:
        world.clock.advance(HOUR)
        self.break_saving(world, after=1, times=3)
        kept = []
        world.grant_store.spill = lambda _, until: kept.append(until)  # type: ignore[method-assign]
        world.fetch()
        assert kept == [world.clock.now() + SPILL_SECONDS]

    def test_f10_it_is_brought_home_also_while_the_new_token_is_not_needed_yet(self, world: World) -> None:
        world.clock.advance(HOUR - 200)
        self.break_saving(world, after=1, times=3)
        first = world.fetch()
        world.clock.advance(700)
        assert world.fetch().tokens == first.tokens
        assert world.cloud.refreshes == 1

    def test_where_nothing_can_be_stored_nothing_is_given(self, world: World) -> None:
        world.clock.advance(HOUR)
        self.break_saving(world, after=1, times=3)

        def down(*_: object) -> None:
            raise StorageUnavailable

        world.grant_store.spill = down  # type: ignore[method-assign]
        with pytest.raises(StorageUnavailable):
            world.fetch()
        assert world.held().lease is not None

    def test_r83_without_a_lease_nothing_is_sent(self, world: World) -> None:
        world.clock.advance(HOUR)
        self.break_saving(world, after=0, times=1)
        with pytest.raises(StorageUnavailable):
            world.fetch()
        assert world.cloud.refreshes == 0

    def test_f6_r83_without_the_key_nothing_is_sent(self, world: World) -> None:
        world.clock.advance(HOUR)
        before = world.held()
        world.cipher.available = False
        with pytest.raises(KeyUnavailable):
            world.fetch()
        assert (world.cloud.refreshes, world.held()) == (0, before)

    def test_f8_a_key_service_that_dies_meanwhile_loses_nothing(self, world: World) -> None:
        world.clock.advance(HOUR)

        def dies() -> None:
            world.cipher.available = False

        world.cloud.meanwhile = dies
        fresh = world.fetch()
        world.cipher.available = True
        assert fresh.tokens == world.stored()


class TestWhatIsSaid:
    """A line for the log at each outcome, with ids and codes and no secret."""

    @pytest.fixture
    def lines(self, world: World, caplog: pytest.LogCaptureFixture) -> pytest.LogCaptureFixture:
        caplog.set_level(logging.INFO, "chalicelib.services.refresh")
        world.clock.advance(HOUR)
        return caplog

    @staticmethod
    def said(lines: pytest.LogCaptureFixture) -> list[tuple[str, ...]]:
        names = ("user_id", "provider_id", "code", "detail")
        return [(line.message, *(getattr(line, name, "") for name in names)) for line in lines.records]

    def test_a_refresh(self, world: World, lines: pytest.LogCaptureFixture) -> None:
        world.fetch()
        assert self.said(lines) == [("grant.refreshed", ALICE.id, "northwind", "", "")]

    @pytest.mark.parametrize(
        "error",
        [unavailable(), CloudAnswerInvalid(), CloudRefused("invalid_grant"), CloudMisconfigured("invalid_client")],
    )
    def test_a_cloud_s_no(self, world: World, error: CloudError, lines: pytest.LogCaptureFixture) -> None:
        world.cloud.fail_next(error)
        world.refuse()
        assert self.said(lines) == [("refresh.failed", ALICE.id, "northwind", error.code, error.detail)]

    def test_f34_what_does_not_open(self, world: World, lines: pytest.LogCaptureFixture) -> None:
        world.put(replace(world.held(), token_set=b"changed"))
        world.refuse()
        assert [line[:3] for line in self.said(lines)] == [("refresh.failed", ALICE.id, "northwind")]
        (event,) = world.audit_log.events
        assert (event.tag, event.user_id, event.provider_id) == (AuditTag.INTEGRITY_VIOLATED, ALICE.id, "northwind")

    def test_a_client_secret_that_does_not_open(self, world: World, lines: pytest.LogCaptureFixture) -> None:
        world.providers.update(replace(world.providers.get("northwind"), client_secret=b"changed"))
        world.refuse()
        assert [line[:4] for line in self.said(lines)] == [
            ("refresh.failed", ALICE.id, "northwind", IntegrityViolation.code)
        ]

    def test_f10_what_could_not_be_stored(self, world: World, lines: pytest.LogCaptureFixture) -> None:
        TestStorage.break_saving(world, after=1, times=3)
        world.fetch()
        assert [line[0] for line in self.said(lines)] == ["refresh.failed"] * 3 + ["refresh.unsaved"]
        assert {line[1:4] for line in self.said(lines)} == {(ALICE.id, "northwind", StorageUnavailable.code)}

    def test_the_cloud_s_health_that_could_not_be_stored(self, world: World, lines: pytest.LogCaptureFixture) -> None:
        def broken(_: object) -> None:
            raise StorageUnavailable

        world.grant_store.health.save = broken  # type: ignore[method-assign]
        world.cloud.fail_next(unavailable())
        world.refuse()
        assert [line[3] for line in self.said(lines)] == [CloudUnavailable.code, StorageUnavailable.code]

    @pytest.mark.parametrize(
        ("error", "tag"),
        [
            (unavailable(), AuditTag.GRANT_FAILING),
            (CloudRefused("invalid_grant"), AuditTag.GRANT_NEEDS_REAUTHORIZATION),
        ],
    )
    def test_the_audit_log_names_person_reason_and_account(
        self, world: World, error: CloudError, tag: AuditTag
    ) -> None:
        world.clock.advance(HOUR)
        world.cloud.fail_next(error)
        world.refuse()
        (event,) = world.audit_log.events
        held = world.held()
        assert (event.tag, event.actor, event.user_id, event.provider_id) == (tag, "-", ALICE.id, "northwind")
        assert event.facts == {"reason": held.reason.value, "account": held.account.label}

    def test_f15_a_wrong_registration_is_noted_for_the_administrators(self, world: World) -> None:
        world.clock.advance(HOUR)
        world.cloud.fail_next(CloudMisconfigured("invalid_client"))
        world.refuse()
        (event,) = world.audit_log.events
        assert (event.tag, event.actor, event.user_id) == (AuditTag.PROVIDER_MISCONFIGURED, "-", "")
        assert (event.provider_id, event.facts) == ("northwind", {"error": "invalid_client"})


def test_who_else_may_send_a_refresh_token() -> None:
    """Nobody: only this service knows leases."""
    from dev.process import ROOT

    callers = [
        path.name
        for folder in ("services", "routes", "web")
        for path in (ROOT / "chalicelib" / folder).glob("*.py")
        if "oauth_client.refresh(" in path.read_text(encoding="utf-8")
    ]
    assert callers == ["refresh.py"]


def test_f28_what_is_written_under_an_ended_generation_is_found_by_nobody(world: World) -> None:
    world.clock.advance(HOUR)

    def all_removed() -> None:
        provider = world.providers.get("northwind")
        world.providers.add_key(world.cipher.new_key("northwind", 2))
        world.providers.update(replace(provider, generation=2, removed_at=NOW))

    world.cloud.meanwhile = all_removed
    assert world.fetch().grant.generation == 1
    assert world.grant() is None
