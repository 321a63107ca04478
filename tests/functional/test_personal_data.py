"""Everything about one person: it is found, handed out, and goes, in whichever table and kind of item it is."""

import json
import re
from collections import Counter
from collections.abc import Iterator
from dataclasses import replace
from itertools import chain
from typing import Any

import pytest

from chalicelib import bootstrap
from chalicelib.command_line import main
from chalicelib.domain.administrators import Appointment, Appointments
from chalicelib.domain.audit import Actor
from chalicelib.domain.client_application import AccessRule, Whose
from chalicelib.domain.event import Channel, Delivery, Event, EventKind
from chalicelib.domain.grant import Grant
from chalicelib.domain.mail import MailRefusal, RefusalKind
from chalicelib.domain.personal_data import (
    KINDS,
    AtErasure,
    DataSubject,
    StoredIn,
    StoredItem,
    StoredKind,
    kind_of,
)
from chalicelib.domain.removal import Everything, EverythingOrder, RemovalOrder
from chalicelib.domain.stop import StopKind
from chalicelib.domain.user import Departure, User
from chalicelib.services.audit_seals import SealService
from chalicelib.services.personal_data import UNKNOWN
from chalicelib.stores.items import Item, unpack
from chalicelib.stores.outbox import DynamoOutbox
from chalicelib.stores.providers import DynamoProviderStore
from dev.process import ROOT
from tests.contract.test_odd_items import KINDS as ODD_KINDS
from tests.fakes import directory
from tests.fakes.misbehaviour import status
from tests.samples import ADMINISTRATOR

from .client import Browser
from .conftest import NORTHWIND, Running, Telling
from .test_token import ORIGIN, SCOPES, Api

ALICE, BOB = directory.ALICE.user, directory.BOB.user
AS_ALICE = Actor(ALICE.id, ALICE.login_name)
NAMES = ("contoso\\alice", "alice@contoso.example", "alice adams", "contosoalice")
TABLES = {"vault": StoredIn.VAULT, "vault-keys": StoredIn.KEYS, "vault-sessions": StoredIn.SESSIONS}
DAY = 86400


def items(running: Running) -> Iterator[tuple[StoredIn, Item]]:
    return chain.from_iterable(
        ((name, unpack(item)) for item in running.aws.items(table)) for table, name in TABLES.items()
    )


def named(item: Item) -> list[str]:
    """The names of hers that stand in an item, found without any code of the product."""
    text = json.dumps({name: value for name, value in item.items() if not isinstance(value, bytes)}, default=repr)
    return [name for name in NAMES if json.dumps(name)[1:-1] in text.casefold()]


def about_alice(running: Running) -> list[tuple[StoredKind | None, Item]]:
    found = [
        (table, item) for table, item in items(running) if ALICE.id in json.dumps(item, default=repr) or named(item)
    ]
    return [(kind_of(table, item), item) for table, item in found]


def counted(exported: dict[str, Any]) -> dict[str, int]:
    return {one["kind"]: len(one["items"]) for one in exported["stored"]}


@pytest.fixture
def planted(telling: Telling, monkeypatch: pytest.MonkeyPatch) -> Telling:
    """Alice with everything that anybody can have, also as an administrator."""
    monkeypatch.setattr(bootstrap, "create_vault", lambda: telling.vault)
    vault, now = telling.vault, telling.clock.now()
    vault.seals.seal_due()
    api = Api(telling)
    alice = api.browser
    api.fetch()
    telling.authorize(alice, "alice2", "Add another account")
    default = alice.get("/providers").form("Make default")
    alice.post(f"/providers/{NORTHWIND}/default", [*default.fields])
    Browser(telling.app).log_in("CONTOSO\\alice", "wrong")
    alice.post("/applications/scanner/block", {"csrf": csrf(alice)})
    alice.post("/mail", {"csrf": csrf(alice)})
    vault.mail.refused([MailRefusal(ALICE.email, RefusalKind.BOUNCED, now)])
    alice.press(alice.get("/providers"), "Reauthorize" if "Reauthorize" in buttons(alice) else "Authorize again")
    _events(telling)
    _revocations(telling, alice)
    vault.stops.stop(StopKind.PERSON, ALICE.id, "laptop lost", ADMINISTRATOR, ORIGIN)
    _as_administrator(telling)
    holding = vault.grants._grants.load(ALICE.id, NORTHWIND)
    assert holding.grant is not None
    vault.grants._grants.spill(replace(holding.grant, generation=7), now + DAY)
    return telling


def csrf(browser: Browser) -> str:
    return browser.get("/sessions").form("Sign out").fields[0][1]


def buttons(browser: Browser) -> list[str]:
    return [button for form in browser.get("/providers").forms for button in form.buttons]


def _events(telling: Telling) -> None:
    """One that was delivered, one that waits, one that was given up."""
    grants = telling.vault.grants._grants
    grant, provider = grants.load(ALICE.id, NORTHWIND).grant, telling.vault.administration.provider(NORTHWIND)
    assert grant is not None
    event = Event.of_grant(EventKind.GRANT_FAILING, grant, provider, telling.clock.now())
    outbox: DynamoOutbox = telling.vault.events._outbox  # type: ignore[assignment]
    for channel in Channel:
        outbox.add(Delivery.first(event, channel))
    outbox.finish([Delivery.first(event, Channel.PERSON)], told=[event.id])
    outbox.bury(Delivery.first(event, Channel.ADMINISTRATORS))


def _revocations(telling: Telling, alice: Browser) -> None:
    """One token set that the cloud has not ended yet, and one that an administrator removed."""

    def third() -> Grant:
        telling.authorize(alice, "alice3", "Add another account")
        held = telling.vault.grants._grants.of_user(ALICE.id)
        return next(one for one in held if one.token_set and one.account.subject == "cloud-alice3")

    slot = third().slot
    telling.cloud.misbehave("/revoke", status(503), status(503))
    telling.vault.grants.revoke(ALICE, NORTHWIND, ORIGIN, slot=slot)
    telling.authorize(telling.browser("bob"), "bob")
    telling.vault.removals.remove_of(AS_ALICE, telling.vault.people.find("CONTOSO\\bob"), ORIGIN, revoke=False)
    telling.vault.removals.remove(ADMINISTRATOR, [third().id], ORIGIN, revoke=False)


def _as_administrator(telling: Telling) -> None:
    """Her name in what she did to others."""
    vault, now = telling.vault, telling.clock.now()
    mine = Appointment(ALICE.id, False, ALICE.login_name, now, ADMINISTRATOR)
    vault.administrators._administrators.save(
        Appointments((mine, Appointment(BOB.id, False, BOB.login_name, now, AS_ALICE)))
    )
    vault.stops.stop(StopKind.PROVIDER, NORTHWIND, "their incident", AS_ALICE, ORIGIN)
    application = vault.client_applications.get("scanner")
    rule = AccessRule(NORTHWIND, SCOPES, Whose(users=frozenset({ALICE.id, BOB.id})))
    vault.client_applications.set_rules(application, (rule,), ADMINISTRATOR, ORIGIN)
    vault.stops.stop(StopKind.APPLICATION, "scanner", "too much", AS_ALICE, ORIGIN)
    store: DynamoProviderStore = vault.removals._providers  # type: ignore[assignment]
    provider = store.get(NORTHWIND)
    store.update(replace(provider, emptied=1, removals=(RemovalOrder(9, "r9", revoke=False, by=AS_ALICE),)))
    store.save_everything(Everything((EverythingOrder(1, "r1", revoke=False, by=AS_ALICE, at=now),)), replaces=0)


class TestExport:
    def test_the_officer_gets_every_item_of_every_table(
        self, planted: Telling, capsys: pytest.CaptureFixture[str]
    ) -> None:
        assert main(["export-person", "CONTOSO\\alice"]) == 0
        exported = json.loads(capsys.readouterr().out)
        found = Counter(kind.name if kind else None for kind, _ in about_alice(planted))
        assert counted(exported) == found
        kinds = {kind.name for kind in KINDS if kind.at_erasure is not AtErasure.NOBODY}
        unseen = {"cursor", "sweep", "provider health", "end of a grant", "counted tries", "counted refusals", "usage"}
        assert set(found) == kinds - unseen, "somebody with everything has one of each kind that can name them"
        assert all(one["kept"] and one["at_erasure"] for one in exported["stored"])

    def test_it_holds_no_secret_and_nobody_else(self, planted: Telling, capsys: pytest.CaptureFixture[str]) -> None:
        main(["export-person", ALICE.id])
        text = capsys.readouterr().out
        assert '"token_set": "stored, encrypted"' in text
        assert BOB.id not in text
        assert BOB.login_name not in text
        assert ADMINISTRATOR.name not in text
        cookies = planted.browser("alice").cookies.values()
        assert not [value for value in cookies if value in text]

    def test_a_person_gets_their_own_from_the_page(self, planted: Telling) -> None:
        planted.vault.stops.resume(StopKind.PROVIDER, NORTHWIND, ADMINISTRATOR, ORIGIN)
        browser = planted.browser("alice")
        answer = browser.press(browser.get("/your-data"), "Download")
        assert answer.header("Content-Disposition") == 'attachment; filename="your-data.json"'
        exported, found = json.loads(answer.body), about_alice(planted)
        every = Counter(kind.name for kind, _ in found if kind)
        own = counted(exported)
        told = [item for kind, item in found if kind and kind.name == "audit entry" and item["user_id"] == ALICE.id]
        assert own.pop("audit entry") == len(told)
        del every["audit entry"]
        assert own.pop("event on its way") == 2
        assert every.pop("event on its way") == 3
        assert {*every} - {*own} == {"known browser", "spilled outcome", "counts of a removal", "copy"}
        assert {name: number for name, number in every.items() if name in own} == own

    @pytest.mark.parametrize("person", ["alice", "bob"])
    def test_it_is_in_the_audit_log(self, planted: Telling, person: str, capsys: pytest.CaptureFixture[str]) -> None:
        browser = planted.browser(person)
        browser.press(browser.get("/your-data"), "Download")
        main(["export-person", f"CONTOSO\\{person}"])
        lines = [item for item in planted.aws.items("vault") if item.get("tag", {}).get("S") == "user.exported"]
        assert sorted(line["actor"]["S"] for line in lines) == [f"{directory.DOMAIN_SID}-110{1 + (person == 'bob')}",
                                                                "command-line"]  # fmt: skip
        assert "You downloaded a copy of what is stored about you" in browser.get("/activity").text
        capsys.readouterr()


class TestErasure:
    def erase(self, planted: Telling) -> int:
        planted.directory.gone[ALICE.id] = Departure.DISABLED
        return main(["erase-person", "CONTOSO\\alice", "--yes"])

    def test_nothing_is_left_but_what_the_list_says(self, planted: Telling, capsys: pytest.CaptureFixture[str]) -> None:
        assert self.erase(planted) == 0, capsys.readouterr()
        for kind, item in about_alice(planted):
            assert kind
            assert kind.at_erasure in (AtErasure.NAMES_GO, AtErasure.STAYS), item
            assert kind.at_erasure is AtErasure.STAYS or not named(item), item
        left = Counter(kind.name for kind, _ in about_alice(planted) if kind)
        assert set(left) == {
            "audit entry", "receipt of a removal", "counts of a removal", "provider", "removal of everything",
            "application", "administrators", "stop", "pending revocation", "copy",
        }  # fmt: skip

    def test_one_that_was_cut_short_is_run_again(self, planted: Telling, monkeypatch: pytest.MonkeyPatch) -> None:
        items, number = planted.vault.personal_data._items, 0
        erase = items.erase

        def dies(stored: StoredItem, person: DataSubject) -> bool:
            nonlocal number
            number += 1
            if number == 9:
                raise KeyboardInterrupt
            return erase(stored, person)

        with monkeypatch.context() as patch:
            patch.setattr(items, "erase", dies)
            with pytest.raises(KeyboardInterrupt):
                self.erase(planted)
        assert main(["erase-person", "CONTOSO\\alice", "--yes"]) == 0
        assert not [item for kind, item in about_alice(planted) if kind and kind.name == "audit entry" and named(item)]

    def test_the_clouds_are_asked_and_nothing_is_released(self, planted: Telling) -> None:
        before = planted.audit_tags().count("grant.revoked")
        self.erase(planted)
        assert planted.audit_tags().count("grant.revoked") == before + 2
        assert planted.audit_tags().count("user.erased") == 1
        planted.clock.advance(DAY)
        planted.vault.revocations.retry_due()
        kinds = {kind.name for kind, _ in about_alice(planted) if kind}
        assert "pending revocation" not in kinds

    def test_what_others_have_is_as_it_was(self, planted: Telling) -> None:
        self.erase(planted)
        vault = planted.vault
        assert [one.key for one in vault.administrators.all().entries] == [BOB.id]
        assert vault.administrators.all().entries[0].by == Actor(ALICE.id, ALICE.id)
        (rule,) = vault.client_applications.get("scanner").rules
        assert rule.whose.users == {BOB.id}
        assert {stop.target for stop in vault.stops.all()} >= {NORTHWIND}
        assert vault.people.find("CONTOSO\\bob").id == BOB.id

    def test_the_seals_still_prove_the_log(self, planted: Telling) -> None:
        planted.clock.advance(7200)
        seals: SealService = planted.vault.seals
        seals.seal_due()
        self.erase(planted)
        planted.clock.advance(7200)
        seals.seal_due()
        assert seals.verify().faults == []

    def test_names_that_somebody_else_took_out_are_missed(self, planted: Telling) -> None:
        planted.clock.advance(7200)
        planted.vault.seals.seal_due()
        entry = next(item for item in planted.aws.items("vault") if item.get("tag", {}).get("S") == "grant.authorized")
        names = ("user_name", "about", "user_salt", "actor_name", "source", "browser", "actor_salt")
        stripped = {name: value for name, value in entry.items() if name not in names}
        planted.aws.clients.dynamodb.put_item(TableName="vault", Item=stripped)
        assert {fault.kind for fault in planted.vault.seals.verify().faults} == {"names_missing"}
        planted.aws.clients.dynamodb.put_item(TableName="vault", Item=entry | {"user_name": {"S": "CONTOSO\\mallory"}})
        assert {fault.kind for fault in planted.vault.seals.verify().faults} == {"entry_changed"}
        half = {name: value for name, value in entry.items() if name != "user_name"}
        planted.aws.clients.dynamodb.put_item(TableName="vault", Item=half)
        assert {fault.kind for fault in planted.vault.seals.verify().faults} == {"entry_changed"}

    def test_an_entry_of_before_stays_with_its_names_and_is_counted(
        self, planted: Telling, capsys: pytest.CaptureFixture[str]
    ) -> None:
        entry = next(item for item in planted.aws.items("vault") if item.get("tag", {}).get("S") == "client.blocked")
        before = {
            name: one for name, one in entry.items() if not name.endswith(("_salt", "_digest")) and name != "about"
        }
        planted.aws.clients.dynamodb.put_item(TableName="vault", Item=before)
        assert self.erase(planted) == 0
        assert "Left: audit entry 1, copy 7, pending" in capsys.readouterr().out
        assert before in planted.aws.items("vault")

    def test_what_is_of_no_kind_is_handed_out_and_left(
        self, planted: Telling, capsys: pytest.CaptureFixture[str]
    ) -> None:
        odd = {"pk": {"S": f"USER#{ALICE.id}"}, "sk": {"S": "LATER"}, "is": {"S": "of a later version"}}
        planted.aws.clients.dynamodb.put_item(TableName="vault", Item=odd)
        main(["export-person", ALICE.id])
        assert json.loads(capsys.readouterr().out)["stored"][-1]["items"] == [{"is": "of a later version"}]
        assert self.erase(planted) == 1
        assert f"{UNKNOWN} 1" in capsys.readouterr().out

    def test_whom_no_directory_knows_is_asked_about(self, planted: Telling, capsys: pytest.CaptureFixture[str]) -> None:
        carol = User(f"openid.{'a' * 40}", "carol@elsewhere.example", "Carol")
        planted.vault.users.enrol(carol, sessions_until=0, at=planted.clock.now())
        assert main(["erase-person", carol.id, "--yes"]) == 1
        assert "No directory can be asked about this person" in capsys.readouterr().err
        assert main(["erase-person", carol.id, "--yes", "--still-here"]) == 0
        assert planted.vault.users.get(carol.id) is None

    def test_somebody_who_is_still_here_is_refused(self, planted: Telling, capsys: pytest.CaptureFixture[str]) -> None:
        before = len(about_alice(planted))
        assert main(["erase-person", "CONTOSO\\alice", "--yes"]) == 1
        assert capsys.readouterr().err == (
            "The directory account is open. The next log-in would make a new record: say --still-here to go ahead.\n"
        )
        assert len(about_alice(planted)) == before
        assert main(["erase-person", "CONTOSO\\alice", "--yes", "--still-here"]) == 0

    def test_without_yes_it_says_what_would_become_of_it(
        self, planted: Telling, capsys: pytest.CaptureFixture[str]
    ) -> None:
        before = planted.stored()
        assert main(["erase-person", "CONTOSO\\alice", "--json"]) == 0
        said = json.loads(capsys.readouterr().out)
        assert {one["kind"]: one["items"] for one in said["kinds"]} == Counter(
            kind.name for kind, _ in about_alice(planted) if kind
        )
        assert main(["erase-person", "CONTOSO\\alice"]) == 0
        text = capsys.readouterr().out
        assert "audit entry: " in text
        assert "stays without names; the id stays (else kept: 400 days)" in text
        assert planted.stored() == before

    def test_whose_record_is_gone_is_erased_by_the_id(
        self, planted: Telling, capsys: pytest.CaptureFixture[str]
    ) -> None:
        record = planted.vault.users.get(ALICE.id)
        assert record
        planted.vault.users.delete(record)
        assert main(["erase-person", ALICE.id, "--yes"]) == 0
        assert not [item for kind, item in about_alice(planted) if named(item) and kind and kind.name == "audit entry"]
        assert main(["erase-person", ALICE.id, "--yes"]) == 0
        assert "Erased: " in capsys.readouterr().out


def test_who_is_removed_leaves_no_choice_behind(planted: Telling) -> None:
    record = planted.vault.users.get(ALICE.id)
    assert record
    planted.vault.users.delete(record)
    left = {kind.name for kind, item in about_alice(planted) if kind and item["pk"] == f"USER#{ALICE.id}"}
    assert left == {"authorization", "removed authorization", "default account"}


class TestList:
    """The list of kinds is what the tables hold."""

    def test_every_item_of_a_full_vault_is_of_a_kind(self, planted: Telling) -> None:
        planted.clock.advance(7200)
        planted.vault.seals.seal_due()
        assert [item for table, item in items(planted) if kind_of(table, item) is None] == []

    def test_every_kind_that_stores_write_is_on_the_list_once(self) -> None:
        places = [(TABLES[one.table], {"pk": one.key} | ({"sk": one.sort} if one.sort else {})) for one in ODD_KINDS]
        before = json.loads((ROOT / "tests/contract/items_of_before.json").read_text(encoding="utf-8"))
        places += [(TABLES[name], unpack(_keys(item))) for name in TABLES for item in before[name]]
        for table, item in places:
            key = "/".join(item.values())
            assert len([kind for kind in KINDS if kind.is_kind_of(table, key)]) in (1, 2), key
            assert kind_of(table, item)

    def test_what_has_a_time_to_live_is_kept_as_long_as_the_list_says(self, planted: Telling) -> None:
        now, seconds = planted.clock.now(), {"day": DAY, "hour": 3600, "minute": 60}
        seen = set()
        for table, item in items(planted):
            kind = kind_of(table, item)
            written = re.fullmatch(r"(\d+) (day|hour|minute)s?", kind.kept) if kind else None
            if kind and written and "expires_at" in item:
                seen.add(kind.name)
                assert item["expires_at"] - now <= int(written[1]) * seconds[written[2]], item
        assert seen >= {"known browser", "session", "authorization request", "mail refusal", "receipt of a removal"}


def _keys(item: dict[str, Any]) -> dict[str, Any]:
    return {name: item[name] for name in ("pk", "sk") if name in item}
