"""Events: each told once, by whom it concerns and only while it is so, whatever the bus and the mail service do."""

import logging
from collections import Counter
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from dataclasses import replace

import pytest

from chalicelib.domain.audit import Actor, AuditTag
from chalicelib.domain.errors import CloudMisconfigured, CloudRefused, CloudUnavailable, NotFound, Undeliverable
from chalicelib.domain.event import (
    AUTHORIZED_AGAIN,
    DIGEST_SECONDS,
    GIVE_UP_SECONDS,
    PATIENCE_SECONDS,
    Channel,
    Delivery,
    Event,
    EventKind,
)
from chalicelib.domain.grant import GrantReason, GrantState
from chalicelib.domain.token_exchange import Need, TokenRefused
from chalicelib.domain.user import Departure
from chalicelib.services.background import RESERVE_SECONDS
from chalicelib.services.events import BUDGET, EventService, Outlets
from tests.fakes.events import FakeOutbox
from tests.fakes.services import ORIGIN, FakeVault
from tests.samples import ACCOUNT, ALICE, APPLICATION, NOW, PROVIDER

HOUR = 3600
BY = Actor("S-admin", "CONTOSO\\admin")
TEAM = "team@contoso.example"


class World(FakeVault):
    """Alice has authorized and logged in; her access token has ended."""

    def __init__(self) -> None:
        super().__init__()
        self.users.enrol(ALICE, sessions_until=0, at=NOW)
        self.authorize(ACCOUNT)
        self.clock.advance(HOUR)

    def fetch(self) -> None:
        def load() -> object:
            return self.grant_store.load(ALICE.id, "northwind")

        holding = self.grant_store.load(ALICE.id, "northwind")
        with self.cipher.unlock(holding.key) as box:
            self.refresh.fresh(holding, box, Need(), load)  # type: ignore[arg-type]

    def fail(self, error: Exception) -> None:
        self.cloud.fail_next(error)  # type: ignore[arg-type]
        with pytest.raises(TokenRefused):
            self.fetch()

    def published(self) -> list[str]:
        return [event.kind.value for event in self.bus.published]

    def mails(self, channel: Channel) -> list[str]:
        return [events[0].kind.value for events, told, _ in self.mailer.sent if told is channel]

    def digests(self) -> list[int]:
        """How many people each mail to administrators was about."""
        return [len(events) for events, told, _ in self.mailer.sent if told is Channel.ADMINISTRATORS]

    def lose(self, numbers: Iterable[int]) -> None:
        """So many other people must authorize again."""
        grant = self.grant()
        assert grant is not None
        for number in numbers:
            other = replace(grant, user_id=f"S-{number}", state_at=self.clock.now())
            other = replace(other, state=GrantState.NEEDS_REAUTHORIZATION)
            self.grant_store.grants[(other.user_id, "northwind", 1, "")] = other
            self.events.tell(Event.of_grant(EventKind.GRANT_NEEDS_REAUTHORIZATION, other, PROVIDER, self.clock.now()))

    def lose_alice(self) -> None:
        """Her cloud refuses for good, whatever she has authorized before."""
        self.authorize(ACCOUNT)
        self.clock.advance(HOUR)
        self.fail(CloudRefused("invalid_grant"))

    def fail_and_recover(self) -> None:
        """After so long that people are told."""
        self.fail(CloudUnavailable())
        self.deliver_later(PATIENCE_SECONDS)
        self.fetch()
        self.events.deliver_due()

    def deliver_later(self, seconds: int) -> int:
        self.clock.advance(seconds)
        return self.events.deliver_due()


@pytest.fixture
def world() -> World:
    return World()


@pytest.fixture
def lines() -> Iterator[list[str]]:
    """What the service logs."""
    logged: list[str] = []
    handler = logging.Handler()
    handler.emit = lambda record: logged.append(record.getMessage())  # type: ignore[method-assign]
    logger = logging.getLogger("chalicelib.services.events")
    logger.addHandler(handler)
    yield logged
    logger.removeHandler(handler)


class TestOfRefreshes:
    def test_a_refused_refresh_is_told_to_everybody_once(self, world: World) -> None:
        world.fail(CloudRefused("invalid_grant"))
        for _ in range(3):
            with pytest.raises(TokenRefused):
                world.fetch()
        assert world.events.deliver_due() == 3
        assert world.events.deliver_due() == 0
        assert world.published() == ["grant.needs_reauthorization"]
        (event,) = world.bus.published
        assert (event.user_id, event.provider_name) == (ALICE.id, PROVIDER.name)
        assert (event.reason, event.account) == ("refused_by_cloud", ACCOUNT.label)
        assert world.mailer.sent == [
            ((event,), Channel.PERSON, ALICE.email),
            ((event,), Channel.ADMINISTRATORS, TEAM),
        ]

    def test_a_failure_is_published_at_once_and_mailed_when_it_stays(self, world: World) -> None:
        world.fail(CloudUnavailable())
        world.events.deliver_due()
        assert (world.published(), world.mailer.sent) == (["grant.failing"], [])
        world.deliver_later(PATIENCE_SECONDS - 1)
        assert world.mailer.sent == []
        world.deliver_later(1)
        assert world.mails(Channel.PERSON) == world.mails(Channel.ADMINISTRATORS) == ["grant.failing"]

    def test_a_failure_that_passes_is_never_mailed_nor_is_its_end(self, world: World) -> None:
        world.fail(CloudUnavailable())
        world.clock.advance(60)
        world.fetch()
        world.deliver_later(2 * PATIENCE_SECONDS)
        assert (world.published(), world.mailer.sent) == (["grant.failing", "grant.recovered"], [])

    def test_a_recovery_is_mailed_to_who_was_told_of_the_failure(self, world: World) -> None:
        world.fail(CloudUnavailable())
        world.deliver_later(PATIENCE_SECONDS)
        world.fetch()
        world.deliver_later(1)
        assert world.mails(Channel.PERSON) == ["grant.failing", "grant.recovered"]

    def test_a_wrong_registration_is_the_administrators_matter(self, world: World) -> None:
        world.fail(CloudMisconfigured("invalid_client"))
        world.events.deliver_due()
        (event,) = world.bus.published
        assert (event.kind, event.reason, event.user_id) == (EventKind.PROVIDER_MISCONFIGURED, "invalid_client", "")
        assert world.mailer.sent == [((event,), Channel.ADMINISTRATORS, TEAM)]

    def test_a_token_that_ended_without_another_and_one_that_does_not_open_are_told(self, world: World) -> None:
        grant = world.grant()
        assert grant is not None
        world.grant_store.grants[(ALICE.id, "northwind", 1, "")] = replace(grant, token_set=b"changed")
        with pytest.raises(TokenRefused):
            world.fetch()
        world.events.deliver_due()
        (event,) = world.bus.published
        assert (event.kind, event.reason) == (EventKind.GRANT_NEEDS_REAUTHORIZATION, GrantReason.UNREADABLE.value)

    def test_an_outbox_that_cannot_be_written_fails_no_refresh(self, world: World, lines: list[str]) -> None:
        world.fail(CloudUnavailable())
        world.outbox.fail_adding = True
        world.clock.advance(60)
        world.fetch()
        assert lines == ["event.lost"] * 3


class TestMails:
    @pytest.fixture
    def refused(self, world: World) -> World:
        world.fail(CloudRefused("invalid_grant"))
        return world

    def again(self, world: World) -> None:
        """She authorizes again, and the cloud refuses again."""
        world.authorize(ACCOUNT)
        world.clock.advance(HOUR)
        world.fail(CloudRefused("invalid_grant"))
        world.events.deliver_due()

    def test_a_second_loss_of_one_grant_is_another_matter(self, refused: World) -> None:
        refused.events.deliver_due()
        refused.clock.advance(60)
        self.again(refused)
        assert len(refused.bus.published) == 3
        assert refused.mails(Channel.PERSON) == ["grant.needs_reauthorization"] * 2

    def test_what_was_lost_again_before_it_was_told_is_told_once(self, refused: World) -> None:
        refused.mailer.fails = 3
        refused.events.deliver_due()
        refused.clock.advance(60)
        self.again(refused)
        refused.deliver_later(HOUR)
        refused.deliver_later(HOUR)
        assert refused.mails(Channel.PERSON) == ["grant.needs_reauthorization"]
        assert refused.digests() == [1]

    @pytest.mark.parametrize(
        "change",
        [
            lambda world: world.authorize(ACCOUNT),
            lambda world: world.providers.update(replace(world.providers.get("northwind"), enabled=False)),
            lambda world: world.grant_store.grants.clear(),
        ],
        ids=["authorized again", "provider disabled", "revoked"],
    )
    def test_what_has_passed_is_not_mailed(self, refused: World, change: Callable[[World], object]) -> None:
        change(refused)
        refused.events.deliver_due()
        assert refused.published()[0] == "grant.needs_reauthorization"
        assert refused.mailer.sent == []

    def test_who_left_gets_no_mail(self, refused: World) -> None:
        refused.users.records[ALICE.id] = replace(refused.users.records[ALICE.id], departure=Departure.DISABLED)
        refused.events.deliver_due()
        assert refused.mails(Channel.PERSON) == []
        assert refused.mails(Channel.ADMINISTRATORS) == ["grant.needs_reauthorization"]

    @pytest.mark.parametrize("email", ["", "alice", "alice@contoso.example\r\nBcc: x@y.example", "Alice <a@b.example>"])
    def test_nothing_is_sent_to_what_is_no_address(self, refused: World, email: str) -> None:
        refused.users.enrol(replace(ALICE, email=email), sessions_until=0, at=NOW)
        refused.events.deliver_due()
        assert refused.mails(Channel.PERSON) == []

    def test_a_failure_that_ended_by_a_new_authorization_is_over_for_the_others_who_heard_of_it(
        self, world: World
    ) -> None:
        world.fail(CloudUnavailable())
        world.deliver_later(PATIENCE_SECONDS)
        world.authorize(ACCOUNT)
        world.events.deliver_due()
        assert world.published() == ["grant.failing", "grant.recovered"]
        assert world.bus.published[1].reason == AUTHORIZED_AGAIN
        # She has just done it herself
        assert world.mails(Channel.PERSON) == ["grant.failing"]
        assert world.mails(Channel.ADMINISTRATORS) == ["grant.failing", "grant.recovered"]


class TestDigests:
    """Administrators hear of everybody, and not once for each."""

    def test_many_at_once_are_one_mail(self, world: World) -> None:
        world.lose(range(300))
        assert world.events.deliver_due() == 600
        assert world.digests() == [300]

    def test_the_first_is_told_at_once_and_those_after_it_in_one_mail_an_hour_later(self, world: World) -> None:
        world.lose([0])
        world.events.deliver_due()
        for number in range(1, 301):
            world.lose([number])
            world.deliver_later(5)
        assert world.digests() == [1]
        world.deliver_later(DIGEST_SECONDS)
        assert world.digests() == [1, 300]
        world.deliver_later(DIGEST_SECONDS)
        assert world.digests() == [1, 300]

    def test_what_is_over_by_then_is_in_none(self, world: World) -> None:
        world.lose([0])
        world.events.deliver_due()
        world.lose(range(1, 5))
        world.deliver_later(5)
        for number in (1, 2):
            del world.grant_store.grants[(f"S-{number}", "northwind", 1, "")]
        world.deliver_later(DIGEST_SECONDS)
        assert world.digests() == [1, 2]

    def test_who_was_told_of_a_loss_is_told_that_it_is_over_and_of_no_other(self, world: World) -> None:
        world.fail(CloudUnavailable())
        world.deliver_later(PATIENCE_SECONDS)
        grant = world.grant()
        assert grant is not None
        # Failing for a moment: nobody heard of it
        lost = replace(grant, user_id="S-9", state_at=world.clock.now())
        back = replace(lost, state=GrantState.ACTIVE)
        world.grant_store.grants[("S-9", "northwind", 1, "")] = back
        world.events.tell(Event.of_grant(EventKind.GRANT_FAILING, lost, PROVIDER, world.clock.now()))
        world.events.tell(Event.of_recovery(lost, back, PROVIDER, world.clock.now()))
        world.fetch()
        world.events.deliver_due()
        assert world.mails(Channel.ADMINISTRATORS) == ["grant.failing", "grant.recovered"]
        assert [event.user_id for event in world.mailer.sent[-1][0]] == [ALICE.id]

    def test_a_registration_that_works_again_is_told(self, world: World) -> None:
        world.fail(CloudMisconfigured("invalid_client"))
        world.events.deliver_due()
        world.clock.advance(HOUR)
        world.fetch()
        world.events.deliver_due()
        assert world.published() == ["provider.misconfigured", "provider.recovered"]
        assert world.mails(Channel.ADMINISTRATORS) == ["provider.misconfigured", "provider.recovered"]
        assert world.mails(Channel.PERSON) == []

    def test_one_that_passed_before_anybody_heard_of_it_is_no_mail(self, world: World) -> None:
        world.fail(CloudMisconfigured("invalid_client"))
        world.clock.advance(HOUR)
        world.fetch()
        world.events.deliver_due()
        assert (world.published(), world.mailer.sent) == (["provider.misconfigured", "provider.recovered"], [])

    def test_a_mail_that_did_not_go_out_is_tried_again_in_a_minute(self, world: World) -> None:
        world.lose([0, 1])
        world.mailer.fails = 1
        world.events.deliver_due()
        assert world.digests() == []
        world.deliver_later(60)
        assert world.digests() == [2]

    def test_f29_of_two_runs_at_once_one_sends_it(self, world: World) -> None:
        world.lose([0, 1])
        send = world.mailer.send

        def meanwhile(events: Sequence[Event], channel: Channel, address: str) -> None:
            world.mailer.send = send  # type: ignore[method-assign]
            world.events.deliver_due()
            send(events, channel, address)

        world.mailer.send = meanwhile  # type: ignore[method-assign]
        world.events.deliver_due()
        world.deliver_later(DIGEST_SECONDS)
        assert world.digests() == [2]

    def test_who_has_the_mail_does_not_get_it_again_for_somebody_who_has_not(self, world: World) -> None:
        world.events._outlets = replace(world.events._outlets, administrators=(TEAM, "second@contoso.example"))
        world.lose([0])
        world.mailer.fails = 1
        world.events.deliver_due()
        world.deliver_later(DIGEST_SECONDS)
        assert [address for _, _, address in world.mailer.sent] == ["second@contoso.example"]


class TestDelivery:
    @pytest.fixture
    def told(self, world: World) -> World:
        world.fail(CloudRefused("invalid_grant"))
        return world

    def test_what_fails_is_tried_again_until_it_works(self, told: World) -> None:
        told.bus.fails, told.mailer.fails = 2, 2
        assert told.events.deliver_due() == 0
        assert told.events.deliver_due() == 0
        assert told.deliver_later(60) == 3
        assert told.deliver_later(HOUR) == 0
        assert (len(told.bus.published), len(told.mailer.sent)) == (1, 2)

    def test_it_is_given_up_after_days_and_said(self, told: World, lines: list[str]) -> None:
        told.bus.fails = 1000
        for _ in range(GIVE_UP_SECONDS // HOUR):
            told.deliver_later(HOUR)
        assert told.outbox.waiting == {}
        assert lines.count("event.lost") == 1
        assert lines[-1] == "event.lost"
        (lost,) = told.events.lost()
        assert (lost.channel, lost.error) == (Channel.BUS, "EventBridge: InternalFailure")

    def test_f29_what_another_run_has_claimed_is_left_alone(self, told: World) -> None:
        due = told.outbox.due
        told.outbox.due = lambda *a, **k: [replace(one, attempts=9) for one in due(*a, **k)]  # type: ignore[method-assign]
        # Every look at the clock takes a second, so that the time of the run ends
        monotonic = told.clock.monotonic
        told.clock.monotonic = lambda: (told.clock.sleep(1), monotonic())[1]  # type: ignore[method-assign, func-returns-value]
        told.events.deliver_due()
        assert told.bus.published == []
        assert told.mails(Channel.PERSON) == []

    def test_a_run_ends_in_time_and_the_next_one_goes_on(self, told: World) -> None:
        publish = told.bus.publish
        told.bus.publish = lambda event: (told.clock.sleep(9), publish(event))[1]  # type: ignore[method-assign, func-returns-value]
        grant = told.grant()
        assert grant is not None
        for number in range(3):
            told.events.tell(Event.of_grant(EventKind.GRANT_RECOVERED, replace(grant, state_at=number), PROVIDER, NOW))
        told.events.deliver_due(BUDGET.piece_seconds + RESERVE_SECONDS + 10)
        assert len(told.bus.published) == 2
        told.events.deliver_due()
        assert len(told.bus.published) == 4

    def test_r99_a_mail_service_that_hangs_keeps_no_event_from_the_bus(self, told: World) -> None:
        grant = told.grant()
        assert grant is not None
        for number in range(1000):
            told.events.tell(Event.of_grant(EventKind.GRANT_RECOVERED, replace(grant, state_at=number), PROVIDER, NOW))

        def hangs(*_: object) -> None:
            told.clock.sleep(9)
            raise Undeliverable

        told.mailer.send = hangs  # type: ignore[method-assign]
        told.events.deliver_due()
        assert len(told.bus.published) == 1001

    def test_r99_a_delivery_that_breaks_the_program_ends_no_run(self, told: World) -> None:
        publish, tries = told.bus.publish, []

        def breaks(events: Sequence[Event]) -> Mapping[str, str]:
            tries.append(events)
            if len(tries) == 1:
                raise ZeroDivisionError
            return publish(events)

        told.bus.publish = breaks  # type: ignore[method-assign]
        assert told.events.deliver_due() == 2
        assert told.deliver_later(60) == 1

    def test_r99_one_event_that_breaks_the_program_keeps_none_of_its_call(self, told: World, lines: list[str]) -> None:
        publish = told.bus.publish

        def breaks(events: Sequence[Event]) -> Mapping[str, str]:
            if ALICE.id in {event.user_id for event in events}:
                raise ZeroDivisionError
            return publish(events)

        told.bus.publish = breaks  # type: ignore[method-assign]
        told.lose(range(15))
        told.events.deliver_due()
        assert sorted(event.user_id for event in told.bus.published) == sorted(f"S-{n}" for n in range(15))
        for _ in range(GIVE_UP_SECONDS // HOUR + 2):
            told.deliver_later(HOUR)
        assert [key for key in told.outbox.waiting if key[1] is Channel.BUS] == []
        assert "event.lost" in lines

    def test_r99_what_breaks_the_outbox_is_lost_and_told_and_stops_nothing(
        self, world: World, lines: list[str], monkeypatch: pytest.MonkeyPatch
    ) -> None:
        monkeypatch.setattr(world.outbox, "add", lambda _: 1 // 0)
        world.fail(CloudRefused("invalid_grant"))
        assert lines.count("event.lost") == 3

    def test_r99_a_delivery_that_always_breaks_the_program_is_given_up(self, told: World, lines: list[str]) -> None:
        def breaks(*_: object) -> None:
            raise ZeroDivisionError

        told.mailer.send = breaks  # type: ignore[method-assign]
        for _ in range(GIVE_UP_SECONDS // HOUR + 7):
            told.deliver_later(HOUR)
        assert [key for key in told.outbox.waiting if key[1] is not Channel.BUS] == []
        assert lines.count("event.lost") == 2

    def test_what_never_had_a_try_is_never_given_up(self, told: World) -> None:
        told.deliver_later(2 * GIVE_UP_SECONDS)
        assert (len(told.bus.published), len(told.mailer.sent), told.events.lost()) == (1, 2, [])

    def test_what_was_only_held_back_is_never_given_up(self, told: World) -> None:
        told.events.deliver_due()
        told.lose([1])
        told.deliver_later(60)
        told.deliver_later(2 * GIVE_UP_SECONDS)
        assert told.digests() == [1, 1]

    def test_what_was_lost_is_sent_again_by_an_administrator_and_has_a_life_anew(self, told: World) -> None:
        told.bus.fails = told.mailer.fails = 10**6
        for _ in range(GIVE_UP_SECONDS // HOUR + 7):
            told.deliver_later(HOUR)
        lost = {one.channel: one for one in told.events.lost()}
        assert set(lost) == set(Channel)
        event = lost[Channel.BUS].event
        told.events.send_again(event.id, Channel.BUS, BY, ORIGIN)
        with pytest.raises(NotFound):
            told.events.send_again(event.id, Channel.BUS, BY, ORIGIN)
        told.deliver_later(60)
        told.bus.fails = told.mailer.fails = 0
        told.deliver_later(60)
        assert (told.published(), told.mailer.sent) == (["grant.needs_reauthorization"], [])
        told.events.send_all_again(BY, ORIGIN)
        told.events.deliver_due()
        assert (len(told.mailer.sent), told.events.lost()) == (2, [])
        entries = [one for one in told.audit_log.events if one.tag is AuditTag.EVENT_SENT_AGAIN]
        assert {(one.actor, one.user_id, one.facts["channel"]) for one in entries} == {
            (BY.id, ALICE.id, channel.value) for channel in Channel
        }

    def test_r84_the_same_event_told_twice_is_one(self, told: World) -> None:
        (delivery, *_) = told.outbox.waiting.values()
        told.events.deliver_due()
        told.events.tell(delivery.event)
        assert told.events.deliver_due() == 0

    def test_without_outlets_nothing_is_written_or_asked(self, world: World) -> None:
        outbox = FakeOutbox()
        off = EventService(
            outbox=outbox,
            outlets=Outlets(),
            grants=world.grant_store,
            users=world.users,
            mail=world.mail_store,
            audit_log=world.audit_log,
            clock=world.clock,
            engine=world.engine,
        )
        grant = world.grant()
        assert grant is not None
        off.tell(Event.of_grant(EventKind.GRANT_FAILING, grant, PROVIDER, NOW))
        assert (outbox.known, off.is_on, off.deliver_due()) == (set(), False, 0)

    def test_administrators_without_a_sender_hear_nothing(self) -> None:
        assert Outlets(administrators=TEAM).channels == frozenset()


def counted(calls: Counter[str], name: str, call: Callable[..., object]) -> Callable[..., object]:
    def counting(*arguments: object, **named: object) -> object:
        calls[name] += 1
        return call(*arguments, **named)

    return counting


class TestManyAtOnce:
    """Counted in calls, since seconds are the machine's."""

    def test_a_thousand_go_out_in_a_run_and_in_calls_of_ten(self, world: World) -> None:
        for number in range(1000):
            world.users.enrol(replace(ALICE, id=f"S-{number}"), sessions_until=0, at=NOW)
        world.lose(range(1000))
        calls = Counter[str]()
        for name in ("change", "finish", "told", "mails_sent", "note_mails"):
            setattr(world.outbox, name, counted(calls, name, getattr(world.outbox, name)))
        for name in ("load", "of_these"):
            setattr(world.grant_store, name, counted(calls, name, getattr(world.grant_store, name)))
        assert world.events.deliver_due() == 3000
        # Each event and each mail to a person is claimed; ends are noted together, and the digest is one thing
        assert calls == {
            "change": 2000, "finish": 100 + 1000 + 1, "load": 1001, "of_these": 1, "mails_sent": 2,
            "note_mails": 1,
        }  # fmt: skip
        assert (world.bus.calls, len(world.bus.published)) == (100, 1000)
        assert len(world.mails(Channel.PERSON)) == 1000
        assert world.digests() == [1000]
        assert world.outbox.waiting == {}

    def test_mails_keep_to_the_rate_that_the_mail_service_gives_and_ask_for_it_once(self, world: World) -> None:
        for number in range(100):
            world.users.enrol(replace(ALICE, id=f"S-{number}"), sessions_until=0, at=NOW)
        world.mailer.per_second = 14
        world.lose(range(100))
        began = world.clock.monotonic()
        world.events.deliver_due()
        assert len(world.mailer.sent) == 101
        assert world.clock.monotonic() - began == pytest.approx(100 / 14)
        assert world.mailer.asked == 1

    def test_what_the_bus_does_not_take_is_tried_again_and_the_rest_is_not(self, world: World) -> None:
        world.lose(range(30))
        world.bus.refused = {"S-3", "S-17"}
        world.events.deliver_due()
        assert len(world.bus.published) == 28
        world.bus.refused.clear()
        world.events.deliver_due()
        assert [event.user_id for event in world.bus.published[28:]] == ["S-3", "S-17"]

    def test_events_of_one_grant_go_out_in_their_order(self, world: World) -> None:
        grant = world.grant()
        assert grant is not None
        for number in range(5):
            for user_id in ("S-1", "S-2"):
                other = replace(grant, user_id=user_id, state_at=number)
                world.events.tell(Event.of_grant(EventKind.GRANT_FAILING, other, PROVIDER, NOW + number))
        world.bus.refused = {"S-1"}
        world.events.deliver_due()
        assert [event.user_id for event in world.bus.published] == ["S-2"] * 5
        world.bus.refused.clear()
        world.bus.fails = 1
        world.events.deliver_due()
        world.events.deliver_due()
        assert [event.stamp for event in world.bus.published] == [*range(5), *range(5)]

    def test_a_bus_that_is_down_is_asked_once_a_run_and_what_waits_for_it_is_in_the_metric(
        self, world: World, caplog: pytest.LogCaptureFixture
    ) -> None:
        caplog.set_level(logging.INFO)
        world.lose(range(50))
        world.bus.fails = 10
        world.deliver_later(900)
        assert world.bus.calls == 1
        (line,) = [record for record in caplog.records if record.getMessage() == "background.ran"]
        assert line.__dict__["seconds"] == 900


def test_the_id_follows_from_what_happened(world: World) -> None:
    grant = world.grant()
    assert grant is not None
    ids = {
        Event.of_grant(kind, one, PROVIDER, at).id
        for kind in (EventKind.GRANT_FAILING, EventKind.GRANT_RECOVERED)
        for one in (grant, replace(grant, state_at=grant.state_at + 1), replace(grant, user_id="S-2"))
        for at in (NOW, NOW + 1)
    }
    assert len(ids) == 6


def test_a_lapse_is_told_once_between_two_refreshes(world: World) -> None:
    grant = world.grant()
    assert grant is not None
    failing = replace(grant, version=grant.version + 3, state=GrantState.FAILING)
    assert Event.of_lapse(grant, PROVIDER, 5, NOW).id == Event.of_lapse(failing, PROVIDER, 5, NOW + 9).id
    refreshed = replace(grant, refreshed_at=NOW + 9)
    assert Event.of_lapse(grant, PROVIDER, 5, NOW).id != Event.of_lapse(refreshed, PROVIDER, 5, NOW).id


def test_each_attempt_waits_longer(world: World) -> None:
    grant = world.grant()
    assert grant is not None
    delivery = Delivery.first(Event.of_grant(EventKind.GRANT_RECOVERED, grant, PROVIDER, NOW), Channel.PERSON)
    waits = []
    for _ in range(6):
        delivery = delivery.claimed(NOW)
        waits.append(delivery.due_at - NOW)
    assert waits == [60, 240, 960, 3840, 15360, 21600]


def test_who_is_stopped_is_told_whatever_became_of_it_and_a_gone_grant_is_not(world: World) -> None:
    world.events.tell(Event.of_client(APPLICATION, "too many calls", world.clock.now()))
    world.cloud.fail_next(CloudRefused("invalid_grant"))
    with pytest.raises(TokenRefused):
        world.fetch()
    world.providers.providers.clear()
    world.grant_store.grants.clear()
    world.deliver_later(PATIENCE_SECONDS)
    assert world.mails(Channel.ADMINISTRATORS) == ["client.frozen"]
    assert world.mails(Channel.PERSON) == []


def test_a_bus_that_was_switched_off_since_gets_nothing_and_keeps_nothing_waiting(world: World) -> None:
    world.bus.available = False
    world.fail(CloudRefused("invalid_grant"))
    world.events._outlets = replace(world.events._outlets, bus=None)
    world.deliver_later(PATIENCE_SECONDS)
    assert (world.published(), [one for one in world.outbox.waiting.values() if one.channel is Channel.BUS]) == ([], [])
