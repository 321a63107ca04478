"""The embedded cloud does what an authorization server must: the gate for another version of canaille."""

import hashlib
import os
import secrets
from base64 import urlsafe_b64encode
from collections.abc import Iterator
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any
from urllib.parse import parse_qs, urlencode, urlsplit

import pytest
import requests
from joserfc import jwt
from joserfc.jwk import KeySet
from playwright.sync_api import Page

from dev.cloud_accounts import ALICE, ALICE_PERSONAL, BOB, CloudLogin
from dev.process import Child

from . import northwind

pytestmark = pytest.mark.browser

CLIENT = ("token-vault", "client-secret")
REDIRECT_URI = "http://localhost:9/oauth/callback/northwind"
OFF_LINE = "openid profile email offline_access"


@dataclass
class Client:
    """A small OAuth client of its own, for nothing of the vault's may vouch for its counterpart."""

    issuer: str
    verifier: str = field(default_factory=lambda: secrets.token_urlsafe(48))
    state: str = field(default_factory=lambda: secrets.token_urlsafe(16))
    nonce: str = field(default_factory=lambda: secrets.token_urlsafe(16))

    def __post_init__(self) -> None:
        self.document = requests.get(f"{self.issuer}/.well-known/openid-configuration", timeout=5).json()

    def url(self, prompt: str) -> str:
        challenge = urlsafe_b64encode(hashlib.sha256(self.verifier.encode()).digest()).rstrip(b"=").decode()
        parameters = {
            "response_type": "code",
            "client_id": CLIENT[0],
            "redirect_uri": REDIRECT_URI,
            "scope": OFF_LINE,
            "state": self.state,
            "nonce": self.nonce,
            "code_challenge": challenge,
            "code_challenge_method": "S256",
            "prompt": prompt,
        }
        return f"{self.document['authorization_endpoint']}?{urlencode(parameters)}"

    def exchange(self, code: str, **changed: str) -> requests.Response:
        form = {"code": code, "redirect_uri": REDIRECT_URI, "code_verifier": self.verifier, **changed}
        return self.post("token_endpoint", grant_type="authorization_code", **form)

    def refresh(self, refresh_token: str) -> requests.Response:
        return self.post("token_endpoint", grant_type="refresh_token", refresh_token=refresh_token)

    def post(self, endpoint: str, **form: str) -> requests.Response:
        return requests.post(self.document[endpoint], data=form, auth=CLIENT, timeout=5)

    def claims(self, id_token: str) -> dict[str, Any]:
        """The claims of a verified id_token."""
        keys = KeySet.import_key_set(requests.get(self.document["jwks_uri"], timeout=5).json())
        return jwt.decode(id_token, keys, algorithms=["RS256"]).claims

    def userinfo(self, access_token: str) -> requests.Response:
        headers = {"Authorization": f"Bearer {access_token}"}
        return requests.get(self.document["userinfo_endpoint"], headers=headers, timeout=5)


class Person:
    """Somebody before a browser, who comes back from the cloud with an answer."""

    def __init__(self, page: Page, issuer: str) -> None:
        self.page = page
        self.issuer = issuer
        self.elsewhere: list[str] = []
        page.route(f"{REDIRECT_URI}*", lambda route: route.fulfill(body="back at the vault"))
        page.on("request", self._note)

    def _note(self, request: Any) -> None:
        if not request.url.startswith((self.issuer, REDIRECT_URI, "data:")):
            self.elsewhere.append(request.url)

    def start(self, prompt: str = "consent") -> Client:
        client = Client(self.issuer)
        self.page.goto(client.url(prompt))
        return client

    def answer(self) -> dict[str, str]:
        """What the cloud sent back with the browser."""
        self.page.wait_for_url(f"{REDIRECT_URI}*")
        return {name: values[0] for name, values in parse_qs(urlsplit(self.page.url).query).items()}

    def authorize(self, login: CloudLogin = ALICE) -> tuple[Client, dict[str, Any]]:
        """A first authorization, up to the token answer."""
        client = self.start()
        northwind.sign_in(self.page, login.user_name, login.password)
        northwind.consent(self.page)
        return client, client.exchange(self.answer()["code"]).json()


@pytest.fixture(scope="session")
def issuer(tmp_path_factory: pytest.TempPathFactory) -> Iterator[str]:
    folder = tmp_path_factory.mktemp("cloud")
    arguments = ["--folder", str(folder), "--redirect-uri", REDIRECT_URI]
    arguments += ["--client-id", CLIENT[0], "--client-secret", CLIENT[1]]
    child = Child("dev.cloud", arguments, os.environ, folder / "cloud.log")
    try:
        yield child.ready()["issuer"]
    finally:
        child.stop()
    assert "Traceback" not in Path(folder / "cloud.log").read_text()


@pytest.fixture
def person(page: Page, issuer: str) -> Iterator[Person]:
    person = Person(page, issuer)
    yield person
    assert person.elsewhere == [], "the cloud's pages need nothing from elsewhere"


def test_sign_in_and_consent_give_a_code_for_the_state(person: Person) -> None:
    client = person.start()
    northwind.sign_in(person.page, ALICE.email, ALICE.password)
    assert northwind.consent_heading(person.page).is_visible()
    northwind.consent(person.page)
    answer = person.answer()
    assert answer["state"] == client.state
    assert answer["iss"] == person.issuer  # RFC 9207
    assert answer["code"]


def test_the_code_gives_tokens_and_says_whose_they_are(person: Person) -> None:
    client, tokens = person.authorize()
    assert tokens["token_type"] == "Bearer"
    assert tokens["expires_in"] == 3600
    assert set(tokens["scope"].split()) == set(OFF_LINE.split())
    claims = client.claims(tokens["id_token"])
    assert claims["iss"] == person.issuer
    assert claims["aud"] in (CLIENT[0], [CLIENT[0]])
    assert claims["sub"] == "alice"
    assert claims["nonce"] == client.nonce
    assert client.userinfo(tokens["access_token"]).json()["email"] == ALICE.email


def test_a_code_needs_its_verifier_and_works_once(person: Person) -> None:
    client = person.start()
    northwind.sign_in(person.page, BOB.user_name, BOB.password)
    northwind.consent(person.page)
    code = person.answer()["code"]
    assert client.exchange(code, code_verifier="x" * 50).json()["error"] == "invalid_grant"
    assert client.exchange(code).status_code == 200
    assert client.exchange(code).json()["error"] == "invalid_grant"


def test_refresh_tokens_rotate_even_within_one_second(person: Person) -> None:
    client, tokens = person.authorize()
    seen = [tokens]
    for _ in range(3):
        seen.append(client.refresh(seen[-1]["refresh_token"]).json())
    assert len({answer["refresh_token"] for answer in seen}) == 4
    assert len({answer["access_token"] for answer in seen}) == 4
    assert client.refresh(tokens["refresh_token"]).json()["error"] == "invalid_grant"
    assert client.userinfo(seen[-1]["access_token"]).status_code == 200


@pytest.mark.parametrize("prompt", ["select_account", "select_account consent"])
def test_another_account_can_be_chosen(person: Person, prompt: str) -> None:
    person.authorize()
    client = person.start(prompt)
    assert northwind.accounts_to_choose(person.page) == ["alice"]
    northwind.sign_in(person.page, ALICE_PERSONAL.user_name, ALICE_PERSONAL.password)
    northwind.consent(person.page)
    tokens = client.exchange(person.answer()["code"]).json()
    assert client.claims(tokens["id_token"])["sub"] == "alice2"
    assert client.userinfo(tokens["access_token"]).json()["email"] == ALICE_PERSONAL.email


def test_an_account_that_is_logged_in_needs_no_password_to_be_chosen(person: Person) -> None:
    person.authorize()
    client = person.start("select_account consent")
    northwind.choose_account(person.page, "alice")
    northwind.consent(person.page)
    tokens = client.exchange(person.answer()["code"]).json()
    assert client.claims(tokens["id_token"])["sub"] == "alice"


def test_consent_is_asked_again_when_the_client_wants_it(person: Person) -> None:
    person.authorize()
    person.start("consent")
    assert northwind.consent_heading(person.page).is_visible()


@pytest.mark.parametrize("prompt", ["consent", "select_account consent"])
def test_deny_sends_access_denied(person: Person, prompt: str) -> None:
    client = person.start(prompt)
    northwind.sign_in(person.page, BOB.user_name, BOB.password)
    northwind.deny(person.page)
    answer = person.answer()
    assert answer["error"] == "access_denied"
    assert answer["state"] == client.state
    assert "code" not in answer


@pytest.mark.parametrize("kind", ["refresh_token", "access_token"])
def test_revocation_ends_the_whole_authorization(person: Person, kind: str) -> None:
    client, tokens = person.authorize()
    assert client.post("revocation_endpoint", token=tokens[kind]).status_code == 200
    assert client.refresh(tokens["refresh_token"]).json()["error"] == "invalid_grant"
    assert client.userinfo(tokens["access_token"]).status_code == 401


def test_a_token_that_is_unknown_counts_as_revoked(issuer: str) -> None:
    assert Client(issuer).post("revocation_endpoint", token="unknown").status_code == 200


def test_one_unused_code_does_not_spoil_the_next(person: Person) -> None:
    person.start()
    northwind.sign_in(person.page, ALICE.user_name, ALICE.password)
    northwind.consent(person.page)
    person.answer()
    client = person.start()
    northwind.consent(person.page)
    assert client.exchange(person.answer()["code"]).status_code == 200
