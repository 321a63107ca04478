"""Everybody who has logged in or was imported, by which names they are known, and how far the sweep over them is."""

from collections.abc import Collection, Iterable, Mapping
from dataclasses import dataclass, replace

from chalicelib.domain.aliases import aliases_of, claimed_by, own_names
from chalicelib.domain.errors import Conflict, InvalidRequest, StorageUnavailable
from chalicelib.domain.user import AliasClaim, Departure, SweepProgress, User, UserRecord
from chalicelib.ports import UserAliasStore, UserPage

from .groups import group_keys
from .items import ODD_VERSION, Item, load, read, read_or, readable, version_of
from .mail import WISHES
from .stops import BLOCK
from .table import Condition, ConditionFailed, Table
from .tables import KEY, LISTING, SORT

_PRESENT, _DEPARTED = "USERS", "DEPARTED"
_PROGRESS = {KEY: "SWEEP", SORT: "USERS"}
_BELIEVED = {KEY: "SWEEP", SORT: "BELIEVED"}
_ATTEMPTS = 3
_MOST_CHOICES = 90
"""So many go into one transaction, which takes 100 items."""


@dataclass(frozen=True, slots=True)
class _Believed:
    domains: dict[str, int]


class DynamoUserStore:
    """Implements `ports.UserStore`."""

    def __init__(self, table: Table, aliases: UserAliasStore) -> None:
        self._table = table
        self._aliases = aliases

    def enrol(self, user: User, *, sessions_until: int, at: int) -> None:
        values = _of_user(user) | _listed(user.id, None, 0)
        values |= {"sessions_until": sessions_until, "keeps_tokens": False, "proved_at": at}
        assignments = " , ".join(f"#{name} = :{name}" for name in values)
        expression = f"SET {assignments} REMOVE #departure , #departed_at ADD #version :one"
        known = self._logged_in(user.id, expression, values)
        if known is None or known.names != frozenset(aliases_of(user)):
            self._bear(user.id, known)

    def _logged_in(self, user_id: str, expression: str, values: Item) -> UserRecord | None:
        """Write it, and give who that was before. One that cannot be read is nobody, and is written over."""
        try:
            before = self._table.update(record_key(user_id), expression, {**values, "one": 1})
        except StorageUnavailable:
            before = self._table.get(record_key(user_id))
            # Nothing can be added to a version that is no number
            if before is None or version_of(before) != ODD_VERSION:
                raise
        known = next(readable("user", [before] if before else [], _parsed), None)
        if before and known is None:
            # What is odd may be what a log-in does not write
            self._table.put(record_key(user_id) | values | {"version": max(version_of(before), 0) + 1})
        return known

    def _bear(self, user_id: str, known: UserRecord | None) -> None:
        """Let the record of a log-in bear its names, unless somebody else writes it at that moment: then once more."""
        for _ in range(_ATTEMPTS):
            record = self.get(user_id)
            if record is None:
                return
            names = frozenset(aliases_of(record.user))
            try:
                self._named(
                    record, names, gone=claimed_by(known) - names if known else frozenset(), at=record.proved_at
                )
            except Conflict:
                continue
            return
        # Somebody else is writing all the time: the next log-in finds the names missing, and claims them

    def _named(self, record: UserRecord, names: frozenset[str], *, gone: frozenset[str], at: int) -> UserRecord:
        left = self._claims(record.user.id, gone)
        self._aliases.claim(record.user.id, sorted(names - (record.names or frozenset())), at)
        saved = self.save(replace(record, names=names))
        self._release(left)
        return saved

    def rename(self, record: UserRecord, user: User, *, at: int) -> UserRecord:
        before, now = frozenset(aliases_of(record.user)), frozenset(aliases_of(user))
        # An address that turned out to be somebody else's stays so as long as nothing says it anew
        kept = now if record.names is None else record.names & now | now - before | own_names(user)
        return self._named(replace(record, user=user, proved_at=at), kept, gone=claimed_by(record) - now, at=at)

    def disown(self, record: UserRecord, alias: str) -> None:
        self.save(replace(record, names=claimed_by(record) - {alias}))

    def _claims(self, user_id: str, aliases: Iterable[str]) -> dict[str, list[AliasClaim]]:
        """Somebody's claims before the record is written: who claims a name anew after that keeps it."""
        return {a: [c for c in self._aliases.claims(a) if c.user_id == user_id] for a in sorted(aliases)}

    def _release(self, claims: dict[str, list[AliasClaim]]) -> None:
        for alias, mine in claims.items():
            self._aliases.release(alias, mine)

    def get(self, user_id: str) -> UserRecord | None:
        item = self._table.get(record_key(user_id))
        return record_from_item(item) if item else None

    def get_all(self, user_ids: Collection[str]) -> list[UserRecord]:
        found = self._table.get_all([record_key(one) for one in set(user_ids)])
        return list(readable("user", found, _parsed))

    def save(self, record: UserRecord) -> UserRecord:
        item = _to_item(record)
        item["version"] += 1
        try:
            self._table.put(item, Condition.equals(version=record.version))
        except ConditionFailed as failure:
            raise Conflict from failure
        return record_from_item(item)

    def delete(self, record: UserRecord) -> None:
        left = self._claims(record.user.id, claimed_by(record) | frozenset(aliases_of(record.user)))
        choices = [self._table.deleting(key) for key in self._choices(record.user.id)]
        try:
            self._table.delete(record_key(record.user.id), Condition.equals(version=record.version), *choices)
        except ConditionFailed as failure:
            if failure.item is not None:
                raise Conflict from failure
        self._release(left)

    def _choices(self, user_id: str) -> list[Item]:
        """What the person has chosen: it goes with the record, in the same write."""
        own = self._table.query_all(Condition.equals(**{KEY: record_key(user_id)[KEY]}))
        chosen = [item for item in own if item[SORT] == WISHES or str(item[SORT]).startswith(BLOCK)]
        return [{KEY: item[KEY], SORT: item[SORT]} for item in chosen[:_MOST_CHOICES]]

    def present(self, *, limit: int, cursor: str | None) -> UserPage:
        return self._page(_PRESENT, limit, cursor)

    def departed(self, *, limit: int, cursor: str | None) -> UserPage:
        return self._page(_DEPARTED, limit, cursor)

    def progress(self) -> SweepProgress:
        item = self._table.get(_PROGRESS)
        if item is None:
            return SweepProgress()
        return read_or("sweep", item, _parsed_progress, lambda _: SweepProgress())

    def note_progress(self, progress: SweepProgress) -> None:
        self._table.put(
            _PROGRESS
            | {
                "started_at": progress.started_at,
                "finished_at": progress.finished_at,
                "cursor": progress.cursor,
                "checked": progress.checked,
                "found": {domain: list(counts) for domain, counts in progress.found.items()},
                "doubted": sorted(progress.doubted),
            }
        )

    def believed(self) -> Mapping[str, int]:
        item = self._table.get(_BELIEVED)
        return read_or("belief", item, _parsed_believed, lambda _: {}) if item else {}

    def believe(self, domain: str, until: int) -> None:
        self._table.put(_BELIEVED | {"domains": {**self.believed(), domain: until}})

    def _page(self, listing: str, limit: int, cursor: str | None) -> UserPage:
        """The cursor is where the last page ended in the listing: sort key and user id."""
        after = None
        if cursor is not None:
            listed_as, bar, user_id = cursor.rpartition("|")
            if not bar:
                raise InvalidRequest
            after = record_key(user_id) | {LISTING.key: listing, LISTING.sort: listed_as}
        condition = Condition.equals(**{LISTING.key: listing})
        page = self._table.listed(condition, index=LISTING, limit=limit, after=after)
        next_cursor = None
        if page.last_key is not None:
            next_cursor = f"{page.last_key[LISTING.sort]}|{str(page.last_key[KEY]).removeprefix('USER#')}"
        return UserPage(list(readable("user", page.items, _parsed)), next_cursor)


def record_key(user_id: str) -> Item:
    return {KEY: f"USER#{user_id}", SORT: "RECORD"}


def _listed(user_id: str, departure: Departure | None, departed_at: int) -> Item:
    if departure is None:
        return {LISTING.key: _PRESENT, LISTING.sort: user_id}
    return {LISTING.key: _DEPARTED, LISTING.sort: f"{departed_at:012d}#{user_id}"}


def _of_user(user: User) -> Item:
    return {
        "user_id": user.id,
        "user_name": user.login_name,
        "display_name": user.display_name,
        "email": user.email,
        "groups": sorted(user.groups),
        "password_stamp": user.password_stamp,
        "also_called": list(user.also_called),
        "foreign": list(user.foreign),
    }


def _to_item(record: UserRecord) -> Item:
    return (
        record_key(record.user.id)
        | _listed(record.user.id, record.departure, record.departed_at)
        | _of_user(record.user)
        | {
            "sessions_until": record.sessions_until,
            "version": record.version,
            "departure": record.departure.value if record.departure else None,
            "departed_at": record.departed_at,
            "keeps_tokens": record.keeps_tokens,
            "missing_since": record.missing_since,
            "dn": record.dn,
            "names": None if record.names is None else sorted(record.names),
            "proved_at": record.proved_at,
        }
    )


def record_from_item(item: Item) -> UserRecord:
    return read("user", item, _parsed)


_LATER = ("departed_at", "also_called", "foreign", "proved_at", "missing_since", "dn")


def _parsed(item: Item) -> UserRecord:
    user = {**item, "id": item["user_id"], "login_name": item["user_name"], "groups": group_keys(item["groups"])}
    return load(UserRecord, {**item, "user": user}, later=_LATER)


def _parsed_believed(item: Item) -> Mapping[str, int]:
    return load(_Believed, item).domains


def _parsed_progress(item: Item) -> SweepProgress:
    return load(SweepProgress, item, later=("found", "doubted"))
