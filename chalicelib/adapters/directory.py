"""People log in with their Windows account: what is asked of which domain controller, and when no more.

How one of them is asked stands in `ldap_login`, the only module that knows ldap3. It is imported with the first
log-in, since it costs 60 ms that no other request should pay.
"""

import ssl
import time
import unicodedata
from collections.abc import Sequence
from functools import cached_property
from urllib.parse import urlsplit

from chalicelib.domain.errors import DirectoryUnavailable, LoginRefused
from chalicelib.domain.secret import Secret
from chalicelib.domain.user import LoginName, User

TOTAL_SECONDS = 10.0
"""For one log-in over all domain controllers; leaves the API gateway's 29 s untouched."""

MAX_PASSWORD = 256
_LDAPS_PORT = 636
_UNTYPABLE = ("Cc", "Cs")
"""Unicode categories: control characters (NUL ends a password in C), and halves of a character."""


class LdapDirectory:
    """Active Directory behind `ports.Directory`: one simple bind inside verified TLS, nothing kept in between.

    `domain` is its NetBIOS name, `urls` are `ldaps://host[:port]` in the order to try, `ca_pem` the trusted CA
    certificates (None: the system's), `base_dn` where people are searched (empty: the whole domain).

    Causes of LoginRefused: `foreign_domain`, `empty_password` and `malformed_password` without a bind;
    `bad_credentials`, `locked_out`, `disabled`, `account_expired`, `password_expired`, `must_change_password`,
    `logon_hours`, `workstation` or `sub_code_<hex>` from the domain controller; `anonymous_bind`, `no_entry`,
    `other_entry` when the bind did not prove who this is.
    """

    def __init__(self, domain: str, urls: Sequence[str], ca_pem: str | None, base_dn: str = "") -> None:
        self._domain = domain
        self._urls = tuple(urls)
        self._ca_pem = ca_pem
        self._base_dn = base_dn

    @cached_property
    def _tls(self) -> ssl.SSLContext:
        from .ldap_login import tls_context  # noqa: PLC0415 - see the module's text

        return tls_context(self._ca_pem)

    def authenticate(self, name: LoginName, password: Secret) -> User:
        """See `ports.Directory`. At most one bind for each domain controller, and none after an answer (R23-R27)."""
        if name.domain.casefold() != self._domain.casefold():
            raise LoginRefused("foreign_domain")
        check_password(password)
        return self._ask_in_turn(LoginName(self._domain, name.username), password)

    def _ask_in_turn(self, name: LoginName, password: Secret) -> User:
        from .ldap_login import ServerFailed, log_in  # noqa: PLC0415 - see the module's text

        deadline = time.monotonic() + TOTAL_SECONDS
        problems = []
        for url in self._urls:
            host, port = _address(url)
            try:
                return log_in(host, port, name, password, tls=self._tls, base_dn=self._base_dn, deadline=deadline)
            except ServerFailed as failure:
                problems.append(f"{host}:{port} {failure.problem}")
        raise DirectoryUnavailable(detail="; ".join(problems))


def check_password(password: Secret) -> None:
    """Raise LoginRefused for a password that must never reach a bind (R25).

    A bind without a password succeeds as nobody in particular (RFC 4513 5.1.2).
    """
    value = password.reveal()
    if not value.strip():
        raise LoginRefused("empty_password")
    if len(value) > MAX_PASSWORD or any(unicodedata.category(c) in _UNTYPABLE for c in value):
        raise LoginRefused("malformed_password")


def _address(url: str) -> tuple[str, int]:
    parts = urlsplit(url)
    return parts.hostname or "", parts.port or _LDAPS_PORT
