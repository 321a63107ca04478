"""Every step of the product in Chromium, on the running stack: LDAP, OAuth, DynamoDB and KMS as deployed."""

import re

import pytest
from playwright.sync_api import Browser, Page, expect

from dev.stack import Stack

from . import northwind
from .people import Person

pytestmark = pytest.mark.browser


@pytest.fixture
def alice(page: Page, clean_stack: Stack) -> Person:
    return Person(page, clean_stack.url)


class TestLogIn:
    def test_a_wrong_password_is_said_in_an_alert_and_the_name_is_kept(self, alice: Person) -> None:
        alice.log_in("alice", "wrong")
        expect(alice.page.get_by_role("alert")).to_contain_text("user name or password is incorrect")
        expect(alice.page.get_by_label("User name")).to_have_value("CONTOSO\\alice")
        expect(alice.page.get_by_label("Password")).to_have_value("")

    def test_r34_the_password_is_masked_and_managers_know_it(self, alice: Person) -> None:
        alice.page.goto(alice.url)
        password = alice.page.get_by_label("Password")
        expect(password).to_have_attribute("type", "password")
        expect(password).to_have_attribute("autocomplete", "current-password")

    def test_r5_back_shows_nothing_after_signing_out(self, alice: Person) -> None:
        alice.log_in("alice")
        expect(alice.button("Authorize")).to_be_visible()
        alice.press("Sign out")
        expect(alice.button("Log in")).to_be_visible()
        alice.page.go_back()
        expect(alice.page.get_by_text("Alice Adams")).to_have_count(0)
        expect(alice.button("Log in")).to_be_visible()


class TestProviders:
    def test_from_authorize_to_revoke(self, alice: Person) -> None:
        alice.log_in("alice")
        expect(alice.page.get_by_role("heading", name="Available authorization providers")).to_be_visible()
        alice.authorize("alice")
        expect(alice.dialog).to_contain_text("succeeded")
        expect(alice.dialog).to_contain_text("Northwind Cloud")
        expect(alice.dialog).to_contain_text("alice@contoso.example")
        alice.press("Close")
        expect(alice.dialog).to_have_count(0)
        card = alice.page.get_by_role("listitem").filter(has_text="Northwind Cloud").first
        expect(card).to_contain_text("alice@contoso.example")
        expect(card).to_contain_text("See your e-mail address")
        alice.press("Revoke authorization")
        alice.press("Cancel")
        expect(alice.button("Reauthorize")).to_be_visible()
        alice.press("Revoke authorization")
        alice.press("Revoke")
        expect(alice.dialog).to_contain_text("confirmed")
        alice.press("Close")
        expect(alice.button("Authorize")).to_be_visible()

    def test_reauthorizing_with_another_account(self, alice: Person) -> None:
        alice.log_in("alice")
        alice.authorize("alice")
        alice.press("Close")
        alice.authorize("alice2", "Reauthorize")
        expect(alice.dialog).to_contain_text("alice.personal@mail.example")
        expect(alice.dialog).to_contain_text("alice@contoso.example")
        alice.press("Close")
        expect(alice.page.get_by_text("alice.personal@mail.example")).to_be_visible()
        expect(alice.page.get_by_text("alice@contoso.example")).to_have_count(0)

    def test_reauthorize_makes_the_cloud_ask_which_account(self, alice: Person) -> None:
        alice.log_in("alice")
        alice.authorize("alice")
        alice.press("Close")
        alice.press("Reauthorize")
        alice.at_the_cloud()
        expect(alice.page.get_by_text("Choose an account")).to_be_visible()
        northwind.choose_account(alice.page, "alice")
        northwind.consent(alice.page)
        expect(alice.dialog).to_contain_text("alice@contoso.example")

    def test_a_denied_consent(self, alice: Person) -> None:
        alice.log_in("alice")
        alice.press("Authorize")
        alice.at_the_cloud()
        northwind.sign_in(alice.page, "alice", "alice-pass")
        northwind.deny(alice.page)
        expect(alice.page).to_have_url(re.compile(r"/providers\?notice="))
        expect(alice.dialog).to_contain_text("Northwind Cloud")
        expect(alice.button("Try again")).to_be_visible()
        alice.press("Close")
        expect(alice.button("Authorize")).to_be_visible()

    def test_a_cloud_that_is_down_says_so_and_revocation_is_retried(self, alice: Person, clean_stack: Stack) -> None:
        alice.log_in("alice")
        alice.authorize("alice")
        alice.press("Close")
        clean_stack.stop("cloud")
        try:
            alice.press("Revoke authorization")
            alice.press("Revoke")
            expect(alice.dialog).to_contain_text("not confirmed")
            expect(alice.dialog).to_contain_text("trying")
        finally:
            clean_stack.restart("cloud")

    def test_everything_works_without_javascript(self, browser: Browser, clean_stack: Stack) -> None:
        context = browser.new_context(java_script_enabled=False)
        alice = Person(context.new_page(), clean_stack.url)
        alice.log_in("alice")
        alice.press("Authorize")
        alice.at_the_cloud()
        northwind.sign_in(alice.page, "alice", "alice-pass")
        northwind.consent(alice.page)
        expect(alice.dialog).to_contain_text("alice@contoso.example")
        alice.press("Close")
        alice.press("Revoke authorization")
        alice.press("Revoke")
        expect(alice.dialog).to_contain_text("confirmed")
        alice.press("Close")
        alice.press("Sign out")
        expect(alice.button("Log in")).to_be_visible()
        context.close()

    def test_everything_works_with_the_keyboard_alone(self, alice: Person) -> None:
        alice.page.goto(alice.url)
        keyboard = alice.page.keyboard
        keyboard.type("CONTOSO\\alice")
        keyboard.press("Tab")
        keyboard.type("alice-pass")
        keyboard.press("Enter")
        expect(alice.button("Authorize")).to_be_visible()
        self.tab_to(alice, "Authorize")
        keyboard.press("Enter")
        alice.at_the_cloud()
        northwind.sign_in(alice.page, "alice", "alice-pass")
        northwind.consent(alice.page)
        expect(alice.button("Close")).to_be_focused()
        keyboard.press("Escape")
        expect(alice.dialog).to_have_count(0)
        self.tab_to(alice, "Revoke authorization")
        keyboard.press("Enter")
        expect(alice.dialog).to_be_visible()
        self.tab_to(alice, "Revoke")
        keyboard.press("Enter")
        expect(alice.dialog).to_contain_text("confirmed")

    @staticmethod
    def tab_to(person: Person, button: str) -> None:
        for _ in range(30):
            if person.button(button).evaluate("element => element === document.activeElement"):
                return
            person.page.keyboard.press("Tab")
        pytest.fail(f"the keyboard does not reach {button!r}")


class TestManageTokens:
    def test_removing_all_tokens(self, alice: Person, browser: Browser, clean_stack: Stack) -> None:
        alice.log_in("alice")
        alice.authorize("alice")
        admin = Person(browser.new_context().new_page(), clean_stack.url)
        admin.log_in("admin")
        admin.page.get_by_role("link", name="Manage tokens").click()
        expect(admin.page.get_by_role("row").filter(has_text="CONTOSO\\alice")).to_contain_text("alice@contoso.example")
        admin.press("Remove all tokens")
        expect(admin.dialog).to_contain_text("1")
        admin.page.get_by_label("Type “Northwind Cloud” to confirm").fill("Northwind Cloud")
        admin.press("Remove")
        expect(admin.page.get_by_role("heading", level=1)).to_have_text("All tokens of Northwind Cloud were removed")
        admin.page.goto(f"{clean_stack.url}/admin/tokens")
        expect(admin.page.get_by_role("row").filter(has_text="CONTOSO\\alice")).to_have_count(0)
        admin.page.context.close()
        alice.page.goto(f"{alice.url}/providers")
        expect(alice.button("Authorize")).to_be_visible()
        expect(alice.page.get_by_text("An administrator removed your authorization")).to_be_visible()
        alice.press("Authorize")
        alice.at_the_cloud()
        northwind.consent(alice.page)
        expect(alice.dialog).to_contain_text("alice@contoso.example")

    def test_removing_the_ticked_ones(self, alice: Person, browser: Browser, clean_stack: Stack) -> None:
        alice.log_in("alice")
        alice.authorize("alice")
        admin = Person(browser.new_context().new_page(), clean_stack.url)
        admin.log_in("admin")
        admin.page.goto(f"{clean_stack.url}/admin/tokens?user=ali")
        expect(admin.button("Remove selected")).to_be_disabled()
        admin.page.get_by_role("checkbox", name="Select CONTOSO\\alice").check()
        admin.press("Remove selected")
        expect(admin.dialog).to_contain_text("CONTOSO\\alice")
        admin.press("Cancel")
        admin.page.get_by_role("row").filter(has_text="CONTOSO\\alice").get_by_role("button", name="Remove").click()
        admin.press("Remove")
        expect(admin.page.get_by_role("status").first).to_contain_text("1 token was removed")
        admin.page.context.close()

    def test_others_see_no_trace_of_the_page(self, alice: Person) -> None:
        alice.log_in("alice")
        expect(alice.page.get_by_text("Manage tokens")).to_have_count(0)
        answer = alice.page.goto(f"{alice.url}/admin/tokens")
        assert answer is not None
        assert answer.status == 403
        expect(alice.page.get_by_text("Manage tokens")).to_have_count(0)


class TestOtherSites:
    def test_r10_a_form_on_another_site_does_nothing(self, alice: Person) -> None:
        alice.log_in("alice")
        alice.authorize("alice")
        form = f"""<form method="post" action="{alice.url}/providers/northwind/revoke"><button>Win</button></form>"""
        alice.page.route("http://attacker.example/", lambda route: route.fulfill(body=form, content_type="text/html"))
        alice.page.goto("http://attacker.example/")
        alice.press("Win")
        expect(alice.page).to_have_url(re.compile(f"^{alice.url}"))
        alice.page.goto(f"{alice.url}/providers")
        expect(alice.button("Reauthorize")).to_be_visible()

    def test_r38_a_consent_that_somebody_else_started_cannot_be_finished(
        self, alice: Person, browser: Browser, clean_stack: Stack
    ) -> None:
        """Session fixation of the consent: bob sends alice the address at the cloud that his own trip began with."""
        bob = Person(browser.new_context().new_page(), clean_stack.url)
        bob.log_in("bob")
        with bob.page.expect_request(re.compile(r"^http://127\.0\.0\.1:\d+/oauth/authorize")) as request:
            bob.press("Authorize")
        alice.log_in("alice")
        alice.page.goto(request.value.url)
        northwind.sign_in(alice.page, "alice", "alice-pass")
        northwind.consent(alice.page)
        expect(alice.page.get_by_role("main")).to_contain_text("started by somebody else")
        for person in (alice, bob):
            person.page.goto(f"{person.url}/providers")
            expect(person.button("Authorize")).to_be_visible()
        bob.page.context.close()
