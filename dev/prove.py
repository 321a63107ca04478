"""`make prove`: run what is too long for every change, and write docs/proof.md with what came of it.

A step is a command and a way to read its number. Its tests say what they tried on lines that begin with `proof:`.
`python -m dev.prove WORD ...` runs the steps whose names hold one of the words, and writes no page.
"""

import os
import re
import subprocess
import sys
import time
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from datetime import UTC, datetime

from .process import ROOT

PAGE = ROOT / "docs" / "proof.md"
_PROVED = re.compile(r"^proof: (?P<count>\d+) (?P<what>.+)$", re.MULTILINE)
_TEST = (sys.executable, "-m", "pytest", "-q", "-s", "-p", "no:logging")

Reader = Callable[[str], str]
"""From what a command printed to what the page says of it."""


def totals(output: str) -> str:
    """The numbers of all lines that begin with `proof:`, those of one kind added up."""
    found: dict[str, int] = {}
    for line in _PROVED.finditer(output):
        found[line["what"]] = found.get(line["what"], 0) + int(line["count"])
    return "; ".join(f"{count:,} {what}" for what, count in found.items()) or "no number"


def last_line(output: str) -> str:
    """What a program says of itself at its end."""
    return (output.strip().splitlines() or ["nothing"])[-1]


def tests_passed(output: str) -> str:
    """pytest's own count."""
    found = re.search(r"(\d+) passed", output)
    return f"{int(found[1]):,} tests" if found else "no test"


def changes_noticed(output: str) -> str:
    """The share of mutants, of all modules and of each."""
    whole = re.search(r"^(\d+) of (\d+) mutants noticed: ([\d.]+%)", output, re.MULTILINE)
    each = re.findall(r"^chalicelib\.([\w.]+): (\d+) of (\d+) noticed$", output, re.MULTILINE)
    if whole is None:
        return "no number"
    modules = ", ".join(f"`{name}` {noticed}/{every}" for name, noticed, every in each)
    return f"{int(whole[1]):,} of {int(whole[2]):,} changes, {whole[3]}: {modules}"


def checks_made(output: str) -> str:
    """The checks of `make secure`, by name."""
    return ", ".join(line[len("ok") :].strip() for line in output.splitlines() if line.startswith("ok ")) or "none"


@dataclass(frozen=True)
class Step:
    """One row of the page."""

    name: str
    command: tuple[str, ...]
    environment: Mapping[str, str] = field(default_factory=dict)
    read: Reader = totals


@dataclass(frozen=True)
class Result:
    step: Step
    passed: bool
    number: str
    minutes: float


_EVERY = {"FAULTS": "every"}
_SECONDS = int(os.environ.get("SECONDS", "1800"))
_SECURE = ".venv-secure/bin/python"
STEPS = (
    Step("Every call of every flow killed, failed, unanswered, sent twice",
         (*_TEST, "tests/faults/test_every_call.py"), _EVERY),
    Step("Removal, revocation, stop, double click between each two calls",
         (*_TEST, "tests/faults/test_meanwhile.py"), _EVERY),
    Step("The life of a grant against a model", (*_TEST, "tests/faults/test_grant_life.py"), _EVERY),
    Step("Sixteen workers, one grant, a cloud that rotates and detects reuse",
         (*_TEST, "tests/integration/test_race.py", "-k", "sixteen_workers"),
         {"ROUNDS": os.environ.get("ROUNDS", "1000")}),
    Step("Mixed requests with one faulty call in twenty; a flood of log-ins",
         (*_TEST, "tests/faults/test_soak.py"), {"SECONDS": str(_SECONDS)}),
    Step("Attacks: redirects, forged tokens, changed storage, every form by others, requests out of shape",
         (sys.executable, "-m", "pytest", "-n", "auto", "tests/attacks"), read=tests_passed),
    Step("Bandit, own rules, secrets, advisories", (_SECURE, "-m", "secure"), read=checks_made),
    Step("Every reader of text from outside, fuzzed",
         (_SECURE, "-m", "fuzz", "--seconds", str(max(1, _SECONDS // 30))), read=last_line),
    Step("The API beside its OpenAPI document, by schemathesis",
         (_SECURE, "-m", "pytest", "fuzz/test_api.py"), read=tests_passed),
    Step("Code that decides, changed one change at a time: which changes the tests notice",
         (sys.executable, "-m", "mutation"), read=changes_noticed),
)  # fmt: skip


def run(step: Step) -> Result:
    """Run one step to its end, whatever comes of it."""
    started = time.monotonic()
    done = subprocess.run(
        step.command, cwd=ROOT, env={**os.environ, **step.environment}, capture_output=True, text=True, check=False
    )
    passed = done.returncode == 0
    if not passed:
        print(done.stdout[-5000:], done.stderr[-2000:], sep="\n")
    return Result(step, passed, step.read(done.stdout), (time.monotonic() - started) / 60)


def page(results: list[Result], day: str) -> str:
    rows = "\n".join(
        f"| {one.step.name} | {'passed' if one.passed else '**failed**'} | {one.number} | {one.minutes:.1f} min |"
        for one in results
    )
    return f"""# What was proved, and how much was tried

Written by `make prove` on {day}. [Security](security.md) says which requirement each test shows;
these are the long forms of some of them. Where no advisory service can be asked (`OFFLINE=1`), the step says so.

| what | result | tried | took |
|---|---|---|---|
{rows}

`tests/faults` describes how the faults are made, and what must hold after each. All of it runs against moto, scripted
clouds and npm's oidc-provider on one machine: what DynamoDB, KMS and Lambda do under load in AWS is not shown by it.
"""


def main(words: list[str]) -> int:
    results = []
    for step in (one for one in STEPS if not words or any(word.lower() in one.name.lower() for word in words)):
        print(f"{step.name} ...", flush=True)
        results.append(run(step))
        print(f"  {'passed' if results[-1].passed else 'FAILED'}: {results[-1].number}", flush=True)
    if not words:
        PAGE.write_text(page(results, f"{datetime.now(UTC):%-d %B %Y}"), encoding="utf-8")
    return 0 if all(result.passed for result in results) else 1


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
