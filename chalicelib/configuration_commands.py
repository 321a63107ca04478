"""`check-config`: is a stage ready, by its settings and by what they name?"""

import argparse
import json
from collections.abc import Iterable, Iterator
from dataclasses import asdict
from typing import TYPE_CHECKING

from .domain.configuration import ConfigurationFault
from .domain.directory_report import DirectoryReport
from .settings import Settings
from .shell import say, vault

if TYPE_CHECKING:
    from .bootstrap import Vault

_WORDS = "check the settings, and the keys, tables, secrets and directories that they name; names each fault"
_SETTINGS_FIRST = "Keys, tables and directories were not looked at: the settings come first."


def add(commands: "argparse._SubParsersAction[argparse.ArgumentParser]") -> None:
    """Add `check-config`."""
    command = commands.add_parser(
        "check-config",
        help=_WORDS,
        description=f"{_WORDS.capitalize()}. It changes nothing. Exit code 1: there are faults.",
    )
    command.add_argument("--no-directory", action="store_true", help="ask no directory, where none can be reached")
    command.add_argument("--json", action="store_true", help="print one JSON object")
    command.set_defaults(run=_check)


def _check(chosen: argparse.Namespace) -> int:
    of_settings = [ConfigurationFault(name, "setting_wrong", words) for name, words in Settings.faults().items()]
    faults = of_settings or list(_faults_beyond(ask_directory=not chosen.no_directory))
    text = _as_json(faults) if chosen.json else _as_text(faults, only_settings=bool(of_settings))
    say(text)
    return 1 if faults else 0


def _faults_beyond(*, ask_directory: bool) -> Iterator[ConfigurationFault]:
    here = vault()
    yield from here.configuration_faults()
    if ask_directory:
        yield from _directory_faults(here)


def _directory_faults(here: "Vault") -> Iterator[ConfigurationFault]:
    for report in here.directory.check():
        yield from _faults_of(report)


def _faults_of(report: DirectoryReport) -> Iterator[ConfigurationFault]:
    for step in report.steps:
        if not step.is_good:
            where = " ".join(part for part in (report.domain, step.server) if part)
            yield ConfigurationFault("VAULT_DIRECTORIES", step.code, f"{where}: {step.advice} {step.detail}".rstrip())


def _as_json(faults: Iterable[ConfigurationFault]) -> str:
    described = [asdict(fault) for fault in faults]
    return json.dumps({"good": not described, "faults": described})


def _as_text(faults: list[ConfigurationFault], *, only_settings: bool) -> str:
    lines = [f"{fault.setting}: {_without_name(fault)} ({fault.code})" for fault in faults]
    if only_settings:
        lines.append(_SETTINGS_FIRST)
    lines.append(f"Faults: {len(faults)}." if faults else "All good.")
    return "\n".join(lines)


def _without_name(fault: ConfigurationFault) -> str:
    """Sentences of the settings begin with the variable's name, which stands before them already."""
    return fault.sentence.removeprefix(fault.setting).lstrip(": ")
