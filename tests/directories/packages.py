"""Samba and OpenLDAP as Debian packages: got once for all test workers, or a sentence that says why not.

`python -m tests.directories.packages` gets them where one can see it; the tests get what is missing by themselves.
"""

import os
import shutil
from functools import cache
from pathlib import Path

from dev import debian

# Beside its tools, a controller needs the database modules and templates that Debian keeps in packages of their own
SAMBA = ("samba-ad-dc", "samba-ad-provision", "samba-dsdb-modules")
SLAPD = ("slapd",)
_PROVISIONING = Path("/usr/share/samba/setup")


@cache
def why_no_samba() -> str | None:
    """None when a domain controller can run here, installing it first if need be; else the reason, said once."""
    if os.geteuid() != 0:
        return _say("Samba's LDAP ports are 389 and 636, which only root may open")
    return _get("samba", SAMBA, _PROVISIONING)


@cache
def why_no_slapd() -> str | None:
    """None when slapd can run here, installing it first if need be; else the reason, said once."""
    return _get("slapd", SLAPD, Path("/usr/lib/ldap"))


def program(name: str) -> str:
    """The path of a program that root's path has and other people's has not."""
    return shutil.which(name, path=f"{os.environ.get('PATH', os.defpath)}:/usr/sbin:/sbin") or name


def _get(name: str, packages: tuple[str, ...], needs: Path) -> str | None:
    with debian.alone():
        if not _is_there(name, needs) and debian.may_install():
            debian.install(*packages)
    if _is_there(name, needs):
        return None
    if debian.may_install():
        return _say(f"{name} could not be installed: see what apt-get said above")
    return _say(f"{name} is not installed, and only root with apt-get could: apt-get install {' '.join(packages)}")


def _is_there(name: str, needs: Path) -> bool:
    return Path(program(name)).is_absolute() and needs.is_dir()


def _say(reason: str) -> str:
    print(f"No tests on a real directory: {reason}.", flush=True)
    return reason


if __name__ == "__main__":
    why_no_samba()
    why_no_slapd()
