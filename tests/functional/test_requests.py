"""Requests as attackers and broken programs send them: a clear page, the right status, nothing changed."""

import json
import logging
import re
from urllib.parse import parse_qs, urlsplit

import pytest

from chalicelib.domain.access import Access
from chalicelib.domain.audit import Actor, Origin
from chalicelib.domain.session import NOTICE_SECONDS
from chalicelib.web.route import Route
from tests.fakes.misbehaviour import error, html, status

from .client import BASE, Browser, going_to
from .conftest import Running

EXAMPLES = {
    "provider_id": "northwind",
    "provider": "northwind",
    "handle": "0123456789abcdef",
    "name": "app.css",
    "user": "S-1-5-21-9",
    "client": "scanner",
    "removal": "receipt",
}
STATES = ("anonymous", "user", "administrator")
ALLOWED = {
    Access.PUBLIC: set(STATES),
    Access.USER: {"user", "administrator"},
    Access.ADMINISTRATOR: {"administrator"},
}


def path_of(route: Route) -> str:
    return re.sub(r"{(\w+)}", lambda match: EXAMPLES[match[1]], route.path)


def routes(running: Running, method: str) -> list[Route]:
    """Those that people use; programs send no cookies and no form tokens (`test_token.py`)."""
    every = [route for route in running.vault.endpoints.routes if route.method == method]
    return [route for route in every if route.access is not Access.APPLICATION]


class TestRoles:
    @pytest.mark.parametrize("state", STATES)
    def test_r64_every_route_lets_in_whom_it_says(self, running: Running, state: str) -> None:
        browser = running.browser({"user": "alice", "administrator": "admin"}.get(state, ""))
        for route in routes(running, "GET"):
            page = browser.get(path_of(route), follow=False)
            turned_away = page.header("Location").startswith("https://vault.example/login") or page.status == 403
            if state in ALLOWED[route.access]:
                assert not turned_away, route
            elif state == "anonymous":
                assert page.status == 303, route
            else:
                assert page.status == 403, route
                assert "Manage tokens" not in page.text

    def test_r64_an_administrator_who_is_none_any_more_is_turned_away(self, running: Running) -> None:
        browser = running.browser("admin")
        running.vault.sessions._administrator_groups = frozenset()
        assert browser.get("/admin/tokens").status == 403

    def test_r64_posts_of_people_without_the_role_change_nothing(self, running: Running) -> None:
        alice = running.browser("alice")
        running.authorize(alice)
        fields = {"csrf": alice.get("/providers").form("Sign out").fields[0][1], "target": "northwind"}
        page = alice.post("/admin/tokens/remove-all", fields)
        assert page.status == 403
        assert alice.get("/providers").form("Reauthorize")

    def test_r65_foreign_and_missing_sessions_answer_alike(self, running: Running) -> None:
        alice, bob = running.browser("alice"), running.browser("bob")
        handle = re.search(r"/sessions/(\w+)/end", running.browser("bob").get("/sessions").body)
        assert handle
        token = alice.get("/sessions").form("Sign out").fields[0][1]
        answers = [alice.post(f"/sessions/{h}/end", {"csrf": token}) for h in (handle[1], "f" * 16)]
        assert [answer.status for answer in answers] == [404, 404]
        assert len({re.sub(r"nonce-?=?\S+|[0-9a-f]{16}", "", answer.body) for answer in answers}) == 1
        assert bob.get("/providers", follow=False).status == 200

    def test_who_ends_another_of_ones_own_sessions_is_back_on_the_list(self, running: Running) -> None:
        here, there = running.browser("alice"), running.browser("alice")
        page = here.get("/sessions")
        handle = re.search(r"/sessions/(\w+)/end", page.body)
        assert handle
        ended = here.post(f"/sessions/{handle[1]}/end", {"csrf": page.form("Sign out").fields[0][1]})
        assert (ended.status, ended.url) == (200, "/sessions")
        assert there.get("/providers").url.startswith("/login")


class TestForms:
    def test_r9_no_post_works_without_the_token(self, running: Running) -> None:
        browser = running.browser("admin")
        browser.get("/login")
        for route in routes(running, "POST"):
            fields = dict.fromkeys(route.fields, "x")
            for token in ({}, {"csrf": "wrong"}):
                page = browser.post(path_of(route), fields | token)
                assert page.status == 403, route
                assert "did not come from the vault" in page.text

    def test_r9_another_sessions_token_is_refused(self, running: Running) -> None:
        alice, bob = running.browser("alice"), running.browser("bob")
        token = bob.get("/providers").form("Sign out").fields[0][1]
        assert alice.post("/logout", {"csrf": token}).status == 403
        assert alice.get("/providers", follow=False).status == 200

    def test_r10_another_site_is_refused(self, running: Running) -> None:
        browser = running.browser("alice")
        token = browser.get("/providers").form("Sign out").fields[0][1]
        for headers in (
            {"Sec-Fetch-Site": "cross-site"},
            {"Sec-Fetch-Site": "", "Origin": "https://attacker.example"},
            {"Sec-Fetch-Site": "", "Origin": ""},
        ):
            assert browser.post("/logout", {"csrf": token}, headers=headers).status == 403
        assert browser.get("/providers", follow=False).status == 200

    def test_r11_the_log_in_form_has_a_token_of_its_own(self, running: Running) -> None:
        fields = {"user_name": "CONTOSO\\alice", "password": "alice-pass", "csrf": "guess"}
        assert running.browser().post("/login", fields).status == 403
        assert running.directory.asked == 0

    @pytest.mark.parametrize("content_type", ["application/json", "text/plain", "multipart/form-data", ""])
    def test_r12_only_forms_are_read(self, running: Running, content_type: str) -> None:
        browser = running.browser("alice")
        token = browser.get("/providers").form("Sign out").fields[0][1]
        page = browser.post("/logout", {"csrf": token}, headers={"Content-Type": content_type})
        assert page.status == 415
        assert browser.get("/providers", follow=False).status == 200

    @pytest.mark.parametrize(
        ("body", "expected"),
        [
            (b"csrf=&csrf=", 400),
            (b"csrf=x&role=admin", 400),
            (b"csrf=%ff", 400),
            (b"csrf=" + b"x" * 20_000, 413),
            (b"\xff\xfe", 400),
        ],
    )
    def test_bad_forms_get_a_page(self, running: Running, body: bytes, expected: int) -> None:
        browser = running.browser("alice")
        page = browser.post("/providers/northwind/authorize", body)
        assert page.status == expected
        assert "Token Vault" in page.text

    def test_r9_a_get_changes_nothing(self, running: Running) -> None:
        browser = running.browser("alice")
        running.authorize(browser)
        before = running.stored()
        for route in routes(running, "GET"):
            if "callback" not in route.path:
                browser.get(path_of(route), follow=False)
        browser.get("/providers/northwind/authorize")
        assert running.stored() == before

    @pytest.mark.parametrize("method", ["PUT", "DELETE", "PATCH", "HEAD"])
    def test_other_methods_are_refused(self, running: Running, method: str) -> None:
        browser = running.browser("alice")
        page = browser._send(method, "/providers/northwind/revoke", b"", {}, follow=False)
        assert page.status == 405
        assert page.header("X-Content-Type-Options") == "nosniff"


class TestAddresses:
    @pytest.mark.parametrize(
        "path",
        [
            "/providers/nobody/revoke",
            "/providers/..%2f..%2fetc/revoke",
            "/static/app.py",
            "/static/..%2f..%2fsettings.py",
            "/admin/tokens?provider=nobody",
            "/admin/tokens/remove-all?provider=nobody",
            "/admin/tokens/remove-all?provider=",
            "/admin/tokens/remove-all?provider=" + "x" * 2000,
        ],
    )
    def test_r65_unknown_ids_are_not_found(self, running: Running, path: str) -> None:
        assert running.browser("admin").get(path).status == 404

    def test_unknown_providers_cannot_be_authorized(self, running: Running) -> None:
        browser = running.browser("alice")
        token = browser.get("/providers").form("Sign out").fields[0][1]
        assert browser.post("/providers/nobody/authorize", {"csrf": token}).status == 404

    @pytest.mark.parametrize(
        "query",
        [
            "cursor=nonsense&provider=northwind",
            "provider=a&provider=b",
            "user=%00",
            "x=" + "y" * 5000,
            "user=" + "u" * 200,
        ],
    )
    def test_bad_queries_get_a_page(self, running: Running, query: str) -> None:
        page = running.browser("admin").get(f"/admin/tokens?{query}")
        assert page.status in (400, 413)
        assert "Token Vault" in page.text

    @pytest.mark.parametrize("next_page", ["", "https://attacker.example", "//attacker.example", "nowhere"])
    def test_r47_no_address_comes_from_a_request(self, running: Running, next_page: str) -> None:
        browser = running.browser("alice")
        assert browser.get(f"/login/confirm?next={next_page}").status == 400
        page = browser.get("/login/confirm?next=tokens")
        assert browser.press(page, "Confirm", password="alice-pass", next=next_page).status == 400

    def test_r43_the_host_header_decides_nothing(self, running: Running) -> None:
        browser = running.browser("alice")
        browser.headers |= {"Host": "attacker.example", "X-Forwarded-Host": "attacker.example"}
        page = browser.press(browser.get("/providers"), "Authorize")
        assert "attacker" not in page.body
        assert parse_qs(urlsplit(going_to(page)).query)["redirect_uri"] == [
            "https://vault.example/oauth/callback/northwind"
        ]


class TestSessions:
    def test_r1_r2_the_cookie(self, running: Running) -> None:
        browser = running.browser("alice")
        cookie = browser.cookies["__Host-session"]
        assert len(cookie) >= 43
        assert cookie not in json.dumps(running.aws.items("vault-sessions"), default=str)

    def test_r3_an_id_from_before_the_log_in_never_becomes_logged_in(self, running: Running) -> None:
        browser = running.browser()
        browser.cookies["__Host-session"] = "x" * 43
        browser.log_in("CONTOSO\\alice", "alice-pass")
        assert browser.cookies["__Host-session"] != "x" * 43
        browser.cookies = {"__Host-session": "x" * 43}
        assert browser.get("/providers").url.startswith("/login")

    def test_r3_a_step_up_ends_the_session_before_it(self, running: Running) -> None:
        browser = running.browser("admin")
        before = dict(browser.cookies)
        browser.press(browser.get("/login/confirm?next=tokens"), "Confirm", password="admin-pass")
        browser.cookies = before
        assert browser.get("/providers").url.startswith("/login")

    def test_r5_signing_out_clears_the_browser_and_the_store(self, running: Running) -> None:
        browser = running.browser("alice")
        kept = dict(browser.cookies)
        page = browser.press(browser.get("/providers"), "Sign out", follow=False)
        assert page.header("Clear-Site-Data") == '"storage"'
        assert set(browser.cookies) == {"__Host-browser"}
        browser.cookies = kept
        page = browser.get("/providers")
        assert page.url == "/login?hint=ended"
        assert "Your session has ended" in page.text

    def test_r7_people_end_their_other_browsers(self, running: Running) -> None:
        mine, other = running.browser("alice"), running.browser("alice")
        page = mine.get("/sessions")
        assert page.text.count("Firefox on Windows") == 2
        mine.press(page, "Sign out all other browsers")
        assert other.get("/providers").url.startswith("/login")

    def test_someone_signed_in_does_not_see_the_log_in_page(self, running: Running) -> None:
        assert running.browser("alice").get("/login").url == "/providers"


class TestHeaders:
    def test_r14_r15_every_answer_has_them(self, running: Running) -> None:
        browsers = [running.browser(), running.browser("admin")]
        for browser in browsers:
            answers = [browser.get(path_of(route), follow=False) for route in routes(running, "GET")]
            answers += [browser.post(path_of(route), {}) for route in routes(running, "POST")]
            answers += [browser._send("PUT", "/login", b"", {}, follow=False)]
            for answer in answers:
                policy = answer.header("Content-Security-Policy")
                assert "default-src 'none'" in policy
                assert "frame-ancestors 'none'" in policy
                assert "max-age=63072000" in answer.header("Strict-Transport-Security")
                assert answer.header("X-Content-Type-Options") == "nosniff"
                assert answer.header("Cross-Origin-Opener-Policy") == "same-origin"
                assert answer.header("Referrer-Policy") == "same-origin"
                assert not [name for name in answer.headers if name.lower().startswith("access-control-")]
                if not answer.url.startswith("/static/"):
                    assert answer.header("Cache-Control") == "no-store"

    def test_r15_static_files_are_kept_by_their_digest(self, running: Running) -> None:
        browser = running.browser()
        (asset,) = set(re.findall(r'href="(/static/app\.css\?v=\w+)"', browser.get("/login").body))
        assert "immutable" in browser.get(asset).header("Cache-Control")
        assert browser.get("/static/app.css").header("Cache-Control") == "no-cache"

    def test_r8_no_id_or_token_is_in_a_page_or_its_address(self, running: Running) -> None:
        browser = running.browser("alice")
        page = running.authorize(browser)
        stored = [value for cookie in browser.cookies.values() for value in (cookie,)]
        for secret in [*stored, running.cloud.forms["/token"]["code"]]:
            assert secret not in page.body
            assert secret not in page.url


class TestCallback:
    def test_r37_a_replayed_callback_changes_nothing(self, running: Running) -> None:
        browser = running.browser("alice")
        url = running.cloud.consent(going_to(browser.press(browser.get("/providers"), "Authorize")))
        browser.get(running.callback(url))
        exchanges = running.cloud.requests["/token"]
        page = browser.get(running.callback(url))
        assert page.status == 200
        assert "Authorization succeeded" in page.text
        assert running.cloud.requests["/token"] == exchanges
        assert running.audit_tags().count("consent.failed") == 0
        assert browser.get("/providers").form("Reauthorize")

    def test_r37_an_old_callback_is_refused(self, running: Running) -> None:
        browser = running.browser("alice")
        url = running.cloud.consent(going_to(browser.press(browser.get("/providers"), "Authorize")))
        browser.get(running.callback(url))
        running.clock.advance(NOTICE_SECONDS + 1)
        page = browser.get(running.callback(url))
        assert page.status == 400
        assert "used already" in page.text

    def test_r37_after_a_revocation_a_callback_says_nothing_of_before(self, running: Running) -> None:
        browser = running.browser("alice")
        url = running.cloud.consent(going_to(browser.press(browser.get("/providers"), "Authorize")))
        browser.get(running.callback(url))
        browser.press(browser.press(browser.get("/providers"), "Revoke authorization"), "Revoke")
        assert browser.get(running.callback(url)).status == 400
        assert browser.get("/providers").form("Authorize")

    @pytest.mark.parametrize("who", ["bob", "alice", ""])
    def test_r38_somebody_else_cannot_finish_it(self, running: Running, who: str) -> None:
        """Session fixation of the consent: the cloud sees no token request (BCP update, AgentCore, n8n)."""
        alice = running.browser("alice")
        url = running.cloud.consent(going_to(alice.press(alice.get("/providers"), "Authorize")), "bob")
        other: Browser = running.browser(who)
        page = other.get(running.callback(url))
        assert page.status == 400 if who else page.url.startswith("/login?hint=consent")
        assert running.cloud.requests["/token"] == 0
        assert alice.get("/providers").form("Authorize")

    @pytest.mark.parametrize("query", ["", "state=", "state=guess&code=x", "code=x", "error=access_denied"])
    def test_a_callback_out_of_nowhere_is_refused(self, running: Running, query: str) -> None:
        page = running.browser("alice").get(f"/oauth/callback/northwind?{query}")
        assert page.status == 400
        assert running.cloud.requests["/token"] == 0

    def test_r17_nothing_of_the_query_is_shown(self, running: Running) -> None:
        browser = running.browser("alice")
        going = going_to(browser.press(browser.get("/providers"), "Authorize"))
        state = parse_qs(urlsplit(going).query)["state"][0]
        text = "error=invalid_scope&error_description=Call+0800-CANARY&error_uri=https%3A%2F%2Fcanary.example"
        page = browser.get(f"/oauth/callback/northwind?state={state}&iss={running.cloud.issuer}&{text}")
        assert page.url.startswith("/providers?notice=")
        assert "CANARY" not in page.body.upper()

    def test_r40_an_answer_of_another_issuer_is_refused(self, running: Running) -> None:
        browser = running.browser("alice")
        url = running.cloud.consent(going_to(browser.press(browser.get("/providers"), "Authorize")))
        for iss in ("", "&iss=https%3A%2F%2Fattacker.example"):
            again = running.cloud.consent(going_to(browser.press(browser.get("/providers"), "Authorize")))
            page = browser.get(running.callback(re.sub(r"&iss=[^&]+", "", again) + iss))
            assert "notice=" in page.url
            assert running.cloud.requests["/token"] == 0
        browser.get(running.callback(url))
        assert running.cloud.requests["/token"] == 1

    def test_a_success_that_was_overtaken_is_not_said_any_more(self, running: Running) -> None:
        browser = running.browser("alice")
        url = running.cloud.consent(going_to(browser.press(browser.get("/providers"), "Authorize")))
        back = browser.get(running.callback(url), follow=False).header("Location").removeprefix(BASE)
        assert "Authorization succeeded" in browser.get(back).text
        running.vault.removals.remove_all(Actor("admin"), "northwind", Origin("request-1", "127.0.0.1"))
        assert "Authorization succeeded" not in browser.get(back).text

    def test_r37_an_expired_trip_says_so(self, running: Running) -> None:
        browser = running.browser("alice")
        url = running.cloud.consent(going_to(browser.press(browser.get("/providers"), "Authorize")))
        running.clock.advance(601)
        page = browser.get(running.callback(url))
        assert "notice=" in page.url
        assert running.cloud.requests["/token"] == 0

    @pytest.mark.parametrize("rule", [html(), status(500), status(503), error("invalid_client", status=401)])
    def test_a_cloud_that_fails_is_named_and_can_be_tried_again(self, running: Running, rule: object) -> None:
        browser = running.browser("alice")
        url = running.cloud.consent(going_to(browser.press(browser.get("/providers"), "Authorize")))
        running.cloud.misbehave("/token", rule)
        page = browser.get(running.callback(url))
        assert page.status == 200
        assert "Northwind Cloud" in page.text
        assert running.cloud.requests["/token"] == 1
        page = running.authorize(browser)
        assert browser.get("/providers").form("Reauthorize")

    def test_f24_the_session_ends_while_at_the_cloud(self, running: Running) -> None:
        browser = running.browser("alice")
        url = running.cloud.consent(going_to(browser.press(browser.get("/providers"), "Authorize")))
        running.clock.advance(3600)
        page = browser.get(running.callback(url))
        assert page.url == "/login?hint=consent"
        assert "nothing was authorized" in page.text
        assert running.cloud.requests["/token"] == 0


class TestSecrets:
    def test_r68_no_secret_is_in_any_log_line(
        self, running: Running, caplog: pytest.LogCaptureFixture, capfd: pytest.CaptureFixture[str]
    ) -> None:
        logging.getLogger("chalicelib").propagate = True
        caplog.set_level(logging.DEBUG)
        browser = running.browser("alice")
        running.browser().log_in("CONTOSO\\alice", "canary-password")
        url = running.cloud.consent(going_to(browser.press(browser.get("/providers"), "Authorize")))
        form_token = browser.get("/providers").form("Sign out").fields[0][1]
        browser.get(running.callback(url))
        running.cloud.misbehave("/revoke", error("invalid_request", "canary-description"))
        browser.press(browser.press(browser.get("/providers"), "Revoke authorization"), "Revoke")
        sent = running.cloud.forms["/token"]
        tokens = running.cloud.forms["/revoke"]["token"]
        secrets = [
            "canary-password", "alice-pass", sent["code"], sent["code_verifier"], tokens, form_token,
            *browser.cookies.values(), *parse_qs(urlsplit(url).query)["state"], "a+b%2Fc&d=e",
        ]  # fmt: skip
        logging.getLogger("chalicelib").propagate = False
        ours = [record for record in caplog.records if record.name.startswith("chalicelib")]
        lines = "\n".join(str(vars(record)) for record in ours) + capfd.readouterr().err
        assert "grant.authorized" in lines
        for secret in secrets:
            assert secret not in lines

    def test_no_secret_is_stored_in_the_clear(self, running: Running) -> None:
        browser = running.browser("alice")
        running.authorize(browser)
        sent = running.cloud.forms["/token"]
        everything = "".join(
            str(item) for name in ("vault", "vault-keys", "vault-sessions") for item in running.aws.items(name)
        )
        tokens = list(running.cloud._access_tokens) + list(running.cloud._refresh_tokens)
        assert tokens
        for secret in (sent["code_verifier"], "a+b%2Fc&d=e", *tokens, *browser.cookies.values()):
            assert secret not in everything

    def test_r50_a_swapped_grant_does_not_open(self, running: Running) -> None:
        """Storage surgery: bob's item gets alice's ciphertext, so bob's revocation would send alice's token."""
        for name in ("alice", "bob"):
            running.authorize(running.browser(name), name)
        items = [item for item in running.aws.items("vault") if item["sk"]["S"].startswith("GRANT#")]
        (alices,) = [item for item in items if item["user_name"]["S"] == "CONTOSO\\alice"]
        (bobs,) = [item for item in items if item["user_name"]["S"] == "CONTOSO\\bob"]
        swapped = bobs | {"token_set": alices["token_set"]}
        running.aws.clients.dynamodb.put_item(TableName="vault", Item=swapped)
        bob = running.browser("bob")
        page = bob.press(bob.press(bob.get("/providers"), "Revoke authorization"), "Revoke")
        assert page.status == 200
        assert running.cloud.requests["/revoke"] == 0
        assert "confirmed that" not in page.text
