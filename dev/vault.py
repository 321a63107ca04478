"""`python -m dev.vault --port 8381`: the vault under Chalice's local server, stage `local`.

What `chalice local` does, in this process, speaking for the gateway in front of the vault: what the gateway refuses
(an address or a method without a route, a length that is none) gets the vault's own page and headers; what it mends
(several `Cookie` lines) is mended. No line shows a query string, since a callback's holds a code. Prints one line of
JSON when it listens; ends with its standard input.
"""

import argparse
import functools
import os
import threading
from http import HTTPStatus
from typing import Any

from chalice.cli.factory import CLIFactory
from chalice.config import Config
from chalice.local import ChaliceRequestHandler, create_local_server

from chalicelib.web.endpoint import Endpoints
from dev.child import end_on_signals, serve_until_told
from dev.process import ROOT

HOST = "127.0.0.1"
LARGEST_BODY = 10 * 1024 * 1024
"""What API Gateway takes."""
_METHODS = ("GET", "HEAD", "POST", "PUT", "PATCH", "DELETE")
_OF_GATEWAY = {HTTPStatus.NOT_IMPLEMENTED: 405, HTTPStatus.HTTP_VERSION_NOT_SUPPORTED: 400}
"""Refusals of `http.server` that would blame the vault."""
STAGE = "local"


class RequestHandler(ChaliceRequestHandler):
    """Chalice's handler, speaking for the gateway in front of it."""

    def __init__(self, *arguments: Any, endpoints: Endpoints, **options: Any) -> None:
        self._endpoints = endpoints
        super().__init__(*arguments, **options)

    def log_message(self, format: str, *args: Any) -> None:
        """Nothing: the vault logs each request itself."""

    def version_string(self) -> str:
        return "Token Vault"

    def parse_request(self) -> bool:
        """False where no function would see the request; it is answered then, and the connection is over."""
        if not super().parse_request():
            return False
        refused = self._refused()
        if refused:
            self.send_error(refused)
            return False
        cookies = self.headers.get_all("Cookie", [])
        if len(cookies) > 1:
            # Chalice would hand over the first: the vault is to see both, and to refuse what comes twice (R18)
            del self.headers["Cookie"]
            self.headers["Cookie"] = "; ".join(cookies)
        return True

    def _refused(self) -> int:
        """The status of what the gateway refuses, 0 for nothing. A body of unknown length would be the next request."""
        lengths = self.headers.get_all("Content-Length", ["0"])
        is_length = len(lengths) == 1 and lengths[0].isascii() and lengths[0].isdecimal()
        if "Transfer-Encoding" in self.headers or not is_length:
            return HTTPStatus.BAD_REQUEST
        if int(lengths[0]) > LARGEST_BODY:
            return HTTPStatus.REQUEST_ENTITY_TOO_LARGE
        return 0 if self.command in _METHODS else HTTPStatus.METHOD_NOT_ALLOWED

    def _send_http_response_with_body(self, code: int, headers: Any, body: str | bytes) -> None:
        if self.command != "HEAD":
            super()._send_http_response_with_body(code, headers, body)
            return
        # RFC 9110 9.3.2: as for GET, without the content
        self.send_response(code)
        self._send_headers(headers | {"Content-Length": str(len(body.encode() if isinstance(body, str) else body))})

    def _send_error_response(self, error: Any) -> None:
        self.send_error(error.CODE)

    def send_error(self, code: int, message: str | None = None, explain: str | None = None) -> None:  # noqa: ARG002
        """Also what http.server itself calls for a method or a line that it does not understand."""
        self.close_connection = True
        self.request_version = self.protocol_version  # of a line that has none, whose answer would have no headers
        refusal = self._endpoints.refusal(_OF_GATEWAY.get(HTTPStatus(code), code))
        headers = dict(refusal.headers) | {"Connection": "close"}
        self._send_http_response_with_body(refusal.status_code, headers, refusal.body)


class VaultServer:
    """A vault listening on loopback; `port` 0 takes a free one."""

    def __init__(self, config: Config, endpoints: Endpoints, port: int) -> None:
        app = config.chalice_app
        self._server: Any = create_local_server(app, config, HOST, port).server
        self._server.RequestHandlerClass = functools.partial(
            RequestHandler, app_object=app, config=config, endpoints=endpoints
        )
        self._thread = threading.Thread(target=self._server.serve_forever, daemon=True)
        self.port: int = self._server.server_address[1]

    def __enter__(self) -> "VaultServer":
        self._thread.start()
        return self

    def __exit__(self, *_: object) -> None:
        self._server.shutdown()
        self._server.server_close()


def main() -> None:
    parser = argparse.ArgumentParser(prog="python -m dev.vault", description="The vault on loopback.")
    parser.add_argument("--port", type=int, required=True)
    arguments = parser.parse_args()
    end_on_signals()
    config = CLIFactory(str(ROOT), environ=dict(os.environ)).create_config_obj(chalice_stage_name=STAGE)
    # Imported late: it reads the settings
    from app import vault  # noqa: PLC0415

    with VaultServer(config, vault.endpoints, arguments.port):
        serve_until_told({})


if __name__ == "__main__":
    main()
