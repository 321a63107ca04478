"""Who is in the real directories: the everyday people, those who may not sign in, and names that break programs."""

from collections.abc import Mapping
from dataclasses import dataclass, field
from datetime import UTC, datetime, timedelta

LONG_AGO = datetime.now(UTC) - timedelta(days=400)
USERS, SCANNING, SCAN_TEAM, ADMINISTRATORS, IT = "VaultUsers", "Scanning (EU)", "Scan Team A", "VaultAdmins", "IT"
LOCKED = "locked"
"""The account that five wrong passwords lock when the directory is made."""

NORMAL_ACCOUNT, DISABLED_ACCOUNT = 512, 514
_EPOCH = datetime(1601, 1, 1, tzinfo=UTC)


def file_time(moment: datetime) -> int:
    """Active Directory's clock: tenths of microseconds since 1601 (MS-DTYP 2.3.3, FILETIME)."""
    return (moment - _EPOCH) // timedelta(microseconds=1) * 10


@dataclass(frozen=True)
class Person:
    """`login` is the sAMAccountName or uid; `active_directory` holds attributes beyond the usual ones."""

    login: str
    name: str
    groups: tuple[str, ...] = ()
    active_directory: Mapping[str, object] = field(default_factory=dict)
    has_upn: bool = True

    @property
    def password(self) -> str:
        return f"{self.login}-Pass1!"

    @property
    def mail(self) -> str:
        """The login as far as ASCII goes, for what mail servers accept."""
        return f"{self.login.encode('ascii', 'ignore').decode().replace(' ', '.')}@contoso.example"


EVERYDAY = (
    Person("alice", "Alice Adams", (USERS,)),
    Person("bob", "Bob Brown", (SCAN_TEAM,)),
    Person("carol", "Carol Clark", (IT,)),
    Person("nogroup", "Nora Nogroup"),
    Person("par(en)", "Paren (Ext*) \\ Test", (USERS,)),
    Person("o'brien", 'O\'Brien, Pat + Co = <A> ; #1 "X"', (USERS,)),
    Person("zoë.müller", "Zoë Müller", (USERS,)),
    Person("mary ann", "Mary Ann Moore", (USERS,)),
    Person("maximilian.musterman", "Maximilian Mustermann", (USERS,)),
    Person("leaver1", "Leaver One", (USERS,)),
    Person("leaver2", "Leaver Two", (USERS,)),
    Person("leaver3", "Leaver Three", (USERS,)),
    Person(LOCKED, "Lara Locked", (USERS,)),
    Person("svc-vault", "Service Vault"),
)
# The key is the sub-code of the refusal after the right password, see [MS-ERREF] or the Active Directory adapter
REFUSED = {
    "530": Person("hours", "Henry Hours", (USERS,), {"logonHours": bytes(21)}),
    "531": Person("workst", "Wanda Workstation", (USERS,), {"userWorkstations": "RECEPTION-PC"}),
    "532": Person("pwexpired", "Paul Pwexpired", (USERS,), {"pwdLastSet": file_time(LONG_AGO)}),
    "533": Person("disabled", "Dora Disabled", (USERS,), {"userAccountControl": DISABLED_ACCOUNT}),
    "701": Person("expired", "Emil Expired", (USERS,), {"accountExpires": file_time(LONG_AGO)}),
    "773": Person("mustchange", "Mia Mustchange", (USERS,), {"pwdLastSet": 0}),
}
_DEEP = [f"Deep {number}" for number in range(1, 101)]
ONLY_ACTIVE_DIRECTORY = (
    Person("jsmith07", "John Smith", (USERS,), {"userPrincipalName": "john.smith@corp.example"}),
    Person("noupn", "Nina Noupn", (USERS,), has_upn=False),
    Person("deep", "Dave Deep", tuple(_DEEP[:20])),
    Person("loop", "Lou Loop", ("Loop A",)),
)
PEOPLE = (*EVERYDAY, *REFUSED.values(), *ONLY_ACTIVE_DIRECTORY)

# Each group with the groups that it is a member of. Twenty deep ones make a level: six of them with the top.
GROUPS = {
    USERS: (),
    SCANNING: (USERS,),
    SCAN_TEAM: (SCANNING,),
    ADMINISTRATORS: (),
    IT: (ADMINISTRATORS,),
    "Loop A": ("Loop B",),
    "Loop B": ("Loop A",),
    "Deep Top": (),
    **{name: (upper,) for name, upper in zip(_DEEP, _DEEP[20:] + ["Deep Top"] * 20, strict=True)},
}
