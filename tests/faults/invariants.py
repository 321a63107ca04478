"""What holds after each step of each case. Every check raises AssertionError with what it found."""

from collections.abc import Iterable
from typing import Any

from chalicelib.domain.grant import GrantReason, GrantState
from chalicelib.domain.token_exchange import RefusalReason
from chalicelib.stores.items import Item
from tests.aws import TABLES
from tests.functional.client import Answer

from .world import GrantWrite, World

_PAGES = {200, 303, 400, 401, 403, 409, 429, 503}
"""What a person may be answered under faults: never 500."""


def check(world: World) -> None:
    """All that holds at every moment, also in the middle of things."""
    no_plaintext(world)
    everything_opens(world)
    for key, writes in world.grant_writes.items():
        one_line_of_versions(key, writes)
    every_release_has_its_line(world)


def check_settled(world: World) -> None:
    """All that holds when nothing is under way any more and the background functions have run."""
    check(world)
    ledger_equals_state(world)
    receipts_add_up(world)


def is_honest(answer: Answer) -> None:
    """A page of ours that names what went wrong, without a stack trace."""
    assert answer.status in _PAGES, f"{answer.status} {answer.text[:200]}"
    assert "Traceback" not in answer.body
    if answer.status >= 400:
        assert "Something went wrong on our side" not in answer.text, answer.text[:200]


def is_rfc_error(status: int, body: dict[str, Any]) -> None:
    """An answer of RFC 6749 5.2, and nothing of a token in it."""
    assert "access_token" not in body
    assert status in (400, 401, 503), (status, body)
    assert body["error"] == RefusalReason(body["reason"]).error


def no_plaintext(world: World) -> None:
    stored = "\n".join(repr(item) for table in TABLES for item in world.items(table))
    found = [secret for secret in world.secrets() if secret in stored]
    assert not found, f"stored as it is: {len(found)}"


def everything_opens(world: World) -> None:
    """What is stored as a grant's tokens opens for its owner, in its place, with its clear fields."""
    for person in ("alice", "bob"):
        holding = world.holding(person)
        grant = holding.grant
        if grant is None or grant.token_set is None or grant.reason is GrantReason.UNREADABLE:
            continue
        assert grant.generation == holding.provider.generation
        assert world.tokens(holding).access_token.reveal() in world.cloud.issued()


def one_line_of_versions(key: tuple[str, str], writes: list[GrantWrite]) -> None:
    """Each write follows the one before; under one version there is one token set."""
    sealed: dict[int, bytes | None] = {}
    last = (0, 0)
    for write in writes:
        assert (write.version, write.fence) >= last, f"{key}: {write.version}/{write.fence} after {last}"
        assert sealed.setdefault(write.version, write.tokens) == write.tokens, f"{key}: two of {write.version}"
        last = (write.version, write.fence)


def every_release_has_its_line(world: World) -> None:
    """R70: what left is in the ledger, whatever happened after."""
    noted = {item["facts"].get("release") for item in world.audit() if item["tag"] == "token.released"}
    missing = [body["release_id"] for body in world.released if body["release_id"] not in noted]
    assert not missing, f"released without a line: {missing}"


def ledger_equals_state(world: World) -> None:
    """Who reads the audit log alone knows which grants there are, and which were ended."""
    grants = {(item["user_id"], item["provider_id"]): item for item in _grants(world)}
    begun, ended = _latest(world, _BEGINS), _latest(world, _ENDS)
    for who, grant in grants.items():
        if grant["state"] == GrantState.REMOVED.value:
            assert ended.get(who, 0) >= grant["state_at"], "removed, and the log does not say so"
        elif grant["generation"] == world.provider().generation:
            assert begun.get(who, 0) >= grant["authorized_at"], "there, and the log does not say since when"
    for who, at in begun.items():
        assert who in grants or ended.get(who, 0) >= at, "gone, and the log says it is there"


def nothing_lives_unknown(world: World) -> None:
    """No authorization lives at the cloud that the vault does not hold; not where a process died with it in hand."""
    known: set[str] = set()
    for person in ("alice", "bob"):
        holding = world.holding(person)
        if holding.grant is not None and holding.grant.token_set is not None:
            tokens = world.tokens(holding)
            known |= {token.reveal() for token in (tokens.access_token, tokens.refresh_token) if token is not None}
    held = {id(world.cloud._refresh_tokens.get(token)) for token in known}
    unknown = [t for t, at in world.cloud._refresh_tokens.items() if not at.ended and id(at) not in held]
    assert not unknown, f"{len(unknown)} live at the cloud, and nobody here knows"


def everything_received_is_accounted_for(world: World) -> None:
    """R95: what a cloud gave is in a living grant or revoked; what was written down for that has been done by now."""
    assert not [item for item in world.items() if item["pk"].startswith("REVOCATION#")], "never asked for"
    nothing_lives_unknown(world)


def receipts_add_up(world: World) -> None:
    """Each receipt counts each token once, and has a head that says who asked."""
    for receipt_id, items in _receipts(world).items():
        heads = [item for item in items if item["sk"] == "HEAD"]
        assert heads, f"receipt {receipt_id} without a head"
        removed = sum(item.get("removed", 0) for item in items)
        entries = [item for item in world.audit() if item["tag"] == "grant.removed"]
        people = {item["user_id"] for item in entries}
        assert removed <= len(people), f"{removed} removed on the receipt, {len(people)} in the log"
        pending = sum(item.get("asked", 0) - item.get("confirmed", 0) - item.get("given_up", 0) for item in items)
        assert pending <= 0, f"{pending} are waited for, and nobody asks the cloud any more"


_BEGINS = ("grant.authorized",)
_ENDS = ("grant.revoked", "grant.removed", "revocation.retried", "consent.failed")


def _latest(world: World, tags: tuple[str, ...]) -> dict[tuple[str, str], int]:
    """When the log last names one of these acts, by person and provider."""
    found: dict[tuple[str, str], int] = {}
    for item in world.audit():
        if item["tag"] in tags:
            who = (item["user_id"], item["provider_id"])
            found[who] = max(item["at"], found.get(who, 0))
    return found


def _grants(world: World) -> Iterable[Item]:
    return [item for item in world.items() if item["sk"].startswith("GRANT#")]


def _receipts(world: World) -> dict[str, list[Item]]:
    found: dict[str, list[Item]] = {}
    for item in world.items():
        if item["pk"].startswith("REMOVAL#"):
            found.setdefault(item["pk"], []).append(item)
    return found
