"""What operators alone call: keys wrapped anew, and a table that came back from a backup."""

from dataclasses import replace

from chalicelib.domain.audit import Actor
from chalicelib.domain.removal import Everything, EverythingOrder
from chalicelib.services.key_rotation import KeyRotationService
from chalicelib.services.restoration import RestorationService, Restored
from tests.fakes.services import ORIGIN, FakeVault
from tests.samples import ACCOUNT

BY = Actor("operator")


def test_a_generation_whose_key_is_gone_already_has_none_to_wrap() -> None:
    """Clean-up deletes the key first and notes it then: whoever comes in between finds a gap."""
    vault = FakeVault()
    vault.providers.add_key(vault.cipher.new_key("northwind", 3))
    vault.providers.update(replace(vault.providers.get("northwind"), generation=3))
    rotated = list(KeyRotationService(vault.providers, vault.cipher, vault.audit_log).run(BY, ORIGIN))
    assert [(one.generation, one.number, one.total) for one in rotated] == [(1, 1, 2), (3, 2, 2)]


def test_a_restored_secret_that_does_not_open_is_asked_for() -> None:
    vault = FakeVault()
    vault.providers.add_key(vault.cipher.new_key("northwind", 2))
    vault.providers.update(replace(vault.providers.get("northwind"), client_secret=b"of another time"))
    restoration = RestorationService(vault.providers, vault.cipher, vault.audit_log, vault.clock)
    (restored,) = restoration.run(BY, ORIGIN)
    assert restored.outcome is Restored.NEEDS_SECRET
    assert not vault.providers.get("northwind").enabled


def test_f35_a_backup_made_while_everything_was_being_removed_is_gone_on_with() -> None:
    vault = FakeVault()
    vault.authorize(ACCOUNT)
    order = EverythingOrder(1, "r1", True, BY, vault.clock.now())
    vault.providers.save_everything(Everything((order,)), replaces=0)
    restoration = RestorationService(vault.providers, vault.cipher, vault.audit_log, vault.clock)
    (done,) = restoration.run(BY, ORIGIN)
    assert done.outcome is Restored.CURRENT
    provider = vault.providers.get("northwind")
    assert (provider.generation, provider.is_ending, provider.enabled) == (2, False, True)
    assert vault.grant() is None
