"""The page that sends a browser on to another site."""

from chalicelib.services.consent import Departure
from chalicelib.web.answers import Page
from chalicelib.web.cookies import Cookie


def going(departure: Departure, flow_cookie: str, *, is_sign_in: bool = False) -> Page:
    """It goes on by itself: browsers block a form's redirect to another site under form-action 'self'."""
    context = {"provider_name": departure.provider_name, "url": departure.url, "is_sign_in": is_sign_in}
    return Page("going.html", context, cookies=(Cookie(flow_cookie, departure.flow),))
