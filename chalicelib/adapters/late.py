"""Parts that are made with their first use, so that no cold start pays for what it never uses."""

from collections.abc import Callable
from functools import cached_property
from typing import Any


class Late:
    """Stands in for what `make` makes, and makes it once, with the first use of one of its methods.

    `make` imports what it needs by itself: that is the point. Faults of making it appear at that first use, so nothing
    stands behind it that must be refused at the start.
    """

    def __init__(self, make: Callable[[], Any]) -> None:
        self._make = make

    @cached_property
    def _made(self) -> Any:
        try:
            return self._make()
        except AttributeError as error:
            # As it is, Python would look for `_made` by `__getattr__`, and so for ever
            raise TypeError(f"could not be made: {error}") from error

    def __getattr__(self, name: str) -> Any:
        return getattr(self._made, name)
