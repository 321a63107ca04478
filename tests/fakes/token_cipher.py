"""A cipher without a key service: what it promises about contexts and tampering is real."""

import json
from base64 import b64decode, b64encode
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from hashlib import sha256

from chalicelib.domain.errors import IntegrityViolation, KeyUnavailable
from chalicelib.domain.provider import ProviderKey


class FakeTokenCipher:
    """Implements `ports.TokenCipher`. `available` plays the key service; `unlocked` counts its calls."""

    def __init__(self) -> None:
        self.available = True
        self.unlocked = 0
        self._made = 0

    def new_key(self, provider_id: str, generation: int) -> ProviderKey:
        self._check()
        self._made += 1
        return ProviderKey(provider_id, generation, wrapped=f"{provider_id}/{generation}/{self._made}".encode())

    @contextmanager
    def unlock(self, key: ProviderKey) -> Iterator["FakeBox"]:
        self._check()
        if not key.wrapped.startswith(f"{key.provider_id}/{key.generation}/".encode()):
            raise KeyUnavailable
        self.unlocked += 1
        yield FakeBox(key.wrapped.decode())

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
