"""What every token cipher does."""

import pytest

from chalicelib.adapters.token_cipher import KmsTokenCipher
from chalicelib.domain.errors import IntegrityViolation, KeyUnavailable
from chalicelib.domain.provider import ProviderKey
from chalicelib.ports import TokenCipher
from tests.aws import Aws
from tests.fakes.token_cipher import FakeTokenCipher

CONTEXT = {"purpose": "token-set", "user": "S-1", "version": "1"}


class TestTokenCipher:
    @pytest.fixture(params=["fake", "kms"])
    def cipher(self, request: pytest.FixtureRequest) -> TokenCipher:
        if request.param == "fake":
            return FakeTokenCipher()
        aws: Aws = request.getfixturevalue("aws")
        return KmsTokenCipher(aws.clients.kms, aws.kms_key)

    def test_opens_what_it_sealed_and_shows_nothing_of_it(self, cipher: TokenCipher) -> None:
        key = cipher.new_key("northwind", 1)
        with cipher.unlock(key) as box:
            sealed = box.encrypt(b"refresh-token", CONTEXT)
        assert b"refresh-token" not in sealed
        with cipher.unlock(key) as box:
            assert box.decrypt(sealed, CONTEXT) == b"refresh-token"

    @pytest.mark.parametrize(
        "context",
        [{}, {**CONTEXT, "user": "S-2"}, {**CONTEXT, "version": "2"}, {**CONTEXT, "more": "x"}, {"user": "S-1"}],
    )
    def test_r50_another_context_does_not_open_it(self, cipher: TokenCipher, context: dict[str, str]) -> None:
        with cipher.unlock(cipher.new_key("northwind", 1)) as box:
            sealed = box.encrypt(b"refresh-token", CONTEXT)
            with pytest.raises(IntegrityViolation):
                box.decrypt(sealed, context)

    @pytest.mark.parametrize("other", [("northwind", 2), ("box", 1), ("northwind", 1)])
    def test_r50_another_key_does_not_open_it(self, cipher: TokenCipher, other: tuple[str, int]) -> None:
        with cipher.unlock(cipher.new_key("northwind", 1)) as box:
            sealed = box.encrypt(b"refresh-token", CONTEXT)
        with cipher.unlock(cipher.new_key(*other)) as box, pytest.raises(IntegrityViolation):
            box.decrypt(sealed, CONTEXT)

    def test_r50_a_changed_or_cut_message_does_not_open(self, cipher: TokenCipher) -> None:
        with cipher.unlock(cipher.new_key("northwind", 1)) as box:
            sealed = box.encrypt(b"refresh-token" * 10, CONTEXT)
            flipped = sealed[:-20] + bytes([sealed[-20] ^ 1]) + sealed[-19:]
            for broken in (b"", b"{}x", sealed[: len(sealed) // 2], flipped):
                with pytest.raises(IntegrityViolation):
                    box.decrypt(broken, CONTEXT)

    def test_r52_a_wrapped_key_under_another_name_does_not_unlock(self, cipher: TokenCipher) -> None:
        wrapped = cipher.new_key("northwind", 1).wrapped
        with pytest.raises(KeyUnavailable), cipher.unlock(ProviderKey("box", 1, wrapped)):
            pytest.fail("a key of another provider was unlocked")


class TestMove:
    """From one KMS key to another: ciphers of the old one, of both, and of the new one."""

    @pytest.fixture(params=["fake", "kms"])
    def ciphers(self, request: pytest.FixtureRequest) -> tuple[TokenCipher, ...]:
        if request.param == "fake":
            before, during, after = FakeTokenCipher(), FakeTokenCipher(), FakeTokenCipher()
            during.kms_key = after.kms_key = "two"
            during.earlier_key = "one"
            return before, during, after
        aws: Aws = request.getfixturevalue("aws")
        kms, old = aws.clients.kms, aws.kms_key
        new = kms.create_key()["KeyMetadata"]["Arn"]
        return KmsTokenCipher(kms, old), KmsTokenCipher(kms, new, old), KmsTokenCipher(kms, new)

    def test_r53_both_keys_open_while_keys_are_moved(self, ciphers: tuple[TokenCipher, ...]) -> None:
        before, during, after = ciphers
        key = before.new_key("northwind", 1)
        with before.unlock(key) as box:
            sealed = box.encrypt(b"refresh-token", CONTEXT)
        moved = during.rewrap(key)
        assert moved is not None
        assert (moved.provider_id, moved.generation) == ("northwind", 1)
        for cipher, wrapped in ((during, key), (during, moved), (after, moved)):
            with cipher.unlock(wrapped) as box:
                assert box.decrypt(sealed, CONTEXT) == b"refresh-token"
        for cipher, wrapped in ((after, key), (before, moved)):
            with pytest.raises(KeyUnavailable), cipher.unlock(wrapped):
                pytest.fail("a key of another KMS key was unlocked")

    def test_r53_what_was_moved_is_not_moved_again(self, ciphers: tuple[TokenCipher, ...]) -> None:
        before, during, _ = ciphers
        moved = during.rewrap(before.new_key("northwind", 1))
        assert moved is not None
        assert during.rewrap(moved) is None
        assert during.rewrap(during.new_key("northwind", 2)) is None

    def test_r53_without_an_earlier_key_the_same_one_wraps_it_anew(self, ciphers: tuple[TokenCipher, ...]) -> None:
        before, _, _ = ciphers
        again = before.rewrap(before.new_key("northwind", 1))
        assert again is not None
        with before.unlock(again):
            pass

    def test_r53_a_key_of_another_provider_is_not_moved(self, ciphers: tuple[TokenCipher, ...]) -> None:
        before, during, _ = ciphers
        with pytest.raises(KeyUnavailable):
            during.rewrap(ProviderKey("box", 1, before.new_key("northwind", 1).wrapped))


def test_r54_an_unusable_kms_key_is_said_as_such(aws: Aws) -> None:
    cipher = KmsTokenCipher(aws.clients.kms, "alias/nobody")
    with pytest.raises(KeyUnavailable, match="encryption key"):
        cipher.new_key("northwind", 1)


def test_r52_the_sealed_message_commits_to_one_key_without_a_signature(aws: Aws) -> None:
    cipher = KmsTokenCipher(aws.clients.kms, aws.kms_key)
    with cipher.unlock(cipher.new_key("northwind", 1)) as box:
        sealed = box.encrypt(b"x", CONTEXT)
    version, suite = sealed[0], int.from_bytes(sealed[1:3], "big")
    assert (version, suite) == (2, 0x0478)  # AES_256_GCM_HKDF_SHA512_COMMIT_KEY
