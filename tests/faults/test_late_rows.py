"""What DynamoDB should have deleted long ago, and a move to another KMS key that dies at any call."""

import pytest

from chalicelib.domain.errors import VaultError
from chalicelib.services.key_rotation import KeyRotationService
from tests.functional.client import going_to
from tests.samples import ADMINISTRATOR

from . import seam
from .invariants import check
from .seam import Killed, Treatment
from .world import ORIGIN, World

THREE_DAYS = 3 * 86400


class TestThreeDaysLate:
    """F31: moto never deletes, so that every row of these tests is still there."""

    def test_f31_a_session_is_over(self, world: World) -> None:
        browser = world.log_in("alice")
        world.clock.advance(THREE_DAYS)
        assert any(item["pk"].startswith("SESSION#") for item in world.items("vault-sessions"))
        assert browser.get("/providers").url.startswith("/login")

    def test_f31_an_authorization_request_is_over_and_its_code_is_not_spent(self, world: World) -> None:
        browser = world.log_in("alice")
        callback = world.cloud.consent(going_to(browser.press(browser.get("/providers"), "Authorize")), "alice")
        world.clock.advance(THREE_DAYS)
        exchanges = world.cloud.requests["/token"]
        world.log_in("alice")
        page = world.browser("alice").get(callback.removeprefix("https://vault.example"))
        assert "Authorization succeeded" not in page.text
        assert world.cloud.requests["/token"] == exchanges
        assert any(item["pk"].startswith("REQUEST#") for item in world.items("vault-sessions"))

    def test_f31_a_lease_is_over(self, world: World) -> None:
        world.log_in("alice")
        world.authorize("alice")
        world.clock.advance(3600)
        with pytest.raises(Killed), world.seam.treating(seam.nth("POST /token", 1, seam.killed_before)):
            world.fetch()
        held = world.grant()
        assert held is not None
        assert held.lease is not None
        world.clock.advance(THREE_DAYS)
        slept = world.clock.slept
        status, _ = world.fetch(process=world.second)
        assert (status, world.clock.slept) == (200, slept), "nobody waits for who is gone"

    def test_f31_counted_tries_are_over(self, world: World) -> None:
        browser = world.browser("alice")
        for _ in range(12):
            page = browser.log_in("CONTOSO\\alice", "wrong")
        assert page.status == 429
        world.clock.advance(THREE_DAYS)
        assert any(item["pk"].startswith("TRIES#") for item in world.items("vault-sessions"))
        assert browser.log_in("CONTOSO\\alice", "alice-pass").url == "/providers"


@pytest.mark.parametrize("treatment", [seam.killed_after, seam.failed, seam.lost, seam.repeated])
def test_f32_a_move_to_another_key_that_dies_at_any_call_is_gone_on_with(world: World, treatment: Treatment) -> None:
    """Every key opens at every moment, and in the end under the new one alone."""
    world.log_in("alice")
    world.authorize("alice")
    new = world.aws.clients.kms.create_key()["KeyMetadata"]["Arn"]
    ciphers = [process.vault.key_rotation._cipher for process in (world.first, world.second)]
    for cipher in ciphers:
        cipher._kms_key, cipher._earlier_key = new, world.aws.kms_key
    moment = world.moment()
    with world.seam.treating() as calls:
        _move(world.first.vault.key_rotation)
    for call in calls:
        world.back_to(moment)
        with world.seam.treating(seam.at(call.number, treatment)):
            _move(world.first.vault.key_rotation)
        check(world)
        _move(world.second.vault.key_rotation)
        for cipher in ciphers:
            cipher._earlier_key = ""
        check(world)
        for cipher in ciphers:
            cipher._earlier_key = world.aws.kms_key
    assert world.fetch()[0] == 200


def _move(rotation: KeyRotationService) -> None:
    """As the command does it, which ends at a failure and is started again."""
    try:
        for _ in rotation.run(ADMINISTRATOR, ORIGIN):
            pass
    except (Killed, VaultError):
        return
