"""The real things that contract tests run on, started once."""

from collections.abc import Iterator

import pytest

from tests.aws import Aws
from tests.aws import aws as start_aws


@pytest.fixture(scope="module")
def started_aws() -> Iterator[Aws]:
    with start_aws() as started:
        yield started


@pytest.fixture
def aws(started_aws: Aws) -> Aws:
    started_aws.empty()
    return started_aws
