"""A stage: one deployment of the vault, as `.chalice/config.json` names it."""

import json
import sys
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from .errors import BuildError

ROOT = Path(__file__).resolve().parent.parent
LOCAL = "local"
"""The stage of the local stack, which is never packaged."""
SUPPORTED = ("3.11", "3.12", "3.13")
"""Versions of Python that the lock file has wheels for. Lambda runs the one that the package was made with."""


def python_version() -> str:
    """The running one, such as `3.11`."""
    return f"{sys.version_info.major}.{sys.version_info.minor}"


@dataclass(frozen=True, slots=True)
class Stage:
    """`folder` may hold `parameters.json` and `bundle/`, files that go into the bundle as `stage/`."""

    name: str
    configuration: dict[str, Any]

    @classmethod
    def named(cls, name: str) -> "Stage":
        """Raises BuildError for a stage that the configuration does not have, or that is never packaged."""
        configuration = json.loads((ROOT / ".chalice" / "config.json").read_text(encoding="utf-8"))
        known = [stage for stage in configuration["stages"] if stage != LOCAL]
        if name not in known:
            raise BuildError(f"There is no stage {name!r} in .chalice/config.json; there is: {', '.join(known)}.")
        return cls(name, configuration)

    @property
    def folder(self) -> Path:
        return ROOT / "stages" / self.name

    @property
    def output(self) -> Path:
        return ROOT / "build" / self.name
