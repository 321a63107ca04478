"""The trip to a cloud: what is checked before the cloud is asked, and what a failure leaves behind."""

from dataclasses import replace
from typing import Any

import pytest

from chalicelib.domain.accounts import MAX_ACCOUNTS
from chalicelib.domain.audit import AuditTag, Outcome
from chalicelib.domain.authorization_request import ConsentFailed, ConsentProblem
from chalicelib.domain.errors import (
    CloudAnswerInvalid,
    CloudError,
    CloudMisconfigured,
    CloudRefusalUnclear,
    CloudRefused,
    CloudUnavailable,
    Conflict,
    IntegrityViolation,
    InvalidRequest,
    KeyUnavailable,
    NotFound,
    StorageUnavailable,
)
from chalicelib.domain.grant import Grant, GrantState, Holding
from chalicelib.domain.provider_type import RevocationStyle
from chalicelib.domain.session import MAX_OPEN_REQUESTS
from chalicelib.domain.token_set import CloudAccount, TokenSet
from chalicelib.services import consent
from chalicelib.services.consent import Callback, Consented, Departure
from chalicelib.services.revocations import FIRST_RETRY_SECONDS
from tests.fakes.services import ORIGIN, FakeVault
from tests.samples import ACCOUNT, ALICE, BOB, OTHER_ACCOUNT, SESSION


@pytest.fixture
def vault() -> FakeVault:
    return FakeVault()


def problem(vault: FakeVault, callback: Callback) -> ConsentProblem:
    with pytest.raises(ConsentFailed) as failure:
        vault.consent.complete(vault.session, callback, ORIGIN)
    return failure.value.problem


class TestSuccess:
    def test_stores_the_tokens_encrypted_for_the_person(self, vault: FakeVault) -> None:
        consented = vault.authorize(ACCOUNT)
        assert (consented.account, consented.previous) == (ACCOUNT, None)
        grant = vault.grant()
        assert grant is not None
        assert (grant.user_id, grant.account, grant.state, grant.version) == (
            ALICE.id,
            ACCOUNT,
            GrantState.ACTIVE,
            vault.clock.now(),
        )
        tokens = vault.tokens(grant)
        assert tokens.access_token.reveal().startswith("access-")
        assert tokens.scopes == grant.scopes == ("openid", "email")

    def test_asks_which_account_only_when_there_is_a_grant(self, vault: FakeVault) -> None:
        assert "prompt=consent" in vault.consent.start(vault.session, "northwind", None).url
        vault.authorize(ACCOUNT)
        assert "prompt=select_account" in vault.consent.start(vault.session, "northwind", None).url

    def test_the_same_account_again_replaces_the_tokens(self, vault: FakeVault) -> None:
        vault.authorize(ACCOUNT)
        assert vault.authorize(ACCOUNT).previous is None
        grant = vault.grant()
        assert grant is not None
        assert grant.version == vault.clock.now() + 1
        assert vault.revocation_store.revocations == {}

    def test_f17_a_refresh_token_is_never_overwritten_with_nothing(self, vault: FakeVault) -> None:
        vault.authorize(ACCOUNT)
        first = vault.grant()
        assert first is not None
        for account, kept in ((ACCOUNT, vault.tokens(first).refresh_token), (OTHER_ACCOUNT, None)):
            departure = vault.consent.start(vault.session, "northwind", None)
            code = vault.cloud.consent(departure.url, account, refresh_token=None)
            state = departure.url.partition("state=")[2].partition("&")[0]
            callback = Callback("northwind", state, departure.flow, code=code)
            vault.consent.complete(vault.session, callback, ORIGIN)
            grant = vault.grant()
            assert grant is not None
            assert vault.tokens(grant).refresh_token == kept

    def test_r46_another_account_is_told_and_the_one_before_is_ended_at_the_cloud(self, vault: FakeVault) -> None:
        vault.authorize(ACCOUNT)
        first = vault.grant()
        assert first is not None
        old_token = vault.tokens(first).revocable().reveal()
        assert vault.authorize(OTHER_ACCOUNT).previous == ACCOUNT
        assert vault.audit_log.events[-1].facts == {"account": OTHER_ACCOUNT.label, "account_changed": "true"}
        vault.clock.advance(3600)
        assert vault.revocations.retry_due() == 1
        assert vault.cloud.revoked == [old_token]
        grant = vault.grant()
        assert grant is not None
        assert grant.account == OTHER_ACCOUNT

    def test_nothing_is_scheduled_at_a_cloud_without_revocation(self, vault: FakeVault) -> None:
        vault.catalogue.type = replace(vault.catalogue.type, revocation=RevocationStyle.NONE)
        vault.authorize(ACCOUNT)
        assert vault.authorize(OTHER_ACCOUNT).previous == ACCOUNT
        assert vault.revocation_store.revocations == {}

    def test_an_unreadable_grant_of_before_does_not_stop_a_new_one(self, vault: FakeVault) -> None:
        vault.authorize(ACCOUNT)
        grant = vault.grant()
        assert grant is not None
        vault.grant_store.grants[ALICE.id, "northwind", 1, ""] = replace(grant, token_set=b"x" * 64)
        assert vault.authorize(OTHER_ACCOUNT).previous == ACCOUNT

    def test_r67_a_consent_is_an_audit_event_without_tokens(self, vault: FakeVault) -> None:
        vault.authorize(ACCOUNT)
        event = vault.audit_log.events[-1]
        assert (event.tag, event.outcome, event.actor) == (AuditTag.GRANT_AUTHORIZED, Outcome.SUCCESS, ALICE.id)
        assert "access-" not in repr(event)

    def test_r48_two_tabs_authorize_at_once(self, vault: FakeVault) -> None:
        first, second = vault.trip(ACCOUNT), vault.trip(OTHER_ACCOUNT)
        vault.consent.complete(vault.session, second, ORIGIN)
        vault.consent.complete(vault.session, first, ORIGIN)
        grant = vault.grant()
        assert grant is not None
        assert grant.account == ACCOUNT

    def test_r48_the_oldest_of_too_many_trips_is_dropped(self, vault: FakeVault) -> None:
        first = vault.trip(ACCOUNT)
        for _ in range(MAX_OPEN_REQUESTS):
            last = vault.trip(ACCOUNT)
        assert len(vault.requests.requests) == len(vault.session.open_requests) == MAX_OPEN_REQUESTS
        assert problem(vault, first) is ConsentProblem.USED
        vault.consent.complete(vault.session, last, ORIGIN)

    def test_r38_a_new_log_in_of_the_same_person_may_finish(self, vault: FakeVault) -> None:
        callback = vault.trip(ACCOUNT)
        vault.consent.complete(replace(SESSION, id_hash="9" * 64), callback, ORIGIN)
        assert vault.grant() is not None

    def test_f10_an_earlier_account_that_cannot_be_noted_is_ended_at_once(self, vault: FakeVault) -> None:
        vault.authorize(ACCOUNT)
        first = vault.grant()
        assert first is not None

        def down(_: object) -> None:
            raise StorageUnavailable

        vault.revocation_store.add = down
        assert vault.authorize(OTHER_ACCOUNT).previous == ACCOUNT
        assert vault.cloud.revoked == [vault.tokens(first).revocable().reveal()]


class TestRefusedBeforeTheCloudIsAsked:
    def test_r37_a_callback_works_once(self, vault: FakeVault) -> None:
        callback = vault.trip(ACCOUNT)
        vault.consent.complete(vault.session, callback, ORIGIN)
        assert problem(vault, callback) is ConsentProblem.USED
        assert vault.cloud.exchanges == 1

    def test_r37_it_works_for_ten_minutes(self, vault: FakeVault) -> None:
        callback = vault.trip(ACCOUNT)
        vault.clock.advance(600)
        assert problem(vault, callback) is ConsentProblem.EXPIRED
        assert vault.cloud.exchanges == 0

    @pytest.mark.parametrize("flow", ["", "another browser's"])
    def test_r38_another_browser_is_refused(self, vault: FakeVault, flow: str) -> None:
        assert problem(vault, vault.trip(ACCOUNT, flow=flow)) is ConsentProblem.FOREIGN
        assert vault.cloud.exchanges == 0

    def test_r38_another_person_is_refused(self, vault: FakeVault) -> None:
        callback = vault.trip(ACCOUNT)
        with pytest.raises(ConsentFailed) as failure:
            vault.consent.complete(replace(SESSION, user=BOB), callback, ORIGIN)
        assert failure.value.problem is ConsentProblem.FOREIGN
        assert vault.cloud.exchanges == 0

    def test_r39_the_redirect_uri_of_another_provider_is_refused(self, vault: FakeVault) -> None:
        assert problem(vault, vault.trip(ACCOUNT, provider_id="box")) is ConsentProblem.FOREIGN
        assert vault.cloud.exchanges == 0

    def test_r40_another_issuer_is_refused(self, vault: FakeVault) -> None:
        callback = vault.trip(ACCOUNT, iss="https://attacker.example")
        assert problem(vault, callback) is ConsentProblem.WRONG_SERVER
        assert vault.cloud.exchanges == 0

    @pytest.mark.parametrize(
        ("error", "expected"),
        [
            ("access_denied", ConsentProblem.DENIED),
            ("ACCESS_DENIED", ConsentProblem.DENIED),
            ("temporarily_unavailable", ConsentProblem.CLOUD_UNAVAILABLE),
            ("server_error", ConsentProblem.CLOUD_UNAVAILABLE),
            ("invalid_scope", ConsentProblem.MISCONFIGURED),
            ("something_else", ConsentProblem.CLOUD_ERROR),
        ],
    )
    def test_r42_an_error_wins_over_a_code_and_ends_the_trip(
        self, vault: FakeVault, error: str, expected: ConsentProblem
    ) -> None:
        callback = vault.trip(ACCOUNT, error=error)
        assert problem(vault, callback) is expected
        assert problem(vault, replace(callback, error="")) is ConsentProblem.USED
        assert vault.cloud.exchanges == 0

    def test_a_callback_without_a_code_is_no_answer(self, vault: FakeVault) -> None:
        assert problem(vault, vault.trip(ACCOUNT, code="")) is ConsentProblem.CLOUD_ANSWER_INVALID

    def test_r41_a_provider_that_changed_meanwhile_is_refused(self, vault: FakeVault) -> None:
        for change in (
            {"client_id": "another"},
            {"enabled": False},
            {"authorize_again_since": vault.clock.now()},
            {"server": replace(vault.providers.get("northwind").server, token_endpoint="https://attacker.example")},
        ):
            provider = vault.providers.get("northwind")
            callback = vault.trip(ACCOUNT)
            changed = vault.providers.update(replace(provider, **change))
            assert problem(vault, callback) is ConsentProblem.PROVIDER_CHANGED
            vault.providers.update(replace(provider, version=changed.version))
        assert vault.cloud.exchanges == 0

    def test_r41_a_provider_that_was_registered_anew_under_its_id_meanwhile_is_refused(self, vault: FakeVault) -> None:
        callback = vault.trip(ACCOUNT)
        vault.providers.keys["northwind", 1] = vault.cipher.new_key("northwind", 1)
        provider = vault.providers.get("northwind")
        with vault.cipher.unlock(vault.providers.key("northwind", 1)) as box:
            secret = box.encrypt(b'["client-secret"]', provider.secret_context())
        vault.providers.update(replace(provider, client_secret=secret))
        assert problem(vault, callback) is ConsentProblem.PROVIDER_CHANGED
        assert vault.cloud.exchanges == 0

    def test_r41_a_change_of_what_is_needed_while_the_code_is_exchanged_asks_again(
        self, vault: FakeVault, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        exchange = vault.cloud.exchange_code

        def slow(*arguments: Any, **how: Any) -> tuple[TokenSet, CloudAccount]:
            vault.clock.advance(1)
            provider = vault.providers.get("northwind")
            vault.providers.update(replace(provider, authorize_again_since=vault.clock.now()))
            vault.clock.advance(2)
            return exchange(*arguments, **how)

        callback = vault.trip(ACCOUNT)
        monkeypatch.setattr(vault.cloud, "exchange_code", slow)
        vault.consent.complete(vault.session, callback, ORIGIN)
        grant = vault.grant()
        assert grant is not None
        assert grant.as_seen(vault.providers.get("northwind")).state is GrantState.NEEDS_REAUTHORIZATION

    def test_who_sets_out_after_a_change_of_what_is_needed_has_authorized_again(self, vault: FakeVault) -> None:
        vault.providers.update(replace(vault.providers.get("northwind"), authorize_again_since=vault.clock.now()))
        vault.clock.advance(1)
        vault.authorize(ACCOUNT)
        grant = vault.grant()
        assert grant is not None
        assert grant.as_seen(vault.providers.get("northwind")).state is GrantState.ACTIVE

    def test_a_provider_deleted_meanwhile_is_refused(self, vault: FakeVault) -> None:
        callback = vault.trip(ACCOUNT)
        del vault.providers.providers["northwind"]
        assert problem(vault, callback) is ConsentProblem.PROVIDER_CHANGED

    def test_a_provider_that_is_switched_off_cannot_be_started(self, vault: FakeVault) -> None:
        vault.providers.update(replace(vault.providers.get("northwind"), enabled=False))
        with pytest.raises(NotFound):
            vault.consent.start(vault.session, "northwind", None)

    def test_r83_without_a_key_the_code_is_not_spent(self, vault: FakeVault) -> None:
        callback = vault.trip(ACCOUNT)
        vault.cipher.available = False
        with pytest.raises(KeyUnavailable):
            vault.consent.complete(vault.session, callback, ORIGIN)
        assert vault.cloud.exchanges == 0


class TestTheCloudFails:
    @pytest.mark.parametrize(
        ("error", "expected"),
        [
            (CloudUnavailable(), ConsentProblem.CLOUD_UNAVAILABLE),
            (CloudAnswerInvalid(), ConsentProblem.CLOUD_ANSWER_INVALID),
            (CloudMisconfigured("invalid_client"), ConsentProblem.MISCONFIGURED),
            (CloudRefused("invalid_grant"), ConsentProblem.CLOUD_ERROR),
            (CloudRefusalUnclear("invalid_scope", may_be_registration=True), ConsentProblem.MISCONFIGURED),
            (CloudRefusalUnclear("access_denied"), ConsentProblem.CLOUD_ERROR),
        ],
    )
    def test_r99_the_person_is_told_which_and_keeps_what_was_and_nobody_else_is_stopped(
        self, vault: FakeVault, error: CloudError, expected: ConsentProblem
    ) -> None:
        vault.authorize(ACCOUNT)
        before = vault.grant()
        callback = vault.trip(OTHER_ACCOUNT)
        vault.cloud.fail_next(error)
        assert problem(vault, callback) is expected
        assert vault.grant() == before
        assert vault.grant_store.health.get("northwind").is_well
        facts = vault.audit_log.events[-1].facts
        assert facts == {"problem": expected.value} | ({"code": error.error} if getattr(error, "error", "") else {})

    def test_the_person_may_try_again(self, vault: FakeVault) -> None:
        callback = vault.trip(ACCOUNT)
        vault.cloud.fail_next(CloudUnavailable())
        problem(vault, callback)
        assert vault.authorize(ACCOUNT).account == ACCOUNT


class TestTheGrantCannotBeSaved:
    def test_f23_the_orphan_is_revoked_at_the_cloud(self, vault: FakeVault) -> None:
        callback = vault.trip(ACCOUNT)
        vault.grant_store.fail_saving = True
        assert problem(vault, callback) is ConsentProblem.NOT_SAVED
        assert len(vault.cloud.revoked) == 1
        assert vault.grant() is None

    def test_f23_a_cloud_that_is_down_as_well_changes_nothing_about_the_message(self, vault: FakeVault) -> None:
        callback = vault.trip(ACCOUNT)
        exchange = vault.cloud.exchange_code

        def exchange_then_down(*args: object, **options: object) -> object:
            tokens = exchange(*args, **options)
            vault.cloud.fail_next(CloudUnavailable())
            return tokens

        vault.cloud.exchange_code = exchange_then_down
        vault.grant_store.fail_saving = True
        assert problem(vault, callback) is ConsentProblem.NOT_SAVED

    def test_f23_where_no_revocation_is_offered_none_is_tried(self, vault: FakeVault) -> None:
        vault.catalogue.type = replace(vault.catalogue.type, revocation=RevocationStyle.NONE)
        callback = vault.trip(ACCOUNT)
        vault.grant_store.fail_saving = True
        assert problem(vault, callback) is ConsentProblem.NOT_SAVED
        assert vault.cloud.revoked == []

    def test_a_faster_tab_is_written_over(self, vault: FakeVault) -> None:
        callback = vault.trip(ACCOUNT)
        save = vault.grant_store.save
        faster: list[Grant] = []

        def save_second(grant: Grant, *, replaces: int | None, ended: int) -> None:
            if not faster:
                faster.append(grant)
                save(replace(grant, account=OTHER_ACCOUNT), replaces=replaces, ended=ended)
                raise Conflict
            save(grant, replaces=replaces, ended=ended)

        vault.grant_store.save = save_second
        vault.consent.complete(vault.session, callback, ORIGIN)
        grant = vault.grant()
        assert grant is not None
        assert (grant.account, grant.version) == (ACCOUNT, vault.clock.now() + 1)

    def test_f28_a_removal_during_the_trip_wins(self, vault: FakeVault) -> None:
        callback = vault.trip(ACCOUNT)

        def removed_meanwhile(*_: object, **__: object) -> None:
            provider = vault.providers.get("northwind")
            if provider.generation == 1:
                vault.providers.add_key(vault.cipher.new_key("northwind", 2))
                vault.providers.update(replace(provider, generation=2))
            raise Conflict

        vault.grant_store.save = removed_meanwhile
        assert problem(vault, callback) is ConsentProblem.NOT_SAVED
        assert vault.grant() is None
        assert len(vault.cloud.revoked) == 1

    def test_r70_what_cannot_be_audited_is_not_reported_as_done(self, vault: FakeVault) -> None:
        callback = vault.trip(ACCOUNT)
        vault.audit_log.broken = True
        with pytest.raises(StorageUnavailable):
            vault.consent.complete(vault.session, callback, ORIGIN)


class TestTrips:
    """Tests of administrators, and several accounts of one person."""

    def finish(self, vault: FakeVault, departure: Departure, account: CloudAccount, **tokens: object) -> Consented:
        code = vault.cloud.consent(departure.url, account, **tokens)
        state = departure.url.partition("state=")[2].partition("&")[0]
        return vault.consent.complete(vault.session, Callback("northwind", state, departure.flow, code=code), ORIGIN)

    def try_out(self, vault: FakeVault, account: CloudAccount, **tokens: object) -> Consented:
        return self.finish(
            vault, vault.consent.start(vault.session, "northwind", None, is_test=True), account, **tokens
        )

    def test_a_test_tells_what_came_and_stores_nothing(self, vault: FakeVault) -> None:
        consented = self.try_out(vault, ACCOUNT, scopes=("openid",), refresh_token=None)
        assert consented.tested == consent.Tested(("openid",), ("email",), has_refresh_token=False, seconds=3600)
        assert vault.grant() is None
        assert len(vault.cloud.revoked) == 1
        event = vault.audit_log.events[-1]
        assert (event.tag, event.facts) == (AuditTag.PROVIDER_TESTED, {"account": ACCOUNT.label})

    def test_its_state_says_that_it_is_one(self, vault: FakeVault) -> None:
        assert "state=test." in vault.consent.start(vault.session, "northwind", None, is_test=True).url
        assert "state=test." not in vault.consent.start(vault.session, "northwind", None).url

    def test_a_test_ends_nothing_of_an_account_that_is_authorized(self, vault: FakeVault) -> None:
        vault.authorize(ACCOUNT)
        consented = self.try_out(vault, ACCOUNT)
        assert consented.tested is not None
        assert consented.tested.has_refresh_token
        assert vault.cloud.revoked == []
        self.try_out(vault, OTHER_ACCOUNT)
        assert len(vault.cloud.revoked) == 1
        grant = vault.grant()
        assert grant is not None
        assert grant.account == ACCOUNT

    def test_a_test_asks_as_for_the_second_time(self, vault: FakeVault) -> None:
        assert "select_account" in vault.consent.start(vault.session, "northwind", None, is_test=True).url

    def test_a_test_works_while_the_provider_is_switched_off_and_never_when_it_is_deleted(
        self, vault: FakeVault
    ) -> None:
        vault.providers.update(replace(vault.providers.get("northwind"), enabled=False))
        assert self.try_out(vault, ACCOUNT).tested is not None
        vault.providers.update(replace(vault.providers.get("northwind"), is_deleted=True))
        for is_test in (True, False):
            with pytest.raises(NotFound):
                vault.consent.start(vault.session, "northwind", None, is_test=is_test)

    def test_r74_nobody_starts_at_a_provider_for_other_groups(self, vault: FakeVault) -> None:
        vault.providers.update(replace(vault.providers.get("northwind"), visible_to=("S-1-5-21-9-9-9-9",)))
        with pytest.raises(NotFound):
            vault.consent.start(vault.session, "northwind", None)

    def test_one_more_account_has_a_place_of_its_own(self, vault: FakeVault) -> None:
        vault.authorize(ACCOUNT)
        more = vault.consent.start(vault.session, "northwind", None, slot=None)
        assert "select_account" in more.url
        assert self.finish(vault, more, OTHER_ACCOUNT).previous is None
        held = vault.grant_store.at(ALICE.id, "northwind", 1).grants
        assert sorted(grant.account.label for grant in held) == sorted([ACCOUNT.label, OTHER_ACCOUNT.label])

    def test_authorizing_one_of_them_again_keeps_its_place(self, vault: FakeVault) -> None:
        vault.authorize(ACCOUNT)
        self.finish(vault, vault.consent.start(vault.session, "northwind", None, slot=None), OTHER_ACCOUNT)
        (second,) = [grant for grant in vault.grant_store.at(ALICE.id, "northwind", 1).grants if grant.slot]
        again = vault.consent.start(vault.session, "northwind", None, slot=second.slot)
        self.finish(vault, again, OTHER_ACCOUNT)
        assert len(vault.grant_store.at(ALICE.id, "northwind", 1).grants) == 2

    def test_ten_accounts_are_enough(self, vault: FakeVault) -> None:
        for number in range(MAX_ACCOUNTS):
            departure = vault.consent.start(vault.session, "northwind", None, slot=None if number else "")
            self.finish(vault, departure, CloudAccount(f"cloud-{number}", f"{number}@mail.example"))
            vault.clock.advance(1)
        assert len(vault.grant_store.at(ALICE.id, "northwind", 1).grants) == MAX_ACCOUNTS == 10
        with pytest.raises(InvalidRequest, match="You have authorized 10 accounts at Northwind Cloud"):
            vault.consent.start(vault.session, "northwind", None, slot=None)

    def test_r38_the_flow_cookie_of_a_browser_is_kept(self, vault: FakeVault) -> None:
        assert vault.consent.start(vault.session, "northwind", "known").flow == "known"
        assert len(vault.consent.start(vault.session, "northwind", None).flow) >= 40


class TestStoring:
    """The cloud has given the tokens; whether they are in the store decides what becomes of them."""

    @staticmethod
    def without_reply(vault: FakeVault, *, stored: bool) -> None:
        save = vault.grant_store.save

        def lost(grant: Grant, **how: Any) -> None:
            if stored:
                save(grant, **how)
            raise StorageUnavailable

        vault.grant_store.save = lost  # type: ignore[method-assign]

    def test_f9_a_grant_that_was_stored_without_a_reply_is_kept(self, vault: FakeVault) -> None:
        self.without_reply(vault, stored=True)
        assert vault.authorize(ACCOUNT).account == ACCOUNT
        assert vault.grant() is not None
        assert vault.cloud.revoked == []

    def test_f9_one_that_cannot_even_be_looked_for_is_ended_at_the_cloud(self, vault: FakeVault) -> None:
        trip = vault.trip(ACCOUNT)
        self.without_reply(vault, stored=False)
        load, loads = vault.grant_store.load, []

        def down(*names: str) -> Holding:
            loads.append(names)
            if len(loads) > 1:
                raise StorageUnavailable
            return load(*names)

        vault.grant_store.load = down  # type: ignore[method-assign]
        with pytest.raises(ConsentFailed) as failure:
            vault.consent.complete(vault.session, trip, ORIGIN)
        assert failure.value.problem is ConsentProblem.NOT_SAVED
        assert len(vault.cloud.revoked) == 1

    def test_a_refresh_token_of_before_that_does_not_open_is_not_kept(self, vault: FakeVault) -> None:
        vault.authorize(ACCOUNT)
        before = vault.grant()
        assert before is not None
        vault.grant_store.grants[before.user_id, "northwind", 1, ""] = replace(before, token_set=b"changed")
        departure = vault.consent.start(vault.session, "northwind", None)
        code = vault.cloud.consent(departure.url, ACCOUNT, refresh_token=None)
        state = departure.url.partition("state=")[2].partition("&")[0]
        vault.consent.complete(vault.session, Callback("northwind", state, departure.flow, code=code), ORIGIN)
        after = vault.grant()
        assert after is not None
        assert (after.is_renewable, vault.tokens(after).refresh_token) == (False, None)


class TestReceivedAndNotKept:
    """R95: whatever the cloud gave and the vault does not keep is revoked, or written down for it."""

    UNKNOWN = (
        (CloudUnavailable(), ConsentProblem.CLOUD_UNAVAILABLE),
        (CloudAnswerInvalid(), ConsentProblem.CLOUD_ANSWER_INVALID),
        (CloudRefused("insufficient_scope"), ConsentProblem.CLOUD_ERROR),
    )

    @pytest.mark.parametrize(("error", "told"), UNKNOWN)
    def test_r95_tokens_of_an_account_that_cannot_be_learnt_are_revoked(
        self, vault: FakeVault, error: CloudError, told: ConsentProblem
    ) -> None:
        callback = vault.trip(ACCOUNT)
        vault.cloud.account_unknown = error
        assert problem(vault, callback) is told
        assert len(vault.cloud.revoked) == 1
        assert vault.revocation_store.revocations == {}
        assert vault.audit_log.events[-1].facts.items() >= {"problem": told.value, "cloud": "revoked"}.items()

    def test_r95_where_the_cloud_is_down_as_well_they_are_written_down_and_revoked_later(
        self, vault: FakeVault
    ) -> None:
        callback = vault.trip(ACCOUNT)
        vault.cloud.account_unknown = CloudUnavailable()

        def down(*_: object) -> None:
            raise CloudUnavailable

        revoke, vault.cloud.revoke = vault.cloud.revoke, down
        problem(vault, callback)
        assert vault.audit_log.events[-1].facts["cloud"] == "pending"
        vault.cloud.revoke = revoke
        vault.clock.advance(60)
        assert vault.revocations.retry_due() == 1
        assert len(vault.cloud.revoked) == 1

    def test_r95_where_the_storage_is_down_as_well_the_cloud_is_asked_at_once(self, vault: FakeVault) -> None:
        def down(*_: object) -> None:
            raise StorageUnavailable

        vault.revocation_store.add = down
        callback = vault.trip(ACCOUNT)
        vault.grant_store.fail_saving = True
        assert problem(vault, callback) is ConsentProblem.NOT_SAVED
        assert len(vault.cloud.revoked) == 1
        vault.cloud.revoke = lambda *_: (_ for _ in ()).throw(CloudUnavailable())
        callback = vault.trip(ACCOUNT)
        assert problem(vault, callback) is ConsentProblem.NOT_SAVED
        assert vault.audit_log.events[-1].facts["cloud"] == "failed"

    @pytest.mark.parametrize(
        "scopes", [("x" * 1000,) * 17, ("fi\ud800les",), ("line\nbreak",)], ids=["huge", "surrogate", "control"]
    )
    def test_r95_what_cannot_be_stored_is_said_revoked_and_never_in_the_log_as_authorized(
        self, vault: FakeVault, scopes: tuple[str, ...]
    ) -> None:
        departure = vault.consent.start(vault.session, "northwind", None)
        code = vault.cloud.consent(departure.url, ACCOUNT, scopes=scopes)
        state = departure.url.partition("state=")[2].partition("&")[0]
        callback = Callback("northwind", state, departure.flow, code=code)
        assert problem(vault, callback) is ConsentProblem.NOT_STORABLE
        assert vault.grant() is None
        assert len(vault.cloud.revoked) == 1
        assert [event.tag for event in vault.audit_log.events] == [AuditTag.CONSENT_FAILED]

    def test_r95_whatever_goes_wrong_with_them_is_no_crash_and_leaves_nothing_alive(
        self, vault: FakeVault, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        callback = vault.trip(ACCOUNT)

        def crashes(*_: object, **__: object) -> None:
            raise TypeError("a float cannot be stored")

        monkeypatch.setattr(vault.grant_store, "save", crashes)
        assert problem(vault, callback) is ConsentProblem.NOT_SAVED
        assert len(vault.cloud.revoked) == 1

    @pytest.mark.parametrize("subject", ["x" * 256, "halved\udc00", "two\nlines"], ids=["long", "surrogate", "control"])
    def test_r95_an_account_with_an_odd_name_is_kept_and_known_again(self, vault: FakeVault, subject: str) -> None:
        account = CloudAccount.named(subject, "")
        assert account == CloudAccount.named(subject, "") != CloudAccount.named(subject + "x", "")
        vault.authorize(account)
        assert vault.authorize(account).previous is None
        assert account.label == account.subject
        assert len(account.subject) == len("sha256:") + 64

    def test_a_cloud_that_ends_all_of_an_account_at_once_is_not_asked_to_end_what_is_kept(
        self, vault: FakeVault
    ) -> None:
        vault.authorize(ACCOUNT)
        vault.catalogue.type = replace(vault.catalogue.type, revocation_side_effect="Ends everything of the account.")
        callback = vault.trip(ACCOUNT)
        vault.cloud.account_unknown = CloudUnavailable()
        problem(vault, callback)
        assert vault.audit_log.events[-1].facts["cloud"] == "kept"
        assert vault.cloud.revoked == []
        callback = vault.trip(OTHER_ACCOUNT)
        vault.grant_store.fail_saving = True
        problem(vault, callback)
        assert len(vault.cloud.revoked) == 1

    def test_r88_who_goes_back_to_the_account_of_before_keeps_what_that_gave_now(self, vault: FakeVault) -> None:
        vault.catalogue.type = replace(vault.catalogue.type, revocation_side_effect="Ends everything of the account.")
        for account in (ACCOUNT, OTHER_ACCOUNT, ACCOUNT):
            vault.authorize(account)
        ended = [one.account.subject for one in vault.revocation_store.revocations.values()]
        assert sorted(ended) == sorted([ACCOUNT.subject, OTHER_ACCOUNT.subject])
        vault.clock.advance(FIRST_RETRY_SECONDS)
        assert vault.revocations.retry_due() == 1
        assert len(vault.cloud.revoked) == 1
        told = [event.facts["cloud"] for event in vault.audit_log.events if event.tag is AuditTag.REVOCATION_RETRIED]
        assert sorted(told) == ["authorized_again", "revoked"]
        assert vault.revocation_store.revocations == {}


def test_r92_what_a_consent_brings_is_bound_to_the_server_and_client_that_gave_it(vault: FakeVault) -> None:
    vault.authorize(ACCOUNT)
    grant, provider = vault.grant(), vault.providers.get("northwind")
    assert grant is not None
    assert grant.encryption_context()["server"] == provider.server_id
    assert vault.tokens(grant)
    for changed in (
        replace(provider, client_id="another"),
        replace(provider, server=replace(provider.server, issuer="https://evil.example")),
        replace(provider, server=replace(provider.server, token_endpoint="https://evil.example/token")),
        replace(provider, server=replace(provider.server, revocation_endpoint="https://evil.example/revoke")),
        replace(provider, server=replace(provider.server, userinfo_endpoint="https://evil.example/me")),
    ):
        assert grant.at(changed).is_of_another_server
        with pytest.raises(IntegrityViolation):
            vault.tokens(grant.at(changed))
    for same in (
        replace(provider, name="Other", scopes=(), version=9),
        replace(provider, server=replace(provider.server, authorization_endpoint="https://cloud.example/v2")),
        replace(provider, server=replace(provider.server, jwks_uri="https://cloud.example/keys")),
    ):
        assert vault.tokens(grant.at(same))
