"""The entries of a domain, built from a data file, and again when the file has changed."""

import json
import struct
import uuid
import zlib
from collections.abc import Iterable, Mapping
from pathlib import Path
from typing import Any

CONTOSO = Path(__file__).with_name("contoso.json")

DOMAIN_USERS = 513
EVERYONE, ANONYMOUS, AUTHENTICATED = "S-1-1-0", "S-1-5-7", "S-1-5-11"
_GUIDS = uuid.UUID("6f1b6c52-6d0e-4e0b-9f5e-3a1c2f7d8e90")

_PASSWORD_SET = 134_000_000_000_000_000
"""Some day of 2025, in the hundred nanoseconds since 1601 that Active Directory counts."""

# How Active Directory writes the state of an account down, [MS-ADTS] 2.2.16 and 3.1.1.4.5
_STATES: Mapping[str, Mapping[str, str]] = {
    "active": {"userAccountControl": "512"},
    "disabled": {"userAccountControl": "514"},
    "must_change": {"userAccountControl": "512", "pwdLastSet": "0"},
    "password_expired": {"userAccountControl": "512", "msDS-User-Account-Control-Computed": "8388608"},
    "account_expired": {"userAccountControl": "512", "accountExpires": "116444736000000000"},
    "logon_hours": {"userAccountControl": "512", "logonHours": "\0" * 21},
    "workstation": {"userAccountControl": "512", "userWorkstations": "ELSEWHERE"},
    "locked": {"userAccountControl": "512", "msDS-User-Account-Control-Computed": "16"},
}


def sid_bytes(sid: str) -> bytes:
    """The binary form of `S-1-5-...` ([MS-DTYP] 2.4.2.2)."""
    _, revision, authority, *rest = sid.split("-")
    head = bytes([int(revision), len(rest)]) + int(authority).to_bytes(6, "big")
    return head + struct.pack(f"<{len(rest)}I", *map(int, rest))


def dn_key(dn: str) -> str:
    """What two spellings of one distinguished name have in common: no case, no blanks around commas."""
    return ",".join(part.strip() for part in dn.casefold().split(","))


def _escaped(value: str) -> str:
    """A value inside a distinguished name (RFC 4514 2.4)."""
    return "".join(f"\\{c}" if c in '\\,+"<>;=' else c for c in value)


class Entry:
    """One object. Attribute names are compared without case, as everywhere in LDAP."""

    def __init__(self, dn: str, attributes: Mapping[str, Iterable[str | bytes]]) -> None:
        self.dn = dn
        self.key = dn_key(dn)
        self._attributes: dict[str, tuple[str, list[bytes]]] = {}
        for name, values in attributes.items():
            self.set(name, values)

    def set(self, name: str, values: Iterable[str | bytes]) -> None:
        """Replace an attribute; without values there is none."""
        encoded = [value.encode() if isinstance(value, str) else value for value in values]
        if encoded:
            self._attributes[name.casefold()] = name, encoded

    def values(self, name: str) -> list[bytes]:
        return self._attributes.get(name.casefold(), (name, []))[1]

    def text(self, name: str) -> str:
        """The first value, or an empty string."""
        return next((value.decode() for value in self.values(name)), "")

    def attributes(self) -> Iterable[tuple[str, list[bytes]]]:
        return self._attributes.values()


class Tree:
    """A domain: its root, an organizational unit of people and one of groups."""

    def __init__(self, source: Mapping[str, Any], path: Path | None = None) -> None:
        self._path = path
        self._read_at = path.stat().st_mtime_ns if path else 0
        self._build(source)

    def _build(self, source: Mapping[str, Any]) -> None:
        self.netbios_name: str = source["netbios_name"]
        self.dns_name: str = source["dns_name"]
        self.base_dn = ",".join(f"DC={label}" for label in self.dns_name.split("."))
        self._sid: str = source["sid"]
        self._people_dn, self._groups_dn = f"OU=People,{self.base_dn}", f"OU=Groups,{self.base_dn}"
        self._entries: dict[str, Entry] = {}
        self._add(Entry(self.base_dn, {"objectClass": ["top", "domain", "domainDNS"]}))
        for unit in (self._people_dn, self._groups_dn):
            self._add(Entry(unit, {"objectClass": ["top", "organizationalUnit"]}))
        self.accounts = {self._add(self._person(data)).key: data for data in source["people"]}
        for data in source["groups"]:
            self._add(self._group(data))
        self._link(source["groups"])

    @classmethod
    def load(cls, path: Path = CONTOSO) -> "Tree":
        return cls(json.loads(path.read_text("utf-8")), path)

    def refresh(self) -> None:
        """Read the file again if it has changed; one that is only half written stays unread for now."""
        if self._path is None or (written_at := self._path.stat().st_mtime_ns) == self._read_at:
            return
        try:
            rebuilt = Tree(json.loads(self._path.read_text("utf-8")))
        except (ValueError, KeyError):
            return
        vars(self).update({**vars(rebuilt), "_path": self._path, "_read_at": written_at})

    def _add(self, entry: Entry) -> Entry:
        self._entries[entry.key] = entry
        return entry

    def _principal(self, data: Mapping[str, Any], account_name: str) -> dict[str, list[str | bytes]]:
        sid = f"{self._sid}-{data['rid']}"
        return {
            "cn": [data["name"]],
            "name": [data["name"]],
            "sAMAccountName": [account_name],
            "objectSid": [sid_bytes(sid)],
            "objectGUID": [uuid.uuid5(_GUIDS, sid).bytes_le],
        }

    def _person(self, data: Mapping[str, Any]) -> Entry:
        upn = f"{data['login']}@{self.dns_name}"
        mail = data.get("mail", upn)
        return Entry(
            f"CN={_escaped(data['name'])},{self._people_dn}",
            {
                "objectClass": ["top", "person", "organizationalPerson", "user"],
                **self._principal(data, data["login"]),
                "displayName": [data["name"]],
                "userPrincipalName": [upn],
                "mail": [mail] if mail else [],
                "primaryGroupID": [str(DOMAIN_USERS)],
                # Another password is one that was set at another time
                "pwdLastSet": [str(_PASSWORD_SET + zlib.crc32(data["password"].encode()))],
                "accountExpires": ["0"],
                **{name: [value] for name, value in _STATES[data.get("state", "active")].items()},
            },
        )

    def _group(self, data: Mapping[str, Any]) -> Entry:
        return Entry(
            f"CN={_escaped(data['name'])},{self._groups_dn}",
            {"objectClass": ["top", "group"], **self._principal(data, data["name"])},
        )

    def _link(self, groups: Iterable[Mapping[str, Any]]) -> None:
        """Write `member` as the data has it, and compute `memberOf` from it."""
        parents: dict[str, list[str]] = {}
        for data in groups:
            members = [self.by_account_name(name) for name in data["members"]]
            group = self.by_account_name(data["name"])
            group.set("member", [member.dn for member in members])
            for member in members:
                parents.setdefault(member.key, []).append(group.dn)
        for key, dns in parents.items():
            self._entries[key].set("memberOf", dns)

    def get(self, dn: str) -> Entry | None:
        return self._entries.get(dn_key(dn))

    def by_account_name(self, name: str) -> Entry:
        """Raises KeyError."""
        for entry in self._entries.values():
            if entry.text("sAMAccountName").casefold() == name.casefold():
                return entry
        raise KeyError(name)

    def below(self, base: Entry, *, one_level: bool) -> list[Entry]:
        """The base and everything below it, or only its children."""
        inside = [entry for entry in self._entries.values() if entry.key.endswith("," + base.key)]
        if one_level:
            return [entry for entry in inside if _parent(entry.key) == base.key]
        return [base, *inside]

    def groups_of(self, entry: Entry) -> list[Entry]:
        """All groups that the entry is in, directly or through others; cycles do no harm."""
        found: dict[str, Entry] = {}
        waiting = [entry]
        while waiting:
            for dn in waiting.pop().values("memberOf"):
                group = self._entries[dn_key(dn.decode())]
                if group.key not in found:
                    found[group.key] = group
                    waiting.append(group)
        return list(found.values())

    def sid_of_group(self, name: str) -> str:
        """Raises KeyError."""
        raw = self.by_account_name(name).values("objectSid")[0]
        return f"{self._sid}-{int.from_bytes(raw[-4:], 'little')}"

    def token_groups(self, entry: Entry) -> list[bytes]:
        """The groups' SIDs, the primary group's among them ([MS-ADTS] 3.1.1.4.5.19)."""
        primary = [sid_bytes(f"{self._sid}-{rid.decode()}") for rid in entry.values("primaryGroupID")]
        return primary + [group.values("objectSid")[0] for group in self.groups_of(entry)]

    def token(self, entry: Entry | None) -> list[bytes]:
        """The security context of a connection: who it is and all groups ([MS-ADTS] 3.1.1.3.2, rootDSE tokenGroups)."""
        if entry is None:
            return [sid_bytes(ANONYMOUS), sid_bytes(EVERYONE)]
        well_known = [sid_bytes(EVERYONE), sid_bytes(AUTHENTICATED)]
        return [*entry.values("objectSid"), *self.token_groups(entry), *well_known]


def _parent(key: str) -> str:
    position = 0
    while key[position] != "," or key[position - 1] == "\\":
        position += 1
    return key[position + 1 :]
