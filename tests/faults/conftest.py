from collections.abc import Iterator

import pytest

from tests.functional import conftest as functional
from tests.functional.conftest import Telling

from .world import World, world_of

running, telling = functional.running, functional.telling


@pytest.fixture
def world(telling: Telling) -> Iterator[World]:
    with world_of(telling) as world:
        yield world
