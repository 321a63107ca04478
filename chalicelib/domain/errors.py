"""Everything that can go wrong, each with a code for programs and a sentence for people.

No error carries text that a cloud, the directory or a caller wrote: `message` is always one of ours, so
it may be shown and logged as it is (security requirement R17). What the other side said goes into
`detail`, cleaned and cut, for the log alone.
"""

import traceback
from collections.abc import Mapping
from typing import ClassVar

from .token_set import TokenSet


class VaultError(Exception):
    """Base of all. Raise a subclass; `message` may be narrowed to a more exact sentence of our own."""

    code: ClassVar[str] = "internal_error"
    message: str = "Something went wrong on our side. Please try again."

    def __init__(self, message: str | None = None, *, detail: str = "") -> None:
        if message is not None:
            self.message = message
        self.detail = detail
        super().__init__(self.message)


# What a caller sent


class InvalidRequest(VaultError):
    """`parameter`: which of our own parameters or fields is wrong, if it is one; never a name that was sent."""

    code = "invalid_request"
    message = "The request was not understood. Please go back and try again."

    def __init__(self, message: str | None = None, *, detail: str = "", parameter: str = "") -> None:
        self.parameter = parameter
        super().__init__(message, detail=detail or parameter)


class InvalidForm(InvalidRequest):
    """Fields of a form are wrong. `problems` has a sentence of ours for each, by the field's name."""

    code = "invalid_form"
    message = "Something in the form is not right. Nothing was changed."

    def __init__(self, problems: Mapping[str, str]) -> None:
        self.problems = dict(problems)
        super().__init__(next(iter(self.problems.values()), None), detail=" ".join(self.problems))


class TooLarge(InvalidRequest):
    code = "too_large"
    message = "The request is larger than the vault accepts."


class UnsupportedContentType(InvalidRequest):
    code = "unsupported_content_type"
    message = "The vault accepts ordinary web forms only."


class MethodNotAllowed(InvalidRequest):
    code = "method_not_allowed"
    message = "This address does not accept that kind of request."


class NotFound(VaultError):
    code = "not_found"
    message = "There is nothing at this address."


class ForgedForm(VaultError):
    """A POST without the session's token, or from another site (R9-R11)."""

    code = "forged_form"
    message = "This form has expired or did not come from the vault's own page. Nothing was changed. Please try again."


# Who is calling


class LoginRequired(VaultError):
    code = "login_required"
    message = "Please log in."


class RecentLoginRequired(VaultError):
    """What can hurt many asks for a log-in younger than five minutes (R35)."""

    code = "recent_login_required"
    message = "Please confirm your password to go on."


class AccessDenied(VaultError):
    code = "access_denied"
    message = "You may not use this page."


class LoginRefused(VaultError):
    """The directory, or a check before it, refused. One sentence whatever the cause (R29).

    `cause` is for the log and the audit entry, a word of ours; `sub_code` is Active Directory's own. `is_judged`
    False: the directory looked at the account only, and has counted no wrong password.
    """

    code = "login_refused"
    message = "The user name or password is incorrect. If it keeps failing, please contact your administrator."

    def __init__(self, cause: str, message: str | None = None, *, sub_code: str = "", is_judged: bool = True) -> None:
        self.cause = cause
        self.is_judged = is_judged
        self.user_id = ""
        """Whom the directory, or the sign-in provider, has just named and does not let in any more."""
        self.sub_code = sub_code
        super().__init__(message, detail=f"{cause} {sub_code}".strip())

    @property
    def followed_right_password(self) -> bool:
        """True where the directory says why: it does so only to who knows the password."""
        return self.message != LoginRefused.message


class TooManyTries(VaultError):
    """The vault asks the directory no more for a while (R30-R32). `retry_after` is in seconds."""

    code = "too_many_tries"

    def __init__(self, retry_after: int) -> None:
        self.retry_after = retry_after
        minutes = -(-retry_after // 60)
        wait = "a minute" if minutes == 1 else f"{minutes} minutes"
        super().__init__(f"There were too many tries. Please wait {wait}, then try again.")


class DirectoryUnavailable(VaultError):
    """No server answered. `was_asked`: a password was on its way, so a server may have counted a try."""

    code = "directory_unavailable"
    message = "Signing in is unavailable because the directory cannot be reached. Please try again in a minute."

    def __init__(self, message: str | None = None, *, detail: str = "", was_asked: bool = False) -> None:
        self.was_asked = was_asked
        super().__init__(message, detail=detail)


# Our own stores and keys


class StorageUnavailable(VaultError):
    code = "storage_unavailable"
    message = (
        "The vault's storage cannot be reached. Please look in a minute whether your change was made, and try again."
    )


class ItemUnreadable(StorageUnavailable):
    """One stored item is not as this version writes it: edited, damaged, or of a later version (R94).

    `detail` has its kind and key. It is no fault of the storage, but whoever needs the item cannot go on either.
    """

    code = "item_unreadable"
    message = "One record in the vault's storage cannot be read. Please tell your administrator; the log names it."


class KeyUnavailable(VaultError):
    code = "key_unavailable"
    message = "The vault's encryption key cannot be used at the moment. Please try again in a minute."


class Undeliverable(VaultError):
    """The event bus or the mail service did not take an event; it stays in the outbox."""

    code = "undeliverable"
    message = "The event could not be delivered. It will be tried again."


class Conflict(VaultError):
    """Somebody else changed the record first; nothing was written."""

    code = "conflict"
    message = "This was changed by somebody else in the meantime. Please look again and repeat your change."


class IntegrityViolation(VaultError):
    """A stored secret does not belong to the record it was found in (R50)."""

    code = "integrity_violation"
    message = "The stored authorization cannot be read. Please authorize again."


# The cloud


class CloudError(VaultError):
    """Base of what a cloud's authorization server can do to us.

    `received`: tokens that had come before it went wrong, and that nobody keeps: they are to be revoked (R95).
    """

    received: TokenSet | None = None

    may_be_registration: bool = False
    """The cloud's word is one that is said of a client, not of a person's tokens."""
    code = "cloud_error"
    message = "The cloud did not accept the request. Please try again."


class CloudUnavailable(CloudError):
    """Time-out, no connection, 5xx, 429 or a word for it: transient, says nothing about the grant.

    `retry_after`: seconds the cloud asked us to wait, or None. `answer_lost`: the request may have reached the cloud,
    so that it may have acted on it, and what came back is not the cloud's own word.
    """

    code = "cloud_unavailable"
    message = "The cloud cannot be reached or is overloaded. Please try again in a minute."

    def __init__(self, *, detail: str = "", retry_after: int | None = None, answer_lost: bool = False) -> None:
        self.retry_after = retry_after
        self.answer_lost = answer_lost
        super().__init__(detail=detail)


class CloudAnswerInvalid(CloudError):
    """An answer that no authorization server may give: HTML, no access token, a forged id_token.

    `error` is a word of ours for what is wrong, where a help desk can do something with it.
    """

    code = "cloud_answer_invalid"
    message = "The cloud gave an answer that the vault cannot use. Please try again, or tell your administrator."

    def __init__(self, error: str = "", *, detail: str = "") -> None:
        self.error = error
        super().__init__(detail=detail or error)


class CloudAnswerForged(CloudAnswerInvalid):
    """An answer that claims to be what it is not: of another server, for another trip or client, or wrongly signed."""

    code = "cloud_answer_forged"
    message = "The cloud's answer cannot be trusted. Please try again, or tell your administrator."


class CloudClockDiffers(CloudAnswerInvalid):
    """An answer that is not valid yet or any more, by a clock that differs too much from the cloud's."""

    code = "cloud_clock_differs"
    message = "The cloud's clock and the vault's differ too much. Please tell your administrator."


class CloudRefused(CloudError):
    """An OAuth error that is known to be final for this grant or code: `invalid_grant` (RFC 6749 5.2), few others."""

    code = "cloud_refused"
    message = "The cloud refused the authorization. Please authorize again."

    def __init__(self, error: str, *, detail: str = "") -> None:
        self.error = error
        super().__init__(detail=detail or error)


class CloudMisconfigured(CloudRefused):
    """An OAuth error that is about our registration, for example `invalid_client`: not the person's fault."""

    may_be_registration = True
    code = "cloud_misconfigured"
    message = "The cloud does not accept how the vault is registered there. Please tell your administrator."


class CloudRefusalUnclear(CloudError):
    """A refusal by a word that is not known to be final, or by none.

    Clouds say one and the same word of a dead refresh token, of a wrong registration and of too many calls. So it means
    "not now" until it is repeated, or another person meets it as well. `retry_after`: seconds the cloud asked to wait.
    """

    code = "cloud_refusal_unclear"
    message = "The cloud refused the request, and not for good as far as we know. Please try again later."

    def __init__(
        self, error: str, *, detail: str = "", retry_after: int | None = None, may_be_registration: bool = False
    ) -> None:
        self.error = error
        self.retry_after = retry_after
        self.may_be_registration = may_be_registration
        super().__init__(detail=detail or error)


def place_of(error: BaseException) -> str:
    """File and line that raised it. Never the message: an exception's text may hold what was being worked on (R68)."""
    last = traceback.extract_tb(error.__traceback__)[-1]
    return f"{last.filename.rpartition('/')[2]}:{last.lineno}"
