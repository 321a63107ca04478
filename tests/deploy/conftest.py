"""The package as it is deployed, built once for all tests that use it (half a minute to a minute)."""

from pathlib import Path
from typing import Any

import pytest

from deploy.archive import unpack
from deploy.package import BUNDLE, Package, package
from deploy.stage import Stage


@pytest.fixture(scope="session")
def made(tmp_path_factory: pytest.TempPathFactory) -> Package:
    return package(Stage.named("prod"), tmp_path_factory.mktemp("package") / "prod")


@pytest.fixture(scope="session")
def template(made: Package) -> dict[str, Any]:
    """The CloudFormation template, with its functions, gateway and tables in plain form."""
    return made.template


@pytest.fixture(scope="session")
def task(made: Package, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The bundle unpacked where nothing else is."""
    folder = tmp_path_factory.mktemp("task")
    unpack(made.folder / BUNDLE, folder)
    return folder
