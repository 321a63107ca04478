"""The vaults of the functional tests, as attackers meet them."""

from tests.functional.conftest import running
from tests.functional.test_sign_in import federated, identity

__all__ = ["federated", "identity", "running"]
