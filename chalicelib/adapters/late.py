"""Parts that are made with their first use, so that no cold start pays for what it never uses."""

from collections.abc import Callable
from threading import Lock
from typing import Any


class Late:
    """Stands in for what `make` makes, and makes it once, with the first use of one of its methods.

    `make` imports what it needs by itself: that is the point. Faults of making it appear at that first use, so nothing
    stands behind it that must be refused at the start.
    """

    def __init__(self, make: Callable[[], Any]) -> None:
        self._make = make
        self._made: Any = None
        self._lock = Lock()

    def _once(self) -> Any:
        with self._lock:
            if self._made is None:
                try:
                    self._made = self._make()
                except AttributeError as error:
                    # As it is, it would say that the method which was asked for is missing
                    raise TypeError(f"could not be made: {error}") from error
            return self._made

    def __getattr__(self, name: str) -> Any:
        return getattr(self._once() if self._made is None else self._made, name)
