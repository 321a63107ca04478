"""What people do in the vault, with playwright: by the words on the page, as they would."""

import re
from dataclasses import dataclass

from playwright.sync_api import Locator, Page, expect

from . import northwind

PASSWORDS = {"alice": "alice-pass", "bob": "bob-pass", "admin": "admin-pass"}
CLOUD_PASSWORDS = {"alice": "alice-pass", "alice2": "alice-pass", "bob": "bob-pass"}


@dataclass
class Person:
    """Somebody with one browser window."""

    page: Page
    url: str

    def log_in(self, name: str, password: str = "") -> None:
        self.page.goto(self.url)
        self.page.get_by_label("User name").fill(f"CONTOSO\\{name}")
        self.page.get_by_label("Password").fill(password or PASSWORDS[name])
        # A click does not wait for the page it leads to
        with self.page.expect_navigation():
            self.press("Log in")

    def press(self, button: str) -> None:
        self.page.get_by_role("button", name=button, exact=True).click()

    def button(self, name: str) -> Locator:
        return self.page.get_by_role("button", name=name, exact=True)

    @property
    def dialog(self) -> Locator:
        return self.page.get_by_role("dialog")

    def authorize(self, account: str, button: str = "Authorize") -> None:
        """From the providers page to the cloud, consent there, and back."""
        self.press(button)
        self.at_the_cloud()
        if button == "Reauthorize" and self.page.get_by_text("Use another account").count():
            self.page.get_by_text("Use another account").click()
        northwind.sign_in(self.page, account, CLOUD_PASSWORDS[account])
        northwind.consent(self.page)
        expect(self.page).to_have_url(re.compile(r"/providers\?notice="))

    def at_the_cloud(self) -> None:
        expect(self.page).to_have_url(re.compile(r"^http://127\.0\.0\.1:"))
        self.page.wait_for_load_state()
