"""The whole local stack: AWS, a directory, a cloud and the vault, each a process of its own on loopback."""

import errno
import json
import os
import secrets
import socket
from collections.abc import Callable, Mapping
from contextlib import suppress
from pathlib import Path
from typing import Any, Self
from urllib.parse import urlsplit

from .process import Child

PROVIDER_ID = "northwind"
CLIENT_ID = "token-vault"
SERVICE_ACCOUNT, SERVICE_PASSWORD = "CONTOSO\\svc-vault", "svc-vault-pass"
SERVICE_SECRET = "token-vault/directory/CONTOSO"
SIGN_IN_SECRET = "token-vault/sign-in"
EVENT_BUS, MAIL_FROM, ADMIN_MAIL = "default", "vault@contoso.example", "administrators@contoso.example"
EVENT_ARCHIVE = "mailbox"
"""Keeps the events of the bus, for the mailbox's pages."""
_AWS = {
    "AWS_ACCESS_KEY_ID": "local",
    "AWS_SECRET_ACCESS_KEY": "local",
    "AWS_DEFAULT_REGION": "eu-central-1",
    "AWS_EC2_METADATA_DISABLED": "true",
    # The developer's own profile must not change anything, nor be used for anything
    "AWS_CONFIG_FILE": os.devnull,
    "AWS_SHARED_CREDENTIALS_FILE": os.devnull,
    # A proxy of the developer's network cannot reach this machine's loopback
    "NO_PROXY": "localhost,127.0.0.1",
    "no_proxy": "localhost,127.0.0.1",
}


NORTHWIND, KEYCLOAK = "northwind", "keycloak"
SIGN_INS = (NORTHWIND, KEYCLOAK)
"""Where people may sign in beside the directory: at the embedded cloud, or at a realm that speaks as Keycloak does."""


class PortUnusable(Exception):
    """The vault's port is in use or not ours to take; the text is a sentence that says which."""


class Stack:
    """Starts and ends everything; a context manager.

    `port`: the vault's, 0 for a free one. `folder`: for logs, the directory's certificate and the cloud's database.
    `say` gets a sentence at each step. Every other port is free choice, and kept when a program is restarted. What the
    stand-in for AWS stored ends with it; the directory has a new certificate after a restart, so restart the vault too.
    `directories`: what the vault gets as VAULT_DIRECTORIES in place of our directory. `sign_in`: one of `SIGN_INS`.
    """

    def __init__(
        self,
        port: int,
        folder: Path,
        *,
        say: Callable[[str], None] = lambda _: None,
        directories: str = "",
        sign_in: str = NORTHWIND,
    ) -> None:
        self._sign_in = sign_in
        self._directories = {"VAULT_DIRECTORIES": directories} if directories else {}
        self.port = port or _free_port()
        self.url = f"http://localhost:{self.port}"
        self.environment: dict[str, str] = {}
        self._folder = folder.resolve()
        self._say = say
        self._client_secret = secrets.token_hex(24)  # base64 may begin with a dash, which looks like an option
        self._children: dict[str, Child] = {}
        self._ports: dict[str, int] = {}

    def __enter__(self) -> Self:
        try:
            self.start()
        except BaseException:
            self.close()
            raise
        return self

    def __exit__(self, *_: object) -> None:
        self.close()

    def start(self) -> None:
        """Start everything, in the order of need. Raises PortUnusable before anything runs, or ChildDied."""
        _check_free(self.port)
        self.environment = self._base_environment()
        self._say("Starting AWS (DynamoDB, KMS, Secrets Manager, EventBridge, SES), the directory and the cloud ...")
        ready = self._start("aws", "directory", "cloud", *(["realm"] if self._sign_in == KEYCLOAK else []))
        self.environment |= _addresses(ready["aws"], ready["directory"], ready["cloud"]) | self._directories
        if "realm" in ready:
            self.environment["VAULT_SIGN_IN"] = json.dumps(_at_realm(ready["realm"]["issuer"]))
        self._say("Creating tables and the key, registering the cloud ...")
        seeded = self._start("seed")["seed"]
        self.environment |= seeded["environment"]
        self._children.pop("seed").stop()
        self._say("Starting the vault ...")
        self._start("vault", "scheduler")

    def restart(self, name: str) -> None:
        """Start one program (aws, directory, cloud, vault or scheduler) on its port, ending it first if it runs."""
        self.stop(name)
        self._start(name)

    def stop(self, name: str) -> None:
        """End one program, if it runs, and leave the others running."""
        if name in self._children:
            self._children.pop(name).stop()

    def check(self) -> None:
        """Raises ChildDied when a program ended by itself."""
        for child in self._children.values():
            child.check()

    def close(self) -> None:
        """End everything that runs. Idempotent."""
        if self._children:
            self._say("Stopping ...")
        for child in self._children.values():
            child.release()
        while self._children:
            self._children.popitem()[1].stop()

    def _start(self, *names: str) -> dict[str, dict[str, Any]]:
        """Start programs side by side and wait for all of them."""
        for name in names:
            log = self._folder / "logs" / f"{name}.log"
            self._children[name] = Child(f"dev.{name}", self._arguments(name), self.environment, log)
        ready = {name: self._children[name].ready() for name in names}
        self._ports |= {name: port for name, line in ready.items() if (port := _port(line))}
        if "aws" in ready:
            self._ports["mailbox"] = urlsplit(ready["aws"]["mailbox"]).port or 0
        return ready

    def _arguments(self, name: str) -> list[str]:
        port = ["--port", str(self._ports.get(name, 0))]
        folder = ["--folder", str(self._folder / name)]
        client = ["--client-id", CLIENT_ID, "--client-secret", self._client_secret]
        consent, sign_in = f"{self.url}/oauth/callback/{PROVIDER_ID}", f"{self.url}/login/callback"
        redirect = ["--redirect-uri", consent, "--redirect-uri", sign_in, "--signed-out-uri", f"{self.url}/login"]
        return {
            "aws": [*port, "--mailbox-port", str(self._ports.get("mailbox", 0))],
            "directory": port + folder,
            "cloud": port + folder + client + redirect,
            "realm": [*port, *client, "--redirect-uri", sign_in, "--signed-out-uri", f"{self.url}/login"],
            "vault": ["--port", str(self.port)],
        }.get(name, [])

    def _base_environment(self) -> dict[str, str]:
        ours = ("AWS_", "VAULT_", "DEV_")
        inherited = {name: value for name, value in os.environ.items() if not name.startswith(ours)}
        return {
            **inherited,
            **_AWS,
            "VAULT_PUBLIC_URL": self.url,
            "VAULT_ALLOW_PRIVATE_CLOUDS": "true",
            "VAULT_EVENT_BUS": EVENT_BUS,
            "VAULT_MAIL_FROM": MAIL_FROM,
            "VAULT_ADMIN_MAIL": ADMIN_MAIL,
            "DEV_CLOUD_CLIENT_ID": CLIENT_ID,
            "DEV_CLOUD_CLIENT_SECRET": self._client_secret,
        }


def _addresses(aws: Mapping[str, str], directory: Mapping[str, str], cloud: Mapping[str, str]) -> dict[str, str]:
    return {
        "AWS_ENDPOINT_URL": aws["endpoint"],
        "DEV_MAILBOX_URL": aws["mailbox"],
        "VAULT_DIRECTORIES": json.dumps([_directory(directory)]),
        "VAULT_SIGN_IN": json.dumps(_sign_in(cloud["issuer"])),
        "DEV_CLOUD_ISSUER": cloud["issuer"],
    }


def _directory(ready: Mapping[str, str]) -> dict[str, object]:
    """As a company describes its own."""
    return {
        "domain": ready["domain"],
        "dns_name": ready["dns_name"],
        "servers": [ready["url"]],
        "ca_file": ready["ca_file"],
        "service_account": SERVICE_ACCOUNT,
        "service_secret": SERVICE_SECRET,
        "user_name_forms": ["domain", "upn", "plain"],
        "administrator_groups": [ready["administrator_group"]],
    }


def _sign_in(issuer: str) -> dict[str, str]:
    """The embedded cloud as the OpenID provider, too."""
    named = {"issuer": issuer, "client_id": CLIENT_ID, "client_secret": SIGN_IN_SECRET}
    return {**named, "kind": "openid", "name": "Northwind"}


def _at_realm(issuer: str) -> dict[str, object]:
    """The realm as the OpenID provider; its roles administrate."""
    named = {"issuer": issuer, "client_id": CLIENT_ID, "client_secret": SIGN_IN_SECRET}
    rights = {"domains": ["contoso.example"], "administrators": ["role:vault-admin"]}
    return {**named, **rights, "kind": KEYCLOAK, "name": "Contoso SSO"}


def _port(ready: Mapping[str, str]) -> int | None:
    address = ready.get("endpoint") or ready.get("url") or ready.get("issuer")
    return urlsplit(address).port if address else None


def _free_port() -> int:
    with socket.create_server(("127.0.0.1", 0)) as probe:
        return int(probe.getsockname()[1])


def _check_free(port: int) -> None:
    try:
        socket.create_server(("127.0.0.1", port)).close()
    except OSError as error:
        why = "another program uses it" if error.errno == errno.EADDRINUSE else os.strerror(error.errno or 0).lower()
        raise PortUnusable(f"Port {port} cannot be used: {why}.") from None
    # `localhost` may also mean ::1, where a browser would then meet somebody else
    with suppress(OSError), socket.create_connection(("localhost", port), timeout=1):
        raise PortUnusable(f"Port {port} cannot be used: another program uses it.")
