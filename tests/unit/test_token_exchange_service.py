"""A token exchange over fakes: who is asked what, in which order, and what each answer leaves in the ledger."""

import json
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from dataclasses import replace
from typing import Any

import pytest

from chalicelib.domain.audit import AuditEvent, AuditTag, Outcome
from chalicelib.domain.client_application import ApplicationKey, SubjectMode, TrustedIssuer
from chalicelib.domain.errors import CloudError, CloudRefused, CloudUnavailable, StorageUnavailable
from chalicelib.domain.grant import Grant, ReleaseHolding
from chalicelib.domain.provider import ProviderKey
from chalicelib.domain.secret import Secret
from chalicelib.domain.stop import ALL, Stop, StopKind
from chalicelib.domain.token_exchange import (
    Caller,
    InvalidJwt,
    Need,
    RefusalReason,
    Release,
    TokenRefused,
    TokenRequest,
)
from chalicelib.domain.user import Departure
from chalicelib.services.limits import LimitService
from chalicelib.services.people import PeopleService
from chalicelib.services.stops import StopService
from chalicelib.services.token_exchange import TokenExchangeService, _Line
from tests.fakes.services import ORIGIN, FakeVault
from tests.fakes.stores import FakeUsageStore
from tests.samples import ACCOUNT, ADMINISTRATOR, ALICE, APPLICATION, BOB, NOW, RULE

HOUR = 3600
VAULT = "https://vault.example"
KEY = ApplicationKey("key1", "ES256", {}, NOW)
OLD_KEY = ApplicationKey("old", "ES256", {}, NOW - HOUR, expires_at=NOW)
COMPANY = TrustedIssuer("https://login.example", "https://login.example/jwks", "scanner", "upn")
ROLE = "arn:aws:iam::123456789012:role/scanner"
SESSION = "arn:aws:sts::123456789012:assumed-role/scanner/i-0123"
REASONS = RefusalReason
GOOD = {"iss": "scanner", "sub": "scanner", "aud": VAULT, "iat": NOW, "exp": NOW + 60, "jti": "one"}


class FakeJwtVerifier:
    """Implements `ports.JwtVerifier`: a token is JSON that says by which key, or issuer, it is signed."""

    def __init__(self) -> None:
        self.is_down = False

    def unverified(self, token: Secret) -> dict[str, Any]:
        try:
            claims: dict[str, Any] = json.loads(token.reveal())["claims"]
        except ValueError:
            return {}
        return claims

    def header(self, token: Secret) -> dict[str, Any]:
        try:
            return {"kid": json.loads(token.reveal())["by"], "alg": "ES256"}
        except ValueError:
            return {}

    def verify(self, token: Secret, keys: Sequence[ApplicationKey]) -> dict[str, Any]:
        return self._signed(token, [key.id for key in keys])

    def verify_issued(self, token: Secret, issuer: TrustedIssuer) -> dict[str, Any]:
        if self.is_down:
            raise CloudUnavailable(detail="jwks")
        return self._signed(token, [issuer.jwks_uri])

    def _signed(self, token: Secret, signers: Sequence[str]) -> dict[str, Any]:
        if token.reveal().startswith("{") and json.loads(token.reveal())["by"] in signers:
            return self.unverified(token)
        raise InvalidJwt(detail="signature")


def signed(claims: dict[str, Any], by: str = KEY.id) -> Secret:
    return Secret(json.dumps({"claims": claims, "by": by}))


class World(FakeVault):
    """Alice has authorized Northwind Cloud; "scanner" may fetch everybody's token there."""

    def __init__(self) -> None:
        super().__init__()
        self.authorize(ACCOUNT)
        self.users.enrol(ALICE, sessions_until=NOW, at=NOW)
        self.people = PeopleService(self.aliases, self.users, self.directory, self.clock)
        self.applications.add(replace(APPLICATION, keys=(KEY, OLD_KEY)))
        self.jwt_verifier, self.usage = FakeJwtVerifier(), FakeUsageStore()
        self.made = 0
        self.exchange = TokenExchangeService(
            releases=self.releases,
            refresh=self.refresh,
            cipher=self.cipher,
            jwt_verifier=self.jwt_verifier,
            audit_log=self.audit_log,
            clock=self.clock,
            random=self.random,
            limits=self._limits(),
            people=self.people,
            issuer=VAULT,
        )
        self.begin()

    def _limits(self) -> LimitService:
        stops = StopService(
            stops=self.stop_store,
            applications=self.applications,
            providers=self.providers,
            people=self.people,
            audit_log=self.audit_log,
            clock=self.clock,
        )
        return LimitService(usage=self.usage, stops=stops, events=self.events, clock=self.clock)

    def begin(self) -> None:
        """Nothing before counts."""
        self.audit_log.events.clear()
        self.releases.loads = self.cipher.unlocked = 0

    def change(self, **changes: Any) -> None:
        self.applications.update(replace(self.applications.get("scanner"), **changes))

    def claims(self, **more: Any) -> dict[str, Any]:
        self.made += 1
        now = self.clock.now()
        times = {"iat": now, "exp": now + 60, "jti": str(self.made)}
        return {"iss": "scanner", "sub": "scanner", "aud": VAULT} | times | more

    def caller(self, by: str = KEY.id, **changes: Any) -> Caller:
        return Caller(client_assertion=signed(self.claims(**changes), by))

    def request(self, **changes: Any) -> TokenRequest:
        subject = signed(self.claims(sub="CONTOSO\\alice", reason="scan"))
        asked = {"caller": self.caller(), "provider_id": "northwind", "subject_token": subject, "subject_is_jwt": True}
        return TokenRequest(**(asked | changes))

    def as_role(self, **changes: Any) -> TokenRequest:
        self.change(role_arn=ROLE)
        asked = {"subject_token": Secret("CONTOSO\\alice"), "subject_is_jwt": False, "reason": "nightly scan"}
        return self.request(**({"caller": Caller("scanner", arn=SESSION)} | asked | changes))

    def issued(self, **changes: Any) -> TokenRequest:
        """With a token of the company's identity provider."""
        claims = {
            "iss": COMPANY.issuer,
            "aud": "scanner",
            "exp": NOW + HOUR,
            "sub": "x1",
            "upn": "alice@contoso.example",
        }
        self.change(subject_mode=SubjectMode.IDENTITY_PROVIDER, trusted_issuer=COMPANY)
        return self.request(subject_token=signed(claims | changes, COMPANY.jwks_uri))

    def fetch(self, request: TokenRequest | None = None) -> Release:
        return self.exchange.exchange(request or self.request(), ORIGIN)

    def refuse(self, request: TokenRequest | None = None) -> TokenRefused:
        with pytest.raises(TokenRefused) as refusal:
            self.fetch(request)
        return refusal.value

    def line(self) -> AuditEvent:
        """The only one since the beginning."""
        (event,) = self.audit_log.events
        self.audit_log.events.clear()
        return event

    def held(self) -> Grant:
        grant = self.grant()
        assert grant is not None
        return grant

    def put(self, grant: Grant) -> None:
        self.grant_store.grants[(grant.user_id, grant.provider_id, grant.generation, grant.slot)] = grant

    def meanwhile(self, change: Callable[[], None], seconds: int = 0) -> None:
        """Once, while a token is opened."""
        unlock = self.cipher.unlock

        @contextmanager
        def slow(key: ProviderKey) -> Iterator[Any]:
            self.cipher.unlock = unlock  # type: ignore[method-assign]
            change()
            self.clock.advance(seconds)
            with unlock(key) as box:
                yield box

        self.cipher.unlock = slow  # type: ignore[method-assign]


@pytest.fixture
def world() -> World:
    return World()


class TestRelease:
    def test_gives_all_that_a_program_needs(self, world: World) -> None:
        tokens = world.tokens(world.held())
        release = world.fetch(world.request(scopes=("openid",)))
        assert release.access_token == tokens.access_token
        assert (release.token_type, release.extra) == (tokens.token_type, tokens.extra)
        assert (release.expires_at, release.expires_in) == (NOW + HOUR, HOUR)
        assert (release.account, release.scopes, release.missing_scopes) == (ACCOUNT, ("openid", "email"), ())

    def test_r70_the_line_says_who_for_whom_what_and_why(self, world: World) -> None:
        release = world.fetch()
        line = world.line()
        assert (line.tag, line.outcome, line.origin) == (AuditTag.TOKEN_RELEASED, Outcome.SUCCESS, ORIGIN)
        assert (line.actor, line.actor_name) == ("scanner", "Scan server")
        assert (line.user_id, line.user_name, line.provider_id) == (ALICE.id, ALICE.login_name, "northwind")
        assert line.facts == {
            "client": "scanner",
            "reason": "scan",
            "account": ACCOUNT.label,
            "scopes": "openid email",
            "generation": "1",
            "release": release.id,
        }

    def test_one_read_and_one_opened_key(self, world: World) -> None:
        world.fetch()
        assert (world.releases.loads, world.cipher.unlocked) == (1, 1)

    def test_what_was_not_granted_of_what_is_registered_is_said(self, world: World) -> None:
        provider = world.providers.get("northwind")
        world.providers.providers["northwind"] = replace(provider, scopes=("openid", "files", "email", "mail"))
        assert world.fetch().missing_scopes == ("files", "mail")

    def test_a_need_and_an_account_are_passed_on(self, world: World) -> None:
        world.fetch(world.request(need=Need(renew=True)))
        assert world.cloud.refreshes == 1
        assert world.refuse(world.request(account="nobody@cloud.example")).reason is REASONS.NOT_CONNECTED
        assert world.fetch(world.request(account=ACCOUNT.label)).account == ACCOUNT
        assert world.refuse(world.request(scopes=("files",))).reason is REASONS.MISSING_SCOPES

    def test_the_source_of_the_call_is_looked_at(self, world: World) -> None:
        world.change(rules=(replace(RULE, sources=("10.0.0.0/8",)),))
        assert world.refuse().reason is REASONS.APP_NOT_ALLOWED
        world.change(rules=(replace(RULE, sources=("127.0.0.0/8",)),))
        assert world.fetch()


class TestCaller:
    def test_r73_an_assertion_works_once_and_the_second_use_is_recorded(self, world: World) -> None:
        request = world.request()
        world.fetch(request)
        world.audit_log.events.clear()
        assert world.refuse(request).reason is REASONS.REPLAYED
        line = world.line()
        assert (line.tag, line.outcome) == (AuditTag.TOKEN_REFUSED, Outcome.FAILURE)
        assert line.facts["code"] == "replayed"
        assert line.actor == "scanner"

    def test_r73_a_refusal_uses_it_up_as_well(self, world: World) -> None:
        caller = world.caller()
        world.refuse(world.request(caller=caller, provider_id="unknown"))
        assert world.refuse(world.request(caller=caller)).reason is REASONS.REPLAYED
        for _ in range(2):
            refused = world.refuse(world.request(caller=caller, provider_id="unknown"))
            assert refused.reason is REASONS.APP_NOT_ALLOWED
        assert len(world.audit_log.events) == 4

    @pytest.mark.parametrize(
        ("caller", "detail"),
        [
            (Caller(), "client_id"),
            (Caller("scanner"), "role"),
            (Caller("unknown", arn=SESSION), "unknown"),
            (Caller("-"), "client_id"),
            (Caller("a" * 65), "client_id"),
            (Caller("scanner\n"), "client_id"),
            (Caller("scanner", arn=SESSION.replace("scanner", "other")), "role"),
            (Caller(client_assertion=Secret("no jwt")), "jwt"),
            (Caller(client_assertion=signed({"sub": 7})), "sub"),
            (Caller(client_assertion=signed({})), "jwt"),
            (Caller(client_assertion=signed({"sub": "scanner"}, "")), "kid"),
            (Caller("other", client_assertion=signed({"sub": "scanner"})), "client_id"),
            (Caller(client_assertion=signed(GOOD | {"iss": "unknown", "sub": "unknown"})), "unknown"),
            (Caller(client_assertion=signed(GOOD, "somebody's")), "signature"),
            (Caller(client_assertion=signed(GOOD, OLD_KEY.id)), "signature"),
            (Caller(client_assertion=signed({"sub": "scanner"})), "iss"),
        ],
    )
    def test_r72_one_answer_for_whatever_is_wrong(self, world: World, caller: Caller, detail: str) -> None:
        world.change(role_arn=ROLE)
        refusal = world.refuse(world.request(caller=caller))
        assert (refusal.reason, refusal.detail) == (REASONS.INVALID_CLIENT, detail)
        line = world.line()
        assert (line.actor, line.actor_name, line.user_id, line.facts["code"]) == ("-", "", "", "invalid_client")
        assert line.facts["detail"] == detail
        is_about_what_was_sent = detail not in ("unknown", "role", "signature")
        assert (refusal.mistake is not None) == is_about_what_was_sent

    def test_a_client_id_beside_its_assertion_must_be_the_same(self, world: World) -> None:
        caller = world.caller()
        assert world.fetch(world.request(caller=replace(caller, client_id="scanner")))

    def test_the_longest_id_is_one(self, world: World) -> None:
        refusal = world.refuse(world.request(caller=Caller("a" * 64)))
        assert refusal.detail == "unknown"

    @pytest.mark.parametrize("provider_id", ["", "-", "north wind", "n" * 65, "northwind\n"])
    def test_what_no_provider_is_called_is_no_request(self, world: World, provider_id: str) -> None:
        refusal = world.refuse(world.request(provider_id=provider_id))
        assert (refusal.reason, refusal.detail) == (REASONS.INVALID_REQUEST, "audience")
        assert world.releases.loads == 0

    def test_r72_a_role_is_proof_enough_and_each_call_a_use_of_its_own(self, world: World) -> None:
        first, second = world.fetch(world.as_role()), world.fetch(world.as_role())
        assert first.id != second.id
        assert len(first.id) == 32
        line = world.audit_log.events[-1]
        assert (line.facts["reason"], line.user_id, line.actor) == ("nightly scan", ALICE.id, "scanner")
        assert {at for _, at in world.audit_log.once} == {NOW}
        assert world.releases.loads == 2


class TestSubject:
    @pytest.mark.parametrize("name", ["CONTOSO\\alice", "Alice@Contoso.Example", ALICE.id])
    def test_a_person_is_named_by_any_alias_in_one_read(self, world: World, name: str) -> None:
        subject = signed(world.claims(sub=name, reason="scan"))
        assert world.fetch(world.request(subject_token=subject)).account == ACCOUNT
        assert world.releases.loads == 1

    def test_nobody_of_that_name_has_no_authorization(self, world: World) -> None:
        subject = signed(world.claims(sub="CONTOSO\\nobody", reason="scan"))
        assert world.refuse(world.request(subject_token=subject)).reason is REASONS.NOT_CONNECTED
        line = world.line()
        assert (line.user_id, line.provider_id, line.facts["reason"]) == ("", "northwind", "scan")

    @pytest.mark.parametrize(
        ("subject", "detail"),
        [
            (Secret("no jwt"), "jwt"),
            (signed({"sub": "CONTOSO\\alice"}, ""), "kid"),
            (signed({"sub": "CONTOSO\\alice"}, OLD_KEY.id), "signature"),
            (signed({"sub": "CONTOSO\\alice"}), "iss"),
            (signed({"sub": 7, "iss": "scanner"}), "aud"),
        ],
    )
    def test_r74_a_wrong_subject_token_names_nobody(self, world: World, subject: Secret, detail: str) -> None:
        refusal = world.refuse(world.request(subject_token=subject))
        assert (refusal.reason, refusal.detail) == (REASONS.INVALID_SUBJECT, detail)
        line = world.line()
        assert (line.actor, line.provider_id, line.facts["code"]) == ("scanner", "northwind", "invalid_subject")

    def test_an_application_that_signs_cannot_name_anybody_without_signing(self, world: World) -> None:
        refusal = world.refuse(world.as_role(caller=world.caller()))
        assert (refusal.reason, refusal.detail) == (REASONS.INVALID_SUBJECT, "subject_token_type")

    def test_a_role_cannot_name_anybody_where_an_identity_provider_must(self, world: World) -> None:
        request = world.as_role()
        world.change(subject_mode=SubjectMode.IDENTITY_PROVIDER, trusted_issuer=COMPANY)
        refusal = world.refuse(request)
        assert (refusal.reason, refusal.detail) == (REASONS.INVALID_SUBJECT, "subject_token_type")

    @pytest.mark.parametrize("changes", [{"reason": ""}, {"subject_token": Secret(" ")}])
    def test_a_role_names_somebody_and_a_reason(self, world: World, changes: dict[str, Any]) -> None:
        assert world.refuse(world.as_role(**changes)).reason is REASONS.INVALID_SUBJECT


class TestIdentityProvider:
    def test_its_token_names_the_person_by_the_registered_claim(self, world: World) -> None:
        assert world.fetch(world.issued()).account == ACCOUNT
        line = world.line()
        assert "reason" not in line.facts
        assert line.user_id == ALICE.id

    def test_the_claim_is_guessed_once_and_known_then(self, world: World) -> None:
        world.fetch(world.issued())
        assert world.releases.loads == 2
        world.releases.loads = 0
        world.fetch(world.issued())
        assert world.releases.loads == 1

    def test_the_person_of_the_guess_is_never_released(self, world: World) -> None:
        """`sub` is read first, and belongs to somebody who may not be meant."""
        world.users.enrol(BOB, sessions_until=NOW, at=NOW)
        release = world.fetch(world.issued(sub="bob@contoso.example"))
        assert release.account == ACCOUNT
        assert world.line().user_id == ALICE.id

    @pytest.mark.parametrize(("changes", "detail"), [({"aud": "other"}, "aud"), ({"upn": 7}, "sub")])
    def test_r74_what_it_did_not_say_counts_for_nothing(
        self, world: World, changes: dict[str, Any], detail: str
    ) -> None:
        refusal = world.refuse(world.issued(**changes))
        assert (refusal.reason, refusal.detail) == (REASONS.INVALID_SUBJECT, detail)

    def test_r74_the_applications_own_word_is_no_longer_enough(self, world: World) -> None:
        world.change(subject_mode=SubjectMode.IDENTITY_PROVIDER, trusted_issuer=COMPANY)
        assert world.refuse().reason is REASONS.INVALID_SUBJECT

    def test_keys_that_cannot_be_fetched_are_said_with_a_time(self, world: World) -> None:
        world.jwt_verifier.is_down = True
        refusal = world.refuse(world.issued())
        assert (refusal.reason, refusal.detail, refusal.retry_after) == (REASONS.VAULT_UNAVAILABLE, "jwks", 5)


class TestMeanwhile:
    """What happens while a token is opened and refreshed."""

    def stop(self, world: World) -> None:
        world.stop_store.add(Stop(StopKind.EVERYTHING, ALL, "why", NOW, ADMINISTRATOR))

    def test_r76_a_stop_during_a_slow_release_counts(self, world: World) -> None:
        world.meanwhile(lambda: self.stop(world), seconds=1)
        assert world.refuse().reason is REASONS.BLOCKED
        line = world.line()
        assert (line.facts["code"], line.facts["stopped"]) == ("blocked", "everything")

    def test_a_quick_release_reads_once(self, world: World) -> None:
        world.meanwhile(lambda: None)
        world.fetch()
        assert world.releases.loads == 1

    def test_a_slow_one_reads_again_and_gives_the_token(self, world: World) -> None:
        world.meanwhile(lambda: None, seconds=1)
        assert world.fetch().expires_in == HOUR - 1
        assert world.releases.loads == 2

    def test_f28_a_removal_during_a_slow_release_counts(self, world: World) -> None:
        """Even where the person has authorized again since: the token that was opened is of before."""
        before = world.held()

        def remove() -> None:
            provider = world.providers.get("northwind")
            world.providers.providers["northwind"] = replace(provider, generation=2)
            world.providers.keys["northwind", 2] = world.cipher.new_key("northwind", 2)
            world.put(replace(before, generation=2))

        world.meanwhile(remove, seconds=1)
        assert world.refuse().reason is REASONS.NOT_CONNECTED

    def test_r76_while_another_refreshes_it_is_decided_again(self, world: World) -> None:
        """Who waits for somebody else's refresh looks again at everything, not at the grant alone."""
        world.clock.advance(HOUR)
        world.put(world.held().leased(world.clock.now()))
        sleep = world.clock.sleep

        def slept(seconds: float) -> None:
            if not world.stop_store.stops:
                self.stop(world)
            sleep(seconds)

        world.clock.sleep = slept  # type: ignore[method-assign]
        assert world.refuse().reason is REASONS.BLOCKED

    def test_scopes_that_a_refresh_widened_beyond_the_ceiling_are_not_released(self, world: World) -> None:
        world.clock.advance(HOUR)
        world.cloud.next_answer = {"scopes": ("openid", "email", "files")}
        refusal = world.refuse()
        assert (refusal.reason, refusal.detail) == (REASONS.APP_NOT_ALLOWED, "scopes")


class TestLimits:
    def test_r75_a_call_too_many_stops_the_application_and_is_recorded(self, world: World) -> None:
        world.change(calls_per_minute=1)
        world.fetch()
        world.audit_log.events.clear()
        assert world.refuse().reason is REASONS.BLOCKED
        assert [event.tag for event in world.audit_log.events] == [AuditTag.CLIENT_STOPPED, AuditTag.TOKEN_REFUSED]
        assert world.audit_log.events[-1].facts["stopped"] == "application"

    def test_r75_one_person_by_several_names_is_one(self, world: World) -> None:
        world.change(people_per_hour=1)
        for name in ("CONTOSO\\alice", "alice@contoso.example", ALICE.id):
            assert world.fetch(world.request(subject_token=signed(world.claims(sub=name, reason="scan"))))
        (counted,) = world.usage.people.values()
        assert counted == {ALICE.id}

    def test_r75_names_of_nobody_are_counted_too(self, world: World) -> None:
        world.change(people_per_hour=1)
        reasons = []
        for name in ("CONTOSO\\one", "CONTOSO\\two"):
            request = world.request(subject_token=signed(world.claims(sub=name, reason="scan")))
            reasons.append(world.refuse(request).reason)
        assert reasons == [REASONS.NOT_CONNECTED, REASONS.BLOCKED]


class TestFailures:
    def test_f20_a_store_that_is_down_is_said_with_a_time_and_recorded(
        self, world: World, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        def fail(*_: str) -> ReleaseHolding:
            raise StorageUnavailable(detail="table")

        monkeypatch.setattr(world.releases, "load", fail)
        refusal = world.refuse()
        assert (refusal.reason, refusal.detail, refusal.retry_after) == (REASONS.VAULT_UNAVAILABLE, "table", 5)
        assert world.line().facts["code"] == "vault_unavailable"

    def test_f6_a_key_service_that_is_down_is_said_with_a_time_and_recorded(self, world: World) -> None:
        world.cipher.available = False
        refusal = world.refuse()
        assert (refusal.reason, refusal.retry_after) == (REASONS.VAULT_UNAVAILABLE, 5)
        line = world.line()
        assert (line.facts["code"], line.user_id) == ("vault_unavailable", ALICE.id)

    @pytest.mark.parametrize(
        ("error", "detail"),
        [
            (CloudRefused("invalid_grant", detail="invalid_grant: what a cloud says"), "invalid_grant"),
            (CloudUnavailable(detail="slow_down: what a cloud says"), "cloud_unavailable"),
        ],
    )
    def test_r102_of_a_clouds_refusal_the_ledger_has_the_code_and_never_its_text(
        self, world: World, error: CloudError, detail: str
    ) -> None:
        world.clock.advance(HOUR)
        world.cloud.fail_next(error)
        world.refuse()
        line = world.audit_log.events[-1]
        assert (line.tag, line.facts["detail"]) == (AuditTag.TOKEN_REFUSED, detail)
        assert "what a cloud says" not in str(line)

    @pytest.mark.parametrize("provider_id", ["northwind", "unknown"])
    def test_f11_r70_what_cannot_be_recorded_is_no_answer_at_all(self, world: World, provider_id: str) -> None:
        world.audit_log.broken = True
        with pytest.raises(StorageUnavailable):
            world.fetch(world.request(provider_id=provider_id))

    def test_what_is_no_request_is_recorded(self, world: World) -> None:
        refusal = TokenRefused(REASONS.INVALID_REQUEST, detail="a\nb" * 200)
        assert world.exchange.note(ORIGIN, refusal) is refusal
        line = world.line()
        facts = {"code": "invalid_request", "detail": "a b" * 66 + "a "}
        assert (line.tag, line.origin, line.facts) == (AuditTag.TOKEN_REFUSED, ORIGIN, facts)

    def test_a_refusal_that_is_no_stop_names_none(self, world: World) -> None:
        world.refuse(world.request(subject_token=Secret("no jwt")))
        assert "stopped" not in world.line().facts


class TestWhoAmI:
    def test_says_which_application_asks_and_uses_the_assertion_up(self, world: World) -> None:
        caller = world.caller()
        assert world.exchange.who_am_i(caller, ORIGIN) == world.applications.get("scanner")
        line = world.line()
        assert (line.tag, line.outcome) == (AuditTag.CLIENT_IDENTIFIED, Outcome.SUCCESS)
        assert (line.actor, line.user_id, line.facts) == ("scanner", "", {"client": "scanner"})
        assert world.refuse(world.request(caller=caller)).reason is REASONS.REPLAYED

    def test_whoever_cannot_prove_it_is_refused_and_recorded(self, world: World) -> None:
        with pytest.raises(TokenRefused) as refusal:
            world.exchange.who_am_i(world.caller(by="somebody's"), ORIGIN)
        assert refusal.value.reason is REASONS.INVALID_CLIENT
        assert world.line().facts == {"client": "scanner", "code": "invalid_client", "detail": "signature"}

    def test_r76_a_stopped_application_may_still_ask_who_it_is(self, world: World) -> None:
        world.change(enabled=False)
        assert world.exchange.who_am_i(world.caller(), ORIGIN).enabled is False


def test_a_blocked_person_is_in_the_ledger_of_who_asked_in_vain(world: World) -> None:
    world.users.records[ALICE.id] = replace(world.users.records[ALICE.id], departure=Departure.DISABLED)
    assert world.refuse().reason is REASONS.BLOCKED
    line = world.line()
    assert (line.user_id, line.user_name, line.facts["stopped"]) == (ALICE.id, ALICE.login_name, "directory")


def test_r72_without_an_authenticated_caller_no_line_and_so_no_token_is_possible(world: World) -> None:
    with pytest.raises(TokenRefused) as refusal:
        world.exchange._record_once(_Line(ORIGIN), AuditTag.TOKEN_RELEASED)
    assert refusal.value.reason is REASONS.INVALID_CLIENT
    assert world.audit_log.events == []
