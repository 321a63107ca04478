"""What the fault proxy does to a request, seen from the client and from the server behind it."""

import time
from collections.abc import Iterator
from dataclasses import replace
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from threading import Thread

import pytest
import requests

from dev import fault_proxy
from dev.fault_proxy import FaultProxy

TOKEN = "/oauth/token"


class Server(ThreadingHTTPServer):
    """Repeats what it got and remembers it."""

    def __init__(self) -> None:
        super().__init__(("127.0.0.1", 0), Handler)
        self.got: list[str] = []

    @property
    def url(self) -> str:
        return f"http://127.0.0.1:{self.server_address[1]}"


class Handler(BaseHTTPRequestHandler):
    server: Server

    def do_POST(self) -> None:
        body = self.rfile.read(int(self.headers["Content-Length"])).decode()
        self.server.got.append(f"{self.path} {body} {self.headers.get('Authorization')} {self.headers['Host']}")
        self.send_response(201)
        self.send_header("X-Server", "real")
        self.end_headers()
        self.wfile.write(b"handled")

    def log_message(self, format: str, *args: object) -> None:
        pass


@pytest.fixture
def server() -> Iterator[Server]:
    with Server() as server:
        thread = Thread(target=server.serve_forever, args=(0.05,))
        thread.start()
        yield server
        server.shutdown()
        thread.join()


@pytest.fixture
def proxy(server: Server) -> Iterator[FaultProxy]:
    with FaultProxy(server.url) as proxy:
        yield proxy


def post(proxy: FaultProxy, path: str = TOKEN, timeout: float = 5) -> requests.Response:
    return requests.post(f"{proxy.url}{path}", data="a=b", headers={"Authorization": "Basic x"}, timeout=timeout)


def test_a_path_without_a_rule_passes_unchanged(proxy: FaultProxy, server: Server) -> None:
    answer = post(proxy, f"{TOKEN}?x=y")
    assert (answer.status_code, answer.text, answer.headers["X-Server"]) == (201, "handled", "real")
    host = server.url.removeprefix("http://")
    assert server.got == [f"{TOKEN}?x=y a=b Basic x {host}"]
    assert proxy.counts == {TOKEN: 1}


def test_an_answer_of_our_own_never_reaches_the_server(proxy: FaultProxy, server: Server) -> None:
    proxy.rule(TOKEN, fault_proxy.answering(503, '{"error":"temporarily_unavailable"}', {"Retry-After": "3"}))
    answer = post(proxy)
    assert (answer.status_code, answer.json()["error"]) == (503, "temporarily_unavailable")
    assert answer.headers["Retry-After"] == "3"
    assert server.got == []


def test_a_rule_is_for_its_path_alone(proxy: FaultProxy) -> None:
    proxy.rule(TOKEN, fault_proxy.html)
    assert post(proxy).headers["Content-Type"] == "text/html"
    assert post(proxy, "/oauth/revoke").status_code == 201


def test_rules_come_one_after_the_other_and_the_last_stays(proxy: FaultProxy) -> None:
    proxy.rule(TOKEN, fault_proxy.answering(500), fault_proxy.answering(429), fault_proxy.passing)
    assert [post(proxy).status_code for _ in range(4)] == [500, 429, 201, 201]


def test_a_delayed_answer_comes_later(proxy: FaultProxy) -> None:
    proxy.rule(TOKEN, fault_proxy.delayed(0.3))
    started = time.monotonic()
    assert post(proxy).status_code == 201
    assert time.monotonic() - started >= 0.3


def test_a_hanging_request_gets_nothing_and_ends_with_the_proxy(server: Server) -> None:
    with FaultProxy(server.url) as proxy:
        proxy.rule(TOKEN, fault_proxy.hanging)
        with pytest.raises(requests.ReadTimeout):
            post(proxy, timeout=0.2)
    assert server.got == []


def test_a_lost_answer_was_handled_all_the_same(proxy: FaultProxy, server: Server) -> None:
    proxy.rule(TOKEN, fault_proxy.losing_answer)
    with pytest.raises(requests.ConnectionError):
        post(proxy)
    assert len(server.got) == 1


def test_an_answer_can_be_rewritten(proxy: FaultProxy) -> None:
    proxy.rule(TOKEN, fault_proxy.rewriting(lambda answer: replace(answer, body=answer.body.upper())))
    assert post(proxy).text == "HANDLED"
