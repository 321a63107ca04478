"""What a cloud says in the callback alone reaches the programs that need it, and nothing else of a callback does."""

from dataclasses import replace

import pytest

from chalicelib.domain.provider_type import CallbackField
from tests.functional.client import going_to

from .conftest import Running
from .test_token import Api


@pytest.fixture
def api(running: Running) -> Api:
    """Northwind names the company in the callback, as QuickBooks does."""
    types = running.vault.consent._catalogue._types  # type: ignore[attr-defined]
    kept = {"realm_id": CallbackField("realmId", "[0-9]{1,30}")}
    types["openid-connect"] = replace(types["openid-connect"], callback_fields=kept)
    return Api(running)


def come_back(api: Api, more: str) -> None:
    going = api.browser.press(api.browser.get("/providers"), "Reauthorize")
    api.browser.get(api.running.callback(api.running.cloud.consent(going_to(going), "alice")) + more)


def test_it_is_stored_with_the_tokens_and_released_with_each(api: Api) -> None:
    assert "realm_id" not in api.fetch()
    come_back(api, "&realmId=4620816365&place=elsewhere&api_access_point=https%3A%2F%2Fapi.eu1.adobesign.com%2F")
    assert api.fetch()["realm_id"] == "4620816365"
    api.running.clock.advance(7200)
    body = api.fetch()
    assert (body["realm_id"], "place" in body, "api_access_point" in body) == ("4620816365", False, False)


@pytest.mark.parametrize("value", ["46<script>", "1" * 31, "%E2%80%AE7"])
def test_what_does_not_fit_is_left_out(api: Api, value: str) -> None:
    come_back(api, f"&realmId={value}")
    assert "realm_id" not in api.fetch()


def test_one_that_comes_twice_ends_the_trip(api: Api) -> None:
    before = api.fetch()["access_token"]
    come_back(api, "&realmId=1&realmId=2")
    assert api.fetch()["access_token"] == before


def test_a_later_consent_says_it_anew(api: Api) -> None:
    come_back(api, "&realmId=1")
    come_back(api, "&realmId=2")
    assert api.fetch()["realm_id"] == "2"
    come_back(api, "")
    assert "realm_id" not in api.fetch()
