"""Attacks on the trip to a cloud (RFC 9700 4.4, 4.7; cross-user and cross-tool attacks of hosted consent flows)."""

from collections.abc import Callable, Iterator
from dataclasses import replace
from urllib.parse import parse_qs, urlencode, urlsplit

import pytest

from chalicelib.domain.secret import Secret
from tests.fakes.cloud import CLIENT_ID, CLIENT_SECRET, ScriptedCloud
from tests.functional.client import BASE, Answer, Browser, going_to
from tests.functional.conftest import NORTHWIND, Running
from tests.functional.test_token import ORIGIN

EVIL = "southwind"


def state_of(url: str) -> str:
    return parse_qs(urlsplit(url).query)["state"][0]


def start(browser: Browser, provider_id: str = NORTHWIND) -> str:
    """The cloud's address that the browser is sent to."""
    page = browser.get("/providers")
    token = page.form("Sign out").fields[0][1]
    return going_to(browser.post(f"/providers/{provider_id}/authorize", {"csrf": token}))


def callback(provider_id: str = NORTHWIND, **query: str) -> str:
    return f"/oauth/callback/{provider_id}?{urlencode(query)}"


@pytest.fixture
def evil(running: Running) -> Iterator[ScriptedCloud]:
    """A second provider of this vault, whose operator is the attacker."""
    with ScriptedCloud(redirect_uri=f"{BASE}/oauth/callback/{EVIL}", now=running.clock.now) as cloud:
        running.vault.registration.register(
            EVIL,
            "openid-connect",
            "Southwind Cloud",
            client_id=CLIENT_ID,
            client_secret=Secret(CLIENT_SECRET),
            server=cloud.server,
            fields={"issuer": cloud.issuer},
            scopes=("openid", "email", "offline_access"),
            actor="test",
            origin=ORIGIN,
        )
        yield cloud


def nothing_was_redeemed(running: Running, *others: ScriptedCloud) -> None:
    assert [cloud.requests["/token"] for cloud in (running.cloud, *others)] == [0] * (1 + len(others))
    assert not [item for item in running.aws.items("vault") if item["sk"]["S"].startswith("GRANT#")]


class TestMixUp:
    """RFC 9700 4.4: an honest cloud's code must never reach the attacker's token endpoint, nor the reverse."""

    def test_r39_r40_an_honest_code_is_not_sent_to_the_attackers_cloud(
        self, running: Running, evil: ScriptedCloud
    ) -> None:
        alice = running.browser("alice")
        at_evil, at_honest = start(alice, EVIL), start(alice)
        honest_code = parse_qs(urlsplit(running.cloud.consent(at_honest)).query)["code"][0]
        for iss in ({}, {"iss": running.cloud.issuer}, {"iss": ""}, {"iss": f"{evil.issuer}/"}):
            alice.get(callback(EVIL, state=state_of(at_evil), code=honest_code, **iss))
            at_evil = start(alice, EVIL)
        nothing_was_redeemed(running, evil)

    def test_r39_an_answer_on_the_other_providers_address_is_refused(
        self, running: Running, evil: ScriptedCloud
    ) -> None:
        alice = running.browser("alice")
        at_evil, at_honest = start(alice, EVIL), start(alice)
        answers = (
            callback(EVIL, state=state_of(at_honest), code="x", iss=evil.issuer),
            callback(EVIL, state=state_of(at_honest), code="x", iss=running.cloud.issuer),
            callback(NORTHWIND, state=state_of(at_evil), code="x", iss=running.cloud.issuer),
            callback("nobody", state=state_of(at_honest), code="x"),
        )
        for answer in answers:
            assert alice.get(answer).status == 400
        nothing_was_redeemed(running, evil)
        alice.get(running.callback(running.cloud.consent(at_honest)))
        assert alice.get("/providers").form("Reauthorize")

    def test_r40_evil_claiming_to_be_the_honest_one_gets_no_code(self, running: Running, evil: ScriptedCloud) -> None:
        alice = running.browser("alice")
        url = running.cloud.consent(start(alice)).replace(
            urlencode({"iss": running.cloud.issuer}), urlencode({"iss": evil.issuer})
        )
        alice.get(running.callback(url))
        nothing_was_redeemed(running, evil)

    def test_r41_an_endpoint_that_is_swapped_during_the_trip_gets_no_code(
        self, running: Running, evil: ScriptedCloud
    ) -> None:
        alice = running.browser("alice")
        store = running.vault.administration._providers
        honest = store.get(NORTHWIND)
        for server in (replace(honest.server, token_endpoint=evil.server.token_endpoint), evil.server):
            url = running.cloud.consent(start(alice))
            store.update(replace(store.get(NORTHWIND), server=server))
            alice.get(running.callback(url))
            nothing_was_redeemed(running, evil)
            store.update(replace(store.get(NORTHWIND), server=honest.server))


class TestFixation:
    """Somebody starts, somebody else is made to finish: COAT, CORF and consents that are sent around."""

    def test_r38_a_link_that_the_attacker_started_brings_him_nothing_of_the_victim(self, running: Running) -> None:
        """COAT: bob starts, alice consents at the cloud and comes back to the vault in her own browser."""
        bob, alice = running.browser("bob"), running.browser("alice")
        url = running.cloud.consent(start(bob), "alice")
        assert alice.get(running.callback(url)).status == 400
        nothing_was_redeemed(running)

    def test_r38_the_attackers_own_answer_forced_on_the_victim_is_refused(self, running: Running) -> None:
        """CORF: bob's cloud account must not become what alice's files go to."""
        bob, alice = running.browser("bob"), running.browser("alice")
        start(alice)
        url = running.cloud.consent(start(bob), "bob")
        assert alice.get(running.callback(url)).status == 400
        swapped = url.replace(state_of(url), state_of(start(alice)))
        page = alice.get(running.callback(swapped))
        # His code under her state: PKCE, without which nothing here could tell it from hers
        assert page.status == 200
        assert running.cloud.requests["/token"] == 1
        assert not [item for item in running.aws.items("vault") if item["sk"]["S"].startswith("GRANT#")]

    @pytest.mark.parametrize("planted", ["", "his", "guess"])
    def test_r38_the_same_persons_other_browser_cannot_finish_it(self, running: Running, planted: str) -> None:
        mine, other = running.browser("alice"), running.browser("alice")
        url = running.cloud.consent(start(mine))
        if planted:
            start(other)
            other.cookies["__Host-flow"] = other.cookies["__Host-flow"] if planted == "his" else "x" * 43
        assert other.get(running.callback(url)).status == 400
        nothing_was_redeemed(running)

    def test_r38_a_flow_cookie_that_the_attacker_planted_does_not_help_him(self, running: Running) -> None:
        """Cookie tossing: alice's browser is given bob's flow cookie before she starts, and bob knows it."""
        bob, alice = running.browser("bob"), running.browser("alice")
        url_of_bob = running.cloud.consent(start(bob), "bob")
        alice.cookies["__Host-flow"] = bob.cookies["__Host-flow"]
        assert alice.get(running.callback(url_of_bob)).status == 400
        nothing_was_redeemed(running)

    def test_r38_a_session_that_was_swapped_for_the_attackers_finishes_nothing_of_hers(self, running: Running) -> None:
        """Log-in CSRF's last step: alice's browser is signed in as bob while she is at the cloud."""
        alice, bob = running.browser("alice"), running.browser("bob")
        url = running.cloud.consent(start(alice))
        alice.cookies["__Host-session"] = bob.cookies["__Host-session"]
        assert alice.get(running.callback(url)).status == 400
        nothing_was_redeemed(running)

    def test_r9_nothing_but_a_form_of_ones_own_starts_a_trip(self, running: Running) -> None:
        """CORF by link: a GET, a form of another site and an image start nothing."""
        alice = running.browser("alice")
        token = alice.get("/providers").form("Sign out").fields[0][1]
        before = running.stored()
        for address in ("/providers/northwind/authorize", "/providers/northwind/authorize?csrf=" + token):
            assert alice.get(address, follow=False).status in (404, 405)
        foreign = {"Sec-Fetch-Site": "cross-site", "Origin": "https://attacker.example"}
        assert alice.post("/providers/northwind/authorize", {"csrf": token}, headers=foreign).status == 403
        assert running.stored() == before


class TestAnswers:
    """What an attacker can put into the address of the callback."""

    def tried(self, running: Running, change: Callable[[dict[str, str]], object]) -> Answer:
        alice = running.browser("alice")
        query = {
            name: values[0] for name, values in parse_qs(urlsplit(running.cloud.consent(start(alice))).query).items()
        }
        change(query)
        return alice.get(callback(**query))

    @pytest.mark.parametrize("state", ["", "x", "test.", "a" * 3000, "\u200b", "../", "%00", "*"])
    def test_r37_no_other_state_is_taken(self, running: Running, state: str) -> None:
        assert self.tried(running, lambda query: query.update(state=state)).status in (400, 413)
        nothing_was_redeemed(running)

    def test_r37_neither_the_stored_hash_nor_another_spelling_is_a_state(self, running: Running) -> None:
        alice = running.browser("alice")
        state = state_of(start(alice))
        (item,) = [item for item in running.aws.items("vault-sessions") if item["pk"]["S"].startswith("REQUEST#")]
        stored = str(item["state_hash"]["S"])
        for guess in (stored, stored.upper(), f"REQUEST#{stored}", state + " ", state.swapcase(), state + "="):
            assert alice.get(callback(state=guess, code="x", iss=running.cloud.issuer)).status == 400
        nothing_was_redeemed(running)

    @pytest.mark.parametrize("name", ["state", "code", "iss", "error"])
    def test_r18_a_parameter_that_comes_twice_is_refused(self, running: Running, name: str) -> None:
        alice = running.browser("alice")
        url = running.callback(running.cloud.consent(start(alice)))
        twice = f"{url}&{name}=x" if f"{name}=" in url else f"{url}&{name}=x&{name}=y"
        assert alice.get(twice).status == 400
        nothing_was_redeemed(running)
        alice.get(url)
        assert running.cloud.requests["/token"] == 1

    def test_r36_no_token_is_taken_from_the_address(self, running: Running) -> None:
        """Response types that were not asked for: the implicit and hybrid flows."""
        answer = {"access_token": "stolen", "id_token": running.cloud.id_token("bob", None), "token_type": "bearer"}
        page = self.tried(running, lambda query: (query.pop("code"), query.update(answer)))
        assert "notice=" in page.url
        nothing_was_redeemed(running)
