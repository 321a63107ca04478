"""The launcher: everything comes up, ends with its parent, and says in plain words what went wrong."""

import json
import os
import re
import signal
import socket
import subprocess
import sys
import time
from pathlib import Path
from urllib.parse import urlsplit

import pytest
import requests

from dev.directory import Authority, EmbeddedDirectory
from dev.process import ROOT, Child, ChildDied
from dev.stack import PortUnusable, Stack

pytestmark = pytest.mark.integration


def listens(address: str) -> bool:
    url = urlsplit(address)
    with socket.socket() as connection:
        return connection.connect_ex((url.hostname, url.port)) == 0


def wait_until_gone(addresses: list[str]) -> list[str]:
    """Those that still listen after ten seconds."""
    end = time.monotonic() + 10
    while any(map(listens, addresses)) and time.monotonic() < end:
        time.sleep(0.1)
    return [address for address in addresses if listens(address)]


def python(script: str, folder: Path, **environment: str) -> "subprocess.Popen[str]":
    """A Python that runs `script` with the folder as its argument."""
    return subprocess.Popen(  # noqa: S603 - our own scripts, below
        [sys.executable, "-c", script, str(folder)],
        cwd=ROOT,
        env=os.environ | environment,
        stdout=subprocess.PIPE,
        text=True,
    )


def launcher(folder: Path, port: int | str, **environment: str) -> "subprocess.Popen[str]":
    """`python -m dev.run`, but for its folder."""
    script = "import pathlib, sys; from dev import run; run.FOLDER = pathlib.Path(sys.argv[1]); sys.exit(run.main())"
    return python(script, folder, PORT=str(port), **({"VAULT_DIRECTORIES": ""} | environment))


def free_port() -> int:
    with socket.create_server(("127.0.0.1", 0)) as probe:
        return int(probe.getsockname()[1])


def test_the_vault_answers_at_its_url(stack: Stack) -> None:
    page = requests.get(f"{stack.url}/login", timeout=5)
    assert page.status_code == 200
    assert "DOMAIN\\USERNAME" in page.text


def test_the_cloud_is_another_site_than_the_vault(stack: Stack) -> None:
    issuer = stack.environment["DEV_CLOUD_ISSUER"]
    assert urlsplit(issuer).hostname == "127.0.0.1"
    assert urlsplit(stack.url).hostname == "localhost"
    assert requests.get(f"{issuer}/.well-known/openid-configuration", timeout=5).json()["issuer"] == issuer


@pytest.mark.parametrize(("name", "address"), [("vault", "VAULT_PUBLIC_URL"), ("cloud", "DEV_CLOUD_ISSUER")])
def test_a_program_can_be_stopped_and_comes_back_at_its_address(stack: Stack, name: str, address: str) -> None:
    url = stack.environment[address]
    stack.stop(name)
    assert not listens(url)
    stack.check()
    stack.restart(name)
    assert requests.get(f"{url}/login", timeout=5).status_code == 200


def test_a_program_that_dies_is_named_with_the_end_of_its_log(tmp_path: Path) -> None:
    child = Child("dev.unknown", [], os.environ, tmp_path / "unknown.log")
    with pytest.raises(ChildDied, match=r"(?s)dev\.unknown ended before it was ready.*No module named dev\.unknown"):
        child.ready()
    with pytest.raises(ChildDied, match=r"dev\.unknown ended unexpectedly"):
        child.check()
    child.stop()


def test_a_port_in_use_is_said_before_anything_starts(tmp_path: Path) -> None:
    with socket.create_server(("127.0.0.1", 0)) as taken:
        port = taken.getsockname()[1]
        with pytest.raises(PortUnusable, match=f"Port {port} cannot be used: another program uses it."):
            Stack(port, tmp_path).start()
        run = launcher(tmp_path, port)
        assert run.communicate(timeout=20)[0] == f"Port {port} cannot be used: another program uses it.\n"
        assert run.returncode == 1
    assert list(tmp_path.iterdir()) == []


@pytest.mark.parametrize("port", ["", "0", "65536", "http", "-1"])
def test_a_port_that_is_none_is_said(tmp_path: Path, port: str) -> None:
    run = launcher(tmp_path, port)
    assert run.communicate(timeout=20)[0] == f"PORT must be a number from 1 to 65535, not {port!r}.\n"
    assert run.returncode == 1


@pytest.mark.parametrize("number", [signal.SIGINT, signal.SIGTERM])
def test_the_launcher_says_where_and_who_and_ends_on_a_signal(tmp_path: Path, number: signal.Signals) -> None:
    port = free_port()
    run = launcher(tmp_path, port)
    assert run.stdout
    lines = []
    while not lines or not lines[-1].startswith("Ctrl-C"):
        lines.append(run.stdout.readline().rstrip("\n"))
        assert lines[-1] or run.poll() is None, lines
    ready = lines.index(f"Token Vault is ready at http://localhost:{port}/")
    accounts = [re.split(r" {2,}", line) for line in lines[ready + 1 : ready + 4]]
    assert accounts == [[f"CONTOSO\\{name}", f"{name}-pass"] for name in ("alice", "bob", "admin")]
    assert lines[ready + 5] == "Accounts at Northwind Cloud:"
    assert re.split(r" {2,}", lines[ready + 7]) == ["alice2", "alice-pass", "alice.personal@mail.example"]
    run.send_signal(number)
    assert run.communicate(timeout=30)[0].splitlines()[-1] == "Token Vault has stopped."
    assert run.returncode == 0
    assert not listens(f"http://localhost:{port}")


def test_the_launcher_takes_a_directory_of_ones_own(tmp_path: Path) -> None:
    port, ca_file = free_port(), tmp_path / "ca.pem"
    authority = Authority()
    ca_file.write_text(authority.pem)
    with EmbeddedDirectory(authority) as own:
        described = {
            "domain": "FABRIKAM",
            "servers": [own.url],
            "ca_file": str(ca_file),
            "service_account": "FABRIKAM\\svc-vault",
            "service_secret": "own/secret",
        }
        run = launcher(tmp_path, port, VAULT_DIRECTORIES=json.dumps([described]), DIRECTORY_PASSWORD="pass")
        assert run.stdout
        lines = []
        while not lines or not lines[-1].startswith("Ctrl-C"):
            lines.append(run.stdout.readline().rstrip("\n"))
            assert lines[-1] or run.poll() is None, lines
        assert "People log in at the directories of VAULT_DIRECTORIES." in lines
        assert requests.get(f"http://localhost:{port}/login", timeout=5).status_code == 200
        run.send_signal(signal.SIGTERM)
        run.communicate(timeout=30)


def test_the_launcher_offers_the_sign_in_of_a_realm_like_keycloaks(tmp_path: Path) -> None:
    port = free_port()
    run = launcher(tmp_path, port, SIGN_IN="keycloak")
    assert run.stdout
    lines = []
    while not lines or not lines[-1].startswith("Ctrl-C"):
        lines.append(run.stdout.readline().rstrip("\n"))
        assert lines[-1] or run.poll() is None, lines
    accounts = lines[lines.index("Accounts at Contoso SSO, to sign in with:") + 1 :]
    assert [re.split(r" {2,}", line)[:2] for line in accounts[:2]] == [["adele", "adele-pass"], ["carol", "carol-pass"]]
    page = requests.get(f"http://localhost:{port}/login", timeout=5)
    assert "Sign in with Contoso SSO" in page.text
    run.send_signal(signal.SIGTERM)
    run.communicate(timeout=30)


def test_a_sign_in_that_is_none_is_said(tmp_path: Path) -> None:
    run = launcher(tmp_path, free_port(), SIGN_IN="entra")
    assert run.communicate(timeout=20)[0] == "SIGN_IN must be northwind or keycloak, not 'entra'.\n"
    assert run.returncode == 1


def test_nothing_survives_a_parent_that_is_killed(tmp_path: Path) -> None:
    script = (
        "import json, pathlib, sys, time; from dev.stack import Stack\n"
        "with Stack(0, pathlib.Path(sys.argv[1])) as stack:\n"
        "    print(json.dumps(stack.environment), flush=True); time.sleep(60)"
    )
    parent = python(script, tmp_path)
    assert parent.stdout
    environment = json.loads(parent.stdout.readline())
    addresses = [environment[name] for name in ("VAULT_PUBLIC_URL", "DEV_CLOUD_ISSUER", "AWS_ENDPOINT_URL")]
    addresses += json.loads(environment["VAULT_DIRECTORIES"])[0]["servers"]
    assert all(map(listens, addresses))
    parent.kill()
    parent.communicate()
    assert wait_until_gone(addresses) == []
