"""Settings are complete and sane, or the vault does not start."""

import json
from pathlib import Path

import pytest

from chalicelib.domain.directory import DirectorySettings
from chalicelib.settings import Settings, SettingsError

ENOUGH = {
    "VAULT_PUBLIC_URL": "https://vault.example",
    "VAULT_KMS_KEY": "arn:aws:kms:eu-central-1:1:key/1",
    "VAULT_AUDIT_KEY": "arn:aws:kms:eu-central-1:1:key/2",
    "VAULT_DIRECTORIES": json.dumps([{"domain": "CONTOSO", "servers": ["ldaps://dc1.contoso.example"]}]),
}
SIGN_IN = json.dumps(
    {
        "kind": "openid",
        "name": "Contoso ID",
        "issuer": "https://id.contoso.example",
        "client_id": "vault",
        "client_secret": "token-vault/sign-in",
        "directory_id_claim": "onprem_sid",
    }
)
"""The claim names somebody of a directory, where there must be a service account to look the person up."""


def test_reads_what_is_set_and_defaults_the_rest() -> None:
    settings = Settings.from_environment(ENOUGH)
    assert settings.directories == (DirectorySettings(domain="CONTOSO", servers=("ldaps://dc1.contoso.example",)),)
    assert (settings.table, settings.allow_private_clouds, settings.is_secure) == ("vault", False, True)


@pytest.mark.parametrize("missing", ENOUGH)
def test_names_the_setting_that_is_missing(missing: str) -> None:
    with pytest.raises(SettingsError, match=missing):
        Settings.from_environment({name: value for name, value in ENOUGH.items() if name != missing})


@pytest.mark.parametrize(
    ("name", "value"),
    [
        ("VAULT_PUBLIC_URL", "http://vault.example"),
        ("VAULT_PUBLIC_URL", "https://"),
        ("VAULT_PUBLIC_URL", "https://vault.example/"),
        ("VAULT_PUBLIC_URL", "https://vault.example?x=1"),
        ("VAULT_PUBLIC_URL", "vault.example"),
        ("VAULT_DIRECTORIES", "[]"),
        ("VAULT_PUBLIC_URL", "http://localhost:80\u202e[::"),
        ("VAULT_PUBLIC_URL", "https://[vault.example"),
        ("VAULT_DIRECTORIES", "[" * 100_000),
        ("VAULT_DIRECTORIES", "[1]"),
        ("VAULT_DIRECTORIES", "[{]"),
        ("VAULT_DIRECTORIES", "no-such-file.json"),
        ("VAULT_DIRECTORIES", '[{"domain": "A", "servers": ["ldaps://a"]}, {"domain": "a", "servers": ["ldaps://b"]}]'),
        ("VAULT_SIGN_IN", "[]"),
        ("VAULT_SIGN_IN", SIGN_IN),
        ("VAULT_KEY_CACHE_SECONDS", "-1"),
        ("VAULT_KEY_CACHE_SECONDS", "301"),
        ("VAULT_KEY_CACHE_SECONDS", "long"),
        ("VAULT_LEAVER_DAYS", "0"),
        ("VAULT_LEAVER_DAYS", "soon"),
        ("VAULT_AUDIT_DAYS", "29"),
        ("VAULT_MAIL_FROM", "vault"),
        ("VAULT_MAIL_FROM", "Vault <vault@contoso.example>"),
        ("VAULT_MAIL_FROM", "vault@contoso.example\nBcc: x@y.example"),
        ("VAULT_ADMIN_MAIL", "team@contoso.example"),
        ("VAULT_ALLOW_PRIVATE_CLOUDS", "true"),
        ("VAULT_ALLOW_PRIVATE_CLOUDS", "yes"),
        ("VAULT_LOG_LEVEL", "LOUD"),
    ],
)
def test_refuses_what_cannot_be_meant(name: str, value: str) -> None:
    with pytest.raises(SettingsError, match=name):
        Settings.from_environment({**ENOUGH, name: value})


def test_r51_without_a_key_nothing_starts() -> None:
    with pytest.raises(SettingsError, match="never stores anything without a key"):
        Settings.from_environment({**ENOUGH, "VAULT_KMS_KEY": ""})


def test_a_developers_own_machine_may_use_http() -> None:
    local = {**ENOUGH, "VAULT_PUBLIC_URL": "http://localhost:8381", "VAULT_ALLOW_PRIVATE_CLOUDS": "true"}
    assert not Settings.from_environment(local).is_secure


def test_the_directories_may_stand_in_a_file(tmp_path: Path) -> None:
    file = tmp_path / "directories.json"
    file.write_text(ENOUGH["VAULT_DIRECTORIES"])
    settings = Settings.from_environment({**ENOUGH, "VAULT_DIRECTORIES": str(file)})
    assert settings.directories == Settings.from_environment(ENOUGH).directories


def test_administrators_addresses_are_separated_by_commas() -> None:
    mail = {"VAULT_MAIL_FROM": "vault@contoso.example", "VAULT_ADMIN_MAIL": "a@contoso.example, b@contoso.example,"}
    assert Settings.from_environment(ENOUGH | mail).admin_mail == ("a@contoso.example", "b@contoso.example")
    with pytest.raises(SettingsError, match="VAULT_ADMIN_MAIL must be plain"):
        Settings.from_environment(ENOUGH | mail | {"VAULT_ADMIN_MAIL": "a@contoso.example, b"})
    for name in ("VAULT_MAIL_FROM", "VAULT_MAIL_REPLY_TO", "VAULT_ADMIN_MAIL"):
        with pytest.raises(SettingsError, match=name):
            Settings.from_environment(ENOUGH | mail | {name: "..x.@contoso.com"})


def test_administrators_are_the_groups_of_all_directories() -> None:
    groups = {"A": ["S-1-5-21-1-2-3-1601"], "B": ["CN=Vault Admins, DC=b", "S-1-5-21-4-5-6-7"]}
    described = [{"domain": d, "servers": ["ldaps://dc"], "administrator_groups": g} for d, g in groups.items()]
    settings = Settings.from_environment({**ENOUGH, "VAULT_DIRECTORIES": json.dumps(described)})
    assert settings.administrator_groups == {"S-1-5-21-1-2-3-1601", "S-1-5-21-4-5-6-7", "cn=vault admins,dc=b"}


@pytest.mark.parametrize("content", [None, "no certificate", "", "\n"])
def test_a_ca_that_cannot_be_used_is_named(tmp_path: Path, content: str | None) -> None:
    file = tmp_path / "ca.pem"
    if content is not None:
        file.write_text(content)
    described = [{"domain": "CONTOSO", "servers": ["ldaps://dc"], "ca_file": str(file)}]
    with pytest.raises(SettingsError, match="CONTOSO: ca_file"):
        Settings.from_environment({**ENOUGH, "VAULT_DIRECTORIES": json.dumps(described)})


@pytest.mark.parametrize(
    ("key", "value"),
    [
        ("domain", "CON TOSO"),
        ("domain", ""),
        ("domain", 5),
        ("kind", "novell"),
        ("dns_name", "-contoso"),
        ("servers", ["http://dc1"]),
        ("servers", ["ldaps://"]),
        ("servers", ["ldaps://dc1/DC=contoso"]),
        ("servers", "ldaps://dc1"),
        ("servers", [f"ldaps://dc{n}" for n in range(6)]),
        ("servers", []),
        ("service_secret", "without/an/account"),
        ("user_name_forms", ["domain", "upn"]),
        ("user_name_forms", ["nickname"]),
        ("user_name_forms", []),
        ("administrator_groups", ["Vault Administrators"]),
        ("allowed_groups", ["S-1-x"]),
        ("allowed_groups", ["S-1-5-32-544"]),
        ("connect_seconds", 0),
        ("answer_seconds", 2.5),
        ("total_seconds", 26),
        ("lockout_threshold", 2),
        ("group_search", "yes"),
        ("upn_suffixes", ["corp example"]),
        ("password", "plain"),
    ],
)
def test_a_directory_that_cannot_be_meant_is_refused_by_the_name_of_its_key(key: str, value: object) -> None:
    described = [{"domain": "CONTOSO", "servers": ["ldaps://dc1"], key: value}]
    with pytest.raises(SettingsError, match=key):
        Settings.from_environment({**ENOUGH, "VAULT_DIRECTORIES": json.dumps(described)})


def test_openldap_needs_a_way_to_the_dn() -> None:
    described = [{"domain": "EXAMPLE", "kind": "openldap", "servers": ["ldaps://ldap"], "base_dn": "dc=example"}]
    with pytest.raises(SettingsError, match="user_dn"):
        Settings.from_environment({**ENOUGH, "VAULT_DIRECTORIES": json.dumps(described)})


def test_an_empty_environment_is_read_from_the_process(monkeypatch: pytest.MonkeyPatch) -> None:
    for name, value in ENOUGH.items():
        monkeypatch.setenv(name, value)
    assert Settings.from_environment().public_url == "https://vault.example"


def test_a_file_that_holds_another_kind_of_json_is_named(tmp_path: Path) -> None:
    file = tmp_path / "sign-in.json"
    file.write_text("[]")
    with pytest.raises(SettingsError, match="VAULT_SIGN_IN must be a JSON object"):
        Settings.from_environment(ENOUGH | {"VAULT_SIGN_IN": str(file)})
