"""Promises about routes and errors that hold for every one of them."""

import inspect

import pytest

from chalicelib.domain.errors import VaultError
from chalicelib.web.errors import STATUS
from chalicelib.web.route import Route


def subclasses(cls: type[VaultError]) -> set[type[VaultError]]:
    return {cls}.union(*(subclasses(sub) for sub in cls.__subclasses__() if sub.__module__.startswith("chalicelib")))


def test_every_error_has_a_status() -> None:
    assert subclasses(VaultError) == set(STATUS)


def test_r13_a_route_cannot_leave_out_who_may_call_it() -> None:
    assert inspect.signature(Route).parameters["access"].default is inspect.Parameter.empty
    with pytest.raises(TypeError):
        Route("GET", "/x")  # type: ignore[call-arg]
