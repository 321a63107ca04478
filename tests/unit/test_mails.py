"""Mails: for every event and reader one subject line, what happened, what to do, one link of ours, and nothing else."""

import re
from dataclasses import replace
from html.parser import HTMLParser

import pytest

from chalicelib.domain.event import Channel, Event, EventKind
from chalicelib.domain.grant import GrantReason
from chalicelib.domain.mail import is_mail_address
from chalicelib.web.mails import MailWriter
from chalicelib.web.urls import Urls
from tests.samples import APPLICATION, GRANT, NOW, PROVIDER

VAULT = "https://vault.contoso.com/prod"
WRITER = MailWriter(Urls(VAULT))
LAPSE = Event.of_lapse(GRANT, PROVIDER, NOW, NOW)
FROZEN = Event.of_client(APPLICATION, "More than 3 calls in a minute", NOW)
MAILED = [
    (kind, channel)
    for kind in EventKind
    for channel in replace(LAPSE, kind=kind).channels
    if channel is not Channel.BUS
]
EVIL = "Evil\r\nBcc: everybody@contoso.example\r\n\r\n<script>alert(1)</script>\u202e\x00" + "x" * 500


class Links(HTMLParser):
    def __init__(self, html: str) -> None:
        super().__init__()
        self.tags: list[str] = []
        self.addresses: list[str] = []
        self.feed(html)

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        self.tags.append(tag)
        self.addresses += [value or "" for name, value in attrs if name in ("href", "src", "action", "background")]


@pytest.mark.parametrize(("kind", "channel"), MAILED)
def test_one_link_of_ours_and_nothing_that_is_loaded(kind: EventKind, channel: Channel) -> None:
    event = FROZEN if kind is EventKind.CLIENT_FROZEN else replace(LAPSE, kind=kind)
    mail = WRITER.write([event], channel)
    links = Links(mail.html)
    assert len(links.addresses) == 1
    assert links.addresses[0].startswith(f"{VAULT}/")
    assert not {"img", "link", "script", "form", "iframe"} & set(links.tags)
    assert re.findall(r"https?://\S+", mail.text) == links.addresses
    assert "{" not in mail.text + mail.subject
    assert (event.provider_name or event.client_name) in mail.subject


@pytest.mark.parametrize(("kind", "channel"), MAILED)
def test_names_are_names_and_nothing_else(kind: EventKind, channel: Channel) -> None:
    event = replace(LAPSE, kind=kind, provider_name=EVIL, client_name=EVIL, user_name=EVIL, account=EVIL, reason=EVIL)
    mail = WRITER.write([event], channel)
    assert mail.subject.isprintable()
    assert len(mail.subject) < 200
    assert "<script>" not in mail.html
    assert "\u202e" not in mail.text + mail.html


def test_the_person_is_led_to_the_provider_and_administrators_to_theirs() -> None:
    links = {
        (kind, channel): Links(WRITER.write([replace(LAPSE, kind=kind)], channel).html).addresses[0]
        for kind, channel in MAILED
    }
    assert {link for (_, channel), link in links.items() if channel is Channel.PERSON} == {
        f"{VAULT}/providers#provider-northwind"
    }
    assert links[EventKind.PROVIDER_MISCONFIGURED, Channel.ADMINISTRATORS] == f"{VAULT}/admin/providers/northwind"
    tokens = f"{VAULT}/admin/tokens?provider=northwind"
    assert links[EventKind.GRANT_FAILING, Channel.ADMINISTRATORS] == f"{tokens}&state=failing"
    assert links[EventKind.GRANT_RECOVERED, Channel.ADMINISTRATORS] == tokens


@pytest.mark.parametrize(
    ("number", "counted", "named"),
    [
        (1, "1 person", r"CONTOSO\0 (a) must"),
        (2, "2 people", r"CONTOSO\0 (a) and CONTOSO\1 (a) must"),
        (4, "4 people", r"CONTOSO\0 (a), CONTOSO\1 (a), CONTOSO\2 (a) and 1 other person must"),
        (1300, "1,300 people", r"CONTOSO\0 (a), CONTOSO\1 (a), CONTOSO\2 (a) and 1,297 other people must"),
    ],
)
def test_administrators_read_how_many_and_who(number: int, counted: str, named: str) -> None:
    event = replace(LAPSE, kind=EventKind.GRANT_NEEDS_REAUTHORIZATION)
    events = [replace(event, user_id=f"S-{n}", user_name=rf"CONTOSO\{n}", account="a") for n in range(number)]
    # Two accounts of one person are one person
    mail = WRITER.write([*events, replace(events[0], slot="s")], Channel.ADMINISTRATORS)
    assert mail.subject == f"People must authorize Northwind Cloud again: {counted}"
    assert named in " ".join(mail.text.split())


@pytest.mark.parametrize(
    "reason", ["refused_by_cloud", "refused_repeatedly", "outcome_unknown", "unreadable", "expired", "another"]
)
def test_the_cause_is_said_in_words(reason: str) -> None:
    event = replace(LAPSE, kind=EventKind.GRANT_NEEDS_REAUTHORIZATION, reason=reason)
    text = " ".join(WRITER.write([event], Channel.PERSON).text.split())
    words = {
        GrantReason.OUTCOME_UNKNOWN: "was cut off",
        GrantReason.UNREADABLE: "cannot be read",
        GrantReason.EXPIRED: "has ended",
        GrantReason.REFUSED_REPEATEDLY: "has refused again and again",
    }
    said = next((one for known, one in words.items() if known == reason), "does not accept")
    assert said in text
    assert "(alice@contoso.example)" in text


@pytest.mark.parametrize(
    ("account", "shown"),
    [
        ("alice@cloud.example", "(alice@cloud.example)"),
        ("Alice A.", "(Alice A[.])"),
        ("https://evil.example/", "(https[:]//evil[.]example/)"),
        ("www.evil.example", "(www[.]evil[.]example)"),
        ("a b@c.example", "(a b@c[.]example)"),
    ],
)
@pytest.mark.parametrize("kind", [kind for kind, channel in MAILED if channel is Channel.PERSON])
def test_the_account_is_always_named_and_never_a_link(kind: EventKind, account: str, shown: str) -> None:
    text = " ".join(WRITER.write([replace(LAPSE, kind=kind, account=account)], Channel.PERSON).text.split())
    assert shown in text


@pytest.mark.parametrize(("kind", "channel"), MAILED)
def test_times_have_hour_and_zone(kind: EventKind, channel: Channel) -> None:
    text = " ".join(WRITER.write([replace(LAPSE, kind=kind, at=NOW + 60)], channel).text.split())
    assert "oticed on 15 Jan 2027, 08:01 UTC." in text
    assert ("ends on 15 Jan 2027, 08:00 UTC" in text) is ((kind, channel) == (LAPSE.kind, Channel.PERSON))


def test_no_address_is_broken_over_two_lines() -> None:
    address = "a-very-long-name-with-many-hyphens-in-it.of-somebody@a-long-domain-with-hyphens.contoso.example"
    assert address in WRITER.write([replace(LAPSE, account=address)], Channel.PERSON).text


def test_the_day_is_the_day_of_the_end() -> None:
    assert WRITER.write([LAPSE], Channel.PERSON).subject == "Your authorization at Northwind Cloud ends on 15 Jan 2027"


def test_lines_are_short_but_for_the_link() -> None:
    lines = WRITER.write([LAPSE], Channel.ADMINISTRATORS).text.splitlines()
    assert max(len(line) for line in lines if not line.startswith("https://")) <= 72


@pytest.mark.parametrize("address", ["a@b.example", "o'brien+x@contoso.example", "a.b@localhost"])
def test_addresses(address: str) -> None:
    assert is_mail_address(address)


@pytest.mark.parametrize(
    "address",
    ["", "a", "@b", "a@", "a@b@c", "a b@c.example", "a@b.example\n", '"a"@b.example', "a@b.example,c@d.example",
     "ä@b.example", "a@-b..example", "x" * 65 + "@b.example", "..x.@contoso.com", ".x@b.example", "x.@b.example",
     "x..y@b.example",
     "x@b-.example", "x@b.example.", "x@" + "b" * 64 + ".example", "a@" + "b." * 140 + "c"],
)  # fmt: skip
def test_what_is_no_address(address: str) -> None:
    assert not is_mail_address(address)
