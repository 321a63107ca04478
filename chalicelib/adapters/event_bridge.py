"""Events for programs: EventBridge, where a company routes them to whatever it has. docs/events.md has the JSON."""

import json
from collections.abc import Mapping, Sequence
from datetime import UTC, datetime, timedelta
from typing import Any

from chalicelib.domain.event import Event
from chalicelib.domain.ids import GrantId, PersonId
from chalicelib.web.urls import Urls

from .aws import AwsClients, delivery_errors

SOURCE = "token-vault"
_VERSION = "1"
"""Of the JSON; a later one may have more fields, and never another meaning of these."""


class EventBridge:
    """Implements `ports.EventBus` with PutEvents to the bus `name`."""

    def __init__(self, aws: AwsClients, name: str, urls: Urls) -> None:
        self._aws = aws
        self._name = name
        self._urls = urls

    def publish(self, events: Sequence[Event]) -> Mapping[str, str]:
        # Ten entries in one call (its service model), taken in their order ("Sending events with PutEvents", AWS). All
        # of ours together are far below what they may have of bytes
        entries = [self._entry(event) for event in events]
        with delivery_errors("EventBridge"):
            answer = self._aws.events.put_events(Entries=entries)
        if not answer["FailedEntryCount"]:
            return {}
        said = zip(events, answer["Entries"], strict=True)
        return {event.id: f"EventBridge: {one['ErrorCode']}" for event, one in said if one.get("ErrorCode")}

    def _entry(self, event: Event) -> dict[str, Any]:
        return {
            "Source": SOURCE,
            "DetailType": event.kind.value,
            "Detail": json.dumps(self._detail(event)),
            "Time": datetime.fromtimestamp(event.at, UTC) + timedelta(milliseconds=event.ms),
            "EventBusName": self._name,
        }

    def _detail(self, event: Event) -> dict[str, Any]:
        person = {"user_id": event.user_id, "user_name": event.user_name, "account": event.account}
        grant_id = str(GrantId(event.provider_id, PersonId(event.user_id), event.slot))
        grant: dict[str, Any] = {"grant_id": grant_id, "sequence": event.sequence}
        detail = {
            "version": _VERSION,
            "id": event.id,
            "kind": event.kind.value,
            "at": f"{_moment(event.at)[:-1]}.{event.ms:03d}Z",
            **_about(event),
            "reason": event.reason,
            **(grant | person | {"connect_url": self._urls.connect(event.provider_id)} if event.user_id else {}),
        }
        return detail | ({"lapses_at": _moment(event.lapses_at)} if event.lapses_at else {})


def _about(event: Event) -> dict[str, str]:
    if event.client_id:
        return {"client_id": event.client_id, "client_name": event.client_name}
    return {"provider_id": event.provider_id, "provider_name": event.provider_name}


def _moment(at: int) -> str:
    return f"{datetime.fromtimestamp(at, UTC):%Y-%m-%dT%H:%M:%SZ}"
