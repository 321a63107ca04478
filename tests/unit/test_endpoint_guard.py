"""Where the vault connects to, and where it does not (R49)."""

import socket
import ssl
import threading
from collections.abc import Iterator
from http.server import BaseHTTPRequestHandler, HTTPServer
from ipaddress import ip_address
from pathlib import Path
from typing import Any

import pytest
import requests

from chalicelib.adapters.cloud_transport import CONNECT_SECONDS, CloudTransport
from chalicelib.adapters.endpoint_guard import EndpointGuard
from chalicelib.domain.errors import CloudMisconfigured, CloudUnavailable
from tests.fakes.certificates import certificate
from tests.fakes.cloud import ScriptedCloud
from tests.fakes.misbehaviour import delivered
from tests.fakes.system import FakeClock

PUBLIC = "93.184.216.34"


class Names:
    """A name server: gives its answers for a name one after the other, then the last one for ever."""

    def __init__(self, monkeypatch: pytest.MonkeyPatch) -> None:
        self.asked: list[str] = []
        self._answers: dict[str, list[list[str]]] = {}
        self._real = socket.getaddrinfo
        monkeypatch.setattr(socket, "getaddrinfo", self._getaddrinfo)

    def point(self, name: str, *answers: list[str]) -> None:
        self._answers[name] = list(answers)

    def _getaddrinfo(self, host: str, port: Any, *args: Any, **kwargs: Any) -> list[Any]:
        if host not in self._answers:
            ip_address(host)  # only addresses may get through to the real one
            return self._real(host, port, *args, **kwargs)
        self.asked.append(host)
        answers = self._answers[host]
        addresses = answers.pop(0) if len(answers) > 1 else answers[0]
        if not addresses:
            raise socket.gaierror
        return [(socket.AF_INET, socket.SOCK_STREAM, 6, "", (address, 0)) for address in addresses]


@pytest.fixture
def names(monkeypatch: pytest.MonkeyPatch) -> Names:
    return Names(monkeypatch)


def session_of(guard: EndpointGuard) -> requests.Session:
    session = requests.Session()
    session.trust_env = False
    session.mount("https://", CloudTransport(guard, FakeClock()))
    session.mount("http://", CloudTransport(guard, FakeClock()))
    return session


# URLs


@pytest.mark.parametrize("url", ["https://cloud.example", "https://cloud.example:8443/a/b?c=d", "https://[2606::1]/"])
def test_https_urls_pass(url: str) -> None:
    EndpointGuard(allow_private=False).check(url)


@pytest.mark.parametrize(
    "url",
    [
        *("", "cloud.example", "//cloud.example/token", "https://", "https:///token", "https:cloud.example"),
        *("http://cloud.example", "HTTP://cloud.example", "ftp://cloud.example", "file:///etc/passwd"),
        *("javascript:alert(1)", "data:text/html,x", "gopher://cloud.example"),
        *("https://user@cloud.example", "https://user:pass@cloud.example", "https://@cloud.example"),
        *(
            "https://cloud.example#fragment",
            "https://cloud.example/a#",
            "https://cloud.example:0/",
            "https://cloud.example:99999/",
        ),
        *("https://cloud.example:x/", "https://[::1", "https://cloud.example\\@evil.example"),
        *(
            "https://cloud.example/\r\nHost: evil",
            "https://cloud\t.example",
            " https://cloud.example",
            "https://é.example",
        ),
    ],
)
def test_r49_anything_else_is_refused(url: str) -> None:
    with pytest.raises(CloudMisconfigured) as refused:
        EndpointGuard(allow_private=False).check(url)
    assert refused.value.error == "endpoint_refused"
    assert not url or url not in refused.value.detail


def test_http_is_for_development() -> None:
    EndpointGuard(allow_private=True).check("http://127.0.0.1:8400/token")
    with pytest.raises(CloudMisconfigured):
        EndpointGuard(allow_private=True).check("ftp://127.0.0.1/token")


# Addresses


@pytest.mark.parametrize("address", [PUBLIC, "1.1.1.1", "2606:4700::1111", "::ffff:1.1.1.1", "2002:101:101::1"])
def test_public_addresses_pass(names: Names, address: str) -> None:
    names.point("cloud.example", [address])
    assert EndpointGuard(allow_private=False).addresses("cloud.example") == [address]


@pytest.mark.parametrize(
    "address",
    [
        *("127.0.0.1", "127.8.8.8", "10.0.0.1", "172.16.0.1", "192.168.1.1", "100.64.0.1"),
        "0.0.0.0",  # noqa: S104 - nothing is bound to it
        *("169.254.169.254", "224.0.0.1", "239.1.1.1", "240.0.0.1", "255.255.255.255", "192.0.2.1", "198.18.0.1"),
        *("::", "::1", "::127.0.0.1", "fe80::1", "fe80::1%eth0", "fec0::1", "fc00::1", "fd00:ec2::254", "ff02::1"),
        *("::ffff:127.0.0.1", "::ffff:169.254.169.254", "::ffff:a00:1", "2002:7f00:1::1", "2002:a9fe:a9fe::1"),
        *("64:ff9b::7f00:1", "2001:db8::1", "2001::1", "4000::1"),
    ],
)
def test_r49_addresses_that_are_not_public_are_refused(names: Names, address: str) -> None:
    names.point("cloud.example", [address])
    with pytest.raises(CloudMisconfigured) as refused:
        EndpointGuard(allow_private=False).addresses("cloud.example")
    assert refused.value.detail == "endpoint refused: not a public address"


def test_r49_one_private_address_among_public_ones_is_refused(names: Names) -> None:
    names.point("cloud.example", [PUBLIC, "127.0.0.1"])
    with pytest.raises(CloudMisconfigured):
        EndpointGuard(allow_private=False).addresses("cloud.example")


@pytest.mark.parametrize("host", ["127.0.0.1", "169.254.169.254", "::1", "0177.0.0.1", "2130706433", "0x7f.1"])
def test_r49_addresses_in_any_spelling_are_refused(host: str) -> None:
    with pytest.raises((CloudMisconfigured, CloudUnavailable)):
        EndpointGuard(allow_private=False).addresses(host)


@pytest.mark.parametrize(
    ("url", "words"),
    [
        ("http://cloud.example", "https address"),
        ("https://[::1", "https address"),
        ("https://127.0.0.1/token", "inside a network"),
        ("https://169.254.169.254/latest", "inside a network"),
        ("https://[fd00:ec2::254]/", "inside a network"),
        ("https://inside.example/token", "inside a network"),
        ("https://nobody.example/token", "not known to the name servers"),
        ("https://cloud.example/token", ""),
    ],
)
def test_r103_what_is_wrong_with_an_endpoint_is_a_sentence(names: Names, url: str, words: str) -> None:
    names.point("cloud.example", [PUBLIC])
    names.point("inside.example", [PUBLIC, "10.0.0.1"])
    names.point("nobody.example", [])
    found = EndpointGuard(allow_private=False).fault(url)
    assert (words in found) if words else found == ""


def test_private_addresses_are_for_development(names: Names) -> None:
    names.point("cloud.example", ["127.0.0.1"])
    assert EndpointGuard(allow_private=True).addresses("cloud.example") == ["127.0.0.1"]


def test_a_name_without_an_address_is_unavailable(names: Names) -> None:
    names.point("cloud.example", [])
    with pytest.raises(CloudUnavailable):
        EndpointGuard(allow_private=False).addresses("cloud.example")


def test_a_name_that_is_none_is_unavailable() -> None:
    with pytest.raises(CloudUnavailable):
        EndpointGuard(allow_private=False).addresses("x" * 64 + ".example")


# Connections


def test_r49_no_request_leaves_for_a_private_address() -> None:
    with ScriptedCloud() as cloud, session_of(EndpointGuard(allow_private=False)) as session:
        with pytest.raises(CloudMisconfigured):
            session.get(cloud.server.jwks_uri or "")
        with pytest.raises(CloudMisconfigured):
            session.get(cloud.issuer.replace("http", "https"))
        assert not cloud.requests


def test_r49_a_name_is_resolved_once_so_that_it_cannot_be_rebound(names: Names) -> None:
    names.point("cloud.example", ["127.0.0.1"], ["192.0.2.1"])
    with ScriptedCloud() as cloud, session_of(EndpointGuard(allow_private=True)) as session:
        port = cloud.issuer.rpartition(":")[2]
        assert session.get(f"http://cloud.example:{port}/jwks").json() == cloud.jwks
        assert cloud.headers["/jwks"]["host"] == f"cloud.example:{port}"
    assert names.asked == ["cloud.example"]


def port_of(cloud: ScriptedCloud) -> str:
    return cloud.issuer.rpartition(":")[2]


def test_f12_where_the_first_address_is_dead_the_second_one_is_asked(names: Names) -> None:
    names.point("cloud.example", ["127.0.0.2", "127.0.0.3", "127.0.0.1"])
    with ScriptedCloud() as cloud, session_of(EndpointGuard(allow_private=True)) as session:
        assert session.get(f"http://cloud.example:{port_of(cloud)}/jwks").json() == cloud.jwks
        assert cloud.requests == {"/jwks": 1}


def test_f12_addresses_that_are_silent_share_the_time_to_connect(names: Names, monkeypatch: pytest.MonkeyPatch) -> None:
    tried: list[tuple[str, float]] = []

    def silent(adapter: CloudTransport, request: requests.PreparedRequest, **how: Any) -> requests.Response:
        tried.append((adapter._address, how["timeout"][0]))
        raise requests.ConnectTimeout

    monkeypatch.setattr(requests.adapters.HTTPAdapter, "send", silent)
    names.point("cloud.example", ["127.0.0.2", "127.0.0.3", "127.0.0.1"])
    with session_of(EndpointGuard(allow_private=True)) as session, pytest.raises(CloudUnavailable) as failure:
        session.get("http://cloud.example/jwks")
    assert not failure.value.answer_lost
    assert [address for address, _ in tried] == ["127.0.0.2", "127.0.0.3", "127.0.0.1"]
    limits = [limit for _, limit in tried]
    assert limits[0] + limits[1] <= CONNECT_SECONDS >= limits[2]
    assert min(limits) > 0


def test_f12_a_host_with_very_many_silent_addresses_is_given_up_as_any(
    names: Names, monkeypatch: pytest.MonkeyPatch
) -> None:
    tried: list[float] = []

    def silent(_: CloudTransport, _request: requests.PreparedRequest, **how: Any) -> requests.Response:
        tried.append(how["timeout"][0])
        raise requests.ConnectTimeout

    monkeypatch.setattr(requests.adapters.HTTPAdapter, "send", silent)
    names.point("cloud.example", [f"127.0.0.{number}" for number in range(2, 40)])
    with session_of(EndpointGuard(allow_private=True)) as session, pytest.raises(CloudUnavailable):
        session.get("http://cloud.example/jwks")
    assert len(tried) == 38
    assert min(tried) >= 0.05


def test_f38_what_may_have_been_sent_is_sent_to_no_other_address(names: Names) -> None:
    names.point("cloud.example", ["127.0.0.1", "127.0.0.1", "127.0.0.2"])
    with ScriptedCloud() as cloud, session_of(EndpointGuard(allow_private=True)) as session:
        cloud.misbehave("/jwks", delivered(lost=True))
        with pytest.raises(CloudUnavailable) as failure:
            session.get(f"http://cloud.example:{port_of(cloud)}/jwks")
        assert failure.value.answer_lost
        assert cloud.requests == {"/jwks": 1}


def test_r103_a_private_address_behind_a_public_one_is_never_reached(names: Names) -> None:
    names.point("cloud.example", [PUBLIC, "127.0.0.1"])
    with ScriptedCloud() as cloud, session_of(EndpointGuard(allow_private=False)) as session:
        with pytest.raises(CloudMisconfigured):
            session.get(f"https://cloud.example:{port_of(cloud)}/jwks")
        assert not cloud.requests


def test_r49_proxies_of_the_environment_are_not_asked(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("HTTP_PROXY", "http://127.0.0.1:1")
    with ScriptedCloud() as cloud, session_of(EndpointGuard(allow_private=True)) as session:
        session.trust_env = True
        assert session.get(f"{cloud.issuer}/jwks").json() == cloud.jwks


class TestTls:
    """The address is pinned, yet the certificate must be the host's."""

    @pytest.fixture
    def port(self, tmp_path: Path) -> Iterator[int]:
        context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
        context.load_cert_chain(certificate("cloud.example", tmp_path / "cloud.pem"))
        server = HTTPServer(("127.0.0.1", 0), _Hello)
        server.socket = context.wrap_socket(server.socket, server_side=True)
        thread = threading.Thread(target=server.serve_forever, args=(0.02,))
        thread.start()
        yield server.server_port
        server.shutdown()
        thread.join()
        server.server_close()

    @pytest.fixture
    def session(self, tmp_path: Path, port: int) -> Iterator[requests.Session]:
        with session_of(EndpointGuard(allow_private=True)) as session:
            session.verify = str(tmp_path / "cloud.pem")
            yield session

    def test_the_hosts_certificate_is_accepted(self, names: Names, session: requests.Session, port: int) -> None:
        names.point("cloud.example", ["127.0.0.1"])
        assert session.get(f"https://cloud.example:{port}/").text == f"cloud.example:{port}"

    def test_r49_another_hosts_certificate_is_refused(self, names: Names, session: requests.Session, port: int) -> None:
        names.point("other.example", ["127.0.0.1"])
        with pytest.raises(CloudUnavailable) as refused:
            session.get(f"https://other.example:{port}/")
        assert refused.value.detail == "SSLError"

    def test_r49_a_certificate_nobody_vouches_for_is_refused(
        self, names: Names, session: requests.Session, port: int
    ) -> None:
        names.point("cloud.example", ["127.0.0.1"])
        session.verify = True
        with pytest.raises(CloudUnavailable) as refused:
            session.get(f"https://cloud.example:{port}/")
        assert refused.value.detail == "SSLError"


class _Hello(BaseHTTPRequestHandler):
    def do_GET(self) -> None:
        self.send_response(200)
        self.end_headers()
        self.wfile.write(self.headers["Host"].encode())

    def log_message(self, *_: object) -> None:
        """Nothing to say."""
