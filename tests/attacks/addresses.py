"""Addresses of a foreign host as attackers write them, made from families, and what browsers make of them."""

import re
from html.parser import HTMLParser
from itertools import product

HOST = "attacker.example"
NAMES = (
    "next",
    "url",
    "return",
    "return_to",
    "returnUrl",
    "redirect",
    "redirect_uri",
    "continue",
    "dest",
    "RelayState",
)
"""What programs commonly call the address to go on to."""

_BEFORE = (
    "//", "///", "////", "/\\", "\\/", "\\\\", "/\t/", "/\r/", "/ /", "%2f%2f", "/%2f", "/%5c", "/%09/", "/%0d%0a/",
    "http://", "https://", "HtTpS://", "https:", "https:/", "https:\\\\", "https:///", "ftp://", "ws://", "gopher://",
    "//vault.example@", "https://vault.example@", "https://vault.example%40", "https://vault.example:x@",
    "//\uff0f", "\u3033", "/.//", "/../../", "@", ".", "https://vault.example.",
)  # fmt: skip
"""Ways to make a browser leave for the host that follows."""

_HOSTS = (
    HOST, "ATTACKER.EXAMPLE", "attacker%2eexample", "attacker\u3002example", "attacker.example:443", "[2001:db8::1]",
    "[::ffff:192.0.2.1]", "192.0.2.1", "0xc0000201", "3221225985", "attacker.example%00.vault.example",
    "vault.example.attacker.example", "xn--attacker-.example",
)  # fmt: skip

_AFTER = (
    "", "/", "/..", "?", "#", "/%2e%2e", "?vault.example", "#vault.example", "/https://vault.example/", "\\", "%23@",
    ";vault.example",
)  # fmt: skip

_SCRIPTS = (
    "javascript:alert(1)", "java\tscript:alert(1)", "javascript\n:alert(1)", "JaVaScRiPt:alert(1)",
    "javascript://attacker.example/%0aalert(1)", "data:text/html,attacker.example", "vbscript:attacker.example",
    "blob:https://attacker.example/1", "view-source:https://attacker.example", "file://attacker.example/x",
    "\x01javascript:alert(1)", " javascript:alert(1)", "&#106;avascript:alert(1)", "%6aavascript:alert(1)",
    '"><a href="https://attacker.example">', "'><meta http-equiv=refresh content='0;url=//attacker.example'>",
    "x\r\nLocation: https://attacker.example", "x\nLocation: //attacker.example",
    "%0d%0aLocation:%20//attacker.example",
)  # fmt: skip


_SCHEME = re.compile(r"([A-Za-z][A-Za-z0-9+.-]*):")
_AUTHORITY = re.compile(r"/*([^/?#]*)")
_SPECIAL = frozenset({"http", "https", "ws", "wss", "ftp"})
"""Schemes after which a browser takes any number of slashes for two."""


def payloads() -> list[str]:
    """Each once."""
    hosts = (before + host for before, host in product(_BEFORE, _HOSTS))
    paths = (before + HOST + after for before, after in product(_BEFORE, _AFTER))
    return list(dict.fromkeys((*hosts, *paths, *_SCRIPTS)))


def target(address: str, page: str) -> tuple[str, str]:
    """Scheme and host where a browser on `page` ends that follows `address`, as leniently as WHATWG's URL reads it."""
    cleaned = (
        address.strip("".join(map(chr, range(33)))).translate(dict.fromkeys(map(ord, "\t\r\n"))).replace("\\", "/")
    )
    here = _SCHEME.match(page)
    scheme = _SCHEME.match(cleaned)
    if scheme is None and not cleaned.startswith("//"):
        return target(page, page)
    kind = (scheme or here)[1].lower()  # type: ignore[index]  # a page has one
    rest = cleaned[scheme.end() :] if scheme else cleaned
    return kind, _AUTHORITY.match(rest)[1].lower() if kind in _SPECIAL else ""  # type: ignore[index]  # matches always


class _Links(HTMLParser):
    _ADDRESSES = frozenset({"href", "src", "action", "formaction", "poster", "data", "ping", "cite", "background"})

    def __init__(self) -> None:
        super().__init__()
        self.found: list[str] = []

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        values = {name: value or "" for name, value in attrs}
        self.found += [value for name, value in values.items() if name in self._ADDRESSES]
        if tag == "meta" and values.get("http-equiv", "").lower() == "refresh":
            self.found.append(values.get("content", "").partition("url=")[2])


def links(html: str) -> list[str]:
    """Every address in a page that a browser may follow or load."""
    reader = _Links()
    reader.feed(html)
    return reader.found
