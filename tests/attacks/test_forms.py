"""Every form of the site, found by crawling: without its token, with another's, from another site, nothing happens."""

import re
from dataclasses import dataclass, replace
from urllib.parse import urlencode, urlsplit

import pytest

from chalicelib.domain.access import Access
from chalicelib.domain.event import Channel, Delivery, Event
from chalicelib.domain.mail import MailRefusal, RefusalKind
from chalicelib.domain.secret import Secret
from chalicelib.domain.stop import StopKind
from chalicelib.domain.user import Departure, SweepProgress
from tests.fakes import directory
from tests.fakes.application import Application
from tests.fakes.cloud import CLIENT_ID, CLIENT_SECRET
from tests.functional.client import BASE, Browser
from tests.functional.conftest import NORTHWIND, Running
from tests.functional.test_odd_rows import break_item, odd_delivery, odd_revocation
from tests.functional.test_sign_in import Federated
from tests.functional.test_token import EVERYBODY, ORIGIN, Api
from tests.samples import ADMINISTRATOR, APPLICATION

from .crawler import Found, crawl

FOREIGN: tuple[dict[str, str], ...] = (
    {"Sec-Fetch-Site": "cross-site", "Origin": "https://attacker.example"},
    {"Sec-Fetch-Site": "same-site", "Origin": "https://other.vault.example"},
    {"Sec-Fetch-Site": "none"},
    {"Sec-Fetch-Site": "cross-site"},
    {"Sec-Fetch-Site": "", "Origin": "https://attacker.example"},
    {"Sec-Fetch-Site": "", "Origin": "null"},
    {"Sec-Fetch-Site": "", "Origin": "https://vault.example.attacker.example"},
    {"Sec-Fetch-Site": "", "Origin": "http://vault.example"},
    {"Sec-Fetch-Site": "", "Origin": "https://vault.example:444"},
    {"Sec-Fetch-Site": "", "Origin": ""},
)
"""What browsers and programs say of a form that another site sends."""


@dataclass
class Site:
    """A vault with something of everything, and the forms that its user and its administrator find."""

    running: Running
    user: Browser
    administrator: Browser
    forms: list[tuple[Browser, Found]]

    def stored(self) -> list[object]:
        return self.running.stored()


def furnish(running: Running) -> None:
    """Bob has authorized and left, alice has authorized and is asked about by two applications, one of them stopped.

    A mail to her came back, an event was lost, and most people of another domain were not found. One item of each kind
    that administrators may remove cannot be read.
    """
    running.authorize(running.browser("bob"), "bob")
    running.directory.gone[directory.BOB.user.id] = Departure.DISABLED
    running.vault.leavers.sweep()
    running.clock.advance(3600)
    running.vault.leavers.sweep()
    api = Api(running)
    stopped = replace(APPLICATION, id="archiver", name="Archiver", rules=(EVERYBODY,))
    api.register(stopped, Application("archiver", BASE, running.clock.now))
    running.authorize(api.browser, "alice2", "Add another account")
    register(running, "southwind")
    stops = running.vault.stops
    stops.stop(StopKind.APPLICATION, "archiver", "lost laptop", ADMINISTRATOR, ORIGIN)
    stops.stop(StopKind.PROVIDER, NORTHWIND, "trial", ADMINISTRATOR, ORIGIN)
    providers = running.vault.administration._providers
    providers.update(replace(providers.get("southwind"), enabled=False))
    running.vault.administrators.appoint(directory.ADMIN.user, "S-1-5-21-9-9-9-513", ORIGIN)
    now = running.clock.now()
    running.vault.mail.refused([MailRefusal(directory.ALICE.user.email, RefusalKind.BOUNCED, now)])
    lost = Delivery.first(Event.of_client(APPLICATION, "calls", now), Channel.BUS)
    running.vault.events._outbox.bury(lost)
    alice = running.browser("alice")
    alice.post("/applications/archiver/block", {"csrf": token_of(alice)})
    api.register(replace(APPLICATION, id="poller", name="Poller"), Application("poller", BASE, running.clock.now))
    break_item(running, "CLIENT#poller", "CLIENT")
    break_item(running, "PROVIDERS", "eastwind")
    missing = SweepProgress(now, now, None, 4, {"FABRIKAM": (1, 3)}, doubted=frozenset({"FABRIKAM"}))
    running.vault.leavers._users.note_progress(missing)
    odd_revocation(running)
    odd_delivery(running)


def register(running: Running, provider_id: str) -> None:
    running.vault.registration.register(
        provider_id,
        "openid-connect",
        provider_id.title(),
        client_id=CLIENT_ID,
        client_secret=Secret(CLIENT_SECRET),
        server=running.cloud.server,
        fields={"issuer": running.cloud.issuer},
        scopes=("openid", "email"),
        actor="test",
        origin=ORIGIN,
    )


def token_of(browser: Browser) -> str:
    return browser.get("/providers").form("Sign out").fields[0][1]


@pytest.fixture
def site(federated: Federated) -> Site:
    running = federated
    furnish(running)
    user, administrator, anonymous = running.browser("alice"), running.browser("admin"), running.browser()
    running.browser("alice")
    by_openid = running.browser()
    running.sign_in(by_openid, preferred_username="alice@fabrikam.example")
    starts = {
        user: ("/providers",),
        administrator: ("/providers", "/admin/tokens?user=alice%40contoso.example", "/login/confirm?next=tokens"),
        anonymous: ("/login",),
        by_openid: ("/login/confirm?next=tokens",),
    }
    forms = [(browser, form) for browser, start in starts.items() for form in crawl(browser, *start)]
    return Site(running, user, administrator, [entry for entry in forms if entry[1].method == "POST"])


def matches(path: str, route: str) -> bool:
    return re.fullmatch(re.sub(r"{\w+}", "[^/]+", route), path) is not None


def every_form_that_changes_something_was_found(site: Site) -> None:
    """Else this would be about less than the site."""
    posts = [route for route in site.running.vault.endpoints.routes if route.method == "POST"]
    asked = {route.path for route in posts if route.access is not Access.APPLICATION}
    found = {path for path in asked for _, form in site.forms if matches(urlsplit(form.action).path, path)}
    assert asked - found == set()


def no_form_works_without_its_own_sessions_token(site: Site) -> None:
    others = token_of(site.running.browser("alice"))
    before = site.stored()
    for browser, form in site.forms:
        own = form.fields["csrf"]
        without = {name: value for name, value in form.fields.items() if name != "csrf"}
        for token in ("", others, own[:-1], own + "A", own.swapcase()):
            page = browser.post(form.action, without | {"csrf": token}, follow=False)
            assert page.status == 403, (form, token)
        assert browser.post(form.action, without, follow=False).status == 403, form
    assert site.stored() == before


def no_form_works_for_another_site(site: Site) -> None:
    before = site.stored()
    for browser, form in site.forms:
        for headers in FOREIGN:
            assert browser.post(form.action, form.fields, follow=False, headers=headers).status == 403, (form, headers)
    assert site.stored() == before


def no_form_works_by_another_encoding_or_method(site: Site) -> None:
    before = site.stored()
    for browser, form in site.forms:
        for content_type in ("text/plain", "multipart/form-data; boundary=x", "application/json"):
            page = browser.post(form.action, form.fields, follow=False, headers={"Content-Type": content_type})
            assert page.status == 415, form
        override = {"X-HTTP-Method-Override": "POST", "X-Method-Override": "POST", "X-HTTP-Method": "POST"}
        query = urlencode(form.fields | {"_method": "POST"})
        page = browser.get(f"{urlsplit(form.action).path}?{query}", follow=False, headers=override)
        assert page.status in (200, 303, 400, 404, 405), form
    assert site.stored() == before


def no_form_of_an_administrator_works_for_a_user(site: Site) -> None:
    before = site.stored()
    own = token_of(site.user)
    for browser, form in site.forms:
        if browser is site.administrator and form.action.startswith("/admin/"):
            page = site.user.post(form.action, form.fields | {"csrf": own}, follow=False)
            assert page.status == 403, form
    assert site.stored() == before


def test_r9_r10_r12_r64_no_form_of_the_site_can_be_forged(site: Site) -> None:
    """One test, since crawling takes longer than all the rest and none of it changes anything."""
    every_form_that_changes_something_was_found(site)
    no_form_works_without_its_own_sessions_token(site)
    no_form_works_for_another_site(site)
    no_form_works_by_another_encoding_or_method(site)
    no_form_of_an_administrator_works_for_a_user(site)
