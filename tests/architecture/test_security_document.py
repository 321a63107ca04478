"""docs/security.md names every security test, and only tests that exist."""

import re

from dev.process import ROOT

NAME = re.compile(r"\btest_[rf]\d+\w*")


def written() -> set[str]:
    return set(NAME.findall((ROOT / "docs/security.md").read_text(encoding="utf-8")))


def existing() -> set[str]:
    files = (ROOT / "tests").rglob("test_*.py")
    return {name for file in files for name in re.findall(r"def (test_[rf]\d+\w*)", file.read_text(encoding="utf-8"))}


def test_every_security_test_is_in_the_document() -> None:
    assert existing() - written() == set()


def test_every_test_in_the_document_exists() -> None:
    assert written() - existing() == set()
