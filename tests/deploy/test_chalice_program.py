"""What people of Chalice try first: each of its own commands says what to do instead."""

import os
import subprocess
import sys
from pathlib import Path

import pytest

from dev.process import ROOT

pytestmark = pytest.mark.integration

_PROGRAM = str(Path(sys.executable).with_name("chalice"))


@pytest.mark.parametrize("command", ["local", "package", "deploy"])
def test_without_settings_one_sentence_says_what_is_missing_and_what_to_do(command: str, tmp_path: Path) -> None:
    arguments = [command, "--stage", "prod", *([str(tmp_path / "out")] if command == "package" else [])]
    kept = {name: value for name, value in os.environ.items() if not name.startswith(("VAULT_", "AWS_"))}
    environment = kept | {"AWS_DEFAULT_REGION": "eu-central-1", "AWS_EC2_METADATA_DISABLED": "true"}
    done = subprocess.run(  # noqa: S603 - a program of our own environment
        [_PROGRAM, *arguments],
        cwd=ROOT,
        env=environment,
        capture_output=True,
        text=True,
        check=False,
        timeout=120,
    )
    # The one that reloads on changes always ends well
    assert done.returncode == (0 if command == "local" else 1)
    assert "VAULT_PUBLIC_URL is not set." in done.stderr
    assert "`make run`" in done.stderr
    assert "`make deploy`" in done.stderr
    assert "Traceback" not in done.stderr
