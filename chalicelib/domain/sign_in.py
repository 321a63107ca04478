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
from .text import clean, is_clean
from .user import User

_TENANT = re.compile(r"https://[^/?#]+/([0-9a-f]{8}(?:-[0-9a-f]{4}){3}-[0-9a-f]{12})/v2\.0\Z")
_UUID = re.compile(r"[0-9a-f]{8}(-[0-9a-f]{4}){3}-[0-9a-f]{12}\Z")
_MAX_TEXT = 320
_MAX_GROUPS = 500
"""More would not fit into a session; Entra ID itself names 200 at most."""
_MOVED_SECONDS = 60
"""How far the provider's clock may differ from ours."""


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
    WRONG_ANSWER = "wrong_answer"
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
    """The trip to the OpenID provider brought nobody; `problem` says why."""

    code = "sign_in_failed"

    def __init__(self, problem: SignInProblem, name: str, *, detail: str = "") -> None:
        self.problem = problem
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
        require(is_tenant, "issuer", "must be https://login.microsoftonline.com/<id of the tenant>/v2.0")
        require("openid" in self.scopes, "scopes", "must have openid, or there is no id_token")
        require(self.allowed_days >= 0, "allowed_days", "must be 0 or more")
        for key in ("allowed", "administrators"):
            groups = getattr(self, key)
            require(all(map(is_claimed_group, groups)), key, "must be of the form group:<value> or role:<value>")

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
        is_verified = claims.get("email_verified") is True or claims.get("xms_edov") in (True, 1, "1", "true")
        email = _text(claims, "email") if is_verified else ""
        login_name = _text(claims, self.name_claim) or email or user_id
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

    def check_anew(self, claims: Mapping[str, Any], since: int) -> None:
        """Raise SignInFailed unless the person typed a password, or the like, after `since` (R35).

        The parameters that ask for it pass through the browser; only `auth_time` proves it (OpenID Connect Core 2).
        """
        at = claims.get("auth_time")
        if not isinstance(at, int | float) or not at >= since - _MOVED_SECONDS:  # NaN is no proof
            detail = "auth_time: missing" if at is None else "auth_time: too old"
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


def _shown(claims: Mapping[str, Any], name: str) -> str:
    r"""A claim for display only, cleaned; empty where it looks like a name of a directory (`DOMAIN\user`)."""
    value = claims.get(name)
    return clean(value) if isinstance(value, str) and "\\" not in value else ""


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
