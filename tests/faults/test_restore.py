"""F35, the restore drill: the table comes back from a backup, and what ended or was narrowed since stays so.

Each act happens after the backup. Then every item of the vault's table is put back as it was, `after-restore` runs, and
releases, log-ins and pages say what holds. Keys and sessions are in tables that no restore touches.
"""

import json
import pickle
from collections.abc import Callable
from dataclasses import dataclass, replace
from typing import Any

import pytest

from chalicelib.domain.audit import Actor
from chalicelib.domain.client_application import AccessRule, Whose
from chalicelib.domain.copy import CopyKind
from chalicelib.domain.stop import ALL, StopKind
from chalicelib.domain.user import Departure
from chalicelib.services.restoration import PEOPLE, Restored, RestoredRecord
from tests.fakes.application import Application
from tests.functional.client import BASE
from tests.functional.conftest import NORTHWIND
from tests.samples import ADMINISTRATOR, APPLICATION

from .world import IDS, ORIGIN, SCOPES, World

OPERATOR = Actor("operator", "Olga")
Do = Callable[["Drill"], object]
Is = Callable[["Drill"], bool]


class Drill:
    """A vault whose people have authorized, with two applications, of which the second is about nothing that ends."""

    def __init__(self, world: World) -> None:
        self.world, self.vault = world, world.first.vault
        self.second = Application("second", BASE, world.clock.now)
        registered = self.clients.register(
            replace(APPLICATION, id="second", name="Second", rules=self.rules(everybody=True)), ADMINISTRATOR, ORIGIN
        )
        self.clients.add_keys(registered, json.dumps(self.second.jwks()), ADMINISTRATOR, ORIGIN)
        self.log_in("alice", "bob", "admin")
        for person in ("alice", "bob"):
            world.authorize(person)

    @property
    def clients(self) -> Any:
        return self.vault.client_applications

    def scanner(self) -> Any:
        return self.clients.get("scanner")

    @staticmethod
    def rules(**whose: Any) -> tuple[AccessRule, ...]:
        return (AccessRule(NORTHWIND, SCOPES, Whose(**whose)),)

    def settle(self) -> None:
        """An hour after the update the background has noted that every change leaves a copy."""
        self.vault.restoration.prepare()
        self.world.clock.advance(3600)
        self.vault.restoration.prepare()
        self.log_in("alice", "bob", "admin")
        # What is refreshed after a backup is older in it: a cloud that gives a new refresh token each time takes none
        assert [self.fetches("alice"), self.fetches("bob")] == [True, True]

    def log_in(self, *people: str) -> None:
        for person in people:
            self.world.cookies[person] = {}
            self.world.log_in(person)

    def back_up(self) -> bytes:
        return pickle.dumps(self.world._items("vault"), pickle.HIGHEST_PROTOCOL)

    def restore(self, backup: bytes) -> None:
        items = self.world._items("vault")
        items.clear()
        items.update(pickle.loads(backup))  # noqa: S301 - written a moment ago, by us
        self.world.first.forget()
        self.world.second.forget()

    def after_restore(self, **how: bool) -> list[RestoredRecord]:
        return list(self.vault.restoration.run(OPERATOR, ORIGIN, **how))

    def fetches(self, person: str = "alice", application: str = "scanner") -> bool:
        before = self.world.application
        self.world.application = self.second if application == "second" else before
        try:
            return self.world.fetch(person)[0] == 200
        finally:
            self.world.application = before

    def sees(self, person: str, path: str, text: str) -> bool:
        return text in self.world.browser(person).get(path).text

    def post(self, person: str, path: str, **fields: str) -> None:
        browser = self.world.browser(person)
        csrf = dict(browser.get("/providers").forms[0].fields)["csrf"]
        assert browser.post(path, {"csrf": csrf, **fields}).status < 400

    def administrates(self, person: str) -> bool:
        return self.world.browser(person).get("/admin/clients").status == 200

    def provider(self) -> Any:
        return self.vault.registration.get(NORTHWIND)


@pytest.fixture
def drill(world: World) -> Drill:
    return Drill(world)


# What ends


def remove_singly(drill: Drill) -> None:
    grant = drill.world.grant("alice")
    assert grant
    drill.vault.removals.remove(ADMINISTRATOR, [grant.id], ORIGIN)


def remove_key(drill: Drill) -> None:
    drill.clients.remove_key(drill.scanner(), "k1", ADMINISTRATOR, ORIGIN)


def narrow(drill: Drill) -> None:
    rules = drill.rules(users=frozenset({IDS["bob"]}))
    drill.clients.set_rules(drill.scanner(), rules, ADMINISTRATOR, ORIGIN)


def stop(kind: StopKind, target: str) -> Do:
    return lambda drill: drill.vault.stops.stop(kind, target, "their incident", ADMINISTRATOR, ORIGIN)


def resume(kind: StopKind, target: str) -> Do:
    return lambda drill: drill.vault.stops.resume(kind, target, ADMINISTRATOR, ORIGIN)


def appoint(drill: Drill) -> None:
    drill.post("admin", "/admin/administrators", who="CONTOSO\\bob")


def dismiss(drill: Drill) -> None:
    drill.post("admin", "/admin/administrators/dismiss", key=IDS["bob"])


def disable(drill: Drill) -> None:
    drill.vault.registration.disable(drill.provider(), ADMINISTRATOR, ORIGIN)


def enable(drill: Drill) -> None:
    drill.vault.registration.enable(drill.provider(), ADMINISTRATOR, ORIGIN)


def delete_provider(drill: Drill) -> None:
    drill.vault.registration.delete(drill.provider(), ADMINISTRATOR, ORIGIN)
    drill.world.background(drill.world.first, *[0.1] * 6)
    assert drill.vault.administration.providers() == []


def leave(drill: Drill) -> None:
    drill.world.directory.gone[IDS["alice"]] = Departure.DISABLED
    drill.vault.leavers.sweep(pause=0)


def leave_for_good(drill: Drill) -> None:
    leave(drill)
    drill.world.clock.advance(31 * 86400)
    drill.vault.leavers.sweep(pause=0)
    assert drill.world.grant("alice") is None


def nothing(_: Drill) -> None:
    pass


def fetches(person: str = "alice", application: str = "scanner") -> Is:
    return lambda drill: drill.fetches(person, application)


def administrates(drill: Drill) -> bool:
    drill.log_in("bob")
    return drill.administrates("bob")


def offers(drill: Drill) -> bool:
    return drill.sees("bob", "/providers", "Northwind Cloud")


FETCHES, OTHER_PERSON, OTHER_PROGRAM = fetches(), fetches("bob"), fetches("alice", "second")


@dataclass(frozen=True)
class Ending:
    """`act` ends what `was` tells; `stays` is a right that it is not about. `before` happened before the backup."""

    act: Do
    was: Is
    stays: Is
    before: Do = nothing


ENDINGS = {
    "removed singly": Ending(remove_singly, FETCHES, OTHER_PERSON),
    "revoked by the owner": Ending(
        lambda drill: drill.post("alice", f"/providers/{NORTHWIND}/revoke", account=""), FETCHES, OTHER_PERSON
    ),
    "key of an application removed": Ending(remove_key, FETCHES, OTHER_PROGRAM),
    "application deleted": Ending(
        lambda drill: drill.clients.delete(drill.scanner(), ADMINISTRATOR, ORIGIN), FETCHES, OTHER_PROGRAM
    ),
    "rule narrowed": Ending(narrow, FETCHES, OTHER_PERSON),
    "application stopped": Ending(stop(StopKind.APPLICATION, "scanner"), FETCHES, OTHER_PROGRAM),
    "provider stopped": Ending(stop(StopKind.PROVIDER, NORTHWIND), FETCHES, offers),
    "person stopped": Ending(stop(StopKind.PERSON, "CONTOSO\\alice"), FETCHES, OTHER_PERSON),
    "everything stopped": Ending(stop(StopKind.EVERYTHING, ALL), FETCHES, offers),
    "blocked by a person": Ending(
        lambda drill: drill.post("alice", "/applications/scanner/block"), FETCHES, OTHER_PERSON
    ),
    "administrator dismissed": Ending(dismiss, administrates, OTHER_PERSON, before=appoint),
    "provider disabled": Ending(disable, offers, lambda drill: drill.administrates("admin")),
    "everything of a provider removed": Ending(
        lambda drill: drill.vault.removals.remove_all(ADMINISTRATOR, NORTHWIND, ORIGIN), FETCHES, offers
    ),
    "everything removed": Ending(
        lambda drill: drill.vault.removals.remove_everything(ADMINISTRATOR, ORIGIN, revoke=False), FETCHES, offers
    ),
    "provider deleted": Ending(delete_provider, offers, lambda drill: drill.administrates("admin")),
    "account disabled": Ending(leave, FETCHES, OTHER_PERSON),
    "left for good": Ending(leave_for_good, FETCHES, OTHER_PERSON),
}


@pytest.mark.parametrize("ending", ENDINGS.values(), ids=ENDINGS)
def test_f35_what_ended_after_the_backup_stays_so(drill: Drill, ending: Ending) -> None:
    ending.before(drill)
    drill.settle()
    assert ending.was(drill)
    assert ending.stays(drill)
    backup = drill.back_up()
    drill.world.clock.advance(60)
    ending.act(drill)
    # Sessions end meanwhile where an act takes long
    drill.log_in("bob", "admin")
    assert not ending.was(drill)
    drill.restore(backup)
    done = drill.after_restore()
    assert outcomes(done).isdisjoint({Restored.CLOSED, Restored.NEEDS_SECRET})
    assert not ending.was(drill)
    assert ending.stays(drill)
    assert_nothing_is_left(drill)


def outcomes(done: list[RestoredRecord]) -> set[Restored]:
    return {one.outcome for one in done}


def told(done: list[RestoredRecord]) -> set[tuple[str, str, Restored]]:
    return {(one.kind, one.id, one.outcome) for one in done if one.outcome is not Restored.CURRENT}


def assert_nothing_is_left(drill: Drill) -> None:
    """Running it again changes nothing, but for what the round over everybody notes of itself."""
    before = [item for item in drill.world.items() if item["pk"] != "SWEEP"]
    assert outcomes(drill.after_restore()) == {Restored.CURRENT}
    assert [item for item in drill.world.items() if item["pk"] != "SWEEP"] == before


def clean_up(drill: Drill) -> None:
    drill.world.background(drill.world.first, *[0.1] * 6)


@pytest.mark.parametrize(
    "act",
    [delete_provider, lambda drill: (ENDINGS["everything of a provider removed"].act(drill), clean_up(drill))],
    ids=["provider deleted", "all removed"],
)
def test_f35_what_was_cleaned_since_the_backup_is_cleaned_again(drill: Drill, act: Do) -> None:
    drill.settle()
    backup = drill.back_up()
    act(drill)
    drill.restore(backup)
    drill.after_restore()
    assert any("token_set" in item for item in drill.world.items())
    assert_nothing_is_left(drill)
    clean_up(drill)
    assert not any("token_set" in item for item in drill.world.items())
    assert not any(item["pk"] == f"{NORTHWIND}#1" for item in drill.world.items("vault-keys"))
    assert (drill.vault.administration.providers() == []) == (act is delete_provider)


def test_f35_a_gate_that_was_forgotten_can_be_shut_later(drill: Drill) -> None:
    """The background does not note in a restored table that nothing is missing."""
    backup = drill.back_up()
    drill.settle()
    drill.restore(backup)
    drill.vault.restoration._copies._is_settled = False  # type: ignore[attr-defined]
    for _ in range(3):
        drill.world.clock.advance(3600)
        drill.vault.restoration.prepare()
    assert (CopyKind.APPLICATION, "scanner", Restored.CLOSED) in told(drill.after_restore())


# What was taken back since is not in effect again


@dataclass(frozen=True)
class Return:
    """`before` the backup something ended, which `act` took back after it."""

    before: Do
    act: Do
    told: tuple[str, str, Restored]
    again: Is = FETCHES


RETURNS = {
    "stop": Return(
        stop(StopKind.PROVIDER, NORTHWIND),
        resume(StopKind.PROVIDER, NORTHWIND),
        (CopyKind.STOP, f"provider {NORTHWIND}", Restored.DELETED_AGAIN),
    ),
    "stop of an application": Return(
        stop(StopKind.APPLICATION, "scanner"),
        resume(StopKind.APPLICATION, "scanner"),
        (CopyKind.APPLICATION, "scanner", Restored.AS_LAST),
    ),
    "block": Return(
        lambda drill: drill.post("alice", "/applications/scanner/block"),
        lambda drill: drill.post("alice", "/applications/scanner/unblock"),
        (CopyKind.BLOCK, f"scanner {IDS['alice']}", Restored.DELETED_AGAIN),
    ),
    "disabled provider": Return(disable, enable, (CopyKind.PROVIDER, NORTHWIND, Restored.AS_LAST), offers),
    "narrow rule": Return(
        narrow,
        lambda drill: drill.clients.set_rules(
            drill.scanner(), drill.rules(users=frozenset({IDS["alice"]})), ADMINISTRATOR, ORIGIN
        ),
        (CopyKind.APPLICATION, "scanner", Restored.AS_LAST),
    ),
    "not appointed": Return(nothing, appoint, (CopyKind.ADMINISTRATORS, "", Restored.AS_LAST), administrates),
}


@pytest.mark.parametrize("returned", RETURNS.values(), ids=RETURNS)
def test_f35_what_was_taken_back_after_the_backup_holds(drill: Drill, returned: Return) -> None:
    drill.settle()
    returned.before(drill)
    assert not returned.again(drill)
    backup = drill.back_up()
    returned.act(drill)
    assert returned.again(drill)
    drill.restore(backup)
    assert told(drill.after_restore()) == {returned.told}
    assert returned.again(drill)
    assert_nothing_is_left(drill)


def test_f35_who_was_never_changed_since_the_update_works_on(drill: Drill) -> None:
    """Items that the version before wrote have no copies, and need none while nobody changes them."""
    forget_copies(drill)
    drill.settle()
    backup = drill.back_up()
    drill.restore(backup)
    assert told(drill.after_restore()) == set()
    assert drill.fetches()


def forget_copies(drill: Drill) -> None:
    client = drill.world.aws.clients.dynamodb
    for item in drill.world.items("vault-keys"):
        if item["pk"].startswith("COPY#"):
            client.delete_item(TableName="vault-keys", Key={"pk": {"S": item["pk"]}})


# What cannot be known


def test_f35_a_backup_of_the_version_before_is_closed_altogether(drill: Drill) -> None:
    appoint(drill)
    forget_copies(drill)
    backup = drill.back_up()
    drill.settle()
    drill.restore(backup)
    assert told(drill.after_restore()) == {
        (CopyKind.PROVIDER, NORTHWIND, Restored.CLOSED),
        (CopyKind.APPLICATION, "scanner", Restored.CLOSED),
        (CopyKind.APPLICATION, "second", Restored.CLOSED),
        (CopyKind.ADMINISTRATORS, "", Restored.CLOSED),
    }
    drill.log_in("alice", "bob", "admin")
    assert [drill.fetches(), offers(drill), administrates(drill), drill.administrates("admin")] == [False] * 3 + [True]
    assert_nothing_is_left(drill)
    # Everybody is asked again
    enable(drill)
    resume(StopKind.APPLICATION, "scanner")(drill)
    assert not drill.fetches()
    drill.world.authorize("alice")
    assert [drill.fetches(), drill.fetches("bob")] == [True, False]


def test_f35_a_note_that_other_functions_made_since_is_no_proof(drill: Drill) -> None:
    """Who went back to the version before deletes the note: backups until the next one are not known."""
    drill.settle()
    backup = drill.back_up()
    drill.world.aws.clients.dynamodb.delete_item(TableName="vault-keys", Key={"pk": {"S": "COPIES"}})
    drill.vault.restoration._copies._is_settled = False  # type: ignore[attr-defined]
    drill.settle()
    drill.restore(backup)
    assert (CopyKind.APPLICATION, "scanner", Restored.CLOSED) in told(drill.after_restore())


def test_f35_a_copy_of_before_the_note_does_not_count(drill: Drill) -> None:
    """The version before may have written over what it is a copy of."""
    drill.vault.stops.stop(StopKind.PROVIDER, NORTHWIND, "why", ADMINISTRATOR, ORIGIN)
    client = drill.world.aws.clients.dynamodb
    client.delete_item(TableName="vault", Key={"pk": {"S": "STOPS#provider"}, "sk": {"S": NORTHWIND}})
    drill.settle()
    drill.restore(drill.back_up())
    assert told(drill.after_restore()) == set()
    assert drill.fetches()


UNREADABLE: dict[str, tuple[str, Do, Is]] = {
    "application": ("CLIENT#scanner", nothing, FETCHES),
    "provider": (NORTHWIND, nothing, offers),
    "stop": ("STOPS#provider", stop(StopKind.PROVIDER, NORTHWIND), FETCHES),
    "block": ("BLOCK#", lambda drill: drill.post("alice", "/applications/scanner/block"), FETCHES),
    "administrators": ("ADMINISTRATORS", nothing, administrates),
}


@pytest.mark.parametrize(("name", "act", "was"), UNREADABLE.values(), ids=UNREADABLE)
@pytest.mark.parametrize("odd", [{"at": {"S": "?"}}, {"item": {"S": "?"}}, {}], ids=["time", "item", "nothing"])
def test_f35_what_a_copy_cannot_say_is_closed(drill: Drill, name: str, act: Do, was: Is, odd: dict[str, Any]) -> None:
    appoint(drill)
    drill.settle()
    assert was(drill)
    backup = drill.back_up()
    act(drill)
    (key,) = {
        item["pk"] for item in drill.world.items("vault-keys") if item["pk"].startswith("COPY#") and name in item["pk"]
    }
    good = {"at": {"N": "0"}, "item": {"M": {}}} if odd else {}
    drill.world.aws.clients.dynamodb.put_item(TableName="vault-keys", Item={"pk": {"S": key}} | good | odd)
    drill.restore(backup)
    assert Restored.CLOSED in outcomes(drill.after_restore())
    assert not was(drill)
    assert drill.administrates("admin")


@pytest.mark.parametrize("asked", [True, False])
def test_f35_people_who_could_not_be_asked_about_stop_everything(drill: Drill, asked: bool) -> None:
    drill.settle()
    backup = drill.back_up()
    drill.world.directory.gone[IDS["alice"]] = Departure.DISABLED
    drill.restore(backup)
    drill.world.directory.available = not asked
    assert told(drill.after_restore(ask_directory=asked)) == {(PEOPLE, "", Restored.CLOSED)}
    assert not drill.fetches("bob")
    drill.world.directory.available = True
    drill.vault.leavers.sweep(pause=0)
    resume(StopKind.EVERYTHING, ALL)(drill)
    assert [drill.fetches("alice"), drill.fetches("bob")] == [False, True]


def test_f35_who_is_not_found_is_looked_for_twice(drill: Drill) -> None:
    drill.settle()
    backup = drill.back_up()
    drill.restore(backup)
    drill.world.directory.gone[IDS["alice"]] = Departure.DELETED
    assert told(drill.after_restore()) == set()
    assert [drill.fetches("alice"), drill.fetches("bob")] == [False, True]
