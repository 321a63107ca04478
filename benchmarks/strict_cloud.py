"""A cloud's token endpoint on loopback, as strict as RFC 9700 4.14.2 allows: each refresh token serves once.

One that comes twice ends its family, and nobody gets anything of it any more. It answers after a pause, as clouds do.
"""

import json
import secrets
import threading
import time
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from typing import Any, Self
from urllib.parse import parse_qs

PAUSE_SECONDS = 0.05
_OK, _BAD_REQUEST = 200, 400


class Families:
    """Refresh tokens and the families they belong to. Counts are of all that came since the start."""

    def __init__(self) -> None:
        self.refreshes = 0
        self.invalid_grants = 0
        self._lock = threading.Lock()
        self._family_of: dict[str, str] = {}
        self._current: dict[str, str] = {}

    def start(self) -> str:
        """The first refresh token of a new family."""
        with self._lock:
            return self._issue(secrets.token_hex(8))

    def refresh(self, token: str) -> str | None:
        """The next refresh token; None for one that has served, and from then on for all of its family."""
        with self._lock:
            self.refreshes += 1
            family = self._family_of.get(token, "")
            if self._current.get(family) == token:
                return self._issue(family)
            self._current.pop(family, None)
            self.invalid_grants += 1
            return None

    def _issue(self, family: str) -> str:
        token = secrets.token_urlsafe(24)
        self._family_of[token], self._current[family] = family, token
        return token


class StrictCloud:
    """Serves `Families` over HTTP while its block lasts."""

    def __init__(self, pause: float = PAUSE_SECONDS) -> None:
        self.families = Families()
        self._http = _Server(self.families, pause)
        self._thread = threading.Thread(target=self._http.serve_forever, args=(0.05,), daemon=True)

    @property
    def token_endpoint(self) -> str:
        return f"http://127.0.0.1:{self._http.server_port}/token"

    def __enter__(self) -> Self:
        self._thread.start()
        return self

    def __exit__(self, *_: object) -> None:
        self._http.shutdown()
        self._thread.join()
        self._http.server_close()


class _Server(ThreadingHTTPServer):
    daemon_threads = True
    request_queue_size = 128

    def __init__(self, families: Families, pause: float) -> None:
        self.families, self.pause = families, pause
        super().__init__(("127.0.0.1", 0), _Handler)


class _Handler(BaseHTTPRequestHandler):
    server: _Server

    def do_POST(self) -> None:
        sent = self.rfile.read(int(self.headers["Content-Length"])).decode()
        token = parse_qs(sent).get("refresh_token", [""])[0]
        time.sleep(self.server.pause)
        following = self.server.families.refresh(token)
        if following is None:
            self._answer(_BAD_REQUEST, {"error": "invalid_grant"})
        else:
            tokens = {"access_token": secrets.token_hex(600), "refresh_token": following}
            self._answer(_OK, tokens | {"token_type": "Bearer", "expires_in": 3600})

    def _answer(self, status: int, document: dict[str, Any]) -> None:
        body = json.dumps(document).encode()
        self.send_response(status)
        self.send_header("Content-Type", "application/json")
        self.send_header("Cache-Control", "no-store")
        self.send_header("Content-Length", str(len(body)))
        self.end_headers()
        self.wfile.write(body)

    def log_message(self, *_: object) -> None:
        """Nothing: a storm has hundreds of requests."""
