"""A person, as the directory knows them."""

import re
from dataclasses import dataclass, field
from typing import Self

from .errors import LoginRefused

_DOMAIN = re.compile(r"[A-Za-z0-9][A-Za-z0-9-]{0,14}\Z")
# What Windows forbids in a sAMAccountName, and the characters that filters, DNs and UPNs give a meaning to
_FORBIDDEN = frozenset('"/\\[]:;|=,+*?<>@()')
_MAX_USERNAME = 64


@dataclass(frozen=True, slots=True)
class LoginName:
    r"""`DOMAIN\USERNAME` as typed, split and checked; both parts keep the spelling that was typed.

    It only finds the account. It never identifies a person: a domain controller accepts many spellings of
    one account, so `User.id` is read from the directory after the bind.
    """

    domain: str
    username: str

    @classmethod
    def parse(cls, text: str) -> Self:
        """Split `text`; raise LoginRefused where no directory should be asked at all (R23)."""
        domain, backslash, username = text.strip(" ").partition("\\")
        if not backslash or not _DOMAIN.match(domain):
            raise LoginRefused("malformed_name")
        if not 0 < len(username) <= _MAX_USERNAME or username != username.strip():
            raise LoginRefused("malformed_name")
        if any(c in _FORBIDDEN or not c.isprintable() for c in username):
            raise LoginRefused("malformed_name")
        return cls(domain, username)

    def __str__(self) -> str:
        return f"{self.domain}\\{self.username}"


@dataclass(frozen=True, slots=True)
class User:
    """One person. `id` is the objectSid (`entryUUID` elsewhere) and the only key; the rest is for display."""

    id: str
    login_name: str
    display_name: str
    email: str = ""
    groups: frozenset[str] = field(default_factory=frozenset)
    """SIDs of all security groups, nested ones included."""
