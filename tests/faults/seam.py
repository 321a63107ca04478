"""Everything that the vault calls passes here, and may be treated: by its number, its operation, or as one likes."""

import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager, suppress
from contextvars import Context
from dataclasses import dataclass, field
from typing import Any

import pytest
from botocore.exceptions import ClientError, ReadTimeoutError
from requests import PreparedRequest
from requests.adapters import HTTPAdapter
from requests.exceptions import ConnectTimeout, ReadTimeout

from chalicelib.adapters.aws import AwsClients
from chalicelib.domain.errors import DirectoryUnavailable
from tests.fakes.directory import FakeDirectory

Do = Callable[[], Any]
"""Makes the call."""


class Killed(BaseException):
    """The process is gone. Not an Exception: nothing in the product may catch it."""


@dataclass(frozen=True)
class Call:
    """One call. `operation` is the API's (`PutItem`), or method and path at a cloud (`POST /token`)."""

    number: int
    system: str
    operation: str
    about: str = ""
    """Table and key, as far as they name the kind of item."""
    arguments: dict[str, Any] = field(default_factory=dict, compare=False, repr=False)

    def __str__(self) -> str:
        return f"{self.number}: {self.system} {self.operation} {self.about}".strip()

    def refusal(self) -> Exception:
        """What the vault is told by a system that did nothing."""
        if self.system == "cloud":
            return ConnectTimeout()
        if self.system == "directory":
            return DirectoryUnavailable()
        return ClientError({"Error": {"Code": "InternalServerError", "Message": "no"}}, self.operation)

    def silence(self) -> Exception:
        """What the vault sees where the answer never came."""
        if self.system == "cloud":
            return ReadTimeout()
        if self.system == "directory":
            return DirectoryUnavailable(was_asked=True)
        return ReadTimeoutError(endpoint_url="https://aws.example")


Treatment = Callable[[Call, Do], Any]
"""Stands between the vault and one call, and decides what comes of it."""
Plan = Callable[[Call], Treatment | None]
"""Which call is treated how."""


def killed_before(_call: Call, _do: Do) -> Any:
    raise Killed


def killed_after(_call: Call, do: Do) -> Any:
    _tried(do)
    raise Killed


def failed(call: Call, _do: Do) -> Any:
    """Nothing was done, and the vault is told so."""
    raise call.refusal()


def lost(call: Call, do: Do) -> Any:
    """Done, but nobody is told."""
    _tried(do)
    raise call.silence()


def repeated(call: Call, do: Do) -> Any:
    """Done, the reply lost, and sent again by the client library, as boto3 does by itself. Clouds are sent nothing."""
    if call.system != "cloud":
        _tried(do)
    return do()


def delayed(seconds: float) -> Treatment:
    def treat(_call: Call, do: Do) -> Any:
        time.sleep(seconds)
        return do()

    return treat


def meanwhile(act: Callable[[], object]) -> Treatment:
    """Something else happens, whole, before the call."""

    def treat(_call: Call, do: Do) -> Any:
        # In a context of its own, as in another process: what this one has begun is not its
        Context().run(act)
        return do()

    return treat


def at(number: int, treatment: Treatment) -> Plan:
    """The call with this number."""
    return lambda call: treatment if call.number == number else None


def nth(operation: str, number: int, treatment: Treatment) -> Plan:
    """The n-th call of an operation, counted from 1."""
    seen = 0

    def plan(call: Call) -> Treatment | None:
        nonlocal seen
        seen += call.operation == operation
        return treatment if call.operation == operation and seen == number else None

    return plan


def every(operation: str, treatment: Treatment) -> Plan:
    return lambda call: treatment if call.operation == operation else None


def untreated(_call: Call) -> Treatment | None:
    return None


class Seam:
    """Between one set of clients and the world. Calls are noted, and treated, only inside `treating`."""

    def __init__(self, aws: AwsClients, directory: FakeDirectory) -> None:
        self._aws = aws
        self._directory = directory
        self._plan: Plan | None = None
        self.calls: list[Call] = []
        self.watchers: list[Callable[[Call], None]] = []
        """Hear of every call that was made and answered, treated or not."""

    @contextmanager
    def treating(self, plan: Plan = untreated) -> Iterator[list[Call]]:
        """Gives the list of calls made inside."""
        before, self._plan, self.calls = self._plan, plan, []
        try:
            yield self.calls
        finally:
            self._plan = before

    @contextmanager
    def installed(self) -> Iterator[None]:
        clients = (self._aws.dynamodb, self._aws.kms, self._aws.events, self._aws.mail)
        with pytest.MonkeyPatch.context() as patch:
            for client in clients:
                patch.setattr(client, "_make_api_call", self._of_aws(client), raising=False)
            patch.setattr(HTTPAdapter, "send", self._of_clouds(HTTPAdapter.send))
            patch.setattr(self._directory, "authenticate", self._of_directory(self._directory.authenticate))
            yield

    def _of_aws(self, client: Any) -> Callable[..., Any]:
        make, system = client._make_api_call, client.meta.service_model.service_name

        def call(operation: str, arguments: dict[str, Any]) -> Any:
            return self._call(system, operation, _about(arguments), arguments, lambda: make(operation, arguments))

        return call

    def _of_clouds(self, send: Callable[..., Any]) -> Callable[..., Any]:
        def call(adapter: HTTPAdapter, request: PreparedRequest, *args: Any, **kwargs: Any) -> Any:
            operation = f"{request.method} {request.path_url.partition('?')[0]}"
            return self._call("cloud", operation, "", {}, lambda: send(adapter, request, *args, **kwargs))

        return call

    def _of_directory(self, authenticate: Callable[..., Any]) -> Callable[..., Any]:
        def call(*args: Any, **kwargs: Any) -> Any:
            return self._call("directory", "bind", "", {}, lambda: authenticate(*args, **kwargs))

        return call

    def _call(self, system: str, operation: str, about: str, arguments: dict[str, Any], do: Do) -> Any:
        plan, number = self._plan, len(self.calls)
        call = Call(number, system, operation, about, arguments)

        def done() -> Any:
            answer = do()
            for watcher in self.watchers:
                watcher(call)
            return answer

        if plan is None:
            return done()
        self.calls.append(call)
        treatment = plan(call)
        if treatment is None:
            return done()
        # What happens meanwhile is not treated
        self._plan = None
        try:
            return treatment(call, done)
        finally:
            self._plan = plan


def _tried(do: Do) -> None:
    """The call is made; what it answers, or that it failed, nobody hears."""
    with suppress(Exception):
        do()


def _about(arguments: dict[str, Any]) -> str:
    """Table and kind of item: enough to find the call in the code."""
    if "TransactItems" in arguments:
        return " + ".join(_about(write) for one in arguments["TransactItems"] for write in one.values())
    item = arguments.get("Item") or arguments.get("Key") or {}
    kinds = [value["S"].partition("#")[0] for value in (item.get("pk"), item.get("sk")) if value]
    names = [arguments.get("TableName", ""), arguments.get("IndexName", ""), *kinds]
    return " ".join(name for name in names if name)
