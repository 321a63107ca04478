"""Configuration as code, and tokens from a shell, as operators call them."""

import csv
import io
import json
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from chalicelib import bootstrap, command_line
from chalicelib.services import administration
from tests.fakes.cloud import CLIENT_SECRET
from tests.fakes.directory import VAULT_USERS

from .conftest import NORTHWIND, Running

Run = Callable[..., tuple[int, str, str]]


@pytest.fixture
def run(running: Running, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]) -> Run:
    monkeypatch.setattr(bootstrap, "create_vault", lambda: running.vault)
    monkeypatch.setenv("SECOND_SECRET", CLIENT_SECRET)

    def run(*arguments: str) -> tuple[int, str, str]:
        capsys.readouterr()
        code = command_line.main(arguments)
        captured = capsys.readouterr()
        return code, captured.out, captured.err

    return run


@pytest.fixture
def second(running: Running) -> dict[str, Any]:
    return {
        "id": "second",
        "type": "openid-connect",
        "name": "Second Cloud",
        "client_id": "vault",
        "fields": {"issuer": running.cloud.issuer},
        "scopes": ["openid", "email", "offline_access"],
        "visible_to": [VAULT_USERS],
        "secret_ends": "2027-06-30",
        "enabled": True,
        "client_secret": {"environment": "SECOND_SECRET"},
    }


def write(folder: Path, *entries: dict[str, Any]) -> str:
    file = folder / "providers.json"
    file.write_text(json.dumps({"providers": entries}))
    return str(file)


class TestProviders:
    def test_what_is_exported_can_be_imported_and_changes_nothing(
        self, running: Running, run: Run, second: dict[str, Any], tmp_path: Path
    ) -> None:
        assert run("import-providers", write(tmp_path, second))[0] == 0
        code, exported, _ = run("export-providers")
        assert code == 0
        assert CLIENT_SECRET not in exported
        (tmp_path / "again.json").write_text(exported)
        before = running.aws.items("vault")
        code, out, _ = run("import-providers", str(tmp_path / "again.json"))
        assert (code, out) == (0, "northwind: as it is\nsecond: as it is\n2 done.\n")
        assert running.aws.items("vault") == before

    def test_a_provider_is_registered_with_its_secret_from_elsewhere(
        self, running: Running, run: Run, second: dict[str, Any], tmp_path: Path
    ) -> None:
        running.aws.clients.secrets_manager.create_secret(Name="vault/second", SecretString=CLIENT_SECRET)
        second["client_secret"] = {"secrets_manager": "vault/second"}
        code, out, _ = run("import-providers", "--json", write(tmp_path, second))
        assert (code, json.loads(out)) == (0, {"done": True, "providers": ["second: register"]})
        provider = running.vault.registration.get("second")
        assert (provider.enabled, provider.visible_to) == (True, (VAULT_USERS,))
        assert running.vault.registration.test(provider, "https://vault.example/x", *_nobody())[-1].is_good

    def test_what_is_changed_in_the_file_is_changed_in_the_vault(
        self, running: Running, run: Run, second: dict[str, Any], tmp_path: Path
    ) -> None:
        run("import-providers", write(tmp_path, second))
        code, out, _ = run("import-providers", write(tmp_path, second | {"name": "Other", "enabled": False}))
        assert (code, out) == (0, "second: change name, client_secret, enabled\n1 done.\n")
        provider = running.vault.registration.get("second")
        assert (provider.name, provider.enabled) == ("Other", False)

    def test_a_dry_run_says_what_would_change_and_changes_nothing(
        self, running: Running, run: Run, second: dict[str, Any], tmp_path: Path
    ) -> None:
        run("import-providers", write(tmp_path, second))
        changed = second | {"name": "Other", "enabled": False, "scopes": ["openid"]}
        before = running.aws.items("vault")
        code, out, _ = run("import-providers", "--dry-run", write(tmp_path, changed))
        assert code == 0
        assert out == "second: change name, scopes, client_secret, enabled\nNothing was done.\n"
        assert running.aws.items("vault") == before

    def test_r92_a_change_of_the_client_is_refused_unless_it_is_said_that_people_authorize_again(
        self, running: Running, run: Run, second: dict[str, Any], tmp_path: Path
    ) -> None:
        running.authorize(running.browser("alice"))
        _, exported, _ = run("export-providers")
        northwind = json.loads(exported)["providers"][0] | {"client_id": "another"}
        northwind["client_secret"] = second["client_secret"]
        file = write(tmp_path, northwind)
        words = "northwind: change client_id, client_secret; ends 1 authorizations"
        code, out, _ = run("import-providers", "--dry-run", file)
        assert (code, out) == (0, f"{words}\nNothing was done.\n")
        code, _, err = run("import-providers", file)
        assert code == 2
        assert f"{words}: tokens belong to the server and client" in err
        assert running.vault.registration.get(NORTHWIND).generation == 1
        assert run("import-providers", "--end-authorizations", "--revoke", file)[0] == 0
        assert running.vault.registration.get(NORTHWIND).generation == 2
        running.clock.advance(120)
        running.vault.clean_up.run()
        assert running.vault.revocations.retry_due() == 1

    @pytest.mark.parametrize(
        ("changed", "words"),
        [
            ({"client_secret": "plain"}, "never the secret"),
            ({"client_secret": {"file": "x"}}, "no place for secrets"),
            ({"client_secret": {"environment": "NOT_SET"}}, "NOT_SET"),
            ({"client_secret": {"secrets_manager": "nowhere"}}, "ResourceNotFoundException"),
            ({"client_secret": None}, "needs a reference"),
            ({"type": "nobody"}, "not"),
            ({"fields": {"issuer": "nonsense"}}, "must be an address"),
            ({"secret_ends": "soon"}, "soon"),
            ({"id": "with.a.dot"}, "id: 1 to 64"),
            ({"colour": "blue"}, "colour"),
            ({"id": "northwind", "type": "box", "fields": {}}, "another type"),
        ],
    )
    def test_a_mistake_is_named_and_nothing_of_the_file_is_done(  # noqa: PLR0917 - two of them are the parameters
        self, running: Running, run: Run, second: dict[str, Any], tmp_path: Path, changed: dict[str, Any], words: str
    ) -> None:
        good = second | {"id": "good", "name": "Good Cloud"}
        code, _, err = run("import-providers", write(tmp_path, good, second | changed))
        assert code in (2, 3)
        assert words in err
        assert [provider.id for provider in running.vault.registration.all()] == [NORTHWIND]

    @pytest.mark.parametrize("dry_run", [(), ("--dry-run",)])
    def test_r103_endpoints_are_checked_before_anything_is_done(
        self, running: Running, run: Run, second: dict[str, Any], tmp_path: Path, dry_run: tuple[str, ...]
    ) -> None:
        fields = dict.fromkeys(("authorization_endpoint", "userinfo_endpoint"), "https://1.1.1.1/")
        bad = second | {
            "id": "bad",
            "type": "oauth2",
            "name": "Bad",
            "fields": fields | {"token_endpoint": "http://a.b:0/"},
        }
        code, _, err = run("import-providers", *dry_run, write(tmp_path, second, bad))
        assert code == 2
        assert "token_endpoint: " in err
        assert [provider.id for provider in running.vault.registration.all()] == [NORTHWIND]

    @pytest.mark.parametrize("text", ["", "{", "[]", '{"providers": [{}]}', '{"providers": 7}'])
    def test_a_file_that_is_none(self, run: Run, tmp_path: Path, text: str) -> None:
        (tmp_path / "x.json").write_text(text)
        assert run("import-providers", str(tmp_path / "x.json"))[0] == 2
        assert run("import-providers", str(tmp_path / "missing.json"))[0] == 2


def _nobody() -> tuple[Any, Any]:
    from chalicelib.domain.audit import Actor, Origin

    return Actor("-"), Origin("-", "test")


class TestTokens:
    @pytest.fixture(autouse=True)
    def authorized(self, running: Running) -> None:
        running.authorize(running.browser("alice"))

    def test_lists_whose_they_are_and_never_a_token(self, running: Running, run: Run) -> None:
        code, out, _ = run("list-tokens", NORTHWIND)
        (row,) = csv.DictReader(io.StringIO(out))
        assert code == 0
        assert (row["user"], row["account"], row["state"]) == ("CONTOSO\\alice", "alice@contoso.example", "active")
        assert row["last_used"] == ""
        assert not any(token in out for token in running.cloud._access_tokens)
        assert json.loads(run("list-tokens", NORTHWIND, "--json", "--user", "ali")[1])["user"] == "CONTOSO\\alice"
        assert run("list-tokens", NORTHWIND, "--json", "--user", "bob")[1] == ""

    def test_r96_an_account_that_holds_a_formula_is_harmless(self, running: Running, run: Run) -> None:
        (grant,) = [item for item in running.aws.items("vault") if item["sk"]["S"].startswith("GRANT#")]
        grant["account"]["M"]["label"] = {"S": "a;=1+1"}
        running.aws.clients.dynamodb.put_item(TableName="vault", Item=grant)
        assert ',"a;\'=1+1",' in run("list-tokens", NORTHWIND)[1]

    def test_removing_asks_first(self, running: Running, run: Run) -> None:
        token = json.loads(run("list-tokens", NORTHWIND, "--json")[1])["token"]
        assert run("remove-tokens", token)[1] == "1 would be removed. Say --yes to do it.\n"
        assert run("remove-tokens", token, "--yes")[1] == "1 removed.\n"
        assert run("list-tokens", NORTHWIND, "--json")[1] == ""
        assert "grant.removed" in running.audit_tags()

    def test_removing_all_of_a_provider(self, running: Running, run: Run) -> None:
        assert run("remove-tokens", "--all-of", NORTHWIND)[1] == "1 would be removed. Say --yes to do it.\n"
        assert run("remove-tokens", "--all-of", NORTHWIND, "--yes")[1] == "1 removed.\n"
        assert "provider.tokens_removed" in running.audit_tags()

    def test_both_or_neither_is_wrong(self, run: Run) -> None:
        for arguments in ((), ("x.y", "--all-of", NORTHWIND)):
            with pytest.raises(SystemExit) as ended:
                run("remove-tokens", *arguments)
            assert ended.value.code == 2

    def test_an_unknown_provider(self, run: Run) -> None:
        assert run("list-tokens", "nobody")[0] == 3


def test_every_token_is_listed_however_many_pages_there_are(
    running: Running, run: Run, monkeypatch: pytest.MonkeyPatch
) -> None:
    for name in ("alice", "bob"):
        running.authorize(running.browser(name), name)
    monkeypatch.setattr(administration, "PAGE_SIZE", 1)
    assert len(run("list-tokens", NORTHWIND, "--json")[1].splitlines()) == 2
