"""How a provider's cloud is doing, told by everybody who asks it to everybody else who would (R81).

What one person's grant meets says nothing about the cloud: whatever pauses everybody needs two people, or a word that
is about our client and nothing else (R99).
"""

from dataclasses import dataclass, replace
from typing import Self

FAILURES = 5
WINDOW_SECONDS = 30
"""So many failures within so many seconds, of two people at least, and nobody asks for a while."""
PAUSE_SECONDS = 30
MISCONFIGURED_PAUSE_SECONDS = 60
CLOCKS_APART_SECONDS = 600
"""Two clocks, each five minutes off. What is farther away in time than that is no difference of good clocks."""
LONGEST_PAUSE_SECONDS = 3600
"""However long a cloud's Retry-After is."""
DOUBT_SECONDS = 3600
"""For so long one person's refusal counts when another person gets the same word."""
_MOST_DOUBTS = 8
"""The newest are kept: enough for two people and a few words each."""
_ENOUGH_PEOPLE = 2


@dataclass(frozen=True, slots=True)
class Doubt:
    """A refusal that may be the grant's or everybody's: which word, whose grant, when, under which registration."""

    error: str
    person: str
    """A fingerprint."""
    at: int
    provider_version: int


def believed(wait: int) -> int:
    """Seconds to wait; 0 for more than anybody may have noted: that was a clock far ahead."""
    return max(0, wait) if wait <= LONGEST_PAUSE_SECONDS + CLOCKS_APART_SECONDS else 0


@dataclass(frozen=True, slots=True)
class ProviderHealth:
    """A circuit breaker, and whether the cloud knows us. Times are epoch seconds; `version` 0: nothing stored."""

    provider_id: str
    failures: int = 0
    """Since the last success, the first of them at `failing_since`."""
    failing_since: int = 0
    people: tuple[str, ...] = ()
    """Fingerprints of those whose grants failed since then, two at most."""
    open_until: int = 0
    """Nobody asks the cloud before; then one asks for all."""
    misconfigured_error: str = ""
    """The OAuth error with which the cloud refused our own registration, for example `invalid_client`."""
    misconfigured_version: int = 0
    """The provider's version it refused: a later one is worth a try."""
    misconfigured_until: int = 0
    doubts: tuple[Doubt, ...] = ()
    """Refusals since the last success that nobody else has had yet, or that everybody has."""
    version: int = 0

    @property
    def is_well(self) -> bool:
        return self.failures == 0 and not self.misconfigured_error and not self.doubts

    @property
    def is_open(self) -> bool:
        """So many failures, of so many people, that it is the cloud and not a grant."""
        return self.failures >= FAILURES and len(self.people) >= _ENOUGH_PEOPLE

    def is_misconfigured(self, provider_version: int) -> bool:
        return bool(self.misconfigured_error) and self.misconfigured_version == provider_version

    def pause(self, provider_version: int, now: int) -> int:
        """Seconds in which nobody may ask the cloud; 0: it may be asked."""
        until = self.misconfigured_until if self.is_misconfigured(provider_version) else 0
        return believed(max(self.open_until, until) - now)

    def needs_probe(self, provider_version: int) -> bool:
        """After a pause one caller alone finds out whether it is over."""
        return self.is_open or self.is_misconfigured(provider_version)

    def probing(self, now: int) -> Self:
        """As the one who asks leaves it: the others go on waiting."""
        return replace(self, open_until=now + PAUSE_SECONDS)

    def failed(self, person: str, now: int, retry_after: int | None) -> Self:
        """One more failure, of the grant of the person with this fingerprint.

        `retry_after`: the cloud asked for a pause of so many seconds. It is everybody's once two people's grants
        failed: until then the limit may be one person's.
        """
        inside = self.is_open or (self.failures > 0 and now - self.failing_since < WINDOW_SECONDS)
        known = self.people if inside else ()
        people = known if person in known else (*known, person)[:_ENOUGH_PEOPLE]
        failed = replace(
            self,
            failures=self.failures + 1 if inside else 1,
            failing_since=self.failing_since if inside else now,
            people=people,
        )
        pause = min(retry_after or 0, LONGEST_PAUSE_SECONDS) if len(people) >= _ENOUGH_PEOPLE else 0
        if failed.is_open:
            pause = max(pause, PAUSE_SECONDS)
        return replace(failed, open_until=max(self.open_until, now + pause if pause else 0))

    def concerns_all(self, error: str, person: str, provider_version: int, now: int) -> bool:
        """Whether somebody else got this very refusal within the hour, and nobody a token since."""
        return any(
            doubt.error == error
            and doubt.person != person
            and doubt.provider_version == provider_version
            and now - doubt.at < DOUBT_SECONDS
            for doubt in self.doubts
        )

    def doubted(self, error: str, person: str, provider_version: int, now: int) -> Self:
        """With one more refusal that may be one grant's or everybody's."""
        others = (doubt for doubt in self.doubts if (doubt.error, doubt.person) != (error, person))
        return replace(self, doubts=(*others, Doubt(error, person, now, provider_version))[-_MOST_DOUBTS:])

    def misconfigured(self, error: str, provider_version: int, now: int) -> Self:
        """The cloud refused our registration: every caller would get the same answer."""
        return replace(
            self,
            misconfigured_error=error,
            misconfigured_version=provider_version,
            misconfigured_until=now + MISCONFIGURED_PAUSE_SECONDS,
        )

    def recovered(self) -> Self:
        """Somebody got a token: all of it is over."""
        return type(self)(self.provider_id, version=self.version)
