"""The commands that look at the directory: is it as the settings say, and what happens when somebody logs in?"""

import argparse
import getpass
import json
import sys
from collections.abc import Sequence
from dataclasses import asdict

from .domain.audit import Origin
from .domain.directory_report import DirectoryReport, Step
from .domain.secret import Secret
from .services.login import Client

_FROM_SHELL = Client("", "", Origin("-", "command-line"))


def add(commands: "argparse._SubParsersAction[argparse.ArgumentParser]") -> None:
    """Add `check-directory` and `test-sign-in`."""
    check = commands.add_parser("check-directory", help="look at every server of every directory and name each fault")
    check.add_argument("--json", action="store_true", help="print one JSON object")
    check.set_defaults(run=_check)
    words = "try one log-in and show each step; the password is asked for, or read from standard input"
    test = commands.add_parser("test-sign-in", help=words, description=f"{words.capitalize()}.")
    test.add_argument("user_name", metavar="NAME", help="as the person writes it, such as CONTOSO\\alice")
    test.add_argument("--json", action="store_true", help="print one JSON object")
    test.set_defaults(run=_test)


def _check(chosen: argparse.Namespace) -> int:
    from .bootstrap import create_vault  # noqa: PLC0415 - takes a second, and reads the settings

    return _show(create_vault().directory.check(), as_json=chosen.json)


def _test(chosen: argparse.Namespace) -> int:
    from .bootstrap import create_vault  # noqa: PLC0415 - takes a second, and reads the settings

    vault = create_vault()
    password = Secret(getpass.getpass() if sys.stdin.isatty() else sys.stdin.readline().rstrip("\n"))
    steps = vault.login.test("command-line", chosen.user_name, password, _FROM_SHELL)
    return _show([DirectoryReport(chosen.user_name, tuple(steps))], as_json=chosen.json)


def _show(reports: Sequence[DirectoryReport], *, as_json: bool) -> int:
    is_good = all(report.is_good for report in reports)
    sys.stdout.write(_as_json(reports, is_good) if as_json else "\n".join(map(_as_text, reports)))
    return 0 if is_good else 1


def _as_json(reports: Sequence[DirectoryReport], is_good: bool) -> str:
    described = [
        {"directory": report.domain, "steps": [_described(step) for step in report.steps]} for report in reports
    ]
    return json.dumps({"good": is_good, "directories": described}) + "\n"


def _described(step: Step) -> dict[str, object]:
    facts = asdict(step) | {"advice": step.advice}
    del facts["advices"]
    return facts


def _as_text(report: DirectoryReport) -> str:
    verdict = "all good" if report.is_good else "something is wrong"
    return f"{report.domain}: {verdict}\n" + "".join(map(_line, report.steps))


def _line(step: Step) -> str:
    mark = "ok " if step.is_good else "BAD"
    facts = "  ".join(part for part in (step.server, step.code, step.detail) if part)
    line = f"  {mark} {step.name.value:<12} {step.milliseconds:>7.1f} ms  {facts}".rstrip() + "\n"
    return line + (f"      {step.advice}\n" if step.advice else "")
