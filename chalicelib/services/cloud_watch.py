"""What a refresh says about its cloud to everybody who would ask it next (R81, R99)."""

import logging
from collections.abc import Callable
from contextlib import nullcontext

from chalicelib.domain.audit import BACKGROUND, AuditEvent, AuditTag, Outcome
from chalicelib.domain.errors import Conflict, StorageUnavailable
from chalicelib.domain.event import Event, EventKind
from chalicelib.domain.grant import Holding
from chalicelib.domain.provider import Provider
from chalicelib.domain.provider_health import PAUSE_SECONDS, ProviderHealth
from chalicelib.domain.token_exchange import RefusalReason, TokenRefused
from chalicelib.ports import AuditLog, Clock, ProviderHealthStore

from .events import EventService

_LOG = logging.getLogger(__name__)

_ATTEMPTS = 3


class CloudWatch:
    """Reads and writes the one small item about each provider's cloud.

    The grant's own outcome is stored before. So whatever goes wrong with a note is a line in the log and no more.
    """

    def __init__(self, *, health: ProviderHealthStore, events: EventService, audit_log: AuditLog, clock: Clock) -> None:
        self._health = health
        self._events = events
        self._audit_log = audit_log
        self._clock = clock

    def claim_probe(self, holding: Holding, now: int) -> None:
        """After a pause one caller finds out for all whether the cloud is back. Raises TokenRefused for the others."""
        if not holding.health.needs_probe(holding.provider.version):
            return
        try:
            self._health.save(holding.health.probing(now))
        except Conflict:
            raise TokenRefused(RefusalReason.PROVIDER_UNAVAILABLE, retry_after=PAUSE_SECONDS) from None

    def recovered(self, holding: Holding) -> None:
        """Somebody got a token. Told to the administrators where the cloud had refused our registration."""
        if holding.health.is_well:
            return
        before = self._note(holding.provider, lambda health: health.recovered())
        if before is not None and before.misconfigured_error:
            event = Event.of_provider(EventKind.PROVIDER_RECOVERED, holding.provider, "", self._clock.now())
            self._events.tell(event)

    def failed(self, holding: Holding, person: str, retry_after: int | None, *, doubt: str = "") -> None:
        """The cloud did not answer, or not with anything about a grant; `doubt`: it refused several in this word."""
        now, version = self._clock.now(), holding.provider.version

        def change(health: ProviderHealth) -> ProviderHealth:
            failed = health.failed(person, now, retry_after)
            return failed.doubted(doubt, person, version, now) if doubt else failed

        self._note(holding.provider, change)

    def doubted(self, holding: Holding, person: str, error: str) -> None:
        """The cloud refused one grant by a word that may be about all."""
        now, version = self._clock.now(), holding.provider.version
        self._note(holding.provider, lambda health: health.doubted(error, person, version, now))

    def misconfigured(self, holding: Holding, person: str, error: str) -> None:
        """It refused our registration: noted, and told to the administrators, once for each version of the provider."""
        now, provider = self._clock.now(), holding.provider

        def change(health: ProviderHealth) -> ProviderHealth:
            doubted = health.doubted(error, person, provider.version, now)
            return doubted.misconfigured(error, provider.version, now)

        line = AuditEvent(
            AuditTag.PROVIDER_MISCONFIGURED,
            Outcome.FAILURE,
            "-",
            BACKGROUND,
            provider_id=provider.id,
            facts={"error": error},
        )
        before = self._note(provider, change, line)
        if before is not None and not before.is_misconfigured(provider.version):
            self._events.tell(Event.of_provider(EventKind.PROVIDER_MISCONFIGURED, provider, error, now))

    def _note(
        self,
        provider: Provider,
        change: Callable[[ProviderHealth], ProviderHealth],
        misconfigured: AuditEvent | None = None,
    ) -> ProviderHealth | None:
        """Write a change down. Gives what was noted before; None where somebody was always faster, or storage fails.

        `misconfigured`: what the log says where that is new.
        """
        for _ in range(_ATTEMPTS):
            try:
                health = self._health.get(provider.id)
                changed = change(health)
                if _is_news(changed, health, self._clock.now()):
                    line = None if health.is_misconfigured(provider.version) else misconfigured
                    with self._audit_log.recording(line) if line else nullcontext():
                        self._health.save(changed)
            except Conflict:
                continue
            except StorageUnavailable as error:
                extra = {"provider_id": provider.id, "code": error.code, "detail": error.detail}
                _LOG.warning("refresh.failed", extra=extra)
                return None
            return health
        return None


def _is_news(changed: ProviderHealth, before: ProviderHealth, now: int) -> bool:
    """While nobody asks anyhow only a longer pause is; so ten thousand who fail at once do not all write it down."""
    if changed == before:
        return False
    is_longer = changed.open_until > before.open_until or changed.misconfigured_until > before.misconfigured_until
    return changed.is_well or is_longer or not before.pause(0, now)
