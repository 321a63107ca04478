"""Signing in at an OpenID provider: the whole way, and everything that must not lead in."""

from collections.abc import Iterator
from dataclasses import replace
from typing import Any, TypeVar

import pytest

from chalicelib import bootstrap
from chalicelib.adapters.endpoint_guard import EndpointGuard
from chalicelib.adapters.oauth_client import AuthlibClient
from chalicelib.bootstrap import create_vault
from chalicelib.command_line import main
from chalicelib.domain.directory import DirectorySettings
from chalicelib.domain.errors import StorageUnavailable
from chalicelib.domain.grant import Grant
from chalicelib.domain.grant_search import GrantSearch
from chalicelib.domain.sign_in import SignInFailed, SignInProblem, SignInSettings
from chalicelib.domain.user import Departure
from chalicelib.stores.audit_log import DynamoAuditLog
from tests.fakes import directory
from tests.fakes.cloud import CLIENT_ID, CLIENT_SECRET, ScriptedCloud, parameters
from tests.fakes.misbehaviour import Answer as CloudAnswer
from tests.functional.client import BASE, Answer, Browser, going_to
from tests.functional.conftest import CONTOSO, NORTHWIND, Running

SECRET_NAME = "vault-sign-in"
BUTTON = "Sign in with Contoso ID"
AGAIN = "Sign in with Contoso ID again"
CONTOSO_READ = replace(CONTOSO, service_account="CONTOSO\\vault", service_secret="directory")
NOT_OURS = SignInFailed(SignInProblem.NOT_OURS, "Contoso ID").message


class Federated(Running):
    """A vault with a second way in: `identity` is the OpenID provider."""

    identity: ScriptedCloud

    def departure(self, browser: Browser) -> str:
        """Press the button; where the browser is sent."""
        return going_to(browser.press(browser.get("/login"), BUTTON))

    def sign_in(self, browser: Browser, account: str = "alice", **claims: Any) -> Answer:
        """The whole trip."""
        return self.return_from(browser, self.departure(browser), account, **claims)

    def return_from(self, browser: Browser, url: str, account: str = "alice", **claims: Any) -> Answer:
        """Sign in at the provider as `account`, and come back."""
        self.identity.id_token_claims = {"preferred_username": f"{account}@contoso.example", **claims}
        return browser.get(self.callback(self.identity.consent(url, account)))


def federated_vault(
    running: Running,
    issuer: str,
    guard: EndpointGuard | None = None,
    directory: DirectorySettings = CONTOSO_READ,
    **settings: Any,
) -> Federated:
    return federated_as(Federated, running, issuer, guard, directory, **settings)


Kind = TypeVar("Kind", bound=Federated)


def federated_as(
    kind: type[Kind],
    running: Running,
    issuer: str,
    guard: EndpointGuard | None = None,
    directory: DirectorySettings = CONTOSO_READ,
    /,
    **settings: Any,
) -> Kind:
    described = {"issuer": issuer, "client_id": CLIENT_ID, "client_secret": SECRET_NAME, "kind": "openid"}
    sign_in = SignInSettings.from_mapping({**described, "name": "Contoso ID", **settings})
    vault = create_vault(
        replace(running.vault.settings, directories=(directory,), sign_in=sign_in),
        aws=running.aws.clients,
        clock=running.clock,
        directory=running.directory,
        oauth_client=AuthlibClient(running.clock, guard or EndpointGuard(allow_private=True)),
    )
    return kind(vault, running.aws, running.cloud, running.directory, running.clock)


def with_identity(running: Running, identity: ScriptedCloud, **settings: Any) -> Federated:
    federated = federated_vault(running, identity.issuer, **settings)
    federated.identity = identity
    return federated


@pytest.fixture
def identity(running: Running) -> Iterator[ScriptedCloud]:
    secrets = running.aws.clients.secrets_manager
    secrets.create_secret(Name=SECRET_NAME, SecretString=CLIENT_SECRET)
    with ScriptedCloud(now=running.clock.now, redirect_uri=f"{BASE}/login/callback") as identity:
        yield identity
    secrets.delete_secret(SecretId=SECRET_NAME, ForceDeleteWithoutRecovery=True)


@pytest.fixture
def federated(running: Running, identity: ScriptedCloud) -> Federated:
    running.directory.looks_up = True
    return with_identity(running, identity, administrators=["role:Vault.Admin"])


def test_somebody_without_a_directory_account_signs_in_and_authorizes(federated: Federated) -> None:
    browser = federated.browser()
    providers = federated.sign_in(browser)
    assert providers.url == "/providers"
    assert "Alice Adams" in providers.text
    assert "alice@contoso.example" in providers.text
    assert "Revoke authorization" in federated.authorize(browser).body
    assert federated.audit_tags().count("session.login") == 1


def test_r91_what_they_authorized_is_found_and_removed_like_everybody_elses(
    federated: Federated, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.setattr(bootstrap, "create_vault", lambda: federated.vault)
    admin = federated.browser("admin")
    for remove in ("console", "command"):
        browser = federated.browser()
        federated.sign_in(browser)
        federated.authorize(browser)
        (grant,) = _grants(federated)
        user_id = grant.user_id
        assert user_id.startswith("openid.")
        assert grant.id in admin.get(f"/admin/tokens?user={user_id}").body
        assert "authorized" in admin.get(f"/admin/audit?user={user_id}").text
        assert main(["list-tokens", NORTHWIND, "--user", user_id]) == 0
        assert grant.id in capsys.readouterr().out
        if remove == "console":
            page = admin.press(admin.get(f"/admin/tokens/remove?token={grant.id}"), "Remove")
            assert "1 token was removed" in page.text
        else:
            assert main(["remove-tokens", grant.id, "--yes"]) == 0
            assert capsys.readouterr().out == "1 removed.\n"
        assert federated.vault.administration.find([grant.id]) == []
    assert admin.get(f"/admin/leavers/{TENANT_ID}.{TENANT_ID}/remove").status == 404


def _grants(running: Running) -> list[Grant]:
    """The live ones."""
    vault = running.vault
    provider = vault.administration.provider(NORTHWIND)
    return vault.administration.tokens(provider, GrantSearch(), None).page.grants


TENANT_ID = "aaaabbbb-0000-cccc-1111-dddd2222eeee"


def test_the_same_person_is_the_same_user_each_time_and_another_one_is_not(federated: Federated) -> None:
    first, second, other = federated.browser(), federated.browser(), federated.browser()
    federated.sign_in(first)
    federated.authorize(first)
    assert "Reauthorize" in federated.sign_in(second, preferred_username="renamed@contoso.example").body
    assert "Reauthorize" not in federated.sign_in(other, "bob", preferred_username="alice@contoso.example").body


def test_whom_the_directory_knows_is_the_same_user_by_both_ways(running: Running, identity: ScriptedCloud) -> None:
    running.directory.looks_up = True
    federated = with_identity(running, identity, directory_id_claim="onprem_sid")
    with_password, with_openid = federated.browser("alice"), federated.browser()
    federated.authorize(with_password)
    page = federated.sign_in(
        with_openid, onprem_sid=directory.ALICE.user.id, preferred_username="a.adams@contoso.example"
    )
    assert "Reauthorize" in page.body
    assert "CONTOSO\\alice" in page.text


def test_a_directory_account_that_is_closed_closes_this_way_too(running: Running, identity: ScriptedCloud) -> None:
    running.directory.looks_up = True
    federated = with_identity(running, identity, directory_id_claim="onprem_sid")
    running.directory.gone[directory.ALICE.user.id] = Departure.DISABLED
    page = federated.sign_in(federated.browser(), onprem_sid=directory.ALICE.user.id)
    assert (page.status, page.url.partition("?")[0]) == (401, "/login/callback")
    running.directory.gone.clear()
    running.directory.available = False
    assert federated.sign_in(federated.browser(), onprem_sid=directory.ALICE.user.id).status == 503


@pytest.mark.parametrize(
    "claim", ["S-1-5-21-1-2-3-9999", "*)(objectSid=*", "CONTOSO\\alice", "", 7, None, ["S-1-5-21"]]
)
def test_an_id_that_no_directory_has_signs_in_nobody_of_the_directory(
    running: Running, identity: ScriptedCloud, claim: object
) -> None:
    running.directory.looks_up = True
    federated = with_identity(running, identity, directory_id_claim="onprem_sid")
    page = federated.sign_in(federated.browser(), onprem_sid=claim)
    assert "CONTOSO\\alice" not in page.text
    assert page.status in (200, 401)


def test_without_the_setting_the_claim_for_a_directory_id_counts_for_nothing(federated: Federated) -> None:
    assert "CONTOSO\\alice" not in federated.sign_in(federated.browser(), onprem_sid=directory.ALICE.user.id).text


def test_r91_names_of_the_directory_are_not_taken_over(federated: Federated) -> None:
    browser = federated.browser()
    page = federated.sign_in(browser, preferred_username="CONTOSO\\alice", email_verified=True)
    assert "CONTOSO\\alice" not in page.text
    federated.authorize(browser)
    assert federated.vault.people.find("alice@contoso.example").id == directory.ALICE.user.id
    assert federated.vault.people.find("CONTOSO\\alice").id == directory.ALICE.user.id


def test_an_address_that_nobody_verified_is_no_name_to_find_people_by(federated: Federated) -> None:
    federated.authorize(federated.browser("bob"), "bob")
    federated.sign_in(federated.browser(), email="bob@contoso.example", preferred_username="mallory")
    assert federated.vault.people.find("bob@contoso.example").id == directory.BOB.user.id


def test_app_roles_make_administrators_and_names_of_directory_groups_do_not(federated: Federated) -> None:
    admin, pretender = federated.browser(), federated.browser()
    federated.sign_in(admin, roles=["Vault.Admin"])
    federated.sign_in(pretender, "bob", roles=[directory.VAULT_ADMINISTRATORS], groups=[directory.VAULT_ADMINISTRATORS])
    assert admin.get("/admin/tokens").status == 200
    assert pretender.get("/admin/tokens").status == 403


def test_only_those_whom_the_setting_names_may_use_the_vault(running: Running, identity: ScriptedCloud) -> None:
    federated = with_identity(running, identity, allowed=["group:7f2c"])
    refused = federated.sign_in(federated.browser(), groups=["other"])
    assert refused.status == 401
    assert "you may not use this application" in refused.text
    assert federated.sign_in(federated.browser(), groups=["7f2c"]).url == "/providers"


def test_r97_who_is_not_allowed_any_more_is_out_everywhere_and_back_with_the_next_sign_in(
    running: Running, identity: ScriptedCloud
) -> None:
    federated = with_identity(running, identity, allowed=["group:7f2c"])
    browser = federated.browser()
    federated.sign_in(browser, groups=["7f2c"])
    federated.sign_in(federated.browser(), groups=["other"])
    assert browser.get("/providers").url.startswith("/login")
    (record,) = federated.vault.leavers.departed(None).users
    assert (record.departure, federated.vault.leavers.removal_at(record)) == (Departure.NOT_ALLOWED, None)
    federated.sign_in(browser, groups=["7f2c"])
    assert federated.vault.leavers.departed(None).users == []


@pytest.mark.parametrize(("days", "is_out"), [(0, False), (30, True)])
def test_r97_what_a_sign_in_said_counts_for_so_many_days(
    running: Running, identity: ScriptedCloud, days: int, is_out: bool
) -> None:
    federated = with_identity(running, identity, allowed=["group:7f2c"], allowed_days=days)
    federated.sign_in(federated.browser(), groups=["7f2c"])
    running.clock.advance(30 * 86400)
    federated.vault.leavers.sweep()
    assert federated.vault.leavers.departed(None).users == [], "sessions were over some hours later"
    running.clock.advance(86400)
    federated.vault.leavers.sweep()
    assert bool(federated.vault.leavers.departed(None).users) is is_out


@pytest.mark.parametrize(
    "claims",
    [
        {"iss": "https://login.evil.example"},
        {"aud": "another-client"},
        {"nonce": "of-another-trip"},
        {"nonce": ...},
        {"exp": 1},
        {"sub": ...},
        {"aud": [CLIENT_ID, "another"], "azp": "another"},
    ],
    ids=str,
)
def test_r39_an_id_token_that_is_not_for_this_sign_in_signs_in_nobody(federated: Federated, claims: Any) -> None:
    browser = federated.browser()
    page = federated.sign_in(browser, **claims)
    assert page.status == 400
    assert "cannot be trusted" in page.text
    assert browser.get("/providers").url.startswith("/login")


def test_r37_an_answer_works_once(federated: Federated) -> None:
    browser = federated.browser()
    callback = federated.callback(federated.identity.consent(federated.departure(browser), "alice"))
    assert browser.get(callback).url == "/providers"
    again = Browser(federated.app)
    again.cookies = dict(browser.cookies)
    assert again.get(callback).url == "/providers", "with the session's cookie: where they stand"
    page = Browser(federated.app).get(callback)
    assert (page.status, NOT_OURS in page.text) == (400, True)
    assert federated.identity.requests["/token"] == 1


def test_r38_an_answer_that_another_browser_was_sent_for_signs_in_nobody(federated: Federated) -> None:
    """Log-in CSRF: the attacker's own answer, put into the victim's browser, must not make it the attacker's."""
    attacker, victim = federated.browser(), federated.browser()
    callback = federated.callback(federated.identity.consent(federated.departure(attacker), "bob"))
    federated.departure(victim)
    page = victim.get(callback)
    assert (page.status, NOT_OURS in page.text) == (400, True)
    assert victim.get("/providers").url.startswith("/login")
    assert federated.identity.requests["/token"] == 0


def test_r40_an_answer_of_another_issuer_never_sees_the_code_exchanged(federated: Federated) -> None:
    browser = federated.browser()
    callback = federated.callback(federated.identity.consent(federated.departure(browser), "alice"))
    page = browser.get(callback.replace("iss=http", "iss=https"))
    assert page.status == 400
    assert federated.identity.requests["/token"] == 0


def test_an_answer_that_comes_late_is_over(federated: Federated) -> None:
    browser = federated.browser()
    url = federated.departure(browser)
    federated.clock.advance(601)
    assert NOT_OURS in federated.return_from(browser, url).text


def test_a_consent_and_a_sign_in_are_not_taken_for_each_other(federated: Federated) -> None:
    browser = federated.browser("alice")
    going = browser.press(browser.get("/providers"), "Authorize")
    consent = parameters(federated.cloud.consent(going_to(going), "alice"))
    callback = f"/login/callback?code={consent['code']}&state={consent['state']}&iss={federated.identity.issuer}"
    assert browser.get(callback).url == "/providers"
    page = Browser(federated.app).get(callback)
    assert (page.status, NOT_OURS in page.text) == (400, True)
    assert federated.identity.requests["/token"] == 0


def test_pkce_and_nonce_go_along_and_the_verifier_is_stored_nowhere(federated: Federated) -> None:
    browser = federated.browser()
    url = federated.departure(browser)
    assert parameters(url).keys() >= {"code_challenge", "nonce", "state"}
    stored = str(federated.aws.items("vault-sessions"))
    federated.return_from(browser, url)
    verifier = federated.identity.forms["/token"]["code_verifier"]
    assert len(verifier) == 43
    assert verifier not in stored


def test_nothing_of_the_provider_s_tokens_is_kept(federated: Federated) -> None:
    federated.sign_in(federated.browser())
    everything = str([federated.aws.items(table) for table in ("vault", "vault-keys", "vault-sessions")])
    assert all(token not in everything for token in federated.identity.issued())


@pytest.mark.parametrize(
    ("path", "answer", "status", "sentence"),
    [
        ("/token", CloudAnswer.json({"error": "invalid_client"}, 401), 400, "not set up correctly"),
        ("/token", CloudAnswer(503), 400, "cannot be reached"),
        ("/token", CloudAnswer.json({"access_token": "a", "token_type": "bearer"}), 400, "that cannot be used"),
        ("/jwks", CloudAnswer.json({"keys": []}), 400, "cannot be trusted"),
    ],
    ids=["wrong secret", "down", "no id_token", "no keys"],
)
def test_what_goes_wrong_at_the_provider_is_said_and_nobody_is_signed_in(
    federated: Federated, path: str, answer: CloudAnswer, status: int, sentence: str
) -> None:
    browser = federated.browser()
    url = federated.departure(browser)
    federated.identity.misbehave(path, *[lambda _: answer] * 3)
    page = federated.return_from(browser, url)
    assert (page.status, sentence in page.text) == (status, True)
    assert browser.get("/providers").url.startswith("/login")
    assert "session.login" in federated.audit_tags()


def test_a_provider_that_is_down_does_not_keep_anybody_from_the_form(federated: Federated) -> None:
    federated.identity.misbehave("/.well-known/openid-configuration", *[lambda _: CloudAnswer(503)] * 2)
    browser = federated.browser()
    page = browser.press(browser.get("/login"), BUTTON)
    assert (page.status, "cannot be reached" in page.text) == (400, True)
    assert browser.press(page, "Log in", user_name="CONTOSO\\alice", password="alice-pass").url == "/providers"


def test_who_says_no_at_the_provider_is_back_on_the_form(federated: Federated) -> None:
    browser = federated.browser()
    url = federated.departure(browser)
    page = browser.get(federated.callback(federated.identity.deny(url)))
    assert "did not sign you in" in page.text
    assert page.form(BUTTON)


# Proving anew who one is (R35)


def confirmation(federated: Federated, **claims: Any) -> tuple[Browser, Answer]:
    """An administrator, signed in a while ago, who wants to remove tokens."""
    browser = federated.browser()
    federated.sign_in(browser, roles=["Vault.Admin"], **claims)
    federated.clock.advance(360)
    return browser, browser.get("/login/confirm?next=tokens")


def test_r35_proving_who_one_is_takes_a_new_sign_in_there(federated: Federated) -> None:
    browser, page = confirmation(federated)
    before = dict(browser.cookies)
    url = going_to(browser.press(page, AGAIN))
    assert parameters(url).items() >= {"prompt": "login", "max_age": "300"}.items()
    done = federated.return_from(browser, url, roles=["Vault.Admin"], auth_time=federated.clock.now())
    assert done.url == "/admin/tokens"
    assert browser.cookies != before
    assert "session.login_confirmed" in federated.audit_tags()


@pytest.mark.parametrize("auth_time", [..., 0, "now", None], ids=str)
def test_r35_without_proof_of_a_new_sign_in_nothing_is_confirmed(federated: Federated, auth_time: object) -> None:
    browser, page = confirmation(federated)
    url = going_to(browser.press(page, AGAIN))
    refused = federated.return_from(browser, url.replace("prompt=login", "prompt=none"), auth_time=auth_time)
    assert "did not say that you have just signed in again" in refused.text
    assert refused.form(AGAIN)
    assert browser.get("/providers").url == "/providers"


@pytest.mark.parametrize("allowed", [(), ("group:those-who-may",)], ids=["who may use the vault", "who may not"])
def test_r35_somebody_else_s_sign_in_confirms_nothing(federated: Federated, allowed: tuple[str, ...]) -> None:
    browser, page = confirmation(federated)
    url = going_to(browser.press(page, AGAIN))
    federated.vault.sign_in._settings = replace(federated.vault.sign_in._settings, allowed=allowed)
    refused = federated.return_from(browser, url, "bob", auth_time=federated.clock.now())
    assert "as somebody else" in refused.text
    assert "Alice Adams" in browser.get("/providers").text


def test_a_trip_to_prove_who_one_is_starts_no_session_for_who_has_none(federated: Federated) -> None:
    browser, page = confirmation(federated)
    url = going_to(browser.press(page, AGAIN))
    browser.press(browser.get("/providers"), "Sign out")
    assert federated.return_from(browser, url, auth_time=federated.clock.now()).url.startswith("/login?hint=ended")


def test_r35_a_provider_that_is_down_confirms_nothing_and_says_so(federated: Federated) -> None:
    browser, page = confirmation(federated)
    provider = federated.vault.sign_in._provider._made
    down = [lambda _: CloudAnswer(503)] * 2
    # What was read a while ago still leads there; where nothing was read yet, nobody can be sent anywhere
    provider._server_until = 0
    federated.identity.misbehave("/.well-known/openid-configuration", *down)
    assert going_to(browser.press(page, AGAIN)).startswith(federated.identity.issuer)
    provider._server = None
    federated.identity.misbehave("/.well-known/openid-configuration", *down)
    refused = browser.press(page, AGAIN)
    assert (refused.status, "cannot be reached" in refused.text) == (400, True)


@pytest.mark.parametrize(
    ("claims", "sentence"),
    [({"onprem_sid": "S-1-5-21-9-9-9-9"}, "contact your administrator"), ({}, "as somebody else")],
)
def test_r35_an_account_that_the_directory_refuses_confirms_nothing(
    running: Running, identity: ScriptedCloud, claims: dict[str, str], sentence: str
) -> None:
    running.directory.looks_up = True
    federated = with_identity(running, identity, directory_id_claim="onprem_sid")
    alice = {"onprem_sid": directory.ALICE.user.id}
    browser = federated.browser()
    federated.sign_in(browser, **alice)
    federated.clock.advance(360)
    page = browser.get("/login/confirm?next=tokens")
    url = going_to(browser.press(page, AGAIN))
    refused = federated.return_from(browser, url, auth_time=federated.clock.now(), **claims)
    assert refused.form(AGAIN)
    assert sentence in refused.text


def test_r47_the_page_after_proving_who_one_is_comes_from_a_list(federated: Federated) -> None:
    browser, page = confirmation(federated)
    fields = dict(page.form(AGAIN).fields) | {"next": "https://evil.example"}
    assert browser.post("/login/confirm/openid", fields).status == 400


# Signing out, and vaults without the one or the other


def test_signing_out_offers_to_sign_out_there_too(federated: Federated) -> None:
    browser = federated.browser()
    federated.sign_in(browser)
    page = browser.press(browser.get("/providers"), "Sign out")
    assert "You may still be signed in at Contoso ID" in page.text
    assert f'href="{federated.identity.issuer}/sign-out?client_id={CLIENT_ID}' in page.body
    with_password = federated.browser("alice")
    assert "still be signed in" not in with_password.press(with_password.get("/providers"), "Sign out").text


def test_a_provider_that_does_not_say_where_keeps_nobody_from_signing_out(federated: Federated) -> None:
    browser = federated.browser()
    federated.sign_in(browser)
    federated.vault.sign_in._provider._made._server = None
    federated.identity.misbehave("/.well-known/openid-configuration", *[lambda _: CloudAnswer(503)] * 3)
    page = browser.press(browser.get("/providers"), "Sign out")
    assert (page.status, "still be signed in" in page.text) == (200, False)


def test_a_client_secret_that_cannot_be_read_is_said_as_a_wrong_registration(federated: Federated) -> None:
    browser = federated.browser()
    url = federated.departure(browser)
    federated.aws.clients.secrets_manager.delete_secret(SecretId=SECRET_NAME, ForceDeleteWithoutRecovery=True)
    try:
        assert "not set up correctly" in federated.return_from(browser, url).text
    finally:
        federated.aws.clients.secrets_manager.create_secret(Name=SECRET_NAME, SecretString=CLIENT_SECRET)


def test_a_provider_that_has_trouble_is_said_to_have_it(federated: Federated) -> None:
    browser = federated.browser()
    state = parameters(federated.departure(browser))["state"]
    page = browser.get(f"/login/callback?state={state}&error=temporarily_unavailable&iss={federated.identity.issuer}")
    assert "cannot be reached" in page.text


def test_without_the_setting_there_is_no_button_and_nothing_at_the_addresses(running: Running) -> None:
    browser = running.browser()
    page = browser.get("/login")
    assert "Sign in with" not in page.text
    assert browser.post("/login/openid", page.form("Log in").fields[:1]).status == 404
    assert browser.get("/login/callback?state=a&code=b").status == 404


def test_without_a_directory_there_is_the_button_alone(running: Running, identity: ScriptedCloud) -> None:
    vault = create_vault(
        replace(with_identity(running, identity).vault.settings, directories=()),
        aws=running.aws.clients,
        clock=running.clock,
        oauth_client=AuthlibClient(running.clock, EndpointGuard(allow_private=True)),
    )
    only = Federated(vault, running.aws, running.cloud, running.directory, running.clock)
    only.identity = identity
    browser = only.browser()
    page = browser.get("/login")
    assert "Password" not in page.text
    fields = {**dict(page.form(BUTTON).fields), "user_name": "CONTOSO\\alice", "password": "alice-pass"}
    assert browser.post("/login", fields).status == 401
    assert only.sign_in(browser).url == "/providers"


def test_r93_a_sign_in_that_cannot_be_recorded_starts_no_session(
    federated: Federated, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Every other act is in tests/faults/test_every_act.py."""

    def unwritable(*_: object) -> None:
        raise StorageUnavailable

    browser = federated.browser()
    url = federated.departure(browser)
    with monkeypatch.context() as broken:
        broken.setattr(DynamoAuditLog, "recording", unwritable)
        answer = federated.return_from(browser, url)
    assert answer.status == 503
    assert not [item for item in federated.aws.items("vault-sessions") if item["pk"]["S"].startswith("SESSION#")]
    assert browser.get("/providers").url.startswith("/login")
