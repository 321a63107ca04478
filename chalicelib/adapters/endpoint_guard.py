"""Which addresses the vault may talk to: an administrator, or a cloud's document, must not point it inside (R49)."""

import re
import socket
from ipaddress import IPv6Address, ip_address, ip_network
from urllib.parse import urlsplit

from chalicelib.domain.errors import CloudMisconfigured, CloudUnavailable

_URL_CHARACTERS = re.compile(r"[!-\[\]-~]+")
"""Printable ASCII without the backslash, on which URL parsers disagree."""

_GLOBAL_UNICAST = ip_network("2000::/3")
"""The only IPv6 range given out for public use (RFC 4291 2.4)."""


class EndpointGuard:
    """Lets https and public addresses pass. `allow_private` lets everything else pass too, for development."""

    def __init__(self, allow_private: bool) -> None:
        self._schemes = ("https", "http") if allow_private else ("https",)
        self._allow_private = allow_private

    def check(self, url: str) -> None:
        """Raise CloudMisconfigured unless `url` is one an endpoint may have; asks no name server."""
        try:
            parts = urlsplit(url)
            allowed = parts.scheme in self._schemes and bool(parts.hostname) and parts.port != 0
        except ValueError as error:
            raise _refused(_NO_URL) from error
        if not allowed or parts.username is not None or "#" in url or not _URL_CHARACTERS.fullmatch(url):
            raise _refused(_NOT_HTTPS)

    def permit(self, url: str) -> None:
        """Raise CloudMisconfigured unless `url` may be an endpoint and every address of its host is public.

        Raises CloudUnavailable where the name has none. Development asks no name server.
        """
        self.check(url)
        if not self._allow_private:
            self.addresses(urlsplit(url).hostname or "")

    def fault(self, url: str) -> str:
        """What is wrong with `url` as an endpoint (R103): a sentence for who typed it, empty where nothing is."""
        try:
            self.permit(url)
        except CloudMisconfigured as error:
            return _SENTENCES[error.detail]
        except CloudUnavailable:
            return "The host of this address is not known to the name servers. Please check how it is written."
        return ""

    def addresses(self, host: str) -> list[str]:
        """Where to connect to, in the order of the name service: resolved once, and every one of them checked.

        So a second look-up cannot change it, and whichever answers is allowed.

        Raises CloudMisconfigured when any address of the name is not public, CloudUnavailable when it has none.
        """
        try:
            found = socket.getaddrinfo(host, None, type=socket.SOCK_STREAM)
        except (OSError, UnicodeError) as error:
            raise CloudUnavailable(detail="the name of the endpoint's host does not resolve") from error
        addresses = list(dict.fromkeys(str(sockaddr[0]) for *_, sockaddr in found))
        if not self._allow_private and not all(_is_public(address) for address in addresses):
            raise _refused(_NOT_PUBLIC)
        return addresses


_NO_URL, _NOT_HTTPS, _NOT_PUBLIC = (
    f"endpoint refused: {why}" for why in ("not a URL", "not an https URL of a host", "not a public address")
)
_FORM = "An endpoint must be an https address, without a user name and without “#”."
_SENTENCES = {
    _NO_URL: _FORM,
    _NOT_HTTPS: _FORM,
    _NOT_PUBLIC: "The host of this address is inside a network: the vault connects to public addresses only.",
}


def _is_public(address: str) -> bool:
    ip = ip_address(address)
    if isinstance(ip, IPv6Address):
        embedded = ip.ipv4_mapped or ip.sixtofour
        if embedded is None:
            return ip in _GLOBAL_UNICAST and ip.is_global
        ip = embedded
    return ip.is_global and not ip.is_multicast


def _refused(detail: str) -> CloudMisconfigured:
    return CloudMisconfigured("endpoint_refused", detail=detail)
