"""The command line as operators call it."""

import json
import os
import subprocess
import sys
from typing import Any

import pytest

from chalicelib import bootstrap, command_line
from chalicelib.domain.errors import StorageUnavailable
from chalicelib.domain.seal import FaultKind
from dev.process import ROOT

from .conftest import Running


@pytest.fixture
def sealed(running: Running, monkeypatch: pytest.MonkeyPatch) -> Running:
    """A log with a sealed log-in, and the command line on the same vault."""
    running.vault.seals.seal_due()
    running.browser("alice")
    running.clock.advance(1800)
    running.vault.seals.seal_due()
    monkeypatch.setattr(bootstrap, "create_vault", lambda: running.vault)
    return running


def run(*arguments: str) -> int:
    return command_line.main(["verify-audit", *arguments])


def tamper(running: Running) -> str:
    """Delete the log-in; says where it was."""
    (entry,) = [item for item in running.aws.items("vault") if item.get("tag", {}).get("S") == "session.login"]
    running.aws.clients.dynamodb.delete_item(TableName="vault", Key={key: entry[key] for key in ("pk", "sk")})
    return f"2027-01-15T{entry['sk']['S']}"


def test_says_that_all_is_intact(sealed: Running, capsys: pytest.CaptureFixture[str]) -> None:
    assert run() == 0
    assert capsys.readouterr().out.endswith("Intact.\n")


def test_before_the_first_seal_it_says_what_is_not_sealed(
    running: Running, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.setattr(bootstrap, "create_vault", lambda: running.vault)
    assert run() == 1
    assert capsys.readouterr().out.splitlines()[-1] == "NOT INTACT: faults found: 1."


def test_r71_names_the_entry_and_ends_with_one(sealed: Running, capsys: pytest.CaptureFixture[str]) -> None:
    where = tamper(sealed)
    assert run() == 1
    lines = capsys.readouterr().out.splitlines()
    assert lines[0] == f"The entry {where} is missing."
    assert lines[-1] == "NOT INTACT: faults found: 1."


def test_gives_json(sealed: Running, capsys: pytest.CaptureFixture[str]) -> None:
    assert run("--json", "--from", "2027-01-15", "--to", "2027-01-15") == 0
    intact: dict[str, Any] = json.loads(capsys.readouterr().out)
    assert (intact["intact"], intact["faults"]) == (True, [])
    assert intact["entries"] >= 2
    where = tamper(sealed)
    assert run("--json", "--anchor", intact["anchor"]) == 1
    (fault,) = json.loads(capsys.readouterr().out)["faults"]
    assert (fault["kind"], fault["where"]) == ("entry_missing", where)
    wrong = intact["anchor"].split(":")[0] + ":" + "0" * 64
    assert run("--json", "--anchor", wrong) == 1
    assert "seal_changed" in capsys.readouterr().out


@pytest.mark.parametrize(
    "arguments",
    [
        ("--from", "yesterday"),
        ("--from", "2027-01-15"),
        ("--to", "2027-01-15"),
        ("--from", "2027-01-15", "--to", "2027-01-14"),
        ("--anchor", "x"),
        ("--unknown",),
    ],
)
def test_what_it_does_not_understand_ends_with_two(arguments: tuple[str, ...]) -> None:
    with pytest.raises(SystemExit) as ended:
        run(*arguments)
    assert ended.value.code == 2


def test_what_cannot_be_done_now_ends_with_three(
    sealed: Running, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    def broken(*_: object, **__: object) -> None:
        raise StorageUnavailable(detail="DynamoDB Query: InternalServerError")

    monkeypatch.setattr(sealed.vault.seals, "verify", broken)
    assert run() == 3
    assert "storage_unavailable" in capsys.readouterr().err


def test_every_fault_has_a_sentence() -> None:
    assert set(command_line._SENTENCES) == set(FaultKind)


@pytest.mark.parametrize(
    ("arguments", "code", "words"),
    [
        (["--help"], 0, "verify-audit"),
        (["verify-audit", "--help"], 0, "exit codes"),
        (["verify-audit"], 2, "VAULT_PUBLIC_URL is not set"),
        ([], 2, "COMMAND"),
    ],
)
def test_it_can_be_asked_without_any_settings(arguments: list[str], code: int, words: str) -> None:
    environment = {name: value for name, value in os.environ.items() if not name.startswith(("VAULT_", "AWS_"))}
    command = [sys.executable, "-m", "chalicelib", *arguments]
    done = subprocess.run(command, cwd=ROOT, env=environment, capture_output=True, text=True, check=False)  # noqa: S603 - our own program
    assert done.returncode == code
    assert words in done.stdout + done.stderr
