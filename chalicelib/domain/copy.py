"""What administrators and people have decided last, as it is known beside a table that was restored (docs/adr/0169)."""

from collections.abc import Mapping
from dataclasses import dataclass
from enum import StrEnum
from typing import Any


class CopyKind(StrEnum):
    """What has copies. The words are the command's, and in the log."""

    APPLICATION = "application"
    PROVIDER = "provider"
    EVERYTHING = "removals_of_everything"
    STOP = "stop"
    BLOCK = "block"
    ADMINISTRATORS = "administrators"
    OTHER = "other"
    """Of a later version."""


@dataclass(frozen=True, slots=True)
class Copy:
    """One item as it was last, where the restored table has another one. `key` and `values` are the store's own."""

    kind: CopyKind
    id: str
    name: str
    key: Mapping[str, Any]
    values: Mapping[str, Any] | None
    """None: it was deleted."""
    is_readable: bool = True
    """False: nobody knows what it was. `values` then cannot be read either, so that nothing is permitted by them."""
