"""From a template and a view model to HTML."""

from datetime import UTC, datetime
from functools import cache
from hashlib import sha256
from pathlib import Path
from typing import TYPE_CHECKING

from markupsafe import Markup

from chalicelib.domain.text import visible

if TYPE_CHECKING:
    from jinja2 import Environment

_PACKAGE = Path(__file__).parent.parent
_STATIC = _PACKAGE / "static"
COMPILED = _PACKAGE / "compiled_templates"
"""The templates as Python modules, which only a bundle has: compiling takes longer than the rest of a first page."""


class Renderer:
    """Renders pages. `base_path` is what the public address has before the vault's own paths, or empty."""

    def __init__(self, base_path: str) -> None:
        self._base_path = base_path

    def page(self, template: str, **context: object) -> str:
        """The page as HTML. A name that the template uses and `context` lacks raises UndefinedError."""
        return environment(self._base_path).get_template(template).render(context)

    def path(self, path: str) -> str:
        """The address of one of our paths, which begins with a slash, for links and forms."""
        return self._base_path + path

    def asset(self, name: str) -> str:
        """The address of a static file. It changes with the file's content, so browsers may keep it for ever."""
        return self.path(f"/static/{name}?v={_digest(name)}")


@cache
def environment(base_path: str = "") -> "Environment":
    """Made at the first page: a background function imports this module and never renders."""
    from jinja2 import Environment, FileSystemLoader, ModuleLoader, StrictUndefined  # noqa: PLC0415 - see above

    made = Environment(
        loader=ModuleLoader(COMPILED) if COMPILED.is_dir() else FileSystemLoader(_PACKAGE / "templates"),
        autoescape=True,
        undefined=StrictUndefined,
        trim_blocks=True,
        lstrip_blocks=True,
        auto_reload=False,
    )
    renderer = Renderer(base_path)
    made.globals |= {"path": renderer.path, "asset": renderer.asset}
    made.filters["bdi"] = isolated
    made.filters["moment"] = moment
    made.filters["exact_moment"] = exact_moment
    made.filters["hour"] = hour
    return made


def isolated(text: str) -> Markup:
    """Text from outside as a `<bdi>` element: its direction ends where it ends (R96).

    What was stored before text was cleaned where it enters is made visible here.
    """
    return Markup("<bdi>{}</bdi>").format(visible(text))


def moment(seconds: int) -> Markup:
    """Epoch seconds as a `<time>` element that reads like `23 Nov 2026, 04:42 UTC`; 0: nobody can read it any more."""
    if seconds <= 0:
        return Markup("an unknown time")
    at = datetime.fromtimestamp(seconds, UTC)
    iso, words = f"{at:%Y-%m-%dT%H:%M:%SZ}", f"{at.day} {at:%b %Y, %H:%M} UTC"
    return Markup('<time datetime="{}">{}</time>').format(iso, words)


def hour(seconds: int | None) -> Markup | str:
    """The begin of an hour in which something happened, which the script makes to “today” or “3 days ago”."""
    if seconds is None:
        return "Not yet"
    at = datetime.fromtimestamp(seconds, UTC)
    iso, words = f"{at:%Y-%m-%dT%H:%M:%SZ}", f"{at.day} {at:%b %Y, %H}:00 to {(at.hour + 1) % 24:02}:00 UTC"
    return Markup('<time datetime="{}" data-hour>{}</time>').format(iso, words)


def exact_moment(seconds: int) -> Markup:
    """Epoch seconds as a `<time>` element that reads like `23 Nov 2026, 04:42:07 UTC`, and is left so everywhere."""
    at = datetime.fromtimestamp(seconds, UTC)
    words = f"{at.day} {at:%b %Y, %H:%M:%S} UTC"
    return Markup('<time datetime="{}" data-exact>{}</time>').format(f"{at:%Y-%m-%dT%H:%M:%SZ}", words)


@cache
def _digest(name: str) -> str:
    return sha256((_STATIC / name).read_bytes()).hexdigest()[:8]
