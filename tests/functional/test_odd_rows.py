"""Rows that cannot be read, as people meet them: one odd row, and everything else as it was (R94, F40)."""

from collections.abc import Callable
from typing import Any

import pytest

from chalicelib.domain.aliases import aliases_of
from chalicelib.domain.errors import Conflict, ItemUnreadable
from chalicelib.domain.event import Channel
from chalicelib.domain.grant import Holding
from chalicelib.domain.odd_item import OddKind
from chalicelib.domain.secret import Secret
from chalicelib.services import removals
from chalicelib.stores.due import listed
from chalicelib.stores.items import pack
from tests.fakes import directory
from tests.fakes.cloud import CLIENT_ID, CLIENT_SECRET
from tests.samples import ADMINISTRATOR

from .client import Answer, Browser
from .conftest import NORTHWIND, Running
from .test_token import ALICE_ID, ORIGIN, Api

LABEL = "cannot be read"


@pytest.fixture(params=["later state", "no version", "no fields"])
def odd(request: pytest.FixtureRequest, running: Running) -> Running:
    """alice and bob have authorized; alice's row then is another one's."""
    alice, bob = running.browser("alice"), running.browser("bob")
    running.authorize(alice)
    running.authorize(bob, "bob")
    changed: dict[str, Any] = _row(running)
    match request.param:
        case "later state":
            changed["state"] = {"S": "paused"}
        case "no version":
            del changed["version"]
        case "no fields":
            kept = ("pk", "sk", "listing", "listed_as", "token_set")
            changed = {name: value for name, value in changed.items() if name in kept}
    running.aws.clients.dynamodb.put_item(TableName="vault", Item=changed)
    return running


def _row(running: Running) -> dict[str, Any]:
    key = {"pk": {"S": f"USER#{ALICE_ID}"}, "sk": {"S": f"GRANT#{NORTHWIND}#1"}}
    return dict(running.aws.clients.dynamodb.get_item(TableName="vault", Key=key)["Item"])


def _remove(admin: Browser) -> Answer:
    page = admin.get(f"/admin/tokens/remove?token={NORTHWIND}.{ALICE_ID}")
    assert page.status == 200
    return admin.press(page, "Remove")


def test_r94_administrators_see_it_among_the_others_and_remove_it(odd: Running) -> None:
    admin = odd.browser("admin")
    page = admin.get("/admin/tokens")
    assert page.status == 200
    assert "bob@contoso.example" in page.text
    assert LABEL in page.text
    export = admin.get("/admin/tokens/export")
    assert export.status == 200
    assert LABEL in export.body
    assert "1 token was removed" in _remove(admin).text
    assert LABEL not in admin.get("/admin/tokens").text
    assert "bob@contoso.example" in admin.get("/admin/tokens").text


def test_r94_the_person_sees_it_and_authorizes_again(odd: Running) -> None:
    alice = odd.browser("alice")
    page = alice.get("/providers")
    assert page.status == 200
    assert LABEL in page.text
    odd.authorize(alice, button="Reauthorize")
    assert LABEL not in alice.get("/providers").text
    assert "alice@contoso.example" in alice.get("/providers").text


def test_r94_the_person_revokes_it(odd: Running) -> None:
    alice = odd.browser("alice")
    page = alice.press(alice.press(alice.get("/providers"), "Revoke authorization"), "Revoke")
    assert page.status == 200
    assert alice.get("/providers").form("Authorize")


def test_f40_a_release_is_refused_and_said(running: Running) -> None:
    api = Api(running)
    running.aws.clients.dynamodb.put_item(TableName="vault", Item=_row(running) | {"state": {"S": "paused"}})
    status, error, reason = api.refuse()
    assert (status, reason) == (400, "needs_reauthorization")
    assert error
    running.authorize(api.browser, button="Reauthorize")
    assert api.fetch()["access_token"]


@pytest.mark.parametrize("sort", ["RECORD", "BLOCK#scanner"])
def test_f40_an_odd_item_of_one_person_takes_no_page_down(running: Running, sort: str) -> None:
    alice, admin = running.browser("alice"), running.browser("admin")
    running.authorize(alice)
    item = {"pk": {"S": f"USER#{ALICE_ID}"}, "sk": {"S": sort}}
    running.aws.clients.dynamodb.put_item(TableName="vault", Item=item)
    for page in ("/providers", "/activity", "/sessions"):
        assert alice.get(page).status == 200, page
    for page in (
        "/admin/tokens",
        "/admin/leavers",
        "/admin/stops",
        "/admin/clients",
        "/admin/audit",
        "/admin/providers",
    ):
        assert admin.get(page).status == 200, page
    # The next log-in writes a record anew
    assert running.browser("alice").get("/applications").status == 200


@pytest.mark.parametrize(
    ("key", "sort"),
    [
        ("PROVIDERS", "odd"),
        ("STOPS#person", "odd"),
        ("STOPS#provider", NORTHWIND),
        ("ADMINISTRATORS", "ADMINISTRATORS"),
    ],
)
def test_f40_an_odd_item_of_all_takes_no_page_down(running: Running, key: str, sort: str) -> None:
    running.aws.clients.dynamodb.put_item(TableName="vault", Item={"pk": {"S": key}, "sk": {"S": sort}})
    alice, admin = running.browser("alice"), running.browser("admin")
    running.authorize(alice)
    pages = (
        "/admin/tokens",
        "/admin/stops",
        "/admin/clients",
        "/admin/audit",
        "/admin/providers",
        "/admin/administrators",
    )
    assert [admin.get(page).status for page in pages] == [200] * len(pages)
    assert alice.get("/providers").status == 200


def test_f40_a_stop_that_cannot_be_read_is_taken_back_from_the_console(running: Running) -> None:
    api = Api(running)
    key = {"pk": {"S": "STOPS#person"}, "sk": {"S": directory.ALICE.user.id}}
    running.aws.clients.dynamodb.put_item(TableName="vault", Item=key)
    assert api.refuse()[0] == 400
    admin = running.browser("admin")
    page = admin.get("/admin/stops")
    assert "This stop cannot be read" in page.text
    admin.press(page, "Resume")
    assert api.fetch()["access_token"]


def break_item(running: Running, key: str, sort: str, *kept: str) -> None:
    """Leave of an item only its key, its place in lists and what is named."""
    place = {"pk": {"S": key}, "sk": {"S": sort}}
    found = running.aws.clients.dynamodb.get_item(TableName="vault", Key=place).get("Item", place)
    item = {name: value for name, value in found.items() if name in ("pk", "sk", "listing", "listed_as", *kept)}
    running.aws.clients.dynamodb.put_item(TableName="vault", Item=item)


def _is_there(running: Running, key: str, sort: str) -> bool:
    place = {"pk": {"S": key}, "sk": {"S": sort}}
    return "Item" in running.aws.clients.dynamodb.get_item(TableName="vault", Key=place)


def _remove_odd(admin: Browser, kind: str, record: str) -> Answer:
    question = admin.get(f"/admin/unreadable/{kind}?record={record}")
    assert question.status == 200
    assert "This cannot be undone" in question.text
    return admin.press(question, "Remove")


def _register_again(running: Running) -> None:
    running.vault.registration.register(
        NORTHWIND,
        "openid-connect",
        "Northwind Cloud",
        client_id=CLIENT_ID,
        client_secret=Secret(CLIENT_SECRET),
        server=running.cloud.server,
        fields={"issuer": running.cloud.issuer},
        scopes=("openid", "profile", "email", "offline_access"),
        actor="test",
        origin=ORIGIN,
    )


def _keys(running: Running) -> list[str]:
    return sorted(item["pk"]["S"] for item in running.aws.items("vault-keys") if "wrapped" in item)


def _clean(running: Running) -> None:
    running.clock.advance(200)
    for _ in range(3):
        running.vault.clean_up.run()


@pytest.mark.parametrize("kept", [(), ("version", "generation"), ("version", "name", "server", "generation", "id")])
def test_f40_an_odd_provider_is_one_row_and_is_removed_with_all_of_it(running: Running, kept: tuple[str, ...]) -> None:
    api = Api(running)
    admin = running.browser("admin")
    api.fetch()
    break_item(running, "PROVIDERS", NORTHWIND, *kept)
    page = admin.get("/admin/providers")
    assert page.status == 200
    assert NORTHWIND in page.text
    assert "This provider cannot be read. Nobody gets a token of it, and nobody can authorize it." in page.text
    assert LABEL not in _remove_odd(admin, "provider", NORTHWIND).text
    assert running.audit_tags().count("provider.deleted") == 1
    assert api.refuse()[0] == 400
    _clean(running)
    assert (_keys(running), _is_there(running, "PROVIDERS", NORTHWIND)) == ([], False)
    assert not any("token_set" in item for item in running.aws.items("vault"))
    _register_again(running)
    assert api.refuse()[0] == 400
    running.authorize(api.browser)
    assert api.fetch()["access_token"]


def test_f40_while_an_odd_provider_is_cleaned_nobody_takes_its_id(running: Running) -> None:
    admin = running.browser("admin")
    break_item(running, "PROVIDERS", NORTHWIND)
    _remove_odd(admin, "provider", NORTHWIND)
    with pytest.raises(Conflict):
        _register_again(running)


@pytest.mark.parametrize("removals", [0, 1])
def test_f40_a_provider_deleted_by_hand_and_registered_anew_brings_no_token_back(
    running: Running, removals: int
) -> None:
    """Its keys are still there, and its authorizations are of the same server and client."""
    api = Api(running)
    for _ in range(removals):
        running.vault.removals.remove_all(ADMINISTRATOR, NORTHWIND, ORIGIN)
        _clean(running)
        running.authorize(api.browser)
    api.fetch()
    before = _keys(running)
    key = {"pk": {"S": "PROVIDERS"}, "sk": {"S": NORTHWIND}}
    running.aws.clients.dynamodb.delete_item(TableName="vault", Key=key)
    _register_again(running)
    # Not after later removals either: every generation is above those that have a key
    for _ in range(3):
        assert api.refuse()[0] == 400
        running.vault.removals.remove_all(ADMINISTRATOR, NORTHWIND, ORIGIN)
    _clean(running)
    assert not set(before) & set(_keys(running))
    running.authorize(api.browser)
    assert api.fetch()["access_token"]


def test_f40_an_odd_application_is_one_row_and_is_removed(running: Running) -> None:
    api = Api(running)
    admin = running.browser("admin")
    break_item(running, "CLIENT#scanner", "CLIENT", "version")
    page = admin.get("/admin/clients")
    assert "This application cannot be read. It gets no token." in page.text
    assert "scanner" in page.text
    assert LABEL not in _remove_odd(admin, "client", "scanner").text
    assert not _is_there(running, "CLIENT#scanner", "CLIENT")
    assert running.audit_tags().count("client.deleted") == 1
    assert api.send(api.application.form("CONTOSO\\alice", NORTHWIND))[0] == 401


def odd_revocation(running: Running) -> None:
    item = listed(f"REVOCATIONS#{NORTHWIND}", running.clock.now()) | {"pk": "REVOCATION#rev1", "sk": "REVOCATION"}
    running.aws.clients.dynamodb.put_item(TableName="vault", Item=pack(item))
    running.vault.revocations.retry_due()


def odd_delivery(running: Running) -> None:
    item = listed("OUTBOX#bus", running.clock.now()) | {"pk": "EVENT#event1", "sk": "bus"}
    running.aws.clients.dynamodb.put_item(TableName="vault", Item=pack(item))
    list(running.vault.events._outbox.due(Channel.BUS, running.clock.now()))


WAITING = [
    ("revocation", odd_revocation, "rev1", "REVOCATION#rev1", "REVOCATION", "Pending revocations"),
    ("delivery", odd_delivery, "event1/bus", "EVENT#event1", "bus", "Events and mails on their way"),
]


@pytest.mark.parametrize("waiting", WAITING, ids=lambda waiting: waiting[0])
def test_f40_what_waits_and_cannot_be_read_is_counted_named_and_removed(
    running: Running, waiting: tuple[str, Callable[[Running], None], str, str, str, str]
) -> None:
    kind, put, record, key, sort, words = waiting
    admin = running.browser("admin")
    assert LABEL not in admin.get("/admin/removals").text
    put(running)
    page = admin.get("/admin/removals")
    assert f"{words} that cannot be read: 1" in page.text
    assert record in page.text
    assert LABEL not in _remove_odd(admin, kind, record).text
    assert not _is_there(running, key, sort)
    assert running.audit_tags().count("record.removed") == 1
    assert admin.get("/admin/audit?tag=record.removed").text.count("Unreadable record removed") > 1


@pytest.mark.parametrize("kind", list(OddKind))
def test_f40_removing_it_asks_for_a_recent_log_in_and_an_administrator(running: Running, kind: OddKind) -> None:
    path = f"/admin/unreadable/{kind.value}"
    assert running.browser("alice").get(f"{path}?record=x").status == 403
    admin = running.browser("admin")
    running.clock.advance(301)
    assert admin.get(f"{path}?record=x").url.startswith("/login/confirm")
    csrf = admin.get("/sessions").form("Sign out").fields[0][1]
    confirm = admin.post(path, {"csrf": csrf, "record": "x"})
    assert confirm.url.startswith("/login/confirm")
    # Back to the page that shows it
    assert admin.press(confirm, "Confirm", password="admin-pass").status == 200


@pytest.mark.parametrize(
    ("kind", "record"), [("provider", NORTHWIND), ("client", "scanner"), ("provider", "#EVERYTHING")]
)
def test_f40_what_can_be_read_is_not_removed_so(running: Running, kind: str, record: str) -> None:
    api = Api(running)
    admin = running.browser("admin")
    everything = {"pk": {"S": "PROVIDERS"}, "sk": {"S": "#EVERYTHING"}}
    csrf = admin.get("/sessions").form("Sign out").fields[0][1]
    if record == "#EVERYTHING":
        running.aws.clients.dynamodb.put_item(TableName="vault", Item=everything)
    assert admin.post(f"/admin/unreadable/{kind}", {"csrf": csrf, "record": record}).status >= 400
    assert {"provider.deleted", "client.deleted"}.isdisjoint(running.audit_tags())
    if record == "#EVERYTHING":
        assert _is_there(running, "PROVIDERS", "#EVERYTHING")
        return
    assert api.fetch()["access_token"]


@pytest.mark.parametrize("claims", [{"S": "?"}, {"M": {}}, {"NULL": True}])
def test_f40_a_log_in_writes_over_names_that_cannot_be_read(
    running: Running, claims: dict[str, Any], caplog: pytest.LogCaptureFixture
) -> None:
    api = Api(running)
    for alias in aliases_of(directory.ALICE.user):
        item = {"pk": {"S": f"ALIAS#{alias}"}, "sk": {"S": "ALIAS"}, "claims": claims}
        running.aws.clients.dynamodb.put_item(TableName="vault", Item=item)
    # The record does not bear them, so that the log-in claims them anew
    break_item(running, f"USER#{ALICE_ID}", "RECORD")
    caplog.clear()
    assert running.browser("alice").get("/providers").status == 200
    told = {record.__dict__["detail"] for record in caplog.records if record.message == "item.unreadable"}
    assert {f"alias ALIAS#{alias}/ALIAS" for alias in aliases_of(directory.ALICE.user)} <= told
    assert api.fetch("CONTOSO\\alice")["access_token"]


def test_r94_a_provider_of_a_type_that_this_version_does_not_know_takes_no_page_down(running: Running) -> None:
    """After a step back to an earlier version, whose catalogue is shorter."""
    api, admin = Api(running), running.browser("admin")
    place = {"pk": {"S": "PROVIDERS"}, "sk": {"S": NORTHWIND}}
    item = running.aws.clients.dynamodb.get_item(TableName="vault", Key=place)["Item"]
    running.aws.clients.dynamodb.put_item(TableName="vault", Item=item | {"type_id": {"S": "nosuch"}})
    assert "Northwind Cloud" in api.browser.get("/providers").text
    pages = ("/admin/providers", f"/admin/providers/{NORTHWIND}", f"/admin/providers/{NORTHWIND}/edit", "/admin/tokens")
    for page in pages:
        assert admin.get(page).status == 200, page
    assert "nosuch (unknown here)" in admin.get("/admin/providers").text
    assert api.fetch()["access_token"]
    running.clock.advance(3600)
    assert api.fetch()["access_token"]


def test_r94_a_removal_of_all_of_a_person_is_open_while_one_of_the_providers_cannot_be_read(running: Running) -> None:
    api = Api(running)
    place = {"pk": {"S": "PROVIDERS"}, "sk": {"S": NORTHWIND}}
    item = running.aws.clients.dynamodb.get_item(TableName="vault", Key=place)["Item"]
    break_item(running, "PROVIDERS", NORTHWIND)
    admin = running.browser("admin")
    dialog = admin.get(f"/admin/tokens/remove-person?person={directory.ALICE.user.id}")
    assert "Remove 1 token?" in dialog.text
    receipt = admin.press(dialog, "Remove")
    assert "Not all of them could be removed at once" in receipt.text
    assert "Everything is done" not in receipt.text
    assert admin.get("/admin/tokens/remove-everything").form("Remove")
    running.aws.clients.dynamodb.put_item(TableName="vault", Item=item)
    running.clock.advance(200)
    running.vault.removals.finish_open()
    assert api.refuse()[0] == 400
    assert "Everything is done" in admin.get(receipt.url).text


def test_r94_one_token_that_cannot_be_removed_now_keeps_none_of_the_others(
    running: Running, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The first cannot be read, and the request ends there: the background goes on, and the removal stays open."""
    api = Api(running)
    running.authorize(running.browser("bob"), "bob")
    ids = [f"{NORTHWIND}.{person.user.id}" for person in (directory.ALICE, directory.BOB)]
    load, broken = running.vault.administration._grants.load, {directory.ALICE.user.id}

    def odd(user_id: str, *place: str) -> Holding:
        if user_id in broken:
            raise ItemUnreadable
        return load(user_id, *place)

    monkeypatch.setattr(running.vault.administration._grants, "load", odd)
    monkeypatch.setattr(removals, "SINGLE_SECONDS", -1)
    receipt = running.vault.removals.remove(ADMINISTRATOR, ids, ORIGIN, revoke=False)
    assert receipt.removal.is_open
    monkeypatch.setattr(removals, "SINGLE_SECONDS", 20)
    running.clock.advance(200)
    running.vault.removals.finish_open()
    assert api.refuse("CONTOSO\\bob")[0] == 400
    assert running.vault.removals.receipt(receipt.removal.id).removal.is_open
    broken.clear()
    running.clock.advance(200)
    running.vault.removals.finish_open()
    assert api.refuse()[0] == 400
    assert not running.vault.removals.receipt(receipt.removal.id).removal.is_open
