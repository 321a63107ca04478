"""What a person does on the pages of the embedded cloud (canaille's own), as seen in a browser."""

from playwright.sync_api import Locator, Page

SIGN_IN_HEADING = "Sign in to Token Vault"
CONSENT_HEADING = "The application Token Vault is requesting access to:"


def _loaded(shown: Locator) -> Locator:
    """What is shown, on a page whose pictures are there.

    The cloud keeps who is logged in inside its cookie and sends that with each picture: one that comes after the
    answer to a click would undo the click.
    """
    shown.wait_for()
    shown.page.wait_for_load_state()
    return shown


def sign_in(page: Page, account: str, password: str) -> None:
    """Log in where the cloud asks who you are; `account` is a user name or an e-mail address."""
    _loaded(page.locator("input[name=login]")).fill(account)
    page.get_by_role("button", name="Continue").click()
    _loaded(page.locator("input[name=password]")).fill(password)
    page.get_by_role("button", name="Sign in").click()


def choose_account(page: Page, account: str) -> None:
    """Go on as somebody under "Choose an account"; one who is logged in needs no password."""
    _loaded(page.locator(f'a[href$="/login/{account}"]')).click()


def accounts_to_choose(page: Page) -> list[str]:
    """The user names under "Choose an account"."""
    return page.locator("[data-login-history-section] .meta").all_inner_texts()


def consent_heading(page: Page) -> Locator:
    """The question of the consent page."""
    return page.get_by_role("heading", name=CONSENT_HEADING)


def consent(page: Page) -> None:
    """Accept on the consent page."""
    _loaded(page.get_by_role("button", name="Accept")).click()


def deny(page: Page) -> None:
    """Refuse on the consent page: back to the vault with `access_denied`."""
    _loaded(page.get_by_role("button", name="Deny")).click()
