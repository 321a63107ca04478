"""What the vault stores about one person: handed out, and erased (docs/privacy.md)."""

from collections import Counter
from collections.abc import Iterable, Iterator
from contextlib import suppress
from dataclasses import dataclass, field, replace
from datetime import UTC, datetime
from itertools import islice
from typing import Any

from chalicelib.domain.audit import Actor, AuditEvent, AuditTag, Origin, Outcome
from chalicelib.domain.errors import ItemUnreadable, NotFound
from chalicelib.domain.personal_data import (
    ALIAS,
    GRANT,
    KINDS,
    RECORD,
    AtErasure,
    DataSubject,
    StoredItem,
    StoredKind,
)
from chalicelib.domain.user import Departure, User, UserRecord
from chalicelib.ports import AuditLog, Clock, Directory, GrantStore, PersonalItems, UserStore

from .grants import GrantService
from .people import PeopleService

UNKNOWN = "of a kind that the vault does not know"
_MOST_NAMES = 1000
"""So many entries of the audit log are asked what somebody was called who has no record any more."""


@dataclass(frozen=True, slots=True)
class Counted:
    """Items of one kind, and what becomes of them."""

    kind: str
    of_people: str
    items: int
    kept: str
    at_erasure: str


@dataclass(slots=True)
class Erased:
    """What an erasure did, by kind; `left`: what stays, and would be called deleted otherwise."""

    done: Counter[str] = field(default_factory=Counter)
    left: Counter[str] = field(default_factory=Counter)

    @property
    def is_to_be_repeated(self) -> bool:
        """Authorizations whose clean-up is under way are left, or something that nobody knows."""
        return any(self.left[name] for name in (GRANT.name, UNKNOWN))


class PersonalDataService:
    """Access and erasure, for the person and for the data-protection officer."""

    def __init__(
        self,
        *,
        items: PersonalItems,
        people: PeopleService,
        users: UserStore,
        grant_store: GrantStore,
        grants: GrantService,
        directory: Directory,
        audit_log: AuditLog,
        clock: Clock,
        days: dict[str, int],
    ) -> None:
        """`days`: the settings in days that say how long something is kept, by their names."""
        self._items = items
        self._people = people
        self._users = users
        self._grant_store = grant_store
        self._grants = grants
        self._directory = directory
        self._audit_log = audit_log
        self._clock = clock
        self._days = days

    def kinds(self) -> list[Counted]:
        """Everything that may be stored about somebody, for the page; no item is counted."""
        return [self._counted(kind, 0) for kind in KINDS if kind.at_erasure is not AtErasure.NOBODY]

    def find(self, typed: str) -> DataSubject:
        """Whom a name or an id means. Raises NotFound, or InvalidRequest where it is several people's."""
        person = self._people.find(typed)
        with suppress(ItemUnreadable):
            if record := self._users.get(person.id):
                return DataSubject.of(person.id, record)
        entries = (entry.event for entry in islice(self._audit_log.of_user(person.id), _MOST_NAMES))
        called = dict.fromkeys(event.user_name for event in entries if event.user_name)
        return DataSubject.of(person.id, None, [*called])

    def own(self, user: User, origin: Origin) -> dict[str, Any]:
        """What keys and lists lead to about who is signed in. It is recorded before anything is read."""
        self._record(AuditTag.USER_EXPORTED, Actor(user.id, user.login_name), user.id, user.login_name, origin)
        person = DataSubject.of(user.id, self._users.get(user.id), (user.login_name, user.email))
        return self._export(person, self._items.at_hand(person), is_all=False)

    def export(self, person: DataSubject, actor: Actor, origin: Origin) -> dict[str, Any]:
        """Everything about the person. Reads the whole tables. It is recorded before anything is read."""
        self._record(AuditTag.USER_EXPORTED, actor, person.id, person.login_name, origin)
        return self._export(person, self._items.everywhere(person), is_all=True)

    def plan(self, person: DataSubject) -> list[Counted]:
        """What is stored about the person by kind, and what an erasure would do with it."""
        counted = Counter(stored.kind for stored in self._items.everywhere(person))
        return [self._counted(kind, counted[kind]) for kind in (*KINDS, None) if counted[kind]]

    def still_here(self, person: DataSubject) -> str:
        """Why the person would come back with the next log-in, in a sentence; empty where the directory knows that
        they have left."""
        with suppress(ItemUnreadable):
            record = self._users.get(person.id)
            if record is None or record.departure not in (None, Departure.NOT_ALLOWED):
                return ""
            standing = self._directory.standings([record.user]).get(person.id)
            if standing is None:
                return "No directory can be asked about this person: where the sign-in provider knows them, so it is."
            return "" if standing.departure else "The directory account is open."
        return ""

    def erase(self, person: DataSubject, actor: Actor, origin: Origin) -> Erased:
        """End and delete what is stored about the person; the rest loses the names. Whoever ran it half runs it again.

        First, in one write with the line of the log, nothing is released any more. Last go the names, by which
        the person is found.
        """
        erased = Erased()
        event = _event(AuditTag.USER_ERASED, actor, person.id, "", origin)
        with self._audit_log.recording(event):
            self._shut(person)
        for grant in self._grant_store.of_user(person.id):
            if grant.token_set is not None:
                user = User(person.id, person.login_name, "")
                with suppress(NotFound):
                    revoked = self._grants.revoke(user, grant.provider_id, origin, slot=grant.slot, actor=actor)
                    erased.done[GRANT.name] += revoked is not None
        found = sorted(self._items.everywhere(person), key=lambda stored: stored.kind in (ALIAS, RECORD))
        for stored in found:
            is_done = self._items.erase(stored, person)
            (erased.done if is_done else erased.left)[stored.kind.name if stored.kind else UNKNOWN] += 1
        return erased

    def _shut(self, person: DataSubject) -> None:
        with suppress(ItemUnreadable):
            if record := self._users.get(person.id):
                self._users.save(_gone(record, self._clock.now()))

    def _counted(self, kind: StoredKind | None, number: int) -> Counted:
        if kind is None:
            return Counted(UNKNOWN, "", number, "not known", AtErasure.STAYS.value)
        kept = kind.kept
        for setting, days in self._days.items():
            kept = kept.replace(f"`{setting}`", f"{days} days")
        return Counted(kind.name, kind.of_people, number, kept, kind.at_erasure.value)

    def _export(self, person: DataSubject, found: Iterable[StoredItem], *, is_all: bool) -> dict[str, Any]:
        by_kind: dict[StoredKind | None, list[dict[str, Any]]] = {}
        for stored in _once(found):
            by_kind.setdefault(stored.kind, []).append(stored.for_person(person))
        return {
            "person": person.id,
            "made_at": datetime.fromtimestamp(self._clock.now(), UTC).isoformat(),
            "is_everything": is_all,
            "stored": [
                {"kind": counted.kind, "kept": counted.kept, "at_erasure": counted.at_erasure, "items": by_kind[kind]}
                for kind in (*KINDS, None)
                if kind in by_kind
                for counted in [self._counted(kind, len(by_kind[kind]))]
            ],
        }

    def _record(self, tag: AuditTag, actor: Actor, user_id: str, name: str, origin: Origin) -> None:
        self._audit_log.record(_event(tag, actor, user_id, name, origin))


def _once(found: Iterable[StoredItem]) -> Iterator[StoredItem]:
    """Each item once, though several lists lead to it."""
    seen = set()
    for stored in found:
        if (place := (stored.table, stored.key)) not in seen:
            seen.add(place)
            yield stored


def _gone(record: UserRecord, now: int) -> UserRecord:
    """Not deleted: the names of who is that are free, and whoever runs it again by name would find nobody."""
    return replace(record, departure=record.departure or Departure.DISABLED, departed_at=now, keeps_tokens=False)


def _event(tag: AuditTag, actor: Actor, user_id: str, name: str, origin: Origin) -> AuditEvent:
    return AuditEvent(tag, Outcome.SUCCESS, actor.id, origin, user_id, actor_name=actor.name, user_name=name)
