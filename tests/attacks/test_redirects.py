"""Nothing in a request makes the vault send a browser to another site: not by redirect, not by link."""

from collections.abc import Iterator
from dataclasses import replace
from itertools import cycle, islice
from urllib.parse import parse_qs, quote, urlencode, urlsplit

import pytest

from chalicelib.domain.errors import VaultError
from chalicelib.web import forms
from chalicelib.web.route import Route
from tests.functional.client import BASE, Answer, Browser, going_to
from tests.functional.conftest import Running
from tests.functional.test_requests import path_of

from .addresses import HOST, NAMES, links, payloads, target

PAYLOADS = payloads()
OURS = ("https", "vault.example")
ON_EVERY_ROUTE = {"GET": 3, "POST": 2}
"""Payloads in whole requests of somebody signed in, others on each route: a walk through the list, since the tests
before have shown all of them that no route is given any of these parameters."""


def check(page: Answer, payload: str) -> None:
    """No redirect, link, form or loaded file leaves the vault."""
    addresses = [page.header("Location"), page.header("Content-Location"), page.header("Refresh").partition("url=")[2]]
    for address in filter(None, [*addresses, *links(page.body)]):
        assert target(address, BASE + "/") == OURS, (page.url, payload, address)
    assert len([name for name in page.headers if name.lower() == "location"]) <= 1
    assert HOST not in page.header("Location")
    assert page.status not in (301, 302, 307, 308)
    assert page.status < 500, (page.url, payload)


def named(payload: str) -> str:
    return urlencode([(name, payload) for name in NAMES])


def test_there_are_enough_of_them_and_a_browser_would_follow_them() -> None:
    leaving = [payload for payload in PAYLOADS if target(payload, BASE + "/") != OURS]
    assert len(PAYLOADS) >= 650
    assert len(leaving) >= 400
    assert len(NAMES) == 10


def test_the_check_sees_what_leaves() -> None:
    for body in (
        '<a href="//attacker.example">',
        '<form action="/\\attacker.example">',
        '<meta http-equiv="refresh" content="0; url=https://attacker.example">',
        '<img src="java\tscript:x">',
    ):
        with pytest.raises(AssertionError):
            check(Answer(200, {}, body, "/"), "-")
    with pytest.raises(AssertionError):
        check(Answer(303, {"Location": "https://vault.example.attacker.example/"}, "", "/"), "-")


def read(payload: str, route: Route) -> dict[str, list[str]]:
    try:
        return forms.parse_query([(name, payload) for name in NAMES], route.query, route.repeatable).values
    except VaultError:
        return {}


def test_r47_no_route_is_given_a_parameter_that_it_did_not_name(running: Running) -> None:
    """Every payload under every name on every route, at the one place where queries are read."""
    for route in running.vault.endpoints.routes:
        known = {*route.query, *route.repeatable}
        for payload in PAYLOADS:
            assert set(read(payload, route)) <= known & set(NAMES), route


def test_r47_every_payload_under_every_name_before_anybody_is_signed_in(running: Running) -> None:
    browser = running.browser()
    for path in ("/", "/login", "/providers", "/oauth/callback/northwind", "/static/app.css"):
        for payload in PAYLOADS:
            check(browser.get(f"{path}?{named(payload)}", follow=False), payload)


def tried(running: Running, method: str) -> Iterator[tuple[Route, str]]:
    """Routes with payloads of their own."""
    every = cycle(PAYLOADS)
    for route in running.vault.endpoints.routes:
        if route.method == method and route.path != "/logout":
            for payload in islice(every, ON_EVERY_ROUTE[method]):
                yield route, payload


def test_r47_no_page_of_somebody_signed_in_leaves_either(running: Running) -> None:
    browser = running.browser("admin")
    for route, payload in tried(running, "GET"):
        own = urlencode([(name, payload) for name in route.query if name not in NAMES])[:2000]
        check(browser.get(f"{path_of(route)}?{named(payload)}&{own}", follow=False), payload)


def test_r47_no_form_is_answered_with_an_address_that_was_sent(running: Running) -> None:
    browser = running.browser("admin")
    token = browser.get("/providers").form("Sign out").fields[0][1]
    for route, payload in tried(running, "POST"):
        page = browser.post(f"{path_of(route)}?{named(payload)}", {"csrf": token}, follow=False)
        check(known_departure(running, page), payload)
        if route.fields:
            fields = dict.fromkeys(route.fields, payload) | {"csrf": token}
            page = browser.post(path_of(route), fields, follow=False)
            check(known_departure(running, page), payload)


def known_departure(running: Running, page: Answer) -> Answer:
    """The page on the way to a cloud may name that one address, and is looked at without it."""
    if 'http-equiv="refresh"' not in page.body:
        return page
    address = going_to(page)
    assert address.startswith(f"{running.cloud.issuer}/authorize?")
    return replace(page, body=page.body.replace(address.replace("&", "&amp;"), "/"))


def test_r47_where_to_go_on_after_confirming_is_one_of_our_own_names(running: Running) -> None:
    browser = running.browser("alice")
    token = browser.get("/providers").form("Sign out").fields[0][1]
    for payload in PAYLOADS[::4]:
        page = browser.post("/login/confirm", {"csrf": token, "password": "-", "next": payload}, follow=False)
        assert page.status == 400
        assert page.header("Location") == ""


def test_r47_nothing_that_a_cloud_sends_along_is_an_address_to_go_to(running: Running) -> None:
    """The callback redirects always, and reads text from outside: as an answer of its own trip, and as anybody's."""
    browser = running.browser("alice")
    going = going_to(browser.press(browser.get("/providers"), "Authorize"))
    state = parse_qs(urlsplit(going).query)["state"][0]
    for payload in PAYLOADS[:: len(PAYLOADS) // 150]:
        query = urlencode({"state": payload, "code": payload, "error": payload, "iss": payload})
        check(browser.get(f"/oauth/callback/northwind?{query}", follow=False), payload)
    for name in ("error", "code", "iss", "error_uri", "error_description"):
        values = {"state": state, "iss": running.cloud.issuer, name: f"https://{HOST}"}
        check(browser.get(f"/oauth/callback/northwind?{urlencode(values)}", follow=False), name)


def addressed(browser: Browser, payload: str) -> Iterator[Answer]:
    path = quote(payload, safe="/\\:@%.;")
    for address in ("/" + path, f"/login/{path}", f"/static/{path}", f"/providers/{path}"):
        yield browser.get(address.partition("?")[0].partition("#")[0], follow=False)


def test_r47_no_path_is_sent_back_as_an_address(running: Running) -> None:
    browser = running.browser()
    for payload in PAYLOADS:
        for page in addressed(browser, payload):
            assert page.header("Location") in ("", f"{BASE}/providers", f"{BASE}/login"), payload
            check(page, payload)
