"""One connection to one domain controller: open it inside verified TLS, bind, search, close.

The only module that imports ldap3 2.9.1, whose defaults are unsafe for a log-in: no certificate check, referrals
followed in clear text with the password, an anonymous bind where the user name is empty, time limits for single
reads only. No object of ldap3 leaves this module or is ever formatted: `repr(Connection)` shows the password.
"""

import contextlib
import re
import socket
import ssl
import struct
import time
import weakref
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from ldap3 import BASE, IP_V4_ONLY, IP_V6_ONLY, NONE, SAFE_SYNC, SIMPLE, SUBTREE, Connection, Server, Tls
from ldap3.core.exceptions import LDAPException
from ldap3.utils.conv import escape_filter_chars
from ldap3.utils.dn import escape_rdn

from chalicelib.domain.directory import ServerAddress
from chalicelib.domain.directory_report import StepName
from chalicelib.domain.secret import Secret
from chalicelib.domain.text import clean, named

from . import ldap_faults
from .ldap_faults import Fault, ServerFailed
from .names import resolve

__all__ = ["ALL", "Entry", "LdapConnection", "Limits", "escape_filter_chars", "escape_rdn", "tls_context"]

# RFC 4511 appendix A
_SUCCESS, _SIZE_LIMIT_EXCEEDED, _NO_SUCH_OBJECT, _INVALID_CREDENTIALS = 0, 4, 32, 49
_FAULTS = {
    3: Fault.INCOMPLETE_ANSWER,  # timeLimitExceeded
    8: Fault.STRONGER_AUTH_REQUIRED,
    13: Fault.STRONGER_AUTH_REQUIRED,  # confidentialityRequired
    _SIZE_LIMIT_EXCEEDED: Fault.INCOMPLETE_ANSWER,
    10: Fault.REFERRED,
    11: Fault.INCOMPLETE_ANSWER,  # adminLimitExceeded
    50: Fault.ACCESS_DENIED,
    51: Fault.BUSY,
    52: Fault.BUSY,
    80: Fault.BUSY,
}
ALL = 0
"""No limit of ours: an answer that ends at one of the server's is no answer."""
_ABOUT_THE_ACCOUNT = (16, 19, 48, 53)
"""Results of a bind that are about this account and not about the server: it has no password (48), or 389 Directory
Server has locked it (19) or made it inactive (53). Whoever types its name must not make the server look dead.
"""
_BAD_BINDINGS = "80090346"  # SEC_E_BAD_BINDINGS
_WHO_AM_I = "1.3.6.1.4.1.4203.1.11.3"  # RFC 4532
_SUB_CODE = re.compile(r"\bdata ([0-9a-f]{1,8})\b")

# What ldap3 raises when a server breaks off, or answers with something that is no LDAP
_BROKEN = (LDAPException, OSError, LookupError, TypeError, ValueError, struct.error)


class BindRefused(Exception):
    """The server refused this account. `sub_code` is Active Directory's, or empty; `result` mostly 49 (RFC 4511)."""

    def __init__(self, sub_code: str, result: int = _INVALID_CREDENTIALS) -> None:
        self.sub_code = sub_code
        self.result = result
        super().__init__(sub_code)

    @property
    def is_judged(self) -> bool:
        """Whether name and password were compared: else the server has counted no wrong password."""
        return self.result == _INVALID_CREDENTIALS

    @property
    def cause(self) -> str:
        """Why, where no sub-code says it better."""
        return "bad_credentials" if self.is_judged else f"result_{self.result}"

    def __str__(self) -> str:
        """As an administrator reads it."""
        return f"data {self.sub_code}" if self.sub_code else f"result {self.result}"


@dataclass(frozen=True, slots=True)
class Limits:
    """Seconds for a connection, for each answer, and the moment (`time.monotonic()`) when all must be over."""

    connect: float
    answer: int
    deadline: float

    def left(self, at_most: float) -> float:
        """Raises TimeoutError when there is no time left."""
        left = min(at_most, self.deadline - time.monotonic())
        if left <= 0:
            raise TimeoutError
        return left


@dataclass(frozen=True, slots=True)
class Entry:
    """One entry of the directory; values are octets, as the server sent them."""

    dn: str
    values: Mapping[str, Sequence[bytes]]

    def all(self, attribute: str) -> list[bytes]:
        return list(self.values.get(attribute) or [])

    def text(self, attribute: str) -> str:
        return next((value.decode() for value in self.all(attribute)), "")

    def shown(self, *attributes: str) -> str:
        """The first of these that shows anything, cleaned: for display only."""
        values = (clean(value.decode(errors="replace")) for name in attributes for value in self.all(name)[:1])
        return next(filter(None, values), "")

    def named(self, attribute: str) -> str:
        """What people and programs call somebody by; what is not seen in it becomes visible."""
        return named(next((value.decode(errors="replace") for value in self.all(attribute)), ""))

    def number(self, attribute: str) -> int:
        return int(self.text(attribute) or 0)


class _Impatient:
    """Gives every read only what is left: a server that drips octets cannot stretch a log-in."""

    limits: Limits

    def recv(self, buflen: int = 1024, flags: int = 0) -> bytes:
        self.settimeout(self.limits.left(self.limits.answer))  # type: ignore[attr-defined]
        return super().recv(buflen, flags)  # type: ignore[misc, no-any-return]


class _Socket(_Impatient, socket.socket):
    pass


class _TlsSocket(_Impatient, ssl.SSLSocket):
    pass


def tls_context(ca_pem: str | None) -> ssl.SSLContext:
    """Certificate and host name are checked. Reading the system's CAs takes 20 ms: keep it.

    Raises ServerFailed for what holds no certificate: Python would trust the system's CAs instead.
    """
    try:
        context = ssl.create_default_context(cadata=ca_pem if ca_pem is None else ca_pem or " ")
    except (ssl.SSLError, ValueError) as error:
        problem = getattr(error, "reason", None) or type(error).__name__
    else:
        context.sslsocket_class = _TlsSocket
        return context
    raise ServerFailed(Fault.CA_FILE_UNUSABLE, problem)


class _VerifiedTls(Tls):
    """ldap3's own does not send the server's name, waits 40 ms for Nagle's algorithm and, by default, trusts anyone."""

    def __init__(self, context: ssl.SSLContext, host: str, limits: Limits) -> None:
        super().__init__(validate=ssl.CERT_REQUIRED)
        self._context = context
        self._host = host
        self._limits = limits
        self.failure: ServerFailed | None = None

    def wrap_socket(self, connection: Connection, do_handshake: bool = False) -> None:  # noqa: ARG002 - ldap3's signature
        plain = connection.socket
        try:
            plain.settimeout(self._limits.left(self._limits.answer))
            connection.socket = self._context.wrap_socket(plain, server_hostname=self._host)
        except OSError as error:
            self.failure = ldap_faults.of_handshake(error, self._context)
            raise
        connection.socket.limits = self._limits


class LdapConnection:
    """An open connection. Nobody is bound until `bind`; nothing is bound a second time."""

    def __init__(self, connection: Connection, peer: str) -> None:
        self._connection = connection
        self.peer = peer
        # A thread that ends takes the connection along that it kept
        weakref.finalize(self, connection.socket.close)

    @classmethod
    @contextlib.contextmanager
    def open(cls, address: ServerAddress, tls: ssl.SSLContext, limits: Limits) -> Iterator["LdapConnection"]:
        """Connect with the certificate verified. Raises ServerFailed, also for what breaks inside the block."""
        opened = cls.connect(address, tls, limits)
        try:
            yield opened
        finally:
            opened.close()

    @classmethod
    def connect(cls, address: ServerAddress, tls: ssl.SSLContext, limits: Limits) -> "LdapConnection":
        """As `open`, for who closes it later."""
        plain = _connected(address, limits)
        peer = plain.getpeername()[0]
        verified = _VerifiedTls(tls, address.host, limits)
        connection = _connection(address, verified, plain, limits)
        try:
            connection.open(read_server_info=False)
            if address.start_tls:
                connection.start_tls(read_server_info=False)
            # ldap3 tells by a return value only that it did not even try
            if not isinstance(connection.socket, ssl.SSLSocket):
                raise ssl.SSLError("no TLS")
        except _BROKEN as error:
            failure = verified.failure or ServerFailed(_when_opening(address), type(error).__name__)
        else:
            return cls(connection, peer)
        plain.close()
        raise failure  # out here, so that no exception of ldap3 hangs on it

    def close(self) -> None:
        """Idempotent."""
        opened = self._connection.socket
        with contextlib.suppress(*_BROKEN):
            self._connection.unbind()
        if opened is not None:  # ldap3 forgets it when sending has failed
            opened.close()

    def allow(self, limits: Limits) -> None:
        """Set new limits on a connection that is used again."""
        self._connection.socket.limits = limits

    def certificate(self) -> Mapping[str, Any]:
        """The server's certificate, as `ssl.SSLSocket.getpeercert` tells it."""
        found: Mapping[str, Any] = self._connection.socket.getpeercert() or {}
        return found

    def bind(self, name: str, password: Secret) -> None:
        """Raises BindRefused when the server judged name and password, else ServerFailed."""
        if not name:
            raise BindRefused("")  # with an empty name any password binds, as nobody
        connection = self._connection
        connection.user = name
        connection.password = password.reveal().encode()  # str would be changed by SASLprep
        with _failures(was_asked=True):
            try:
                result = connection.bind(read_server_info=False)[1]
            finally:
                # Nothing later needs it, and a tool that shows local variables must not find it
                connection.password = None
        code = result["result"]
        if code == _INVALID_CREDENTIALS:
            found = _SUB_CODE.search(result["message"])
            sub_code = found[1] if found else ""
            if sub_code == _BAD_BINDINGS:
                raise ServerFailed(Fault.CHANNEL_BINDING, f"bind data {sub_code}")
            raise BindRefused(sub_code)
        if code in _ABOUT_THE_ACCOUNT:
            raise BindRefused("", code)
        _expect(code, "bind")

    def who_am_i(self) -> str | None:
        """The authorization identity (RFC 4532): empty for nobody, None where the server does not tell."""
        with _failures():
            _, result, _, _ = self._connection.extended(_WHO_AM_I)
            if result["result"] != _SUCCESS:
                return None
            return (result["responseValue"] or b"").decode()

    def read(self, dn: str, attributes: Sequence[str]) -> Entry | None:
        """One entry by its name; None when there is none."""
        found = self._search(dn, BASE, "(objectClass=*)", attributes, 1)
        return found[0] if found else None

    def find(self, base_dn: str, condition: str, attributes: Sequence[str], *, at_most: int = 2) -> list[Entry]:
        """Entries below `base_dn`, `at_most` so many; `condition` is a filter whose values are escaped.

        Raises ServerFailed for an answer that is not all of it: a limit of the server's, a referral.
        """
        found = self._search(base_dn, SUBTREE, condition, attributes, at_most)
        if found is None:
            raise ServerFailed(Fault.BASE_NOT_FOUND)
        return found

    def _search(
        self, base_dn: str, scope: Any, condition: str, attributes: Sequence[str], at_most: int
    ) -> list[Entry] | None:
        """Without the references that a search from the domain's root brings along. None: no such base."""
        with _failures():
            _, result, response, _ = self._connection.search(
                base_dn, condition, scope, attributes=list(attributes), size_limit=at_most
            )
        code = result["result"]
        if code == _NO_SUCH_OBJECT:
            return None
        entries = [Entry(e["dn"], e["raw_attributes"]) for e in response or () if e["type"] == "searchResEntry"]
        # Our own limit, and no smaller one of the server's, only when as many came as were asked for
        if not (code == _SIZE_LIMIT_EXCEEDED and ALL < at_most <= len(entries)):
            _expect(code, "search")
        return entries


def _connected(address: ServerAddress, limits: Limits) -> _Socket:
    """A TCP connection to the first of the host's addresses that takes one."""
    failure = ServerFailed(Fault.NAME_NOT_RESOLVED)
    for host in resolve(address.host, limits.connect):
        family = socket.AF_INET6 if ":" in host else socket.AF_INET
        plain = _Socket(family, socket.SOCK_STREAM)
        try:
            plain.settimeout(limits.left(limits.connect))
            plain.connect((host, address.port))
        except OSError as error:
            plain.close()
            failure = ldap_faults.of_connection(error)
            continue
        plain.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
        plain.limits = limits
        return plain
    raise failure


def _connection(address: ServerAddress, tls: Tls, plain: _Socket, limits: Limits) -> Connection:
    """ldap3's connection on our socket. The server is a new one each time: a kept one calls itself dead for seconds."""
    peer = plain.getpeername()[0]
    mode = IP_V6_ONLY if plain.family == socket.AF_INET6 else IP_V4_ONLY
    server = Server(peer, address.port, use_ssl=not address.start_tls, tls=tls, get_info=NONE, mode=mode)
    connection = Connection(
        server,
        authentication=SIMPLE,
        client_strategy=SAFE_SYNC,
        auto_referrals=False,
        check_names=False,  # the server judges names; ldap3 refuses `OU=People, DC=contoso` for its blank
        read_only=True,
        receive_timeout=limits.answer,
    )
    connection.strategy._open_socket = lambda *_, **__: _adopt(connection, plain)
    return connection


def _adopt(connection: Connection, plain: _Socket) -> None:
    connection.socket = plain
    if connection.server.ssl:
        connection.server.tls.wrap_socket(connection, do_handshake=True)
    connection.closed = False


def _when_opening(address: ServerAddress) -> Fault:
    return Fault.START_TLS_REFUSED if address.start_tls else Fault.BROKEN_OFF


@contextlib.contextmanager
def _failures(*, was_asked: bool = False) -> Iterator[None]:
    """Translate what ldap3 and the socket raise; no exception of theirs hangs on ours."""
    try:
        yield
    except TimeoutError:
        failure = ServerFailed(Fault.SLOW, was_asked=was_asked)
    except _BROKEN as error:
        is_late = "Timeout" in type(error).__name__ or "timed out" in str(error)
        failure = ServerFailed(Fault.SLOW if is_late else Fault.BROKEN_OFF, type(error).__name__, was_asked=was_asked)
    else:
        return
    raise failure


def _expect(code: int, act: str) -> None:
    if code != _SUCCESS:
        step = StepName.BIND if act == "bind" else None
        raise ServerFailed(_FAULTS.get(code, Fault.UNUSABLE_ANSWER), f"{act} result {code}", step=step)
