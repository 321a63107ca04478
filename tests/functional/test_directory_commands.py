"""`python -m chalicelib check-directory` and `test-sign-in`."""

import io
import json

import pytest

from chalicelib import bootstrap
from chalicelib.command_line import main

from .conftest import Running


@pytest.fixture(autouse=True)
def vault(running: Running, monkeypatch: pytest.MonkeyPatch) -> Running:
    monkeypatch.setattr(bootstrap, "create_vault", lambda: running.vault)
    return running


def typed(monkeypatch: pytest.MonkeyPatch, password: str) -> None:
    monkeypatch.setattr("sys.stdin", io.StringIO(f"{password}\n"))


def test_a_good_directory(capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["check-directory"]) == 0
    assert capsys.readouterr().out.startswith("CONTOSO: all good\n  ok  connection")


def test_a_fault_is_named_with_what_to_do(running: Running, capsys: pytest.CaptureFixture[str]) -> None:
    running.directory.available = False
    assert main(["check-directory"]) == 1
    out = capsys.readouterr().out
    assert "BAD connection" in out
    assert "port_closed" in out
    assert "The server refuses connections on this port." in out


def test_json_for_programs(running: Running, capsys: pytest.CaptureFixture[str]) -> None:
    running.directory.available = False
    assert main(["check-directory", "--json"]) == 1
    answer = json.loads(capsys.readouterr().out)
    assert answer["good"] is False
    assert answer["directories"][0]["steps"][0]["code"] == "port_closed"


@pytest.mark.parametrize(("password", "code", "verdict"), [("alice-pass", 0, "all good"), ("no", 1, "bad_credentials")])
def test_one_sign_in(
    monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str], password: str, code: int, verdict: str
) -> None:
    typed(monkeypatch, password)
    assert main(["test-sign-in", "CONTOSO\\alice"]) == code
    out = capsys.readouterr().out
    assert verdict in out
    assert password not in out.split()


def test_a_wrong_setting_is_named(monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]) -> None:
    monkeypatch.undo()
    monkeypatch.delenv("VAULT_PUBLIC_URL", raising=False)
    assert main(["check-directory"]) == 2
    assert "VAULT_PUBLIC_URL" in capsys.readouterr().err


def test_help_needs_no_settings(capsys: pytest.CaptureFixture[str]) -> None:
    with pytest.raises(SystemExit, match="0"):
        main(["--help"])
    assert "check-directory" in capsys.readouterr().out
