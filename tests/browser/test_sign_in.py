"""Signing in at the embedded cloud instead of with a password, in Chromium."""

import re

import pytest
from playwright.sync_api import Page, expect

from dev.stack import Stack

from . import northwind
from .people import CLOUD_PASSWORDS, Person

pytestmark = pytest.mark.browser


@pytest.fixture
def alice(page: Page, clean_stack: Stack) -> Person:
    person = Person(page, clean_stack.url)
    page.goto(f"{clean_stack.url}/login")
    person.press("Sign in with Northwind")
    person.at_the_cloud()
    northwind.sign_in(page, "alice", CLOUD_PASSWORDS["alice"])
    expect(northwind.consent_heading(page).or_(person.button("Sign out"))).to_be_visible()
    if page.url.startswith("http://127."):  # the first time: the cloud remembers what was agreed to
        northwind.consent(page)
    expect(page).to_have_url(re.compile(r"/providers$"))
    return person


def test_who_signs_in_there_authorizes_and_is_offered_to_sign_out_there(alice: Person) -> None:
    expect(alice.page.get_by_role("heading", name="Available authorization providers")).to_be_visible()
    expect(alice.button("Authorize")).to_be_visible()
    alice.press("Sign out")
    expect(alice.page.get_by_role("status")).to_contain_text("You are signed out of the vault.")
    alice.page.get_by_role("link", name="sign out there too").click()
    alice.at_the_cloud()


def test_r35_who_is_asked_again_types_the_password_there_again(alice: Person) -> None:
    alice.page.goto(f"{alice.url}/login/confirm?next=tokens")
    alice.press("Sign in with Northwind again")
    alice.at_the_cloud()
    alice.page.locator("input[name=password]").fill(CLOUD_PASSWORDS["alice"])
    alice.page.get_by_role("button", name="Sign in").click()
    # Confirmed, and still no administrator
    expect(alice.page).to_have_url(re.compile(r"/admin/tokens$"))
    expect(alice.page.get_by_text("You may not use this page.")).to_be_visible()
