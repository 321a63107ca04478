"""A server of the system's, run in the foreground as our child and on an address of its own."""

import os
import secrets
import signal
import socket
import subprocess
import time
from collections.abc import Sequence
from contextlib import suppress
from pathlib import Path

from tests.directories.packages import program

_READY_SECONDS = 30.0
_PATIENCE_SECONDS = 5.0


class DaemonDied(Exception):
    """The server ended, or never answered; the text has the end of its log."""


def free_address(*ports: int) -> str:
    """An address in 127.0.0.0/8 where nobody has these ports; all of it is this machine on Linux."""
    while True:
        address = f"127.{secrets.randbelow(254) + 1}.{secrets.randbelow(256)}.{secrets.randbelow(254) + 1}"
        if all(_is_free(address, port) for port in ports):
            return address


def free_port(address: str) -> int:
    with socket.create_server((address, 0)) as probe:
        return int(probe.getsockname()[1])


def _is_free(address: str, port: int) -> bool:
    with suppress(OSError), socket.create_server((address, port)):
        return True
    return False


class Daemon:
    """One command that listens on `ports` of `address`. It dies with us, however we die."""

    def __init__(self, command: Sequence[str], address: str, ports: Sequence[int], log: Path) -> None:
        # The system's word that a parent died survives the exec of another program
        self._command = [program("setpriv"), "--pdeathsig", "KILL", "--", program(command[0]), *command[1:]]
        self._address = address
        self._ports = ports
        self._log = log
        self._process: subprocess.Popen[bytes] | None = None

    @property
    def pid(self) -> int | None:
        """Of the running server; None when it is stopped."""
        return self._process.pid if self._process else None

    def start(self) -> None:
        """Start it and wait until every port answers. Does nothing when it runs. Raises DaemonDied."""
        if self._process:
            return
        with self._log.open("ab") as log:
            self._process = subprocess.Popen(  # noqa: S603 - the command is ours
                self._command, stdin=subprocess.DEVNULL, stdout=log, stderr=log, start_new_session=True
            )
        try:
            self._wait_until_it_answers(self._process)
        except BaseException:
            self.stop()
            raise

    def stop(self) -> None:
        """End it and wait for that, also when it is paused. Idempotent."""
        if not self._process:
            return
        process, self._process = self._process, None
        for number in (signal.SIGTERM, signal.SIGKILL):
            _signal_group(process, number)
            _signal_group(process, signal.SIGCONT)
            with suppress(subprocess.TimeoutExpired):
                process.wait(_PATIENCE_SECONDS)
                break

    def pause(self) -> None:
        """From now on it accepts connections, as the kernel does that, and answers nothing."""
        self._signal(signal.SIGSTOP)

    def resume(self) -> None:
        self._signal(signal.SIGCONT)

    def _signal(self, number: signal.Signals) -> None:
        if self._process:
            _signal_group(self._process, number)

    def _wait_until_it_answers(self, process: "subprocess.Popen[bytes]") -> None:
        end = time.monotonic() + _READY_SECONDS
        while not all(self._answers(port) for port in self._ports):
            if process.poll() is not None or time.monotonic() > end:
                lines = self._log.read_text(errors="replace").splitlines()[-15:]
                raise DaemonDied("\n".join([f"{self._command[4]} did not start:", *lines]))
            time.sleep(0.02)

    def _answers(self, port: int) -> bool:
        with socket.socket() as connection:
            return connection.connect_ex((self._address, port)) == 0


def _signal_group(process: "subprocess.Popen[bytes]", number: signal.Signals) -> None:
    with suppress(ProcessLookupError):
        os.killpg(process.pid, number)
