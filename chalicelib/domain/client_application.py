"""Back-end programs that fetch access tokens: how each proves itself, and what it may fetch."""

import json
import re
from base64 import urlsafe_b64encode
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, replace
from enum import StrEnum
from hashlib import sha256
from ipaddress import ip_address, ip_network
from typing import Self

from .errors import InvalidForm, NotFound
from .text import is_clean

_ID = re.compile(r"[a-z0-9][a-z0-9_-]{0,63}")
_ROLE = re.compile(r"arn:aws[a-z-]*:iam::(?P<account>[0-9]{12}):role/(?:[!-~]*/)?(?P<name>[\w+=,.@-]{1,64})", re.ASCII)
_ASSUMED = re.compile(
    r"arn:aws[a-z-]*:sts::(?P<account>[0-9]{12}):assumed-role/(?P<name>[\w+=,.@-]{1,64})/[\w+=,.@-]{2,64}", re.ASCII
)
MAX_NAME = 100
MAX_KEYS = 10
MAX_RULES = 100
MAX_LIMIT = 1_000_000

ANY_SCOPE = "*"
"""In a rule's scopes: the ceiling is whatever the person authorized."""


class SubjectMode(StrEnum):
    """Who says for which person a token is asked for."""

    SELF_ASSERTED = "self_asserted"
    """The application names the person in a JWT that it signs itself, and gives a reason."""
    IDENTITY_PROVIDER = "identity_provider"
    """A token of a trusted identity provider names the person: the application alone cannot."""


@dataclass(frozen=True, slots=True)
class ApplicationKey:
    """A public key with which an application signs. `id` is the `kid` its JWTs carry.

    `algorithm` is pinned with the key: what a JWT says about it never counts (RFC 8725 3.1). Two keys may be good
    at the same time, so that an application changes them without a pause. `expires_at`: epoch seconds, None for never.
    """

    id: str
    algorithm: str
    jwk: dict[str, str]
    """The public JWK (RFC 7517), parameters of the key alone."""
    added_at: int
    expires_at: int | None = None

    def is_usable(self, now: int) -> bool:
        return self.expires_at is None or now < self.expires_at

    @property
    def fingerprint(self) -> str:
        """SHA-256 thumbprint of the public key (RFC 7638), the same wherever the key came from."""
        canonical = json.dumps(self.jwk, separators=(",", ":"), sort_keys=True)
        return urlsafe_b64encode(sha256(canonical.encode()).digest()).decode().rstrip("=")


@dataclass(frozen=True, slots=True)
class TrustedIssuer:
    """An identity provider whose tokens may name the person."""

    issuer: str
    jwks_uri: str
    audience: str
    """What its tokens must have as `aud`: the application as the identity provider knows it."""
    user_claim: str = "sub"
    """The claim that names the person by one of the aliases the vault knows."""


@dataclass(frozen=True, slots=True)
class Subject:
    """The person a token is asked for, as far as the vault knows them.

    `groups` are the SIDs of the directory groups; `is_blocked`: nothing is released for this person at all.
    """

    user_id: str
    groups: frozenset[str] = frozenset()
    is_blocked: bool = False


@dataclass(frozen=True, slots=True)
class Whose:
    """The people of a rule: everybody, or the members of directory groups and the named ones. Empty: nobody."""

    everybody: bool = False
    groups: frozenset[str] = frozenset()
    users: frozenset[str] = frozenset()

    def includes(self, subject: Subject | None) -> bool:
        """`subject` None is a person nobody knows: only a rule for everybody includes one."""
        if self.everybody:
            return True
        if subject is None:
            return False
        return subject.user_id in self.users or not self.groups.isdisjoint(subject.groups)


@dataclass(frozen=True, slots=True)
class AccessRule:
    """One permission: tokens of a provider, of certain people, no mightier than the ceiling.

    A cloud's token cannot be cut down after the fact, so a ceiling is about what a token can do and not about what
    was asked for: a token with a scope beyond it is not released under this rule.
    """

    provider_id: str
    scopes: tuple[str, ...]
    """The ceiling; `ANY_SCOPE` for no ceiling. Empty: only a token without any scope."""
    whose: Whose
    sources: tuple[str, ...] = ()
    """CIDR blocks the call must come from; none: from anywhere."""

    def admits(self, provider_id: str, subject: Subject | None, source: str | None) -> bool:
        """Provider, person and source (None: any that the rule wants) fit; scopes are the second question."""
        return self.provider_id == provider_id and self.whose.includes(subject) and self._comes_from(source)

    def covers(self, scopes: Sequence[str]) -> bool:
        return ANY_SCOPE in self.scopes or set(scopes) <= set(self.scopes)

    def _comes_from(self, source: str | None) -> bool:
        if not self.sources or source is None:
            return True
        try:
            address = ip_address(source)
        except ValueError:
            return False
        return any(address in ip_network(block) for block in self.sources)


@dataclass(frozen=True, slots=True)
class ClientApplication:
    """A registered program. There is no shared secret: it signs with a key of its own, or calls as an IAM role."""

    id: str
    name: str
    subject_mode: SubjectMode
    created_at: int
    keys: tuple[ApplicationKey, ...] = ()
    role_arn: str | None = None
    trusted_issuer: TrustedIssuer | None = None
    rules: tuple[AccessRule, ...] = ()
    calls_per_minute: int | None = None
    """One call more in a minute of the clock stops it; None: as many as it likes."""
    people_per_hour: int | None = None
    """The same for different people in an hour."""
    enabled: bool = True
    stopped_reason: str = ""
    stopped_at: int | None = None
    stopped_by: str = ""
    """The log-in name of the administrator who did."""
    version: int = 1

    def check(self) -> None:
        """Raise InvalidForm, with the sentence for the administrator, for a registration that cannot work."""
        problems = {name: sentence for name, holds, sentence in self._promises() if not holds}
        if problems:
            raise InvalidForm(problems)

    def _promises(self) -> Iterator[tuple[str, bool, str]]:
        """What must hold: the field it is about, whether it does, and what to say where it does not."""
        yield (
            "id",
            bool(_ID.fullmatch(self.id)),
            "The id must be 1 to 64 of a-z, 0-9, _ and -, and begin with a-z or 0-9.",
        )
        named = 0 < len(self.name) <= MAX_NAME and is_clean(self.name)
        yield "name", named, f"The name must have 1 to {MAX_NAME} characters."
        few = len(self.keys) <= MAX_KEYS
        yield "keys", few, f"An application can have {MAX_KEYS} keys. Please remove an old one."
        different = len({key.id for key in self.keys}) == len(self.keys)
        yield "keys", different or not few, "The application has a key with this id already."
        is_role = self.role_arn is None or _ROLE.fullmatch(self.role_arn) is not None
        yield "role_arn", is_role, "That is no ARN of an IAM role, such as arn:aws:iam::123456789012:role/scanner."
        needs_issuer = self.subject_mode is SubjectMode.IDENTITY_PROVIDER
        fits = needs_issuer == (self.trusted_issuer is not None)
        yield "issuer", fits, "A trusted issuer belongs to that subject mode alone."
        yield "rules", len(self.rules) <= MAX_RULES, f"An application can have {MAX_RULES} rules."
        for name in ("calls_per_minute", "people_per_hour"):
            limit = getattr(self, name)
            fits = limit is None or 0 < limit <= MAX_LIMIT
            yield name, fits, f"A limit is a number from 1 to {MAX_LIMIT:,}, or left empty for none."
        blocks = [block for rule in self.rules for block in rule.sources]
        yield "sources", all(map(_is_network, blocks)), "A source must be a CIDR block, for example 10.1.0.0/16."

    def usable_keys(self, now: int) -> tuple[ApplicationKey, ...]:
        return tuple(key for key in self.keys if key.is_usable(now))

    def can_prove_itself(self, now: int) -> bool:
        return self.role_arn is not None or bool(self.usable_keys(now))

    def is_role(self, caller_arn: str) -> bool:
        """True when `caller_arn`, as STS writes the ARN of a session, is a session of this application's role."""
        role = _ROLE.fullmatch(self.role_arn or "")
        session = _ASSUMED.fullmatch(caller_arn)
        return role is not None and session is not None and role.groupdict() == session.groupdict()

    def stopped(self, reason: str, at: int, by: str = "") -> Self:
        return replace(self, enabled=False, stopped_reason=reason, stopped_at=at, stopped_by=by)

    def resumed(self) -> Self:
        return replace(self, enabled=True, stopped_reason="", stopped_at=None, stopped_by="")

    def rules_for(self, provider_id: str, subject: Subject | None, source: str | None) -> list[AccessRule]:
        """The rules that admit the call. None of them: the application may not even know whether the person exists."""
        return [rule for rule in self.rules if rule.admits(provider_id, subject, source)]


def check_id(text: str) -> str:
    """`text` if an application can have it as its id. Raises NotFound."""
    if not _ID.fullmatch(text):
        raise NotFound
    return text


def permits(rules: Sequence[AccessRule], scopes: Sequence[str]) -> bool:
    """True when one rule alone covers all scopes: two ceilings do not add up to a higher one."""
    return any(rule.covers(scopes) for rule in rules)


def _is_network(text: str) -> bool:
    try:
        ip_network(text)
    except ValueError:
        return False
    return True
