"""`python -m chalicelib after-restore`: what it says, and when it is content."""

import json

import pytest

from chalicelib import bootstrap
from chalicelib.command_line import main
from chalicelib.domain.audit import Actor, Origin

from .conftest import NORTHWIND, Running


@pytest.fixture
def restored(running: Running, monkeypatch: pytest.MonkeyPatch) -> Running:
    """The provider item of before a removal of all its tokens."""
    monkeypatch.setattr(bootstrap, "create_vault", lambda: running.vault)
    (before,) = [item for item in running.aws.items("vault") if item["pk"]["S"] == "PROVIDERS"]
    running.vault.removals.remove_all(Actor("test"), NORTHWIND, Origin("-", "test"))
    running.aws.clients.dynamodb.put_item(TableName="vault", Item=before)
    return running


def test_it_says_what_it_removed_again_and_then_that_nothing_is_left(
    restored: Running, capsys: pytest.CaptureFixture[str]
) -> None:
    assert main(["after-restore"]) == 0
    assert capsys.readouterr().out == (
        "Northwind Cloud (northwind): its tokens are removed again.\nProviders: 1. Removed again: 1.\n"
    )
    assert restored.audit_tags().count("provider.tokens_removed") == 2
    assert main(["after-restore", "--json"]) == 0
    assert json.loads(capsys.readouterr().out)["outcome"] == "current"


def test_a_secret_that_cannot_be_read_any_more_is_something_wrong(
    restored: Running, capsys: pytest.CaptureFixture[str]
) -> None:
    restored.vault.removals._providers.delete_key(NORTHWIND, 1)
    assert main(["after-restore"]) == 1
    assert "switched off until the client secret is given again" in capsys.readouterr().out
    assert not restored.vault.administration.provider(NORTHWIND).enabled


def test_a_provider_that_was_deleted_since_has_no_key_and_releases_nothing(restored: Running) -> None:
    for generation in (1, 2):
        restored.vault.removals._providers.delete_key(NORTHWIND, generation)
    assert main(["after-restore"]) == 1
    assert restored.vault.administration.provider(NORTHWIND).generation == 2
