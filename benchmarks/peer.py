"""Products that the vault is measured beside, each in a virtual environment and a process of its own."""

import json
import os
import shutil
import subprocess
import sys
import venv
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any, Self

from tests.aws import ENVIRONMENT

from .harness import NotMeasured, Sample

ENVIRONMENTS = Path("build/bench")
SCRIPTS = Path(__file__).parent / "peers"
_INSTALL_SECONDS = 240
_STDERR_SHOWN = 300


def environment(name: str, packages: Sequence[str]) -> Path:
    """The Python of `build/bench/<name>`, made where it is not there. Raises NotMeasured when pip fails."""
    folder = ENVIRONMENTS / name
    python, stamp = folder / "bin" / "python", folder / "installed"
    wanted = "\n".join(packages)
    if stamp.exists() and stamp.read_text("utf-8") == wanted:
        return python
    venv.create(folder, with_pip=True, clear=True)
    _install([str(python), "-m", "pip", "install", "--quiet", "--disable-pip-version-check", *packages])
    stamp.write_text(wanted, encoding="utf-8")
    return python


def command_of(name: str, packages: Sequence[str], script: str) -> list[str]:
    """How to run a peer's script, in Python or JavaScript, with what it needs installed. Raises NotMeasured."""
    if script.endswith(".mjs"):
        return node_command(name, packages, script)
    return [str(environment(name, packages)), str(SCRIPTS / script)]


def node_command(name: str, packages: Sequence[str], script: str) -> list[str]:
    """How to run a script of Node's in `build/bench/<name>`, where npm installs. Raises NotMeasured without it."""
    folder = ENVIRONMENTS / name
    stamp, wanted = folder / "installed", "\n".join(packages)
    if not stamp.exists() or stamp.read_text("utf-8") != wanted:
        folder.mkdir(parents=True, exist_ok=True)
        quiet = ["--no-audit", "--no-fund", "--ignore-scripts", "--no-save", "--loglevel=error"]
        _install(["npm", "install", "--prefix", str(folder), *quiet, *packages])
        stamp.write_text(wanted, encoding="utf-8")
    # Node looks for packages beside the script
    return ["node", str(shutil.copy(SCRIPTS / script, folder))]


def _install(command: Sequence[str]) -> None:
    """Raises NotMeasured where that fails, or is not there."""
    tool = "npm" if command[0] == "npm" else "pip"
    try:
        done = subprocess.run(command, capture_output=True, text=True, timeout=_INSTALL_SECONDS, check=False)
    except subprocess.TimeoutExpired:
        raise NotMeasured(f"{tool} did not install it within {_INSTALL_SECONDS} s") from None
    except FileNotFoundError:
        raise NotMeasured(f"there is no {tool}") from None
    if done.returncode:
        raise NotMeasured(f"{tool}: {_last_line(done.stderr)}")


class Peer:
    """A script of `benchmarks/peers` that waits for the names of acts. Every method may raise NotMeasured."""

    def __init__(self, name: str, packages: Sequence[str], script: str, settings: Mapping[str, str]) -> None:
        self.name = name
        command = command_of(name, packages, script)
        self._child = subprocess.Popen(
            command,
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            stderr=sys.stderr,
            text=True,
            env=os.environ | ENVIRONMENT | settings,
        )
        self._answer()

    def once(self, act: str) -> Sample:
        """One run of `act`, measured inside the peer's process."""
        answer = self.ask(act)
        return Sample(answer["cpu"], answer["wall"], tuple(answer["calls"]))

    def ask(self, act: str, argument: str = "") -> dict[str, Any]:
        """What `act` was measured as, and what it gave as `result`."""
        assert self._child.stdin is not None  # noqa: S101 - it is a pipe
        self._child.stdin.write(f"{act} {argument}".rstrip() + "\n")
        self._child.stdin.flush()
        answer = self._answer()
        if "error" in answer:
            raise NotMeasured(answer["error"])
        return answer

    def _answer(self) -> dict[str, Any]:
        assert self._child.stdout is not None  # noqa: S101 - it is a pipe
        line = self._child.stdout.readline()
        if not line:
            raise NotMeasured(f"{self.name} ended with {self._child.wait()}")
        answer: dict[str, Any] = json.loads(line)
        return answer

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None:
        self._child.terminate()
        self._child.wait()


def _last_line(text: str) -> str:
    return (text.strip().splitlines() or ["failed"])[-1][:_STDERR_SHOWN]
