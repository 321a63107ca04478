"""Revoking: unusable here at once, ended at the cloud for sure or honestly not."""

from collections.abc import Iterator
from dataclasses import replace

import pytest

from chalicelib.domain.audit import AuditTag, Outcome
from chalicelib.domain.errors import CloudRefused, CloudUnavailable, Conflict
from chalicelib.domain.grant import Grant, Revocation, RevocationOutcome
from chalicelib.domain.provider import ClientSecrets
from chalicelib.domain.provider_type import RevocationStyle
from chalicelib.domain.secret import Secret
from chalicelib.ports import Client
from chalicelib.services.revocations import BUDGET, FIRST_RETRY_SECONDS, GIVE_UP_SECONDS
from tests.fakes.killing import every_point
from tests.fakes.services import ORIGIN, FakeVault
from tests.samples import ACCOUNT, ALICE, TOKENS


@pytest.fixture
def vault() -> FakeVault:
    vault = FakeVault()
    vault.authorize(ACCOUNT)
    return vault


def revoke(vault: FakeVault) -> RevocationOutcome | None:
    revoked = vault.grants.revoke(ALICE, "northwind", ORIGIN)
    return revoked.outcome if revoked else None


def held(vault: FakeVault) -> Grant:
    grant = vault.grant()
    assert grant is not None
    return grant


class TestRevoke:
    def test_r88_the_refresh_token_is_revoked_and_the_cloud_confirmed_it(self, vault: FakeVault) -> None:
        refresh_token = vault.tokens(held(vault)).refresh_token
        assert refresh_token is not None
        assert revoke(vault) is RevocationOutcome.REVOKED
        assert vault.cloud.revoked == [refresh_token.reveal()]
        assert vault.grant() is None
        assert vault.revocation_store.revocations == {}

    def test_r88_a_cloud_without_revocation_is_not_said_to_have_revoked(self, vault: FakeVault) -> None:
        vault.catalogue.type = replace(vault.catalogue.type, revocation=RevocationStyle.NONE)
        assert revoke(vault) is RevocationOutcome.NOT_OFFERED
        assert (vault.grant(), vault.cloud.revoked) == (None, [])

    @pytest.mark.parametrize("error", [CloudUnavailable(), CloudRefused("unsupported_token_type")])
    def test_f26_a_cloud_that_does_not_confirm_is_asked_again(
        self, vault: FakeVault, error: CloudUnavailable | CloudRefused
    ) -> None:
        vault.cloud.fail_next(error)
        assert revoke(vault) is RevocationOutcome.PENDING
        assert vault.grant() is None
        vault.clock.advance(FIRST_RETRY_SECONDS)
        assert vault.revocations.retry_due() == 1
        assert len(vault.cloud.revoked) == 1
        assert vault.audit_log.events[-1].tag is AuditTag.REVOCATION_RETRIED

    def test_the_grant_is_gone_before_the_cloud_is_asked(self, vault: FakeVault) -> None:
        seen: list[Grant | None] = []
        vault.cloud.revoke = lambda *_: seen.append(vault.grant())
        revoke(vault)
        assert seen == [None]

    def test_f34_tokens_that_do_not_open_are_said_to_be_unreadable(self, vault: FakeVault) -> None:
        vault.grant_store.grants[ALICE.id, "northwind", 1, ""] = replace(held(vault), token_set=b"x" * 64)
        assert revoke(vault) is RevocationOutcome.UNREADABLE
        assert (vault.grant(), vault.cloud.revoked) == (None, [])
        assert [event.tag for event in vault.audit_log.events[-2:]] == [
            AuditTag.INTEGRITY_VIOLATED,
            AuditTag.GRANT_REVOKED,
        ]

    def test_a_client_secret_that_does_not_open_keeps_nobody_from_revoking(self, vault: FakeVault) -> None:
        vault.providers.update(replace(vault.providers.get("northwind"), client_secret=b"x" * 64))
        assert revoke(vault) is RevocationOutcome.PENDING
        assert vault.grant() is None

    def test_r84_a_second_click_revokes_nothing_more(self, vault: FakeVault) -> None:
        assert revoke(vault) is RevocationOutcome.REVOKED
        assert revoke(vault) is None
        assert len(vault.cloud.revoked) == 1

    def test_r84_two_clicks_at_once_have_one_effect(self, vault: FakeVault) -> None:
        def already_deleted(_: Grant) -> None:
            vault.grant_store.grants.clear()
            raise Conflict

        vault.grant_store.delete = already_deleted
        assert revoke(vault) is None
        assert (vault.cloud.revoked, vault.revocation_store.revocations) == ([], {})

    def test_what_an_administrator_removed_cannot_be_revoked(self, vault: FakeVault) -> None:
        grant = held(vault)
        vault.grant_store.save(grant.removed(vault.clock.now()), replaces=grant.version)
        assert revoke(vault) is None

    def test_r67_a_revocation_is_an_audit_event_with_what_the_cloud_did(self, vault: FakeVault) -> None:
        revoke(vault)
        assert [(event.tag, event.user_id, event.facts) for event in vault.audit_log.events[-2:]] == [
            (AuditTag.GRANT_REVOKED, ALICE.id, {"cloud": "asked", "account": ACCOUNT.label}),
            (AuditTag.REVOCATION_RETRIED, ALICE.id, {"cloud": "revoked", "attempts": "1"}),
        ]


def pending(vault: FakeVault) -> Revocation:
    """Alice has revoked while the cloud did not answer."""
    vault.cloud.fail_next(CloudUnavailable())
    revoke(vault)
    (entry,) = vault.revocation_store.revocations.values()
    return entry


def add_provider(vault: FakeVault, name: str) -> None:
    """Another one, whose client is called as it is."""
    other = replace(vault.providers.get("northwind"), id=name, client_id=name, name=name)
    key = vault.cipher.new_key(name, 1)
    with vault.cipher.unlock(key) as box:
        secret = box.encrypt(ClientSecrets(Secret("client-secret")).to_bytes(), other.secret_context())
    vault.providers.add_key(key)
    vault.providers.add(replace(other, client_secret=secret))


def add_entry(vault: FakeVault, entry: Revocation) -> None:
    """With tokens that open."""
    with vault.cipher.unlock(vault.providers.key(entry.provider_id, 1)) as box:
        tokens = box.encrypt(TOKENS.to_bytes(), entry.encryption_context())
    vault.revocation_store.add(replace(entry, tokens=tokens))


class TestRetry:
    def test_f25_finishes_a_revocation_whose_request_died(self, vault: FakeVault) -> None:
        grant = held(vault)
        with vault.cipher.unlock(vault.providers.key("northwind", 1)) as box:
            vault.revocations.schedule(grant, box)
        vault.clock.advance(FIRST_RETRY_SECONDS)
        assert vault.revocations.retry_due() == 1
        assert vault.grant() is None

    def test_a_run_ends_in_time_and_the_next_goes_on(self, vault: FakeVault) -> None:
        provider = vault.providers.get("northwind")
        with vault.cipher.unlock(vault.providers.key(provider.id, 1)) as box:
            for _ in range(3):
                vault.revocations.schedule(held(vault), box)
        vault.clock.advance(FIRST_RETRY_SECONDS)
        vault.cloud.revoke = lambda *_: vault.clock.sleep(BUDGET.run_seconds)
        assert [vault.revocations.retry_due() for _ in range(4)] == [1, 1, 1, 0]

    def test_leaves_a_newer_grant_alone(self, vault: FakeVault) -> None:
        with vault.cipher.unlock(vault.providers.key("northwind", 1)) as box:
            vault.revocations.schedule(held(vault), box)
        vault.authorize(ACCOUNT)
        newer = held(vault)
        vault.clock.advance(FIRST_RETRY_SECONDS)
        vault.revocations.retry_due()
        assert held(vault) == newer

    def test_leaves_a_grant_alone_that_was_made_after_the_revocation(self, vault: FakeVault) -> None:
        vault.cloud.fail_next(CloudUnavailable())
        assert revoke(vault) is RevocationOutcome.PENDING
        vault.clock.advance(30)
        vault.authorize(ACCOUNT)
        newer = held(vault)
        vault.clock.advance(FIRST_RETRY_SECONDS)
        assert vault.revocations.retry_due() == 1
        assert held(vault) == newer

    def test_one_entry_that_cannot_be_tried_does_not_stop_the_others(self, vault: FakeVault) -> None:
        vault.cloud.fail_next(CloudUnavailable())
        revoke(vault)
        (entry,) = vault.revocation_store.revocations.values()
        broken = replace(vault.providers.get("northwind"), id="broken")
        vault.providers.add_key(vault.cipher.new_key("broken", 1))
        vault.providers.add(broken)
        vault.providers.delete_key("broken", 1)
        earlier = replace(entry, id="broken", provider_id="broken", next_attempt_at=entry.next_attempt_at - 1)
        vault.revocation_store.add(earlier)
        vault.clock.advance(FIRST_RETRY_SECONDS)
        assert vault.revocations.retry_due() == 1
        (left,) = vault.revocation_store.revocations.values()
        assert (left.id, left.attempts) == ("broken", 1)

    def test_opens_what_was_stored_before_a_removal(self, vault: FakeVault) -> None:
        vault.cloud.fail_next(CloudUnavailable())
        revoke(vault)
        provider = vault.providers.get("northwind")
        second = vault.cipher.new_key("northwind", 2)
        vault.providers.add_key(second)
        raised = replace(provider, generation=2)
        with vault.cipher.unlock(second) as box:
            vault.providers.update(replace(raised, client_secret=box.encrypt(b'["s"]', raised.secret_context())))
        vault.clock.advance(FIRST_RETRY_SECONDS)
        assert vault.revocations.retry_due() == 1

    def test_waits_longer_after_each_failure(self, vault: FakeVault) -> None:
        vault.cloud.fail_next(*[CloudUnavailable()] * 4)
        revoke(vault)
        waits = []
        for _ in range(3):
            (entry,) = vault.revocation_store.revocations.values()
            vault.clock.advance(entry.next_attempt_at - vault.clock.now())
            vault.revocations.retry_due()
            (entry,) = vault.revocation_store.revocations.values()
            waits.append(entry.next_attempt_at - vault.clock.now())
        assert waits == [60, 240, 960]

    def test_gives_up_after_a_week_and_says_so(self, vault: FakeVault) -> None:
        vault.cloud.fail_next(CloudUnavailable(), CloudUnavailable())
        revoke(vault)
        vault.clock.advance(GIVE_UP_SECONDS)
        assert vault.revocations.retry_due() == 0
        assert vault.revocation_store.revocations == {}
        event = vault.audit_log.events[-1]
        assert (event.outcome, event.facts["cloud"]) == (Outcome.FAILURE, "no_confirmation")

    def test_gives_up_when_the_key_is_gone(self, vault: FakeVault) -> None:
        vault.cloud.fail_next(CloudUnavailable())
        revoke(vault)
        (entry,) = vault.revocation_store.revocations.values()
        vault.revocation_store.revocations[entry.id] = replace(entry, generation=0)
        vault.clock.advance(FIRST_RETRY_SECONDS)
        assert vault.revocations.retry_due() == 0
        assert vault.revocation_store.revocations == {}
        assert vault.audit_log.events[-1].facts["cloud"] == "not_found"

    def test_r99_a_cloud_that_hangs_with_a_thousand_keeps_another_waiting_two_minutes_at_the_most(
        self, vault: FakeVault
    ) -> None:
        """The single revocation of the healthy one became due last; nobody knows yet that the other one hangs."""
        entry = pending(vault)
        add_provider(vault, "a-hanging")
        for number in range(1000):
            early = replace(entry, id=f"a-{number}", provider_id="a-hanging", next_attempt_at=entry.next_attempt_at - 9)
            add_entry(vault, early)
        asked_at: list[int] = []

        def revoke(client: Client, *_: object) -> None:
            if client.id == "a-hanging":
                vault.clock.sleep(13)
                raise CloudUnavailable(detail="ReadTimeout")
            asked_at.append(vault.clock.now())

        vault.cloud.revoke = revoke  # type: ignore[method-assign]
        vault.clock.advance(FIRST_RETRY_SECONDS)
        due_at = vault.clock.now()
        vault.revocations.retry_due()
        assert asked_at
        assert asked_at[0] - due_at <= 120

    def test_r99_many_clouds_that_hang_are_known_after_one_round(self, vault: FakeVault) -> None:
        entry = pending(vault)
        for number in range(100):
            name = f"a-{number:04}"
            add_provider(vault, name)
            add_entry(vault, replace(entry, id=name, provider_id=name))

        def revoke(client: Client, *_: object) -> None:
            if client.id.startswith("a-"):
                vault.clock.sleep(13)
                raise CloudUnavailable(detail="ReadTimeout")

        vault.cloud.revoke = revoke  # type: ignore[method-assign]
        while not vault.revocations.retry_due():
            vault.clock.advance(60)
        add_entry(vault, replace(entry, id="next", next_attempt_at=vault.clock.now()))
        assert vault.revocations.retry_due() == 1

    def test_r100_f37_killed_at_any_call_the_entry_is_asked_for_again_and_ended(self) -> None:
        def made() -> FakeVault:
            vault = FakeVault()
            vault.authorize(ACCOUNT)
            pending(vault)
            vault.clock.advance(FIRST_RETRY_SECONDS)
            return vault

        def ports(vault: FakeVault) -> tuple[object, ...]:
            return vault.revocation_store, vault.grant_store, vault.cipher, vault.cloud, vault.providers, vault.cursors

        points = 0
        for points, vault in enumerate(every_point(made, lambda vault: vault.revocations.retry_due(), ports), 1):  # noqa: B007
            for _ in range(2):
                vault.clock.advance(240)
                vault.revocations.retry_due()
            assert vault.revocation_store.revocations == {}
            assert vault.cloud.revoked
        assert points > 15

    def test_r99_an_entry_that_breaks_the_program_ends_no_run(self, vault: FakeVault) -> None:
        entry = pending(vault)
        add_entry(vault, replace(entry, id="rev9", next_attempt_at=entry.next_attempt_at + 1))
        revoke, calls = vault.cloud.revoke, []

        def breaks(*arguments: object) -> None:
            calls.append(arguments)
            if len(calls) == 1:
                raise ZeroDivisionError
            revoke(*arguments)  # type: ignore[arg-type]

        vault.cloud.revoke = breaks  # type: ignore[method-assign]
        vault.clock.advance(FIRST_RETRY_SECONDS + 1)
        assert vault.revocations.retry_due() == 1

    def test_f29_two_runs_at_once_ask_the_cloud_once(self, vault: FakeVault) -> None:
        pending(vault)
        vault.clock.advance(FIRST_RETRY_SECONDS)
        due = vault.revocation_store.due

        def meanwhile(provider_id: str, now: int) -> Iterator[Revocation]:
            found = list(due(provider_id, now))
            if found:
                vault.revocation_store.due = due  # type: ignore[method-assign]
                assert vault.revocations.retry_due() == 1
            return iter(found)

        vault.revocation_store.due = meanwhile  # type: ignore[method-assign]
        assert vault.revocations.retry_due() == 0
        assert len(vault.cloud.revoked) == 1

    def test_f29_a_second_run_finds_nothing_to_do(self, vault: FakeVault) -> None:
        vault.cloud.fail_next(CloudUnavailable())
        revoke(vault)
        vault.clock.advance(FIRST_RETRY_SECONDS)
        assert [vault.revocations.retry_due(), vault.revocations.retry_due()] == [1, 0]
