"""Zip files whose bytes depend on nothing but what is in them."""

import hashlib
import shutil
import zipfile
from collections.abc import Mapping
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
            archive.writestr(_entry(file.relative_to(folder).as_posix()), content, compresslevel=9)
    return _made(path, unpacked)


def add(source: Path, files: Mapping[str, bytes], path: Path) -> Archive:
    """A copy of an archive with files more, by their names in it."""
    shutil.copyfile(source, path)
    with zipfile.ZipFile(path, "a", zipfile.ZIP_DEFLATED, compresslevel=9) as archive:
        for name, content in sorted(files.items()):
            archive.writestr(_entry(name), content, compresslevel=9)
        unpacked = sum(entry.file_size for entry in archive.infolist())
    return _made(path, unpacked)


def _made(path: Path, unpacked: int) -> Archive:
    return Archive(path, path.stat().st_size, unpacked, hashlib.sha256(path.read_bytes()).hexdigest())


def _entry(name: str) -> zipfile.ZipInfo:
    entry = zipfile.ZipInfo(name, _BEGINNING_OF_TIME)
    entry.compress_type = zipfile.ZIP_DEFLATED
    entry.create_system = 3  # Unix, wherever it was made
    entry.external_attr = _PROGRAM if name.endswith(".so") else _READABLE
    return entry
