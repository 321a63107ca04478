"""The clock and the random source of this machine."""

import secrets
import time


class SystemClock:
    """Implements `ports.Clock`."""

    def now(self) -> int:
        return int(time.time())

    def milliseconds(self) -> int:
        return time.time_ns() // 1_000_000

    def monotonic(self) -> float:
        return time.monotonic()

    def sleep(self, seconds: float) -> None:
        time.sleep(seconds)


class SystemRandom:
    """Implements `ports.Random` with the operating system's generator."""

    def token(self, size: int = 32) -> str:
        return secrets.token_urlsafe(size)

    def fraction(self) -> float:
        return secrets.randbelow(1 << 20) / (1 << 20)
