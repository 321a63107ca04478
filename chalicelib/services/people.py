"""Finding the person whom an administrator means by a name."""

from collections.abc import Collection
from dataclasses import dataclass

from chalicelib.domain.aliases import is_user_id, normalized
from chalicelib.domain.client_application import Subject
from chalicelib.domain.errors import DirectoryUnavailable, InvalidRequest, NotFound
from chalicelib.ports import Directory, UserAliasStore, UserStore


@dataclass(frozen=True, slots=True)
class Person:
    """Somebody by id. `name` is the log-in name where the vault knows it, else the id."""

    id: str
    name: str
    subject: Subject


class PeopleService:
    """Looks into what people were called when they last logged in, then into the directory."""

    def __init__(self, aliases: UserAliasStore, users: UserStore, directory: Directory) -> None:
        self._aliases = aliases
        self._users = users
        self._directory = directory

    def find(self, typed: str) -> Person:
        r"""The one person whom an id, `DOMAIN\user` or e-mail address names.

        Raises NotFound, or InvalidRequest where several people are called so.
        """
        typed = typed.strip()
        if is_user_id(typed):
            return self.with_id(typed)
        name = normalized(typed)
        owners = self._aliases.owners(name) if name else ()
        if len(owners) > 1:
            raise InvalidRequest(
                "Several people are called so. Please give the id in the directory of the one you mean."
            )
        user_id = owners[0] if owners else self._in_directory(typed)
        if not user_id:
            raise NotFound("Nobody is known by this name. Please give it as DOMAIN\\user, or the id in the directory.")
        return self.with_id(user_id, typed)

    def with_id(self, user_id: str, called: str = "") -> Person:
        """Whoever has this id; `called` is the name where nobody with it has ever logged in."""
        record = self._users.get(user_id)
        if record is None:
            return Person(user_id, called or user_id, Subject(user_id))
        subject = Subject(user_id, record.user.groups, is_blocked=record.departure is not None)
        return Person(user_id, record.user.login_name, subject)

    def names(self, user_ids: Collection[str]) -> list[str]:
        """What several people are called, by name: the log-in name where the vault knows it, else the id."""
        known = {record.user.id: record.user.login_name for record in self._users.get_all(user_ids)}
        return sorted(known.get(user_id, user_id) for user_id in user_ids)

    def _in_directory(self, typed: str) -> str:
        try:
            return self._directory.account(typed).user_id
        except DirectoryUnavailable:
            return ""
