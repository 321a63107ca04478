"""Refreshing grants that nobody uses, before their refresh tokens lapse by idleness; warning where that cannot help."""

import logging
from collections.abc import Iterable, Iterator
from dataclasses import dataclass, field
from functools import partial
from heapq import nsmallest

from chalicelib.domain.errors import InvalidRequest, VaultError
from chalicelib.domain.event import Event
from chalicelib.domain.grant import Grant, GrantState, Holding
from chalicelib.domain.provider import Provider
from chalicelib.domain.stop import ALL, StopKind
from chalicelib.domain.token_exchange import Need
from chalicelib.ports import Catalogue, Clock, CursorStore, GrantPage, GrantStore, ProviderStore, StopStore, TokenCipher

from .background import Budget, Engine, Piece, Queue, Tally
from .events import EventService
from .refresh import RefreshService

_LOG = logging.getLogger(__name__)

BUDGET = Budget("keep_alive", run_seconds=540, piece_seconds=90, at_once=6)
"""A refresh: 26 s at the cloud, and the calls around it, each of which may be made three times."""
WALK = Budget("keep_alive_walk", run_seconds=240, piece_seconds=20)
"""How much of a run looks for what is due; a longer list is gone on with by the next run."""
_PAGE = 1000
_MOST = 20_000
"""So much that is due is remembered of one provider, what lapses soonest: more than a run can refresh."""
_BEFORE = 4
"""Refreshed when a quarter of the idle time is left: enough for a cloud that is down over a week-end."""
_WARNED_BEFORE = 8
"""When refreshes have failed until an eighth of it is left, the person is told."""
_NEVER = 1000 * 365 * 24 * 3600
"""The idle time of refresh tokens that do not lapse."""


@dataclass(slots=True)
class _Walk:
    """A provider's list as far as it was looked through, and what is due of it."""

    provider: Provider
    idle: int = _NEVER
    found: list[tuple[bool, int, Grant]] = field(default_factory=list)
    """Whether it failed lately, when it lapses, and which."""
    cursor: str | None = None
    pages: int = 0
    is_over: bool = False

    @property
    def cursor_name(self) -> str:
        return f"keep-alive/{self.provider.id}/{self.provider.generation}"

    def add(self, grants: Iterable[Grant], now: int) -> None:
        self.found += [entry for grant in grants if (entry := self._due(grant, now))]
        if len(self.found) > _MOST:
            self.found = nsmallest(_MOST, self.found, key=_urgency)

    def _due(self, grant: Grant, now: int) -> tuple[bool, int, Grant] | None:
        lapses_at = grant.last_renewed_at + self.idle
        if _can_lapse(grant) and lapses_at - now <= self.idle // _BEFORE:
            # One that fails is tried when the others are done: it would be the first in each run
            return grant.state is GrantState.FAILING, lapses_at, grant
        return (True, grant.expires_at, grant) if grant.warns_of_its_end(now) else None


class KeepAliveService:
    """Looks through the lists of grants each time, and refreshes what would lapse."""

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
        engine: Engine,
    ) -> None:
        self._engine = engine
        self._providers = providers
        self._grants = grants
        self._cursors = cursors
        self._catalogue = catalogue
        self._cipher = cipher
        self._refresh = refresh
        self._events = events
        self._stops = stops
        self._clock = clock

    def run(self, left: float | None = None) -> Tally:
        """Refresh what would lapse, what lapses soonest first, in turns between the clouds.

        While everything or a provider is stopped nothing is sent there; a stopped person or application changes
        nothing here, so that resuming finds what there was. Clouds whose refresh tokens do not lapse are looked through
        as well if there is somebody to warn of what cannot be renewed. `left`: seconds that the function still lives;
        None where nobody ends it.
        """
        started, walks = self._clock.monotonic(), list(self._walks())
        self._engine.run(WALK, [Queue(walk.provider.id, self._pages(walk)) for walk in walks], left)
        took = self._clock.monotonic() - started
        urgent_first = sorted((walk for walk in walks if walk.found), key=lambda walk: min(map(_urgency, walk.found)))
        queues = [Queue(walk.provider.id, self._pieces(walk)) for walk in urgent_first]
        return self._engine.run(BUDGET.after(took), queues, None if left is None else left - took)

    def _walks(self) -> Iterator[_Walk]:
        stopped = {stop.target for stop in self._stops.all() if stop.kind is not StopKind.PERSON}
        for provider in self._providers.all() if ALL not in stopped else ():
            if provider.enabled and provider.id not in stopped:
                yield _Walk(provider)

    def _pages(self, walk: _Walk) -> Iterator[Piece]:
        """Of a list, from where the last run stopped. One that cannot be read is gone on with by the next run."""
        idle = self._catalogue.stored(walk.provider.type_id).refresh_token_idle_seconds
        if idle is None and not self._events.is_on:
            return
        walk.idle, walk.cursor = idle or _NEVER, self._cursors.get(walk.cursor_name)
        while not walk.is_over:
            looked_at = walk.pages
            yield Piece(self._clock.now(), partial(self._look, walk))
            if walk.pages == looked_at:
                return

    def _look(self, walk: _Walk) -> int:
        page = self._page(walk)
        try:
            walk.add(page.grants, self._clock.now())
        finally:
            # One that breaks the program keeps nobody behind it waiting
            if page.next_cursor != walk.cursor:
                self._cursors.put(walk.cursor_name, page.next_cursor)
            walk.cursor, walk.pages, walk.is_over = page.next_cursor, walk.pages + 1, page.next_cursor is None
        return 1

    def _page(self, walk: _Walk) -> GrantPage:
        place = (walk.provider.id, walk.provider.generation)
        try:
            return self._grants.page(*place, user_prefix="", limit=_PAGE, cursor=walk.cursor)
        except InvalidRequest:
            # Another version's cursor: from the beginning
            return self._grants.page(*place, user_prefix="", limit=_PAGE, cursor=None)

    def _pieces(self, walk: _Walk) -> Iterator[Piece]:
        for _, lapses_at, grant in sorted(walk.found, key=_urgency):
            due_at = lapses_at - walk.idle // _BEFORE
            yield Piece(due_at, partial(self._look_after, walk.provider, grant, walk.idle))

    def _look_after(self, provider: Provider, grant: Grant, idle: int) -> int | None:
        lapses_at, now = grant.last_renewed_at + idle, self._clock.now()
        if not _can_lapse(grant) or lapses_at - now > idle // _BEFORE:
            self._warn(provider, grant, grant.expires_at, only_unrenewable=True)
            return 0
        done = self._renew(grant)
        if done is None and 0 < lapses_at - now <= idle // _WARNED_BEFORE:
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

    def _renew(self, listed: Grant) -> int | None:
        """Refresh one grant, read anew since the listing lags: it may have been used or ended meanwhile."""

        def load() -> Holding:
            return self._grants.load(listed.user_id, listed.provider_id, listed.slot)

        try:
            holding = load()
            if holding.grant is None or holding.grant.version != listed.version:
                return 0
            with self._cipher.unlock(holding.key) as box:
                fresh = self._refresh.fresh(holding, box, Need(renew=True), load)
        except VaultError as error:
            _log(listed, error)
            return None
        return 1 if fresh.grant.version > listed.version else None


def _can_lapse(grant: Grant) -> bool:
    """In a state in which it can be used, and a refresh may help."""
    return grant.state in (GrantState.ACTIVE, GrantState.FAILING)


def _urgency(found: tuple[bool, int, Grant]) -> tuple[bool, int]:
    return found[:2]


def _log(grant: Grant, error: VaultError) -> None:
    extra = {"user_id": grant.user_id, "provider_id": grant.provider_id, "code": error.code}
    _LOG.warning("keep_alive.failed", extra=extra | {"detail": error.detail})
