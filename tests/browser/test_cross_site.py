"""Another site, in a real browser: it can neither send our forms nor put our pages into its own nor read them."""

import threading
from collections.abc import Iterator
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer

import pytest
from playwright.sync_api import Page, expect

from dev.stack import Stack

from .people import Person

pytestmark = pytest.mark.browser

_PAGE = """<!doctype html><title>Attacker</title>
<form id="forged" method="post" action="{vault}{path}"><input name="csrf" value="{csrf}"></form>
<iframe name="framed" src="{vault}/providers"></iframe>"""


class _Handler(BaseHTTPRequestHandler):
    page = b""

    def do_GET(self) -> None:
        self.send_response(200)
        self.send_header("Content-Type", "text/html; charset=utf-8")
        self.send_header("Content-Length", str(len(self.page)))
        self.end_headers()
        self.wfile.write(self.page)

    def log_message(self, *_: object) -> None:
        """Nothing."""


@pytest.fixture
def attacker() -> Iterator[str]:
    """A site of its own: browsers count 127.0.0.1 and localhost as two."""
    server = ThreadingHTTPServer(("127.0.0.1", 0), _Handler)
    thread = threading.Thread(target=server.serve_forever, args=(0.02,), daemon=True)
    thread.start()
    yield f"http://127.0.0.1:{server.server_port}"
    server.shutdown()
    thread.join()
    server.server_close()


def test_r10_r14_another_site_signs_nobody_out_and_frames_nothing(
    page: Page, clean_stack: Stack, attacker: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    alice = Person(page, clean_stack.url)
    alice.log_in("alice")
    token = page.locator('form[action$="/logout"] input[name="csrf"]').get_attribute("value")
    # As bad as it gets: the attacker even knows the token
    body = _PAGE.format(vault=clean_stack.url, path="/logout", csrf=token)
    monkeypatch.setattr(_Handler, "page", body.encode())
    page.goto(attacker)
    # A frame that was refused can lose its name, but not its place
    framed = page.locator("iframe").element_handle().content_frame()
    assert framed is not None
    assert "Alice" not in framed.content()
    page.evaluate("document.getElementById('forged').submit()")
    # Without her cookie, which is Lax, the form is nobody's: she comes back to where she was
    page.wait_for_url(f"{clean_stack.url}/providers")
    expect(alice.button("Authorize")).to_be_visible()
    expect(page.get_by_text("Alice Adams")).to_be_visible()


def test_r11_another_site_signs_nobody_in(
    page: Page, clean_stack: Stack, attacker: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    body = _PAGE.format(vault=clean_stack.url, path="/login", csrf="x")
    credentials = '<input name="user_name" value="CONTOSO\\bob"><input name="password" value="bob-pass"></form>'
    monkeypatch.setattr(_Handler, "page", body.replace("</form>", credentials).encode())
    page.goto(f"{clean_stack.url}/login")
    page.goto(attacker)
    page.evaluate("document.getElementById('forged').submit()")
    expect(page.get_by_text("did not come from the vault")).to_be_visible()
    page.goto(f"{clean_stack.url}/providers")
    expect(page.get_by_role("button", name="Log in", exact=True)).to_be_visible()
