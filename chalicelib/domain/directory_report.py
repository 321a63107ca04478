"""What a look at a directory, or at a cloud, found, step by step: for administrators' pages and the command line."""

from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from enum import StrEnum


class StepName(StrEnum):
    """The steps of a log-in, in their order."""

    NAME = "name"
    SERVERS = "servers"
    ADDRESS = "address"
    CONNECTION = "connection"
    CERTIFICATE = "certificate"
    BIND = "bind"
    BASE = "base"
    ENTRY = "entry"
    GROUPS = "groups"
    CLOCK = "clock"
    LOCKOUT = "lockout"


@dataclass(frozen=True, slots=True)
class Step:
    """One step. `code` is empty for one that went well, else what `ADVICE` knows; `detail` holds the raw facts."""

    name: StrEnum
    code: str = ""
    detail: str = ""
    milliseconds: float = 0.0
    server: str = ""
    advices: Mapping[str, str] = field(default_factory=lambda: ADVICE, repr=False, compare=False)

    @property
    def is_good(self) -> bool:
        return not self.code

    @property
    def advice(self) -> str:
        """What to do about it, in a sentence; empty for a step that went well."""
        return self.advices.get(self.code, UNKNOWN) if self.code else ""


@dataclass(slots=True)
class Steps:
    """Collects steps, each with the time since the one before. `clock` gives seconds that only grow."""

    clock: Callable[[], float]
    advices: Mapping[str, str] = field(default_factory=lambda: ADVICE)
    steps: list[Step] = field(default_factory=list)
    _since: float = 0.0

    def __post_init__(self) -> None:
        self._since = self.clock()

    def add(self, name: StrEnum, detail: str = "", *, code: str = "", server: str = "") -> None:
        now = self.clock()
        self.steps.append(Step(name, code, detail, round((now - self._since) * 1000, 1), server, self.advices))
        self._since = now

    @property
    def are_good(self) -> bool:
        return all(step.is_good for step in self.steps)


@dataclass(frozen=True, slots=True)
class DirectoryReport:
    """What was found at one directory."""

    domain: str
    steps: tuple[Step, ...]

    @property
    def is_good(self) -> bool:
        return all(step.is_good for step in self.steps)


UNKNOWN = "An answer that the vault does not know. The raw code is for whoever runs the other side."

ADVICE: Mapping[str, str] = {
    # Names
    "malformed_name": "Nobody has a name like this. People write it as the log-in page says.",
    "foreign_domain": "No directory of the settings has this domain. Check `domain`, `dns_name` and `upn_suffixes`.",
    "form_not_allowed": "The settings do not allow this way to write a name. Check `user_name_forms`.",
    "no_such_account": "The service account finds nobody of this name below the base DN.",
    "ambiguous_name": "More than one account fits. The person must write DOMAIN\\USERNAME.",
    # Servers
    "no_service_record": "DNS has no service record for the domain's controllers. Check `dns_name`, or name `servers`.",
    "foreign_service_records": "DNS names controllers outside of `dns_name` only, and they are not trusted. "
    "Check `dns_name`, or name `servers`.",
    "name_not_resolved": "DNS does not know the server's name. Check `servers`, and the DNS of the vault's network.",
    "port_closed": "The server refuses connections on this port. Check the port, and that LDAPS is switched on there.",
    "no_connection": "No connection within the time limit. Check routes, security groups and firewalls.",
    "half_open": "The server took the connection and then said nothing. It hangs, or something stands between.",
    "start_tls_refused": "The server does not start TLS on this connection. Give it a certificate, or use ldaps://.",
    "tls_failed": "What answers there speaks no TLS. Check the port: 636 for ldaps://, 389 for ldap:// with StartTLS.",
    "certificate_expired": "The server's certificate has expired. Renew it; nobody can log in through this server.",
    "certificate_not_yet_valid": "The server's certificate is not valid yet. Check the clocks on both sides.",
    "certificate_wrong_name": "The certificate is for another name. Write the server as its certificate does.",
    "certificate_untrusted": "No authority the vault trusts has signed the certificate. Check `ca_file`; the server "
    "must send the certificates between its own and that authority.",
    "certificate_invalid": "The certificate breaks a rule; newer versions of Python are stricter. See the raw text.",
    "certificate_chain": "`ca_file` has an issuing authority and not the one above it. Add the certificate that "
    "the raw text names as missing.",
    "ca_file_unusable": "`ca_file` cannot be read or holds no certificate: nobody is trusted, nobody can log in.",
    "stronger_auth_required": "The server demands signing or encryption of this connection. Use ldaps:// with its "
    "port 636.",
    "channel_binding": "The server demands channel binding, and something between breaks it. Let the vault reach the "
    "controller itself, without a proxy that ends TLS.",
    "slow": "The server did not answer in time. Check its load, or raise `answer_seconds`.",
    "busy": "The server says that it is busy or shutting down. Other servers are asked instead.",
    "broken_off": "The server broke off, or sent what is no LDAP.",
    "unusable_answer": "The server refused a request that a log-in needs. The raw code says why.",
    "incomplete_answer": "The server gave a part of the answer only. Raise the limits of the service account there.",
    "referred": "The server refers to another one. Name servers that hold `base_dn` themselves.",
    "access_denied": "The server does not let this account read what a log-in needs.",
    # Service account
    "service_secret_unreadable": "Secrets Manager gave no password. Check `service_secret` and the role's permission.",
    "service_account_refused": "The directory refuses the service account. Check its name, its password and its state.",
    "no_service_account": "There is no service account, so this can only be seen when somebody logs in.",
    # What is there
    "base_not_found": "The base DN does not exist. Check `base_dn`.",
    "base_empty": "There is nobody below the base DN, or the account may not see them. Check `base_dn`.",
    "group_not_found": "This group does not exist. Check `allowed_groups` and `administrator_groups`.",
    "group_not_matched": "A member of this group is not seen in it. OpenLDAP: switch the overlay memberof on, or set "
    "`group_search`. Active Directory: let the service account read `tokenGroups`.",
    "clock_off": "The clocks of the vault and of this server differ. Tokens and certificates need the right time.",
    "lockout_differs": "The directory locks accounts sooner than the settings say. Lower `lockout_threshold`.",
    "lockout_forgets_later": "The directory remembers wrong passwords longer than `lockout_minutes` says. Raise it.",
    # The person
    "empty_password": "An empty password is never sent to a directory.",
    "malformed_password": "The password is too long or holds control characters, so it is not sent.",
    "bad_credentials": "The user name or the password is wrong. Samba and Windows say the same for both.",
    "locked_out": "The account is locked in the directory, for a while or until an administrator unlocks it.",
    "account_restricted": "The account may not log in with a password: it is in Protected Users, or has an "
    "authentication policy.",
    "smart_card_required": "The account may log on with a smart card only. Its password is a random one.",
    "result_19": "The directory has locked the account, after too many wrong passwords.",
    "result_48": "The entry has no password, so nobody can log in with it.",
    "result_53": "The directory refuses this account. In 389 Directory Server it is inactive.",
    "disabled": "The password is right, and the account is disabled.",
    "account_expired": "The password is right, and the account has expired.",
    "password_expired": "The password is right, and has expired.",
    "must_change_password": "The password is right, and must be changed before the first use.",
    "logon_hours": "The password is right, and the account may not log on at this hour.",
    "workstation": "The password is right, and the account may log on at certain computers only.",
    "anonymous_bind": "The directory took the log-in for an anonymous one. Nobody is let in that way.",
    "no_entry": "The password is right, and the person is not below the base DN. Check `base_dn`.",
    "other_entry": "The entry found is not the account that logged in.",
    "not_allowed": "The person is in none of the `allowed_groups`.",
    "directory_unavailable": "No server of the directory answered. The steps above say what each of them did.",
    "too_many_tries": "The vault has stopped asking for this account or address for a while.",
}
"""What each code means to an administrator."""
