"""From a cloud's refusal to the mail: once, however many ask; and nothing at all where nobody wants to hear."""

import json
from collections import Counter
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from dataclasses import replace
from http import HTTPStatus
from typing import Any

import pytest

from chalicelib import bootstrap
from chalicelib.command_line import main
from chalicelib.domain.event import GIVE_UP_SECONDS, Delivery, Event, EventKind
from chalicelib.domain.grant import GrantState
from tests.fakes import directory
from tests.fakes.misbehaviour import error, status
from tests.unit.test_event_schema import VALID

from .client import BASE, Browser
from .conftest import NORTHWIND, TEAM, Running, Telling
from .test_token import Api

HOUR = 3600
MANY = 100


@pytest.fixture
def published(telling: Telling, monkeypatch: pytest.MonkeyPatch) -> list[dict[str, Any]]:
    """Every entry that EventBridge took."""
    entries: list[dict[str, Any]] = []
    put = telling.aws.clients.events.put_events

    def put_events(**arguments: Any) -> Any:
        entries.extend(arguments["Entries"])
        for entry in arguments["Entries"]:
            VALID.validate(json.loads(entry["Detail"]))
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


def test_what_was_lost_is_shown_to_administrators_and_sent_again(
    telling: Telling, monkeypatch: pytest.MonkeyPatch
) -> None:
    telling.authorize(telling.browser("alice"))
    telling.clock.advance(HOUR)
    telling.cloud.misbehave("/token", error("invalid_grant"))
    telling.refresh(directory.ALICE.user.id)
    with monkeypatch.context() as broken:
        refused = {"FailedEntryCount": 1, "Entries": [{"ErrorCode": "InternalFailure"}]}
        broken.setattr(telling.aws.clients.events, "put_events", lambda **_: refused)
        telling.vault.events.deliver_due()
        telling.clock.advance(GIVE_UP_SECONDS)
        telling.vault.events.deliver_due()
    admin = telling.browser("admin")
    page = admin.get("/admin/undelivered")
    assert "Event: grant.needs_reauthorization" in page.body
    assert "EventBridge: InternalFailure" in page.body
    page = admin.press(page, "Send again")
    assert "Everything was delivered" in page.body
    assert "event.sent_again" in telling.audit_tags()
    assert telling.vault.events.deliver_due() == 1
    assert telling.browser("alice").get("/admin/undelivered").status == HTTPStatus.FORBIDDEN


def test_what_the_bus_took_goes_out_once_more_when_operators_say_so(
    telling: Telling,
    published: list[dict[str, Any]],
    monkeypatch: pytest.MonkeyPatch,
    capsys: pytest.CaptureFixture[str],
) -> None:
    monkeypatch.setattr(bootstrap, "create_vault", lambda *_, **__: telling.vault)
    telling.authorize(telling.browser("alice"))
    telling.clock.advance(HOUR)
    telling.cloud.misbehave("/token", status(503))
    telling.refresh(directory.ALICE.user.id)
    telling.clock.advance(60)
    telling.refresh(directory.ALICE.user.id)
    telling.vault.events.deliver_due()
    before = [entry["Detail"] for entry in published]
    telling.clock.advance(80 * 24 * HOUR)
    today = ["replay-events", "--from", "2027-01-15"]
    for command, number in (
        ([*today, "--kind", "client.frozen"], 0),
        ([*today, "--provider", "another"], 0),
        (["replay-events", "--from", "2027-01-16", "--to", "2027-02-01"], 0),
        (today, 2),
        (today, 0),
    ):
        assert main(command) == 0
        assert capsys.readouterr().out == f"Events that go out once more: {number}.\n"
    assert main([*today, "--json"]) == 0
    assert json.loads(capsys.readouterr().out) == {"events": 0}
    telling.vault.events.deliver_due()
    assert [entry["Detail"] for entry in published] == [*before, *before]
    assert "events.replayed" in telling.audit_tags()


def test_without_a_bus_there_is_nothing_to_send_once_more(
    running: Running, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.setattr(bootstrap, "create_vault", lambda *_, **__: running.vault)
    assert main(["replay-events", "--from", "2027-01-15"]) != 0
    assert "VAULT_EVENT_BUS" in capsys.readouterr().err


def test_what_came_back_stops_mails_and_shows_to_the_person(telling: Telling) -> None:
    alice = telling.browser("alice")
    assert "Token Vault writes to" in alice.get("/mail").body
    recipients = [{"emailAddress": "alice@contoso.example"}]
    telling.vault.note_feedback(
        {"eventType": "Bounce", "bounce": {"bounceType": "Permanent", "bouncedRecipients": recipients}}
    )
    page = alice.get("/mail")
    assert "Mail to this address is paused" in page.body
    telling.authorize(alice)
    telling.clock.advance(HOUR)
    telling.cloud.misbehave("/token", error("invalid_grant"))
    telling.refresh(directory.ALICE.user.id)
    telling.vault.events.deliver_due()
    assert [mail["To"] for mail in telling.mails()] == [TEAM]
    page = alice.press(page, "Send mail to this address again")
    assert "paused" not in page.body


def test_a_person_does_without_what_is_optional(telling: Telling) -> None:
    alice = telling.browser("alice")
    page = alice.get("/mail")
    assert page.body.count(" checked") == 2
    fields = [field for field in page.form("Save").fields if field[0] != "grant.failing"]
    page = alice.post("/mail", dict(fields))
    assert page.body.count(" checked") == 1


def test_without_a_sender_the_page_says_so(running: Running) -> None:
    assert "not set up to send mail" in running.browser("alice").get("/mail").body


def test_many_mails_and_events_in_a_counted_number_of_calls(telling: Telling) -> None:
    """On moto: what each costs does not grow with how many there are."""
    telling.authorize(telling.browser("alice"))
    outbox, users = telling.vault.events._outbox, telling.vault.users
    grant = telling.vault.grants._grants.load(directory.ALICE.user.id, NORTHWIND).grant
    assert grant is not None
    provider, now = telling.vault.administration.provider(NORTHWIND), telling.clock.now()
    for number in range(MANY):
        person = replace(directory.ALICE.user, id=f"S-1-5-{number}", email=f"p{number}@contoso.example")
        users.enrol(person, sessions_until=0, at=now)
        lost = replace(grant, user_id=person.id, state=GrantState.NEEDS_REAUTHORIZATION, state_at=now)
        telling.vault.grants._grants.save(lost, replaces=None)
        event = Event.of_grant(EventKind.GRANT_NEEDS_REAUTHORIZATION, lost, provider, now)
        for channel in event.channels:
            outbox.add(Delivery.first(event, channel))
    made = Counter(calls_of(telling, telling.vault.events.deliver_due))
    assert len(telling.mails()) == MANY + 1
    assert made["PutEvents"] == MANY / 10
    assert made["SendEmail"] == MANY + 1
    assert made["GetAccount"] == 1
    # A mail: its person, the claim, what they chose, the grant, the end of it
    assert made["PutItem"] <= 2 * MANY + 2
    assert made["GetItem"] <= MANY + 4
    assert made["BatchGetItem"] <= 2 * MANY + 60
    assert made["BatchWriteItem"] <= MANY + MANY / 10 + MANY / 25
    assert made["Query"] <= 3 * (MANY / 100 + 1) + 1


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
