"""A client application's life: registered in the console, run from outside, stopped, resumed, blocked, seen by all."""

import ast
import os
import subprocess
import sys
import time
from pathlib import Path
from typing import Any

import pytest
import requests
from cryptography.hazmat.primitives.serialization import Encoding, NoEncryption, PrivateFormat
from playwright.sync_api import Browser, Page, expect

from dev.stack import Stack
from tests.fakes.pasted import KEY, certificate

from .people import Person

pytestmark = pytest.mark.browser


class Program:
    """The developer's side: the code that the console showed, in a process of its own, with the private key."""

    def __init__(self, folder: Path, code: str) -> None:
        self._folder = folder
        pem = KEY.private_bytes(Encoding.PEM, PrivateFormat.PKCS8, NoEncryption())
        (folder / "private-key.pem").write_bytes(pem)
        (folder / "fetch.py").write_text(code, encoding="utf-8")

    def fetch(self) -> dict[str, Any]:
        """The token endpoint's answer, as the program prints it."""
        ran = subprocess.run(
            [sys.executable, "fetch.py"],
            cwd=self._folder,
            env=os.environ | {"NO_PROXY": "localhost,127.0.0.1", "no_proxy": "localhost,127.0.0.1"},
            capture_output=True,
            text=True,
            timeout=60,
            check=True,
        )
        answer: dict[str, Any] = ast.literal_eval(ran.stdout)
        return answer


@pytest.fixture
def alice(page: Page, clean_stack: Stack) -> Person:
    person = Person(page, clean_stack.url)
    person.log_in("alice")
    person.authorize("alice")
    person.press("Close")
    return person


@pytest.fixture
def admin(browser: Browser, clean_stack: Stack) -> Person:
    person = Person(browser.new_context().new_page(), clean_stack.url)
    person.log_in("admin")
    return person


def register(admin: Person, folder: Path) -> str:
    """Everything an administrator does before a program can fetch; gives the code for the developer."""
    pem = folder / "certificate.pem"
    pem.write_text(certificate(KEY, now=int(time.time())), encoding="ascii")
    admin.page.get_by_role("link", name="Manage clients").click()
    expect(admin.page.get_by_text("No application is registered")).to_be_visible()
    admin.page.get_by_role("link", name="Register an application").click()
    admin.page.get_by_label("Name", exact=True).fill("Scan server")
    admin.page.get_by_label("Or read it from a file").set_input_files(pem)
    expect(admin.page.get_by_label("Public key")).to_have_value(pem.read_text(encoding="ascii"))
    admin.press("Register")
    expect(admin.page.get_by_text("It cannot fetch anything yet")).to_be_visible()
    admin.press("Add a rule")
    admin.page.get_by_role("radio", name="Everybody").check()
    admin.page.get_by_label("At most these scopes").check()
    for scope in ("openid", "profile", "email", "offline_access"):
        admin.page.get_by_label(scope).check()
    admin.press("Add rule")
    expect(admin.page.get_by_text("Enabled")).to_be_visible()
    code: str = admin.page.locator("#snippet-python").inner_text()
    return code


def user_info(stack: Stack, token: str) -> dict[str, Any]:
    """What the cloud says to who has the token."""
    issuer = stack.environment["DEV_CLOUD_ISSUER"]
    document = requests.get(f"{issuer}/.well-known/openid-configuration", timeout=5).json()
    bearer = {"Authorization": f"Bearer {token}"}
    answer: dict[str, Any] = requests.get(document["userinfo_endpoint"], headers=bearer, timeout=5).json()
    return answer


def test_from_registration_to_stop_and_block(alice: Person, admin: Person, clean_stack: Stack, tmp_path: Path) -> None:
    program = Program(tmp_path, register(admin, tmp_path))

    fetched = program.fetch()
    assert user_info(clean_stack, fetched["access_token"])["email"] == "alice@contoso.example"

    admin.page.get_by_role("link", name="Stop", exact=True).last.click()
    admin.page.get_by_label("Reason", exact=True).last.fill("Its laptop was lost")
    admin.dialog.get_by_role("button", name="Stop", exact=True).click()
    expect(admin.page.get_by_text("“Its laptop was lost”")).to_be_visible()
    assert program.fetch()["reason"] == "blocked"
    admin.press("Resume")
    expect(admin.page.get_by_text("Nothing is stopped")).to_be_visible()
    assert program.fetch()["access_token"] == fetched["access_token"]

    alice.page.get_by_role("link", name="Applications", exact=True).click()
    alice.press("Block")
    expect(alice.page.get_by_text("It gets nothing of yours")).to_be_visible()
    assert program.fetch()["reason"] == "blocked"
    alice.press("Unblock")
    expect(alice.button("Block")).to_be_visible()
    assert program.fetch()["access_token"] == fetched["access_token"]

    alice.page.get_by_role("link", name="Activity").first.click()
    history = alice.page.get_by_role("listitem")
    fetches = "Scan server fetched your token of Northwind Cloud as alice@contoso.example"
    expect(history.filter(has_text=fetches)).to_have_count(3)
    for words in ("did not get it: an administrator has stopped it", "did not get it: you block it"):
        expect(history.filter(has_text=words)).to_have_count(1)
    expect(history.filter(has_text="You blocked the application scan-server")).to_have_count(1)

    admin.page.get_by_role("link", name="Audit log").click()
    entries = admin.page.get_by_role("row")
    for words, times in (
        ("Token given to an application", 3),
        ("Token refused to an application", 2),
        ("Application stopped", 1),
        ("Application resumed", 1),
        ("Application blocked by the person", 1),
        ("Application unblocked by the person", 1),
    ):
        expect(entries.filter(has=admin.page.get_by_role("rowheader", name=words, exact=True))).to_have_count(times)
    expect(entries.filter(has_text="stopped: own")).to_have_count(1)
    admin.page.context.close()


def test_who_could_get_it_is_answered_on_a_page(alice: Person, admin: Person, tmp_path: Path) -> None:
    register(admin, tmp_path)
    admin.page.get_by_role("link", name="Manage clients").first.click()
    admin.page.get_by_label("Person").fill("CONTOSO\\alice")
    admin.press("Show")
    expect(admin.page.get_by_role("status")).to_contain_text("CONTOSO\\alice has authorized Northwind Cloud")
    expect(admin.page.get_by_text("Could get it")).to_be_visible()
    alice.page.goto(f"{alice.url}/applications")
    alice.press("Block")
    admin.press("Show")
    expect(admin.page.get_by_text("Not now: the person blocks it")).to_be_visible()
    admin.page.context.close()
