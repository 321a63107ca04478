"""What a refusal tells its caller: everything about its own request, nothing about anybody else (R72, R77, R102)."""

import json
from base64 import urlsafe_b64encode
from dataclasses import replace
from typing import Any
from urllib.parse import urlencode

import pytest
from joserfc.jwk import ECKey, RSAKey

from chalicelib.adapters.jwt_verifier import JoseVerifier
from chalicelib.domain.client_application import SubjectMode, TrustedIssuer
from tests.fakes.application import Application
from tests.samples import ADMINISTRATOR, APPLICATION, NOW

from .client import BASE, Browser
from .conftest import NORTHWIND, Running
from .test_token import EVERYBODY, ORIGIN, Api, conforms

CANARY = "zqxj"
"""Text from outside, which no answer repeats."""


@pytest.fixture
def api(running: Running) -> Api:
    return Api(running)


FORMS: list[tuple[dict[str, str], str, str]] = [
    ({"grant_type": ""}, "grant_type", "urn:ietf:params:oauth:grant-type:token-exchange"),
    ({"requested_token_type": CANARY}, "requested_token_type", "token-type:access_token"),
    ({"subject_token_type": CANARY}, "subject_token_type", "token-type:jwt"),
    ({"subject_token_type": ""}, "subject_token_type", "token-type:jwt"),
    ({"subject_token": ""}, "subject_token", "must name the person"),
    ({"client_assertion_type": CANARY}, "client_assertion_type", "client-assertion-type:jwt-bearer"),
    ({"client_assertion": ""}, "client_assertion", "a JWT"),
    ({"client_secret": CANARY}, "client_secret", "not supported"),
    ({"actor_token": CANARY}, "actor_token", "not supported"),
    ({"actor_token_type": CANARY}, "actor_token_type", "not supported"),
    ({"audience": ""}, "audience", "provider's id"),
    ({"audience": f"{CANARY} b"}, "audience", "provider's id"),
    ({"resource": f"https://{CANARY}.example/"}, "resource", f"{BASE}/providers/<id>"),
    ({"resource": f"{BASE}/providers/{CANARY}"}, "resource", "same provider"),
    ({"scope": f"{CANARY}  b"}, "scope", "one blank"),
    ({"minimum_seconds": CANARY}, "minimum_seconds", "whole number"),
    ({"rejected_token_hash": CANARY}, "rejected_token_hash", "64 hexadecimal"),
    ({"account": CANARY * 100}, "account", "320"),
]
TIMES: list[tuple[dict[str, Any], str, str]] = [
    ({"aud": f"https://{CANARY}.example"}, "aud", f"`aud` must be {BASE}"),
    ({"aud": [BASE]}, "aud", "one string"),
    ({"aud": ...}, "aud", BASE),
    ({"exp": ...}, "exp", "whole number"),
    ({"exp": CANARY}, "exp", "whole number"),
    ({"iat": NOW - 90, "exp": NOW - 40}, "exp", "40 seconds behind"),
    ({"iat": NOW - 90, "exp": -(10**4000)}, "exp", "more than a day behind"),
    ({"iat": NOW + 40, "exp": NOW + 60}, "iat", "40 seconds ahead"),
    ({"iat": ...}, "iat", "whole number"),
    ({"nbf": NOW + 31}, "nbf", "31 seconds ahead"),
    ({"exp": NOW + 61}, "lifetime", "at most 60 seconds"),
]
CLIENT: list[tuple[dict[str, Any], str, str]] = [
    *TIMES,
    ({"iss": CANARY}, "iss", "`iss` and `sub`"),
    ({"sub": f"{CANARY}!"}, "sub", "application's id"),
    ({"jti": ...}, "jti", "1 to 256"),
    ({"jti": CANARY * 100}, "jti", "1 to 256"),
]
SUBJECT: list[tuple[dict[str, Any], str, str]] = [
    *TIMES,
    ({"iss": CANARY}, "iss", "application's id"),
    ({"sub": 7}, "sub", "name or id of a person"),
    ({"reason": ...}, "reason", "1 to 200"),
]


def told(api: Api, form: dict[str, str], expected: tuple[str, str], detail: str, phrase: str) -> None:
    """The answer, the ledger and the log say which part is wrong, and none repeats what was sent."""
    status, body = api.send(form)
    assert (status, body["reason"], body["detail"]) == (
        401 if expected[0] == "invalid_client" else 400,
        expected[1],
        detail,
    )
    assert body["error"] == expected[0]
    assert phrase in body["error_description"]
    assert CANARY not in json.dumps(body)
    (line,) = api.ledger()
    assert (line["code"], line["detail"]) == (expected[1], detail)


@pytest.mark.parametrize(("changes", "detail", "phrase"), FORMS)
def test_r102_a_parameter_that_is_wrong_is_named_with_what_it_must_be(
    api: Api, changes: dict[str, str], detail: str, phrase: str
) -> None:
    form = api.application.form("CONTOSO\\alice", NORTHWIND) | changes
    told(api, form, ("invalid_request", "invalid_request"), detail, phrase)


@pytest.mark.parametrize(("claims", "detail", "phrase"), CLIENT)
def test_r102_so_is_a_claim_of_the_assertion(api: Api, claims: dict[str, Any], detail: str, phrase: str) -> None:
    assertion = api.application.assertion(**claims)
    form = api.application.form("CONTOSO\\alice", NORTHWIND, client_assertion=assertion)
    told(api, form, ("invalid_client", "invalid_client"), detail, phrase)


@pytest.mark.parametrize(("claims", "detail", "phrase"), SUBJECT)
def test_r102_and_of_the_subject_token(api: Api, claims: dict[str, Any], detail: str, phrase: str) -> None:
    subject = api.application.subject(**({"name": "CONTOSO\\alice"} | {k: v for k, v in claims.items() if k != "sub"}))
    if "sub" in claims:
        subject = api.application.signed({"reason": "x"} | claims)
    form = api.application.form("-", NORTHWIND, subject_token=subject)
    told(api, form, ("invalid_request", "invalid_subject"), detail, phrase)


def test_r102_another_grant_type_has_the_standards_error(api: Api) -> None:
    form = api.application.form("CONTOSO\\alice", NORTHWIND, grant_type="client_credentials")
    told(api, form, ("unsupported_grant_type", "unsupported_grant_type"), "grant_type", "token-exchange")


def test_r102_a_client_id_that_is_not_the_assertions_is_said(api: Api) -> None:
    form = api.application.form("CONTOSO\\alice", NORTHWIND, client_id="other")
    told(api, form, ("invalid_client", "invalid_client"), "client_id", "`sub`")


@pytest.mark.parametrize(
    ("token", "reason"), [("client_assertion", "invalid_client"), ("subject_token", "invalid_subject")]
)
@pytest.mark.parametrize(
    ("header", "detail"), [({"kid": ""}, "kid"), ({"kid": 7}, "kid"), ({"alg": "none"}, "alg"), (None, "jwt")]
)
def test_r102_what_no_key_could_have_signed_is_said(
    api: Api, token: str, reason: str, header: dict[str, Any] | None, detail: str
) -> None:
    _, body, signature = api.application.assertion().split(".")
    changed = urlsafe({"alg": "ES256", "kid": "k1"} | header) if header is not None else CANARY
    form = api.application.form("CONTOSO\\alice", NORTHWIND, **{token: f"{changed}.{body}.{signature}"})
    _, answer = api.send(form)
    assert (answer["reason"], answer["detail"]) == (reason, detail)
    assert CANARY not in json.dumps(answer)


def urlsafe(header: dict[str, Any]) -> str:
    return urlsafe_b64encode(json.dumps(header).encode()).decode().rstrip("=")


def test_r102_a_parameter_that_is_sent_twice_is_named_and_recorded(api: Api) -> None:
    form = urlencode(api.application.form("CONTOSO\\alice", NORTHWIND)).encode()
    for body in (form + b"&audience=" + CANARY.encode(), form + b"&audience=" + CANARY.encode() + b"%00"):
        status, answer = api.send(body)
        assert (status, answer["reason"], answer["detail"]) == (400, "invalid_request", "audience")
        assert answer["error_description"].startswith("`audience`: A field was sent twice")
        assert CANARY not in json.dumps(answer)
    status, answer = api.send(form.replace(b"&audience=", b"&scope=%00&audience="))
    assert (status, answer["detail"]) == (400, "scope")
    assert sorted(line["detail"] for line in api.ledger()) == ["audience", "audience", "scope"]


def test_r102_the_ledger_says_why_a_request_could_not_even_be_read(api: Api) -> None:
    api.send(b"x=" + b"y" * 100_000)
    api.send(b"{}", **{"Content-Type": "application/json"})
    assert sorted(line["detail"] for line in api.ledger()) == ["too_large", "unsupported_content_type"]


def test_r72_whoever_does_not_prove_it_cannot_find_out_which_applications_and_keys_exist(api: Api) -> None:
    """One answer, byte for byte, for an application that is not there, one without that key, and one with it."""
    running = api.running
    running.vault.client_applications.register(replace(APPLICATION, id="bare", name="Bare"), ADMINISTRATOR, ORIGIN)
    forged = ECKey.generate_key("P-256", {"kid": "k1"})
    causes = {
        "unknown": Application("nobody", BASE, running.clock.now),
        "no keys, or too long": Application("bare", BASE, running.clock.now),
        "unknown kid": Application("scanner", BASE, running.clock.now, ECKey.generate_key("P-256", {"kid": "k9"})),
        "signature": Application("scanner", BASE, running.clock.now, forged),
    }
    answers = [api.send(caller.form("CONTOSO\\alice", NORTHWIND)) for caller in causes.values()]
    for _, body in answers:
        body.pop("request_id")
    assert [answer == answers[0] for answer in answers] == [True] * len(causes)
    assert answers[0] == (401, {
        "error": "invalid_client", "reason": "invalid_client", "error_description": answers[0][1]["error_description"],
    })  # fmt: skip
    assert {line["detail"] for line in api.ledger()} == causes.keys()


def test_r72_a_key_of_another_kind_is_not_told_from_none(api: Api) -> None:
    other = Application("scanner", BASE, api.running.clock.now, RSAKey.generate_key(2048, {"kid": "k1"}))
    status, body = api.send(other.form("CONTOSO\\alice", NORTHWIND))
    assert (status, "detail" in body) == (401, False)
    (line,) = api.ledger()
    assert line["detail"] not in ("", "invalid_client")


def test_r102_who_has_proved_it_learns_that_the_subject_token_is_not_signed_by_its_key(api: Api) -> None:
    other = Application("scanner", BASE, api.running.clock.now, ECKey.generate_key("P-256", {"kid": "k9"}))
    form = api.application.form("-", NORTHWIND, subject_token=other.subject("CONTOSO\\alice"))
    status, body = api.send(form)
    assert (status, body["reason"], body["detail"]) == (400, "invalid_subject", "signature")
    (line,) = api.ledger()
    assert (line["detail"], line["signature"]) == ("signature", "unknown kid")


def test_r102_what_is_registered_is_told_to_the_application_itself(api: Api) -> None:
    mailer = Application("mailer", BASE, api.running.clock.now)
    issuer = TrustedIssuer("https://idp.example", "https://idp.example/jwks", "mailer-app", "upn")
    strict = replace(
        APPLICATION, id="mailer", name="Mailer", rules=(EVERYBODY,),
        subject_mode=SubjectMode.IDENTITY_PROVIDER, trusted_issuer=issuer,
    )  # fmt: skip
    api.register(strict, mailer)
    idp = Application("https://idp.example", "mailer-app", api.running.clock.now)

    def keys(_: str) -> dict[str, Any]:
        return idp.jwks()

    api.running.vault.token_exchange._jwt_verifier = JoseVerifier(api.running.clock, keys)
    for claims, detail, phrase in (
        ({"aud": CANARY}, "aud", "mailer-app"),
        ({"iss": CANARY}, "iss", "https://idp.example"),
        ({"upn": 7}, "sub", "`upn`"),
    ):
        token = idp.signed({"upn": "alice@contoso.example"} | claims)
        _, body = api.send(mailer.form("-", NORTHWIND, subject_token=token))
        assert body["detail"] == detail
        assert phrase in body["error_description"]
    _, body = api.send(mailer.form("-", NORTHWIND, subject_token=mailer.subject("CONTOSO\\alice")))
    assert (body["detail"], "identity provider" in body["error_description"]) == ("signature", True)


def test_r77_no_refusal_about_people_has_a_detail(api: Api) -> None:
    for name, provider in (("CONTOSO\\bob", NORTHWIND), ("CONTOSO\\nobody", NORTHWIND), ("CONTOSO\\alice", "other")):
        _, body = api.send(api.application.form(name, provider))
        assert "detail" not in body
    api.rules(replace(EVERYBODY, scopes=("openid",)))
    _, body = api.send(api.application.form("CONTOSO\\alice", NORTHWIND))
    assert (body["reason"], "detail" in body) == ("app_not_allowed", False)
    assert "scopes" in [line.get("detail") for line in api.ledger()]


def test_r102_who_am_i_says_what_is_wrong_as_well(api: Api) -> None:
    for form, detail in (
        ({"client_assertion_type": CANARY, "client_assertion": "x"}, "client_assertion_type"),
        ({"client_assertion_type": api.application.form("-", "-")["client_assertion_type"]}, "client_assertion"),
    ):
        answer = Browser(api.running.app).post("/oauth2/whoami", form)
        conforms("/oauth2/whoami", answer)
        assert (answer.status, json.loads(answer.body)["detail"]) == (400, detail)
    assert sorted(line["detail"] for line in api.ledger()) == ["client_assertion", "client_assertion_type"]
