"""Every setting the product has; the only reader of the environment."""

import os
import ssl
from collections.abc import Mapping
from dataclasses import MISSING, Field, dataclass, field, fields
from pathlib import Path
from typing import Any, Self
from urllib.parse import urlsplit


class SettingsError(Exception):
    """A setting is missing or wrong; names the environment variable and what to do."""


def _setting(meaning: str, default: Any = MISSING, *, example: str = "") -> Any:
    return field(default=default, metadata={"meaning": meaning, "example": example})


def variable(setting: "Field[Any]") -> str:
    """The environment variable of a setting: `VAULT_` and its name in capitals."""
    return f"VAULT_{setting.name.upper()}"


@dataclass(frozen=True, slots=True, kw_only=True)
class Settings:
    """Frozen once at start. A field without a default must be set; lists are separated by `;`."""

    public_url: str = _setting(
        "The address people open, without a slash at its end. Links and redirect URIs are built from it alone.",
        example="https://vault.contoso.com",
    )
    kms_key: str = _setting("ARN of the company's KMS key that wraps the provider keys.")
    audit_key: str = _setting(
        "ARN of the KMS key (HMAC_256, GENERATE_VERIFY_MAC) that authenticates the seals of the audit log."
    )
    table: str = _setting("Name of the DynamoDB table for what must last: providers, grants, audit log.", "vault")
    keys_table: str = _setting("Name of the table of wrapped provider keys.", "vault-keys")
    sessions_table: str = _setting("Name of the table of sessions and authorization requests.", "vault-sessions")
    directory_domain: str = _setting(
        "NetBIOS name of the Windows domain, the part before the backslash.", example="CONTOSO"
    )
    directory_urls: tuple[str, ...] = _setting(
        "Domain controllers, tried in order; `ldaps://` only, with the name that the certificate has.",
        example="ldaps://dc1.contoso.com;ldaps://dc2.contoso.com",
    )
    directory_ca_file: str = _setting(
        "File with the CA certificates (PEM) of the domain controllers; empty: the system's.", ""
    )
    directory_base_dn: str = _setting("Where people are searched; empty: the domain's own root.", "")
    administrator_groups: tuple[str, ...] = _setting(
        "SIDs of the directory groups whose members administrate the vault; none: nobody does.",
        (),
        example="S-1-5-21-1004336348-1177238915-682003330-1601",
    )
    allow_private_clouds: bool = _setting(
        "`true` lets clouds live on http and private addresses, for development; refused for an https public URL.",
        False,
    )
    log_level: str = _setting("`DEBUG`, `INFO`, `WARNING` or `ERROR`.", "INFO")

    @classmethod
    def from_environment(cls, environment: Mapping[str, str] | None = None) -> Self:
        """Read and check everything, or raise SettingsError for the first fault."""
        source = os.environ if environment is None else environment
        return cls(**{f.name: _read(f, source) for f in fields(cls)})

    def __post_init__(self) -> None:
        self._check_public_url()
        if not self.kms_key:
            raise SettingsError("VAULT_KMS_KEY is empty: the vault never stores anything without a key.")
        if not self.audit_key:
            raise SettingsError("VAULT_AUDIT_KEY is empty: the audit log is never kept without seals.")
        for url in self.directory_urls:
            if urlsplit(url).scheme != "ldaps" or not urlsplit(url).hostname:
                raise SettingsError(f"VAULT_DIRECTORY_URLS: {url!r} is not of the form ldaps://host.")
        if not self.directory_urls:
            raise SettingsError("VAULT_DIRECTORY_URLS names no domain controller.")
        if self.allow_private_clouds and self.is_secure:
            raise SettingsError("VAULT_ALLOW_PRIVATE_CLOUDS is for development on http://localhost only.")
        if self.log_level not in ("DEBUG", "INFO", "WARNING", "ERROR"):
            raise SettingsError("VAULT_LOG_LEVEL is none of DEBUG, INFO, WARNING, ERROR.")

    def _check_public_url(self) -> None:
        url = urlsplit(self.public_url)
        local = url.scheme == "http" and url.hostname in ("localhost", "127.0.0.1")
        if not (local or (url.scheme == "https" and url.hostname)):
            raise SettingsError("VAULT_PUBLIC_URL must be https:// and a host name (http:// only for localhost).")
        if url.query or url.fragment or self.public_url.endswith("/"):
            raise SettingsError("VAULT_PUBLIC_URL must end with its host or path, without a slash, query or fragment.")

    @property
    def is_secure(self) -> bool:
        """True everywhere but on a developer's own machine."""
        return self.public_url.startswith("https://")

    def directory_ca(self) -> str | None:
        """The CA certificates as PEM text, or None for the system's."""
        if not self.directory_ca_file:
            return None
        try:
            pem = Path(self.directory_ca_file).read_text()
            ssl.create_default_context(cadata=pem)
        except (OSError, ValueError) as error:
            raise SettingsError(f"VAULT_DIRECTORY_CA_FILE cannot be used: {type(error).__name__}.") from error
        return pem


def _read(setting: "Field[Any]", source: Mapping[str, str]) -> Any:
    name = variable(setting)
    if name not in source:
        if setting.default is MISSING:
            raise SettingsError(f"{name} is not set. {setting.metadata['meaning']}")
        return setting.default
    text = source[name].strip()
    if setting.type is bool:
        if text not in ("true", "false"):
            raise SettingsError(f"{name} must be true or false.")
        return text == "true"
    if setting.type == tuple[str, ...]:
        return tuple(part.strip() for part in text.split(";") if part.strip())
    return text
