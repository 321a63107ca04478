"""AWS on moto in a process of its own, so that only the benchmark's own CPU counts; and what was called there."""

import json
import logging
import os
import subprocess
import sys
from collections.abc import Callable, Iterator
from contextlib import contextmanager, suppress
from pathlib import Path
from typing import Any

from botocore import xform_name
from botocore.exceptions import ClientError

from chalicelib import telemetry
from chalicelib.adapters.aws import AwsClients
from tests.aws import ENVIRONMENT

Call = tuple[Callable[..., Any], dict[str, Any]]


@contextmanager
def local_aws() -> Iterator[str]:
    """The endpoint of `python -m dev.aws`, which ends with the block."""
    child = subprocess.Popen(
        [sys.executable, "-m", "dev.aws"], stdin=subprocess.PIPE, stdout=subprocess.PIPE, env=os.environ | ENVIRONMENT
    )
    try:
        assert child.stdout is not None  # noqa: S101 - it is a pipe
        yield json.loads(child.stdout.readline())["endpoint"]
    finally:
        child.terminate()
        child.wait()


@contextmanager
def lines_into_nothing() -> Iterator[None]:
    """The log is formatted and written as it is in production, to where nobody reads it."""
    telemetry.configure("INFO")
    logger = logging.getLogger(telemetry.LOGGER)
    with Path(os.devnull).open("w", encoding="utf-8") as nothing:
        for handler in logger.handlers:
            if isinstance(handler, logging.StreamHandler):
                handler.setStream(nothing)
        yield
        logger.handlers.clear()


class Recorder:
    """Notes every AWS call with its arguments, so that the floor can repeat it bare."""

    def __init__(self, aws: AwsClients) -> None:
        self.calls: list[Call] = []
        self.operations: list[str] = []
        for client in (aws.dynamodb, aws.kms):
            client.meta.events.register("provide-client-params", self._listener(client))

    def _listener(self, client: Any) -> Callable[..., None]:
        def note(params: dict[str, Any], model: Any, **_: Any) -> None:
            self.operations.append(model.name)
            self.calls.append((getattr(client, xform_name(model.name)), params))

        return note

    def take(self) -> tuple[list[str], list[Call]]:
        taken = list(self.operations), list(self.calls)
        self.operations.clear()
        self.calls.clear()
        return taken


def repeat(calls: list[Call]) -> None:
    """The same calls bare. A repeated conditional write fails, at the same cost."""
    for call, arguments in calls:
        with suppress(ClientError):
            call(**arguments)
