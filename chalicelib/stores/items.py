"""Between Python values and DynamoDB's typed attributes, and from an item to what it stands for."""

import logging
import types
from collections.abc import Callable, Iterable, Iterator, Mapping
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
_LATEST = 253_402_300_799
"""The last second of the year 9999 (epoch seconds), beyond which no date is shown."""
ODD_VERSION = -(2**62)
"""The version of what has none that can be read: a write that replaces it asks for no other (`Condition.version`)."""


def pack(values: Mapping[str, Any]) -> dict[str, Any]:
    """Python values to attribute values; None is left out, since an absent attribute reads as None."""
    return {name: _pack(value) for name, value in values.items() if value is not None}


def unpack(attributes: Mapping[str, Any]) -> Item:
    """The inverse of `pack`: numbers are int, binary is bytes, lists are list."""
    return {name: _unpack(value) for name, value in attributes.items()}


def load(kind: Callable[..., Kind], values: Mapping[str, Any], *, later: tuple[str, ...] = ()) -> Kind:
    """A dataclass from stored values, each of its field's very type. Raises one of `ODD`.

    Values that it has no field for are passed over: a later version wrote them. Only fields named in `later`, which
    earlier versions did not write, have their defaults where they are missing, also in what is inside; None may always
    be.
    """
    return cast("Kind", _maker(kind, later)(values))


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


def is_odd(item: Item, parse: Callable[[Item], Any]) -> bool:
    """Whether the item cannot be read. Told to nobody: who asks shows it."""
    try:
        parse(item)
    except ODD:
        return True
    return False


def version_of(item: Item) -> int:
    """The version that a write must find; `ODD_VERSION` where the item has none."""
    version = item.get("version")
    return version if type(version) is int else ODD_VERSION


@cache
def _maker(kind: Any, later: tuple[str, ...]) -> Reader:
    """A function for the class, written once as `dataclasses` writes `__init__`: each release reads many fields."""
    hints, known = get_type_hints(kind), {"kind": kind, "refuse": _refuse, "refuse_time": _refuse_time}
    arguments = [_argument(field, hints[field.name], later, known) for field in fields(kind)]
    exec(f"def make(values):\n get = values.get\n return kind({', '.join(arguments)})", known)  # noqa: S102 - only names of fields are in it
    return cast("Reader", known["make"])


def _argument(field: Any, hint: Any, later: tuple[str, ...], known: dict[str, Any]) -> str:
    """The expression for one field; what it needs goes into `known`."""
    name, value = field.name, f"(v := get({field.name!r}))"
    if get_origin(hint) is types.UnionType:
        hint = next(part for part in get_args(hint) if part is not types.NoneType)
        return f"None if {value} is None else {_expression(name, hint, later, known, 'v')}"
    if name not in later:
        return _expression(name, hint, later, known, value)
    known[f"default_{name}"] = _default(field)
    return f"default_{name}() if {value} is None else {_expression(name, hint, later, known, 'v')}"


def _expression(name: str, hint: Any, later: tuple[str, ...], known: dict[str, Any], value: str) -> str:
    if hint is int and (name == "at" or name.endswith("_at")):
        return f"v if type({value}) is int and 0 <= v <= {_LATEST} else refuse_time(v)"
    if _is_plain(hint):
        known[f"type_{name}"] = hint
        # Not `isinstance`: true and false are numbers to Python
        return f"v if type({value}) is type_{name} else refuse(v, type_{name})"
    known[f"read_{name}"] = _reader(hint, later)
    return f"read_{name}({value})"


def _is_plain(hint: Any) -> bool:
    return isinstance(hint, type) and get_origin(hint) is None and not is_dataclass(hint) and not issubclass(hint, Enum)


def _default(field: Any) -> Callable[[], Any]:
    return field.default_factory if field.default_factory is not MISSING else lambda: field.default


def _reader(hint: Any, later: tuple[str, ...]) -> Reader:
    """What turns a stored value into one of the type; raises one of `ODD` for any other."""
    if get_origin(hint) in (dict, tuple, frozenset):
        return _of_many(get_origin(hint), get_args(hint), later)
    if is_dataclass(hint):
        return _maker(cast("Any", hint), later)
    if issubclass(hint, Enum):
        # A call of the class takes three times as long
        return {member.value: member for member in hint}.__getitem__
    return lambda value: value if type(value) is hint else _refuse(value, hint)


def _of_many(kind: Any, parts: tuple[Any, ...], later: tuple[str, ...]) -> Reader:
    inner = [_reader(part, later) for part in parts if part is not ...]
    if kind is dict:
        return lambda value: {inner[0](key): inner[1](one) for key, one in value.items()}
    if kind is tuple and parts[-1] is not ...:
        return lambda value: tuple(reader(one) for reader, one in zip(inner, _many(value), strict=True))
    return lambda value: kind(map(inner[0], _many(value)))


def _many(value: Any) -> Any:
    return value if type(value) in (list, set) else _refuse(value, list)


def _refuse_time(value: Any) -> Any:
    raise ValueError(f"{value!r:.40} where a time is due")


def _refuse(value: Any, kind: type) -> Any:
    raise TypeError(f"a {type(value).__name__} where a {kind.__name__} is due")


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
            return _number(value)
        case "M":
            return unpack(value)
        case "L":
            return [_unpack(part) for part in value]
    return value


def _number(value: str) -> int | str:
    try:
        return int(value)
    except ValueError:
        # What is no whole number was not written here: it stays text, so that one odd item stops no reader
        return value
