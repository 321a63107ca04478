"""`after-restore`: the gate between a table that was restored and the vault that uses it."""

import argparse
import json
from collections import Counter
from dataclasses import asdict

from .domain.copy import CopyKind
from .services.restoration import PEOPLE, Restored, RestoredRecord
from .shell import ACTOR, ORIGIN, say, vault

_WORDS = "let a restored table permit nothing that ended or was narrowed since its backup"
_MORE = (
    "Run it with VAULT_TABLE set to the restored table, before any function uses that. It looks at the table of keys, "
    "which is never restored, and asks the directory about everybody. Exit code 1: something is closed until an "
    "administrator opens it."
)
_NAMES = {
    CopyKind.APPLICATION: "Application",
    CopyKind.PROVIDER: "Provider",
    CopyKind.EVERYTHING: "Removals of everything",
    CopyKind.STOP: "Stop",
    CopyKind.BLOCK: "Block",
    CopyKind.ADMINISTRATORS: "Appointed administrators",
    CopyKind.OTHER: "Other",
    PEOPLE: "People",
}
_SENTENCES = {
    Restored.CURRENT: "nothing to do",
    Restored.AS_LAST: "as it was last",
    Restored.DELETED_AGAIN: "deleted again",
    Restored.REMOVED_AGAIN: "its tokens are removed again",
    Restored.NEEDS_SECRET: "its tokens are removed again; switched off until the client secret is given again",
    Restored.CLOSED: "what it was last is not known; closed until an administrator opens it",
}
_CLOSED = {
    CopyKind.PROVIDER: "what it was last is not known; its tokens are removed and it is switched off",
    CopyKind.APPLICATION: "what it was last is not known; stopped",
    CopyKind.ADMINISTRATORS: "who was dismissed is not known; all are dismissed but those of the settings",
    PEOPLE: "the directory was not asked about everybody; everything is stopped",
}


def add(commands: "argparse._SubParsersAction[argparse.ArgumentParser]") -> None:
    """Add `after-restore`."""
    command = commands.add_parser("after-restore", help=_WORDS, description=f"{_WORDS.capitalize()}. {_MORE}")
    command.add_argument("--json", action="store_true", help="print one JSON object a line, for each thing")
    command.add_argument(
        "--no-directory", action="store_true", help="ask no directory, and stop everything until one is asked"
    )
    command.set_defaults(run=_run)


def _run(chosen: argparse.Namespace) -> int:
    counted: Counter[tuple[str, Restored]] = Counter()
    for one in vault().restoration.run(ACTOR, ORIGIN, ask_directory=not chosen.no_directory):
        counted[one.kind, one.outcome] += 1
        if chosen.json:
            say(json.dumps(asdict(one)))
        elif one.outcome is not Restored.CURRENT:
            say(_line(one))
    if not chosen.json:
        for (kind, outcome), number in counted.items():
            say(f"{_NAMES[kind]}: {number} {outcome.replace('_', ' ')}.")
    return 1 if {Restored.NEEDS_SECRET, Restored.CLOSED}.intersection(outcome for _, outcome in counted) else 0


def _line(one: RestoredRecord) -> str:
    named = [one.name] * bool(one.name) + [f"({one.id})" if one.name else one.id] * bool(one.id)
    sentence = _CLOSED.get(one.kind, "") if one.outcome is Restored.CLOSED else ""
    return f"{' '.join([_NAMES[one.kind], *named])}: {sentence or _SENTENCES[one.outcome]}."
