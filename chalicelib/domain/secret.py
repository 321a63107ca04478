"""A value that must never be printed."""

from hashlib import sha256
from hmac import compare_digest
from typing import NoReturn


class Secret:
    """A string that shows itself only through `reveal()`.

    `repr`, `str` and `format` give a mask, so that a secret in a log line, an exception or a template
    stays one. Two secrets compare in constant time.
    """

    __slots__ = ("_value",)

    def __init__(self, value: str) -> None:
        self._value = value

    def reveal(self) -> str:
        """The plain value. Call it only where the value is sent out or encrypted."""
        return self._value

    def __repr__(self) -> str:
        return "Secret(***)"

    def __bool__(self) -> bool:
        return bool(self._value)

    def __eq__(self, other: object) -> bool:
        if not isinstance(other, Secret):
            return NotImplemented
        return compare_digest(self._value.encode(), other._value.encode())

    def __hash__(self) -> int:
        return hash(self._value)

    def __reduce__(self) -> NoReturn:
        raise TypeError("a Secret cannot be pickled")


def fingerprint(value: str) -> str:
    """SHA-256 in hex: what is stored of a random value that somebody else holds (R2)."""
    return sha256(value.encode()).hexdigest()
