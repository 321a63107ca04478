"""Distinguished names, compared as names and not as text (RFC 4514)."""

import re
import unicodedata

_TYPE = r"[A-Za-z][A-Za-z0-9-]*|[0-9]+(?:\.[0-9]+)*"
_VALUE = r"(?:\\.|[^\\,;+])*"
_PART = re.compile(rf" *({_TYPE}) *=({_VALUE})([,;+]|\Z)", re.DOTALL)
_ESCAPED = re.compile(rb"\\([0-9A-Fa-f]{2})|\\(.)", re.DOTALL)
_BLANKS = re.compile(r" +")
_SPECIAL = re.compile(r'[\\,;+"<>=#]')


def folded_dn(dn: str) -> str:
    r"""One spelling for all that name the same entry: `CN=A\, B , DC=x`, `cn=a\2C b,dc=x`.

    Servers differ in how they escape a character, in case and in blanks, and the parts of a multi-valued RDN
    have no order. Special characters are written in hexadecimal, as OpenLDAP does. What is no distinguished name
    is the same as itself only.
    """
    names = _parsed(dn.strip())
    if names is None:
        return dn.strip().casefold()
    return ",".join("+".join(sorted(f"{kind}={value}" for kind, value in name)) for name in names)


def is_dn(text: str) -> bool:
    """Whether this is a distinguished name of one part or more."""
    return _parsed(text.strip()) is not None


def parent_dn(dn: str) -> str:
    """The name of the entry above, in the spelling given; empty where there is none."""
    position = 0
    while (found := _PART.match(dn, position)) and found[3] == "+":
        position = found.end()
    return dn[found.end() :].strip() if found else ""


def is_below(dn: str, base_dn: str) -> bool:
    """Whether an entry is somewhere under another; below the empty name is everything."""
    return not base_dn or folded_dn(dn).endswith(f",{folded_dn(base_dn)}")


def _parsed(dn: str) -> list[list[tuple[str, str]]] | None:
    """The parts of each RDN; None for what is no distinguished name."""
    names: list[list[tuple[str, str]]] = [[]]
    position = 0
    while found := _PART.match(dn, position):
        kind, value, end = found.groups()
        names[-1].append((kind.lower(), _folded_value(value)))
        if not end:
            return names
        if end != "+":
            names.append([])
        position = found.end()
    return None


def _folded_value(written: str) -> str:
    value = written.lstrip(" ")
    if value.startswith("#"):  # BER in hexadecimal: nothing in it is text
        return value.strip().lower()
    value = _unescaped(value) if "\\" in value else value.rstrip(" ")
    if not value.isascii():
        value = unicodedata.normalize("NFKC", value)
    return _SPECIAL.sub(_escape, _BLANKS.sub(" ", value.casefold()).strip(" "))


def _unescaped(value: str) -> str:
    kept = re.sub(r"(?<!\\) +\Z", "", value)
    octets = _ESCAPED.sub(lambda found: bytes.fromhex(found[1].decode()) if found[1] else found[2], kept.encode())
    return octets.decode(errors="backslashreplace")


def _escape(special: re.Match[str]) -> str:
    return f"\\{ord(special[0]):02x}"
