"""Headers of every answer (R14-R16)."""

from collections.abc import Mapping
from typing import Any

_COMMON = {
    "Strict-Transport-Security": "max-age=63072000; includeSubDomains",
    "X-Content-Type-Options": "nosniff",
    "Cross-Origin-Opener-Policy": "same-origin",
    "Cross-Origin-Resource-Policy": "same-origin",
    # Not no-referrer: then browsers call the origin of our own forms "null"
    "Referrer-Policy": "same-origin",
    "Cache-Control": "no-store",
}


def security_headers(nonce: str = "") -> dict[str, str]:
    """What every answer carries; `nonce` is the one of this answer's script element, if it has one."""
    scripts = f"script-src 'nonce-{nonce}'; " if nonce else ""
    policy = (
        f"default-src 'none'; style-src 'self'; img-src 'self'; {scripts}"
        "base-uri 'none'; form-action 'self'; frame-ancestors 'none'"
    )
    return {**_COMMON, "Content-Security-Policy": policy}


def check(headers: Mapping[str, Any]) -> None:
    """Raises ValueError for a value that could start another header; Chalice checks neither lists nor CR."""
    for name, value in headers.items():
        for part in value if isinstance(value, list) else [value]:
            if any(character in part for character in "\r\n\0"):
                raise ValueError(f"header {name} has a line break")
