"""A server that answers LDAP by script, misbehaves on demand and keeps what it was sent."""

import contextlib
import socket
import ssl
import threading
import time
from collections.abc import Sequence
from typing import Self

from dev.directory.ber import ENUMERATED, SET, Malformed, encode, integer, octets, read, sequence

BIND, SEARCH_ENTRY, SEARCH_REFERENCE, SEARCH_DONE, EXTENDED = 0x61, 0x64, 0x73, 0x65, 0x78


def result(tag: int, code: int, message: str = "", *extra: bytes) -> bytes:
    return sequence([integer(code, ENUMERATED), octets(""), octets(message), *extra], tag)


def referral(tag: int, url: str) -> bytes:
    return result(tag, 10, "", sequence([octets(url)], 0xA3))


def who_am_i(identity: str) -> bytes:
    return result(EXTENDED, 0, "", octets(identity, 0x8B))


def entry(dn: str, **attributes: list[str | bytes]) -> bytes:
    fields = [sequence([octets(name), sequence(map(octets, values), SET)]) for name, values in attributes.items()]
    return sequence([octets(dn), sequence(fields)], SEARCH_ENTRY)


class ScriptedController:
    """Takes one connection after the other; each gets the same answers, one for each message, then silence.

    An answer is a list of operations, sent under the request's message id, or octets that are sent as they
    are. Without `tls` it speaks plain text. `drip` seconds pass between any two octets. With `start_tls`, the answer
    to the client's StartTLS, it speaks plain text until it has given that; `put_in` are octets that somebody on the
    way appends to it.
    """

    def __init__(
        self,
        tls: ssl.SSLContext | None,
        *answers: Sequence[bytes] | bytes,
        drip: float = 0.0,
        start_tls: Sequence[bytes] | None = None,
        put_in: bytes = b"",
    ) -> None:
        self._tls = tls
        self._start_tls = start_tls
        self._put_in = put_in
        self._answers = answers
        self._drip = drip
        self._listener = socket.create_server(("127.0.0.1", 0))
        self._thread = threading.Thread(target=self._serve, daemon=True)
        self.received = b""
        self.connections = 0

    @property
    def url(self) -> str:
        scheme = "ldaps" if self._start_tls is None else "ldap"
        return f"{scheme}://localhost:{self._listener.getsockname()[1]}"

    def __enter__(self) -> Self:
        self._thread.start()
        return self

    def __exit__(self, *_: object) -> None:
        self._listener.shutdown(socket.SHUT_RDWR)
        self._listener.close()
        self._thread.join(timeout=5)

    def _serve(self) -> None:
        with contextlib.suppress(OSError):
            while True:
                connection, _ = self._listener.accept()
                self.connections += 1
                connection.settimeout(5)
                with connection, contextlib.suppress(OSError):
                    self._converse(connection)

    def _converse(self, plain: socket.socket) -> None:
        if self._start_tls is not None:
            self.received += (request := plain.recv(65536))
            plain.sendall(_rendered(self._start_tls, request) + self._put_in)
        connection = self._tls.wrap_socket(plain, server_side=True) if self._tls else plain
        with connection:
            waiting = list(self._answers)
            while data := connection.recv(65536):
                self.received += data
                if waiting:
                    self._send(connection, _rendered(waiting.pop(0), data))

    def _send(self, connection: socket.socket, data: bytes) -> None:
        if not self._drip:
            connection.sendall(data)
            return
        for octet in data:
            connection.sendall(bytes([octet]))
            time.sleep(self._drip)


def _rendered(answer: Sequence[bytes] | bytes, request: bytes) -> bytes:
    if isinstance(answer, bytes):
        return answer
    try:
        message_id = read(request)[0].children()[0]
    except Malformed:
        return b""
    return b"".join(sequence([encode(*message_id), operation]) for operation in answer)
