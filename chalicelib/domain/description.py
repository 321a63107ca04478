"""What an administrator describes as a JSON object in one setting: a frozen dataclass, its fields the keys."""

from collections.abc import Mapping
from dataclasses import MISSING, Field, field, fields
from typing import Any, TypeVar

_Described = TypeVar("_Described")
_WORDS = {str: "a text", int: "a whole number", bool: "true or false"}


class InvalidDescription(ValueError):
    """A description that cannot be meant; `key` names the setting inside it."""

    def __init__(self, key: str, why: str) -> None:
        self.key = key
        super().__init__(f"{key}: {why}")


def setting(meaning: str, default: Any = MISSING) -> Any:
    """A field with what documents say of it; without a default it must be given."""
    return field(default=default, metadata={"meaning": meaning})


def from_mapping(kind: type[_Described], described: Mapping[str, Any]) -> _Described:
    """Read one description. Raises InvalidDescription for the first key that is unknown, missing or wrong."""
    known = {f.name: f for f in fields(kind)}  # type: ignore[arg-type]
    for key in described:
        require(key in known, str(key), "there is no such setting here")
    return kind(**{name: _read(f, described) for name, f in known.items()})


def require(holds: bool, key: str, why: str) -> None:
    """Raise InvalidDescription unless it holds."""
    if not holds:
        raise InvalidDescription(key, why)


def _read(setting: "Field[Any]", described: Mapping[str, Any]) -> Any:
    if setting.name not in described:
        require(setting.default is not MISSING, setting.name, "is missing")
        return setting.default
    value = described[setting.name]
    if setting.type == tuple[str, ...]:
        is_list = isinstance(value, list) and all(isinstance(part, str) for part in value)
        require(is_list, setting.name, "must be a list of texts")
        return tuple(value)
    kind: type = setting.type  # type: ignore[assignment]
    require(type(value) is kind, setting.name, f"must be {_WORDS[kind]}")
    return value
