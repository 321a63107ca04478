"""What every outbox, bus and mail service does."""

import json
import logging
from collections.abc import Iterator
from dataclasses import replace
from datetime import date, timedelta
from email import message_from_string
from email.message import EmailMessage
from email.policy import default
from typing import Any

import pytest
from moto.backends import get_backend

from chalicelib.adapters.event_bridge import EventBridge
from chalicelib.adapters.ses_mailer import MailSender, SesMailer
from chalicelib.domain.audit import Period
from chalicelib.domain.errors import Conflict, NotFound, Undeliverable
from chalicelib.domain.event import GIVE_UP_SECONDS, Channel, Delivery, Event, EventKind, MailsSent
from chalicelib.domain.mail import OPTIONAL, MailRefusal, MailStanding, RefusalKind
from chalicelib.ports import MailStore, Outbox
from chalicelib.stores.mail import DynamoMailStore
from chalicelib.stores.outbox import DynamoOutbox
from chalicelib.web.mails import MailWriter
from chalicelib.web.urls import Urls
from dev import ses_account
from tests.aws import ACCOUNT_ID, ENVIRONMENT, Aws
from tests.fakes.events import FakeMailStore, FakeOutbox
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
        delivery = Delivery.first(EVENT, Channel.PERSON)
        outbox.add(delivery)
        outbox.change(delivery, delivery.claimed(NOW))
        with pytest.raises(Conflict):
            outbox.change(delivery, delivery.claimed(NOW))
        assert list(outbox.due(Channel.PERSON, NOW + 59)) == []
        assert list(outbox.due(Channel.PERSON, NOW + 60)) == [delivery.claimed(NOW)]

    def test_what_is_claimed_for_the_bus_keeps_its_place(self, outbox: Outbox) -> None:
        delivery = Delivery.first(EVENT, Channel.BUS)
        outbox.add(delivery)
        outbox.change(delivery, claimed := delivery.claimed(NOW))
        assert list(outbox.due(Channel.BUS, NOW)) == [claimed]
        assert claimed.busy_until == NOW + 60
        outbox.change(claimed, claimed.failed("EventBridge: InternalFailure"))
        (again,) = outbox.due(Channel.BUS, NOW)
        assert (again.busy_until, again.error, again.attempts) == (0, "EventBridge: InternalFailure", 1)

    def test_what_was_given_up_is_listed_until_it_is_sent_again(self, outbox: Outbox) -> None:
        first, second = Delivery.first(EVENT, Channel.BUS), Delivery.first(LATER, Channel.PERSON)
        for delivery in (first, second):
            outbox.add(delivery)
            outbox.bury(delivery)
        assert [one.event for one in outbox.dead(limit=9)] == [LATER, EVENT]
        assert [one.event for one in outbox.dead(limit=1)] == [LATER]
        assert list(outbox.due(Channel.BUS, NOW + 10**6)) == []
        found = outbox.dead_one(EVENT.id, Channel.BUS)
        outbox.change(found, found.again(NOW + 9))
        assert [one.event for one in outbox.dead(limit=9)] == [LATER]
        assert list(outbox.due(Channel.BUS, NOW + 9)) == [found.again(NOW + 9)]
        with pytest.raises(Conflict):
            outbox.change(found, found.again(NOW + 9))
        for event_id, channel in ((EVENT.id, Channel.BUS), ("unknown", Channel.BUS), (LATER.id, Channel.BUS)):
            with pytest.raises(NotFound):
                outbox.dead_one(event_id, channel)

    def test_what_was_delivered_is_never_due_nor_taken_again(self, outbox: Outbox) -> None:
        delivery = Delivery.first(EVENT, Channel.BUS)
        outbox.add(delivery)
        outbox.change(delivery, delivery.claimed(NOW))
        outbox.finish([delivery])
        outbox.add(delivery)
        assert list(outbox.due(Channel.BUS, NOW + 10**6)) == []
        with pytest.raises(Conflict):
            outbox.change(delivery, delivery.claimed(NOW))

    def test_a_second_telling_changes_nothing(self, outbox: Outbox) -> None:
        delivery = Delivery.first(EVENT, Channel.BUS)
        outbox.add(delivery)
        outbox.change(delivery, delivery.claimed(NOW))
        outbox.add(delivery)
        assert list(outbox.due(Channel.BUS, NOW)) == [delivery.claimed(NOW)]

    def test_more_than_a_page_is_read_as_it_is_taken_and_not_twice(self, outbox: Outbox) -> None:
        deliveries = [Delivery.first(replace(EVENT, stamp=n), Channel.BUS) for n in range(240)]
        for number, delivery in enumerate(deliveries):
            outbox.add(replace(delivery, due_at=NOW + number))
        taken = []
        for delivery in outbox.due(Channel.BUS, NOW + 240):
            outbox.change(delivery, delivery.claimed(NOW + 60))
            taken.append(delivery.event.stamp)
        assert taken == list(range(240))

    def test_what_is_held_is_due_then_and_one_alone_holds_it(self, outbox: Outbox) -> None:
        delivery = Delivery.first(EVENT, Channel.ADMINISTRATORS)
        outbox.add(delivery)
        outbox.change(delivery, delivery.held(NOW + 99))
        with pytest.raises(Conflict):
            outbox.change(delivery, delivery.held(NOW + 50))
        assert list(outbox.due(Channel.ADMINISTRATORS, NOW + 98)) == []
        assert list(outbox.due(Channel.ADMINISTRATORS, NOW + 99)) == [delivery.held(NOW + 99)]

    def test_what_the_bus_took_is_found_by_its_day(self, outbox: Outbox) -> None:
        day = date(2027, 1, 15)
        events = [replace(EVENT, stamp=n, at=NOW + n // 2, sequence=9 - n) for n in range(4)]
        next_day = replace(EVENT, at=NOW + 24 * 3600, stamp=99)
        for event in (*events, next_day, LATER):
            for channel in (Channel.BUS, Channel.PERSON):
                outbox.add(delivery := Delivery.first(event, channel))
                outbox.finish([delivery], told=[] if event is LATER else [event.id])
        found = list(outbox.published(Period(day, day)))
        assert [one.event.stamp for one in found] == [1, 0, 3, 2]
        assert [one.event for one in outbox.published(Period(day, day + timedelta(days=1)))][-1] == next_day
        outbox.change(found[0], found[0].again(NOW))
        assert len(list(outbox.published(Period(day, day)))) == 3
        assert [one.event for one in outbox.due(Channel.BUS, NOW)] == [found[0].event]

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


class TestMailStore:
    @pytest.fixture(params=STORES)
    def mail(self, request: pytest.FixtureRequest) -> MailStore:
        if request.param == "fake":
            return FakeMailStore()
        aws: Aws = request.getfixturevalue("aws")
        return DynamoMailStore(aws.table("vault"))

    def test_who_said_nothing_gets_everything(self, mail: MailStore) -> None:
        assert mail.standing(ALICE.id, ALICE.email) == MailStanding()

    def test_a_refusal_is_the_addresss_however_it_is_written_until_it_is_taken_back(self, mail: MailStore) -> None:
        mail.refuse(MailRefusal("Alice@Contoso.Example", RefusalKind.BOUNCED, NOW))
        later = MailRefusal(ALICE.email, RefusalKind.COMPLAINED, NOW + 9)
        mail.refuse(later)
        assert mail.standing(ALICE.id, ALICE.email.upper()).refusal == later
        assert mail.standing(ALICE.id, "bob@contoso.example").refusal is None
        mail.accept(ALICE.email)
        mail.accept(ALICE.email)
        assert mail.standing(ALICE.id, ALICE.email).refusal is None

    def test_the_last_choice_counts(self, mail: MailStore) -> None:
        mail.choose(ALICE.id, OPTIONAL)
        mail.choose(ALICE.id, [EventKind.GRANT_FAILING])
        assert mail.standing(ALICE.id, ALICE.email).unwanted == {EventKind.GRANT_FAILING}
        mail.choose(ALICE.id, [])
        assert mail.standing(ALICE.id, "").unwanted == frozenset()


class TestEventBridge:
    def test_the_entry_is_as_documented(self, aws: Aws, monkeypatch: pytest.MonkeyPatch) -> None:
        sent: list[dict[str, Any]] = []
        put = aws.clients.events.put_events
        monkeypatch.setattr(aws.clients.events, "put_events", lambda **a: (sent.extend(a["Entries"]), put(**a))[1])
        EventBridge(aws.clients, "default", URLS).publish([replace(EVENT, ms=250)])
        (entry,) = sent
        assert (entry["Source"], entry["DetailType"]) == ("token-vault", "grant.needs_reauthorization")
        assert (entry["EventBusName"], int(entry["Time"].timestamp())) == ("default", NOW)
        assert json.loads(entry["Detail"]) == {
            "version": "1",
            "id": EVENT.id,
            "kind": "grant.needs_reauthorization",
            "at": "2027-01-15T08:00:00.250Z",
            "grant_id": f"northwind.{ALICE.id}",
            "sequence": GRANT.version,
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
            EventBridge(aws.clients, "no-such-bus", URLS).publish([EVENT])
        assert failed.value.detail == "EventBridge: ResourceNotFoundException"

    def test_an_entry_that_was_not_taken_is_said(self, aws: Aws, monkeypatch: pytest.MonkeyPatch) -> None:
        refused = {"FailedEntryCount": 1, "Entries": [{"EventId": "1"}, {"ErrorCode": "InternalFailure"}]}
        monkeypatch.setattr(aws.clients.events, "put_events", lambda **_: refused)
        said = EventBridge(aws.clients, "default", URLS).publish([EVENT, LATER])
        assert said == {LATER.id: "EventBridge: InternalFailure"}

    def test_ten_of_the_largest_are_far_below_what_one_call_takes(self, aws: Aws, monkeypatch: Any) -> None:
        sent: list[dict[str, Any]] = []
        monkeypatch.setattr(
            aws.clients.events, "put_events", lambda **a: (sent.extend(a["Entries"]), {"FailedEntryCount": 0})[1]
        )
        long = "\U0001f600" * 320
        event = replace(LATER, provider_name=long, user_name=long, account=long, reason=long, client_name=long)
        EventBridge(aws.clients, "default", URLS).publish([event] * 10)
        # 256 KB until 2025, 1 MB since
        assert sum(len(entry["Detail"]) for entry in sent) < 256 * 1024


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
        return SesMailer(aws.clients, MailSender(SENDER), MailWriter(URLS), FakeClock(NOW))

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
            "Auto-Submitted", "Content-Type", "Date", "From", "List-Id", "MIME-Version", "Message-ID", "Subject", "To",
            "X-Auto-Response-Suppress", "X-Token-Vault-Event",
        ]  # fmt: skip
        assert message["To"] == "a@b.example"
        assert message["Subject"].startswith("People must authorize ")
        assert max(map(len, mails[0].raw_data.splitlines())) < 998

    def test_a_program_wrote_it_and_the_help_desk_answers(
        self, aws: Aws, mails: list[Any], caplog: pytest.LogCaptureFixture
    ) -> None:
        caplog.set_level(logging.INFO)
        sender = MailSender(SENDER, reply_to="helpdesk@contoso.example", list_host="vault.contoso.com")
        mailer = SesMailer(aws.clients, sender, MailWriter(URLS), FakeClock(NOW))
        for address in (ALICE.email, "bob@contoso.example"):
            mailer.send([EVENT], Channel.PERSON, address)
        first, second = map(self.parsed, mails)
        assert first["Reply-To"] == "helpdesk@contoso.example"
        assert (first["Auto-Submitted"], first["X-Auto-Response-Suppress"]) == ("auto-generated", "All")
        assert first["List-Id"] == "Token Vault <token-vault.vault.contoso.com>"
        assert first["X-Token-Vault-Event"] == second["X-Token-Vault-Event"] == EVENT.id
        assert first["Message-ID"].startswith(f"<{EVENT.id}.")
        assert first["Message-ID"].endswith("@contoso.example>")
        assert first["Message-ID"] != second["Message-ID"]
        lines = [record for record in caplog.records if record.getMessage() == "mail.sent"]
        assert all(line.__dict__["facts"]["message"] for line in lines)
        assert len(lines) == 2

    def test_it_is_sent_with_the_configuration_set_that_is_named(self, aws: Aws, monkeypatch: Any) -> None:
        sent: list[dict[str, Any]] = []
        monkeypatch.setattr(aws.clients.mail, "send_email", lambda **named: (sent.append(named), {})[1])
        for sender in (MailSender(SENDER), MailSender(SENDER, "token-vault-prod")):
            SesMailer(aws.clients, sender, MailWriter(URLS), FakeClock(NOW)).send([EVENT], Channel.PERSON, ALICE.email)
        assert [one.get("ConfigurationSetName") for one in sent] == [None, "token-vault-prod"]

    def test_the_rate_is_what_ses_says_else_the_slowest(self, mailer: SesMailer, monkeypatch: Any) -> None:
        assert mailer.rate() == ses_account.RATE
        monkeypatch.setattr(mailer._aws.mail, "get_account", dict)
        assert mailer.rate() == 1

    def test_a_sender_that_is_not_verified_is_said(self, aws: Aws) -> None:
        with pytest.raises(Undeliverable) as failed:
            SesMailer(aws.clients, MailSender("other@contoso.example"), MailWriter(URLS), FakeClock(NOW)).send(
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
    outbox.change(delivery, delivery.claimed(NOW))
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
    # After the life that is promised it is given up, and said
    assert list(outbox.due(Channel.BUS, NOW + GIVE_UP_SECONDS - 1)) == [replace(second, due_at=NOW + 1)]
    assert "event.lost" not in caplog.messages
    assert list(outbox.due(Channel.BUS, NOW + 2 * GIVE_UP_SECONDS)) == [replace(second, due_at=NOW + 1)]
    assert caplog.messages.count("event.lost") == 1
    assert list(outbox.due(Channel.BUS, NOW + 3 * GIVE_UP_SECONDS)) == [replace(second, due_at=NOW + 1)]
    assert caplog.messages.count("event.lost") == 1
