"""Requests that mean two things: headers, paths, methods, hosts, cookies, sizes and depths."""

import json
from collections.abc import Iterator
from urllib.parse import quote

import pytest

from chalicelib.web import headers as ours
from tests.functional.client import BASE, Answer, Browser
from tests.functional.conftest import Running
from tests.functional.test_requests import path_of

LINE_BREAKS = ("\r\n", "\n", "\r", "%0d%0a", "%0a", "%E5%98%8A%E5%98%8D", "\u560a\u560d", "\u2028", "\x85", "\0\r\n")
INJECTED = "X-Injected"


def check(page: Answer) -> None:
    """One of our answers, with our headers, none of them broken."""
    assert page.status < 500, page.url
    assert "default-src 'none'" in page.header("Content-Security-Policy"), page.url
    for name, value in page.headers.items():
        assert name.lower() != INJECTED.lower()
        for part in value if isinstance(value, list) else [value]:
            assert not any(character in part for character in "\r\n\0")


class TestHeaders:
    @pytest.mark.parametrize("line_break", LINE_BREAKS)
    def test_r16_no_text_of_a_request_starts_a_header(self, running: Running, line_break: str) -> None:
        payload = f"x{line_break}{INJECTED}: 1{line_break}Set-Cookie: a=b"
        browser = running.browser("admin")
        browser.headers |= {"User-Agent": payload, "Referer": payload, "X-Forwarded-For": payload}
        token = browser.get("/providers").form("Sign out").fields[0][1]
        for route in running.vault.endpoints.routes:
            if route.method == "GET":
                query = "&".join(f"{name}={quote(payload, safe='%')}" for name in route.query)
                check(browser.get(f"{path_of(route)}?{query[:3500]}", follow=False))
        for path in ("/admin/tokens", "/login/confirm", "/admin/stops"):
            check(browser.post(path, {"csrf": token, "next": payload, "reason": payload}, follow=False))
        page = running.browser().post("/login", {"user_name": payload, "password": payload, "csrf": payload})
        check(page)

    @pytest.mark.parametrize("value", ["a\r\nb", "a\nb", "a\rb", "a\0b"])
    def test_r16_what_would_get_there_all_the_same_is_not_sent(self, value: str) -> None:
        for sent in ({"Location": value}, {"Set-Cookie": ["a=b", value]}):
            with pytest.raises(ValueError, match="line break"):
                ours.check(sent)


class TestPaths:
    """One address, one meaning: other spellings of an administrator's address open nothing."""

    def spellings(self, path: str) -> Iterator[str]:
        yield from (path.upper(), path + "/", "/" + path, path.replace("/", "//"), "/." + path, "/x/.." + path)
        yield from (
            path + suffix for suffix in (";x=1", "/.", "%20", "%00", "%2e", ".json", ".html", "%3f", "/..;/", "~")
        )
        yield path.replace("/", "/%2e/", 1)
        yield path.replace("a", "%61", 1)
        yield "/" + quote(path[1:], safe="")
        yield path.replace("/", "\\")
        yield "/login/.." + path
        yield "/static/..%2f" + path[1:]

    def test_r64_no_other_spelling_of_an_address_lets_anybody_in(self, running: Running) -> None:
        alice = running.browser("alice")
        for path in ("/admin/tokens", "/admin/clients", "/admin/audit/export", "/admin/tokens/remove-all"):
            for spelling in self.spellings(path):
                page = alice.get(spelling, follow=False)
                assert page.status in (303, 400, 403, 404), spelling
                assert "Manage tokens" not in page.text, spelling

    def test_r13_headers_that_name_another_address_count_for_nothing(self, running: Running) -> None:
        alice = running.browser("alice")
        own = alice.get("/sessions").text
        for name in ("X-Original-URL", "X-Rewrite-URL", "X-Forwarded-Prefix", "X-Forwarded-Path", "X-Original-URI"):
            page = alice.get("/sessions", headers={name: "/admin/tokens"})
            assert (page.status, page.text) == (200, own), name
            assert alice.get("/admin/tokens", headers={name: "/providers"}).status == 403, name

    @pytest.mark.parametrize(
        "path", ["../../app", "..", ".", "%2e%2e", "..%2fapp.py", "app.css%00", "app.css/..", ".env"]
    )
    def test_r65_nothing_but_the_static_files_is_served(self, running: Running, path: str) -> None:
        page = running.browser().get(f"/static/{path}", follow=False)
        assert page.status in (400, 403, 404)
        assert "import " not in page.body


class TestMethods:
    METHODS = ("PUT", "DELETE", "PATCH", "HEAD", "TRACE", "CONNECT", "PROPFIND", "FOO")

    def test_r9_r13_no_method_but_its_own_reaches_a_route(self, running: Running) -> None:
        browser = running.browser("admin")
        token = browser.get("/providers").form("Sign out").fields[0][1]
        before = [running.aws.items(name) for name in ("vault", "vault-keys", "vault-sessions")]
        for route in running.vault.endpoints.routes:
            for method in self.METHODS:
                body = f"csrf={token}".encode()
                kind = {"Content-Type": "application/x-www-form-urlencoded", "Sec-Fetch-Site": "same-origin"}
                page = browser._send(method, path_of(route), body, kind, follow=False)
                assert page.status in (403, 404, 405), (method, route)
        assert [running.aws.items(name) for name in ("vault", "vault-keys", "vault-sessions")] == before


class TestHosts:
    HEADERS = (
        "Host", "X-Forwarded-Host", "X-Host", "X-Forwarded-Server", "X-HTTP-Host-Override", "Forwarded",
        "X-Original-Host", "X-Forwarded-Proto", "X-Forwarded-Scheme", "X-Forwarded-Port", "X-Forwarded-Prefix",
        "X-Forwarded-Ssl",
    )  # fmt: skip

    def test_r43_no_header_changes_an_address_that_the_vault_makes(self, running: Running) -> None:
        names = [name for name in self.HEADERS if name != "Host"]
        for value in (
            "attacker.example",
            "vault.example@attacker.example",
            "attacker.example:1",
            "host=attacker.example",
        ):
            browser = running.browser("alice")
            browser.headers |= {"Host": value} | dict.fromkeys(names, value)
            for path in ("/providers", "/", "/login", "/.well-known/oauth-authorization-server", "/openapi.json"):
                page = browser.get(path, follow=False)
                assert "attacker" not in page.body + str(page.headers), path
            page = browser.press(browser.get("/providers"), "Authorize")
            assert "attacker" not in page.body
            assert f"{quote(BASE, safe='')}" in page.body

    def test_r32_no_header_says_who_is_calling(self, running: Running) -> None:
        """Else every try would come from another address, and none would be the last."""
        for number in range(4):
            browser = running.browser()
            address = f"192.0.2.{number}"
            browser.headers |= dict.fromkeys(
                ("X-Forwarded-For", "X-Real-Ip", "CF-Connecting-IP", "True-Client-IP"), address
            )
            page = browser.press(browser.get("/login"), "Log in", user_name="CONTOSO\\alice", password="wrong")
        assert page.status == 429


class TestCookies:
    """Cookie tossing: a sibling host or an attacker on the wire plants cookies beside ours."""

    @pytest.mark.parametrize("name", ["__Host-session", "__Host-login", "__Host-flow", "__Host-browser"])
    def test_r18_a_cookie_of_ours_that_comes_twice_is_refused(self, running: Running, name: str) -> None:
        browser = running.browser("alice")
        for planted in (f"{name}=x; {name}=y", f"{name}=; {name}={browser.cookies['__Host-session']}"):
            client = Browser(running.app)
            page = client.get("/providers", follow=False, headers={"Cookie": planted})
            assert page.status in (303, 400), planted
            assert "Sign out" not in page.text

    def test_r1_a_cookie_without_the_prefix_or_in_another_spelling_is_not_ours(self, running: Running) -> None:
        value = running.browser("alice").cookies["__Host-session"]
        for name in (
            "session",
            "__host-session",
            "__HOST-SESSION",
            "__Secure-session",
            "vault-session",
            "__Host-session ",
            "$__Host-session",
        ):
            client = Browser(running.app)
            page = client.get("/providers", follow=False, headers={"Cookie": f"{name}={value}"})
            assert page.status == 303 or name == "__Host-session ", name

    def test_r11_a_login_cookie_that_the_attacker_planted_signs_nobody_in_for_him(self, running: Running) -> None:
        """Log-in CSRF: he knows cookie and form token, and still cannot send the form from his site."""
        attacker = running.browser()
        page = attacker.get("/login")
        fields = dict(page.form("Log in").fields) | {"user_name": "CONTOSO\\bob", "password": "bob-pass"}
        victim = running.browser()
        victim.cookies = dict(attacker.cookies)
        for headers in (
            {"Sec-Fetch-Site": "cross-site", "Origin": "https://attacker.example"},
            {"Sec-Fetch-Site": "same-site", "Origin": "https://sibling.vault.example"},
            {"Sec-Fetch-Site": "", "Origin": "https://attacker.example"},
        ):
            assert victim.post("/login", fields, headers=headers).status == 403
        assert "__Host-session" not in victim.cookies
        victim.cookies = {}
        assert victim.post("/login", fields).status == 403

    @pytest.mark.parametrize("value", ["", "x" * 5000, "\x01", "é", "a,b", '"quoted"', "a b", "%00", "[]", "../../x"])
    def test_r18_odd_values_are_nobody(self, running: Running, value: str) -> None:
        client = Browser(running.app)
        page = client.get("/providers", follow=False, headers={"Cookie": f"__Host-session={value}"})
        assert page.status in (303, 400)


class TestSizes:
    def bodies(self) -> Iterator[bytes]:
        yield b"a=" + b"x" * 10_000_000
        yield b"&" * 15_000
        yield b"=" * 15_000
        yield b"&".join(b"a%d=1" % number for number in range(1500))
        yield b"%" * 15_000
        yield b"a[" * 5_000
        yield b"csrf=" + b"%00" * 4_000
        yield b"user_name=" + "\u202e".encode() * 3_000
        yield b"{" * 15_000
        yield b"<a>" * 5_000

    def test_r22_over_long_and_nested_forms_are_refused_at_once(self, running: Running) -> None:
        browser = running.browser()
        browser.get("/login")
        for body in self.bodies():
            for path in ("/login", "/oauth2/token", "/oauth2/whoami"):
                page = browser.post(path, body, follow=False)
                check(page)
                assert page.status in (400, 401, 403, 413), (path, body[:20])
        assert running.directory.asked == 0

    def test_r22_over_long_addresses_are_refused(self, running: Running) -> None:
        browser = running.browser("admin")
        for address in (
            "/" + "a" * 100_000,
            "/providers/" + "a/" * 20_000,
            "/login?" + "a=b&" * 20_000,
            "/login?" + "a" * 100_000,
            "/admin/tokens?user=" + "%F0%9F%98%80" * 5_000,
            "/oauth/callback/northwind?state=" + "s" * 100_000,
        ):
            page = browser.get(address, follow=False)
            assert page.status in (400, 403, 404, 413), address[:40]

    @pytest.mark.parametrize("field", ["client_assertion", "subject_token"])
    def test_r22_deeply_nested_json_is_refused_like_any_other(self, running: Running, field: str) -> None:
        from base64 import urlsafe_b64encode

        for depth, opening in ((9_000, b"["), (1_800, b'{"a":')):
            part = urlsafe_b64encode(opening * depth).decode().rstrip("=")
            fields = {field: f"{part}.{part}.x", "audience": "northwind"}
            page = running.browser().post("/oauth2/whoami" if field == "client_assertion" else "/oauth2/token", fields)
            assert page.status in (400, 401, 413)
            assert json.loads(page.body)["error"]
