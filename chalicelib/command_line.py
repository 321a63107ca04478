"""What operators do in a shell, with the vault's settings and AWS credentials in the environment.

Exit codes, the same for every command: 0 done and all is well, 1 done and something is wrong, 2 the command or the
settings were not understood, 3 it could not be done now (storage, key or cloud cannot be reached).
"""

import argparse
import json
import re
import sys
from collections.abc import Sequence
from dataclasses import asdict
from datetime import date

from . import (
    configuration_commands,
    directory_commands,
    event_commands,
    import_commands,
    key_commands,
    privacy_commands,
    provider_commands,
    restore_commands,
)
from .domain.audit import Period
from .domain.errors import VaultError
from .domain.seal import Fault, FaultKind
from .services.audit_seals import Anchor, Verification
from .settings import SettingsError
from .shell import say, vault

OK, WRONG, NOT_UNDERSTOOD, UNAVAILABLE = range(4)
_EXIT_CODES = """exit codes:
  0  done, and all is well
  1  done, and something is wrong
  2  the command or the settings were not understood
  3  it could not be done now: storage, key or cloud cannot be reached"""
_ANCHOR = re.compile(r"([1-9][0-9]{0,11}):([0-9a-f]{64})\Z")
_SENTENCES = {
    FaultKind.ENTRY_MISSING: "The entry {where} is missing.",
    FaultKind.ENTRY_CHANGED: "The entry {where} was changed.",
    FaultKind.ENTRY_ADDED: "The entry {where} was added after its window was sealed.",
    FaultKind.NAMES_MISSING: "Names were taken out of the entry {where}, and no erasure says so.",
    FaultKind.SEAL_MISSING: "The seals from {where} to {until} are missing.",
    FaultKind.SEAL_CHANGED: "The seal of {where} to {until} was changed.",
    FaultKind.SEAL_OUT_OF_ORDER: "The seal of {where} to {until} does not follow the one before it.",
    FaultKind.NOT_SEALED: "Nothing was sealed from {where} to {until}.",
}


def main(arguments: Sequence[str] | None = None) -> int:
    """Run one command. Settings are read by the command, so `--help` needs none."""
    chosen = _parser().parse_args(arguments)
    try:
        return int(chosen.run(chosen))
    except SettingsError as error:
        return _fail(f"{error}", NOT_UNDERSTOOD)
    except VaultError as error:
        return _fail(f"{error.message} ({error.code}) {error.detail}", UNAVAILABLE)


def _parser() -> argparse.ArgumentParser:
    parser = argparse.ArgumentParser(
        prog="python -m chalicelib",
        description="Token Vault in a shell. Needs the vault's settings (VAULT_*) and AWS credentials (AWS_*).",
        epilog=_EXIT_CODES,
        formatter_class=argparse.RawDescriptionHelpFormatter,
    )
    commands = parser.add_subparsers(title="commands", metavar="COMMAND", required=True)
    configuration_commands.add(commands)
    directory_commands.add(commands)
    event_commands.add(commands)
    key_commands.add(commands)
    restore_commands.add(commands)
    import_commands.add(commands)
    privacy_commands.add(commands)
    provider_commands.add(commands)
    _add_verify_audit(commands)
    return parser


def _add_verify_audit(commands: "argparse._SubParsersAction[argparse.ArgumentParser]") -> None:
    words = "compare the audit log with its seals and name what is missing, changed or added"
    command = commands.add_parser(
        "verify-audit",
        help=words,
        description=f"{words.capitalize()}. Without days everything that was ever sealed is compared.",
        epilog=_EXIT_CODES,
        formatter_class=argparse.RawDescriptionHelpFormatter,
    )
    command.add_argument("--from", dest="first", type=_day, metavar="DAY", help="first day in UTC, such as 2026-11-01")
    command.add_argument("--to", dest="last", type=_day, metavar="DAY", help="last day in UTC; needs --from")
    command.add_argument(
        "--anchor",
        type=_anchor,
        metavar="NUMBER:SEAL",
        help="a seal as an earlier verification or the log (audit.sealed) gave it; it must still be the same",
    )
    command.add_argument("--json", action="store_true", help="print one JSON object")
    command.set_defaults(run=_verify_audit, parser=command)


def _verify_audit(chosen: argparse.Namespace) -> int:
    period = _period(chosen)
    result = vault().seals.verify(period, anchor=chosen.anchor)
    say(_as_json(result) if chosen.json else _as_text(result))
    return WRONG if result.faults else OK


def _period(chosen: argparse.Namespace) -> Period | None:
    if chosen.first is None and chosen.last is None:
        return None
    if chosen.first is None or chosen.last is None or chosen.last < chosen.first:
        chosen.parser.error("--from and --to go together, and --to is not before --from")
    return Period(chosen.first, chosen.last)


def _day(text: str) -> date:
    try:
        return date.fromisoformat(text)
    except ValueError:
        raise argparse.ArgumentTypeError(f"{text!r} is no day such as 2026-11-23") from None


def _anchor(text: str) -> Anchor:
    match = _ANCHOR.match(text)
    if not match:
        raise argparse.ArgumentTypeError("it is a number, a colon and 64 hexadecimal digits")
    return Anchor(int(match[1]), match[2])


def _as_json(result: Verification) -> str:
    return json.dumps(
        {
            "intact": not result.faults,
            "from": result.begin,
            "to": result.tip.end if result.tip else "",
            "seals": result.seals,
            "entries": result.entries,
            "anchor": _noted(result),
            "faults": [asdict(fault) | {"sentence": _sentence(fault)} for fault in result.faults],
        }
    )


def _as_text(result: Verification) -> str:
    counted = f"{result.seals:,} seals over {result.entries:,} entries"
    lines = [_sentence(fault) for fault in result.faults]
    if result.tip:
        lines.append(f"{counted}, from {result.begin} to {result.tip.end} (UTC).")
        lines.append(f"Anchor for later: {_noted(result)}")
    lines.append(f"NOT INTACT: faults found: {len(result.faults)}." if result.faults else "Intact.")
    return "\n".join(lines)


def _noted(result: Verification) -> str:
    return f"{result.tip.number}:{result.tip.fingerprint}" if result.tip else ""


def _sentence(fault: Fault) -> str:
    where = "the beginning" if fault.where in ("", "0") else fault.where
    return _SENTENCES[fault.kind].format(where=where, until="now" if fault.until == "~" else fault.until)


def _fail(text: str, code: int) -> int:
    sys.stderr.write(f"{text.strip()}\n")
    return code
