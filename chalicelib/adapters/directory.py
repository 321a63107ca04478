"""People log in with their directory account: which directory is meant, who that is, and when nobody is asked.

How one server is asked stands in `ldap_connection`, the only module that knows ldap3. It is imported with the
first question, since it costs 60 ms that no other request should pay.
"""

import unicodedata
from collections.abc import Iterable, Mapping, Sequence
from functools import cached_property
from typing import TYPE_CHECKING

from chalicelib.domain.directory import DirectorySettings, Group, NameForm, group_key
from chalicelib.domain.directory_report import DirectoryReport, Steps
from chalicelib.domain.distinguished_name import is_dn
from chalicelib.domain.errors import DirectoryUnavailable, InvalidRequest, LoginRefused, NotFound
from chalicelib.domain.ids import is_person_id
from chalicelib.domain.secret import Secret
from chalicelib.domain.throttle import Budget, folded_name
from chalicelib.domain.user import Absence, Account, Called, LoginName, Standing, User
from chalicelib.ports import Clock

from .secrets_manager import SecretsManager

if TYPE_CHECKING:
    from .ldap_directory import LdapDirectory

MAX_PASSWORD = 256
_NOT_THERE = "The directory does not know your account. Please contact your administrator."
_UNTYPABLE = ("Cc", "Cs")
"""Unicode categories: control characters (NUL ends a password in C), and halves of a character."""


class Directories:
    """All directories of the settings behind `ports.Directory`.

    Causes of LoginRefused: `malformed_name`, `foreign_domain`, `form_not_allowed`, `no_such_account`,
    `ambiguous_name`, `empty_password` and `malformed_password` without a bind; `bad_credentials`, `locked_out`,
    `disabled`, `account_expired`, `password_expired`, `must_change_password`, `logon_hours`, `workstation` or
    `sub_code_<hex>` from the directory; `anonymous_bind`, `no_entry`, `other_entry` when the bind did not prove who
    this is; `not_allowed` when it did, and the person is in none of the allowed groups; `not_asked` where somebody is
    looked for by id, and not every directory can be asked.
    """

    def __init__(self, settings: Sequence[DirectorySettings], secrets: SecretsManager, clock: Clock) -> None:
        self._settings = tuple(settings)
        self._secrets = secrets
        self._clock = clock

    @cached_property
    def _directories(self) -> tuple["LdapDirectory", ...]:
        from .ldap_directory import LdapDirectory  # noqa: PLC0415 - see the module's text

        return tuple(LdapDirectory(one, self._secrets) for one in self._settings)

    def account(self, typed: str) -> Account:
        """See `ports.Directory`. Never refuses: what nobody may be asked about is an account like any other."""
        try:
            name = LoginName.parse(typed)
        except LoginRefused as refused:
            return self._nobody(typed, refused.cause)
        meant = [one for one in self._settings if _may_mean(one, name)]
        if not meant:
            return self._nobody(typed, "foreign_domain" if name.domain else "form_not_allowed")
        if len(meant) == 1 and not meant[0].can_look_up:
            own = LoginName(meant[0].domain, name.username)
            return Account(key=folded_name(str(own)), budget=meant[0].budget, name=own)
        return self._looked_up(typed, name, meant)

    def authenticate(self, account: Account, password: Secret, steps: Steps | None = None) -> User:
        """See `ports.Directory`. At most one bind for each server, and none after an answer (R23-R27)."""
        # First, so that an account that is not asked about looks like any other
        check_password(password)
        if account.refusal or account.name is None:
            raise LoginRefused(account.refusal or "malformed_name")
        return self._of_domain(account.name.domain).authenticate(account, password, steps)

    def check(self) -> list[DirectoryReport]:
        """See `ports.Directory`."""
        from .directory_check import check  # noqa: PLC0415 - see the module's text

        return [check(one, self._of_domain(one.domain), self._secrets, self._clock) for one in self._settings]

    def group(self, named: str) -> Group:
        """See `ports.Directory`. A SID is its own key; whether a directory has it, the check of the settings tells."""
        key, able = group_key(named), [one for one in self._settings if one.can_look_up]
        if not is_dn(named) or any(one.knows_group(key) for one in self._settings):
            written = next(filter(None, (one.written(key) for one in self._settings)), named)
            return Group(key, written)
        if not able:
            raise InvalidRequest("The directory cannot be asked without a service account. Please give a SID.")
        for one in able:
            if found := self._of_domain(one.domain).group(named):
                return found
        raise NotFound("No directory has a group with this distinguished name.")

    def person(self, user_id: str) -> User:
        """See `ports.Directory`. An id that is none never reaches a directory."""
        now = self._clock.now()
        for one in self._settings if is_person_id(user_id) else ():
            if one.can_look_up and (user := self._of_domain(one.domain).person(user_id, now)):
                return user
        everybody_asked = bool(self._settings) and all(one.can_look_up for one in self._settings)
        raise LoginRefused("no_such_account" if everybody_asked else "not_asked", _NOT_THERE)

    def called(self, name: str) -> Called:
        """See `ports.Directory`."""
        asked = [one for one in self._settings if one.can_look_up and _may_have(one, name)]
        found = [answer for one in asked for answer in self._of_domain(one.domain).called(name)]
        surest = min((rank for _, rank in found), default=0)
        ids = {user_id for user_id, rank in found if rank == surest}
        return Called(tuple(sorted(ids)), frozenset(one.domain.casefold() for one in asked))

    def standings(self, users: Sequence[User]) -> Mapping[str, Standing]:
        """See `ports.Directory`."""
        now = self._clock.now()
        found: dict[str, Standing] = {}
        for one in self._settings:
            ids = [user.id for user in users if user.domain.casefold() == one.domain.casefold()]
            if ids and one.can_look_up:
                found |= {s.user_id: s for s in self._of_domain(one.domain).standings(ids, now)}
        return found

    def groups(self, user: User, standing: Standing) -> frozenset[str]:
        """See `ports.Directory`."""
        return self._of_domain(user.domain).groups(standing.dn, user.groups) - {user.id}

    def may_use(self, user: User) -> bool:
        """See `ports.Directory`."""
        return self._of_domain(user.domain).may_use(user.groups)

    def absence(self, user: User, dn: str) -> Absence:
        """See `ports.Directory`."""
        return self._of_domain(user.domain).absence(user.id, dn)

    def is_back(self, user: User) -> bool:
        """See `ports.Directory`."""
        return self._of_domain(user.domain).is_back(user.id, self._clock.now())

    def _looked_up(self, typed: str, name: LoginName, meant: Iterable[DirectorySettings]) -> Account:
        accounts = [found for one in meant for found in self._of_domain(one.domain).look_up(name)]
        if len(accounts) == 1:
            return accounts[0]
        return self._nobody(typed, "ambiguous_name" if accounts else "no_such_account")

    def _of_domain(self, domain: str) -> "LdapDirectory":
        for one in self._directories:
            if one.domain.casefold() == domain.casefold():
                return one
        raise DirectoryUnavailable(detail="no such directory in the settings")

    def _nobody(self, typed: str, cause: str) -> Account:
        """Counted as a known name is, so that the throttle's answers tell nothing (R32)."""
        budgets = [one.budget for one in self._settings] or [Budget.of(0, 30)]
        strictest = min(budgets, key=lambda budget: budget.tries)
        return Account(key=folded_name(typed), budget=strictest, refusal=cause)


def _may_mean(one: DirectorySettings, name: LoginName) -> bool:
    if not one.allows(name.form):
        return False
    match name.form:
        case NameForm.DOMAIN:
            return one.domain.casefold() == name.domain.casefold()
        case NameForm.UPN:
            return one.owns_suffix(name.domain)
    return True


def _may_have(one: DirectorySettings, name: str) -> bool:
    """Whether somebody in this directory may be called so, by whatever way people log in there."""
    domain, backslash, _ = name.partition("\\")
    if backslash:
        return one.domain.casefold() == domain.casefold()
    return "@" in name or one.allows(NameForm.PLAIN)


def check_password(password: Secret) -> None:
    """Raise LoginRefused for a password that must never reach a bind (R25).

    A bind without a password succeeds as nobody in particular (RFC 4513 5.1.2).
    """
    value = password.reveal()
    if not value.strip():
        raise LoginRefused("empty_password")
    if len(value) > MAX_PASSWORD or any(unicodedata.category(c) in _UNTYPABLE for c in value):
        raise LoginRefused("malformed_password")
