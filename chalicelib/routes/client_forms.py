"""The forms of "Manage clients": read strictly, every mistake named beside its field, and filled in again."""

import re
from dataclasses import replace
from ipaddress import ip_network

from chalicelib.domain.client_application import (
    ANY_SCOPE,
    MAX_LIMIT,
    AccessRule,
    ClientApplication,
    TrustedIssuer,
    Whose,
)
from chalicelib.domain.client_application import SubjectMode as Mode
from chalicelib.domain.directory import group_key, is_group
from chalicelib.domain.errors import InvalidForm, InvalidRequest, NotFound
from chalicelib.domain.text import tidy
from chalicelib.services.client_applications import ClientApplicationService
from chalicelib.services.people import PeopleService
from chalicelib.web.forms import Fields, Problems, lines
from chalicelib.web.pages import FormView

LIMITS = ("calls_per_minute", "people_per_hour")
IDENTITY = ("name", "role_arn", "subject_mode", "issuer", "issuer_audience", "user_claim", *LIMITS)
REGISTRATION = (*IDENTITY, "id", "keys")
RULE = ("provider", "number", "ceiling", "more_scopes", "whose", "groups", "users", "sources")
SCOPE = "scope"

_SCOPE = re.compile(r"[!#-\[\]-~]{1,256}")
_CLAIM = re.compile(r"[!-~]{1,64}")
_MAX_AUDIENCE = 512
_UNNAMED = "application"


def typed(form: Fields, names: tuple[str, ...], problems: dict[str, str]) -> FormView:
    """The form once more, as it was typed. Keys that were refused do not come back: one may have been private."""
    values = {name: form.text(name) for name in names if not (name == "keys" and "keys" in problems)}
    return FormView(values, problems, frozenset(form.all(SCOPE)))


def identity_of(application: ClientApplication) -> dict[str, str]:
    """What the form for an application that exists begins with."""
    issuer = application.trusted_issuer
    return {
        "name": application.name,
        "role_arn": application.role_arn or "",
        "subject_mode": application.subject_mode.value,
        "issuer": issuer.issuer if issuer else "",
        "issuer_audience": issuer.audience if issuer else "",
        "user_claim": issuer.user_claim if issuer else "",
        **{name: str(getattr(application, name) or "") for name in LIMITS},
    }


def read_registration(form: Fields, clients: ClientApplicationService) -> ClientApplication:
    """A new application. Raises InvalidForm."""
    problems = Problems()
    name = form.text("name").strip()
    application = ClientApplication(form.text("id").strip() or _id_from(name), name, Mode.SELF_ASSERTED, 0)
    with problems.noted():
        application = replace(application, keys=clients.keys_of(form.text("keys")))
    return _with_identity(application, form, clients, problems)


def read_identity(application: ClientApplication, form: Fields, clients: ClientApplicationService) -> ClientApplication:
    """The application as the form wants it. Raises InvalidForm."""
    return _with_identity(application, form, clients, Problems())


def _with_identity(
    application: ClientApplication, form: Fields, clients: ClientApplicationService, problems: Problems
) -> ClientApplication:
    mode = _mode(form.text("subject_mode"))
    changed = replace(
        application,
        name=tidy(form.text("name")),
        role_arn=form.text("role_arn").strip() or None,
        subject_mode=mode,
        trusted_issuer=application.trusted_issuer if mode is Mode.IDENTITY_PROVIDER else None,
    )
    with problems.noted():
        changed = replace(changed, calls_per_minute=_limit(form, "calls_per_minute"))
    with problems.noted():
        changed = replace(changed, people_per_hour=_limit(form, "people_per_hour"))
    if mode is Mode.IDENTITY_PROVIDER:
        with problems.noted():
            changed = replace(changed, trusted_issuer=_issuer(application.trusted_issuer, form, clients))
    # Without an issuer that could be read its absence would be told a second time
    checked = (
        changed
        if changed.trusted_issuer or mode is Mode.SELF_ASSERTED
        else replace(changed, subject_mode=Mode.SELF_ASSERTED)
    )
    with problems.noted():
        checked.check()
    problems.check()
    return changed


def _limit(form: Fields, name: str) -> int | None:
    """Numbers as people write them: 1,000 and 1 000 are the same."""
    text = re.sub(r"[\s,.\u2019']", "", form.text(name))
    if not text:
        return None
    if not re.fullmatch(r"[0-9]{1,7}", text, re.ASCII):
        raise InvalidForm({name: f"A limit is a number from 1 to {MAX_LIMIT:,}, or left empty for none."})
    return int(text)


def _mode(text: str) -> Mode:
    try:
        return Mode(text)
    except ValueError:
        raise InvalidRequest from None


def _issuer(before: TrustedIssuer | None, form: Fields, clients: ClientApplicationService) -> TrustedIssuer:
    problems = Problems()
    issuer, audience = form.text("issuer").strip(), form.text("issuer_audience").strip()
    claim = form.text("user_claim").strip() or "sub"
    if not 0 < len(audience) <= _MAX_AUDIENCE or not audience.isprintable():
        problems.add("issuer_audience", "Please give the audience (“aud”) that its tokens for this application have.")
    if not _CLAIM.fullmatch(claim):
        problems.add("user_claim", "A claim is a word such as sub, email or upn.")
    jwks_uri = before.jwks_uri if before is not None and before.issuer == issuer else ""
    if not jwks_uri:
        with problems.noted():
            jwks_uri = clients.jwks_uri_of(issuer)
    problems.check()
    return TrustedIssuer(issuer, jwks_uri, audience, claim)


def _id_from(name: str) -> str:
    """An id like the name, for who gives none."""
    return re.sub(r"[^a-z0-9]+", "-", name.casefold()).strip("-")[:64] or _UNNAMED


# Rules


def rule_values(rule: AccessRule, people: PeopleService, offered: tuple[str, ...]) -> FormView:
    """What the form for a rule that exists begins with; `offered` scopes have a box of their own."""
    more = [scope for scope in rule.scopes if scope not in offered and scope != ANY_SCOPE]
    values = {
        "ceiling": "any" if ANY_SCOPE in rule.scopes else "chosen",
        "more_scopes": " ".join(more),
        "whose": "everybody" if rule.whose.everybody else "chosen",
        "groups": "\n".join(sorted(rule.whose.groups)),
        "users": "\n".join(sorted(people.with_id(user_id).name for user_id in rule.whose.users)),
        "sources": "\n".join(rule.sources),
    }
    return FormView(values, chosen=frozenset(rule.scopes))


def read_rule(provider_id: str, form: Fields, people: PeopleService) -> AccessRule:
    """Raises InvalidForm: a rule says whose and up to where, nothing is meant by leaving it out (R74)."""
    problems, rule = Problems(), AccessRule(provider_id, (), Whose())
    with problems.noted():
        rule = replace(rule, scopes=_scopes(form))
    with problems.noted():
        rule = replace(rule, whose=_whose(form, people))
    with problems.noted():
        rule = replace(rule, sources=_sources(form.text("sources")))
    problems.check()
    return rule


def _scopes(form: Fields) -> tuple[str, ...]:
    if form.text("ceiling") == "any":
        return (ANY_SCOPE,)
    scopes = tuple(dict.fromkeys([*form.all(SCOPE), *form.text("more_scopes").split()]))
    if form.text("ceiling") != "chosen" or not scopes:
        raise InvalidForm(
            {"ceiling": "Please choose how far a token may reach: some scopes, or all that is authorized."}
        )
    if not all(_SCOPE.fullmatch(scope) and scope != ANY_SCOPE for scope in scopes):
        raise InvalidForm({"more_scopes": "Scopes are words without quotes, separated by spaces."})
    return scopes


def _whose(form: Fields, people: PeopleService) -> Whose:
    if form.text("whose") == "everybody":
        return Whose(everybody=True)
    problems, groups, users = Problems(), lines(form.text("groups")), lines(form.text("users"))
    if form.text("whose") != "chosen" or not groups + users:
        problems.add("whose", "Please choose whose tokens: everybody’s, or those of groups or people you name.")  # noqa: RUF001
    if not all(map(is_group, groups)):
        problems.add("groups", "A group is named by its SID (S-1-5-21-…) or its distinguished name, one a line.")
    found: set[str] = set()
    for number, name in enumerate(users, 1):
        try:
            found.add(people.find(name).id)
        except (NotFound, InvalidRequest) as error:
            problems.add("users", f"Line {number}: {error.message}")
    problems.check()
    return Whose(groups=frozenset(map(group_key, groups)), users=frozenset(found))


def _sources(text: str) -> tuple[str, ...]:
    try:
        return tuple(str(ip_network(line)) for line in lines(text))
    except ValueError:
        sentence = "A source is an address or a CIDR block such as 10.1.0.0/16, one a line."
        raise InvalidForm({"sources": sentence}) from None
