"""A cipher without a key service: what it promises about contexts and tampering is real."""

import json
from base64 import b64decode, b64encode
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from dataclasses import replace
from hashlib import sha256

from chalicelib.domain.errors import IntegrityViolation, KeyUnavailable
from chalicelib.domain.provider import ProviderKey


class FakeTokenCipher:
    """Implements `ports.TokenCipher`. `available` plays the key service; `unlocked` counts its calls.

    A wrapped key ends with the name of the key service's key: `kms_key`, or `earlier_key` while keys are moved.
    """

    def __init__(self) -> None:
        self.available = True
        self.unlocked = 0
        self.kms_key, self.earlier_key = "one", ""
        self._made = 0

    def new_key(self, provider_id: str, generation: int) -> ProviderKey:
        self._check()
        self._made += 1
        name = f"{provider_id}/{generation}/{self._made}"
        return ProviderKey(provider_id, generation, wrapped=f"{name}@{self.kms_key}".encode())

    @contextmanager
    def unlock(self, key: ProviderKey) -> Iterator["FakeBox"]:
        self._check()
        if not key.wrapped.startswith(f"{key.provider_id}/{key.generation}/".encode()):
            raise KeyUnavailable
        name, _, kms_key = key.wrapped.decode().partition("@")
        if kms_key not in (self.kms_key, self.earlier_key):
            raise KeyUnavailable
        self.unlocked += 1
        yield FakeBox(name)

    def rewrap(self, key: ProviderKey) -> ProviderKey | None:
        with self.unlock(key):
            name, _, kms_key = key.wrapped.decode().partition("@")
        if self.earlier_key and kms_key == self.kms_key:
            return None
        return replace(key, wrapped=f"{name}@{self.kms_key}".encode())

    def _check(self) -> None:
        if not self.available:
            raise KeyUnavailable


class FakeBox:
    """Implements `ports.Box`."""

    def __init__(self, key: str) -> None:
        self._key = key

    def encrypt(self, plaintext: bytes, context: Mapping[str, str]) -> bytes:
        sealed = {"key": self._key, "context": dict(context), "text": b64encode(plaintext[::-1]).decode()}
        body = json.dumps(sealed).encode()
        return sha256(body).digest() + body

    def decrypt(self, ciphertext: bytes, context: Mapping[str, str]) -> bytes:
        digest, body = ciphertext[:32], ciphertext[32:]
        if sha256(body).digest() != digest:
            raise IntegrityViolation
        sealed = json.loads(body)
        if (sealed["key"], sealed["context"]) != (self._key, dict(context)):
            raise IntegrityViolation
        return b64decode(sealed["text"])[::-1]
