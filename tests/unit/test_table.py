"""DynamoDB when it is not well: lost replies, left-overs, refusals. Scripted, since moto is always well."""

from collections.abc import Callable
from typing import Any

import pytest
from botocore.exceptions import ClientError, ConnectTimeoutError

from chalicelib.adapters.aws import AwsClients
from chalicelib.domain.errors import StorageUnavailable
from chalicelib.stores.items import pack
from chalicelib.stores.table import WRITER, Condition, ConditionFailed, Table
from tests.aws import ENVIRONMENT
from tests.fakes.system import FakeClock, FakeRandom


def refused(code: str, item: dict[str, Any] | None = None) -> ClientError:
    response: dict[str, Any] = {"Error": {"Code": code, "Message": "no"}}
    return ClientError(response | ({"Item": pack(item)} if item else {}), "PutItem")


class ScriptedClient:
    """Answers every operation with `script`, a function of its arguments."""

    def __init__(self, script: Callable[..., dict[str, Any]]) -> None:
        self._script = script
        self.calls = 0

    def __getattr__(self, operation: str) -> Callable[..., dict[str, Any]]:
        def call(**arguments: Any) -> dict[str, Any]:
            self.calls += 1
            return self._script(**arguments)

        return call


class Pauses(FakeClock):
    """Notes each of them."""

    def __init__(self) -> None:
        super().__init__()
        self.made: list[float] = []

    def sleep(self, seconds: float) -> None:
        self.made.append(seconds)
        super().sleep(seconds)


def table(script: Callable[..., dict[str, Any]], clock: FakeClock | None = None, name: str = "vault") -> Table:
    return Table(ScriptedClient(script), name, FakeRandom(), clock or FakeClock())


def test_f9_a_write_whose_reply_was_lost_recognises_itself() -> None:
    def stored_but_repeated(Item: dict[str, Any], **_: Any) -> dict[str, Any]:  # noqa: N803 - boto3's name
        error = refused("ConditionalCheckFailedException")
        error.response["Item"] = Item  # type: ignore[typeddict-unknown-key]
        raise error

    table(stored_but_repeated).put({"pk": "a"}, Condition.absent("pk"))


@pytest.mark.parametrize("found", [None, {"pk": "a", WRITER: "somebody"}, {"pk": "a"}])
def test_a_write_that_lost_says_what_it_found(found: dict[str, Any] | None) -> None:
    def lost(**_: Any) -> dict[str, Any]:
        raise refused("ConditionalCheckFailedException", found)

    with pytest.raises(ConditionFailed) as failure:
        table(lost).put({"pk": "a"}, Condition.absent("pk"))
    assert failure.value.item == found


@pytest.mark.parametrize(
    "error",
    [refused("ProvisionedThroughputExceededException"), ConnectTimeoutError(endpoint_url="https://dynamodb.example")],
)
def test_f20_what_dynamodb_cannot_do_now_is_said_as_such(error: Exception) -> None:
    def down(**_: Any) -> dict[str, Any]:
        raise error

    with pytest.raises(StorageUnavailable) as failure:
        table(down).get({"pk": "a"})
    assert "dynamodb.example" not in failure.value.detail


def test_what_a_batch_leaves_over_is_sent_again_after_a_pause() -> None:
    left = [{"PutRequest": {"Item": pack({"pk": "2"})}}]
    answers = iter([{"UnprocessedItems": {"vault": left}}, {}])
    sent, clock = [], Pauses()

    def half(RequestItems: dict[str, Any]) -> dict[str, Any]:  # noqa: N803 - boto3's name
        sent.append(RequestItems["vault"])
        return next(answers)

    table(half, clock).put_all([{"pk": "1"}, {"pk": "2"}])
    assert [len(requests) for requests in sent] == [2, 1]
    assert clock.made == [0.025]


def test_keys_left_over_by_a_read_are_asked_again_after_pauses_that_grow() -> None:
    clock = Pauses()

    def one_at_a_time(RequestItems: dict[str, Any]) -> dict[str, Any]:  # noqa: N803 - boto3's name
        (name, asked), *others = RequestItems.items()
        first, *rest = asked["Keys"]
        left = ({name: {"Keys": rest}} if rest else {}) | dict(others)
        return {"Responses": {name: [first]}, "UnprocessedKeys": left}

    reading = table(one_at_a_time, clock)
    found = reading.get_with([{"pk": "0"}, {"pk": "1"}], table(one_at_a_time, name="keys"), [{"pk": "2"}])
    assert [item["pk"] for item in found] == ["0", "1", "2"]
    assert clock.made == [0.025, 0.05]


def test_a_read_of_many_keys_is_one_call_for_a_hundred() -> None:
    def all_of_them(RequestItems: dict[str, Any]) -> dict[str, Any]:  # noqa: N803 - boto3's name
        return {"Responses": {"vault": RequestItems["vault"]["Keys"]}}

    many = table(all_of_them)
    assert len(many.get_all([{"pk": str(number)} for number in range(250)])) == 250
    assert many.get_all([]) == []
    assert many._client.calls == 3


def never(RequestItems: dict[str, Any]) -> dict[str, Any]:  # noqa: N803 - boto3's name
    return {"Responses": {}, "UnprocessedKeys": RequestItems, "UnprocessedItems": RequestItems}


BATCHES: list[Callable[[Table], object]] = [
    lambda table: table.put_all([{"pk": "1"}]),
    lambda table: table.get_all([{"pk": "1"}]),
]


@pytest.mark.parametrize("act", BATCHES)
def test_r79_a_batch_that_never_gets_through_ends_in_time(act: Callable[[Table], object]) -> None:
    clock = Pauses()
    stuck = table(never, clock)
    with pytest.raises(StorageUnavailable):
        act(stuck)
    assert clock.made == [0.025, 0.05, 0.1, 0.2, 0.4, 0.5, 0.5, 0.5, 0.5]
    assert stuck._client.calls == 10


@pytest.mark.parametrize("act", BATCHES)
def test_r79_slow_answers_leave_less_time_for_pauses(act: Callable[[Table], object]) -> None:
    clock = Pauses()

    def slow(RequestItems: dict[str, Any]) -> dict[str, Any]:  # noqa: N803 - boto3's name
        clock.advance(2)
        return never(RequestItems)

    stuck = table(slow, clock)
    with pytest.raises(StorageUnavailable):
        act(stuck)
    assert stuck._client.calls == 3


def test_counting_goes_on_over_pages() -> None:
    pages = iter([{"Count": 3, "LastEvaluatedKey": {"pk": {"S": "x"}}}, {"Count": 4}])
    from chalicelib.stores.tables import LISTING

    counted = table(lambda **_: next(pages)).count(Condition.equals(listing="x"), index=LISTING, at_most=100)
    assert counted == 7


def test_an_item_that_left_the_list_meanwhile_is_not_in_it_and_the_others_are_whole() -> None:
    from chalicelib.stores.tables import LISTING

    listed = [{"pk": n, "sk": "x", "listing": "USERS"} for n in ("changed", "deleted", "left")]
    now = [{"pk": "left", "sk": "x", "listing": "DEPARTED"}, listed[0] | {"more": "of it"}]

    def answer(**arguments: Any) -> dict[str, Any]:
        if "RequestItems" in arguments:
            return {"Responses": {"vault": [pack(item) for item in now]}}
        return {"Items": [pack(item) for item in listed], "LastEvaluatedKey": pack(listed[-1])}

    page = table(answer).listed(Condition.equals(listing="USERS"), index=LISTING, limit=3)
    assert page.items == [now[1]]
    assert page.last_key == listed[-1]


def test_only_what_the_vault_stores_can_be_stored() -> None:
    with pytest.raises(TypeError, match="float"):
        pack({"pk": 1.5})


def test_r79_a_client_gives_up_in_time(monkeypatch: pytest.MonkeyPatch) -> None:
    for name, value in ENVIRONMENT.items():
        monkeypatch.setenv(name, value)
    clients = AwsClients.of_botocore()
    for client in (clients.dynamodb, clients.kms):
        config = client.meta.config
        assert (config.connect_timeout, config.read_timeout) == (1, 2)
        assert config.retries["total_max_attempts"] == 3
        assert config.retries["mode"] == "standard"
