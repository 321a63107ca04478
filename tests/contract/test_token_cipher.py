"""What every token cipher does."""

from base64 import b64decode
from contextlib import nullcontext
from dataclasses import replace
from typing import Any

import pytest
from aws_encryption_sdk import EncryptionSDKClient
from botocore.exceptions import ClientError

from chalicelib.adapters import token_cipher
from chalicelib.adapters.token_cipher import EnvelopeBox, KeptKeys, KmsTokenCipher
from chalicelib.domain.errors import IntegrityViolation, KeyUnavailable
from chalicelib.domain.provider import ProviderKey
from chalicelib.ports import TokenCipher
from tests.aws import Aws
from tests.fakes.system import FakeClock
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


class ScriptedKms:
    """A KMS in which each key answers with its own error; the others open everything."""

    def __init__(self, **errors: str) -> None:
        self.errors, self.asked, self.moved = errors, [], []

    def decrypt(self, *, KeyId: str, **_: object) -> dict[str, bytes]:  # noqa: N803 - boto3's names
        self.asked.append(KeyId)
        if KeyId in self.errors:
            raise ClientError({"Error": {"Code": self.errors[KeyId], "Message": "no"}}, "Decrypt")
        return {"Plaintext": b"k" * 32}

    def re_encrypt(self, *, SourceKeyId: str, DestinationKeyId: str, **_: object) -> dict[str, bytes]:  # noqa: N803
        self.moved.append((SourceKeyId, DestinationKeyId))
        return {"CiphertextBlob": b"anew"}


KEY = ProviderKey("northwind", 1, b"wrapped")


@pytest.mark.parametrize("code", ["IncorrectKeyException", "AccessDeniedException"])
def test_r53_the_earlier_key_is_tried_where_the_current_one_did_not_wrap_it(code: str) -> None:
    kms = ScriptedKms(now=code)
    with KmsTokenCipher(kms, "now", "before").unlock(KEY):
        assert kms.asked == ["now", "before"]
    without = ScriptedKms(now=code)
    with pytest.raises(KeyUnavailable), KmsTokenCipher(without, "now").unlock(KEY):
        pytest.fail("unlocked without a key")
    assert without.asked == ["now"]


def test_r53_a_key_that_is_only_busy_is_no_reason_to_try_another() -> None:
    kms = ScriptedKms(now="ThrottlingException")
    cipher = KmsTokenCipher(kms, "now", "before")
    with pytest.raises(KeyUnavailable), cipher.unlock(KEY):
        pytest.fail("unlocked by the earlier key")
    with pytest.raises(KeyUnavailable):
        cipher.rewrap(KEY)
    assert (kms.asked, kms.moved) == (["now", "now"], [])


def test_r53_what_was_wrapped_anew_is_opened_before_the_old_form_is_given_up() -> None:
    kms = ScriptedKms(now="IncorrectKeyException")
    with pytest.raises(KeyUnavailable):
        KmsTokenCipher(kms, "now", "before").rewrap(KEY)
    assert (kms.asked, kms.moved) == (["now", "now"], [("before", "now")])


def test_r53_what_the_current_key_opens_is_not_moved() -> None:
    kms = ScriptedKms()
    assert KmsTokenCipher(kms, "now", "before").rewrap(KEY) is None
    assert kms.moved == []


def test_r53_without_an_earlier_key_the_same_one_is_named_twice() -> None:
    kms = ScriptedKms()
    assert KmsTokenCipher(kms, "now").rewrap(KEY) == ProviderKey("northwind", 1, b"anew")
    assert kms.moved == [("now", "now")]


@pytest.mark.parametrize("is_whole", [True, False])
def test_every_message_is_closed_and_nothing_is_logged(
    is_whole: bool, monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    """One that is left open is printed by Python 3.13 when it is forgotten; the SDK logs each that does not open."""
    box, opened = EnvelopeBox(b"k" * 32, "northwind/1"), list[Any]()
    sealed = box.encrypt(b"x", CONTEXT)
    stream = token_cipher._SDK.stream

    def remembered(**how: object) -> Any:
        opened.append(stream(**how))
        return opened[-1]

    monkeypatch.setattr(token_cipher._SDK, "stream", remembered)
    with nullcontext() if is_whole else pytest.raises(IntegrityViolation):
        assert box.decrypt(sealed if is_whole else sealed[:-1] + b"?", CONTEXT) == b"x"
    assert [one.closed for one in opened] == [True]
    assert caplog.records == []


class TestKeyCache:
    def cipher(self, kms: ScriptedKms, clock: FakeClock, seconds: int) -> KmsTokenCipher:
        return KmsTokenCipher(kms, "now", kept=KeptKeys(clock, seconds))

    def test_r55_without_a_setting_every_use_asks_kms(self) -> None:
        kms, clock = ScriptedKms(), FakeClock()
        for cipher in (KmsTokenCipher(kms, "now"), self.cipher(kms, clock, 0)):
            for _ in range(2):
                with cipher.unlock(KEY):
                    pass
            assert cipher._kept._kept == {}
        assert len(kms.asked) == 4

    def test_r55_a_kept_key_is_forgotten_after_its_seconds(self) -> None:
        kms, clock = ScriptedKms(), FakeClock()
        cipher = self.cipher(kms, clock, 300)
        for after, asked in ((0, 1), (299, 1), (1, 2), (299, 2), (1, 3)):
            clock.advance(after)
            with cipher.unlock(KEY) as box:
                assert box.decrypt(box.encrypt(b"x", CONTEXT), CONTEXT) == b"x"
            assert len(kms.asked) == asked
        clock.advance(300)
        with cipher.unlock(ProviderKey("box", 1, b"another")):
            assert list(cipher._kept._kept) == [ProviderKey("box", 1, b"another")]

    @pytest.mark.parametrize(
        "other",
        [ProviderKey("box", 1, b"wrapped"), ProviderKey("northwind", 2, b"wrapped"), replace(KEY, wrapped=b"x")],
    )
    def test_r50_r55_a_key_put_in_another_place_is_not_found_there(self, other: ProviderKey) -> None:
        kms, clock = ScriptedKms(), FakeClock()
        cipher = self.cipher(kms, clock, 300)
        with cipher.unlock(KEY):
            pass
        kms.errors["now"] = "InvalidCiphertextException"
        with pytest.raises(KeyUnavailable), cipher.unlock(other):
            pytest.fail("unlocked what KMS does not open")

    def test_r55_a_key_that_kms_did_not_open_is_not_kept(self) -> None:
        kms, clock = ScriptedKms(now="DisabledException"), FakeClock()
        cipher = self.cipher(kms, clock, 300)
        with pytest.raises(KeyUnavailable), cipher.unlock(KEY):
            pytest.fail("unlocked by a key that is disabled")
        kms.errors.clear()
        with cipher.unlock(KEY):
            assert len(kms.asked) == 2


def test_r52_a_message_with_two_data_keys_does_not_open() -> None:
    """A second data key is how one message can mean two things (CVE-2020-8897)."""
    ours, theirs = token_cipher._SingleKeyProvider(b"k" * 32), token_cipher._SingleKeyProvider(b"x" * 32)
    ours.add_master_key("northwind/1")
    theirs.add_master_key("attacker")
    box = token_cipher.EnvelopeBox(b"k" * 32, "northwind/1")
    unlimited = EncryptionSDKClient()
    arguments = {"source": b"x", "algorithm": token_cipher._SUITE, "encryption_context": CONTEXT}
    alone, _ = unlimited.encrypt(key_provider=ours, **arguments)
    assert box.decrypt(alone, CONTEXT) == b"x"
    ours.add_master_key_provider(theirs)
    both, _ = unlimited.encrypt(key_provider=ours, **arguments)
    with pytest.raises(IntegrityViolation):
        box.decrypt(both, CONTEXT)


OF_AN_EARLIER_RELEASE = b64decode(
    "AgR4CLcPu9lfk8GoTeKJ9Um7Xq5rWoZZQ+SpC6AaiRkr/GYAKgACAAtwcm92aWRlcl9pZAAJbm9ydGh3aW5kAAd1c2VyX2lkAAVhbGljZQABAAt0"
    "b2tlbi12YXVsdAAfbm9ydGh3aW5kLzEAAACAAAAADJEztXbtt288BZZOMgAwzjslZL9C4RCL7f6y2uM+O8JE9dwZFf2Al0j2sBwCL6of5NA1zSfm"
    "83TY92v+0gJKAgAAEADI8NkYyERBbwBGq4VGxUrLMKbShl+fqBqly8eUMKazLs1kIhz/yMZC8Et0r8vRFtj/////AAAAAQAAAAAAAAAAAAAAAQAA"
    "ABHO2+5SVzzI9HbK/g3tjPZs/2BvohsuNEN1NfLF3oUqHhg="
)
"""Sealed in November 2026 under the bytes 0 to 31 as the key of generation 1."""


def test_what_an_earlier_release_sealed_still_opens() -> None:
    box = EnvelopeBox(bytes(range(32)), "northwind/1")
    context = {"user_id": "alice", "provider_id": "northwind"}
    assert box.decrypt(OF_AN_EARLIER_RELEASE, context) == b"the refresh token"


def test_the_sdk_logs_no_stack_traces_of_what_does_not_open(caplog: pytest.LogCaptureFixture) -> None:
    with pytest.raises(IntegrityViolation):
        EnvelopeBox(bytes(range(32)), "northwind/2").decrypt(OF_AN_EARLIER_RELEASE, {})
    assert caplog.records == []
