"""A reverse proxy on loopback that makes single paths of a server slow, down or nonsense.

Addresses inside what the server sends stay the server's own, so a discovery document still names it and not the
proxy: register a provider's endpoints by hand, with those through the proxy that are to fail.
"""

import threading
import time
from collections import Counter
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from http.client import HTTPConnection
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from typing import Self
from urllib.parse import urlsplit

HOST = "127.0.0.1"
# Hop by hop (RFC 9110 7.6.1), or written anew on each side: a server may refuse a name that is not its own
_NOT_FORWARDED = {"connection", "keep-alive", "transfer-encoding", "content-length", "host", "server", "date"}
_FORWARD_SECONDS = 30
_POLL_SECONDS = 0.05  # how long ending takes


@dataclass(frozen=True, slots=True)
class Answer:
    """What goes back to the client."""

    status: int
    body: bytes = b""
    headers: Mapping[str, str] = field(default_factory=dict)


@dataclass(frozen=True, slots=True)
class Request:
    """One request that reached the proxy; `closing` is set when the proxy ends."""

    server: str
    method: str
    target: str
    headers: Mapping[str, str]
    body: bytes
    closing: threading.Event

    def forward(self) -> Answer:
        """Let the server handle it."""
        connection = HTTPConnection(urlsplit(self.server).netloc, timeout=_FORWARD_SECONDS)
        try:
            connection.request(self.method, self.target, self.body, dict(self.headers))
            response = connection.getresponse()
            headers = {name: value for name, value in response.getheaders() if name.lower() not in _NOT_FORWARDED}
            return Answer(response.status, response.read(), headers)
        finally:
            connection.close()


Rule = Callable[[Request], Answer | None]
"""What becomes of a request; None ends the connection without an answer."""


def passing(request: Request) -> Answer:
    """As if there were no proxy."""
    return request.forward()


def answering(status: int, body: str = "", headers: Mapping[str, str] | None = None) -> Rule:
    """Always this, and the server hears nothing."""
    return lambda _: Answer(status, body.encode(), headers or {})


def html(_: Request) -> Answer:
    """A page with status 200, as load balancers and hotel networks give; the server hears nothing."""
    return Answer(200, b"<!doctype html><title>Welcome</title>", {"Content-Type": "text/html"})


def delayed(seconds: float) -> Rule:
    """The server's answer, later."""

    def rule(request: Request) -> Answer:
        time.sleep(seconds)
        return request.forward()

    return rule


def hanging(request: Request) -> None:
    """No answer until the proxy ends; the server hears nothing."""
    request.closing.wait()


def losing_answer(request: Request) -> None:
    """The server handles the request, and its answer never arrives."""
    request.forward()


def rewriting(change: Callable[[Answer], Answer]) -> Rule:
    """The server's answer, changed."""
    return lambda request: change(request.forward())


class FaultProxy:
    """Stands in front of `server`, for example `http://127.0.0.1:8080`; a context manager.

    Paths without a rule pass. `counts` says how often each path was asked for.
    """

    def __init__(self, server: str) -> None:
        self.counts: Counter[str] = Counter()
        self._server = server
        self._rules: dict[str, list[Rule]] = {}
        self._lock = threading.Lock()
        self._closing = threading.Event()
        self._listener = _Listener(self)
        self._thread = threading.Thread(target=self._listener.serve_forever, args=(_POLL_SECONDS,), daemon=True)
        self.url = f"http://{HOST}:{self._listener.server_address[1]}"

    def __enter__(self) -> Self:
        self._thread.start()
        return self

    def __exit__(self, *_: object) -> None:
        self._closing.set()
        self._listener.shutdown()
        self._listener.server_close()
        self._thread.join()

    def rule(self, path: str, *rules: Rule) -> None:
        """Treat requests for `path` by these, one after the other; the last one stays."""
        with self._lock:
            self._rules[path] = list(rules)

    def handle(self, method: str, target: str, headers: Mapping[str, str], body: bytes) -> Answer | None:
        """What becomes of one request, by the rule of its path."""
        rule = self._next_rule(urlsplit(target).path)
        return rule(Request(self._server, method, target, headers, body, self._closing))

    def _next_rule(self, path: str) -> Rule:
        with self._lock:
            self.counts[path] += 1
            rules = self._rules.get(path, [passing])
            return rules.pop(0) if len(rules) > 1 else rules[0]


class _Listener(ThreadingHTTPServer):
    daemon_threads = True

    def __init__(self, proxy: FaultProxy) -> None:
        super().__init__((HOST, 0), _Handler)
        self.proxy = proxy


class _Handler(BaseHTTPRequestHandler):
    server: _Listener

    def do_GET(self) -> None:
        body = self.rfile.read(int(self.headers.get("Content-Length", 0)))
        headers = {name: value for name, value in self.headers.items() if name.lower() not in _NOT_FORWARDED}
        answer = self.server.proxy.handle(self.command, self.path, headers, body)
        self.close_connection = True
        if answer is not None:
            self._send(answer)

    do_POST = do_GET  # noqa: N815 - the name that http.server looks for

    def _send(self, answer: Answer) -> None:
        self.send_response(answer.status)
        for name, value in answer.headers.items():
            self.send_header(name, value)
        self.send_header("Content-Length", str(len(answer.body)))
        self.end_headers()
        self.wfile.write(answer.body)

    def log_message(self, format: str, *args: object) -> None:
        """Nothing: an address may hold a code."""
