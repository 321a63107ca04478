"""The life of a grant, in any order: the vault does what a model of twenty lines says it must."""

import os
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass

import pytest
from hypothesis import HealthCheck, settings
from hypothesis import strategies as st
from hypothesis.stateful import RuleBasedStateMachine, invariant, precondition, rule, run_state_machine_as_test

from chalicelib.domain.stop import StopKind
from tests.fakes import directory
from tests.fakes.misbehaviour import error, status
from tests.functional.conftest import NORTHWIND
from tests.samples import ADMINISTRATOR

from .invariants import check
from .world import IDS, ORIGIN, World

EXAMPLES, STEPS = (150, 50) if os.environ.get("FAULTS") == "every" else (6, 20)
PEOPLE = ("alice", "bob")
ACCOUNTS = {"alice": ("alice", "alice2"), "bob": ("bob",)}
HOUR = 3600
PERSON, TARGET = StopKind.PERSON, StopKind.PROVIDER


@dataclass
class Model:
    """A grant as it should be: with which account, how long its token lives, whether the cloud still agrees."""

    account: str = ""
    expires_at: int = 0
    is_refused: bool = False
    is_blocked: bool = False

    def answer(self, *, stopped: bool) -> str:
        """What an application is told that asks for the token now; empty: it gets one."""
        if self.is_blocked or stopped:
            return "blocked"
        if not self.account:
            return "not_connected"
        return "needs_reauthorization" if self.is_refused else ""


class GrantLife(RuleBasedStateMachine):
    """Each rule does one thing to the vault and the same to the model; `asked` compares."""

    world: World
    moment: bytes

    def __init__(self) -> None:
        super().__init__()
        self.world.back_to(self.moment)
        self.model = {person: Model() for person in PEOPLE}
        self.is_stopped = False

    # What people do

    @rule(person=st.sampled_from(PEOPLE), other=st.booleans())
    def authorize(self, person: str, *, other: bool) -> None:
        account = ACCOUNTS[person][-1 if other else 0]
        self._sign_in(person)
        page = self.world.authorize(person, account)
        assert "Authorization succeeded" in page.text, page.text
        expires_at = self.world.clock.now() + HOUR
        self.model[person] = Model(account, expires_at, is_blocked=self.model[person].is_blocked)

    @rule(person=st.sampled_from(PEOPLE))
    def start_and_change_ones_mind(self, person: str) -> None:
        self._sign_in(person)
        browser = self.world.browser(person)
        buttons = [button for form in browser.get("/providers").forms for button in form.buttons]
        self.world.consented(browser, person, "Reauthorize" if "Reauthorize" in buttons else "Authorize")

    @rule(person=st.sampled_from(PEOPLE))
    def revoke(self, person: str) -> None:
        user = (directory.ALICE if person == "alice" else directory.BOB).user
        revoked = self.world.second.vault.grants.revoke(user, NORTHWIND, ORIGIN)
        assert (revoked is not None) == bool(self.model[person].account)
        self._end(person)

    @rule(person=st.sampled_from(PEOPLE))
    def block_or_unblock(self, person: str) -> None:
        stops, model = self.world.second.vault.stops, self.model[person]
        if model.is_blocked:
            stops.resume(PERSON, IDS[person], ADMINISTRATOR, ORIGIN)
        else:
            stops.stop(PERSON, IDS[person], "Laptop lost", ADMINISTRATOR, ORIGIN)
        model.is_blocked = not model.is_blocked

    # What administrators do

    @rule(person=st.sampled_from(PEOPLE), revoke=st.booleans())
    def remove_one(self, person: str, *, revoke: bool) -> None:
        ids = [f"{NORTHWIND}.{IDS[person]}"]
        receipt = self.world.second.vault.removals.remove(ADMINISTRATOR, ids, ORIGIN, revoke=revoke)
        assert sum(cloud.removed for cloud in receipt.clouds) == bool(self.model[person].account)
        self._end(person)

    @rule(revoke=st.booleans())
    def remove_all(self, *, revoke: bool) -> None:
        self.world.second.vault.removals.remove_all(ADMINISTRATOR, NORTHWIND, ORIGIN, revoke=revoke)
        for person in PEOPLE:
            self._end(person)

    @rule()
    def stop_or_resume(self) -> None:
        stops = self.world.second.vault.stops
        if self.is_stopped:
            stops.resume(TARGET, NORTHWIND, ADMINISTRATOR, ORIGIN)
        else:
            stops.stop(TARGET, NORTHWIND, "Laptop lost", ADMINISTRATOR, ORIGIN)
        self.is_stopped = not self.is_stopped

    # What the world does

    @rule(minutes=st.integers(1, 90))
    def time_passes(self, minutes: int) -> None:
        self.world.clock.advance(minutes * 60)

    @rule()
    def the_schedule_runs(self) -> None:
        self.world.background(self.world.second, 0.02)

    @precondition(lambda self: any(self._is_due(person) for person in PEOPLE))
    @rule(data=st.data())
    def the_cloud_refuses(self, data: st.DataObject) -> None:
        person = data.draw(st.sampled_from([person for person in PEOPLE if self._is_due(person)]))
        self.world.cloud.misbehave("/token", error("invalid_grant"))
        assert self._told(person) == "needs_reauthorization"
        self.model[person].is_refused = True

    @precondition(lambda self: any(self._is_due(person) for person in PEOPLE))
    @rule(data=st.data())
    def the_cloud_is_down(self, data: st.DataObject) -> None:
        person = data.draw(st.sampled_from([person for person in PEOPLE if self._is_due(person)]))
        self.world.cloud.misbehave("/token", status(503))
        assert self._told(person) == "provider_unavailable"
        # Longer than the pauses that the vault keeps then
        self.world.clock.advance(2 * HOUR)

    # What an application sees

    @rule(person=st.sampled_from(PEOPLE))
    def asked(self, person: str) -> None:
        model = self.model[person]
        expected = model.answer(stopped=self.is_stopped)
        assert self._told(person) == expected
        if not expected:
            body = self.world.released[-1]
            assert body["account"]["subject"] == f"cloud-{model.account}"
            assert body["expires_in"] >= 60
            assert self.world.cloud.is_live(body["access_token"])
            model.expires_at = body["expires_at"]

    @invariant()
    def all_holds(self) -> None:
        check(self.world)

    def _told(self, person: str) -> str:
        status_code, body = self.world.fetch(person)
        return "" if status_code == 200 else str(body["reason"])

    def _is_due(self, person: str) -> bool:
        """Whether the next release has to ask the cloud."""
        model = self.model[person]
        return not model.answer(stopped=self.is_stopped) and model.expires_at <= self.world.clock.now()

    def _end(self, person: str) -> None:
        self.model[person] = Model(is_blocked=self.model[person].is_blocked)

    def _sign_in(self, person: str) -> None:
        if self.world.browser(person).get("/providers").url != "/providers":
            self.world.log_in(person)


@contextmanager
def machine_in(world: World) -> Iterator[type[GrantLife]]:
    for person in PEOPLE:
        world.log_in(person)
        world.browser(person).press(world.browser(person).get("/providers"), "Authorize")
    moment = world.moment()
    yield type("GrantLifeHere", (GrantLife,), {"world": world, "moment": moment})


@pytest.mark.filterwarnings("ignore::hypothesis.errors.NonInteractiveExampleWarning")
def test_the_life_of_a_grant_is_as_the_model_says(world: World) -> None:
    profile = settings(
        max_examples=EXAMPLES,
        stateful_step_count=STEPS,
        deadline=None,
        database=None,
        derandomize=True,
        suppress_health_check=list(HealthCheck),
    )
    with machine_in(world) as machine:
        run_state_machine_as_test(machine, settings=profile)
    print(f"\nproof: {EXAMPLES} lives of up to {STEPS} acts")
