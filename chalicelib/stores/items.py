"""Between Python values and DynamoDB's typed attributes, and from an item to what it stands for."""

import logging
import types
from collections.abc import Callable, Collection, Iterable, Iterator, Mapping
from dataclasses import MISSING, fields, is_dataclass
from enum import Enum
from functools import cache
from typing import Any, TypeVar, cast, get_args, get_origin, get_type_hints

from chalicelib.domain.errors import ItemUnreadable

from .tables import KEY, SORT

_LOG = logging.getLogger(__name__)

Item = dict[str, Any]
Kind = TypeVar("Kind")
Reader = Callable[[Any], Any]

ODD = (KeyError, ValueError, TypeError, AttributeError)
"""What reading raises where an item is not as it was written: a part missing or of another type, a word unknown."""
ODD_VERSION = -(2**62)
"""The version of what has none that can be read: a write that replaces it asks for no other (`Condition.version`)."""


def pack(values: Mapping[str, Any]) -> dict[str, Any]:
    """Python values to attribute values; None is left out, since an absent attribute reads as None."""
    return {name: _pack(value) for name, value in values.items() if value is not None}


def unpack(attributes: Mapping[str, Any]) -> Item:
    """The inverse of `pack`: numbers are int, binary is bytes, lists are list."""
    return {name: _unpack(value) for name, value in attributes.items()}


def load(kind: Callable[..., Kind], values: Mapping[str, Any], *, later: Collection[str] = ()) -> Kind:
    """A dataclass from stored values, each of its field's very type. Raises one of `ODD`.

    Values that it has no field for are passed over: a later version wrote them. Only fields named in `later`, which
    earlier versions did not write, have their defaults where they are missing; None may always be.
    """
    get = values.get
    return kind(
        *[
            default() if (value := get(name)) is None and name in later else reader(value)
            for name, reader, default in _plan(kind)
        ]
    )


def read(kind: str, item: Item, parse: Callable[[Item], Kind]) -> Kind:
    """What the item stands for. Raises ItemUnreadable, told in the log with the item's kind and key (R94)."""
    try:
        return parse(item)
    except ODD as error:
        key = "/".join(str(item[name]) for name in (KEY, SORT) if name in item)
        detail = f"{kind} {key}"
        _LOG.error("item.unreadable", extra={"detail": detail, "error_type": type(error).__name__})
        raise ItemUnreadable(detail=detail) from error


def readable(kind: str, items: Iterable[Item], parse: Callable[[Item], Kind]) -> Iterator[Kind]:
    """What those items stand for that can be read: one odd item harms no other (R94)."""
    for item in items:
        try:
            yield read(kind, item, parse)
        except ItemUnreadable:
            continue


def read_or(kind: str, item: Item, parse: Callable[[Item], Kind], instead: Callable[[Item], Kind]) -> Kind:
    """What the item stands for, or `instead` where it cannot be read."""
    try:
        return read(kind, item, parse)
    except ItemUnreadable:
        return instead(item)


def version_of(item: Item) -> int:
    """The version that a write must find; `ODD_VERSION` where the item has none."""
    version = item.get("version")
    return version if type(version) is int else ODD_VERSION


@cache
def _plan(kind: Any) -> tuple[tuple[str, Reader, Callable[[], Any]], ...]:
    """Name, reader and default of each field, worked out once."""
    hints = get_type_hints(kind)
    return tuple((field.name, _reader(hints[field.name]), _default(field)) for field in fields(kind))


def _default(field: Any) -> Callable[[], Any]:
    return field.default_factory if field.default_factory is not MISSING else lambda: field.default


def _reader(hint: Any) -> Any:
    """What turns a stored value into one of the type; raises one of `ODD` for any other."""
    if hint is Any:
        return lambda value: value
    if get_origin(hint) is types.UnionType:
        inner = _reader(next(part for part in get_args(hint) if part is not types.NoneType))
        return lambda value: None if value is None else inner(value)
    if get_origin(hint) in _COLLECTIONS:
        return _of_many(get_origin(hint), get_args(hint))
    if is_dataclass(hint):
        return lambda value: load(cast("Any", hint), value)
    if issubclass(hint, Enum):
        return hint
    return _exactly(hint)


def _of_many(kind: Any, parts: tuple[Any, ...]) -> Reader:
    if kind is dict:
        name, content = map(_reader, parts)
        return lambda value: {name(key): content(one) for key, one in value.items()}
    inner = _reader(parts[0])

    def many(value: Any) -> Any:
        if type(value) not in (list, set):
            raise TypeError(f"a {type(value).__name__} where a list is due")
        return kind([inner(one) for one in value])

    return many


def _exactly(kind: type) -> Reader:
    def exactly(value: Any) -> Any:
        # Not `isinstance`: true and false are numbers to Python
        if type(value) is not kind:
            raise TypeError(f"a {type(value).__name__} where a {kind.__name__} is due")
        return value

    return exactly


_COLLECTIONS = (dict, tuple, frozenset)


def _pack(value: Any) -> dict[str, Any]:
    match value:
        case bool():
            return {"BOOL": value}
        case str() | bytes():
            return {"S" if isinstance(value, str) else "B": value}
        case int():
            return {"N": str(value)}
        case Mapping():
            return {"M": pack(value)}
        case set():
            return {"SS": sorted(value)}
        case list() | tuple() | frozenset():
            return {"L": [_pack(part) for part in value]}
    raise TypeError(f"a {type(value).__name__} cannot be stored")


def _unpack(attribute: Mapping[str, Any]) -> Any:
    ((kind, value),) = attribute.items()
    match kind:
        case "N":
            # What is no whole number was not written here: it stays text, so that one odd item stops no reader
            return int(value) if value.lstrip("-").isdecimal() else value
        case "M":
            return unpack(value)
        case "L":
            return [_unpack(part) for part in value]
    return value
