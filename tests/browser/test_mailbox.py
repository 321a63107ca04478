"""An authorization ends at the cloud: the mail is on the mailbox page, and its link leads where that is mended."""

import json
import subprocess
import sys

import boto3
import pytest
import requests
from axe_core_python.sync_playwright import Axe
from playwright.sync_api import Browser, Page, expect

from dev.process import ROOT
from dev.stack import ADMIN_MAIL, PROVIDER_ID, Stack

from . import northwind
from .people import Person

pytestmark = pytest.mark.browser


@pytest.fixture
def alice(page: Page, clean_stack: Stack) -> Person:
    person = Person(page, clean_stack.url)
    person.log_in("alice")
    person.authorize("alice")
    person.press("Close")
    return person


def user_id(stack: Stack) -> str:
    """Of the one who has authorized."""
    client = boto3.client(
        "dynamodb",
        region_name=stack.environment["AWS_DEFAULT_REGION"],
        endpoint_url=stack.environment["AWS_ENDPOINT_URL"],
        aws_access_key_id="local",
        aws_secret_access_key="local",
    )
    (grant,) = [one for one in client.scan(TableName="vault")["Items"] if one["sk"]["S"].startswith("GRANT#")]
    return str(grant["user_id"]["S"])


def end_at_the_cloud(stack: Stack) -> None:
    ran = subprocess.run(  # noqa: S603 - our own program
        [sys.executable, "-m", "tests.browser.refusal", user_id(stack)],
        cwd=ROOT,
        env=stack.environment,
        capture_output=True,
        text=True,
        timeout=60,
        check=False,
    )
    assert ran.stdout.strip() == "needs_reauthorization", ran.stderr


def test_from_the_refusal_to_the_mail_to_a_new_authorization(alice: Person, clean_stack: Stack) -> None:
    mailbox = clean_stack.environment["DEV_MAILBOX_URL"]
    end_at_the_cloud(clean_stack)
    alice.page.goto(mailbox)
    mail = alice.page.get_by_role("listitem").filter(has_text="To alice@contoso.example")
    expect(mail).to_contain_text("Please authorize Northwind Cloud again", timeout=20_000)
    expect(alice.page.get_by_role("listitem").filter(has_text=ADMIN_MAIL)).to_have_count(1)
    alice.page.get_by_text("grant.needs_reauthorization").first.click()
    event = json.loads(alice.page.locator("details[open] pre").first.inner_text())
    assert event["source"] == "token-vault"
    assert event["detail"]["provider_id"] == PROVIDER_ID
    mail.get_by_role("link").click()
    body = alice.page.frame_locator("iframe")
    expect(body.get_by_role("heading")).to_have_text("Please authorize Northwind Cloud again")
    with alice.page.context.expect_page() as opened:
        body.get_by_role("link", name="Authorize Northwind Cloud again").click()
    again = Person(opened.value, alice.url)
    expect(again.page).to_have_url(f"{alice.url}/providers#provider-{PROVIDER_ID}")
    expect(again.page.get_by_text("Needs reauthorization")).to_be_visible()
    again.press("Reauthorize")
    again.at_the_cloud()
    northwind.choose_account(again.page, "alice")
    northwind.consent(again.page)
    again.press("Close")
    expect(again.page.get_by_text("Authorized", exact=True)).to_be_visible()


@pytest.mark.parametrize("scheme", ["light", "dark"])
def test_the_pages_are_accessible_and_never_too_wide(
    browser: Browser, alice: Person, clean_stack: Stack, scheme: str
) -> None:
    mailbox = clean_stack.environment["DEV_MAILBOX_URL"]
    end_at_the_cloud(clean_stack)
    context = browser.new_context(color_scheme=scheme, viewport={"width": 390, "height": 844}, bypass_csp=True)
    page = context.new_page()
    page.goto(mailbox)
    mail = page.get_by_role("listitem").filter(has_text=ADMIN_MAIL).first
    expect(mail).to_be_visible(timeout=20_000)
    for _ in range(2):
        assert Axe().run(page)["violations"] == []
        assert page.evaluate("document.documentElement.scrollWidth <= document.documentElement.clientWidth")
        if page.url.rstrip("/") == mailbox:
            mail.get_by_role("link").click()
    context.close()


def test_what_is_not_there_is_not_found_and_nothing_loads_from_elsewhere(clean_stack: Stack) -> None:
    mailbox = clean_stack.environment["DEV_MAILBOX_URL"]
    for path in ("/mails/4711", "/mails/4711/body", "/static/app.js", "/static/..%2fmailbox.py"):
        assert requests.get(mailbox + path, timeout=5).status_code == 404
    policy = requests.get(mailbox, timeout=5).headers["Content-Security-Policy"]
    assert policy.startswith("default-src 'none'")
    assert "http" not in policy
