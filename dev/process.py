"""One program of the local stack, run as a child of ours."""

import json
import os
import signal
import subprocess
import sys
import threading
from collections.abc import Mapping, Sequence
from concurrent.futures import Future
from contextlib import suppress
from pathlib import Path
from typing import Any

ROOT = Path(__file__).resolve().parent.parent
READY_SECONDS = 60.0
_PATIENCE_SECONDS = 5.0
_TAIL_LINES = 15


class ChildDied(Exception):
    """A program ended that should run, or never said that it was ready; the text has the end of its log."""


class Child:
    """A Python module run as `python -m`, which says in one line of JSON that it is ready.

    Its standard input is a pipe that nobody writes to: the child ends when that closes, which the system does when
    we die, however we die. It has a process group of its own, so that Ctrl-C in the terminal reaches us alone.
    """

    def __init__(self, module: str, arguments: Sequence[str], environment: Mapping[str, str], log: Path) -> None:
        self.module = module
        self._log = log
        self._is_released = False
        self._ready: Future[dict[str, Any]] = Future()
        log.parent.mkdir(parents=True, exist_ok=True)
        log.write_bytes(b"")
        with log.open("ab") as errors:
            self._process = subprocess.Popen(
                [sys.executable, "-m", module, *arguments],
                cwd=ROOT,
                env=dict(environment),
                stdin=subprocess.PIPE,
                stdout=subprocess.PIPE,
                stderr=errors,
                start_new_session=True,
            )
        self._reader = threading.Thread(target=self._read, daemon=True)
        self._reader.start()

    def ready(self) -> dict[str, Any]:
        """Wait for the ready line and return it. Raises ChildDied."""
        try:
            return self._ready.result(READY_SECONDS)
        except TimeoutError:
            raise ChildDied(self._says(f"was not ready within {READY_SECONDS:.0f} seconds")) from None

    def check(self) -> None:
        """Raises ChildDied when the program has ended without being asked to."""
        if self._process.poll() is not None and not self._is_released:
            raise ChildDied(self._says("ended unexpectedly"))

    def release(self) -> None:
        """Ask the program to end, and do not wait. Idempotent."""
        self._is_released = True
        assert self._process.stdin  # noqa: S101 - it is a pipe, see above
        self._process.stdin.close()

    def stop(self) -> None:
        """End the program and wait for it; one that does not listen is killed. Idempotent."""
        self.release()
        for insist in (self._process.terminate, self._kill):
            try:
                self._process.wait(_PATIENCE_SECONDS)
                break
            except subprocess.TimeoutExpired:
                insist()
        self._process.wait()
        self._reader.join()

    def _kill(self) -> None:
        with suppress(ProcessLookupError):
            os.killpg(self._process.pid, signal.SIGKILL)

    def _read(self) -> None:
        """The ready line, then everything else, so that the child never waits for a reader."""
        assert self._process.stdout  # noqa: S101 - it is a pipe, see above
        with self._process.stdout as lines, self._log.open("ab") as log:
            for line in lines:
                if not self._ready.done() and line.startswith(b'{"ready"'):
                    self._ready.set_result(json.loads(line))
                else:
                    log.write(line)
                    log.flush()
        if not self._ready.done():
            # Its output ends a moment before it does
            with suppress(subprocess.TimeoutExpired):
                self._process.wait(_PATIENCE_SECONDS)
            self._ready.set_exception(ChildDied(self._says("ended before it was ready")))

    def _says(self, what: str) -> str:
        lines = self._log.read_text(errors="replace").splitlines()[-_TAIL_LINES:]
        tail = "\n".join(f"    {line}" for line in lines)
        return f"{self.module} {what}. The end of {self._log}:\n{tail or '    (empty)'}"
