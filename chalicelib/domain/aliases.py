r"""Names of people, and whose they are (docs/adr/0100-a-name-belongs-to-who-bears-it-now.md, and 0147).

An application names a person by `DOMAIN\user`, user principal name or e-mail address, or by id. A name is a claim: it
counts while the claimant's record bears it. Of several who do, the one whom the surest source names is meant.
"""

import unicodedata
from collections.abc import Iterable
from enum import IntEnum

from .user import AliasClaim, Called, Departure, User, UserRecord

_MAX_LENGTH = 320


class Bearing(IntEnum):
    """How surely somebody bears a name, the surest last."""

    NOT = 0
    SIGNED_IN = 1
    """An OpenID provider that is not known to own the name says so; people may have chosen it."""
    VERIFIED = 2
    """The same, of an address that it has verified; it may have verified it for two."""
    GIVEN = 3
    """The OpenID provider that owns the name's domain gives it to one person at a time."""
    LISTED = 4
    """A directory lists it, and may list it for several: a mail address, a user name without its domain."""
    OWN = 5
    """A directory gives it to one person at a time: the log-in name, the user principal name."""


def normalized(name: str) -> str:
    """One spelling for all that a directory takes for the same name; empty for what no name can be."""
    text = unicodedata.normalize("NFC", name.strip()).casefold()
    return text if len(text) <= _MAX_LENGTH and text.isprintable() else ""


def aliases_of(user: User) -> tuple[str, ...]:
    """What somebody is called, each name once."""
    names = dict.fromkeys(map(normalized, (user.login_name, user.email, *user.also_called)))
    return tuple(name for name in names if name and name not in map(normalized, user.foreign))


def own_names(user: User) -> frozenset[str]:
    """The names that a directory, or the sign-in provider that owns their domain, gives to one person at a time."""
    of_directory = (user.login_name, *(one for one in user.also_called if "@" in one))
    return frozenset(filter(None, map(normalized, of_directory if user.domain else user.also_called)))


def names_of(record: UserRecord) -> frozenset[str]:
    """The names that count as this person's. An account that is deleted in the directory has left its names free.

    Both lists must have a name: that of today's directory, and that of what is claimed and nobody else's.
    """
    if record.departure is Departure.DELETED:
        return frozenset()
    return claimed_by(record) & frozenset(aliases_of(record.user))


def claimed_by(record: UserRecord) -> frozenset[str]:
    """The names that a record has on its list; before there was one, all that its person is called."""
    return frozenset(aliases_of(record.user)) if record.names is None else record.names


def bearing(record: UserRecord, name: str) -> Bearing:
    """How surely this person bears a normalized name."""
    if name not in names_of(record):
        return Bearing.NOT
    is_own = name in own_names(record.user)
    if record.user.domain:
        return Bearing.OWN if is_own else Bearing.LISTED
    if is_own:
        return Bearing.GIVEN
    return Bearing.VERIFIED if name == normalized(record.user.email) else Bearing.SIGNED_IN


def as_written(record: UserRecord, name: str) -> str:
    """A name that the record bears, in the spelling of its source: to others a directory may not answer."""
    spellings = (record.user.login_name, record.user.email, *record.user.also_called)
    return next((one for one in spellings if normalized(one) == name), name)


def meant(
    name: str, records: Iterable[UserRecord], called: Called, claims: Iterable[AliasClaim] = ()
) -> tuple[str, ...]:
    """The ids of those whom a normalized name may mean: one, if anybody can tell. `claims` are all of the name.

    A directory that was asked knows better than any record of its people. Of two who proved the same name of their own
    the later one has it: the directory, or the provider that owns it, has given it away since. Where a provider says it
    that is not known to own it, the one who has been called so longer keeps it: the other may have chosen it.
    """
    if called.ids:
        return called.ids
    bearers = [one for one in records if one.user.domain.casefold() not in called.domains and bearing(one, name)]
    surest = max((bearing(one, name) for one in bearers), default=Bearing.NOT)
    found = [one for one in bearers if bearing(one, name) is surest]
    if surest in (Bearing.OWN, Bearing.GIVEN):
        latest = max(one.proved_at for one in found)
        found = [one for one in found if one.proved_at == latest]
    elif surest in (Bearing.SIGNED_IN, Bearing.VERIFIED):
        found = _longest(found, claims)
    return tuple(sorted(one.user.id for one in found))


def _longest(records: list[UserRecord], claims: Iterable[AliasClaim]) -> list[UserRecord]:
    since: dict[str, int] = {}
    for claim in claims:
        since[claim.user_id] = min(claim.since, since.get(claim.user_id, claim.since))
    first = min(since.get(one.user.id, 0) for one in records)
    return [one for one in records if since.get(one.user.id, 0) == first]
