"""What a route may answer."""

from dataclasses import dataclass, field
from typing import Any

from chalice.app import Response

from .cookies import Cookie


@dataclass(frozen=True, slots=True)
class Page:
    """An HTML page: a template and what it shows."""

    template: str
    context: dict[str, Any]
    status: int = 200
    cookies: tuple[Cookie, ...] = ()
    headers: dict[str, str] = field(default_factory=dict)


@dataclass(frozen=True, slots=True)
class Redirect:
    """See other (303): the browser goes on with a GET, whatever it sent (R20). `path` is one of ours."""

    path: str
    cookies: tuple[Cookie, ...] = ()
    headers: dict[str, str] = field(default_factory=dict)


@dataclass(frozen=True, slots=True)
class File:
    """A file, as text. With a `name` the browser saves it under that."""

    body: str
    content_type: str
    cache_control: str
    name: str = ""


@dataclass(frozen=True, slots=True)
class Json:
    """An answer for programs."""

    body: dict[str, Any]
    status: int = 200
    headers: dict[str, str] = field(default_factory=dict)


Answer = Page | Redirect | File | Json


class VaultResponse(Response):
    """A finished answer of ours, told apart from the refusals that Chalice makes by itself."""
