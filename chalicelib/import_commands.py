"""`import-grants`: what people have authorized in another vault, one JSON object a line on standard input."""

import argparse
import json
import re
import sys
from collections import Counter
from typing import TYPE_CHECKING, Any

from .domain.errors import DirectoryUnavailable, InvalidRequest, NotFound
from .domain.secret import Secret
from .domain.text import clean
from .domain.token_set import CloudAccount
from .shell import ACTOR, ORIGIN, say, vault

if TYPE_CHECKING:
    from .services.grant_import import Imported

_SCOPE = re.compile(r"[!#-\[\]-~]+")
"""RFC 6749 3.3."""
_WORDS = "take over what people have authorized in another vault"
_MORE = (
    "Reads one JSON object a line from standard input: user, account, account_id, scopes, refresh_token, and perhaps "
    "authorized_at. Says for each line what became of it, never a token. Exit code 1: some lines were not understood."
)


def add(commands: "argparse._SubParsersAction[argparse.ArgumentParser]") -> None:
    """Add `import-grants`."""
    command = commands.add_parser("import-grants", help=_WORDS, description=f"{_WORDS.capitalize()}. {_MORE}")
    command.add_argument("provider", metavar="PROVIDER", help="id of the provider, registered with the same client id")
    command.add_argument("--json", action="store_true", help="print one JSON object for each line")
    command.set_defaults(run=_import)


def _import(chosen: argparse.Namespace) -> int:
    here = vault()
    try:
        here.administration.provider(chosen.provider)
    except NotFound:
        raise NotFound("No provider has this id. `export-providers` lists the ids.") from None
    counted: Counter[str] = Counter()
    for number, line in enumerate(sys.stdin, 1):
        if not line.strip():
            continue
        try:
            imported = _read(line)
            grant = here.grant_import.take(imported, chosen.provider, ACTOR, ORIGIN)
            outcome, words = ("taken", imported.user) if grant else ("already", f"{imported.user} has authorized here")
        except (ValueError, InvalidRequest, NotFound, DirectoryUnavailable) as error:
            # Our own sentences and the names of fields: what the line holds is never repeated
            outcome, words = "refused", getattr(error, "message", str(error))
        counted[outcome] += 1
        say(json.dumps({"line": number, "outcome": outcome, "detail": words}) if chosen.json else f"{number}: {words}")
    if not chosen.json:
        say(f"Taken over: {counted['taken']}. There already: {counted['already']}. Refused: {counted['refused']}.")
    return 1 if counted["refused"] else 0


def _read(line: str) -> "Imported":
    """Raises ValueError with a sentence that repeats nothing of the line."""
    from .services.grant_import import Imported  # noqa: PLC0415 - see above

    try:
        found: Any = json.loads(line)
    except (ValueError, RecursionError):
        raise ValueError("This is no JSON object.") from None
    if not isinstance(found, dict):
        raise ValueError("This is no JSON object.")  # noqa: TRY004 - told like every other fault of a line
    for name in ("user", "account", "account_id", "refresh_token"):
        if not isinstance(found.get(name), str) or not found[name].strip():
            raise ValueError(f"{name} is missing or empty.")
    scopes, at = found.get("scopes"), found.get("authorized_at")
    if not isinstance(scopes, list) or not all(isinstance(scope, str) and _SCOPE.fullmatch(scope) for scope in scopes):
        raise ValueError("scopes must be a list of words, each without a blank in it.")
    if at is not None and (not isinstance(at, int) or isinstance(at, bool) or at < 0):
        raise ValueError("authorized_at must be seconds since 1970.")
    account = CloudAccount(found["account_id"], clean(found["account"]) or clean(found["account_id"]))
    return Imported(found["user"], Secret(found["refresh_token"]), account, tuple(scopes), at)
