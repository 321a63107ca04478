"""A vault in two processes with people, an application and a cloud around it, that can be brought back in time."""

import json
import pickle
from base64 import b64decode
from collections import Counter
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass, replace
from typing import Any
from urllib.parse import urlencode

from moto.backends import get_backend
from moto.core.model_instances import reset_model_data

from chalicelib.adapters.endpoint_guard import EndpointGuard
from chalicelib.adapters.oauth_client import AuthlibClient
from chalicelib.adapters.provider_check import CloudCheck
from chalicelib.bootstrap import Vault, create_vault
from chalicelib.domain.audit import Origin
from chalicelib.domain.client_application import AccessRule, Whose
from chalicelib.domain.grant import Grant, GrantState, Holding
from chalicelib.domain.provider import Provider
from chalicelib.domain.token_set import TokenSet
from chalicelib.stores.items import Item, unpack
from tests.aws import ACCOUNT_ID, ENVIRONMENT, TABLES
from tests.fakes import directory
from tests.fakes.application import Application
from tests.fakes.cloud import CLIENT_SECRET
from tests.functional.client import BASE, Answer, Browser, going_to
from tests.functional.conftest import NORTHWIND, Telling
from tests.samples import ADMINISTRATOR, APPLICATION

from .seam import Call, Seam

ORIGIN = Origin("faults", "127.0.0.1")
SCOPES = ("openid", "profile", "email", "offline_access")
IDS = {person.user.login_name.partition("\\")[2]: person.user.id for person in (directory.ALICE, directory.BOB)}
PASSWORDS = {person.password for person in (directory.ALICE, directory.BOB, directory.ADMIN)}


@dataclass
class Process:
    """One process of the vault. What it remembers, `forget` takes away: guesses, and the keys of clouds."""

    vault: Vault
    app: Any

    @classmethod
    def like(cls, running: Telling) -> "Process":
        vault = create_vault(
            running.vault.settings,
            aws=running.aws.clients,
            clock=running.clock,
            directory=running.directory,
            oauth_client=AuthlibClient(running.clock, EndpointGuard(allow_private=True)),
            provider_check=CloudCheck(running.clock, EndpointGuard(allow_private=True)),
            at_once=1,
        )
        return cls(vault, vault.app())

    def forget(self) -> None:
        self.vault.token_exchange._likely_claim.clear()
        self.vault.token_exchange._releases._likely_owner.clear()
        self.vault.consent._oauth_client._id_tokens._keys._sets.clear()
        self.vault.refresh._grants._likely_generation.clear()


@dataclass(frozen=True)
class GrantWrite:
    """One write of a grant that was made, in the order in which they were made."""

    version: int
    fence: int
    writer: str
    tokens: bytes | None


class World:
    """`first` is the process that things happen to, `second` another one that was never touched by them."""

    def __init__(self, running: Telling) -> None:
        self.clock, self.cloud, self.directory, self.aws = (
            running.clock,
            running.cloud,
            running.directory,
            running.aws,
        )
        self.first = Process(running.vault, running.app)
        self.second = Process.like(running)
        self.seam = Seam(running.aws.clients, running.directory)
        self.seam.watchers.append(self._watch)
        self.cookies: dict[str, dict[str, str]] = {}
        self.released: list[dict[str, Any]] = []
        self.grant_writes: dict[tuple[str, str], list[GrantWrite]] = {}
        self.published: Counter[str] = Counter()
        self.application = Application("scanner", BASE, running.clock.now)
        self._register()

    def _register(self) -> None:
        service = self.first.vault.client_applications
        rule = AccessRule(NORTHWIND, SCOPES, Whose(everybody=True))
        registered = service.register(replace(APPLICATION, rules=(rule,)), ADMINISTRATOR, ORIGIN)
        service.add_keys(registered, json.dumps(self.application.jwks()), ADMINISTRATOR, ORIGIN)

    # Back in time

    def moment(self) -> bytes:
        """All that lasts, as it is now."""
        tables = {name: self._items(name) for name in TABLES}
        cloud = (self.cloud._codes, self.cloud._refresh_tokens, self.cloud._access_tokens, self.cloud.requests)
        here = (self.clock.now(), self.cookies, self.released, self.grant_writes, self.published)
        return pickle.dumps((tables, cloud, here), pickle.HIGHEST_PROTOCOL)

    def back_to(self, moment: bytes) -> None:
        tables, cloud, here = pickle.loads(moment)  # noqa: S301 - written a moment ago, by us
        # Moto keeps every item there ever was, for its dashboard
        reset_model_data()
        for name, items in tables.items():
            self._items(name).clear()
            self._items(name).update(items)
        self.cloud._codes, self.cloud._refresh_tokens, self.cloud._access_tokens, self.cloud.requests = cloud
        now, self.cookies, self.released, self.grant_writes, self.published = here
        self.clock.advance(now - self.clock.now())
        self.first.forget()
        self.second.forget()

    @staticmethod
    def _items(name: str) -> dict[Any, Any]:
        backend = get_backend("dynamodb")[ACCOUNT_ID][ENVIRONMENT["AWS_DEFAULT_REGION"]]
        items: dict[Any, Any] = backend.get_table(name).items
        return items

    @contextmanager
    def swapped(self) -> Iterator[None]:
        """What happens inside happens to the other process."""
        self.first, self.second = self.second, self.first
        try:
            yield
        finally:
            self.first, self.second = self.second, self.first

    # What people and programs do

    def browser(self, person: str, process: Process | None = None) -> Browser:
        """The browser of that person, at one of the processes; what it has of cookies, it has at the other, too."""
        browser = Browser((process or self.first).app)
        browser.cookies = self.cookies.setdefault(person, {})
        return browser

    def log_in(self, person: str, process: Process | None = None) -> Browser:
        browser = self.browser(person, process)
        page = browser.log_in(f"CONTOSO\\{person}", f"{person}-pass")
        assert page.url == "/providers", page.text
        return browser

    def consented(self, browser: Browser, account: str, button: str = "Authorize") -> str:
        """Where the cloud sends the browser back to."""
        going = browser.press(browser.get("/providers"), button)
        return self.cloud.consent(going_to(going), account).removeprefix(BASE)

    def authorize(self, person: str, account: str = "", process: Process | None = None) -> Answer:
        """Authorizes, or authorizes again: whichever the page offers."""
        browser = self.browser(person, process)
        buttons = [button for form in browser.get("/providers").forms for button in form.buttons]
        button = "Reauthorize" if "Reauthorize" in buttons else "Authorize"
        return browser.get(self.consented(browser, account or person, button))

    def fetch(self, person: str = "alice", process: Process | None = None) -> tuple[int, dict[str, Any]]:
        """The application asks for that person's token."""
        form = self.application.form(f"CONTOSO\\{person}", NORTHWIND)
        headers = {"Sec-Fetch-Site": "", "Origin": ""}
        browser = Browser((process or self.first).app)
        answer = browser.post("/oauth2/token", urlencode(form).encode(), headers=headers)
        body = json.loads(answer.body)
        if answer.status == 200:
            self.released.append(body)
        return answer.status, body

    def background(self, process: Process, *hours: float) -> None:
        """The functions of the schedule, once after each of these pauses. Not the seals, which read all there is."""
        for pause in hours:
            self.clock.advance(round(pause * 3600))
            process.vault.removals.carry_on()
            process.vault.removals.finish_open()
            process.vault.clean_up.run()
            process.vault.revocations.retry_due()
            process.vault.events.deliver_due()

    # What is there

    def items(self, table: str = "vault") -> list[Item]:
        """Every item, from moto's memory: checks read all there is, thousands of times."""
        ranges = (rows.values() if isinstance(rows, dict) else [rows] for rows in self._items(table).values())
        return [unpack({name: _wire(v) for name, v in item.attrs.items()}) for rows in ranges for item in rows]

    def audit(self) -> list[Item]:
        return [item for item in self.items() if item["pk"].startswith("AUDIT#")]

    def provider(self) -> Provider:
        return self.second.vault.administration.provider(NORTHWIND)

    def holding(self, person: str = "alice") -> Holding:
        return self.second.vault.refresh._grants.load(IDS[person], NORTHWIND)

    def grant(self, person: str = "alice") -> Grant | None:
        """The grant that could be released from, None without one."""
        grant = self.holding(person).grant
        return grant if grant is not None and grant.state is not GrantState.REMOVED else None

    def tokens(self, holding: Holding) -> TokenSet:
        grant = holding.grant
        assert grant is not None
        assert grant.token_set is not None
        with self.second.vault.grants._cipher.unlock(holding.key) as box:
            return TokenSet.from_bytes(box.decrypt(grant.token_set, grant.encryption_context()))

    def secrets(self) -> set[str]:
        """What must be nowhere as it is."""
        cookies = {value for jar in self.cookies.values() for value in jar.values()}
        return self.cloud.issued() | PASSWORDS | cookies | {CLIENT_SECRET}

    def _watch(self, call: Call) -> None:
        if call.system == "events" and call.operation == "PutEvents":
            self.published.update(entry["DetailType"] for entry in call.arguments["Entries"])
        for one in call.arguments.get("TransactItems", []):
            for kind, write in one.items():
                self._watch_write(f"{kind}Item", write)
        self._watch_write(call.operation, call.arguments)

    def _watch_write(self, operation: str, arguments: dict[str, Any]) -> None:
        item = arguments.get("Item") or arguments.get("Key") or {}
        if "sk" not in item or not item["sk"]["S"].startswith("GRANT#"):
            return
        key = (item["pk"]["S"], item["sk"]["S"])
        if operation == "DeleteItem":
            self.grant_writes.pop(key, None)
        elif operation == "PutItem" and "version" in item:  # not which account is the default
            stored = unpack(item)
            write = GrantWrite(stored["version"], stored.get("fence", 0), stored["writer"], stored.get("token_set"))
            self.grant_writes.setdefault(key, []).append(write)


def _wire(attribute: Any) -> dict[str, Any]:
    """As DynamoDB would give it: moto keeps binary in base64, and what is nested in objects of its own."""
    value = attribute.value
    if attribute.type == "B":
        value = b64decode(value) if isinstance(value, str) else value
    elif attribute.type == "M":
        value = {name: _wire(inner) for name, inner in value.items()}
    elif attribute.type == "L":
        value = [_wire(inner) for inner in value]
    return {attribute.type: value}


@contextmanager
def world_of(running: Telling) -> Iterator[World]:
    world = World(running)
    with world.seam.installed():
        yield world
