"""What the commands share: who acts in a shell, the vault of the settings, and a line of output."""

import sys
from typing import TYPE_CHECKING

from .domain.audit import Actor, Origin

if TYPE_CHECKING:
    from .bootstrap import Vault

ACTOR = Actor("command-line", "command line")
ORIGIN = Origin("-", "command-line")


def vault() -> "Vault":
    """As the settings say. Imported late: it takes a second, and `--help` needs none."""
    from .bootstrap import create_vault  # noqa: PLC0415

    return create_vault()


def say(text: str) -> None:
    """A line, at once: whoever watches a long run sees how far it is."""
    sys.stdout.write(f"{text}\n")
    sys.stdout.flush()
