"""`after-restore`: the gate between a table that was restored and the vault that uses it."""

import argparse
import json
from collections import Counter
from dataclasses import asdict

from .services.restoration import Restored
from .shell import ACTOR, ORIGIN, say, vault

_WORDS = "remove again from a restored table what was removed since its backup"
_MORE = (
    "Run it with VAULT_TABLE set to the restored table, before any function uses that. It looks at the keys, which are "
    "never restored. Exit code 1: a provider is switched off until its client secret is given again."
)
_SENTENCES = {
    Restored.CURRENT: "nothing was removed since",
    Restored.REMOVED_AGAIN: "its tokens are removed again",
    Restored.NEEDS_SECRET: "its tokens are removed again; switched off until the client secret is given again",
}


def add(commands: "argparse._SubParsersAction[argparse.ArgumentParser]") -> None:
    """Add `after-restore`."""
    command = commands.add_parser("after-restore", help=_WORDS, description=f"{_WORDS.capitalize()}. {_MORE}")
    command.add_argument("--json", action="store_true", help="print one JSON object a line, for each provider")
    command.set_defaults(run=_run)


def _run(chosen: argparse.Namespace) -> int:
    counted: Counter[str] = Counter()
    for one in vault().restoration.run(ACTOR, ORIGIN):
        counted[one.outcome] += 1
        say(json.dumps(asdict(one)) if chosen.json else f"{one.name} ({one.provider_id}): {_SENTENCES[one.outcome]}.")
    if not chosen.json:
        say(f"Providers: {counted.total()}. Removed again: {counted.total() - counted[Restored.CURRENT]}.")
    return 1 if counted[Restored.NEEDS_SECRET] else 0
