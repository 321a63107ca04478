"""Packages of Debian that tests need and pip has not: installed where we may, which is as root."""

import fcntl
import os
import shutil
import subprocess
import tempfile
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

_POLICY = Path("/usr/sbin/policy-rc.d")
_NO_SERVICES = "#!/bin/sh\nexit 101\n"
_LOCK = Path(tempfile.gettempdir()) / "token-vault-apt.lock"


def may_install() -> bool:
    """Whether this machine has apt and we may use it."""
    return bool(shutil.which("apt-get")) and os.geteuid() == 0


@contextmanager
def alone() -> Iterator[None]:
    """One process of this machine's at a time: test workers side by side install once. Look again inside."""
    with _LOCK.open("w") as lock:
        fcntl.flock(lock, fcntl.LOCK_EX)
        yield


def install(*packages: str) -> None:
    """Install packages without what they recommend, and start no service of theirs.

    Whether it helped shows in what is there afterwards.
    """
    with _services_stay_down():
        run("apt-get", "update", "-q")
        run("apt-get", "install", "-y", "-q", "--no-install-recommends", *packages)


def run(*command: str) -> None:
    """Run a command that asks nothing; whether it helped shows in what is there afterwards."""
    print(f"Running: {' '.join(command)}", flush=True)
    environment = {**os.environ, "DEBIAN_FRONTEND": "noninteractive"}
    subprocess.run(command, check=False, stdin=subprocess.DEVNULL, env=environment)


@contextmanager
def _services_stay_down() -> Iterator[None]:
    """Debian asks this file before a package starts its service; one that is there is the administrator's word."""
    if _POLICY.exists():
        yield
        return
    _POLICY.write_text(_NO_SERVICES, encoding="ascii")
    try:
        _POLICY.chmod(0o755)
        yield
    finally:
        _POLICY.unlink()
