"""The form of a provider: read strictly, every mistake named beside its field, and filled in again."""

import re
from calendar import timegm
from collections.abc import Iterable
from datetime import UTC, date, datetime
from secrets import choice
from string import ascii_lowercase, digits

from chalicelib.domain.directory import group_key, is_group
from chalicelib.domain.errors import InvalidForm, InvalidRequest
from chalicelib.domain.provider import Provider
from chalicelib.domain.provider_type import ProviderType
from chalicelib.domain.secret import Secret
from chalicelib.domain.text import is_clean, tidy
from chalicelib.services.registration import MAX_NAME, Registration
from chalicelib.web.forms import Fields, Problems, lines
from chalicelib.web.pages import FormView

PRESET = "preset"
TYPED = (
    "name",
    "client_id",
    "secret_ends",
    "scopes",
    "whose",
    "groups",
    "grants",
    "keep_older",
    "end_grants",
    "revoke_old",
)
_SECRET = "client_secret"  # noqa: S105 - the field's name

_ID = re.compile(r"[a-z0-9][a-z0-9-]{0,54}-[a-z0-9]{8}")
_SCOPE = re.compile(r"[!#-\[\]-~]{1,256}")
_LONGEST_ID, _LONGEST_SECRET = 512, 2048
_MAX_SCOPES, _MAX_GROUPS = 50, 20


def field_names(types: Iterable[ProviderType]) -> tuple[str, ...]:
    """Every field that a form may have beside the boxes of presets."""
    own = {name_of(field.id) for type_ in types for field in type_.fields}
    return (*TYPED, _SECRET, "id", "type", "version", *sorted(own))


def name_of(field_id: str) -> str:
    """A field of a type as a field of the form: so that none can be taken for another."""
    return f"field_{field_id}"


def new_id(provider_type: ProviderType) -> str:
    """An id that nobody has yet, like the type's name."""
    return f"{provider_type.id}-{''.join(choice(ascii_lowercase + digits) for _ in range(8))}"


def checked_id(text: str) -> str:
    """The id that the page was made with. Raises InvalidRequest for anything else."""
    if not _ID.fullmatch(text):
        raise InvalidRequest
    return text


def typed(form: Fields, provider_type: ProviderType, problems: dict[str, str]) -> FormView:
    """The form once more, as it was typed, but for the secret."""
    names = (*TYPED, *(name_of(field.id) for field in provider_type.fields))
    return FormView({name: form.text(name) for name in names}, problems, frozenset(form.all(PRESET)))


def empty(provider_type: ProviderType) -> FormView:
    """What registering begins with."""
    defaults = {name_of(field.id): field.default for field in provider_type.fields}
    return FormView({"name": "", "whose": "everybody", "grants": "again"} | defaults)


def stored(provider: Provider, provider_type: ProviderType) -> FormView:
    """What editing begins with. Presets whose scopes are all there are ticked."""
    chosen = {preset.id for preset in provider_type.presets if set(preset.scopes) <= set(provider.scopes)}
    covered = {scope for preset in provider_type.presets if preset.id in chosen for scope in preset.scopes}
    more = [scope for scope in provider.scopes if scope not in covered and scope not in provider_type.required_scopes]
    ends = datetime.fromtimestamp(provider.secret_ends_at, UTC).date().isoformat() if provider.secret_ends_at else ""
    values = {
        "name": provider.name,
        "client_id": provider.client_id,
        "secret_ends": ends,
        "scopes": "\n".join(more),
        "whose": "groups" if provider.visible_to else "everybody",
        "groups": "\n".join(provider.visible_to),
        "grants": "again",
    }
    own = {name_of(name): value for name, value in provider.fields.items()}
    return FormView(values | own, {}, frozenset(chosen))


def read(form: Fields, provider_type: ProviderType) -> Registration:
    """What the form asks for. Raises InvalidForm with everything that is wrong."""
    problems = Problems()
    name, client_id = tidy(form.text("name")), form.text("client_id").strip()
    if not 0 < len(name) <= MAX_NAME or not is_clean(name):
        problems.add("name", f"Please give a name of at most {MAX_NAME} characters: people see it.")
    if not 0 < len(client_id) <= _LONGEST_ID or not client_id.isprintable():
        problems.add("client_id", "Please give the client ID, as the cloud shows it.")
    secret = form.text(_SECRET).strip()
    if len(secret) > _LONGEST_SECRET or not secret.isprintable():
        problems.add(_SECRET, "This is no client secret: it is too long or has control characters.")
    values = {field.id: form.text(name_of(field.id)) for field in provider_type.fields}
    try:
        provider_type.checked(values)
    except InvalidForm as error:
        for field_id, sentence in error.problems.items():
            problems.add(name_of(field_id), sentence)
    scopes, groups, ends = _scopes(form, provider_type, problems), _groups(form, problems), _end(form, problems)
    problems.check()
    return Registration(
        type_id=provider_type.id,
        name=name,
        client_id=client_id,
        client_secret=Secret(secret),
        fields=values,
        scopes=scopes,
        visible_to=groups,
        secret_ends_at=ends,
        keeps_older_secret=form.text("keep_older") == "on",
        authorize_again=form.text("grants") == "again",
        ends_authorizations=form.text("end_grants") == "on",
        revokes_authorizations=form.text("revoke_old") == "on",
    )


def _scopes(form: Fields, provider_type: ProviderType, problems: Problems) -> tuple[str, ...]:
    presets = {preset.id: preset.scopes for preset in provider_type.presets}
    chosen = [scope for name in form.all(PRESET) for scope in presets.get(name, ())]
    free = form.text("scopes").replace(",", " ").split()
    wrong = [scope for scope in free if not _SCOPE.fullmatch(scope)]
    scopes = provider_type.scopes([*chosen, *free])
    if wrong:
        problems.add("scopes", f"This cannot be a scope: {wrong[0][:60]}")
    if len(scopes) > _MAX_SCOPES:
        problems.add("scopes", f"A provider can ask for {_MAX_SCOPES} scopes.")
    return scopes


def _groups(form: Fields, problems: Problems) -> tuple[str, ...]:
    if form.text("whose") != "groups":
        return ()
    groups = lines(form.text("groups"))
    wrong = [group for group in groups if not is_group(group)]
    if wrong:
        problems.add("groups", f"This is neither a group's SID nor its distinguished name: {wrong[0][:80]}")
    elif not 0 < len(groups) <= _MAX_GROUPS:
        problems.add("groups", f"Please name 1 to {_MAX_GROUPS} groups, one a line, or choose everybody.")
    return tuple(map(group_key, groups))


def _end(form: Fields, problems: Problems) -> int | None:
    text = form.text("secret_ends").strip()
    try:
        return timegm(date.fromisoformat(text).timetuple()) if text else None
    except ValueError:
        problems.add("secret_ends", "Please give a date such as 2027-06-30, or leave it empty.")
        return None
