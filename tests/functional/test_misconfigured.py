"""A cloud that refuses the vault's own client: the person and whoever asks "who could get" read who has to act."""

from urllib.parse import urlencode

import pytest

from tests.fakes.cloud import CLIENT_SECRET

from .conftest import NORTHWIND, Running
from .test_calls import Calls, calls
from .test_token import Api

__all__ = ["calls"]
WORDS = "does not accept the client ID or secret of the vault. Your administrators were told and must correct them"


@pytest.fixture
def api(running: Running) -> Api:
    api = Api(running)
    running.cloud.client_secret = "changed at the cloud"
    return api


def shown(api: Api) -> tuple[str, str]:
    """The person's page, and the answer to who could get the token."""
    person, admin = api.running.browser("alice"), api.running.browser("admin")
    asked = urlencode({"user": "CONTOSO\\alice", "provider": NORTHWIND})
    return person.get("/providers").text, admin.get(f"/admin/clients?{asked}").text


def test_while_the_token_lives_nobody_is_troubled(api: Api) -> None:
    assert api.fetch(minimum_seconds="60")
    api.running.refresh(api.running.vault.people.find("CONTOSO\\alice").id)
    page, answer = shown(api)
    assert WORDS not in page
    assert "Could get it" in answer


def test_when_it_has_to_be_renewed_both_are_told(api: Api) -> None:
    api.running.clock.advance(7200)
    assert api.refuse()[2] == "provider_misconfigured"
    page, answer = shown(api)
    assert WORDS in page
    assert "Waits for administrators" in page
    assert "did not answer" not in page
    assert "Not now: the provider refuses the vault" in answer


def test_it_is_over_once_a_token_was_renewed(api: Api) -> None:
    api.running.clock.advance(7200)
    api.refuse()
    api.running.cloud.client_secret = CLIENT_SECRET
    api.running.clock.advance(120)
    assert api.fetch()
    page, answer = shown(api)
    assert WORDS not in page
    assert "Could get it" in answer


def test_the_page_asks_for_health_only_where_an_answer_is_due(api: Api, calls: Calls) -> None:
    person = api.running.browser("alice")
    assert calls.of(lambda: person.get("/providers")) == ["GetItem", "Query", "Query"]
    api.running.clock.advance(3600)
    del calls.made[:]
    person = api.running.browser("alice")
    assert calls.of(lambda: person.get("/providers"))[-3:] == ["Query", "Query", "BatchGetItem"]
