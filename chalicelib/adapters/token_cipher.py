"""Envelope encryption: provider keys wrapped by KMS, messages of the AWS Encryption SDK under them.

A provider key is 256 bits from KMS GenerateDataKey. Each message is an aws-encryption-sdk message under
that key as raw AES wrapping key: a committing, unsigned suite, one data key, and an encryption context
that is compared with the expected one after every decrypt, since the SDK itself does not compare it.
There is no switch that turns encryption off (R51).
"""

import logging
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from dataclasses import replace
from threading import Lock
from typing import Any

import aws_encryption_sdk
from aws_encryption_sdk import CommitmentPolicy, EncryptionSDKClient
from aws_encryption_sdk.identifiers import AlgorithmSuite, EncryptionKeyType, WrappingAlgorithm
from aws_encryption_sdk.internal.crypto.wrapping_keys import WrappingKey
from aws_encryption_sdk.key_providers.raw import RawMasterKeyProvider
from botocore.exceptions import ClientError

from chalicelib.domain.errors import IntegrityViolation, KeyUnavailable
from chalicelib.domain.provider import ProviderKey
from chalicelib.ports import Clock

from .aws import kms_errors
from .system import SystemClock

_SUITE = AlgorithmSuite.AES_256_GCM_HKDF_SHA512_COMMIT_KEY
_SDK = EncryptionSDKClient(
    commitment_policy=CommitmentPolicy.REQUIRE_ENCRYPT_REQUIRE_DECRYPT,
    max_encrypted_data_keys=1,
)
# The SDK logs a stack trace for each message that does not open; we raise an error of our own instead.
logging.getLogger(aws_encryption_sdk.__name__).setLevel(logging.CRITICAL)


class KeptKeys:
    """Opened provider keys for some seconds, where an operator has asked for that; with 0 seconds none (R55).

    They are found by wrapped key, provider and generation together: what KMS would not open is not found here either.
    """

    def __init__(self, clock: Clock, seconds: int) -> None:
        self._clock = clock
        self._seconds = seconds
        self._kept: dict[ProviderKey, tuple[float, bytes]] = {}
        # Threads share it: a key that is kept while another thread drops old ones would be an error
        self._lock = Lock()

    def find(self, key: ProviderKey, opened: Callable[[ProviderKey], bytes]) -> bytes:
        """The plain key: the one that was kept, or else what `opened` gives."""
        now = self._clock.monotonic()
        with self._lock:
            self._kept = {kept: (until, plain) for kept, (until, plain) in self._kept.items() if now < until}
            if key in self._kept:
                return self._kept[key][1]
        plain = opened(key)
        if self._seconds:
            with self._lock:
                self._kept[key] = now + self._seconds, plain
        return plain


class KmsTokenCipher:
    """Implements `ports.TokenCipher`. `kms_key` is pinned: a key wrapped under another one does not open (R52).

    `earlier_key` opens too, for as long as keys are moved away from it (R53); nothing is wrapped under it any more.
    """

    def __init__(self, kms: Any, kms_key: str, earlier_key: str = "", kept: KeptKeys | None = None) -> None:
        self._kms = kms
        self._kms_key = kms_key
        self._earlier_key = earlier_key
        self._kept = kept or KeptKeys(SystemClock(), 0)

    def new_key(self, provider_id: str, generation: int) -> ProviderKey:
        unwrapped = ProviderKey(provider_id, generation, wrapped=b"")
        with kms_errors():
            answer = self._kms.generate_data_key_without_plaintext(
                KeyId=self._kms_key, KeySpec="AES_256", EncryptionContext=unwrapped.encryption_context()
            )
        return ProviderKey(provider_id, generation, wrapped=answer["CiphertextBlob"])

    @contextmanager
    def unlock(self, key: ProviderKey) -> Iterator["EnvelopeBox"]:
        if not key.wrapped:
            raise KeyUnavailable(detail="everything was removed, and there is no key yet for what comes after")
        with kms_errors():
            plain = self._kept.find(key, self._plain)
        yield EnvelopeBox(plain, f"{key.provider_id}/{key.generation}")

    def rewrap(self, key: ProviderKey) -> ProviderKey | None:
        with kms_errors():
            if self._earlier_key and self._opens_now(key):
                return None
            context = key.encryption_context()
            answer = self._kms.re_encrypt(
                CiphertextBlob=key.wrapped,
                SourceKeyId=self._earlier_key or self._kms_key,
                SourceEncryptionContext=context,
                DestinationKeyId=self._kms_key,
                DestinationEncryptionContext=context,
            )
            rewrapped = replace(key, wrapped=answer["CiphertextBlob"])
            # The old form is about to be overwritten, and has no backup
            self._decrypted(rewrapped, self._kms_key)
        return rewrapped

    def _plain(self, key: ProviderKey) -> bytes:
        try:
            return self._decrypted(key, self._kms_key)
        except ClientError as error:
            if not self._earlier_key or not _is_of_another_key(error):
                raise
        return self._decrypted(key, self._earlier_key)

    def _opens_now(self, key: ProviderKey) -> bool:
        try:
            self._decrypted(key, self._kms_key)
        except ClientError as error:
            if _is_of_another_key(error):
                return False
            raise
        return True

    def _decrypted(self, key: ProviderKey, kms_key: str) -> bytes:
        answer = self._kms.decrypt(
            KeyId=kms_key, CiphertextBlob=key.wrapped, EncryptionContext=key.encryption_context()
        )
        return bytes(answer["Plaintext"])


def _is_of_another_key(error: ClientError) -> bool:
    """What KMS says of a ciphertext of another key; a key that refuses everything is tried no further either."""
    return error.response["Error"]["Code"] in ("IncorrectKeyException", "AccessDeniedException")


class EnvelopeBox:
    """Implements `ports.Box`. Lives for one `with` block; nothing keeps the plain key after it (R55)."""

    def __init__(self, key: bytes, key_id: str) -> None:
        self._keys = _SingleKeyProvider(key)
        self._keys.add_master_key(key_id)

    def encrypt(self, plaintext: bytes, context: Mapping[str, str]) -> bytes:
        ciphertext, _ = _SDK.encrypt(
            source=plaintext, key_provider=self._keys, algorithm=_SUITE, encryption_context=dict(context)
        )
        return bytes(ciphertext)

    def decrypt(self, ciphertext: bytes, context: Mapping[str, str]) -> bytes:
        try:
            plaintext, header = self._opened(ciphertext)
        except Exception as error:
            # The SDK and cryptography raise many unrelated types here, all of which mean the same
            raise IntegrityViolation(detail=type(error).__name__) from None
        if header.encryption_context != dict(context):
            raise IntegrityViolation(detail="encryption context differs")
        return bytes(plaintext)

    def _opened(self, ciphertext: bytes) -> tuple[bytes, Any]:
        """Plaintext and header of a message that is whole."""
        stream = _SDK.stream(mode="decrypt", source=ciphertext, key_provider=self._keys)
        try:
            plaintext = stream.read()
            return plaintext, stream.header
        finally:
            if not hasattr(stream, "footer"):
                # What was not read to its end refuses to be closed, and Python 3.13 prints that when it is forgotten
                stream.footer = None
            stream.close()


class _SingleKeyProvider(RawMasterKeyProvider):  # type: ignore[misc]  # the SDK has no types
    """Hands the SDK the one key of a box."""

    provider_id = "token-vault"

    def __new__(cls, *_args: object, **kwargs: object) -> Any:
        return super().__new__(cls, **kwargs)

    def __init__(self, key: bytes) -> None:
        super().__init__()
        self._key = WrappingKey(
            wrapping_algorithm=WrappingAlgorithm.AES_256_GCM_IV12_TAG16_NO_PADDING,
            wrapping_key=key,
            wrapping_key_type=EncryptionKeyType.SYMMETRIC,
        )

    def _get_raw_key(self, key_id: bytes) -> WrappingKey:  # noqa: ARG002 - the SDK's signature
        return self._key
