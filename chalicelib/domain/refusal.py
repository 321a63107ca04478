"""Why a cloud or an OpenID provider says no, as far as it says so: words of the standards, and vendors' numbers.

Microsoft wants no program to act on its numbers, which may change. None does here: a number chooses the sentence that
a person reads, and one that is not known leaves it to the standard's word.
"""

import re
from collections.abc import Iterable
from enum import StrEnum

from .errors import CloudError
from .secret import Secret
from .text import loggable


class Refusal(StrEnum):
    """What a person is told of it."""

    DENIED = "denied"
    NOT_ASSIGNED = "not_assigned"
    NOT_A_MEMBER = "not_a_member"
    ACCOUNT_CLOSED = "account_closed"
    DEVICE_REFUSED = "device_refused"
    REFUSED_BY_RULES = "refused_by_rules"
    SECOND_FACTOR = "second_factor"
    APPROVAL_NEEDED = "approval_needed"
    INTERACTION_NEEDED = "interaction_needed"
    UNAVAILABLE = "cloud_unavailable"
    MISCONFIGURED = "misconfigured"
    OTHER = "cloud_error"


_BY_WORD = {
    # RFC 6749 4.1.2.1
    "access_denied": Refusal.DENIED,
    "server_error": Refusal.UNAVAILABLE,
    "temporarily_unavailable": Refusal.UNAVAILABLE,
    "invalid_request": Refusal.MISCONFIGURED,
    "invalid_scope": Refusal.MISCONFIGURED,
    "unauthorized_client": Refusal.MISCONFIGURED,
    "unsupported_response_type": Refusal.MISCONFIGURED,
    # RFC 6749 5.2, at the token endpoint
    "invalid_client": Refusal.MISCONFIGURED,
    "invalid_grant": Refusal.OTHER,
    "unsupported_grant_type": Refusal.MISCONFIGURED,
    # RFC 8707 2, and what Entra ID and AD FS say instead
    "invalid_target": Refusal.MISCONFIGURED,
    "invalid_resource": Refusal.MISCONFIGURED,
    # OpenID Connect Core 3.1.2.6
    "account_selection_required": Refusal.INTERACTION_NEEDED,
    "consent_required": Refusal.INTERACTION_NEEDED,
    "interaction_required": Refusal.INTERACTION_NEEDED,
    "login_required": Refusal.INTERACTION_NEEDED,
}

_NUMBER = re.compile(r"\b(AADSTS[0-9]{4,9}|MSIS[0-9]{3,5})\b")
_BY_NUMBER = {
    # https://learn.microsoft.com/entra/identity-platform/reference-error-codes
    Refusal.DENIED: "AADSTS65004",
    Refusal.NOT_ASSIGNED: "AADSTS50105",
    Refusal.NOT_A_MEMBER: (
        "AADSTS16000 AADSTS16003 AADSTS50014 AADSTS50020 AADSTS50034 AADSTS500208 AADSTS51004 AADSTS90072"
    ),
    Refusal.ACCOUNT_CLOSED: "AADSTS50053 AADSTS50055 AADSTS50057 AADSTS50144",
    Refusal.DEVICE_REFUSED: (
        "AADSTS50005 AADSTS50097 AADSTS50127 AADSTS50129 AADSTS50155 AADSTS50187 AADSTS53000 AADSTS53001 AADSTS135011"
    ),
    Refusal.REFUSED_BY_RULES: (
        "AADSTS50002 AADSTS50131 AADSTS53002 AADSTS53003 AADSTS53011 AADSTS80012 AADSTS500021 AADSTS500022 "
        "AADSTS500212 AADSTS500213 AADSTS530032 AADSTS530035"
    ),
    Refusal.SECOND_FACTOR: (
        "AADSTS50072 AADSTS50074 AADSTS50076 AADSTS50078 AADSTS50079 AADSTS50158 AADSTS53004 AADSTS53010"
    ),
    Refusal.APPROVAL_NEEDED: "AADSTS65001 AADSTS90008 AADSTS90094 AADSTS90095",
    Refusal.UNAVAILABLE: (
        "AADSTS50033 AADSTS50087 AADSTS50088 AADSTS80001 AADSTS80002 AADSTS90006 AADSTS90012 AADSTS90024 AADSTS90033 "
        "AADSTS90055 AADSTS90090"
    ),
    Refusal.MISCONFIGURED: (
        "AADSTS50011 AADSTS50194 AADSTS65005 AADSTS70001 AADSTS70002 AADSTS70011 AADSTS90002 AADSTS500011 AADSTS650052 "
        "AADSTS650054 AADSTS650056 AADSTS650057 AADSTS700016 AADSTS7000112 AADSTS7000215 AADSTS7000222 "
        # AD FS has given the application no permission for the scopes:
        # https://learn.microsoft.com/powershell/module/adfs/grant-adfsapplicationpermission
        "MSIS9605"
    ),
}
_NUMBERED = {number: refusal for refusal, numbers in _BY_NUMBER.items() for number in numbers.split()}

_NOT_ASSIGNED = "user is not assigned to the client application"
"""Okta says so with `access_denied`: https://community.auth0.com/t/user-not-assigned-to-the-client-application-error-at-log-in/186794"""


_BEGIN_AGAIN = "authentication_expired"
"""Keycloak is there: the person took too long, or finished in another tab, and is to begin again
(https://www.keycloak.org/docs/latest/securing_apps/, "Keycloak specific errors")."""


def refusal_of(error: str, description: str) -> Refusal:
    """What is meant by an error's word and its description; a vendor's number is more exact than the word."""
    number = _NUMBER.search(description)
    if number and number[0] in _NUMBERED:
        return _NUMBERED[number[0]]
    if _NOT_ASSIGNED in description.casefold():
        return Refusal.NOT_ASSIGNED
    if error == "temporarily_unavailable" and _BEGIN_AGAIN in description:
        return Refusal.INTERACTION_NEEDED
    return _BY_WORD.get(error, Refusal.OTHER)


def code_of_refusal(error: str, description: str) -> str:
    """What a help desk can look up, fit to be shown: a vendor's number, else a word of the standards, else nothing."""
    number = _NUMBER.search(description)
    return number[0] if number else error if error in _BY_WORD else ""


def told_by(error: CloudError) -> tuple[Refusal, str]:
    """The same two of what a token endpoint has said. Its word was looked at when it was read."""
    word = getattr(error, "error", "")
    return refusal_of(word, error.detail), code_of_refusal(word, error.detail) or word


def said(error: str, description: str, hide: Iterable[Secret] = ()) -> str:
    """Both together as they go to the log and the audit log, without what is to `hide`."""
    return loggable(f"{error}: {description}" if description else error, hide)
