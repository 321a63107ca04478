"""Every command of the runbook is run as it stands there; what only AWS can show is marked so."""

import io
import re
import shlex

import pytest

from chalicelib import bootstrap
from chalicelib.command_line import main
from dev.process import ROOT

from .conftest import Running

TEXT = (ROOT / "docs" / "operations.md").read_text(encoding="utf-8")
COMMANDS = sorted(set(re.findall(r"python -m chalicelib ([a-z][^`\n]*)", TEXT)))
WITHOUT_FAULTS = {"check-config": 1, "after-restore": 1}
"""The tables of the tests have no recovery, no protection and no expiry, which `check-config` says, and nothing notes
that each change leaves a copy, so that `after-restore` closes what there is.
"""
TARGETS = sorted(set(re.findall(r"`make (\w+)", TEXT)))


@pytest.mark.parametrize("command", COMMANDS)
def test_a_command_of_the_runbook(
    running: Running, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str], command: str
) -> None:
    settings = {
        "PUBLIC_URL": "https://vault.example",
        "KMS_KEY": running.aws.kms_key,
        "AUDIT_KEY": running.aws.audit_key,
    }
    for name, value in settings.items():
        monkeypatch.setenv(f"VAULT_{name}", value)
    monkeypatch.setenv("VAULT_DIRECTORIES", '[{"domain": "CONTOSO", "servers": ["ldaps://dc.contoso.example"]}]')
    monkeypatch.setattr(bootstrap, "create_vault", lambda: running.vault)
    monkeypatch.setattr("sys.stdin", io.StringIO())
    running.vault.seals.seal_due()
    running.authorize(running.browser("alice"))
    running.clock.advance(1800)
    running.vault.seals.seal_due()
    assert main(shlex.split(command)) == WITHOUT_FAULTS.get(command, 0), capsys.readouterr().err
    assert capsys.readouterr().out


def test_the_runbook_has_commands_and_each_is_known() -> None:
    assert {"check-config", "rotate-keys", "verify-audit", "check-directory", "export-providers"} <= set(COMMANDS)
    makefile = (ROOT / "Makefile").read_text(encoding="utf-8")
    assert [target for target in TARGETS if f"\n{target}:" not in makefile] == []


@pytest.mark.parametrize("section", ["First deployment", "Upgrade, rollback", "Restore", "Without the region"])
def test_what_only_aws_can_show_is_marked(section: str) -> None:
    _, _, body = TEXT.partition(f"\n## {section}\n")
    assert "*AWS only.*" in body.partition("\n## ")[0]
