"""The server of `make run`, which people judge the vault by: what it refuses, and how."""

import socket
from collections.abc import Iterator

import pytest
from chalice.config import Config

from chalicelib.web.headers import security_headers
from dev.vault import LARGEST_BODY, VaultServer

from .conftest import Running

END = "Host: vault\r\nConnection: close\r\n\r\n"


class Wire:
    """Octets to the server and back."""

    def __init__(self, port: int) -> None:
        self.port = port

    def __call__(self, text: str) -> tuple[int, dict[str, str], bytes]:
        """Status, headers by small name, and what follows until the connection ends."""
        with socket.create_connection(("127.0.0.1", self.port), timeout=20) as connection:
            connection.sendall(text.encode())
            answer = b"".join(iter(lambda: connection.recv(65536), b""))
        head, _, body = answer.partition(b"\r\n\r\n")
        status, *lines = head.decode("latin-1").split("\r\n")
        headers = {name.lower(): value for name, _, value in (line.partition(": ") for line in lines)}
        return int(status.split(" ")[1]), headers, body


@pytest.fixture
def wire(running: Running) -> Iterator[Wire]:
    config = Config(user_provided_params={"chalice_app": running.app}, chalice_stage="local")
    with VaultServer(config, running.vault.endpoints, 0) as server:
        yield Wire(server.port)


@pytest.mark.parametrize("method", ["TRACE", "CONNECT", "OPTIONS", "PROPFIND", "FOO", "get"])
def test_a_method_without_a_route_is_no_fault_of_the_vault(wire: Wire, method: str) -> None:
    status, headers, body = wire(f"{method} /login HTTP/1.1\r\n{END}")
    assert status == 405
    assert b"does not accept that kind of request" in body
    assert {name.lower() for name in security_headers()} <= set(headers)


@pytest.mark.parametrize("length", ["x", "-1", "1.5", "", "0x10", "1\r\nContent-Length: 2", "\u00b2"])
def test_a_length_that_is_none_is_answered(wire: Wire, length: str) -> None:
    status, headers, _ = wire(f"POST /login HTTP/1.1\r\nContent-Length: {length}\r\nHost: vault\r\n\r\n")
    assert (status, headers["connection"]) == (400, "close")


def test_a_body_of_unknown_or_too_great_length_is_refused(wire: Wire) -> None:
    chunked = "Transfer-Encoding: chunked\r\nHost: vault\r\n\r\n5\r\nhello\r\n0\r\n\r\n"
    assert wire(f"POST /login HTTP/1.1\r\n{chunked}")[0] == 400
    assert wire(f"POST /login HTTP/1.1\r\nContent-Length: {LARGEST_BODY + 1}\r\nHost: vault\r\n\r\n")[0] == 413


def test_a_head_has_no_body(wire: Wire) -> None:
    for path in ("/login", "/nowhere"):
        status, headers, body = wire(f"HEAD {path} HTTP/1.1\r\n{END}")
        assert (status, body) == ({"/login": 405, "/nowhere": 404}[path], b"")
        assert int(headers["content-length"]) > 0


def test_r18_two_lines_of_cookies_act_for_nobody(wire: Wire, running: Running) -> None:
    names = running.vault.endpoints.cookie_names
    browser = running.browser("alice")
    cookie = f"{names.session}={browser.cookies[names.session]}"
    request = "GET /providers HTTP/1.1\r\nCookie: {}\r\nCookie: {}\r\n" + END
    assert wire(request.format(cookie, "theme=dark"))[0] == 200
    assert wire(request.format("theme=dark", cookie))[0] == 200
    assert wire(request.format(cookie, f"{names.session}=x"))[0] == 400


def test_a_line_that_is_none_gets_the_vaults_page(wire: Wire) -> None:
    assert wire("nonsense\r\n\r\n")[0] == 400
    status, headers, _ = wire(f"GET /login HTTP/9.9\r\n{END}")
    assert status == 400
    assert "content-security-policy" in headers
