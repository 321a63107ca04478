"""The AWS CLI, version 1 or 2: every call of a deployment goes through it, with the credentials that it finds."""

import json
import os
import re
import shlex
import subprocess
import tempfile
from collections.abc import Sequence
from typing import Any

from .errors import BuildError

_REFUSAL = re.compile(r"An error occurred \((?P<code>\w+)\)")
_VARIABLES = ("AWS_REGION", "AWS_DEFAULT_REGION")


class AwsError(BuildError):
    """A command was refused. `code` is AWS's own word, such as `ValidationError`; empty where the CLI named none."""

    def __init__(self, command: Sequence[str], said: str) -> None:
        found = _REFUSAL.search(said)
        self.code = found["code"] if found else ""
        self.said = said.strip()
        super().__init__(f"{shlex.join(command[:3])} failed: {self.said or 'it did not say why'}")


class AwsProgram:
    """Calls `aws` in one region. Raises AwsError for a refusal and BuildError where there is no CLI."""

    def __init__(self, region: str = "") -> None:
        self.region = region or self._configured_region()

    def call(self, *arguments: str) -> Any:
        """The answer as JSON; None where there is none."""
        said = self._run([*arguments, "--region", self.region, "--output", "json"])
        return json.loads(said) if said.strip() else None

    def put_text(self, text: str, address: str) -> None:
        """A file of the text, at an s3:// address."""
        with tempfile.NamedTemporaryFile("w", encoding="utf-8") as file:
            file.write(text)
            file.flush()
            self.call("s3", "cp", "--only-show-errors", file.name, address)

    def _configured_region(self) -> str:
        for name in _VARIABLES:
            if os.environ.get(name):
                return os.environ[name]
        try:
            return self._run(["configure", "get", "region"]).strip()
        except AwsError:
            raise BuildError("The AWS CLI has no region: set AWS_REGION to that of the bucket and the vault.") from None

    @staticmethod
    def _run(arguments: Sequence[str]) -> str:
        command = ["aws", *arguments]
        # Version 2 shows what is long in a pager, which would wait for a key
        environment = os.environ | {"AWS_PAGER": ""}
        try:
            done = subprocess.run(command, env=environment, capture_output=True, text=True, check=False)
        except FileNotFoundError:
            raise BuildError("The AWS CLI is not installed: https://aws.amazon.com/cli/ says how.") from None
        if done.returncode:
            raise AwsError(command, done.stderr)
        return done.stdout
