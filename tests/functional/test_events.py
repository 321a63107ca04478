"""From a cloud's refusal to the mail: once, however many ask; and nothing at all where nobody wants to hear."""

import json
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from typing import Any

import pytest

from tests.fakes import directory
from tests.fakes.misbehaviour import error, status

from .client import BASE, Browser
from .conftest import NORTHWIND, TEAM, Running, Telling
from .test_token import Api

HOUR = 3600


@pytest.fixture
def published(telling: Telling, monkeypatch: pytest.MonkeyPatch) -> list[dict[str, Any]]:
    """Every entry that EventBridge took."""
    entries: list[dict[str, Any]] = []
    put = telling.aws.clients.events.put_events

    def put_events(**arguments: Any) -> Any:
        entries.extend(arguments["Entries"])
        return put(**arguments)

    monkeypatch.setattr(telling.aws.clients.events, "put_events", put_events)
    return entries


def test_a_refused_refresh_gives_one_event_and_one_mail_however_many_ask(
    telling: Telling, published: list[dict[str, Any]]
) -> None:
    api = Api(telling)
    api.fetch()
    telling.clock.advance(HOUR)
    telling.cloud.misbehave("/token", error("invalid_grant"))
    forms = [api.application.form("CONTOSO\\alice", NORTHWIND) for _ in range(8)]
    with ThreadPoolExecutor(8) as callers:
        answers = list(callers.map(lambda form: Browser(telling.app).post("/oauth2/token", form, follow=False), forms))
    assert {json.loads(answer.body)["reason"] for answer in answers} <= {
        "needs_reauthorization",
        "provider_unavailable",
    }
    telling.clock.advance(HOUR)
    for _ in range(3):
        telling.vault.events.deliver_due()
    assert [entry["DetailType"] for entry in published] == ["grant.needs_reauthorization"]
    mails = {mail["To"]: mail for mail in telling.mails()}
    assert sorted(mails) == ["alice@contoso.example", TEAM]
    assert len(telling.mails()) == 2
    assert "Please authorize Northwind Cloud again" in mails["alice@contoso.example"]["Subject"]
    plain = mails["alice@contoso.example"].get_body(("plain",))
    assert plain is not None
    assert f"{BASE}/providers#provider-{NORTHWIND}" in plain.get_content().splitlines()


def test_the_link_leads_to_the_provider_on_the_page(telling: Telling) -> None:
    alice = telling.browser("alice")
    assert f'id="provider-{NORTHWIND}"' in alice.get("/providers").body


def test_the_administrators_link_leads_to_whom_it_concerns(telling: Telling) -> None:
    telling.authorize(telling.browser("alice"))
    telling.clock.advance(HOUR)
    telling.cloud.misbehave("/token", error("invalid_grant"))
    telling.refresh(directory.ALICE.user.id)
    telling.vault.events.deliver_due()
    (mail,) = [mail for mail in telling.mails() if mail["To"] == TEAM]
    plain = mail.get_body(("plain",))
    assert plain is not None
    (link,) = [line for line in plain.get_content().splitlines() if line.startswith(BASE)]
    assert "CONTOSO\\alice" in telling.browser("admin").get(link.removeprefix(BASE)).body


def test_neither_event_nor_mail_nor_outbox_has_a_token(telling: Telling, published: list[dict[str, Any]]) -> None:
    api = Api(telling)
    api.fetch()
    telling.clock.advance(HOUR)
    telling.cloud.misbehave("/token", error("invalid_grant"))
    telling.refresh(directory.ALICE.user.id)
    told = [item for item in telling.aws.items("vault") if str(item["pk"]["S"]).startswith("EVENT#")]
    telling.vault.events.deliver_due()
    everything = json.dumps([published, told], default=str) + "".join(map(str, telling.mails()))
    assert len(told) == 3
    assert not [token for token in telling.cloud.issued() if token in everything]


def test_a_failure_and_its_end_are_events(telling: Telling, published: list[dict[str, Any]]) -> None:
    telling.authorize(telling.browser("alice"))
    telling.clock.advance(HOUR)
    telling.cloud.misbehave("/token", status(503))
    telling.refresh(directory.ALICE.user.id)
    telling.clock.advance(60)
    telling.refresh(directory.ALICE.user.id)
    telling.vault.events.deliver_due()
    assert [entry["DetailType"] for entry in published] == ["grant.failing", "grant.recovered"]
    assert telling.mails() == []


def test_where_nobody_is_told_a_refusal_is_two_writes_with_the_line(running: Running) -> None:
    running.authorize(running.browser("alice"))
    running.clock.advance(HOUR)
    running.cloud.misbehave("/token", error("invalid_grant"))
    made = calls_of(running, lambda: running.refresh(directory.ALICE.user.id))
    assert made == ["BatchGetItem", "Decrypt", "PutItem", "TransactWriteItems"]
    assert calls_of(running, running.vault.events.deliver_due) == []


def test_where_somebody_is_told_it_is_one_write_more_for_each(telling: Telling) -> None:
    telling.authorize(telling.browser("alice"))
    telling.clock.advance(HOUR)
    telling.cloud.misbehave("/token", error("invalid_grant"))
    made = calls_of(telling, lambda: telling.refresh(directory.ALICE.user.id))
    assert made == ["BatchGetItem", "Decrypt", "PutItem", "TransactWriteItems", *["PutItem"] * 3]


def calls_of(running: Running, act: Callable[[], object]) -> list[str]:
    made: list[str] = []

    def note(model: Any, **_: Any) -> None:
        made.append(model.name)

    clients = running.aws.clients
    for client in (clients.dynamodb, clients.kms, clients.events, clients.mail):
        client.meta.events.register("before-call", note)
    try:
        act()
    finally:
        for client in (clients.dynamodb, clients.kms, clients.events, clients.mail):
            client.meta.events.unregister("before-call", note)
    return made
