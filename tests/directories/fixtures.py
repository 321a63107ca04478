"""The real directories as fixtures: started by the first test that asks, skipped with a reason where they cannot run.

Tests that use them belong into one `xdist_group`, so that one worker of several starts them.
"""

from collections.abc import Iterator
from pathlib import Path
from typing import TypeVar

import pytest

from dev.directory import Authority
from tests.directories import packages
from tests.directories.samba import SambaController
from tests.directories.slapd import OpenLdap

Server = TypeVar("Server", SambaController, OpenLdap)


@pytest.fixture(scope="session")
def directory_authority() -> Authority:
    """Who issues the certificates of `samba` and `openldap`; the second domain has another one."""
    return Authority("Test directories CA")


@pytest.fixture(scope="session")
def _started_samba(
    directory_authority: Authority, tmp_path_factory: pytest.TempPathFactory
) -> Iterator[SambaController]:
    with _controller(tmp_path_factory.mktemp("contoso"), "CONTOSO", directory_authority) as controller:
        yield controller


@pytest.fixture(scope="session")
def _started_second_domain(tmp_path_factory: pytest.TempPathFactory) -> Iterator[SambaController]:
    with _controller(tmp_path_factory.mktemp("fabrikam"), "FABRIKAM", Authority("Fabrikam CA")) as controller:
        yield controller


@pytest.fixture(scope="session")
def _started_openldap(directory_authority: Authority, tmp_path_factory: pytest.TempPathFactory) -> Iterator[OpenLdap]:
    _skip_for(packages.why_no_slapd())
    with OpenLdap(tmp_path_factory.mktemp("openldap") / "slapd", directory_authority) as server:
        yield server


@pytest.fixture
def samba(_started_samba: SambaController) -> Iterator[SambaController]:
    """The domain CONTOSO (contoso.test), running, and with no wrong passwords counted."""
    yield from _fresh(_started_samba)


@pytest.fixture
def second_domain(_started_second_domain: SambaController) -> Iterator[SambaController]:
    """The domain FABRIKAM (fabrikam.test): the same logins and passwords, other people, another CA."""
    yield from _fresh(_started_second_domain)


@pytest.fixture
def second_controller(samba: SambaController, tmp_path: Path) -> Iterator[SambaController]:
    """Another controller of CONTOSO, as it is at this moment, for one test."""
    with samba.clone(tmp_path / "dc2") as controller:
        yield controller


@pytest.fixture
def openldap(_started_openldap: OpenLdap) -> Iterator[OpenLdap]:
    """slapd with dc=example,dc=test, running, and with no wrong passwords counted."""
    yield from _fresh(_started_openldap)


def _controller(folder: Path, netbios: str, authority: Authority) -> SambaController:
    _skip_for(packages.why_no_samba())
    return SambaController(folder / "dc", netbios, f"{netbios.lower()}.test", authority)


def _skip_for(reason: str | None) -> None:
    if reason:
        pytest.skip(reason)


def _fresh(server: Server) -> Iterator[Server]:
    """Whatever the test before did to it, stop and pause included, it runs and locks nobody out."""
    server.resume()
    server.start()
    server.unlock_all()
    yield server
