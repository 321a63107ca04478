"""Storage surgery: somebody who can write the tables swaps, edits, cuts and rolls back what is in them.

Nothing is released that was not before, every answer is one of ours, and one odd item stops nobody else.
"""

import json
from collections.abc import Callable, Iterator
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


def _revoke(running: Running) -> None:
    browser = running.browser("alice")
    browser.press(browser.press(browser.get("/providers"), "Revoke authorization"), "Revoke")


def _remove(running: Running, *, revoke: bool) -> None:
    grant = running.vault.grants._grants.load(ALICE, NORTHWIND).grant
    assert grant is not None
    running.vault.removals.remove(ADMINISTRATOR, [grant.id], ORIGIN, revoke=revoke)


ENDS: dict[str, Callable[[Running], object]] = {
    "revoked": _revoke,
    "removed": lambda running: _remove(running, revoke=False),
    "removed and revoked": lambda running: _remove(running, revoke=True),
    "left": lambda running: running.vault.grants.revoke(directory.ALICE.user, NORTHWIND, ORIGIN, actor=ADMINISTRATOR),
    "replaced": lambda running: running.authorize(running.browser("alice"), "alice2", "Reauthorize"),
    "renewed": lambda running: running.authorize(running.browser("alice"), "alice", "Reauthorize"),
}


def violations(running: Running) -> int:
    return running.audit_tags().count("integrity.violated")


@pytest.mark.parametrize("end", ENDS)
def test_r50_no_row_of_a_grant_that_ended_is_released_when_it_is_put_back(api: Api, surgeon: Surgeon, end: str) -> None:
    """All that the vault's table ever held of it, whole or with a higher or lower version, written back."""
    rows = [surgeon.grant(ALICE)]
    outcome(api)
    for _ in range(2):
        api.running.clock.advance(3600)
        outcome(api)
        rows.append(surgeon.grant(ALICE))
    (_, alices), (_, bobs) = outcome(api), outcome(api, "CONTOSO\\bob")
    assert len({row["version"]["N"] for row in rows}) == 3
    ENDS[end](api.running)
    stays = outcome(api)
    assert alices not in stays
    for number, row in enumerate(rows, 1):
        surgeon.put("vault", row)
        assert outcome(api) == (400, "")
        assert violations(api.running) == number
        # It is a tombstone again, told once
        assert (surgeon.grant(ALICE)["state"], surgeon.grant(ALICE).get("token_set")) == ({"S": "removed"}, None)
        assert outcome(api) == (400, "")
        assert violations(api.running) == number
    for version in (0, 1, api.running.clock.now() + 10**6, 10**30):
        surgeon.put("vault", rows[-1] | {"version": {"N": str(version)}})
        assert outcome(api) == (400, "")
    surgeon.put("vault", rows[-1])
    outcome(api)
    browser = api.running.browser("alice")
    assert "found in the storage again" in browser.get("/providers").text
    api.running.authorize(browser)
    status, token = outcome(api)
    assert (status, token not in (alices, "")) == (200, True)
    surgeon.put("vault", rows[-1])
    assert outcome(api) == (400, "")
    assert outcome(api, "CONTOSO\\bob") == (200, bobs)


def test_r50_a_row_that_was_lowered_before_its_end_does_not_come_back(api: Api, surgeon: Surgeon) -> None:
    """The version that ends is what time says, too, and not only what the row says."""
    row = surgeon.grant(ALICE)
    surgeon.put("vault", row | {"version": {"N": "1"}})
    api.running.clock.advance(60)
    _remove(api.running, revoke=False)
    surgeon.put("vault", row)
    assert outcome(api) == (400, "")


def test_r50_a_row_that_somebody_took_away_does_not_come_back_over_a_newer_consent(api: Api, surgeon: Surgeon) -> None:
    row = surgeon.grant(ALICE)
    surgeon.drop("vault", row)
    api.running.clock.advance(60)
    api.running.authorize(api.browser, "alice2", "Authorize")
    assert outcome(api)[0] == 200
    surgeon.put("vault", row)
    assert outcome(api) == (400, "")


@pytest.mark.parametrize("act", ["revoke", "remove", "keep alive"])
def test_r50_whoever_meets_a_row_that_was_put_back_removes_it_again(api: Api, surgeon: Surgeon, act: str) -> None:
    row = surgeon.grant(ALICE)
    _remove(api.running, revoke=False)
    surgeon.put("vault", row)
    running = api.running
    if act == "revoke":
        assert running.vault.grants.revoke(directory.ALICE.user, NORTHWIND, ORIGIN) is None
    elif act == "remove":
        receipt = running.vault.removals.remove(ADMINISTRATOR, [f"{NORTHWIND}.{ALICE}"], ORIGIN)
        assert receipt.clouds == ()
    else:
        running.refresh(ALICE)
    assert surgeon.grant(ALICE)["state"] == {"S": "removed"}
    assert violations(running) == 1


def test_r50_an_older_row_of_a_grant_that_lives_gives_its_own_person_an_older_token(api: Api, surgeon: Surgeon) -> None:
    """What the threat model says such a hand can still do."""
    row = surgeon.grant(ALICE)
    _, first = outcome(api)
    api.running.clock.advance(1800)
    api.running.refresh(ALICE)
    surgeon.put("vault", row)
    assert outcome(api) == (200, first)
    assert violations(api.running) == 0


def test_r50_only_who_writes_the_table_of_keys_as_well_brings_back_what_ended(api: Api, surgeon: Surgeon) -> None:
    """What the threat model says two hands can do: until the generation ends, whose key takes all with it."""
    row = surgeon.grant(ALICE)
    (_, alices) = outcome(api)
    before = surgeon.items("vault-keys", "ENDED#")
    _remove(api.running, revoke=False)
    surgeon.put("vault", row)
    for mark in surgeon.items("vault-keys", "ENDED#"):
        surgeon.drop("vault-keys", mark)
    for mark in before:
        surgeon.put("vault-keys", mark)
    assert outcome(api) == (200, alices)
    api.running.vault.removals.remove_all(ADMINISTRATOR, NORTHWIND, ORIGIN)
    surgeon.put("vault", row)
    assert outcome(api) == (400, "")


def test_r91_an_alias_alone_renames_nobody_and_with_the_record_the_line_says_whose_token_it_was(
    api: Api, surgeon: Surgeon
) -> None:
    _, bobs = outcome(api, "CONTOSO\\bob")
    (alices,), (bobs_alias,) = (surgeon.items("vault", f"ALIAS#contoso\\{name}") for name in ("alice", "bob"))
    (record,) = [item for item in surgeon.items("vault", f"USER#{BOB}") if item["sk"]["S"] == "RECORD"]
    surgeon.put("vault", bobs_alias | {"pk": alices["pk"]})
    assert outcome(api) == (400, "")
    surgeon.put("vault", record | {"names": {"L": [{"S": "contoso\\alice"}]}, "user_name": {"S": "CONTOSO\\alice"}})
    assert outcome(api) == (200, bobs)
    lines = [item for item in surgeon.items("vault", "AUDIT#") if item["tag"]["S"] == "token.released"]
    assert max(lines, key=lambda item: item["sk"]["S"])["user_id"] == {"S": BOB}


def test_r50_an_end_that_cannot_be_read_releases_nothing(api: Api, surgeon: Surgeon) -> None:
    (_, alices), (_, bobs) = outcome(api), outcome(api, "CONTOSO\\bob")
    marks = surgeon.items("vault-keys", "ENDED#")
    assert len(marks) == 2
    for mark in marks:
        surgeon.put("vault-keys", mark | {"version": {"S": "x"}})
    assert outcome(api) == (400, "")
    for mark in marks:
        surgeon.put("vault-keys", mark)
    rest(api, alices, bobs)


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


def test_r94_a_mark_that_cannot_be_read_is_written_over_by_an_end_and_by_a_consent(api: Api, surgeon: Surgeon) -> None:
    running, row = api.running, surgeon.grant(ALICE)
    for mark in surgeon.items("vault-keys", "ENDED#"):
        surgeon.put("vault-keys", mark | {"version": {"S": "x"}})
    assert running.vault.grants.revoke(directory.BOB.user, NORTHWIND, ORIGIN) is not None
    api.running.authorize(api.browser, "alice", "Reauthorize")
    assert outcome(api)[0] == 200
    surgeon.put("vault", row)
    assert outcome(api) == (400, "")


@pytest.mark.parametrize("ahead", [2**32 - 1, 2**32, 2**53 - 1, 2**53, 10**30])
def test_r50_a_version_that_somebody_raised_outlives_no_end(api: Api, surgeon: Surgeon, ahead: int) -> None:
    for _ in range(3):
        raised = surgeon.grant(ALICE) | {"version": {"N": str(api.running.clock.now() + ahead)}}
        surgeon.put("vault", raised)
        api.running.authorize(api.browser, "alice", "Reauthorize")
        row = surgeon.grant(ALICE)
        assert outcome(api)[0] == 200
        _remove(api.running, revoke=False)
        surgeon.put("vault", row)
        assert outcome(api) == (400, "")
        api.running.authorize(api.browser, "alice", "Authorize")


@pytest.mark.parametrize("end", ["revoked", "removed", "met by a release"])
def test_r50_an_end_that_meets_a_row_that_was_put_back_ends_the_newer_one_too(
    api: Api, surgeon: Surgeon, end: str
) -> None:
    """An older row stands where the newer one was, and is taken for what had ended."""
    older = surgeon.grant(ALICE)
    api.running.authorize(api.browser, "alice", "Reauthorize")
    newer = surgeon.grant(ALICE)
    surgeon.put("vault", older)
    api.running.clock.advance(60)
    if end == "revoked":
        api.running.vault.grants.revoke(directory.ALICE.user, NORTHWIND, ORIGIN)
    elif end == "removed":
        _remove(api.running, revoke=False)
    else:
        assert outcome(api) == (400, "")
    surgeon.put("vault", newer)
    assert outcome(api) == (400, "")
