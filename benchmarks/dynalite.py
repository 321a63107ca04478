"""DynamoDB by npm's dynalite: it keeps connections as AWS does, and many items take it no longer than few."""

import os
import subprocess
from collections.abc import Iterator, Sequence
from contextlib import contextmanager

from dev.process import ROOT
from tests.node import node

from .harness import NotMeasured

PROJECT = ROOT / "tests" / "dynalite"
_ENDPOINT = "AWS_ENDPOINT_URL_DYNAMODB"


@contextmanager
def dynalite() -> Iterator[None]:
    """What is made in this block finds its tables there, each block others. Raises NotMeasured without npm."""
    try:
        started = node(PROJECT, "server.js")
        ready = started.__enter__()
    except (OSError, subprocess.CalledProcessError) as reason:
        raise NotMeasured(f"dynalite could not be started: {reason}") from None
    before = os.environ.get(_ENDPOINT)
    os.environ[_ENDPOINT] = ready["endpoint"]
    try:
        yield
    finally:
        del os.environ[_ENDPOINT]
        if before is not None:
            os.environ[_ENDPOINT] = before
        started.__exit__(None, None, None)


def sizes(usual: Sequence[int]) -> tuple[int, ...]:
    """How many grants; GRANTS in the environment adds a larger number. Raises NotMeasured for what is none."""
    asked = os.environ.get("GRANTS", "0")
    if not asked.isdecimal():
        raise NotMeasured(f"GRANTS is no number: {asked}")
    return (*usual, *(one for one in (int(asked),) if one > max(usual)))
