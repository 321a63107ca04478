"""Names of hosts and services, looked up within a time limit, which the system's own resolver does not have."""

import socket
import threading
from collections.abc import Callable
from concurrent.futures import Future
from typing import Any

from chalicelib.domain.directory import LDAPS_PORT, ServerAddress

from .ldap_faults import Fault, ServerFailed

_NAMED = 5
"""Hosts that the log names."""
_MOST = 2
"""Addresses of one host that are tried: each may cost a whole time-out."""


def resolve(host: str, seconds: float) -> list[str]:
    """The host's addresses, IPv4 first, at most two. Raises ServerFailed."""
    try:
        found = _within(seconds, lambda: socket.getaddrinfo(host, None, type=socket.SOCK_STREAM))
    except (OSError, UnicodeError, TimeoutError) as error:
        raise ServerFailed(Fault.NAME_NOT_RESOLVED, type(error).__name__) from None
    ordered = sorted(found, key=lambda answer: answer[0] != socket.AF_INET)
    return list(dict.fromkeys(str(answer[4][0]) for answer in ordered))[:_MOST]


def domain_controllers(dns_name: str, seconds: float) -> list[ServerAddress]:
    """The domain's controllers by priority and weight (RFC 2782, [MS-ADTS] 6.3.2.3), asked for LDAPS.

    Only hosts below `dns_name` count: who can forge an answer must not be able to name a host elsewhere for which
    some trusted authority would give a certificate. Raises ServerFailed.
    """
    import dns.exception  # noqa: PLC0415 - 40 ms that only directories without named servers pay
    import dns.resolver  # noqa: PLC0415

    try:
        answers = dns.resolver.resolve(f"_ldap._tcp.dc._msdcs.{dns_name}", "SRV", lifetime=seconds)
    except (dns.exception.DNSException, OSError) as error:
        raise ServerFailed(Fault.NO_SERVICE_RECORD, type(error).__name__) from None
    records = sorted(answers, key=lambda record: (record.priority, -record.weight))
    hosts = [str(record.target).rstrip(".").casefold() for record in records]
    own = [ServerAddress(host, LDAPS_PORT) for host in hosts if host.endswith(f".{dns_name.casefold()}")]
    if not own:
        raise ServerFailed(Fault.FOREIGN_SERVICE_RECORDS, " ".join(hosts[:_NAMED]))
    return own


def _within(seconds: float, look_up: Callable[[], Any]) -> Any:
    """Let a thread wait for what may never come. Raises TimeoutError."""
    result: Future[Any] = Future()

    def run() -> None:
        try:
            result.set_result(look_up())
        except BaseException as error:
            result.set_exception(error)

    threading.Thread(target=run, daemon=True).start()
    return result.result(seconds)
