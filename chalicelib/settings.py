"""Every setting the product has; the only reader of the environment."""

import json
import os
import ssl
from collections.abc import Callable, Mapping
from dataclasses import MISSING, Field, dataclass, field, fields
from pathlib import Path
from typing import Any, Self
from urllib.parse import urlsplit

from .domain.description import InvalidDescription
from .domain.directory import DirectorySettings, group_key
from .domain.mail import is_mail_address
from .domain.sign_in import SignInSettings

MINIMUM_AUDIT_DAYS = 30
_LONGEST_KEY_CACHE = 300
"""Nobody can make the log forget within a month what was done."""


class SettingsError(Exception):
    """A setting is missing or wrong; names the environment variable and what to do."""


def _setting(meaning: str, default: Any = MISSING, *, example: str = "") -> Any:
    return field(default=default, metadata={"meaning": meaning, "example": example})


def variable(setting: "Field[Any]") -> str:
    """The environment variable of a setting: `VAULT_` and its name in capitals."""
    return f"VAULT_{setting.name.upper()}"


@dataclass(frozen=True, slots=True, kw_only=True)
class Settings:
    """Frozen once at start. A field without a default must be set."""

    public_url: str = _setting(
        "The address people open, without a slash at its end. Links and redirect URIs are built from it alone.",
        example="https://vault.contoso.com",
    )
    kms_key: str = _setting("ARN of the company's KMS key that wraps the provider keys.")
    earlier_kms_key: str = _setting(
        "ARN of the key that was `VAULT_KMS_KEY` before, while `rotate-keys` moves the provider keys away from it; "
        "else empty.",
        "",
    )
    key_cache_seconds: int = _setting(
        "Seconds for which a process keeps a provider key that KMS has opened, at most 300; it saves a call of KMS in "
        "each release, and a disabled KMS key takes as long to count. 0: no key outlives its request.",
        0,
    )
    audit_key: str = _setting(
        "ARN of the KMS key (HMAC_256, GENERATE_VERIFY_MAC) that authenticates the seals of the audit log."
    )
    table: str = _setting(
        "Name of the DynamoDB table for what must last: users, providers, grants, audit log.", "vault"
    )
    keys_table: str = _setting("Name of the table of wrapped provider keys.", "vault-keys")
    sessions_table: str = _setting(
        "Name of the table of sessions, authorization requests and counted tries.", "vault-sessions"
    )
    directories: tuple[DirectorySettings, ...] = _setting(
        "The directories people log in with: a JSON list of objects, or the path of a file that holds one. "
        "[Directories](docs/directories.md) describes every key.",
        example='[{"domain": "CONTOSO", "servers": ["ldaps://dc1.contoso.com"]}]',
    )
    sign_in: SignInSettings | None = _setting(  # noqa: RUF009 - frozen, as the others are
        "The OpenID provider, for example Entra ID, that people may [sign in with](docs/sign-in.md): a JSON object, or "
        "the path of a file that holds one; empty: none. With it `VAULT_DIRECTORIES` may be `[]`.",
        None,
        example='{"issuer": "https://login.microsoftonline.com/<tenant id>/v2.0", "client_id": "…", '
        '"client_secret": "vault-sign-in"}',
    )
    leaver_days: int = _setting(
        "Days after which the authorizations of people whose directory account is gone are revoked and removed.", 30
    )
    event_bus: str = _setting(
        "Name of the EventBridge bus that gets the [events](docs/events.md); empty: none does.", "", example="default"
    )
    mail_from: str = _setting(
        "Address that mails about authorizations come from, verified in Amazon SES; empty: nobody gets any.",
        "",
        example="vault@contoso.com",
    )
    admin_mail: tuple[str, ...] = _setting(
        "Addresses of the administrators that get these mails as well, separated by commas.",
        (),
        example="cloud-team@contoso.com",
    )
    mail_reply_to: str = _setting(
        "Address of the help desk that answers to mails go to; empty: to where they come from.",
        "",
        example="helpdesk@contoso.com",
    )
    mail_configuration_set: str = _setting(
        "Configuration set of Amazon SES that mails are sent with, so that SES says which came back; empty: the "
        "identity's own, if it has one.",
        "",
        example="token-vault-prod",
    )
    audit_days: int = _setting(
        "Days after which entries of the audit log are deleted from the table; what was exported to S3 stays there.",
        400,
    )
    allow_private_clouds: bool = _setting(
        "`true` lets clouds live on http and private addresses, for development; refused for an https public URL.",
        False,
    )
    metrics: str = _setting(
        "CloudWatch namespace of the metrics that are written into the log (requests, log-ins, releases, refreshes); "
        "empty: none are.",
        "",
        example="TokenVault/prod",
    )
    gateway_stage: str = _setting(
        "Stage of API Gateway that the vault is deployed as; what comes by another one is not found. Empty: not looked "
        "at.",
        "",
        example="api",
    )
    log_level: str = _setting("`DEBUG`, `INFO`, `WARNING` or `ERROR`.", "INFO")

    @classmethod
    def from_environment(cls, environment: Mapping[str, str] | None = None) -> Self:
        """Read and check everything, or raise SettingsError for the first fault."""
        source = os.environ if environment is None else environment
        return cls(**{f.name: _read(f, source) for f in fields(cls)})

    @classmethod
    def faults(cls, environment: Mapping[str, str] | None = None) -> dict[str, str]:
        """Every fault that `from_environment` could stop at, a sentence by the name of its variable."""
        source = os.environ if environment is None else environment
        found: dict[str, str] = {}
        for setting in fields(cls):
            try:
                _check(setting.name, _read(setting, source))
            except SettingsError as error:
                found[variable(setting)] = str(error)
        if not found:
            found |= cls._fault_between(source)
        return found

    @classmethod
    def _fault_between(cls, source: Mapping[str, str]) -> dict[str, str]:
        try:
            cls.from_environment(source)
        except SettingsError as error:
            return {str(error).partition(" ")[0]: str(error)}
        return {}

    def __post_init__(self) -> None:
        for setting in fields(self):
            _check(setting.name, getattr(self, setting.name))
        if not self.directories and not self.sign_in:
            raise SettingsError("VAULT_DIRECTORIES names no directory, and VAULT_SIGN_IN nobody: nobody could log in.")
        if self.sign_in and self.sign_in.directory_id_claim and not any(one.can_look_up for one in self.directories):
            raise SettingsError("VAULT_SIGN_IN has a directory_id_claim, and no directory has a service account.")
        if self.admin_mail and not self.mail_from:
            raise SettingsError("VAULT_ADMIN_MAIL is set, and VAULT_MAIL_FROM does not say where mail comes from.")
        if self.allow_private_clouds and self.is_secure:
            raise SettingsError("VAULT_ALLOW_PRIVATE_CLOUDS is for development on http://localhost only.")

    @property
    def is_secure(self) -> bool:
        """True everywhere but on a developer's own machine."""
        return self.public_url.startswith("https://")

    @property
    def administrator_groups(self) -> frozenset[str]:
        """The groups of directories and OpenID provider that administrate, as they appear among `User.groups`."""
        claimed = self.sign_in.administrators if self.sign_in else ()
        named = (group for one in self.directories for group in one.administrator_groups)
        return frozenset(map(group_key, (*named, *claimed)))


def _check(name: str, value: Any) -> None:
    """Raise SettingsError where the value alone cannot be meant."""
    check = _CHECKS.get(name)
    if check:
        check(value)


def _check_public_url(public_url: str) -> None:
    try:
        url = urlsplit(public_url)
    except ValueError:
        raise SettingsError("VAULT_PUBLIC_URL is no URL.") from None
    local = url.scheme == "http" and url.hostname in ("localhost", "127.0.0.1")
    if not (local or (url.scheme == "https" and url.hostname)):
        raise SettingsError("VAULT_PUBLIC_URL must be https:// and a host name (http:// only for localhost).")
    if url.query or url.fragment or public_url.endswith("/"):
        raise SettingsError("VAULT_PUBLIC_URL must end with its host or path, without a slash, query or fragment.")


def _check_kms_key(kms_key: str) -> None:
    if not kms_key:
        raise SettingsError("VAULT_KMS_KEY is empty: the vault never stores anything without a key.")


def _check_audit_key(audit_key: str) -> None:
    if not audit_key:
        raise SettingsError("VAULT_AUDIT_KEY is empty: the audit log is never kept without seals.")


def _check_directories(directories: tuple[DirectorySettings, ...]) -> None:
    domains = [one.domain.casefold() for one in directories]
    if len(set(domains)) < len(domains):
        raise SettingsError("VAULT_DIRECTORIES names one domain twice.")
    for one in directories:
        _check_ca(one)


def _check_mail_from(mail_from: str) -> None:
    if mail_from and not is_mail_address(mail_from):
        raise SettingsError("VAULT_MAIL_FROM is no plain mail address.")


def _check_mail_reply_to(mail_reply_to: str) -> None:
    if mail_reply_to and not is_mail_address(mail_reply_to):
        raise SettingsError("VAULT_MAIL_REPLY_TO is no plain mail address.")


def _check_admin_mail(admin_mail: tuple[str, ...]) -> None:
    if not all(is_mail_address(address) for address in admin_mail):
        raise SettingsError("VAULT_ADMIN_MAIL must be plain mail addresses, separated by commas.")


def _check_key_cache_seconds(seconds: int) -> None:
    if not 0 <= seconds <= _LONGEST_KEY_CACHE:
        raise SettingsError(f"VAULT_KEY_CACHE_SECONDS must be 0 to {_LONGEST_KEY_CACHE}.")


def _check_leaver_days(leaver_days: int) -> None:
    if leaver_days < 1:
        raise SettingsError("VAULT_LEAVER_DAYS must be 1 or more.")


def _check_audit_days(audit_days: int) -> None:
    if audit_days < MINIMUM_AUDIT_DAYS:
        raise SettingsError(f"VAULT_AUDIT_DAYS must be {MINIMUM_AUDIT_DAYS} or more.")


def _check_log_level(log_level: str) -> None:
    if log_level not in ("DEBUG", "INFO", "WARNING", "ERROR"):
        raise SettingsError("VAULT_LOG_LEVEL is none of DEBUG, INFO, WARNING, ERROR.")


def _check_ca(directory: DirectorySettings) -> None:
    if not directory.ca_file:
        return
    try:
        # Of an empty text Python makes "all that the system trusts"
        ssl.create_default_context(cadata=Path(directory.ca_file).read_text() or " ")
    except (OSError, ValueError) as error:
        problem = f"VAULT_DIRECTORIES: {directory.domain}: ca_file cannot be used: {type(error).__name__}."
        raise SettingsError(problem) from error


_CHECKS: dict[str, Callable[[Any], None]] = {
    "public_url": _check_public_url,
    "kms_key": _check_kms_key,
    "audit_key": _check_audit_key,
    "directories": _check_directories,
    "mail_from": _check_mail_from,
    "mail_reply_to": _check_mail_reply_to,
    "admin_mail": _check_admin_mail,
    "key_cache_seconds": _check_key_cache_seconds,
    "leaver_days": _check_leaver_days,
    "audit_days": _check_audit_days,
    "log_level": _check_log_level,
}


def _directories(name: str, text: str) -> tuple[DirectorySettings, ...]:
    described = _json(name, text, "[")
    if not isinstance(described, list) or not all(isinstance(one, dict) for one in described):
        raise SettingsError(f"{name} must be a JSON list of objects.")
    try:
        return tuple(DirectorySettings.from_mapping(one) for one in described)
    except InvalidDescription as error:
        raise SettingsError(f"{name}: {error}.") from error


def _sign_in(name: str, text: str) -> SignInSettings | None:
    if not text:
        return None
    described = _json(name, text, "{")
    if not isinstance(described, dict):
        raise SettingsError(f"{name} must be a JSON object.")
    try:
        return SignInSettings.from_mapping(described)
    except InvalidDescription as error:
        raise SettingsError(f"{name}: {error}.") from error


def _json(name: str, text: str, begin: str) -> Any:
    """From the text itself, or from the file whose path is given."""
    try:
        return json.loads(text if text.startswith(begin) else Path(text).read_text())
    except (OSError, ValueError, RecursionError) as error:
        raise SettingsError(f"{name} is neither JSON nor the path of such a file: {type(error).__name__}.") from error


def _listed(text: str) -> tuple[str, ...]:
    return tuple(part.strip() for part in text.split(",") if part.strip())


def _read(setting: "Field[Any]", source: Mapping[str, str]) -> Any:
    name = variable(setting)
    if name not in source:
        if setting.default is MISSING:
            raise SettingsError(f"{name} is not set. {setting.metadata['meaning']}")
        return setting.default
    return _parsed(setting, name, source[name].strip())


def _parsed(setting: "Field[Any]", name: str, text: str) -> Any:
    if setting.type is bool:
        if text not in ("true", "false"):
            raise SettingsError(f"{name} must be true or false.")
        return text == "true"
    if setting.type is int:
        if not text.isascii() or not text.isdigit():
            raise SettingsError(f"{name} must be a whole number.")
        return int(text)
    if setting.type == tuple[DirectorySettings, ...]:
        return _directories(name, text)
    if setting.type == SignInSettings | None:
        return _sign_in(name, text)
    if setting.type == tuple[str, ...]:
        return _listed(text)
    return text
