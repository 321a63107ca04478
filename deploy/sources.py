"""A clean copy of what Chalice packages: the program, its stage's files and the locked packages."""

import json
import shutil
from collections.abc import Iterator
from hashlib import sha256
from pathlib import Path

from .errors import BuildError
from .lock import LOCK
from .pip import pip
from .stage import ROOT, Stage, python_version
from .template.permissions import FUNCTIONS, policy
from .wheels import pip_options

KINDS = {".py", ".html", ".css", ".js", ".svg", ".json"}
"""Endings of files that belong to the program; whatever else lies about stays behind."""


def copy(stage: Stage, project: Path) -> None:
    """Fill `project`, an empty folder. Raises BuildError."""
    for source in sorted(_program()):
        _copy(source, project / source.relative_to(ROOT))
    _copy(ROOT / "app.py", project / "app.py")
    # Chalice would resolve and download by itself, and only warn of what has no wheel
    (project / "requirements.txt").write_text("", encoding="utf-8")
    _install(project / "vendor")
    if (stage.folder / "bundle").is_dir():
        shutil.copytree(stage.folder / "bundle", project / "vendor" / "stage")
    _configure(stage, project / ".chalice")


def digest(stage: Stage) -> str:
    """SHA-256 of all that a package of this stage is made of; another one means that the package is out of date."""
    found = sha256(python_version().encode())
    for path in sorted(
        {*_program(), *(ROOT / "deploy").rglob("*.py"), *(ROOT / "deploy").rglob("*.yaml"), *_of(stage)}
    ):
        found.update(f"{path.relative_to(ROOT)}\0{len(path.read_bytes())}\0".encode() + path.read_bytes())
    return found.hexdigest()


def _of(stage: Stage) -> Iterator[Path]:
    yield from (LOCK, ROOT / "app.py", ROOT / ".chalice" / "config.json")
    yield from (path for path in (stage.folder / "bundle").rglob("*") if path.is_file())


def _program() -> Iterator[Path]:
    for source in (ROOT / "chalicelib").rglob("*"):
        if source.suffix in KINDS and source.is_file() and not source.name.startswith("."):
            yield source


def _configure(stage: Stage, folder: Path) -> None:
    """Chalice's configuration with a policy for each function, which gives each a role of its own."""
    folder.mkdir()
    files = {name: f"policy-{name}.json" for name in FUNCTIONS}
    for name, file in files.items():
        (folder / file).write_text(json.dumps(policy(name)), encoding="utf-8")
    functions = {name: {"iam_policy_file": file} for name, file in files.items()}
    stages = {stage.name: stage.configuration["stages"][stage.name] | {"lambda_functions": functions}}
    (folder / "config.json").write_text(json.dumps(stage.configuration | {"stages": stages}), encoding="utf-8")


def _copy(source: Path, target: Path) -> None:
    target.parent.mkdir(parents=True, exist_ok=True)
    shutil.copyfile(source, target)


def _install(vendor: Path) -> None:
    """The locked wheels, each checked against its hash; one that is missing or other ends the build."""
    if not LOCK.exists():
        raise BuildError("requirements.lock is missing: python -m deploy.lock writes it.")
    options = ["--no-deps", "--require-hashes", "--no-compile", "--target", str(vendor)]
    pip(["install", *options, *pip_options(python_version()), "--requirement", str(LOCK)])
