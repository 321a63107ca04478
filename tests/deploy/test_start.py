"""`make deploy` starts the very bundle with the settings it would get, before anything is sent."""

import json
from typing import Any

import pytest

from deploy import environment, parameters, start
from deploy.errors import BuildError
from deploy.package import BUNDLE, Package
from deploy.stage import ROOT

pytestmark = pytest.mark.integration

ONE = {"domain": "CONTOSO", "servers": ["ldaps://dc1.contoso.com", "ldap://dc2.contoso.com:10389"]}
GIVEN = {"PublicUrl": "https://vault.contoso.com", "BundleBucket": "contoso-deployments"}


def started(made: Package, directories: Any, **changed: str) -> set[int]:
    text = directories if isinstance(directories, str) else json.dumps(directories)
    values = parameters.complete({**GIVEN, "Directories": text, **changed}, made.template["Parameters"])
    settled = environment.settle(made.template, values, "vault", made.folder / BUNDLE)
    return start.check(settled.bundle, environment.of_functions(made.template, settled.values, "vault"))


def test_a_bundle_that_starts_names_the_ports_of_its_directories(made: Package) -> None:
    assert started(made, [ONE]) == {636, 10389}


def test_directories_beyond_lambdas_four_kilobytes_start_from_a_file_of_the_bundle(made: Package) -> None:
    many = [ONE | {"domain": f"D{number}", "dns_name": "x" * 40 + ".contoso.com"} for number in range(60)]
    assert len(json.dumps(many)) > environment.MOST_BYTES
    assert started(made, many) == {636, 10389}


@pytest.mark.parametrize(
    ("directories", "changed", "said"),
    [
        ([ONE | {"ca_file": "stage/contoso-ca.pem"}], {}, "- VAULT_DIRECTORIES: CONTOSO: ca_file cannot be used"),
        ("stage/directories.json", {}, "- VAULT_DIRECTORIES: is neither JSON nor the path of such a file"),
        ([ONE, ONE], {}, "- VAULT_DIRECTORIES: names one domain twice."),
        ([ONE], {"SignIn": "stage/sign-in.json"}, "- VAULT_SIGN_IN: is neither JSON nor the path of such a file"),
    ],
)
def test_settings_that_would_kill_every_function_are_said(
    made: Package, directories: Any, changed: dict[str, str], said: str
) -> None:
    with pytest.raises(BuildError) as refused:
        started(made, directories, **changed)
    assert said in str(refused.value)


def test_the_example_as_it_is_starts_nowhere(made: Package) -> None:
    example = json.loads((ROOT / "stages/prod/parameters.example.json").read_text(encoding="utf-8"))
    with pytest.raises(BuildError, match="ca_file cannot be used"):
        started(made, example["Directories"], **example)


def test_a_bundle_that_does_not_start_at_all_is_said(made: Package) -> None:
    with pytest.raises(BuildError, match="does not start"):
        start.check(made.folder / BUNDLE, {"PYTHONHASHSEED": "no number"})
