"""`python -m deploy.lock`: writes requirements.lock, every package of the bundle with the hashes of its wheels.

The hashes are those of the wheels for Lambda alone, one for each supported Python: nothing else can get in.
"""

import json
import tempfile
from collections import defaultdict
from pathlib import Path
from typing import Any

from .pip import pip
from .stage import ROOT, SUPPORTED
from .wheels import pip_options

LOCK = ROOT / "requirements.lock"
_HEAD = "# Made by `python -m deploy.lock` from requirements.txt. Packages of the bundle, for Lambda.\n"


def main() -> None:
    LOCK.write_text(lock(), encoding="utf-8")


def lock() -> str:
    """The text of the lock file for what requirements.txt asks for today."""
    hashes: dict[str, set[str]] = defaultdict(set)
    pythons: dict[str, set[str]] = defaultdict(set)
    for python in SUPPORTED:
        for name, digest in _resolve(python):
            hashes[name].add(digest)
            pythons[name].add(python)
    return _HEAD + "".join(_entry(name, hashes[name], pythons[name]) for name in sorted(hashes))


def _entry(name: str, hashes: set[str], pythons: set[str]) -> str:
    missing = [python for python in SUPPORTED if python not in pythons]
    marker = f" ; python_version not in '{' '.join(missing)}'" if missing else ""
    return f"{name}{marker}" + "".join(f" \\\n    --hash=sha256:{one}" for one in sorted(hashes)) + "\n"


def _resolve(python: str) -> list[tuple[str, str]]:
    """`name==version` and SHA-256 of each wheel that pip would take."""
    with tempfile.TemporaryDirectory() as folder:
        report = Path(folder) / "report.json"
        where = ["--target", folder, "--report", str(report), "--requirement", str(ROOT / "requirements.txt")]
        pip(["install", "--dry-run", "--ignore-installed", *pip_options(python), *where])
        found = json.loads(report.read_text(encoding="utf-8"))["install"]
    return [(_name(one["metadata"]), one["download_info"]["archive_info"]["hashes"]["sha256"]) for one in found]


def _name(metadata: dict[str, Any]) -> str:
    return f"{metadata['name'].lower().replace('_', '-')}=={metadata['version']}"


if __name__ == "__main__":
    main()
