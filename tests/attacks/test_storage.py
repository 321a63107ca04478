"""Storage surgery: somebody who can write the tables swaps, edits, cuts and rolls back what is in them.

Nothing is released that was not before, every answer is one of ours, and one odd item stops nobody else.
"""

import json
from collections.abc import Iterator
from itertools import islice
from typing import Any

import pytest
from botocore.exceptions import ClientError

from tests.fakes import directory
from tests.functional.client import Browser, going_to
from tests.functional.conftest import NORTHWIND, Running
from tests.functional.test_token import ORIGIN, Api
from tests.samples import ADMINISTRATOR

Stored = dict[str, dict[str, Any]]
ALICE, BOB = directory.ALICE.user.id, directory.BOB.user.id
DECIDING = {"version", "state", "expires", "scopes", "account", "token_set"}
"""Attributes of a grant without whose exact value its tokens do not open (R50). Whose it is, its key says."""


def edits(value: dict[str, Any]) -> Iterator[dict[str, Any] | None]:
    """Other values for one attribute, of its own type and of others; None takes it away."""
    yield None
    ((kind, content),) = value.items()
    match kind:
        case "S":
            yield from ({"S": content + "x"}, {"S": content[:-1] or "-"}, {"S": ""}, {"S": "\0"}, {"N": "1"})
        case "N":
            yield from (
                {"N": str(int(content) + 1)},
                {"N": "-1"},
                {"N": "0"},
                {"N": "9" * 30},
                {"N": "1.5"},
                {"S": content + "x"},
            )
        case "B":
            flipped = bytes([content[0] ^ 1]) + content[1:]
            last = content[:-1] + bytes([content[-1] ^ 1])
            yield from ({"B": flipped}, {"B": last}, {"B": content[: len(content) // 2]}, {"B": b""}, {"S": "x"})
        case "M":
            yield from ({"M": {}}, {"S": "x"}, {"L": []}, {"M": content | {"more": {"S": "x"}}})
            yield from ({"M": content | {name: {"S": "x"}}} for name in content)
        case "L":
            yield from ({"L": []}, {"L": [*content, {"S": "more"}]}, {"S": "x"}, {"L": [{"M": {}}]})
        case "BOOL":
            yield from ({"BOOL": not content}, {"S": "true"})
        case "SS":
            yield from ({"SS": [*content, "S-1-5-21-1-1-1-1"]}, {"S": content[0]}, {"SS": [BOB]})


class Surgeon:
    """Writes items past the vault, and puts them back."""

    def __init__(self, running: Running) -> None:
        self.running = running
        self.client = running.aws.clients.dynamodb

    def items(self, table: str, prefix: str) -> list[Stored]:
        return [item for item in self.running.aws.items(table) if item["pk"]["S"].startswith(prefix)]

    def grant(self, user_id: str, provider_id: str = NORTHWIND) -> Stored:
        grants = [item for item in self.items("vault", f"USER#{user_id}") if item["sk"]["S"].startswith("GRANT#")]
        (grant,) = [item for item in grants if item["provider_id"]["S"] == provider_id]
        return grant

    def put(self, table: str, item: Stored) -> None:
        self.client.put_item(TableName=table, Item=item)

    def drop(self, table: str, item: Stored) -> None:
        keys = ("pk", "sk") if "sk" in item else ("pk",)
        self.client.delete_item(TableName=table, Key={name: item[name] for name in keys})


@pytest.fixture
def api(running: Running) -> Api:
    made = Api(running)
    running.authorize(running.browser("bob"), "bob")
    return made


@pytest.fixture
def surgeon(api: Api) -> Surgeon:
    return Surgeon(api.running)


def outcome(api: Api, name: str = "CONTOSO\\alice") -> tuple[int, str]:
    """Status and access token, if one was given."""
    answer = Browser(api.running.app).post("/oauth2/token", api.application.form(name, NORTHWIND))
    assert answer.header("Content-Type") == "application/json", answer.body
    assert "Traceback" not in answer.body
    return answer.status, json.loads(answer.body).get("access_token", "")


def rest(api: Api, alices: str, bobs: str) -> None:
    """After the item was put back everything is as before."""
    assert outcome(api) == (200, alices)
    assert outcome(api, "CONTOSO\\bob") == (200, bobs)


def variants(item: Stored, names: set[str], ways: int = 100) -> Iterator[tuple[str, Stored]]:
    """The item with each of these attributes edited, in every way or in so many."""
    for name in sorted(names):
        for changed in islice(edits(item[name]), ways):
            without = {key: value for key, value in item.items() if key != name}
            yield f"{name} = {changed}", without | ({name: changed} if changed else {})


def only_adds(before: Any, after: Any) -> bool:
    """A member that no version wrote is passed over, as one of a later version is."""
    return bool(after) and "M" in before and "M" in after and before["M"].items() <= after["M"].items()


def test_r50_no_edited_grant_is_released(api: Api, surgeon: Surgeon) -> None:
    (_, alices), (_, bobs) = outcome(api), outcome(api, "CONTOSO\\bob")
    item = surgeon.grant(ALICE)
    assert item.keys() >= DECIDING
    for what, changed in variants(item, item.keys() - {"pk", "sk", "listing", "listed_as"}):
        surgeon.put("vault", changed)
        status, token = outcome(api)
        name = what.partition(" ")[0]
        decides = name in DECIDING and not only_adds(item[name], changed.get(name))
        assert token in (("",) if decides else ("", alices)), what
        assert status in ((400, 500, 503) if decides else (200, 400, 500, 503)), what
        surgeon.put("vault", item)
    rest(api, alices, bobs)


def test_r50_one_persons_odd_item_stops_nobody_else(api: Api, surgeon: Surgeon) -> None:
    """Neither the other person's page and releases nor the administrator's list."""
    _, bobs = outcome(api, "CONTOSO\\bob")
    item = surgeon.grant(ALICE)
    bob, admin = api.running.browser("bob"), api.running.browser("admin")
    for what, changed in variants(item, item.keys() - {"pk", "sk", "listing", "listed_as"}, 1):
        surgeon.put("vault", changed)
        assert outcome(api, "CONTOSO\\bob") == (200, bobs), what
        assert bob.get("/providers").form("Reauthorize"), what
        assert admin.get("/admin/tokens?provider=northwind").status in (200, 500), what
        page = api.browser.get("/providers")
        assert page.status in (200, 500), what
        assert "Token Vault" in page.text, what
    surgeon.put("vault", item)


def test_r50_no_grant_opens_in_the_place_of_another(api: Api, surgeon: Surgeon) -> None:
    """Whole items and their ciphertexts between people, providers, generations, versions and kinds of item."""
    (_, alices), (_, bobs) = outcome(api), outcome(api, "CONTOSO\\bob")
    alice, bob = surgeon.grant(ALICE), surgeon.grant(BOB)
    (provider,) = surgeon.items("vault", "PROVIDERS")
    keys = {name: alice[name] for name in ("pk", "sk")}
    swaps = [
        bob | keys,
        bob | {name: alice[name] for name in ("pk", "sk", "listing", "listed_as")},
        bob | keys | {"user_id": alice["user_id"], "user_name": alice["user_name"]},
        alice | {"token_set": bob["token_set"]},
        alice | {name: bob[name] for name in ("token_set", "version", "account")},
        alice | {"token_set": provider["client_secret"]},
    ]
    for swapped in swaps:
        surgeon.put("vault", swapped)
        status, token = outcome(api)
        assert token == "", swapped
        assert status in (400, 500), swapped
    surgeon.put("vault", alice)
    rest(api, alices, bobs)


def test_r50_a_rolled_back_ciphertext_does_not_open_in_the_newer_item(api: Api, surgeon: Surgeon) -> None:
    before = surgeon.grant(ALICE)
    _, first = outcome(api)
    api.running.clock.advance(3600)
    _, second = outcome(api)
    after = surgeon.grant(ALICE)
    assert first != second
    for part in ({"token_set"}, {"token_set", "version"}, {"token_set", "expires"}, {"token_set", "version", "scopes"}):
        surgeon.put("vault", after | {name: before[name] for name in part})
        assert outcome(api)[1] == "", part
    surgeon.put("vault", after)
    assert outcome(api) == (200, second)


def test_r50_a_removed_generation_stays_removed_whatever_is_put_back(api: Api, surgeon: Surgeon) -> None:
    """All that the tables held before the removal, written back, except the key, which no backup has."""
    lasting = api.running.aws.items("vault")
    api.running.vault.removals.remove_all(ADMINISTRATOR, NORTHWIND, ORIGIN)
    api.running.clock.advance(121)
    for _ in range(2):
        api.running.vault.clean_up.run()
    assert outcome(api)[1] == ""
    for item in lasting:
        if item["pk"]["S"].startswith(("USER#", "PROVIDERS", "HEALTH#")):
            surgeon.put("vault", item)
    status, token = outcome(api)
    assert (token, status in (400, 500, 503)) == ("", True)


KINDS = {
    "provider": ("vault", "PROVIDERS"),
    "application": ("vault", "CLIENT#"),
    "alias": ("vault", "ALIAS#contoso\\alice"),
    "person": ("vault", f"USER#{ALICE}"),
    "wrapped key": ("vault-keys", "northwind#"),
}


@pytest.mark.parametrize("kind", KINDS)
def test_r50_no_edit_of_what_a_release_reads_gives_another_persons_token(api: Api, surgeon: Surgeon, kind: str) -> None:
    (_, alices), (_, bobs) = outcome(api), outcome(api, "CONTOSO\\bob")
    table, prefix = KINDS[kind]
    item = next(one for one in surgeon.items(table, prefix) if one.get("sk", {}).get("S", "RECORD")[:5] != "GRANT")
    for what, changed in variants(item, item.keys() - {"pk", "sk", "listing", "listed_as", "writer"}):
        surgeon.put(table, changed)
        status, token = outcome(api)
        # Who may write aliases may call somebody by another's name: the line of the ledger says whose token it was
        allowed = ("", alices, bobs) if kind == "alias" else ("", alices)
        assert token in allowed, what
        assert status in (200, 400, 401, 500, 503), what
        surgeon.put(table, item)
    rest(api, alices, bobs)


@pytest.mark.parametrize("prefix", ["SESSION#", "REQUEST#", "BROWSER#", "TRIES#"])
def test_r2_no_edited_item_of_a_session_signs_anybody_in_as_more(api: Api, surgeon: Surgeon, prefix: str) -> None:
    browser = api.running.browser("alice")
    going = going_to(browser.press(browser.get("/providers"), "Reauthorize"))
    callback = api.running.callback(api.running.cloud.consent(going))
    stored = surgeon.items("vault-sessions", prefix)
    assert stored or prefix == "TRIES#"
    for item in stored:
        for what, changed in variants(item, item.keys() - {"pk", "groups", "login_name", "writer"}, 2):
            try:
                surgeon.put("vault-sessions", changed)
            except ClientError:
                continue  # a key of an index, whose type DynamoDB itself insists on
            page = browser.get("/providers")
            assert page.status in (200, 400, 500), what
            assert browser.get("/admin/tokens").status in (200, 400, 403, 500), what
            assert "Manage tokens" not in page.text, what
            if prefix == "REQUEST#":
                assert browser.get(callback).status in (200, 400, 500), what
        surgeon.put("vault-sessions", item)
