"""Servers of npm's that nobody here wrote, each from a folder with its `package.json`, on loopback."""

import json
import subprocess
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any


@contextmanager
def node(folder: Path, *command: str) -> Iterator[dict[str, Any]]:
    """Run `node <command>` in `folder`, installed first where it is not; gives the line of JSON that says it is ready.

    The program ends when its standard input does.
    """
    if not (folder / "node_modules").is_dir():
        install = ["npm", "ci", "--no-audit", "--no-fund", "--ignore-scripts"]
        subprocess.run(install, cwd=folder, check=True, capture_output=True)  # noqa: S603 - a fixed command
    server = subprocess.Popen(  # noqa: S603 - our own scripts
        ["node", *command],  # noqa: S607 - where it is, is the machine's business
        cwd=folder,
        stdin=subprocess.PIPE,
        stdout=subprocess.PIPE,
        stderr=subprocess.DEVNULL,
    )
    assert server.stdin
    assert server.stdout
    try:
        ready: dict[str, Any] = json.loads(server.stdout.readline())
        assert ready.pop("ready") is True
        yield ready
    finally:
        server.stdin.close()
        server.wait(5)
        server.stdout.close()
