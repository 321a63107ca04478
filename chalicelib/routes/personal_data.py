"""Your data: what the vault stores about somebody, how long, and all of it as one file."""

import json

from chalice.app import Blueprint

from chalicelib.domain.access import Access
from chalicelib.services.personal_data import PersonalDataService
from chalicelib.web.answers import Answer, File, Page
from chalicelib.web.endpoint import Endpoints
from chalicelib.web.pages import StoredKindRow
from chalicelib.web.request import Request
from chalicelib.web.route import Route

_PAGE = "/your-data"


def blueprint(endpoints: Endpoints, personal_data: PersonalDataService) -> Blueprint:
    routes = Blueprint(__name__)

    @endpoints.route(routes, Route("GET", _PAGE, Access.USER))
    def show(_: Request) -> Answer:
        kinds = (StoredKindRow(one.kind, one.of_people, one.kept) for one in personal_data.kinds())
        return Page("personal_data.html", {"kinds": tuple(kinds)})

    @endpoints.route(routes, Route("POST", _PAGE, Access.USER))
    def download(request: Request) -> Answer:
        found = personal_data.own(request.session.user, request.origin)
        body = json.dumps(found, ensure_ascii=False, indent=1)
        return File(body, "application/json", "no-store", "your-data.json")

    return routes
