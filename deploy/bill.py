"""What is in the bundle and under which licence: a CycloneDX 1.6 bill of materials and a text for people."""

import json
import re
from dataclasses import dataclass
from importlib.metadata import Distribution, distribution, distributions
from pathlib import Path
from typing import Any

from .errors import BuildError
from .lock import LOCK
from .stage import ROOT

_LOCKED = re.compile(r"^(?P<name>[a-z0-9-]+)==(?P<version>\S+)(?P<rest>(?:.*\\\n)*.*)", re.MULTILINE)
_HASH = re.compile(r"--hash=sha256:([0-9a-f]{64})")
_CLASSIFIER = "License :: OSI Approved :: "
_SHORT = 60
"""Characters of a `License` field that is a name and not the licence itself."""


@dataclass(frozen=True, slots=True)
class Component:
    """A package in the bundle; `hashes` are those of its wheels that may be in it."""

    name: str
    version: str
    licence: str
    hashes: tuple[str, ...]

    @property
    def purl(self) -> str:
        return f"pkg:pypi/{self.name}@{self.version}"


def components(bundle: Path) -> list[Component]:
    """By name, read from the bundle itself. Raises BuildError for one without a licence or beside the lock."""
    locked = {match["name"]: match for match in _LOCKED.finditer(LOCK.read_text(encoding="utf-8"))}
    found = [_component(one, locked) for one in distributions(path=[str(bundle)])]
    return sorted([*found, _chalice()], key=lambda one: one.name)


def bill_of_materials(parts: list[Component], digest: str, version: str) -> str:
    """CycloneDX JSON; no time and no random number, so that the same bundle has the same bill."""
    document = {
        "$schema": "http://cyclonedx.org/schema/bom-1.6.schema.json",
        "bomFormat": "CycloneDX",
        "specVersion": "1.6",
        "version": 1,
        "metadata": {"component": _program(digest, version)},
        "components": [_entry(part) for part in parts],
        "dependencies": [{"ref": "token-vault", "dependsOn": [part.purl for part in parts]}],
    }
    return json.dumps(document, indent=2) + "\n"


def licences(parts: list[Component]) -> str:
    """One line a package: name, version, licence. The texts themselves are in the bundle's dist-info folders."""
    width = max(len(part.name) for part in parts)
    return "".join(f"{part.name:<{width}}  {part.version:<14}  {part.licence}\n" for part in parts)


def _component(found: Distribution, locked: dict[str, re.Match[str]]) -> Component:
    name = _normal(found)
    if name not in locked or locked[name]["version"] != found.version:
        raise BuildError(f"{name} {found.version} is in the bundle and not in requirements.lock.")
    return Component(name, found.version, _licence(found), tuple(_HASH.findall(locked[name]["rest"])))


def _chalice() -> Component:
    """Chalice puts its own runtime in, a part of what is installed here."""
    installed = distribution("chalice")
    return Component("chalice", installed.version, _licence(installed), ())


def _normal(found: Distribution) -> str:
    return re.sub(r"[-_.]+", "-", found.metadata["Name"]).lower()


def _licence(found: Distribution) -> str:
    """SPDX expression if there is one, else what the package says in older ways."""
    metadata = found.metadata
    classified = [one.removeprefix(_CLASSIFIER) for one in metadata.get_all("Classifier") or [] if _CLASSIFIER in one]
    expression, plain = (metadata.get_all(name) or [""] for name in ("License-Expression", "License"))
    said = expression[0] or " / ".join(classified) or plain[0]
    if not said or len(said) > _SHORT or "\n" in said:
        raise BuildError(f"{metadata['Name']} {found.version} does not say under which licence it is.")
    return said


def _program(digest: str, version: str) -> dict[str, Any]:
    hashes = [{"alg": "SHA-256", "content": digest}]
    return {
        "type": "application",
        "bom-ref": "token-vault",
        "name": "token-vault",
        "version": version,
        "hashes": hashes,
    }


def _entry(part: Component) -> dict[str, Any]:
    entry: dict[str, Any] = {
        "type": "library",
        "bom-ref": part.purl,
        "name": part.name,
        "version": part.version,
        "purl": part.purl,
        "licenses": [{"license": {"name": part.licence}}],
    }
    if part.hashes:
        # CycloneDX knows one hash an algorithm; these are of the alternative wheels, any of which is right
        entry["properties"] = [{"name": "token-vault:wheel:sha256", "value": one} for one in part.hashes]
    return entry


def version() -> str:
    """The product's, as pyproject.toml has it."""
    found = re.search(r'^version = "(.+)"$', (ROOT / "pyproject.toml").read_text(encoding="utf-8"), re.MULTILINE)
    if not found:
        raise BuildError("pyproject.toml has no version.")
    return found[1]
