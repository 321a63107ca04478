"""Signing in at an OpenID provider, beside the directory or instead of it: what is asked there, and who came back."""

import re
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from enum import StrEnum
from hashlib import sha256
from itertools import islice
from typing import Any, Self
from urllib.parse import urlsplit

from .claims import domain_of, id_at, is_true_at, name_at, shown_at, text_at, values_at
from .description import from_mapping, require, setting
from .directory import group_key, is_claimed_group
from .errors import DirectoryUnavailable, LoginRefused, VaultError
from .provider_type import approval_url
from .sign_in_kinds import PRESETS, Preset, ProviderKind
from .user import User

_TENANT = re.compile(r"https://[^/?#]+/([0-9a-f]{8}(?:-[0-9a-f]{4}){3}-[0-9a-f]{12})/v2\.0\Z")
_ANY_TENANT = re.compile(r"[0-9a-f]{8}(-[0-9a-f]{4}){3}-[0-9a-f]{12}", re.IGNORECASE)
_UUID = re.compile(r"[0-9a-f]{8}(-[0-9a-f]{4}){3}-[0-9a-f]{12}\Z")
_DOMAIN = re.compile(r"[^@\s]+\Z")
_PERSONAL_TENANT = "9188040d-6c67-4c5b-b112-36a304b66dad"
"""Where all personal Microsoft accounts are (entra-docs, id-token-claims-reference)."""
_GRAPH_HOSTS = {
    "login.microsoftonline.com": ("graph.microsoft.com",),
    "login.microsoftonline.us": ("graph.microsoft.us", "dod-graph.microsoft.us"),
    "login.chinacloudapi.cn": ("microsoftgraph.chinacloudapi.cn",),
    "login.partner.microsoftonline.cn": ("microsoftgraph.chinacloudapi.cn",),
}
"""Microsoft Graph of each national cloud, by the host of its sign-in (graph/deployments)."""
_OF_GUESTS = ("#ext#", "_ext_@")
"""In the user principal name of a guest, casefolded; the second where the tenant leaves out hash marks."""
_GOOGLE_MAIL = frozenset({"gmail.com", "googlemail.com"})
_MAX_GROUPS = 500
"""More would not fit into a session; Entra ID itself names 200 at most."""
_CLOCK_SECONDS = 5 * 60
"""How far the provider's clock may be behind ours, as with Kerberos (RFC 4120 8.2)."""
_SLACK_SECONDS = 10
"""Whole seconds, and several servers behind one name."""


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
    TOO_MANY_GROUPS = "too_many_groups"
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
    SignInProblem.TOO_MANY_GROUPS: (
        "You are in more groups than {name} tells the vault, so it cannot know whether you may use it. "
        "Please contact your administrator."
    ),
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
    kind: str = setting(
        "Which provider it is: `entra`, `google`, `keycloak`, `okta`, `adfs`, `auth0`, `cognito`, or `openid` for any "
        "other. It stands for the defaults of `name`, `name_claim`, `groups_claims` and `roles_claims`; here are those "
        "of `entra`.",
        ProviderKind.ENTRA.value,
    )
    name: str = setting("What people know it by: the button says “Sign in with …”.", "Microsoft")
    scopes: tuple[str, ...] = setting("Scopes to ask for; `openid` is a must.", ("openid", "profile", "email"))
    name_claim: str = setting(
        "Claim with the user name that is shown and that applications may call people by. Never one that people can "
        "choose themselves.",
        "preferred_username",
    )
    domains: tuple[str, ...] = setting(
        "Domains of the user names and addresses that this provider alone gives out, for example `contoso.com`: "
        "applications may call its people by these, and by none of another domain. None: decided for each person "
        "(see “Whose a name is”).",
        (),
    )
    groups_claims: tuple[str, ...] = setting(
        "Claims with the groups. A name with dots leads inward (`a.b`: member `b` of claim `a`; in a list, of each of "
        "its objects), and `{client_id}` stands for the client id.",
        ("groups",),
    )
    roles_claims: tuple[str, ...] = setting("Claims with the roles, in the same form.", ("roles",))
    split_at_blanks: bool = setting(
        "Whether such a claim that is a text holds several values, with blanks between them. Else it is one value.",
        False,
    )
    directory_id_claim: str = setting(
        "Claim with the id that a person has in one of the directories: `onprem_sid` for Entra ID with synchronised "
        "accounts. Who has it is the same user as at the log-in with a password: the directory is asked who that is, "
        "and its groups count instead of the claims'. Needs a directory with a service account. Empty: nobody is.",
        "",
    )
    allowed: tuple[str, ...] = setting(
        "Who may use the vault: `group:<value>` or `role:<value>` of the claims, `domain:<domain>` or "
        "`email:<address>` where the provider has verified it, `user:<id>` with the provider's own id of a person. "
        "None: everybody whom the provider signs in. `google` needs some `domain:`, `email:` or `user:`.",
        (),
    )
    allowed_days: int = setting(
        "For how many days after a sign-in, and the end of its sessions, `allowed` counts as it was then; afterwards "
        "no application gets a token until the person signs in again. 0: until the next sign-in, whenever that is.",
        0,
    )
    administrators: tuple[str, ...] = setting("Who administrates the vault, in the same form. None: nobody does.", ())
    guests: bool = setting("Entra ID: whether guests of the tenant may sign in. Their names mean nobody.", False)
    id_token_hint: bool = setting(
        "Whether signing out there takes the id_token, as at PingAM and Oracle (the kinds `okta` and `adfs` have it "
        "on): then it is kept with the session, encrypted with what only the browser has.",
        False,
    )
    graph_host: str = setting(
        "Entra ID: the host of Microsoft Graph in the tenant's cloud, for example `graph.microsoft.com`. It is asked "
        "for the groups of a person who is in more than an id_token names, with that person's own access token "
        "(permission `User.Read`). Empty: it is not asked. Graph names groups by their ids, so `allowed` and "
        "`administrators` must, too.",
        "",
    )

    @classmethod
    def from_mapping(cls, described: Mapping[str, Any]) -> Self:
        """Read one description. Raises InvalidDescription for the first key that is unknown, missing or wrong."""
        kind = described.get("kind", ProviderKind.ENTRA.value)
        preset = PRESETS[ProviderKind(kind)].settings() if _is_kind(kind) else {}
        return from_mapping(cls, {**preset, **described})

    def __post_init__(self) -> None:
        for key in ("issuer", "client_id", "client_secret", "name", "name_claim"):
            require(bool(getattr(self, key).strip()), key, "is empty")
        require(_is_kind(self.kind), "kind", f"is none of {', '.join(ProviderKind)}")
        self._check_issuer()
        self._check_scopes()
        self._check_people()

    def _check_issuer(self) -> None:
        url, is_entra = urlsplit(self.issuer), self.kind == ProviderKind.ENTRA
        is_url = url.scheme in ("https", "http") and bool(url.hostname) and not (url.query or url.fragment)
        require(is_url, "issuer", "is no URL of an issuer")
        tenant = _TENANT.match(self.issuer)
        is_one = not is_entra or tenant is not None
        require(is_one, "issuer", f"must be {_entra_issuer(self.issuer)}")
        is_personal = is_entra and tenant is not None and tenant[1] == _PERSONAL_TENANT
        require(not is_personal, "issuer", "is the tenant of all personal Microsoft accounts: anybody could sign in")
        hosts = _GRAPH_HOSTS.get(url.hostname or "", ()) if is_entra else ()
        require(self.graph_host in ("", *hosts), "graph_host", f"must be empty{''.join(f', or {h}' for h in hosts)}")

    def _check_scopes(self) -> None:
        require("openid" in self.scopes, "scopes", "must have openid, or there is no id_token")
        # Without it there is no `oid` (entra-docs, id-token-claims-reference)
        has_profile = self.kind != ProviderKind.ENTRA or "profile" in self.scopes
        require(has_profile, "scopes", "must have profile, or Entra ID does not say who it is")

    def _check_people(self) -> None:
        require(self.allowed_days >= 0, "allowed_days", "must be 0 or more")
        require(all(map(_DOMAIN.match, self.domains)), "domains", "must be domains, as they stand behind the @")
        for key in ("allowed", "administrators"):
            is_form = all(map(is_claimed_group, getattr(self, key)))
            require(is_form, key, "must be group:, role:, domain:, email: or user:, and a value")
        # Graph gives ids: a group that is named otherwise would be missed in its answer, and its members put out
        named = (one for one in (*self.allowed, *self.administrators) if one.startswith("group:"))
        is_by_id = not self.graph_host or all(_UUID.match(one.removeprefix("group:")) for one in named)
        require(is_by_id, "graph_host", "must be empty unless allowed and administrators name groups by their ids")
        # Its issuer signs everybody in who has an account at Google, at whatever company
        is_narrow = any(one.startswith(("domain:", "email:", "user:")) for one in self.allowed)
        require(is_narrow or self.kind != ProviderKind.GOOGLE, "allowed", "must have domain:<your domain> for google")

    @property
    def preset(self) -> Preset:
        """What is particular to this kind of provider."""
        return PRESETS[ProviderKind(self.kind)]

    @property
    def scopes_to_ask(self) -> tuple[str, ...]:
        """The scopes of an authorization request: those of the setting, and what asking Microsoft Graph takes."""
        return (*self.scopes, f"https://{self.graph_host}/User.Read") if self.graph_host else self.scopes

    @property
    def hosted_domain(self) -> str:
        """The domain whose accounts Google is to offer, where only one may sign in. It proves nothing."""
        domains = [one.removeprefix("domain:") for one in self.allowed if one.startswith("domain:")]
        is_only = self.kind == ProviderKind.GOOGLE and len(domains) == len(self.allowed) == 1
        return domains[0] if is_only else ""

    def approval_url(self, redirect_uri: str) -> str:
        """Where an administrator approves the vault for the company; empty where no such page is known."""
        if self.kind != ProviderKind.ENTRA:
            return ""
        return approval_url(
            f"{self.issuer}/adminconsent",
            client_id=self.client_id,
            scopes=self.scopes_to_ask,
            redirect_uri=redirect_uri,
        )

    def directory_id(self, claims: Mapping[str, Any]) -> str:
        """The id in a directory, where the settings trust a claim for it; else empty."""
        return text_at(claims, self.directory_id_claim) if self.directory_id_claim else ""

    def user(self, claims: Mapping[str, Any], elsewhere: frozenset[str] = frozenset()) -> User:
        """Who the verified claims say this is; `elsewhere` are the domains whose names directories give out.

        Raises LoginRefused. The id is made of what the provider never gives to anybody else: tenant and `oid` at
        Entra ID, elsewhere issuer and `sub` (OpenID Connect Core 5.7). Names and addresses are for display.
        """
        user_id, email = self._id(claims), self._address(claims)
        # Who may choose an address must not be called by it: it counts where it is verified alone
        name = name_at(claims, self.name_claim) if self.name_claim != "email" else ""
        login_name = name or email or user_id
        owned = {one: self._owns(one, claims, elsewhere) for one in (name, email) if one}
        return User(
            id=user_id,
            login_name=login_name,
            display_name=shown_at(claims, "name") or login_name,
            email=email,
            groups=self.groups(claims),
            also_called=tuple(one for one, is_owned in owned.items() if is_owned),
            foreign=tuple(one for one, is_owned in owned.items() if is_owned is False),
        )

    def groups(self, claims: Mapping[str, Any]) -> frozenset[str]:
        """Groups and roles of the claims, and what the provider has verified of the person, each with its kind before
        it: none can be taken for a group of a directory. What the settings name is never among those left out.
        """
        return frozenset(islice(self._grounds(claims), _MAX_GROUPS))

    def lacks_groups(self, claims: Mapping[str, Any]) -> bool:
        """Whether the person is in more groups than the claims name, or than can be kept."""
        return self.names_no_groups(claims) or len(tuple(self._grounds(claims))) > _MAX_GROUPS

    def names_no_groups(self, claims: Mapping[str, Any]) -> bool:
        """Whether the provider says that there are groups, and not which: Entra ID beyond 200 (`_claim_names`)."""
        elsewhere, names = claims.get("_claim_names"), set(self.groups_claims)
        is_elsewhere = isinstance(elsewhere, Mapping) and not names.isdisjoint(elsewhere)
        is_said = is_elsewhere or claims.get("hasgroups") is True
        return is_said and bool(names) and names.isdisjoint(claims)

    def check_allowed(self, claims: Mapping[str, Any], user_id: str) -> None:
        """Raise LoginRefused unless who has these claims may use the vault; `user_id` is who is out from now on.

        Raises SignInFailed where that cannot be known: nobody is out for it (R98).
        """
        if self.is_guest(claims) and not self.guests:
            raise self._refusal("guest", user_id)
        if not self.allowed or not self.groups(claims).isdisjoint(map(group_key, self.allowed)):
            return
        if self.names_no_groups(claims) and any(one.startswith("group:") for one in self.allowed):
            raise SignInFailed(SignInProblem.TOO_MANY_GROUPS, self.name)
        raise self._refusal("not_allowed", user_id)

    def is_guest(self, claims: Mapping[str, Any]) -> bool:
        """Whether Entra ID has this person from somewhere else.

        `acct` says so; where it is not asked for, the name that guests have in the tenant, or an identity provider that
        is not the tenant (entra-docs, optional-claims-reference and id-token-claims-reference).
        """
        tenant = _TENANT.match(self.issuer)
        if self.kind != ProviderKind.ENTRA or tenant is None:
            return False
        if "acct" in claims:
            return claims["acct"] not in (0, "0")
        names = (str(claims.get(claim, "")).casefold() for claim in ("upn", "preferred_username"))
        idp = claims.get("idp")
        is_named_so = any(mark in name for name in names for mark in _OF_GUESTS)
        return is_named_so or (idp is not None and tenant[1] not in str(idp))

    def _refusal(self, cause: str, user_id: str) -> LoginRefused:
        refusal = LoginRefused(
            cause,
            f"You have signed in with {self.name}, but you may not use this application. "
            "Please contact your administrator.",
        )
        refusal.user_id = user_id
        return refusal

    def _grounds(self, claims: Mapping[str, Any]) -> Iterator[str]:
        """All that lets somebody in or makes an administrator, each once, the most important first."""
        claimed = [*self._verified(claims), *self._claimed("role", self.roles_claims, claims)]
        claimed += self._claimed("group", self.groups_claims, claims)
        deciding = set(map(group_key, (*self.allowed, *self.administrators)))
        return iter(dict.fromkeys((*filter(deciding.__contains__, claimed), *claimed)))

    def _claimed(self, word: str, paths: tuple[str, ...], claims: Mapping[str, Any]) -> list[str]:
        """Values are compared as they are: to a provider, `Admin` and `admin` may be two roles."""
        return [
            f"{word}:{value}"
            for path in paths
            for value in values_at(claims, path, self.client_id, at_blanks=self.split_at_blanks)
        ]

    def _verified(self, claims: Mapping[str, Any]) -> Iterator[str]:
        """What the provider vouches for: its own id of the person, the address, the domain that is responsible."""
        if own := id_at(claims, "oid" if self.kind == ProviderKind.ENTRA else "sub"):
            yield f"user:{own}"
        if email := self._address(claims):
            yield group_key(f"email:{email}")
        # A private account at Google is nobody's: neither gmail.com nor the domain of its address answers for it
        if domain := _hosted(claims) if self.kind == ProviderKind.GOOGLE else domain_of(email):
            yield f"domain:{domain}"

    def _address(self, claims: Mapping[str, Any]) -> str:
        """The mail address, where the provider has verified it and is the one to know.

        Of an address at another company Google says what was so once (identity/gsi, verify-google-id-token).
        """
        is_verified = is_true_at(claims, "email_verified") or is_true_at(claims, "xms_edov")
        email = text_at(claims, "email") if is_verified else ""
        if self.kind == ProviderKind.GOOGLE and not _hosted(claims) and domain_of(email) not in _GOOGLE_MAIL:
            return ""
        return email

    def _owns(self, name: str, claims: Mapping[str, Any], elsewhere: frozenset[str]) -> bool | None:
        """Whether the provider gives this name, to one person at a time; None where nobody can tell."""
        domain = domain_of(name)
        if self.is_guest(claims):
            return False
        if not domain:
            return True if self.preset.gives_names else None
        if self.domains:
            return domain in map(str.casefold, self.domains)
        if domain in elsewhere:
            return False
        if self.kind == ProviderKind.GOOGLE:
            return domain in _GOOGLE_MAIL or domain == _hosted(claims)
        return True if self.kind == ProviderKind.ENTRA else None

    def check_anew(self, claims: Mapping[str, Any], since: int, now: int) -> None:
        """Raise SignInFailed unless the person typed a password, or the like, after `since` (R35).

        The parameters that ask for it pass through the browser; only `auth_time` proves it (OpenID Connect Core 2).
        It is by the provider's clock, and so is `iat`, the moment in which the token was made, which is now.
        """
        at, made_at = claims.get("auth_time"), claims["iat"]
        ahead = max(made_at - now, _SLACK_SECONDS - _CLOCK_SECONDS)
        is_time = isinstance(at, int | float)
        if not is_time or not at >= since + ahead - _SLACK_SECONDS:  # NaN is no proof
            detail = f"auth_time: too old, by a clock {ahead} s ahead of ours" if is_time else "auth_time: no number"
            detail = "auth_time: missing" if at is None else detail
            raise SignInFailed(SignInProblem.NOT_ANEW, self.name, detail=detail)

    def _id(self, claims: Mapping[str, Any]) -> str:
        tenant = _TENANT.match(self.issuer)
        if self.kind == ProviderKind.ENTRA and tenant:
            oid = id_at(claims, "oid").lower()
            if claims.get("tid") != tenant[1] or not _UUID.match(oid):
                raise LoginRefused("foreign_tenant", _SENTENCES[SignInProblem.WRONG_ANSWER].format(name=self.name))
            return f"{tenant[1]}.{oid}"
        digest = sha256(f"{self.issuer}\n{claims['sub']}".encode()).hexdigest()
        return f"openid.{digest[:40]}"


def _is_kind(kind: object) -> bool:
    return isinstance(kind, str) and kind in set(ProviderKind)


def _entra_issuer(typed: str) -> str:
    """What to enter instead, to the letter where the id of a tenant can be seen in what was typed."""
    tenant, url = _ANY_TENANT.search(typed), urlsplit(typed)
    if not tenant or not url.hostname:
        return "https://login.microsoftonline.com/<id of the tenant>/v2.0"
    host = "login.microsoftonline.com" if url.hostname == "sts.windows.net" else url.hostname
    return f"https://{host}/{tenant[0].lower()}/v2.0"


def _hosted(claims: Mapping[str, Any]) -> str:
    """The domain of the Google Workspace that an account is in; empty for a private one."""
    return id_at(claims, "hd").casefold()
