"""What goes into the Lambda, and nothing else."""

import re

from deploy.lock import LOCK
from deploy.sources import KINDS
from dev.process import ROOT

PACKAGED = KINDS
# Development tools, by the names of requirements-dev.txt, and what the Lambda's runtime already has
NEVER = {"moto", "pytest", "coverage", "hypothesis", "canaille", "playwright", "ruff", "mypy", "flask", "chalice"}
PIN = re.compile(r"(?P<name>[A-Za-z0-9-]+)(\[[a-z,]+\])?==[0-9][0-9a-z.]*")


def requirements(file: str) -> list[str]:
    lines = (line.partition("#")[0].strip() for line in (ROOT / file).read_text(encoding="utf-8").splitlines())
    return [line for line in lines if line and not line.startswith("-r ")]


def names(file: str) -> set[str]:
    return {re.split(r"[=<>\[]", line)[0].lower() for line in requirements(file)}


def test_the_package_holds_code_pages_and_data_only() -> None:
    files = [path for path in (ROOT / "chalicelib").rglob("*") if path.is_file() and "__pycache__" not in path.parts]
    assert files
    assert [str(path) for path in files if path.suffix not in PACKAGED] == []


def test_every_requirement_is_pinned() -> None:
    for file in ("requirements.txt", "requirements-dev.txt"):
        assert [line for line in requirements(file) if not PIN.fullmatch(line)] == [], file


def test_the_lambda_gets_no_tool_of_development() -> None:
    assert names("requirements.txt") & (NEVER | names("requirements-dev.txt")) == set()


def test_development_has_what_the_lambda_has() -> None:
    assert "-r requirements.txt" in (ROOT / "requirements-dev.txt").read_text(encoding="utf-8").splitlines()


def test_the_lock_file_is_of_these_requirements() -> None:
    locked = {line.partition(" ")[0] for line in LOCK.read_text(encoding="utf-8").splitlines() if "==" in line}
    wanted = {line.lower() for line in requirements("requirements.txt")}
    assert wanted - locked == set(), "make lock"


def test_every_locked_package_has_a_hash() -> None:
    entries = LOCK.read_text(encoding="utf-8").replace("\\\n", "").splitlines()
    assert [line for line in entries if "==" in line and "--hash=sha256:" not in line] == []
