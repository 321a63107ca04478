"""A browser without pictures: cookies, redirects and forms over Chalice's test client."""

import re
from dataclasses import dataclass, field
from html.parser import HTMLParser
from typing import Any
from urllib.parse import urlencode, urlsplit

from chalice.test import Client

BASE = "https://vault.example"
FORM = "application/x-www-form-urlencoded"


@dataclass
class Form:
    method: str
    action: str
    fields: list[tuple[str, str]] = field(default_factory=list)
    buttons: list[str] = field(default_factory=list)


class _Reader(HTMLParser):
    """Collects visible text and forms."""

    def __init__(self) -> None:
        super().__init__()
        self.forms: list[Form] = []
        self.text: list[str] = []
        self._form: Form | None = None
        self._by_id: dict[str, Form] = {}
        self._pressed: Form | None = None
        self._button: list[str] | None = None
        self._hidden = 0

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        values = {name: value or "" for name, value in attrs}
        if tag == "form":
            self._form = Form(values.get("method", "get").upper(), values.get("action", ""))
            self.forms.append(self._form)
            self._by_id[values.get("id", "")] = self._form
        elif tag == "input" and self._form and "name" in values:
            if values.get("type") not in ("checkbox", "radio") or "checked" in values:
                self._form.fields.append((values["name"], values.get("value", "")))
        elif tag == "button" and (self._form or values.get("form") in self._by_id):
            self._pressed = self._by_id.get(values.get("form", "-")) or self._form
            self._button = []
        elif tag in ("script", "style"):
            self._hidden += 1

    def handle_endtag(self, tag: str) -> None:
        if tag == "form":
            self._form = None
        elif tag == "button" and self._pressed and self._button is not None:
            self._pressed.buttons.append(" ".join("".join(self._button).split()))
            self._button = None
        elif tag in ("script", "style"):
            self._hidden -= 1

    def handle_data(self, data: str) -> None:
        if self._button is not None:
            self._button.append(data)
        if not self._hidden:
            self.text.append(data)


def _read(html: str) -> _Reader:
    reader = _Reader()
    reader.feed(html)
    return reader


@dataclass
class Answer:
    status: int
    headers: dict[str, Any]
    body: str
    url: str

    @property
    def text(self) -> str:
        """What a person reads, in one line."""
        return " ".join("".join(_read(self.body).text).split())

    @property
    def forms(self) -> list[Form]:
        """Forms that can be used: under a dialog the page is inert."""
        before, dialog, inside = self.body.partition("<dialog")
        return _read(dialog + inside if dialog else before).forms

    def form(self, button: str) -> Form:
        """The form with a button of this name."""
        found = [form for form in self.forms if button in form.buttons]
        assert found, f"no button {button!r} on {self.url}: {[form.buttons for form in self.forms]}"
        return found[0]

    def header(self, name: str) -> str:
        return {key.lower(): value for key, value in self.headers.items()}.get(name.lower(), "")


class Browser:
    """One browser; `headers` are what it adds to each request."""

    def __init__(self, app: Any) -> None:
        self._client = Client(app)
        self.cookies: dict[str, str] = {}
        self.headers: dict[str, str] = {"User-Agent": "Mozilla/5.0 (Windows NT 10.0) Firefox/130.0"}
        self.requests = 0

    def get(self, path: str, *, follow: bool = True, headers: dict[str, str] | None = None) -> Answer:
        return self._send("GET", path, b"", headers or {}, follow=follow)

    def post(
        self,
        path: str,
        fields: list[tuple[str, str]] | dict[str, str] | bytes,
        *,
        follow: bool = True,
        headers: dict[str, str] | None = None,
    ) -> Answer:
        body = fields if isinstance(fields, bytes) else urlencode(fields).encode()
        sent = {"Content-Type": FORM, "Sec-Fetch-Site": "same-origin", "Origin": BASE} | (headers or {})
        return self._send("POST", path, body, {name: value for name, value in sent.items() if value}, follow=follow)

    def press(self, page: Answer, button: str, *, follow: bool = True, **typed: str) -> Answer:
        """Fill in the fields of the form with this button and send it."""
        form = page.form(button)
        fields = [(name, typed.pop(name, value)) for name, value in form.fields]
        fields += list(typed.items())
        path = urlsplit(form.action).path
        if form.method == "GET":
            query = urlencode(fields) or urlsplit(form.action).query
            return self.get(f"{path}?{query}" if query else path, follow=follow)
        return self.post(path, fields, follow=follow)

    def log_in(self, user_name: str, password: str) -> Answer:
        return self.press(self.get("/login"), "Log in", user_name=user_name, password=password)

    def _send(self, method: str, path: str, body: bytes, headers: dict[str, str], *, follow: bool) -> Answer:
        self.requests += 1
        sent = self.headers | headers
        if self.cookies:
            sent["Cookie"] = "; ".join(f"{name}={value}" for name, value in self.cookies.items())
        response = self._client.http.request(method, path, headers=sent, body=body)
        self._keep(response.headers.get("Set-Cookie", []))
        answer = Answer(response.status_code, dict(response.headers), response.body.decode(), path)
        location = answer.header("Location")
        if follow and location:
            assert location.startswith(BASE), location
            return self.get(location.removeprefix(BASE) or "/")
        return answer

    def _keep(self, set_cookies: list[str] | str) -> None:
        for cookie in [set_cookies] if isinstance(set_cookies, str) else set_cookies:
            name, _, value = cookie.partition(";")[0].partition("=")
            if "Max-Age=0" in cookie:
                self.cookies.pop(name, None)
            else:
                self.cookies[name] = value


def going_to(page: Answer) -> str:
    """The address of the cloud that the page on the way to it names."""
    match = re.search(r'http-equiv="refresh"[^>]*url=([^"]+)"', page.body)
    assert match, page.body
    return match[1].replace("&amp;", "&")
