"""What people, the log and the audit log are told when a sign-in fails, in the words that providers have for it."""

from dataclasses import replace
from typing import Any

import pytest

from chalicelib.domain.sign_in import SignInProblem, SignInSettings
from chalicelib.telemetry import LineFormatter
from tests.fakes.cloud import ScriptedCloud, parameters
from tests.fakes.misbehaviour import error as refused_with
from tests.fakes.misbehaviour import status
from tests.functional.client import BASE, Answer, Browser, going_to
from tests.functional.conftest import NORTHWIND, Running
from tests.functional.test_sign_in import AGAIN, BUTTON, NOT_OURS, SECRET_NAME, Federated, with_identity
from tests.functional.test_sign_in import federated as federated  # noqa: PLC0414 - a fixture
from tests.functional.test_sign_in import identity as identity  # noqa: PLC0414 - a fixture

TENANT = "aaaabbbb-0000-cccc-1111-dddd2222eeee"
IDS = (
    "Trace ID: 0000aaaa-11bb-cccc-dd22-eeeeee333333 Correlation ID: aaaa0000-bb11-2222-33cc-444444dddddd "
    "Timestamp: 2026-11-30 10:00:00Z"
)


def facts_of(running: Running, tag: str) -> dict[str, str]:
    """Those of the newest entry of this kind."""
    entries = [item for item in running.aws.items("vault") if item.get("tag", {}).get("S") == tag]
    newest = max(entries, key=lambda item: item["sk"]["S"])
    return {name: value["S"] for name, value in (newest["facts"]["M"] | newest["about"]["M"]).items()}


def refused(federated: Federated, browser: Browser, error: str, description: str) -> Answer:
    """A sign-in that the provider ends with these words."""
    url = federated.departure(browser)
    return browser.get(federated.callback(federated.identity.refuse(url, error, description)))


# The provider's own reason


WORDS = (
    (
        "interaction_required",
        f"AADSTS50105: Your administrator has configured the application to block users. {IDS}",
        "not_assigned",
        "AADSTS50105",
        "Your account at Contoso ID is not assigned to this application.",
    ),
    (
        "interaction_required",
        f"AADSTS50076: Due to a configuration change made by your administrator, you must use MFA. {IDS}",
        "second_factor",
        "AADSTS50076",
        "asks for a second factor",
    ),
    (
        "access_denied",
        f"AADSTS53003: Access has been blocked by Conditional Access policies. {IDS}",
        "refused_by_rules",
        "AADSTS53003",
        "Your company's rules at Contoso ID refuse this sign-in",
    ),
    (
        "access_denied",
        f"AADSTS53000: Device is not in required device state: compliant. {IDS}",
        "device_refused",
        "AADSTS53000",
        "refuse this device",
    ),
    (
        "access_denied",
        f"AADSTS90094: An administrator must approve. {IDS}",
        "approval_needed",
        "AADSTS90094",
        "An administrator must first approve this application",
    ),
    (
        "access_denied",
        "User is not assigned to the client application.",
        "not_assigned",
        "access_denied",
        "is not assigned to this application",
    ),
    (
        "access_denied",
        "MSIS9605: The client is not allowed to access the requested resource.",
        "misconfigured",
        "MSIS9605",
        "is not set up correctly",
    ),
    ("invalid_scope", "", "misconfigured", "invalid_scope", "is not set up correctly"),
    ("unauthorized_client", "", "misconfigured", "unauthorized_client", "is not set up correctly"),
    ("interaction_required", "", "interaction_needed", "interaction_required", "has to ask you something"),
    ("temporarily_unavailable", "", "unavailable", "temporarily_unavailable", "cannot be reached"),
    ("server_error", "MSIS9604: An error occurred.", "unavailable", "MSIS9604", "cannot be reached"),
    ("access_denied", "", "denied", "access_denied", "did not sign you in"),
    ("a_word_of_its_own", "", "denied", "", "did not sign you in"),
)
"""Error, description, the problem's word, the code for the help desk, and a part of the sentence."""


@pytest.mark.parametrize("words", WORDS, ids=lambda words: f"{words[0]} {words[1][:12]}")
def test_the_provider_s_reason_reaches_the_person_the_log_and_the_audit_log(
    federated: Federated, caplog: pytest.LogCaptureFixture, words: tuple[str, str, str, str, str]
) -> None:
    error, description, problem, code, sentence = words
    page = refused(federated, federated.browser(), error, description)
    assert (page.status, sentence in page.text) == (400, True)
    assert "cannot be trusted" not in page.text
    assert (f"Code for the help desk: {code}" in page.text) is bool(code)
    assert page.form(BUTTON), "trying again is one click"
    facts = facts_of(federated, "session.login")
    assert (facts["cause"], facts.get("code", "")) == (problem, code)
    told = description or (error if error != code else "")
    assert told[:150] in facts.get("detail", "")
    (line,) = [record for record in caplog.records if record.message == "sign_in.failed"]
    assert (line.code, (description or error)[:150] in line.detail) == (problem, True)
    if description:
        assert description not in page.text


def test_the_same_words_count_where_they_come_with_the_code(federated: Federated) -> None:
    browser = federated.browser()
    url = federated.departure(browser)
    federated.identity.misbehave("/token", refused_with("interaction_required", f"AADSTS53001: not joined. {IDS}"))
    page = federated.return_from(browser, url)
    assert "refuse this device" in page.text
    assert "AADSTS53001" in page.text
    assert facts_of(federated, "session.login")["detail"].startswith("interaction_required: AADSTS53001: not joined.")


def test_r38_words_of_a_callback_that_fits_no_open_request_count_for_nothing(
    federated: Federated, caplog: pytest.LogCaptureFixture
) -> None:
    attacker, victim = federated.browser(), federated.browser()
    url = federated.identity.refuse(federated.departure(attacker), "access_denied", "AADSTS90094: call 555-0100")
    federated.departure(victim)
    page = victim.get(federated.callback(url))
    assert NOT_OURS in page.text
    assert "AADSTS90094" not in page.text
    assert "555-0100" not in str(federated.aws.items("vault")) + caplog.text


def test_r17_neither_the_state_nor_a_token_in_the_words_is_kept(
    federated: Federated, caplog: pytest.LogCaptureFixture
) -> None:
    browser = federated.browser()
    url = federated.departure(browser)
    state, flow = parameters(url)["state"], browser.cookies["__Host-flow"]
    words = f"AADSTS50105: {state} {flow} eyJhbGciOiJSUzI1NiIsImtpZCI6IjEifQ\r\n<b>x</b>"
    page = browser.get(federated.callback(federated.identity.refuse(url, "access_denied", words)))
    detail = facts_of(federated, "session.login")["detail"]
    assert detail == "access_denied: AADSTS50105: *** *** *** <b>x</b>"
    logged = "\n".join(LineFormatter().format(record) for record in caplog.records)
    assert not any(secret in page.body + logged for secret in (state, flow, "eyJ"))


def test_at_entra_the_page_has_the_link_for_the_administrator_who_approves(
    running: Running, identity: ScriptedCloud
) -> None:
    federated = with_identity(running, identity)
    issuer = f"https://login.microsoftonline.com/{TENANT}/v2.0"
    entra = SignInSettings(issuer=issuer, client_id="vault", client_secret=SECRET_NAME, name="Contoso ID")
    federated.vault.sign_in._settings = entra
    page = refused(federated, federated.browser(), "access_denied", "AADSTS90094: ask")
    assert f'href="{issuer}/adminconsent?client_id=vault&amp;scope=openid%20profile%20email' in page.body
    for answer in ("admin_consent=True&tenant=x&scope=openid", "error=permission_denied&error_description=x"):
        for callback in ("/login/callback", "/oauth/callback/northwind"):
            back = federated.browser().get(f"{callback}?{answer}&state=approval")
            assert (back.status, back.url) == (200, "/login?hint=approved")
            assert "If it was approved" in back.text
            signed_in = federated.browser("alice").get(f"{callback}?{answer}&state=approval")
            assert signed_in.url.startswith("/providers?notice=")
            assert "If it was approved" in signed_in.text


def test_r40_an_answer_of_another_issuer_still_cannot_be_trusted(federated: Federated) -> None:
    browser = federated.browser()
    url = federated.identity.refuse(federated.departure(browser), "access_denied", "AADSTS50105: no")
    page = browser.get(federated.callback(url).replace("iss=http", "iss=https"))
    assert "cannot be trusted" in page.text
    assert "AADSTS50105" not in page.text


class TestConsents:
    """The same at the clouds that people authorize."""

    @pytest.mark.parametrize(
        ("error", "description", "title", "code"),
        [
            ("access_denied", "AADSTS90094: ask", "An administrator must approve first", "AADSTS90094"),
            ("access_denied", "AADSTS53003: blocked", "rules refuse this", "AADSTS53003"),
            ("invalid_scope", "", "The vault is not set up correctly", "invalid_scope"),
            ("access_denied", "", "You did not authorize", "access_denied"),
        ],
    )
    def test_the_cloud_s_reason_is_told(
        self, running: Running, error: str, description: str, title: str, code: str
    ) -> None:
        alice = running.browser("alice")
        url = going_to(alice.press(alice.get("/providers"), "Authorize"))
        page = alice.get(running.callback(running.cloud.refuse(url, error, description)))
        assert title in page.text
        assert f"Code for the help desk: {code}" in page.text
        facts = facts_of(running, "consent.failed")
        assert facts["code"] == code
        assert description in facts.get("detail", "")

    def test_the_link_for_the_administrator_is_the_cloud_s(self, running: Running) -> None:
        vault = running.vault
        type_ = vault.registration.type("microsoft-365")
        fields = {"cloud": "login.microsoftonline.com", "tenant": "common"}
        url = type_.approval_url(fields, client_id="c", scopes=("openid", "Mail.Send"), redirect_uri=f"{BASE}/x")
        assert url.startswith("https://login.microsoftonline.com/organizations/v2.0/adminconsent?client_id=c&scope=")
        assert (
            vault.registration.type("openid-connect").approval_url({}, client_id="c", scopes=(), redirect_uri="") == ""
        )
        store = vault.administration._providers
        store.update(replace(store.get(NORTHWIND), type_id="microsoft-365", fields=fields | {"tenant": TENANT}))
        alice = running.browser("alice")
        going = going_to(alice.press(alice.get("/providers"), "Authorize"))
        page = alice.get(running.callback(running.cloud.refuse(going, "access_denied", "AADSTS90094: ask")))
        assert f'href="https://login.microsoftonline.com/{TENANT}/v2.0/adminconsent?client_id=vault&amp;' in page.body
        back = alice.get(f"/oauth/callback/{NORTHWIND}?admin_consent=True&tenant=x&state=approval")
        assert "If it was approved" in back.text


# A sign-in that cannot start


@pytest.mark.parametrize(
    ("fault", "code", "detail"),
    [
        (
            {"issuer_in_discovery": "{issuer}/"},
            "other_issuer",
            "enter the issuer exactly as {issuer}/",
        ),
        (
            {"issuer_in_discovery": "https://else.example"},
            "other_issuer",
            "https://else.example",
        ),
        ({"algorithms": ["HS256"]}, "no_signature_algorithm", "RS256, for example), but HS256"),
    ],
    ids=["a slash", "another issuer", "HS256 alone"],
)
def test_what_keeps_a_sign_in_from_starting_is_on_the_page_in_the_log_a_metric_and_the_check(
    federated: Federated,
    caplog: pytest.LogCaptureFixture,
    fault: dict[str, Any],
    code: str,
    detail: str,
) -> None:
    issuer = federated.identity.issuer
    for name, value in fault.items():
        setattr(federated.identity, name, value.format(issuer=issuer) if isinstance(value, str) else value)
    browser = federated.browser()
    page = browser.press(browser.get("/login"), BUTTON)
    assert (page.status, "not set up correctly" in page.text, code in page.text) == (400, True, True)
    told = detail.format(issuer=issuer)
    (record,) = [record for record in caplog.records if record.message == "sign_in.not_started"]
    assert (record.code, told in record.detail) == (code, True)
    assert '"SignInsNotStarted": 1' in LineFormatter("TokenVault").format(record)
    (found,) = [one for one in federated.vault.configuration_faults() if one.setting == "VAULT_SIGN_IN"]
    assert (found.code, told in found.sentence) == ("discovery_failed", True)


def test_a_provider_that_is_away_is_named_in_the_log_too(
    federated: Federated, caplog: pytest.LogCaptureFixture
) -> None:
    federated.identity.misbehave("/.well-known/openid-configuration", *[status(503)] * 2)
    browser = federated.browser()
    assert "cannot be reached" in browser.press(browser.get("/login"), BUTTON).text
    (record,) = [record for record in caplog.records if record.message == "sign_in.not_started"]
    assert (record.code, record.detail, record.server) == ("cloud_unavailable", "HTTP 503", federated.identity.issuer)


# Clocks


@pytest.mark.parametrize("ahead", [-300, -270, 270, 300])
def test_a_clock_that_differs_by_five_minutes_signs_in_and_confirms(
    federated: Federated, caplog: pytest.LogCaptureFixture, ahead: int
) -> None:
    federated.identity.ahead = ahead
    browser = federated.browser()
    assert federated.sign_in(browser, roles=["Vault.Admin"]).url == "/providers"
    federated.clock.advance(360)
    url = going_to(browser.press(browser.get("/login/confirm?next=tokens"), AGAIN))
    at = federated.identity.now()
    federated.clock.advance(20)
    assert federated.return_from(browser, url, roles=["Vault.Admin"], auth_time=at).url == "/admin/tokens"
    assert {record.seconds for record in caplog.records if record.message == "cloud.clock_differs"} == {ahead}
    (found,) = [one for one in federated.vault.configuration_faults() if one.setting == "VAULT_SIGN_IN"]
    assert found.code == "clock_differs"
    assert f"{abs(ahead)} seconds {'ahead of' if ahead > 0 else 'behind'}" in found.sentence


@pytest.mark.parametrize("ahead", [-300, 0, 300])
def test_r35_no_clock_makes_an_old_sign_in_a_new_one(federated: Federated, ahead: int) -> None:
    federated.identity.ahead = ahead
    browser = federated.browser()
    federated.sign_in(browser, roles=["Vault.Admin"])
    at = federated.identity.now()
    federated.clock.advance(301)
    url = going_to(browser.press(browser.get("/login/confirm?next=tokens"), AGAIN))
    page = federated.return_from(browser, url, roles=["Vault.Admin"], auth_time=at)
    assert "did not say that you have just signed in again" in page.text


def test_a_clock_that_differs_by_more_is_told_so(federated: Federated) -> None:
    federated.identity.ahead = 310
    page = federated.sign_in(federated.browser())
    assert "differ by more than five minutes" in page.text
    assert "310 s ahead of ours" in facts_of(federated, "session.login")["detail"]


# Callbacks, big answers, keys


def test_going_back_to_a_callback_shows_where_the_person_stands(federated: Federated) -> None:
    browser = federated.browser()
    callback = federated.callback(federated.identity.consent(federated.departure(browser), "alice"))
    browser.get(callback)
    for _ in range(2):
        page = browser.get(callback)
        assert (page.status, page.url) == (200, "/providers")
    assert federated.identity.requests["/token"] == 1


def test_a_callback_that_the_browser_sends_twice_leads_on_once_the_first_answer_is_there(federated: Federated) -> None:
    browser = federated.browser()
    callback = federated.callback(federated.identity.consent(federated.departure(browser), "alice"))
    before = dict(browser.cookies)
    browser.get(callback)
    after, browser.cookies = browser.cookies, before
    second = browser.get(callback, follow=False)
    assert (second.status, second.header("Location")) == (303, f"{BASE}/login?problem=not_ours")
    browser.cookies = after
    assert browser.get("/login?problem=not_ours").url == "/providers"


def test_a_second_trip_that_fails_shows_no_log_in_page_to_who_is_signed_in(federated: Federated) -> None:
    browser = federated.browser()
    page = browser.get("/login")
    first, second = (going_to(browser.press(page, BUTTON)) for _ in range(2))
    federated.return_from(browser, first)
    assert browser.get(federated.callback(federated.identity.deny(second))).url == "/providers"


def test_r35_going_back_to_a_confirmation_goes_on_and_confirms_nothing_anew(federated: Federated) -> None:
    browser = federated.browser()
    federated.sign_in(browser, roles=["Vault.Admin"])
    federated.clock.advance(360)
    url = going_to(browser.press(browser.get("/login/confirm?next=tokens"), AGAIN))
    federated.identity.id_token_claims |= {"auth_time": federated.clock.now()}
    callback = federated.callback(federated.identity.consent(url, "alice"))
    for _ in range(2):
        assert browser.get(callback).url == "/admin/tokens"
    federated.clock.advance(301)
    assert browser.get(callback).form(AGAIN)


def test_a_code_of_4_kb_and_a_header_with_a_certificate_chain_pass(federated: Federated) -> None:
    federated.identity.code_bytes = 3072
    federated.identity.id_token_header = {"x5c": ["MIIC" + "A" * 2000] * 3, "x5t": "x" * 27}
    assert federated.sign_in(federated.browser()).url == "/providers"
    assert len(federated.identity.forms["/token"]["code"]) == 4096


def test_a_key_that_is_new_within_the_minute_is_looked_up(federated: Federated) -> None:
    federated.sign_in(federated.browser())
    federated.clock.advance(1)
    old = federated.identity.key
    federated.identity.key = type(old).import_key(old.as_pem(private=True), {"kid": "k2", "use": "sig"})
    federated.identity.jwks = {"keys": [federated.identity.key.as_dict(private=False)]}
    assert federated.sign_in(federated.browser()).url == "/providers"
    assert federated.identity.requests["/jwks"] == 2


def test_known_keys_go_on_where_the_server_s_are_away(federated: Federated) -> None:
    federated.sign_in(federated.browser())
    federated.clock.advance(3600)
    federated.identity.misbehave("/jwks", *[status(503)] * 2)
    assert federated.sign_in(federated.browser()).url == "/providers"


def test_a_person_is_shown_by_a_name_where_the_claim_has_a_domain(federated: Federated) -> None:
    page = federated.sign_in(federated.browser(), preferred_username="FABRIKAM\\alice", name=..., email=...)
    assert "alice (FABRIKAM)" in page.text
    assert "openid." not in page.text


@pytest.mark.parametrize("problem", SignInProblem)
def test_r17_a_link_to_the_log_in_page_says_nothing_but_sentences_of_ours(
    federated: Federated, problem: SignInProblem
) -> None:
    page = federated.browser().get(f"/login?problem={problem}&code=AADSTS50105&detail=call")
    assert "AADSTS50105" not in page.text
    assert "call" not in page.text.replace("call your", "")
    assert federated.browser().get("/login?problem=anything").status == 200


def test_r22_callbacks_alone_may_be_long_and_not_longer_than_the_gateway_takes(federated: Federated) -> None:
    browser = federated.browser()
    for path, length, refused_as in (
        ("/login", 4 * 1024, 413),
        ("/login/callback", 4 * 1024, 400),
        ("/login/callback", 9 * 1024, 413),
    ):
        assert browser.get(f"{path}?code={'x' * length}").status == refused_as
