"""Every mail and event that the vault sent on this machine: a few pages over what the stand-in for AWS took."""

import json
import os
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from datetime import datetime
from email import message_from_string
from email.message import EmailMessage
from email.policy import default
from pathlib import Path
from typing import Any

from flask import Flask, abort, render_template, send_from_directory
from moto.backends import get_backend
from moto.core.models import DEFAULT_ACCOUNT_ID
from werkzeug.serving import WSGIRequestHandler, make_server

from .process import ROOT
from .stack import EVENT_ARCHIVE

_PAGES = Path(__file__).with_name("mailbox_pages")
_STATIC = {
    "app.css": ROOT / "chalicelib" / "static",
    "logo.svg": ROOT / "chalicelib" / "static",
    "mailbox.css": _PAGES,
    "mailbox.js": _PAGES,
}
_OURS = (
    "default-src 'none'; style-src 'self'; img-src 'self'; script-src 'self'; connect-src 'self'; frame-src 'self'; "
    "frame-ancestors 'none'"
)
_OF_A_MAIL = "default-src 'none'; style-src 'unsafe-inline'; frame-ancestors 'self'; base-uri 'none'"
"""A mail program loads nothing and runs nothing; neither does this."""


@dataclass(frozen=True, slots=True)
class Mail:
    """A mail as its reader's program shows it; `number` counts from 1, as they came."""

    number: int
    sender: str
    to: str
    subject: str
    at: datetime
    text: str
    html: str


def mails() -> list[Mail]:
    """Newest first."""
    sent = enumerate(_backend("ses").sent_messages, start=1)
    return [_mail(number, one.raw_data) for number, one in sent if hasattr(one, "raw_data")][::-1]


def events() -> list[tuple[str, str]]:
    """Of each its name, and its JSON as a rule's target gets it, newest first."""
    archive = _backend("events").archives.get(EVENT_ARCHIVE)
    came = reversed(archive.events) if archive else []
    return [(event["detail-type"], json.dumps(event, indent=2, default=str)) for event in came]


def _backend(service: str) -> Any:
    backends: Any = get_backend
    return backends(service)[DEFAULT_ACCOUNT_ID][os.environ["AWS_DEFAULT_REGION"]]


def _mail(number: int, raw: str) -> Mail:
    message = message_from_string(raw, EmailMessage, policy=default)
    text, html = (_body(message, kind) for kind in ("plain", "html"))
    return Mail(number, message["From"], message["To"], message["Subject"], message["Date"].datetime, text, html)


def _body(message: EmailMessage, kind: str) -> str:
    part = message.get_body((kind,))
    return str(part.get_content()) if part else ""


def application() -> Flask:
    app = Flask("mailbox", template_folder=str(_PAGES), static_folder=None)

    @app.get("/")
    def every() -> str:
        return render_template("mails.html", mails=mails(), events=events(), seen=seen())

    @app.get("/seen")
    def seen() -> str:
        """Another text whenever something came."""
        return f"{len(mails())} {len(events())}"

    @app.get("/mails/<int:number>")
    def one(number: int) -> str:
        return render_template("mail.html", mail=_find(number))

    @app.get("/mails/<int:number>/body")
    def body(number: int) -> tuple[str, dict[str, str]]:
        # A link in the frame opens beside these pages, as one of a mail program does
        html = _find(number).html.replace("<head>", '<head><base target="_blank">', 1)
        return html, {"Content-Security-Policy": _OF_A_MAIL}

    @app.get("/static/<name>")
    def static(name: str) -> Any:
        return send_from_directory(_STATIC[name], name) if name in _STATIC else abort(404)

    @app.after_request
    def guard(answer: Any) -> Any:
        answer.headers.setdefault("Content-Security-Policy", _OURS)
        answer.headers["X-Content-Type-Options"] = "nosniff"
        answer.headers["Cache-Control"] = "no-store"
        return answer

    return app


def _find(number: int) -> Mail:
    return next((mail for mail in mails() if mail.number == number), None) or abort(404)


class _QuietHandler(WSGIRequestHandler):
    def log_request(self, *_: Any) -> None:
        """Nothing: the list looks for new mails all the time."""


@contextmanager
def served(host: str, port: int) -> Iterator[str]:
    """The pages at the address that this gives; `port` 0 takes a free one."""
    server = make_server(host, port, application(), threaded=True, request_handler=_QuietHandler)
    thread = threading.Thread(target=server.serve_forever, daemon=True)
    thread.start()
    try:
        yield f"http://{host}:{server.server_port}"
    finally:
        server.shutdown()
        server.server_close()
