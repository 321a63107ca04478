"""The token endpoint, whole requests: what is released, what is refused, and what the ledger says."""

import hashlib
import json
import logging
from base64 import urlsafe_b64encode
from collections.abc import Callable
from dataclasses import replace
from typing import Any
from urllib.parse import urlencode

import pytest
from botocore.exceptions import ClientError
from joserfc import jwt
from joserfc.jwk import ECKey, OctKey, RSAKey
from openapi_schema_validator import OAS31Validator

from chalicelib.adapters.jwt_verifier import JoseVerifier
from chalicelib.domain.audit import Actor, Origin
from chalicelib.domain.client_application import AccessRule, ClientApplication, SubjectMode, TrustedIssuer, Whose
from chalicelib.domain.errors import StorageUnavailable
from chalicelib.domain.stop import StopKind
from dev.process import ROOT
from tests.fakes import directory
from tests.fakes.application import JWT, Application
from tests.fakes.misbehaviour import Answer as CloudAnswer
from tests.fakes.misbehaviour import error, instead, status
from tests.samples import ADMINISTRATOR, APPLICATION, NOW

from .client import BASE, FORM, Answer, Browser
from .conftest import NORTHWIND, Running

OPENAPI = json.loads((ROOT / "chalicelib/data/openapi.json").read_text(encoding="utf-8"))
BY = Actor(directory.ADMIN.user.id)
ORIGIN = Origin("request-1", "127.0.0.1")
SCOPES = ("openid", "profile", "email", "offline_access")
EVERYBODY = AccessRule(NORTHWIND, SCOPES, Whose(everybody=True))
ALICE_ID, BOB_ID = directory.ALICE.user.id, directory.BOB.user.id
ROLE = "arn:aws:iam::123456789012:role/scanner"
SESSION_OF_ROLE = "arn:aws:sts::123456789012:assumed-role/scanner/i-0123"


def conforms(path: str, answer: Answer) -> None:
    """To what the OpenAPI document says of this address and status."""
    described = OPENAPI["paths"][path]["post"]["responses"][str(answer.status)]["content"]["application/json"]["schema"]
    OAS31Validator({**described, "components": OPENAPI["components"]}).validate(json.loads(answer.body))


class Api:
    """A registered application, and alice who has authorized Northwind Cloud."""

    def __init__(self, running: Running) -> None:
        self.running = running
        self.application = Application("scanner", BASE, running.clock.now)
        self.registered = self.register(replace(APPLICATION, rules=(EVERYBODY,)), self.application)
        self.browser = running.browser("alice")
        running.authorize(self.browser)

    def register(self, application: ClientApplication, client: Application) -> ClientApplication:
        service = self.running.vault.client_applications
        registered = service.register(application, ADMINISTRATOR, ORIGIN)
        return service.add_keys(registered, json.dumps(client.jwks()), ADMINISTRATOR, ORIGIN)

    def rules(self, *rules: AccessRule) -> None:
        application = self.running.vault.client_applications.get("scanner")
        self.running.vault.client_applications.set_rules(application, rules, ADMINISTRATOR, ORIGIN)

    def send(self, form: dict[str, str] | bytes, **headers: str) -> tuple[int, dict[str, Any]]:
        body = form if isinstance(form, bytes) else urlencode(form).encode()
        answer = Browser(self.running.app).post(
            "/oauth2/token", body, headers={"Sec-Fetch-Site": "", "Origin": ""} | headers
        )
        assert answer.header("Cache-Control") == "no-store"
        assert answer.header("Content-Type") == "application/json", answer.body
        assert answer.header("Set-Cookie") == ""
        conforms("/oauth2/token", answer)
        return answer.status, json.loads(answer.body)

    def fetch(self, name: str = "CONTOSO\\alice", **more: str) -> dict[str, Any]:
        status, body = self.send(self.application.form(name, NORTHWIND, **more))
        assert status == 200, body
        return body

    def refuse(self, name: str = "CONTOSO\\alice", **more: str) -> tuple[int, str, str]:
        status, body = self.send(self.application.form(name, NORTHWIND, **more))
        return status, body["error"], body["reason"]

    def ledger(self) -> list[dict[str, Any]]:
        """The lines about tokens."""
        items = [
            item for item in self.running.aws.items("vault") if item.get("tag", {}).get("S", "").startswith("token.")
        ]
        return [
            {
                "tag": item["tag"]["S"],
                "actor": item["actor"]["S"],
                "user": item["user_id"]["S"],
                **{name: value["S"] for name, value in (item["facts"]["M"] | item["about"]["M"]).items()},
            }
            for item in items
        ]


@pytest.fixture
def api(running: Running) -> Api:
    return Api(running)


class TestRelease:
    def test_gives_the_access_token_with_all_that_a_program_needs(self, api: Api) -> None:
        body = api.fetch()
        assert api.running.cloud.is_live(body.pop("access_token"))
        assert len(body.pop("release_id")) == 32
        assert body == {
            "issued_token_type": "urn:ietf:params:oauth:token-type:access_token",
            "token_type": "Bearer",
            "expires_in": 3600,
            "expires_at": NOW + 3600,
            "scope": " ".join(SCOPES),
            "missing_scopes": [],
            "account": {"subject": "cloud-alice", "label": "alice@contoso.example"},
        }

    def test_r56_the_refresh_token_never_leaves(self, api: Api) -> None:
        form = api.application.form("CONTOSO\\alice", NORTHWIND)
        _, body = api.send(form)
        tokens = set(api.running.cloud._refresh_tokens)
        assert tokens
        assert not any(token in json.dumps(body) for token in tokens)

    @pytest.mark.parametrize(
        "name", ["CONTOSO\\alice", "contoso\\ALICE", " CONTOSO\\alice ", "Alice@Contoso.example", ALICE_ID]
    )
    def test_a_person_is_named_by_any_alias(self, api: Api, name: str) -> None:
        assert api.fetch(name)["account"]["subject"] == "cloud-alice"

    def test_r70_every_release_is_a_line_of_the_ledger_without_the_token(self, api: Api) -> None:
        body = api.fetch()
        (line,) = api.ledger()
        assert line == {
            "tag": "token.released",
            "actor": "scanner",
            "user": ALICE_ID,
            "client": "scanner",
            "reason": "nightly filing",
            "account": "alice@contoso.example",
            "release": body["release_id"],
            "scopes": " ".join(SCOPES),
            "generation": "1",
        }
        assert body["access_token"] not in json.dumps(api.running.aws.items("vault"), default=str)

    def test_f11_r70_without_the_line_there_is_no_token(self, api: Api, monkeypatch: pytest.MonkeyPatch) -> None:
        put = api.running.aws.clients.dynamodb.put_item
        api.running.clock.advance(3600)

        def no_ledger(**arguments: Any) -> Any:
            if arguments["Item"]["pk"]["S"].startswith("AUDIT#"):
                raise ClientError({"Error": {"Code": "InternalServerError", "Message": "no"}}, "PutItem")
            return put(**arguments)

        with monkeypatch.context() as broken:
            broken.setattr(api.running.aws.clients.dynamodb, "put_item", no_ledger)
            status, body = api.send(api.application.form("CONTOSO\\alice", NORTHWIND))
        assert (status, body["error"], "access_token" in body) == (503, "temporarily_unavailable", False)
        assert api.running.cloud.requests["/token"] == 2
        api.fetch()
        assert api.running.cloud.requests["/token"] == 2

    def test_an_expired_token_is_refreshed(self, api: Api) -> None:
        first = api.fetch()
        api.running.clock.advance(3600)
        second = api.fetch()
        assert first["access_token"] != second["access_token"]
        assert second["expires_at"] == NOW + 7200

    def test_f19_who_asks_again_gets_what_the_first_try_fetched(self, api: Api) -> None:
        api.running.clock.advance(3600)
        assert api.fetch()["access_token"] == api.fetch()["access_token"]
        assert api.running.cloud.requests["/token"] == 2

    def test_the_resource_names_the_provider_too(self, api: Api) -> None:
        assert api.fetch(audience="", resource=f"{BASE}/providers/northwind")
        assert api.fetch(resource=f"{BASE}/providers/northwind")

    def test_minimum_life_and_the_token_that_was_refused(self, api: Api) -> None:
        first = api.fetch(minimum_seconds="3600")["access_token"]
        rejected = hashlib.sha256(first.encode()).hexdigest()
        second = api.fetch(rejected_token_hash=rejected)["access_token"]
        assert second != first
        assert api.fetch(rejected_token_hash=rejected)["access_token"] == second
        assert api.refuse(minimum_seconds="3601") == (400, "invalid_request", "life_too_short")
        assert api.running.cloud.requests["/token"] == 2

    def test_a_token_that_lives_less_than_the_default_minimum_is_given_with_half_its_life(self, api: Api) -> None:
        """As docs/token-endpoint.md has it: nobody could have more, and a refresh for each call would help nobody."""
        api.running.cloud.access_token_seconds = 4
        api.running.clock.advance(3600)
        first = api.fetch()
        assert first["expires_in"] == 4
        api.running.clock.advance(2)
        again = api.fetch()
        assert (again["access_token"], again["expires_in"]) == (first["access_token"], 2)
        api.running.clock.advance(1)
        assert api.fetch()["expires_in"] == 4
        assert api.refuse(minimum_seconds="5")[2] == "life_too_short"

    def test_narrow_scopes_and_the_account(self, api: Api) -> None:
        assert api.fetch(scope="openid email", account="cloud-alice")["scope"] == " ".join(SCOPES)
        assert api.fetch(account="alice@contoso.example")
        status, body = api.send(api.application.form("CONTOSO\\alice", NORTHWIND, scope="openid files"))
        assert (status, body["error"], body["reason"]) == (400, "invalid_scope", "missing_scopes")
        assert body["missing_scopes"] == ["files"]
        assert api.refuse(account="cloud-bob") == (400, "invalid_grant", "not_connected")


class TestAccess:
    def test_r74_without_a_rule_nothing_is_released(self, api: Api) -> None:
        api.rules()
        assert api.refuse() == (400, "unauthorized_client", "app_not_allowed")

    @pytest.mark.parametrize(
        "rule",
        [
            replace(EVERYBODY, provider_id="other"),
            replace(EVERYBODY, whose=Whose(users=frozenset({BOB_ID}))),
            replace(EVERYBODY, whose=Whose(groups=frozenset({"S-1-5-32-1"}))),
            replace(EVERYBODY, scopes=("openid", "email")),
            replace(EVERYBODY, sources=("192.0.2.0/24",)),
        ],
    )
    def test_r74_a_rule_that_does_not_fit_releases_nothing(self, api: Api, rule: AccessRule) -> None:
        api.rules(rule)
        assert api.refuse() == (400, "unauthorized_client", "app_not_allowed")
        assert [line["code"] for line in api.ledger()] == ["app_not_allowed"]

    def test_r77_what_the_application_has_no_right_to_know_is_answered_alike(self, api: Api) -> None:
        api.rules(replace(EVERYBODY, whose=Whose(users=frozenset({BOB_ID}))))
        answers = [
            api.send(api.application.form("CONTOSO\\alice", NORTHWIND)),
            api.send(api.application.form("CONTOSO\\nobody", NORTHWIND)),
            api.send(api.application.form("S-1-5-21-1-2-3-9999", NORTHWIND)),
            api.send(api.application.form("CONTOSO\\alice", "forbidden")),
            api.send(api.application.form("CONTOSO\\bob", "forbidden")),
        ]
        for _, body in answers:
            body.pop("request_id")
        assert [answer == answers[0] for answer in answers] == [True] * 5
        assert answers[0][1]["reason"] == "app_not_allowed"

    def test_a_person_without_an_authorization_gets_a_link_to_make_one(self, api: Api) -> None:
        for name in ("CONTOSO\\bob", BOB_ID, "CONTOSO\\nobody"):
            status, body = api.send(api.application.form(name, NORTHWIND))
            assert (status, body["error"], body["reason"]) == (400, "invalid_grant", "not_connected")
            assert body["connect_url"] == f"{BASE}/providers#provider-northwind"
        assert 'id="provider-northwind"' in api.browser.get("/providers").body

    def test_a_name_of_two_people_is_refused_never_guessed(self, api: Api) -> None:
        bob = replace(directory.BOB.user, email="alice@contoso.example")
        api.running.vault.users.enrol(bob, sessions_until=0, at=NOW)
        assert api.refuse("alice@contoso.example") == (400, "invalid_request", "ambiguous_subject")
        assert api.fetch("CONTOSO\\alice")

    def test_r91_a_reused_name_never_gets_the_token_of_who_bore_it_before(self, api: Api) -> None:
        """`CONTOSO\\alice` is renamed and logs in; somebody new becomes `CONTOSO\\alice`."""
        renamed = replace(directory.ALICE.user, login_name="CONTOSO\\jones", email="jones@contoso.example")
        jones, new = directory.Person(renamed, "jones-pass"), directory.person(1200, "alice", "Al New")
        token = api.fetch()["access_token"]
        api.running.directory.hire(jones, new)
        api.running.browser("jones")
        for name in ("CONTOSO\\alice", "alice@contoso.example", "CONTOSO\\nobody"):
            assert api.refuse(name)[2] == "not_connected"
        assert api.fetch("CONTOSO\\jones")["access_token"] == token
        assert api.fetch("jones@contoso.example")["access_token"] == token
        assert api.fetch(ALICE_ID)["access_token"] == token
        browser = api.running.browser("alice")
        assert api.refuse()[2] == "not_connected"
        api.running.authorize(browser, "bob")
        for name in ("CONTOSO\\alice", "alice@contoso.example"):
            assert api.fetch(name)["access_token"] != token
        assert api.fetch("CONTOSO\\jones")["access_token"] == token

    def test_r77_r102_a_name_that_nobody_bears_any_more_is_answered_like_one_that_nobody_ever_had(
        self, api: Api
    ) -> None:
        renamed = replace(directory.ALICE.user, login_name="CONTOSO\\jones", email="jones@contoso.example")
        api.running.directory.hire(directory.Person(renamed, "jones-pass"))
        api.running.browser("jones")
        for whose in (Whose(everybody=True), Whose(users=frozenset({ALICE_ID}))):
            api.rules(replace(EVERYBODY, whose=whose))
            answers = [api.send(api.application.form(f"CONTOSO\\{name}", NORTHWIND)) for name in ("alice", "nobody")]
            for _, body in answers:
                body.pop("request_id")
            assert answers[0] == answers[1]

    def test_r91_the_sweep_follows_a_rename_before_the_person_comes_again(self, api: Api) -> None:
        renamed = replace(directory.ALICE.user, login_name="CONTOSO\\jones", email="", display_name="Al Jones")
        api.running.directory.changed[ALICE_ID] = renamed
        token = api.fetch()["access_token"]
        api.running.clock.advance(121)
        assert api.running.vault.leavers.sweep() == 1
        assert api.fetch("CONTOSO\\jones")["access_token"] == token
        for name in ("CONTOSO\\alice", "alice@contoso.example"):
            assert api.refuse(name)[2] == "not_connected"
        assert "CONTOSO\\jones" in api.browser.get("/providers").text
        (grant,) = api.running.vault.administration.of_person(api.running.vault.people.with_id(ALICE_ID))
        assert grant.user_name == "CONTOSO\\jones"

    def test_r91_what_is_stored_of_before_is_read_and_moves_along(self, api: Api) -> None:
        """Records without a list of names, and claims that are ids alone."""
        client, table = api.running.aws.clients.dynamodb, api.running.vault.settings.table
        for item in api.running.aws.items("vault"):
            key = {"pk": item["pk"], "sk": item["sk"]}
            if item["pk"]["S"].startswith("ALIAS#"):
                client.put_item(TableName=table, Item=key | {"user_ids": {"SS": [ALICE_ID]}})
            elif item["sk"]["S"] == "RECORD":
                old = {k: v for k, v in item.items() if k not in ("names", "proved_at", "also_called")}
                client.put_item(TableName=table, Item=old)
        token = api.fetch()["access_token"]
        assert api.fetch("alice@contoso.example")["access_token"] == token
        renamed = replace(directory.ALICE.user, login_name="CONTOSO\\jones")
        api.running.directory.hire(directory.Person(renamed, "jones-pass"))
        api.running.browser("jones")
        assert api.refuse()[2] == "not_connected"
        for name in ("CONTOSO\\jones", "alice@contoso.example"):
            assert api.fetch(name)["access_token"] == token
        assert [i for i in api.running.aws.items("vault") if i["pk"]["S"] == "ALIAS#contoso\\alice"] == []

    def test_r76_a_stop_counts_on_the_next_call_and_is_undone(self, api: Api) -> None:
        api.fetch()
        api.running.vault.stops.stop(StopKind.APPLICATION, "scanner", "lost laptop", ADMINISTRATOR, ORIGIN)
        assert api.refuse() == (400, "unauthorized_client", "blocked")
        api.running.vault.stops.resume(StopKind.APPLICATION, "scanner", ADMINISTRATOR, ORIGIN)
        api.fetch()

    def test_r76_so_do_a_revocation_a_removal_and_a_provider_that_is_switched_off(self, api: Api) -> None:
        api.fetch()
        page = api.browser.press(api.browser.get("/providers"), "Revoke authorization")
        api.browser.press(page, "Revoke")
        assert api.refuse()[2] == "not_connected"
        api.running.authorize(api.browser)
        api.fetch()
        api.running.vault.removals.remove_all(BY, NORTHWIND, ORIGIN)
        assert api.refuse()[2] == "not_connected"
        api.running.authorize(api.browser)
        api.fetch()
        store = api.running.vault.administration._providers
        store.update(replace(store.get(NORTHWIND), enabled=False))
        assert api.refuse()[2] == "blocked"

    def test_r76_a_stop_during_a_slow_refresh_counts_too(self, api: Api) -> None:
        api.running.clock.advance(3600)

        def slow(handle: Callable[[], CloudAnswer]) -> CloudAnswer:
            api.running.clock.advance(2)
            api.running.vault.stops.stop(StopKind.APPLICATION, "scanner", "now", ADMINISTRATOR, ORIGIN)
            return handle()

        api.running.cloud.misbehave("/token", slow)
        assert api.refuse()[2] == "blocked"

    def test_f28_a_removal_during_a_slow_refresh_counts_too(self, api: Api) -> None:
        api.running.clock.advance(3600)

        def slow(handle: Callable[[], CloudAnswer]) -> CloudAnswer:
            api.running.clock.advance(2)
            api.running.vault.removals.remove_all(BY, NORTHWIND, ORIGIN)
            return handle()

        api.running.cloud.misbehave("/token", slow)
        assert api.refuse()[2] == "not_connected"

    def test_scopes_that_a_refresh_widened_beyond_the_ceiling_are_not_released(self, api: Api) -> None:
        api.running.clock.advance(3600)

        def wider(handle: Callable[[], CloudAnswer]) -> CloudAnswer:
            answer = handle()
            values = json.loads(answer.body) | {"scope": " ".join((*SCOPES, "files"))}
            return replace(answer, body=json.dumps(values).encode())

        api.running.cloud.misbehave("/token", wider)
        assert api.refuse()[2] == "app_not_allowed"

    def test_what_the_cloud_refused_must_be_authorized_again(self, api: Api) -> None:
        api.running.clock.advance(3600)
        api.running.cloud.misbehave("/token", error("invalid_grant"))
        for _ in range(2):
            status, body = api.send(api.application.form("CONTOSO\\alice", NORTHWIND))
            assert (status, body["error"], body["reason"]) == (400, "invalid_grant", "needs_reauthorization")
            assert body["connect_url"]
        browser = api.running.browser("alice")
        assert "no longer accepts this authorization" in browser.get("/providers").text
        api.running.authorize(browser, button="Reauthorize")
        api.fetch()

    def test_f12_a_cloud_that_is_down_is_said_with_a_time(self, api: Api) -> None:
        api.running.clock.advance(3600)
        api.running.cloud.misbehave("/token", status(503, Retry_After="20"))
        answer, body = api.send(api.application.form("CONTOSO\\alice", NORTHWIND))
        assert (answer, body["error"], body["reason"], body["retry_after"]) == (
            503, "temporarily_unavailable", "provider_unavailable", 20,
        )  # fmt: skip

    def test_f15_a_wrong_registration_is_said_as_such(self, api: Api) -> None:
        api.running.clock.advance(3600)
        api.running.cloud.client_secret = "changed there"
        assert api.refuse() == (503, "temporarily_unavailable", "provider_misconfigured")
        assert api.running.browser("alice").get("/providers").form("Reauthorize")
        assert api.running.audit_tags().count("provider.misconfigured") == 1


def without(form: dict[str, str], name: str) -> dict[str, str]:
    return {key: value for key, value in form.items() if key != name}


def encoded(value: dict[str, Any]) -> str:
    return urlsafe_b64encode(json.dumps(value).encode()).decode().rstrip("=")


class TestClientAuthentication:
    def test_r73_an_assertion_works_once(self, api: Api) -> None:
        form = api.application.form("CONTOSO\\alice", NORTHWIND)
        assert api.send(form)[0] == 200
        for _ in range(2):
            status, body = api.send(form)
            assert (status, body["error"], body["reason"]) == (401, "invalid_client", "replayed")
        api.running.clock.advance(20)
        assert api.send(form)[1]["reason"] == "replayed"
        assert [line["tag"] for line in api.ledger()].count("token.released") == 1
        assert len(api.ledger()) == 4

    def test_r73_a_refusal_uses_it_up_as_well(self, api: Api) -> None:
        form = api.application.form("CONTOSO\\bob", NORTHWIND)
        assert api.send(form)[1]["reason"] == "not_connected"
        api.running.authorize(api.running.browser("bob"), "bob")
        assert api.send(form)[1]["reason"] == "replayed"

    @pytest.mark.parametrize(
        "claims",
        [
            {"aud": "https://other.example"},
            {"aud": [BASE]},
            {"aud": [BASE, "https://other.example"]},
            {"aud": f"{BASE}/oauth2/token"},
            {"aud": ...},
            {"iss": "other"},
            {"iss": ...},
            {"exp": ...},
            {"exp": NOW - 31, "iat": NOW - 60},
            {"exp": NOW + 61},
            {"exp": NOW, "iat": NOW},
            {"exp": str(NOW + 30)},
            {"exp": NOW + 30.5},
            {"exp": True},
            {"iat": ...},
            {"iat": NOW + 31, "exp": NOW + 60},
            {"nbf": NOW + 31},
            {"nbf": "now"},
            {"jti": ...},
            {"jti": ""},
            {"jti": 7},
            {"jti": "x" * 300},
            {"sub": "other"},
            {"sub": 7},
        ],
    )
    def test_r73_a_wrong_assertion_is_refused(self, api: Api, claims: dict[str, Any]) -> None:
        assert api.refuse(client_assertion=api.application.assertion(**claims)) == (
            401,
            "invalid_client",
            "invalid_client",
        )
        assert [line["tag"] for line in api.ledger()] == ["token.refused"]

    @pytest.mark.parametrize("off", [-29, 29])
    def test_a_clock_that_is_a_little_off_is_forgiven(self, api: Api, off: int) -> None:
        issued = NOW + off
        api.fetch(client_assertion=api.application.assertion(iat=issued, exp=issued + 30))

    def forgeries(self, api: Api) -> dict[str, str]:
        claims = {"iss": "scanner", "sub": "scanner", "aud": BASE, "iat": NOW, "exp": NOW + 30, "jti": "1"}
        good = api.application.assertion()
        head, body, signature = good.split(".")
        public = json.dumps(api.application.key.as_dict(private=False)).encode()
        hmac_with_public_key = OctKey.import_key(public.ljust(64))
        other = Application("scanner", BASE, api.running.clock.now, ECKey.generate_key("P-256", {"kid": "k1"}))
        nobody = Application("nobody", BASE, api.running.clock.now)
        rsa = RSAKey.generate_key(2048, {"kid": "k1"})
        return {
            "none": f"{encoded({'alg': 'none', 'kid': 'k1'})}.{encoded(claims)}.",
            "confused": jwt.encode({"alg": "HS256", "kid": "k1"}, claims, hmac_with_public_key),
            "another key": other.assertion(),
            "another kind of key": jwt.encode({"alg": "RS256", "kid": "k1"}, claims, rsa),
            "a key that comes along": other.signed(claims, jwk=other.key.as_dict(private=False)),
            "critical": api.application.signed(claims, crit=["b64"], b64=True),
            "no kid": jwt.encode({"alg": "ES256"}, claims, api.application.key),
            "an application that does not exist": nobody.assertion(),
            "no signature": f"{head}.{body}.",
            "changed": f"{head}.{body[:-2]}AA.{signature}",
            "two parts": f"{head}.{body}",
            "no jwt": "x",
            "huge": "x" * 20_000,
            "nested": f"{head}.{'W1' * 5000}.{signature}",
            "not ascii": "é.é.é",
            "a subject": api.application.subject("CONTOSO\\alice"),
        }

    def test_r73_no_forgery_passes(self, api: Api) -> None:
        for what, assertion in self.forgeries(api).items():
            assert api.refuse(client_assertion=assertion) == (401, "invalid_client", "invalid_client"), what
        assert {line["tag"] for line in api.ledger()} == {"token.refused"}
        assert {line["actor"] for line in api.ledger()} == {"-"}

    def test_r72_there_is_no_secret_and_no_open_mode(self, api: Api) -> None:
        form = api.application.form("CONTOSO\\alice", NORTHWIND)
        for changed in (
            without(form, "client_assertion"),
            without(form, "client_assertion") | {"client_id": "scanner"},
            without(form, "client_assertion_type"),
            without(form, "client_assertion") | {"client_id": "scanner", "client_secret": "secret"},
            form | {"client_secret": "secret"},
        ):
            status, body = api.send(changed)
            assert (status, "access_token" in body) == (400, False)
        assert api.refuse(client_id="other")[0] == 401

    def test_keys_overlap_and_a_removed_one_is_dead_at_once(self, api: Api) -> None:
        service = api.running.vault.client_applications
        second = Application("scanner", BASE, api.running.clock.now, RSAKey.generate_key(2048, {"kid": "k2"}))
        both = service.add_keys(service.get("scanner"), json.dumps(second.jwks()), ADMINISTRATOR, ORIGIN)
        assert api.send(second.form("CONTOSO\\alice", NORTHWIND))[0] == 200
        api.fetch()
        service.remove_key(both, "k1", ADMINISTRATOR, ORIGIN)
        assert api.refuse()[0] == 401
        assert api.send(second.form("CONTOSO\\alice", NORTHWIND))[0] == 200


class TestSubject:
    @pytest.mark.parametrize(
        "claims",
        [
            {"reason": ...},
            {"reason": " "},
            {"reason": "x" * 201},
            {"reason": "a\nb"},
            {"reason": 7},
            {"iss": "other"},
            {"aud": "https://other.example"},
            {"exp": NOW + 3600},
            {"exp": NOW - 40, "iat": NOW - 60},
            {"sub": ""},
            {"sub": "x" * 400},
            {"sub": "a\nb"},
            {"sub": ...},
            {"sub": ["CONTOSO\\alice"]},
        ],
    )
    def test_r74_a_wrong_subject_token_is_refused(self, api: Api, claims: dict[str, Any]) -> None:
        subject = api.application.subject("CONTOSO\\alice", **claims)
        assert api.refuse(subject_token=subject) == (400, "invalid_request", "invalid_subject")

    def test_a_subject_token_of_somebody_else_is_refused(self, api: Api) -> None:
        other = Application("scanner", BASE, api.running.clock.now, ECKey.generate_key("P-256", {"kid": "k1"}))
        for token in (other.subject("CONTOSO\\alice"), "x", "a.b.c"):
            assert api.refuse(subject_token=token) == (400, "invalid_request", "invalid_subject")

    def test_an_identity_provider_names_the_person_and_nobody_else(self, api: Api) -> None:
        provider = Application(
            "https://idp.example", "mailer", api.running.clock.now, RSAKey.generate_key(2048, {"kid": "i1"})
        )
        mailer = Application("mailer", BASE, api.running.clock.now)
        issuer = TrustedIssuer("https://idp.example", "https://idp.example/jwks", "mailer", "upn")
        api.register(
            replace(
                APPLICATION,
                id="mailer",
                name="Mailer",
                subject_mode=SubjectMode.IDENTITY_PROVIDER,
                trusted_issuer=issuer,
                rules=(EVERYBODY,),
            ),
            mailer,
        )
        asked: list[str] = []

        def fetch(url: str) -> dict[str, Any]:
            asked.append(url)
            return provider.jwks()

        api.running.vault.token_exchange._jwt_verifier = JoseVerifier(api.running.clock, fetch)

        def ask(token: str) -> tuple[int, str]:
            code, body = api.send(mailer.form("-", NORTHWIND, subject_token=token))
            return code, body.get("reason", "")

        good = {"sub": "opaque", "upn": "alice@contoso.example"}
        for _ in range(2):
            assert ask(provider.signed(good)) == (200, "")
        assert asked == ["https://idp.example/jwks"]
        assert ask(provider.signed(good | {"aud": ["other", "mailer"]})) == (200, "")
        wrong: list[dict[str, Any]] = [
            {"aud": "other"},
            {"iss": "https://other.example"},
            {"exp": NOW - 31},
            {"upn": ...},
            {"exp": ...},
        ]
        for claims in wrong:
            assert ask(provider.signed(good | claims)) == (400, "invalid_subject"), claims
        assert ask(mailer.subject("CONTOSO\\alice")) == (400, "invalid_subject")
        assert ask(provider.signed(good | {"upn": "nobody@contoso.example"})) == (400, "not_connected")

    def test_keys_of_an_identity_provider_that_cannot_be_read_release_nothing(self, api: Api) -> None:
        mailer = Application("mailer", BASE, api.running.clock.now)
        issuer = TrustedIssuer(api.running.cloud.issuer, f"{api.running.cloud.issuer}/jwks", "mailer")
        api.register(
            replace(
                APPLICATION,
                id="mailer",
                name="Mailer",
                subject_mode=SubjectMode.IDENTITY_PROVIDER,
                trusted_issuer=issuer,
                rules=(EVERYBODY,),
            ),
            mailer,
        )
        provider = Application(api.running.cloud.issuer, "mailer", api.running.clock.now)
        huge = instead(CloudAnswer(body=b"[" + b"1," * 600_000 + b"1]"))
        for rules, expected in (
            ([status(503, Retry_After="9")], (503, "vault_unavailable")),
            ([huge], (400, "invalid_subject")),
            ([], (400, "invalid_subject")),
        ):
            api.running.cloud.misbehave("/jwks", *rules)
            code, body = api.send(mailer.form("-", NORTHWIND, subject_token=provider.subject("CONTOSO\\alice")))
            assert (code, body["reason"]) == expected


class TestRequests:
    @pytest.mark.parametrize(
        "changes",
        [
            {"grant_type": ""},
            {"requested_token_type": "urn:ietf:params:oauth:token-type:refresh_token"},
            {"subject_token_type": "urn:ietf:params:oauth:token-type:saml2"},
            {"subject_token_type": "urn:token-vault:subject:name"},
            {"subject_token": ""},
            {"actor_token": "x"},
            {"audience": ""},
            {"audience": "a b"},
            {"audience": "../x"},
            {"audience": "x" * 65},
            {"resource": "https://other.example/northwind"},
            {"resource": f"{BASE}/providers/other"},
            {"scope": "a  b"},
            {"scope": 'a"b'},
            {"minimum_seconds": "-1"},
            {"minimum_seconds": "1e3"},
            {"minimum_seconds": "999999"},
            {"rejected_token_hash": "token"},
            {"account": "x" * 400},
        ],
    )
    def test_a_malformed_request_is_refused_and_recorded(self, api: Api, changes: dict[str, str]) -> None:
        assert api.refuse(**changes) == (400, "invalid_request", "invalid_request")
        assert [line["code"] for line in api.ledger()] == ["invalid_request"]

    def test_r18_a_repeated_parameter_is_refused_and_an_unknown_one_ignored(self, api: Api) -> None:
        form = urlencode(api.application.form("CONTOSO\\alice", NORTHWIND)).encode()
        assert api.send(form + b"&audience=northwind")[0] == 400
        assert api.send(form + b"&unknown=1&unknown=2")[0] == 200

    @pytest.mark.parametrize(
        ("body", "expected"), [(b"x=" + b"y" * 1_000_000, 413), (b"\xff", 400), (b"&".join([b"a=1"] * 60), 413)]
    )
    def test_r22_what_is_too_large_or_no_form_is_refused(self, api: Api, body: bytes, expected: int) -> None:
        status, answer = api.send(body)
        assert (status, answer["error"]) == (expected, "invalid_request")
        assert [line["code"] for line in api.ledger()] == ["invalid_request"]

    @pytest.mark.parametrize("content_type", ["application/json", "text/plain"])
    def test_r12_only_forms_are_read(self, api: Api, content_type: str) -> None:
        status, answer = api.send(b"{}", **{"Content-Type": content_type})
        assert (status, answer["error"]) == (415, "invalid_request")
        assert [line["tag"] for line in api.ledger()] == ["token.refused"]

    def test_other_methods_are_refused_in_the_same_way(self, api: Api) -> None:
        answer = Browser(api.running.app).get("/oauth2/token")
        body = json.loads(answer.body)
        assert (answer.status, body["error"], body["reason"]) == (405, "invalid_request", "method_not_allowed")

    def test_f20_r70_a_request_that_cannot_be_read_nor_recorded_is_said_as_such(
        self, api: Api, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        def down(*_: object) -> None:
            raise StorageUnavailable

        monkeypatch.setattr(api.running.vault.token_exchange._audit_log, "record", down)
        assert api.send(b"{}", **{"Content-Type": "application/json"})[0] == 503

    def test_cookies_and_origins_count_for_nothing(self, api: Api) -> None:
        form = urlencode(api.application.form("CONTOSO\\alice", NORTHWIND)).encode()
        answer = api.browser.post(
            "/oauth2/token", form, headers={"Origin": "https://other.example", "Sec-Fetch-Site": "cross-site"}
        )
        assert answer.status == 200
        assert api.browser.post("/oauth2/token", {"csrf": "x"}).status == 400

    def test_r19_a_bug_is_answered_as_json_without_its_text(self, api: Api, monkeypatch: pytest.MonkeyPatch) -> None:
        def bug(*_: object) -> None:
            raise RuntimeError("canary-secret")

        monkeypatch.setattr(api.running.vault.token_exchange, "exchange", bug)
        status, body = api.send(api.application.form("CONTOSO\\alice", NORTHWIND))
        assert (status, body["error"]) == (500, "server_error")
        assert "canary" not in json.dumps(body)

    def test_f20_a_store_that_is_down_is_said_as_such(self, api: Api, monkeypatch: pytest.MonkeyPatch) -> None:
        def down(**_: object) -> None:
            raise ClientError(
                {"Error": {"Code": "ProvisionedThroughputExceededException", "Message": "canary"}}, "BatchGetItem"
            )

        monkeypatch.setattr(api.running.aws.clients.dynamodb, "batch_get_item", down)
        assert api.refuse() == (503, "temporarily_unavailable", "vault_unavailable")
        assert [line["code"] for line in api.ledger()] == ["vault_unavailable"]

    def test_f6_a_key_service_that_is_down_is_said_as_such(self, api: Api, monkeypatch: pytest.MonkeyPatch) -> None:
        def down(**_: object) -> None:
            raise ClientError({"Error": {"Code": "ThrottlingException", "Message": "canary"}}, "Decrypt")

        api.running.clock.advance(3600)
        with monkeypatch.context() as broken:
            broken.setattr(api.running.aws.clients.kms, "decrypt", down)
            assert api.refuse() == (503, "temporarily_unavailable", "vault_unavailable")
        assert api.running.cloud.requests["/token"] == 1
        api.fetch()

    def test_r68_no_assertion_or_token_is_in_any_log_line(self, api: Api, caplog: pytest.LogCaptureFixture) -> None:
        caplog.set_level(logging.DEBUG)
        form = api.application.form("CONTOSO\\alice", NORTHWIND)
        _, body = api.send(form)
        api.send(form)
        logged = json.dumps([vars(record) for record in caplog.records], default=str)
        for secret in (form["client_assertion"], form["subject_token"], body["access_token"]):
            assert secret not in logged

    def test_the_document_says_where_and_how(self, api: Api) -> None:
        answer = Browser(api.running.app).get("/.well-known/oauth-authorization-server")
        document = json.loads(answer.body)
        assert document["issuer"] == BASE
        assert document["token_endpoint"] == f"{BASE}/oauth2/token"
        assert document["token_endpoint_auth_methods_supported"] == ["private_key_jwt"]
        assert document["grant_types_supported"] == ["urn:ietf:params:oauth:grant-type:token-exchange"]


class TestIam:
    def call(self, api: Api, form: dict[str, str], arn: str | None, **headers: str) -> tuple[int, dict[str, Any]]:
        """As API Gateway hands it over."""
        identity = {"sourceIp": "127.0.0.1"} | ({"userArn": arn} if arn is not None else {})
        event = {
            "httpMethod": "POST",
            "path": "/oauth2/token/iam",
            "resource": "/oauth2/token/iam",
            "headers": {"content-type": FORM} | headers,
            "multiValueHeaders": {},
            "pathParameters": {},
            "queryStringParameters": None,
            "multiValueQueryStringParameters": None,
            "body": urlencode(form),
            "isBase64Encoded": False,
            "stageVariables": None,
            "requestContext": {
                "resourcePath": "/oauth2/token/iam",
                "httpMethod": "POST",
                "requestId": "gateway-1",
                "identity": identity,
            },
        }
        answer = api.running.app(event, None)
        return answer["statusCode"], json.loads(answer["body"])

    def form(self, **more: str) -> dict[str, str]:
        return {
            "grant_type": "urn:ietf:params:oauth:grant-type:token-exchange",
            "client_id": "archiver",
            "subject_token": "CONTOSO\\alice",
            "subject_token_type": "urn:token-vault:subject:name",
            "audience": NORTHWIND,
            "reason": "archive",
        } | more

    @pytest.fixture
    def registered(self, api: Api) -> Api:
        archiver = replace(APPLICATION, id="archiver", name="Archiver", role_arn=ROLE, rules=(EVERYBODY,))
        api.running.vault.client_applications.register(archiver, ADMINISTRATOR, ORIGIN)
        return api

    def test_r72_a_role_is_proof_enough(self, registered: Api) -> None:
        status, body = self.call(registered, self.form(), SESSION_OF_ROLE)
        assert (status, body.get("scope")) == (200, " ".join(SCOPES))
        (line,) = registered.ledger()
        assert (line["actor"], line["reason"], line["release"]) == ("archiver", "archive", body["release_id"])

    @pytest.mark.parametrize(
        "arn", [None, "", "arn:aws:sts::123456789012:assumed-role/other/i-1", "arn:aws:iam::123456789012:user/alice"]
    )
    def test_r72_without_the_identity_of_that_role_nothing_is_released(self, registered: Api, arn: str | None) -> None:
        status, body = self.call(registered, self.form(), arn, userarn=SESSION_OF_ROLE)
        assert (status, body["error"]) == (401, "invalid_client")

    def test_r72_the_local_gateway_that_lets_everybody_through_releases_nothing(self, registered: Api) -> None:
        answer = Browser(registered.running.app).post("/oauth2/token/iam", self.form())
        assert (answer.status, json.loads(answer.body)["error"]) == (401, "invalid_client")

    def test_a_role_gives_a_reason_and_no_role_asserts_for_an_application_with_an_identity_provider(
        self, registered: Api
    ) -> None:
        assert self.call(registered, self.form(reason=""), SESSION_OF_ROLE)[1]["reason"] == "invalid_subject"
        issuer = TrustedIssuer("https://idp.example", "https://idp.example/jwks", "archiver")
        strict = replace(
            APPLICATION, id="strict", name="Strict", role_arn=ROLE, rules=(EVERYBODY,),
            subject_mode=SubjectMode.IDENTITY_PROVIDER, trusted_issuer=issuer,
        )  # fmt: skip
        registered.running.vault.client_applications.register(strict, ADMINISTRATOR, ORIGIN)
        status, body = self.call(registered, self.form(client_id="strict"), SESSION_OF_ROLE)
        assert (status, body["reason"]) == (400, "invalid_subject")

    def test_a_signed_subject_needs_a_key_of_the_application(self, registered: Api) -> None:
        subject = Application("archiver", BASE, registered.running.clock.now).subject("CONTOSO\\alice")
        form = self.form(subject_token=subject, subject_token_type=JWT)
        assert self.call(registered, form, SESSION_OF_ROLE)[1]["reason"] == "invalid_subject"


class TestNames:
    def test_who_is_renamed_is_found_by_the_new_name_after_the_next_log_in(self, api: Api) -> None:
        people = api.running.directory
        renamed = replace(directory.ALICE.user, login_name="CONTOSO\\smith", email="smith@contoso.example")
        people.changed[ALICE_ID] = renamed
        assert api.refuse("CONTOSO\\smith") == (400, "invalid_grant", "not_connected")
        api.running.browser("alice")
        assert api.fetch("CONTOSO\\smith")["scope"] == api.fetch("smith@contoso.example")["scope"] == " ".join(SCOPES)
