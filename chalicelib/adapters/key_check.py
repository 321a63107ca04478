"""Are the keys and secrets that the settings name there, enabled, and of the right kind?"""

from collections.abc import Iterator
from dataclasses import dataclass
from typing import Any

from botocore.exceptions import BotoCoreError, ClientError

from chalicelib.domain.configuration import ConfigurationFault

from .secrets_manager import SecretsManager, SecretUnreadable


@dataclass(frozen=True, slots=True)
class KeyKind:
    """The setting that names a key, and the KeySpec it must have; that says what it can do, too."""

    setting: str
    spec: str


TOKEN_KEY = KeyKind("VAULT_KMS_KEY", "SYMMETRIC_DEFAULT")
AUDIT_KEY = KeyKind("VAULT_AUDIT_KEY", "HMAC_256")
_STATES = {
    "Disabled": ("key_disabled", "The key {key} is disabled. Enable it: everything works again, nothing is lost."),
    "PendingDeletion": (
        "key_pending_deletion",
        "The key {key} is about to be deleted, and every token with it. Cancel that at once, then enable the key.",
    ),
}


def key_faults(kms: Any, key: str, kind: KeyKind) -> Iterator[ConfigurationFault]:
    """At most one fault of the key. Needs kms:DescribeKey."""
    try:
        described = kms.describe_key(KeyId=key)["KeyMetadata"]
    except ClientError as error:
        yield _unreadable(kind, key, error.response["Error"]["Code"])
    except BotoCoreError as error:
        yield _unreadable(kind, key, type(error).__name__)
    else:
        yield from _state_faults(kind, key, described)


def secret_faults(secrets: SecretsManager, domain: str, name: str) -> Iterator[ConfigurationFault]:
    """At most one fault of the secret of a directory's service account."""
    try:
        secrets.read(name, anew=True)
    except SecretUnreadable as error:
        words = f"{domain}: the secret {name} (service_secret) cannot be read from Secrets Manager: {error}."
        yield ConfigurationFault("VAULT_DIRECTORIES", "secret_unreadable", words)


def _unreadable(kind: KeyKind, key: str, cause: str) -> ConfigurationFault:
    if cause == "NotFoundException":
        return ConfigurationFault(kind.setting, "key_missing", f"There is no key {key} in this account and region.")
    words = f"KMS does not say what the key {key} is: {cause}. Check the ARN, the region and the credentials."
    return ConfigurationFault(kind.setting, "key_unreadable", words)


def _state_faults(kind: KeyKind, key: str, described: dict[str, Any]) -> Iterator[ConfigurationFault]:
    state = described["KeyState"]
    if state != "Enabled":
        code, words = _STATES.get(state, ("key_unusable", f"The key {{key}} cannot be used: its state is {state}."))
        yield ConfigurationFault(kind.setting, code, words.format(key=key))
    elif described["KeySpec"] != kind.spec:
        words = f"The key {key} is of the kind {described['KeySpec']}; needed is {kind.spec}."
        yield ConfigurationFault(kind.setting, "key_of_other_kind", words)
