"""Hours of work in little: all kinds of requests, one call in twenty goes wrong, and nothing piles up.

`SECONDS=1800 make soak` is the long form. The stores are emptied to the same moment again and again, so that what
grows is the vault's.
"""

import gc
import os
import random
import time
from collections.abc import Callable
from contextlib import suppress
from pathlib import Path
from statistics import quantiles

from chalicelib.domain.errors import VaultError

from .invariants import check, is_honest, is_rfc_error
from .seam import Call, Treatment, delayed, failed, lost, repeated
from .world import World

SECONDS = float(os.environ.get("SECONDS", "4"))
FAULTY = 0.05
WAYS: tuple[Treatment, ...] = (failed, lost, repeated, delayed(0.01))
ROUND = 40
"""Requests between two looks at all invariants."""
GROWTH = 0.15
FLOOD, MEASURED = 5, 30
SLOWER = 2.0


class Soak:
    """Makes requests, and keeps what is to be said about them."""

    def __init__(self, world: World) -> None:
        self.world = world
        # Always the same, so that what is found can be found again
        self.random = random.Random(7)  # noqa: S311 - no secret depends on it
        self.injected = 0
        self.requests = 0
        self.milliseconds: list[float] = []
        self.memory: list[int] = []

    def plan(self, _call: Call) -> Treatment | None:
        if self.random.random() >= FAULTY:
            return None
        self.injected += 1
        return self.random.choice(WAYS)

    def one(self, act: Callable[[], int]) -> None:
        """One request. What is refused with 503 must have had a fault of ours."""
        before = self.injected
        with self.world.seam.treating(self.plan):
            status = act()
        self.requests += 1
        assert status < 500 or self.injected > before, f"{status}, and nobody injected anything"

    def release(self) -> int:
        self.world.clock.advance(self.random.choice((0, 1, 60, 3600)))
        started = time.perf_counter()
        status, body = self.world.fetch(self.random.choice(("alice", "bob")))
        self.milliseconds.append((time.perf_counter() - started) * 1000)
        if status != 200:
            is_rfc_error(status, body)
        # After a fault the vault leaves the cloud alone for a while
        return 200 if body.get("reason") == "provider_unavailable" and self.injected else status

    def page(self, person: str, path: str) -> Callable[[], int]:
        def act() -> int:
            answer = self.world.browser(person).get(path)
            is_honest(answer)
            return answer.status

        return act

    def log_in(self) -> int:
        browser = self.world.browser("alice")
        page = browser.get("/login")
        if "Log in" in [button for form in page.forms for button in form.buttons]:
            page = browser.press(page, "Log in", user_name="CONTOSO\\alice", password="alice-pass")
        is_honest(page)
        return page.status

    def background(self) -> int:
        """Fails as the schedule may: the next minute tries again."""
        with suppress(VaultError):
            self.world.background(self.world.first, 0.02)
        return 200

    def some(self) -> None:
        acts = [
            *[self.release] * 8,
            self.page("alice", "/providers"),
            self.page("alice", "/activity"),
            self.page("alice", "/applications"),
            self.page("admin", "/admin/tokens"),
            self.log_in,
            self.background,
        ]
        for _ in range(ROUND):
            self.one(self.random.choice(acts))
        check(self.world)

    def p99(self) -> float:
        return quantiles(self.milliseconds, n=100)[98]


def _memory() -> int:
    """Pages in use."""
    gc.collect()
    return int(Path("/proc/self/statm").read_text(encoding="ascii").split()[1])


def test_hours_of_work_with_faults(world: World) -> None:
    for person in ("alice", "bob"):
        world.log_in(person)
        world.authorize(person)
    world.log_in("admin")
    moment = world.moment()
    soak, end = Soak(world), time.monotonic() + SECONDS
    while time.monotonic() < end or len(soak.memory) < 3:
        world.back_to(moment)
        soak.some()
        soak.memory.append(_memory())
    # The first third fills caches
    settled = soak.memory[len(soak.memory) // 3]
    growth = soak.memory[-1] / settled - 1
    assert growth < GROWTH, f"memory grew by {growth:.0%}"
    print(
        f"\nproof: {soak.requests} requests with {soak.injected} faults, p99 of releases {soak.p99():.0f} ms, "
        f"memory {growth:+.1%}"
    )


def test_r81_a_flood_of_log_ins_does_not_slow_releases(world: World) -> None:
    world.log_in("alice")
    world.authorize("alice")
    world.fetch()

    def median(between: Callable[[], object]) -> float:
        taken = []
        for _ in range(MEASURED):
            between()
            started = time.perf_counter()
            status, _ = world.fetch()
            taken.append(time.perf_counter() - started)
            assert status == 200
        return sorted(taken)[len(taken) // 2]

    def flood() -> None:
        for _ in range(FLOOD):
            world.browser("nobody").log_in("CONTOSO\\alice", "wrong")

    quiet = median(lambda: None)
    flooded = median(flood)
    assert flooded < SLOWER * quiet, f"{flooded / quiet:.1f} times slower"
    with world.seam.treating() as calls:
        world.fetch()
    assert [call.operation for call in calls] == ["BatchGetItem", "Decrypt", "PutItem"]
    print(f"\nproof: {FLOOD * MEASURED} log-ins, releases take {flooded / quiet:.2f} times as long")
