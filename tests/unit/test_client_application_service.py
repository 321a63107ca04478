"""Registering, changing and stopping client applications: what is kept, refused and audited."""

import json
from dataclasses import replace

import pytest
from cryptography.hazmat.primitives.asymmetric import dsa, ec, ed25519, rsa
from joserfc.errors import SecurityWarning
from joserfc.jwk import ECKey, OctKey, OKPKey, RSAKey

from chalicelib.adapters.application_keys import PublicKeyReader
from chalicelib.domain.audit import AuditTag, Origin
from chalicelib.domain.client_application import ClientApplication
from chalicelib.domain.errors import Conflict, InvalidForm, InvalidRequest, NotFound
from chalicelib.services.client_applications import ClientApplicationService
from tests.fakes.oauth_client import FakeOAuthClient
from tests.fakes.pasted import KEY, PRIVATE_PEM, PUBLIC_PEM, certificate
from tests.fakes.stores import FakeAuditLog, FakeClientApplicationStore
from tests.fakes.system import FakeClock
from tests.samples import ADMIN, ADMINISTRATOR, APPLICATION, NOW, RULE, SERVER

ORIGIN = Origin("request-1", "127.0.0.1")
EC_KEY, RSA_KEY = ECKey.generate_key("P-256"), RSAKey.generate_key(2048)


class World:
    def __init__(self) -> None:
        self.store, self.audit_log, self.clock = FakeClientApplicationStore(), FakeAuditLog(), FakeClock()
        self.cloud = FakeOAuthClient(self.clock)
        self.service = ClientApplicationService(
            applications=self.store,
            key_reader=PublicKeyReader(),
            oauth_client=self.cloud,
            audit_log=self.audit_log,
            clock=self.clock,
        )
        self.registered = self.service.register(APPLICATION, ADMINISTRATOR, ORIGIN)

    def add_jwks(self, *keys: object) -> ClientApplication:
        application = self.store.get("scanner")
        return self.service.add_keys(application, json.dumps({"keys": list(keys)}), ADMINISTRATOR, ORIGIN)

    def add_certificate(self, pem: str) -> ClientApplication:
        return self.service.add_keys(self.store.get("scanner"), pem, ADMINISTRATOR, ORIGIN)


@pytest.fixture
def world() -> World:
    return World()


def public(key: object, **more: str) -> dict[str, str]:
    return {**key.as_dict(private=False), **more}  # type: ignore[attr-defined]


class TestRegistration:
    def test_r67_every_change_is_an_audit_event(self, world: World) -> None:
        with_key = world.add_jwks(public(EC_KEY, kid="k1"))
        without = world.service.remove_key(with_key, "k1", ADMINISTRATOR, ORIGIN)
        ruled = world.service.set_rules(without, [RULE, RULE], ADMINISTRATOR, ORIGIN)
        renamed = world.service.change(replace(ruled, name="New name"), ADMINISTRATOR, ORIGIN)
        world.service.delete(renamed, ADMINISTRATOR, ORIGIN)
        assert {(event.actor, event.actor_name) for event in world.audit_log.events} == {(ADMIN.id, ADMIN.login_name)}
        assert [(event.tag, event.facts) for event in world.audit_log.events] == [
            (AuditTag.CLIENT_REGISTERED, {"client": "scanner"}),
            (AuditTag.CLIENT_KEYS_CHANGED, {"client": "scanner", "added": "k1"}),
            (AuditTag.CLIENT_KEYS_CHANGED, {"client": "scanner", "removed": "k1"}),
            (AuditTag.CLIENT_RULES_CHANGED, {"client": "scanner", "rules": "2", "providers": "northwind"}),
            (
                AuditTag.CLIENT_CHANGED,
                {"client": "scanner", "name": "New name", "subject_mode": "self_asserted"},
            ),
            (AuditTag.CLIENT_DELETED, {"client": "scanner", "name": "New name"}),
        ]

    def test_an_id_is_given_once(self, world: World) -> None:
        with pytest.raises(InvalidForm):
            world.service.register(replace(APPLICATION, name="another"), ADMINISTRATOR, ORIGIN)
        with pytest.raises(InvalidRequest):
            world.service.register(replace(APPLICATION, id="no good"), ADMINISTRATOR, ORIGIN)
        assert world.service.all() == [world.registered]

    def test_a_change_of_what_somebody_else_changed_is_told(self, world: World) -> None:
        world.service.set_rules(world.registered, [], ADMINISTRATOR, ORIGIN)
        with pytest.raises(Conflict):
            world.service.set_rules(world.registered, [RULE], ADMINISTRATOR, ORIGIN)
        assert world.service.get("scanner").rules == ()

    def test_a_name_is_given_once(self, world: World) -> None:
        other = replace(APPLICATION, id="other", name="SCAN server")
        with pytest.raises(InvalidForm) as refusal:
            world.service.register(other, ADMINISTRATOR, ORIGIN)
        assert set(refusal.value.problems) == {"name"}
        registered = world.service.register(replace(other, name="Other"), ADMINISTRATOR, ORIGIN)
        with pytest.raises(InvalidForm):
            world.service.change(replace(registered, name="scan server"), ADMINISTRATOR, ORIGIN)
        world.service.change(replace(registered, name="OTHER"), ADMINISTRATOR, ORIGIN)

    def test_what_somebody_else_changed_is_not_deleted(self, world: World) -> None:
        world.service.set_rules(world.registered, [], ADMINISTRATOR, ORIGIN)
        with pytest.raises(Conflict):
            world.service.delete(world.registered, ADMINISTRATOR, ORIGIN)
        assert world.service.all() != []

    def test_a_key_that_is_not_there_cannot_be_removed(self, world: World) -> None:
        with pytest.raises(NotFound):
            world.service.remove_key(world.registered, "k1", ADMINISTRATOR, ORIGIN)
        assert [event.tag for event in world.audit_log.events] == [AuditTag.CLIENT_REGISTERED]


class TestTrustedIssuer:
    def test_its_keys_are_found_by_discovery(self, world: World) -> None:
        world.cloud.servers["https://idp.example"] = SERVER
        assert world.service.jwks_uri_of("https://idp.example") == SERVER.jwks_uri

    @pytest.mark.parametrize("issuer", ["", "https://nobody.example", "https://keyless.example", "x" * 600])
    def test_without_keys_it_is_refused_beside_the_field(self, world: World, issuer: str) -> None:
        world.cloud.servers["https://keyless.example"] = replace(SERVER, jwks_uri=None)
        with pytest.raises(InvalidForm) as refusal:
            world.service.jwks_uri_of(issuer)
        assert set(refusal.value.problems) == {"issuer"}

    def test_r103_its_keys_may_not_be_just_anywhere(self, world: World) -> None:
        world.cloud.servers["https://idp.example"] = replace(SERVER, jwks_uri="ftp://idp.example/keys")
        with pytest.raises(InvalidForm) as refusal:
            world.service.jwks_uri_of("https://idp.example")
        assert set(refusal.value.problems) == {"issuer"}


class TestPastedKeys:
    @pytest.mark.parametrize(
        "text",
        [PRIVATE_PEM, f"{certificate(KEY)}\n{PRIVATE_PEM}", json.dumps(EC_KEY.as_dict(private=True))],
        ids=["a", "b", "c"],
    )
    def test_r73_a_private_key_is_refused_in_so_many_words(self, world: World, text: str) -> None:
        with pytest.raises(InvalidForm, match="private key") as refusal:
            world.service.add_keys(world.registered, text, ADMINISTRATOR, ORIGIN)
        assert set(refusal.value.problems) == {"keys"}
        assert world.service.get("scanner") == world.registered

    def test_a_shared_secret_is_named_as_such(self, world: World) -> None:
        with pytest.raises(InvalidForm, match="shared secret"):
            world.add_jwks(OctKey.generate_key(256).as_dict())

    @pytest.mark.parametrize("text", [PUBLIC_PEM, " "], ids=["a bare key", "nothing"])
    def test_what_is_neither_certificate_nor_jwks_is_refused(self, world: World, text: str) -> None:
        with pytest.raises(InvalidForm):
            world.service.add_keys(world.registered, text, ADMINISTRATOR, ORIGIN)

    def test_nothing_pasted_is_no_key(self, world: World) -> None:
        assert world.service.keys_of(" \n") == ()


class TestJwks:
    @pytest.mark.parametrize(
        ("key", "algorithm"),
        [
            (public(EC_KEY), "ES256"),
            (public(ECKey.generate_key("P-384")), "ES384"),
            (public(RSA_KEY), "RS256"),
            (public(RSA_KEY, alg="PS256", use="sig"), "PS256"),
            (public(OKPKey.generate_key("Ed25519")), "Ed25519"),
        ],
    )
    def test_the_algorithm_is_pinned_with_the_key(self, world: World, key: dict[str, str], algorithm: str) -> None:
        (kept,) = world.add_jwks({**key, "kid": "k1", "x5c": "ignored"}).keys
        assert (kept.id, kept.algorithm, kept.added_at, kept.expires_at) == ("k1", algorithm, NOW, None)
        assert set(kept.jwk) <= {"kty", "crv", "x", "y", "n", "e"}

    def test_a_key_without_an_id_gets_its_thumbprint(self, world: World) -> None:
        key = public(EC_KEY)
        key.pop("kid", None)
        assert world.add_jwks(key).keys[0].id == EC_KEY.thumbprint()

    @pytest.mark.parametrize(
        "key",
        [
            EC_KEY.as_dict(private=True),
            RSA_KEY.as_dict(private=True),
            OctKey.generate_key(256).as_dict(),
            public(ECKey.generate_key("secp256k1")),
            public(OKPKey.generate_key("X25519")),
            public(RSA_KEY, alg="HS256"),
            public(RSA_KEY, alg="none"),
            public(EC_KEY, alg="RS256"),
            public(EC_KEY, use="enc"),
            public(EC_KEY, kid="a\nb"),
            public(EC_KEY, kid='"; import os #'),
            public(EC_KEY, kid="$(id)"),
            public(EC_KEY, kid="x" * 129),
            {"kty": "EC", "crv": "P-256", "x": "AA", "y": "AA"},
            {"kty": "RSA"},
            {"kty": {"kty": "oct"}},
            {"kty": ["RSA"]},
            "a string",
            None,
        ],
    )
    def test_r73_a_key_that_proves_nothing_is_refused(self, world: World, key: object) -> None:
        with pytest.raises(InvalidRequest):
            world.add_jwks(key)
        assert world.service.get("scanner") == world.registered

    @pytest.mark.parametrize(
        "text", ["", "[]", "{}", "null", '{"keys": []}', '{"keys": 1}', "[" * 50_000, "x" * 70_000]
    )
    def test_what_is_no_jwks_is_refused(self, world: World, text: str) -> None:
        with pytest.raises(InvalidRequest):
            world.service.add_keys(world.registered, text, ADMINISTRATOR, ORIGIN)

    def test_keys_overlap_and_the_old_one_is_removed_later(self, world: World) -> None:
        world.add_jwks(public(EC_KEY, kid="old"))
        both = world.add_jwks(public(RSA_KEY, kid="new"))
        assert [key.id for key in both.usable_keys(NOW)] == ["old", "new"]
        assert [key.id for key in world.service.remove_key(both, "old", ADMINISTRATOR, ORIGIN).keys] == ["new"]


class TestCertificate:
    @pytest.mark.parametrize(
        ("key", "algorithm"),
        [
            (rsa.generate_private_key(65537, 2048), "RS256"),
            (ec.generate_private_key(ec.SECP256R1()), "ES256"),
            (ed25519.Ed25519PrivateKey.generate(), "Ed25519"),
        ],
    )
    def test_its_key_is_good_as_long_as_the_certificate(self, world: World, key: object, algorithm: str) -> None:
        pem = certificate(key)
        (kept,) = world.add_certificate(pem).keys
        assert (kept.algorithm, kept.expires_at) == (algorithm, NOW + 30 * 24 * 3600)
        assert len(kept.id) == 43
        assert not kept.is_usable(NOW + 30 * 24 * 3600)

    @pytest.mark.parametrize(
        "pem",
        [
            certificate(rsa.generate_private_key(65537, 2048), days=-1),
            certificate(dsa.generate_private_key(2048)),
            "-----BEGIN CERTIFICATE-----\nAAAA\n-----END CERTIFICATE-----\n",
            "",
            "é",
            "x" * 70_000,
        ],
    )
    def test_r73_a_certificate_that_proves_nothing_is_refused(self, world: World, pem: str) -> None:
        with pytest.raises(InvalidRequest):
            world.add_certificate(pem)

    def test_r73_a_short_rsa_key_is_refused(self, world: World) -> None:
        with pytest.warns(SecurityWarning), pytest.raises(InvalidRequest):
            world.add_certificate(certificate(rsa.generate_private_key(65537, 1024)))  # noqa: S505 - what is to be refused
        with pytest.warns(SecurityWarning), pytest.raises(InvalidRequest):
            world.add_jwks(public(RSAKey.generate_key(1024)))
