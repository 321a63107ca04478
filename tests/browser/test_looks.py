"""Every page for everybody: axe-core, phone width, light and dark, and nothing asked of other hosts."""

import re
from urllib.parse import urlsplit

import pytest
from axe_core_python.sync_playwright import Axe
from playwright.sync_api import Browser, Page, expect

from dev.stack import Stack

from .people import Person

pytestmark = pytest.mark.browser

SIZES = {"desktop": {"width": 1280, "height": 800}, "phone": {"width": 390, "height": 844}}


def check(page: Page, problems: list[str], where: str) -> None:
    page.wait_for_load_state()
    # Axe wants to add a script element, which our policy rightly refuses, so the context bypasses the policy
    found = Axe().run(page)["violations"]
    problems += [f"{where}: {v['id']}: {[node['html'] for node in v['nodes']][:3]}" for v in found]
    width = page.evaluate("document.documentElement.scrollWidth - document.documentElement.clientWidth")
    if width > 0:
        problems.append(f"{where}: {width} px too wide")


@pytest.mark.parametrize("scheme", ["light", "dark"])
@pytest.mark.parametrize("size", SIZES)
def test_axe_finds_nothing_and_nothing_is_too_wide(
    browser: Browser, clean_stack: Stack, scheme: str, size: str
) -> None:
    context = browser.new_context(color_scheme=scheme, viewport=SIZES[size], bypass_csp=True)
    admin, problems = Person(context.new_page(), clean_stack.url), []
    admin.page.goto(admin.url)
    check(admin.page, problems, "log-in")
    admin.log_in("admin", "wrong")
    check(admin.page, problems, "failed log-in")
    admin.log_in("admin")
    check(admin.page, problems, "providers")
    admin.authorize("bob")
    expect(admin.dialog).to_be_visible()
    check(admin.page, problems, "success dialog")
    admin.press("Close")
    expect(admin.page).to_have_url(re.compile(r"/providers\??#provider-"))
    check(admin.page, problems, "authorized")
    admin.press("Revoke authorization")
    expect(admin.dialog).to_be_visible()
    check(admin.page, problems, "revoke dialog")
    for path in (
        "/sessions",
        "/applications",
        "/activity",
        "/admin/tokens",
        "/admin/clients",
        "/admin/stops",
        "/admin/audit",
        "/login/confirm?next=tokens",
        "/nowhere",
    ):
        admin.page.goto(admin.url + path)
        check(admin.page, problems, path)
    admin.page.goto(f"{admin.url}/admin/tokens/remove-all?provider=northwind")
    check(admin.page, problems, "remove dialog")
    context.close()
    assert problems == []


@pytest.fixture
def watched(page: Page, clean_stack: Stack) -> tuple[Person, list[str], list[str]]:
    hosts: list[str] = []
    violations: list[str] = []
    page.on("request", lambda request: hosts.append(urlsplit(request.url).netloc))
    page.on("console", lambda message: violations.append(message.text) if "Security Policy" in message.text else None)
    return Person(page, clean_stack.url), hosts, violations


def test_no_page_asks_another_host_or_breaks_its_own_policy(watched: tuple[Person, list[str], list[str]]) -> None:
    admin, hosts, violations = watched
    admin.log_in("admin")
    for path in ("/providers", "/sessions", "/activity", "/admin/tokens", "/admin/audit", "/login/confirm?next=tokens"):
        admin.page.goto(admin.url + path)
        expect(admin.page.locator("body")).to_have_css("margin", "0px")  # the stylesheet was let in
    assert set(hosts) == {urlsplit(admin.url).netloc}
    assert violations == []
    assert admin.page.evaluate("document.cookie") == ""
    assert admin.page.evaluate("localStorage.length + sessionStorage.length") == 0


def test_times_are_shown_in_the_readers_zone(browser: Browser, clean_stack: Stack) -> None:
    context = browser.new_context(timezone_id="Asia/Tokyo", locale="en-GB")
    person = Person(context.new_page(), clean_stack.url)
    person.log_in("alice")
    person.page.goto(f"{person.url}/sessions")
    time = person.page.locator("time").first
    expect(time).to_have_attribute("title", re.compile("UTC"))
    assert "UTC" not in time.inner_text()
    context.close()
