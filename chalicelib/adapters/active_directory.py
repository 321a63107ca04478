"""How Active Directory names, identifies and groups its people ([MS-ADTS]); Samba's AD DC speaks the same."""

import struct
from collections.abc import Iterable, Mapping, Sequence

from chalicelib.domain.aliases import normalized
from chalicelib.domain.directory import DOMAIN_SID_PREFIX, DirectorySettings, NameForm
from chalicelib.domain.distinguished_name import is_dn
from chalicelib.domain.errors import LoginRefused
from chalicelib.domain.text import named
from chalicelib.domain.throttle import Lockout
from chalicelib.domain.user import Account, Departure, LoginName, Standing, User

from .ldap_connection import ALL, BindRefused, Entry, LdapConnection, escape_filter_chars
from .ldap_faults import Fault, ServerFailed
from .lockout import KnownPolicies

_PERSON = "(&(objectClass=user)(!(objectClass=computer)){})"
_USER_ATTRIBUTES = ("objectSid", "sAMAccountName", "displayName", "mail", "pwdLastSet", "userPrincipalName")
_ACCOUNT_ATTRIBUTES = ("objectSid", "sAMAccountName", "userAccountControl", "msDS-ResultantPSO")
_DOMAIN_POLICY = ("lockoutThreshold", "lockOutObservationWindow")
_OWN_POLICY = ("msDS-LockoutThreshold", "msDS-LockoutObservationWindow", "cn")
_MINUTE = 60 * 10_000_000  # in the hundred nanoseconds that Active Directory counts, below zero for a duration
_STANDING_ATTRIBUTES = ("userAccountControl", "accountExpires")
_NAMESAKES = 100
"""So many people who have one mail address are looked at: the one whose principal name it is must be among them."""
_DISABLED = 0x2  # ADS_UF_ACCOUNTDISABLE
_NEVER = (0, 0x7FFF_FFFF_FFFF_FFFF)  # accountExpires of an account that does not
_FILETIME_EPOCH = 11_644_473_600  # seconds from 1601 to 1970
_FILETIME_SECOND = 10_000_000

_EXPIRED_PASSWORD = "Your password has expired or must be changed. Change it in Windows, then log in here."  # noqa: S105
_CLOSED_ACCOUNT = "This account cannot log in. Please contact your administrator."
_NOT_NOW = "Logging in is not allowed at this time or from here."

_REFUSALS: Mapping[str, tuple[str, str | None]] = {
    "525": ("bad_credentials", None),
    "52e": ("bad_credentials", None),
    "52f": ("account_restricted", None),
    "530": ("logon_hours", _NOT_NOW),
    "531": ("workstation", _NOT_NOW),
    "532": ("password_expired", _EXPIRED_PASSWORD),
    "533": ("disabled", _CLOSED_ACCOUNT),
    "701": ("account_expired", _CLOSED_ACCOUNT),
    "773": ("must_change_password", _EXPIRED_PASSWORD),
    "775": ("locked_out", None),
}
"""Sub-codes of result 49. Those with a sentence come after the right password only, so that it tells nobody which
accounts exist (R29); 52f and 775 come with any password."""
_COUNTED = ("", "52e", "525", "775")
"""Sub-codes with which Active Directory has looked at the password, or looks at none for a while."""
_SMART_CARD_REQUIRED = 0x40000  # ADS_UF_SMARTCARD_REQUIRED


class ActiveDirectory:
    """The preset `active-directory`."""

    anybody = "(&(objectClass=user)(!(objectClass=computer)))"
    """A filter that everybody fits."""

    def __init__(self, settings: DirectorySettings) -> None:
        self._settings = settings
        self._known = KnownPolicies()
        self._root = ""

    def bind_name(self, account: Account) -> str:
        return str(account.name)

    def refusal(self, refused: BindRefused, account: Account) -> LoginRefused:
        """What a refused bind means, by its sub-code."""
        cause, message = _REFUSALS.get(refused.sub_code, (f"sub_code_{refused.sub_code}", None))
        if not refused.sub_code:
            cause = refused.cause
        if account.needs_smart_card and cause == "bad_credentials":
            cause = "smart_card_required"  # the password is a random one that nobody knows
        is_judged = refused.is_judged and refused.sub_code in _COUNTED
        return LoginRefused(cause, message, sub_code=refused.sub_code, is_judged=is_judged)

    def look_up(self, connection: LdapConnection, base_dn: str, name: LoginName) -> list[Account]:
        """The accounts that a name means, for the service account; no password has been tried yet."""
        entries = connection.find(base_dn, self._condition(name), _ACCOUNT_ATTRIBUTES)
        return [
            Account(
                key=sid(entry.all("objectSid")[0]),
                budget=self._settings.budget_under(*self._policies(connection, base_dn, entry)),
                name=LoginName(self._settings.domain, entry.text("sAMAccountName")),
                dn=entry.dn,
                user_id=sid(entry.all("objectSid")[0]),
                needs_smart_card=bool(entry.number("userAccountControl") & _SMART_CARD_REQUIRED),
            )
            for entry in entries
        ]

    def called(self, connection: LdapConnection, base_dn: str, name: str) -> list[tuple[str, int]]:
        """Who is called so. A principal name that the attribute has comes before the one that everybody has."""
        _, backslash, username = name.rpartition("\\")
        escaped = escape_filter_chars(username)
        condition = f"(sAMAccountName={escaped})"
        if "@" in username and not backslash:
            local, _, suffix = username.rpartition("@")
            has_all = suffix.casefold() == self._settings.dns_name.casefold()
            implicit = f"(sAMAccountName={escape_filter_chars(local)})" if has_all else ""
            condition = f"(|(userPrincipalName={escaped})(mail={escaped}){implicit})"
        entries = connection.find(base_dn, _PERSON.format(condition), _USER_ATTRIBUTES, at_most=_NAMESAKES)
        return [(sid(entry.all("objectSid")[0]), self._rank(entry, normalized(name))) for entry in entries]

    def _rank(self, entry: Entry, name: str) -> int:
        sure = (self._login_name(entry), entry.text("userPrincipalName")), self._also_called(entry)
        return next((rank for rank, names in enumerate(sure) if name in map(normalized, names)), len(sure))

    def identify(self, connection: LdapConnection, base_dn: str, account: Account) -> User:
        """Who is bound: an entry counts only with proof that it is the bound one (R24).

        Raises LoginRefused when the bind was anonymous, or the entry is not the one that was bound.
        """
        root = connection.read("", ("tokenGroups", "defaultNamingContext"))
        if root is None:
            raise LoginRefused("no_entry", _CLOSED_ACCOUNT)
        entry = self._entry(connection, base_dn or root.text("defaultNamingContext"), account)
        user_id, login_name = sid(entry.all("objectSid")[0]), self._login_name(entry)
        token = root.all("tokenGroups")
        if token:
            proven, groups = user_id in map(sid, token), _groups(token)
        else:  # a directory that does not tell the connection's own token
            proven, groups = _is_bound(connection, login_name), None
        if not proven or account.user_id not in ("", user_id):
            raise LoginRefused("other_entry")
        return self._user(entry, self.groups(connection, entry.dn) if groups is None else groups)

    def person(
        self, connection: LdapConnection, base_dn: str, user_id: str, now: int
    ) -> tuple[User, Departure | None] | None:
        """Who has this SID, and whether the account is closed; None when nobody has it."""
        condition = _PERSON.format(f"(objectSid={_escaped_sid(user_id)})")
        entries = connection.find(base_dn, condition, (*_USER_ATTRIBUTES, *_STANDING_ATTRIBUTES))
        if len(entries) != 1:
            return None
        return self._user(entries[0], self.groups(connection, entries[0].dn)), _departure(entries[0], now)

    def groups(self, connection: LdapConnection, dn: str) -> frozenset[str]:
        """SIDs of all the domain's groups that an entry is in, nested ones and the primary group included.

        tokenGroups is computed by the server in 0.8 ms, where following `member` by LDAP_MATCHING_RULE_IN_CHAIN took
        6.6 ms here and never ended in directories with 750,000 groups. Raises ServerFailed when it cannot be read:
        everybody has a primary group, so that no group at all is no answer.
        """
        entry = connection.read(dn, ("tokenGroups",))
        if entry is None or not entry.all("tokenGroups"):
            raise ServerFailed(Fault.INCOMPLETE_ANSWER, "tokenGroups")
        return _groups(entry.all("tokenGroups"))

    def confirm_outside(self, connection: LdapConnection, dn: str, groups: Sequence[str]) -> None:
        """The server computes `tokenGroups`: there is no second way to ask."""

    def group_id(self, connection: LdapConnection, dn: str) -> str | None:
        """The SID of the group with that DN; None when there is no such entry."""
        entry = connection.read(dn, ("objectSid",))
        return sid(entry.all("objectSid")[0]) if entry and entry.all("objectSid") else None

    def group_dn(self, connection: LdapConnection, base_dn: str, group: str) -> str:
        """The DN of a group of the settings, named by SID or DN; empty when there is no such entry."""
        if is_dn(group):
            return group if self.group_id(connection, group) else ""
        return self.dn_of(connection, self.root(connection, base_dn), group)

    def a_member(self, connection: LdapConnection, base_dn: str, group_dn: str) -> str:
        """The DN of some person who is in the group itself; empty where none is seen."""
        condition = _PERSON.format(f"(memberOf={escape_filter_chars(group_dn)})")
        return next((entry.dn for entry in connection.find(base_dn, condition, ("objectSid",), at_most=1)), "")

    def root(self, connection: LdapConnection, base_dn: str) -> str:
        """The domain's own root: whoever has one of its SIDs is somewhere below it."""
        if not self._root:
            root = connection.read("", ("defaultNamingContext",))
            self._root = (root and root.text("defaultNamingContext")) or base_dn
        return self._root

    def lockouts(self, connection: LdapConnection, base_dn: str) -> list[tuple[str, Lockout]]:
        """The policies that can be seen, by name: the domain's first, then the fine-grained ones."""
        root = self.root(connection, base_dn)
        domain = _lockout(connection.read(root, _DOMAIN_POLICY), *_DOMAIN_POLICY)
        if domain is None:
            return []
        found = connection.find(root, "(objectClass=msDS-PasswordSettings)", _OWN_POLICY, at_most=ALL)
        own = [(entry.text("cn"), _lockout(entry, *_OWN_POLICY[:2])) for entry in found]
        return [("the domain", domain), *((name, one) for name, one in own if one)]

    def _policies(self, connection: LdapConnection, base_dn: str, entry: Entry) -> list[Lockout]:
        """The domain's policy, and the fine-grained one that is about this account, where they may be read."""
        root, own = self.root(connection, base_dn), entry.text("msDS-ResultantPSO")
        wanted = {root: _DOMAIN_POLICY} | ({own: _OWN_POLICY[:2]} if own else {})
        found = [
            self._known.get(dn, lambda dn=dn, names=names: _lockout(connection.read(dn, names), *names))  # type: ignore[misc]
            for dn, names in wanted.items()
        ]
        return [policy for policy in found if policy]

    def dn_of(self, connection: LdapConnection, base_dn: str, sid_text: str) -> str:
        """Where the entry with this SID is; empty when there is none."""
        found = connection.find(base_dn, f"(objectSid={_escaped_sid(sid_text)})", ("objectSid",))
        return found[0].dn if found else ""

    def standings(
        self, connection: LdapConnection, base_dn: str, user_ids: Sequence[str], now: int
    ) -> Iterable[Standing]:
        """How those stand who are found and can be read; about the others nothing is said."""
        condition = "(|" + "".join(f"(objectSid={_escaped_sid(user_id)})" for user_id in user_ids) + ")"
        attributes = (*_USER_ATTRIBUTES, *_STANDING_ATTRIBUTES)
        for entry in connection.find(base_dn, condition, attributes, at_most=ALL):
            if not (entry.all("objectSid") and entry.all("userAccountControl")):
                continue  # seen, but not to be read: without its flags a closed account looks open
            user_id, stamp = sid(entry.all("objectSid")[0]), entry.text("pwdLastSet")
            yield Standing(user_id, _departure(entry, now), stamp, entry.dn, self._named(entry))

    def _named(self, entry: Entry) -> User | None:
        """None where the server tells no name, or one that is no text: then the names of before count on."""
        try:
            return self._user(entry, frozenset()) if entry.text("sAMAccountName") else None
        except ValueError:
            return None

    def _entry(self, connection: LdapConnection, base_dn: str, account: Account) -> Entry:
        if account.dn:
            found = connection.read(account.dn, _USER_ATTRIBUTES)
            entries = [found] if found else []
        elif account.name:
            entries = connection.find(base_dn, self._condition(account.name), _USER_ATTRIBUTES)
        else:
            entries = []
        if len(entries) != 1:
            raise LoginRefused("no_entry", _CLOSED_ACCOUNT)
        return entries[0]

    def _user(self, entry: Entry, groups: frozenset[str]) -> User:
        user_id = sid(entry.all("objectSid")[0])
        return User(
            id=user_id,
            login_name=named(self._login_name(entry)),
            display_name=entry.shown("displayName", "sAMAccountName") or user_id,
            email=entry.named("mail"),
            groups=groups - {user_id},
            password_stamp=entry.text("pwdLastSet"),
            also_called=self._also_called(entry),
        )

    def _also_called(self, entry: Entry) -> tuple[str, ...]:
        """The user principal names, the one that everybody has included ([MS-ADTS] 5.1.1.1.1), and the plain name."""
        account_name, dns_name = entry.named("sAMAccountName"), self._settings.dns_name
        names = [entry.named("userPrincipalName"), f"{account_name}@{dns_name}" if dns_name else ""]
        names += [account_name] if self._settings.allows(NameForm.PLAIN) else []
        return tuple(dict.fromkeys(filter(None, names)))

    def _login_name(self, entry: Entry) -> str:
        return f"{self._settings.domain}\\{entry.text('sAMAccountName')}"

    def _condition(self, name: LoginName) -> str:
        account_name = f"(sAMAccountName={escape_filter_chars(name.username)})"
        if name.form is not NameForm.UPN:
            return _PERSON.format(account_name)
        principal = f"(userPrincipalName={escape_filter_chars(str(name))})"
        if name.domain.casefold() == self._settings.dns_name.casefold():
            # Everybody has this one too, whatever the attribute says ([MS-ADTS] 5.1.1.1.1)
            return _PERSON.format(f"(|{principal}{account_name})")
        return _PERSON.format(principal)


def _lockout(entry: Entry | None, threshold: str, window: str) -> Lockout | None:
    if entry is None or not entry.text(threshold):
        return None
    return Lockout(entry.number(threshold), -entry.number(window) // _MINUTE)


def sid(raw: bytes) -> str:
    """The text form of a security identifier ([MS-DTYP] 2.4.2). Raises ValueError for anything else."""
    try:
        authority = int.from_bytes(raw[2:8], "big")
        return "-".join(map(str, ("S", raw[0], authority, *struct.unpack(f"<{raw[1]}I", raw[8:]))))
    except (IndexError, struct.error):
        raise ValueError("no security identifier") from None


def sid_octets(text: str) -> bytes:
    """The binary form, the inverse of `sid`."""
    revision, authority, *parts = (int(part) for part in text.split("-")[1:])
    return bytes([revision, len(parts)]) + authority.to_bytes(6, "big") + struct.pack(f"<{len(parts)}I", *parts)


def _groups(values: Iterable[bytes]) -> frozenset[str]:
    """Without what stands for a way to log on, or for the domain controller's own groups."""
    return frozenset(text for text in map(sid, values) if text.startswith(DOMAIN_SID_PREFIX))


def _is_bound(connection: LdapConnection, login_name: str) -> bool:
    identity = connection.who_am_i()
    if identity == "":
        raise LoginRefused("anonymous_bind")
    return (identity or "").casefold() == f"u:{login_name}".casefold()


def _escaped_sid(text: str) -> str:
    return "".join(f"\\{octet:02x}" for octet in sid_octets(text))


def _departure(entry: Entry, now: int) -> Departure | None:
    if entry.number("userAccountControl") & _DISABLED:
        return Departure.DISABLED
    expires = entry.number("accountExpires")
    if expires not in _NEVER and expires // _FILETIME_SECOND - _FILETIME_EPOCH <= now:
        return Departure.EXPIRED
    return None
