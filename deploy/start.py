"""Starts the bundle as Lambda would, with the settings it would get there, and hears what is wrong with them."""

import json
import os
import subprocess
import sys
import tempfile
from collections.abc import Mapping
from pathlib import Path

from . import archive
from .errors import BuildError

# As in Lambda: the bundle and the standard library; no site-packages (-S), no settings of this machine (-I)
_START = """
import json, sys
sys.path.insert(0, sys.argv[1])
from chalicelib.settings import Settings
faults, ports = Settings.faults(), []
if not faults:
    import app
    ports = [server.port for one in Settings.from_environment().directories for server in one.addresses]
print(json.dumps([faults, ports]))
"""
_AWS = {
    "AWS_REGION": "eu-central-1",
    "AWS_DEFAULT_REGION": "eu-central-1",
    "AWS_ACCESS_KEY_ID": "starting",
    "AWS_SECRET_ACCESS_KEY": "starting",
    "AWS_EC2_METADATA_DISABLED": "true",
}


def check(bundle: Path, environment: Mapping[str, str]) -> set[int]:
    """The TCP ports of the directory servers that are named. Calls nobody.

    Raises BuildError with a sentence for each fault, in the words of `check-config`.
    """
    with tempfile.TemporaryDirectory() as folder:
        archive.unpack(bundle, Path(folder))
        faults, ports = _started(Path(folder), environment)
    if faults:
        said = "\n".join(f"- {name}: {sentence.removeprefix(name).lstrip(': ')}" for name, sentence in faults.items())
        raise BuildError(f"The vault does not start with these settings:\n{said}")
    return set(ports)


def _started(task: Path, environment: Mapping[str, str]) -> tuple[dict[str, str], list[int]]:
    done = subprocess.run(
        [sys.executable, "-I", "-S", "-c", _START, str(task)],
        cwd=task,
        env={"PATH": os.environ["PATH"], **_AWS, **environment},
        capture_output=True,
        text=True,
        check=False,
    )
    if done.returncode:
        raise BuildError(f"The vault does not start:\n{done.stderr.strip()[-2000:]}")
    faults, ports = json.loads(done.stdout.splitlines()[-1])
    return faults, ports
