"""Settings are complete and sane, or the vault does not start."""

from pathlib import Path

import pytest

from chalicelib.settings import Settings, SettingsError

ENOUGH = {
    "VAULT_PUBLIC_URL": "https://vault.example",
    "VAULT_KMS_KEY": "arn:aws:kms:eu-central-1:1:key/1",
    "VAULT_AUDIT_KEY": "arn:aws:kms:eu-central-1:1:key/2",
    "VAULT_DIRECTORY_DOMAIN": "CONTOSO",
    "VAULT_DIRECTORY_URLS": "ldaps://dc1.contoso.example; ldaps://dc2.contoso.example:636",
}


def test_reads_what_is_set_and_defaults_the_rest() -> None:
    settings = Settings.from_environment({**ENOUGH, "VAULT_ADMINISTRATOR_GROUPS": "S-1-5-1; S-1-5-2;"})
    assert settings.directory_urls == ("ldaps://dc1.contoso.example", "ldaps://dc2.contoso.example:636")
    assert settings.administrator_groups == ("S-1-5-1", "S-1-5-2")
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
        ("VAULT_DIRECTORY_URLS", "ldap://dc1.contoso.example"),
        ("VAULT_DIRECTORY_URLS", "ldaps://"),
        ("VAULT_DIRECTORY_URLS", " ; "),
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


def test_reads_the_directorys_ca(tmp_path: Path) -> None:
    assert Settings.from_environment(ENOUGH).directory_ca() is None
    for content in (None, "no certificate"):
        file = tmp_path / "ca.pem"
        if content:
            file.write_text(content)
        settings = Settings.from_environment({**ENOUGH, "VAULT_DIRECTORY_CA_FILE": str(file)})
        with pytest.raises(SettingsError, match="VAULT_DIRECTORY_CA_FILE"):
            settings.directory_ca()


def test_an_empty_environment_is_read_from_the_process(monkeypatch: pytest.MonkeyPatch) -> None:
    for name, value in ENOUGH.items():
        monkeypatch.setenv(name, value)
    assert Settings.from_environment().public_url == "https://vault.example"
