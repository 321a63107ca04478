"""Items of the next version, and pieces that break the program: each background run goes on with the others (F40, R99).

Alice and Bob have one of everything. Alice's are then as a later version may write them.
"""

import logging
from collections.abc import Callable
from dataclasses import replace
from typing import Any

import pytest

from chalicelib.adapters.catalogue import FileCatalogue
from chalicelib.domain.audit import BACKGROUND
from chalicelib.domain.event import EventKind, MailsSent
from chalicelib.domain.mail import MailRefusal, RefusalKind
from chalicelib.domain.provider_health import ProviderHealth
from chalicelib.domain.provider_type import ProviderType
from chalicelib.domain.stop import StopKind
from tests.fakes import directory
from tests.fakes.misbehaviour import error, status
from tests.samples import ADMINISTRATOR, APPLICATION

from .conftest import NORTHWIND, Telling

ALICE, BOB = directory.ALICE.user, directory.BOB.user
Item = dict[str, Any]
HOUR = 3600


class IdleCatalogue(FileCatalogue):
    """Clouds whose refresh tokens lapse when nobody uses them for two hours."""

    def get(self, type_id: str) -> ProviderType:
        return replace(super().get(type_id), refresh_token_idle_seconds=2 * HOUR)


class Busy:
    """A vault in which every background run has something to do for both."""

    def __init__(self, telling: Telling) -> None:
        self.telling, self.vault, self.clock = telling, telling.vault, telling.clock
        self.vault.keep_alive._catalogue = IdleCatalogue()
        self.vault.client_applications.register(APPLICATION, ADMINISTRATOR, BACKGROUND)
        browsers = {name: telling.browser(name) for name in ("alice", "bob")}
        for name, browser in browsers.items():
            telling.authorize(browser, name)
        self.clock.advance(60)
        for name in ("alice", "bob"):
            telling.cloud.misbehave("/revoke", status(503))
            self.vault.grants.revoke(getattr(directory, name.upper()).user, NORTHWIND, BACKGROUND)
            telling.authorize(browsers[name], name)
        self.clock.advance(3600)
        for user in (ALICE, BOB):
            telling.cloud.misbehave("/token", error("invalid_grant"))
            telling.refresh(user.id)
            self.vault.reach.block(user, APPLICATION.id, BACKGROUND)
            self.vault.mail.refused([MailRefusal(f"other-{user.email}", RefusalKind.BOUNCED, self.clock.now())])
            self.vault.stops.stop(StopKind.PERSON, user.login_name, "why", ADMINISTRATOR, BACKGROUND)
        for name in ("alice", "bob"):
            telling.authorize(telling.browser(name), name, "Reauthorize")

    def items(self, table: str = "vault") -> list[Item]:
        return self.telling.aws.items(table)

    def write(self, table: str, item: Item) -> None:
        self.telling.aws.clients.dynamodb.put_item(TableName=table, Item=item)

    def run(self, *, seals: bool = False) -> None:
        """Each function of the schedule, twice, with pauses in which all becomes due. `seals`: also theirs, slowly."""
        for pause in (120, HOUR + 2000):
            self.clock.advance(pause)
            for one in [*self.functions(), *([self.vault.seals.seal_due] if seals else [])]:
                one()

    def functions(self) -> list[Callable[[], object]]:
        vault = self.vault
        return [
            vault.revocations.retry_due,
            vault.events.deliver_due,
            lambda: vault.leavers.sweep(pause=0),
            vault.removals.carry_on,
            vault.removals.finish_open,
            vault.clean_up.run,
            vault.restoration.prepare,
            vault.keep_alive.run,
        ]

    def confirmed(self, user_id: str) -> bool:
        entries = [i for i in self.items() if i.get("tag") == {"S": "revocation.retried"}]
        return any(i["user_id"] == {"S": user_id} and i["outcome"] == {"S": "success"} for i in entries)

    def is_told(self, user_id: str) -> bool:
        """Whether somebody's loss is on its way out no more."""
        told = [i for i in self.items() if "event" in i and i["event"]["M"]["user_id"] == {"S": user_id}]
        return bool(told) and not any(i.get("listing", {}).get("S", "").startswith("OUTBOX") for i in told)

    def is_refreshed(self, user_id: str) -> bool:
        grant = self.vault.grants._grants.load(user_id, NORTHWIND).grant
        return grant is not None and grant.refreshed_at is not None and grant.refreshed_at > grant.authorized_at

    def done(self, user_id: str) -> dict[str, bool]:
        return {
            "revocation": self.confirmed(user_id),
            "events": self.is_told(user_id),
            "keep alive": self.is_refreshed(user_id),
        }


ALL_DONE = {"revocation": True, "events": True, "keep alive": True}


@pytest.fixture
def busy(telling: Telling) -> Busy:
    return Busy(telling)


@pytest.fixture
def told(caplog: pytest.LogCaptureFixture) -> Callable[[str], list[str]]:
    caplog.set_level(logging.INFO)
    return lambda name: [str(r.__dict__.get("detail", "")) for r in caplog.records if r.getMessage() == name]


def with_more(item: Item) -> Item:
    """With an attribute that this version does not know, also in what has attributes itself."""
    inside = {name: {"M": with_more(one["M"])} for name, one in item.items() if name in NESTED and "M" in one}
    return item | inside | {"of_the_next_version": {"M": {"x": {"N": "1"}}}}


NESTED = ("event", "server", "account", "lease", "by", "notice", "trusted_issuer")


def test_f40_what_the_next_version_adds_changes_nothing_in_the_background(
    busy: Busy, told: Callable[[str], list[str]]
) -> None:
    for table in ("vault", "vault-keys", "vault-sessions"):
        for item in busy.items(table):
            busy.write(table, with_more(item))
    busy.run(seals=True)
    assert busy.done(ALICE.id) == busy.done(BOB.id) == ALL_DONE
    for word in ("item.unreadable", "background.failed", "leavers.failed", "use.not_counted", "audit.tampered"):
        assert told(word) == [], word
    assert busy.vault.seals.verify().faults == []


ODD: dict[str, tuple[Callable[[Item], bool], str]] = {
    "grant": (lambda i: i["sk"]["S"].startswith("GRANT#") and ALICE.id in i["pk"]["S"], "state"),
    "departure": (lambda i: i["sk"]["S"] == "RECORD" and ALICE.id in i["pk"]["S"], "departure"),
    "event": (lambda i: "event" in i and i["event"]["M"]["user_id"] == {"S": ALICE.id}, "event.kind"),
    "revocation": (
        lambda i: i["pk"]["S"].startswith("REVOCATION#") and i["user_id"] == {"S": ALICE.id},
        "account",
    ),
    "application": (lambda i: i["sk"]["S"] == "CLIENT", "subject_mode"),
    "stop": (lambda i: i["pk"]["S"] == "STOPS#person" and i["sk"]["S"] == ALICE.id, "kind"),
    "block": (lambda i: i["sk"]["S"].startswith("BLOCK#") and ALICE.id in i["pk"]["S"], "at"),
    "audit entry": (lambda i: i["pk"]["S"].startswith("AUDIT#") and i["user_id"] == {"S": ALICE.id}, "tag"),
    "health": (lambda i: i["sk"]["S"] == "HEALTH", "failures"),
    "mail refusal": (lambda i: i["sk"]["S"] == "REFUSAL", "kind"),
    "alias": (lambda i: i["pk"]["S"].startswith("ALIAS#") and "alice" in i["pk"]["S"], "claims"),
    "sweep": (lambda i: i["pk"]["S"] == "SWEEP", "cursor"),
    "mails sent": (lambda i: i["pk"]["S"].startswith("MAILS#"), "sent"),
    "session": (lambda i: i["pk"]["S"].startswith("SESSION#"), "notice"),
    "cursor": (lambda i: i["pk"]["S"].startswith("CURSOR#"), "cursor"),
    "mark": (lambda i: i["pk"]["S"].startswith("ENDED#"), "other"),
    "copy": (lambda i: i["pk"]["S"].startswith("COPY#"), "at"),
}
LATER = {"S": "of the next version"}


@pytest.mark.parametrize("name", ODD)
def test_f40_a_word_of_the_next_version_harms_its_own_item_alone(
    busy: Busy, name: str, told: Callable[[str], list[str]]
) -> None:
    is_meant, word = ODD[name]
    busy.clock.advance(120)
    busy.vault.events._outbox.note_mails(MailsSent(NORTHWIND, {EventKind.GRANT_FAILING: (0, "e1")}), 0)
    busy.vault.leavers.sweep(pause=0)
    for job in ("deliver_events", "keep_alive", "retry_revocations", "look_after_leavers"):
        busy.vault.keep_alive._cursors.put(f"failing/{job}", "[]")
    for job in ("keep-alive/northwind/1", "use_counts"):
        busy.vault.keep_alive._cursors.put(job, None)
    busy.vault.provider_health.save(ProviderHealth(NORTHWIND, failures=1, failing_since=busy.clock.now()))
    found = 0
    for table in ("vault", "vault-keys", "vault-sessions"):
        for item in busy.items(table):
            if is_meant({"sk": {"S": ""}, "user_id": {"S": ""}} | item):
                busy.write(table, odd(item, *word.split(".")))
                found += 1
    assert found
    seals = name in ("audit entry", "cursor")
    busy.run(seals=seals)
    assert busy.done(BOB.id) == ALL_DONE
    assert told("background.failed") == told("use.not_counted") == []
    if name in ("grant", "departure", "event", "revocation"):
        assert told("item.unreadable")
    if seals:
        assert busy.vault.seals.verify().faults == []


def odd(item: Item, word: str, inner: str = "") -> Item:
    return item | {word: {"M": item[word]["M"] | {inner: LATER}} if inner else LATER}


# What breaks the program


def breaks(*_: object, **__: object) -> Any:
    raise ZeroDivisionError


def breaks_for(user_id: str, do: Callable[..., Any]) -> Callable[..., Any]:
    """As `do`, but for what is about somebody."""

    def done(*arguments: Any, **named: Any) -> Any:
        if user_id in repr((arguments, named)):
            raise ZeroDivisionError
        return do(*arguments, **named)

    return done


PIECES: dict[str, tuple[Callable[[Any], Any], str, str]] = {
    "revocation": (lambda vault: vault.revocations, "_attempt_with", "revocation"),
    "person's mail": (lambda vault: vault.events, "_mail", "events"),
    "event to the bus": (lambda vault: vault.events._outlets.bus, "publish", "events"),
    "refresh": (lambda vault: vault.keep_alive, "_renew", "keep alive"),
    "person in the round": (lambda vault: vault.leavers, "_apply", ""),
    "last use": (lambda vault: vault.seals._use_counts._grants, "note_use", ""),
}


@pytest.mark.parametrize("name", PIECES)
def test_r99_a_piece_that_breaks_the_program_keeps_no_other(
    busy: Busy, name: str, told: Callable[[str], list[str]], monkeypatch: pytest.MonkeyPatch
) -> None:
    part, method, of = PIECES[name]
    target = part(busy.vault)
    broken = breaks_for(ALICE.id, getattr(target, method))
    # Some have slots
    monkeypatch.setattr(type(target), method, lambda _, *arguments, **named: broken(*arguments, **named))
    busy.run(seals=not of)
    assert busy.done(BOB.id) == ALL_DONE
    if of:
        assert not busy.done(ALICE.id)[of]
        assert told("background.failed")


def test_r99_a_digest_that_breaks_the_program_keeps_no_other(
    busy: Busy, told: Callable[[str], list[str]], monkeypatch: pytest.MonkeyPatch
) -> None:
    outbox = busy.vault.events._outbox
    mails_sent = outbox.mails_sent
    monkeypatch.setattr(
        type(outbox), "mails_sent", lambda _, subject: breaks() if subject == NORTHWIND else mails_sent(subject)
    )
    busy.run()
    assert told("background.failed")
    assert busy.confirmed(BOB.id)
