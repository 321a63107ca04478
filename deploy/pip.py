"""pip as a program of its own, which is how it wants to be used."""

import subprocess
import sys
from collections.abc import Sequence

from .errors import BuildError

_TAIL = 4


def pip(arguments: Sequence[str]) -> None:
    """Run pip. Raises BuildError with what it said last."""
    command = [sys.executable, "-m", "pip", "--disable-pip-version-check", "--quiet", *arguments]
    done = subprocess.run(command, capture_output=True, text=True, check=False)
    if done.returncode:
        said = [line for line in done.stderr.splitlines() if line.startswith("ERROR")] or done.stderr.splitlines()
        raise BuildError("pip could not get the packages of the bundle:\n" + "\n".join(said[-_TAIL:]))
