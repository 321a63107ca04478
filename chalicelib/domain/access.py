"""Who may call what: one decision for every route."""

from enum import StrEnum

from .errors import AccessDenied, LoginRequired
from .user import User


class Access(StrEnum):
    """The level a route asks for; a route without one refuses to start (R13)."""

    PUBLIC = "public"
    USER = "user"
    ADMINISTRATOR = "administrator"
    APPLICATION = "application"
    """A program that proves itself with each request; cookies count for nothing."""


def is_administrator(user: User, administrator_groups: frozenset[str]) -> bool:
    """True when one of the user's groups makes an administrator. No group named: nobody is one."""
    return not administrator_groups.isdisjoint(user.groups)


def require(access: Access, user: User | None, *, is_administrator: bool) -> None:
    """Let the call pass, or raise LoginRequired or AccessDenied. Applications are authenticated with what they send."""
    if access in (Access.PUBLIC, Access.APPLICATION):
        return
    if user is None:
        raise LoginRequired
    if access is Access.ADMINISTRATOR and not is_administrator:
        raise AccessDenied
