"""docs/events.md names every event, and every field of its JSON."""

import re

import pytest

from chalicelib.adapters.aws import AwsClients
from chalicelib.adapters.event_bridge import SOURCE, EventBridge
from chalicelib.domain.event import Event, EventKind
from chalicelib.domain.grant import GrantReason
from chalicelib.web.urls import Urls
from dev.process import ROOT
from tests.samples import APPLICATION, GRANT, NOW, PROVIDER

TEXT = (ROOT / "docs" / "events.md").read_text(encoding="utf-8")


@pytest.mark.parametrize("kind", EventKind)
def test_every_event_is_described(kind: EventKind) -> None:
    assert f"\n| `{kind.value}` |" in TEXT


def test_no_other_event_is_described() -> None:
    told = set(re.findall(r"^\| `((?:grant|provider|client)\.\w+)` \|", TEXT, re.MULTILINE))
    assert told == {kind.value for kind in EventKind}


def test_the_fields_are_those_of_the_json() -> None:
    section = TEXT.partition("| field | meaning |")[2].partition("\n\n")[0]
    named = {
        name for row in section.splitlines() for name in re.findall(r"`(\w+)`", row.split("|")[1] if "|" in row else "")
    }
    bus = EventBridge(AwsClients(None, None), "default", Urls("https://vault.contoso.com"))
    events = (Event.of_lapse(GRANT, PROVIDER, NOW, NOW), Event.of_client(APPLICATION, "reason", NOW))
    assert named == {name for event in events for name in bus._detail(event)}
    assert f"Source `{SOURCE}`" in TEXT


def test_every_reason_of_an_event_is_named() -> None:
    never = {
        GrantReason.NONE,
        GrantReason.REMOVED_BY_ADMINISTRATOR,
        GrantReason.PROVIDER_CHANGED,
        GrantReason.PUT_BACK,
        GrantReason.PERMISSIONS_CHANGED,
    }
    assert [reason.value for reason in GrantReason if reason not in never and f"`{reason.value}`" not in TEXT] == []
