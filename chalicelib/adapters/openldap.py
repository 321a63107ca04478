"""How OpenLDAP and 389 Directory Server name, identify and group their people (RFC 2798, RFC 4530)."""

import time
from collections.abc import Iterable, Sequence
from datetime import UTC, datetime

from chalicelib.domain.directory import DirectorySettings, NameForm
from chalicelib.domain.distinguished_name import folded_dn, is_below, is_dn
from chalicelib.domain.errors import LoginRefused
from chalicelib.domain.throttle import Lockout
from chalicelib.domain.user import Account, Departure, LoginName, Standing, User

from .ldap_connection import ALL, BindRefused, Entry, LdapConnection, escape_filter_chars, escape_rdn
from .ldap_faults import Fault, ServerFailed
from .lockout import POLICY_SECONDS, KnownPolicies

_NAMES = ("entryUUID", "uid", "cn", "displayName", "mail", "pwdChangedTime", "pwdReset")
_USER_ATTRIBUTES = (*_NAMES, "memberOf")
_STANDING_ATTRIBUTES = ("pwdAccountLockedTime", "nsAccountLock", "pwdEndTime")
_LOCKED_FOR_GOOD = "000001010000Z"  # draft-behera-ldap-password-policy 5.3.3: by an administrator
_CHANGE_ORDERED = "0"
_MAX_NESTING = 20
_POLICY = ("pwdLockout", "pwdMaxFailure", "pwdFailureCountInterval", "cn")
_NEVER_FORGOTTEN = 24 * 60
"""Minutes after which the vault tries again where the directory forgets a wrong password with a right one only."""
_MEMBERS = ("member", "uniqueMember")
_MEMBERS_TRIED = 20
"""How many members a check looks at to find a person among them: a group of RFC 4519 has a member that is none."""
_MUST_CHANGE = "Your password must be changed. Change it where your company says, then log in here."
_NO_ENTRY = "This account cannot log in. Please contact your administrator."


class OpenLdap:
    """The preset `openldap`. Groups are known by their folded DNs."""

    anybody = "(objectClass=person)"
    """A filter that everybody fits."""

    def __init__(self, settings: DirectorySettings) -> None:
        self._settings = settings
        self._known = KnownPolicies()
        self._all: tuple[float, list[tuple[str, Lockout]]] = (0.0, [])

    def bind_name(self, account: Account) -> str:
        """The DN: found by the service account, or made from the setting; names are escaped (RFC 4514)."""
        if account.dn or account.name is None:
            return account.dn
        return self._settings.user_dn.replace("{name}", str(escape_rdn(account.name.username)))

    def refusal(self, refused: BindRefused, account: Account) -> LoginRefused:  # noqa: ARG002 - the dialect's shape
        """Result 49 says no more than that, whatever the reason."""
        return LoginRefused(refused.cause, sub_code=refused.sub_code, is_judged=refused.is_judged)

    def look_up(self, connection: LdapConnection, base_dn: str, name: LoginName) -> list[Account]:
        """The accounts that a name means, for the service account; no password has been tried yet."""
        condition = f"(uid={escape_filter_chars(name.username)})"
        if name.domain and name.domain.casefold() != self._settings.domain.casefold():
            condition = f"(|(mail={escape_filter_chars(str(name))}){condition})"
        attributes = ("entryUUID", "uid", "pwdPolicySubentry")
        entries = connection.find(base_dn, f"(&(objectClass=person){condition})", attributes)
        return [
            Account(
                key=entry.text("entryUUID"),
                budget=self._settings.budget_under(*self._policies(connection, base_dn, entry)),
                name=LoginName(self._settings.domain, entry.text("uid")),
                dn=entry.dn,
                user_id=entry.text("entryUUID"),
            )
            for entry in entries
        ]

    def called(self, connection: LdapConnection, base_dn: str, name: str) -> list[tuple[str, int]]:
        """Who is called so: a `uid` is one person's, a mail address may be several people's."""
        username = name.rpartition("\\")[2]
        attribute, rank = ("mail", 2) if "@" in username and username == name else ("uid", 0)
        condition = f"(&(objectClass=person)({attribute}={escape_filter_chars(username)}))"
        return [(entry.text("entryUUID"), rank) for entry in connection.find(base_dn, condition, ("entryUUID",))]

    def identify(self, connection: LdapConnection, base_dn: str, account: Account) -> User:
        """Who is bound; a server that accepted an empty password says "nobody" here (R24, R25).

        Raises LoginRefused when the bind was anonymous, or the entry is not the one that was bound.
        """
        identity = connection.who_am_i()
        if not identity:
            raise LoginRefused("anonymous_bind")
        bound = identity.removeprefix("dn:")
        if folded_dn(bound) != folded_dn(self.bind_name(account)):
            raise LoginRefused("other_entry")
        entry = _own_entry(connection, bound)
        if entry is None or not entry.text("entryUUID"):
            raise LoginRefused("no_entry", _NO_ENTRY)
        if not is_below(entry.dn, base_dn):
            raise LoginRefused("no_entry", _NO_ENTRY)
        if account.user_id not in ("", entry.text("entryUUID")):
            raise LoginRefused("other_entry")
        return self._user(entry, self._groups(connection, base_dn, entry))

    def person(
        self, connection: LdapConnection, base_dn: str, user_id: str, now: int
    ) -> tuple[User, Departure | None] | None:
        """Who has this entryUUID, and whether the account is closed; None when nobody has it."""
        condition = f"(&(objectClass=person)(entryUUID={escape_filter_chars(user_id)}))"
        entries = connection.find(base_dn, condition, (*_USER_ATTRIBUTES, *_STANDING_ATTRIBUTES))
        if len(entries) != 1:
            return None
        groups = self._groups(connection, base_dn, entries[0])
        return self._user(entries[0], groups), _departure(entries[0], now)

    def groups(self, connection: LdapConnection, dn: str) -> frozenset[str]:
        """Folded DNs of the entry's groups."""
        entry = connection.read(dn, ("entryUUID", "memberOf"))
        if entry is None or not entry.text("entryUUID"):
            raise ServerFailed(Fault.INCOMPLETE_ANSWER, "groups")
        return self._groups(connection, self._settings.base_dn, entry)

    def confirm_outside(self, connection: LdapConnection, dn: str, groups: Sequence[str]) -> None:
        """Raise ServerFailed where a group has somebody as its member whose `memberOf` does not say so.

        Then that attribute is not kept, or may not be read any more, and says nothing.
        """
        is_member = "".join(f"({name}={escape_filter_chars(dn)})" for name in _MEMBERS)
        for group in groups if not self._settings.group_search else ():
            there = is_dn(group) and connection.read(group, ("objectClass",))
            if there and connection.find(group, f"(|{is_member})", ("objectClass",), at_most=1):
                raise ServerFailed(Fault.INCOMPLETE_ANSWER, "memberOf")

    def group_id(self, connection: LdapConnection, dn: str) -> str | None:
        """The folded DN of the group with that DN; None when there is no such entry."""
        return folded_dn(dn) if connection.read(dn, ("objectClass",)) else None

    def group_dn(self, connection: LdapConnection, base_dn: str, group: str) -> str:  # noqa: ARG002 - the dialect's shape
        """The DN of a group of the settings; empty when there is no such entry. There are no SIDs here."""
        return group if is_dn(group) and self.group_id(connection, group) else ""

    def a_member(self, connection: LdapConnection, base_dn: str, group_dn: str) -> str:
        """The DN of some person who is in the group itself; empty where none is seen."""
        group = connection.read(group_dn, _MEMBERS)
        members = [dn.decode() for name in _MEMBERS for dn in (group.all(name) if group else ())]
        for dn in members[:_MEMBERS_TRIED]:
            if is_below(dn, base_dn) and (entry := connection.read(dn, ("uid",))) and entry.text("uid"):
                return dn
        return ""

    def root(self, connection: LdapConnection, base_dn: str) -> str:
        """The naming context that the base is in."""
        entry = connection.read("", ("namingContexts",))
        contexts = [value.decode() for value in entry.all("namingContexts")] if entry else []
        return next((one for one in contexts if is_below(base_dn, one)), base_dn)

    def lockouts(self, connection: LdapConnection, base_dn: str) -> list[tuple[str, Lockout]]:
        """The policies of `ppolicy` that can be seen, by name."""
        found = connection.find(self.root(connection, base_dn), "(objectClass=pwdPolicy)", _POLICY, at_most=ALL)
        named = [(entry.text("cn") or entry.dn, _lockout(entry)) for entry in found]
        return [(name, policy) for name, policy in named if policy]

    def _policies(self, connection: LdapConnection, base_dn: str, entry: Entry) -> list[Lockout]:
        """The account's own policy. Which one is the default only the server's configuration says: then all count."""
        own = entry.text("pwdPolicySubentry")
        if own:
            policy = self._known.get(own, lambda: _lockout(connection.read(own, _POLICY)))
            return [policy] if policy else []
        until, policies = self._all
        if time.monotonic() >= until:
            policies = self.lockouts(connection, base_dn)
            self._all = (time.monotonic() + POLICY_SECONDS, policies)
        return [policy for _, policy in policies]

    def dn_of(self, connection: LdapConnection, base_dn: str, entry_uuid: str) -> str:
        """Where the entry with this entryUUID is; empty when there is none."""
        found = connection.find(base_dn, f"(entryUUID={escape_filter_chars(entry_uuid)})", ("entryUUID",))
        return found[0].dn if found else ""

    def standings(
        self, connection: LdapConnection, base_dn: str, user_ids: Sequence[str], now: int
    ) -> Iterable[Standing]:
        """How those stand who are found and can be read; about the others nothing is said."""
        condition = "(|" + "".join(f"(entryUUID={escape_filter_chars(user_id)})" for user_id in user_ids) + ")"
        attributes = (*_NAMES, *_STANDING_ATTRIBUTES)
        for entry in connection.find(base_dn, condition, attributes, at_most=ALL):
            if not entry.text("entryUUID"):
                continue
            user_id, stamp = entry.text("entryUUID"), _stamp(entry)
            yield Standing(user_id, _departure(entry, now), stamp, entry.dn, self._named(entry))

    def _named(self, entry: Entry) -> User | None:
        """None where the server tells no name, or one that is no text: then the names of before count on."""
        try:
            return self._user(entry, frozenset()) if entry.text("uid") else None
        except ValueError:
            return None

    def _user(self, entry: Entry, groups: frozenset[str]) -> User:
        uid = entry.named("uid")
        return User(
            id=entry.text("entryUUID"),
            login_name=f"{self._settings.domain}\\{uid}",
            display_name=entry.shown("displayName", "cn", "uid") or entry.text("entryUUID"),
            email=entry.named("mail"),
            groups=groups,
            password_stamp=_stamp(entry),
            also_called=(uid,) if self._settings.allows(NameForm.PLAIN) else (),
        )

    def _groups(self, connection: LdapConnection, base_dn: str, entry: Entry) -> frozenset[str]:
        if not self._settings.group_search:
            return frozenset(folded_dn(value.decode()) for value in entry.all("memberOf"))
        found: dict[str, str] = {}
        members = [entry.dn]
        for _ in range(_MAX_NESTING):
            members = [dn for dn in self._groups_with(connection, base_dn, members) if folded_dn(dn) not in found]
            if not members:
                break
            found |= {folded_dn(dn): dn for dn in members}
        return frozenset(found)

    def _groups_with(self, connection: LdapConnection, base_dn: str, members: Sequence[str]) -> list[str]:
        parts = (f"({a}={escape_filter_chars(dn)})" for dn in members for a in _MEMBERS)
        return [group.dn for group in connection.find(base_dn, f"(|{''.join(parts)})", ("objectClass",), at_most=ALL)]


def _stamp(entry: Entry) -> str:
    """As Active Directory has it: `0` where an administrator has ordered a change of the password."""
    return _CHANGE_ORDERED if entry.text("pwdReset").casefold() == "true" else entry.text("pwdChangedTime")


def _own_entry(connection: LdapConnection, dn: str) -> Entry | None:
    """slapd lets somebody who must change the password log in, and then do nothing else."""
    try:
        return connection.read(dn, _USER_ATTRIBUTES)
    except ServerFailed as failure:
        if failure.fault is not Fault.ACCESS_DENIED:
            raise
    raise LoginRefused("must_change_password", _MUST_CHANGE)


def _lockout(entry: Entry | None) -> Lockout | None:
    """draft-behera-ldap-password-policy 5.2.9 to 5.2.12. Without an interval nothing is forgotten before a success."""
    if entry is None or entry.text("pwdLockout").casefold() != "true":
        return None
    seconds = entry.number("pwdFailureCountInterval")
    return Lockout(entry.number("pwdMaxFailure"), -(-seconds // 60) if seconds else _NEVER_FORGOTTEN)


def _departure(entry: Entry, now: int) -> Departure | None:
    if entry.text("pwdAccountLockedTime") == _LOCKED_FOR_GOOD or entry.text("nsAccountLock").casefold() == "true":
        return Departure.DISABLED
    return (
        None if not entry.text("pwdEndTime") or _generalized_time(entry.text("pwdEndTime")) > now else Departure.EXPIRED
    )


def _generalized_time(text: str) -> int:
    """Epoch seconds of a time such as 20261123084245Z (RFC 4517 3.3.13)."""
    return int(datetime.strptime(text[:14], "%Y%m%d%H%M%S").replace(tzinfo=UTC).timestamp())
