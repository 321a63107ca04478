"""Chalice's own packaging, as a program in a folder of our making."""

import os
import subprocess
import sys
from pathlib import Path

from .errors import BuildError
from .stage import Stage

_ANYWHERE = "arn:aws:kms:eu-central-1:000000000000:key/00000000-0000-0000-0000-000000000000"
# Chalice imports the app to learn its routes; the settings of the stage come with the template
_SETTINGS = {
    "VAULT_PUBLIC_URL": "https://vault.invalid",
    "VAULT_KMS_KEY": _ANYWHERE,
    "VAULT_AUDIT_KEY": _ANYWHERE,
    "VAULT_DIRECTORIES": '[{"domain": "PACKAGING", "servers": ["ldaps://directory.invalid"]}]',
}
_AWS = {
    "AWS_DEFAULT_REGION": "eu-central-1",
    "AWS_EC2_METADATA_DISABLED": "true",
    "AWS_CONFIG_FILE": os.devnull,
    "AWS_SHARED_CREDENTIALS_FILE": os.devnull,
}
_KEPT = ("PATH", "HOME", "LANG", "TMPDIR")


def package(project: Path, stage: Stage, merge_template: Path, output: Path) -> None:
    """Run `chalice package` into `output`: sam.json and deployment.zip. Raises BuildError with what it said."""
    arguments = ["package", "--stage", stage.name, "--merge-template", str(merge_template), str(output)]
    kept = {name: os.environ[name] for name in _KEPT if name in os.environ}
    done = subprocess.run(
        [sys.executable, "-c", "from chalice.cli import main; raise SystemExit(main())", *arguments],
        cwd=project,
        env=kept | _SETTINGS | _AWS | {"PYTHONDONTWRITEBYTECODE": "1"},
        capture_output=True,
        text=True,
        check=False,
    )
    if done.returncode:
        raise BuildError(f"chalice package failed:\n{done.stderr.strip()[-2000:]}")
