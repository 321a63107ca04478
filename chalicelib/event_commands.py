"""`replay-events`: the event bus gets once more what it took before."""

import argparse
import json
from datetime import date

from .domain.audit import Period
from .domain.event import EventKind
from .shell import ACTOR, ORIGIN, say, vault

_WORDS = "send the event bus once more what it took on some days of the last 90"
_MORE = (
    "The events are the same, with the same ids, and go out in their order within minutes. Receivers that remember ids "
    "must forget them first. The audit log says that it was done."
)


def add(commands: "argparse._SubParsersAction[argparse.ArgumentParser]") -> None:
    """Add `replay-events`."""
    command = commands.add_parser("replay-events", help=_WORDS, description=f"{_WORDS.capitalize()}. {_MORE}")
    command.add_argument("--from", dest="first", type=_day, required=True, metavar="DAY", help="first day in UTC")
    command.add_argument("--to", dest="last", type=_day, metavar="DAY", help="last day in UTC; else the first alone")
    command.add_argument("--provider", default="", metavar="PROVIDER", help="only events of this provider")
    command.add_argument("--kind", type=EventKind, choices=list(EventKind), help="only events of this kind")
    command.add_argument("--json", action="store_true", help="print one JSON object")
    command.set_defaults(run=_replay, parser=command)


def _replay(chosen: argparse.Namespace) -> int:
    last = chosen.last or chosen.first
    if last < chosen.first:
        chosen.parser.error("--to is not before --from")
    period = Period(chosen.first, last)
    number = vault().events.replay(period, provider_id=chosen.provider, kind=chosen.kind, by=ACTOR, origin=ORIGIN)
    say(json.dumps({"events": number}) if chosen.json else f"Events that go out once more: {number}.")
    return 0


def _day(text: str) -> date:
    try:
        return date.fromisoformat(text)
    except ValueError:
        raise argparse.ArgumentTypeError(f"{text!r} is no day such as 2026-11-23") from None
