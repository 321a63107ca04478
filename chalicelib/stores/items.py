"""Between Python values and DynamoDB's typed attributes, for the few types the vault stores."""

import logging
from collections.abc import Callable, Iterable, Iterator, Mapping
from typing import Any, TypeVar

_LOG = logging.getLogger(__name__)
_Read = TypeVar("_Read")

Item = dict[str, Any]


def readable(items: Iterable[Item], read: Callable[[Item], _Read]) -> Iterator[_Read]:
    """What `read` makes of each. One that it cannot read is told in the log, and costs nobody else anything."""
    for item in items:
        try:
            yield read(item)
        except (KeyError, ValueError, TypeError, AttributeError) as error:
            _LOG.error("item.unreadable", extra={"where": item.get("pk"), "error_type": type(error).__name__})


def pack(values: Mapping[str, Any]) -> dict[str, Any]:
    """Python values to attribute values; None is left out, since an absent attribute reads as None."""
    return {name: _pack(value) for name, value in values.items() if value is not None}


def unpack(attributes: Mapping[str, Any]) -> Item:
    """The inverse of `pack`: numbers are int, binary is bytes, lists are list."""
    return {name: _unpack(value) for name, value in attributes.items()}


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
