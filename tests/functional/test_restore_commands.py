"""`python -m chalicelib after-restore`: what it says, and when it is content. What holds then: `tests/faults`."""

import json
from dataclasses import replace
from typing import Any

import pytest

from chalicelib import bootstrap
from chalicelib.command_line import main
from chalicelib.domain.audit import Actor, Origin
from chalicelib.domain.removal import Everything, EverythingOrder
from chalicelib.domain.stop import ALL, StopKind
from tests.samples import ADMINISTRATOR, APPLICATION

from .conftest import NORTHWIND, Running

ORIGIN = Origin("-", "test")
CURRENT = "Provider: 1 current.\nPeople: 1 current.\n"


@pytest.fixture
def known(running: Running, monkeypatch: pytest.MonkeyPatch) -> Running:
    """Backups made from now on are ones since which every change leaves a copy."""
    monkeypatch.setattr(bootstrap, "create_vault", lambda: running.vault)
    running.vault.restoration.prepare()
    running.clock.advance(3600)
    running.vault.restoration.prepare()
    return running


@pytest.fixture
def restored(known: Running) -> Running:
    """The provider item of before a removal of all its tokens, which the version before had carried out."""
    (before,) = provider_items(known)
    known.vault.removals.remove_all(Actor("test"), NORTHWIND, ORIGIN)
    known.aws.clients.dynamodb.put_item(TableName="vault", Item=before)
    known.aws.clients.dynamodb.delete_item(TableName="vault-keys", Key={"pk": {"S": 'COPY#["PROVIDERS", "northwind"]'}})
    return known


def provider_items(running: Running) -> list[Any]:
    return [item for item in running.aws.items("vault") if item["pk"]["S"] == "PROVIDERS"]


def test_it_says_what_it_did_of_each_kind_and_then_that_nothing_is_left(
    known: Running, capsys: pytest.CaptureFixture[str]
) -> None:
    applications, stops = known.vault.client_applications, known.vault.stops
    registered = applications.register(APPLICATION, ADMINISTRATOR, ORIGIN)
    stops.stop(StopKind.EVERYTHING, ALL, "why", ADMINISTRATOR, ORIGIN)
    before = known.aws.items("vault")
    applications.delete(registered, ADMINISTRATOR, ORIGIN)
    applications.register(replace(APPLICATION, id="mailer", name="Mailer"), ADMINISTRATOR, ORIGIN)
    stops.resume(StopKind.EVERYTHING, ALL, ADMINISTRATOR, ORIGIN)
    known.vault.registration.disable(known.vault.registration.get(NORTHWIND), ADMINISTRATOR, ORIGIN)
    put_back(known, before)
    assert main(["after-restore"]) == 0
    lines = capsys.readouterr().out.splitlines()
    assert sorted(lines[:4]) == [
        "Application Mailer (mailer): as it was last.",
        "Application Scan server (scanner): deleted again.",
        "Provider Northwind Cloud (northwind): as it was last.",
        "Stop everything: deleted again.",
    ]
    assert sorted(lines[4:]) == [
        "Application: 1 as last.", "Application: 1 deleted again.", "People: 1 current.", "Provider: 1 as last.",
        "Provider: 1 current.", "Stop: 1 deleted again.",
    ]  # fmt: skip
    assert known.audit_tags().count("record.restored") == 4
    assert main(["after-restore"]) == 0
    assert capsys.readouterr().out == CURRENT


def put_back(running: Running, items: list[Any]) -> None:
    client = running.aws.clients.dynamodb
    for item in running.aws.items("vault"):
        client.delete_item(TableName="vault", Key={"pk": item["pk"], "sk": item["sk"]})
    for item in items:
        client.put_item(TableName="vault", Item=item)


def test_what_it_closes_it_says_with_what_to_do(running: Running, monkeypatch: pytest.MonkeyPatch, capsys: Any) -> None:
    """A table of the version before."""
    monkeypatch.setattr(bootstrap, "create_vault", lambda: running.vault)
    running.vault.client_applications.register(APPLICATION, ADMINISTRATOR, ORIGIN)
    running.browser("admin").post("/admin/administrators", {})
    assert main(["after-restore", "--no-directory"]) == 1
    assert capsys.readouterr().out.splitlines() == [
        "Provider Northwind Cloud (northwind): what it was last is not known; its tokens are removed and it is "
        "switched off.",
        "Application Scan server (scanner): what it was last is not known; stopped.",
        "People: the directory was not asked about everybody; everything is stopped.",
        "Provider: 1 closed.", "Application: 1 closed.", "People: 1 closed.",
    ]  # fmt: skip
    assert {(stop.kind, stop.target) for stop in running.vault.stops.all()} == {
        (StopKind.EVERYTHING, ALL),
        (StopKind.APPLICATION, "scanner"),
    }
    assert main(["after-restore"]) == 0


def test_f35_without_a_copy_the_keys_tell_what_was_removed(
    restored: Running, capsys: pytest.CaptureFixture[str]
) -> None:
    assert main(["after-restore"]) == 0
    assert capsys.readouterr().out == (
        "Provider Northwind Cloud (northwind): its tokens are removed again.\n"
        "Provider: 1 removed again.\nPeople: 1 current.\n"
    )
    assert restored.audit_tags().count("provider.tokens_removed") == 2
    assert main(["after-restore", "--json"]) == 0
    provider, people = map(json.loads, capsys.readouterr().out.splitlines())
    assert provider == {"kind": "provider", "id": NORTHWIND, "name": "Northwind Cloud", "outcome": "current"}
    assert people == {"kind": "people", "id": "", "name": "", "outcome": "current"}


def test_a_secret_that_cannot_be_read_any_more_is_something_wrong(
    restored: Running, capsys: pytest.CaptureFixture[str]
) -> None:
    restored.vault.removals._providers.delete_key(NORTHWIND, 1)
    assert main(["after-restore"]) == 1
    assert "switched off until the client secret is given again" in capsys.readouterr().out
    assert not restored.vault.administration.provider(NORTHWIND).enabled


def test_a_restored_secret_that_does_not_open_is_asked_for(restored: Running) -> None:
    (item,) = provider_items(restored)
    restored.aws.clients.dynamodb.put_item(TableName="vault", Item=item | {"client_secret": {"B": b"of another time"}})
    assert main(["after-restore"]) == 1
    assert not restored.vault.administration.provider(NORTHWIND).enabled


def test_a_provider_that_was_deleted_since_has_no_key_and_releases_nothing(restored: Running) -> None:
    for generation in (1, 2):
        restored.vault.removals._providers.delete_key(NORTHWIND, generation)
    assert main(["after-restore"]) == 1
    assert restored.vault.administration.provider(NORTHWIND).generation == 2


def test_f35_a_backup_made_while_everything_was_being_removed_is_gone_on_with(
    known: Running, capsys: pytest.CaptureFixture[str]
) -> None:
    order = EverythingOrder(1, "r1", revoke=True, by=ADMINISTRATOR, at=known.clock.now())
    known.vault.removals._providers.save_everything(Everything((order,)), replaces=0)
    assert main(["after-restore"]) == 0
    assert capsys.readouterr().out == CURRENT
    provider = known.vault.administration.provider(NORTHWIND)
    assert (provider.generation, provider.is_ending, provider.enabled) == (2, False, True)
