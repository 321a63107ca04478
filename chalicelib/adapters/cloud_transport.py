"""How requests travel to a cloud: to a checked address, without redirects, within limits of time and size (R44)."""

import json
import re
import socket
import ssl
import time
from collections.abc import Mapping
from contextlib import closing
from email.utils import mktime_tz, parsedate_tz
from http.client import HTTPResponse
from io import BufferedReader, BytesIO, RawIOBase
from typing import Any
from urllib.parse import urlsplit

from requests import PreparedRequest, RequestException, Response
from requests.adapters import HTTPAdapter
from requests.exceptions import ConnectTimeout
from urllib3 import HTTPConnectionPool, HTTPSConnectionPool
from urllib3.connection import HTTPConnection, HTTPSConnection
from urllib3.exceptions import ConnectTimeoutError, HTTPError, NewConnectionError, SSLError

from chalicelib.domain.errors import CloudAnswerInvalid, CloudUnavailable
from chalicelib.ports import Clock

from .endpoint_guard import EndpointGuard

CONNECT_SECONDS = 3.0
ANSWER_SECONDS = 10.0
TOTAL_SECONDS = 20.0
"""For all requests of one operation. With the last one's own limits 26 s, below the API gateway's 29 s."""
REFRESH_SECONDS = 10.0
"""The same for a refresh, which must end within its lease of 15 s also where an older client secret is tried after the
newest: with the last request's own limits 13 s."""

_SHORTEST_SECONDS = 0.05

MAX_BYTES = 1_000_000
_SECONDS = re.compile(r"[0-9]{1,9}")
_TOO_MANY_REQUESTS, _SERVER_ERROR = 429, 500
_GATEWAYS = (408, 499)
"""Said by what stands before the cloud, like most of 5xx: the cloud itself may have got the request."""


class CloudTransport(HTTPAdapter):
    """A requests adapter for one operation. Mount it on a session that lives as long.

    Nothing is kept open between operations: a function that was frozen meanwhile would find the connection dead
    when it sends a code that works only once.

    Raises CloudUnavailable for time-outs, broken connections, 429 and 5xx, CloudAnswerInvalid for a redirect or
    too large an answer, CloudMisconfigured for an endpoint the guard refuses. A Retry-After comes back in seconds.
    """

    def __init__(self, guard: EndpointGuard, clock: Clock, seconds: float | None = None) -> None:
        """`seconds`: for all requests together, `TOTAL_SECONDS` by default."""
        self._guard = guard
        self._clock = clock
        self._deadline = time.monotonic() + (TOTAL_SECONDS if seconds is None else seconds)
        self._address = ""
        self.ahead: int | None = None
        """Seconds by which the clock of who answered last is ahead of ours; None where the answer has no date."""
        super().__init__()

    def init_poolmanager(self, *args: Any, **kwargs: Any) -> None:
        super().init_poolmanager(*args, **kwargs)
        self.poolmanager.pool_classes_by_scheme = {"http": _Pool, "https": _TlsPool}

    def send(self, request: PreparedRequest, *args: Any, **kwargs: Any) -> Response:
        """Send once, within the limits of this module; the caller's time-out and proxies are ignored."""
        self._guard.check(request.url or "")
        left = self._deadline - time.monotonic()
        if left <= 0:
            raise CloudUnavailable(detail="no time left")
        kwargs |= {"stream": True, "proxies": {}}
        try:
            with closing(self._answered(request, left, *args, **kwargs)) as response:
                self.ahead = _ahead(response.headers, self._clock.now())
                self._check_status(response)
                body = response.raw.read(MAX_BYTES + 1, decode_content=True)
        except (RequestException, HTTPError) as error:
            # Only the name of its class: the error holds the request, and that our secret
            raise CloudUnavailable(detail=type(error).__name__, answer_lost=_was_sent(error)) from None
        if len(body) > MAX_BYTES:
            raise CloudAnswerInvalid(detail="answer too large")
        if response.status_code >= _SERVER_ERROR or response.status_code in _GATEWAYS:
            raise self._unavailable(response, answer_lost=not _has_error(body))
        response.raw = BytesIO(body)
        return response

    def _answered(self, request: PreparedRequest, left: float, *args: Any, **kwargs: Any) -> Response:
        """The answer from the first address that takes the connection. What may have been sent is sent to no other.

        All of them share the time to connect: half of what is left for each, and the whole of it for the last.
        """
        *others, last = self._guard.addresses(urlsplit(str(request.url)).hostname or "")
        until = time.monotonic() + min(CONNECT_SECONDS, left)
        answer = min(ANSWER_SECONDS, left)
        for self._address in others:
            try:
                limits = (_at_least((until - time.monotonic()) / 2), answer)
                return super().send(request, *args, **kwargs | {"timeout": limits})
            except RequestException as error:
                if _was_sent(error):
                    raise
        self._address = last
        limits = (_at_least(until - time.monotonic()), answer)
        return super().send(request, *args, **kwargs | {"timeout": limits})

    def build_connection_pool_key_attributes(
        self, request: PreparedRequest, verify: Any, cert: Any = None
    ) -> tuple[Any, Any]:
        """Connect to the checked address, while TLS still asks for the host's name."""
        host, tls = super().build_connection_pool_key_attributes(request, verify, cert)
        name = host["host"]
        return {**host, "host": self._address}, {**tls, "server_hostname": name, "assert_hostname": name}

    def add_headers(self, request: PreparedRequest, **_: Any) -> None:
        """Name the host, since the connection knows only its address."""
        request.headers["Host"] = urlsplit(str(request.url)).netloc

    def _check_status(self, response: Response) -> None:
        retry_after = self._retry_after(response.headers)
        if retry_after is not None:
            # As seconds, since whoever reads the answer has no clock
            response.headers["Retry-After"] = str(retry_after)
        if response.status_code == _TOO_MANY_REQUESTS:
            raise self._unavailable(response, answer_lost=False)
        if 300 <= response.status_code < 400:  # noqa: PLR2004 - the class of redirects
            # A 307 would carry the form with code and secret to wherever the answer says
            raise CloudAnswerInvalid(detail=f"HTTP {response.status_code}")

    def _unavailable(self, response: Response, *, answer_lost: bool) -> CloudUnavailable:
        return CloudUnavailable(
            detail=f"HTTP {response.status_code}",
            retry_after=self._retry_after(response.headers),
            answer_lost=answer_lost,
        )

    def _retry_after(self, headers: Mapping[str, str]) -> int | None:
        return _seconds(headers.get("Retry-After", ""), self._clock.now())


def _at_least(seconds: float) -> float:
    """A limit that a socket takes: many silent addresses may have used up all there was."""
    return max(seconds, _SHORTEST_SECONDS)


def _has_error(body: bytes) -> bool:
    """Whether an authorization server says that it failed (RFC 6749 5.2).

    Without that a gateway may have spoken, behind which the cloud has taken the request and rotated the token.
    """
    try:
        answer = json.loads(body)
    except (ValueError, RecursionError):
        return False
    error = answer.get("error") if isinstance(answer, dict) else None
    return isinstance(error, str) and bool(error)


def _was_sent(error: Exception) -> bool:
    """False when no connection was made, or none to be trusted, so that the request cannot have arrived."""
    reason = getattr(error.args[0], "reason", None) if error.args else None
    if isinstance(reason, SSLError) and isinstance(reason.args[0], ssl.SSLCertVerificationError):
        return False
    return not isinstance(error, ConnectTimeout) and not isinstance(reason, NewConnectionError | ConnectTimeoutError)


def _seconds(retry_after: str, now: int) -> int | None:
    """Seconds to wait, given as such or as a date (RFC 9110 10.2.3)."""
    if _SECONDS.fullmatch(retry_after):
        return int(retry_after)
    try:
        date = parsedate_tz(retry_after)
        return max(0, mktime_tz(date) - now) if date else None
    except (ValueError, OverflowError):
        return None


def _ahead(headers: Mapping[str, str], now: int) -> int | None:
    """By when the answer was made and how long some cache has kept it since (RFC 9110 6.6.1, RFC 9111 5.1)."""
    age = headers.get("Age", "0")
    try:
        date = parsedate_tz(headers.get("Date", ""))
        return mktime_tz(date) + int(age if _SECONDS.fullmatch(age) else 0) - now if date else None
    except (ValueError, OverflowError):
        return None


class _TimedReader(RawIOBase):
    """Takes the socket's time-out for the whole answer, not for each read: one octet a second ends, too."""

    def __init__(self, raw: RawIOBase, sock: socket.socket) -> None:
        self._raw = raw
        self._sock = sock
        self._deadline = time.monotonic() + (sock.gettimeout() or 0)

    def readable(self) -> bool:
        return True

    def readinto(self, buffer: Any) -> int | None:
        left = self._deadline - time.monotonic()
        if left <= 0:
            raise TimeoutError
        self._sock.settimeout(left)
        return self._raw.readinto(buffer)

    def close(self) -> None:
        self._raw.close()
        super().close()


class _TimedResponse(HTTPResponse):
    def __init__(self, sock: socket.socket, *args: Any, **kwargs: Any) -> None:
        super().__init__(sock, *args, **kwargs)
        self.fp = BufferedReader(_TimedReader(self.fp.detach(), sock))


class _Connection(HTTPConnection):
    response_class = _TimedResponse


class _TlsConnection(HTTPSConnection):
    response_class = _TimedResponse


class _Pool(HTTPConnectionPool):
    ConnectionCls = _Connection


class _TlsPool(HTTPSConnectionPool):
    ConnectionCls = _TlsConnection
