"""F36: killed before and after every call to AWS, a cloud or the directory, and every other way a call can end."""

import os
from collections.abc import Callable

import pytest

from . import seam
from .flows import (
    CALLBACK,
    CLEAN_UP,
    FLOWS,
    MOVE,
    REAUTHORIZE,
    REMOVE_ALL,
    REMOVE_EVERYTHING,
    REMOVE_ONE,
    RETRY,
    REVOKE,
    Flow,
    Prepared,
)
from .invariants import check, check_settled, everything_received_is_accounted_for
from .seam import Call, Killed, Treatment
from .world import World

# Killed before a call is killed after the one before it
TREATMENTS: dict[str, Treatment] = {
    "killed": seam.killed_after,
    "failed": seam.failed,
    "reply-lost": seam.lost,
    "sent-twice": seam.repeated,
}


EVERY = os.environ.get("FAULTS") == "every"
"""`make prove` sets it. Otherwise each treatment meets every fourth call, so that all are met by one of them."""


def through(world: World, flow: Flow, act: Callable[[], bool]) -> None:
    """One case, to its end: what was promised is so, what broke off can be done again, and all of it holds."""
    try:
        promised = act()
    except Killed:
        promised = False
    check(world)
    if promised:
        flow.done(world)
    flow.again(world)
    flow.done(world)
    world.background(world.second, 0.02, 0.3)
    flow.done(world)
    check_settled(world)


KEEPS_COUNT = (CALLBACK, REAUTHORIZE, REVOKE, REMOVE_ONE, REMOVE_ALL, REMOVE_EVERYTHING, MOVE, CLEAN_UP, RETRY)
"""Of what these received nothing may be lost, but where a process died with it in hand, or no answer came."""


def counts(flow: Flow, treatment: str, call: Call) -> bool:
    return flow in KEEPS_COUNT and treatment != "killed" and call.system != "cloud"


def calls_of(world: World, flow: Flow, prepared: Prepared, moment: bytes) -> list[Call]:
    """What the flow calls when nothing goes wrong, in which case all of it must hold, too."""
    world.back_to(moment)
    with world.seam.treating() as calls:
        promised = flow.act(world, prepared)
    through(world, flow, lambda: promised)
    return calls


@pytest.mark.parametrize("treatment", TREATMENTS)
@pytest.mark.parametrize("flow", FLOWS, ids=lambda flow: flow.name)
def test_f36_every_call_of(world: World, flow: Flow, treatment: str) -> None:
    prepared = flow.prepare(world)
    moment = world.moment()
    failures = []
    calls = calls_of(world, flow, prepared, moment)
    tried = calls if EVERY else calls[list(TREATMENTS).index(treatment) :: len(TREATMENTS)]
    for call in tried:
        world.back_to(moment)

        def act(number: int = call.number) -> bool:
            with world.seam.treating(seam.at(number, TREATMENTS[treatment])) as calls:
                promised = flow.act(world, prepared)
            assert len(calls) > number, "was never made"
            return promised

        try:
            through(world, flow, act)
            if counts(flow, treatment, call):
                everything_received_is_accounted_for(world)
        except AssertionError as failure:
            failures.append(f"{call}: {failure!r:.300}")
    print(f"\nproof: {len(tried)} calls treated")
    assert not failures, "\n".join(failures)
