"""Rows that cannot be read, as people meet them: one odd row, and everything else as it was (R94, F40)."""

from typing import Any

import pytest

from tests.fakes import directory

from .client import Answer, Browser
from .conftest import NORTHWIND, Running
from .test_token import ALICE_ID, Api

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
