"""`python -m dev.aws`: DynamoDB, KMS, Secrets Manager, EventBridge, SES in memory, on moto. All ends with the process.

Beside it the mailbox: pages that show every mail and event it took.
"""

import argparse
import logging
import threading
from typing import Any

from moto.core.common_models import BaseModel
from moto.server import ThreadedMotoServer

from . import mailbox, ses_account
from .child import end_on_signals, serve_until_told
from .quick_moto import quick_moto

HOST = "127.0.0.1"


def main() -> None:
    parser = argparse.ArgumentParser(prog="python -m dev.aws", description="AWS on loopback.")
    parser.add_argument("--port", type=int, default=0, help="0: any free one")
    parser.add_argument("--mailbox-port", type=int, default=0, help="0: any free one")
    arguments = parser.parse_args()
    end_on_signals()
    # A line for each of thousands of requests
    logging.getLogger("werkzeug").setLevel(logging.ERROR)
    track_nothing()
    ses_account.answer()
    server = ThreadedMotoServer(HOST, arguments.port, verbose=False)
    server.start()
    one_at_a_time(server)
    _, port = server.get_host_and_port()
    with quick_moto(), mailbox.served(HOST, arguments.mailbox_port) as pages:
        serve_until_told({"endpoint": f"http://{HOST}:{port}", "mailbox": pages})


def track_nothing() -> None:
    """Moto keeps every object it ever made for a reset, some megabytes a minute. Nothing here resets it."""

    def untracked(cls: type[BaseModel], *_arguments: Any, **_named: Any) -> BaseModel:
        return object.__new__(cls)

    BaseModel.__new__ = untracked  # type: ignore[method-assign]


def one_at_a_time(server: ThreadedMotoServer) -> None:
    """Moto checks a condition and then writes; DynamoDB does both in one step, and the vault relies on that."""
    http_server, lock = server._server, threading.Lock()
    if http_server is None:
        raise RuntimeError("moto was not started")
    application = http_server.app

    def locked(environment: Any, start_response: Any) -> Any:
        with lock:
            return application(environment, start_response)

    http_server.app = locked


if __name__ == "__main__":
    main()
