"""Each function uses all that its role allows, and nothing else: each scenario is the widest that the function has."""

import io
import json
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import replace
from http import HTTPStatus
from itertools import count
from pathlib import Path
from threading import Thread
from typing import Any

import pytest
from botocore.exceptions import ClientError

from chalicelib import bootstrap
from chalicelib.adapters.catalogue import FileCatalogue
from chalicelib.adapters.oauth_client import AuthlibClient
from chalicelib.bootstrap import Vault, create_vault
from chalicelib.command_line import main
from chalicelib.domain.audit import BACKGROUND, Origin
from chalicelib.domain.odd_item import OddKind
from chalicelib.domain.provider_type import ProviderType
from chalicelib.domain.stop import Stop, StopKind
from chalicelib.domain.user import Departure
from chalicelib.services import removals
from chalicelib.services.background import Tally
from chalicelib.stores.due import listed
from chalicelib.stores.items import pack
from deploy.template.permissions import FUNCTIONS, OPERATORS
from tests.fakes import directory
from tests.fakes.misbehaviour import error, status
from tests.iam import ROLES, Recorder, allowed, recorded
from tests.samples import ADMINISTRATOR

from .client import Browser
from .conftest import NORTHWIND, Running, Telling

DAY = 24 * 3600


@pytest.fixture
def recorder(running: Running) -> Iterator[Recorder]:
    with recorded(running.aws.clients) as noted:
        yield noted


def assert_exact(recorder: Recorder, name: str) -> None:
    used, may = recorder.uses[name], allowed(ROLES[name])
    assert (used - may, may - used) == (set(), set())


def test_web(running: Running, recorder: Recorder) -> None:
    alice, admin = running.browser("alice"), running.browser("admin")
    running.authorize(alice)
    for page in ("/sessions", "/activity"):
        assert alice.get(page).status == 200
    alice.press(alice.press(alice.get("/providers"), "Revoke authorization"), "Revoke")
    running.authorize(alice)
    admin.press(admin.get("/admin/tokens/remove-all?provider=northwind"), "Remove", confirm="Northwind Cloud")
    for page in ("/admin/tokens", "/admin/audit", "/admin/leavers"):
        assert admin.get(page).status == 200
    alice.press(alice.get("/providers"), "Sign out")
    assert_exact(recorder, "api_handler")


def test_retry_of_revocations(running: Running, recorder: Recorder) -> None:
    alice, admin = running.browser("alice"), running.browser("admin")
    running.authorize(alice)
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(running.vault.grants._grants, "delete", _dies)
        with pytest.raises(KeyboardInterrupt):
            running.vault.grants.revoke(directory.ALICE.user, "northwind", BACKGROUND)
    running.clock.advance(120)
    # Ended by whoever asks the cloud, since nobody else lived to do so
    assert running.vault.revocations.retry_due() == 1
    running.authorize(alice)
    running.authorize(running.browser("bob"), "bob")
    running.cloud.misbehave("/revoke", status(503), status(503))
    alice.press(alice.press(alice.get("/providers"), "Revoke authorization"), "Revoke")
    # Of an earlier generation from now on, whose key is another
    admin.press(admin.get("/admin/tokens/remove-all?provider=northwind"), "Remove", confirm="Northwind Cloud")
    running.clock.advance(120)
    assert running.vault.revocations.retry_due() == 0
    running.clock.advance(DAY)
    assert running.vault.revocations.retry_due() == 1
    running.authorize(running.browser("alice"))
    _remove_and_revoke(running, running.browser("admin"))
    running.clock.advance(120)
    running.vault.clean_up.run()
    # The other person's, removed yesterday without that wish, was there still: the stronger wish wins
    assert running.vault.revocations.retry_due() == 2
    assert_exact(recorder, "retry_revocations")


def _remove_and_revoke(running: Running, admin: Browser) -> None:
    page = admin.get("/admin/tokens/remove-all?provider=northwind")
    admin.press(page, "Remove", confirm="Northwind Cloud", revoke="yes")


class IdleCatalogue(FileCatalogue):
    """Clouds whose refresh tokens lapse when nobody uses them for 90 days."""

    def get(self, type_id: str) -> ProviderType:
        return replace(super().get(type_id), refresh_token_idle_seconds=90 * DAY)


def with_idle_tokens(running: Running, at_once: int = 1) -> Vault:
    world: dict[str, Any] = {"aws": running.aws.clients, "clock": running.clock, "directory": running.directory}
    oauth_client = running.vault.keep_alive._refresh._oauth_client
    return create_vault(
        running.vault.settings, **world, oauth_client=oauth_client, catalogue=IdleCatalogue(), at_once=at_once
    )


def test_keep_alive(running: Running, recorder: Recorder) -> None:
    running.authorize(running.browser("alice"))
    running.clock.advance(80 * DAY)
    vault = with_idle_tokens(running)
    with outcomes_refused(running):
        vault.keep_alive.run()
    # What was kept aside is brought home
    running.clock.advance(3600)
    vault.keep_alive.run()
    # It had ended and was put back
    grant = next(item for item in running.aws.items("vault") if item["sk"]["S"].startswith("GRANT#"))
    running.vault.grants.revoke(directory.ALICE.user, NORTHWIND, Origin("-", "-"))
    running.aws.clients.dynamodb.put_item(TableName="vault", Item=grant)
    running.clock.advance(80 * DAY)
    vault.keep_alive.run()
    # It is revoked while its refresh is under way
    running.authorize(running.browser("alice"))
    running.clock.advance(80 * DAY)
    with revoked_meanwhile(running):
        vault.keep_alive.run()
    assert_exact(recorder, "keep_alive")


@contextmanager
def revoked_meanwhile(running: Running) -> Iterator[None]:
    """The person revokes between the lease of a refresh and the call of the cloud."""
    refresh = AuthlibClient.refresh

    def revoke_first(*arguments: Any) -> Any:
        fresh = refresh(*arguments)
        # In a thread, so that its calls are not taken for those of the function
        other = Thread(target=running.vault.grants.revoke, args=(directory.ALICE.user, NORTHWIND, Origin("-", "-")))
        other.start()
        other.join()
        return fresh

    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(AuthlibClient, "refresh", revoke_first)
        yield


def test_on_several_threads_each_grant_is_refreshed_once(running: Running) -> None:
    for person in ("alice", "bob"):
        running.authorize(running.browser(person), person)
    running.clock.advance(80 * DAY)
    vault = with_idle_tokens(running, at_once=8)
    assert vault.keep_alive.run() == Tally(done=2)
    assert vault.keep_alive.run() == Tally()


@contextmanager
def outcomes_refused(running: Running) -> Iterator[None]:
    """The vault's table takes the lease of a refresh, and then not what came of it."""
    client, writes = running.aws.clients.dynamodb, count(1)
    put = client.put_item

    def put_item(**arguments: Any) -> Any:
        is_grant = arguments["TableName"] == "vault" and arguments["Item"]["sk"]["S"].startswith("GRANT#")
        if is_grant and next(writes) > 1:
            raise ClientError({"Error": {"Code": "InternalServerError"}}, "PutItem")
        return put(**arguments)

    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(client, "put_item", put_item)
        yield


def test_look_after_leavers(running: Running, recorder: Recorder) -> None:
    alice, bob = directory.ALICE.user, directory.BOB.user
    running.authorize(running.browser("alice"))
    running.browser("bob")
    running.clock.advance(3600)
    with outcomes_refused(running):
        running.refresh(alice.id)
    sweep = running.vault.leavers.sweep
    running.directory.changed[bob.id] = replace(bob, groups=frozenset({"S-1-5-32-1"}))
    sweep(pause=0)
    running.directory.gone[alice.id] = Departure.DISABLED
    running.clock.advance(DAY)
    sweep(pause=0)
    running.clock.advance(31 * DAY)
    sweep(pause=0)
    assert "user.removed" in running.audit_tags()
    assert_exact(recorder, "look_after_leavers")


def _dies(*_: object, **__: object) -> None:
    raise KeyboardInterrupt


def test_clean_up(running: Running, recorder: Recorder) -> None:
    running.authorize(running.browser("alice"))
    running.clock.advance(3600)
    with outcomes_refused(running):
        running.refresh(directory.ALICE.user.id)
    admin = running.browser("admin")
    running.authorize(running.browser("bob"), "bob")
    bob = running.vault.people.find("bob@contoso.example")
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(running.vault.removals._grants, "save", _dies)
        with pytest.raises(KeyboardInterrupt):
            running.vault.removals.remove_of(ADMINISTRATOR, bob, BACKGROUND, revoke=False)
    running.clock.advance(60)
    running.vault.removals.finish_open()
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(removals, "IN_REQUEST", replace(removals.IN_REQUEST, run_seconds=0))
        page = admin.get("/admin/tokens/remove-everything")
        admin.press(page, "Remove", confirm="everything", revoke="yes")
    running.vault.removals.carry_on()
    running.clock.advance(120)
    running.vault.clean_up.run()
    running.vault.revocations.retry_due()
    admin.press(admin.get("/admin/providers/northwind/delete"), "Delete")
    for _ in range(3):
        running.clock.advance(200)
        running.vault.clean_up.run()
    assert [item for item in running.aws.items("vault-keys") if "wrapped" in item] == []
    assert_exact(recorder, "clean_up")


def test_sealing(running: Running, recorder: Recorder) -> None:
    running.browser("alice")
    running.vault.seals.seal_due()
    # Is counted, behind the seals
    assert running.browser().post("/oauth2/token", {"grant_type": "x"}).status == HTTPStatus.BAD_REQUEST
    running.clock.advance(7200)
    assert running.vault.seals.seal_due() > 0
    assert_exact(recorder, "seal_audit")


def test_delivery_of_events(telling: Telling, recorder: Recorder) -> None:
    telling.authorize(telling.browser("alice"))
    telling.clock.advance(3600)
    telling.cloud.misbehave("/token", error("invalid_grant"))
    telling.refresh(directory.ALICE.user.id)
    odd = listed("OUTBOX#bus", telling.clock.now()) | {"pk": "EVENT#odd", "sk": "bus"}
    telling.aws.clients.dynamodb.put_item(TableName="vault", Item=pack(odd))
    assert telling.vault.events.deliver_due() == 3
    assert telling.vault.odd_items.of(OddKind.DELIVERY) == ["odd/bus"]
    assert_exact(recorder, "deliver_events")


def test_commands(running: Running, recorder: Recorder, monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    """All that operators run in a shell, in the widest form that each command has."""
    monkeypatch.setattr(bootstrap, "create_vault", lambda *_, **__: running.vault)
    monkeypatch.setattr("chalicelib.settings.Settings.faults", dict)
    running.authorize(running.browser("alice"))
    running.vault.seals.seal_due()
    running.clock.advance(7200)
    running.vault.seals.seal_due()
    providers = tmp_path / "providers.json"
    monkeypatch.setenv("SECOND_SECRET", "of the second")
    more = {"id": "second", "type": "openid-connect", "name": "Second", "client_id": "vault", "scopes": ["openid"]}
    more |= {"fields": {"issuer": running.cloud.issuer}, "client_secret": {"environment": "SECOND_SECRET"}}
    providers.write_text(json.dumps({"providers": [more]}), encoding="utf-8")
    (token,) = running.cloud._refresh_tokens
    line = {"user": "CONTOSO\\alice", "account": "a@contoso.example", "account_id": "a", "scopes": ["openid"]}
    monkeypatch.setattr("sys.stdin", io.StringIO(json.dumps(line | {"refresh_token": token})))
    grant = running.vault.grants._grants.load(directory.ALICE.user.id, "northwind").grant
    assert grant is not None
    lifted = Stop(StopKind.PROVIDER, "northwind", "why", 0, ADMINISTRATOR)
    running.vault.stops._stops.add(lifted)
    (stop,) = [item for item in running.aws.items("vault") if item["pk"]["S"] == "STOPS#provider"]
    running.vault.stops._stops.remove(lifted.kind, lifted.target)
    running.aws.clients.dynamodb.put_item(TableName="vault", Item=stop)
    running.directory.gone[directory.ALICE.user.id] = Departure.DISABLED
    for command in (
        ["check-config"],
        ["check-directory"],
        ["verify-audit"],
        ["export-providers"],
        ["import-providers", str(providers)],
        ["import-grants", "second"],
        ["list-tokens", "northwind"],
        ["rotate-keys"],
        ["remove-tokens", "--all-of", "second", "--yes"],
        ["remove-tokens", grant.id, "--revoke", "--yes"],
        ["after-restore"],
        ["replay-events", "--from", "2027-01-15"],
        ["export-person", "CONTOSO\\bob"],
        ["erase-person", "CONTOSO\\alice", "--still-here", "--yes"],
    ):
        main(command)
    for password in ("alice-pass", "wrong"):
        monkeypatch.setattr("sys.stdin", io.StringIO(f"{password}\n"))
        main(["test-sign-in", "CONTOSO\\alice"])
    assert_exact(recorder, OPERATORS)


def test_whoever_asks_the_directory_may_read_its_secret() -> None:
    assert {name for name, may in FUNCTIONS.items() if may.secrets} == {"api_handler", "look_after_leavers"}
