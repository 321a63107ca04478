"""The vault's four cookies: session, log-in form, flow, and the one that a browser is known by."""

from collections.abc import Sequence
from dataclasses import dataclass

from chalicelib.domain.errors import InvalidRequest

_MAX_LENGTH = 256


@dataclass(frozen=True, slots=True)
class CookieNames:
    """`__Host-` keeps other hosts and paths from setting ours (R1). Plain http on localhost has no such prefix."""

    session: str
    login: str
    flow: str
    browser: str

    @classmethod
    def for_scheme(cls, *, secure: bool) -> "CookieNames":
        prefix = "__Host-" if secure else "vault-"
        return cls(session=f"{prefix}session", login=f"{prefix}login", flow=f"{prefix}flow", browser=f"{prefix}browser")


@dataclass(frozen=True, slots=True)
class Cookie:
    """A cookie to set; an empty value deletes it. Lives as long as the browser's session unless `max_age` seconds."""

    name: str
    value: str
    max_age: int | None = None

    def header(self, *, secure: bool) -> str:
        """The `Set-Cookie` value (RFC 6265). Lax, not Strict: the cloud's redirect to our callback must bring it."""
        attributes = ["Path=/", "HttpOnly", "SameSite=Lax"]
        if secure:
            attributes.append("Secure")
        max_age = self.max_age if self.value else 0
        if max_age is not None:
            attributes.append(f"Max-Age={max_age}")
        return "; ".join([f"{self.name}={self.value}", *attributes])


def read(headers: Sequence[str], names: CookieNames) -> dict[str, str]:
    """Our cookies from all `Cookie` headers. Raises InvalidRequest when one of them comes twice (R18)."""
    ours = {names.session, names.login, names.flow, names.browser}
    found: dict[str, str] = {}
    for pair in ";".join(headers).split(";"):
        name, _, value = pair.strip().partition("=")
        if name not in ours:
            continue
        if name in found:
            raise InvalidRequest
        found[name] = value
    return {name: value for name, value in found.items() if len(value) <= _MAX_LENGTH}
