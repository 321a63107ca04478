"""Secrets go in through every route, in every role, while things fail, and come out nowhere that is kept or shown."""

import logging
from collections.abc import Callable, Iterator
from typing import Any
from urllib.parse import parse_qs, quote, urlencode, urlsplit

import pytest
from botocore.exceptions import ClientError

from chalicelib.web.route import Route
from tests.fakes.cloud import CLIENT_SECRET
from tests.fakes.misbehaviour import Answer as CloudAnswer
from tests.fakes.misbehaviour import Handle, Rule, html, status

from .client import Answer, Browser, going_to
from .conftest import Running
from .test_requests import STATES, path_of

PEOPLE = {"user": "alice", "administrator": "admin"}
SHOWN_AGAIN = {
    "name", "id", "client_id", "scopes", "groups", "users", "sources", "more_scopes", "role_arn", "issuer",
    "issuer_audience", "user_claim", "reason", "keys", "version", "type", "user", "actor", "cursor", "next",
    "secret_ends", "field_issuer", "who",
}  # fmt: skip
"""Fields that hold no secret, which a form with a fault shows again; `keys` is for public ones."""


def planted(name: str) -> str:
    """Ends with a mark of its own, so that none is the beginning of another."""
    return f"canary-{name}-"


def broken_by_aws(**_: Any) -> Any:
    raise ClientError({"Error": {"Code": "InternalServerError", "Message": planted("message")}}, "Any")


def broken_by_a_bug(**_: Any) -> Any:
    raise RuntimeError(planted("exception"))


FAILURES: dict[str, Callable[..., Any] | None] = {"none": None, "aws": broken_by_aws, "bug": broken_by_a_bug}
CHANGING = ("put_item", "update_item", "delete_item", "query", "batch_get_item", "transact_write_items")
"""All but GetItem, so that a session is found and the route itself meets the failure."""


@pytest.fixture
def lines(caplog: pytest.LogCaptureFixture, capfd: pytest.CaptureFixture[str]) -> Iterator[Callable[[], str]]:
    """Everything that was logged by anybody, at every level, with what the formatter would leave out."""
    ours = logging.getLogger("chalicelib")
    caplog.set_level(logging.DEBUG)
    ours.propagate = True

    def logged() -> str:
        records = "\n".join(str(vars(record)) for record in caplog.records if record.name.startswith("chalicelib"))
        return records + "".join(capfd.readouterr())

    yield logged
    ours.propagate = False


def audited(running: Running) -> str:
    return "\n".join(str(item) for item in running.aws.items("vault") if item["pk"]["S"].startswith("AUDIT#"))


def sent_to(browser: Browser, route: Route, csrf: str) -> Answer:
    """One request with a secret in everything it may hold: query, fields, Authorization, a foreign cookie."""
    headers = {"Authorization": f"Bearer {planted('bearer')}", "X-Api-Key": planted("header")}
    path = path_of(route)
    if route.query:
        path += f"?{urlencode({name: planted(name) for name in route.query})}"
    if route.method == "GET":
        return browser.get(path, follow=False, headers=headers)
    fields = {name: planted(name) for name in route.fields}
    return browser.post(path, fields | ({"csrf": csrf} if csrf else {}), follow=False, headers=headers)


def secrets_in(text: str, among: set[str]) -> set[str]:
    return {secret for secret in among if secret in text or quote(secret, safe="") in text}


@pytest.mark.parametrize("state", STATES)
@pytest.mark.parametrize("failure", FAILURES)
@pytest.mark.parametrize("csrf", ["its own", planted("csrf")])
def test_r68_no_route_lets_a_secret_out(  # noqa: PLR0917 - fixtures and what is tried
    running: Running,
    monkeypatch: pytest.MonkeyPatch,
    lines: Callable[[], str],
    state: str,
    failure: str,
    csrf: str,
) -> None:
    browser = running.browser(PEOPLE.get(state, ""))
    form_token = browser.get("/providers").form("Sign out").fields[0][1] if state in PEOPLE else ""
    real = set(browser.cookies.values()) | ({form_token} - {""})
    browser.cookies["theirs"] = planted("cookie")
    broken = FAILURES[failure]
    if broken:
        for operation in CHANGING:
            monkeypatch.setattr(running.aws.clients.dynamodb, operation, broken)
        monkeypatch.setattr(running.aws.clients.kms, "decrypt", broken)
    bodies = []
    # Last, since nobody is signed in after it
    for route in sorted(running.vault.endpoints.routes, key=lambda route: route.path == "/logout"):
        page = sent_to(browser, route, form_token if csrf == "its own" else csrf)
        bodies.append((route, page))
    monkeypatch.undo()
    fed = {planted(name) for route in running.vault.endpoints.routes for name in (*route.query, *route.fields)}
    hidden = fed | {planted(name) for name in ("bearer", "header", "cookie", "csrf", "message", "exception")}
    hidden -= {planted(name) for name in SHOWN_AGAIN}
    said = lines()
    assert "'route'" in said
    assert secrets_in(said, hidden | real) == set()
    assert secrets_in(audited(running), hidden | real) == set()
    for route, page in bodies:
        if page.status >= 400:
            assert secrets_in(page.body, hidden | real - {form_token}) == set(), route


def echo(running: Running, path: str) -> Rule:
    """The cloud refuses and says again what it was sent."""

    def rule(_: Handle) -> CloudAnswer:
        said = " ".join(running.cloud.forms.get(path, {}).values())
        return CloudAnswer.json({"error": "invalid_grant", "error_description": said}, 400)

    return rule


MISBEHAVIOUR: dict[str, Callable[[Running, str], Rule]] = {
    "refused with an echo": echo,
    "a page instead of JSON": lambda *_: html(),
    "out of order": lambda *_: status(500),
}


@pytest.mark.parametrize("rule", MISBEHAVIOUR)
@pytest.mark.parametrize("where", ["/token", "/userinfo", "/revoke"])
def test_r68_a_cloud_that_misbehaves_lets_no_secret_out(
    running: Running, lines: Callable[[], str], where: str, rule: str
) -> None:
    browser = running.browser("alice")
    url = running.cloud.consent(going_to(browser.press(browser.get("/providers"), "Authorize")))
    running.cloud.misbehave(where, *[MISBEHAVIOUR[rule](running, where)] * 5)
    pages = [browser.get(running.callback(url))]
    if where == "/revoke":
        pages.append(browser.press(browser.press(browser.get("/providers"), "Revoke authorization"), "Revoke"))
    sent = running.cloud.forms["/token"]
    query = parse_qs(urlsplit(url).query)
    secrets = {sent["code"], sent["code_verifier"], CLIENT_SECRET, "alice-pass", *query["state"]}
    secrets |= {*running.cloud._access_tokens, *running.cloud._refresh_tokens, *browser.cookies.values()}
    assert secrets_in(lines() + audited(running), secrets) == set()
    for page in pages:
        assert secrets_in(page.body, secrets) == set()
