"""Refused requests that mean something are in the audit log, and a flood of them is a few lines."""

from typing import Any

import pytest

from chalicelib.domain.errors import StorageUnavailable
from tests.fakes import directory

from .client import Browser, going_to
from .conftest import NORTHWIND, Running

ALICE = directory.ALICE.user.id


def denied(running: Running) -> list[dict[str, Any]]:
    """The entries, as they were written."""
    items = [item for item in running.aws.items("vault") if item["pk"]["S"].startswith("AUDIT#")]
    found = [item for item in items if item["tag"]["S"] == "request.denied"]
    return sorted(
        ({"by": item["actor"]["S"]} | {n: v["S"] for n, v in item["facts"]["M"].items()} for item in found),
        key=lambda entry: int(entry["in_this_minute"]),
    )


def forge(browser: Browser) -> int:
    return browser.post("/logout", {"csrf": "forged"}).status


def test_a_forged_form_of_a_signed_in_browser_is_recorded(running: Running) -> None:
    browser = running.browser("alice")
    assert forge(browser) == 403
    assert denied(running) == [{"by": ALICE, "code": "forged_form", "route": "/logout", "in_this_minute": "1"}]
    assert "A request of your browser was refused" in browser.get("/activity").text


def test_a_flood_is_counted_and_folded(running: Running) -> None:
    browser = running.browser("alice")
    for _ in range(120):
        forge(browser)
    assert [entry["in_this_minute"] for entry in denied(running)] == ["1", "10", "100"]
    assert "100 requests of your browser were refused" in browser.get("/activity").text
    running.clock.advance(60)
    forge(browser)
    forge(running.browser("bob"))
    assert [entry["in_this_minute"] for entry in denied(running)] == ["1", "1", "1", "10", "100"]


def test_beyond_what_is_told_a_process_counts_no_more(running: Running, monkeypatch: pytest.MonkeyPatch) -> None:
    browser, refusals = running.browser("alice"), running.vault.refusals
    counted = iter([1000])
    monkeypatch.setattr(refusals._usage, "add_call", lambda *_: next(counted))
    for _ in range(3):
        assert forge(browser) == 403
    assert [entry["in_this_minute"] for entry in denied(running)] == ["1000"]


def test_a_role_that_is_not_there_is_recorded(running: Running) -> None:
    assert running.browser("alice").get("/admin/tokens").status == 403
    assert [(entry["by"], entry["code"]) for entry in denied(running)] == [(ALICE, "access_denied")]


def test_callbacks_that_fit_nothing_are_recorded(running: Running) -> None:
    browser = running.browser("alice")
    url = running.callback(running.cloud.consent(going_to(browser.press(browser.get("/providers"), "Authorize"))))
    running.browser().get(url, follow=False)
    browser.get(f"{url}&state=another")
    running.browser().get("/login/callback?state=a&state=b")
    codes = sorted((entry["by"], entry["code"]) for entry in denied(running))
    assert codes == [("-", "invalid_request"), ("-", "invalid_request"), ("-", "login_required")]
    browser.get(f"/oauth/callback/{NORTHWIND}?state=forged&code=x")
    assert running.audit_tags().count("consent.failed") == 1


def test_what_strangers_send_leaves_nothing(running: Running) -> None:
    stranger = running.browser()
    forge(stranger)
    stranger.get("/admin/tokens", follow=False)
    stranger.post("/login", {"csrf": "forged", "user_name": "a", "password": "b"})
    assert denied(running) == []


def test_a_refusal_that_cannot_be_recorded_is_one_all_the_same(
    running: Running, monkeypatch: pytest.MonkeyPatch
) -> None:
    def no_storage(*_: object) -> int:
        raise StorageUnavailable

    browser = running.browser("alice")
    monkeypatch.setattr(running.vault.refusals._usage, "add_call", no_storage)
    assert forge(browser) == 403
    assert browser.get("/providers").status == 200
