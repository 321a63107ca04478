"""The scripted OpenID server at a vendor's own address: `AtVendor` takes the place of the network."""

import json
from collections.abc import Callable
from io import BytesIO
from typing import Any
from urllib.parse import parse_qsl

import requests
from requests.adapters import BaseAdapter

from chalicelib.adapters.endpoint_guard import EndpointGuard

from .cloud import ScriptedCloud
from .misbehaviour import Answer

TENANT = "aaaabbbb-0000-cccc-1111-dddd2222eeee"
ENTRA_ISSUER = f"https://login.microsoftonline.com/{TENANT}/v2.0"
GRAPH = "https://graph.microsoft.com"


class Vendor(ScriptedCloud):
    """One issuer, and, where somebody has groups there, Microsoft Graph. `posted` has what was sent to Graph."""

    def __init__(self, issuer: str, *, redirect_uri: str, now: Callable[[], float]) -> None:
        super().__init__(redirect_uri=redirect_uri, now=now)
        self._issuer = issuer
        self.graph: Callable[[], Answer] = lambda: Answer.json({"value": []})
        self.posted: list[tuple[str, Any]] = []

    @property
    def issuer(self) -> str:
        return self._issuer

    def at(self, request: requests.PreparedRequest) -> Answer:
        """What is answered at an address of the internet."""
        url, body = str(request.url).partition("?")[0], request.body or b""
        text = body.decode() if isinstance(body, bytes) else body
        if url.startswith(GRAPH):
            assert request.headers["Authorization"].removeprefix("Bearer ") in self.issued()
            self.posted.append((f"{request.method} {url}", json.loads(text)))
            return self.graph()
        assert url.startswith(self._issuer), f"nobody at {url}"
        headers = {name.lower(): value for name, value in request.headers.items()}
        path = "/" + url.removeprefix(self._issuer).lstrip("/")  # Auth0's issuer ends with a slash
        return self.answer(str(request.method), path, headers, dict(parse_qsl(text)))


class AtVendor(BaseAdapter):
    """For a requests session: every request goes to the vendor, whatever its address."""

    def __init__(self, vendor: Vendor) -> None:
        super().__init__()
        self.ahead: int | None = None
        self._vendor = vendor

    def send(self, request: requests.PreparedRequest, **_: Any) -> requests.Response:
        answer = self._vendor.at(request)
        response = requests.Response()
        response.status_code, response.raw = answer.status, BytesIO(answer.body)
        response.headers.update(answer.headers)
        response.request, response.url = request, str(request.url)
        return response

    def close(self) -> None:
        pass


class Unguarded(EndpointGuard):
    """There is no network here, so there are no addresses to look up."""

    def __init__(self) -> None:
        super().__init__(allow_private=True)

    def check(self, url: str) -> None:
        assert url.startswith("https://"), url

    def permit(self, url: str) -> None:
        self.check(url)
