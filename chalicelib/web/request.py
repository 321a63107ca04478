"""One request, read strictly from what Chalice hands over."""

import re
import secrets
from dataclasses import dataclass
from typing import Any

from chalicelib.domain.access import Access
from chalicelib.domain.audit import Origin
from chalicelib.domain.errors import LoginRequired, NotFound, UnsupportedContentType
from chalicelib.domain.session import Session

from . import browsers, cookies, forms
from .cookies import CookieNames
from .forms import Fields
from .route import Route

_PATH_PARAMETER = re.compile(r"[A-Za-z0-9_-][A-Za-z0-9_.-]{0,127}\Z")
"""A person's id of Entra ID has 73 characters."""


@dataclass(frozen=True, slots=True)
class Request:
    """What a route may know about a request; everything is checked, nothing is converted."""

    path: dict[str, str]
    query: Fields
    form: Fields
    cookies: dict[str, str]
    browser: str
    origin: Origin
    signed_in: Session | None = None
    is_administrator: bool = False
    caller_arn: str = ""
    """The IAM identity that signed the request, as the gateway says; never from a header (R72)."""

    @property
    def session(self) -> Session:
        """The session of who calls; every route above public level has one."""
        if self.signed_in is None:
            raise LoginRequired
        return self.signed_in


def read(raw: Any, path: dict[str, str], route: Route, names: CookieNames) -> Request:
    """Raises InvalidRequest, TooLarge, UnsupportedContentType or NotFound."""
    if not all(_PATH_PARAMETER.match(value) for value in path.values()):
        raise NotFound
    return Request(
        path=path,
        query=forms.parse_query(
            _query(raw), route.query, route.repeatable, forms.MAX_CALLBACK if route.is_callback else forms.MAX_URL
        ),
        form=_form(raw, route),
        cookies={} if route.access is Access.APPLICATION else cookies.read(_cookie_headers(raw), names),
        browser=browsers.describe(raw.headers.get("user-agent", "")),
        origin=origin(raw),
        caller_arn=_caller_arn(raw) if route.iam else "",
    )


def origin(raw: Any) -> Origin:
    """The gateway's own id and peer address of a request, and our name for its browser.

    Forwarded headers count for nothing (R32).
    """
    context = raw.context or {}
    request_id = context.get("requestId") or secrets.token_hex(8)
    source = (context.get("identity") or {}).get("sourceIp") or "-"
    return Origin(request_id, source, browsers.describe(raw.headers.get("user-agent", "")))


def _query(raw: Any) -> list[tuple[str, str]]:
    parameters = raw.query_params
    if parameters is None:
        return []
    return [(name, value) for name in parameters for value in parameters.getlist(name)]


def _form(raw: Any, route: Route) -> Fields:
    if route.method != "POST":
        return Fields()
    if raw.headers.get("content-type", "").partition(";")[0].strip().lower() != forms.FORM_TYPE:
        raise UnsupportedContentType
    if route.access is Access.APPLICATION:
        return forms.parse_parameters(raw.raw_body, route.fields)
    return forms.parse_form(raw.raw_body, {*route.fields, "csrf"}, route.repeatable)


def _caller_arn(raw: Any) -> str:
    arn = ((raw.context or {}).get("identity") or {}).get("userArn")
    return arn if isinstance(arn, str) else ""


def _cookie_headers(raw: Any) -> list[str]:
    event = raw.to_original_event() or {}
    several = event.get("multiValueHeaders") or {}
    found = [value for name, values in several.items() if name.lower() == "cookie" for value in values]
    return found or [raw.headers.get("cookie", "")]
