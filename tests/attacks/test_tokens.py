"""Forged JWTs of applications and clouds: none opens anything, none is an error of ours."""

import json
from dataclasses import replace
from types import SimpleNamespace
from typing import Any

import pytest
from cryptography.hazmat.primitives.asymmetric import ec, rsa

from chalicelib.adapters.id_token import IdTokenVerifier
from chalicelib.domain.errors import CloudAnswerInvalid
from tests.fakes.cloud import CLIENT_ID
from tests.fakes.misbehaviour import edit
from tests.functional.client import BASE, going_to
from tests.functional.conftest import NORTHWIND, Running
from tests.functional.test_token import Api
from tests.samples import NOW, REQUEST

from .forgery import by_ec, by_rsa, critical, encoded, forgeries, malleated, public_octets, token

REFUSED = {
    "client_assertion": (401, "invalid_client", "invalid_client"),
    "subject_token": (400, "invalid_request", "invalid_subject"),
}


@pytest.fixture
def api(running: Running) -> Api:
    return Api(running)


def claims_of(name: str) -> dict[str, Any]:
    claims = {"iss": "scanner", "aud": BASE, "iat": NOW, "exp": NOW + 30}
    own = {
        "client_assertion": {"sub": "scanner", "jti": "1"},
        "subject_token": {"sub": "CONTOSO\\alice", "reason": "x"},
    }
    return claims | own[name]


class TestApplications:
    @pytest.mark.parametrize("name", REFUSED)
    def test_r73_no_forged_jwt_of_an_application_passes(self, api: Api, name: str) -> None:
        key, claims = api.application.key, claims_of(name)
        own = ec.generate_private_key(ec.SECP256R1())
        own_jwk = {"kty": "EC", "crv": "P-256", "x": "AA", "y": "AA", "kid": "mine"}
        genuine = api.application.signed(claims)
        key_texts = public_octets(key.public_key, key.as_dict(private=False))
        made = forgeries(claims, {"alg": "ES256", "kid": "k1"}, genuine, [*key_texts], (own_jwk, by_ec(own)))
        for what, forged in made:
            assert api.refuse(**{name: forged}) == REFUSED[name], what
        assert {line["tag"] for line in api.ledger()} == {"token.refused"}
        assert "access_token" in api.fetch(**{name: genuine})

    @pytest.mark.parametrize("name", REFUSED)
    def test_r73_a_true_signature_over_a_header_that_means_something_else_is_refused(self, api: Api, name: str) -> None:
        sign = by_ec(api.application.key.private_key)
        for header in critical({"alg": "ES256", "kid": "k1"}):
            assert api.refuse(**{name: token(header, claims_of(name), sign)}) == REFUSED[name], header

    def test_r73_another_spelling_of_a_used_assertion_is_still_used(self, api: Api) -> None:
        """The other signature of ECDSA, and base64 with bits that mean nothing."""
        genuine = api.application.assertion()
        assert api.send(api.application.form("CONTOSO\\alice", NORTHWIND, client_assertion=genuine))[0] == 200
        head, body, signature = genuine.split(".")
        others = (malleated(genuine), f"{head}.{body}.{signature}==", f"{head}=.{body}.{signature}")
        for other in others:
            status, answer = api.send(api.application.form("CONTOSO\\alice", NORTHWIND, client_assertion=other))
            assert (status, answer["reason"]) in ((401, "replayed"), (401, "invalid_client"))
        assert [line["tag"] for line in api.ledger()].count("token.released") == 1

    def test_r73_claims_of_every_wrong_type_are_refused(self, api: Api) -> None:
        sign = by_ec(api.application.key.private_key)
        for name in ("iss", "sub", "aud", "exp", "iat", "jti"):
            for value in (None, [], {}, [BASE], {"a": 1}, 1.5, -1, 2**70, True, "", "x" * 3000, [[[]]]):
                claims = claims_of("client_assertion") | {name: value}
                forged = token({"alg": "ES256", "kid": "k1"}, claims, sign)
                assert api.refuse(client_assertion=forged)[0] in (400, 401), (name, value)
        assert {line["tag"] for line in api.ledger()} == {"token.refused"}

    def test_r73_numbers_that_are_none_are_refused(self, api: Api) -> None:
        """JSON of Python reads NaN and Infinity, and compares them with nothing."""
        sign = by_ec(api.application.key.private_key)
        for name in ("exp", "iat", "nbf"):
            for value in ("NaN", "Infinity", "-Infinity", "1e999", "1" * 4000):
                body = json.dumps(claims_of("client_assertion") | {name: 0}).replace(
                    f'"{name}": 0', f'"{name}": {value}'
                )
                forged = token({"alg": "ES256", "kid": "k1"}, body.encode(), sign)
                assert api.refuse(client_assertion=forged) == REFUSED["client_assertion"], (name, value)


class TestClouds:
    def tried(self, running: Running, id_token: str) -> bool:
        """Whether an authorization came of a token answer with this id_token."""
        browser = running.browser("alice")
        going = going_to(browser.press(browser.get("/providers"), "Authorize"))
        running.cloud.misbehave("/token", edit(id_token=id_token))
        page = browser.get(running.callback(running.cloud.consent(going)))
        assert page.status == 200
        assert "notice=" in page.url
        return bool([item for item in running.aws.items("vault") if item["sk"]["S"].startswith("GRANT#")])

    def test_r45_no_forged_id_token_passes(self, running: Running, monkeypatch: pytest.MonkeyPatch) -> None:
        """All say the right nonce, so that only the forgery can be what is refused; some go the whole way."""
        # Of this service alone: every trip is in a session of its own
        monkeypatch.setattr(running.vault.consent, "_random", SimpleNamespace(token=lambda *_: "n" * 43))
        key, cloud = running.cloud.key, running.cloud
        claims = {"iss": cloud.issuer, "aud": CLIENT_ID, "sub": "cloud-bob", "nonce": "n" * 43}
        claims |= {"iat": NOW, "exp": NOW + 300, "email": "bob@contoso.example"}
        own = rsa.generate_private_key(65537, 2048)
        modulus = own.public_key().public_numbers().n.to_bytes(256, "big")
        foreign = {"kty": "RSA", "e": "AQAB", "n": encoded(modulus), "kid": "mine"}, by_rsa(own)
        honest = {"alg": "RS256", "kid": key.kid}
        genuine = token(honest, claims, by_rsa(key.private_key))
        key_texts = public_octets(key.public_key, key.as_dict(private=False))
        made = [forged for _, forged in forgeries(claims, honest, genuine, [*key_texts], foreign)]
        made += [token(header, claims, by_rsa(key.private_key)) for header in critical(honest)]
        request = replace(REQUEST, nonce="n" * 43, server=cloud.server, client_id=CLIENT_ID)
        verifier = IdTokenVerifier(running.clock)
        for forged in made:
            with pytest.raises(CloudAnswerInvalid):
                verifier.verify(forged, request, lambda _: cloud.jwks)
        assert verifier.verify(genuine, request, lambda _: cloud.jwks)["sub"] == "cloud-bob"
        for forged in made[::10]:
            assert not self.tried(running, forged), forged
        assert self.tried(running, genuine)
