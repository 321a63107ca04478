"""Lambda around one function: AWS's own runtime client in a process that sees nothing but the bundle.

The Runtime API is AWS's (https://docs.aws.amazon.com/lambda/latest/dg/runtimes-api.html), as far as the client uses it.
"""

import importlib.util
import json
import os
import queue
import shutil
import subprocess
import sys
import threading
from collections.abc import Mapping
from concurrent.futures import Future
from contextlib import suppress
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from typing import Any, Self
from uuid import uuid4

_VERSION = "/2018-06-01/runtime"
_CLIENT = ("awslambdaric", "runtime_client", "simplejson", "snapshot_restore_py")
_PATIENCE_SECONDS = 60.0
# As in Lambda: the bundle first, then the standard library and the client; no site-packages (-S), no settings (-I)
_START = """
import runpy, sys
task, client, handler = sys.argv[1:]
sys.path = [task, *sys.path, client]
sys.argv = ["bootstrap", handler]
runpy.run_module("awslambdaric", run_name="__main__")
"""


class FunctionFailed(Exception):
    """The function raised, or could not start; the text is what it told the Runtime API, and the end of its log."""


class Function:
    """One function of the bundle in `task`; a context manager. `handler` is its name in the template."""

    def __init__(self, task: Path, handler: str, environment: Mapping[str, str], folder: Path) -> None:
        folder.mkdir(parents=True, exist_ok=True)
        self._task, self._handler, self._environment, self._folder = task, handler, environment, folder
        self._waiting: queue.Queue[str] = queue.Queue()
        self._events: dict[str, bytes] = {}
        self._answers: dict[str, Future[Any]] = {}
        self._broken: Future[Any] = Future()
        self._server = _Server(self)
        self.log_file = folder / "log"

    def __enter__(self) -> Self:
        threading.Thread(target=self._server.serve_forever, args=(0.02,), daemon=True).start()
        client = self._folder / "client"
        _copy_client(client)
        with self.log_file.open("wb") as log:
            self._process = subprocess.Popen(  # noqa: S603 - our own bundle
                [sys.executable, "-I", "-S", "-c", _START, str(self._task), str(client), self._handler],
                cwd=self._task,
                env=self._variables(),
                stdout=log,
                stderr=log,
            )
        return self

    def __exit__(self, *_: object) -> None:
        self._process.kill()
        self._process.wait()
        self._server.shutdown()
        self._server.server_close()

    @property
    def log(self) -> str:
        return self.log_file.read_text(errors="replace")

    def invoke(self, event: Mapping[str, Any]) -> Any:
        """What the function answers, through JSON both ways. Raises FunctionFailed."""
        request_id, answer = str(uuid4()), Future[Any]()
        self._events[request_id], self._answers[request_id] = json.dumps(event).encode(), answer
        self._waiting.put(request_id)
        for _ in range(int(_PATIENCE_SECONDS * 10)):
            with suppress(TimeoutError):
                return answer.result(0.1)
            if self._broken.done() or self._process.poll() is not None:
                break
        raise FunctionFailed(f"no answer\n{self.log[-4000:]}")

    def next_event(self) -> tuple[str, bytes]:
        request_id = self._waiting.get()
        return request_id, self._events.pop(request_id)

    def settle(self, path: str, body: bytes) -> None:
        """What the client posts: an answer, an error of one invocation, or of the start."""
        if path == f"{_VERSION}/init/error":
            self._broken.set_result(None)
            return
        *_, request_id, kind = path.split("/")
        answer = self._answers.pop(request_id)
        if kind == "response":
            answer.set_result(json.loads(body))
        else:
            answer.set_exception(FunctionFailed(f"{body.decode()}\n{self.log[-4000:]}"))

    def _variables(self) -> dict[str, str]:
        return {
            **self._environment,
            "PATH": os.environ["PATH"],
            "AWS_LAMBDA_RUNTIME_API": f"127.0.0.1:{self._server.server_port}",
            "AWS_LAMBDA_FUNCTION_NAME": "token-vault-test",
            "AWS_LAMBDA_FUNCTION_VERSION": "$LATEST",
            "AWS_LAMBDA_FUNCTION_MEMORY_SIZE": "1024",
            "AWS_EXECUTION_ENV": f"AWS_Lambda_python{sys.version_info.major}.{sys.version_info.minor}",
            "LAMBDA_TASK_ROOT": str(self._task),
            "_HANDLER": self._handler,
            "TZ": ":UTC",
        }


class _Server(ThreadingHTTPServer):
    daemon_threads = True

    def __init__(self, function: Function) -> None:
        self.function = function
        super().__init__(("127.0.0.1", 0), _Handler)

    def handle_error(self, request: Any, client_address: Any) -> None:
        """A function that is ended hangs up; anything else is worth its trace."""
        if not isinstance(sys.exception(), ConnectionError):
            super().handle_error(request, client_address)


class _Handler(BaseHTTPRequestHandler):
    protocol_version = "HTTP/1.1"
    disable_nagle_algorithm = True
    server: _Server

    def do_GET(self) -> None:
        assert self.path == f"{_VERSION}/invocation/next", self.path
        request_id, event = self.server.function.next_event()
        sent = {
            "Lambda-Runtime-Aws-Request-Id": request_id,
            "Lambda-Runtime-Deadline-Ms": "9999999999999",
            "Lambda-Runtime-Invoked-Function-Arn": "arn:aws:lambda:eu-central-1:123456789012:function:token-vault-test",
        }
        self._answer(200, event, sent)

    def do_POST(self) -> None:
        self.server.function.settle(self.path, self.rfile.read(int(self.headers["Content-Length"])))
        self._answer(202, b"{}", {})

    def log_message(self, format: str, *args: object) -> None:
        pass

    def _answer(self, status: int, body: bytes, sent: Mapping[str, str]) -> None:
        self.send_response(status)
        for name, value in {**sent, "Content-Type": "application/json", "Content-Length": str(len(body))}.items():
            self.send_header(name, value)
        self.end_headers()
        self.wfile.write(body)


def _copy_client(folder: Path) -> None:
    """AWS's client without the packages that are installed beside it here."""
    for name in _CLIENT:
        found = importlib.util.find_spec(name)
        assert found is not None
        assert found.origin is not None
        source = Path(found.origin)
        folder.mkdir(exist_ok=True)
        if source.name == "__init__.py":
            shutil.copytree(source.parent, folder / name, dirs_exist_ok=True)
        else:
            shutil.copy(source, folder)
