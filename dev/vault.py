"""`python -m dev.vault --port 8381`: the vault under Chalice's local server, stage `local`.

What `chalice local` does, in this process, with two differences: an address without a route gets the vault's
own page and headers, as the gateway's responses give it when deployed; and no line shows a query string, since
a callback's holds a code. Prints one line of JSON when it listens; ends with its standard input.
"""

import argparse
import functools
import os
import threading
from typing import Any

from chalice.cli.factory import CLIFactory
from chalice.config import Config
from chalice.local import ChaliceRequestHandler, create_local_server

from chalicelib.web.endpoint import Endpoints
from dev.child import end_on_signals, serve_until_told
from dev.process import ROOT

HOST = "127.0.0.1"
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

    def _send_error_response(self, error: Any) -> None:
        self.send_error(error.CODE)

    def send_error(self, code: int, message: str | None = None, explain: str | None = None) -> None:  # noqa: ARG002
        """Also what http.server itself calls for a method or a line that it does not understand."""
        refusal = self._endpoints.refusal(code)
        self._send_http_response_with_body(refusal.status_code, dict(refusal.headers), refusal.body)


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
