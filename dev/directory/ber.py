"""The part of ASN.1's Basic Encoding Rules (ITU-T X.690) that LDAP uses (RFC 4511 5.1)."""

from collections.abc import Iterable
from typing import NamedTuple

_LONG_FORM = 0x80
_MAX_LENGTH_OCTETS = 4

INTEGER, OCTETS, ENUMERATED, SEQUENCE, SET = 0x02, 0x04, 0x0A, 0x30, 0x31


class Malformed(ValueError):
    """The octets are no message of the kind that was expected."""


class Element(NamedTuple):
    """One tag with its content, not yet interpreted."""

    tag: int
    content: bytes

    def integer(self) -> int:
        return int.from_bytes(self.content, "big", signed=True)

    def text(self) -> str:
        """Raises Malformed for anything but UTF-8."""
        try:
            return self.content.decode()
        except UnicodeDecodeError:
            raise Malformed("not UTF-8") from None

    def children(self) -> list["Element"]:
        """The elements inside a constructed one. Raises Malformed."""
        found, position = [], 0
        while position < len(self.content):
            element, position = read(self.content, position)
            found.append(element)
        return found


def header_size(data: bytes) -> int:
    """How many octets tag and length take, given at least the first two of them."""
    octets = data[1] ^ _LONG_FORM if data[1] & _LONG_FORM else 0
    if octets > _MAX_LENGTH_OCTETS or data[1] == _LONG_FORM:
        raise Malformed("length of indefinite form or too long")
    return 2 + octets


def content_size(header: bytes) -> int:
    """The length that a complete header announces."""
    return int.from_bytes(header[2:], "big") if len(header) > 2 else header[1]


def read(data: bytes, position: int = 0) -> tuple[Element, int]:
    """The element that starts at `position`, and where the next one starts. Raises Malformed."""
    if len(data) < position + 2:
        raise Malformed("no room for a header")
    start = position + header_size(data[position : position + 2])
    end = start + content_size(data[position:start])
    if start > len(data) or end > len(data):
        raise Malformed("shorter than announced")
    return Element(data[position], data[start:end]), end


def encode(tag: int, content: bytes) -> bytes:
    """One element in the definite form."""
    size = len(content)
    if size < _LONG_FORM:
        return bytes([tag, size]) + content
    octets = size.to_bytes((size.bit_length() + 7) // 8, "big")
    return bytes([tag, _LONG_FORM | len(octets)]) + octets + content


def integer(value: int, tag: int = INTEGER) -> bytes:
    return encode(tag, value.to_bytes(value.bit_length() // 8 + 1, "big", signed=True))


def octets(value: bytes | str, tag: int = OCTETS) -> bytes:
    return encode(tag, value.encode() if isinstance(value, str) else value)


def sequence(parts: Iterable[bytes], tag: int = SEQUENCE) -> bytes:
    return encode(tag, b"".join(parts))
