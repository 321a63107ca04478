"""Forged, foreign and stale id_tokens (R45)."""

import base64
import hashlib
import hmac
import json
from contextlib import suppress
from dataclasses import replace
from functools import cache
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st
from joserfc import jwt
from joserfc.errors import SecurityWarning
from joserfc.jwk import ECKey, Key, OctKey, OKPKey, RSAKey

from chalicelib.adapters.id_token import IdTokenVerifier
from chalicelib.domain.errors import CloudAnswerForged, CloudAnswerInvalid, CloudClockDiffers, CloudUnavailable
from tests.fakes.cloud import signing_key
from tests.fakes.system import FakeClock
from tests.samples import NOW, REQUEST, SERVER

CLAIMS = {
    "iss": SERVER.issuer,
    "aud": REQUEST.client_id,
    "sub": "cloud-alice",
    "nonce": REQUEST.nonce,
    "iat": NOW,
    "exp": NOW + 300,
}


@cache
def other_key() -> RSAKey:
    return RSAKey.generate_key(2048, {"kid": "k1", "use": "sig"})


class Jwks:
    """The server's keys, and how often they were asked for."""

    def __init__(self, *keys: Key) -> None:
        self.keys = keys or (signing_key(),)
        self.fetches: list[str] = []

    def __call__(self, url: str) -> dict[str, Any]:
        self.fetches.append(url)
        return {"keys": [key.as_dict(private=False) for key in self.keys]}


def signed(claims: dict[str, Any] | None = None, key: Key | bytes | None = None, **header: Any) -> str:
    """An id_token with some claims changed (`...`: left out) and some header fields added."""
    values = {name: value for name, value in (CLAIMS | (claims or {})).items() if value is not ...}
    fields = {name: value for name, value in ({"alg": "RS256", "kid": "k1"} | header).items() if value is not ...}
    key = key or signing_key()
    # Signed by hand: a library refuses to write headers and claims that no honest server writes
    signing_input = f"{_encoded(json.dumps(fields).encode())}.{_encoded(json.dumps(values).encode())}"
    if isinstance(key, bytes):
        signature = hmac.new(key, signing_input.encode(), hashlib.sha256).digest()
    else:
        signature = jwt.JWSRegistry.algorithms[str(fields["alg"])].sign(signing_input.encode(), key)
    return f"{signing_input}.{_encoded(signature)}"


def _encoded(octets: bytes) -> str:
    return base64.urlsafe_b64encode(octets).rstrip(b"=").decode()


def verify(
    id_token: object, jwks: Jwks | None = None, *, at: int = NOW, algorithms: tuple[str, ...] = ("RS256",)
) -> dict[str, Any]:
    request = replace(REQUEST, server=replace(SERVER, id_token_algorithms=algorithms))
    return IdTokenVerifier(FakeClock(at)).verify(id_token, request, jwks or Jwks())


def refuse(id_token: object, why: str, jwks: Jwks | None = None, **options: Any) -> None:
    with pytest.raises(CloudAnswerInvalid) as refused:
        verify(id_token, jwks, **options)
    assert refused.value.detail == f"id_token: {why}"


def test_a_good_one_gives_its_claims() -> None:
    jwks = Jwks()
    assert verify(signed(), jwks) == CLAIMS
    assert jwks.fetches == [SERVER.jwks_uri]


@pytest.mark.parametrize(
    ("algorithm", "key"),
    [
        ("PS256", signing_key()),
        ("ES256", ECKey.generate_key("P-256", {"kid": "k1"})),
        ("Ed25519", OKPKey.generate_key("Ed25519", {"kid": "k1"})),
    ],
)
def test_verifies_other_public_key_signatures(algorithm: str, key: Key) -> None:
    if isinstance(key, RSAKey):
        key = RSAKey.import_key(key.as_pem(private=True), {"kid": "k1"})
    assert verify(signed(key=key, alg=algorithm), Jwks(key), algorithms=("RS256", algorithm)) == CLAIMS


# Signature


def test_r45_id_token_signed_with_another_key_is_refused() -> None:
    refuse(signed(key=other_key()), "bad_signature")


def test_r45_id_token_with_changed_claims_is_refused() -> None:
    header, _, signature = signed().split(".")
    changed = _encoded(json.dumps(CLAIMS | {"sub": "cloud-bob"}).encode())
    refuse(f"{header}.{changed}.{signature}", "bad_signature")


def test_r45_id_token_without_a_signature_is_refused() -> None:
    header, payload, _ = signed(alg="none").split(".")
    for algorithms in (("RS256",), ("none",), ()):
        refuse(f"{header}.{payload}.", "unsupported_algorithm", algorithms=algorithms)


def test_r45_id_token_signed_with_the_public_key_as_hmac_is_refused() -> None:
    public_key = signing_key()
    for form in (public_key.as_pem(private=False), public_key.as_der(private=False)):
        refuse(signed(key=form, alg="HS256"), "signed with HS256, which the vault does not take here")
        refuse(signed(key=form, alg="RS256"), "bad_signature")


@pytest.mark.parametrize("algorithms", [("HS256",), ("RS256", "HS256"), ()])
def test_r45_a_symmetric_signature_is_refused_even_when_the_server_announces_it(algorithms: tuple[str, ...]) -> None:
    secret = OctKey.generate_key(256, {"kid": "k1"})
    why = "signed with HS256, which the vault does not take here"
    refuse(signed(key=secret.raw_value, alg="HS256"), why, Jwks(secret), algorithms=algorithms)


def test_r45_an_algorithm_the_server_did_not_announce_is_refused() -> None:
    refuse(signed(alg="RS512"), "signed with RS512, which the vault does not take here")


def test_one_that_is_encrypted_is_said_to_be_so() -> None:
    refuse("a.b.c.d.e", "encrypted, where it must be signed alone")


def test_one_key_that_is_there_twice_is_one_key() -> None:
    assert verify(signed(), Jwks(signing_key(), signing_key())) == CLAIMS


@pytest.mark.parametrize(("issuer", "is_taken"), [("https://accounts.google.com", True), (SERVER.issuer, False)])
def test_google_may_leave_out_the_scheme_of_its_issuer(issuer: str, is_taken: bool) -> None:
    request = replace(REQUEST, server=replace(SERVER, issuer=issuer, id_token_algorithms=("RS256",)))
    token = signed({"iss": "accounts.google.com"})
    if is_taken:
        assert IdTokenVerifier(FakeClock(NOW)).verify(token, request, Jwks())["iss"] == "accounts.google.com"
    else:
        with pytest.raises(CloudAnswerInvalid):
            IdTokenVerifier(FakeClock(NOW)).verify(token, request, Jwks())


def test_r45_a_key_for_another_algorithm_is_refused() -> None:
    refuse(signed(alg="PS256"), "no such key", algorithms=("RS256", "PS256"))  # the key says RS256


def test_r45_a_key_for_encryption_is_refused() -> None:
    key = RSAKey.import_key(signing_key().as_pem(private=True), {"kid": "k1", "use": "enc"})
    refuse(signed(), "no such key", Jwks(key))


def test_r45_a_short_rsa_key_is_refused() -> None:
    with pytest.warns(SecurityWarning):
        key = RSAKey.generate_key(1024, {"kid": "k1"})
    with pytest.warns(SecurityWarning):
        refuse(signed(key=key), "no such key", Jwks(key))


# Header


@pytest.mark.parametrize(
    "header",
    [
        {"jwk": ECKey.generate_key("P-256").as_dict(private=False)},
        {"jku": "https://evil.example/jwks"},
        {"x5u": "https://evil.example/certificate"},
    ],
)
def test_r45_a_key_named_by_the_id_token_itself_is_refused(header: dict[str, Any]) -> None:
    refuse(signed(**header), "a header that is not allowed")
    refuse(signed(key=other_key(), **header), "a header that is not allowed")


@pytest.mark.parametrize(
    ("header", "why"),
    [
        ({"crit": ["exp"], "exp": 1}, "unsupported_header"),
        ({"crit": ["kid"]}, "a header that is not allowed"),
        ({"crit": ["b64"], "b64": True}, "a header that is not allowed"),
        ({"crit": ["b64"], "b64": False}, "a header that is not allowed"),
        ({"b64": False}, "missing_crit_header"),
        ({"crit": "kid"}, "missing_crit_header"),
    ],
)
def test_r45_a_critical_header_is_refused(header: dict[str, Any], why: str) -> None:
    refuse(signed(**header), why)


def test_a_harmless_header_of_the_servers_own_is_accepted() -> None:
    assert verify(signed(typ="JWT", x5t="dGh1bWI", **{"pi.atm": "1"})) == CLAIMS


# Claims


@pytest.mark.parametrize(
    ("claims", "why"),
    [
        ({"iss": "https://evil.example"}, "invalid_claim"),
        ({"iss": f"{SERVER.issuer}/"}, "invalid_claim"),
        ({"iss": [SERVER.issuer]}, "invalid_claim"),
        ({"iss": ...}, "missing_claim"),
        ({"aud": "another-client"}, "invalid_claim"),
        ({"aud": []}, "invalid_claim"),
        ({"aud": ["another-client"], "azp": "vault"}, "invalid_claim"),
        ({"aud": ...}, "missing_claim"),
        ({"aud": ["vault", "another-client"]}, "azp"),
        ({"aud": ["vault", "another-client"], "azp": "another-client"}, "azp"),
        ({"azp": "another-client"}, "azp"),
        ({"azp": None}, "azp"),
        ({"nonce": "of-another-trip"}, "nonce"),
        ({"nonce": [REQUEST.nonce]}, "nonce"),
        ({"nonce": ...}, "nonce"),
        ({"exp": NOW - 300}, "expired_token"),
        ({"exp": str(NOW + 300)}, "invalid_claim"),
        ({"exp": True}, "invalid_claim"),
        ({"exp": float("nan")}, "invalid_claim"),
        ({"exp": ...}, "missing_claim"),
        ({"iat": NOW + 301}, "invalid_claim"),
        ({"iat": 1 << 2000, "exp": 1 << 2001}, "invalid_claim"),
        ({"iat": ...}, "missing_claim"),
        ({"nbf": NOW + 301}, "invalid_claim"),
        ({"sub": ""}, "invalid_claim"),
        ({"sub": 7}, "invalid_claim"),
        ({"sub": ...}, "missing_claim"),
        ({"sub": "x" * 256}, "sub"),
    ],
    ids=str,
)
def test_r45_wrong_claims_are_refused(claims: dict[str, Any], why: str) -> None:
    refuse(signed(claims), why)


@pytest.mark.parametrize(
    "claims",
    [
        {"exp": NOW - 299},
        {"iat": NOW + 300, "exp": NOW + 600},
        {"iat": NOW + 300, "nbf": NOW + 300, "exp": NOW + 600},
        {"aud": ["vault"]},
        {"aud": ["vault", "another-client"], "azp": "vault"},
        {"sub": "x" * 255},
    ],
    ids=str,
)
def test_what_the_standard_allows_is_accepted(claims: dict[str, Any]) -> None:
    assert verify(signed(claims)) == CLAIMS | claims


@pytest.mark.parametrize("ahead", [301, 3600, -601])
def test_a_token_of_a_clock_that_differs_by_more_is_told_from_a_forged_one(ahead: int) -> None:
    there = NOW + ahead
    with pytest.raises(CloudClockDiffers) as refused:
        verify(signed({"iat": there, "nbf": there, "exp": there + 300}))
    assert f"the server's clock is {ahead} s ahead of ours" in refused.value.detail


def test_a_header_with_a_certificate_chain_is_read() -> None:
    chain = ["MIIC" + "A" * 2000] * 3
    assert verify(signed(x5c=chain, x5t="x" * 27)) == CLAIMS
    refuse(signed(x5c=["A" * 20_000]), "exceeded_size")


# What is no id_token at all


@pytest.mark.parametrize("nothing", [None, 7, ["a.b.c"], {"a": 1}])
def test_r45_a_missing_id_token_is_refused(nothing: object) -> None:
    refuse(nothing, "missing")


@pytest.mark.parametrize(
    "text",
    [
        *("", "x", "a.b", "a.b.c.d", "a.b.c.d.e", "é.b.c", "\ud800.b.c", "." * 200_000),
        *(f"{_encoded(header)}.e30.x" for header in (b"null", b'["alg"]', b'{"alg":["RS256"]}', b'{"alg":null}')),
    ],
    ids=range(12),
)
def test_r45_a_malformed_id_token_is_refused(text: str) -> None:
    with pytest.raises(CloudAnswerInvalid):
        verify(text)


@pytest.mark.parametrize("payload", [b"[]", b"x", b'"sub"', b"\xff", b"[" * 90_000])
def test_r45_a_signed_payload_that_is_no_object_is_refused(payload: bytes) -> None:
    header = _encoded(json.dumps({"alg": "RS256", "kid": "k1"}).encode())
    signing_input = f"{header}.{_encoded(payload)}"
    signature = jwt.JWSRegistry.algorithms["RS256"].sign(signing_input.encode(), signing_key())
    with pytest.raises(CloudAnswerInvalid):
        verify(f"{signing_input}.{_encoded(signature)}")


_JSON = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats() | st.text(max_size=8),
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(st.text(max_size=8), inner, max_size=3),
    max_leaves=6,
)


@given(st.dictionaries(st.sampled_from([*CLAIMS, "azp", "nbf", "jti"]), _JSON, min_size=1))
def test_r45_no_claim_makes_it_fail_in_another_way(claims: dict[str, Any]) -> None:
    with suppress(CloudAnswerInvalid):
        assert verify(signed(claims)).items() >= {"iss": SERVER.issuer, "nonce": REQUEST.nonce}.items()


@given(st.dictionaries(st.sampled_from(["kid", "typ", "x5t", "crit", "b64", "jwk", "cty"]), _JSON, min_size=1))
def test_r45_no_header_makes_it_fail_in_another_way(header: dict[str, Any]) -> None:
    with suppress(CloudAnswerInvalid):
        assert verify(signed(**header)) == CLAIMS


# The server's keys


class TestKeys:
    def test_are_kept_for_an_hour(self) -> None:
        clock, jwks = FakeClock(NOW), Jwks()
        verifier = IdTokenVerifier(clock)
        for seconds, fetches in ((0, 1), (3599, 1), (1, 2)):
            clock.advance(seconds)
            now = {"iat": clock.now(), "exp": clock.now() + 300}
            verifier.verify(signed(now), REQUEST, jwks)
            assert len(jwks.fetches) == fetches

    def test_a_new_kid_is_looked_up_once_more_at_once_and_then_once_a_minute(self) -> None:
        clock, jwks = FakeClock(NOW), Jwks()
        verifier = IdTokenVerifier(clock)
        verifier.verify(signed(), REQUEST, jwks)
        clock.advance(1)
        second = RSAKey.import_key(other_key().as_pem(private=True), {"kid": "k2"})
        third = RSAKey.import_key(other_key().as_pem(private=True), {"kid": "k3"})
        jwks.keys = (signing_key(), second)
        assert verifier.verify(signed(key=second, kid="k2"), REQUEST, jwks) == CLAIMS
        assert len(jwks.fetches) == 2
        jwks.keys = (signing_key(), second, third)
        for seconds in (0, 59):
            clock.advance(seconds)
            with pytest.raises(CloudAnswerForged):
                verifier.verify(signed(key=third, kid="k3"), REQUEST, jwks)
        assert len(jwks.fetches) == 2
        clock.advance(1)
        assert verifier.verify(signed(key=third, kid="k3"), REQUEST, jwks) == CLAIMS
        assert len(jwks.fetches) == 3

    def test_that_are_known_go_on_for_a_day_where_they_cannot_be_fetched(self) -> None:
        clock, jwks, tries = FakeClock(NOW), Jwks(), []
        verifier = IdTokenVerifier(clock)
        verifier.verify(signed(), REQUEST, jwks)

        def away(url: str) -> dict[str, Any]:
            tries.append(url)
            raise CloudUnavailable

        def now() -> dict[str, int]:
            return {"iat": clock.now(), "exp": clock.now() + 300}

        clock.advance(3600)
        for _ in range(2):
            assert verifier.verify(signed(now()), REQUEST, away)["sub"] == "cloud-alice"
        assert len(tries) == 1, "not asked again with each token"
        with pytest.raises(CloudUnavailable):
            verifier.verify(signed(now(), key=other_key(), kid="k2"), REQUEST, away)
        clock.advance(23 * 3600)
        with pytest.raises(CloudUnavailable):
            verifier.verify(signed(now()), REQUEST, away)

    def test_of_one_server_do_not_sign_for_another(self) -> None:
        verifier = IdTokenVerifier(FakeClock(NOW))
        verifier.verify(signed(), REQUEST, Jwks())
        elsewhere = replace(REQUEST, server=replace(SERVER, jwks_uri="https://other.example/jwks"))
        with pytest.raises(CloudAnswerInvalid):
            verifier.verify(signed(), elsewhere, Jwks(other_key()))

    def test_without_a_kid_only_one_may_fit(self) -> None:
        second = RSAKey.import_key(other_key().as_pem(private=True), {"kid": "k2"})
        elliptic = ECKey.generate_key("P-256", {"kid": "k3"})
        assert verify(signed(kid=...), Jwks(signing_key(), elliptic)) == CLAIMS
        refuse(signed(kid=...), "no such key", Jwks(signing_key(), second))

    def test_with_the_same_kid_twice_are_refused(self) -> None:
        refuse(signed(), "no such key", Jwks(signing_key(), other_key()))

    def test_that_are_unusable_are_passed_over(self) -> None:
        def fetch(_: str) -> dict[str, Any]:
            odd = [7, {}, {"kty": "ML-DSA"}, {"kty": "RSA", "n": "*", "e": 1}, {"kty": "EC", "crv": "P-999"}]
            return {"keys": [*odd, signing_key().as_dict(private=False)]}

        assert IdTokenVerifier(FakeClock(NOW)).verify(signed(), REQUEST, fetch) == CLAIMS

    @pytest.mark.parametrize("document", [{}, {"keys": "k1"}, {"keys": {"kid": "k1"}}])
    def test_that_are_no_list_are_refused(self, document: dict[str, Any]) -> None:
        with pytest.raises(CloudAnswerInvalid) as refused:
            IdTokenVerifier(FakeClock(NOW)).verify(signed(), REQUEST, lambda _: document)
        assert refused.value.detail == "jwks: no keys"

    def test_that_cannot_be_fetched_are_no_forgery(self) -> None:
        def fetch(_: str) -> dict[str, Any]:
            raise CloudUnavailable

        with pytest.raises(CloudUnavailable):
            IdTokenVerifier(FakeClock(NOW)).verify(signed(), REQUEST, fetch)
