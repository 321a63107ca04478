"""What every outbox, bus and mail service does."""

import json
from collections.abc import Iterator
from dataclasses import replace
from email import message_from_string
from email.message import EmailMessage
from email.policy import default
from typing import Any

import pytest
from moto.backends import get_backend

from chalicelib.adapters.event_bridge import EventBridge
from chalicelib.adapters.ses_mailer import SesMailer
from chalicelib.domain.errors import Conflict, Undeliverable
from chalicelib.domain.event import Channel, Delivery, Event, EventKind, MailsSent
from chalicelib.ports import Outbox
from chalicelib.stores.outbox import DynamoOutbox
from chalicelib.web.mails import MailWriter
from chalicelib.web.urls import Urls
from tests.aws import ACCOUNT_ID, ENVIRONMENT, Aws
from tests.fakes.events import FakeOutbox
from tests.fakes.system import FakeClock
from tests.samples import ALICE, GRANT, NOW, PROVIDER

from .places import STORES

EVENT = Event.of_grant(EventKind.GRANT_NEEDS_REAUTHORIZATION, GRANT, PROVIDER, NOW)
LATER = Event.of_lapse(GRANT, PROVIDER, NOW + 9, NOW + 5)
REGION = ENVIRONMENT["AWS_DEFAULT_REGION"]
URLS = Urls("https://vault.contoso.com")
SENDER = "vault@contoso.example"


class TestOutbox:
    @pytest.fixture(params=STORES)
    def outbox(self, request: pytest.FixtureRequest) -> Outbox:
        if request.param == "fake":
            return FakeOutbox()
        aws: Aws = request.getfixturevalue("aws")
        return DynamoOutbox(aws.table("vault"))

    def test_what_waits_is_due_in_its_order(self, outbox: Outbox) -> None:
        first, second = Delivery.first(EVENT, Channel.BUS), Delivery.first(EVENT, Channel.PERSON)
        third = Delivery.first(LATER, Channel.BUS)
        for delivery in (third, replace(second, due_at=NOW + 1), first):
            outbox.add(delivery)
        assert list(outbox.due(Channel.BUS, NOW - 1)) == []
        assert list(outbox.due(Channel.BUS, NOW)) == [first]
        assert list(outbox.due(Channel.BUS, NOW + 5)) == [first, third]
        assert list(outbox.due(Channel.PERSON, NOW + 5)) == [replace(second, due_at=NOW + 1)]
        assert list(outbox.due(None, NOW + 5)) == []

    def test_what_is_claimed_is_due_later_and_one_alone_claims_it(self, outbox: Outbox) -> None:
        delivery = Delivery.first(EVENT, Channel.BUS)
        outbox.add(delivery)
        outbox.claim(delivery, NOW)
        with pytest.raises(Conflict):
            outbox.claim(delivery, NOW)
        assert list(outbox.due(Channel.BUS, NOW + 59)) == []
        assert list(outbox.due(Channel.BUS, NOW + 60)) == [delivery.claimed(NOW)]

    def test_what_was_delivered_is_never_due_nor_taken_again(self, outbox: Outbox) -> None:
        delivery = Delivery.first(EVENT, Channel.BUS)
        outbox.add(delivery)
        outbox.claim(delivery, NOW)
        outbox.finish([delivery])
        outbox.add(delivery)
        assert list(outbox.due(Channel.BUS, NOW + 10**6)) == []
        with pytest.raises(Conflict):
            outbox.claim(delivery, NOW)

    def test_a_second_telling_changes_nothing(self, outbox: Outbox) -> None:
        delivery = Delivery.first(EVENT, Channel.BUS)
        outbox.add(delivery)
        outbox.claim(delivery, NOW)
        outbox.add(delivery)
        assert list(outbox.due(Channel.BUS, NOW)) == []

    def test_more_than_a_page_is_read_as_it_is_taken_and_not_twice(self, outbox: Outbox) -> None:
        deliveries = [Delivery.first(replace(EVENT, stamp=n), Channel.BUS) for n in range(60)]
        for number, delivery in enumerate(deliveries):
            outbox.add(replace(delivery, due_at=NOW + number))
        taken = []
        for delivery in outbox.due(Channel.BUS, NOW + 60):
            outbox.claim(delivery, NOW + 60)
            taken.append(delivery.event.stamp)
        assert taken == list(range(60))

    def test_what_is_held_is_due_then_and_one_alone_holds_it(self, outbox: Outbox) -> None:
        delivery = Delivery.first(EVENT, Channel.ADMINISTRATORS)
        outbox.add(delivery)
        outbox.hold(delivery, NOW + 99)
        with pytest.raises(Conflict):
            outbox.hold(delivery, NOW + 50)
        assert list(outbox.due(Channel.ADMINISTRATORS, NOW + 98)) == []
        assert list(outbox.due(Channel.ADMINISTRATORS, NOW + 99)) == [delivery.held(NOW + 99)]

    def test_it_is_remembered_what_went_out_and_by_which_channel(self, outbox: Outbox) -> None:
        events = [replace(EVENT, stamp=n) for n in range(60)]
        deliveries = [Delivery.first(event, channel) for event in events for channel in Channel]
        for delivery in deliveries:
            outbox.add(delivery)
        gone = {event.id for event in events[:50]}
        outbox.finish([one for one in deliveries if one.channel is Channel.PERSON], told=gone)
        outbox.finish([one for one in deliveries if one.channel is Channel.ADMINISTRATORS])
        assert list(outbox.due(Channel.PERSON, NOW)) == []
        asked = [*(event.id for event in events), "unknown"]
        assert outbox.told(Channel.PERSON, asked) == gone
        assert outbox.told(Channel.ADMINISTRATORS, asked) == outbox.told(Channel.BUS, asked) == frozenset()

    def test_mails_to_administrators_are_remembered_by_subject(self, outbox: Outbox) -> None:
        mails = outbox.mails_sent("northwind")
        assert mails == MailsSent("northwind")
        outbox.note_mails(mails.with_sent(EVENT, NOW), NOW)
        noted = outbox.mails_sent("northwind")
        assert (noted.sent, noted.version) == ({EVENT.kind: (NOW, EVENT.id)}, 1)
        outbox.note_mails(noted.with_sent(LATER, NOW + 5), NOW)
        assert len(outbox.mails_sent("northwind").sent) == 2
        assert outbox.mails_sent("contoso").sent == {}

    def test_the_slower_of_two_notes_nothing(self, outbox: Outbox) -> None:
        mails = outbox.mails_sent("northwind")
        outbox.note_mails(mails.with_sent(EVENT, NOW), NOW)
        with pytest.raises(Conflict):
            outbox.note_mails(mails.with_sent(LATER, NOW), NOW)
        outbox.note_mails(mails.failed(EVENT, NOW), NOW)
        assert outbox.mails_sent("northwind").next_at(EVENT.kind) == NOW + 60


class TestEventBridge:
    def test_the_entry_is_as_documented(self, aws: Aws, monkeypatch: pytest.MonkeyPatch) -> None:
        sent: list[dict[str, Any]] = []
        put = aws.clients.events.put_events
        monkeypatch.setattr(aws.clients.events, "put_events", lambda **a: (sent.extend(a["Entries"]), put(**a))[1])
        EventBridge(aws.clients, "default", URLS).publish(EVENT)
        (entry,) = sent
        assert (entry["Source"], entry["DetailType"]) == ("token-vault", "grant.needs_reauthorization")
        assert (entry["EventBusName"], int(entry["Time"].timestamp())) == ("default", NOW)
        assert json.loads(entry["Detail"]) == {
            "version": "1",
            "id": EVENT.id,
            "kind": "grant.needs_reauthorization",
            "at": "2027-01-15T08:00:00Z",
            "provider_id": "northwind",
            "provider_name": "Northwind Cloud",
            "reason": "",
            "user_id": ALICE.id,
            "user_name": ALICE.login_name,
            "account": "alice@contoso.example",
            "connect_url": "https://vault.contoso.com/providers#provider-northwind",
        }

    def test_a_bus_that_is_not_there_is_said(self, aws: Aws) -> None:
        with pytest.raises(Undeliverable) as failed:
            EventBridge(aws.clients, "no-such-bus", URLS).publish(EVENT)
        assert failed.value.detail == "EventBridge: ResourceNotFoundException"

    def test_an_entry_that_was_not_taken_is_said(self, aws: Aws, monkeypatch: pytest.MonkeyPatch) -> None:
        refused = {"FailedEntryCount": 1, "Entries": [{"ErrorCode": "InternalFailure"}]}
        monkeypatch.setattr(aws.clients.events, "put_events", lambda **_: refused)
        with pytest.raises(Undeliverable) as failed:
            EventBridge(aws.clients, "default", URLS).publish(EVENT)
        assert failed.value.detail == "EventBridge: InternalFailure"


class TestSes:
    @pytest.fixture
    def mails(self, aws: Aws) -> Iterator[list[Any]]:
        aws.clients.mail.create_email_identity(EmailIdentity=SENDER)
        sent = get_backend("ses")[ACCOUNT_ID][REGION].sent_messages
        sent.clear()
        yield sent
        aws.clients.mail.delete_email_identity(EmailIdentity=SENDER)

    @pytest.fixture
    def mailer(self, aws: Aws) -> SesMailer:
        return SesMailer(aws.clients, SENDER, MailWriter(URLS), FakeClock(NOW))

    @staticmethod
    def parsed(sent: Any) -> EmailMessage:
        message = message_from_string(sent.raw_data, policy=default)
        assert isinstance(message, EmailMessage)
        return message

    def test_the_mail_has_both_bodies_and_nobody_answers_it(self, mails: list[Any], mailer: SesMailer) -> None:
        mailer.send([EVENT], Channel.PERSON, ALICE.email)
        (sent,) = mails
        message = self.parsed(sent)
        assert (sent.source, set(sent.destinations)) == (SENDER, {ALICE.email})
        assert message["From"] == f"Token Vault <{SENDER}>"
        assert (message["To"], message["Auto-Submitted"]) == (ALICE.email, "auto-generated")
        assert message["Subject"] == "Please authorize Northwind Cloud again"
        assert message["Date"].datetime.timestamp() == NOW
        for kind in ("plain", "html"):
            body = message.get_body((kind,))
            assert body is not None
            assert "https://vault.contoso.com/providers#provider-northwind" in body.get_content()

    @pytest.mark.parametrize("name", ["Cloud\r\nBcc: x@evil.example", "Cloud\nSubject: other", "Żółw ☁ 雲", "x" * 900])
    def test_no_name_becomes_a_header(self, mails: list[Any], mailer: SesMailer, name: str) -> None:
        mailer.send([replace(EVENT, provider_name=name)], Channel.ADMINISTRATORS, "a@b.example")
        message = self.parsed(mails[0])
        assert sorted(message.keys()) == [
            "Auto-Submitted", "Content-Type", "Date", "From", "MIME-Version", "Subject", "To",
        ]  # fmt: skip
        assert message["To"] == "a@b.example"
        assert message["Subject"].startswith("People must authorize ")
        assert max(map(len, mails[0].raw_data.splitlines())) < 998

    def test_a_sender_that_is_not_verified_is_said(self, aws: Aws) -> None:
        with pytest.raises(Undeliverable) as failed:
            SesMailer(aws.clients, "other@contoso.example", MailWriter(URLS), FakeClock(NOW)).send(
                [EVENT], Channel.PERSON, ALICE.email
            )
        assert failed.value.detail.startswith("SES: ")


def test_what_the_version_before_wrote_down_is_delivered_in_its_order(aws: Aws) -> None:
    """On one list for all channels, until it is claimed."""
    outbox, table = DynamoOutbox(aws.table("vault")), aws.table("vault")
    delivery = Delivery.first(EVENT, Channel.PERSON)
    outbox.add(delivery)
    key = {"pk": f"EVENT#{EVENT.id}", "sk": Channel.PERSON.value}
    item = table.get(key)
    assert item is not None
    table.put(item | {"listing": "OUTBOX"})
    assert list(outbox.due(Channel.PERSON, NOW)) == []
    assert list(outbox.due(None, NOW)) == [delivery]
    outbox.claim(delivery, NOW)
    assert list(outbox.due(None, NOW + 60)) == []
    assert list(outbox.due(Channel.PERSON, NOW + 60)) == [delivery.claimed(NOW)]


def test_r94_f40_a_delivery_that_cannot_be_read_keeps_none_behind_it_waiting(
    aws: Aws, caplog: pytest.LogCaptureFixture
) -> None:
    outbox, table = DynamoOutbox(aws.table("vault")), aws.table("vault")
    first, second = (Delivery.first(replace(EVENT, stamp=n), Channel.BUS) for n in (1, 2))
    outbox.add(first)
    outbox.add(replace(second, due_at=NOW + 1))
    key = {"pk": f"EVENT#{first.event.id}", "sk": Channel.BUS.value}
    item = table.get(key)
    assert item is not None
    table.put(item | {"event": item["event"] | {"kind": "of.tomorrow"}})
    assert list(outbox.due(Channel.BUS, NOW + 1)) == [replace(second, due_at=NOW + 1)]
    assert "item.unreadable" in caplog.messages
