"""Reading single claims of an id_token, in the shapes that providers give them."""

from collections.abc import Iterator, Mapping, Sequence
from typing import Any

from .text import clean, is_clean

_LONGEST = 320
"""RFC 5321 4.5.3.1 lets an address have no more."""
_CLIENT_ID = "{client_id}"


def name_at(claims: Mapping[str, Any], claim: str) -> str:
    """A claim that people are called by; empty where a part is not seen."""
    value = claims.get(claim)
    return _seen(_not_of_a_directory(value)) if isinstance(value, str) else ""


def shown_at(claims: Mapping[str, Any], claim: str) -> str:
    """A claim for display only, cleaned."""
    value = claims.get(claim)
    return clean(_not_of_a_directory(value)) if isinstance(value, str) else ""


def text_at(claims: Mapping[str, Any], claim: str) -> str:
    r"""A claim that is known as it is; empty where a part is not seen, or it looks like `DOMAIN\user`."""
    value = claims.get(claim)
    return _seen(value) if isinstance(value, str) else ""


def is_true_at(claims: Mapping[str, Any], claim: str) -> bool:
    """Whether the claim says yes. Some providers send it as text."""
    value = claims.get(claim)
    return isinstance(value, bool | int | str) and str(value).casefold() in ("true", "1")


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


def _not_of_a_directory(value: str) -> str:
    r"""`DOMAIN\user` as `user (DOMAIN)`, which is a name and is nobody's of a directory; empty for what is neither."""
    domain, backslash, user = map(str.strip, value.partition("\\"))
    if not backslash:
        return value
    return f"{user} ({domain})" if domain and user and "\\" not in user else ""


def _seen(text: str) -> str:
    return "" if len(text) > _LONGEST or not is_clean(text) or "\\" in text else text.strip()


def _is_value(text: str) -> bool:
    return 0 < len(text) <= _LONGEST and text.isprintable()
