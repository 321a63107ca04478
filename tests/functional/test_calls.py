"""How many AWS calls each page makes: exact, so that nobody adds one unnoticed."""

from collections.abc import Callable, Iterator
from dataclasses import replace
from typing import Any

import pytest

from chalicelib.adapters.token_cipher import KeptKeys
from chalicelib.domain.stop import StopKind
from tests.fakes import directory
from tests.samples import ADMINISTRATOR

from .client import Answer, Browser, going_to
from .conftest import Running
from .test_token import ALICE_ID, ORIGIN, Api


class Calls:
    """Notes the operations of both clients while it is listening."""

    def __init__(self, running: Running) -> None:
        self.made: list[str] = []
        self._clients = (running.aws.clients.dynamodb, running.aws.clients.kms)

    def note(self, model: Any, **_: Any) -> None:
        self.made.append(model.name)

    def of(self, act: Callable[[], Answer], *, refused: bool = False) -> list[str]:
        for client in self._clients:
            client.meta.events.register("before-call", self.note)
        try:
            assert (act().status >= 400) == refused
        finally:
            for client in self._clients:
                client.meta.events.unregister("before-call", self.note)
        return self.made


@pytest.fixture
def calls(running: Running) -> Iterator[Calls]:
    return Calls(running)


def test_log_in_page(running: Running, calls: Calls) -> None:
    browser = running.browser()
    assert calls.of(lambda: browser.get("/login")) == []


def test_log_in(running: Running, calls: Calls) -> None:
    browser = running.browser()
    page = browser.get("/login")
    fields = {"user_name": "CONTOSO\\alice", "password": "alice-pass"}
    assert calls.of(lambda: browser.press(page, "Log in", follow=False, **fields)) == [
        "GetItem", "PutItem", "PutItem",  # may everybody, this address, this account be tried?
        "DeleteItem", "UpdateItem",  # nothing counts
        "Query", "GetItem", "UpdateItem",  # other sessions, who was appointed, user
        "GetItem", "UpdateItem", "UpdateItem", "PutItem",  # names that are new: both are claimed, then borne
        "TransactWriteItems",  # session and audit entry
        "PutItem",  # the browser is known from now on
    ]  # fmt: skip


def test_log_in_with_a_known_browser(running: Running, calls: Calls) -> None:
    browser = running.browser("alice")
    browser.press(browser.get("/providers"), "Sign out")
    page = browser.get("/login")
    fields = {"user_name": "CONTOSO\\alice", "password": "alice-pass"}
    assert calls.of(lambda: browser.press(page, "Log in", follow=False, **fields)) == [
        "GetItem", "PutItem", "DeleteItem", "Query", "GetItem", "UpdateItem", "TransactWriteItems",
    ]  # fmt: skip


def test_providers_page(running: Running, calls: Calls) -> None:
    browser = running.browser("alice")
    assert calls.of(lambda: browser.get("/providers")) == ["GetItem", "Query", "Query"]


def test_authorize(running: Running, calls: Calls) -> None:
    browser = running.browser("alice")
    page = browser.get("/providers")
    made = calls.of(lambda: browser.press(page, "Authorize"))
    assert made == ["GetItem", "BatchGetItem", "Decrypt", "PutItem", "UpdateItem"]


def test_callback(running: Running, calls: Calls) -> None:
    browser = running.browser("alice")
    url = running.cloud.consent(going_to(browser.press(browser.get("/providers"), "Authorize")))
    made = calls.of(lambda: browser.get(running.callback(url), follow=False))
    assert made == ["GetItem", "DeleteItem", "BatchGetItem", "Decrypt", "TransactWriteItems", "UpdateItem"]


def test_revoke(running: Running, calls: Calls) -> None:
    browser = running.browser("alice")
    running.authorize(browser)
    page = browser.press(browser.get("/providers"), "Revoke authorization")
    made = calls.of(lambda: browser.press(page, "Revoke", follow=False))
    assert made == [
        "GetItem", "BatchGetItem", "Decrypt", "PutItem",  # the revocation is written down
        "TransactWriteItems", "PutItem", "DeleteItem",  # ended here, confirmed there, nothing left to do
        "UpdateItem",
    ]  # fmt: skip


def test_manage_tokens(running: Running, calls: Calls) -> None:
    admin = running.browser("admin")
    assert calls.of(lambda: admin.get("/admin/tokens")) == ["GetItem", "Query", "Query"]


def test_audit_log(running: Running, calls: Calls) -> None:
    admin = running.browser("admin")
    # Eight shards of one day, and the names of the providers
    assert calls.of(lambda: admin.get("/admin/audit?from=2027-01-15")) == ["GetItem", *["Query"] * 9]


def test_activity(running: Running, calls: Calls) -> None:
    alice = running.browser("alice")
    assert calls.of(lambda: alice.get("/activity")) == ["GetItem", "Query", "BatchGetItem", "Query"]


def test_applications_of_a_person(running: Running, calls: Calls) -> None:
    alice = running.browser("alice")
    # Session, applications, own blocks, providers, the person, grants, what was fetched lately
    asked = ["GetItem", *["Query"] * 3, "GetItem", "Query", "Query", "BatchGetItem"]
    assert calls.of(lambda: alice.get("/applications")) == asked


def test_manage_clients_and_stop(running: Running, calls: Calls) -> None:
    admin = running.browser("admin")
    # Providers, three kinds of stops, applications, and those that cannot be read
    assert calls.of(lambda: admin.get("/admin/clients")) == ["GetItem", *["Query"] * 6]
    del calls.made[:]
    assert calls.of(lambda: admin.get("/admin/stops")) == ["GetItem", *["Query"] * 6]


def test_removing_all_tokens_is_one_write_with_the_audit_entry(running: Running, calls: Calls) -> None:
    admin = running.browser("admin")
    running.authorize(admin)
    page = admin.get("/admin/tokens/remove-all?provider=northwind")
    made = calls.of(lambda: admin.press(page, "Remove", follow=False, confirm="Northwind Cloud"))
    # receipt, key, and the provider with the audit entry
    assert [name for name in made if "Write" in name or name in ("PutItem", "UpdateItem", "DeleteItem")] == [
        "PutItem", "PutItem", "TransactWriteItems",
    ]  # fmt: skip


class TestToken:
    @pytest.fixture
    def api(self, running: Running) -> Api:
        return Api(running)

    @pytest.mark.parametrize("name", ["CONTOSO\\alice", ALICE_ID])
    def test_a_warm_release_is_three_calls(self, api: Api, calls: Calls, name: str) -> None:
        api.fetch(name)
        assert calls.of(lambda: self.send(api, name)) == ["BatchGetItem", "Decrypt", "PutItem"]

    def test_with_a_key_cache_it_is_two(self, api: Api, calls: Calls) -> None:
        api.running.vault.token_exchange._cipher._made._kept = KeptKeys(api.running.clock, 300)
        api.fetch()
        assert calls.of(lambda: self.send(api, "CONTOSO\\alice")) == ["BatchGetItem", "PutItem"]

    def test_a_name_that_is_new_to_the_process_costs_one_more_read(self, api: Api, calls: Calls) -> None:
        made = calls.of(lambda: self.send(api, "CONTOSO\\alice"))
        assert made == ["BatchGetItem", "BatchGetItem", "Decrypt", "PutItem"]

    def test_r91_a_contested_name_is_settled_once_and_warm_again(self, api: Api, calls: Calls) -> None:
        later = replace(directory.ALICE.user, id=directory.BOB.user.id, email="")
        api.running.vault.users.enrol(later, sessions_until=0, at=api.running.clock.now() + 1)
        api.running.authorize(api.running.browser("bob"), "bob")
        api.running.vault.users.enrol(later, sessions_until=0, at=api.running.clock.now() + 2)
        made = calls.of(lambda: self.send(api, "CONTOSO\\alice"))
        assert made == [
            "BatchGetItem",  # several claim it
            "GetItem", "GetItem", "GetItem",  # the claims, and both records
            "PutItem", "UpdateItem", "DeleteItem",  # who lost it bears it no more, and the claim goes
            "BatchGetItem", "BatchGetItem", "Decrypt", "PutItem",
        ]  # fmt: skip
        del made[:]
        assert calls.of(lambda: self.send(api, "CONTOSO\\alice")) == ["BatchGetItem", "Decrypt", "PutItem"]

    def test_a_refresh_adds_the_lease_and_the_outcome(self, api: Api, calls: Calls) -> None:
        api.fetch()
        api.running.clock.advance(3600)
        made = calls.of(lambda: self.send(api, "CONTOSO\\alice"))
        assert made == ["BatchGetItem", "Decrypt", "PutItem", "PutItem", "PutItem"]

    def test_a_refusal_is_one_read_and_its_line(self, api: Api, calls: Calls) -> None:
        api.fetch()
        api.running.vault.stops.stop(StopKind.APPLICATION, "scanner", "reason", ADMINISTRATOR, ORIGIN)
        made = calls.of(lambda: self.send(api, "CONTOSO\\alice"), refused=True)
        assert made == ["BatchGetItem", "PutItem"]

    @staticmethod
    def send(api: Api, name: str) -> Answer:
        form = api.application.form(name, "northwind")
        return Browser(api.running.app).post("/oauth2/token", form, follow=False)
