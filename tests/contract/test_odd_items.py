"""An item that is not as this version writes it: edited by hand, damaged, or of a later version (R94, F40).

Every kind of item, each of its fields missing, of another type, with a word nobody knows, and with a field more. What
then is read of everything else is what was there before.
"""

import logging
from collections.abc import Callable, Iterator
from copy import deepcopy
from dataclasses import dataclass, replace
from datetime import date
from typing import Any

import pytest
from botocore.exceptions import ClientError

from chalicelib.domain.administrators import Appointment, Appointments
from chalicelib.domain.aliases import aliases_of
from chalicelib.domain.authorization_request import ConsentFailed
from chalicelib.domain.errors import Conflict, ItemUnreadable, NotFound, StorageUnavailable
from chalicelib.domain.event import Channel, Delivery, Event, EventKind, MailsSent
from chalicelib.domain.grant import GrantReason, GrantState, RefreshLease
from chalicelib.domain.mail import OPTIONAL, MailRefusal, MailStanding, RefusalKind
from chalicelib.domain.provider_health import Doubt, ProviderHealth
from chalicelib.domain.removal import (
    Everything,
    EverythingOrder,
    FormerClient,
    Removal,
    RemovalOrder,
    RemovalScope,
)
from chalicelib.domain.seal import Seal
from chalicelib.domain.secret import fingerprint
from chalicelib.domain.session import Notice, NoticeKind
from chalicelib.domain.stop import Block, Stop, StopKind
from chalicelib.domain.use import UseCount
from chalicelib.domain.user import Departure, SweepProgress
from chalicelib.services.people import PeopleService
from tests.aws import Aws
from tests.fakes.directory import FakeDirectory
from tests.fakes.system import FakeClock
from tests.samples import (
    ADMINISTRATOR,
    ALICE,
    APPLICATION,
    BOB,
    GRANT,
    KEY,
    NOW,
    PROVIDER,
    REQUEST,
    REVOCATION,
    SESSION,
)

from .stores import Stores

VAULT, KEYS, SESSIONS = "vault", "vault-keys", "vault-sessions"
OTHER_PROVIDER = replace(PROVIDER, id="other", name="Other Cloud")
OTHER_APPLICATION = replace(APPLICATION, id="other", name="Other program")
EVENT = Event.of_grant(EventKind.GRANT_NEEDS_REAUTHORIZATION, GRANT, PROVIDER, NOW)
REMOVAL = Removal("r1", RemovalScope.TOKENS, True, ADMINISTRATOR, NOW, "t", "n", (("northwind", 1),))
WORDS = ("state", "reason", "kind", "departure", "subject_mode", "client_authentication", "scope", "tag", "channel")


class World(Stores):
    """All stores on one AWS, and what is put into them."""

    def provider(self) -> None:
        self.providers.add_key(KEY)
        self.providers.add(PROVIDER)

    def names(self) -> list[str]:
        return [grant.user_name for grant in self.page().grants]

    def page(self) -> Any:
        return self.grants.page("northwind", 1, user_prefix="", limit=10, cursor=None, matches=lambda _: True)


Write = Callable[[World], None]
Read = Callable[[World], Any]


@dataclass(frozen=True)
class Kind:
    """One kind of item: how a good one is written, where it is, what is read of it and of what stands beside it."""

    name: str
    table: str
    key: str
    sort: str
    write: Write
    read: Read
    beside: Read = lambda _: None
    """What must be the same whatever the item is."""
    fails: bool = False
    """Who needs this very item is told that it cannot be read."""


def _full_provider(world: World) -> None:
    former = FormerClient(PROVIDER.server, "vault", b"encrypted")
    order = RemovalOrder(1, "r1", revoke=True, by=ADMINISTRATOR, former=former)
    full = replace(PROVIDER, fields={"issuer": "x"}, removals=(order,), removed_at=NOW, visible_to=("g",), emptied=1)
    world.providers.add_key(KEY)
    world.providers.add(full)
    world.providers.add_key(replace(KEY, provider_id="other"))
    world.providers.add(OTHER_PROVIDER)


def _everything(world: World) -> None:
    _full_provider(world)
    order = EverythingOrder(1, "r1", revoke=True, by=ADMINISTRATOR, at=NOW)
    world.providers.save_everything(Everything((order, replace(order, number=2))), replaces=0)


def _grants(world: World) -> None:
    world.provider()
    lease = RefreshLease(NOW, NOW + 15)
    full = replace(GRANT, lease=lease, refreshed_at=NOW, unknown_since=NOW, server=PROVIDER.server_id)
    world.grants.save(full, replaces=None)
    world.grants.save(replace(GRANT, user_id=BOB.id, user_name=BOB.login_name), replaces=None)


def _ended(world: World) -> None:
    _grants(world)
    world.grants.delete(GRANT, ended=NOW)


def _users(world: World) -> None:
    for user in (replace(ALICE, also_called=("alice@contoso.com",)), BOB):
        world.users.enrol(user, sessions_until=NOW, at=NOW)
    record = world.users.get(ALICE.id)
    assert record
    world.users.save(replace(record, departure=Departure.DISABLED, departed_at=NOW))


def _release(world: World) -> None:
    world.provider()
    world.grants.save(GRANT, replaces=None)
    world.applications.add(APPLICATION)
    world.users.enrol(ALICE, sessions_until=NOW, at=NOW)


def _session(world: World) -> None:
    notice = Notice("n", NoticeKind.REVOKED, {"a": "b"}, NOW)
    world.sessions.add(replace(SESSION, notice=notice, open_requests=("x",)), NOW + 60)
    world.sessions.add(replace(SESSION, id_hash="e" * 64), NOW + 60)


def _consumed(world: World) -> Any:
    try:
        return world.requests.consume(
            REQUEST.state_hash, user_id=ALICE.id, flow_hash=REQUEST.flow_hash, provider_id="northwind", now=NOW
        )
    except ConsentFailed:
        return None


def _preferred(world: World) -> None:
    _grants(world)
    world.grants.prefer(ALICE.id, "northwind", 1, "s1")


def _mail(world: World) -> None:
    world.mail.refuse(MailRefusal(ALICE.email, RefusalKind.BOUNCED, NOW))
    world.mail.choose(ALICE.id, OPTIONAL)


def _standing(world: World) -> MailStanding:
    return world.mail.standing(ALICE.id, ALICE.email)


def _outbox(world: World) -> None:
    world.outbox.add(Delivery(EVENT, Channel.BUS, NOW))
    world.outbox.add(Delivery(replace(EVENT, user_id=BOB.id), Channel.BUS, NOW))


def _revocations(world: World) -> None:
    world.revocations.add(replace(REVOCATION, next_attempt_at=NOW))
    world.revocations.add(replace(REVOCATION, id="rev2", next_attempt_at=NOW))


def _removals(world: World) -> None:
    world.removals.add(replace(REMOVAL, joined=(("northwind", "r0"),), tokens=("t",), is_open=True))
    world.removals.add(replace(REMOVAL, id="r2"))
    world.removals.count("r2", "northwind", NOW, of="x", removed=1)


def _stops(world: World) -> None:
    world.stops.add(Stop(StopKind.PROVIDER, "northwind", "why", NOW, ADMINISTRATOR, "Northwind"))
    world.stops.add(Stop(StopKind.PERSON, BOB.id, "why", NOW, ADMINISTRATOR))
    world.stops.block(Block(ALICE.id, "scanner", NOW))


def _health(world: World) -> None:
    doubt = Doubt("invalid_request", "fingerprint", NOW, 1)
    world.health.save(
        ProviderHealth("northwind", failures=1, failing_since=NOW, people=("fingerprint",), doubts=(doubt,))
    )


def _uses(world: World) -> None:
    for application in ("mailer", "scanner"):
        count = UseCount(date(2027, 1, 15), application, "northwind", 3, {"blocked": 1})
        world.uses.add(count, counted_to="2027-01-15T08:05:00", expires_at=NOW)


def _used(world: World) -> list[UseCount]:
    return list(world.uses.between(date(2027, 1, 1), date(2027, 1, 31)))


def _mails(world: World) -> None:
    mails = MailsSent("northwind")
    world.outbox.note_mails(replace(mails, sent={EventKind.GRANT_FAILING: (NOW, "e1")}), NOW)


def _appointments(world: World) -> None:
    entry = Appointment(ALICE.id, False, "alice", NOW, ADMINISTRATOR)
    world.administrators.save(Appointments((entry, replace(entry, key=BOB.id))))


def _seal(world: World) -> None:
    world.seals.add(Seal(1, "2027-01-15T08:00:00", "2027-01-15T08:05:00", NOW, "", (), b"mac"))


def _copy(world: World) -> None:
    """A stop that a restore lost."""
    world.copied_stops.add(Stop(StopKind.PROVIDER, "northwind", "why", NOW, ADMINISTRATOR))
    world.stops.remove(StopKind.PROVIDER, "northwind")


USER = f"USER#{ALICE.id}"
ENDED = f"ENDED#{fingerprint(f'{ALICE.id}#northwind#1')}"
KINDS = [
    Kind("provider", VAULT, "PROVIDERS", "northwind", _full_provider, lambda w: w.providers.get("northwind"),
         lambda w: (w.providers.get("other"), OTHER_PROVIDER in w.providers.all()), fails=True),
    Kind("removals of everything", VAULT, "PROVIDERS", "#EVERYTHING", _everything, lambda w: w.providers.everything(),
         lambda w: w.providers.key("northwind", 1), fails=True),
    Kind("provider under what cannot be read", VAULT, "PROVIDERS", "#EVERYTHING", _everything,
         lambda w: (w.providers.all(), w.providers.get("other")), fails=True),
    Kind("provider key", KEYS, "northwind#1", "", _full_provider, lambda w: w.providers.key("northwind", 1),
         lambda w: w.providers.all(), fails=True),
    Kind("grant", VAULT, USER, "GRANT#northwind#1", _grants, lambda w: w.grants.load(ALICE.id, "northwind").grant,
         lambda w: (w.grants.load(BOB.id, "northwind"), w.grants.of_user(BOB.id))),
    Kind("end of a grant", KEYS, ENDED, "", _ended, lambda w: w.grants.load(ALICE.id, "northwind").ended,
         lambda w: w.grants.load(BOB.id, "northwind"), fails=True),
    Kind("copy", KEYS, 'COPY#["STOPS#provider", "northwind"]', "", _copy, lambda w: list(w.copies.newer()),
         lambda w: [copy.key for copy in w.copies.newer()]),
    Kind("default account", VAULT, USER, "GRANT#northwind#preferred", _preferred,
         lambda w: w.grants.load(ALICE.id, "northwind").preferred, lambda w: w.grants.of_user(ALICE.id).grants),
    Kind("user", VAULT, USER, "RECORD", _users, lambda w: w.users.get(ALICE.id),
         lambda w: (w.users.get(BOB.id), w.users.present(limit=9, cursor=None)), fails=True),
    Kind("user of a release", VAULT, USER, "RECORD", _release,
         lambda w: w.releases.load("scanner", "northwind", ALICE.id).subject,
         lambda w: w.releases.load("scanner", "northwind", ALICE.id).holding),
    Kind("client application", VAULT, "CLIENT#scanner", "CLIENT",
         lambda w: [w.applications.add(one) for one in (APPLICATION, OTHER_APPLICATION)],
         lambda w: w.applications.get("scanner"), lambda w: OTHER_APPLICATION in w.applications.all(), fails=True),
    Kind("stop", VAULT, "STOPS#provider", "northwind", _stops, lambda w: w.stops.all(),
         lambda w: {(stop.kind, stop.target) for stop in w.stops.all()}),
    Kind("block", VAULT, USER, "BLOCK#scanner", _stops, lambda w: w.stops.blocks(ALICE.id),
         lambda w: [(block.user_id, block.application_id) for block in w.stops.blocks(ALICE.id)]),
    Kind("provider health", VAULT, "HEALTH#northwind", "HEALTH", _health, lambda w: w.health.get("northwind")),
    Kind("session", SESSIONS, f"SESSION#{SESSION.id_hash}", "", _session, lambda w: w.sessions.get(SESSION.id_hash),
         lambda w: (w.sessions.get("e" * 64), len(w.sessions.of_user(ALICE.id)) > 0)),
    Kind("authorization request", SESSIONS, f"REQUEST#{REQUEST.state_hash}", "", lambda w: w.requests.add(REQUEST),
         _consumed),
    Kind("alias", VAULT, "ALIAS#alice", "ALIAS", lambda w: w.aliases.claim(ALICE.id, ("alice",), NOW),
         lambda w: len(w.aliases.claims("alice"))),
    Kind("use count", VAULT, "USE#2027-01", "2027-01-15#scanner#northwind", _uses, _used,
         lambda w: [count for count in _used(w) if count.application == "mailer"]),
    Kind("revocation", VAULT, "REVOCATION#rev1", "REVOCATION", _revocations,
         lambda w: [one for one in w.revocations.due("northwind", NOW) if one.id == "rev1"],
         lambda w: [one for one in w.revocations.due("northwind", NOW) if one.id == "rev2"]),
    Kind("delivery", VAULT, f"EVENT#{EVENT.id}", "bus", _outbox,
         lambda w: [one for one in w.outbox.due(Channel.BUS, NOW) if one.event.user_id == ALICE.id],
         lambda w: [one for one in w.outbox.due(Channel.BUS, NOW) if one.event.user_id == BOB.id]),
    Kind("mails sent", VAULT, "MAILS#-#northwind", "administrators", _mails,
         lambda w: w.outbox.mails_sent("northwind").sent),
    Kind("mail refusal", VAULT, f"ADDRESS#{ALICE.email}", "REFUSAL", _mail, lambda w: _standing(w).refusal,
         lambda w: _standing(w).unwanted),
    Kind("mail wishes", VAULT, USER, "MAIL", _mail, lambda w: _standing(w).unwanted, lambda w: _standing(w).refusal),
    Kind("removal", VAULT, "REMOVAL#r1", "HEAD", _removals, lambda w: w.removals.receipt("r1"),
         lambda w: (w.removals.receipt("r2"), len(w.removals.recent(limit=9)) > 0), fails=True),
    Kind("receipt", VAULT, "REMOVAL#r2", "CLOUD#northwind", _removals, lambda w: w.removals.receipt("r2").clouds,
         lambda w: w.removals.receipt("r2").removal),
    Kind("appointments", VAULT, "ADMINISTRATORS", "ADMINISTRATORS", _appointments, lambda w: w.administrators.get()),
    Kind("cursor", VAULT, "CURSOR#x", "CURSOR", lambda w: w.cursors.put("x", "here"), lambda w: w.cursors.get("x")),
    Kind("sweep", VAULT, "SWEEP", "USERS", lambda w: w.users.note_progress(SweepProgress(NOW, NOW, "c", 1)),
         lambda w: w.users.progress()),
    Kind("belief", VAULT, "SWEEP", "BELIEVED", lambda w: w.users.believe("CONTOSO", NOW), lambda w: w.users.believed()),
    Kind("seal", VAULT, "SEALS", "2027-01-15T08:00:00", _seal, lambda w: list(w.seals.between("0", "9"))),
    Kind("end of the seals", KEYS, "AUDIT-SEALS", "", _seal, lambda w: w.seals.tip(),
         lambda w: w.seals.before("9"), fails=True),
]  # fmt: skip


def odd(item: dict[str, Any]) -> Iterator[tuple[str, dict[str, Any]]]:
    """The item with each of its fields, also those inside others, missing, of another type, or with an unknown word."""
    for name, value in item.items():
        if name in ("pk", "sk", "listing", "listed_as", "writer", "expires_at"):
            continue
        others = (
            {"S": "?"},
            {"N": "7"},
            {"L": [{"BOOL": True}]},
            {"M": {"x": {"S": "?"}}},
            {"B": b"?"},
            {"NULL": True},
        )
        changed = [other for other in others if set(other) != set(value)] + [{"S": "later"}] * (name in WORDS)
        for other in changed:
            yield f"{name}={other}", {**item, name: other}
        yield f"no {name}", {key: one for key, one in item.items() if key != name}
        if "M" in value:
            for words, inner in odd(value["M"]):
                yield f"{name}.{words}", {**item, name: {"M": inner}}
        if "L" in value and value["L"] and "M" in value["L"][0]:
            for words, inner in odd(value["L"][0]["M"]):
                yield f"{name}[0].{words}", {**item, name: {"L": [{"M": inner}, *value["L"][1:]]}}


@pytest.fixture
def world(aws: Aws) -> World:
    return World(aws)


def _good(world: World, kind: Kind) -> dict[str, Any]:
    kind.write(world)
    key = {"pk": {"S": kind.key}} | ({"sk": {"S": kind.sort}} if kind.sort else {})
    return dict(world.aws.clients.dynamodb.get_item(TableName=kind.table, Key=key)["Item"])


def _put(world: World, kind: Kind, item: dict[str, Any]) -> bool:
    """False where DynamoDB refuses it: the key of an index has its type. Moto takes a number's key, and then fails."""
    if kind.table == SESSIONS and "N" not in item.get("created_at", {"N": "-"}):
        return False
    try:
        world.aws.clients.dynamodb.put_item(TableName=kind.table, Item=item)
    except ClientError:
        return False
    return True


@pytest.mark.parametrize("kind", KINDS, ids=lambda kind: kind.name)
def test_f40_r94_an_odd_item_harms_nothing_else(world: World, kind: Kind, caplog: pytest.LogCaptureFixture) -> None:
    caplog.set_level(logging.CRITICAL)
    good = _good(world, kind)
    beside = kind.beside(world)
    for words, item in odd(deepcopy(good)):
        if not _put(world, kind, item):
            continue
        assert kind.beside(world) == beside, words
        try:
            kind.read(world)
        except ItemUnreadable:
            assert kind.fails, words


@pytest.mark.parametrize("kind", KINDS, ids=lambda kind: kind.name)
def test_f40_a_field_of_a_later_version_is_passed_over(world: World, kind: Kind) -> None:
    good = _good(world, kind)
    read = kind.read(world)
    assert read

    def with_more(item: dict[str, Any]) -> dict[str, Any]:
        more = {"of_a_later_version": {"M": {"x": {"N": "1"}}}}
        inner = {
            name: {"M": with_more(one["M"])} if name in NESTED and "M" in one else one for name, one in item.items()
        }
        return inner | more

    assert _put(world, kind, with_more(good))
    assert kind.read(world) == read


NESTED = ("server", "account", "lease", "by", "notice", "event", "former")
"""Fields that hold what has fields itself; others are maps by names of their own."""


class TestGrant:
    """A row of somebody's grant that cannot be read is shown, removed, authorized again, and gives no token."""

    @pytest.fixture(params=["no version", "later state", "no account", "version of text"])
    def odd(self, request: pytest.FixtureRequest, world: World) -> World:
        item = _good(world, next(kind for kind in KINDS if kind.name == "grant"))
        match request.param:
            case "no version":
                del item["version"]
            case "version of text":
                item["version"] = {"S": "1"}
            case "no account":
                del item["account"]
            case "later state":
                item["state"] = {"S": "paused"}
        world.aws.clients.dynamodb.put_item(TableName=VAULT, Item=item)
        return world

    def test_r94_it_is_shown_as_such_among_the_others(self, odd: World) -> None:
        assert sorted(odd.names()) == [ALICE.login_name, BOB.login_name]
        for found in (odd.page().grants[0], odd.grants.load(ALICE.id, "northwind").grant):
            assert found
            assert (found.state, found.reason) == (GrantState.NEEDS_REAUTHORIZATION, GrantReason.UNREADABLE)
            assert found.account.label == "cannot be read"

    def test_r94_it_can_be_removed(self, odd: World) -> None:
        grant = odd.grants.load(ALICE.id, "northwind").grant
        assert grant
        odd.grants.delete(grant, ended=NOW)
        assert odd.grants.load(ALICE.id, "northwind").grant is None

    def test_r94_it_can_be_written_over(self, odd: World) -> None:
        grant = odd.grants.load(ALICE.id, "northwind").grant
        assert grant
        odd.grants.save(replace(GRANT, version=NOW), replaces=grant.version)
        assert odd.grants.load(ALICE.id, "northwind").grant == replace(GRANT, version=NOW)

    def test_f40_it_is_told_in_the_log(self, odd: World, caplog: pytest.LogCaptureFixture) -> None:
        odd.grants.of_user(ALICE.id)
        (record,) = [record for record in caplog.records if record.message == "item.unreadable"]
        assert record.__dict__["detail"] == f"grant {USER}/GRANT#northwind#1"


def test_r94_a_key_that_is_no_grants_is_one_odd_row(world: World) -> None:
    _grants(world)
    item = {"pk": {"S": USER}, "sk": {"S": "GRANT#northwind"}, "user_name": {"S": "x"}}
    world.aws.clients.dynamodb.put_item(TableName=VAULT, Item=item)
    assert [grant.generation for grant in world.grants.of_user(ALICE.id)] == [0, 1]


def test_f40_a_stop_that_cannot_be_read_counts_and_can_be_taken_back(world: World) -> None:
    _release(world)
    _put(world, KINDS[0], {"pk": {"S": "STOPS#everything"}, "sk": {"S": "-"}})
    assert world.releases.load("scanner", "northwind", ALICE.id).stops == {StopKind.EVERYTHING}
    (stop,) = world.stops.all()
    assert world.stops.remove(stop.kind, stop.target) == stop
    assert world.stops.all() == []


def test_f40_a_person_who_cannot_be_read_gets_nothing_and_can_log_in(world: World) -> None:
    _release(world)
    for broken in ({}, {"version": {"S": "x"}}, {"version": {"N": "1"}}, {"names": {"S": "?"}}):
        _put(world, KINDS[0], {"pk": {"S": USER}, "sk": {"S": "RECORD"}, **broken})
        subject = world.releases.load("scanner", "northwind", ALICE.id).subject
        assert subject
        assert subject.is_blocked
        world.users.enrol(ALICE, sessions_until=NOW, at=NOW)
        record = world.users.get(ALICE.id)
        assert record
        assert record.user == ALICE
        assert record.names == frozenset(aliases_of(ALICE))
        name = aliases_of(ALICE)[0]
        held = world.releases.load("scanner", "northwind", name)
        assert held.subject
        assert not held.subject.is_blocked


def test_a_record_that_storage_did_not_take_is_not_written_anew(world: World, monkeypatch: pytest.MonkeyPatch) -> None:
    def refuse(*_: Any, **__: Any) -> None:
        raise StorageUnavailable

    _release(world)
    monkeypatch.setattr(world.users._table, "update", refuse)
    with pytest.raises(StorageUnavailable):
        world.users.enrol(ALICE, sessions_until=NOW, at=NOW)


@pytest.mark.parametrize("kind", ["provider health", "mails sent", "appointments"])
def test_f40_what_is_only_noted_is_written_anew(world: World, kind: str) -> None:
    one = next(one for one in KINDS if one.name == kind)
    good = _good(world, one)
    before = one.read(world)
    _put(world, one, {name: good[name] for name in ("pk", "sk")})
    match kind:
        case "provider health":
            world.health.save(replace(before, version=world.health.get("northwind").version))
        case "mails sent":
            mails = world.outbox.mails_sent("northwind")
            world.outbox.note_mails(replace(mails, sent=before), NOW)
        case "appointments":
            world.administrators.save(replace(before, version=world.administrators.get().version))
    assert one.read(world) == before


def test_f40_one_odd_appointment_takes_no_other_away(world: World) -> None:
    one = next(one for one in KINDS if one.name == "appointments")
    good = _good(world, one)
    good["entries"]["L"][0] = {"S": "?"}
    _put(world, one, good)
    assert [entry.key for entry in world.administrators.get().entries] == [BOB.id]


@pytest.mark.parametrize("kind", ["revocation", "delivery"])
def test_f40_what_cannot_be_read_does_not_hold_up_the_queue(
    world: World, kind: str, caplog: pytest.LogCaptureFixture
) -> None:
    one = next(one for one in KINDS if one.name == kind)
    good = _good(world, one)
    _put(world, one, {name: value for name, value in good.items() if name in ("pk", "sk", "listing", "listed_as")})

    def due(at: int) -> int:
        found = world.revocations.due("northwind", at) if kind == "revocation" else world.outbox.due(Channel.BUS, at)
        return len(list(found))

    assert due(NOW) == 1
    told = len(unreadable(caplog))
    assert due(NOW) == 1
    # Put off by a day, so that each run does not tell it again, and no list looks late
    assert len(unreadable(caplog)) == told == 1
    assert due(NOW + 24 * 3600) == 1
    assert len(unreadable(caplog)) == told + 1


def unreadable(caplog: pytest.LogCaptureFixture) -> list[str]:
    return [message for message in caplog.messages if message == "item.unreadable"]


def test_f40_a_claim_that_cannot_be_read_means_nobody(world: World) -> None:
    world.users.enrol(ALICE, sessions_until=NOW, at=NOW)
    name = aliases_of(ALICE)[0]
    for claims in ({"S": "?"}, {"SS": ["no mark"]}):
        _put(world, KINDS[0], {"pk": {"S": f"ALIAS#{name}"}, "sk": {"S": "ALIAS"}, "claims": claims})
        assert world.aliases.claims(name) == ()


def test_f40_who_cannot_be_read_is_no_reason_to_take_another_for_them(world: World) -> None:
    """Of two who claim a name, the one whose record is odd may be the one who bears it."""
    people = PeopleService(world.aliases, world.users, FakeDirectory(), FakeClock(NOW))
    name = aliases_of(ALICE)[0]
    for user in (ALICE, BOB):
        world.users.enrol(user, sessions_until=NOW, at=NOW)
        world.aliases.claim(user.id, (name,), NOW)
    item = {"pk": {"S": USER}, "sk": {"S": "RECORD"}}
    _put(world, KINDS[0], item)
    with pytest.raises(ItemUnreadable):
        people.settle(name)
    assert [record.user for record in world.users.get_all([ALICE.id, BOB.id])] == [BOB]


def test_r92_a_hand_in_the_table_says_of_no_grant_or_provider_what_is_not_stored(world: World) -> None:
    _grants(world)
    for key, more in (
        ({"pk": USER, "sk": "GRANT#northwind#1"}, {"server_now": {"S": "?"}}),
        ({"pk": "PROVIDERS", "sk": "northwind"}, {"is_ending": {"BOOL": True}}),
    ):
        place = {name: {"S": value} for name, value in key.items()}
        found = world.aws.clients.dynamodb.get_item(TableName=VAULT, Key=place)["Item"]
        _put(world, KINDS[0], found | more)
    assert world.grants.of_user(ALICE.id).grants[0].server_now == ""
    assert not world.providers.get("northwind").is_ending


def test_f40_an_odd_provider_is_named_and_written_over(world: World) -> None:
    _full_provider(world)
    _put(world, KINDS[0], {"pk": {"S": "PROVIDERS"}, "sk": {"S": "northwind"}, "version": {"N": "7"}})
    _put(world, KINDS[0], {"pk": {"S": "PROVIDERS"}, "sk": {"S": "#EVERYTHING"}, "version": {"N": "7"}})
    assert world.providers.odd() == ["northwind"]
    with pytest.raises(Conflict):
        world.providers.replace_odd(OTHER_PROVIDER)
    for nothing in ("missing", "#EVERYTHING"):
        with pytest.raises(NotFound):
            world.providers.replace_odd(replace(PROVIDER, id=nothing))
    world.providers.replace_odd(PROVIDER)
    assert world.providers.odd() == []


def test_f40_generations_that_have_a_key_are_found_behind_gaps(world: World) -> None:
    assert world.providers.generations("northwind") == []
    for generation in (3, 298, 350):
        world.providers.add_key(replace(KEY, generation=generation))
    world.providers.add_key(replace(KEY, provider_id="other", generation=5))
    assert world.providers.generations("northwind") == [3, 298, 350]


def test_f40_an_odd_application_is_named_and_deleted(world: World) -> None:
    for one in (APPLICATION, OTHER_APPLICATION):
        world.applications.add(one)
    assert world.applications.odd() == []
    good = _good_item(world, "CLIENT#scanner", "CLIENT")
    _put(world, KINDS[0], good | {"rules": {"S": "?"}})
    assert world.applications.odd() == ["scanner"]
    with pytest.raises(Conflict):
        world.applications.delete_odd("other")
    world.applications.delete_odd("scanner")
    with pytest.raises(NotFound):
        world.applications.delete_odd("scanner")
    assert world.applications.all() == [OTHER_APPLICATION]


@pytest.mark.parametrize("kind", ["revocation", "delivery"])
def test_f40_what_waits_and_is_odd_is_noted_until_it_is_mended_or_deleted(world: World, kind: str) -> None:
    one = next(one for one in KINDS if one.name == kind)
    good = _good(world, one)
    store, place = (world.revocations, "rev1") if kind == "revocation" else (world.outbox, f"{EVENT.id}/bus")
    _put(world, one, {name: value for name, value in good.items() if name in ("pk", "sk", "listing", "listed_as")})
    assert store.odd() == []
    one.read(world)
    assert store.odd() == [place]
    _put(world, one, good)
    assert store.odd() == []
    with pytest.raises(Conflict):
        store.delete_odd(place)
    _put(world, one, good | {"attempts": {"S": "?"}})
    store.delete_odd(place)
    assert store.odd() == []
    with pytest.raises(NotFound):
        store.delete_odd(place)


@pytest.mark.parametrize("field", ["claims", "user_ids"])
@pytest.mark.parametrize("odd_value", [{"S": "?"}, {"L": []}, {"NULL": True}])
def test_f40_names_that_cannot_be_read_are_written_over(
    world: World, field: str, odd_value: dict[str, Any], caplog: pytest.LogCaptureFixture
) -> None:
    _put(world, KINDS[0], {"pk": {"S": "ALIAS#alice"}, "sk": {"S": "ALIAS"}, field: odd_value})
    world.aliases.claim(ALICE.id, ("alice",), NOW)
    assert [claim.user_id for claim in world.aliases.claims("alice")] == [ALICE.id]
    # A list can be read, though not added to
    assert len(unreadable(caplog)) == ("L" not in odd_value)
    world.aliases.claim(BOB.id, ("alice",), NOW)
    assert {claim.user_id for claim in world.aliases.claims("alice")} == {ALICE.id, BOB.id}


def _good_item(world: World, key: str, sort: str) -> dict[str, Any]:
    place = {"pk": {"S": key}, "sk": {"S": sort}}
    return dict(world.aws.clients.dynamodb.get_item(TableName=VAULT, Key=place)["Item"])


@pytest.mark.parametrize("odd_value", [{"S": "?"}, {"L": []}, {"NULL": True}])
def test_f40_a_count_that_cannot_be_read_takes_nothing_and_is_told(
    world: World, odd_value: dict[str, Any], caplog: pytest.LogCaptureFixture
) -> None:
    """Clean-up and counting of use go on behind it."""
    places = {"uses": ("USE#2027-01", "2027-01-15#scanner#northwind"), "removals": ("REMOVAL#r2", "CLOUD#northwind")}
    fields = {"uses": {"released": odd_value}, "removals": {"removed": odd_value}}
    for name, (key, sort) in places.items():
        _put(world, KINDS[0], {"pk": {"S": key}, "sk": {"S": sort}} | fields[name])
    _uses(world)
    _removals(world)
    assert len(unreadable(caplog)) == 2
    assert [count.application for count in _used(world)] == ["mailer"]
    assert world.removals.receipt("r2").clouds == ()
