"""Finds every page and every form that somebody signed in can reach."""

from dataclasses import dataclass, field
from html.parser import HTMLParser
from urllib.parse import parse_qs, urlencode, urlsplit

from tests.functional.client import Browser

_FILES = ("/static/", "/export")


@dataclass
class Found:
    """A form as it stands in its page, with the values a browser would send."""

    page: str
    method: str
    action: str
    fields: dict[str, str] = field(default_factory=dict)


class _Reader(HTMLParser):
    def __init__(self, page: str) -> None:
        super().__init__()
        self.page = page
        self.forms: list[Found] = []
        self.links: set[str] = set()
        self._by_id: dict[str, Found] = {}
        self._open: Found | None = None
        self._select: tuple[Found, str] | None = None

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        values = {name: value or "" for name, value in attrs}
        if tag == "a":
            self.links.add(values.get("href", ""))
        elif tag == "form":
            # An empty action is the page's own address
            self._open = Found(self.page, values.get("method", "get").upper(), values.get("action") or self.page)
            self._by_id[values.get("id", "-")] = self._open
            self.forms.append(self._open)
        elif tag == "option" and self._select is not None:
            owner, name = self._select
            owner.fields[name] = owner.fields[name] or values.get("value", "")
        elif tag in ("input", "select", "textarea", "button") and values.get("name"):
            owner = self._by_id.get(values["form"]) if "form" in values else self._open
            if owner is not None:
                owner.fields.setdefault(values["name"], values.get("value", ""))
                self._select = (owner, values["name"]) if tag == "select" else self._select
        if tag == "button" and values.get("formaction"):
            owner = self._by_id.get(values["form"]) if "form" in values else self._open
            fields = dict(owner.fields) if owner else {}
            method = values.get("formmethod") or (owner.method if owner else "get")
            self.forms.append(Found(self.page, method.upper(), values["formaction"], fields))

    def handle_endtag(self, tag: str) -> None:
        if tag == "form":
            self._open = None
        elif tag == "select":
            self._select = None


def crawl(browser: Browser, *start: str) -> list[Found]:
    """Every form of every page; an address with the same parameters, an action with the same fields, once."""
    waiting, seen = list(start), set(map(_kind, start))
    forms: dict[tuple[str, ...], Found] = {}
    while waiting:
        address = waiting.pop()
        answer = browser.get(address)
        assert answer.status == 200 or "?" in address, (address, answer.status)
        assert answer.status < 500, (address, answer.status)
        reader = _Reader(urlsplit(answer.url).path)
        reader.feed(answer.body)
        for form in reader.forms:
            forms.setdefault((form.method, urlsplit(form.action).path, *sorted(form.fields)), form)
        searches = {f"{form.action}?{urlencode(form.fields)}" for form in reader.forms if form.method == "GET"}
        for link in sorted(reader.links | searches):
            address = link.partition("#")[0]
            known = _kind(address) in seen or any(part in address for part in _FILES)
            if address.startswith("/") and not known:
                seen.add(_kind(address))
                waiting.append(address)
    return list(forms.values())


def _kind(address: str) -> str:
    """Pages that differ only in what was searched for have the same forms."""
    parts = urlsplit(address)
    return f"{parts.path}?{sorted(parse_qs(parts.query))}"
