"""What a route declares about itself."""

from collections.abc import Callable, Collection
from dataclasses import dataclass

from chalicelib.domain.access import Access
from chalicelib.domain.audit import Origin
from chalicelib.domain.errors import VaultError

from .forms import Fields


@dataclass(frozen=True, slots=True)
class Route:
    """One method of one path. `access` has no default: a route that does not say who may call it cannot exist (R13)."""

    method: str
    path: str
    access: Access
    query: Collection[str] = ()
    """Query parameters the route reads; others are ignored."""
    fields: Collection[str] = ()
    """Form fields beside `csrf`; others are refused, or ignored where programs call (RFC 6749 3.2)."""
    repeatable: Collection[str] = ()
    """Parameters or fields that may come more than once."""
    recent_login_for: str = ""
    """The named page to return to, for a route that asks for a log-in younger than five minutes (R35)."""
    iam: bool = False
    """Only for callers that signed the whole request as an IAM identity (SigV4), which the gateway checks."""
    on_unreadable: Callable[[Origin, VaultError], object] | None = None
    """Told of requests that are refused before the route sees them: too large, no form, a parameter twice."""
    is_callback: bool = False
    """Where other sites send browsers to: whatever is refused here before the route sees it is noted."""
    login_hint: Callable[[Fields], str] | None = None
    """By the query, which sentence the log-in page shows where there is no session.

    Without it: that the session has ended, if there was one.
    """
