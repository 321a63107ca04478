"""Time that stands still until told otherwise, and random values that can be recognised."""

from itertools import count


class FakeClock:
    """Implements `ports.Clock`; `advance` moves it."""

    def __init__(self, now: int = 1_800_000_000) -> None:
        self._now = now
        self._left = 0.0
        self.slept = 0.0

    def now(self) -> int:
        return self._now

    def milliseconds(self) -> int:
        return int((self._now + self._left) * 1000)

    def monotonic(self) -> float:
        return self._now + self._left

    def sleep(self, seconds: float) -> None:
        """Nobody waits; `slept` tells for how long one would have."""
        self.slept += seconds
        self._left += seconds
        self._now += int(self._left)
        self._left %= 1

    def advance(self, seconds: int) -> None:
        self._now += seconds


class FakeRandom:
    """Implements `ports.Random`: always another value, of the right length, and never guessed twice."""

    def __init__(self) -> None:
        self._numbers = count(1)

    def token(self, size: int = 32) -> str:
        length = -(-size * 4 // 3)
        return f"r{next(self._numbers)}-".ljust(length, "x")

    def fraction(self) -> float:
        return 0.5
