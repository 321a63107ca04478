"""From a release to what people and administrators see of it: behind the seals, to the hour."""

import csv
import io
from datetime import date
from urllib.parse import quote

import pytest

from chalicelib.domain.seal import SETTLE_SECONDS, WINDOW_SECONDS
from chalicelib.domain.use import UseCount
from chalicelib.stores.use_counts import DynamoUseCountStore
from tests.samples import NOW

from .conftest import NORTHWIND, Running
from .test_token import ALICE_ID, Api

DAY = date(2027, 1, 15)
HOUR = "2027-01-15T08:00:00Z"


@pytest.fixture
def api(running: Running) -> Api:
    running.vault.seals.seal_due()
    return Api(running)


def seal(running: Running) -> None:
    running.clock.advance(SETTLE_SECONDS + WINDOW_SECONDS)
    running.vault.seals.seal_due()


def counts(running: Running) -> list[UseCount]:
    return list(DynamoUseCountStore(running.aws.table("vault")).between(DAY, DAY))


def test_the_last_use_is_on_the_card_in_manage_tokens_and_in_the_files(api: Api) -> None:
    running = api.running
    assert "Not yet" in api.browser.get("/providers").text
    api.fetch()
    seal(running)
    assert f'datetime="{HOUR}" data-hour' in api.browser.get("/providers").body
    admin = running.browser("admin")
    for query in ("", f"?provider={NORTHWIND}", f"?user={quote(ALICE_ID)}"):
        assert f'datetime="{HOUR}" data-hour' in admin.get(f"/admin/tokens{query}").body
    (row,) = csv.DictReader(io.StringIO(admin.get("/admin/tokens/export").body.removeprefix("\ufeff")))
    assert row["last_used"] == HOUR


def test_a_refresh_and_a_consent_for_the_same_account_keep_the_last_use_and_another_account_begins_anew(
    api: Api,
) -> None:
    running = api.running
    api.fetch()
    seal(running)
    running.clock.advance(3600)
    running.refresh(ALICE_ID)
    assert f'datetime="{HOUR}"' in running.browser("alice").get("/providers").body
    browser = running.browser("alice")
    running.authorize(browser, button="Reauthorize")
    assert f'datetime="{HOUR}"' in browser.get("/providers").body
    running.authorize(browser, "bob", button="Reauthorize")
    assert "Not yet" in browser.get("/providers").text


def test_every_release_and_refusal_is_counted_for_its_application_provider_and_day(api: Api) -> None:
    api.fetch()
    api.fetch()
    api.refuse("CONTOSO\\bob")
    api.refuse(client_assertion="x")
    api.refuse(grant_type="")
    seal(api.running)
    assert counts(api.running) == [
        UseCount(DAY, "-", "-", 0, {"invalid_client": 1, "invalid_request": 1}),
        UseCount(DAY, "scanner", NORTHWIND, 2, {"not_connected": 1}),
    ]
    seal(api.running)
    assert sum(count.released for count in counts(api.running)) == 2


def test_what_a_removal_left_of_a_grant_is_not_touched(api: Api) -> None:
    api.fetch()
    page = api.browser.press(api.browser.get("/providers"), "Revoke authorization")
    api.browser.press(page, "Revoke")
    seal(api.running)
    assert [item for item in api.running.aws.items("vault") if item["sk"]["S"].startswith("GRANT#")] == []


def test_a_grant_of_the_version_before_is_read_and_gets_its_last_use(api: Api) -> None:
    (item,) = [item for item in api.running.aws.items("vault") if item["sk"]["S"].startswith("GRANT#")]
    assert "last_used_at" not in item
    api.fetch()
    seal(api.running)
    (item,) = [item for item in api.running.aws.items("vault") if item["sk"]["S"].startswith("GRANT#")]
    assert item["last_used_at"]["N"] == str(NOW // 3600 * 3600)
