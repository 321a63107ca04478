"""Reading requests strictly, and writing headers safely."""

from types import SimpleNamespace

import pytest
from hypothesis import given
from hypothesis import strategies as st

from chalicelib.domain.access import Access
from chalicelib.domain.audit import Origin
from chalicelib.domain.errors import (
    ForgedForm,
    InvalidRequest,
    LoginRequired,
    TooLarge,
    UnsupportedContentType,
    VaultError,
)
from chalicelib.domain.token_exchange import RefusalReason, TokenRefused
from chalicelib.web import browsers, cookies, csrf, errors, forms, headers, oauth
from chalicelib.web import request as requests
from chalicelib.web.cookies import Cookie, CookieNames
from chalicelib.web.forms import Fields
from chalicelib.web.request import Request
from chalicelib.web.route import Route
from chalicelib.web.urls import Urls

NAMES = CookieNames.for_scheme(secure=True)
ORIGIN = "https://vault.example"


class TestForms:
    def test_reads_known_fields(self) -> None:
        fields = forms.parse_form(b"a=1&b=&c=x%20y+z", {"a", "b", "c", "d"}, ())
        assert (fields.one("a"), fields.text("b"), fields.text("c"), fields.text("d")) == ("1", "", "x y z", "")

    def test_a_field_that_must_be_there_is_missed(self) -> None:
        with pytest.raises(InvalidRequest, match="missing"):
            forms.parse_form(b"a=1", {"a"}, ()).one("b")

    def test_an_empty_form_is_no_mistake(self) -> None:
        assert forms.parse_form(b"", {"a"}, ()).values == {}

    @pytest.mark.parametrize(
        "body", [b"a=1&x=2", b"a=%ff%fe", b"\xff=1", b"a=%00", b"a=1&a=2", b"a", b"a=%EF%BF%BD", b"&&&"]
    )
    def test_refuses_unknown_repeated_and_undecodable_fields(self, body: bytes) -> None:
        with pytest.raises(InvalidRequest):
            forms.parse_form(body, {"a"}, ())

    def test_r22_a_body_over_the_limit_is_not_parsed(self) -> None:
        with pytest.raises(TooLarge):
            forms.parse_form(b"a=" + b"x" * forms.MAX_BODY, {"a"}, ())

    def test_r22_too_many_fields(self) -> None:
        with pytest.raises(TooLarge):
            forms.parse_form(b"&".join([b"t=1"] * (forms.MAX_FIELDS + 1)), (), {"t"})

    def test_a_repeatable_field_may_come_more_than_once(self) -> None:
        assert forms.parse_form(b"t=1&t=2", (), {"t"}).all("t") == ["1", "2"]

    def test_ignores_unknown_query_parameters(self) -> None:
        query = forms.parse_query([("state", "s"), ("session_state", "x"), ("session_state", "y")], {"state"}, ())
        assert query.values == {"state": ["s"]}

    def test_r18_a_repeated_security_parameter_is_refused(self) -> None:
        with pytest.raises(InvalidRequest):
            forms.parse_query([("state", "one"), ("state", "two")], {"state"}, ())

    def test_r22_a_long_address_is_refused(self) -> None:
        with pytest.raises(TooLarge):
            forms.parse_query([("x", "y" * forms.MAX_URL)], {"state"}, ())

    @given(st.binary(max_size=200))
    def test_never_fails_in_another_way(self, body: bytes) -> None:
        try:
            fields = forms.parse_form(body, {"a", "b"}, {"t"})
        except InvalidRequest:
            return
        assert set(fields.values) <= {"a", "b", "t"}


class TestCookies:
    def test_r1_a_cookie_has_every_protection_and_no_domain_or_age(self) -> None:
        header = Cookie(NAMES.session, "v" * 43).header(secure=True)
        assert header == f"__Host-session={'v' * 43}; Path=/; HttpOnly; SameSite=Lax; Secure"
        assert len(header) <= 4096

    def test_a_cookie_without_value_is_deleted(self) -> None:
        assert Cookie(NAMES.session, "").header(secure=True).endswith("; Max-Age=0")

    def test_plain_http_has_no_prefix(self) -> None:
        names = CookieNames.for_scheme(secure=False)
        assert not names.session.startswith("__Host-")
        assert "Secure" not in Cookie(names.session, "v").header(secure=False)

    def test_reads_ours_from_every_header(self) -> None:
        found = cookies.read(["other=1; __Host-session=a", "__Host-flow=b"], NAMES)
        assert found == {"__Host-session": "a", "__Host-flow": "b"}

    def test_r18_a_cookie_that_comes_twice_is_refused(self) -> None:
        with pytest.raises(InvalidRequest):
            cookies.read(["__Host-session=a; __Host-session=b"], NAMES)

    def test_a_cookie_that_cannot_be_ours_is_dropped(self) -> None:
        assert cookies.read(["__Host-session=" + "x" * 5000], NAMES) == {}


class TestCsrf:
    def test_r9_the_token_belongs_to_one_cookie(self) -> None:
        csrf.check_token("cookie", csrf.token("cookie"))
        for cookie, sent in [("cookie", csrf.token("other")), ("cookie", ""), ("", csrf.token("")), ("cookie", "ü")]:
            with pytest.raises(ForgedForm):
                csrf.check_token(cookie, sent)

    @pytest.mark.parametrize(
        "sent",
        [{"sec-fetch-site": "same-origin"}, {"sec-fetch-site": "same-origin", "origin": "null"}, {"origin": ORIGIN}],
    )
    def test_r10_our_own_pages_may_send(self, sent: dict[str, str]) -> None:
        csrf.check_origin(sent, ORIGIN)

    @pytest.mark.parametrize(
        "sent",
        [
            {},
            {"origin": "https://attacker.example"},
            {"origin": "null"},
            {"sec-fetch-site": "cross-site", "origin": ORIGIN},
            {"sec-fetch-site": "same-site", "origin": ORIGIN},
            {"sec-fetch-site": "none"},
            {"referer": ORIGIN},
        ],
    )
    def test_r10_others_may_not(self, sent: dict[str, str]) -> None:
        with pytest.raises(ForgedForm):
            csrf.check_origin(sent, ORIGIN)


class TestHeaders:
    @pytest.mark.parametrize("value", ["a\r\nSet-Cookie: x=1", "a\rb", "a\nb", "a\0b"])
    def test_r16_no_value_starts_another_header(self, value: str) -> None:
        for poisoned in ({"Location": value}, {"Set-Cookie": ["fine", value]}):
            with pytest.raises(ValueError, match="line break"):
                headers.check(poisoned)

    def test_r14_the_policy_names_the_nonce_of_this_answer(self) -> None:
        assert "script-src 'nonce-abc'" in headers.security_headers("abc")["Content-Security-Policy"]
        assert "script-src" not in headers.security_headers()["Content-Security-Policy"]


class TestErrors:
    @pytest.mark.parametrize(
        ("status", "code"),
        [(403, "not_found"), (405, "method_not_allowed"), (415, "unsupported_content_type"), (400, "invalid_request"),
         (500, "internal_error"), (502, "internal_error")],
    )  # fmt: skip
    def test_refusals_of_the_framework_become_ours(self, status: int, code: str) -> None:
        error = errors.of_status(status)
        assert error.code == code
        assert errors.status_of(error) in (status, 404, 500)

    def test_an_error_without_a_status_cannot_go_unnoticed(self) -> None:
        class Unmapped(VaultError):
            code = "unmapped"

        with pytest.raises(KeyError):
            errors.status_of(Unmapped())


class TestUrls:
    def test_r43_everything_comes_from_the_public_url(self) -> None:
        urls = Urls("https://api.example/prod")
        assert (urls.origin, urls.base_path, urls.is_secure) == ("https://api.example", "/prod", True)
        assert urls.absolute("/login") == "https://api.example/prod/login"


@pytest.mark.parametrize(
    ("user_agent", "name"),
    [
        ("Mozilla/5.0 (Windows NT 10.0) AppleWebKit/537.36 Chrome/130 Safari/537.36 Edg/130", "Edge on Windows"),
        ("Mozilla/5.0 (Macintosh; Intel Mac OS X 14) AppleWebKit/605 Version/17 Safari/605", "Safari on macOS"),
        ("Mozilla/5.0 (Linux; Android 14) Chrome/130 Mobile Safari/537.36", "Chrome on Android"),
        ("curl/8.0\r\nX: y", "Unknown browser"),
        ("", "Unknown browser"),
    ],
)  # fmt: skip
def test_r17_a_browser_is_called_by_a_name_of_ours(user_agent: str, name: str) -> None:
    assert browsers.describe(user_agent) == name


class TestLastLines:
    """What is checked before, and holds all the same where a check is forgotten one day."""

    def test_r13_nobody_has_no_session(self) -> None:
        request = Request({}, Fields(), Fields(), {}, "Firefox", Origin("request-1", "127.0.0.1"))
        with pytest.raises(LoginRequired):
            _ = request.session

    def test_r12_a_body_that_is_no_form_is_not_read(self) -> None:
        raw = SimpleNamespace(query_params=None, headers={"content-type": "application/json"}, raw_body=b"{}")
        with pytest.raises(UnsupportedContentType):
            requests.read(raw, {}, Route("POST", "/logout", Access.USER), NAMES)

    def test_a_refusal_of_a_release_is_answered_as_such_from_wherever_it_comes(self) -> None:
        answer = oauth.failure(TokenRefused(RefusalReason.BLOCKED), "request-1")
        assert (answer.status, answer.body["reason"]) == (400, "blocked")
