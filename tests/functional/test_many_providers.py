"""Pages and questions cost as many calls with 500 providers as with 60 and no list hides any of them."""

import re
from collections.abc import Callable
from dataclasses import replace
from html import unescape
from urllib.parse import quote

import pytest

from chalicelib.domain.client_application import AccessRule, Whose
from chalicelib.routes import admin_tokens, provider_views
from chalicelib.services import administration
from chalicelib.services.administration import COUNTED_PROVIDERS, Count
from chalicelib.stores.providers import DynamoProviderStore, _provider_to_item
from tests.samples import ADMINISTRATOR, APPLICATION

from .client import Answer, Browser
from .conftest import NORTHWIND, Running
from .test_calls import Calls, calls
from .test_token import ALICE_ID, ORIGIN, SCOPES

__all__ = ["calls"]

ALICE = quote(ALICE_ID)


def fill(running: Running, count: int) -> None:
    """So many providers, all of them like the first; it comes last by name."""
    vault, keys = running.aws.table("vault"), running.aws.table("vault-keys")
    first = DynamoProviderStore(vault, keys).get(NORTHWIND)
    vault.put_all(
        [_provider_to_item(replace(first, id=f"p{n:03}", name=f"Cloud {n:03}", version=1)) for n in range(count - 1)]
    )


def pages(admin: Browser, alice: Browser) -> dict[str, Callable[[], Answer]]:
    by_administrators = [
        "/admin/tokens", "/admin/tokens?account=alice", "/admin/tokens?user=ali", f"/admin/tokens?user={ALICE}",
        "/admin/tokens?user=alice@contoso.example", f"/admin/tokens?provider={NORTHWIND}", "/admin/tokens?from=p030",
        f"/admin/tokens/export?user={ALICE}", f"/admin/tokens/export?provider={NORTHWIND}",
        f"/admin/tokens/remove-person?person={ALICE}", f"/admin/tokens/remove-all?provider={NORTHWIND}",
        f"/admin/tokens/remove?token={NORTHWIND}.{ALICE}", "/admin/tokens/remove-everything",
        "/admin/providers", "/admin/providers?from=p030", f"/admin/providers/{NORTHWIND}",
        "/admin/clients", f"/admin/clients?user={ALICE}&provider={NORTHWIND}", "/admin/clients/scanner",
        "/admin/stops", "/admin/audit", "/admin/removals", "/admin/leavers",
    ]  # fmt: skip
    by_people = ["/providers", f"/providers/{NORTHWIND}/revoke", "/applications", "/activity"]
    asked = [(admin, path) for path in by_administrators] + [(alice, path) for path in by_people]
    return {path: lambda browser=browser, path=path: browser.get(path) for browser, path in asked}


@pytest.fixture
def asked(running: Running) -> dict[str, Callable[[], Answer]]:
    alice = running.browser("alice")
    running.authorize(alice)
    clients = running.vault.client_applications
    registered = clients.register(APPLICATION, ADMINISTRATOR, ORIGIN)
    clients.set_rules(registered, (AccessRule(NORTHWIND, SCOPES, Whose(everybody=True)),), ADMINISTRATOR, ORIGIN)
    return pages(running.browser("admin"), alice)


def counted(asked: dict[str, Callable[[], Answer]], calls: Calls) -> dict[str, int]:
    found = {}
    for path, ask in asked.items():
        del calls.made[:]
        found[path] = len(calls.of(ask))
    return found


def test_no_page_costs_more_calls_with_500_providers_than_with_60(
    running: Running, calls: Calls, asked: dict[str, Callable[[], Answer]]
) -> None:
    fill(running, 60)
    with_60 = counted(asked, calls)
    fill(running, 500)
    with_500 = counted(asked, calls)
    assert with_60 == with_500
    assert with_60["/admin/tokens"] == 2 + admin_tokens.PROVIDERS_A_PAGE
    assert with_60[f"/admin/tokens?user={ALICE}"] == 4
    # Session, providers, their health, and those that cannot be read
    assert with_60["/admin/providers"] == 4 + provider_views.PROVIDERS_A_PAGE
    everything = with_60["/admin/tokens/remove-everything"]
    assert everything == 3 + COUNTED_PROVIDERS + admin_tokens.PROVIDERS_A_PAGE
    few = {path: number for path, number in with_60.items() if "?from" not in path and number > 12}
    assert set(few) <= {
        "/admin/tokens", "/admin/tokens?account=alice", "/admin/tokens?user=ali", "/admin/providers",
        "/admin/tokens/remove-everything", f"/admin/tokens/remove?token={NORTHWIND}.{ALICE}", "/admin/audit",
        f"/admin/clients?user={ALICE}&provider={NORTHWIND}",
    }  # fmt: skip


def test_a_receipt_of_everything_counts_only_where_the_clean_up_is_not_through_and_at_most_at_25(
    running: Running, calls: Calls, asked: dict[str, Callable[[], Answer]]
) -> None:
    fill(running, 60)
    browser, vault = running.browser(), running.aws.table("vault")
    every = running.vault.administration.providers()
    ended = {provider.id: provider.generation for provider in every}
    left: dict[str, Count] = {}

    def count() -> Answer:
        left.update(running.vault.administration.remaining(ended))
        return browser.get("/login")

    vault.put_all([_provider_to_item(replace(one, generation=2)) for one in every])
    assert len(calls.of(count)) == 1 + COUNTED_PROVIDERS
    assert (left["p000"], left["p058"]) == (Count(0), Count(0, more=True))
    vault.put_all([_provider_to_item(replace(one, generation=2, cleaned_generation=1)) for one in every])
    del calls.made[:]
    assert calls.of(count) == ["Query"]
    assert set(left.values()) == {Count(0)}


def test_a_receipt_says_what_was_not_counted_and_is_not_done_before_it_was(
    running: Running, asked: dict[str, Callable[[], Answer]], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(administration, "COUNTED_PROVIDERS", 0)
    admin = running.browser("admin")
    receipt = admin.press(admin.get("/admin/tokens/remove-everything"), "Remove", confirm="everything")
    assert "not counted yet" in receipt.text
    assert "The vault is still at work" in receipt.text
    for _ in range(3):
        running.clock.advance(3600)
        running.vault.clean_up.run()
    assert (
        "Everything is done"
        in running.browser("admin").get("/admin/removals" + receipt.url.rpartition("/admin/removals")[2]).text
    )


def test_every_provider_is_reached_part_by_part(running: Running, asked: dict[str, Callable[[], Answer]]) -> None:
    assert asked
    fill(running, 60)
    admin = running.browser("admin")
    for path, size, mark in (
        ("/admin/tokens", 10, "Northwind Cloud</bdi></h2>"),
        ("/admin/providers", 25, ">Northwind Cloud</bdi></a>"),
    ):
        page = admin.get(path)
        turned = 0
        assert "First providers" not in page.body
        while "Next providers" in page.body:
            assert mark not in page.body
            (link,) = re.findall(r'href="([^"]+)">Next providers', page.body)
            page = admin.get(unescape(link))
            turned += 1
        assert mark in page.body
        assert turned == (60 - 1) // size
        assert "First providers" in page.body
    assert "No tokens at these providers" in admin.get("/admin/tokens").body


def test_everything_is_removed_also_where_not_all_was_counted(
    running: Running, asked: dict[str, Callable[[], Answer]]
) -> None:
    fill(running, 60)
    page = running.browser("admin").get("/admin/tokens/remove-everything")
    assert "Remove all tokens?" in page.body
    assert "Nothing to remove" not in page.body


def test_the_names_of_people_in_a_rule_are_one_read(
    running: Running, calls: Calls, asked: dict[str, Callable[[], Answer]]
) -> None:
    clients = running.vault.client_applications
    many = frozenset({f"S-1-5-21-1-2-3-{number}" for number in range(2000, 2080)} | {ALICE_ID})
    clients.set_rules(
        clients.get("scanner"), (AccessRule(NORTHWIND, SCOPES, Whose(users=many)),), ADMINISTRATOR, ORIGIN
    )
    made = calls.of(asked["/admin/clients/scanner"])
    assert made.count("BatchGetItem") == 1
    assert len(made) < 6
    assert "CONTOSO\\alice" in asked["/admin/clients/scanner"]().text


SEARCHES = {
    "/admin/tokens?user=": ("User", 128),
    "/admin/tokens?account=": ("Cloud account contains", 128),
    "/admin/tokens?scope=": ("Scope", 128),
    "/admin/tokens/export?account=": ("Cloud account contains", 128),
    "/admin/audit?user=": ("On whom", 128),
    "/admin/audit?actor=": ("Who", 128),
    "/admin/clients?user=": ("Person", 320),
    "/admin/register-provider?search=": ("Search", 128),
    "/providers?search=": ("Search", 128),
}


@pytest.mark.parametrize("path", SEARCHES)
def test_a_search_that_is_too_long_is_told_its_field_and_how_much_is_possible(running: Running, path: str) -> None:
    admin = running.browser("admin")
    label, longest = SEARCHES[path]
    assert "can have at most" not in admin.get(path + "x" * longest).text
    page = admin.get(path + "x" * (longest + 1))
    assert page.status == 400
    assert f"“{label}” can have at most {longest} characters." in page.text
    page = admin.get(path + "x" * 5000)
    assert page.status == 413
    assert "at most 4,096 bytes" in page.text


class TestAPersonsList:
    def names(self, page: Answer) -> list[str]:
        return [unescape(name) for name in re.findall(r'<h2 id="name-[^"]+"><bdi>([^<]+)</bdi>', page.body)]

    def test_what_is_held_comes_first_and_the_rest_as_people_count(self, running: Running) -> None:
        alice, bob = running.browser("alice"), running.browser("bob")
        running.authorize(alice)
        fill(running, 12)
        assert self.names(bob.get("/providers")) == [*(f"Cloud {n:03}" for n in range(11)), "Northwind Cloud"]
        vault = running.aws.table("vault")
        first = DynamoProviderStore(vault, running.aws.table("vault-keys")).get(NORTHWIND)
        names = {"p000": "Cloud 10", "p001": "cloud 9", "p002": "Cloud 2 b", "p003": "Cloud 2"}
        vault.put_all([_provider_to_item(replace(first, id=key, name=name)) for key, name in names.items()])
        assert self.names(alice.get("/providers"))[:1] == ["Northwind Cloud"]
        in_order = [name for name in self.names(alice.get("/providers")) if name in names.values()]
        assert in_order == ["Cloud 2", "Cloud 2 b", "cloud 9", "Cloud 10"]

    def test_a_long_one_can_be_searched(self, running: Running) -> None:
        alice = running.browser("alice")
        fill(running, 12)
        assert "Search providers" not in alice.get("/providers").body
        fill(running, 13)
        page = alice.get("/providers")
        page = alice.press(page, "Search", search="CLOUD 00 openid")
        assert self.names(page) == [f"Cloud {n:03}" for n in range(10)]
        assert "10 of 13 providers found." in page.text
        assert alice.get("/providers?search=nothing").text.count("0 of 13 providers found.") == 1

    def test_it_is_searched_by_cloud_account(self, running: Running) -> None:
        alice = running.browser("alice")
        running.authorize(alice)
        fill(running, 13)
        assert self.names(alice.get("/providers?search=alice@")) == ["Northwind Cloud"]
