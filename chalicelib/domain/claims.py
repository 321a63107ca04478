"""Reading single claims of an id_token, in the shapes that providers give them."""

from collections.abc import Iterator, Mapping, Sequence
from typing import Any

from .text import clean, is_clean

_LONGEST = 320
"""RFC 5321 4.5.3.1 lets an address have no more."""
_CLIENT_ID = "{client_id}"


def name_at(claims: Mapping[str, Any], claim: str) -> str:
    r"""A claim that people are called by; empty where a part is not seen, or it looks like `DOMAIN\user`."""
    value = claims.get(claim)
    if not isinstance(value, str) or len(value) > _LONGEST or not is_clean(value) or "\\" in value:
        return ""
    return value.strip()


def shown_at(claims: Mapping[str, Any], claim: str) -> str:
    r"""A claim for display only, cleaned; empty where it looks like a name of a directory (`DOMAIN\user`)."""
    value = claims.get(claim)
    return clean(value) if isinstance(value, str) and "\\" not in value else ""


def id_at(claims: Mapping[str, Any], claim: str) -> str:
    """A claim that is compared as it is; empty where it is no text or cannot be written into a setting."""
    value = claims.get(claim)
    return value if isinstance(value, str) and _is_value(value) else ""


def domain_of(name: str) -> str:
    """What follows the last `@`, casefolded; empty for a name without one."""
    _, at, domain = name.rpartition("@")
    return domain.casefold() if at else ""


def values_at(claims: Mapping[str, Any], path: str, client_id: str, *, at_blanks: bool) -> list[str]:
    """The values at `path`, in their order; what is no text, too long or not printable is passed over.

    `path` is the name of a claim, or names with dots between them, from the outside in, `{client_id}` standing for our
    own. A claim that has the whole path as its name comes first: names may be URLs. In a list each object is entered.
    `at_blanks`: a text that is no member of a list holds several values, divided by blanks.
    """
    if path in claims:
        found = _inside(claims[path], (), at_blanks=at_blanks)
    else:
        parts = [client_id if part == _CLIENT_ID else part for part in path.split(".")]
        found = _inside(claims, parts, at_blanks=at_blanks)
    return [value for value in found if isinstance(value, str) and _is_value(value)]


def _inside(value: Any, parts: Sequence[str], *, at_blanks: bool) -> Iterator[Any]:
    if isinstance(value, list):
        # A list in a list is no shape that anybody documents, and could be nested without end
        for one in value:
            if not isinstance(one, list):
                yield from _inside(one, parts, at_blanks=False)
    elif parts:
        if isinstance(value, Mapping) and parts[0] in value:
            yield from _inside(value[parts[0]], parts[1:], at_blanks=at_blanks)
    elif at_blanks and isinstance(value, str):
        yield from value.split()
    else:
        yield value


def _is_value(text: str) -> bool:
    return 0 < len(text) <= _LONGEST and text.isprintable()
