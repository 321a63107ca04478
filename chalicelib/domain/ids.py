"""Ids of people, providers and grants: one type and one parser each, for every place that is given one as text."""

import re
from dataclasses import dataclass
from typing import Self

from .errors import InvalidRequest

_UUID = "[0-9A-Fa-f]{8}(?:-[0-9A-Fa-f]{4}){3}-[0-9A-Fa-f]{12}"
_PERSON = re.compile(rf"S-1-[0-9]{{1,15}}(-[0-9]{{1,10}}){{1,15}}|{_UUID}(\.{_UUID})?|openid\.[0-9a-f]{{40}}")
_PROVIDER = re.compile(r"[A-Za-z0-9][A-Za-z0-9_-]{0,63}")
_SLOT = re.compile(r"[A-Za-z0-9_-]{1,64}")
_DOT = "."


class PersonId(str):
    """Who somebody is, for ever: the only key of a person.

    A SID ([MS-DTYP] 2.4.2), an entryUUID (RFC 4530), tenant and `oid` of Entra ID with a dot between them, or `openid.`
    and a digest of issuer and `sub`. No name looks like one.
    """

    __slots__ = ()

    @classmethod
    def parse(cls, text: str) -> Self:
        """`text` as it is. Raises InvalidRequest for what is no person's id."""
        if not is_person_id(text):
            raise InvalidRequest
        return cls(text)


def is_person_id(text: str) -> bool:
    """True for what can only be a person's id."""
    return _PERSON.fullmatch(text) is not None


def is_directory_id(person_id: str) -> bool:
    """True for a person's id that only a directory gives: what an OpenID provider says has a dot in it."""
    return _DOT not in person_id


def is_provider_id(text: str) -> bool:
    """True for what a provider can have as its id. There is no dot in it."""
    return _PROVIDER.fullmatch(text) is not None


@dataclass(frozen=True, slots=True)
class GrantId:
    """Which grant: of which person at which provider, in which slot (`domain.accounts`).

    As text `<provider id>.<person's id>`, and `.<slot>` for a later account. A person's id may have a dot itself.
    """

    provider_id: str
    user_id: PersonId
    slot: str = ""

    @classmethod
    def parse(cls, text: str) -> Self:
        """The inverse of `str`. Raises InvalidRequest for anything else."""
        provider_id, _, rest = text.partition(_DOT)
        if not is_provider_id(provider_id):
            raise InvalidRequest
        # A slot is no UUID: what is a person's id as a whole has none behind it
        if is_person_id(rest):
            return cls(provider_id, PersonId(rest))
        user_id, _, slot = rest.rpartition(_DOT)
        if not _SLOT.fullmatch(slot):
            raise InvalidRequest
        return cls(provider_id, PersonId.parse(user_id), slot)

    def __str__(self) -> str:
        return _DOT.join((self.provider_id, self.user_id, *([self.slot] if self.slot else [])))
