"""A name server on loopback that knows some service records, or misbehaves."""

import contextlib
import socket
import threading
from collections.abc import Mapping
from typing import Self

import dns.flags
import dns.message
import dns.rcode
import dns.rrset

Record = tuple[int, int, int, str]
"""Priority, weight, port, target (RFC 2782)."""


class NameServer:
    """Answers over UDP. `records` are service records by name; None: it takes questions and never answers."""

    def __init__(self, records: Mapping[str, list[Record]] | None) -> None:
        self._records = records
        self._socket = socket.socket(socket.AF_INET, socket.SOCK_DGRAM)
        self._socket.bind(("127.0.0.1", 0))
        self._thread = threading.Thread(target=self._serve, daemon=True)
        self.asked: list[str] = []

    @property
    def port(self) -> int:
        return int(self._socket.getsockname()[1])

    def __enter__(self) -> Self:
        self._thread.start()
        return self

    def __exit__(self, *_: object) -> None:
        with contextlib.suppress(OSError):
            self._socket.shutdown(socket.SHUT_RDWR)
        self._socket.close()
        self._thread.join(timeout=5)

    def _serve(self) -> None:
        with contextlib.suppress(OSError):
            while True:
                data, sender = self._socket.recvfrom(4096)
                if data:
                    self._answer(dns.message.from_wire(data), sender)

    def _answer(self, query: dns.message.Message, sender: tuple[str, int]) -> None:
        name = str(query.question[0].name).rstrip(".").lower()
        self.asked.append(name)
        if self._records is None:
            return
        answer = dns.message.make_response(query)
        answer.flags |= dns.flags.AA
        found = self._records.get(name)
        if found is None:
            answer.set_rcode(dns.rcode.NXDOMAIN)
        else:
            texts = [f"{priority} {weight} {port} {target}." for priority, weight, port, target in found]
            answer.answer.append(dns.rrset.from_text(query.question[0].name, 60, "IN", "SRV", *texts))
        self._socket.sendto(answer.to_wire(), sender)
