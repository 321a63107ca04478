"""Signing in at an OpenID provider, beside the directory or instead of it: what is asked there, and who came back."""

import re
from collections.abc import Mapping
from dataclasses import dataclass
from enum import StrEnum
from hashlib import sha256
from typing import Any, Self
from urllib.parse import urlsplit

from .description import from_mapping, require, setting
from .directory import is_claimed_group
from .errors import DirectoryUnavailable, LoginRefused, VaultError
from .provider_type import approval_url
from .text import clean, is_clean
from .user import User

_TENANT = re.compile(r"https://[^/?#]+/([0-9a-f]{8}(?:-[0-9a-f]{4}){3}-[0-9a-f]{12})/v2\.0\Z")
_ANY_TENANT = re.compile(r"[0-9a-f]{8}(-[0-9a-f]{4}){3}-[0-9a-f]{12}", re.IGNORECASE)
_UUID = re.compile(r"[0-9a-f]{8}(-[0-9a-f]{4}){3}-[0-9a-f]{12}\Z")
_MAX_TEXT = 320
_MAX_GROUPS = 500
"""More would not fit into a session; Entra ID itself names 200 at most."""
_CLOCK_SECONDS = 5 * 60
"""How far the provider's clock may be behind ours, as with Kerberos (RFC 4120 8.2)."""
_SLACK_SECONDS = 10
"""Whole seconds, and several servers behind one name."""


class ProviderKind(StrEnum):
    """Which claims identify people."""

    ENTRA = "entra"
    OPENID = "openid"


class SignInProblem(StrEnum):
    """Why nobody was signed in, although no one was refused."""

    NOT_OURS = "not_ours"
    DENIED = "denied"
    UNAVAILABLE = "unavailable"
    MISCONFIGURED = "misconfigured"
    NOT_ASSIGNED = "not_assigned"
    NOT_A_MEMBER = "not_a_member"
    ACCOUNT_CLOSED = "account_closed"
    DEVICE_REFUSED = "device_refused"
    REFUSED_BY_RULES = "refused_by_rules"
    SECOND_FACTOR = "second_factor"
    APPROVAL_NEEDED = "approval_needed"
    INTERACTION_NEEDED = "interaction_needed"
    CLOCKS_DIFFER = "clocks_differ"
    UNUSABLE_ANSWER = "unusable_answer"
    WRONG_ANSWER = "wrong_answer"
    """Of another server or trip, or wrongly signed. All else that goes wrong has a reason of its own."""
    NOT_ANEW = "not_anew"
    ANOTHER_PERSON = "another_person"
    REFUSED = "refused"
    NO_DIRECTORY = "no_directory"


_SENTENCES = {
    SignInProblem.NOT_OURS: "This sign-in is over, or was started in another browser. Please try again.",
    SignInProblem.DENIED: "{name} did not sign you in. Please try again, or contact your administrator.",
    SignInProblem.UNAVAILABLE: "{name} cannot be reached at the moment. Please try again in a minute.",
    SignInProblem.MISCONFIGURED: (
        "Signing in with {name} is not set up correctly. Please contact your administrator; the log says what is wrong."
    ),
    SignInProblem.NOT_ASSIGNED: (
        "Your account at {name} is not assigned to this application. Please ask your administrator to assign it."
    ),
    SignInProblem.NOT_A_MEMBER: (
        "The account that you used at {name} belongs to another company. Please try again with your work account."
    ),
    SignInProblem.ACCOUNT_CLOSED: (
        "Your account at {name} is locked or disabled, or its password has expired. Please contact your administrator."
    ),
    SignInProblem.DEVICE_REFUSED: (
        "Your company's rules at {name} refuse this device. Please use one of your company, or contact your "
        "administrator."
    ),
    SignInProblem.REFUSED_BY_RULES: (
        "Your company's rules at {name} refuse this sign-in, for example from where you are. Please contact your "
        "administrator."
    ),
    SignInProblem.SECOND_FACTOR: (
        "{name} asks for a second factor and did not get one. Please try again. If you have none, set one up there."
    ),
    SignInProblem.APPROVAL_NEEDED: (
        "An administrator must first approve this application at {name}. Please contact your administrator."
    ),
    SignInProblem.INTERACTION_NEEDED: (
        "{name} has to ask you something before you can go on. Please try again and answer it there."
    ),
    SignInProblem.CLOCKS_DIFFER: (
        "The clocks of {name} and of this application differ by more than five minutes, so nobody was signed in. "
        "Please contact your administrator."
    ),
    SignInProblem.UNUSABLE_ANSWER: (
        "{name} gave an answer that cannot be used. Please try again, or contact your administrator."
    ),
    SignInProblem.WRONG_ANSWER: (
        "What {name} answered cannot be trusted, so nobody was signed in. Please contact your administrator."
    ),
    SignInProblem.NOT_ANEW: (
        "{name} did not say that you have just signed in again. Please try again, or contact your administrator."
    ),
    SignInProblem.ANOTHER_PERSON: "You have signed in with {name} as somebody else. You are still who you were here.",
    SignInProblem.REFUSED: "Your account may not be used here any more. Please contact your administrator.",
    SignInProblem.NO_DIRECTORY: DirectoryUnavailable.message,
}


class SignInFailed(VaultError):
    """The trip to the OpenID provider brought nobody; `problem` says why.

    `provider_code` is what a help desk can look up, fit to be shown. `approval_url`: where an administrator approves
    the vault, if that is what is missing.
    """

    code = "sign_in_failed"

    def __init__(
        self, problem: SignInProblem, name: str, *, detail: str = "", provider_code: str = "", approval_url: str = ""
    ) -> None:
        self.problem = problem
        self.provider_code = provider_code
        self.approval_url = approval_url
        super().__init__(_SENTENCES[problem].format(name=name), detail=detail or problem.value)


@dataclass(frozen=True, slots=True, kw_only=True)
class SignInSettings:
    """What `VAULT_SIGN_IN` says of the OpenID provider. Only this one issuer is ever believed."""

    issuer: str = setting(
        "The issuer, as its discovery document has it. For Entra ID "
        "`https://login.microsoftonline.com/<tenant id>/v2.0`: one tenant by its id, never `common`."
    )
    client_id: str = setting("Client id (Entra ID: application id) under which the vault is registered there.")
    client_secret: str = setting("Name or ARN of the secret in Secrets Manager that holds the client secret.")
    kind: str = setting("`entra` for Entra ID, `openid` for any other OpenID provider.", ProviderKind.ENTRA.value)
    name: str = setting("What people know it by: the button says “Sign in with …”.", "Microsoft")
    scopes: tuple[str, ...] = setting("Scopes to ask for; `openid` is a must.", ("openid", "profile", "email"))
    name_claim: str = setting(
        "Claim with the user name that is shown and that applications may call people by. Never one that people can "
        "choose themselves.",
        "preferred_username",
    )
    directory_id_claim: str = setting(
        "Claim with the id that a person has in one of the directories: `onprem_sid` for Entra ID with synchronised "
        "accounts. Who has it is the same user as at the log-in with a password: the directory is asked who that is, "
        "and its groups count instead of the claims'. Needs a directory with a service account. Empty: nobody is.",
        "",
    )
    allowed: tuple[str, ...] = setting(
        "Who may use the vault, as `group:<value>` or `role:<value>` of the claims `groups` and `roles`. None: "
        "everybody whom the provider signs in.",
        (),
    )
    allowed_days: int = setting(
        "For how many days after a sign-in, and the end of its sessions, `allowed` counts as it was then; afterwards "
        "no application gets a token until the person signs in again. 0: until the next sign-in, whenever that is.",
        0,
    )
    administrators: tuple[str, ...] = setting("Who administrates the vault, in the same form. None: nobody does.", ())

    @classmethod
    def from_mapping(cls, described: Mapping[str, Any]) -> Self:
        """Read one description. Raises InvalidDescription for the first key that is unknown, missing or wrong."""
        return from_mapping(cls, described)

    def __post_init__(self) -> None:
        for key in ("issuer", "client_id", "client_secret", "name", "name_claim"):
            require(bool(getattr(self, key).strip()), key, "is empty")
        require(self.kind in set(ProviderKind), "kind", "is neither entra nor openid")
        url = urlsplit(self.issuer)
        is_url = url.scheme in ("https", "http") and bool(url.hostname) and not (url.query or url.fragment)
        require(is_url, "issuer", "is no URL of an issuer")
        is_tenant = self.kind != ProviderKind.ENTRA or bool(_TENANT.match(self.issuer))
        require(is_tenant, "issuer", f"must be {_entra_issuer(self.issuer)}")
        require("openid" in self.scopes, "scopes", "must have openid, or there is no id_token")
        require(self.allowed_days >= 0, "allowed_days", "must be 0 or more")
        for key in ("allowed", "administrators"):
            groups = getattr(self, key)
            require(all(map(is_claimed_group, groups)), key, "must be of the form group:<value> or role:<value>")

    def approval_url(self, redirect_uri: str) -> str:
        """Where an administrator approves the vault for the company; empty where no such page is known."""
        if self.kind != ProviderKind.ENTRA:
            return ""
        return approval_url(
            f"{self.issuer}/adminconsent", client_id=self.client_id, scopes=self.scopes, redirect_uri=redirect_uri
        )

    def directory_id(self, claims: Mapping[str, Any]) -> str:
        """The id in a directory, where the settings trust a claim for it; else empty."""
        return _text(claims, self.directory_id_claim) if self.directory_id_claim else ""

    def user(self, claims: Mapping[str, Any]) -> User:
        """Who the verified claims say this is. Raises LoginRefused.

        The id is made of what the provider never gives to anybody else: tenant and `oid` at Entra ID, elsewhere issuer
        and `sub` (OpenID Connect Core 5.7). Names and addresses are for display.
        """
        user_id = self._id(claims)
        # An address counts only where the provider has verified it: applications may name people by it
        is_verified = _is_true(claims.get("email_verified")) or _is_true(claims.get("xms_edov"))
        email = _text(claims, "email") if is_verified else ""
        login_name = _name(claims, self.name_claim) or email or user_id
        return User(
            id=user_id,
            login_name=login_name,
            display_name=_shown(claims, "name") or login_name,
            email=email,
            groups=self.groups(claims),
        )

    def groups(self, claims: Mapping[str, Any]) -> frozenset[str]:
        """Groups and app roles of the claims, named so that none can be taken for a group of a directory."""
        named = [f"group:{one}" for one in _texts(claims, "groups")] + [
            f"role:{one}" for one in _texts(claims, "roles")
        ]
        return frozenset(named[:_MAX_GROUPS])

    def check_allowed(self, claims: Mapping[str, Any], user_id: str) -> None:
        """Raise LoginRefused unless who has these claims may use the vault; `user_id` is who is out from now on."""
        if self.allowed and self.groups(claims).isdisjoint(self.allowed):
            refusal = LoginRefused(
                "not_allowed",
                f"You have signed in with {self.name}, but you may not use this application. "
                "Please contact your administrator.",
            )
            refusal.user_id = user_id
            raise refusal

    def check_anew(self, claims: Mapping[str, Any], since: int, now: int) -> None:
        """Raise SignInFailed unless the person typed a password, or the like, after `since` (R35).

        The parameters that ask for it pass through the browser; only `auth_time` proves it (OpenID Connect Core 2).
        It is by the provider's clock, and so is `iat`, the moment in which the token was made, which is now.
        """
        at, made_at = claims.get("auth_time"), claims["iat"]
        ahead = max(made_at - now, _SLACK_SECONDS - _CLOCK_SECONDS)
        if not isinstance(at, int | float) or not at >= since + ahead - _SLACK_SECONDS:  # NaN is no proof
            detail = "auth_time: missing" if at is None else f"auth_time: too old, by a clock {ahead} s ahead of ours"
            raise SignInFailed(SignInProblem.NOT_ANEW, self.name, detail=detail)

    def _id(self, claims: Mapping[str, Any]) -> str:
        tenant = _TENANT.match(self.issuer)
        if self.kind == ProviderKind.ENTRA and tenant:
            oid = _text(claims, "oid").lower()
            if claims.get("tid") != tenant[1] or not _UUID.match(oid):
                raise LoginRefused("foreign_tenant", _SENTENCES[SignInProblem.WRONG_ANSWER].format(name=self.name))
            return f"{tenant[1]}.{oid}"
        digest = sha256(f"{self.issuer}\n{claims['sub']}".encode()).hexdigest()
        return f"openid.{digest[:40]}"


def _entra_issuer(typed: str) -> str:
    """What to enter instead, to the letter where the id of a tenant can be seen in what was typed."""
    tenant, url = _ANY_TENANT.search(typed), urlsplit(typed)
    if not tenant or not url.hostname:
        return "https://login.microsoftonline.com/<id of the tenant>/v2.0"
    host = "login.microsoftonline.com" if url.hostname == "sts.windows.net" else url.hostname
    return f"https://{host}/{tenant[0].lower()}/v2.0"


def _shown(claims: Mapping[str, Any], name: str) -> str:
    """A claim for display only, cleaned."""
    value = claims.get(name)
    return clean(_not_of_a_directory(value)) if isinstance(value, str) else ""


def _name(claims: Mapping[str, Any], name: str) -> str:
    """A claim that people are called by; empty where a part is not seen."""
    value = claims.get(name)
    return _text({name: _not_of_a_directory(value)}, name) if isinstance(value, str) else ""


def _not_of_a_directory(value: str) -> str:
    r"""`DOMAIN\user` as `user (DOMAIN)`, which is a name and is nobody's of a directory; empty for what is neither."""
    domain, backslash, user = map(str.strip, value.partition("\\"))
    if not backslash:
        return value
    return f"{user} ({domain})" if domain and user and "\\" not in user else ""


def _is_true(value: object) -> bool:
    """Some providers send it as text."""
    return isinstance(value, bool | int | str) and str(value).casefold() in ("true", "1")


def _text(claims: Mapping[str, Any], name: str) -> str:
    r"""A claim that people are called by; empty where a part is not seen, or it looks like `DOMAIN\user`."""
    value = claims.get(name)
    if not isinstance(value, str) or len(value) > _MAX_TEXT or not is_clean(value) or "\\" in value:
        return ""
    return value.strip()


def _texts(claims: Mapping[str, Any], name: str) -> list[str]:
    value = claims.get(name)
    values = value if isinstance(value, list) else [value]
    return [one for one in values if isinstance(one, str) and 0 < len(one) <= _MAX_TEXT and one.isprintable()]
