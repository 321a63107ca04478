"""When a part behind the vault fails: a page of ours, a reference, nothing half done."""

import pytest
from botocore.exceptions import ClientError

from chalicelib.domain.errors import KeyUnavailable

from .client import going_to
from .conftest import Running


def break_table(monkeypatch: pytest.MonkeyPatch, running: Running, operation: str) -> None:
    def broken(**_: object) -> None:
        raise ClientError({"Error": {"Code": "InternalServerError", "Message": "canary-arn"}}, operation)

    monkeypatch.setattr(running.aws.clients.dynamodb, operation, broken)


def test_r19_a_store_that_is_down_gets_a_page_with_a_reference(
    running: Running, monkeypatch: pytest.MonkeyPatch
) -> None:
    browser = running.browser("alice")
    break_table(monkeypatch, running, "query")
    page = browser.get("/providers")
    assert page.status == 503
    assert "storage cannot be reached" in page.text
    assert "storage_unavailable" in page.text
    assert "canary" not in page.body


def test_r19_a_bug_gets_a_page_without_its_text(
    running: Running, monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    def bug(*_: object) -> None:
        raise RuntimeError("canary-secret")

    browser = running.browser("alice")
    monkeypatch.setattr(running.vault.providers, "offers", bug)
    page = browser.get("/providers")
    assert page.status == 500
    assert "Something went wrong on our side" in page.text
    crashes = [vars(record) for record in caplog.records if record.message == "request.crashed"]
    assert [crash["error_type"] for crash in crashes] == ["RuntimeError"]
    assert "canary" not in page.body + str(crashes)


def test_r19_even_a_page_that_cannot_be_rendered_is_answered(running: Running, monkeypatch: pytest.MonkeyPatch) -> None:
    def bug(*_: object, **__: object) -> str:
        raise RuntimeError("canary-secret")

    monkeypatch.setattr(running.vault.endpoints._renderer, "page", bug)
    page = running.browser().get("/login")
    assert page.status == 500
    assert "Something went wrong" in page.text
    assert "default-src 'none'" in page.header("Content-Security-Policy")
    assert "canary" not in page.body


def test_f7_without_the_key_nothing_is_lost(running: Running, monkeypatch: pytest.MonkeyPatch) -> None:
    browser = running.browser("alice")
    running.authorize(browser)

    def disabled(**_: object) -> None:
        raise ClientError({"Error": {"Code": "DisabledException", "Message": "no"}}, "Decrypt")

    with monkeypatch.context() as broken:
        broken.setattr(running.aws.clients.kms, "decrypt", disabled)
        page = browser.press(browser.press(browser.get("/providers"), "Revoke authorization"), "Revoke")
        assert page.status == 503
        assert KeyUnavailable.message in page.text
        assert running.cloud.requests["/revoke"] == 0
    page = browser.press(browser.press(browser.get("/providers"), "Revoke authorization"), "Revoke")
    assert "confirmed" in page.text


def test_r20_every_redirect_after_a_post_is_see_other(running: Running) -> None:
    browser = running.browser("admin")
    running.authorize(browser)
    page = browser.press(browser.get("/providers"), "Revoke authorization")
    assert browser.press(page, "Revoke", follow=False).status == 303
    assert browser.press(browser.get("/providers"), "Sign out", follow=False).status == 303
    page = browser.get("/login")
    logged_in = browser.press(page, "Log in", follow=False, user_name="CONTOSO\\alice", password="alice-pass")
    assert logged_in.status == 303


def test_r21_the_callback_goes_on_to_a_clean_address_at_once(running: Running) -> None:
    browser = running.browser("alice")
    url = running.cloud.consent(going_to(browser.press(browser.get("/providers"), "Authorize")))
    answer = browser.get(running.callback(url), follow=False)
    assert answer.status == 303
    location = answer.header("Location")
    assert location.startswith("https://vault.example/providers?notice=")
    assert "code" not in location
    assert "state" not in location


def test_r66_removing_asks_first_and_says_how_many(running: Running) -> None:
    running.authorize(running.browser("alice"))
    admin = running.browser("admin")
    page = admin.press(admin.get("/admin/tokens"), "Remove all tokens")
    assert "1 token" in page.text
    assert admin.get("/admin/tokens").form("Remove all tokens")
    admin.press(page, "Remove", confirm="Northwind Cloud")
    assert running.audit_tags().count("provider.tokens_removed") == 1


def test_r41_a_removal_during_the_trip_ends_it(running: Running) -> None:
    """A removal between start and callback: nothing is stored, the person is told, and may start again."""
    browser, admin = running.browser("alice"), running.browser("admin")
    running.authorize(running.browser("bob"), "bob")
    exchanges = running.cloud.requests["/token"]
    url = running.cloud.consent(going_to(browser.press(browser.get("/providers"), "Authorize")))
    admin.press(admin.get("/admin/tokens/remove-all?provider=northwind"), "Remove", confirm="Northwind Cloud")
    page = browser.get(running.callback(url))
    assert "notice=" in page.url
    assert running.cloud.requests["/token"] == exchanges
    running.authorize(browser)
    assert browser.get("/providers").form("Reauthorize")


def test_the_background_functions_clean_up_after_a_removal(running: Running) -> None:
    running.authorize(running.browser("alice"))
    admin = running.browser("admin")
    admin.press(admin.get("/admin/tokens/remove-all?provider=northwind"), "Remove", confirm="Northwind Cloud")
    running.clock.advance(3600)
    assert running.vault.clean_up.run() == 1
    assert running.vault.clean_up.run() == 0
    keys = {item["pk"]["S"] for item in running.aws.items("vault-keys") if "wrapped" in item}
    assert keys == {"northwind#2"}
    grants = [item for item in running.aws.items("vault") if item["sk"]["S"].startswith("GRANT#")]
    assert [("token_set" in grant, grant["state"]["S"]) for grant in grants] == [(False, "removed")]
    assert "administrator" in running.browser("alice").get("/providers").text
