"""Names of hosts and services: what the name server says is taken as far as it can be trusted, and not waited for."""

import socket
import time
from collections.abc import Callable

import dns.resolver
import pytest

from chalicelib.adapters.ldap_faults import Fault, ServerFailed
from chalicelib.adapters.names import domain_controllers, resolve
from tests.fakes.name_server import NameServer

QUESTION = "_ldap._tcp.dc._msdcs.contoso.example"


@pytest.fixture
def asking(monkeypatch: pytest.MonkeyPatch) -> Callable[[NameServer], None]:
    def ask(server: NameServer) -> None:
        resolver = dns.resolver.Resolver(configure=False)
        resolver.nameservers = ["127.0.0.1"]
        resolver.port = server.port
        monkeypatch.setattr(dns.resolver, "default_resolver", resolver)

    return ask


class TestDomainControllers:
    def test_by_priority_then_weight_asked_for_ldaps(self, asking):
        records = [
            (10, 100, 389, "dc3.contoso.example"),
            (0, 50, 389, "dc2.contoso.example"),
            (0, 100, 389, "DC1.contoso.example"),
        ]
        with NameServer({QUESTION: records}) as server:
            asking(server)
            found = domain_controllers("contoso.example", 5)
        assert [(address.host, address.port, address.start_tls) for address in found] == [
            ("dc1.contoso.example", 636, False),
            ("dc2.contoso.example", 636, False),
            ("dc3.contoso.example", 636, False),
        ]
        assert server.asked == [QUESTION]

    def test_r26_a_host_outside_the_domain_does_not_count(self, asking):
        elsewhere = ["dc.evil.example", "contoso.example.evil.example", "evilcontoso.example", "contoso.example"]
        records = [(0, 100, 389, host) for host in [*elsewhere, "dc1.contoso.example"]]
        with NameServer({QUESTION: records}) as server:
            asking(server)
            found = domain_controllers("Contoso.Example", 5)
        assert [address.host for address in found] == ["dc1.contoso.example"]

    def test_r26_hosts_outside_the_domain_only_are_told(self, asking):
        with NameServer({QUESTION: [(0, 100, 389, "dc.evil.example")]}) as server:
            asking(server)
            with pytest.raises(ServerFailed) as caught:
                domain_controllers("contoso.example", 5)
        assert (caught.value.fault, caught.value.detail) == (Fault.FOREIGN_SERVICE_RECORDS, "dc.evil.example")

    def test_no_record(self, asking):
        with NameServer({}) as server:
            asking(server)
            with pytest.raises(ServerFailed) as caught:
                domain_controllers("contoso.example", 5)
        assert caught.value.fault is Fault.NO_SERVICE_RECORD

    def test_f30_a_name_server_that_never_answers_is_not_waited_for(self, asking):
        with NameServer(None) as server:
            asking(server)
            started = time.monotonic()
            with pytest.raises(ServerFailed) as caught:
                domain_controllers("contoso.example", 0.3)
        assert caught.value.fault is Fault.NO_SERVICE_RECORD
        assert time.monotonic() - started < 5
        assert server.asked


class TestResolve:
    def test_no_more_than_two_addresses_and_ipv4_first(self, monkeypatch):
        answers = [
            (socket.AF_INET6, ("2001:db8::1", 0, 0, 0)),
            (socket.AF_INET, ("192.0.2.1", 0)),
            (socket.AF_INET, ("192.0.2.1", 0)),
            (socket.AF_INET, ("192.0.2.2", 0)),
        ]
        found = [(family, socket.SOCK_STREAM, 6, "", address) for family, address in answers]
        monkeypatch.setattr(socket, "getaddrinfo", lambda *_, **__: found)
        assert resolve("dc.contoso.example", 1) == ["192.0.2.1", "192.0.2.2"]

    def test_f30_a_resolver_that_hangs_is_not_waited_for(self, monkeypatch):
        monkeypatch.setattr(socket, "getaddrinfo", lambda *_, **__: time.sleep(1))
        with pytest.raises(ServerFailed) as caught:
            resolve("dc.contoso.example", 0.05)
        assert caught.value.fault is Fault.NAME_NOT_RESOLVED
