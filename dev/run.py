"""`python -m dev.run`: the vault with everything it needs, on this machine, until Ctrl-C. `PORT` says where.

`VAULT_DIRECTORIES` names directories of your own in place of the sample one, and `DIRECTORY_PASSWORD` is what the
secret of their service account holds.
"""

import json
import os
import signal
import sys
import time
from collections.abc import Sequence
from functools import partial
from pathlib import Path
from typing import NoReturn

from .cloud_accounts import CLOUD_LOGINS
from .process import ROOT, ChildDied
from .stack import PortUnusable, Stack

DEFAULT_PORT = "8381"
FOLDER = ROOT / ".run"
_DIRECTORY = Path(__file__).with_name("directory") / "contoso.json"
_PEOPLE = ("alice", "bob", "admin")
_SIGNALS = (signal.SIGINT, signal.SIGTERM)
_CHECK_SECONDS = 0.5
_OWN = "People log in at the directories of VAULT_DIRECTORIES."

_say = partial(print, flush=True)


def main() -> int:
    port = os.environ.get("PORT", DEFAULT_PORT)
    if not (port.isascii() and port.isdigit() and 0 < int(port) < 65536):
        _say(f"PORT must be a number from 1 to 65535, not {port!r}.")
        return 1
    for number in _SIGNALS:
        signal.signal(number, _interrupt)
    try:
        own = os.environ.get("VAULT_DIRECTORIES", "")
        with Stack(int(port), FOLDER, say=_say, directories=own) as stack:
            _say(_welcome(stack.url, stack.environment["DEV_MAILBOX_URL"], is_own=bool(own)))
            _watch(stack)
    except (PortUnusable, ChildDied) as error:
        _say(f"{error}")
        return 1
    except KeyboardInterrupt:
        _say("Token Vault has stopped.")
        return 0


def _interrupt(*_: object) -> NoReturn:
    """The first signal ends us; another one must not disturb the end."""
    for number in _SIGNALS:
        signal.signal(number, signal.SIG_IGN)
    raise KeyboardInterrupt


def _watch(stack: Stack) -> NoReturn:
    while True:
        time.sleep(_CHECK_SECONDS)
        stack.check()


def _welcome(url: str, mailbox: str, *, is_own: bool) -> str:
    cloud = [(login.user_name, login.password, login.email) for login in CLOUD_LOGINS]
    return f"""
Token Vault is ready at {url}/
{_OWN if is_own else _table(_directory_logins())}

Accounts at Northwind Cloud:
{_table(cloud)}

Mails that the vault sends: {mailbox}/
To see somebody leave, write "state": "disabled" in {os.path.relpath(FOLDER / "directory" / "people.json")}
Ctrl-C stops everything. Logs: {os.path.relpath(FOLDER / "logs")}
"""


def _directory_logins() -> list[tuple[str, ...]]:
    directory = json.loads(_DIRECTORY.read_text())
    passwords = {person["login"]: person["password"] for person in directory["people"]}
    return [(f"{directory['netbios_name']}\\{name}", passwords[name]) for name in _PEOPLE]


def _table(rows: Sequence[tuple[str, ...]]) -> str:
    """Columns with two spaces or more between them."""
    widths = [max(map(len, column)) for column in zip(*rows, strict=True)]
    padded = ([cell.ljust(width) for cell, width in zip(row, widths, strict=True)] for row in rows)
    return "\n".join("  ".join(row).rstrip() for row in padded)


if __name__ == "__main__":
    sys.exit(main())
