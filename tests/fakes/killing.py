"""A process that dies at any call of its ports."""

from collections.abc import Callable, Iterator
from contextlib import suppress
from functools import partial
from itertools import count
from typing import Any

import pytest


class Killed(BaseException):
    """The process is gone. Not an Exception: nothing in the product may catch it."""


def killed_at(number: int, run: Callable[[], object], *ports: object) -> bool:
    """Run until the point with that number, before or after a call of these ports. False where there is none."""
    points = count()
    with pytest.MonkeyPatch.context() as patch, suppress(Killed):
        for port in ports:
            for name in (one for one in dir(port) if not one.startswith("_") and callable(getattr(port, one))):
                patch.setattr(port, name, _deadly(getattr(port, name), number, points))
        run()
    return next(points) > number


def _deadly(call: Callable[..., Any], number: int, points: Iterator[int]) -> Callable[..., Any]:
    def called(*arguments: Any, **options: Any) -> Any:
        if next(points) == number:
            raise Killed
        answer = call(*arguments, **options)
        if next(points) == number:
            raise Killed
        return answer

    return called


def every_point(
    world: Callable[[], Any], run: Callable[[Any], object], ports: Callable[[Any], tuple[object, ...]]
) -> Iterator[Any]:
    """A new world for each point at which the run can die, in which it has died there."""
    for number in count():
        made = world()
        if not killed_at(number, partial(run, made), *ports(made)):
            return
        yield made
