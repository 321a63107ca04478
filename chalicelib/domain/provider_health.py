"""How a provider's cloud is doing, told by everybody who asks it to everybody else who would (R81)."""

from dataclasses import dataclass, replace
from typing import Self

FAILURES = 5
WINDOW_SECONDS = 30
"""So many failures within so many seconds, and nobody asks for a while."""
PAUSE_SECONDS = 30
MISCONFIGURED_PAUSE_SECONDS = 60
LONGEST_PAUSE_SECONDS = 3600
"""However long a cloud's Retry-After is."""


@dataclass(frozen=True, slots=True)
class ProviderHealth:
    """A circuit breaker, and whether the cloud knows us. Times are epoch seconds; `version` 0: nothing stored."""

    provider_id: str
    failures: int = 0
    """Since the last success, the first of them at `failing_since`."""
    failing_since: int = 0
    open_until: int = 0
    """Nobody asks the cloud before; then one asks for all."""
    misconfigured_error: str = ""
    """The OAuth error with which the cloud refused our own registration, for example `invalid_client`."""
    misconfigured_version: int = 0
    """The provider's version it refused: a later one is worth a try."""
    misconfigured_until: int = 0
    version: int = 0

    @property
    def is_well(self) -> bool:
        return self.failures == 0 and not self.misconfigured_error

    def is_misconfigured(self, provider_version: int) -> bool:
        return bool(self.misconfigured_error) and self.misconfigured_version == provider_version

    def pause(self, provider_version: int, now: int) -> int:
        """Seconds in which nobody may ask the cloud; 0: it may be asked."""
        until = self.misconfigured_until if self.is_misconfigured(provider_version) else 0
        return max(0, self.open_until - now, until - now)

    def needs_probe(self, provider_version: int) -> bool:
        """After a pause one caller alone finds out whether it is over."""
        return self.failures >= FAILURES or self.is_misconfigured(provider_version)

    def probing(self, now: int) -> Self:
        """As the one who asks leaves it: the others go on waiting."""
        return replace(self, open_until=now + PAUSE_SECONDS)

    def failed(self, now: int, retry_after: int | None) -> Self:
        """One more failure. `retry_after`: the cloud itself asked for a pause of so many seconds, obeyed at once."""
        inside = self.failures > 0 and (now - self.failing_since < WINDOW_SECONDS or self.failures >= FAILURES)
        failures, since = (self.failures + 1, self.failing_since) if inside else (1, now)
        pause = min(retry_after or 0, LONGEST_PAUSE_SECONDS)
        if failures >= FAILURES:
            pause = max(pause, PAUSE_SECONDS)
        return replace(self, failures=failures, failing_since=since, open_until=max(self.open_until, now + pause))

    def misconfigured(self, error: str, provider_version: int, now: int) -> Self:
        """The cloud refused our registration: every caller would get the same answer."""
        return replace(
            self,
            misconfigured_error=error,
            misconfigured_version=provider_version,
            misconfigured_until=now + MISCONFIGURED_PAUSE_SECONDS,
        )

    def recovered(self) -> Self:
        return type(self)(self.provider_id, version=self.version)
