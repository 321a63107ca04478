"""Signing in at an authorization server that nobody here wrote (npm's oidc-provider), over its own pages."""

import re
import socket
import time
from collections.abc import Iterator
from html import unescape
from urllib.parse import urljoin

import pytest
import requests

from tests.browser.test_manage_providers import SECRET, fabrikam
from tests.fakes.cloud import parameters
from tests.functional.client import BASE, going_to
from tests.functional.conftest import Running, running  # noqa: F401 - a fixture
from tests.functional.test_sign_in import AGAIN, BUTTON, SECRET_NAME, Federated, federated_vault

pytestmark = pytest.mark.integration


class Person:
    """Somebody at the pages of oidc-provider, with cookies of their own there."""

    def __init__(self, name: str) -> None:
        self.name = name
        self.session = requests.Session()

    def go(self, url: str) -> str:
        """Do what the pages ask for until they send the browser back to the vault; gives that address."""
        answer = self.session.get(url, allow_redirects=False, timeout=5)
        for _ in range(10):
            if answer.is_redirect:
                url = urljoin(answer.url, answer.headers["Location"])
                if url.startswith(BASE):
                    return url
                answer = self.session.get(url, allow_redirects=False, timeout=5)
                continue
            assert answer.ok, answer.text
            action = unescape(re.findall(r'<form[^>]* action="([^"]+)"', answer.text)[0])
            fields = dict(re.findall(r'<input type="hidden" name="(\w+)" value="(\w*)"', answer.text))
            fields |= {"login": self.name, "password": "any"} if 'name="login"' in answer.text else {}
            answer = self.session.post(urljoin(url, action), fields, allow_redirects=False, timeout=5)
        raise AssertionError("it never came back")


@pytest.fixture
def strict(running: Running) -> Iterator[Federated]:  # noqa: F811 - pytest's way
    with socket.create_server(("127.0.0.1", 0)) as probe:
        port = int(probe.getsockname()[1])
    running.clock.advance(int(time.time()) - running.clock.now())
    secrets = running.aws.clients.secrets_manager
    secrets.create_secret(Name=SECRET_NAME, SecretString=SECRET)
    with fabrikam(port, f"{BASE}/login/callback"):
        yield federated_vault(running, f"http://127.0.0.1:{port}", administrators=["role:Vault.Admin"])
    secrets.delete_secret(SecretId=SECRET_NAME, ForceDeleteWithoutRecovery=True)


def test_people_sign_in_prove_who_they_are_anew_and_sign_out(strict: Federated) -> None:
    browser, admin = strict.browser(), Person("admin")
    providers = browser.get(strict.callback(admin.go(going_to(browser.press(browser.get("/login"), BUTTON)))))
    assert providers.url == "/providers"
    assert "admin@fabrikam.example" in providers.text
    assert browser.get("/admin/tokens").status == 200

    page = browser.get("/login/confirm?next=tokens")
    url = going_to(browser.press(page, AGAIN))
    confirmed = browser.get(strict.callback(admin.go(url)))
    assert confirmed.url == "/admin/tokens"

    signed_out = browser.press(browser.get("/providers"), "Sign out")
    there = unescape(re.findall(r'href="(http://127[^"]+)"', signed_out.body)[0])
    assert parameters(there)["post_logout_redirect_uri"] == f"{BASE}/login"
    assert admin.session.get(there, timeout=5).ok


def test_r35_taking_away_the_demand_to_sign_in_anew_proves_nothing(strict: Federated) -> None:
    browser, admin = strict.browser(), Person("admin")
    browser.get(strict.callback(admin.go(going_to(browser.press(browser.get("/login"), BUTTON)))))
    strict.clock.advance(600)
    url = going_to(browser.press(browser.get("/login/confirm?next=tokens"), AGAIN))
    url = url.replace("prompt=login", "").replace("max_age=300", "")
    strict.clock.advance(-600)
    page = browser.get(strict.callback(admin.go(url)))
    assert "did not say that you have just signed in again" in page.text


def test_people_of_one_provider_are_different_users(strict: Federated) -> None:
    for name in ("carol", "dave", "carol"):
        browser, person = strict.browser(), Person(name)
        page = browser.get(strict.callback(person.go(going_to(browser.press(browser.get("/login"), BUTTON)))))
        assert f"{name}@fabrikam.example" in page.text
        assert browser.get("/admin/tokens").status == 403
    assert len({item["pk"]["S"] for item in strict.aws.items("vault") if item["pk"]["S"].startswith("USER#")}) == 2
