"""What operators alone call: keys wrapped anew."""

from dataclasses import replace

from chalicelib.domain.audit import Actor
from chalicelib.services.key_rotation import KeyRotationService
from tests.fakes.services import ORIGIN, FakeVault

BY = Actor("operator")


def test_a_generation_whose_key_is_gone_already_has_none_to_wrap() -> None:
    """Clean-up deletes the key first and notes it then: whoever comes in between finds a gap."""
    vault = FakeVault()
    vault.providers.add_key(vault.cipher.new_key("northwind", 3))
    vault.providers.update(replace(vault.providers.get("northwind"), generation=3))
    rotated = list(KeyRotationService(vault.providers, vault.cipher, vault.audit_log).run(BY, ORIGIN))
    assert [(one.generation, one.number, one.total) for one in rotated] == [(1, 1, 2), (3, 2, 2)]
