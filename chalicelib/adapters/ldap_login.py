"""One log-in at one domain controller: connect, bind once, read on the same connection who that is.

The only module that imports ldap3 2.9.1, whose defaults are unsafe for a log-in: no certificate check, referrals
followed in clear text with the password, an anonymous bind where the user name is empty, time limits for single
reads only. No object of ldap3 is ever formatted: `repr(Connection)` shows the password.
"""

import contextlib
import re
import socket
import ssl
import struct
import time
from collections.abc import Iterable, Iterator, Mapping
from typing import Any

from ldap3 import BASE, IP_V4_PREFERRED, NONE, SAFE_SYNC, SIMPLE, SUBTREE, Connection, Server, Tls
from ldap3.core.exceptions import LDAPException
from ldap3.utils.conv import escape_filter_chars

from chalicelib.domain.errors import LoginRefused
from chalicelib.domain.secret import Secret
from chalicelib.domain.user import LoginName, User

CONNECT_SECONDS = 2.0
ANSWER_SECONDS = 3  # ldap3 passes it to struct.pack: a float would raise struct.error

_SUCCESS, _SIZE_LIMIT_EXCEEDED, _INVALID_CREDENTIALS = 0, 4, 49  # RFC 4511 appendix A
_WHO_AM_I = "1.3.6.1.4.1.4203.1.11.3"  # RFC 4532
_SUB_CODE = re.compile(r"\bdata ([0-9a-f]{1,8})\b")

# What ldap3 raises when a server breaks off, or answers with something that is no LDAP
_BROKEN = (LDAPException, OSError, LookupError, TypeError, ValueError, struct.error)

_EXPIRED = "Your password has expired or must be changed. Change it in Windows, then log in here."
_CLOSED_ACCOUNT = "This account cannot log in. Please contact your administrator."
_NOT_NOW = "Logging in is not allowed at this time or from here."

# Sub-codes of result 49. Those with a sentence of their own come after the right password only, so that it tells
# nobody which accounts exist (R29); 775 comes with any password.
_REFUSALS: Mapping[str, tuple[str, str | None]] = {
    "525": ("bad_credentials", None),
    "52e": ("bad_credentials", None),
    "530": ("logon_hours", _NOT_NOW),
    "531": ("workstation", _NOT_NOW),
    "532": ("password_expired", _EXPIRED),
    "533": ("disabled", _CLOSED_ACCOUNT),
    "701": ("account_expired", _CLOSED_ACCOUNT),
    "773": ("must_change_password", _EXPIRED),
    "775": ("locked_out", None),
}


class ServerFailed(Exception):
    """This server said nothing about the password; another one may. `problem` is for the log."""

    def __init__(self, problem: str) -> None:
        self.problem = problem
        super().__init__(problem)


class _DeadlineSocket(ssl.SSLSocket):
    """Gives every read only what is left: a server that drips octets cannot stretch a log-in."""

    deadline: float

    def recv(self, buflen: int = 1024, flags: int = 0) -> bytes:
        self.settimeout(min(ANSWER_SECONDS, _left(self.deadline)))
        return super().recv(buflen, flags)


def tls_context(ca_pem: str | None) -> ssl.SSLContext:
    """Certificate and host name are checked. Reading the system's CAs takes 20 ms: keep it."""
    context = ssl.create_default_context(cadata=ca_pem)
    context.sslsocket_class = _DeadlineSocket
    return context


class _VerifiedTls(Tls):
    """ldap3's own does not send the server's name, waits 40 ms for Nagle's algorithm and, by default, trusts anyone."""

    def __init__(self, context: ssl.SSLContext, deadline: float) -> None:
        super().__init__(validate=ssl.CERT_REQUIRED)
        self._context = context
        self._deadline = deadline
        self.problem = ""

    def wrap_socket(self, connection: Connection, do_handshake: bool = False) -> None:  # noqa: ARG002 - ldap3's signature
        plain = connection.socket
        plain.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
        plain.settimeout(min(ANSWER_SECONDS, _left(self._deadline)))
        try:
            connection.socket = self._context.wrap_socket(plain, server_hostname=connection.server.host)
        except ssl.SSLCertVerificationError as error:
            self.problem = f"certificate: {error.verify_message}"
            raise
        connection.socket.deadline = self._deadline


def _left(deadline: float) -> float:
    """Seconds until then. Raises TimeoutError when there are none."""
    left = deadline - time.monotonic()
    if left <= 0:
        raise TimeoutError
    return left


def log_in(
    host: str, port: int, name: LoginName, password: Secret, *, tls: ssl.SSLContext, base_dn: str, deadline: float
) -> User:
    """Bind and read. `deadline` is in seconds of `time.monotonic()`. Raises LoginRefused, ServerFailed."""
    verified = _VerifiedTls(tls, deadline)
    try:
        with _connected(_server(host, port, verified, deadline), name, password) as connection:
            _bind(connection)
            return IdentityReader(connection, name.domain).user(name.username, base_dn)
    except _BROKEN as error:
        problem = verified.problem or type(error).__name__
    raise ServerFailed(problem)  # out here, so that no exception of ldap3 hangs on it


def _server(host: str, port: int, tls: Tls, deadline: float) -> Server:
    """A new one for each log-in: after one failure a kept one calls itself dead for seconds, for all threads."""
    seconds = min(CONNECT_SECONDS, _left(deadline))
    return Server(host, port, use_ssl=True, tls=tls, get_info=NONE, mode=IP_V4_PREFERRED, connect_timeout=seconds)


@contextlib.contextmanager
def _connected(server: Server, name: LoginName, password: Secret) -> Iterator[Connection]:
    connection = Connection(
        server,
        user=str(name),
        password=password.reveal().encode(),  # type: ignore[arg-type]  # str would be changed by SASLprep
        authentication=SIMPLE,
        client_strategy=SAFE_SYNC,
        auto_referrals=False,
        check_names=False,  # the server judges names; ldap3 refuses `OU=People, DC=contoso` for its blank
        read_only=True,
        receive_timeout=ANSWER_SECONDS,
    )
    try:
        yield connection
    finally:
        with contextlib.suppress(*_BROKEN):
            connection.unbind()
        if connection.socket is not None:  # ldap3 forgets it when opening or sending has failed
            connection.socket.close()


def _bind(connection: Connection) -> None:
    try:
        result = connection.bind(read_server_info=False)[1]
    finally:
        connection.password = None  # nothing later needs it, and a tool that shows local variables must not find it
    if result["result"] == _INVALID_CREDENTIALS:
        raise _refusal(result["message"])
    if result["result"] != _SUCCESS:
        raise ServerFailed(f"bind result {result['result']}")


def _refusal(message: str) -> LoginRefused:
    found = _SUB_CODE.search(message)
    if found is None:
        return LoginRefused("bad_credentials")
    sub_code = found[1]
    return LoginRefused(*_REFUSALS.get(sub_code, (f"sub_code_{sub_code}", None)))


class IdentityReader:
    """Reads who is bound, and accepts an entry only with proof that it is the bound one (R24)."""

    def __init__(self, connection: Connection, domain: str) -> None:
        self._connection = connection
        self._domain = domain

    def user(self, username: str, base_dn: str) -> User:
        """Raises LoginRefused when the bind was anonymous, or the entry is not the one that was bound."""
        identity = self._who_am_i()
        root = self._search("", BASE, "(objectClass=*)", ["tokenGroups", "defaultNamingContext"])[0]
        entry = self._entry(base_dn or _text(root, "defaultNamingContext"), username)
        sid, account_name = _sids(entry, "objectSid")[0], _text(entry, "sAMAccountName")
        login_name = f"{self._domain}\\{account_name}"
        token = _sids(root, "tokenGroups")
        if token:
            proven = sid in token
        else:  # a directory that does not tell the connection's own token
            proven = identity.casefold() == f"u:{login_name}".casefold()
            token = self._token_of(entry)
        if not proven:
            raise LoginRefused("other_entry")
        name = _text(entry, "displayName") or account_name
        return User(sid, login_name, name, _text(entry, "mail"), frozenset(token) - {sid})

    def _who_am_i(self) -> str:
        """The authorization identity; empty where the directory does not know the operation."""
        _, result, _, _ = self._connection.extended(_WHO_AM_I)
        if result["result"] != _SUCCESS:
            return ""
        identity = (result["responseValue"] or b"").decode()
        if not identity:
            raise LoginRefused("anonymous_bind")
        return identity

    def _entry(self, base_dn: str, username: str) -> Mapping[str, Any]:
        condition = f"(&(objectClass=user)(sAMAccountName={escape_filter_chars(username)}))"
        attributes = ["objectSid", "sAMAccountName", "displayName", "mail"]
        entries = self._search(base_dn, SUBTREE, condition, attributes)
        if len(entries) != 1:
            raise LoginRefused("no_entry", _CLOSED_ACCOUNT)
        return entries[0]

    def _token_of(self, entry: Mapping[str, Any]) -> list[str]:
        return _sids(self._search(entry["dn"], BASE, "(objectClass=*)", ["tokenGroups"])[0], "tokenGroups")

    def _search(self, base_dn: str, scope: Any, condition: str, attributes: list[str]) -> list[Mapping[str, Any]]:
        """At most two entries, without the references that a search from the domain's root brings along."""
        _, result, response, _ = self._connection.search(base_dn, condition, scope, attributes=attributes, size_limit=2)
        if result["result"] not in (_SUCCESS, _SIZE_LIMIT_EXCEEDED):
            raise ServerFailed(f"search result {result['result']}")
        return [found for found in response if found["type"] == "searchResEntry"]


def _text(entry: Mapping[str, Any], attribute: str) -> str:
    values: Iterable[bytes] = entry["raw_attributes"][attribute]
    return next((value.decode() for value in values), "")


def _sids(entry: Mapping[str, Any], attribute: str) -> list[str]:
    return [_sid(value) for value in entry["raw_attributes"][attribute]]


def _sid(raw: bytes) -> str:
    """The text form of a security identifier ([MS-DTYP] 2.4.2)."""
    authority = int.from_bytes(raw[2:8], "big")
    return "-".join(map(str, ("S", raw[0], authority, *struct.unpack(f"<{raw[1]}I", raw[8:]))))
