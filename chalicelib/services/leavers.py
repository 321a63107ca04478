"""People who leave: the directory is asked again about everybody, and what it says takes effect within minutes (R6).

One round asks about everybody who has a grant or a session. A person whose account is disabled, expired or deleted
loses the sessions at once and gets no release; some days later the grants are revoked at the clouds and removed,
unless the account comes back or an administrator decides otherwise. Who may not use the vault any more is treated
alike, except that nothing is removed. A changed password ends sessions, changed groups change what the sessions may do.

Absence is believed only when it is seen twice, some minutes apart (R98): the first look is noted, at the second
the person is looked for alone. An account that is open again is back when the servers agree.
"""

import logging
from collections.abc import Callable, Iterable, Iterator, Mapping
from contextlib import suppress
from dataclasses import replace
from functools import partial
from threading import Lock

from chalicelib.domain.aliases import claimed_by, own_names
from chalicelib.domain.audit import BACKGROUND, NOBODY, Actor, AuditEvent, AuditTag, Origin, Outcome
from chalicelib.domain.errors import Conflict, InvalidRequest, NotFound, VaultError, place_of
from chalicelib.domain.user import (
    Absence,
    Departure,
    Standing,
    SweepProgress,
    User,
    UserRecord,
    is_older_stamp,
    is_outdated_stamp,
)
from chalicelib.ports import AuditLog, Clock, Directory, GrantStore, SessionStore, UserPage, UserStore

from .background import Budget, Engine, Piece, Queue
from .grants import GrantService

_LOG = logging.getLogger(__name__)

ROUND_SECONDS = 120
"""Between the beginnings of two rounds: with a run each minute, everything takes effect within five."""
BUDGET = Budget("look_after_leavers", run_seconds=50, piece_seconds=120, at_once=4)
"""A page takes some tenths of a second. Who is removed may have grants at clouds that do not answer: 26 s for each."""
PAGE_SIZE = 100
LISTED = 25
"""People on one page of the list of those who left."""
MISSING_SECONDS = 100
"""Between the look that did not find somebody and the one for them alone: two rounds are never closer."""
UNCERTAIN_SECONDS = 3600
"""So long somebody must be missing where one server only could be asked, or nobody else is seen where they were."""
BELIEVED_SECONDS = 6 * 3600
"""So long the directory is believed of a domain in which most people are missing, once an administrator says so."""
_DAY = 86400
_PRESENT, _DEPARTED = "present", "departed"


class _Round:
    """How far a round over everybody is. Pages are worked on side by side, and noted in their order: who goes on
    after a run that died finds everybody who was not asked.
    """

    def __init__(
        self, users: UserStore, clock: Clock, progress: SweepProgress, believed: frozenset[str] = frozenset()
    ) -> None:
        self._users = users
        self._clock = clock
        self._believed = believed
        self._lock = Lock()
        self._next = 0
        self._finished: dict[int, tuple[UserPage, Mapping[str, Standing]]] = {}
        self.progress = progress
        self.is_stopped = False

    @property
    def doubted(self) -> frozenset[str]:
        """Domains whose people do not count as gone, since most of them seem to be."""
        return self.progress.doubted - self._believed

    def finish(self, number: int, page: UserPage, standings: Mapping[str, Standing]) -> None:
        with self._lock:
            self._finished[number] = page, standings
            while (done := self._finished.pop(self._next, None)) is not None:
                self._next += 1
                self._note(*done)

    def _note(self, page: UserPage, standings: Mapping[str, Standing]) -> None:
        self.progress = self.progress.with_page([record.user for record in page.users], standings, page.next_cursor)
        if page.next_cursor is None:
            self.progress = self.progress.finished(self._clock.now())
            self._tell_doubts()
        self._users.note_progress(self.progress)

    def _tell_doubts(self) -> None:
        """A wrong base DN, or a right that was taken away, looks as if everybody had been deleted."""
        for domain in sorted(self.doubted):
            there, missing = self.progress.found[domain]
            facts = {"domain": domain, "asked": str(there + missing), "missing": str(missing)}
            _LOG.error("leavers.implausible", extra={"facts": facts})


class LeaverService:
    """Asks the directory about everybody, and does what follows from its answers."""

    def __init__(
        self,
        *,
        users: UserStore,
        directory: Directory,
        sessions: SessionStore,
        grant_store: GrantStore,
        grants: GrantService,
        audit_log: AuditLog,
        clock: Clock,
        days: int,
        engine: Engine,
        claims_days: int = 0,
    ) -> None:
        self._engine = engine
        self._users = users
        self._directory = directory
        self._sessions = sessions
        self._grant_store = grant_store
        self._grants = grants
        self._audit_log = audit_log
        self._clock = clock
        self._days = days
        self._claims_days = claims_days

    def sweep(self, left: float | None = None, *, pause: int = ROUND_SECONDS) -> int:
        """Go on with the round, or begin one when `pause` seconds have passed since the last began.

        Returns about how many people the directory was asked. A directory that cannot be reached stops the round
        where it is: nobody counts as gone because nobody could be asked. `left`: seconds that the function still
        lives; None where nobody ends it.
        """
        return self._go_on(left, pause)

    def _go_on(self, left: float | None, pause: int) -> int:
        progress, now, queues = self._users.progress(), self._clock.now(), list[Queue]()
        is_new = progress.cursor is None and now - progress.started_at >= pause
        if is_new:
            progress = progress.begun(now)
            queues.append(Queue(_DEPARTED, self._departed()))
        if is_new or progress.cursor is not None:
            going = _Round(self._users, self._clock, progress, self._believed())
            queues.append(Queue(_PRESENT, self._pages(going)))
        return self._engine.run(BUDGET, queues, left).done

    def ask_about_all(self) -> bool:
        """One round from its beginning, and a second look where somebody was not found, since one is not believed.

        False where the directory could not be asked about everybody.
        """
        if not self._whole_round():
            return False
        if any(missing for _, missing in self._users.progress().found.values()):
            self._clock.sleep(MISSING_SECONDS)
            return self._whole_round()
        return True

    def _whole_round(self) -> bool:
        self._users.note_progress(replace(self._users.progress(), started_at=0, finished_at=0, cursor=None))
        checked = 0
        while True:
            self._go_on(None, 0)
            progress = self._users.progress()
            if progress.cursor is None or progress.checked == checked:
                return progress.finished_at > 0
            checked = progress.checked

    def departed(self, cursor: str | None) -> UserPage:
        """Those who have left, for administrators. Raises InvalidRequest for a cursor it did not give out."""
        return self._users.departed(limit=LISTED, cursor=cursor)

    def find(self, user_id: str) -> UserRecord:
        """Somebody who left. Raises NotFound."""
        record = self._users.get(user_id)
        if record is None or record.departure is None:
            raise NotFound("This person is not, or no more, among those who left.")
        return record

    def grants_of(self, record: UserRecord) -> int:
        """How many authorizations somebody who left still has."""
        return sum(grant.token_set is not None for grant in self._grant_store.of_user(record.user.id))

    def progress(self) -> SweepProgress:
        """How far the round is, for administrators."""
        return self._users.progress()

    def doubted(self) -> list[str]:
        """Domains in which most people were not found, and of which nobody therefore counts as gone."""
        return sorted(self._users.progress().doubted - self._believed())

    @property
    def days(self) -> int:
        """After so many the authorizations of somebody who left are removed."""
        return self._days

    def believe(self, administrator: User, domain: str, origin: Origin) -> None:
        """Whoever is not found in that domain counts as gone from now on, for `BELIEVED_SECONDS`. Raises NotFound."""
        if domain not in self.doubted():
            raise NotFound("Nobody of this domain is in doubt.")
        until = self._clock.now() + BELIEVED_SECONDS
        by, facts = _actor(administrator), {"domain": domain, "until": str(until)}
        tag = AuditTag.ABSENCE_BELIEVED
        event = AuditEvent(tag, Outcome.SUCCESS, by.id, origin, facts=facts, actor_name=by.name)
        with self._audit_log.recording(event):
            self._users.believe(domain, until)

    def _believed(self) -> frozenset[str]:
        now = self._clock.now()
        return frozenset(domain for domain, until in self._users.believed().items() if now < until)

    def removal_at(self, record: UserRecord) -> int | None:
        """When the grants of somebody who left are removed; None when they are kept."""
        is_kept = record.keeps_tokens or (record.departure is not None and not record.departure.is_for_good)
        return None if is_kept else record.departed_at + self._days * _DAY

    def decide(self, administrator: User, user_id: str, *, keep: bool, origin: Origin) -> UserRecord:
        """Keep the grants of somebody who left, or let them go after all. Raises NotFound, Conflict."""
        record = self.find(user_id)
        facts = {"keep": str(keep).lower()}
        by = _actor(administrator)
        with self._audit_log.recording(_event(AuditTag.USER_TOKENS_KEPT, record.user, facts, actor=by, origin=origin)):
            return self._users.save(replace(record, keeps_tokens=keep))

    def remove_now(self, administrator: User, user_id: str, origin: Origin) -> UserRecord:
        """Revoke and remove the grants of somebody who left without waiting. Raises NotFound."""
        record = self.find(user_id)
        self._remove(record, actor=_actor(administrator), origin=origin)
        return record

    def _pages(self, going: "_Round") -> Iterator[Piece]:
        """Pages of those who are there, several of them worked on at once."""
        cursor, number = going.progress.cursor, 0
        while not going.is_stopped:
            try:
                page = self._users.present(limit=PAGE_SIZE, cursor=cursor)
            except InvalidRequest:
                # Another version's: from the beginning
                page = self._users.present(limit=PAGE_SIZE, cursor=None)
            yield Piece(going.progress.started_at, partial(self._ask, going, number, page))
            cursor, number = page.next_cursor, number + 1
            if cursor is None:
                return

    def _ask(self, going: "_Round", number: int, page: UserPage) -> int | None:
        try:
            standings = self._compare(page.users, going.doubted)
        except VaultError as error:
            going.is_stopped = True
            _LOG.error("leavers.stopped", extra={"code": error.code, "detail": error.detail})
            return None
        except Exception:
            # A fault of the program must not keep everybody behind this page from being asked about
            going.finish(number, page, {})
            raise
        going.finish(number, page, standings)
        return len(page.users)

    def _compare(self, records: list[UserRecord], doubted: frozenset[str]) -> Mapping[str, Standing]:
        standings = self._standings(records)
        for record in records:
            standing = standings.get(record.user.id)
            if standing is None:
                self._one(partial(self._outdate, record), record.user)
            elif standing.departure is not Departure.DELETED:
                self._one(partial(self._apply, record, standing), record.user)
            elif record.user.domain not in doubted:
                self._one(partial(self._miss, record), record.user)
        return standings

    def _outdate(self, record: UserRecord) -> None:
        """Somebody of no directory: what the sign-in provider said of groups counts for so long only."""
        until = record.sessions_until + self._claims_days * _DAY
        if self._claims_days and not record.user.domain and until <= self._clock.now():
            self._depart(record, Departure.NOT_ALLOWED)

    def _standings(self, records: Iterable[UserRecord]) -> Mapping[str, Standing]:
        users = [record.user for record in records]
        return self._directory.standings(users) if users else {}

    def _apply(self, record: UserRecord, standing: Standing) -> None:
        if standing.departure is not None:
            self._depart(record, standing.departure)
            return
        user = self._as_of_now(record, standing)
        found = replace(record, missing_since=0, dn=standing.dn)
        if not self._directory.may_use(user):
            self._depart(self._renamed(found, user), Departure.NOT_ALLOWED)
        elif user != record.user or found != record or not own_names(user) <= claimed_by(record):
            self._follow(found, user)

    def _as_of_now(self, record: UserRecord, standing: Standing) -> User:
        """Groups count for who is signed in, names and groups for what applications may fetch for who is not."""
        user = _as_called(record, standing)
        if not is_older_stamp(standing.password_stamp, user.password_stamp):
            user = replace(user, password_stamp=standing.password_stamp)
        return replace(user, groups=self._directory.groups(user, standing))

    def _miss(self, record: UserRecord) -> None:
        """Not found. Whoever may not use the vault has nothing left to lose in a hurry."""
        now = self._clock.now()
        missing = now - (record.missing_since or now)
        if record.missing_since and missing < (UNCERTAIN_SECONDS if record.departure else MISSING_SECONDS):
            return
        absence = self._directory.absence(record.user, record.dn) if record.missing_since else Absence()
        if absence.departure in (None, record.departure):
            # A first look, or one that told nothing: from here it must be seen again
            self._users.save(replace(record, missing_since=now))
        elif absence.is_certain or missing >= UNCERTAIN_SECONDS:
            self._depart(record, absence.departure)

    def _depart(self, record: UserRecord, departure: Departure) -> None:
        # First: who is noted as gone is not looked at again. A log-in in between makes the note a conflict
        ended = self._end_sessions(record.user, departure)
        left = replace(record, departure=departure, departed_at=self._clock.now(), keeps_tokens=False)
        facts = {"cause": departure.value, "sessions": str(ended)}
        with self._audit_log.recording(_event(AuditTag.USER_DEPARTED, record.user, facts)):
            self._users.save(replace(left, missing_since=0))
        _LOG.warning("user.departed", extra={"user_id": record.user.id, "facts": facts})

    def _follow(self, record: UserRecord, user: User) -> None:
        """Sessions of an earlier password end; the others get the names and groups of now, as do the grants' lists."""
        ended = []
        for session in self._sessions.of_user(user.id):
            if is_outdated_stamp(session.user.password_stamp, user.password_stamp):
                ended.append(session.id_hash)
            else:
                self._sessions.update_user(session.id_hash, user)
        if ended:
            facts = {"cause": "password_changed", "count": str(len(ended))}
            with self._audit_log.recording(_event(AuditTag.SESSION_ENDED, user, facts)):
                self._sessions.delete(*ended)
        self._renamed(record, user)

    def _renamed(self, record: UserRecord, user: User) -> UserRecord:
        """The record of somebody as they are now; the lists of grants show a new name too."""
        saved = self._users.rename(record, user, at=self._clock.now())
        if user.login_name != record.user.login_name:
            self._rename_grants(user)
        return saved

    def _rename_grants(self, user: User) -> None:
        """Let lists show the new name. One that is being refreshed shows the old one until it is authorized anew.

        Under the fence: a lease that was taken meanwhile must not be lost.
        """
        for grant in self._grant_store.of_user(user.id):
            if grant.token_set is not None and grant.user_name != user.login_name:
                renamed = replace(grant, user_name=user.login_name)
                with suppress(Conflict):
                    self._grant_store.save(renamed, replaces=grant.version, fence=grant.fence)

    def _departed(self) -> Iterator[Piece]:
        """Some come back; of others it is time to remove the grants, who left first comes first."""
        cursor: str | None = None
        while True:
            page = self._users.departed(limit=PAGE_SIZE, cursor=cursor)
            try:
                standings = self._standings(page.users)
            except VaultError as error:
                _LOG.error("leavers.stopped", extra={"code": error.code, "detail": error.detail})
                standings = {}
            except Exception as error:
                # A fault of the program must not keep those behind this page from what is due
                extra = {"error_type": type(error).__name__, "where": place_of(error)}
                _LOG.error("leavers.failed", extra=extra)
                standings = {}
            for record in page.users:
                yield from self._settlement(record, standings.get(record.user.id))
            cursor = page.next_cursor
            if cursor is None:
                return

    def _settlement(self, record: UserRecord, standing: Standing | None) -> Iterator[Piece]:
        """A piece for whoever something is to be done about."""
        now, removal_at = self._clock.now(), self.removal_at(record)
        is_other = standing is not None and _is_news(record, standing)
        if is_other or (removal_at is not None and removal_at <= now):
            due_at = now if is_other or removal_at is None else removal_at
            act = partial(self._settle, record, standing)
            yield Piece(due_at, partial(self._one, act, record.user))

    def _settle(self, record: UserRecord, standing: Standing | None) -> None:
        if standing is not None and (called := _as_called(record, standing)) != record.user:
            # Accounts that are closed are often renamed, so that a colleague can have the name
            record = self._renamed(record, called)
        if standing is not None and self._is_settled(record, standing):
            return
        removal_at = self.removal_at(record)
        if removal_at is not None and removal_at <= self._clock.now():
            self._remove(record, actor=NOBODY, origin=BACKGROUND)

    def _is_settled(self, record: UserRecord, standing: Standing) -> bool:
        """Whether the account is back, or another reason keeps this person out from now on."""
        if standing.departure is None:
            user = self._as_of_now(record, standing)
            if not self._directory.may_use(user):
                return self._is_out_by_another(record, Departure.NOT_ALLOWED)
            return self._is_back(record, user)
        if record.departure is not Departure.NOT_ALLOWED:
            return False
        if standing.departure is Departure.DELETED:
            self._miss(record)
            return True
        return self._is_out_by_another(record, standing.departure)

    def _is_back(self, record: UserRecord, user: User) -> bool:
        if not self._directory.is_back(user):
            return False
        back = replace(record, user=user, departure=None, departed_at=0, keeps_tokens=False, missing_since=0)
        with self._audit_log.recording(_event(AuditTag.USER_RETURNED, user, {})):
            self._users.save(back)
        return True

    def _is_out_by_another(self, record: UserRecord, departure: Departure) -> bool:
        if record.departure is not departure:
            self._depart(record, departure)
        return True

    def _remove(self, record: UserRecord, *, actor: Actor, origin: Origin) -> None:
        removed = 0
        for grant in self._grant_store.of_user(record.user.id):
            if grant.token_set is not None:
                revoked = self._grants.revoke(record.user, grant.provider_id, origin, slot=grant.slot, actor=actor)
                removed += revoked is not None
        facts = {"grants": str(removed)}
        with self._audit_log.recording(_event(AuditTag.USER_REMOVED, record.user, facts, actor=actor, origin=origin)):
            self._users.delete(record)

    def _end_sessions(self, user: User, cause: Departure) -> int:
        ended = [session.id_hash for session in self._sessions.of_user(user.id)]
        if ended:
            facts = {"cause": cause.value, "count": str(len(ended))}
            with self._audit_log.recording(_event(AuditTag.SESSION_ENDED, user, facts)):
                self._sessions.delete(*ended)
        return len(ended)

    def _one(self, act: Callable[[], None], user: User) -> int:
        """One person's trouble must not keep the others waiting; the next round tries again."""
        try:
            act()
        except Conflict:
            _LOG.info("leavers.later", extra={"user_id": user.id})
        except VaultError as error:
            _LOG.error("leavers.failed", extra={"user_id": user.id, "code": error.code, "detail": error.detail})
        except Exception as error:
            extra = {"user_id": user.id, "error_type": type(error).__name__, "where": place_of(error)}
            _LOG.error("leavers.failed", extra=extra)
        return 0


def _as_called(record: UserRecord, standing: Standing) -> User:
    """Somebody under today's names, in all else as recorded."""
    user = standing.user or record.user
    return replace(user, groups=record.user.groups, password_stamp=record.user.password_stamp)


def _is_news(record: UserRecord, standing: Standing) -> bool:
    """Whether this may change anything for somebody who has left."""
    is_open = standing.departure is None or record.departure is Departure.NOT_ALLOWED
    return is_open or _as_called(record, standing) != record.user


def _actor(user: User) -> Actor:
    return Actor(user.id, user.login_name)


def _event(
    tag: AuditTag, user: User, facts: dict[str, str], *, actor: Actor = NOBODY, origin: Origin = BACKGROUND
) -> AuditEvent:
    return AuditEvent(
        tag,
        Outcome.SUCCESS,
        actor.id,
        origin,
        user.id,
        facts=facts,
        actor_name=actor.name,
        user_name=user.login_name,
    )
