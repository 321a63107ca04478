"""What people do, from the log-in to the removal by an administrator, without JavaScript."""

import pytest

from .client import going_to
from .conftest import Running


def test_an_anonymous_person_is_asked_to_log_in(running: Running) -> None:
    page = running.browser().get("/")
    assert page.url == "/login"
    assert "User name" in page.text
    assert "DOMAIN\\USERNAME" in page.body


def test_logging_in_shows_the_available_providers(running: Running) -> None:
    page = running.browser().log_in("CONTOSO\\alice", "alice-pass")
    assert page.url == "/providers"
    assert "Available authorization providers" in page.text
    assert "Northwind Cloud" in page.text
    assert page.form("Authorize")
    assert page.form("Sign out")


@pytest.mark.parametrize(
    ("user_name", "password"),
    [("CONTOSO\\alice", "wrong"), ("CONTOSO\\nobody", "alice-pass"), ("alice", "alice-pass"), ("CONTOSO\\alice", "")],
)
def test_r29_a_failed_log_in_says_the_same_whichever_was_wrong(running: Running, user_name: str, password: str) -> None:
    page = running.browser().log_in(user_name, password)
    assert page.status == 401
    assert "The user name or password is incorrect." in page.text
    assert 'role="alert"' in page.body
    assert f'value="{user_name}"' in page.body


def test_a_directory_that_is_down_is_said_as_such(running: Running) -> None:
    running.directory.available = False
    page = running.browser().log_in("CONTOSO\\alice", "alice-pass")
    assert page.status == 503
    assert "the directory cannot be reached" in page.text


def test_authorize_goes_to_the_cloud_and_back_to_the_success_dialog(running: Running) -> None:
    browser = running.browser("alice")
    page = running.authorize(browser)
    assert page.url.startswith("/providers?notice=")
    assert "Northwind Cloud" in page.text
    assert "alice@contoso.example" in page.text
    assert page.form("Close")
    page = browser.press(page, "Close")
    assert page.form("Reauthorize")
    assert page.form("Revoke authorization")
    assert "See your e-mail address" in page.text


def test_reauthorizing_with_another_account_says_so(running: Running) -> None:
    browser = running.browser("alice")
    running.authorize(browser)
    page = running.authorize(browser, "alice2", "Reauthorize")
    assert "alice.personal@mail.example" in page.text
    assert "alice@contoso.example" in page.text
    assert browser.get("/providers").text.count("alice.personal@mail.example") == 1


def test_reauthorizing_makes_the_cloud_ask_which_account(running: Running) -> None:
    browser = running.browser("alice")
    first = going_to(browser.press(browser.get("/providers"), "Authorize"))
    assert "prompt=consent" in first
    running.authorize(browser)
    again = going_to(browser.press(browser.get("/providers"), "Reauthorize"))
    assert "prompt=select_account%20consent" in again


def test_a_denied_consent_leaves_the_old_grant_untouched(running: Running) -> None:
    browser = running.browser("alice")
    running.authorize(browser)
    going = browser.press(browser.get("/providers"), "Reauthorize")
    page = browser.get(running.callback(running.cloud.deny(going_to(going))))
    assert "Your earlier authorization is unchanged." in page.text
    assert "alice@contoso.example" in browser.press(page, "Close").text


def test_revoking_asks_and_states_what_the_cloud_did(running: Running) -> None:
    browser = running.browser("alice")
    running.authorize(browser)
    page = browser.press(browser.get("/providers"), "Revoke authorization")
    assert "alice@contoso.example" in browser.press(page, "Cancel").text
    page = browser.press(page, "Revoke")
    assert "confirmed" in page.text
    assert running.cloud.requests["/revoke"] == 1
    page = browser.press(page, "Close")
    assert page.form("Authorize")


def test_a_cloud_that_does_not_answer_a_revocation_is_asked_again(running: Running) -> None:
    from tests.fakes.misbehaviour import status

    browser = running.browser("alice")
    running.authorize(browser)
    running.cloud.misbehave("/revoke", status(503))
    page = browser.press(browser.press(browser.get("/providers"), "Revoke authorization"), "Revoke")
    assert "not confirmed" in page.text
    running.clock.advance(60)
    assert running.vault.revocations.retry_due() == 1
    assert running.cloud.requests["/revoke"] == 2


class TestManageTokens:
    def test_removing_all_makes_everybody_authorize_again(self, running: Running) -> None:
        alice, bob, admin = (running.browser(name) for name in ("alice", "bob", "admin"))
        running.authorize(alice)
        running.authorize(bob, "bob")
        page = admin.get("/admin/tokens")
        assert "CONTOSO\\alice" in page.text
        assert "bob@contoso.example" in page.text
        page = admin.press(page, "Remove all tokens")
        assert "2" in page.text
        page = admin.press(page, "Remove", confirm="northwind cloud")
        assert "All tokens of Northwind Cloud were removed" in page.text
        assert "CONTOSO\\alice" not in admin.get("/admin/tokens").text
        for browser in (alice, bob):
            page = browser.get("/providers")
            assert page.form("Authorize")
            assert "administrator" in page.text

    @pytest.mark.parametrize("one", [True, False])
    def test_r85_a_removal_is_told_for_ninety_days(self, running: Running, *, one: bool) -> None:
        alice, admin = running.browser("alice"), running.browser("admin")
        running.authorize(alice)
        page = admin.press(admin.get("/admin/tokens"), "Remove" if one else "Remove all tokens")
        admin.press(page, "Remove", **({} if one else {"confirm": "northwind cloud"}))
        for days, is_told in ((89, True), (2, False)):
            running.clock.advance(days * 86400)
            page = running.browser("alice").get("/providers")
            assert ("administrator removed" in page.text) is is_told
            assert page.form("Authorize")

    def test_removing_one_leaves_the_others(self, running: Running) -> None:
        alice, bob, admin = (running.browser(name) for name in ("alice", "bob", "admin"))
        running.authorize(alice)
        running.authorize(bob, "bob")
        (first, second) = [form for form in admin.get("/admin/tokens").forms if form.buttons == ["Remove"]]
        page = admin.get(f"{first.action}?{'&'.join(f'{n}={v}' for n, v in first.fields)}")
        page = admin.press(page, "Remove")
        assert "1 token was removed" in page.text
        assert alice.get("/providers").form("Authorize")
        assert bob.get("/providers").form("Reauthorize")
        assert second.fields

    def test_removing_the_ticked_ones(self, running: Running) -> None:
        alice, bob, admin = (running.browser(name) for name in ("alice", "bob", "admin"))
        running.authorize(alice)
        running.authorize(bob, "bob")
        ids = [item["provider_id"]["S"] + "." + item["user_id"]["S"] for item in _grants(running)]
        page = admin.get("/admin/tokens/remove?" + "&".join(f"token={grant_id}" for grant_id in ids))
        assert "2 tokens" in page.text
        page = admin.press(page, "Remove")
        assert "2 tokens were removed" in page.text

    def test_filters_by_provider_and_user(self, running: Running) -> None:
        alice, bob, admin = (running.browser(name) for name in ("alice", "bob", "admin"))
        running.authorize(alice)
        running.authorize(bob, "bob")
        page = admin.get("/admin/tokens?provider=northwind&user=CONTOSO%5Cal")
        assert "CONTOSO\\alice" in page.text
        assert "CONTOSO\\bob" not in page.text

    def test_searches_by_person_account_state_and_age(self, running: Running) -> None:
        alice, bob, admin = (running.browser(name) for name in ("alice", "bob", "admin"))
        running.authorize(alice)
        running.authorize(bob, "bob")
        for query, found in {
            "user=bob%40contoso.example": "bob",
            "account=BOB%40": "bob",
            "state=active&user=al": "alice",
            "scope=offline_access&account=alice": "alice",
        }.items():
            page = admin.get(f"/admin/tokens?{query}")
            names = {name for name in ("alice", "bob") if f"CONTOSO\\{name}" in page.text}
            assert names == {found}, query
            rows = admin.get(f"/admin/tokens/export?{query}").body.splitlines()
            assert len(rows) == 2, query
            assert found in rows[1]
        for query in ("state=failing", "scope=nothing", "before=2000-01-01", "user=zoe%40contoso.example"):
            assert "CONTOSO\\" not in admin.get(f"/admin/tokens?{query}").text.partition("Search")[2], query
        assert "Nobody is known by this name" in admin.get("/admin/tokens?user=zoe%40contoso.example").text

    @pytest.mark.parametrize("query", ["state=lost", "before=yesterday"])
    def test_r65_a_search_that_is_none_is_refused(self, running: Running, query: str) -> None:
        assert running.browser("admin").get(f"/admin/tokens?{query}").status == 400

    def test_the_file_holds_no_token(self, running: Running) -> None:
        running.authorize(running.browser("alice"))
        text = running.browser("admin").get("/admin/tokens/export").body
        (grant,) = _grants(running)
        assert "alice@contoso.example" in text
        assert not any(token in text for token in running.cloud.issued())
        assert grant["token_set"]["B"].hex() not in text

    def test_r66_removed_and_revoked_with_a_receipt(self, running: Running) -> None:
        alice, bob, admin = (running.browser(name) for name in ("alice", "bob", "admin"))
        running.authorize(alice)
        running.authorize(bob, "bob")
        page = admin.press(admin.get("/admin/tokens"), "Remove all tokens")
        page = admin.press(page, "Remove", confirm="Northwind", revoke="yes")
        assert page.status == 400
        assert "Please type “Northwind Cloud” to confirm" in page.text
        assert alice.get("/providers").form("Reauthorize")
        page = admin.press(page, "Remove", confirm="Northwind Cloud")
        assert "still at work" in page.text
        running.vault.clean_up.run()
        assert "Still to be deleted2" in admin.get(page.url).text
        running.clock.advance(120)
        running.vault.clean_up.run()
        assert "Not confirmed yet2" in admin.get(page.url).text
        running.vault.revocations.retry_due()
        assert "Confirmed by the cloud2" in admin.get(page.url).text
        assert "Everything is done" in admin.get(page.url).text
        assert "All tokens of Northwind Cloud" in admin.get("/admin/removals").text
        assert "An administrator removed your authorization" in alice.get("/activity").text
        assert running.cloud.requests["/revoke"] == 2

    @pytest.mark.parametrize("typed", ["bob%40contoso.example", "CONTOSO%5Cbob", "contoso%5CBOB"])
    def test_removing_a_persons_tokens(self, running: Running, typed: str) -> None:
        alice, bob, admin = (running.browser(name) for name in ("alice", "bob", "admin"))
        running.authorize(alice)
        running.authorize(bob, "bob")
        page = admin.press(admin.get(f"/admin/tokens?user={typed}"), "Remove all tokens of this person")
        assert "all tokens of CONTOSO\\bob" in page.text
        page = admin.press(page, "Remove", revoke="yes")
        assert "All tokens of CONTOSO\\bob were removed" in page.text
        assert "this person sees “Authorize” again" in page.text
        assert bob.get("/providers").form("Authorize")
        assert alice.get("/providers").form("Reauthorize")

    def test_the_receipt_of_single_tokens_says_whose_they_were(self, running: Running) -> None:
        alice, bob, admin = (running.browser(name) for name in ("alice", "bob", "admin"))
        for names, people in ((("alice",), "this person sees"), (("alice", "bob"), "the people concerned see")):
            for name in names:
                running.authorize({"alice": alice, "bob": bob}[name], name)
            ids = [running.vault.people.find(f"{name}@contoso.example").id for name in names]
            tokens = [f"token=northwind.{user_id}" for user_id in ids]
            page = admin.press(admin.get(f"/admin/tokens/remove?{'&'.join(tokens)}"), "Remove", revoke="yes")
            called = ", ".join(f"CONTOSO\\{name}" for name in names)
            assert f"Chosen tokens of {called} were removed" in page.text
            assert f"{people} “Authorize” again" in page.text
            assert f"Chosen tokens of {called}" in admin.get("/admin/removals").text

    def test_removing_everything(self, running: Running) -> None:
        alice, admin = running.browser("alice"), running.browser("admin")
        running.authorize(alice)
        page = admin.get("/admin/tokens/remove-everything")
        assert admin.press(page, "Remove", confirm="yes").status == 400
        page = admin.press(page, "Remove", confirm="everything")
        assert "All tokens of everybody were removed" in page.text
        assert alice.get("/providers").form("Authorize")
        assert "No token is stored" in admin.get("/admin/tokens/remove-everything").text

    def test_an_administrator_confirms_the_password_after_five_minutes(self, running: Running) -> None:
        running.authorize(running.browser("alice"))
        admin = running.browser("admin")
        page = admin.get("/admin/tokens")
        running.clock.advance(5 * 60)
        before = dict(admin.cookies)
        page = admin.press(page, "Remove all tokens")
        assert page.url == "/login/confirm?next=tokens"
        assert admin.press(page, "Confirm", password="wrong").status == 401
        page = admin.press(page, "Confirm", password="admin-pass")
        assert page.url == "/admin/tokens"
        assert admin.cookies != before
        page = admin.press(admin.press(page, "Remove all tokens"), "Remove", confirm="Northwind Cloud")
        assert page.status == 200


def _grants(running: Running) -> list[dict[str, dict[str, str]]]:
    return [item for item in running.aws.items("vault") if item["sk"]["S"].startswith("GRANT#")]
