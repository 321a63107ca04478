"""Provider types from data files: adding a kind of cloud is adding a file."""

import json
from pathlib import Path
from typing import Any

from chalicelib.domain.authorization_server import ClientAuthentication
from chalicelib.domain.errors import NotFound
from chalicelib.domain.provider_type import (
    AccountSource,
    CallbackField,
    CheckItem,
    Choice,
    ErrorKind,
    FieldKind,
    ProviderType,
    Quirk,
    RevocationStyle,
    ScopePreset,
    TypeField,
)
from chalicelib.domain.text import in_order

FOLDER = Path(__file__).parent.parent / "data" / "providers"


class FileCatalogue:
    """Implements `ports.Catalogue`. Reads `<id>.json` files, each as `provider-type.schema.json` says, once.

    Raises ValueError with the file's name for one that cannot be used.
    """

    def __init__(self, folder: Path = FOLDER) -> None:
        types = [_read(path) for path in folder.glob("*.json")]
        self._types = {type_.id: type_ for type_ in sorted(types, key=lambda type_: in_order(type_.name))}

    def all(self) -> list[ProviderType]:
        return list(self._types.values())

    def get(self, type_id: str) -> ProviderType:
        if type_id not in self._types:
            raise NotFound
        return self._types[type_id]

    def stored(self, type_id: str) -> ProviderType:
        try:
            return self.get(type_id)
        except NotFound:
            return ProviderType(type_id, f"{type_id} (unknown here)")


def _read(path: Path) -> ProviderType:
    try:
        values: dict[str, Any] = json.loads(path.read_text("utf-8"))
        read = {name: _READERS.get(name, _as_it_is)(value) for name, value in values.items()}
        return ProviderType(**(read | {"id": path.stem}))
    except (LookupError, TypeError, ValueError, AttributeError) as error:
        raise ValueError(f"provider type {path.name}: {error}") from error


def _as_it_is(value: Any) -> Any:
    return tuple(value) if isinstance(value, list) else value


def _field(values: dict[str, Any]) -> TypeField:
    choices = tuple(Choice(**choice) for choice in values.get("choices", ()))
    return TypeField(**(values | {"kind": FieldKind(values.get("kind", "text")), "choices": choices}))


_READERS: dict[str, Any] = {
    "fields": lambda values: tuple(map(_field, values)),
    "client_authentication": ClientAuthentication,
    "presets": lambda values: tuple(ScopePreset(**(one | {"scopes": tuple(one["scopes"])})) for one in values),
    "account_from": AccountSource,
    "callback_fields": lambda values: {name: CallbackField(**one) for name, one in values.items()},
    "revocation": RevocationStyle,
    "error_words": lambda values: {word: ErrorKind(kind) for word, kind in values.items()},
    "quirks": lambda values: frozenset(map(Quirk, values)),
    "checklist": lambda values: tuple(CheckItem(**one) for one in values),
}
