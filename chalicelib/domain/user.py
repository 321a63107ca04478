"""A person, as the directory knows them."""

import re
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field, replace
from enum import StrEnum
from typing import Self

from .directory import NameForm
from .errors import LoginRefused
from .throttle import Budget

_DOMAIN = re.compile(r"[A-Za-z0-9][A-Za-z0-9-]{0,14}\Z")
_SUFFIX = re.compile(r"[A-Za-z0-9]([A-Za-z0-9-]*[A-Za-z0-9])?(\.[A-Za-z0-9]([A-Za-z0-9-]*[A-Za-z0-9])?)*\Z")
# What Windows forbids in a sAMAccountName. Parentheses are not among them, and are escaped in filters
_FORBIDDEN = frozenset('"/\\[]:;|=,+*?<>@')
_MAX_USERNAME = 64
_MAX_SUFFIX = 253


@dataclass(frozen=True, slots=True)
class LoginName:
    r"""A name as typed, split and checked: `DOMAIN\USERNAME`, `user@dns.name` or `user`, in the spelling typed.

    `domain` is the NetBIOS name, the DNS suffix or empty. It only finds the account. It never identifies a person:
    a domain controller accepts many spellings of one account, so `User.id` is read from the directory.
    """

    domain: str
    username: str
    form: NameForm = NameForm.DOMAIN

    @classmethod
    def parse(cls, text: str) -> Self:
        """Split `text`; raise LoginRefused where no directory should be asked at all (R23)."""
        text = text.strip(" ")
        if "\\" in text:
            domain, _, username = text.partition("\\")
            form, is_domain = NameForm.DOMAIN, bool(_DOMAIN.match(domain))
        elif "@" in text:
            username, _, domain = text.partition("@")
            form, is_domain = NameForm.UPN, len(domain) <= _MAX_SUFFIX and bool(_SUFFIX.match(domain))
        else:
            username, domain, form, is_domain = text, "", NameForm.PLAIN, True
        if not is_domain or not _is_username(username):
            raise LoginRefused("malformed_name")
        return cls(domain, username, form)

    def __str__(self) -> str:
        return {
            NameForm.DOMAIN: f"{self.domain}\\{self.username}",
            NameForm.UPN: f"{self.username}@{self.domain}",
            NameForm.PLAIN: self.username,
        }[self.form]


def _is_username(text: str) -> bool:
    if not 0 < len(text) <= _MAX_USERNAME or text != text.strip():
        return False
    return not any(c in _FORBIDDEN or not c.isprintable() for c in text)


@dataclass(frozen=True, slots=True)
class Account:
    """What a typed name means, found out before any password is tried.

    `key` is what tries are counted by: the user's id where a service account could look it up, else the folded
    name. `refusal` is the cause for which no password will be tried at all; the answer looks like any other.
    """

    key: str
    budget: Budget
    name: LoginName | None = None
    dn: str = ""
    user_id: str = ""
    refusal: str = ""
    needs_smart_card: bool = False


@dataclass(frozen=True, slots=True)
class User:
    """One person. `id` is the objectSid (`entryUUID` elsewhere) and the only key; the rest is for display."""

    id: str
    login_name: str
    display_name: str
    email: str = ""
    groups: frozenset[str] = field(default_factory=frozenset)
    """SIDs of all groups of the domain, nested ones included, and the folded DNs of those that the settings name so."""
    password_stamp: str = ""
    """Changes with every change of the password; empty where the directory does not tell."""
    also_called: tuple[str, ...] = ()
    """Further names by which the directory finds this person: the user principal name, and the user name alone where
    the settings of the directory accept that. Of who is in none: the names that the sign-in provider gives to one
    person at a time."""
    foreign: tuple[str, ...] = ()
    """Names that the sign-in provider shows and does not give out: nobody is meant by them."""

    @property
    def domain(self) -> str:
        """The NetBIOS name of the directory this person is in; empty for who is in none."""
        domain, backslash, _ = self.login_name.partition("\\")
        return domain if backslash else ""


class Departure(StrEnum):
    """Why somebody may not be in the vault any more."""

    DISABLED = "disabled"
    EXPIRED = "expired"
    DELETED = "deleted"
    NOT_ALLOWED = "not_allowed"
    """In none of the allowed groups any more, or outside of where people are searched: may come back any day."""

    @property
    def is_for_good(self) -> bool:
        """Whether the authorizations are removed some days later."""
        return self is not Departure.NOT_ALLOWED


@dataclass(frozen=True, slots=True)
class Standing:
    """What the directory says today about somebody who logged in some time ago.

    `DELETED` is no more than this: one complete search has not found them. `Absence` is what that means.
    """

    user_id: str
    departure: Departure | None = None
    password_stamp: str = ""
    dn: str = ""
    user: User | None = None
    """Who that is today, groups aside; None for who has been deleted."""


@dataclass(frozen=True, slots=True)
class Called:
    """Whom a name means today, as far as directories could be asked.

    `ids` are the people of whom it is the log-in name or the user principal name, which a directory gives to one at a
    time; where it is nobody's, those who have it as their mail address. `domains`, casefolded, are those of the
    directories that were asked: somebody of these who is not among `ids` is not called so.
    """

    ids: tuple[str, ...] = ()
    domains: frozenset[str] = frozenset()


@dataclass(frozen=True, slots=True)
class Absence:
    """What it means that somebody was not found, after a look for them alone, at two servers where there are two.

    `departure` None: nothing. `is_certain`: the servers agree, and others are seen where this person was last.
    """

    departure: Departure | None = None
    is_certain: bool = False


@dataclass(frozen=True, slots=True)
class UserRecord:
    """What the vault keeps about somebody who has logged in or was imported; times are epoch seconds.

    A departed user has no session and gets no release. `keeps_tokens`: an administrator decided that the grants
    stay although the account is gone.
    """

    user: User
    sessions_until: int
    """When the last session that a log-in started is over at the latest."""
    version: int
    departure: Departure | None = None
    departed_at: int = 0
    keeps_tokens: bool = False
    missing_since: int = 0
    """When a search did not find them for the first time; 0 while they are found."""
    dn: str = ""
    """Where the directory had them when it was last asked."""
    names: frozenset[str] | None = None
    """The normalized names that count as this person's (`domain.aliases`). None in a record of before there was such a
    list: whatever `user` is called."""
    proved_at: int = 0
    """When the directory, or the sign-in provider, last said who this is; 0: before this was noted."""


@dataclass(frozen=True, slots=True)
class AliasClaim:
    """Somebody has been called so. `mark` tells one claim from the next of the same person; empty: an old claim."""

    user_id: str
    mark: str = ""

    @property
    def since(self) -> int:
        """Since when, in epoch seconds; 0 for a claim of before that was noted."""
        since, tilde, _ = self.mark.partition("~")
        return int(since) if tilde and since.isascii() and since.isdigit() else 0


@dataclass(frozen=True, slots=True)
class SweepProgress:
    """How far the round over all users is: `cursor` None between two rounds."""

    started_at: int = 0
    finished_at: int = 0
    cursor: str | None = None
    checked: int = 0
    found: dict[str, tuple[int, int]] = field(default_factory=dict)
    """How many were found in each domain in this round, and how many were not."""
    doubted: frozenset[str] = frozenset()
    """Domains in which the round before missed most people, however many there are: their absence is not believed."""

    def begun(self, now: int) -> Self:
        """The next round."""
        return replace(self, started_at=now, cursor=None, checked=0, found={})

    def with_page(self, users: Sequence[User], standings: Mapping[str, Standing], cursor: str | None) -> Self:
        """Some people later."""
        found = dict(self.found)
        for user in users:
            if standing := standings.get(user.id):
                there, missing = found.get(user.domain, (0, 0))
                is_missing = standing.departure is Departure.DELETED
                found[user.domain] = (there + (not is_missing), missing + is_missing)
        return replace(self, cursor=cursor, checked=self.checked + len(users), found=found)

    def finished(self, now: int) -> Self:
        """All have been asked about."""
        doubted = frozenset(domain for domain, (there, missing) in self.found.items() if missing > there)
        return replace(self, finished_at=now, doubted=doubted)


def is_older_stamp(stamp: str, than: str) -> bool:
    """Whether a password stamp is of an earlier change: then it comes from a server that lags.

    Stamps are moments, as digits. `0` is no moment: an administrator has ordered a change (pwdLastSet).
    """
    return "0" not in (stamp, than) and (len(stamp), stamp) < (len(than), than)


def is_outdated_stamp(stamp: str, now: str) -> bool:
    """Whether the password has been changed since a session with this stamp began."""
    return stamp != now and not is_older_stamp(now, stamp)
