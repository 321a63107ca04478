"""Forms that only the vault's own pages can send (R9-R11).

The token is an HMAC of the cookie that identifies the browser: it needs no storage, ends with the cookie,
and reveals nothing of it.
"""

import hmac
from base64 import urlsafe_b64encode
from collections.abc import Mapping
from hashlib import sha256

from chalicelib.domain.errors import ForgedForm


def token(cookie: str) -> str:
    """What a form of the browser with this cookie carries."""
    digest = hmac.new(cookie.encode(), b"csrf", sha256).digest()
    return urlsafe_b64encode(digest).decode().rstrip("=")


def check_token(cookie: str, sent: str) -> None:
    """Raises ForgedForm unless `sent` is the token of `cookie`; compares in constant time."""
    if not cookie or not hmac.compare_digest(token(cookie).encode(), sent.encode()):
        raise ForgedForm


def check_origin(headers: Mapping[str, str], origin: str) -> None:
    """Raises ForgedForm for a request from another site.

    Fetch metadata decides; a browser without it must send our `Origin`; neither of them: refused.
    """
    site = headers.get("sec-fetch-site")
    if site is not None:
        if site != "same-origin":
            raise ForgedForm
    elif headers.get("origin") != origin:
        raise ForgedForm
