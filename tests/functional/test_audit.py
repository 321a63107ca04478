"""The audit log as administrators read it, and a person's own history."""

import csv
import io
import json
import re
from urllib.parse import urlencode

import pytest

from chalicelib.domain.audit import AuditTag
from chalicelib.routes import admin_audit
from chalicelib.services import audit
from tests.fakes import directory

from .client import Answer, Browser
from .conftest import Running

ALICE = directory.ALICE.user.id


@pytest.fixture
def admin(running: Running) -> Browser:
    """Alice has authorized and revoked; bob has authorized and an administrator has removed it."""
    alice = running.browser("alice")
    running.authorize(alice)
    running.clock.advance(7)
    alice.press(alice.press(alice.get("/providers"), "Revoke authorization"), "Revoke")
    running.authorize(running.browser("bob"), "bob")
    admin = running.browser("admin")
    admin.press(admin.press(admin.get("/admin/tokens"), "Remove"), "Remove")
    running.browser().log_in("CONTOSO\\alice", "wrong")
    return admin


def entries(page: Answer) -> list[str]:
    return re.findall(r'class="event">([^<]+)<', page.body)


def search(browser: Browser, **query: str) -> list[str]:
    return entries(browser.get(f"/admin/audit?{urlencode(query)}"))


def export(browser: Browser, **query: str) -> list[dict[str, str]]:
    answer = browser.get(f"/admin/audit/export?{urlencode(query)}")
    assert answer.status == 200
    return list(csv.DictReader(io.StringIO(answer.body)))


class TestPage:
    def test_says_who_did_what_on_whom_when_from_where_with_which_result(
        self, running: Running, admin: Browser
    ) -> None:
        page = admin.get("/admin/audit?tag=grant.removed")
        assert entries(page) == ["Token removed"]
        for words in ("CONTOSO\\admin", "CONTOSO\\bob", "Northwind Cloud", "Firefox on Windows", "127.0.0.1", "Done"):
            assert words in page.text
        assert "15 Jan 2027, 08:00:07 UTC" in page.text
        assert re.search(r"Request [0-9a-f-]{16,}", page.text)

    @pytest.mark.parametrize(
        ("query", "found"),
        [
            ({"tag": "grant.authorized"}, ["Provider authorized", "Provider authorized"]),
            ({"user": "ALICE", "tag": "grant.authorized"}, ["Provider authorized"]),
            ({"user": ALICE, "tag": "grant.authorized"}, ["Provider authorized"]),
            ({"user": ALICE, "from": "2027-01-14", "to": "2027-01-14"}, []),
            ({"actor": "contoso\\adm", "provider": "northwind"}, ["Token removed"]),
            ({"outcome": "failure"}, ["Log-in"]),
            ({"user": "nobody"}, []),
            ({"to": "0001-01-01"}, []),
            ({"from": "2027-01-01", "to": "2027-01-14"}, []),
        ],
    )
    def test_finds_what_the_filter_asks_for(self, admin: Browser, query: dict[str, str], found: list[str]) -> None:
        assert search(admin, **query) == found

    def test_goes_from_page_to_page_without_losing_the_filter(
        self, admin: Browser, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        everything = search(admin, outcome="success")
        monkeypatch.setattr(audit, "PAGE_SIZE", 2)
        found, page = [], admin.get("/admin/audit?outcome=success")
        while True:
            found += entries(page)
            older = re.search(r'href="([^"]+)">Older entries', page.body)
            if not older:
                break
            page = admin.get(older[1].replace("&amp;", "&"))
            assert "Newest entries" in page.text
        assert found == everything
        assert len(found) > 6

    def test_a_search_that_finds_little_goes_on_where_it_stopped(
        self, admin: Browser, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        monkeypatch.setattr(audit, "_SEARCH_LIMIT", 3)
        page = admin.get("/admin/audit?tag=provider.registered")
        for _ in range(20):
            if entries(page):
                return
            assert "Searched back to 15 Jan 2027" in page.text
            (older,) = re.findall(r'href="([^"]+)">Older entries', page.body)
            page = admin.get(older.replace("&amp;", "&"))
        pytest.fail("never found")

    @pytest.mark.parametrize(
        "query",
        [
            "from=2027-01-20&to=2027-01-10",
            "from=2026-01-01&to=2027-01-10",
            "from=0001-01-01",
            "from=yesterday",
            "tag=no.such",
            "outcome=maybe",
            "cursor=x",
            "cursor=9999-99-99T00:00:00%23a",
        ],
    )
    def test_what_cannot_be_asked_is_said(self, admin: Browser, query: str) -> None:
        page = admin.get(f"/admin/audit?{query}")
        assert page.status == 400
        assert "Token Vault" in page.text

    def test_an_entry_with_odd_contents_does_not_take_the_page_away(self, running: Running, admin: Browser) -> None:
        item = next(item for item in running.aws.items("vault") if item["pk"]["S"].startswith("AUDIT#"))
        for number, broken in enumerate(({"at": {"N": "9" * 30}}, {"at": {"N": "1.5"}}, {"tag": {"S": "<script>"}})):
            odd = item | broken | {"sk": {"S": f"07:00:0{number}#odd"}}
            running.aws.clients.dynamodb.put_item(TableName="vault", Item=odd)
        assert search(admin, tag=AuditTag.AUDIT_UNREADABLE) == ["Unreadable entry"] * 3


class TestExport:
    def test_is_a_file_with_every_entry(self, admin: Browser) -> None:
        answer = admin.get("/admin/audit/export")
        assert answer.header("Content-Type").startswith("text/csv")
        disposition = answer.header("Content-Disposition")
        assert disposition == 'attachment; filename="audit-2027-01-09-to-2027-01-15.csv"'
        assert answer.header("Cache-Control") == "no-store"
        rows = export(admin)
        assert len(rows) == len(search(admin))
        (removed,) = [row for row in rows if row["event"] == "grant.removed"]
        assert (removed["actor"], removed["user"]) == ("CONTOSO\\admin", "CONTOSO\\bob")
        assert (removed["time"], removed["result"]) == ("2027-01-15T08:00:07Z", "success")
        assert json.loads(removed["facts"]) == {"account": "bob@contoso.example"}

    def test_holds_what_the_filter_asks_for(self, admin: Browser) -> None:
        assert {row["event"] for row in export(admin, tag="grant.authorized")} == {"grant.authorized"}

    def test_more_than_fits_is_refused_not_cut(self, admin: Browser, monkeypatch: pytest.MonkeyPatch) -> None:
        monkeypatch.setattr(audit, "EXPORT_LIMIT", 2)
        page = admin.get("/admin/audit/export")
        assert page.status == 400
        assert "too many for one file" in page.text

    def test_no_secret_is_in_it(self, running: Running, admin: Browser) -> None:
        body = admin.get("/admin/audit/export").body + admin.get("/admin/audit").body
        sent = running.cloud.forms["/token"]
        secrets = (sent["code"], sent["code_verifier"], *running.cloud._access_tokens, *running.cloud._refresh_tokens)
        assert not [secret for secret in (*secrets, *admin.cookies.values(), "admin-pass") if secret in body]

    def test_every_column_has_a_cell(self, admin: Browser) -> None:
        for row in export(admin):
            assert set(row) == set(admin_audit._COLUMNS)
            assert None not in row.values()


class TestActivity:
    def test_tells_people_what_happened_to_them_and_nobody_else(self, running: Running, admin: Browser) -> None:
        text = running.browser("bob").get("/activity").text
        assert "You authorized Northwind Cloud as bob@contoso.example from Firefox on Windows." in text
        assert "An administrator removed your authorization of Northwind Cloud as bob@contoso.example." in text
        assert "You logged in from Firefox on Windows." in text
        assert "CONTOSO\\admin" not in text
        assert "revoked" not in text
        text = running.browser("alice").get("/activity").text
        assert "You revoked the authorization of Northwind Cloud as alice@contoso.example" in text
        assert "Northwind Cloud is asked to end it, too." in text
        assert "Northwind Cloud confirmed that a revoked authorization has ended." in text
        assert "bob" not in text

    def test_goes_to_older_pages(self, running: Running, monkeypatch: pytest.MonkeyPatch) -> None:
        browser = running.browser("alice")
        running.authorize(browser)
        monkeypatch.setattr(audit, "HISTORY_SIZE", 1)
        page = browser.get("/activity")
        assert page.body.count("<li>") == 1
        (older,) = re.findall(r'href="([^"]+)">Older', page.body)
        page = browser.get(older.replace("&amp;", "&"))
        assert page.body.count("<li>") == 1
        assert "Newest" in page.text

    def test_a_cursor_that_is_none_is_refused(self, running: Running) -> None:
        assert running.browser("alice").get("/activity?cursor=x").status == 400

    def test_both_pages_are_linked(self, running: Running) -> None:
        assert 'href="/activity"' in running.browser("alice").get("/providers").body
        assert 'href="/admin/audit"' not in running.browser("alice").get("/providers").body
        assert 'href="/admin/audit"' in running.browser("admin").get("/providers").body
