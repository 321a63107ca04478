"""Provider types from data files: adding a kind of cloud is adding a file."""

import json
from pathlib import Path

from chalicelib.domain.errors import NotFound
from chalicelib.domain.provider import ProviderType, RevocationStyle

FOLDER = Path(__file__).parent.parent / "data" / "providers"
_LISTS = ("subject_fields", "label_fields")


class FileCatalogue:
    """Implements `ports.Catalogue`. Reads `<id>.json` files, each as `provider-type.schema.json` says, once.

    Raises ValueError with the file's name for one that cannot be used.
    """

    def __init__(self, folder: Path = FOLDER) -> None:
        types = [_read(path) for path in folder.glob("*.json")]
        self._types = {type_.id: type_ for type_ in sorted(types, key=lambda type_: type_.name.casefold())}

    def all(self) -> list[ProviderType]:
        return list(self._types.values())

    def get(self, type_id: str) -> ProviderType:
        if type_id not in self._types:
            raise NotFound
        return self._types[type_id]


def _read(path: Path) -> ProviderType:
    try:
        values = json.loads(path.read_text("utf-8"))
        lists = {name: tuple(values[name]) for name in _LISTS if name in values}
        revocation = {"revocation": RevocationStyle(values["revocation"])}
        return ProviderType(**(values | lists | revocation | {"id": path.stem}))
    except (LookupError, TypeError, ValueError) as error:
        raise ValueError(f"provider type {path.name}: {error}") from error
