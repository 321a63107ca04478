"""The words of the mails: what happened, what to do, and one link."""

import textwrap
from collections.abc import Sequence
from dataclasses import dataclass
from datetime import UTC, datetime

from chalicelib.domain.event import Channel, Event, EventKind
from chalicelib.domain.grant import GrantReason, GrantState
from chalicelib.domain.mail import is_mail_address
from chalicelib.domain.text import clean

from .render import Renderer
from .urls import Urls

_TEMPLATE = "mail.html"
_LONGEST_NAME = 100
_COLUMNS = 72
_NAMED = 3
"""So many people are named in one mail; the page that it links to has them all."""


@dataclass(frozen=True, slots=True)
class Mail:
    """A mail ready to be sent; `subject` is one line."""

    subject: str
    text: str
    html: str


@dataclass(frozen=True, slots=True)
class _Words:
    """Sentences with the names of an event to be filled in; `label` is what the link says."""

    subject: str
    happened: str
    to_do: str
    label: str


_OPEN = "Open your authorization providers"
_TOKENS = "See the authorizations of {provider}"
_WORDS: dict[tuple[EventKind, Channel], _Words] = {
    (EventKind.GRANT_FAILING, Channel.PERSON): _Words(
        "{provider} does not renew your authorization",
        "For an hour, {provider} has not answered as it should when Token Vault renewed your authorization{account}. "
        "Programs that act for you there may stop working.",
        "You need to do nothing: Token Vault keeps trying, and writes again when it works. If {provider} itself works "
        "and you do not want to wait, open the page below and choose Reauthorize.",
        _OPEN,
    ),
    (EventKind.GRANT_RECOVERED, Channel.PERSON): _Words(
        "Your authorization at {provider} works again",
        "{provider} has renewed your authorization{account}. Programs that act for you there work again.",
        "You need to do nothing.",
        _OPEN,
    ),
    (EventKind.GRANT_NEEDS_REAUTHORIZATION, Channel.PERSON): _Words(
        "Please authorize {provider} again",
        "{cause} Until you authorize again, programs cannot act for you there.",
        "Open the page below, log in with your Windows account and choose Reauthorize.",
        "Authorize {provider} again",
    ),
    (EventKind.GRANT_ABOUT_TO_LAPSE, Channel.PERSON): _Words(
        "Your authorization at {provider} ends on {day}",
        "Your authorization at {provider}{account} ends on {moment}, and Token Vault cannot renew it by itself. "
        "After that, programs cannot act for you there.",
        "Open the page below before then, log in with your Windows account and choose Reauthorize.",
        "Authorize {provider} again",
    ),
    (EventKind.GRANT_FAILING, Channel.ADMINISTRATORS): _Words(
        "{provider} does not renew authorizations: {number}",
        "For an hour or longer, {provider} has not answered as it should when Token Vault renewed the authorization of "
        "{people}. Those of other people may fail as well.",
        "Look whether {provider} reports an incident. Token Vault keeps trying, and writes again when it works.",
        _TOKENS,
    ),
    (EventKind.GRANT_RECOVERED, Channel.ADMINISTRATORS): _Words(
        "Authorizations at {provider} work again: {number}",
        "Programs can act at {provider} again for {people}.",
        "You need to do nothing.",
        _TOKENS,
    ),
    (EventKind.GRANT_NEEDS_REAUTHORIZATION, Channel.ADMINISTRATORS): _Words(
        "People must authorize {provider} again: {number}",
        "{people} must authorize {provider} again: programs cannot act for them there until they do.",
        "People with a mail address have been told. If it is many at once, look whether somebody changed "
        "the registration at {provider}; the page below shows whom it concerns.",
        _TOKENS,
    ),
    (EventKind.GRANT_ABOUT_TO_LAPSE, Channel.ADMINISTRATORS): _Words(
        "Authorizations at {provider} are about to end: {number}",
        "The authorization of {people} at {provider} is about to end, the first on {moment}, and Token Vault cannot "
        "renew it by itself.",
        "People with a mail address have been told and need to authorize again before then.",
        _TOKENS,
    ),
    (EventKind.PROVIDER_MISCONFIGURED, Channel.ADMINISTRATORS): _Words(
        "{provider} does not accept how Token Vault is registered there",
        "{provider} refused Token Vault itself ({reason}). No authorization is lost, and none can be renewed until the "
        "registration is right again.",
        "Most often the client secret has ended or was changed: open the provider, enter the new one and choose Test.",
        "Open {provider} in Token Vault",
    ),
    (EventKind.PROVIDER_RECOVERED, Channel.ADMINISTRATORS): _Words(
        "{provider} accepts how Token Vault is registered there again",
        "{provider} has renewed an authorization: it refuses Token Vault no longer.",
        "You need to do nothing.",
        "Open {provider} in Token Vault",
    ),
    (EventKind.CLIENT_FROZEN, Channel.ADMINISTRATORS): _Words(
        "{client} was stopped: it went beyond its limit",
        "Token Vault has stopped the application {client}: {reason}. It gets no token until an administrator resumes "
        "it.",
        "Find out whether the application itself did so. If not, its key may be in other hands: remove the key before "
        "you resume. The audit log says for whom it asked, and from where.",
        "Open {client} in Token Vault",
    ),
}
_CAUSES = {
    GrantReason.EXPIRED: "Your authorization at {provider}{account} has ended, and {provider} gave nothing to renew it "
    "with.",
    GrantReason.OUTCOME_UNKNOWN: "The renewal of your authorization at {provider}{account} was cut off, and {provider} "
    "does not accept the old one any more.",
    GrantReason.REFUSED_REPEATEDLY: "{provider} has refused again and again, for an hour at least, to renew your "
    "authorization{account}.",
    GrantReason.UNREADABLE: "Your authorization at {provider}{account} cannot be read from storage any more.",
}
_STATES = {
    EventKind.GRANT_FAILING: GrantState.FAILING.value,
    EventKind.GRANT_NEEDS_REAUTHORIZATION: GrantState.NEEDS_REAUTHORIZATION.value,
}
"""What administrators are shown of a provider's authorizations."""
_REFUSED = "{provider} does not accept your authorization{account} any more."
_WHY = {
    Channel.PERSON: "Token Vault sends this because you authorized {provider} with it.",
    Channel.ADMINISTRATORS: "Token Vault sends this to its administrators: for each provider or application, one mail "
    "of a kind an hour at most.",
}
_NOTICED = "{noticed} on {at}."
_NEVER_ASKED = "No mail of Token Vault asks for a password or has an attachment."


class MailWriter:
    """Writes mails in words for the person or for administrators."""

    def __init__(self, urls: Urls) -> None:
        self._urls = urls
        self._renderer = Renderer(urls.base_path)

    def write(self, events: Sequence[Event], channel: Channel) -> Mail:
        """One mail about all of them: of one kind, and about one provider or application."""
        event = events[0]
        words, names = _WORDS[event.kind, channel], _names(events)
        parts = {
            "subject": words.subject.format(**names),
            "happened": f"{words.happened.format(**names)} {_NOTICED.format(**names)}",
            "to_do": words.to_do.format(**names),
            "label": words.label.format(**names),
            "link": self._link(event, channel),
            "why": f"{_WHY[channel].format(**names)} {_NEVER_ASKED}",
        }
        return Mail(parts["subject"], _text(parts), self._renderer.page(_TEMPLATE, **parts))

    def _link(self, event: Event, channel: Channel) -> str:
        if channel is Channel.PERSON:
            return self._urls.connect(event.provider_id)
        if event.kind in (EventKind.PROVIDER_MISCONFIGURED, EventKind.PROVIDER_RECOVERED):
            return self._urls.absolute(f"/admin/providers/{event.provider_id}")
        if event.client_id:
            return self._urls.absolute(f"/admin/clients/{event.client_id}")
        state = f"&state={_STATES[event.kind]}" if event.kind in _STATES else ""
        return self._urls.absolute(f"/admin/tokens?provider={event.provider_id}{state}")


def _text(parts: dict[str, str]) -> str:
    """For readers without HTML; the link has a line for itself, however long it is."""
    happened, to_do, why = (_filled(parts[name]) for name in ("happened", "to_do", "why"))
    return f"{happened}\n\n{to_do}\n\n{parts['label']}:\n{parts['link']}\n\n-- \n{why}\n"


def _filled(text: str) -> str:
    """In short lines; what stands between two spaces stays whole, since nobody could copy half an address."""
    return textwrap.fill(text, _COLUMNS, break_long_words=False, break_on_hyphens=False)


def _names(events: Sequence[Event]) -> dict[str, str]:
    event, people = events[0], list(dict.fromkeys(event.user_id for event in events))
    names = {
        "people": _people(events, len(people)),
        "number": "1 person" if len(people) == 1 else f"{len(people):,} people",
        "provider": _plain(event.provider_name),
        "client": _plain(event.client_name),
        "reason": _plain(event.reason),
        "account": _account(event),
        "day": _day(min(event.lapses_at for event in events)),
        "moment": _moment(min(event.lapses_at for event in events)),
        "noticed": "Noticed" if len(events) == 1 else "First noticed",
        "at": _moment(min(event.at for event in events)),
    }
    reason = event.reason if event.kind is EventKind.GRANT_NEEDS_REAUTHORIZATION else ""
    cause = next((words for known, words in _CAUSES.items() if known == reason), _REFUSED)
    return names | {"cause": cause.format(**names)}


def _people(events: Sequence[Event], number: int) -> str:
    """The first of them by name, and how many more there are."""
    first: dict[str, Event] = {}
    for event in events:
        first.setdefault(event.user_id, event)
    named = [_plain(one.user_name) + _account(one) for one in first.values()][:_NAMED]
    others = number - len(named)
    if others:
        return f"{', '.join(named)} and {others:,} {'other person' if others == 1 else 'other people'}"
    *most, last = named
    return f"{', '.join(most)} and {last}" if most else last


def _account(event: Event) -> str:
    """The cloud account in brackets. What a cloud calls it is no link to elsewhere: no mail program makes one of it."""
    label = _plain(event.account)
    if not is_mail_address(label):
        label = label.replace("://", "[:]//").replace(".", "[.]")
    return f" ({label})" if label else ""


def _moment(at: int) -> str:
    return f"{_day(at)}, {datetime.fromtimestamp(at, UTC):%H:%M} UTC"


def _day(at: int) -> str:
    moment = datetime.fromtimestamp(at, UTC)
    return f"{moment.day} {moment:%b %Y}"


def _plain(name: str) -> str:
    """A name on one line, without what no name holds: it stands in a subject."""
    line = " ".join(clean(name, 2 * _LONGEST_NAME).split())
    return line if len(line) <= _LONGEST_NAME else f"{line[: _LONGEST_NAME - 1]}…"
