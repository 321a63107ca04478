"""Takes out of an unpacked bundle what never runs there: a smaller bundle starts faster."""

import shutil
from collections.abc import Iterator
from pathlib import Path

AWS_SERVICES = {"dynamodb", "events", "kms", "secretsmanager", "sesv2"}
"""Services the vault makes clients of (`chalicelib/adapters/aws.py`)."""
_FOLDERS = ("bin", "boto3/data", "boto3/examples", "**/tests", "**/__pycache__")
_FILES = ("**/*.pyi", "**/py.typed", "**/*.pyx", "**/*.c", "**/*.h")
_NOTES_OF_PIP = ("RECORD", "INSTALLER", "REQUESTED", "WHEEL", "direct_url.json", "top_level.txt", "entry_points.txt")


def slim(bundle: Path) -> None:
    """Delete it, for good."""
    for unused in sorted({*_unused(bundle)}):
        if unused.is_dir():
            shutil.rmtree(unused)
        else:
            unused.unlink(missing_ok=True)


def _unused(bundle: Path) -> Iterator[Path]:
    for pattern in (*_FOLDERS, *_FILES):
        yield from bundle.glob(pattern)
    for note in _NOTES_OF_PIP:
        yield from bundle.glob(f"*.dist-info/{note}")
    for service in (bundle / "botocore" / "data").iterdir():
        if service.is_dir() and service.name not in AWS_SERVICES:
            yield service
