"""Stopping and blocking as whole requests: effective on the next call, undone with one click, seen in the ledger."""

import re
from urllib.parse import urlencode

import pytest

from chalicelib.domain.client_application import AccessRule, Whose
from chalicelib.domain.stop import StopKind
from tests.fakes import directory

from .client import Answer, Browser
from .conftest import NORTHWIND, Running
from .test_token import EVERYBODY, Api

ALICE_ID = directory.ALICE.user.id
TARGETS = {
    StopKind.EVERYTHING: ("", "Everything"),
    StopKind.APPLICATION: ("scanner", "Scan server"),
    StopKind.PROVIDER: (NORTHWIND, "Northwind Cloud"),
    StopKind.PERSON: ("contoso\\Alice", "CONTOSO\\alice"),
}


@pytest.fixture
def api(running: Running) -> Api:
    return Api(running)


@pytest.fixture
def admin(api: Api) -> Browser:
    return api.running.browser("admin")


def stop(admin: Browser, kind: StopKind, target: str, reason: str = "Laptop lost", **more: str) -> Answer:
    token = admin.get("/admin/stops").form("Sign out").fields[0][1]
    fields = {"csrf": token, "kind": kind.value, "target": target, "reason": reason} | more
    return admin.post("/admin/stops", fields)


def answered(admin: Browser, question: Answer, reason: str) -> Answer:
    """The dialog's form, sent with a reason; its button stands outside of it."""
    return admin.post("/admin/stops", dict(question.forms[0].fields) | {"reason": reason})


def problems(page: Answer) -> list[str]:
    return re.findall(r'<p class="problem"[^>]*>([^<]+)<', page.body)


class TestAdministrators:
    @pytest.mark.parametrize("name", ["CONTOSO\\alice", ALICE_ID])
    @pytest.mark.parametrize("kind", TARGETS)
    def test_r76_a_stop_counts_on_the_next_call_and_so_does_its_end(
        self, api: Api, admin: Browser, kind: StopKind, name: str
    ) -> None:
        api.fetch(name)
        target, shown = TARGETS[kind]
        page = stop(admin, kind, target)
        for words in (shown, "“Laptop lost”", "by CONTOSO\\admin"):
            assert words in page.text
        assert api.refuse(name) == (400, "unauthorized_client", "blocked")
        page = admin.press(page, "Resume")
        assert "Nothing is stopped" in page.text
        api.fetch(name)

    @pytest.mark.parametrize("kind", TARGETS)
    def test_the_ledger_says_what_was_stopped_and_what_was_refused_by_it(
        self, api: Api, admin: Browser, kind: StopKind
    ) -> None:
        admin.press(stop(admin, kind, TARGETS[kind][0]), "Resume")
        stop(admin, kind, TARGETS[kind][0])
        api.refuse()
        page = admin.get("/admin/audit")
        assert page.text.count("reason: Laptop lost") >= 2
        assert f"stopped: {kind.value}" in page.text
        assert "CONTOSO\\admin" in page.text

    def test_a_stop_of_somebody_or_something_else_changes_nothing(self, api: Api, admin: Browser) -> None:
        stop(admin, StopKind.PERSON, directory.BOB.user.id)
        api.fetch()

    def test_r76_who_waits_for_a_refresh_is_stopped_too(self, api: Api, admin: Browser) -> None:
        stop(admin, StopKind.PERSON, ALICE_ID)
        api.running.clock.advance(3600)
        assert api.refuse()[2] == "blocked"
        assert api.running.cloud.requests["/token"] == 1

    def test_r77_a_stop_tells_nothing_to_who_may_not_know(self, api: Api, admin: Browser) -> None:
        api.rules(AccessRule(NORTHWIND, EVERYBODY.scopes, Whose(users=frozenset({directory.BOB.user.id}))))
        before = api.refuse()
        stop(admin, StopKind.PERSON, ALICE_ID)
        stop(admin, StopKind.PROVIDER, NORTHWIND)
        assert api.refuse() == before == (400, "unauthorized_client", "app_not_allowed")

    def test_stopping_everything_is_asked_about_with_a_reason(self, api: Api, admin: Browser) -> None:
        question = admin.get("/admin/stops/everything")
        assert "No application gets any token" in question.text
        again = answered(admin, question, " ")
        assert again.status == 400
        assert problems(again) == ["Please give a reason of at most 200 characters."]
        assert "Stop everything?" in again.text
        page = answered(admin, again, "Incident")
        assert "“Incident”" in page.text
        assert "All releases are stopped" in admin.get("/admin/clients").text
        assert api.refuse()[2] == "blocked"

    def test_an_application_is_stopped_from_its_page_and_resumed_there(self, api: Api, admin: Browser) -> None:
        question = admin.get("/admin/stops/application/scanner")
        assert "Stop Scan server?" in question.text
        answered(admin, question, "Laptop lost")
        page = admin.get("/admin/clients/scanner")
        assert "It gets no token" in page.text
        admin.press(page, "Resume")
        api.fetch()

    @pytest.mark.parametrize(
        ("kind", "target", "says"),
        [
            (StopKind.APPLICATION, "", "Please choose an application."),
            (StopKind.APPLICATION, "x" * 3000, "Please choose an application."),
            (StopKind.PROVIDER, "", "Please choose a provider."),
            (StopKind.PROVIDER, "other", "Please choose a provider."),
            (StopKind.PERSON, "", "Nobody is known by this name"),
            (StopKind.PERSON, "x" * 3000, "Nobody is known by this name"),
        ],
    )
    def test_what_does_not_exist_is_said_beside_the_field(
        self, admin: Browser, kind: StopKind, target: str, says: str
    ) -> None:
        page = stop(admin, kind, target)
        assert page.status == 400
        assert says in problems(page)[0]
        assert "Laptop lost" in page.body
        assert "Nothing is stopped" in page.text

    @pytest.mark.parametrize("kind", ["own", "", "nonsense"])
    def test_a_kind_that_there_is_not_is_refused(self, admin: Browser, kind: str) -> None:
        token = admin.get("/admin/stops").form("Sign out").fields[0][1]
        fields = {"csrf": token, "kind": kind, "target": "x", "reason": "r"}
        assert admin.post("/admin/stops", fields).status == 400

    @pytest.mark.parametrize(("kind", "status"), [("provider", 200), ("person", 200), ("application", 404)])
    def test_resuming_what_is_not_stopped_changes_nothing(self, admin: Browser, kind: str, status: int) -> None:
        token = admin.get("/admin/stops").form("Sign out").fields[0][1]
        for target in ("", "x" * 3000, "nobody"):
            page = admin.post("/admin/stops/resume", {"csrf": token, "kind": kind, "target": target})
            assert page.status == status

    def test_r35_a_stop_works_at_once_and_resuming_needs_a_recent_log_in(self, api: Api, admin: Browser) -> None:
        api.running.clock.advance(301)
        page = stop(admin, StopKind.EVERYTHING, "")
        assert "Laptop lost" in page.text
        assert admin.press(page, "Resume").url == "/login/confirm?next=stops"
        assert api.refuse()[2] == "blocked"

    def test_an_application_that_was_stopped_and_edited_stays_stopped(self, api: Api, admin: Browser) -> None:
        page = admin.get("/admin/clients/scanner/edit")
        stop(admin, StopKind.APPLICATION, "scanner")
        assert admin.press(page, "Save", name="New name").status == 409
        assert api.refuse()[2] == "blocked"


class TestOwnBlock:
    def test_r76_a_person_blocks_and_unblocks_an_application(self, api: Api) -> None:
        api.fetch()
        page = api.browser.get("/applications")
        assert "Scan server" in page.text
        assert "Last fetched a token of Northwind Cloud" in page.text
        page = api.browser.press(page, "Block")
        assert "It gets nothing of yours" in page.text
        assert api.refuse() == (400, "unauthorized_client", "blocked")
        api.browser.press(page, "Unblock")
        api.fetch()

    def test_it_is_the_persons_alone(self, api: Api) -> None:
        bob = api.running.browser("bob")
        api.running.authorize(bob, "bob")
        bob.press(bob.get("/applications"), "Block")
        api.fetch()
        assert api.refuse("CONTOSO\\bob")[2] == "blocked"

    def test_it_and_what_it_refuses_are_on_the_activity_page(self, api: Api) -> None:
        api.fetch()
        api.browser.press(api.browser.get("/applications"), "Block")
        api.refuse()
        text = api.browser.get("/activity").text
        for words in (
            "Scan server fetched your token of Northwind Cloud as alice@contoso.example; "
            "the reason it gave: “nightly filing”",
            "You blocked the application scanner",
            "Scan server asked for your token of Northwind Cloud and did not get it: you block it",
        ):
            assert words in text

    def test_who_has_authorized_nothing_sees_no_application(self, api: Api) -> None:
        page = api.running.browser("bob").get("/applications")
        assert "No application can use your authorizations" in page.text

    def test_an_application_that_there_is_not(self, api: Api) -> None:
        token = api.browser.get("/applications").form("Sign out").fields[0][1]
        assert api.browser.post("/applications/nobody/block", {"csrf": token}).status == 404
        assert api.browser.post("/applications/nobody/unblock", {"csrf": token}).status == 200

    def test_administrators_see_it_in_the_answer_to_who_could_get_it(self, api: Api, admin: Browser) -> None:
        api.browser.press(api.browser.get("/applications"), "Block")
        query = urlencode({"user": "CONTOSO\\alice", "provider": NORTHWIND})
        assert "the person blocks it" in admin.get(f"/admin/clients?{query}").text
