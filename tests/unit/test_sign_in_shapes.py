"""What each kind of provider puts into an id_token, by its vendor's documents, and whom the vault takes that for.

Over the whole way from the authorization request to the claims, at a scripted server at the vendor's address.
"""

from collections.abc import Iterator
from dataclasses import dataclass, field
from types import SimpleNamespace
from typing import Any

import pytest

from chalicelib.adapters import oauth_client
from chalicelib.adapters.oauth_client import AuthlibClient
from chalicelib.adapters.openid_provider import OpenIdProvider
from chalicelib.adapters.secrets_manager import SecretsManager
from chalicelib.domain.authorization_request import AuthorizationRequest
from chalicelib.domain.errors import CloudError, CloudMisconfigured
from chalicelib.domain.secret import Secret
from chalicelib.domain.sign_in import SignInSettings
from chalicelib.domain.user import User
from tests.fakes.cloud import ACCOUNTS, CLIENT_ID, CLIENT_SECRET, parameters
from tests.fakes.misbehaviour import Answer, error
from tests.fakes.system import FakeClock
from tests.fakes.vendor import ENTRA_ISSUER, TENANT, AtVendor, Unguarded, Vendor
from tests.samples import NOW

BACK = "https://vault.example/login/callback"
VERIFIER = Secret("v" * 43)
OID, SUB = "00000000-aaaa-1111-bbbb-222222222222", ACCOUNTS["alice"]["sub"]
ALICE = "alice@contoso.com"
ENTRA = {"ver": "2.0", "tid": TENANT, "oid": OID, "preferred_username": ALICE, "name": "Alice", "email": ...}
OVERAGE = {
    "_claim_names": {"groups": "src1"},
    "_claim_sources": {"src1": {"endpoint": f"https://graph.windows.net/{TENANT}/users/{OID}/getMemberObjects"}},
}
ISSUERS = {
    "entra": ENTRA_ISSUER,
    "google": "https://accounts.google.com",
    "keycloak": "https://sso.contoso.com/realms/staff",
    "okta": "https://contoso.okta.com",
    "adfs": "https://fs.contoso.com/adfs",
    "auth0": "https://contoso.eu.auth0.com/",
    "cognito": "https://cognito-idp.eu-central-1.amazonaws.com/eu-central-1_a1B2c3D4e",
    "openid": "https://id.contoso.com",
}


@dataclass(frozen=True)
class Shape:
    """`claims` come on top of a bare id_token with a `sub`; `owned` are the names that the provider gives out."""

    id: str
    kind: str
    claims: dict[str, Any]
    name: str
    groups: set[str]
    email: str = ""
    owned: tuple[str, ...] = ()
    settings: dict[str, Any] = field(default_factory=dict)


SHAPES = [
    # learn.microsoft.com/entra/identity-platform: id-token-claims-reference, optional-claims-reference
    Shape("entra v2", "entra", ENTRA, ALICE, {f"user:{OID}"}, owned=(ALICE,)),
    Shape(
        "entra v1 names",
        "entra",
        ENTRA | {"ver": "1.0", "preferred_username": ..., "unique_name": ALICE, "upn": ALICE, "idp": ...},
        ALICE,
        {f"user:{OID}"},
        owned=(ALICE,),
        settings={"name_claim": "upn"},
    ),
    Shape(
        "entra app roles and groups",
        "entra",
        ENTRA | {"roles": ["Vault.Admin"], "groups": ["7f2c0000-0000-0000-0000-000000000001"]},
        ALICE,
        {f"user:{OID}", "role:Vault.Admin", "group:7f2c0000-0000-0000-0000-000000000001"},
        owned=(ALICE,),
    ),
    Shape(
        "entra groups by sAMAccountName",
        "entra",
        ENTRA | {"groups": ["contoso.com\\Domain Users"]},
        ALICE,
        {f"user:{OID}", "group:contoso.com\\Domain Users"},
        owned=(ALICE,),
    ),
    Shape(
        "entra verified address",
        "entra",
        ENTRA | {"email": "Alice.Adams@contoso.com", "xms_edov": True},
        ALICE,
        {f"user:{OID}", "email:alice.adams@contoso.com", "domain:contoso.com"},
        email="Alice.Adams@contoso.com",
        owned=(ALICE, "Alice.Adams@contoso.com"),
    ),
    Shape(
        "entra guest",
        "entra",
        ENTRA | {"acct": 1, "idp": "https://sts.windows.net/bbbbcccc-1111-dddd-2222-eeee3333ffff/"},
        ALICE,
        {f"user:{OID}"},
        settings={"guests": True},
    ),
    # developers.google.com/identity: openid-connect/reference, gsi/web/guides/verify-google-id-token
    Shape(
        "google workspace",
        "google",
        {"hd": "contoso.com", "email": ALICE, "email_verified": True},
        ALICE,
        {f"user:{SUB}", f"email:{ALICE}", "domain:contoso.com"},
        email=ALICE,
        owned=(ALICE,),
    ),
    Shape(
        "google private account with a company's address",
        "google",
        {"email": ALICE, "email_verified": True},
        "",
        {f"user:{SUB}"},
    ),
    Shape(
        "google gmail",
        "google",
        {"email": "alice@gmail.com", "email_verified": True},
        "alice@gmail.com",
        {f"user:{SUB}", "email:alice@gmail.com"},
        email="alice@gmail.com",
        owned=("alice@gmail.com",),
    ),
    # keycloak.org server_admin: token role mappings; the mapper "groups" gives full paths
    Shape(
        "keycloak realm and client roles",
        "keycloak",
        {
            "preferred_username": "alice",
            "email": ...,
            "realm_access": {"roles": ["offline_access", "vault-user"]},
            "resource_access": {CLIENT_ID: {"roles": ["vault-admin"]}, "account": {"roles": ["manage-account"]}},
            "groups": ["/staff/scan"],
        },
        "alice",
        {f"user:{SUB}", "role:offline_access", "role:vault-user", "role:vault-admin", "group:/staff/scan"},
        owned=("alice",),
    ),
    Shape(
        "keycloak address of its own domain",
        "keycloak",
        {"preferred_username": "alice", "email": ALICE, "email_verified": True},
        "alice",
        {f"user:{SUB}", f"email:{ALICE}", "domain:contoso.com"},
        email=ALICE,
        owned=("alice", ALICE),
        settings={"domains": ["Contoso.com"]},
    ),
    # The guide customize-tokens-groups-claim at developer.okta.com
    Shape(
        "okta groups",
        "okta",
        {"preferred_username": ALICE, "email": ALICE, "email_verified": True, "groups": ["Everyone", "Vault Admins"]},
        ALICE,
        {f"user:{SUB}", f"email:{ALICE}", "domain:contoso.com", "group:Everyone", "group:Vault Admins"},
        email=ALICE,
    ),
    # learn.microsoft.com MS-OIDCE id_token; custom-id-tokens-in-ad-fs
    Shape(
        "ad fs one group",
        "adfs",
        {"unique_name": "CONTOSO\\alice", "upn": ALICE, "email": ..., "group": "Domain Users"},
        ALICE,
        {f"user:{SUB}", "group:Domain Users"},
        settings={"domains": ["contoso.com"]},
        owned=(ALICE,),
    ),
    Shape(
        "ad fs several groups and a role, no upn",
        "adfs",
        {"unique_name": "CONTOSO\\alice", "email": ..., "group": ["Domain Users", "Scan"], "role": "vault-admin"},
        "",
        {f"user:{SUB}", "group:Domain Users", "group:Scan", "role:vault-admin"},
    ),
    # docs.aws.amazon.com/cognito: amazon-cognito-user-pools-using-the-id-token
    Shape(
        "cognito",
        "cognito",
        {
            "cognito:username": "bf2c5a6e-1f0b-4c39-9d4f-0c9a3b3f2f10",
            "cognito:groups": ["vault-admins"],
            "cognito:roles": ["arn:aws:iam::111122223333:role/vault"],
            "email": ALICE,
            "email_verified": True,
            "token_use": "id",
        },
        ALICE,
        {f"user:{SUB}", f"email:{ALICE}", "domain:contoso.com", "group:vault-admins"},
        email=ALICE,
    ),
    Shape(
        "cognito whose userinfo has texts for truths",
        "cognito",
        {"cognito:groups": ["a"], "email": ALICE, "email_verified": "true"},
        ALICE,
        {f"user:{SUB}", f"email:{ALICE}", "domain:contoso.com", "group:a"},
        email=ALICE,
    ),
    # auth0.com/docs: create-custom-claims
    Shape(
        "auth0 namespaced claims",
        "auth0",
        {"nickname": "bob", "email": ALICE, "email_verified": True, "https://example.com/roles": ["vault-admin"]},
        ALICE,
        {f"user:{SUB}", f"email:{ALICE}", "domain:contoso.com", "role:vault-admin"},
        email=ALICE,
        settings={"roles_claims": ["https://example.com/roles"]},
    ),
    # What else there is
    Shape(
        "a list of objects",
        "openid",
        {"preferred_username": "alice", "email": ..., "teams": [{"id": 1, "name": "Scan"}, {"name": "Mail"}, "loose"]},
        "alice",
        {f"user:{SUB}", "group:Scan", "group:Mail"},
        settings={"groups_claims": ["teams.name"]},
    ),
    Shape(
        "a text with blanks between the values",
        "openid",
        {"preferred_username": "alice", "email": ..., "roles": "reader  vault-admin", "groups": ["Domain Users"]},
        "alice",
        {f"user:{SUB}", "role:reader", "role:vault-admin", "group:Domain Users"},
        settings={"split_at_blanks": True},
    ),
    Shape(
        "shapes that nobody documents",
        "openid",
        {
            "preferred_username": "alice",
            "email": ...,
            "groups": [["a"], {"b": 1}, 7, None, "", "a\nb"],
            "roles": {"a": 1},
        },
        "alice",
        {f"user:{SUB}"},
    ),
]


class Trip:
    """One provider as the settings describe it, and the way of one person there and back."""

    def __init__(self, kind: str, **settings: Any) -> None:
        self.clock, self.secret = FakeClock(NOW), CLIENT_SECRET
        self.vendor = Vendor(ISSUERS[kind], redirect_uri=BACK, now=self.clock.now)
        allowed = {"allowed": ["user:somebody"]} if kind == "google" else {}
        described = {"issuer": ISSUERS[kind], "kind": kind, "client_id": CLIENT_ID, "client_secret": "sign-in"}
        self.settings = SignInSettings.from_mapping({**described, **allowed, **settings})
        manager: Any = SimpleNamespace(get_secret_value=lambda SecretId: {"SecretString": self.secret})  # noqa: N803
        aws: Any = SimpleNamespace(secrets_manager=manager)
        self.provider = OpenIdProvider(
            self.settings, SecretsManager(aws), AuthlibClient(self.clock, Unguarded()), self.clock
        )

    @property
    def request(self) -> AuthorizationRequest:
        scopes = self.settings.scopes_to_ask
        return AuthorizationRequest(
            "b" * 64, "c" * 64, "-", "sign-in", 0, self.provider.server(), CLIENT_ID, scopes, BACK, "nonce", b"", NOW
        )

    def url(self, *, anew: bool = False) -> str:
        return self.provider.authorization_url(self.request, state="state", code_verifier=VERIFIER.reveal(), anew=anew)

    def claims(self, claims: dict[str, Any]) -> dict[str, Any]:
        self.vendor.id_token_claims = claims
        code = parameters(self.vendor.consent(self.url(), "alice"))["code"]
        return dict(self.provider.identity(self.request, code=code, code_verifier=VERIFIER).claims)

    def user(self, claims: dict[str, Any]) -> User:
        return self.settings.user(self.claims(claims))


@pytest.fixture
def at_vendors(monkeypatch: pytest.MonkeyPatch) -> Iterator[Any]:
    """Trips to vendors' real addresses."""
    made: list[Trip] = []

    def trip(kind: str, **settings: Any) -> Trip:
        made.append(Trip(kind, **settings))
        monkeypatch.setattr(oauth_client, "CloudTransport", lambda *_: AtVendor(made[-1].vendor))
        return made[-1]

    yield trip
    for one in made:
        one.vendor.close()


@pytest.mark.parametrize("shape", SHAPES, ids=lambda shape: shape.id)
def test_r91_each_shape_of_claims_names_the_person_the_groups_and_whose_the_names_are(
    at_vendors: Any, shape: Shape
) -> None:
    user = at_vendors(shape.kind, **shape.settings).user(shape.claims)
    assert user.login_name == (shape.name or user.id)
    assert (user.email, user.also_called) == (shape.email, shape.owned)
    assert user.groups == shape.groups


class TestMoreGroupsThanATokenNames:
    """Entra ID beyond 200 groups (id-token-claims-reference); POST /me/getMemberObjects of Microsoft Graph v1.0."""

    ASKED = ("POST https://graph.microsoft.com/v1.0/me/getMemberObjects", {"securityEnabledOnly": False})

    def test_graph_is_asked_with_the_persons_own_token_and_the_claimed_address_never(self, at_vendors: Any) -> None:
        trip = at_vendors("entra", graph_host="graph.microsoft.com")
        trip.vendor.graph = lambda: Answer.json({"@odata.context": "…", "value": ["7f2c", "8a1b"]})
        assert parameters(trip.url())["scope"].split()[-1] == "https://graph.microsoft.com/User.Read"
        claims = trip.claims(ENTRA | OVERAGE)
        assert trip.settings.groups(claims) == {f"user:{OID}", "group:7f2c", "group:8a1b"}
        assert not trip.settings.lacks_groups(claims)
        assert trip.vendor.posted == [self.ASKED]

    def test_hasgroups_means_the_same(self, at_vendors: Any) -> None:
        trip = at_vendors("entra", graph_host="graph.microsoft.com")
        trip.vendor.graph = lambda: Answer.json({"value": ["7f2c"]})
        assert "group:7f2c" in trip.settings.groups(trip.claims(ENTRA | {"hasgroups": True}))

    @pytest.mark.parametrize(
        "claims", [ENTRA | {"groups": ["7f2c"]}, ENTRA, ENTRA | {"_claim_names": {"other": "src1"}}]
    )
    def test_who_has_few_groups_is_not_asked_about(self, at_vendors: Any, claims: dict[str, Any]) -> None:
        trip = at_vendors("entra", graph_host="graph.microsoft.com")
        assert not trip.settings.lacks_groups(trip.claims(claims))
        assert trip.vendor.posted == []

    def test_without_the_setting_nobody_is_asked_and_the_groups_are_missing(self, at_vendors: Any) -> None:
        trip = at_vendors("entra")
        claims = trip.claims(ENTRA | OVERAGE | {"roles": ["Vault.Admin"]})
        assert "User.Read" not in trip.url()
        assert trip.vendor.posted == []
        assert trip.settings.lacks_groups(claims)
        assert trip.settings.groups(claims) == {f"user:{OID}", "role:Vault.Admin"}

    @pytest.mark.parametrize(
        "answer",
        [
            Answer.json({"error": {"code": "Authorization_RequestDenied", "message": "Insufficient privileges"}}, 403),
            Answer.json({"error": {"code": "Directory_ResultSizeLimitExceeded", "message": "…"}}, 400),
            Answer.json({"value": "7f2c"}),
            Answer(503),
            Answer(200, b"<html>"),
        ],
        ids=["not permitted", "beyond 11,000", "no list", "down", "no JSON"],
    )
    def test_what_graph_does_not_say_keeps_nobody_out_and_is_told(
        self, at_vendors: Any, answer: Answer, caplog: pytest.LogCaptureFixture
    ) -> None:
        trip = at_vendors("entra", graph_host="graph.microsoft.com")
        trip.vendor.graph = lambda: answer
        claims = trip.claims(ENTRA | OVERAGE)
        assert trip.settings.lacks_groups(claims)
        assert trip.user(ENTRA | OVERAGE).id == f"{TENANT}.{OID}"
        assert answer.body == b'{"value": "7f2c"}' or "sign_in.groups_unread" in caplog.text
        assert not any(token in caplog.text for token in trip.vendor.issued())


class TestProvingAnew:
    @pytest.mark.parametrize("kind", sorted(ISSUERS.keys() - {"google"}))
    def test_r35_the_provider_is_asked_to_let_the_person_sign_in_again(self, at_vendors: Any, kind: str) -> None:
        trip = at_vendors(kind)
        assert parameters(trip.url(anew=True)).items() >= {"prompt": "login", "max_age": "300"}.items()
        assert "prompt" not in parameters(trip.url())

    def test_r35_google_is_asked_for_what_it_knows(self, at_vendors: Any) -> None:
        """`prompt=login` does not exist there: none, consent, select_account (openid-connect/reference)."""
        trip = at_vendors("google")
        asked = parameters(trip.url(anew=True))
        assert asked["prompt"] == "select_account"
        assert "max_age" not in asked
        assert "Sign out at accounts.google.com" in trip.settings.preset.before_again

    @pytest.mark.parametrize(
        ("allowed", "hosted"),
        [(["domain:contoso.com"], "contoso.com"), (["domain:contoso.com", "email:bob@gmail.com"], None)],
    )
    def test_google_offers_the_accounts_of_the_one_domain_that_may_sign_in(
        self, at_vendors: Any, allowed: list[str], hosted: str | None
    ) -> None:
        trip = at_vendors("google", allowed=allowed)
        assert [parameters(trip.url(anew=anew)).get("hd") for anew in (False, True)] == [hosted, hosted]


class TestAClientSecretThatWasReplaced:
    def test_it_is_read_anew_once_and_the_code_still_works(self, at_vendors: Any) -> None:
        trip = at_vendors("openid")
        trip.claims({})
        trip.vendor.client_secret = trip.secret = "the-next-one"
        assert trip.claims({})["sub"] == SUB
        assert trip.vendor.requests["/token"] == 3
        assert trip.claims({})["sub"] == SUB
        assert trip.vendor.requests["/token"] == 4

    def test_a_secret_that_is_wrong_is_tried_once(self, at_vendors: Any) -> None:
        trip = at_vendors("openid")
        trip.vendor.client_secret = "another"
        with pytest.raises(CloudMisconfigured):
            trip.claims({})
        assert trip.vendor.requests["/token"] == 1

    def test_no_other_refusal_makes_it_read_anew(self, at_vendors: Any) -> None:
        trip = at_vendors("openid")
        trip.claims({})
        trip.secret = "the-next-one"
        trip.vendor.misbehave("/token", error("unauthorized_client"))
        with pytest.raises(CloudError):
            trip.claims({})
        assert trip.vendor.requests["/token"] == 2
