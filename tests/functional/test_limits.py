"""Limits of an application, whole requests: what goes beyond one is stopped, and somebody is told (R75)."""

import logging
import re
from collections import Counter
from dataclasses import replace

import pytest

from chalicelib.domain.client_application import ClientApplication
from tests.fakes import directory
from tests.samples import ADMINISTRATOR

from .client import Answer, Browser
from .conftest import Running
from .test_calls import Calls, calls
from .test_token import ORIGIN, Api

__all__ = ["calls"]
STOPPED = (400, "unauthorized_client", "blocked")
ALICE, BOB = directory.ALICE.user, directory.BOB.user


@pytest.fixture
def api(running: Running) -> Api:
    return Api(running)


def limit(api: Api, *, calls_per_minute: int | None = None, people_per_hour: int | None = None) -> None:
    service = api.running.vault.client_applications
    changed = replace(service.get("scanner"), calls_per_minute=calls_per_minute, people_per_hour=people_per_hour)
    service.change(changed, ADMINISTRATOR, ORIGIN)


def registered(api: Api) -> ClientApplication:
    return api.running.vault.client_applications.get("scanner")


def test_r75_one_call_too_many_in_a_minute_stops_the_application(api: Api, caplog: pytest.LogCaptureFixture) -> None:
    limit(api, calls_per_minute=3)
    for _ in range(3):
        api.fetch()
    assert api.refuse() == STOPPED
    assert [one.getMessage() for one in caplog.records if one.levelno == logging.ERROR] == ["client.frozen"]
    stopped = registered(api)
    assert not stopped.enabled
    assert stopped.stopped_reason == "More than 3 calls in a minute, which is its limit."
    assert stopped.stopped_by == "Token Vault"
    api.running.clock.advance(3600)
    assert api.refuse() == STOPPED
    assert Counter(line["tag"] for line in api.ledger()) == {"token.released": 3, "token.refused": 2}


def test_r75_one_person_too_many_in_an_hour_stops_the_application(api: Api) -> None:
    limit(api, people_per_hour=2)
    for name in ("CONTOSO\\alice", ALICE.id, "alice@contoso.example"):
        api.fetch(name)
    assert api.refuse(BOB.id)[2] == "not_connected"
    assert api.refuse("CONTOSO\\somebody") == STOPPED
    assert registered(api).stopped_reason == "Asked for more than 2 people in an hour, which is its limit."
    assert api.refuse() == STOPPED


def test_each_minute_and_each_hour_begin_anew(api: Api) -> None:
    limit(api, calls_per_minute=2, people_per_hour=1)
    for _ in range(3):
        for _ in range(2):
            api.fetch()
        api.running.clock.advance(60)
    api.running.clock.advance(3600)
    assert api.refuse(BOB.id)[2] == "not_connected"


def test_who_resumes_it_begins_anew(api: Api) -> None:
    limit(api, calls_per_minute=1)
    api.fetch()
    api.refuse()
    admin = api.running.browser("admin")
    page = admin.press(admin.get("/admin/clients/scanner"), "Resume")
    assert page.status == 200
    api.fetch()
    assert api.refuse() == STOPPED


def test_forged_assertions_stop_nobodys_application(api: Api) -> None:
    limit(api, calls_per_minute=1)
    form = api.application.form("CONTOSO\\alice", "northwind")
    forged = form | {"client_assertion": form["client_assertion"][:-8] + "AAAAAAAA"}
    for _ in range(5):
        assert api.send(forged)[0] == 401
    api.fetch()


def test_administrators_set_limits_and_see_them(api: Api) -> None:
    admin = api.running.browser("admin")
    assert "None: whoever has its key" in admin.get("/admin/clients/scanner").text
    page = admin.press(admin.get("/admin/clients/scanner/edit"), "Save", calls_per_minute=" 1,200 ", people_per_hour="")
    assert "1,200" in page.text
    assert "no limit" in page.text
    assert (registered(api).calls_per_minute, registered(api).people_per_hour) == (1200, None)
    assert 'value="1200"' in admin.get("/admin/clients/scanner/edit").body


@pytest.mark.parametrize("typed", ["0", "-5", "many", "99999999", "1000001", "１２"])  # noqa: RUF001
def test_what_is_no_limit_is_said_beside_its_field(api: Api, typed: str) -> None:
    admin = api.running.browser("admin")
    page = admin.press(admin.get("/admin/clients/scanner/edit"), "Save", calls_per_minute=typed, people_per_hour=typed)
    assert page.status == 400
    assert set(re.findall(r'id="problem-(\w+)">A limit is a number from 1 to 1,000,000', page.body)) == {
        "calls_per_minute",
        "people_per_hour",
    }
    assert registered(api).calls_per_minute is None


class TestCalls:
    def test_limits_cost_a_call_each_and_a_person_once(self, api: Api, calls: Calls) -> None:
        limit(api, calls_per_minute=50, people_per_hour=50)
        api.fetch()
        made = calls.of(lambda: self.send(api))
        assert made == ["BatchGetItem", "UpdateItem", "Decrypt", "PutItem"]

    @staticmethod
    def send(api: Api) -> Answer:
        return Browser(api.running.app).post(
            "/oauth2/token", api.application.form("CONTOSO\\alice", "northwind"), follow=False
        )
