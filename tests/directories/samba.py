"""A real Active Directory domain controller for tests: Debian's Samba in a folder of its own (Samba 4.17 and newer)."""

import base64
import json
import shutil
import subprocess
from collections.abc import Iterable, Mapping
from datetime import datetime
from functools import cached_property
from pathlib import Path
from typing import Any, Self

from ldap3 import SIMPLE, SYNC, Connection, Server
from ldap3.utils.conv import escape_filter_chars
from ldap3.utils.dn import escape_rdn

from dev.directory import Authority
from tests.directories.daemon import Daemon, free_address
from tests.directories.packages import program
from tests.directories.people import (
    DISABLED_ACCOUNT,
    GROUPS,
    LOCKED,
    LONG_AGO,
    NORMAL_ACCOUNT,
    PEOPLE,
    Person,
    file_time,
)

ADMINISTRATOR_PASSWORD = "Adm1n-Passw0rd!"
LOCKOUT_THRESHOLD = 5
LOCKOUT_MINUTES = 30

_PORTS = (389, 636)
_SYSTEM_PYTHON = "/usr/bin/python3"
_NOT_CLONED = ("*.log", "run", "lock", "ncalrpc", "ldapi", "ldap_priv")  # logs, and sockets of the running one
_EDITOR = Path(__file__).with_name("sam_editor.py")
# Times in a domain's policy are negative: a duration, not a moment
_LOCKOUT_TIME = -LOCKOUT_MINUTES * 60 * 10_000_000
_CONFIGURATION = """[global]
netbios name = DC1
workgroup = {netbios}
realm = {realm}
server role = active directory domain controller
server services = ldap
interfaces = {host}/8
bind interfaces only = yes
ldap server require strong auth = yes
tls enabled = yes
tls keyfile = {folder}/tls/key.pem
tls certfile = {folder}/tls/certificate.pem
tls cafile = {folder}/tls/ca.pem
private dir = {folder}/private
state directory = {folder}/state
cache directory = {folder}/cache
lock directory = {folder}/lock
pid directory = {folder}/run
binddns dir = {folder}/bind-dns
ncalrpc dir = {folder}/ncalrpc
log file = {folder}/log.samba
"""

Step = dict[str, Any]


class SambaController:
    """One controller of one domain, on ports 389 and 636 of an address of its own; a context manager.

    Making it takes some 10 s and starts it. Everybody's password is in `passwords`, by sAMAccountName. Names of people
    and groups in the arguments are sAMAccountNames. Edits work on a stopped or paused controller too, and count at
    once. Needs root and the packages of `packages.why_no_samba`.
    """

    def __init__(self, folder: Path, netbios: str, dns_name: str, authority: Authority) -> None:
        self._prepare(folder, netbios, dns_name, authority)
        self._provision()
        self._configure()
        self._populate()
        self.start()
        self._lock(LOCKED)

    def _prepare(self, folder: Path, netbios: str, dns_name: str, authority: Authority) -> None:
        self._folder = folder
        self._authority = authority
        self.netbios = netbios
        self.dns_name = dns_name
        self.host = free_address(*_PORTS)
        self.passwords: dict[str, str] = {}
        self._daemon = Daemon(
            ["samba", "--foreground", "--no-process-group", "-M", "single", "-d1", "--debug-stdout", *self._config],
            self.host,
            _PORTS,
            folder / "samba.log",
        )

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None:
        self.close()

    @property
    def base_dn(self) -> str:
        return ",".join(f"DC={label}" for label in self.dns_name.split("."))

    @property
    def server_name(self) -> str:
        """The other name, beside `host`, in the certificate; no name server knows it."""
        return f"dc1.{self.dns_name}"

    @property
    def ldaps_url(self) -> str:
        return f"ldaps://{self.host}"

    @property
    def starttls_url(self) -> str:
        return f"ldap://{self.host}"

    @property
    def ca_pem(self) -> str:
        return self._authority.pem

    @property
    def ca_file(self) -> Path:
        return self._folder / "tls" / "ca.pem"

    def start(self) -> None:
        self._daemon.start()

    def stop(self) -> None:
        """From now on connections are refused. Idempotent."""
        self._daemon.stop()

    def pause(self) -> None:
        """From now on connections are accepted and nothing is answered: the controller that hangs."""
        self._daemon.pause()

    def resume(self) -> None:
        self._daemon.resume()

    def close(self) -> None:
        """End the server and the editor for good."""
        self._daemon.stop()
        if "_editor" in self.__dict__:
            self._editor.communicate()
            del self._editor

    def clone(self, folder: Path) -> "SambaController":
        """A second controller of the same domain, started: same SIDs and CA, own address, no replication."""
        other = SambaController.__new__(SambaController)
        other._prepare(folder, self.netbios, self.dns_name, self._authority)
        self.pause()
        shutil.copytree(self._folder, folder, dirs_exist_ok=True, ignore=shutil.ignore_patterns(*_NOT_CLONED))
        self.resume()
        other.passwords = dict(self.passwords)
        other._configure()
        other.start()
        return other

    def present_certificate(
        self, *names: str, authority: Authority | None = None, until: datetime | None = None
    ) -> None:
        """Use a new certificate from the next start on: for the usual names of this controller, or for others."""
        tls = self._folder / "tls"
        tls.mkdir(exist_ok=True)
        key, certificate = (authority or self._authority).server_pem(
            names or (self.host, self.server_name), until=until
        )
        (tls / "key.pem").write_bytes(key)
        (tls / "key.pem").chmod(0o600)
        (tls / "certificate.pem").write_bytes(certificate)
        (tls / "ca.pem").write_text(self.ca_pem, encoding="ascii")

    def dn(self, name: str) -> str:
        """Of a person or group. Raises LookupError."""
        return str(self._entry(name)["dn"])

    def sid(self, name: str) -> str:
        """The objectSid of a person or group, as S-1-5-21-... Raises LookupError."""
        return sid_text(self._entry(name, "objectSid")["objectSid"][0])

    def attribute(self, name: str, attribute: str) -> list[bytes]:
        """The values that the controller has stored; none is an empty list. Raises LookupError."""
        return list(self._entry(name, attribute).get(attribute, []))

    def bad_password_count(self, sam: str) -> int:
        """How many wrong passwords the controller has counted since the last good one."""
        return int((self.attribute(sam, "badPwdCount") or [b"0"])[0])

    def is_locked(self, sam: str) -> bool:
        return int((self.attribute(sam, "lockoutTime") or [b"0"])[0]) > 0

    def unlock_all(self) -> None:
        """Forget all wrong passwords, but those of the account that is always locked."""
        found = self._search("(|(badPwdCount>=1)(lockoutTime>=1))", "sAMAccountName")
        forgotten = {"lockoutTime": 0, "badPwdCount": 0}
        names = {entry["dn"]: entry["sAMAccountName"][0].decode() for entry in found}
        self._do(*(_step("replace", dn, forgotten) for dn, name in names.items() if name != LOCKED))

    def add(self, person: Person) -> None:
        """A new account, with its groups."""
        self._do(*self._creation(person))
        self.passwords[person.login] = person.password

    def add_group(self, name: str, *member_of: str, common_name: str = "") -> None:
        """`common_name` may have characters that a sAMAccountName may not."""
        dn = self._group_dn(common_name or name)
        self._do(
            _step("create", dn, {"objectClass": "group", "sAMAccountName": name}),
            *(_step("add", self._group_dn(upper), {"member": dn}) for upper in member_of),
        )

    def change(self, name: str, **attributes: object) -> None:
        """Replace attributes, by their names in the directory; None removes. Values: str, int, bytes, lists of them."""
        self._do(_step("replace", self.dn(name), attributes))

    def disable(self, sam: str) -> None:
        self.change(sam, userAccountControl=DISABLED_ACCOUNT)

    def enable(self, sam: str) -> None:
        self.change(sam, userAccountControl=NORMAL_ACCOUNT)

    def delete(self, name: str) -> None:
        """The account or group is gone, and its SID never comes back."""
        self._do({"kind": "erase", "dn": self.dn(name)})

    def rename(self, sam: str, new_sam: str) -> None:
        """Another sAMAccountName for the same account."""
        self.change(sam, sAMAccountName=new_sam)
        self.passwords[new_sam] = self.passwords.pop(sam)

    def add_policy(self, name: str, sam: str, *, threshold: int, minutes: int) -> str:
        """A fine-grained password policy for one account; its DN."""
        dn = f"CN={escape_rdn(name)},CN=Password Settings Container,CN=System,{self.base_dn}"
        window = -minutes * 60 * 10_000_000
        attributes = {
            "objectClass": "msDS-PasswordSettings",
            "msDS-PasswordSettingsPrecedence": 1,
            "msDS-PasswordReversibleEncryptionEnabled": "FALSE",
            "msDS-PasswordHistoryLength": 0,
            "msDS-PasswordComplexityEnabled": "FALSE",
            "msDS-MinimumPasswordLength": 0,
            "msDS-MinimumPasswordAge": 0,
            "msDS-MaximumPasswordAge": -42 * 24 * 3600 * 10_000_000,
            "msDS-LockoutThreshold": threshold,
            "msDS-LockoutObservationWindow": window,
            "msDS-LockoutDuration": window,
            "msDS-PSOAppliesTo": self.dn(sam),
        }
        self._do(_step("create", dn, attributes))
        return dn

    def add_unit(self, name: str) -> str:
        """The DN of a new organizational unit at the domain's root."""
        dn = f"OU={escape_rdn(name)},{self.base_dn}"
        self._do(_step("create", dn, {"objectClass": "organizationalUnit"}))
        return dn

    def move(self, sam: str, unit_dn: str) -> None:
        """Into another container."""
        dn = self.dn(sam)
        self._do({"kind": "move", "dn": dn, "to": f"{dn.partition(',CN=Users,')[0]},{unit_dn}"})

    def hide(self, dn: str, from_name: str) -> None:
        """Deny one account to read an entry and all below it; where others may not either, nothing changes."""
        self._acl("deny", dn, f"(D;CI;RPLCLORC;;;{self.sid(from_name)})")

    def allow(self, dn: str, name: str) -> None:
        """Let one account read an entry."""
        self._acl("allow", dn, f"(A;;RPLCLORC;;;{self.sid(name)})")

    def _acl(self, action: str, dn: str, sddl: str) -> None:
        database = self._folder / "private" / "sam.ldb"
        command = [program("samba-tool"), "dsacl", "set", *self._config, f"--URL={database}", f"--action={action}"]
        done = subprocess.run(  # noqa: S603 - the command is ours
            [*command, f"--objectdn={dn}", f"--sddl={sddl}"], capture_output=True, text=True, check=False
        )
        assert done.returncode == 0, done.stderr

    def add_to_group(self, name: str, group: str) -> None:
        self._do(_step("add", self.dn(group), {"member": self.dn(name)}))

    def remove_from_group(self, name: str, group: str) -> None:
        self._do(_step("delete", self.dn(group), {"member": self.dn(name)}))

    def set_password(self, sam: str, password: str) -> None:
        self.change(sam, unicodePwd=quoted(password))
        self.passwords[sam] = password

    def set_password_moment(self, sam: str, moment: datetime) -> None:
        """When the password was set: more than 42 days ago means that it has expired."""
        self.change(sam, pwdLastSet=file_time(moment))

    def expire_password(self, sam: str) -> None:
        self.set_password_moment(sam, LONG_AGO)

    def must_change_password(self, sam: str) -> None:
        self.change(sam, pwdLastSet=0)

    def expire_account(self, sam: str, moment: datetime | None = LONG_AGO) -> None:
        """The account ends at this moment; None for never."""
        self.change(sam, accountExpires=file_time(moment) if moment else 0)

    def _provision(self) -> None:
        self._folder.mkdir(parents=True, exist_ok=True)
        seed = self._folder / "seed.conf"  # without it Debian's own smb.conf leaks in
        seed.write_text("[global]\n", encoding="ascii")
        command = [
            *(program("samba-tool"), "domain", "provision", f"--configfile={seed}", f"--targetdir={self._folder}"),
            *(f"--realm={self.dns_name.upper()}", f"--domain={self.netbios}", "--host-name=dc1"),
            *(f"--host-ip={self.host}", "--server-role=dc", "--dns-backend=NONE"),
            f"--adminpass={ADMINISTRATOR_PASSWORD}",
        ]
        done = subprocess.run(command, capture_output=True, text=True, check=False)  # noqa: S603 - the command is ours
        assert done.returncode == 0, done.stderr

    def _configure(self) -> None:
        for name in ("cache", "lock", "run", "bind-dns", "ncalrpc"):
            (self._folder / name).mkdir(exist_ok=True)
        self.present_certificate()
        text = _CONFIGURATION.format(
            netbios=self.netbios, realm=self.dns_name.upper(), host=self.host, folder=self._folder
        )
        (self._folder / "smb.conf").write_text(text, encoding="ascii")

    @property
    def _config(self) -> list[str]:
        return [f"--configfile={self._folder / 'smb.conf'}"]

    def _populate(self) -> None:
        policy = {
            "lockoutThreshold": LOCKOUT_THRESHOLD,
            "lockOutObservationWindow": _LOCKOUT_TIME,
            "lockoutDuration": _LOCKOUT_TIME,
            "pwdProperties": 0,
            "minPwdAge": 0,
        }
        nested = [
            _step("add", self._group_dn(upper), {"member": self._group_dn(name)})
            for name, uppers in GROUPS.items()
            for upper in uppers
        ]
        people = [step for person in PEOPLE for step in self._creation(person)]
        self._do(_step("replace", self.base_dn, policy), *map(self._group, GROUPS), *nested, *people)
        self.passwords |= {person.login: person.password for person in PEOPLE}

    def _creation(self, person: Person) -> list[Step]:
        dn = f"CN={escape_rdn(person.name)},CN=Users,{self.base_dn}"
        upn = {"userPrincipalName": f"{person.login}@{self.dns_name}"} if person.has_upn else {}
        extra = dict(person.active_directory)
        first = {
            "objectClass": "user",
            "sAMAccountName": person.login,
            "displayName": person.name,
            "mail": person.mail,
            "unicodePwd": quoted(person.password),
            "userAccountControl": NORMAL_ACCOUNT,
            **upn,
        }
        changes = [_step("replace", dn, extra)] if extra else []
        member = {"member": dn}
        return [
            _step("create", dn, first),
            *changes,
            *(_step("add", self._group_dn(name), member) for name in person.groups),
        ]

    def _group_dn(self, name: str) -> str:
        return f"CN={escape_rdn(name)},CN=Users,{self.base_dn}"

    def _group(self, name: str) -> Step:
        return _step("create", self._group_dn(name), {"objectClass": "group", "sAMAccountName": name})

    def _lock(self, sam: str) -> None:
        """By wrong passwords, as it happens in life."""
        server = Server(self.host, 636, use_ssl=True, get_info=None)
        for _ in range(LOCKOUT_THRESHOLD):
            with_wrong = Connection(
                server,
                f"{self.netbios}\\{sam}",
                b"wrong",
                authentication=SIMPLE,
                client_strategy=SYNC,
                auto_referrals=False,
            )
            assert not with_wrong.bind()
            with_wrong.unbind()
        assert self.is_locked(sam)

    def _entry(self, name: str, *attributes: str) -> dict[str, Any]:
        found = self._search(f"(sAMAccountName={escape_filter_chars(name)})", *attributes)
        if len(found) != 1:
            raise LookupError(f"{self.netbios} has {len(found)} of {name}")
        return found[0]

    def _search(self, query: str, *attributes: str) -> list[dict[str, Any]]:
        step = {"kind": "search", "base": self.base_dn, "filter": query, "attributes": attributes or ["sAMAccountName"]}
        entries = self._do(step)[0]
        return [{name: _decoded(value) for name, value in entry.items()} for entry in entries]

    def _do(self, *steps: Step) -> list[Any]:
        """Let the editor take all steps in one transaction."""
        editor = self._editor
        assert editor.stdin
        assert editor.stdout
        editor.stdin.write(json.dumps(steps) + "\n")
        editor.stdin.flush()
        answer = json.loads(editor.stdout.readline() or '{"error": "the editor ended"}')
        assert "error" not in answer, answer["error"]
        return list(answer["results"])

    @cached_property
    def _editor(self) -> "subprocess.Popen[str]":
        """Ends when its standard input does, so with us."""
        with (self._folder / "editor.log").open("ab") as log:
            return subprocess.Popen(  # noqa: S603 - our own program
                [_SYSTEM_PYTHON, "-I", _EDITOR, self._folder / "smb.conf", self._folder / "private" / "sam.ldb"],
                stdin=subprocess.PIPE,
                stdout=subprocess.PIPE,
                stderr=log,
                text=True,
                start_new_session=True,
            )


def sid_text(raw: bytes) -> str:
    """A SID as people write it, from its bytes ([MS-DTYP] 2.4.2.2)."""
    parts = [int.from_bytes(raw[place : place + 4], "little") for place in range(8, len(raw), 4)]
    return "-".join(["S", str(raw[0]), str(int.from_bytes(raw[2:8], "big")), *map(str, parts)])


def _step(kind: str, dn: str, attributes: Mapping[str, object]) -> Step:
    return {"kind": kind, "dn": dn, "attributes": {name: _encoded(value) for name, value in attributes.items()}}


def _encoded(value: object) -> list[str]:
    if value is None:
        return []
    values: Iterable[object] = value if isinstance(value, list | tuple) else [value]
    return [base64.b64encode(one if isinstance(one, bytes) else str(one).encode()).decode() for one in values]


def _decoded(value: str | list[str]) -> str | list[bytes]:
    return value if isinstance(value, str) else [base64.b64decode(one) for one in value]


def quoted(password: str) -> bytes:
    """As the attribute unicodePwd wants it ([MS-ADTS] 3.1.1.3.1.5)."""
    return f'"{password}"'.encode("utf-16-le")
