"""Compiled templates into the bundle: the first page of a cold start then imports code instead of making it."""

import os
import subprocess
import sys
from pathlib import Path

from chalicelib.web import render

from .errors import BuildError
from .stage import ROOT


def compile_all(bundle: Path) -> None:
    """Every template as a Python module, where `chalicelib.web.render` looks for it first.

    In a process of its own, whose hash seed is fixed: the same code each time.
    """
    target = bundle / render.COMPILED.relative_to(render.COMPILED.parent.parent)
    target.mkdir()
    done = subprocess.run(
        [sys.executable, "-m", "deploy.pages", str(target)],
        cwd=ROOT,
        env=os.environ | {"PYTHONHASHSEED": "0"},
        capture_output=True,
        text=True,
        check=False,
    )
    if done.returncode:
        raise BuildError(f"The templates do not compile:\n{done.stderr.strip()}")


if __name__ == "__main__":
    render.environment().compile_templates(sys.argv[1], zip=None, ignore_errors=False)
