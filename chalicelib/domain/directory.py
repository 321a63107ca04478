"""One directory as an administrator describes it: who is asked, how, and what its people may do."""

import re
from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from enum import StrEnum
from typing import Any, Self
from urllib.parse import urlsplit

from .description import InvalidDescription, from_mapping, require, setting
from .distinguished_name import folded_dn, is_dn
from .throttle import Budget, Lockout

_DOMAIN = re.compile(r"[A-Za-z0-9][A-Za-z0-9-]{0,14}\Z")
_DNS_NAME = re.compile(
    r"(?=.{1,253}\Z)[A-Za-z0-9]([A-Za-z0-9-]*[A-Za-z0-9])?(\.[A-Za-z0-9]([A-Za-z0-9-]*[A-Za-z0-9])?)*\Z"
)
DOMAIN_SID_PREFIX = "S-1-5-21-"
"""Of a domain's own accounts and groups. Built-in groups belong to each computer, and mean nothing here."""
_SID = re.compile(r"S-1-5-21(-[0-9]{1,10}){4}\Z")
_CLAIMED_GROUP = re.compile(r"(group|role|domain|email|user):\S.{0,255}\Z")
_FOLDED = ("domain:", "email:")
_MAX_SERVERS = 5
_LONGEST_TOTAL = 25
LDAPS_PORT, LDAP_PORT = 636, 389


class DirectoryKind(StrEnum):
    """A preset: which attributes name and identify people, and how groups are found."""

    ACTIVE_DIRECTORY = "active-directory"
    OPENLDAP = "openldap"


class NameForm(StrEnum):
    """How people may write who they are."""

    DOMAIN = "domain"
    UPN = "upn"
    PLAIN = "plain"


@dataclass(frozen=True, slots=True)
class ServerAddress:
    """Where a domain controller listens. `host` is the name its certificate must have."""

    host: str
    port: int
    start_tls: bool = False

    @classmethod
    def parse(cls, url: str) -> Self:
        """`ldaps://host[:port]`, or `ldap://host[:port]`, which always means StartTLS. Raises ValueError."""
        parts = urlsplit(url)
        if parts.scheme not in ("ldaps", "ldap") or not parts.hostname or parts.path.strip("/") or parts.query:
            raise ValueError(f"{url!r} is not of the form ldaps://host or ldap://host")
        start_tls = parts.scheme == "ldap"
        return cls(parts.hostname, parts.port or (LDAP_PORT if start_tls else LDAPS_PORT), start_tls)

    def __str__(self) -> str:
        return f"{'ldap' if self.start_tls else 'ldaps'}://{self.host}:{self.port}"


@dataclass(frozen=True, slots=True, kw_only=True)
class DirectorySettings:
    """What `VAULT_DIRECTORIES` says of one directory. Certificates are always verified, referrals never followed."""

    domain: str = setting("NetBIOS name of the Windows domain, the part before the backslash.")
    kind: str = setting("`active-directory`, or `openldap` for OpenLDAP and 389 Directory Server.", "active-directory")
    dns_name: str = setting(
        "DNS name of the domain. Needed to find domain controllers by DNS, and for user principal names.", ""
    )
    servers: tuple[str, ...] = setting(
        "Domain controllers in the order to try, one to five: `ldaps://host[:636]`, or `ldap://host[:389]`, which "
        "always uses StartTLS. None: found by the DNS service record `_ldap._tcp.dc._msdcs.<dns_name>`.",
        (),
    )
    ca_file: str = setting("File with the CA certificates (PEM) of the domain controllers. Empty: the system's.", "")
    base_dn: str = setting("Where people are searched. Empty: the domain's own root, which the directory tells.", "")
    service_account: str = setting(
        "Who reads the directory for the vault: `DOMAIN\\name` (or a DN). Empty: only people themselves do, at log-in; "
        "then leavers and changed groups are noticed at the next log-in only.",
        "",
    )
    service_secret: str = setting("Name or ARN of the secret in Secrets Manager that holds its password.", "")
    user_dn: str = setting(
        "For `openldap` without a service account: the DN to log in with, `{name}` being the user name. "
        "For example `uid={name},ou=people,dc=contoso,dc=com`.",
        "",
    )
    user_name_forms: tuple[str, ...] = setting(
        "How people may write their name: `domain` (`DOMAIN\\USERNAME`), `upn` (`user@dns.name`), `plain` (`user`). "
        "The last two need a service account.",
        ("domain",),
    )
    upn_suffixes: tuple[str, ...] = setting("Further DNS names that user principal names of this domain end with.", ())
    allowed_groups: tuple[str, ...] = setting(
        "Groups, by SID or DN, whose members may use the vault, nested ones included. None: everybody in the "
        "directory may.",
        (),
    )
    administrator_groups: tuple[str, ...] = setting(
        "Groups, by SID or DN, whose members administrate the vault, nested ones included. None: nobody does.", ()
    )
    group_search: bool = setting(
        "For `openldap`: find groups by a search for the member, nested ones included, where `memberOf` is not kept.",
        False,
    )
    connect_seconds: int = setting("How long to wait for a connection to one server.", 2)
    answer_seconds: int = setting("How long to wait for each answer.", 3)
    total_seconds: int = setting("How long one log-in may take over all servers, at most 25.", 10)
    lockout_threshold: int = setting(
        "After how many wrong passwords the directory locks an account; 0: never. The vault stops asking two before.", 5
    )
    lockout_minutes: int = setting("How long the directory remembers wrong passwords.", 30)

    @classmethod
    def from_mapping(cls, described: Mapping[str, Any]) -> Self:
        """Read one description. Raises InvalidDescription for the first key that is unknown, missing or wrong."""
        return from_mapping(cls, described)

    def __post_init__(self) -> None:
        self._check_names()
        self._check_servers()
        self._check_readers()
        self._check_groups()
        self._check_numbers()

    @property
    def addresses(self) -> tuple[ServerAddress, ...]:
        """The servers that are named; none when DNS tells them."""
        return tuple(ServerAddress.parse(url) for url in self.servers)

    @property
    def can_look_up(self) -> bool:
        """True when a service account can find people before, and long after, they log in."""
        return bool(self.service_account)

    def written(self, key: str) -> str:
        """How these settings write the group with this key; empty where they name none."""
        named = (*self.allowed_groups, *self.administrator_groups)
        return next((group for group in named if group_key(group) == key), "")

    def knows_group(self, key: str) -> bool:
        """Whether members of the group with this folded DN have that DN among their groups, without any look-up.

        Groups of OpenLDAP are known by their DN; of Active Directory's only those that the settings name so.
        """
        return bool(self.written(key)) or (self.kind == DirectoryKind.OPENLDAP and not self.can_look_up)

    @property
    def budget(self) -> Budget:
        """How often one account may be tried here, as far as the settings know."""
        return self.budget_under()

    def budget_under(self, *policies: Lockout) -> Budget:
        """How often an account may be tried that these policies of the directory are about, too."""
        return Budget.under(Lockout(self.lockout_threshold, self.lockout_minutes), *policies)

    def allows(self, form: NameForm) -> bool:
        return form.value in self.user_name_forms

    def owns_suffix(self, suffix: str) -> bool:
        """Whether a user principal name that ends with `@suffix` may belong to this directory."""
        return suffix.casefold() in {name.casefold() for name in (self.dns_name, *self.upn_suffixes) if name}

    def _check_names(self) -> None:
        require(bool(_DOMAIN.match(self.domain)), "domain", "a NetBIOS name has 1 to 15 letters, digits and hyphens")
        require(self.kind in set(DirectoryKind), "kind", "is neither active-directory nor openldap")
        for key, names in (
            ("dns_name", (self.dns_name,) if self.dns_name else ()),
            ("upn_suffixes", self.upn_suffixes),
        ):
            require(all(_DNS_NAME.match(name) for name in names), key, "is not a DNS name")
        require(set(self.user_name_forms) <= set(NameForm), "user_name_forms", "knows domain, upn and plain only")
        require(bool(self.user_name_forms), "user_name_forms", "names no form, so nobody could log in")

    def _check_servers(self) -> None:
        try:
            _ = self.addresses
        except ValueError as error:
            raise InvalidDescription("servers", str(error)) from None
        require(len(self.servers) <= _MAX_SERVERS, "servers", "at most five are tried")
        require(bool(self.servers or self.dns_name), "servers", "none is named, and no dns_name to find them by")

    def _check_readers(self) -> None:
        has_account, has_secret = bool(self.service_account), bool(self.service_secret)
        require(has_account == has_secret, "service_secret", "service_account and service_secret belong together")
        needs = {NameForm.UPN.value, NameForm.PLAIN.value} & set(self.user_name_forms)
        require(has_account or not needs, "user_name_forms", "upn and plain need a service_account")
        if self.kind == DirectoryKind.OPENLDAP:
            require(has_account or "{name}" in self.user_dn, "user_dn", "needs {name}, or a service_account instead")

    def _check_groups(self) -> None:
        for key, groups in (
            ("allowed_groups", self.allowed_groups),
            ("administrator_groups", self.administrator_groups),
        ):
            require(all(_SID.match(g) or is_dn(g) for g in groups), key, "groups of the domain are named by SID or DN")

    def _check_numbers(self) -> None:
        for key in ("connect_seconds", "answer_seconds", "total_seconds", "lockout_minutes"):
            require(getattr(self, key) >= 1, key, "must be 1 or more")
        require(self.total_seconds <= _LONGEST_TOTAL, "total_seconds", "the gateway gives up at 29: at most 25")
        require(
            self.lockout_threshold == 0 or self.lockout_threshold > 2,  # noqa: PLR2004 - two tries stay outside the vault
            "lockout_threshold",
            "with 1 or 2 the vault could not try once without the risk of a lock-out",
        )


def user_name_hint(directories: Iterable[DirectorySettings]) -> str:
    """How people may write their name here, for the log-in form."""
    forms = {form for one in directories for form in one.user_name_forms}
    words = {NameForm.DOMAIN: "DOMAIN\\USERNAME", NameForm.UPN: "user@company.com", NameForm.PLAIN: "user name alone"}
    return " or ".join(word for form, word in words.items() if form.value in forms)


def is_group(text: str) -> bool:
    """Whether this can name a group: its SID in a domain, its distinguished name, or one that an id_token claims."""
    return _SID.match(text) is not None or is_dn(text) or is_claimed_group(text)


def is_claimed_group(text: str) -> bool:
    """Whether this names a group or role of an id_token's claims, or what is verified there of a person."""
    return _CLAIMED_GROUP.match(text) is not None


@dataclass(frozen=True, slots=True)
class Group:
    """A group by its key among `User.groups`, and by its name as the directory writes it where that could be asked."""

    key: str
    name: str


def group_key(group: str) -> str:
    """How a group that a setting names appears among `User.groups`: its SID, or its DN folded. Of what an id_token
    claims, domains and addresses are casefolded; groups, roles and ids are compared as they are.
    """
    if group.startswith(_FOLDED):
        return group.casefold()
    return folded_dn(group) if is_dn(group) else group


def stored_group_key(key: str) -> str:
    """A key as it was stored. Before names were compared as names, one group could have several."""
    if is_claimed_group(key):
        return key
    return folded_dn(key) if "\\" in key or not key.isascii() else key
