"""Several cloud accounts of one person at one provider, whole requests: added, chosen, revoked, released."""

from dataclasses import replace

import pytest

from tests.fakes.directory import ALICE

from .client import Answer, Browser, Form, going_to
from .conftest import NORTHWIND, Running
from .test_calls import Calls, calls
from .test_token import Api

__all__ = ["calls"]
WORK, PRIVATE = "alice@contoso.example", "alice.personal@mail.example"


@pytest.fixture
def api(running: Running) -> Api:
    return Api(running)


def add(api: Api, account: str = "alice2") -> Answer:
    return api.running.authorize(api.browser, account, "Add another account")


def press(browser: Browser, button: str, number: int = 0) -> Answer:
    """The `number`th form of the page of providers that has this button."""
    page = browser.get("/providers")
    form = _forms(page, button)[number]
    if form.method == "GET":
        return browser.get(f"{form.action}?" + "&".join(f"{name}={value}" for name, value in form.fields))
    return browser.post(form.action, list(form.fields))


def _forms(page: Answer, button: str) -> list[Form]:
    return [form for form in page.forms if button in form.buttons]


def reauthorize(api: Api, number: int, account: str) -> Answer:
    going = press(api.browser, "Reauthorize", number)
    return api.browser.get(api.running.callback(api.running.cloud.consent(going_to(going), account)))


def account_of(api: Api, **more: str) -> str:
    label: str = api.fetch(**more)["account"]["label"]
    return label


def test_another_account_is_beside_the_first_which_stays_the_default(api: Api) -> None:
    page = add(api)
    assert PRIVATE in page.text
    assert "different cloud account" not in page.text
    page = api.browser.get("/providers")
    assert page.text.index(WORK) < page.text.index("Default") < page.text.index(PRIVATE)
    assert (account_of(api), account_of(api, account=PRIVATE), account_of(api, account="cloud-alice2")) == (
        WORK,
        PRIVATE,
        PRIVATE,
    )
    assert len({api.fetch(account=name)["access_token"] for name in (WORK, PRIVATE)}) == 2


def test_an_account_that_is_not_there_is_never_replaced_by_another(api: Api) -> None:
    add(api)
    assert api.refuse(account="somebody@else.example") == (400, "invalid_grant", "not_connected")


def test_the_person_chooses_the_default(api: Api) -> None:
    add(api)
    assert account_of(api) == WORK
    page = press(api.browser, "Make default")
    assert page.text.index(PRIVATE) < page.text.index("Default") < page.text.index(WORK)
    assert account_of(api) == PRIVATE
    assert "You made alice.personal@mail.example your default account" in api.browser.get("/activity").text


def test_nobody_makes_a_default_of_what_is_not_there(api: Api) -> None:
    form = _forms(api.browser.get("/providers"), "Reauthorize")[0]
    for slot in ("new", "0065", "../x"):
        page = api.browser.post(f"/providers/{NORTHWIND}/default", [*form.fields, ("account", slot)])
        assert page.status == 404
    assert account_of(api) == WORK


def test_revoking_the_default_says_which_account_is_next(api: Api) -> None:
    add(api)
    asked = press(api.browser, "Revoke authorization", 0)
    assert WORK in asked.text
    assert f"work as {PRIVATE}" in asked.text
    page = api.browser.press(asked, "Revoke")
    assert "confirmed" in page.text
    page = api.browser.get("/providers")
    assert WORK not in page.text
    assert "Default" not in page.text
    assert account_of(api) == PRIVATE
    assert api.refuse(account=WORK) == (400, "invalid_grant", "not_connected")


def test_revoking_another_account_leaves_the_default_alone(api: Api) -> None:
    add(api)
    asked = press(api.browser, "Revoke authorization", 1)
    assert PRIVATE in asked.text
    assert "work as" not in asked.text
    api.browser.press(asked, "Revoke")
    assert (account_of(api), api.refuse(account=PRIVATE)[2]) == (WORK, "not_connected")


def test_a_chosen_default_that_is_revoked_gives_way_to_the_first(api: Api) -> None:
    add(api)
    press(api.browser, "Make default")
    api.browser.press(press(api.browser, "Revoke authorization", 0), "Revoke")
    assert account_of(api) == WORK


def test_after_everything_was_revoked_the_next_consent_is_the_default(api: Api) -> None:
    add(api)
    for _ in range(2):
        api.browser.press(press(api.browser, "Revoke authorization", 0), "Revoke")
    assert api.refuse()[2] == "not_connected"
    api.running.authorize(api.browser, "alice2")
    assert account_of(api) == PRIVATE


def test_an_account_that_is_there_already_is_renewed_where_it_is(api: Api) -> None:
    before = api.fetch()["access_token"]
    page = add(api, "alice")
    assert "This account was among yours already" in page.text
    assert api.fetch()["access_token"] != before
    assert len(_forms(api.browser.get("/providers"), "Reauthorize")) == 1


def test_reauthorizing_one_account_as_the_other_leaves_both(api: Api) -> None:
    add(api)
    page = reauthorize(api, 0, "alice2")
    assert "This account was among yours already" in page.text
    assert (account_of(api), account_of(api, account=PRIVATE)) == (WORK, PRIVATE)


def test_reauthorizing_a_later_account_keeps_its_place(api: Api) -> None:
    add(api)
    reauthorize(api, 1, "alice2")
    assert len(_forms(api.browser.get("/providers"), "Reauthorize")) == 2
    page = reauthorize(api, 1, "bob")
    assert "instead of" in page.text
    assert (account_of(api), account_of(api, account="bob@contoso.example")) == (WORK, "bob@contoso.example")
    assert api.refuse(account=PRIVATE)[2] == "not_connected"


def test_an_administrator_removes_one_account_and_no_other_takes_its_place(api: Api) -> None:
    add(api)
    admin = api.running.browser("admin")
    rows = [form for form in admin.get("/admin/tokens").forms if form.buttons == ["Remove"]]
    assert len(rows) == 2
    first = next(form for form in rows if dict(form.fields)["token"].count(".") == 1)
    page = admin.get(f"{first.action}?token={dict(first.fields)['token']}")
    assert "1 token was removed" in admin.press(page, "Remove").text
    assert api.refuse()[2] == "not_connected"
    assert account_of(api, account=PRIVATE) == PRIVATE
    page = api.browser.get("/providers")
    assert "An administrator removed" in page.text
    assert page.form("Authorize")


def test_removing_a_later_account_removes_that_one(api: Api) -> None:
    add(api)
    admin = api.running.browser("admin")
    rows = [form for form in admin.get("/admin/tokens").forms if form.buttons == ["Remove"]]
    later = next(form for form in rows if dict(form.fields)["token"].count(".") == 2)
    admin.press(admin.get(f"{later.action}?token={dict(later.fields)['token']}"), "Remove")
    assert (account_of(api), api.refuse(account=PRIVATE)[2]) == (WORK, "not_connected")


def remove_all(api: Api) -> None:
    admin = api.running.browser("admin")
    admin.press(admin.get(f"/admin/tokens/remove-person?person={ALICE.user.id}"), "Remove")


def authorize_again(api: Api, number: int, account: str) -> Answer:
    going = press(api.browser, "Authorize", number)
    return api.browser.get(api.running.callback(api.running.cloud.consent(going_to(going), account)))


def test_after_all_were_removed_the_first_account_that_is_authorized_again_is_the_default(api: Api) -> None:
    add(api)
    remove_all(api)
    assert api.refuse()[2] == "not_connected"
    authorize_again(api, 1, "alice2")
    assert account_of(api) == PRIVATE
    authorize_again(api, 0, "alice")
    assert (account_of(api), account_of(api, account=WORK)) == (PRIVATE, WORK)


def test_an_account_that_was_removed_is_authorized_again_where_it_was(api: Api) -> None:
    add(api)
    remove_all(api)
    authorize_again(api, 1, "alice")
    assert account_of(api) == WORK
    authorize_again(api, 0, "alice")
    held = api.running.vault.grants._grants.of_user(ALICE.user.id)
    assert [grant.account.subject for grant in held if grant.token_set is not None] == ["cloud-alice"]


def test_a_name_that_two_accounts_have_means_neither(api: Api) -> None:
    add(api)
    grants = api.running.vault.grants._grants
    for grant in grants.of_user(ALICE.user.id):
        named = replace(grant, account=replace(grant.account, label="Alice"), version=grant.version + 1)
        grants.save(named, replaces=grant.version)
    for _ in range(2):
        assert api.refuse(account="Alice") == (400, "invalid_grant", "not_connected")


def test_removing_all_of_a_provider_removes_every_account(api: Api) -> None:
    add(api)
    press(api.browser, "Make default")
    admin = api.running.browser("admin")
    admin.press(admin.get("/admin/tokens/remove-all?provider=northwind"), "Remove", confirm="Northwind Cloud")
    assert api.refuse()[2] == "not_connected"
    api.running.authorize(api.browser)
    assert account_of(api) == WORK


def test_each_account_is_refreshed_by_itself(api: Api) -> None:
    add(api)
    old = {name: api.fetch(account=name)["access_token"] for name in (WORK, PRIVATE)}
    api.running.clock.advance(3600)
    new = {name: api.fetch(account=name) for name in (PRIVATE, WORK)}
    assert all(new[name]["account"]["label"] == name for name in new)
    assert len({*old.values(), *(one["access_token"] for one in new.values())}) == 4


def test_ten_accounts_are_enough(api: Api) -> None:
    grants = api.running.vault.grants._grants
    grant = grants.load(ALICE.user.id, NORTHWIND).grant
    assert grant is not None
    for number in range(9):
        grants.save(replace(grant, slot=f"slot{number}"), replaces=None)
    page = press(api.browser, "Add another account")
    assert page.status == 400
    assert "You have authorized 10 accounts at Northwind Cloud" in page.text


class TestCalls:
    """What several accounts cost whom: nothing those who have one."""

    def test_a_warm_release_of_any_account_is_three_calls(self, api: Api, calls: Calls) -> None:
        add(api)
        press(api.browser, "Make default")
        for account in ("", WORK, PRIVATE):
            more = {"account": account} if account else {}
            api.fetch(**more)
            made = calls.of(lambda more=more: self.send(api, more))
            assert made == ["BatchGetItem", "Decrypt", "PutItem"]
            del calls.made[:]

    @staticmethod
    def send(api: Api, more: dict[str, str]) -> Answer:
        form = api.application.form("CONTOSO\\alice", NORTHWIND, **more)
        return Browser(api.running.app).post("/oauth2/token", form, follow=False)
