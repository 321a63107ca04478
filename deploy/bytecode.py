"""Compiled code into the bundle: without it each cold start compiles everything anew, three times as slow."""

import os
import subprocess
import sys
from pathlib import Path

from .errors import BuildError

PLACE = "/var/task"
"""Where Lambda unpacks the bundle, as stack traces name it."""


def compile_all(bundle: Path) -> None:
    """Compile for the running Python. In a process of its own, whose hash seed is fixed: the same bytes each time.

    Unchecked: time stamps in a bundle mean nothing, and nobody edits a file there.
    """
    options = ["-q", "-j", "1", "--invalidation-mode", "unchecked-hash", "-s", str(bundle), "-p", PLACE]
    environment = os.environ | {"PYTHONHASHSEED": "0"}
    done = subprocess.run(
        [sys.executable, "-m", "compileall", *options, str(bundle)],
        env=environment,
        capture_output=True,
        text=True,
        check=False,
    )
    if done.returncode:
        raise BuildError(f"The bundle does not compile:\n{done.stdout.strip()}")
