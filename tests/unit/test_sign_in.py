"""Whom claims name, and which descriptions of an OpenID provider are taken."""

from contextlib import suppress
from typing import Any

import pytest

from chalicelib.domain.description import InvalidDescription
from chalicelib.domain.errors import LoginRefused
from chalicelib.domain.ids import is_person_id
from chalicelib.domain.sign_in import SignInFailed, SignInProblem, SignInSettings
from chalicelib.domain.sign_in_kinds import ProviderKind
from chalicelib.domain.text import clean

TENANT, OTHER_TENANT = "aaaabbbb-0000-cccc-1111-dddd2222eeee", "bbbbcccc-1111-dddd-2222-eeee3333ffff"
OID = "00000000-aaaa-1111-bbbb-222222222222"
ENTRA = {
    "issuer": f"https://login.microsoftonline.com/{TENANT}/v2.0",
    "client_id": "00001111-aaaa-2222-bbbb-3333cccc4444",
    "client_secret": "token-vault/sign-in",
}
OPENID = {**ENTRA, "issuer": "https://id.contoso.example", "kind": "openid", "name": "Contoso ID"}
GOOGLE = {**ENTRA, "issuer": "https://accounts.google.com", "kind": "google", "allowed": ["domain:Contoso.example"]}
CLAIMS = {"sub": "pairwise", "tid": TENANT, "oid": OID, "preferred_username": "alice@contoso.example", "name": "Alice"}


def settings(described: dict[str, Any] = ENTRA, **changed: Any) -> SignInSettings:
    return SignInSettings.from_mapping({**described, **changed})


@pytest.mark.parametrize(
    ("described", "key"),
    [
        (ENTRA | {"issuer": "https://login.microsoftonline.com/common/v2.0"}, "issuer"),
        (ENTRA | {"issuer": "https://login.microsoftonline.com/organizations/v2.0"}, "issuer"),
        (ENTRA | {"issuer": "https://login.microsoftonline.com/contoso.com/v2.0"}, "issuer"),
        (ENTRA | {"issuer": f"{ENTRA['issuer']}/"}, "issuer"),
        (OPENID | {"issuer": "id.contoso.example"}, "issuer"),
        (OPENID | {"issuer": "https://id.contoso.example?a=b"}, "issuer"),
        (ENTRA | {"client_id": " "}, "client_id"),
        ({name: value for name, value in ENTRA.items() if name != "client_secret"}, "client_secret"),
        (ENTRA | {"kind": "saml"}, "kind"),
        (ENTRA | {"scopes": ["profile"]}, "scopes"),
        (ENTRA | {"administrators": ["Vault.Admin"]}, "administrators"),
        (ENTRA | {"allowed": ["group:"]}, "allowed"),
        (ENTRA | {"allowed": "group:a"}, "allowed"),
        (ENTRA | {"tenant": TENANT}, "tenant"),
        (ENTRA | {"kind": ["entra"]}, "kind"),
        (ENTRA | {"scopes": ["openid"]}, "scopes"),
        (ENTRA | {"issuer": "https://login.microsoftonline.com/9188040d-6c67-4c5b-b112-36a304b66dad/v2.0"}, "issuer"),
        (ENTRA | {"graph_host": "graph.evil.example"}, "graph_host"),
        (ENTRA | {"graph_host": "graph.microsoft.com", "allowed": ["group:Vault Users"]}, "graph_host"),
        (ENTRA | {"graph_host": "graph.microsoft.us"}, "graph_host"),
        (OPENID | {"graph_host": "graph.microsoft.com"}, "graph_host"),
        (ENTRA | {"domains": ["@contoso.com"]}, "domains"),
        (ENTRA | {"administrators": ["mail:alice@contoso.com"]}, "administrators"),
        (GOOGLE | {"allowed": []}, "allowed"),
        (GOOGLE | {"allowed": ["group:staff"]}, "allowed"),
    ],
)
def test_a_description_that_cannot_be_meant_names_its_key(described: dict[str, Any], key: str) -> None:
    with pytest.raises(InvalidDescription) as raised:
        SignInSettings.from_mapping(described)
    assert raised.value.key == key


def test_at_entra_a_person_is_tenant_and_object_id() -> None:
    user = settings().user(CLAIMS | {"groups": ["7f2c"], "roles": ["Vault.Admin"]})
    assert user.id == f"{TENANT}.{OID}"
    assert (user.login_name, user.display_name, user.email) == ("alice@contoso.example", "Alice", "")
    assert user.groups == {"group:7f2c", "role:Vault.Admin", f"user:{OID}"}
    assert settings().user(CLAIMS | {"preferred_username": "new@contoso.example", "sub": "other"}).id == user.id


@pytest.mark.parametrize(
    "changed",
    [{"tid": OTHER_TENANT}, {"tid": None}, {"oid": ""}, {"oid": None}, {"oid": f"{OID}\n"}, {"oid": 7}],
    ids=str,
)
def test_another_tenant_or_no_object_id_is_nobody(changed: dict[str, Any]) -> None:
    with pytest.raises(LoginRefused) as raised:
        settings().user(CLAIMS | changed)
    assert raised.value.cause == "foreign_tenant"


def test_elsewhere_a_person_is_issuer_and_subject() -> None:
    one, other = settings(OPENID), settings(OPENID, issuer="https://id.fabrikam.example")
    assert one.user({"sub": "a"}).id == one.user({"sub": "a", "oid": OID, "tid": TENANT}).id
    assert len({one.user({"sub": "a"}).id, one.user({"sub": "b"}).id, other.user({"sub": "a"}).id}) == 3


@pytest.mark.parametrize("described", [ENTRA, OPENID], ids=["entra", "openid"])
def test_an_id_is_known_for_one_and_no_name_looks_like_it(described: dict[str, Any]) -> None:
    assert is_person_id(settings(described).user(CLAIMS).id)
    assert not is_person_id("openid.alice@contoso.example")


@pytest.mark.parametrize("name", ["a\nb", "x" * 321, "ali\u200bce", "alice\u202e"])
def test_r91_r96_a_name_with_what_is_not_seen_calls_nobody(name: str) -> None:
    assert settings().user(CLAIMS | {"preferred_username": name}).login_name != "alice"
    user = settings().user(CLAIMS | {"preferred_username": name, "name": name})
    assert user.login_name == user.id
    assert user.display_name == clean(name)


@pytest.mark.parametrize("name", ["CONTOSO\\", "\\alice", "a\\b\\c", "\u202e", "\n", 7, None, ["alice"], ""], ids=str)
def test_what_cannot_be_shown_is_no_name(name: object) -> None:
    user = settings().user(CLAIMS | {"preferred_username": name, "name": name})
    assert (user.login_name, user.display_name) == (user.id, user.id)


def test_r91_a_name_of_a_domain_is_shown_and_is_nobody_s_of_a_directory() -> None:
    user = settings().user(CLAIMS | {"preferred_username": "CONTOSO\\alice", "name": "CONTOSO\\alice"})
    assert (user.login_name, user.display_name, user.domain) == ("alice (CONTOSO)", "alice (CONTOSO)", "")
    assert settings(directory_id_claim="who").directory_id({"who": "CONTOSO\\alice"}) == ""


def test_a_name_that_is_a_domain_s_puts_nobody_into_its_directory() -> None:
    """The sweep would ask that directory about an id that is none of its own, and stop for everybody."""
    assert settings(OPENID).user(CLAIMS | {"preferred_username": "CONTOSO"}).domain == ""


@pytest.mark.parametrize(
    ("claims", "email"),
    [
        ({}, ""),
        ({"email_verified": True}, "alice@contoso.example"),
        ({"email_verified": "true"}, "alice@contoso.example"),
        ({"email_verified": "True"}, "alice@contoso.example"),
        ({"email_verified": "false"}, ""),
        ({"email_verified": "yes"}, ""),
        ({"email_verified": ["true"]}, ""),
        ({"email_verified": 1.0}, ""),
        ({"email_verified": False}, ""),
        ({"xms_edov": True}, "alice@contoso.example"),
        ({"xms_edov": "1"}, "alice@contoso.example"),
        ({"xms_edov": 0}, ""),
    ],
)
def test_only_a_verified_address_counts(claims: dict[str, Any], email: str) -> None:
    assert settings().user(CLAIMS | {"email": "alice@contoso.example"} | claims).email == email


def test_groups_are_taken_as_far_as_they_can_be_kept() -> None:
    many = [f"g{number}" for number in range(1000)]
    assert len(settings().groups({"groups": many})) == 500
    assert settings().lacks_groups({"groups": many})
    assert not settings().lacks_groups({"groups": many[:499]})
    assert settings().groups({"groups": "one", "roles": ["a\nb", 7, "", "b"]}) == {"group:one", "role:b"}


def test_what_decides_is_never_among_the_groups_that_are_left_out() -> None:
    many = [f"g{number}" for number in range(1000)]
    named = settings(allowed=["group:g900"], administrators=["group:g999", "role:Vault.Admin"])
    kept = named.groups(CLAIMS | {"groups": many, "roles": ["Vault.Admin", "Reader"]})
    assert kept >= {"group:g900", "group:g999", "role:Vault.Admin", "role:Reader", f"user:{OID}"}
    assert len(kept) == 500


@pytest.mark.parametrize(
    ("allowed", "claims", "may"),
    [
        ("role:Vault.User", {"roles": ["Vault.User"]}, True),
        ("role:Vault.User", {"roles": ["vault.user"]}, False),
        ("role:Vault.User", {"groups": ["Vault.User"]}, False),
        ("email:Alice@Contoso.example", {"email": "alice@contoso.EXAMPLE", "email_verified": True}, True),
        ("email:alice@contoso.example", {"email": "alice@contoso.example"}, False),
        ("email:alice@contoso.example", {"preferred_username": "alice@contoso.example"}, False),
        ("domain:Contoso.example", {"email": "alice@contoso.example", "email_verified": True}, True),
        ("domain:contoso.example", {"email": "alice@evil.contoso.example", "email_verified": True}, False),
        ("domain:contoso.example", {"email": "alice@contoso.example"}, False),
        ("domain:contoso.example", {"hd": "contoso.example"}, False),
        ("user:pairwise", {}, True),
        ("user:Pairwise", {}, False),
    ],
)
def test_who_may_come_in_is_said_by_group_role_domain_address_or_id(
    allowed: str, claims: dict[str, Any], may: bool
) -> None:
    described = settings(OPENID, allowed=[allowed])
    if may:
        described.check_allowed({"sub": "pairwise"} | claims, "me")
        return
    with pytest.raises(LoginRefused) as raised:
        described.check_allowed({"sub": "pairwise"} | claims, "me")
    assert (raised.value.cause, raised.value.user_id) == ("not_allowed", "me")


@pytest.mark.parametrize(
    ("claims", "may"),
    [
        ({"hd": "contoso.example", "email": "alice@contoso.example", "email_verified": True}, True),
        ({"hd": "CONTOSO.example"}, True),
        ({"email": "alice@contoso.example", "email_verified": True}, False),
        ({"hd": "fabrikam.example", "email": "alice@contoso.example", "email_verified": True}, False),
        ({"hd": ["contoso.example"]}, False),
        ({"hd": ""}, False),
    ],
)
def test_at_google_the_workspace_counts_and_not_what_an_address_looks_like(claims: dict[str, Any], may: bool) -> None:
    if may:
        settings(GOOGLE).check_allowed({"sub": "1"} | claims, "me")
        return
    with pytest.raises(LoginRefused):
        settings(GOOGLE).check_allowed({"sub": "1"} | claims, "me")


@pytest.mark.parametrize(
    ("claims", "is_guest"),
    [
        ({}, False),
        ({"acct": 0}, False),
        ({"acct": 1}, True),
        ({"acct": "1"}, True),
        ({"acct": None}, True),
        ({"acct": 0, "idp": "https://sts.windows.net/another/"}, False),
        ({"idp": f"https://sts.windows.net/{TENANT}/"}, False),
        ({"idp": "live.com"}, True),
        ({"idp": f"https://sts.windows.net/{OTHER_TENANT}/"}, True),
        ({"preferred_username": "alice_gmail.com#EXT#@contoso.onmicrosoft.com"}, True),
        ({"upn": "alice_gmail.com#ext#@contoso.onmicrosoft.com"}, True),
        ({"upn": "alice_gmail.com_EXT_@contoso.onmicrosoft.com"}, True),
        ({"upn": "alice_ext@contoso.onmicrosoft.com"}, False),
    ],
)
def test_guests_of_the_tenant_may_not_sign_in_unless_the_setting_says_so(
    claims: dict[str, Any], is_guest: bool
) -> None:
    settings(guests=True).check_allowed(CLAIMS | claims, "me")
    assert settings(guests=True).is_guest(CLAIMS | claims) is is_guest
    assert settings(guests=True).user(CLAIMS | claims).foreign == ((CLAIMS | claims)["preferred_username"],) * is_guest
    if is_guest:
        with pytest.raises(LoginRefused) as raised:
            settings().check_allowed(CLAIMS | claims, "me")
        assert (raised.value.cause, raised.value.user_id) == ("guest", "me")
    else:
        settings().check_allowed(CLAIMS | claims, "me")


def test_r98_who_is_in_more_groups_than_are_named_is_not_refused_for_that() -> None:
    overage = CLAIMS | {"_claim_names": {"groups": "src1"}, "roles": ["Vault.User"]}
    with pytest.raises(SignInFailed) as raised:
        settings(allowed=["group:7f2c"]).check_allowed(overage, "me")
    assert raised.value.problem is SignInProblem.TOO_MANY_GROUPS
    settings(allowed=["group:7f2c", "role:Vault.User"]).check_allowed(overage, "me")
    assert not settings(groups_claims=[]).lacks_groups(CLAIMS | {"hasgroups": True})
    with pytest.raises(LoginRefused):
        settings(allowed=["role:Vault.Admin"]).check_allowed(overage, "me")


@pytest.mark.parametrize(
    ("described", "claims", "also_called", "foreign"),
    [
        ({"domains": ["contoso.example"]}, {}, ("alice@contoso.example",), ()),
        ({"domains": ["fabrikam.example"]}, {}, (), ("alice@contoso.example",)),
        ({"domains": ["example"]}, {}, (), ("alice@contoso.example",)),
        ({}, {}, (), ()),
        ({}, {"preferred_username": "alice"}, (), ()),
        ({"kind": "keycloak"}, {"preferred_username": "alice"}, ("alice",), ()),
        ({"kind": "keycloak"}, {}, (), ()),
        ({}, {"preferred_username": "alice@ad.example"}, (), ("alice@ad.example",)),
        ({"domains": ["ad.example"]}, {"preferred_username": "alice@AD.example"}, ("alice@AD.example",), ()),
    ],
    ids=str,
)
def test_r91_a_name_is_the_providers_where_it_owns_the_domain(
    described: dict[str, Any], claims: dict[str, Any], also_called: tuple[str, ...], foreign: tuple[str, ...]
) -> None:
    user = settings(OPENID, **described).user(CLAIMS | claims, frozenset({"ad.example"}))
    assert (user.also_called, user.foreign) == (also_called, foreign)


def test_the_kind_stands_for_defaults_and_what_is_given_counts() -> None:
    assert settings().name == "Microsoft"
    keycloak = settings(OPENID | {"kind": "keycloak"}, roles_claims=["roles"])
    assert (keycloak.name, keycloak.roles_claims, keycloak.groups_claims) == ("Contoso ID", ("roles",), ("groups",))
    assert settings(GOOGLE).name_claim == "email"


ODD: tuple[object, ...] = (
    None,
    7,
    True,
    float("nan"),
    "",
    "é\u202e",
    [],
    [[[]]],
    {},
    {"a": {"roles": 1}},
    [{"name": [1]}],
)
READ = (
    "email", "email_verified", "xms_edov", "preferred_username", "upn", "name", "hd", "acct", "idp", "groups", "group",
    "roles", "role", "realm_access", "resource_access", "cognito:groups", "_claim_names", "_claim_sources", "hasgroups",
)  # fmt: skip


@pytest.mark.parametrize("kind", ProviderKind)
@pytest.mark.parametrize("odd", ODD, ids=str)
def test_claims_of_odd_types_give_no_right_and_break_nothing(kind: ProviderKind, odd: object) -> None:
    described = settings(ENTRA if kind == ProviderKind.ENTRA else GOOGLE | {"kind": kind.value})
    for claim in READ:
        claims = {"sub": "pairwise", "tid": TENANT, "oid": OID, claim: odd}
        user = described.user(claims)
        assert user.login_name
        assert {one.partition(":")[0] for one in user.groups} == {"user"}, claim
        described.lacks_groups(claims)
        with suppress(LoginRefused):
            described.check_allowed(claims, user.id)


def test_a_client_id_with_dots_is_one_name_on_the_way_to_its_roles() -> None:
    keycloak = settings(OPENID | {"kind": "keycloak"}, client_id="vault.contoso.example")
    claims = {"resource_access": {"vault.contoso.example": {"roles": ["admin"]}, "vault": {"roles": ["other"]}}}
    assert keycloak.groups(claims) == {"role:admin"}


def test_the_directory_s_id_is_read_from_the_claim_of_the_setting_alone() -> None:
    claims = {"onprem_sid": "S-1-5-21-1-2-3-1101"}
    assert settings().directory_id(claims) == ""
    assert settings(directory_id_claim="onprem_sid").directory_id(claims) == "S-1-5-21-1-2-3-1101"
    assert settings(directory_id_claim="onprem_sid").directory_id({"onprem_sid": ["S-1-5-21"]}) == ""


@pytest.mark.parametrize("ahead", [-300, -90, 0, 90, 300])
@pytest.mark.parametrize("auth_time", [10_000, 10_000.5])
def test_r35_a_time_after_the_trip_began_proves_a_new_sign_in_by_whichever_clock(auth_time: float, ahead: int) -> None:
    """The person was sent away at 10,000, has signed in there at once, and is back at 10,020."""
    claims = {"auth_time": auth_time + ahead, "iat": 10_020 + ahead}
    settings().check_anew(claims, since=10_000, now=10_020)


@pytest.mark.parametrize("ahead", [-300, -90, 0, 90, 300])
@pytest.mark.parametrize("auth_time", [9_989, float("nan"), True, None, "10000", [10_000]], ids=str)
def test_r35_nothing_else_proves_a_new_sign_in(auth_time: object, ahead: int) -> None:
    is_number = type(auth_time) in (int, float)
    claims = {"auth_time": auth_time + ahead if is_number else auth_time, "iat": 10_020 + ahead}
    with pytest.raises(SignInFailed):
        settings().check_anew(claims, since=10_000, now=10_020)


@pytest.mark.parametrize(("made_at", "oldest"), [(9_000, 9_700), (9_720, 9_700), (10_020, 9_990)])
def test_r35_a_token_that_is_dated_back_makes_no_sign_in_new_that_is_older_than_five_minutes(
    made_at: int, oldest: int
) -> None:
    settings().check_anew({"auth_time": oldest, "iat": made_at}, since=10_000, now=10_020)
    with pytest.raises(SignInFailed):
        settings().check_anew({"auth_time": oldest - 1, "iat": made_at}, since=10_000, now=10_020)


@pytest.mark.parametrize(
    ("typed", "enter"),
    [
        (f"https://login.microsoftonline.com/{TENANT.upper()}/v2.0", ENTRA["issuer"]),
        (f"{ENTRA['issuer']}/", ENTRA["issuer"]),
        (f"https://login.microsoftonline.com/{TENANT}", ENTRA["issuer"]),
        (f"https://sts.windows.net/{TENANT}/", ENTRA["issuer"]),
        (f"https://login.microsoftonline.us/{TENANT}", f"https://login.microsoftonline.us/{TENANT}/v2.0"),
        ("https://login.microsoftonline.com/common/v2.0", "https://login.microsoftonline.com/<id of the tenant>/v2.0"),
    ],
)
def test_an_issuer_that_is_refused_is_told_to_the_letter(typed: str, enter: str) -> None:
    with pytest.raises(InvalidDescription, match=f"issuer: must be {enter}$"):
        settings(issuer=typed)
    if "<" not in enter:
        settings(issuer=enter)


def test_an_administrator_approves_for_the_company_where_entra_has_a_page_for_it() -> None:
    url = settings().approval_url("https://vault.example/login/callback")
    assert url.startswith(
        f"https://login.microsoftonline.com/{TENANT}/v2.0/adminconsent?client_id={ENTRA['client_id']}"
    )
    assert "redirect_uri=https%3A%2F%2Fvault.example%2Flogin%2Fcallback" in url
    assert settings(OPENID).approval_url("https://vault.example/login/callback") == ""


@pytest.mark.parametrize("problem", SignInProblem)
def test_every_problem_has_a_sentence(problem: SignInProblem) -> None:
    message = SignInFailed(problem, "Microsoft").message
    assert message.endswith(".")
    assert "{" not in message
