"""Limits of an application: what calls more than it should, or for more people, is stopped at once (R75).

A stolen key does what its owner never did: it asks for everybody. The counts are in the store, so that all Lambdas
together keep one limit, and an application without limits costs no call.
"""

import logging

from chalicelib.domain.audit import Actor, Origin
from chalicelib.domain.client_application import ClientApplication
from chalicelib.domain.event import Event
from chalicelib.domain.stop import StopKind
from chalicelib.domain.token_exchange import RefusalReason, TokenRefused
from chalicelib.ports import Clock, UsageStore

from .events import EventService
from .stops import StopService

_LOG = logging.getLogger(__name__)

_MINUTE, _HOUR = 60, 3600
THE_VAULT = Actor("-", "Token Vault")


class LimitService:
    """Counts calls in minutes and people in hours of the clock."""

    def __init__(self, *, usage: UsageStore, stops: StopService, events: EventService, clock: Clock) -> None:
        self._usage = usage
        self._stops = stops
        self._events = events
        self._clock = clock

    def count(self, application: ClientApplication, person: str, origin: Origin) -> None:
        """Count one call for `person`. Raises TokenRefused, the application stopped, where it was one too many.

        Raises StorageUnavailable where it cannot be counted: then nothing is released.
        """
        if not application.enabled:
            return
        if application.calls_per_minute is not None:
            window = self._window(application, _MINUTE)
            if self._usage.add_call(window, self._clock.now() + _HOUR) > application.calls_per_minute:
                self._stop(application, f"More than {application.calls_per_minute:,} calls in a minute", origin)
        if application.people_per_hour is not None:
            window = self._window(application, _HOUR)
            people = self._usage.add_person(window, person, self._clock.now() + 2 * _HOUR)
            if people is not None and people > application.people_per_hour:
                self._stop(
                    application, f"Asked for more than {application.people_per_hour:,} people in an hour", origin
                )

    def _window(self, application: ClientApplication, seconds: int) -> str:
        """Named by the version as well: whoever resumes an application, or changes its limits, begins anew."""
        return f"{application.id}#{application.version}#{self._clock.now() // seconds}"

    def _stop(self, application: ClientApplication, reason: str, origin: Origin) -> None:
        self._stops.stop(StopKind.APPLICATION, application.id, f"{reason}, which is its limit.", THE_VAULT, origin)
        _LOG.error("client.frozen", extra={"facts": {"client": application.id, "reason": reason}})
        self._events.tell(Event.of_client(application, reason, self._clock.now()))
        raise TokenRefused(RefusalReason.BLOCKED, detail=StopKind.APPLICATION.value)
