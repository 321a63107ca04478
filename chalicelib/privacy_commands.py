"""The commands of the data-protection officer: what is stored about somebody, and its erasure."""

import argparse
import json
import sys
from dataclasses import asdict

from .services.personal_data import Counted, Erased
from .shell import ACTOR, ORIGIN, say, vault

_EXPORT = "everything that is stored about a person, as JSON, without tokens and secrets"
_EXPORT_MORE = "Reads the whole tables, which takes some minutes where there are millions of items."
_ERASE = "end and delete what is stored about a person; without --yes it only says what would become of it"
_ERASE_MORE = (
    "Authorizations are revoked at their clouds. docs/privacy.md says what stays, and until when. "
    "Exit code 1: refused, or something is left; run it again after some minutes."
)


def add(commands: "argparse._SubParsersAction[argparse.ArgumentParser]") -> None:
    """Add `export-person` and `erase-person`."""
    export = commands.add_parser("export-person", help=_EXPORT, description=f"{_EXPORT.capitalize()}. {_EXPORT_MORE}")
    erase = commands.add_parser("erase-person", help=_ERASE, description=f"{_ERASE.capitalize()}. {_ERASE_MORE}")
    for command in (export, erase):
        command.add_argument("person", metavar="PERSON", help="DOMAIN\\user, another name, or the id")
    erase.add_argument("--yes", action="store_true", help="do it")
    erase.add_argument("--still-here", action="store_true", help="although the next log-in makes a new record")
    erase.add_argument("--json", action="store_true", help="print one JSON object")
    export.set_defaults(run=_export)
    erase.set_defaults(run=_erase)


def _export(chosen: argparse.Namespace) -> int:
    service = vault().personal_data
    say(json.dumps(service.export(service.find(chosen.person), ACTOR, ORIGIN), ensure_ascii=False, indent=1))
    return 0


def _erase(chosen: argparse.Namespace) -> int:
    service = vault().personal_data
    person = service.find(chosen.person)
    if not chosen.json:
        say(f"Id: {person.id}")
    if not chosen.yes:
        _say_plan(person.id, service.plan(person), as_json=chosen.json)
        return 0
    if not chosen.still_here and (why := service.still_here(person)):
        sys.stderr.write(f"{why} The next log-in would make a new record: say --still-here to go ahead.\n")
        return 1
    erased = service.erase(person, ACTOR, ORIGIN)
    _say_done(person.id, erased, as_json=chosen.json)
    return 1 if erased.is_to_be_repeated else 0


def _say_plan(person_id: str, plan: list[Counted], *, as_json: bool) -> None:
    if as_json:
        say(json.dumps({"person": person_id, "done": False, "kinds": [asdict(one) for one in plan]}))
        return
    for one in plan:
        say(f"{one.kind}: {one.items}; {one.at_erasure} (else kept: {one.kept})")
    say("Say --yes to do it." if plan else "Nothing is stored about this person.")


def _say_done(person_id: str, erased: Erased, *, as_json: bool) -> None:
    if as_json:
        say(json.dumps({"person": person_id, "done": True, "erased": erased.done, "left": erased.left}))
        return
    for words, counted in (("Erased", erased.done), ("Left", erased.left)):
        told = ", ".join(f"{kind} {number}" for kind, number in sorted(counted.items()) if number)
        say(f"{words}: {told or 'nothing'}.")
