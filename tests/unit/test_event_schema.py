"""What is shipped as the schema of events is what the code sends: every kind, field and reason."""

import json
from collections.abc import Callable
from dataclasses import replace
from typing import Any

import pytest
from jsonschema import Draft202012Validator

from chalicelib.adapters.aws import AwsClients
from chalicelib.adapters.event_bridge import EventBridge
from chalicelib.domain.event import AUTHORIZED_AGAIN, Event, EventKind
from chalicelib.domain.grant import GrantReason, GrantState
from chalicelib.web.urls import Urls
from dev.process import ROOT
from tests.samples import APPLICATION, GRANT, NOW, PROVIDER

SCHEMA = json.loads((ROOT / "chalicelib" / "data" / "event.schema.json").read_text(encoding="utf-8"))
VALID = Draft202012Validator(SCHEMA, format_checker=Draft202012Validator.FORMAT_CHECKER)
BUS = EventBridge(AwsClients(None, None), "default", Urls("https://vault.contoso.com"))
FAILING = replace(GRANT, state=GrantState.FAILING)


def of(kind: EventKind, reason: GrantReason = GrantReason.NONE) -> Event:
    return Event.of_grant(kind, replace(GRANT, reason=reason, slot="s"), PROVIDER, NOW)


EVENTS = [
    *(
        of(EventKind.GRANT_FAILING, reason)
        for reason in (GrantReason.CLOUD_UNAVAILABLE, GrantReason.REFUSED_FOR_NOW, GrantReason.OUTCOME_UNKNOWN)
    ),
    *(
        of(EventKind.GRANT_NEEDS_REAUTHORIZATION, reason)
        for reason in (
            GrantReason.REFUSED_BY_CLOUD, GrantReason.REFUSED_REPEATEDLY, GrantReason.OUTCOME_UNKNOWN,
            GrantReason.EXPIRED, GrantReason.UNREADABLE,
        )
    ),
    Event.of_recovery(FAILING, GRANT, PROVIDER, NOW),
    Event.of_recovery(FAILING, GRANT, PROVIDER, NOW, AUTHORIZED_AGAIN),
    Event.of_lapse(GRANT, PROVIDER, NOW + 9, NOW),
    Event.of_provider(EventKind.PROVIDER_MISCONFIGURED, PROVIDER, "invalid_client", NOW),
    Event.of_provider(EventKind.PROVIDER_RECOVERED, PROVIDER, "", NOW),
    Event.of_client(APPLICATION, "More than 3 calls in a minute", NOW),
]  # fmt: skip


def described(kind: str) -> dict[str, Any]:
    return next(one for one in SCHEMA["oneOf"] if one["title"] == kind)


def test_the_schema_is_one_and_names_every_kind() -> None:
    Draft202012Validator.check_schema(SCHEMA)
    assert [one["title"] for one in SCHEMA["oneOf"]] == list(EventKind)
    assert {event.kind for event in EVENTS} == set(EventKind)


@pytest.mark.parametrize("event", EVENTS, ids=lambda event: f"{event.kind} {event.reason}")
def test_every_event_is_as_the_schema_says_and_has_no_field_that_it_does_not_name(event: Event) -> None:
    detail = json.loads(json.dumps(BUS._detail(replace(event, ms=7))))
    VALID.validate(detail)
    assert set(detail) == set(described(event.kind)["properties"])
    assert detail["at"] == "2027-01-15T08:00:00.007Z"


@pytest.mark.parametrize(
    "change",
    [
        lambda detail: detail | {"kind": "grant.unheard_of"},
        lambda detail: detail | {"version": "2"},
        lambda detail: detail | {"reason": "whim"},
        lambda detail: detail | {"sequence": "1"},
        lambda detail: {name: value for name, value in detail.items() if name != "grant_id"},
    ],
)
def test_what_is_no_event_is_refused(change: Callable[[dict[str, Any]], dict[str, Any]]) -> None:
    detail = BUS._detail(of(EventKind.GRANT_FAILING, GrantReason.CLOUD_UNAVAILABLE))
    assert VALID.is_valid(detail)
    assert not VALID.is_valid(change(detail))


def test_more_fields_may_come() -> None:
    assert VALID.is_valid(BUS._detail(of(EventKind.GRANT_NEEDS_REAUTHORIZATION, GrantReason.EXPIRED)) | {"more": 1})
