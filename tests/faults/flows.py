"""What people, programs and the schedule do: each act with what it promises, and what comes next when it broke off."""

from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

from chalicelib.domain.errors import VaultError
from chalicelib.domain.event import Channel
from chalicelib.domain.grant import GrantState
from chalicelib.domain.seal import WINDOW_SECONDS
from chalicelib.domain.stop import StopKind
from tests.fakes.misbehaviour import error, status
from tests.functional.client import Answer, going_to
from tests.functional.conftest import NORTHWIND
from tests.samples import ADMINISTRATOR

from .invariants import is_honest, is_rfc_error
from .world import ORIGIN, Process, World

HOUR = 3600
Prepared = Any
"""What an act needs of what was prepared for it: a page, an address."""


@dataclass(frozen=True)
class Flow:
    """`act` checks its own answer for honesty and tells whether it promised success; `done` whether that is so."""

    name: str
    prepare: Callable[[World], Prepared]
    act: Callable[[World, Prepared], bool]
    again: Callable[[World], None]
    done: Callable[[World], None]


# Pages


def _promised(answer: Answer, words: str) -> bool:
    is_honest(answer)
    return answer.status == 200 and words in answer.text


def _pressed(person: str, button: str, words: str, **typed: str) -> Callable[[World, Answer], bool]:
    def act(world: World, page: Answer) -> bool:
        return _promised(world.browser(person).press(page, button, **typed), words)

    return act


# Log-in


def _log_in_page(world: World) -> Answer:
    return world.browser("alice").get("/login")


def _log_in(world: World, page: Answer) -> bool:
    typed = {"user_name": "CONTOSO\\alice", "password": "alice-pass"}
    answer = world.browser("alice").press(page, "Log in", **typed)
    is_honest(answer)
    return answer.url == "/providers" and answer.status == 200


def _log_in_again(world: World) -> None:
    if world.browser("alice", world.second).get("/login").url == "/login":
        world.log_in("alice", world.second)


def _is_logged_in(world: World) -> None:
    page = world.browser("alice", world.second).get("/providers")
    assert (page.status, page.url) == (200, "/providers"), page.text


# Consent


def _providers_page(world: World) -> Answer:
    return world.log_in("alice").get("/providers")


def _start(world: World, page: Answer) -> bool:
    answer = world.browser("alice").press(page, "Authorize")
    is_honest(answer)
    if answer.status != 200:
        return False
    going_to(answer)
    return True


def _start_again(world: World) -> None:
    browser = world.browser("alice", world.second)
    going_to(browser.press(browser.get("/providers"), "Authorize"))


def _there_is_a_request(world: World) -> None:
    assert any(item["pk"].startswith("REQUEST#") for item in world.items("vault-sessions"))


def _at_the_cloud(world: World) -> str:
    return world.consented(world.log_in("alice"), "alice")


def _at_the_cloud_again(world: World) -> str:
    world.log_in("alice")
    world.authorize("alice")
    return world.consented(world.browser("alice"), "alice2", "Reauthorize")


def _come_back(world: World, callback: str) -> bool:
    return _promised(world.browser("alice").get(callback), "Authorization succeeded")


def _authorize_unless_there(account: str) -> Callable[[World], None]:
    def again(world: World) -> None:
        grant = world.grant()
        if grant is None or grant.account.subject != f"cloud-{account}":
            world.authorize("alice", account, world.second)

    return again


def _is_authorized(account: str) -> Callable[[World], None]:
    def done(world: World) -> None:
        holding = world.holding()
        assert holding.grant is not None
        assert (holding.grant.state, holding.grant.account.subject) == (GrantState.ACTIVE, f"cloud-{account}")
        tokens = world.tokens(holding)
        assert tokens.refresh_token is not None
        assert world.cloud.is_live(tokens.refresh_token.reveal()), "stored, and dead at the cloud"

    return done


# Release


def _authorized(world: World) -> None:
    world.log_in("alice")
    world.authorize("alice")


def _with_little_life_left(world: World) -> None:
    _authorized(world)
    world.clock.advance(HOUR - 120)


def _expired(world: World) -> None:
    _authorized(world)
    world.clock.advance(HOUR)


def _fetch(world: World, _: Prepared) -> bool:
    status, body = world.fetch()
    if status != 200:
        is_rfc_error(status, body)
    return status == 200


def _fetch_until_served(world: World) -> None:
    """As a program does: again after the pause it was told, and by way of the person where that is asked for."""
    for _ in range(4):
        status, body = world.fetch(process=world.second)
        if status == 200:
            return
        is_rfc_error(status, body)
        world.clock.advance(body.get("retry_after", 0))
        if body["reason"] in ("needs_reauthorization", "not_connected"):
            world.log_in("alice", world.second)
            world.authorize("alice", process=world.second)
    raise AssertionError(f"never served: {status} {body}")


def _was_served(world: World) -> None:
    assert world.released
    assert world.cloud.is_live(world.released[-1]["access_token"]), "released, and dead at the cloud"


# Ends


def _revoke_page(world: World) -> Answer:
    _authorized(world)
    browser = world.browser("alice")
    return browser.press(browser.get("/providers"), "Revoke authorization")


def _revoke_unless_gone(world: World) -> None:
    if world.grant() is not None:
        browser = world.browser("alice", world.second)
        browser.press(browser.press(browser.get("/providers"), "Revoke authorization"), "Revoke")


def _nothing_is_released(world: World) -> None:
    assert world.grant() is None
    status, body = world.fetch(process=world.second)
    is_rfc_error(status, body)


def _all_ended_at_the_cloud(world: World) -> None:
    _nothing_is_released(world)
    live = [token for token in world.cloud._refresh_tokens if world.cloud.is_live(token)]
    assert not live, f"{len(live)} tokens live on at the cloud, and nobody here knows"


def _remove_one_page(world: World) -> Answer:
    _authorized(world)
    world.log_in("admin")
    alice = world.grant()
    assert alice is not None
    return world.browser("admin").get(f"/admin/tokens/remove?token={alice.id}")


def _remove_all_page(world: World) -> Answer:
    _authorized(world)
    world.log_in("bob")
    world.authorize("bob")
    world.log_in("admin")
    return world.browser("admin").get(f"/admin/tokens/remove-all?provider={NORTHWIND}")


_REMOVE_ALL = {"confirm": "Northwind Cloud", "revoke": "yes"}


def _remove_unless_gone(world: World) -> None:
    grant = world.grant()
    if grant is not None:
        admin = world.browser("admin", world.second)
        admin.press(admin.get(f"/admin/tokens/remove?token={grant.id}"), "Remove", revoke="yes")


def _remove_all_unless_gone(world: World) -> None:
    if world.grant() is not None:
        admin = world.browser("admin", world.second)
        admin.press(admin.get(f"/admin/tokens/remove-all?provider={NORTHWIND}"), "Remove", **_REMOVE_ALL)


def _remove_everything_page(world: World) -> Answer:
    _authorized(world)
    return world.log_in("admin").get("/admin/tokens/remove-everything")


_EVERYTHING = {"confirm": "everything", "revoke": "yes"}


def _remove_everything_unless_gone(world: World) -> None:
    if world.grant() is not None:
        admin = world.browser("admin", world.second)
        admin.press(admin.get("/admin/tokens/remove-everything"), "Remove", **_EVERYTHING)


def _move_page(world: World) -> Answer:
    """The form with the question: another client, at the same cloud."""
    _authorized(world)
    world.log_in("admin")
    return _asked_to_move(world, world.first)


def _asked_to_move(world: World, process: Process) -> Answer:
    admin = world.browser("admin", process)
    page = admin.get(f"/admin/providers/{NORTHWIND}/edit")
    return admin.press(page, "Save", client_id="another", client_secret="another-secret")


_MOVED = {"client_secret": "another-secret", "end_grants": "on", "revoke_old": "on"}


def _move_unless_there(world: World) -> None:
    if world.provider().client_id != "another":
        page = _asked_to_move(world, world.second)
        world.browser("admin", world.second).press(page, "Save", **_MOVED)


def _has_moved(world: World) -> None:
    assert world.provider().client_id == "another"
    _nothing_is_released(world)


def _stop_page(world: World) -> str:
    _authorized(world)
    world.fetch()
    return world.log_in("admin").get("/admin/stops").form("Sign out").fields[0][1]


def _stop_with(world: World, csrf: str, process: Process) -> Answer:
    fields = {"csrf": csrf, "kind": "provider", "target": NORTHWIND, "reason": "Laptop lost"}
    return world.browser("admin", process).post("/admin/stops", fields)


def _stop(world: World, csrf: str) -> bool:
    return _promised(_stop_with(world, csrf, world.first), "“Laptop lost”")


def _stop_again(world: World) -> None:
    world.second.vault.stops.stop(StopKind.PROVIDER, NORTHWIND, "Laptop lost", ADMINISTRATOR, ORIGIN)


def _is_stopped(world: World) -> None:
    status, body = world.fetch(process=world.second)
    assert (status, body["reason"]) == (400, "blocked"), body


def _stopped(world: World) -> str:
    csrf = _stop_page(world)
    _stop_with(world, csrf, world.first)
    return csrf


def _resume(world: World, csrf: str) -> bool:
    fields = {"csrf": csrf, "kind": "provider", "target": NORTHWIND}
    answer = world.browser("admin").post("/admin/stops/resume", fields)
    is_honest(answer)
    return answer.status == 200 and "“Laptop lost”" not in answer.text


def _resume_again(world: World) -> None:
    world.second.vault.stops.resume(StopKind.PROVIDER, NORTHWIND, ADMINISTRATOR, ORIGIN)


# The schedule


def _in_background(run: Callable[[Process], object]) -> Callable[[World, Prepared], bool]:
    def act(world: World, _: Prepared) -> bool:
        try:
            run(world.first)
        except VaultError:
            # Lambda notes it, and the next minute tries again
            return False
        return False

    return act


def _removed_all(world: World) -> None:
    world.browser("admin").press(_remove_all_page(world), "Remove", **_REMOVE_ALL)
    world.clock.advance(180)


def _revoked_while_the_cloud_was_down(world: World) -> None:
    page = _revoke_page(world)
    world.cloud.misbehave("/revoke", status(503))
    world.browser("alice").press(page, "Revoke")
    world.clock.advance(60)


def _next_minutes(world: World) -> None:
    world.background(world.second, 0.02, 0.1, 1)


def _is_cleaned_up(world: World) -> None:
    _all_ended_at_the_cloud(world)
    keys = {item["pk"] for item in world.items("vault-keys") if item["pk"].startswith(NORTHWIND)}
    assert keys == {f"{NORTHWIND}#2"}
    (receipt,) = world.second.vault.removals.recent()
    (cloud,) = world.second.vault.removals.receipt(receipt.id).clouds
    assert (cloud.removed, cloud.pending, cloud.given_up) == (2, 0, 0), cloud


def _a_window_ago(world: World) -> None:
    _authorized(world)
    world.clock.advance(WINDOW_SECONDS)
    world.first.vault.seals.seal_due()
    world.clock.advance(WINDOW_SECONDS)


def _seal_until_done(world: World) -> None:
    while world.second.vault.seals.seal_due():
        pass


def _all_is_sealed(world: World) -> None:
    _seal_until_done(world)
    verified = world.second.vault.seals.verify()
    assert verified.faults == []
    assert verified.seals >= 2


def _something_to_tell(world: World) -> None:
    _expired(world)
    world.cloud.misbehave("/token", error("invalid_grant"))
    world.fetch()


def _is_told(world: World) -> None:
    assert world.published["grant.needs_reauthorization"] >= 1
    outbox, later = world.second.vault.events._outbox, world.clock.now() + 30 * 86400
    assert [delivery for channel in Channel for delivery in outbox.due(channel, later)] == []


LOG_IN = Flow("log-in", _log_in_page, _log_in, _log_in_again, _is_logged_in)
START = Flow(
    "start-of-consent",
    _providers_page,
    _start,
    _start_again,
    _there_is_a_request,
)
CALLBACK = Flow("callback", _at_the_cloud, _come_back, _authorize_unless_there("alice"), _is_authorized("alice"))
REAUTHORIZE = Flow(
    "callback-with-another-account",
    _at_the_cloud_again,
    _come_back,
    _authorize_unless_there("alice2"),
    _is_authorized("alice2"),
)
RELEASE = Flow("release", _authorized, _fetch, _fetch_until_served, _was_served)
AHEAD = Flow("refresh-ahead", _with_little_life_left, _fetch, _fetch_until_served, _was_served)
REFRESH = Flow("refresh", _expired, _fetch, _fetch_until_served, _was_served)
REVOKE = Flow(
    "revoke", _revoke_page, _pressed("alice", "Revoke", "Authorization revoked"), _revoke_unless_gone,
    _nothing_is_released,
)  # fmt: skip
REMOVE_ONE = Flow(
    "removal-of-one", _remove_one_page, _pressed("admin", "Remove", "Removal", revoke="yes"), _remove_unless_gone,
    _nothing_is_released,
)  # fmt: skip
REMOVE_ALL = Flow(
    "removal-of-all", _remove_all_page, _pressed("admin", "Remove", "Removal", **_REMOVE_ALL), _remove_all_unless_gone,
    _nothing_is_released,
)  # fmt: skip
REMOVE_EVERYTHING = Flow(
    "removal-of-everything", _remove_everything_page,
    _pressed("admin", "Remove", "All tokens of everybody", **_EVERYTHING), _remove_everything_unless_gone,
    _nothing_is_released,
)  # fmt: skip
MOVE = Flow(
    "move-to-another-client", _move_page, _pressed("admin", "Save", "another", **_MOVED), _move_unless_there,
    _has_moved,
)  # fmt: skip
STOP = Flow("stop", _stop_page, _stop, _stop_again, _is_stopped)
RESUME = Flow("resume", _stopped, _resume, _resume_again, _was_served)
CLEAN_UP = Flow(
    "clean-up", _removed_all, _in_background(lambda process: process.vault.clean_up.run()), _next_minutes,
    _is_cleaned_up,
)  # fmt: skip
RETRY = Flow(
    "revocation-retried", _revoked_while_the_cloud_was_down,
    _in_background(lambda process: process.vault.revocations.retry_due()), _next_minutes, _all_ended_at_the_cloud,
)  # fmt: skip
SEAL = Flow(
    "seal", _a_window_ago, _in_background(lambda process: process.vault.seals.seal_due()), _seal_until_done,
    _all_is_sealed,
)  # fmt: skip
DELIVER = Flow(
    "delivery", _something_to_tell, _in_background(lambda process: process.vault.events.deliver_due()), _next_minutes,
    _is_told,
)  # fmt: skip

FLOWS = (
    LOG_IN, START, CALLBACK, REAUTHORIZE, RELEASE, AHEAD, REFRESH, REVOKE, REMOVE_ONE, REMOVE_ALL, REMOVE_EVERYTHING,
    MOVE, STOP, RESUME, CLEAN_UP, RETRY, SEAL, DELIVER,
)  # fmt: skip
