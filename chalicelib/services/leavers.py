"""People who leave: the directory is asked again about everybody, and what it says takes effect within minutes (R6).

One round asks about everybody who has a grant or a session. A person whose account is disabled, expired or deleted
loses the sessions at once and gets no release; some days later the grants are revoked at the clouds and removed,
unless the account comes back or an administrator decides otherwise. Who may not use the vault any more is treated
alike, except that nothing is removed. A changed password ends sessions, changed groups change what the sessions may do.

Absence is believed only when it is seen twice, some minutes apart (R98): the first look is noted, at the second
the person is looked for alone. An account that is open again is back when the servers agree.
"""

import logging
from collections.abc import Callable, Iterable, Mapping
from dataclasses import replace
from functools import partial

from chalicelib.domain.audit import BACKGROUND, NOBODY, Actor, AuditEvent, AuditTag, Origin, Outcome
from chalicelib.domain.errors import Conflict, NotFound, VaultError
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

from .grants import GrantService

_LOG = logging.getLogger(__name__)

ROUND_SECONDS = 120
"""Between the beginnings of two rounds: with a run each minute, everything takes effect within five."""
RUN_SECONDS = 40.0
"""After this a run stops and the next one goes on: a Lambda has its limit."""
PAGE_SIZE = 100
LISTED = 25
"""People on one page of the list of those who left."""
MISSING_SECONDS = 100
"""Between the look that did not find somebody and the one for them alone: two rounds are never closer."""
UNCERTAIN_SECONDS = 3600
"""So long somebody must be missing where one server only could be asked, or nobody else is seen where they were."""
_DAY = 86400


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
        claims_days: int = 0,
    ) -> None:
        self._users = users
        self._directory = directory
        self._sessions = sessions
        self._grant_store = grant_store
        self._grants = grants
        self._audit_log = audit_log
        self._clock = clock
        self._days = days
        self._claims_days = claims_days

    def sweep(self, *, pause: int = ROUND_SECONDS) -> int:
        """Go on with the round, or begin one when `pause` seconds have passed since the last began.

        Returns about how many people the directory was asked. A directory that cannot be reached stops the round
        where it is: nobody counts as gone because nobody could be asked.
        """
        progress, now = self._users.progress(), self._clock.now()
        if progress.cursor is None:
            if now - progress.started_at < pause:
                return 0
            progress = progress.begun(now)
        end, before = self._clock.monotonic() + RUN_SECONDS, progress.checked
        try:
            progress = self._go_on(progress, end)
        except VaultError as error:
            _LOG.error("leavers.stopped", extra={"code": error.code, "detail": error.detail})
            return 0
        if progress.cursor is None:
            self._look_after_departed(end)
        return progress.checked - before

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

    def removal_at(self, record: UserRecord) -> int | None:
        """When the grants of somebody who left are removed; None when they are kept."""
        is_kept = record.keeps_tokens or (record.departure is not None and not record.departure.is_for_good)
        return None if is_kept else record.departed_at + self._days * _DAY

    def decide(self, administrator: User, user_id: str, *, keep: bool, origin: Origin) -> UserRecord:
        """Keep the grants of somebody who left, or let them go after all. Raises NotFound, Conflict."""
        record = self.find(user_id)
        facts = {"keep": str(keep).lower()}
        saved = self._users.save(replace(record, keeps_tokens=keep))
        self._record(AuditTag.USER_TOKENS_KEPT, record.user, facts, actor=_actor(administrator), origin=origin)
        return saved

    def remove_now(self, administrator: User, user_id: str, origin: Origin) -> UserRecord:
        """Revoke and remove the grants of somebody who left without waiting. Raises NotFound."""
        record = self.find(user_id)
        self._remove(record, actor=_actor(administrator), origin=origin)
        return record

    def _go_on(self, progress: SweepProgress, end: float) -> SweepProgress:
        while self._clock.monotonic() < end:
            page = self._users.present(limit=PAGE_SIZE, cursor=progress.cursor)
            standings = self._compare(page.users, progress.doubted)
            progress = progress.with_page([record.user for record in page.users], standings, page.next_cursor)
            if page.next_cursor is None:
                progress = progress.finished(self._clock.now())
                self._tell_doubts(progress)
            self._users.note_progress(progress)
            if page.next_cursor is None:
                break
        return progress

    def _compare(self, records: list[UserRecord], doubted: frozenset[str]) -> Mapping[str, Standing]:
        """`doubted`: domains whose people do not count as gone, since most of them seem to be."""
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

    def _tell_doubts(self, progress: SweepProgress) -> None:
        """A wrong base DN, or a right that was taken away, looks as if everybody had been deleted."""
        for domain in sorted(progress.doubted):
            there, missing = progress.found[domain]
            facts = {"domain": domain, "asked": str(there + missing), "missing": str(missing)}
            _LOG.error("leavers.implausible", extra={"facts": facts})

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
            self._depart(replace(found, user=user), Departure.NOT_ALLOWED)
        elif user != record.user or found != record:
            self._follow(found, user)

    def _as_of_now(self, record: UserRecord, standing: Standing) -> User:
        """Groups count for who is signed in, and for what applications may fetch for somebody who is not."""
        user = record.user
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
        ended = self._end_sessions(record.user)
        left = replace(record, departure=departure, departed_at=self._clock.now(), keeps_tokens=False)
        self._users.save(replace(left, missing_since=0))
        facts = {"cause": departure.value, "sessions": str(ended)}
        self._record(AuditTag.USER_DEPARTED, record.user, facts)
        _LOG.warning("user.departed", extra={"user_id": record.user.id, "facts": facts})

    def _follow(self, record: UserRecord, user: User) -> None:
        """Sessions of an earlier password end; the others get the groups of now."""
        ended = 0
        for session in self._sessions.of_user(user.id):
            if is_outdated_stamp(session.user.password_stamp, user.password_stamp):
                self._sessions.delete(session.id_hash)
                ended += 1
            else:
                self._sessions.update_user(session.id_hash, user)
        self._users.save(replace(record, user=user))
        if ended:
            facts = {"cause": "password_changed", "count": str(ended)}
            self._record(AuditTag.SESSION_ENDED, user, facts)

    def _look_after_departed(self, end: float) -> None:
        """Some come back; of others it is time to remove the grants."""
        cursor: str | None = None
        while self._clock.monotonic() < end:
            page = self._users.departed(limit=PAGE_SIZE, cursor=cursor)
            try:
                standings = self._standings(page.users)
            except VaultError as error:
                _LOG.error("leavers.stopped", extra={"code": error.code, "detail": error.detail})
                standings = {}
            for record in page.users:
                standing = standings.get(record.user.id)
                self._one(partial(self._settle, record, standing), record.user)
            cursor = page.next_cursor
            if cursor is None:
                return

    def _settle(self, record: UserRecord, standing: Standing | None) -> None:
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
        self._users.save(replace(record, user=user, departure=None, departed_at=0, keeps_tokens=False, missing_since=0))
        self._record(AuditTag.USER_RETURNED, user, {})
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
        self._users.delete(record)
        self._record(AuditTag.USER_REMOVED, record.user, {"grants": str(removed)}, actor=actor, origin=origin)

    def _end_sessions(self, user: User) -> int:
        sessions = self._sessions.of_user(user.id)
        for session in sessions:
            self._sessions.delete(session.id_hash)
        return len(sessions)

    def _one(self, act: Callable[[], None], user: User) -> None:
        """One person's trouble must not keep the others waiting; the next round tries again."""
        try:
            act()
        except Conflict:
            _LOG.info("leavers.later", extra={"user_id": user.id})
        except VaultError as error:
            _LOG.error("leavers.failed", extra={"user_id": user.id, "code": error.code, "detail": error.detail})

    def _record(
        self, tag: AuditTag, user: User, facts: dict[str, str], *, actor: Actor = NOBODY, origin: Origin = BACKGROUND
    ) -> None:
        event = AuditEvent(
            tag,
            Outcome.SUCCESS,
            actor.id,
            origin,
            user.id,
            facts=facts,
            actor_name=actor.name,
            user_name=user.login_name,
        )
        self._audit_log.record(event)


def _actor(user: User) -> Actor:
    return Actor(user.id, user.login_name)
