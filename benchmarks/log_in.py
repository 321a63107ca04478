"""`python -m benchmarks.log_in`: one log-in against Samba's AD DC and slapd, and the sweep over people who may leave.

Beside it, in the same run and interleaved: ldap3 as it comes (a bind alone, over LDAPS, certificate unchecked), and a
bind alone with a kept TLS context and TCP_NODELAY, below which no log-in can be. Needs Debian's samba and slapd.
"""

import socket
import ssl
import statistics
import tempfile
import time
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any

import ldap3

from chalicelib.adapters.directory import Directories
from chalicelib.domain.directory import ServerAddress
from chalicelib.domain.user import User
from dev.directory import Authority
from tests.directories.people import Person
from tests.directories.samba import SambaController
from tests.directories.slapd import OpenLdap
from tests.directories.vault import contoso, contoso_with_service, directories, example, log_in

ROUNDS = 31
PEOPLE = 1000


class KeptTls(ldap3.Tls):
    """What ldap3 lacks: a context that is made once, the server's name, no waiting for Nagle's algorithm."""

    def __init__(self, ca_pem: str) -> None:
        super().__init__(validate=ssl.CERT_REQUIRED)
        self._context = ssl.create_default_context(cadata=ca_pem)

    def wrap_socket(self, connection: Any, do_handshake: bool = False) -> None:  # noqa: ARG002 - ldap3's signature
        connection.socket.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
        connection.socket = self._context.wrap_socket(connection.socket, server_hostname=connection.server.host)


def bind(samba: SambaController, tls: ldap3.Tls) -> Callable[[], None]:
    address = ServerAddress.parse(samba.ldaps_url)

    def once() -> None:
        server = ldap3.Server(address.host, address.port, use_ssl=True, tls=tls, get_info=ldap3.NONE)
        connection = ldap3.Connection(
            server,
            "CONTOSO\\alice",
            samba.passwords["alice"].encode(),
            authentication=ldap3.SIMPLE,
            client_strategy=ldap3.SAFE_SYNC,
        )
        if not connection.bind()[0]:
            raise SystemExit("the bind failed")
        connection.unbind()

    return once


def vault(of: Directories, name: str, password: str) -> Callable[[], None]:
    def once() -> None:
        log_in(of, name, password)

    return once


def measure(jobs: dict[str, Callable[[], None]]) -> dict[str, tuple[float, float]]:
    """Median milliseconds of wall and CPU time, the jobs interleaved."""
    taken: dict[str, list[tuple[float, float]]] = {name: [] for name in jobs}
    for _ in range(ROUNDS):
        for name, job in jobs.items():
            wall, cpu = time.perf_counter(), time.process_time()
            job()
            taken[name].append((time.perf_counter() - wall, time.process_time() - cpu))
    return {
        name: (statistics.median(w for w, _ in pairs) * 1000, statistics.median(c for _, c in pairs) * 1000)
        for name, pairs in taken.items()
    }


def sweep(of: Directories, people: Sequence[User]) -> tuple[float, float]:
    """Seconds that asking about 10,000 people takes: whether they are there, and then all their groups too."""
    started = time.perf_counter()
    standings = of.standings(people)
    standing = time.perf_counter() - started
    for user in people[:100]:
        of.groups(user, standings[user.id])
    groups = (time.perf_counter() - started - standing) / 100
    return standing * 10_000 / len(people), groups * 10_000


def main() -> None:
    folder, authority = Path(tempfile.mkdtemp()), Authority("Benchmark CA")
    with (
        SambaController(folder / "dc", "CONTOSO", "contoso.test", authority) as samba,
        OpenLdap(folder / "slapd", authority) as openldap,
    ):
        service = directories(contoso_with_service(samba))
        password = samba.passwords["alice"]
        results = measure(
            {
                "ldap3 as it comes, a bind alone": bind(samba, ldap3.Tls(validate=ssl.CERT_NONE)),
                "kept TLS context, a bind alone (floor)": bind(samba, KeptTls(samba.ca_pem)),
                "log-in, the person's own bind": vault(directories(contoso(samba)), "CONTOSO\\alice", password),
                "the same over StartTLS": vault(
                    directories(contoso(samba, servers=(samba.starttls_url,))), "CONTOSO\\alice", password
                ),
                "log-in, looked up by a service account": vault(service, "CONTOSO\\alice", password),
                "log-in at slapd": vault(directories(example(openldap)), "EXAMPLE\\alice", openldap.passwords["alice"]),
            }
        )
        floor = results["kept TLS context, a bind alone (floor)"]
        print("| what | wall ms | CPU ms | wall to the floor |\n|---|---|---|---|")
        for name, (wall, cpu) in results.items():
            print(f"| {name} | {wall:.1f} | {cpu:.1f} | {wall / floor[0]:.2f} |")
        for number in range(PEOPLE):
            samba.add(Person(f"many{number}", f"Many {number}"))
        people = [
            User(samba.sid(f"many{number}"), f"CONTOSO\\many{number}", f"Many {number}") for number in range(PEOPLE)
        ]
        standing, groups = sweep(service, people)
        print(f"\nA round over 10,000 people: {standing:.1f} s. Groups, of those who may be signed in: {groups:.1f} s.")


if __name__ == "__main__":
    main()
