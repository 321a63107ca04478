"""GET /static/{name}: the stylesheet, the script and the pictures."""

from pathlib import Path

from chalice.app import Blueprint

from chalicelib.domain.access import Access
from chalicelib.domain.errors import NotFound
from chalicelib.web.answers import File
from chalicelib.web.endpoint import Endpoints
from chalicelib.web.request import Request
from chalicelib.web.route import Route

_FOLDER = Path(__file__).parent.parent / "static"
_TYPES = {".css": "text/css; charset=utf-8", ".js": "text/javascript; charset=utf-8", ".svg": "image/svg+xml"}
_FOR_A_YEAR = "public, max-age=31536000, immutable"


def blueprint(endpoints: Endpoints) -> Blueprint:
    static = Blueprint(__name__)
    # Read at start: a name from outside is only ever a key here, never a path
    files = {path.name: path.read_text() for path in _FOLDER.iterdir() if path.suffix in _TYPES}

    @endpoints.route(static, Route("GET", "/static/{name}", Access.PUBLIC, query=("v",)))
    def file(request: Request) -> File:
        name = request.path["name"]
        if name not in files:
            raise NotFound
        # Addresses of our pages carry a digest of the file; others must ask again
        cache_control = _FOR_A_YEAR if request.query.text("v") else "no-cache"
        return File(files[name], _TYPES[Path(name).suffix], cache_control)

    return static
