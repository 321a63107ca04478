"""The page that sends a browser on to another site, and who comes back without having been sent."""

from chalicelib.domain.provider_type import APPROVAL_STATE
from chalicelib.services.consent import Departure
from chalicelib.web.answers import Page
from chalicelib.web.cookies import Cookie
from chalicelib.web.forms import Fields


def going(departure: Departure, flow_cookie: str, *, is_sign_in: bool = False) -> Page:
    """It goes on by itself: browsers block a form's redirect to another site under form-action 'self'."""
    context = {"provider_name": departure.provider_name, "url": departure.url, "is_sign_in": is_sign_in}
    return Page("going.html", context, cookies=(Cookie(flow_cookie, departure.flow),))


BACK_FROM_APPROVAL = (
    "You are back from the page on which an administrator approves this application. "
    "If it was approved, everybody concerned can go on now."
)


def is_from_approval(query: Fields) -> bool:
    """Whether an administrator comes from approving the vault for a company, or from declining: nobody's trip.

    Entra ID says which by `admin_consent` or by `error`
    (https://learn.microsoft.com/entra/identity-platform/v2-admin-consent); neither is believed.
    """
    return "admin_consent" in query.values or query.text("state") == APPROVAL_STATE
