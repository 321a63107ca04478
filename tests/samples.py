"""Ordinary values to start a test from; a test changes what it is about with `dataclasses.replace`."""

from chalicelib.domain.audit import Actor
from chalicelib.domain.authorization_request import AuthorizationRequest
from chalicelib.domain.authorization_server import AuthorizationServer
from chalicelib.domain.client_application import AccessRule, ClientApplication, SubjectMode, Whose
from chalicelib.domain.grant import Grant, GrantState, Revocation
from chalicelib.domain.provider import Provider, ProviderKey
from chalicelib.domain.secret import Secret
from chalicelib.domain.session import Session
from chalicelib.domain.token_set import CloudAccount, TokenSet
from chalicelib.domain.user import User

NOW = 1_800_000_000
ADMINISTRATORS = "S-1-5-21-1-2-3-1601"
ALICE = User("S-1-5-21-1-2-3-1101", "CONTOSO\\alice", "Alice Adams", "alice@contoso.example", frozenset({"S-1-5-32"}))
BOB = User("S-1-5-21-1-2-3-1102", "CONTOSO\\bob", "Bob Brown", "bob@contoso.example")
ADMIN = User("S-1-5-21-1-2-3-1103", "CONTOSO\\admin", "Adele Admin", groups=frozenset({ADMINISTRATORS}))
ADMINISTRATOR = Actor(ADMIN.id, ADMIN.login_name)
ACCOUNT = CloudAccount("cloud-alice", "alice@contoso.example")
OTHER_ACCOUNT = CloudAccount("cloud-alice2", "alice.personal@mail.example")
SERVER = AuthorizationServer(
    issuer="https://cloud.example",
    authorization_endpoint="https://cloud.example/authorize",
    token_endpoint="https://cloud.example/token",
    jwks_uri="https://cloud.example/jwks",
    revocation_endpoint="https://cloud.example/revoke",
)
SESSION = Session("a" * 64, ALICE, NOW, NOW, NOW, "Firefox on Windows")
PROVIDER = Provider(
    "northwind", "openid-connect", "Northwind Cloud", "vault", b"encrypted", SERVER, ("openid", "email")
)
KEY = ProviderKey("northwind", 1, b"northwind/1/wrapped")
REQUEST = AuthorizationRequest(
    state_hash="b" * 64,
    flow_hash="c" * 64,
    user_id=ALICE.id,
    provider_id="northwind",
    generation=1,
    server=SERVER,
    client_id="vault",
    scopes=("openid", "email"),
    redirect_uri="https://vault.example/oauth/callback/northwind",
    nonce="nonce",
    code_verifier=b"encrypted",
    created_at=NOW,
)
GRANT = Grant(
    user_id=ALICE.id,
    user_name=ALICE.login_name,
    provider_id="northwind",
    generation=1,
    version=1,
    state=GrantState.ACTIVE,
    account=ACCOUNT,
    scopes=("openid", "email"),
    expires_at=NOW + 3600,
    authorized_at=NOW,
    state_at=NOW,
    token_set=b"encrypted",
)
REVOCATION = Revocation("rev1", ALICE.id, "northwind", 1, 1, ACCOUNT, b"encrypted", NOW, NOW + 60)
TOKENS = TokenSet(Secret("access-token"), Secret("refresh-token"), NOW + 3600, ("openid", "email"))
RULE = AccessRule("northwind", ("openid", "email"), Whose(everybody=True))
APPLICATION = ClientApplication("scanner", "Scan server", SubjectMode.SELF_ASSERTED, NOW, rules=(RULE,))
