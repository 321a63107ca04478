"""Mail: a person sees which mails they get, at which address, and chooses."""

from chalice.app import Blueprint

from chalicelib.domain.access import Access
from chalicelib.domain.mail import OPTIONAL, is_mail_address
from chalicelib.services.mail import MailService
from chalicelib.web.answers import Answer, Page, Redirect
from chalicelib.web.endpoint import Endpoints
from chalicelib.web.request import Request
from chalicelib.web.route import Route

_PAGE = "/mail"
_FIELDS = tuple(kind.value for kind in OPTIONAL)


def blueprint(endpoints: Endpoints, mail: MailService) -> Blueprint:
    routes = Blueprint(__name__)

    @endpoints.route(routes, Route("GET", _PAGE, Access.USER))
    def show(request: Request) -> Answer:
        user = request.session.user
        context = {
            "is_on": mail.is_on,
            "address": user.email if is_mail_address(user.email) else "",
            "standing": mail.standing(user),
            "optional": OPTIONAL,
        }
        return Page("mail_choices.html", context)

    @endpoints.route(routes, Route("POST", _PAGE, Access.USER, fields=_FIELDS))
    def choose(request: Request) -> Answer:
        wanted = [kind for kind in OPTIONAL if request.form.text(kind.value) == "yes"]
        mail.choose(request.session.user, wanted, request.origin)
        return Redirect(_PAGE)

    @endpoints.route(routes, Route("POST", f"{_PAGE}/accept", Access.USER))
    def accept(request: Request) -> Answer:
        mail.accept(request.session.user, request.origin)
        return Redirect(_PAGE)

    return routes
