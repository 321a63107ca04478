"""`python -m chalicelib rotate-keys`: provider keys move to another KMS key while people and applications go on."""

import json
from collections.abc import Callable

import pytest

from chalicelib import bootstrap
from chalicelib.command_line import main
from chalicelib.domain.audit import Actor, Origin
from chalicelib.domain.errors import KeyUnavailable
from chalicelib.domain.provider import ProviderKey
from chalicelib.domain.secret import Secret
from chalicelib.services.key_rotation import Rewrapping
from tests.fakes.cloud import CLIENT_ID, CLIENT_SECRET

from .conftest import NORTHWIND, Running

ORIGIN = Origin("-", "test")
OTHER = "southwind"


class Move:
    """A vault with three keys (two generations of one provider, one of another) on its way to another KMS key."""

    def __init__(self, running: Running) -> None:
        self.running = running
        self.old = running.aws.kms_key
        self.new = running.aws.clients.kms.create_key()["KeyMetadata"]["Arn"]
        running.vault.registration.register(
            OTHER,
            "openid-connect",
            "Southwind Cloud",
            client_id=CLIENT_ID,
            client_secret=Secret(CLIENT_SECRET),
            server=running.cloud.server,
            fields={"issuer": running.cloud.issuer},
            scopes=("openid",),
            actor="test",
            origin=ORIGIN,
        )
        running.vault.removals.remove_all(Actor("test"), NORTHWIND, ORIGIN, revoke=False)

    def deploy(self, kms_key: str, earlier_key: str = "") -> None:
        """The functions get other settings."""
        cipher = self.running.vault.key_rotation._cipher
        cipher._kms_key, cipher._earlier_key = kms_key, earlier_key

    def keys(self) -> list[bytes]:
        return sorted(item["wrapped"]["B"] for item in self.running.aws.items("vault-keys") if "wrapped" in item)

    def works(self) -> None:
        """A whole life of an authorization: consent, revocation at the cloud."""
        browser = self.running.browser("alice")
        self.running.authorize(browser)
        page = browser.press(browser.press(browser.get("/providers"), "Revoke authorization"), "Revoke")
        assert page.status == 200

    def rewrapped(self) -> int:
        return self.running.audit_tags().count("provider.key_rewrapped")


@pytest.fixture
def move(running: Running, monkeypatch: pytest.MonkeyPatch) -> Move:
    monkeypatch.setattr(bootstrap, "create_vault", lambda: running.vault)
    # What stands behind the port that every service holds, so that a test can change its keys
    cipher = running.vault.key_rotation._cipher
    object.__setattr__(running.vault.key_rotation, "_cipher", getattr(cipher, "_made", cipher))
    return Move(running)


def test_r53_every_key_is_moved_with_progress_and_the_earlier_key_may_go(
    move: Move, capsys: pytest.CaptureFixture[str]
) -> None:
    before = move.keys()
    move.deploy(move.new, move.old)
    move.works()
    assert main(["rotate-keys"]) == 0
    assert capsys.readouterr().out.splitlines() == [
        "1 of 3: northwind, generation 1: done",
        "2 of 3: northwind, generation 2: done",
        "3 of 3: southwind, generation 1: done",
        "Wrapped anew: 3. Before: 0. Ended meanwhile: 0.",
    ]
    assert len(before) == len(move.keys()) == 3
    assert not set(before) & set(move.keys())
    assert move.rewrapped() == 3
    move.deploy(move.new)
    move.running.aws.clients.kms.disable_key(KeyId=move.old.rpartition("/")[2])
    try:
        move.works()
    finally:
        move.running.aws.clients.kms.enable_key(KeyId=move.old.rpartition("/")[2])


def test_r53_interrupted_half_way_it_goes_on(move: Move, capsys: pytest.CaptureFixture[str]) -> None:
    move.deploy(move.new, move.old)
    steps = move.running.vault.key_rotation.run(Actor("test"), ORIGIN)
    assert next(steps).outcome is Rewrapping.DONE
    steps.close()
    move.works()
    assert main(["rotate-keys", "--json"]) == 0
    lines = [json.loads(line) for line in capsys.readouterr().out.splitlines()]
    assert [(line["provider_id"], line["generation"], line["outcome"]) for line in lines] == [
        ("northwind", 1, "already"),
        ("northwind", 2, "done"),
        ("southwind", 1, "done"),
    ]
    assert move.rewrapped() == 3
    move.deploy(move.new)
    move.works()


def test_r53_a_key_service_that_fails_half_way_leaves_every_key_usable(
    move: Move, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    move.deploy(move.new, move.old)
    cipher = move.running.vault.key_rotation._cipher
    monkeypatch.setattr(cipher, "rewrap", failing_after(2, cipher.rewrap))
    assert main(["rotate-keys"]) == 3
    assert "key_unavailable" in capsys.readouterr().err
    assert move.rewrapped() == 2
    monkeypatch.undo()
    move.works()
    list(move.running.vault.key_rotation.run(Actor("test"), ORIGIN))
    move.deploy(move.new)
    move.works()


def failing_after(
    good: int, rewrap: Callable[[ProviderKey], ProviderKey | None]
) -> Callable[[ProviderKey], ProviderKey | None]:
    left = iter(range(good))

    def fails(key: ProviderKey) -> ProviderKey | None:
        if next(left, None) is None:
            raise KeyUnavailable
        return rewrap(key)

    return fails


def test_r53_a_key_that_is_deleted_meanwhile_stays_so(move: Move, monkeypatch: pytest.MonkeyPatch) -> None:
    """Otherwise tokens that administrators removed could be read again."""
    move.deploy(move.new, move.old)
    cipher, providers = move.running.vault.key_rotation._cipher, move.running.vault.key_rotation._providers
    rewrap = cipher.rewrap

    def slowly(key: ProviderKey) -> ProviderKey | None:
        if key.provider_id == NORTHWIND and key.generation == 1:
            providers.delete_key(NORTHWIND, 1)
        return rewrap(key)

    monkeypatch.setattr(cipher, "rewrap", slowly)
    outcomes = [step.outcome for step in move.running.vault.key_rotation.run(Actor("test"), ORIGIN)]
    assert outcomes == [Rewrapping.GONE, Rewrapping.DONE, Rewrapping.DONE]
    assert len(move.keys()) == 2
    assert move.rewrapped() == 2
