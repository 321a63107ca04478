"""R93: whatever changes something is in the log with it, or does not happen. Routes, commands and the schedule.

Each act meets a log that cannot be written, and a process that is killed after each of its writes; then the schedule
runs, and the act is repeated. A route, command or background function that is added has no act here, and fails.
"""

import argparse
import io
import json
import re
from collections.abc import Callable
from contextlib import suppress
from dataclasses import dataclass, replace
from typing import Any
from unittest.mock import patch

import pytest
from joserfc.jwk import ECKey

from chalicelib import bootstrap
from chalicelib.command_line import _parser, main
from chalicelib.domain.access import Access
from chalicelib.domain.errors import VaultError
from chalicelib.domain.event import Channel, Delivery, Event, EventKind
from chalicelib.domain.mail import MailRefusal, RefusalKind
from chalicelib.domain.user import Departure
from chalicelib.stores.items import Item
from deploy.template import functions
from tests.fakes.misbehaviour import error
from tests.functional.client import Answer
from tests.functional.conftest import NORTHWIND
from tests.functional.test_permissions import IdleCatalogue
from tests.samples import ADMINISTRATOR

from . import seam
from .seam import Call, Do, Killed
from .world import IDS, ORIGIN, World

Prepared = Any


@dataclass(frozen=True)
class Act:
    """`do` is what may change something, with what was `prepared` for it: a form, a page."""

    prepare: Callable[[World], Prepared]
    do: Callable[[World, Prepared], object]
    also: str = ""
    """A kind of item that this act decides about, and others only write."""


def _nothing(_: World) -> None:
    return None


def _csrf(world: World, person: str) -> str:
    return world.browser(person).get("/sessions").form("Sign out").fields[0][1]


def posted(person: str, path: str, first: Callable[[World], object] = _nothing, **fields: str) -> Act:
    """A form that needs no page."""

    def prepare(world: World) -> str:
        first(world)
        return _csrf(world, person)

    def do(world: World, csrf: str) -> Answer:
        return world.browser(person).post(path, {"csrf": csrf, **fields})

    return Act(prepare, do)


def pressed(person: str, path: str, button: str, first: Callable[[World], object] = _nothing, **typed: str) -> Act:
    """A button on a page."""

    def prepare(world: World) -> Answer:
        first(world)
        return world.browser(person).get(path)

    def do(world: World, page: Answer) -> Answer:
        return world.browser(person).press(page, button, **typed)

    return Act(prepare, do)


def command(*words: str, first: Callable[[World], object] = _nothing, reads: Callable[[World], str] = str) -> Act:
    """A command with what it reads from standard input."""

    def prepare(world: World) -> str:
        first(world)
        return reads(world)

    def do(_: World, text: str) -> int:
        with patch("sys.stdin", io.StringIO(text)):
            return main(words)

    return Act(prepare, do)


def scheduled(first: Callable[[World], object], run: Callable[[World], object]) -> Act:
    """A background function, which promises nobody anything."""

    def do(world: World, _: None) -> None:
        # Lambda notes it, and the next minute tries again
        with suppress(VaultError):
            run(world)

    return Act(first, do)


def _alice_is_gone(world: World) -> None:
    world.directory.gone[IDS["alice"]] = Departure.DISABLED


def _ended_at_the_cloud(world: World) -> None:
    world.first.vault.keep_alive._catalogue = IdleCatalogue()
    world.cloud.misbehave("/token", error("invalid_grant"))
    world.clock.advance(80 * 86400)


def _removed_all(world: World) -> None:
    world.first.vault.removals.remove_all(ADMINISTRATOR, NORTHWIND, ORIGIN)
    world.clock.advance(180)


def _two_accounts(world: World) -> None:
    browser = world.browser("alice")
    browser.get(world.consented(browser, "alice2", "Add another account"))


def _another_session(world: World) -> None:
    cookies = dict(world.cookies["alice"])
    world.cookies["alice"].clear()
    world.log_in("alice")
    world.cookies["alice"] |= cookies


def _handle(world: World) -> str:
    sessions = world.second.vault.sessions
    alice = world.second.vault.directory.person(IDS["alice"])
    mine = sessions.find(world.cookies["alice"]["__Host-session"])
    return next(one.handle for one in sessions.of_user(alice) if mine and one.id_hash != mine.id_hash)


def _alice_left(world: World) -> None:
    world.directory.gone[IDS["alice"]] = Departure.DISABLED
    world.first.vault.leavers.sweep()
    del world.directory.gone[IDS["alice"]]


def _all_are_missing(world: World) -> None:
    world.directory.gone |= dict.fromkeys(IDS.values(), Departure.DELETED)
    world.first.vault.leavers.sweep()
    world.directory.gone.clear()


def _bob_appointed(world: World) -> None:
    world.browser("admin").post("/admin/administrators", {"csrf": _csrf(world, "admin"), "who": "CONTOSO\\bob"})


def _provider_off(world: World) -> None:
    service = world.first.vault.registration
    service.disable(service.get(NORTHWIND), ADMINISTRATOR, ORIGIN)


def _blocked(world: World) -> None:
    world.browser("alice").post("/applications/scanner/block", {"csrf": _csrf(world, "alice")})


def _stopped(world: World) -> None:
    fields = {"csrf": _csrf(world, "admin"), "kind": "provider", "target": NORTHWIND, "reason": "lost"}
    world.browser("admin").post("/admin/stops", fields)


def _second_provider(world: World) -> dict[str, Any]:
    return {
        "id": "second",
        "type": "openid-connect",
        "name": "Second Cloud",
        "client_id": "vault",
        "fields": {"issuer": world.cloud.issuer},
        "scopes": ["openid", "email"],
        "enabled": True,
        "client_secret": {"environment": "SECOND_SECRET"},
    }


def _register_provider() -> Act:
    def prepare(world: World) -> tuple[str, list[tuple[str, str]]]:
        form = world.browser("admin").get("/admin/register-provider?type=openid-connect").form("Save")
        typed = {
            "name": "Second Cloud", "client_id": "vault", "client_secret": "secret",
            "field_issuer": world.cloud.issuer, "scopes": "email", "whose": "everybody",
        }  # fmt: skip
        return form.action, [*((name, value) for name, value in form.fields if name not in typed), *typed.items()]

    def do(world: World, prepared: tuple[str, list[tuple[str, str]]]) -> Answer:
        return world.browser("admin").post("/admin/register-provider", prepared[1])

    return Act(prepare, do)


def _end_session() -> Act:
    def prepare(world: World) -> tuple[str, str]:
        _another_session(world)
        return _csrf(world, "alice"), _handle(world)

    def do(world: World, prepared: tuple[str, str]) -> Answer:
        csrf, handle = prepared
        return world.browser("alice").post(f"/sessions/{handle}/end", {"csrf": csrf})

    return Act(prepare, do)


def _remove_tokens() -> Act:
    def prepare(world: World) -> Answer:
        grant = world.grant()
        assert grant is not None
        return world.browser("admin").get(f"/admin/tokens/remove?token={grant.id}")

    return Act(prepare, lambda world, page: world.browser("admin").press(page, "Remove"))


def _callback() -> Act:
    def prepare(world: World) -> str:
        return world.consented(world.browser("bob"), "bob")

    return Act(prepare, lambda world, url: world.browser("bob").get(url))


def _make_default() -> Act:
    def prepare(world: World) -> tuple[str, str]:
        _two_accounts(world)
        form = world.browser("alice").get("/providers").form("Make default")
        return _csrf(world, "alice"), dict(form.fields)["account"]

    def do(world: World, prepared: tuple[str, str]) -> Answer:
        csrf, account = prepared
        return world.browser("alice").post(f"/providers/{NORTHWIND}/default", {"csrf": csrf, "account": account})

    return Act(prepare, do)


def _provider_act(word: str, first: Callable[[World], object] = _nothing) -> Act:
    def prepare(world: World) -> dict[str, str]:
        first(world)
        return {"csrf": _csrf(world, "admin"), "version": str(world.provider().version)}

    def do(world: World, fields: dict[str, str]) -> Answer:
        return world.browser("admin").post(f"/admin/providers/{NORTHWIND}/{word}", fields)

    return Act(prepare, do)


def _mail_refused(world: World) -> None:
    world.first.vault.mail.refused([MailRefusal("alice@contoso.example", RefusalKind.BOUNCED, world.clock.now())])


def _undelivered(button: str) -> Act:
    def prepare(world: World) -> Answer:
        grant = world.grant()
        assert grant is not None
        event = Event.of_grant(EventKind.GRANT_FAILING, grant, world.provider(), world.clock.now())
        outbox = world.first.vault.events._outbox
        outbox.add(delivery := Delivery.first(event, Channel.BUS))
        outbox.bury(delivery)
        return world.browser("admin").get("/admin/undelivered")

    return Act(prepare, lambda world, page: world.browser("admin").press(page, button), "EVENT#")


def _provider_list(world: World) -> str:
    return json.dumps({"providers": [_second_provider(world)]})


def _grant_line(world: World) -> str:
    scopes = ["openid", "email", "offline_access"]
    line = {"user": "CONTOSO\\bob", "account": "bob@contoso.example", "account_id": "cloud-bob", "scopes": scopes}
    return json.dumps(line | {"refresh_token": next(iter(world.cloud._refresh_tokens))})


def _other_key(world: World) -> None:
    cipher = world.first.vault.key_rotation._cipher
    cipher = getattr(cipher, "_made", cipher)
    object.__setattr__(world.first.vault.key_rotation, "_cipher", cipher)
    cipher._earlier_key, cipher._kms_key = cipher._kms_key, world.aws.clients.kms.create_key()["KeyMetadata"]["Arn"]


def _put_back(world: World) -> None:
    """The provider item of before a removal, as a restore brings it."""
    client = world.aws.clients.dynamodb
    key = {"pk": {"S": "PROVIDERS"}, "sk": {"S": NORTHWIND}}
    before = client.get_item(TableName="vault", Key=key)["Item"]
    world.first.vault.removals.remove_all(ADMINISTRATOR, NORTHWIND, ORIGIN)
    client.put_item(TableName="vault", Item=before)


def _odd(world: World, key: str, sort: str) -> None:
    """What is there, as nobody can read it; or something new of that kind."""
    client, place = world.aws.clients.dynamodb, {"pk": {"S": key}, "sk": {"S": sort}}
    found = client.get_item(TableName="vault", Key=place).get("Item", place)
    client.put_item(TableName="vault", Item=found | {"version": {"S": "?"}})


def removed_odd(kind: str, record: str, key: str, sort: str) -> Act:
    return posted("admin", f"/admin/unreadable/{kind}", lambda world: _odd(world, key, sort), record=record)


_ANOTHER_KEY = json.dumps({"keys": [ECKey.generate_key("P-256", {"kid": "k2"}).as_dict(private=False)]})
SCANNER, PROVIDER = "/admin/clients/scanner", f"/admin/providers/{NORTHWIND}"

ACTS: dict[str, Act] = {
    "POST /login": Act(
        lambda world: world.browser("carol").get("/login"),
        lambda world, page: world.browser("carol").press(
            page,
            "Log in",
            user_name="CONTOSO\\alice",
            password="alice-pass",
        ),
    ),
    "POST /login/confirm": posted("admin", "/login/confirm", password="admin-pass", next="tokens"),
    "POST /logout": posted("alice", "/logout"),
    "POST /providers/{provider_id}/default": _make_default(),
    "POST /providers/{provider_id}/revoke": posted("alice", f"/providers/{NORTHWIND}/revoke", account=""),
    "GET /oauth/callback/{provider_id}": _callback(),
    "POST /sessions/{handle}/end": _end_session(),
    "POST /sessions/end-others": posted("alice", "/sessions/end-others", _another_session),
    "POST /admin/leavers/believe": replace(
        posted("admin", "/admin/leavers/believe", _all_are_missing, domain="CONTOSO"), also="SWEEP"
    ),
    "POST /admin/leavers/{user}/keep": posted("admin", f"/admin/leavers/{IDS['alice']}/keep", _alice_left, keep="yes"),
    "POST /admin/leavers/{user}/remove": posted("admin", f"/admin/leavers/{IDS['alice']}/remove", _alice_left),
    "POST /admin/administrators": posted("admin", "/admin/administrators", who="CONTOSO\\bob"),
    "POST /admin/administrators/dismiss": posted(
        "admin", "/admin/administrators/dismiss", _bob_appointed, key=IDS["bob"]
    ),
    "POST /admin/register-provider": _register_provider(),
    "POST /admin/providers/{provider}/edit": pressed("admin", f"{PROVIDER}/edit", "Save", name="Another name"),
    "POST /admin/providers/{provider}/enable": _provider_act("enable", _provider_off),
    "POST /admin/providers/{provider}/disable": _provider_act("disable"),
    "POST /admin/providers/{provider}/delete": _provider_act("delete"),
    "POST /admin/tokens/remove": _remove_tokens(),
    "POST /admin/tokens/remove-person": posted("admin", "/admin/tokens/remove-person", target=IDS["alice"]),
    "POST /admin/tokens/remove-all": posted(
        "admin", "/admin/tokens/remove-all", target=NORTHWIND, confirm="Northwind Cloud"
    ),
    "POST /admin/tokens/remove-everything": posted(
        "admin", "/admin/tokens/remove-everything", target="everything", confirm="everything"
    ),
    "POST /applications/{client}/block": posted("alice", "/applications/scanner/block"),
    "POST /applications/{client}/unblock": posted("alice", "/applications/scanner/unblock", _blocked),
    "POST /admin/register-client": pressed("admin", "/admin/register-client", "Register", name="Robot", id="robot"),
    "POST /admin/clients/{client}/edit": pressed("admin", f"{SCANNER}/edit", "Save", name="Another name"),
    "POST /admin/clients/{client}/delete": pressed("admin", f"{SCANNER}/delete", "Delete"),
    "POST /admin/clients/{client}/keys/add": pressed(
        "admin",
        f"{SCANNER}/keys/add",
        "Add key",
        keys=_ANOTHER_KEY,
    ),
    "POST /admin/clients/{client}/keys/remove": pressed("admin", f"{SCANNER}/keys/remove?key=k1", "Remove"),
    "POST /admin/clients/{client}/rules": pressed(
        "admin", f"{SCANNER}/rules/add?provider={NORTHWIND}", "Add rule", whose="everybody", ceiling="any"
    ),
    "POST /admin/clients/{client}/rules/remove": pressed("admin", f"{SCANNER}/rules/remove?number=0", "Remove"),
    "POST /admin/stops": posted("admin", "/admin/stops", kind="provider", target=NORTHWIND, reason="Laptop lost"),
    "POST /admin/stops/resume": posted("admin", "/admin/stops/resume", _stopped, kind="provider", target=NORTHWIND),
    "POST /mail": posted("alice", "/mail"),
    "POST /mail/accept": posted("alice", "/mail/accept", _mail_refused),
    "POST /admin/undelivered/send": _undelivered("Send again"),
    "POST /admin/undelivered/send-all": _undelivered("Send all again"),
    "POST /admin/unreadable/provider": removed_odd("provider", NORTHWIND, "PROVIDERS", NORTHWIND),
    "POST /admin/unreadable/client": removed_odd("client", "scanner", "CLIENT#scanner", "CLIENT"),
    "POST /admin/unreadable/revocation": removed_odd("revocation", "odd", "REVOCATION#odd", "REVOCATION"),
    "POST /admin/unreadable/delivery": removed_odd("delivery", "odd/bus", "EVENT#odd", "bus"),
    "import-providers": command("import-providers", "-", reads=_provider_list),
    "import-grants": command("import-grants", NORTHWIND, reads=_grant_line),
    "remove-tokens": command("remove-tokens", "--all-of", NORTHWIND, "--yes"),
    "rotate-keys": command("rotate-keys", first=_other_key),
    "after-restore": command("after-restore", first=_put_back),
    "erase-person": command("erase-person", "CONTOSO\\alice", "--still-here", "--yes", first=_blocked),
    "look_after_leavers": scheduled(_alice_is_gone, lambda world: world.first.vault.leavers.sweep()),
    "keep_alive": scheduled(_ended_at_the_cloud, lambda world: world.first.vault.keep_alive.run()),
    "clean_up": scheduled(_removed_all, lambda world: world.first.vault.clean_up.run()),
}

CHANGES_NOTHING = {
    "POST /login/openid": "sets out to the sign-in provider",
    "POST /login/confirm/openid": "sets out to the sign-in provider",
    "GET /login/callback": "is a log-in by OpenID, tried in tests/functional/test_sign_in.py",
    "POST /providers/{provider_id}/authorize": "sets out to the cloud",
    "POST /admin/providers/{provider}/test": "asks a cloud",
    "POST /admin/providers/{provider}/test-consent": "sets out to the cloud",
    "POST /your-data": "reads; the line is written before the answer",
    "POST /admin/directory/check": "asks a directory",
    "POST /admin/directory/test": "asks a directory",
    "check-config": "reads",
    "check-directory": "asks a directory",
    "test-sign-in": "asks the sign-in provider",
    "export-person": "reads; the line is written before the answer",
    "export-providers": "reads",
    "list-tokens": "reads",
    "verify-audit": "reads",
    "replay-events": "says once more what happened; the line is written before",
    "retry_revocations": "asks clouds; the line is written before the entry goes (test_every_call)",
    "seal_audit": "seals the log",
    "deliver_events": "tells of what is in the log",
}
"""And why. What programs send releases or says who they are; each line of it is written before the answer (R70)."""


# What is there


BOOKKEEPING = frozenset({
    "writer", "expires_at", "last_seen_at", "notice", "open_requests", "last_used_at", "sessions_until", "proved_at",
})  # fmt: skip
"""Attributes that say nothing about what anybody may do."""
KINDS = re.compile(
    r"(PROVIDERS|USER#.*|ADDRESS#.*|CLIENT#.*|STOPS#.*|ADMINISTRATORS|SESSION#.*|REVOCATION#odd|EVENT#odd)\Z"
)
"""Not what only tells of an act, or waits for one: receipts, revocations, deliveries, claims of names, tries.

But those that cannot be read: nothing but their removal ends them.
"""


def effects(world: World, act: Act) -> dict[str, Item]:
    """Everything that decides what people, programs and administrators may do."""
    found = {}
    for table in ("vault", "vault-sessions"):
        for item in world.items(table):
            if KINDS.match(str(item["pk"])) or (act.also and str(item["pk"]).startswith(act.also)):
                found[f"{item['pk']} {item.get('sk', '')}"] = decisive(item)
    return found


def keys(world: World) -> list[Any]:
    return sorted((str(item["pk"]), item["wrapped"]) for item in world.items("vault-keys") if "wrapped" in item)


def decisive(item: Item) -> Item:
    """What of an item decides. A refresh changes much of a grant and is no act: what it gave is the same grant's."""
    if str(item.get("sk", "")).startswith("GRANT#") and "state" in item:
        return {name: item.get(name) for name in ("state", "reason", "account", "authorized_at")}
    left_out = BOOKKEEPING | ({"version", "names"} if item.get("sk") == "RECORD" else set())
    return {name: value for name, value in item.items() if name not in left_out and value}


def state(world: World, act: Act) -> tuple[Any, ...]:
    """With the keys only where one was replaced: one more harms nobody."""
    return effects(world, act), [wrapped for pk, wrapped in keys(world) if pk == f"{NORTHWIND}#1"]


def lines(world: World) -> int:
    return len(world.audit())


def is_of_the_log(call: Call) -> bool:
    """Whether this call writes a line of the audit log."""
    puts = [one.get("Put", {}) for one in call.arguments.get("TransactItems", [])]
    requests = [one["PutRequest"] for some in call.arguments.get("RequestItems", {}).values() for one in some
                if isinstance(one, dict) and "PutRequest" in one]  # fmt: skip
    items = [put.get("Item", {}) for put in (*puts, *requests, call.arguments)]
    return any(item.get("pk", {}).get("S", "").startswith("AUDIT#") for item in items)


def writes(calls: list[Call]) -> list[Call]:
    return [call for call in calls if call.system == "dynamodb" and "Get" not in call.operation != "Query"]


@pytest.fixture
def ready(world: World, monkeypatch: pytest.MonkeyPatch) -> World:
    """Alice has authorized; she, Bob and an administrator are signed in; an application may fetch."""
    monkeypatch.setattr(bootstrap, "create_vault", lambda: world.first.vault)
    monkeypatch.setenv("SECOND_SECRET", "secret")
    for person in ("admin", "bob", "alice"):
        world.log_in(person)
    world.authorize("alice")
    return world


def attempt(act: Act, world: World, prepared: Prepared, plan: seam.Plan) -> object:
    """What it answered; None where the process was killed, or broke off."""
    with world.seam.treating(plan) as calls, suppress(Killed):
        try:
            return act.do(world, prepared)
        finally:
            world.made = calls
    return None


def everything(world: World) -> set[str]:
    routes = world.first.vault.endpoints.routes
    found = {
        f"{one.method} {one.path}"
        for one in routes
        if (one.method != "GET" or one.is_callback) and one.access is not Access.APPLICATION
    }
    (commands,) = [one for one in _parser()._actions if isinstance(one, argparse._SubParsersAction)]
    return found | set(commands.choices) | set(functions._JOBS)


def test_r93_every_route_command_and_function_is_tried_or_changes_nothing(world: World) -> None:
    assert ACTS.keys() | CHANGES_NOTHING.keys() == everything(world)
    assert not ACTS.keys() & CHANGES_NOTHING.keys()


@pytest.mark.parametrize("name", ACTS)
def test_r93_what_cannot_be_recorded_does_not_happen(ready: World, name: str) -> None:
    act = ACTS[name]
    prepared = act.prepare(ready)
    before, told = state(ready, act), lines(ready)

    def refused(call: Call, do: Do) -> Any:
        raise call.refusal()

    answer = attempt(act, ready, prepared, lambda call: refused if is_of_the_log(call) else None)
    assert (state(ready, act), lines(ready)) == (before, told), "it took effect, and nobody wrote it down"
    assert not (isinstance(answer, Answer) and answer.status < 400), "it was said to be done"
    assert answer != 0, "it was said to be done"
    ready.background(ready.second, 0.02, 0.3)
    assert (state(ready, act) != before) == (lines(ready) > told), "state and log do not agree in the end"


@pytest.mark.parametrize("name", ACTS)
def test_r93_killed_anywhere_there_is_no_effect_without_its_line(ready: World, name: str) -> None:
    act = ACTS[name]
    prepared = act.prepare(ready)
    moment, before, told = ready.moment(), state(ready, act), lines(ready)
    attempt(act, ready, prepared, seam.untreated)
    assert state(ready, act) != before, "nothing was changed: the act is none"
    assert lines(ready) > told
    failures = []
    for call in writes(ready.made):
        ready.back_to(moment)
        attempt(act, ready, prepared, seam.at(call.number, seam.killed_after))
        if state(ready, act) != before and lines(ready) == told:
            failures.append(f"{call}: an effect without a line")
        ready.background(ready.second, 0.02, 0.3)
        if (state(ready, act) != before) != (lines(ready) > told):
            failures.append(f"{call}: state and log do not agree in the end")
    assert not failures, "\n".join(failures)


FINDS_NOTHING = {
    "POST /providers/{provider_id}/revoke": "the authorization is gone",
    "GET /oauth/callback/{provider_id}": "the request is used; the page says how it ended",
    "POST /admin/administrators/dismiss": "the appointment is gone",
    "POST /admin/undelivered/send": "it is under way",
    "POST /admin/undelivered/send-all": "all are under way",
    "POST /admin/tokens/remove": "the tokens are gone",
    "POST /admin/tokens/remove-person": "the tokens are gone",
    "import-grants": "the authorization is there",
    "rotate-keys": "every key is under the new one",
    "after-restore": "the provider is of this generation",
    "erase-person": "nobody is called so any more",
    "look_after_leavers": "the round is over",
    "keep_alive": "the grant has ended",
    "clean_up": "the generation is clean",
}
"""What has nothing to do the second time, and changes nothing then. What sets a state is recorded each time."""


@pytest.mark.parametrize("name", [name for name in ACTS if name not in FINDS_NOTHING])
def test_r93_what_is_in_effect_is_recorded_again_or_refused(ready: World, name: str) -> None:
    act = ACTS[name]
    prepared = act.prepare(ready)
    attempt(act, ready, prepared, seam.untreated)
    told = lines(ready)
    answer = attempt(act, ready, prepared, seam.untreated)
    is_refused = isinstance(answer, Answer) and (answer.status >= 400 or "/login" in answer.url)
    assert is_refused or lines(ready) > told, answer
