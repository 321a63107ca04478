"""Known weaknesses of the packages in the bundle: asked of an advisory service, and held against floors of our own.

An answer counts only for packages that were looked up: an audit of nothing is none.
"""

import json
import re
import subprocess
import sys
from collections.abc import Mapping
from pathlib import Path

LOCK = Path("requirements.lock")
_PINNED = re.compile(r"^([A-Za-z0-9._-]+)==([^ \\]+)", re.MULTILINE)

FLOORS = {
    "authlib": ("1.6.11", "CVE-2025-59420, -61920, -68158, CVE-2026-28498, -28802: headers, sizes, state, algorithms"),
    "aws-encryption-sdk": ("2.0.0", "CVE-2020-8897: messages that do not commit to one key"),
    "certifi": ("2024.7.4", "CVE-2024-39689: a root that is trusted no more"),
    "cryptography": ("44.0.1", "CVE-2024-12797: the OpenSSL of its wheels"),
    "dnspython": ("2.6.1", "CVE-2023-29483: an answer of another server ends the look-up"),
    "idna": ("3.7", "CVE-2024-3651: quadratic time"),
    "jinja2": ("3.1.6", "CVE-2025-27516: out of the sandbox"),
    "requests": ("2.32.4", "CVE-2024-47081: credentials of .netrc to another host"),
    "urllib3": ("2.5.0", "CVE-2025-50181, -50182: redirects where none are wanted"),
}
"""The first version without what is named; for a day on which no service can be asked."""


def locked(text: str) -> dict[str, str]:
    """Name and version of each package of a lock file."""
    return {name.lower().replace("_", "-"): version for name, version in _PINNED.findall(text)}


def below_floors(packages: Mapping[str, str]) -> list[str]:
    """A sentence for each package that is older than its floor, and for each floor of a package that is not there."""
    found = [f"{name} is not in {LOCK}" for name in FLOORS if name not in packages]
    for name, (floor, why) in FLOORS.items():
        if name in packages and _numbers(packages[name]) < _numbers(floor):
            found.append(f"{name} {packages[name]} is older than {floor}: {why}")
    return found


def judged(report: str, packages: Mapping[str, str]) -> tuple[list[str], list[str]]:
    """What pip-audit's JSON says: the weaknesses, and the packages it says nothing of."""
    try:
        entries = list(json.loads(report)["dependencies"])
    except (ValueError, KeyError, TypeError):
        return [], sorted(packages)
    audited = {entry["name"].lower().replace("_", "-"): entry for entry in entries if "vulns" in entry}
    weak = [f"{name}: {weakness['id']}" for name, entry in audited.items() for weakness in entry["vulns"]]
    return weak, sorted(set(packages) - set(audited))


def _numbers(version: str) -> tuple[int, ...]:
    return tuple(int(number) for number in re.findall(r"\d+", version))


def main(offline: bool) -> bool:
    """Whether nothing is known against what is locked. `offline`: without a service the floors are enough."""
    packages = locked(LOCK.read_text("utf-8"))
    faults = below_floors(packages) if packages else [f"{LOCK} names no package"]
    command = [sys.executable, "-m", "pip_audit", "--format", "json", "--no-deps", "--disable-pip", "-r", str(LOCK)]
    weak, unseen = judged(subprocess.run(command, capture_output=True, text=True, check=False).stdout, packages)
    for sentence in (*faults, *weak):
        print(f"advisories: {sentence}")
    if unseen:
        print(f"advisories: NOT AUDITED, no advisory service knew or could be asked about: {', '.join(unseen)}")
        print(
            f"advisories: {len(FLOORS)} floors of our own were checked" + ("" if offline else "; OFFLINE=1 takes that")
        )
    else:
        print(f"advisories: {len(packages)} packages audited")
    return not faults and not weak and (offline or not unseen)
