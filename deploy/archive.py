"""Zip files whose bytes depend on nothing but what is in them."""

import hashlib
import zipfile
from dataclasses import dataclass
from pathlib import Path

_BEGINNING_OF_TIME = (1980, 1, 1, 0, 0, 0)
_READABLE = 0o100644 << 16
_PROGRAM = 0o100755 << 16


@dataclass(frozen=True, slots=True)
class Archive:
    """A zip file: bytes packed and unpacked, and the SHA-256 of the file."""

    path: Path
    packed: int
    unpacked: int
    digest: str


def unpack(path: Path, folder: Path) -> None:
    with zipfile.ZipFile(path) as archive:
        archive.extractall(folder)


def pack(folder: Path, path: Path) -> Archive:
    """All files below `folder`, in the order of their names, without owners and times."""
    unpacked = 0
    with zipfile.ZipFile(path, "w", zipfile.ZIP_DEFLATED, compresslevel=9) as archive:
        for file in sorted(file for file in folder.rglob("*") if file.is_file()):
            content = file.read_bytes()
            unpacked += len(content)
            archive.writestr(_entry(file, folder), content, compresslevel=9)
    return Archive(path, path.stat().st_size, unpacked, hashlib.sha256(path.read_bytes()).hexdigest())


def _entry(file: Path, folder: Path) -> zipfile.ZipInfo:
    entry = zipfile.ZipInfo(file.relative_to(folder).as_posix(), _BEGINNING_OF_TIME)
    entry.compress_type = zipfile.ZIP_DEFLATED
    entry.create_system = 3  # Unix, wherever it was made
    entry.external_attr = _PROGRAM if file.suffix == ".so" else _READABLE
    return entry
