"""The pages in Chromium under the vault's own policy: accessible, never too wide, and what app.js adds."""

import threading
from collections.abc import Iterator
from functools import partial
from http.server import SimpleHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from typing import Any
from urllib.parse import urlsplit

import axe_core_python
import pytest
from playwright.sync_api import Browser, Page

from chalicelib.web.headers import security_headers

from . import gallery

pytestmark = pytest.mark.browser

AXE = (Path(axe_core_python.__file__).parent / "axe.min.js").read_text(encoding="utf-8")

RULES_OF_LOOKS = ["color-contrast", "link-in-text-block", "scrollable-region-focusable"]
"""What depends on colours and width: the rest is the same markup as in the other look."""


class Handler(SimpleHTTPRequestHandler):
    def end_headers(self) -> None:
        policy = "Content-Security-Policy"
        self.send_header(policy, security_headers(gallery.NONCE)[policy])
        super().end_headers()

    def log_message(self, *args: Any) -> None:
        """Quiet."""


@pytest.fixture(scope="module")
def site(tmp_path_factory: pytest.TempPathFactory) -> Iterator[str]:
    folder = tmp_path_factory.mktemp("gallery")
    gallery.write(folder)
    server = ThreadingHTTPServer(("127.0.0.1", 0), partial(Handler, directory=str(folder)))
    thread = threading.Thread(target=server.serve_forever)
    thread.start()
    yield f"http://127.0.0.1:{server.server_port}"
    server.shutdown()
    thread.join()
    server.server_close()


def shown(page: Page, site: str, name: str) -> Page:
    page.goto(f"{site}/{name}.html")
    return page


@pytest.mark.parametrize(("scheme", "width", "rules"), [("light", 1280, []), ("dark", 390, RULES_OF_LOOKS)])
def test_pages_are_accessible_and_fit(browser: Browser, site: str, scheme: Any, width: int, rules: list[str]) -> None:
    options = {"resultTypes": ["violations"], **({"runOnly": {"type": "rule", "values": rules}} if rules else {})}
    context = browser.new_context(viewport={"width": width, "height": 844}, color_scheme=scheme)
    page = context.new_page()
    complaints: list[str] = []
    page.on("console", lambda message: complaints.append(message.text))
    faults: dict[str, Any] = {}
    # The pages on the way to a cloud would leave; their link is looked at in the tests of the whole trip
    for name in gallery.PAGES.keys() - {"going", "going_sign_in"}:
        shown(page, site, name)
        page.evaluate(AXE)
        found = page.evaluate("options => axe.run(options)", options)["violations"]
        too_wide = page.evaluate("document.documentElement.scrollWidth > innerWidth")
        if found or too_wide:
            faults[name] = [violation["help"] for violation in found], too_wide
    context.close()
    assert faults == {}
    assert complaints == []


def test_a_dialog_becomes_modal_and_escape_leaves_it(page: Page, site: str) -> None:
    shown(page, site, "revoke")
    assert page.locator("dialog:modal").count() == 1
    assert page.evaluate("document.activeElement.textContent") == "Cancel"
    with page.expect_navigation():
        page.keyboard.press("Escape")
    assert urlsplit(page.url).path == "/providers"


def test_rows_are_counted_and_all_can_be_selected_at_once(page: Page, site: str) -> None:
    shown(page, site, "tokens")
    table = page.get_by_role("region", name="Northwind Cloud")
    remove, status = table.get_by_role("button", name="Remove selected"), table.get_by_role("status")
    assert remove.is_disabled()
    table.get_by_label("Select CONTOSO\\person002").check()
    assert status.inner_text() == "1 selected"
    table.get_by_label("Select all").check()
    assert status.inner_text() == "4 selected"
    with page.expect_navigation():
        remove.click()
    assert urlsplit(page.url).query.count("token=") == 4


def test_a_form_is_sent_once(page: Page, site: str) -> None:
    shown(page, site, "login")
    page.get_by_label("User name").fill("CONTOSO\\alice")
    page.get_by_label("Password").fill("secret")
    sent: list[str] = []
    page.on("request", lambda request: sent.append(request.method))
    page.evaluate("for (const _ of [1, 2]) document.querySelector('form').requestSubmit()")
    page.wait_for_load_state()
    page.wait_for_function("location.pathname === '/login'")
    assert sent.count("POST") == 1


def test_times_are_shown_in_the_zone_of_the_reader(browser: Browser, site: str) -> None:
    context = browser.new_context(timezone_id="Asia/Tokyo", locale="en-GB")
    time = shown(context.new_page(), site, "sessions").locator("time").first
    assert time.inner_text() == "23 Nov 2026, 13:22"
    assert time.get_attribute("title") == "23 Nov 2026, 04:22 UTC"
    context.close()


def test_a_last_use_is_said_in_days(browser: Browser, site: str) -> None:
    context = browser.new_context(timezone_id="Asia/Tokyo", locale="de-DE")
    page = context.new_page()
    page.clock.set_fixed_time(gallery.NOW)
    times = shown(page, site, "tokens").locator("time[data-hour]")
    assert times.all_inner_texts() == ["today", "12 days ago", "today"]
    context.close()
