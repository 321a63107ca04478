"""cfn-lint over the template, as a program of its own."""

import subprocess
import sys
from pathlib import Path

from .errors import BuildError

_PROGRAM = "import sys; from cfnlint.runner.cli import main; sys.exit(main())"


def lint(template: Path) -> None:
    """Raises BuildError with every remark, informational ones included."""
    command = [sys.executable, "-c", _PROGRAM, "--include-checks", "I", "--format", "parseable", "--", str(template)]
    done = subprocess.run(command, capture_output=True, text=True, check=False)
    if done.returncode or done.stdout.strip():
        raise BuildError(f"cfn-lint has remarks:\n{(done.stdout + done.stderr).strip()}")
