"""The vault of the functional tests, as attackers meet it."""

from tests.functional.conftest import running

__all__ = ["running"]
