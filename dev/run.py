"""`python -m dev.run`: the vault with everything it needs, on this machine, until Ctrl-C. `PORT` says where.

`VAULT_DIRECTORIES` names directories of your own in place of the sample one, and `DIRECTORY_PASSWORD` is what the
secret of their service account holds. `SIGN_IN=keycloak` offers the sign-in of a realm like Keycloak's, not that of the
embedded cloud.
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
from .realm import REALM_LOGINS
from .stack import KEYCLOAK, NORTHWIND, SIGN_INS, PortUnusable, Stack

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
    sign_in = os.environ.get("SIGN_IN") or NORTHWIND
    if sign_in not in SIGN_INS:
        _say(f"SIGN_IN must be {' or '.join(SIGN_INS)}, not {sign_in!r}.")
        return 1
    for number in _SIGNALS:
        signal.signal(number, _interrupt)
    try:
        own = os.environ.get("VAULT_DIRECTORIES", "")
        with Stack(int(port), FOLDER, say=_say, directories=own, sign_in=sign_in) as stack:
            _say(_welcome(stack.url, stack.environment["DEV_MAILBOX_URL"], sign_in, is_own=bool(own)))
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


def _welcome(url: str, mailbox: str, sign_in: str, *, is_own: bool) -> str:
    cloud = [(login.user_name, login.password, login.email) for login in CLOUD_LOGINS]
    return f"""
Token Vault is ready at {url}/
{_OWN if is_own else _table(_directory_logins())}

Accounts at Northwind Cloud:
{_table(cloud)}
{_at_realm() if sign_in == KEYCLOAK else ""}
Mails that the vault sends: {mailbox}/
To see somebody leave, write "state": "disabled" in {os.path.relpath(FOLDER / "directory" / "people.json")}
Ctrl-C stops everything. Logs: {os.path.relpath(FOLDER / "logs")}
"""


def _directory_logins() -> list[tuple[str, ...]]:
    directory = json.loads(_DIRECTORY.read_text())
    passwords = {person["login"]: person["password"] for person in directory["people"]}
    return [(f"{directory['netbios_name']}\\{name}", passwords[name]) for name in _PEOPLE]


def _at_realm() -> str:
    logins = [(one.user_name, one.password, ", ".join((*one.roles, *one.groups))) for one in REALM_LOGINS]
    return f"\nAccounts at Contoso SSO, to sign in with:\n{_table(logins)}\n"


def _table(rows: Sequence[tuple[str, ...]]) -> str:
    """Columns with two spaces or more between them."""
    widths = [max(map(len, column)) for column in zip(*rows, strict=True)]
    padded = ([cell.ljust(width) for cell, width in zip(row, widths, strict=True)] for row in rows)
    return "\n".join("  ".join(row).rstrip() for row in padded)


if __name__ == "__main__":
    sys.exit(main())
