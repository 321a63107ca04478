"""What holds for every test: nothing beyond loopback is reached, and the whole local stack is one fixture away."""

import socket
from collections.abc import Iterator
from ipaddress import ip_address
from typing import Any

import pytest

from chalicelib.stores import audit_log
from dev.stack import Stack
from tests.aws import Aws
from tests.aws import aws as start_aws

pytest_plugins = ["tests.directories.fixtures"]


_SLOW_GROUPS = {
    "test_gallery.py": "gallery",
    "browser": "stack",
    "test_stack.py": "stack",
    "deploy": "package",
    "test_race.py": "race",
}
"""Tests of one group run in one process, which starts what they share once (`--dist loadgroup`)."""


def pytest_collection_modifyitems(items: list[pytest.Item]) -> None:
    for item in items:
        for part in reversed(item.path.parts[-2:]):
            if part in _SLOW_GROUPS and item.get_closest_marker("xdist_group") is None:
                item.add_marker(pytest.mark.xdist_group(_SLOW_GROUPS[part]))


def _is_loopback(host: str) -> bool:
    try:
        return host in ("", "localhost") or ip_address(host).is_loopback
    except ValueError:
        return False


def _needs_a_name_server(host: object) -> bool:
    """False for what the system resolves, or refuses, by itself: addresses in any spelling and impossible names."""
    name = host.decode() if isinstance(host, bytes) else host
    if not isinstance(name, str) or name in ("", "localhost"):
        return False
    try:
        name.encode("idna")
        socket.inet_aton(name)
    except UnicodeError:
        return False
    except OSError:
        return ":" not in name
    return False


def _refuse(what: str) -> None:
    # Not an Exception, so that no error handling of the product can take it for a network that is down
    pytest.fail(f"a test reached beyond loopback: {what}")


@pytest.fixture(scope="session", autouse=True)
def loopback_only() -> Iterator[None]:
    """Fail the test that connects to, or resolves, anything but this machine."""
    connect, connect_ex, resolve = socket.socket.connect, socket.socket.connect_ex, socket.getaddrinfo

    def check(connection: socket.socket, address: Any) -> None:
        if connection.family in (socket.AF_INET, socket.AF_INET6) and not _is_loopback(address[0]):
            _refuse(str(address[0]))

    def guarded_connect(self: socket.socket, address: Any) -> None:
        check(self, address)
        connect(self, address)

    def guarded_connect_ex(self: socket.socket, address: Any) -> int:
        check(self, address)
        return connect_ex(self, address)

    def guarded_resolve(host: Any, *args: Any, **kwargs: Any) -> Any:
        if _needs_a_name_server(host):
            _refuse(str(host))
        return resolve(host, *args, **kwargs)

    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(socket.socket, "connect", guarded_connect)
        patch.setattr(socket.socket, "connect_ex", guarded_connect_ex)
        patch.setattr(socket, "getaddrinfo", guarded_resolve)
        yield


@pytest.fixture(scope="session")
def started_aws() -> Iterator[Aws]:
    with start_aws() as started:
        yield started


@pytest.fixture
def aws(started_aws: Aws) -> Aws:
    """DynamoDB with the vault's tables, all empty, and a KMS key, on moto in this process."""
    started_aws.empty()
    return started_aws


@pytest.fixture
def few_shards(monkeypatch: pytest.MonkeyPatch) -> None:
    """Two shards of the audit log instead of eight: tests that read it again and again take as much less time."""
    monkeypatch.setattr(audit_log, "SHARDS", 2)


@pytest.fixture(scope="session")
def stack(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Stack]:
    """The whole local stack on free ports, started once for all tests that use it (some 5 s)."""
    with Stack(0, tmp_path_factory.mktemp("stack")) as running:
        yield running
