"""Stored items that cannot be read, as administrators see and remove them (docs/adr/0168)."""

from enum import StrEnum


class OddKind(StrEnum):
    """Kinds of items that nobody writes over by themselves: each stays until an administrator removes it."""

    PROVIDER = "provider"
    CLIENT = "client"
    REVOCATION = "revocation"
    DELIVERY = "delivery"
