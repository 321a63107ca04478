"""`python -m secure`: bandit, our own rules for semgrep and their tests, secrets, advisories.

It runs in the environment of requirements-secure.txt.
"""

import os
import subprocess
import sys
from pathlib import Path

from . import advisories, secrets

CODE = ("chalicelib", "app.py", "deploy", "dev", "clients/python/token_vault_client")
_RULES = "secure/rules.yaml"
_QUIET = ("--metrics=off", "--disable-version-check")
_PROGRAMS = Path(sys.executable).parent


def main() -> int:
    offline = bool(os.environ.get("OFFLINE"))
    checks = {
        "bandit": run("bandit", "--quiet", "--configfile", "pyproject.toml", "--recursive", *CODE),
        "rules tested": run("semgrep", "--test", *_QUIET, "--config", _RULES, "secure/rules.py"),
        "rules": run("semgrep", "scan", *_QUIET, "--quiet", "--error", "--config", _RULES, "chalicelib", "app.py"),
        "secrets": secrets.main(),
        f"advisories{' (OFFLINE: own floors at least)' if offline else ''}": advisories.main(offline=offline),
    }
    for name, held in checks.items():
        print(f"{'ok    ' if held else 'FAILED'} {name}")
    return 0 if all(checks.values()) else 1


def run(program: str, *arguments: str) -> bool:
    """Whether the program found nothing; what it found, it says itself."""
    environment = os.environ | {"PATH": f"{_PROGRAMS}{os.pathsep}{os.environ.get('PATH', '')}"}
    return subprocess.run([_PROGRAMS / program, *arguments], check=False, env=environment).returncode == 0


if __name__ == "__main__":
    sys.exit(main())
