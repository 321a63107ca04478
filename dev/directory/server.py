"""The listening side: TLS, one thread a client, nothing a client sends can end more than its own session."""

import socket
import socketserver
import ssl
import threading
from pathlib import Path
from typing import Self

from . import ber
from .accounts import Accounts
from .certificates import Authority
from .session import Session, SessionEnded
from .tree import CONTOSO, Tree

MAX_MESSAGE = 1024 * 1024
_IDLE_SECONDS = 30.0


class EmbeddedDirectory:
    """A domain controller for development and tests, on a free port of 127.0.0.1 unless `port` names one.

    After `lockout_threshold` wrong passwords an account stays locked until `lockout_seconds` have passed
    without another one.
    """

    def __init__(
        self,
        authority: Authority,
        *,
        port: int = 0,
        people: Path = CONTOSO,
        tls: ssl.SSLContext | None = None,
        lockout_threshold: int = 5,
        lockout_seconds: float = 60.0,
    ) -> None:
        self.ca_pem = authority.pem
        self._tree = Tree.load(people)
        self._accounts = Accounts(self._tree, threshold=lockout_threshold, lockout_seconds=lockout_seconds)
        self._listener = _Listener(("127.0.0.1", port), self, tls or authority.server_context())
        self._thread = threading.Thread(target=self._listener.serve_forever, args=(0.05,), daemon=True)

    @property
    def url(self) -> str:
        return f"ldaps://localhost:{self._listener.server_address[1]}"

    @property
    def domain(self) -> str:
        """The NetBIOS name."""
        return self._tree.netbios_name

    @property
    def dns_name(self) -> str:
        return self._tree.dns_name

    @property
    def base_dn(self) -> str:
        return self._tree.base_dn

    def group(self, name: str) -> str:
        """The SID of a group. Raises KeyError."""
        return self._tree.sid_of_group(name)

    def session(self) -> Session:
        return Session(self._tree, self._accounts)

    def start(self) -> Self:
        self._thread.start()
        return self

    def stop(self) -> None:
        self._listener.shutdown()
        self._listener.server_close()
        self._thread.join()

    def __enter__(self) -> Self:
        return self.start()

    def __exit__(self, *_: object) -> None:
        self.stop()


class _Listener(socketserver.ThreadingTCPServer):
    daemon_threads = True
    allow_reuse_address = True

    def __init__(self, address: tuple[str, int], directory: EmbeddedDirectory, tls: ssl.SSLContext) -> None:
        self.directory = directory
        self.tls = tls
        super().__init__(address, _Client)


class _Client(socketserver.BaseRequestHandler):
    server: _Listener

    def handle(self) -> None:
        self.request.settimeout(_IDLE_SECONDS)
        self.request.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
        try:
            with self.server.tls.wrap_socket(self.request, server_side=True) as connection:
                self._converse(connection)
        except (SessionEnded, ber.Malformed, OSError, EOFError):
            return  # the client said good-bye, broke off, or spoke no LDAP over TLS

    def _converse(self, connection: socket.socket) -> None:
        session = self.server.directory.session()
        while True:
            for answer in session.answers(_message(connection)):
                connection.sendall(answer)


def _message(connection: socket.socket) -> ber.Element:
    """The next whole message. Raises EOFError, and Malformed also for one that is too long."""
    header = _octets(connection, 2)
    header += _octets(connection, ber.header_size(header) - 2)
    size = ber.content_size(header)
    if size > MAX_MESSAGE:
        raise ber.Malformed("message too long")
    return ber.Element(header[0], _octets(connection, size))


def _octets(connection: socket.socket, count: int) -> bytes:
    data = bytearray()
    while len(data) < count:
        piece = connection.recv(min(count - len(data), 65536))
        if not piece:
            raise EOFError
        data += piece
    return bytes(data)
