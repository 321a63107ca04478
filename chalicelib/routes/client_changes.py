"""What the pages of "Manage clients" do alike: changing an application as the form showed it."""

from collections.abc import Callable

from chalicelib.domain.audit import Actor
from chalicelib.domain.client_application import ClientApplication
from chalicelib.domain.errors import Conflict
from chalicelib.services.client_applications import ClientApplicationService
from chalicelib.web.answers import Answer, Redirect
from chalicelib.web.request import Request

from .client_views import ClientPages

PAGE = "/admin/clients"
ONE = f"{PAGE}/{{client}}"
RECENT = "clients"


def actor_of(request: Request) -> Actor:
    user = request.session.user
    return Actor(user.id, user.login_name)


def to(application: ClientApplication) -> Redirect:
    """The page of one application."""
    return Redirect(f"{PAGE}/{application.id}")


def check_version(application: ClientApplication, request: Request) -> None:
    """Raises Conflict where the form was made from another version."""
    if request.form.one("version") != str(application.version):
        raise Conflict


def changed(
    request: Request,
    clients: ClientApplicationService,
    pages: ClientPages,
    change: Callable[[ClientApplication], object],
) -> Answer:
    """Change the application as the form showed it; the page that says so where it is another one by now."""
    application = clients.get(request.path["client"])
    try:
        check_version(application, request)
        change(application)
    except Conflict:
        return pages.one(clients.get(application.id), is_outdated=True)
    return to(application)
