"""Signing in at the realm that `make run` offers with SIGN_IN=keycloak, over its own form."""

import socket
import threading
import time
from collections.abc import Iterator

import pytest
import requests
from werkzeug.serving import make_server

from dev.realm import REALM_LOGINS, Realm, RealmClient
from tests.fakes.cloud import CLIENT_ID, CLIENT_SECRET
from tests.functional.client import BASE, Answer, Browser, going_to
from tests.functional.conftest import Running
from tests.functional.test_sign_in import AGAIN, BUTTON, SECRET_NAME, Federated, federated_vault


@pytest.fixture
def realm(running: Running) -> Iterator[Federated]:
    running.clock.advance(int(time.time()) - running.clock.now())
    client = RealmClient(CLIENT_ID, CLIENT_SECRET, f"{BASE}/login/callback", f"{BASE}/login")
    listener = socket.create_server(("127.0.0.1", 0))
    here = Realm(f"127.0.0.1:{listener.getsockname()[1]}", client)
    server = make_server("127.0.0.1", 0, here.app(), threaded=True, fd=listener.fileno())
    threading.Thread(target=server.serve_forever, daemon=True).start()
    secrets = running.aws.clients.secrets_manager
    secrets.create_secret(Name=SECRET_NAME, SecretString=CLIENT_SECRET)
    rights = {"administrators": ["role:vault-admin"], "domains": ["contoso.example"]}
    yield federated_vault(running, here.issuer, kind="keycloak", **rights)
    secrets.delete_secret(SecretId=SECRET_NAME, ForceDeleteWithoutRecovery=True)
    server.shutdown()
    server.server_close()
    listener.close()


def come_back(realm: Federated, browser: Browser, page: Answer, name: str, password: str = "") -> Answer:
    """Type name and password there; the page that the vault shows then."""
    typed = {"username": name, "password": password or f"{name}-pass"}
    answer = requests.post(going_to(page), typed, allow_redirects=False, timeout=5)
    if answer.status_code != 303:
        raise AssertionError(answer.text)
    return browser.get(realm.callback(answer.headers["Location"]))


def test_roles_of_the_client_administrate_and_a_new_sign_in_is_proof(realm: Federated) -> None:
    admin, other = realm.browser(), realm.browser()
    page = come_back(realm, admin, admin.press(admin.get("/login"), BUTTON), "adele")
    assert (page.url, "Adele Vance" in page.text) == ("/providers", True)
    come_back(realm, other, other.press(other.get("/login"), BUTTON), "carol")
    assert (admin.get("/admin/tokens").status, other.get("/admin/tokens").status) == (200, 403)
    confirm = admin.press(admin.get("/login/confirm?next=tokens"), AGAIN)
    assert come_back(realm, admin, confirm, "adele").url == "/admin/tokens"
    for login in REALM_LOGINS:
        record = realm.vault.people.find(f"{login.user_name}@contoso.example")
        assert {f"role:{role}" for role in login.roles} <= record.subject.groups
        assert {f"group:{group}" for group in login.groups} <= record.subject.groups


def test_a_wrong_password_a_second_use_and_a_wrong_secret_get_nothing(realm: Federated) -> None:
    browser = realm.browser()
    page = browser.press(browser.get("/login"), BUTTON)
    with pytest.raises(AssertionError, match="Invalid username or password"):
        come_back(realm, browser, page, "adele", "carol-pass")
    there = going_to(page)
    answer = requests.post(there, {"username": "adele", "password": "adele-pass"}, allow_redirects=False, timeout=5)
    code = answer.headers["Location"].partition("code=")[2].partition("&")[0]
    token = there.partition("/auth?")[0] + "/token"
    form = {"grant_type": "authorization_code", "code": code, "code_verifier": "not-the-one"}
    assert requests.post(token, form, auth=(CLIENT_ID, "wrong"), timeout=5).json() == {"error": "invalid_client"}
    assert requests.get(token.replace("/token", "/userinfo"), timeout=5).status_code == 401
