"""Refreshing grants that nobody uses, before their refresh tokens lapse by idleness."""

import logging
from dataclasses import dataclass

from chalicelib.domain.errors import VaultError
from chalicelib.domain.grant import Grant, GrantState, Holding
from chalicelib.domain.provider import Provider
from chalicelib.domain.stop import ALL, StopKind
from chalicelib.domain.token_exchange import Need
from chalicelib.ports import Catalogue, Clock, CursorStore, GrantStore, ProviderStore, StopStore, TokenCipher

from .refresh import RefreshService

_LOG = logging.getLogger(__name__)

_PAGE = 25
_BEFORE = 4
"""Refreshed when a quarter of the idle time is left: enough for a cloud that is down over a week-end."""


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
        stops: StopStore,
        clock: Clock,
    ) -> None:
        self._providers = providers
        self._grants = grants
        self._cursors = cursors
        self._catalogue = catalogue
        self._cipher = cipher
        self._refresh = refresh
        self._stops = stops
        self._clock = clock

    def run(self, *, pages: int = 20, refreshes: int = 50) -> KeptAlive:
        """Refresh what would lapse: at most `pages` pages of a listing, and no further page after `refreshes` of them.

        One grant's or provider's trouble stops no other. While everything or a provider is stopped nothing is sent
        there; a stopped person or application changes nothing here, so that resuming finds what there was.
        """
        done, stopped = KeptAlive(), self._stopped()
        if ALL in stopped:
            return done
        for provider in self._providers.all():
            idle = self._catalogue.get(provider.type_id).refresh_token_idle_seconds
            if idle is not None and provider.enabled and provider.id not in stopped:
                done += self._walk(provider, idle, pages, refreshes - done.refreshed - done.failed)
        return done

    def _stopped(self) -> set[str]:
        """The ids of providers that are stopped; `ALL` for everything."""
        return {stop.target for stop in self._stops.all() if stop.kind is not StopKind.PERSON}

    def _walk(self, provider: Provider, idle: int, pages: int, refreshes: int) -> KeptAlive:
        name = f"keep-alive/{provider.id}/{provider.generation}"
        cursor, done = self._cursors.get(name), KeptAlive()
        unused_since = self._clock.now() - idle + idle // _BEFORE
        for _ in range(pages):
            if done.refreshed + done.failed >= refreshes:
                break
            page = self._grants.page(provider.id, provider.generation, user_prefix="", limit=_PAGE, cursor=cursor)
            for grant in page.grants:
                if _lapses(grant, unused_since):
                    done += self._renew(grant)
            cursor = page.next_cursor
            if cursor is None:
                break
        self._cursors.put(name, cursor)
        return done

    def _renew(self, listed: Grant) -> KeptAlive:
        """Refresh one grant, read anew since the listing lags: it may have been used or ended meanwhile."""

        def load() -> Holding:
            return self._grants.load(listed.user_id, listed.provider_id)

        try:
            holding = load()
            if holding.grant is None or holding.grant.version != listed.version:
                return KeptAlive()
            with self._cipher.unlock(holding.key) as box:
                fresh = self._refresh.fresh(holding, box, Need(renew=True), load)
        except VaultError as error:
            extra = {"user_id": listed.user_id, "provider_id": listed.provider_id, "code": error.code}
            _LOG.warning("keep_alive.failed", extra=extra | {"detail": error.detail})
            return KeptAlive(failed=1)
        return KeptAlive(refreshed=1) if fresh.grant.version > listed.version else KeptAlive(failed=1)


def _lapses(grant: Grant, unused_since: int) -> bool:
    """Not refreshed since then, and in a state in which a refresh may help."""
    last = grant.refreshed_at or grant.authorized_at
    return last <= unused_since and grant.state in (GrantState.ACTIVE, GrantState.FAILING)
