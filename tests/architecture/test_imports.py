"""Imports go one way (.importlinter)."""

import subprocess
import sys
from pathlib import Path

from dev.process import ROOT


def test_the_import_contract_is_kept() -> None:
    lint_imports = Path(sys.executable).with_name("lint-imports")
    done = subprocess.run(  # noqa: S603 - our own tool, without arguments from outside
        [lint_imports, "--no-cache"], cwd=ROOT, capture_output=True, text=True, check=False
    )
    assert done.returncode == 0, done.stdout + done.stderr
