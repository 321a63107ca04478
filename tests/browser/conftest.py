"""Chromium for the tests of this folder; it reaches nothing beyond loopback."""

from collections.abc import Generator, Iterator

import boto3
import pytest
from playwright.sync_api import Browser, BrowserContext, Error, Page, expect, sync_playwright

from dev import chromium
from dev.stack import PROVIDER_ID, Stack

FLAGS = [
    "--no-sandbox",
    "--disable-gpu",
    "--disable-background-networking",
    "--disable-component-update",
    "--disable-sync",
    "--no-first-run",
    "--host-resolver-rules=MAP * ~NOTFOUND, EXCLUDE localhost, EXCLUDE 127.0.0.1",
]
TIMEOUT_MILLISECONDS = 30_000
"""A busy machine is slow, and none of these tests is about that."""
expect.set_options(timeout=TIMEOUT_MILLISECONDS)


@pytest.hookimpl(wrapper=True)
def pytest_runtest_makereport(
    item: pytest.Item,
) -> Generator[None, pytest.TestReport, pytest.TestReport]:
    """A failure says which pages were open, and what was on them."""
    report = yield
    browser = getattr(item, "funcargs", {}).get("browser")
    if report.when == "call" and report.failed and browser is not None:
        for page in [page for context in browser.contexts for page in context.pages]:
            report.sections.append((page.url, _text(page)))
    return report


def _text(page: Page) -> str:
    try:
        return page.locator("body").inner_text(timeout=1_000)
    except Error as error:
        return f"cannot be read: {error}"


@pytest.fixture(scope="session")
def chromium_path() -> str:
    path = chromium.find()
    assert path, "no Chromium: run `make test`, or `python -m dev.chromium`"
    return path


@pytest.fixture(scope="session")
def browser(chromium_path: str) -> Iterator[Browser]:
    with sync_playwright() as playwright:
        running = playwright.chromium.launch(executable_path=chromium_path, args=FLAGS)
        yield running
        running.close()


@pytest.fixture
def context(browser: Browser) -> Iterator[BrowserContext]:
    """One person's browser: cookies of its own."""
    created = browser.new_context()
    created.set_default_timeout(TIMEOUT_MILLISECONDS)
    yield created
    created.close()


@pytest.fixture
def page(context: BrowserContext) -> Page:
    return context.new_page()


@pytest.fixture
def clean_stack(stack: Stack) -> Stack:
    """The stack with nobody signed in and nothing authorized."""
    region, endpoint = stack.environment["AWS_DEFAULT_REGION"], stack.environment["AWS_ENDPOINT_URL"]
    client = boto3.client(
        "dynamodb",
        region_name=region,
        endpoint_url=endpoint,
        aws_access_key_id="local",
        aws_secret_access_key="local",
    )
    for table, keys in (("vault", ("pk", "sk")), ("vault-sessions", ("pk",))):
        for item in client.scan(TableName=table)["Items"]:
            if item["pk"]["S"] != "PROVIDERS" or item["sk"]["S"] != PROVIDER_ID:
                client.delete_item(TableName=table, Key={key: item[key] for key in keys})
    return stack
