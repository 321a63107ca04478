"""Administrators appointed in the vault: a person, a group, and the way back."""

import pytest

from chalicelib.domain.errors import Conflict
from tests.fakes import directory

from .client import Answer, Browser
from .conftest import Running

PAGE = "/admin/administrators"
GROUP_DN = "CN=Helpdesk,OU=Groups,DC=contoso,DC=example"
BOB_GROUP = next(iter(directory.BOB.user.groups), "")


def appoint(admin: Browser, who: str) -> Answer:
    return admin.press(admin.get(PAGE), "Appoint", who=who)


def test_r33_a_person_administrates_from_the_next_log_in_until_dismissed(running: Running) -> None:
    admin, bob = running.browser("admin"), running.browser("bob")
    assert bob.get("/admin/tokens").status == 403
    page = appoint(admin, "CONTOSO\\bob")
    assert "CONTOSO\\bob person" in page.text
    assert "by CONTOSO\\admin" in page.text
    assert bob.get("/admin/tokens").status == 403
    again = running.browser("bob")
    assert again.get("/admin/tokens").status == 200
    assert "Manage tokens" in again.get("/providers").text
    admin.press(admin.get(PAGE), "Remove")
    assert again.get("/admin/tokens").status == 403
    assert "Manage tokens" not in again.get("/providers").text
    tags = running.audit_tags()
    assert (tags.count("administrator.appointed"), tags.count("administrator.dismissed")) == (1, 1)
    assert "made you an administrator" in again.get("/activity").text
    assert "took the administration" in again.get("/activity").text


def test_r91_appointing_by_name_reaches_who_bears_it_now_and_asks_the_directory(running: Running) -> None:
    admin, _ = running.browser("admin"), running.browser("bob")
    new = directory.person(1200, "bob", "Bo New")
    running.directory.looks_up = True
    running.directory.hire(new)
    appoint(admin, "CONTOSO\\bob")
    (entry,) = running.vault.administrators.all().entries
    assert entry.key == new.user.id
    running.directory.available = False
    assert "directory" in appoint(admin, "CONTOSO\\alice").text
    assert running.vault.administrators.all().entries == (entry,)


def test_an_appointed_one_has_an_administrators_shorter_session(running: Running) -> None:
    running.browser("bob")
    appoint(running.browser("admin"), "CONTOSO\\bob")
    bob = running.browser("bob")
    running.clock.advance(15 * 60)
    assert bob.get("/providers").url.startswith("/login")


def test_a_group_is_found_by_its_distinguished_name(running: Running) -> None:
    running.directory.named_groups[GROUP_DN] = BOB_GROUP
    admin = running.browser("admin")
    page = appoint(admin, GROUP_DN.casefold())
    assert f"{GROUP_DN} group" in page.text
    assert running.browser("bob").get("/admin/tokens").status == 200
    assert running.browser("alice").get("/admin/tokens").status == (
        200 if BOB_GROUP in directory.ALICE.user.groups else 403
    )


def test_a_group_by_its_sid_or_somebody_who_was_never_here(running: Running) -> None:
    page = appoint(running.browser("admin"), directory.BOB.user.id)
    assert directory.BOB.user.id in page.text
    assert running.browser("bob").get("/admin/tokens").status == 200


def test_whoever_was_never_here_is_called_what_the_directory_calls_them(running: Running) -> None:
    running.directory.looks_up = True
    page = appoint(running.browser("admin"), "Contoso\\BOB")
    assert "CONTOSO\\bob person" in page.text
    assert "BOB" not in page.text


def test_appointing_twice_is_appointing_once(running: Running) -> None:
    running.browser("bob")
    admin = running.browser("admin")
    appoint(admin, "CONTOSO\\bob")
    page = appoint(admin, "CONTOSO\\bob")
    assert page.text.count("CONTOSO\\bob person") == 1


def test_nobody_takes_the_right_from_himself(running: Running) -> None:
    running.browser("bob")
    appoint(running.browser("admin"), "CONTOSO\\bob")
    bob = running.browser("bob")
    page = bob.press(bob.get(PAGE), "Remove")
    assert page.status == 400
    assert "Another administrator can take this right from you" in page.text
    assert bob.get(PAGE).status == 200


def test_who_administrates_by_the_settings_may_drop_his_own_entry(running: Running) -> None:
    admin = running.browser("admin")
    appoint(admin, "CONTOSO\\admin")
    page = admin.press(admin.get(PAGE), "Remove")
    assert "Nobody was appointed here" in page.text
    assert admin.get(PAGE).status == 200


@pytest.mark.parametrize(
    ("who", "why"),
    [
        ("", "Please name a person or a group"),
        ("CONTOSO\\nobody", "Nobody is known by this name"),
        ("CN=None,DC=contoso,DC=example", "No directory has a group"),
        ("x" * 600, "Please name a person or a group"),
    ],
)
def test_who_is_nobody_is_said_beside_the_field(running: Running, who: str, why: str) -> None:
    page = appoint(running.browser("admin"), who)
    assert page.status == 400
    assert why in page.text


def test_r84_a_second_click_on_remove_finds_it_done(running: Running) -> None:
    running.browser("bob")
    admin = running.browser("admin")
    page = appoint(admin, "CONTOSO\\bob")
    admin.press(page, "Remove")
    assert admin.press(page, "Remove").status == 200


def test_a_directory_that_is_down_is_said(running: Running) -> None:
    admin = running.browser("admin")
    running.directory.available = False
    page = appoint(admin, GROUP_DN)
    assert page.status == 400
    assert "directory" in page.text.partition("Appoint a person")[2]


def test_a_list_that_changes_all_the_time_is_said(running: Running, monkeypatch: pytest.MonkeyPatch) -> None:
    running.browser("bob")

    def changed(_: object) -> None:
        raise Conflict

    monkeypatch.setattr(running.vault.administrators._administrators, "save", changed)
    assert appoint(running.browser("admin"), "CONTOSO\\bob").status == 409


def test_there_is_an_end_to_the_list(running: Running, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("chalicelib.domain.administrators.MOST", 1)
    admin = running.browser("admin")
    running.browser("alice")
    running.browser("bob")
    appoint(admin, "CONTOSO\\bob")
    assert "use a group" in appoint(admin, "CONTOSO\\alice").text


def test_r35_appointing_asks_for_the_password_after_five_minutes(running: Running) -> None:
    admin = running.browser("admin")
    page = admin.get(PAGE)
    running.clock.advance(5 * 60)
    page = admin.press(page, "Appoint", who="CONTOSO\\bob")
    assert page.url == "/login/confirm?next=administrators"
    assert admin.press(page, "Confirm", password="admin-pass").url == PAGE
