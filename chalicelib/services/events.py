"""Telling people and programs what befell authorizations, each once: written down first, delivered in the background.

Whoever wins the write that changes a grant tells it here. That is one small write, which can fail without harm to
what is told about; the bus and the mail service are asked by a background function alone, again and again where they
do not answer (docs/adr/0050-events-leave-by-an-outbox.md).
"""

import logging
from collections.abc import Iterator, Sequence
from contextlib import suppress
from dataclasses import dataclass, field, replace
from functools import partial
from itertools import islice
from threading import Lock

from chalicelib.domain.audit import Actor, AuditEvent, AuditTag, Origin, Outcome, Period
from chalicelib.domain.errors import Conflict, InvalidRequest, NotFound, Undeliverable, VaultError, place_of
from chalicelib.domain.event import Channel, Delivery, Event, EventKind, MailsSent
from chalicelib.domain.mail import is_mail_address
from chalicelib.ports import AuditLog, Clock, EventBus, GrantStore, Mailer, MailStore, Outbox, UserStore

from .background import Budget, Engine, Piece, Queue

_LOG = logging.getLogger(__name__)

BUDGET = Budget("deliver_events", run_seconds=50, piece_seconds=60, at_once=4)
_MOST_IN_DIGESTS = 5000
"""So many deliveries are read and finished, or noted as failed, in half a piece's time."""
_HELD_AT_ONCE = 100
_BATCH = 10
"""Entries in one call of the bus, as `ports.EventBus` takes them."""
_MOST_LOST = 100


@dataclass(frozen=True, slots=True)
class Outlets:
    """Where events go; what the settings leave out is not there, and without any nothing is written down."""

    bus: EventBus | None = None
    mailer: Mailer | None = None
    administrators: tuple[str, ...] = ()
    """Their mail addresses."""
    channels: frozenset[Channel] = field(init=False)

    def __post_init__(self) -> None:
        there = {
            Channel.BUS: self.bus is not None,
            Channel.PERSON: self.mailer is not None,
            Channel.ADMINISTRATORS: self.mailer is not None and bool(self.administrators),
        }
        object.__setattr__(self, "channels", frozenset(channel for channel, is_there in there.items() if is_there))


class EventService:
    """Takes events in and brings them out."""

    def __init__(
        self,
        *,
        outbox: Outbox,
        outlets: Outlets,
        grants: GrantStore,
        users: UserStore,
        mail: MailStore,
        audit_log: AuditLog,
        clock: Clock,
        engine: Engine,
    ) -> None:
        self._engine = engine
        self._audit_log = audit_log
        self._pace = _Pace(clock, outlets.mailer)
        self._outbox = outbox
        self._outlets = outlets
        self._grants = grants
        self._users = users
        self._mail_store = mail
        self._clock = clock

    @property
    def is_on(self) -> bool:
        """False where nobody wants to hear anything: then nothing is called for it."""
        return bool(self._outlets.channels)

    def tell(self, event: Event) -> None:
        """Write the event down for everybody who is told. Never fails: what it is about has happened already."""
        if not self.is_on:
            return
        # What is told has just happened, by the same clock
        ms = min(max(self._clock.milliseconds() - 1000 * event.at, 0), 999)
        event = replace(event, ms=ms)
        for channel in event.channels:
            if channel not in self._outlets.channels:
                continue
            try:
                self._outbox.add(Delivery.first(event, channel))
            except Exception as error:
                _LOG.error("event.lost", extra=_line(event, channel) | _cause(error))

    def deliver_due(self, left: float | None = None) -> int:
        """Deliver what is due, in turns between the channels. Returns how much was delivered.

        `left`: seconds that the function still lives; None where nobody ends it.
        """
        if not self.is_on:
            return 0
        self._pace = _Pace(self._clock, self._outlets.mailer)
        line = _Line()
        queues = [Queue(channel or "", self._pieces(channel)) for channel in (None, Channel.PERSON)]
        queues.append(Queue(Channel.ADMINISTRATORS, self._digests()))
        queues.append(Queue(Channel.BUS, self._batches(line), at_once=1, waits_since=lambda: line.waits_since))
        return self._engine.run(BUDGET, queues, left).done

    def _pieces(self, channel: Channel | None) -> Iterator[Piece]:
        for delivery in self._outbox.due(channel, self._clock.now()):
            yield Piece(delivery.due_at, partial(self._deliver, delivery))

    def _deliver(self, delivery: Delivery) -> int | None:
        match delivery.channel:
            case Channel.BUS:
                return self._publish([delivery], _Line())
            case Channel.ADMINISTRATORS:
                return self._digest([delivery])
        return self._tell_person(delivery)

    # Events to the bus

    def _batches(self, line: "_Line") -> Iterator[Piece]:
        """As many as the bus takes in one call, of each grant one at a time, so that none overtakes another."""
        batch: list[Delivery] = []
        for delivery in self._outbox.due(Channel.BUS, self._clock.now()):
            if line.is_held(delivery, self._clock.now()):
                continue
            if len(batch) == _BATCH or delivery.event.line in {one.event.line for one in batch}:
                yield Piece(batch[0].due_at, partial(self._publish, batch, line))
                batch = []
                if line.is_down:
                    line.hold(delivery)
                    return
                if line.is_held(delivery, self._clock.now()):
                    continue
            batch.append(delivery)
        if batch:
            yield Piece(batch[0].due_at, partial(self._publish, batch, line))

    def _publish(self, batch: Sequence[Delivery], line: "_Line") -> int | None:
        now = self._clock.now()
        claimed = [taken for one in batch if (taken := self._claimed(one, line, now))]
        return self._sent(claimed, line) if claimed else 0

    def _sent(self, claimed: Sequence[Delivery], line: "_Line") -> int | None:
        try:
            refused = self._outlets.bus.publish([one.event for one in claimed]) if self._outlets.bus else {}
        except VaultError as error:
            refused = dict.fromkeys((one.event.id for one in claimed), error.detail)
            line.is_down = True
        except Exception:
            if len(claimed) == 1:
                line.hold(claimed[0])
                raise
            return self._sent_singly(claimed, line)
        gone = [one for one in claimed if one.event.id not in refused]
        self._outbox.finish(gone, told=[one.event.id for one in gone] if self._outlets.bus else [])
        for one in claimed:
            if one.event.id in refused:
                line.hold(one)
                self._failed(one, one.failed(refused[one.event.id]))
        return len(gone) if gone or not refused else None

    def _sent_singly(self, claimed: Sequence[Delivery], line: "_Line") -> int:
        """One of them breaks the program, and must not keep the others. It is told when they are gone."""
        gone, broken = 0, None
        for one in claimed:
            try:
                gone += self._sent([one], line) or 0
            except Exception as error:
                broken = error
        if broken is not None:
            raise broken
        return gone

    def _claimed(self, delivery: Delivery, line: "_Line", now: int) -> Delivery | None:
        if self._is_given_up(delivery, now):
            return None
        try:
            self._outbox.change(delivery, claimed := delivery.claimed(now))
        except Conflict:
            line.hold(delivery)
            return None
        return claimed

    def _is_given_up(self, delivery: Delivery, now: int) -> bool:
        """Its life is over, whatever kept it from being delivered: the list of what was lost has it now."""
        if not delivery.is_hopeless(now):
            return False
        self._outbox.bury(delivery)
        _LOG.error("event.lost", extra=_line(delivery.event, delivery.channel) | {"detail": delivery.error})
        return True

    def _failed(self, claimed: Delivery, failed: Delivery) -> None:
        """It stays in the outbox; what was said is noted where that is possible."""
        _LOG.warning("event.undelivered", extra=_line(failed.event, failed.channel) | {"detail": failed.error})
        with suppress(Conflict):
            self._outbox.change(claimed, failed)

    # Mails to people

    def _tell_person(self, delivery: Delivery) -> int | None:
        now, event = self._clock.now(), delivery.event
        if self._is_given_up(delivery, now):
            return 0
        self._outbox.change(delivery, claimed := delivery.claimed(now))
        try:
            is_sent = self._mail(event)
        except VaultError as error:
            self._failed(claimed, claimed.failed(error.detail))
            return None
        self._outbox.finish([claimed], told=[event.id] if is_sent else [])
        return int(is_sent)

    def _mail(self, event: Event) -> bool:
        mailer, address = self._outlets.mailer, self._address(event)
        if mailer is None or not address or not self._holding([event], Channel.PERSON):
            return False
        self._pace.wait()
        mailer.send([event], Channel.PERSON, address)
        return True

    def _address(self, event: Event) -> str:
        """The directory's of today; none for who left, does without this kind, or whose address refused a mail."""
        record = self._users.get(event.user_id)
        if record is None or record.departure is not None or not is_mail_address(record.user.email):
            return ""
        address = record.user.email
        standing = self._mail_store.standing(event.user_id, address)
        return address if standing.takes(event.kind, self._clock.now()) else ""

    def _holding(self, events: Sequence[Event], channel: Channel) -> list[Event]:
        """Those that are so now, and news to who is told. All are about one provider or application."""
        first = events[0]
        if first.client_id:
            # Stopped, and resumed perhaps: that it happened is what its reader must know
            return list(events)
        try:
            holding = self._grants.load(*first.grant_id)
        except NotFound:
            return []
        grants = {first.account_of: holding.grant}
        if others := [event.account_of for event in events[1:]]:
            found = self._grants.of_these(first.provider_id, holding.provider.generation, others)
            grants |= {(grant.user_id, grant.slot): grant for grant in found}
        losses = {event.loss for event in events} - {""}
        told = self._outbox.told(channel, losses) if losses else frozenset()
        still = [event for event in events if event.still_holds(holding, grants.get(event.account_of))]
        return [event for event in still if event.kind is not EventKind.GRANT_RECOVERED or event.loss in told]

    # Mails to administrators

    def _digests(self) -> Iterator[Piece]:
        """What is due, by kind and provider: one mail each, unless the last one was a moment ago."""
        due = self._outbox.due(Channel.ADMINISTRATORS, self._clock.now())
        groups: dict[tuple[EventKind, str], list[Delivery]] = {}
        for delivery in islice(due, _MOST_IN_DIGESTS):
            groups.setdefault((delivery.event.kind, delivery.event.subject), []).append(delivery)
        for (kind, subject), group in groups.items():
            until = self._next_mail_at(kind, subject)
            if until <= self._clock.now():
                yield Piece(group[0].due_at, partial(self._digest, group))
                continue
            for start in range(0, len(group), _HELD_AT_ONCE):
                part = group[start : start + _HELD_AT_ONCE]
                yield Piece(part[0].due_at, partial(self._hold, part, until))

    def _next_mail_at(self, kind: EventKind, subject: str) -> int:
        try:
            return self._outbox.mails_sent(subject).next_at(kind)
        except Exception:
            # Met and told by its own piece, so that the next ones have their turn
            return 0

    def _hold(self, deliveries: Sequence[Delivery], until: int) -> int:
        for delivery in deliveries:
            with suppress(Conflict):
                self._outbox.change(delivery, delivery.held(until))
        return 0

    def _digest(self, group: Sequence[Delivery]) -> int | None:
        """One mail about all of it, to each administrator. What is no longer so is in none."""
        now, mails = self._clock.now(), self._outbox.mails_sent(group[0].event.subject)
        until = mails.next_at(group[0].event.kind)
        if until > now:
            # Another run was faster
            return self._hold(group, until)
        group = [one for one in group if not self._is_given_up(one, now)]
        events = self._news([delivery.event for delivery in group], mails) if group else []
        if events:
            # Whoever is faster with this sends it, the other one finds a conflict
            self._outbox.note_mails(mails.with_sent(events[0], now), now)
            try:
                self._send_to_each(events)
            except Exception as error:
                # Also what breaks the program: it is noted, so that it is given up after its life
                with suppress(Conflict):
                    self._outbox.note_mails(mails.failed(events[0], now), now)
                said = error.detail if isinstance(error, VaultError) else type(error).__name__
                for one in (one for one in group if one.error != said):
                    self._failed(one, replace(one.held(now), error=said))
                if not isinstance(error, VaultError):
                    raise
                return None
        self._outbox.finish(group, told=[event.id for event in events])
        return len(events)

    def _news(self, events: Sequence[Event], mails: MailsSent) -> list[Event]:
        if self._outlets.mailer is None or not self._outlets.administrators:
            return []
        if events[0].kind is EventKind.PROVIDER_RECOVERED and not mails.is_open(EventKind.PROVIDER_MISCONFIGURED):
            return []
        return self._holding(events, Channel.ADMINISTRATORS)

    def _send_to_each(self, events: Sequence[Event]) -> None:
        """Raises Undeliverable where nobody got it: who has it is not to get it again for somebody who has not."""
        kind, now = events[0].kind, self._clock.now()
        known = ((address, self._mail_store.standing("", address)) for address in self._outlets.administrators)
        addresses = [address for address, standing in known if standing.takes(kind, now)]
        failures: list[VaultError] = [] if addresses else [Undeliverable(detail="SES: every address has refused mail")]
        for address in addresses:
            self._pace.wait()
            try:
                self._outlets.mailer.send(events, Channel.ADMINISTRATORS, address)  # type: ignore[union-attr]
            except VaultError as error:
                failures.append(error)
                _LOG.warning("event.undelivered", extra=_line(events[0], Channel.ADMINISTRATORS) | _cause(error))
        if len(failures) >= len(addresses):
            raise failures[0]

    # What went out once more

    def replay(self, period: Period, *, provider_id: str, kind: EventKind | None, by: Actor, origin: Origin) -> int:
        """Send the bus again what it took of these days; an empty `provider_id` and no kind ask for all. How many.

        Raises InvalidRequest where no bus is named.
        """
        if self._outlets.bus is None:
            raise InvalidRequest("VAULT_EVENT_BUS names no bus.")
        facts = {"from": period.first.isoformat(), "to": period.last.isoformat(), "kind": kind.value if kind else "-"}
        event = AuditEvent(AuditTag.EVENTS_REPLAYED, Outcome.SUCCESS, by.id, origin, "", provider_id, facts, by.name)
        self._audit_log.record(event)
        number = 0
        for delivery in self._outbox.published(period):
            if provider_id in ("", delivery.event.provider_id) and kind in (None, delivery.event.kind):
                with suppress(Conflict):
                    # In the order in which they happened
                    again = replace(delivery.again(self._clock.now()), due_at=delivery.event.at)
                    self._outbox.change(delivery, again)
                    number += 1
        return number

    # What was lost

    def lost(self) -> list[Delivery]:
        """What was given up, the latest first, a hundred at most."""
        return self._outbox.dead(limit=_MOST_LOST)

    def send_again(self, event_id: str, channel: Channel, by: Actor, origin: Origin) -> None:
        """Try it again, for as long as the first time. Raises NotFound where it is not lost, or not any more."""
        self._revive(self._outbox.dead_one(event_id, channel), by, origin)

    def send_all_again(self, by: Actor, origin: Origin) -> None:
        """The same with all that `lost` has."""
        for delivery in self.lost():
            with suppress(NotFound):
                self._revive(delivery, by, origin)

    def _revive(self, delivery: Delivery, by: Actor, origin: Origin) -> None:
        event, channel = delivery.event, delivery.channel
        facts = {"kind": event.kind.value, "channel": channel.value, "event": event.id}
        line = AuditEvent(
            AuditTag.EVENT_SENT_AGAIN,
            Outcome.SUCCESS,
            by.id,
            origin,
            event.user_id,
            event.provider_id,
            facts | ({"client": event.client_id} if event.client_id else {}),
            by.name,
            event.user_name,
        )
        try:
            with self._audit_log.recording(line):
                self._outbox.change(delivery, delivery.again(self._clock.now()))
        except Conflict:
            raise NotFound from None


class _Line:
    """The bus in one run: whose events must wait, and whether it takes any."""

    def __init__(self) -> None:
        self.is_down = False
        self.waits_since: int | None = None
        self._held = set[tuple[str, ...]]()

    def hold(self, delivery: Delivery) -> None:
        """No later event of the same grant goes out in this run."""
        self._held.add(delivery.event.line)
        self.waits_since = min(self.waits_since or delivery.due_at, delivery.due_at)

    def is_held(self, delivery: Delivery, now: int) -> bool:
        if delivery.busy_until > now:
            self.hold(delivery)
        return delivery.event.line in self._held


class _Pace:
    """Keeps the mails of a run, whoever sends them, within the rate that the mail service allows."""

    def __init__(self, clock: Clock, mailer: Mailer | None) -> None:
        self._clock = clock
        self._mailer = mailer
        self._lock = Lock()
        self._pause: float | None = None
        self._next = 0.0

    def wait(self) -> None:
        """Until the next mail may go out."""
        with self._lock:
            if self._pause is None:
                self._pause = 1 / self._mailer.rate() if self._mailer else 0.0
            now = self._clock.monotonic()
            turn = max(now, self._next)
            self._next = turn + self._pause
        if turn > now:
            self._clock.sleep(turn - now)


def _line(event: Event, channel: Channel) -> dict[str, object]:
    facts = {"kind": event.kind.value, "channel": channel.value, "event": event.id}
    return {"user_id": event.user_id, "provider_id": event.provider_id, "facts": facts}


def _cause(error: Exception) -> dict[str, object]:
    if isinstance(error, VaultError):
        return {"code": error.code, "detail": error.detail}
    return {"error_type": type(error).__name__, "where": place_of(error)}
