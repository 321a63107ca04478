"""Refreshing grants that nobody uses, before their refresh tokens lapse by idleness; warning where that cannot help."""

import logging
from dataclasses import dataclass

from chalicelib.domain.errors import VaultError
from chalicelib.domain.event import Event
from chalicelib.domain.grant import Grant, GrantState, Holding
from chalicelib.domain.provider import Provider
from chalicelib.domain.stop import ALL, StopKind
from chalicelib.domain.token_exchange import Need
from chalicelib.ports import Catalogue, Clock, CursorStore, GrantStore, ProviderStore, StopStore, TokenCipher

from .events import EventService
from .refresh import RefreshService

_LOG = logging.getLogger(__name__)

_PAGE = 25
_BEFORE = 4
"""Refreshed when a quarter of the idle time is left: enough for a cloud that is down over a week-end."""
_WARNED_BEFORE = 8
"""When refreshes have failed until an eighth of it is left, the person is told."""
_NEVER = 1000 * 365 * 24 * 3600
"""The idle time of refresh tokens that do not lapse."""


@dataclass(frozen=True, slots=True)
class KeptAlive:
    """What a run did."""

    refreshed: int = 0
    failed: int = 0

    def __add__(self, other: "KeptAlive") -> "KeptAlive":
        return KeptAlive(self.refreshed + other.refreshed, self.failed + other.failed)


class KeepAliveService:
    """Walks the listings of grants a bounded piece at a time, and goes on where the last run stopped."""

    def __init__(
        self,
        *,
        providers: ProviderStore,
        grants: GrantStore,
        cursors: CursorStore,
        catalogue: Catalogue,
        cipher: TokenCipher,
        refresh: RefreshService,
        events: EventService,
        stops: StopStore,
        clock: Clock,
    ) -> None:
        self._providers = providers
        self._grants = grants
        self._cursors = cursors
        self._catalogue = catalogue
        self._cipher = cipher
        self._refresh = refresh
        self._events = events
        self._stops = stops
        self._clock = clock

    def run(self, *, pages: int = 20, refreshes: int = 50) -> KeptAlive:
        """Refresh what would lapse: at most `pages` pages of a listing, and no further page after `refreshes` of them.

        One grant's or provider's trouble stops no other. While everything or a provider is stopped nothing is sent
        there; a stopped person or application changes nothing here, so that resuming finds what there was. Clouds whose
        refresh tokens do not lapse are looked through as well if there is somebody to warn of what cannot be renewed.
        """
        done, stopped = KeptAlive(), self._stopped()
        if ALL in stopped:
            return done
        for provider in self._providers.all():
            idle = self._catalogue.get(provider.type_id).refresh_token_idle_seconds
            is_walked = idle is not None or self._events.is_on
            if is_walked and provider.enabled and provider.id not in stopped:
                done += self._walk(provider, idle or _NEVER, pages, refreshes - done.refreshed - done.failed)
        return done

    def _stopped(self) -> set[str]:
        """The ids of providers that are stopped; `ALL` for everything."""
        return {stop.target for stop in self._stops.all() if stop.kind is not StopKind.PERSON}

    def _walk(self, provider: Provider, idle: int, pages: int, refreshes: int) -> KeptAlive:
        name = f"keep-alive/{provider.id}/{provider.generation}"
        cursor, done = self._cursors.get(name), KeptAlive()
        for _ in range(pages):
            if done.refreshed + done.failed >= refreshes:
                break
            page = self._grants.page(provider.id, provider.generation, user_prefix="", limit=_PAGE, cursor=cursor)
            for grant in page.grants:
                done += self._look_after(provider, grant, idle)
            cursor = page.next_cursor
            if cursor is None:
                break
        self._cursors.put(name, cursor)
        return done

    def _look_after(self, provider: Provider, grant: Grant, idle: int) -> KeptAlive:
        now = self._clock.now()
        lapses_at = grant.last_renewed_at + idle
        if not _can_lapse(grant) or lapses_at - now > idle // _BEFORE:
            if grant.warns_of_its_end(now):
                self._warn(provider, grant, grant.expires_at, only_unrenewable=True)
            return KeptAlive()
        done = self._renew(grant)
        if done.failed and 0 < lapses_at - now <= idle // _WARNED_BEFORE:
            self._warn(provider, grant, lapses_at)
        return done

    def _warn(self, provider: Provider, listed: Grant, lapses_at: int, *, only_unrenewable: bool = False) -> None:
        """Tell that the grant ends then, if it is still as it was listed or failing since."""
        if not self._events.is_on:
            return
        try:
            grant = self._grants.load(listed.user_id, listed.provider_id, listed.slot).grant
        except VaultError as error:
            _log(listed, error)
            return
        if grant is None or not _can_lapse(grant) or grant.last_renewed_at != listed.last_renewed_at:
            return
        if not (only_unrenewable and grant.is_renewable):
            self._events.tell(Event.of_lapse(grant, provider, lapses_at, self._clock.now()))

    def _renew(self, listed: Grant) -> KeptAlive:
        """Refresh one grant, read anew since the listing lags: it may have been used or ended meanwhile."""

        def load() -> Holding:
            return self._grants.load(listed.user_id, listed.provider_id, listed.slot)

        try:
            holding = load()
            if holding.grant is None or holding.grant.version != listed.version:
                return KeptAlive()
            with self._cipher.unlock(holding.key) as box:
                fresh = self._refresh.fresh(holding, box, Need(renew=True), load)
        except VaultError as error:
            _log(listed, error)
            return KeptAlive(failed=1)
        return KeptAlive(refreshed=1) if fresh.grant.version > listed.version else KeptAlive(failed=1)


def _can_lapse(grant: Grant) -> bool:
    """In a state in which it can be used, and a refresh may help."""
    return grant.state in (GrantState.ACTIVE, GrantState.FAILING)


def _log(grant: Grant, error: VaultError) -> None:
    extra = {"user_id": grant.user_id, "provider_id": grant.provider_id, "code": error.code}
    _LOG.warning("keep_alive.failed", extra=extra | {"detail": error.detail})
