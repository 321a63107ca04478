"""A real OpenLDAP server for tests: Debian's slapd in a folder of its own, on free ports, with no privileges needed."""

from collections.abc import Iterator
from contextlib import contextmanager
from datetime import datetime
from pathlib import Path
from typing import Any, Self

from ldap3 import MODIFY_ADD, MODIFY_DELETE, MODIFY_REPLACE, NONE, SIMPLE, Connection, Server
from ldap3.utils.conv import escape_filter_chars
from ldap3.utils.dn import escape_rdn

from dev.directory import Authority
from tests.directories.daemon import Daemon, free_address, free_port
from tests.directories.people import (
    ADMINISTRATORS,
    EVERYDAY,
    GROUPS,
    IT,
    LOCKED,
    REFUSED,
    SCAN_TEAM,
    SCANNING,
    USERS,
    Person,
)

BASE_DN = "dc=example,dc=test"
ROOT_DN = f"cn=root,{BASE_DN}"
SERVICE_DN = f"cn=svc-vault,{BASE_DN}"
NESTED = "Nested"
"""A group that has no people, but the group VaultUsers as its member."""
LOCKOUT_THRESHOLD = 5

_PEOPLE = f"ou=people,{BASE_DN}"
_GROUPS = f"ou=groups,{BASE_DN}"
_POLICY = f"cn=default,ou=policies,{BASE_DN}"
_MEMBERSHIPS = {
    USERS: (NESTED,),
    NESTED: (),
    **{name: GROUPS[name] for name in (SCANNING, SCAN_TEAM, ADMINISTRATORS, IT)},
}
_LOCKED_FOR_EVER = "000001010000Z"
# A name and an empty password are "anonymous, welcome" here, on purpose: RFC 4513 5.1.2 allows it and warns of it
_CONFIGURATION = f"""
include /etc/ldap/schema/core.schema
include /etc/ldap/schema/cosine.schema
include /etc/ldap/schema/inetorgperson.schema
modulepath /usr/lib/ldap
moduleload back_mdb
moduleload memberof
moduleload refint
moduleload ppolicy
allow bind_anon_cred bind_anon_dn
pidfile {{folder}}/slapd.pid
TLSCACertificateFile {{folder}}/ca.pem
TLSCertificateFile {{folder}}/certificate.pem
TLSCertificateKeyFile {{folder}}/key.pem
{{access}}
access to attrs=userPassword by anonymous auth by * none
access to * by * read
database mdb
maxsize 33554432
dbnosync
suffix "{BASE_DN}"
rootdn "{ROOT_DN}"
rootpw {{root_password}}
directory {{folder}}/data
{{limits}}
index objectClass,uid,member,memberOf eq
overlay memberof
memberof-refint TRUE
overlay refint
refint_attributes member memberOf
overlay ppolicy
ppolicy_default "{_POLICY}"
ppolicy_hash_cleartext
"""
_ROOT_PASSWORD = "root-Pass1!"


class OpenLdap:
    """One slapd with `ou=people` (inetOrgPerson), `ou=groups` (groupOfNames with memberOf) and a password policy.

    A context manager, started when made (some 0.3 s). Everybody's password is in `passwords`, by uid. Needs the package
    of `packages.why_no_slapd`. Nested groups are plain members of groups: memberOf names the direct ones only.
    """

    base_dn = BASE_DN
    people_dn = _PEOPLE
    groups_dn = _GROUPS
    service_dn = SERVICE_DN
    service_password = "svc-vault-Pass1!"

    def __init__(self, folder: Path, authority: Authority) -> None:
        self._folder = folder
        self._authority = authority
        self.passwords: dict[str, str] = {}
        self._administrator: Connection | None = None
        self.host = free_address()
        self._plain_port, self._tls_port = free_port(self.host), free_port(self.host)
        self._configure()
        urls = f"ldap://{self.host}:{self._plain_port}/ ldaps://{self.host}:{self._tls_port}/"
        self._daemon = Daemon(
            ["slapd", "-d", "0", "-f", str(folder / "slapd.conf"), "-h", urls],
            self.host,
            (self._plain_port, self._tls_port),
            folder / "slapd.log",
        )
        self.start()
        self._populate()

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None:
        self.close()

    @property
    def ldaps_url(self) -> str:
        return f"ldaps://{self.host}:{self._tls_port}"

    @property
    def starttls_url(self) -> str:
        return f"ldap://{self.host}:{self._plain_port}"

    @property
    def ca_pem(self) -> str:
        return self._authority.pem

    @property
    def ca_file(self) -> Path:
        return self._folder / "ca.pem"

    def start(self) -> None:
        self._daemon.start()

    def stop(self) -> None:
        """From now on connections are refused. Idempotent."""
        self._hang_up()
        self._daemon.stop()

    def pause(self) -> None:
        """From now on connections are accepted and nothing is answered: the server that hangs."""
        self._daemon.pause()

    def resume(self) -> None:
        self._daemon.resume()

    def close(self) -> None:
        self.stop()

    def present_certificate(
        self, *names: str, authority: Authority | None = None, until: datetime | None = None
    ) -> None:
        """Use a new certificate from the next start on: for this server's address, or for other names."""
        key, certificate = (authority or self._authority).server_pem(
            names or (self.host, "ldap.example.test"), until=until
        )
        (self._folder / "key.pem").write_bytes(key)
        (self._folder / "key.pem").chmod(0o600)
        (self._folder / "certificate.pem").write_bytes(certificate)
        self.ca_file.write_text(self.ca_pem, encoding="ascii")

    def dn(self, name: str) -> str:
        """Of a person, by uid, or of a group, by cn. Raises LookupError."""
        return str(self._entry(name)["dn"])

    def entry_uuid(self, name: str) -> str:
        return self.attribute(name, "entryUUID")[0].decode()

    def attribute(self, name: str, attribute: str) -> list[bytes]:
        """The values that the server has stored; none is an empty list. Raises LookupError."""
        return list(self._entry(name, attribute)["raw_attributes"].get(attribute, []))

    def bad_password_count(self, uid: str) -> int:
        """How many wrong passwords the server has counted since the last good one."""
        return len(self.attribute(uid, "pwdFailureTime"))

    def unlock_all(self) -> None:
        """Forget all wrong passwords, but those of the account that is always locked; who is disabled remains so."""
        wrong = "(|(pwdFailureTime=*)(pwdAccountLockedTime=*))"
        query = f"(&{wrong}(!(uid={LOCKED}))(!(pwdAccountLockedTime={_LOCKED_FOR_EVER})))"
        for entry in self._search(query, "uid"):
            uid = entry["raw_attributes"]["uid"][0].decode()
            # Wrong passwords are forgotten when a lock is taken away, and only then
            self.disable(uid)
            self._modify(entry["dn"], {"pwdAccountLockedTime": [(MODIFY_DELETE, [])]})

    def add(self, person: Person) -> None:
        """A new account, with its groups."""
        dn = f"uid={escape_rdn(person.login)},{_PEOPLE}"
        first_name, _, last_name = person.name.partition(" ")
        attributes = {
            "uid": person.login,
            "cn": person.name,
            "givenName": first_name,
            "sn": last_name or first_name,
            "displayName": person.name,
            "mail": person.mail,
            "userPassword": person.password,
        }
        self._create(dn, "inetOrgPerson", attributes)
        for group in person.groups:
            self._modify(_group_dn(group), {"member": [(MODIFY_ADD, [dn])]})
        self.passwords[person.login] = person.password

    def change(self, name: str, **attributes: object) -> None:
        """Replace attributes, by their names in the directory; None removes. Values: str, bytes, lists of them."""
        self._modify(self.dn(name), {key: [(MODIFY_REPLACE, _values(value))] for key, value in attributes.items()})

    def set_password(self, uid: str, password: str) -> None:
        self.change(uid, userPassword=password)
        self.passwords[uid] = password

    def disable(self, uid: str) -> None:
        """Locked until an administrator unlocks it: what OpenLDAP has in place of disabled accounts."""
        self.change(uid, pwdAccountLockedTime=_LOCKED_FOR_EVER)

    def enable(self, uid: str) -> None:
        self.change(uid, pwdAccountLockedTime=None)

    def must_change_password(self, uid: str) -> None:
        self.change(uid, pwdReset="TRUE")

    def delete(self, name: str) -> None:
        self.delete_entry(self.dn(name))

    def delete_entry(self, dn: str) -> None:
        connection = self._root()
        _must(connection, connection.delete(dn))

    @contextmanager
    def configured(self, *, access: str = "", limits: str = "") -> Iterator[None]:
        """Restarted with rules of access before all others, or limits of searches; as before at the end."""
        self.stop()
        self._write_configuration(access=access, limits=limits)
        self.start()
        try:
            yield
        finally:
            self.stop()
            self._write_configuration()
            self.start()

    def add_policy(self, name: str, uid: str, **attributes: str) -> str:
        """A password policy for one account; its DN."""
        dn = f"cn={escape_rdn(name)},ou=policies,{BASE_DN}"
        self._create(dn, ["pwdPolicy", "device"], {"cn": name, "pwdAttribute": "userPassword", **attributes})
        self.change(uid, pwdPolicySubentry=dn)
        return dn

    def add_unit(self, name: str) -> str:
        """The DN of a new organizational unit."""
        dn = f"ou={escape_rdn(name)},{BASE_DN}"
        self._create(dn, "organizationalUnit", {"ou": name})
        return dn

    def move(self, uid: str, unit_dn: str) -> None:
        dn, connection = self.dn(uid), self._root()
        rdn = f"uid={escape_rdn(uid)}"
        _must(connection, connection.modify_dn(dn, rdn, new_superior=unit_dn))

    def add_group(self, name: str, *members: str) -> None:
        """A new group with these people in it."""
        first, *others = map(self.dn, members)
        self._create(_group_dn(name), "groupOfNames", {"cn": name, "member": first})
        if others:
            self._modify(_group_dn(name), {"member": [(MODIFY_ADD, others)]})

    def add_members(self, group_dn: str, members: list[str]) -> None:
        """So many names at once, of people or of nobody."""
        self._modify(group_dn, {"member": [(MODIFY_ADD, members)]})

    def add_to_group(self, name: str, group: str) -> None:
        self._modify(self.dn(group), {"member": [(MODIFY_ADD, [self.dn(name)])]})

    def remove_from_group(self, name: str, group: str) -> None:
        self._modify(self.dn(group), {"member": [(MODIFY_DELETE, [self.dn(name)])]})

    def _configure(self) -> None:
        (self._folder / "data").mkdir(parents=True)
        self.present_certificate()
        self._write_configuration()

    def _write_configuration(self, *, access: str = "", limits: str = "") -> None:
        text = _CONFIGURATION.format(folder=self._folder, root_password=_ROOT_PASSWORD, access=access, limits=limits)
        (self._folder / "slapd.conf").write_text(text, encoding="ascii")

    def _populate(self) -> None:
        self._create(BASE_DN, ["dcObject", "organization"], {"dc": "example", "o": "Example"})
        for unit in ("people", "groups", "policies"):
            self._create(f"ou={unit},{BASE_DN}", "organizationalUnit", {"ou": unit})
        policy = {
            "cn": "default",
            "pwdAttribute": "userPassword",
            "pwdLockout": "TRUE",
            "pwdMaxFailure": str(LOCKOUT_THRESHOLD),
            "pwdLockoutDuration": "1800",
            "pwdFailureCountInterval": "1800",
            "pwdMustChange": "TRUE",
        }
        self._create(_POLICY, ["pwdPolicy", "device"], policy)
        service = {"cn": "svc-vault", "userPassword": self.service_password}
        self._create(SERVICE_DN, ["organizationalRole", "simpleSecurityObject"], service)
        # A group must have a member: RFC 4519 3.5
        for name in _MEMBERSHIPS:
            self._create(_group_dn(name), "groupOfNames", {"cn": name, "member": SERVICE_DN})
        for name, uppers in _MEMBERSHIPS.items():
            for upper in uppers:
                self._modify(_group_dn(upper), {"member": [(MODIFY_ADD, [_group_dn(name)])]})
        for person in (*EVERYDAY, REFUSED["533"], REFUSED["773"]):
            if person.login != "svc-vault":
                self.add(person)
        self.disable(REFUSED["533"].login)
        self.must_change_password(REFUSED["773"].login)
        self._lock(LOCKED)

    def _lock(self, uid: str) -> None:
        """By wrong passwords, as it happens in life."""
        dn = self.dn(uid)
        for _ in range(LOCKOUT_THRESHOLD):
            with_wrong = self._connection(dn, "wrong")
            assert not with_wrong.bind()
            with_wrong.unbind()
        assert self.attribute(uid, "pwdAccountLockedTime")

    def _connection(self, dn: str, password: str) -> Connection:
        server = Server(self.host, self._plain_port, get_info=NONE)
        return Connection(server, dn, password.encode(), authentication=SIMPLE, receive_timeout=10)

    def _root(self) -> Connection:
        """One connection for as long as the server runs: a test makes many edits."""
        if self._administrator is None:
            self._administrator = self._connection(ROOT_DN, _ROOT_PASSWORD)
            _must(self._administrator, self._administrator.bind())
        return self._administrator

    def _hang_up(self) -> None:
        connection, self._administrator = self._administrator, None
        if connection is not None:
            connection.unbind()

    def _create(self, dn: str, object_class: str | list[str], attributes: dict[str, str]) -> None:
        connection = self._root()
        _must(connection, connection.add(dn, object_class, attributes))

    def _modify(self, dn: str, changes: dict[str, Any]) -> None:
        connection = self._root()
        _must(connection, connection.modify(dn, changes))

    def _entry(self, name: str, *attributes: str) -> dict[str, Any]:
        escaped = escape_filter_chars(name)
        query = f"(|(uid={escaped})(&(objectClass=groupOfNames)(cn={escaped})))"
        found = self._search(query, *attributes)
        if len(found) != 1:
            raise LookupError(f"{BASE_DN} has {len(found)} of {name}")
        return found[0]

    def _search(self, query: str, *attributes: str) -> list[dict[str, Any]]:
        connection = self._root()
        connection.search(BASE_DN, query, attributes=list(attributes))
        _must(connection, connection.result["result"] == 0)
        return list(connection.response)


def _group_dn(name: str) -> str:
    return f"cn={escape_rdn(name)},{_GROUPS}"


def _values(value: object) -> list[Any]:
    if value is None:
        return []
    return list(value) if isinstance(value, list | tuple) else [value]


def _must(connection: Connection, has_worked: bool) -> None:
    assert has_worked, connection.result
