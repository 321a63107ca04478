"""Signing in at providers of each kind: who comes in, who administrates, whose a name is, and what is said of it."""

import re
from collections.abc import Iterator
from dataclasses import replace
from html import unescape
from typing import Any

import pytest

from chalicelib.adapters import oauth_client
from tests.fakes import directory
from tests.fakes.application import Application
from tests.fakes.cloud import CLIENT_ID, CLIENT_SECRET, ScriptedCloud, parameters
from tests.fakes.misbehaviour import Answer as CloudAnswer
from tests.fakes.vendor import ENTRA_ISSUER, TENANT, AtVendor, Unguarded, Vendor
from tests.functional.client import BASE, Answer, Browser, going_to
from tests.functional.conftest import NORTHWIND, Running
from tests.functional.test_sign_in import (
    AGAIN,
    CONTOSO_READ,
    SECRET_NAME,
    Federated,
    federated_as,
    federated_vault,
    with_identity,
)
from tests.functional.test_sign_in import identity as identity  # noqa: PLC0414 - a fixture
from tests.functional.test_token import EVERYBODY, Api
from tests.samples import APPLICATION

MAIL = "alice@contoso.example"
GOOGLE = {"kind": "google", "allowed": ["domain:contoso.example"], "name_claim": "email"}
WORKSPACE = {"hd": "contoso.example", "email_verified": True}
OIDS = {"alice": "00000000-aaaa-1111-bbbb-222222222222", "bob": "00000000-aaaa-1111-bbbb-333333333333"}
OVERAGE = {"_claim_names": {"groups": "src1"}, "_claim_sources": {"src1": {"endpoint": "https://graph.evil.example"}}}


# Google


def test_the_first_administrator_needs_no_group(running: Running, identity: ScriptedCloud) -> None:
    federated = with_identity(running, identity, **GOOGLE, administrators=["email:Alice@contoso.example"])
    admin, other = federated.browser(), federated.browser()
    assert federated.sign_in(admin, **WORKSPACE).url == "/providers"
    assert federated.sign_in(other, "bob", **WORKSPACE).url == "/providers"
    assert (admin.get("/admin/tokens").status, other.get("/admin/tokens").status) == (200, 403)


@pytest.mark.parametrize(
    "claims",
    [
        {"email_verified": True},
        {"hd": "fabrikam.example", "email_verified": True},
        {"hd": ...},
        {"preferred_username": MAIL, "email": "alice@gmail.com", "email_verified": True},
    ],
    ids=["private account with this address", "another workspace", "no claim", "gmail with a chosen name"],
)
def test_an_account_of_no_workspace_that_is_allowed_does_not_come_in(
    running: Running, identity: ScriptedCloud, claims: dict[str, Any]
) -> None:
    federated = with_identity(running, identity, **GOOGLE, administrators=[f"email:{MAIL}"])
    page = federated.sign_in(federated.browser(), **claims)
    assert (page.status, "you may not use this application" in page.text) == (401, True)


def test_r35_at_google_a_sign_in_there_that_is_new_is_proof_and_what_to_do_is_said(
    running: Running, identity: ScriptedCloud
) -> None:
    federated = with_identity(running, identity, **GOOGLE, administrators=[f"email:{MAIL}"])
    browser = federated.browser()
    federated.sign_in(browser, **WORKSPACE)
    federated.clock.advance(360)
    page = browser.get("/login/confirm?next=tokens")
    assert "Sign out at accounts.google.com first" in page.text
    url = going_to(browser.press(page, AGAIN))
    assert parameters(url)["prompt"] == "select_account"
    still_there = federated.return_from(browser, url, **WORKSPACE, auth_time=federated.clock.now() - 361)
    assert "did not say that you have just signed in again" in still_there.text
    url = going_to(browser.press(still_there, AGAIN))
    assert federated.return_from(browser, url, **WORKSPACE, auth_time=federated.clock.now()).url == "/admin/tokens"


# Signing out


def signed_out(federated: Federated, **claims: Any) -> tuple[Browser, Answer]:
    browser = federated.browser()
    federated.sign_in(browser, **claims)
    return browser, browser.press(browser.get("/providers"), "Sign out")


def way_out(page: Answer) -> dict[str, str]:
    return parameters(unescape(re.findall(r'href="(http[^"]+/sign-out[^"]+)"', page.body)[0]))


@pytest.mark.parametrize("settings", [{"kind": "okta"}, {"kind": "adfs"}, {"id_token_hint": True}], ids=str)
def test_where_the_provider_wants_the_id_token_again_it_gets_it_and_it_is_stored_encrypted(
    running: Running, identity: ScriptedCloud, settings: dict[str, Any]
) -> None:
    federated = with_identity(running, identity, **settings)
    browser = federated.browser()
    federated.sign_in(browser)
    stored = str(federated.aws.items("vault-sessions"))
    page = browser.press(browser.get("/providers"), "Sign out")
    assert "You are signed out of the vault." in page.text
    assert "Alice Adams" not in page.text
    there = way_out(page)
    assert there["id_token_hint"].count(".") == 2
    assert there["id_token_hint"] not in stored
    assert there.items() >= {"client_id": CLIENT_ID, "post_logout_redirect_uri": f"{BASE}/login"}.items()
    assert browser.get("/providers").url.startswith("/login")


@pytest.mark.parametrize(
    ("settings", "names"),
    [
        ({}, ["client_id", "post_logout_redirect_uri"]),
        ({"kind": "keycloak"}, ["client_id", "post_logout_redirect_uri"]),
        ({"kind": "cognito"}, ["client_id", "logout_uri"]),
    ],
    ids=str,
)
def test_elsewhere_no_token_is_kept_and_the_client_says_who_it_is(
    running: Running, identity: ScriptedCloud, settings: dict[str, Any], names: list[str]
) -> None:
    federated = with_identity(running, identity, **settings)
    federated.sign_in(federated.browser())
    assert [item["id_token"]["S"] for item in federated.aws.items("vault-sessions") if "id_token" in item] == [""]
    assert sorted(way_out(signed_out(federated)[1])) == names


def test_without_an_id_token_that_goes_into_an_address_and_opens_nobody_is_sent_to_be_refused(
    running: Running, identity: ScriptedCloud
) -> None:
    federated = with_identity(running, identity, kind="okta")
    assert "/sign-out" not in signed_out(federated, groups=["g" * 300] * 20)[1].body
    browser = federated.browser()
    federated.sign_in(browser)
    for item in federated.aws.items("vault-sessions"):
        if "id_token" in item:
            federated.aws.clients.dynamodb.put_item(
                TableName="vault-sessions", Item=item | {"id_token": {"S": "e30....changed"}}
            )
    page = browser.press(browser.get("/providers"), "Sign out")
    assert "signed out of the vault" in page.text
    assert "/sign-out" not in page.body


# Keycloak and others


@pytest.mark.parametrize(
    ("settings", "claims"),
    [
        ({"kind": "keycloak"}, {"realm_access": {"roles": ["Vault.Admin"]}}),
        ({"kind": "keycloak"}, {"resource_access": {CLIENT_ID: {"roles": ["Vault.Admin"]}}}),
        ({"kind": "okta"}, {"roles": ["Vault.Admin"]}),
        ({"kind": "adfs"}, {"role": "Vault.Admin"}),
        (
            {"kind": "auth0", "roles_claims": ["https://example.com/roles"]},
            {"https://example.com/roles": ["Vault.Admin"]},
        ),
        ({"kind": "cognito", "administrators": ["group:vault-admins"]}, {"cognito:groups": ["vault-admins"]}),
    ],
    ids=lambda value: value.get("kind") if isinstance(value, dict) else None,
)
def test_roles_count_where_the_provider_puts_them_and_nowhere_else(
    running: Running, identity: ScriptedCloud, settings: dict[str, Any], claims: dict[str, Any]
) -> None:
    federated = with_identity(running, identity, **{"administrators": ["role:Vault.Admin"], **settings})
    admin, other = federated.browser(), federated.browser()
    federated.sign_in(admin, **claims)
    federated.sign_in(other, "bob", Vault=claims, resource_access={"another": {"roles": ["Vault.Admin"]}})
    assert (admin.get("/admin/tokens").status, other.get("/admin/tokens").status) == (200, 403)


# Entra ID, at its own address


@pytest.fixture
def entra(running: Running, monkeypatch: pytest.MonkeyPatch) -> Iterator[Vendor]:
    secrets = running.aws.clients.secrets_manager
    secrets.create_secret(Name=SECRET_NAME, SecretString=CLIENT_SECRET)
    with Vendor(ENTRA_ISSUER, redirect_uri=f"{BASE}/login/callback", now=running.clock.now) as vendor:
        monkeypatch.setattr(oauth_client, "CloudTransport", lambda *_: AtVendor(vendor))
        yield vendor
    secrets.delete_secret(SecretId=SECRET_NAME, ForceDeleteWithoutRecovery=True)


class Tenant(Federated):
    def sign_in(self, browser: Browser, account: str = "alice", **claims: Any) -> Any:
        return super().sign_in(browser, account, tid=TENANT, oid=OIDS[account], **claims)


def tenant(running: Running, entra: Vendor, **settings: Any) -> Tenant:
    there = federated_as(Tenant, running, ENTRA_ISSUER, Unguarded(), kind="entra", **settings)
    there.identity = entra
    return there


def test_a_guest_of_the_tenant_comes_in_by_the_setting_alone(running: Running, entra: Vendor) -> None:
    guest = {"acct": 1, "idp": "https://sts.windows.net/another/", "preferred_username": MAIL}
    strict = tenant(running, entra)
    page = strict.sign_in(strict.browser(), **guest)
    assert (page.status, "you may not use this application" in page.text) == (401, True)
    there = tenant(running, entra, guests=True)
    browser = there.browser()
    assert there.sign_in(browser, **guest).url == "/providers"
    # No guest any more by the setting: out at once, as everybody who may not use the vault
    strict.sign_in(strict.browser(), **guest)
    assert browser.get("/providers").url.startswith("/login")


GROUP = "7f2c0000-aaaa-1111-bbbb-333333333333"


def test_who_is_in_too_many_groups_gets_them_from_graph(running: Running, entra: Vendor) -> None:
    there = tenant(running, entra, graph_host="graph.microsoft.com", administrators=[f"group:{GROUP}"])
    entra.graph = lambda: CloudAnswer.json({"value": [GROUP]})
    admin = there.browser()
    page = there.sign_in(admin, **OVERAGE)
    assert (page.url, "all of your groups" in page.text) == ("/providers", False)
    assert admin.get("/admin/tokens").status == 200


def test_groups_that_nobody_names_are_said_to_the_person_and_in_the_log(
    running: Running, entra: Vendor, caplog: pytest.LogCaptureFixture
) -> None:
    there = tenant(running, entra, administrators=["group:7f2c", "role:Vault.Admin"])
    admin, other = there.browser(), there.browser()
    page = there.sign_in(admin, **OVERAGE, roles=["Vault.Admin"])
    assert "does not tell the vault all of your groups" in page.text
    assert "all of your groups" not in admin.get("/providers").text
    there.sign_in(other, "bob", **OVERAGE)
    assert (admin.get("/admin/tokens").status, other.get("/admin/tokens").status) == (200, 403)
    assert "groups: not all named" in admin.get("/admin/audit").text
    told = [vars(one)["user_id"] for one in caplog.records if one.getMessage() == "sign_in.groups_not_named"]
    assert told == [f"{TENANT}.{OIDS[name]}" for name in ("alice", "bob")]


def test_r98_who_is_in_too_many_groups_is_not_shut_out_for_it(running: Running, entra: Vendor) -> None:
    there = tenant(running, entra, allowed=["group:7f2c"])
    browser = there.browser()
    there.sign_in(browser, groups=["7f2c"])
    page = there.sign_in(there.browser(), **OVERAGE)
    assert (page.status, "more groups than Contoso ID tells the vault" in page.text) == (400, True)
    assert browser.get("/providers").url == "/providers"
    assert there.vault.leavers.departed(None).users == []


# Whose a name is


def programs(federated: Federated) -> Api:
    """What applications get from this vault."""
    api = Api.__new__(Api)
    api.running, api.application = federated, Application("scanner", BASE, federated.clock.now)
    api.registered = api.register(replace(APPLICATION, rules=(EVERYBODY,)), api.application)
    return api


def bearer(federated: Federated, api: Api, name: str) -> str:
    """Which cloud account an application gets a token for under this name, or why it gets none."""
    status, body = api.send(api.application.form(name, NORTHWIND))
    if status != 200:
        return str(body.get("reason", body))
    return federated.cloud._access_tokens[body["access_token"]].account


@pytest.mark.parametrize(
    "outsider",
    [
        {"preferred_username": MAIL},
        {"preferred_username": "mallory", "email": MAIL, "email_verified": True},
        {"preferred_username": MAIL.upper(), "email": MAIL, "email_verified": True},
    ],
    ids=["the same user name", "her address", "both"],
)
@pytest.mark.parametrize("settings", [{}, {"domains": ["contoso.example"]}], ids=["domain unknown", "domain owned"])
def test_r91_an_outsider_never_makes_a_colleague_of_the_directory_ambiguous(
    running: Running, identity: ScriptedCloud, outsider: dict[str, Any], settings: dict[str, Any]
) -> None:
    federated = with_identity(running, identity, **settings)
    federated.authorize(federated.browser("alice"))
    api = programs(federated)
    mallory = federated.browser()
    federated.sign_in(mallory, "bob", **outsider)
    federated.authorize(mallory, "bob")
    assert bearer(federated, api, MAIL) == "alice"
    federated.sign_in(federated.browser(), "bob", **outsider)
    assert bearer(federated, api, MAIL) == "alice"


@pytest.mark.parametrize(
    "outsider",
    [
        {"preferred_username": MAIL},
        {"preferred_username": "mallory", "email": MAIL, "email_verified": True},
        {"preferred_username": MAIL, "email": "mallory@mail.example", "email_verified": True},
    ],
    ids=["the same user name", "her address", "her name and an address of his own"],
)
def test_r91_an_outsider_never_makes_a_colleague_at_the_same_provider_ambiguous(
    running: Running, identity: ScriptedCloud, outsider: dict[str, Any]
) -> None:
    federated = with_identity(running, identity)
    api, alice, mallory = programs(federated), federated.browser(), federated.browser()
    federated.sign_in(alice, email=MAIL, email_verified=True)
    federated.authorize(alice)
    for browser in (federated.browser(), mallory):
        federated.clock.advance(60)
        federated.sign_in(browser, "bob", **outsider)
        assert bearer(federated, api, MAIL) == "alice"
    federated.authorize(mallory, "bob")
    assert bearer(federated, api, MAIL) == "alice"


def test_r91_a_verified_address_comes_before_a_name_that_somebody_chose_earlier(
    running: Running, identity: ScriptedCloud
) -> None:
    federated = with_identity(running, identity)
    api, alice, squatter = programs(federated), federated.browser(), federated.browser()
    federated.sign_in(squatter, "bob", preferred_username=MAIL, email=...)
    federated.authorize(squatter, "bob")
    federated.clock.advance(60)
    federated.sign_in(alice, email=MAIL, email_verified=True)
    federated.authorize(alice)
    assert bearer(federated, api, MAIL) == "alice"


def test_r91_where_the_provider_owns_the_domain_a_reused_name_is_its_new_bearers(
    running: Running, identity: ScriptedCloud
) -> None:
    federated = with_identity(running, identity, domains=["contoso.example"])
    api = programs(federated)
    for account in ("alice", "bob"):
        browser = federated.browser()
        federated.clock.advance(60)
        federated.sign_in(browser, account, preferred_username=MAIL)
        federated.authorize(browser, account)
    assert bearer(federated, api, MAIL) == "bob"


@pytest.mark.parametrize(
    ("settings", "name"),
    [({"domains": ["contoso.example"]}, "eve@mail.example"), ({}, "eve@ad.contoso.example")],
    ids=["of another domain than the provider's", "of a directory's domain"],
)
def test_r91_nobody_is_called_by_a_foreign_name(
    running: Running, identity: ScriptedCloud, settings: dict[str, Any], name: str
) -> None:
    here = replace(CONTOSO_READ, dns_name="ad.contoso.example")
    federated = federated_vault(running, identity.issuer, directory=here, **settings)
    federated.identity = identity
    api, browser = programs(federated), federated.browser()
    assert name in federated.sign_in(browser, "bob", preferred_username=name).text
    federated.authorize(browser, "bob")
    assert bearer(federated, api, name) == "not_connected"
    assert f"ALIAS#{name}" not in str(federated.stored())


def test_the_directory_knows_its_people_by_their_ids_only(running: Running, identity: ScriptedCloud) -> None:
    """Somebody of a directory has its groups, and nothing that an id_token says of them."""
    running.directory.looks_up = True
    federated = with_identity(running, identity, directory_id_claim="onprem_sid", administrators=[f"email:{MAIL}"])
    browser = federated.browser()
    federated.sign_in(browser, onprem_sid=directory.ALICE.user.id, email_verified=True)
    assert browser.get("/admin/tokens").status == 403
