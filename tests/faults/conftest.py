from collections.abc import Iterator

import pytest

pytest.register_assert_rewrite("tests.faults.flows", "tests.faults.invariants")

from tests.functional import conftest as functional  # noqa: E402 - after the registration
from tests.functional.conftest import Telling  # noqa: E402

from .world import World, world_of  # noqa: E402

running, telling = functional.running, functional.telling


@pytest.fixture
def world(few_shards: None, telling: Telling) -> Iterator[World]:
    with world_of(telling) as world:
        yield world
