"""How a scripted cloud goes wrong: rules that stand between a request and its proper answer."""

import json
from collections.abc import Callable
from dataclasses import dataclass, field, replace
from typing import Any


@dataclass(frozen=True)
class Answer:
    """An HTTP answer, and how it is delivered."""

    status: int = 200
    body: bytes = b""
    headers: dict[str, str] = field(default_factory=dict)
    delay: float = 0
    """Seconds before the first octet."""
    drip_head: float = 0
    """Seconds between two octets of the status line and header."""
    drip_body: float = 0
    lost: bool = False
    """The connection breaks instead."""

    @classmethod
    def json(cls, value: Any, status: int = 200, **headers: str) -> "Answer":
        headers = {"Content-Type": "application/json", "Cache-Control": "no-store", **headers}
        return cls(status, json.dumps(value).encode(), headers)


Handle = Callable[[], Answer]
"""Does what the server would do and gives its answer."""

Rule = Callable[[Handle], Answer]
"""Gets the server's work to do or not to do, and decides on the answer."""


def instead(answer: Answer) -> Rule:
    """The server does nothing and this is the answer."""
    return lambda handle: answer


def html(status: int = 200) -> Rule:
    return instead(Answer(status, b"<html><body>Sign in</body></html>", {"Content-Type": "text/html"}))


def status(code: int, **headers: str) -> Rule:
    return instead(Answer(code, b"", {name.replace("_", "-"): value for name, value in headers.items()}))


def error(code: Any, description: Any = None, *, status: int = 400) -> Rule:
    body = {"error": code} | ({"error_description": description} if description is not None else {})
    return instead(Answer.json(body, status))


def body(content: bytes, code: int = 200, **headers: str) -> Rule:
    return instead(Answer(code, content, {name.replace("_", "-"): value for name, value in headers.items()}))


def edit(**changes: Any) -> Rule:
    """The server's JSON with other values; `...` takes a field away."""

    def rule(handle: Handle) -> Answer:
        answer = handle()
        values = json.loads(answer.body) | changes
        kept = {name: value for name, value in values.items() if value is not ...}
        return replace(answer, body=json.dumps(kept).encode())

    return rule


def delivered(**how: Any) -> Rule:
    """The server's own answer, but `delay`ed, in drops or `lost` (after the server did its work)."""
    return lambda handle: replace(handle(), **how)
