"""Sessions, by the SHA-256 of their cookie."""

from contextlib import suppress
from dataclasses import asdict
from typing import Any

from chalicelib.domain.session import Notice, Session
from chalicelib.domain.user import User

from .groups import group_keys
from .items import Item, load, readable
from .table import Condition, ConditionFailed, Table
from .tables import EXPIRES, KEY, SESSIONS_OF_USER

_EXISTS = Condition.present(KEY)


class DynamoSessionStore:
    """Implements `ports.SessionStore`."""

    def __init__(self, table: Table) -> None:
        self._table = table

    def add(self, session: Session, expires_at: int) -> None:
        self._table.put(_to_item(session, expires_at), Condition.absent(KEY))

    def get(self, id_hash: str) -> Session | None:
        item = self._table.get(_key(id_hash))
        return _from_item(item) if item else None

    def touch(self, id_hash: str, last_seen_at: int, expires_at: int) -> None:
        self._change(id_hash, {"last_seen_at": last_seen_at, EXPIRES: expires_at})

    def open_requests(self, id_hash: str, state_hashes: tuple[str, ...]) -> None:
        self._change(id_hash, {"open_requests": state_hashes})

    def notify(self, id_hash: str, notice: Notice, *, open_requests: tuple[str, ...]) -> None:
        self._change(id_hash, {"notice": asdict(notice), "open_requests": open_requests})

    def update_user(self, id_hash: str, user: User) -> None:
        values = {name: value for name, value in _of_user(user).items() if name != SESSIONS_OF_USER.key}
        self._change(id_hash, values)

    def delete(self, *id_hashes: str) -> None:
        self._table.delete_all([_key(id_hash) for id_hash in id_hashes])

    def of_user(self, user_id: str) -> list[Session]:
        items = self._table.query_all(Condition.equals(user_id=user_id), index=SESSIONS_OF_USER)
        return sorted(readable("session", items, _parsed), key=lambda s: s.created_at, reverse=True)

    def _change(self, id_hash: str, values: dict[str, Any]) -> None:
        # A session that ended meanwhile must not come back as a fragment: the condition keeps it away
        expression = "SET " + " , ".join(f"#{name} = :{name}" for name in values)
        with suppress(ConditionFailed):
            self._table.update(_key(id_hash), expression, values, _EXISTS)


def _key(id_hash: str) -> Item:
    return {KEY: f"SESSION#{id_hash}"}


def _of_user(user: User) -> Item:
    return {
        "user_id": user.id,
        "login_name": user.login_name,
        "display_name": user.display_name,
        "email": user.email,
        "groups": sorted(user.groups),
        "password_stamp": user.password_stamp,
    }


def _to_item(session: Session, expires_at: int) -> Item:
    return (
        _key(session.id_hash)
        | _of_user(session.user)
        | {
            "id_hash": session.id_hash,
            "created_at": session.created_at,
            "authenticated_at": session.authenticated_at,
            "last_seen_at": session.last_seen_at,
            "browser": session.browser,
            "open_requests": session.open_requests,
            "by_openid": session.by_openid,
            "was_appointed": session.was_appointed,
            "id_token": session.id_token,
            "notice": asdict(session.notice) if session.notice else None,
            EXPIRES: expires_at,
        }
    )


def _from_item(item: Item) -> Session | None:
    """None for one that cannot be read: nobody is signed in by it, and a new log-in makes another."""
    return next(readable("session", [item], _parsed), None)


def _parsed(item: Item) -> Session:
    user = {**item, "id": item["user_id"], "groups": group_keys(item["groups"])}
    return load(
        Session, {**item, "user": user}, later=("by_openid", "id_token", "was_appointed", "also_called", "foreign")
    )
