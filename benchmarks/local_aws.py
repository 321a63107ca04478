"""AWS on moto in a process of its own, so that only the benchmark's own CPU counts; and what was called there."""

import json
import logging
import os
import subprocess
import sys
from collections.abc import Callable, Iterable, Iterator
from contextlib import contextmanager, suppress
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import boto3
from botocore import xform_name
from botocore.config import Config
from botocore.exceptions import ClientError

from chalicelib import telemetry
from chalicelib.adapters.aws import AwsClients
from chalicelib.adapters.json_client import JsonClient
from tests.aws import ENVIRONMENT


@dataclass(frozen=True, slots=True)
class Call:
    """One call of AWS, as botocore names it: `dynamodb`, `GetItem`."""

    service: str
    operation: str
    arguments: dict[str, Any]


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
    """Notes every AWS call of lean clients with its arguments, so that the floor can repeat it with boto3."""

    def __init__(self, aws: AwsClients) -> None:
        self.calls: list[Call] = []
        for client in (aws.dynamodb, aws.kms):
            client.call = self._noted(client)

    def _noted(self, client: JsonClient) -> Callable[..., Any]:
        make = client.call

        def call(operation: str, /, **arguments: Any) -> Any:
            self.calls.append(Call(client.service.name, operation, arguments))
            return make(operation, **arguments)

        return call

    def take(self) -> tuple[list[str], list[Call]]:
        """Operations and calls since the last time."""
        taken, self.calls[:] = list(self.calls), []
        return [call.operation for call in taken], taken


class Bare:
    """boto3 as it comes, but patient, and with a connection for each of many threads."""

    def __init__(self) -> None:
        config = Config(read_timeout=60, max_pool_connections=200)
        self._clients = {name: boto3.client(name, config=config) for name in ("dynamodb", "kms")}

    def repeat(self, calls: Iterable[Call]) -> None:
        """The same calls. A repeated conditional write fails, at the same cost."""
        for call in calls:
            with suppress(ClientError):
                getattr(self._clients[call.service], xform_name(call.operation))(**call.arguments)
