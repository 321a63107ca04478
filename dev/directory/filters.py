"""Search filters (RFC 4511 4.5.1.7), evaluated as they stand in the message."""

import re
from collections.abc import Callable

from .ber import Element, Malformed
from .tree import Entry, Tree

IN_CHAIN = "1.2.840.113556.1.4.1941"
"""LDAP_MATCHING_RULE_IN_CHAIN ([MS-ADTS] 3.1.1.3.4.4.3): follows `member` and `memberOf` through nested groups."""

_MAX_DEPTH = 50
_OCTETS = ("objectsid", "objectguid")
"""Attributes that are no text: nothing in them has a case."""
_NUMBER = re.compile(r"-?[0-9]{1,19}")
_AND, _OR, _NOT, _EQUAL, _SUBSTRINGS, _GREATER, _LESS, _PRESENT, _APPROXIMATE, _EXTENSIBLE = (
    *range(0xA0, 0xA7),
    0x87,
    0xA8,
    0xA9,
)
_INITIAL, _ANY, _FINAL = 0x80, 0x81, 0x82
_RULE, _TYPE, _VALUE = 0x81, 0x82, 0x83


def matches(condition: Element, entry: Entry, tree: Tree, depth: int = 0) -> bool:
    """Whether the entry fulfils the filter. Raises Malformed, also for one nested beyond reason."""
    if depth > _MAX_DEPTH:
        raise Malformed("filter nested too deeply")
    if condition.tag in (_AND, _OR, _NOT):
        results = [matches(child, entry, tree, depth + 1) for child in condition.children()]
        return _combined(condition.tag, results)
    if condition.tag == _PRESENT:
        return condition.text().casefold() == "objectclass" or bool(entry.values(condition.text()))
    if condition.tag == _SUBSTRINGS:
        return _has_substrings(condition, entry)
    if condition.tag == _EXTENSIBLE:
        return _in_chain(condition, entry, tree)
    return _compared(condition, entry)


def _combined(tag: int, results: list[bool]) -> bool:
    if tag == _NOT:
        if len(results) != 1:
            raise Malformed("not takes one filter")
        return not results[0]
    return all(results) if tag == _AND else any(results)


def _folded(value: bytes) -> str:
    """Values are compared without case; octets that are no text stay what they are."""
    return value.decode("utf-8", "surrogateescape").casefold()


def _compared(condition: Element, entry: Entry) -> bool:
    comparison = _COMPARISONS.get(condition.tag)
    if comparison is None:
        raise Malformed("unknown filter")
    attribute, asserted = _pair(condition)
    values = entry.values(attribute.text())
    if attribute.text().casefold() in _OCTETS:
        return asserted.content in values
    return any(comparison(_folded(value), _folded(asserted.content)) for value in values)


def _ordered(value: str) -> tuple[int, str]:
    """Numbers by their size, all else by its letters."""
    return (int(value), "") if _NUMBER.fullmatch(value) else (0, value)


_COMPARISONS: dict[int, Callable[[str, str], bool]] = {
    _EQUAL: lambda value, asserted: value == asserted,
    _APPROXIMATE: lambda value, asserted: value == asserted,
    _GREATER: lambda value, asserted: _ordered(value) >= _ordered(asserted),
    _LESS: lambda value, asserted: _ordered(value) <= _ordered(asserted),
}


def _pair(condition: Element) -> tuple[Element, Element]:
    children = condition.children()
    if len(children) != 2:
        raise Malformed("filter without attribute and value")
    return children[0], children[1]


def _has_substrings(condition: Element, entry: Entry) -> bool:
    attribute, pieces = _pair(condition)
    return any(_fits(_folded(value), pieces.children()) for value in entry.values(attribute.text()))


def _fits(value: str, pieces: list[Element]) -> bool:
    for piece in pieces:
        wanted = _folded(piece.content)
        if piece.tag == _FINAL:
            return value.endswith(wanted)
        position = value.find(wanted)
        if position < 0 or (piece.tag == _INITIAL and position > 0):
            return False
        value = value[position + len(wanted) :]
    return True


def _in_chain(condition: Element, entry: Entry, tree: Tree) -> bool:
    parts = {child.tag: child for child in condition.children()}
    if not parts.keys() >= {_RULE, _TYPE, _VALUE} or parts[_RULE].text() != IN_CHAIN:
        raise Malformed("matching rule not supported")
    other = tree.get(parts[_VALUE].text())
    attribute = parts[_TYPE].text().casefold()
    if other is None or attribute not in ("member", "memberof"):
        return False
    member, group = (other, entry) if attribute == "member" else (entry, other)
    return group.key in (found.key for found in tree.groups_of(member))
