"""An administrator registers a cloud by hand, and what becomes of it: tested, enabled, authorized, changed, emptied."""

import re
import socket
from collections.abc import Iterator
from contextlib import contextmanager

import pytest
from playwright.sync_api import Browser, Page, expect

from dev.process import ROOT
from dev.stack import Stack
from tests.node import node

from .people import Person

pytestmark = pytest.mark.browser

PROJECT = ROOT / "tests" / "strict_cloud"
SECRET = "a+b%2Fc&d=e:f"
VAULT_USERS = "S-1-5-21-1004336348-1177238915-682003330-1603"


@contextmanager
def fabrikam(port: int, redirect_uri: str) -> Iterator[None]:
    """npm's oidc-provider, with one client: the vault."""
    with node(PROJECT, "open.js", str(port), redirect_uri, SECRET):
        yield


@pytest.fixture
def port() -> int:
    with socket.create_server(("127.0.0.1", 0)) as probe:
        return int(probe.getsockname()[1])


@pytest.fixture
def admin(browser: Browser, clean_stack: Stack) -> Iterator[Person]:
    context = browser.new_context()
    person = Person(context.new_page(), clean_stack.url)
    person.log_in("admin")
    yield person
    context.close()


@pytest.fixture
def alice(page: Page, clean_stack: Stack) -> Person:
    person = Person(page, clean_stack.url)
    person.log_in("alice")
    return person


def fill(person: Person, **fields: str) -> None:
    for label, value in fields.items():
        person.page.get_by_label(label.replace("_", " "), exact=True).fill(value)


def test_a_second_provider_from_registration_to_removal(alice: Person, admin: Person, port: int) -> None:
    page = admin.page
    page.get_by_role("link", name="Providers", exact=True).click()
    page.get_by_role("link", name="Register a provider").click()
    page.get_by_role("link", name="OpenID Connect").click()
    redirect_uri = page.locator("#redirect-uri").inner_text()
    assert re.fullmatch(rf"{admin.url}/oauth/callback/openid-connect-[a-z0-9]{{8}}", redirect_uri)
    with fabrikam(port, redirect_uri):
        register(admin, port)
        admin.press("Test this provider")
        expect(page.get_by_role("status").get_by_text("All good")).to_be_visible()
        admin.press("Enable")
        expect(page.get_by_text("Enabled", exact=True)).to_be_visible()

        authorize(alice)
        expect(alice.dialog).to_contain_text("alice@fabrikam.example")
        alice.press("Close")

        ask_for_more(admin)
        alice.page.goto(f"{alice.url}/providers")
        expect(alice.page.get_by_text("Needs reauthorization")).to_be_visible()
        expect(alice.page.get_by_text("permissions that are needed at Fabrikam Cloud have changed")).to_be_visible()

        page.get_by_role("link", name="1", exact=True).click()
        expect(page.get_by_role("row").filter(has_text="CONTOSO\\alice")).to_contain_text("alice@fabrikam.example")
        page.get_by_role("button", name="Remove all tokens").click()
        admin.dialog.get_by_label("to confirm").fill("Fabrikam Cloud")
        admin.dialog.get_by_label("Also revoke at the cloud").check()
        admin.dialog.get_by_role("button", name=re.compile("^Remove")).click()
        expect(page.get_by_text("All tokens of Fabrikam Cloud were removed")).to_be_visible()
        alice.page.reload()
        expect(alice.page.get_by_text("An administrator removed your authorization")).to_be_visible()
    delete(admin)
    seen_in_the_audit_log(admin)


def register(admin: Person, port: int) -> None:
    fill(
        admin,
        Name="Fabrikam Cloud",
        Issuer=f"http://127.0.0.1:{port}",
        Client_ID="vault",
        Client_secret=SECRET,
    )
    admin.page.get_by_label("Other scopes").fill("email\noffline_access")
    admin.page.get_by_role("radio", name="Members of these directory groups").check()
    admin.page.get_by_label("Groups", exact=True).fill(VAULT_USERS)
    admin.press("Save")
    expect(admin.page.get_by_role("heading", name="Fabrikam Cloud")).to_be_visible()
    expect(admin.page.get_by_text("Nobody sees this provider yet")).to_be_visible()


def authorize(alice: Person) -> None:
    alice.page.goto(f"{alice.url}/providers")
    card = alice.page.get_by_role("listitem").filter(has=alice.page.get_by_role("heading", name="Fabrikam Cloud"))
    card.get_by_role("button", name="Authorize").click()
    expect(alice.page).to_have_url(re.compile(r"^http://127\.0\.0\.1:"))
    alice.page.locator("input[name=login]").fill("alice")
    alice.page.locator("input[name=password]").fill("any")
    alice.page.get_by_role("button", name="Sign-in").click()
    alice.page.get_by_role("button", name="Continue").click()


def ask_for_more(admin: Person) -> None:
    admin.page.get_by_role("link", name="Edit", exact=True).click()
    admin.page.get_by_label("Other scopes").fill("email\noffline_access\nprofile")
    admin.page.get_by_role("radio", name="must authorize again").check()
    admin.press("Save")
    expect(admin.page.get_by_text("who authorized before must do so again")).to_be_visible()


def delete(admin: Person) -> None:
    admin.page.get_by_role("link", name="Providers", exact=True).click()
    admin.page.get_by_role("link", name="Fabrikam Cloud").click()
    admin.page.get_by_role("link", name="Delete", exact=True).click()
    expect(admin.dialog).to_contain_text("Nobody has authorized it")
    admin.dialog.get_by_role("button", name="Delete").click()
    expect(admin.page.get_by_role("link", name="Fabrikam Cloud")).to_have_count(0)


def seen_in_the_audit_log(admin: Person) -> None:
    admin.page.get_by_role("link", name="Audit log").click()
    for words in (
        "Provider registered", "Provider tested", "Provider enabled", "Provider changed", "Provider deleted",
        "All tokens removed", "Provider authorized",
    ):  # fmt: skip
        entries = admin.page.get_by_role("row").filter(has=admin.page.get_by_role("rowheader", name=words, exact=True))
        expect(entries.first).to_be_visible()
