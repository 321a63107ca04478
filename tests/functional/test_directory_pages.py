"""Logging in, and administrators' pages about the directory, as whole requests."""

from dataclasses import replace

import pytest

from chalicelib.domain.user import Departure
from tests.fakes import directory

from .client import Answer, Browser
from .conftest import Running


def try_to_log_in(browser: Browser, user_name: str, password: str = "wrong") -> Answer:
    page = browser.get("/login")
    return browser.press(page, "Log in", follow=False, user_name=user_name, password=password)


class TestTooManyTries:
    @pytest.mark.parametrize("user_name", ["CONTOSO\\alice", "CONTOSO\\nobody", "FABRIKAM\\alice", "bob@contoso.com"])
    def test_r32_429_and_retry_after_for_any_name(self, running: Running, user_name: str) -> None:
        answers = [try_to_log_in(running.browser(), user_name) for _ in range(3)]
        assert [answer.status for answer in answers] == [401, 401, 429]
        assert 1790 <= int(answers[2].header("Retry-After")) <= 1800
        assert "There were too many tries. Please wait 30 minutes, then try again." in answers[2].text

    def test_r31_the_browser_the_person_uses_is_let_in_during_a_flood(self, running: Running) -> None:
        mine = running.browser("alice")
        mine.press(mine.get("/providers"), "Sign out")
        for _ in range(10):
            try_to_log_in(running.browser(), "CONTOSO\\alice")
        assert try_to_log_in(running.browser(), "CONTOSO\\alice", "alice-pass").status == 429
        assert try_to_log_in(mine, "CONTOSO\\alice", "alice-pass").status == 303

    def test_r31_the_cookie_that_a_browser_is_known_by(self, running: Running) -> None:
        browser = running.browser()
        answer = try_to_log_in(browser, "CONTOSO\\alice", "alice-pass")
        (cookie,) = [value for value in answer.headers["Set-Cookie"] if value.startswith("__Host-browser=")]
        assert len(cookie.partition("=")[2].partition(";")[0]) == 43
        assert {"Path=/", "HttpOnly", "SameSite=Lax", "Secure", f"Max-Age={90 * 86400}"} <= set(cookie.split("; "))

    def test_r2_its_value_is_not_in_the_store(self, running: Running) -> None:
        browser = running.browser("alice")
        assert browser.cookies["__Host-browser"] not in str(running.aws.items("vault-sessions"))

    def test_f30_an_unavailable_directory_says_so_and_signed_in_people_work_on(self, running: Running) -> None:
        alice = running.browser("alice")
        running.directory.available = False
        answer = try_to_log_in(running.browser(), "CONTOSO\\bob", "bob-pass")
        assert answer.status == 503
        assert "Signing in is unavailable" in answer.text
        assert alice.get("/providers").status == 200


class TestPeopleWhoLeft:
    @pytest.fixture
    def admin(self, running: Running) -> Browser:
        """Alice has authorized Northwind and left."""
        running.authorize(running.browser("alice"))
        running.directory.gone[directory.ALICE.user.id] = Departure.DISABLED
        running.vault.leavers.sweep()
        return running.browser("admin")

    def test_r6_the_browser_of_who_left_is_signed_out(self, running: Running) -> None:
        alice = running.browser("alice")
        running.directory.gone[directory.ALICE.user.id] = Departure.DISABLED
        running.vault.leavers.sweep()
        assert alice.get("/providers").url.startswith("/login")

    def test_r6_who_is_no_administrator_any_more_cannot_open_their_pages(self, running: Running) -> None:
        admin = running.browser("admin")
        running.directory.changed[directory.ADMIN.user.id] = replace(directory.ADMIN.user, groups=frozenset())
        running.vault.leavers.sweep()
        assert admin.get("/admin/tokens").status == 403

    def test_administrators_see_who_left_and_what_will_happen(self, admin: Browser) -> None:
        page = admin.get("/admin/leavers")
        for text in (
            "Alice Adams",
            "CONTOSO\\alice",
            "Account disabled",
            "1 authorization",
            "To be revoked and removed",
        ):
            assert text in page.text

    def test_they_can_keep_the_authorizations(self, admin: Browser) -> None:
        page = admin.press(admin.get("/admin/leavers"), "Keep authorizations")
        assert "An administrator keeps the authorizations." in page.text
        page = admin.press(page, "Do not keep")
        assert "To be revoked and removed" in page.text

    def test_they_can_remove_them_at_once_after_a_question(self, running: Running, admin: Browser) -> None:
        question = admin.press(admin.get("/admin/leavers"), "Remove now")
        assert "Remove the authorizations of Alice Adams?" in question.text
        page = admin.press(question, "Remove")
        assert "Nobody has left" in page.text
        assert "grant.revoked" in running.audit_tags()

    def test_r35_with_a_recent_log_in_only(self, running: Running, admin: Browser) -> None:
        page = admin.get("/admin/leavers")
        running.clock.advance(301)
        assert admin.press(page, "Keep authorizations").url == "/login/confirm?next=leavers"

    def test_somebody_who_has_not_left_is_not_found(self, admin: Browser) -> None:
        assert admin.get(f"/admin/leavers/{directory.BOB.user.id}/remove").status == 404

    def test_a_cursor_of_ones_own_making_is_refused(self, admin: Browser) -> None:
        assert admin.get("/admin/leavers?cursor=x").status == 400


class TestDirectoryPage:
    def test_shows_what_the_settings_say(self, running: Running) -> None:
        page = running.browser("admin").get("/admin/directory")
        for text in ("CONTOSO", "ldaps://dc.contoso.example", "after 3 the vault asks no more for 30 minutes"):
            assert text in page.text

    @pytest.mark.parametrize(("available", "verdict"), [(True, "All good"), (False, "port_closed")])
    def test_checks_every_server(self, running: Running, available: bool, verdict: str) -> None:
        admin = running.browser("admin")
        running.directory.available = available
        assert verdict in admin.press(admin.get("/admin/directory"), "Check every server").text

    def test_tests_a_sign_in_without_signing_anybody_in(self, running: Running) -> None:
        admin = running.browser("admin")
        page = admin.get("/admin/directory")
        page = admin.press(page, "Test sign-in", user_name="CONTOSO\\bob", password="bob-pass")
        assert "All good" in page.text
        assert "bob-pass" not in page.text
        assert running.audit_tags().count("session.login") == 1
        page = admin.press(page, "Test sign-in", user_name="CONTOSO\\bob", password="wrong")
        assert "bad_credentials" in page.text

    def test_r35_after_a_recent_log_in_only(self, running: Running) -> None:
        admin = running.browser("admin")
        page = admin.get("/admin/directory")
        running.clock.advance(301)
        page = admin.press(page, "Test sign-in", user_name="CONTOSO\\bob", password="bob-pass")
        assert page.url == "/login/confirm?next=directory"
