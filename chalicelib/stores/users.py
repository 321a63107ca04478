"""Everybody who has logged in, and how far the sweep over them is."""

from chalicelib.domain.aliases import aliases_of
from chalicelib.domain.directory import stored_group_key
from chalicelib.domain.errors import Conflict, InvalidRequest
from chalicelib.domain.user import Departure, SweepProgress, User, UserRecord
from chalicelib.ports import UserPage

from .items import Item
from .table import Condition, ConditionFailed, Table
from .tables import KEY, LISTING, SORT
from .user_aliases import DynamoUserAliasStore

_PRESENT, _DEPARTED = "USERS", "DEPARTED"
_PROGRESS = {KEY: "SWEEP", SORT: "USERS"}


class DynamoUserStore:
    """Implements `ports.UserStore`."""

    def __init__(self, table: Table) -> None:
        self._table = table

    def enrol(self, user: User, *, sessions_until: int) -> None:
        values = _of_user(user) | _listed(user.id, None, 0) | {"sessions_until": sessions_until, "keeps_tokens": False}
        assignments = " , ".join(f"#{name} = :{name}" for name in values)
        expression = f"SET {assignments} REMOVE #departure , #departed_at ADD #version :one"
        before = self._table.update(record_key(user.id), expression, {**values, "one": 1})
        known = aliases_of(record_from_item(before).user) if before else ()
        new = tuple(alias for alias in aliases_of(user) if alias not in known)
        DynamoUserAliasStore(self._table).claim(user.id, new)

    def get(self, user_id: str) -> UserRecord | None:
        item = self._table.get(record_key(user_id))
        return record_from_item(item) if item else None

    def save(self, record: UserRecord) -> UserRecord:
        item = _to_item(record)
        item["version"] += 1
        try:
            self._table.put(item, Condition.equals(version=record.version))
        except ConditionFailed as failure:
            raise Conflict from failure
        return record_from_item(item)

    def delete(self, record: UserRecord) -> None:
        try:
            self._table.delete(record_key(record.user.id), Condition.equals(version=record.version))
        except ConditionFailed as failure:
            if failure.item is not None:
                raise Conflict from failure

    def present(self, *, limit: int, cursor: str | None) -> UserPage:
        return self._page(_PRESENT, limit, cursor)

    def departed(self, *, limit: int, cursor: str | None) -> UserPage:
        return self._page(_DEPARTED, limit, cursor)

    def progress(self) -> SweepProgress:
        item = self._table.get(_PROGRESS)
        if item is None:
            return SweepProgress()
        return SweepProgress(
            item["started_at"],
            item["finished_at"],
            item.get("cursor"),
            item["checked"],
            {domain: (there, missing) for domain, (there, missing) in item.get("found", {}).items()},
            frozenset(item.get("doubted", ())),
        )

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

    def _page(self, listing: str, limit: int, cursor: str | None) -> UserPage:
        """The cursor is where the last page ended in the listing: sort key and user id."""
        after = None
        if cursor is not None:
            listed_as, bar, user_id = cursor.rpartition("|")
            if not bar:
                raise InvalidRequest
            after = record_key(user_id) | {LISTING.key: listing, LISTING.sort: listed_as}
        condition = Condition.equals(**{LISTING.key: listing})
        page = self._table.query(condition, index=LISTING, limit=limit, after=after)
        next_cursor = None
        if page.last_key is not None:
            next_cursor = f"{page.last_key[LISTING.sort]}|{str(page.last_key[KEY]).removeprefix('USER#')}"
        return UserPage([record_from_item(item) for item in page.items], next_cursor)


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
            # One attribute, by a name that the index has: the sweep reads records there, and writes them back whole
            "facts": {"dn": record.dn, "missing_since": record.missing_since},
        }
    )


def record_from_item(item: Item) -> UserRecord:
    user = User(
        id=item["user_id"],
        login_name=item["user_name"],
        display_name=item["display_name"],
        email=item["email"],
        groups=frozenset(map(stored_group_key, item["groups"])),
        password_stamp=item["password_stamp"],
    )
    departure, facts = item.get("departure"), item.get("facts") or {}
    return UserRecord(
        user=user,
        sessions_until=item["sessions_until"],
        version=item["version"],
        departure=Departure(departure) if departure else None,
        departed_at=item.get("departed_at", 0),
        keeps_tokens=item["keeps_tokens"],
        missing_since=facts.get("missing_since", 0),
        dn=facts.get("dn", ""),
    )
