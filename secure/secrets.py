"""Nothing that looks like a secret is in the tree, except what was looked at and is none."""

import json
import subprocess
import sys
from collections import Counter

SCANNED = (
    "app.py",
    "chalicelib",
    "deploy",
    "dev",
    "stages",
    "docs",
    "clients",
    "README.md",
    "Makefile",
    ".chalice",
    ".ci",
)
"""Tests, benchmarks and fuzzing are full of sample secrets on purpose."""

KNOWN: dict[str, tuple[int, str]] = {
    "chalicelib/adapters/active_directory.py": (1, "a sentence about passwords"),
    "chalicelib/adapters/ldap_faults.py": (1, "the name of a fault"),
    "chalicelib/data/providers/slack.json": (1, "the name of an error"),
    "chalicelib/domain/audit.py": (1, "the name of an event"),
    "chalicelib/domain/directory_report.py": (4, "sentences about passwords"),
    "chalicelib/provider_commands.py": (1, "the word of a reference to a secret"),
    "chalicelib/restore_commands.py": (1, "a sentence about client secrets"),
    "chalicelib/routes/provider_forms.py": (1, "the name of a field"),
    "chalicelib/services/restoration.py": (1, "a word of a command"),
    "chalicelib/settings.py": (1, "an example of a name"),
    "chalicelib/services/registration.py": (1, "a sentence about client secrets"),
    "dev/directory/contoso.json": (12, "sample people, whose passwords the README says"),
    "dev/stack.py": (4, "the local stack, which nothing but loopback reaches"),
    "docs/directories.md": (1, "an example"),
    "docs/events.md": (1, "an example of an id"),
    "docs/sign-in.md": (1, "an example of a name"),
    "stages/prod/parameters.example.json": (1, "an example of a name"),
}
"""How many in a file, and why none of them is a secret."""


def unexplained(results: dict[str, list[object]]) -> list[str]:
    """A sentence for each file with other findings than the known ones."""
    found = Counter({name: len(entries) for name, entries in results.items()})
    names = sorted({*found, *KNOWN})
    wanted = {name: KNOWN.get(name, (0, ""))[0] for name in names}
    return [f"{name}: {found[name]} found, {wanted[name]} known" for name in names if found[name] != wanted[name]]


def main() -> bool:
    """Whether every finding is explained."""
    command = [sys.executable, "-m", "detect_secrets", "scan", *SCANNED]
    report = subprocess.run(command, capture_output=True, text=True, check=True).stdout
    faults = unexplained(json.loads(report)["results"])
    for sentence in faults:
        print(f"secrets: {sentence}")
    print(f"secrets: {sum(count for count, _ in KNOWN.values())} look like one and are explained")
    return not faults
