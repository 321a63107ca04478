"""What can be wrong with a domain controller, each with a name of its own for the log, the alarm and the check."""

import ssl
from enum import StrEnum
from typing import Any

from chalicelib.domain.directory_report import StepName


class Fault(StrEnum):
    """Why a server could not be asked. `directory.<fault>` is the log's event."""

    NAME_NOT_RESOLVED = "name_not_resolved"
    NO_SERVICE_RECORD = "no_service_record"
    FOREIGN_SERVICE_RECORDS = "foreign_service_records"
    PORT_CLOSED = "port_closed"
    NO_CONNECTION = "no_connection"
    HALF_OPEN = "half_open"
    START_TLS_REFUSED = "start_tls_refused"
    TLS_FAILED = "tls_failed"
    CERTIFICATE_EXPIRED = "certificate_expired"
    CERTIFICATE_NOT_YET_VALID = "certificate_not_yet_valid"
    CERTIFICATE_WRONG_NAME = "certificate_wrong_name"
    CERTIFICATE_UNTRUSTED = "certificate_untrusted"
    CERTIFICATE_INVALID = "certificate_invalid"
    CERTIFICATE_CHAIN = "certificate_chain"
    CA_FILE_UNUSABLE = "ca_file_unusable"
    STRONGER_AUTH_REQUIRED = "stronger_auth_required"
    CHANNEL_BINDING = "channel_binding"
    SLOW = "slow"
    BUSY = "busy"
    BROKEN_OFF = "broken_off"
    UNUSABLE_ANSWER = "unusable_answer"
    INCOMPLETE_ANSWER = "incomplete_answer"
    REFERRED = "referred"
    ACCESS_DENIED = "access_denied"
    SERVICE_ACCOUNT_REFUSED = "service_account_refused"
    SERVICE_SECRET_UNREADABLE = "service_secret_unreadable"  # noqa: S105 - a name, no secret
    BASE_NOT_FOUND = "base_not_found"

    @property
    def step(self) -> StepName:
        """Which step of a log-in fails by it."""
        return _STEPS.get(self, StepName.BASE)

    @property
    def is_security(self) -> bool:
        """Somebody may be standing between, or somebody forgot to renew: both want a person's attention now."""
        return self.value.startswith(("certificate_", "service_", "tls_", "start_tls_", "ca_", "foreign_"))


_STEPS = {
    Fault.NO_SERVICE_RECORD: StepName.SERVERS,
    Fault.FOREIGN_SERVICE_RECORDS: StepName.SERVERS,
    Fault.CA_FILE_UNUSABLE: StepName.CERTIFICATE,
    Fault.CHANNEL_BINDING: StepName.BIND,
    Fault.NAME_NOT_RESOLVED: StepName.ADDRESS,
    Fault.PORT_CLOSED: StepName.CONNECTION,
    Fault.NO_CONNECTION: StepName.CONNECTION,
    Fault.SERVICE_ACCOUNT_REFUSED: StepName.BIND,
    Fault.SERVICE_SECRET_UNREADABLE: StepName.BIND,
    Fault.HALF_OPEN: StepName.CERTIFICATE,
    Fault.START_TLS_REFUSED: StepName.CERTIFICATE,
    Fault.TLS_FAILED: StepName.CERTIFICATE,
    **{fault: StepName.CERTIFICATE for fault in Fault if fault.value.startswith("certificate_")},
}


class ServerFailed(Exception):
    """This server said nothing about the password; another one may. `detail` is for the log, ours and short.

    `was_asked`: a password was on its way and no answer came, so the server may have counted a try. `step`: which
    one failed, where that is not always the same.
    """

    def __init__(
        self, fault: Fault, detail: str = "", *, was_asked: bool = False, step: StepName | None = None
    ) -> None:
        self.fault = fault
        self.step = step or fault.step
        self.detail = detail
        self.was_asked = was_asked
        super().__init__(f"{fault} {detail}".strip())


# X509_V_ERR_* of OpenSSL's x509_vfy.h
_VERIFY_CODES = {
    2: Fault.CERTIFICATE_CHAIN,
    9: Fault.CERTIFICATE_NOT_YET_VALID,
    10: Fault.CERTIFICATE_EXPIRED,
    18: Fault.CERTIFICATE_UNTRUSTED,
    19: Fault.CERTIFICATE_UNTRUSTED,
    20: Fault.CERTIFICATE_UNTRUSTED,
    21: Fault.CERTIFICATE_UNTRUSTED,
    62: Fault.CERTIFICATE_WRONG_NAME,
    64: Fault.CERTIFICATE_WRONG_NAME,
}


def of_handshake(error: OSError, trusted: ssl.SSLContext) -> ServerFailed:
    """What a failed TLS handshake means, with these authorities trusted."""
    if isinstance(error, ssl.SSLCertVerificationError):
        fault = _VERIFY_CODES.get(error.verify_code, Fault.CERTIFICATE_INVALID)
        missing = f", missing: {_missing(trusted)}" if fault is Fault.CERTIFICATE_CHAIN else ""
        return ServerFailed(fault, f"{error.verify_message}{missing}")
    if isinstance(error, TimeoutError):
        return ServerFailed(Fault.HALF_OPEN, "connected, then silent")
    return ServerFailed(Fault.TLS_FAILED, getattr(error, "reason", None) or type(error).__name__)


def _missing(trusted: ssl.SSLContext) -> str:
    """Who issued certificates of authorities that are trusted, and is not among them."""
    certificates = trusted.get_ca_certs()
    subjects = [certificate["subject"] for certificate in certificates]
    issuers = [certificate["issuer"] for certificate in certificates if certificate["issuer"] not in subjects]
    return "; ".join(dict.fromkeys(name_of(issuer) for issuer in issuers)) or "?"


def name_of(name: Any) -> str:
    """A subject or issuer, as `ssl` tells it, in one line."""
    return ", ".join(f"{key}={value}" for part in name for key, value in part)


def of_connection(error: OSError) -> ServerFailed:
    """What a TCP connection that could not be made means."""
    if isinstance(error, ConnectionRefusedError):
        return ServerFailed(Fault.PORT_CLOSED)
    return ServerFailed(Fault.NO_CONNECTION, type(error).__name__)
