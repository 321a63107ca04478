"""Manage authorization providers, whole requests: what an administrator types, what is stored, what people see."""

import re
from collections.abc import Callable
from dataclasses import replace
from typing import Any

import pytest

from chalicelib.adapters.endpoint_guard import EndpointGuard
from chalicelib.adapters.oauth_client import AuthlibClient
from chalicelib.domain.audit import BACKGROUND
from chalicelib.domain.errors import CloudUnavailable, Conflict
from chalicelib.domain.provider import Provider
from chalicelib.domain.provider_type import RevocationStyle
from chalicelib.domain.secret import Secret
from chalicelib.ports import Client
from chalicelib.services import removals
from tests.fakes import directory
from tests.fakes.cloud import CLIENT_ID, CLIENT_SECRET
from tests.fakes.directory import VAULT_ADMINISTRATORS, VAULT_USERS
from tests.fakes.misbehaviour import body, edit, error, html, status
from tests.samples import ADMINISTRATOR

from .client import BASE, Answer, Browser, going_to
from .conftest import NORTHWIND, Running

NEW = "/admin/register-provider"
OAUTH2_ENDPOINTS = ("authorization_endpoint", "token_endpoint", "userinfo_endpoint", "revocation_endpoint")
ENDPOINTS = {f"field_{name}": f"https://1.1.1.1/{name}" for name in OAUTH2_ENDPOINTS}
NO_ENDPOINTS = (
    "http://1.1.1.1/",
    "https://127.0.0.1/",
    "https://169.254.169.254/",
    "https://192.168.0.1/",
    "https://[::1]/",
)
ODD_SECRET = "a+b%c&d:e=f ü€ \"'<>"


class Console:
    """An administrator in the console."""

    def __init__(self, running: Running) -> None:
        self.running = running
        self.browser = running.browser("admin")

    def form(self, type_id: str = "openid-connect", **typed: str) -> dict[str, str]:
        return {
            "name": "Second Cloud",
            "client_id": CLIENT_ID,
            "client_secret": CLIENT_SECRET,
            "field_issuer": self.running.cloud.issuer,
            "scopes": "email offline_access",
            "whose": "everybody",
        } | typed

    def register(self, type_id: str = "openid-connect", **typed: str) -> Answer:
        page = self.browser.get(f"{NEW}?type={type_id}")
        return self.press(page, self.form(type_id, **typed))

    def press(self, page: Answer, typed: dict[str, str], button: str = "Save") -> Answer:
        form = page.form(button)
        fields = {name: value for name, value in form.fields if name not in ("whose", "grants") or name not in typed}
        return self.browser.post(form.action.removeprefix(BASE), fields | typed)

    def providers(self) -> dict[str, Provider]:
        return {provider.name: provider for provider in self.running.vault.registration.all()}

    def second(self) -> Provider:
        return self.providers()["Second Cloud"]

    def page(self, provider: Provider, suffix: str = "") -> Answer:
        return self.browser.get(f"/admin/providers/{provider.id}{suffix}")

    def edit(self, provider: Provider, **typed: str) -> Answer:
        return self.press(self.page(provider, "/edit"), typed)


@pytest.fixture
def console(running: Running) -> Console:
    return Console(running)


@pytest.fixture
def strict(console: Console, monkeypatch: pytest.MonkeyPatch) -> Console:
    """The console of a vault that may connect to public addresses only."""
    registration = console.running.vault.registration
    client = AuthlibClient(console.running.clock, EndpointGuard(allow_private=False))
    monkeypatch.setattr(registration, "_oauth_client", client)
    return console


def sees(browser: Browser, name: str) -> bool:
    return name in browser.get("/providers").text


class TestRegister:
    def test_an_administrator_registers_enables_and_people_authorize(self, console: Console) -> None:
        page = console.register()
        provider = console.second()
        assert page.url == f"/admin/providers/{provider.id}"
        assert "Nobody sees this provider yet" in page.text
        alice = console.running.browser("alice")
        assert not sees(alice, "Second Cloud")
        console.browser.press(page, "Enable")
        assert sees(alice, "Second Cloud")
        going = alice.post(f"/providers/{provider.id}/authorize", {"csrf": csrf(alice)})
        assert going.status == 200
        tags = console.running.audit_tags()
        assert tags.count("provider.registered") == 2
        assert "provider.enabled" in tags

    def test_the_redirect_uri_is_known_before_anything_is_saved(self, console: Console) -> None:
        page = console.browser.get(f"{NEW}?type=google")
        shown = re.search(rf"{BASE}/oauth/callback/(google-[a-z0-9]{{8}})", page.body)
        assert shown
        assert dict(page.form("Save").fields)["id"] == shown[1]
        assert "7 days" in page.text  # the trap of a consent screen in Testing

    def test_a_cloud_without_discovery_has_the_addresses_of_its_type(self, console: Console) -> None:
        page = console.register("box", field_issuer="")
        assert page.url.startswith("/admin/providers/box-"), page.text
        assert console.second().server.token_endpoint == "https://api.box.com/oauth2/token"

    @pytest.mark.parametrize(
        ("search", "found"),
        [("zoho", {"zoho"}), ("SEND mail", {"google", "microsoft-365", "zoho"}), ("no such", set())],
    )
    def test_the_types_are_searched_by_name_and_use(self, console: Console, search: str, found: set[str]) -> None:
        page = console.browser.get(f"{NEW}?search={search.replace(' ', '+')}")
        listed = set(re.findall(rf'class="type-link" href="{NEW}[?]type=([a-z0-9-]+)"', page.body))
        assert listed == found
        assert ("For a cloud that is not listed" in page.text) == (not found)

    def test_every_type_can_be_chosen(self, console: Console) -> None:
        page = console.browser.get(NEW)
        for type_ in console.running.vault.registration.types():
            assert f"{NEW}?type={type_.id}" in page.body
            form = console.browser.get(f"{NEW}?type={type_.id}")
            assert form.status == 200
            assert all(item.text.split(":")[0] in form.text for item in type_.checklist[:1])

    def test_r50_the_secret_is_stored_encrypted_and_never_shown(self, console: Console) -> None:
        page = console.register(client_secret=ODD_SECRET)
        stored = str(console.running.aws.items("vault"))
        edited = console.page(console.second(), "/edit")
        for shown in (page.body, edited.body, stored):
            assert ODD_SECRET not in shown
            assert "a+b%c" not in shown

    @pytest.mark.parametrize("secret", [ODD_SECRET, "ü" * 20, "x" * 2048])
    def test_a_secret_of_any_characters_reaches_the_cloud_as_it_is(self, console: Console, secret: str) -> None:
        console.running.cloud.client_secret = secret
        console.register(client_secret=secret)
        provider = console.second()
        console.browser.press(console.page(provider), "Enable")
        result = console.browser.press(console.page(provider), "Test this provider")
        assert "client_refused" not in result.text

    @pytest.mark.parametrize(
        ("typed", "field", "words"),
        [
            ({"name": ""}, "name", "Please give a name"),
            ({"name": "NORTHWIND cloud"}, "name", "There is a provider of this name already"),
            ({"client_id": " "}, "client_id", "Please give the client ID"),
            ({"client_secret": ""}, "client_secret", "Please give the client secret"),
            ({"client_secret": "a\nb"}, "client_secret", "This is no client secret"),
            ({"field_issuer": ""}, "field_issuer", "Please fill in “Issuer”"),
            ({"field_issuer": "javascript:alert(1)"}, "field_issuer", "must be an address"),
            ({"scopes": "a b\x7f"}, "scopes", "This cannot be a scope"),
            ({"scopes": " ".join(f"s{n}" for n in range(60))}, "scopes", "can ask for 50 scopes"),
            ({"secret_ends": "31.12.2027"}, "secret_ends", "a date such as"),
            ({"whose": "groups", "groups": ""}, "groups", "1 to 20 groups"),
            ({"whose": "groups", "groups": "everyone"}, "groups", "neither a group"),
        ],
    )
    def test_a_mistake_is_said_beside_its_field_and_nothing_is_stored(
        self, console: Console, typed: dict[str, str], field: str, words: str
    ) -> None:
        page = console.register(**typed)
        assert page.status == 400
        problem = re.search(rf'id="problem-{field}">([^<]*)', page.body)
        assert problem, page.text
        assert words in problem[1]
        assert "Second Cloud" not in console.providers()
        if field != "client_id":
            assert CLIENT_ID in page.body  # what was typed is still there
        assert CLIENT_SECRET not in page.body

    @pytest.mark.parametrize(
        "rule",
        [
            edit(issuer="https://evil.example"),
            edit(token_endpoint=...),
            html(),
            status(302, Location="https://evil.example/"),
            body(b"{" + b" " * 1_100_000 + b"}"),
            status(503),
            error("no"),
        ],
    )
    def test_r49_a_discovery_document_that_lies_or_misbehaves_is_said(self, console: Console, rule: Any) -> None:
        console.running.cloud.misbehave("/.well-known/openid-configuration", rule, rule)
        page = console.register()
        assert page.status == 400
        assert "discovery document cannot be used" in page.text
        assert "Second Cloud" not in console.providers()

    @pytest.mark.parametrize("url", NO_ENDPOINTS)
    @pytest.mark.parametrize("field", OAUTH2_ENDPOINTS)
    def test_r103_every_endpoint_is_checked_beside_its_field(self, strict: Console, field: str, url: str) -> None:
        page = strict.register("oauth2", **ENDPOINTS | {f"field_{field}": url})
        assert page.status == 400
        assert re.findall(r'id="problem-([a-z_]+)"', page.body) == [f"field_{field}"]
        assert "Second Cloud" not in strict.providers()

    def test_r103_all_that_is_wrong_is_said_at_once(self, strict: Console) -> None:
        page = strict.register(
            "oauth2", **dict.fromkeys([f"field_{name}" for name in OAUTH2_ENDPOINTS], "https://127.0.0.1/")
        )
        assert set(re.findall(r'id="problem-([a-z_]+)"', page.body)) == {f"field_{name}" for name in OAUTH2_ENDPOINTS}

    def test_r103_an_endpoint_that_a_document_names_is_said_at_the_issuer(self, console: Console) -> None:
        console.running.cloud.misbehave("/.well-known/openid-configuration", edit(userinfo_endpoint="https://[::1/"))
        page = console.register()
        assert re.findall(r'id="problem-([a-z_]+)"', page.body) == ["field_issuer"]

    def test_r103_a_change_is_checked_like_a_registration(self, strict: Console) -> None:
        strict.register("oauth2", **ENDPOINTS)
        before = strict.second()
        page = strict.edit(before, **ENDPOINTS | {"field_token_endpoint": "https://10.0.0.1/"}, name="Second Cloud")
        assert re.findall(r'id="problem-([a-z_]+)"', page.body) == ["field_token_endpoint"]
        assert strict.second() == before

    @pytest.mark.parametrize("url", NO_ENDPOINTS)
    def test_r103_what_was_stored_before_is_not_enabled(self, strict: Console, url: str) -> None:
        strict.register("oauth2", **ENDPOINTS)
        stored = strict.second()
        bad = replace(stored, server=replace(stored.server, token_endpoint=url))
        strict.running.vault.registration._providers.update(bad)
        page = strict.browser.press(strict.page(bad), "Enable")
        assert page.status == 400
        assert not strict.second().enabled

    def test_an_id_of_ones_own_is_refused(self, console: Console) -> None:
        for forged in ("northwind", "../x-12345678", "a" * 80 + "-12345678"):
            assert console.register(id=forged).status == 400
        assert list(console.providers()) == ["Northwind Cloud"]

    def test_an_id_that_is_taken_is_refused(self, console: Console) -> None:
        console.register()
        taken = console.second().id
        assert console.register(id=taken, name="Third Cloud").status == 409
        assert "Third Cloud" not in console.providers()

    def test_an_unknown_type_is_not_found(self, console: Console) -> None:
        assert console.browser.get(f"{NEW}?type=nobody").status == 404

    @pytest.mark.parametrize("path", [NEW, "/admin/providers", f"/admin/providers/{NORTHWIND}/edit"])
    def test_r13_nobody_else_gets_there(self, running: Running, path: str) -> None:
        assert running.browser("alice").get(path).status == 403
        assert running.browser().get(path, follow=False).status == 303

    def test_r35_registering_needs_a_fresh_log_in(self, console: Console) -> None:
        console.running.clock.advance(400)
        assert "/login/confirm" in console.browser.get(f"{NEW}?type=box", follow=False).header("Location")


def csrf(browser: Browser) -> str:
    return dict(browser.get("/sessions").form("Sign out").fields)["csrf"]


class TestEdit:
    @pytest.fixture
    def northwind(self, console: Console) -> Provider:
        """Registered by hand, so that its fields are known."""
        console.register()
        console.browser.press(console.page(console.second()), "Enable")
        return console.second()

    def test_what_is_stored_is_in_the_form(self, console: Console, northwind: Provider) -> None:
        fields = dict(console.page(northwind, "/edit").form("Save").fields)
        assert (fields["name"], fields["client_id"], fields["field_issuer"]) == (
            "Second Cloud", CLIENT_ID, console.running.cloud.issuer,
        )  # fmt: skip
        assert fields.get("client_secret", "") == ""

    def test_a_name_is_changed_and_the_secret_stays(self, console: Console, northwind: Provider) -> None:
        console.edit(northwind, name="Another Name")
        changed = console.providers()["Another Name"]
        assert (changed.client_secret, changed.version) == (northwind.client_secret, northwind.version + 1)

    def test_r50_the_secret_never_goes_to_another_server(self, console: Console, northwind: Provider) -> None:
        with_other = console.edit(northwind, client_id="another", client_secret="")
        assert with_other.status == 400
        assert "please give the secret again" in with_other.text
        assert console.second() == northwind

    def test_the_second_of_two_administrators_is_told_and_overwrites_nothing(
        self, console: Console, northwind: Provider
    ) -> None:
        mine, theirs = console.page(northwind, "/edit"), console.page(northwind, "/edit")
        console.press(theirs, {"name": "Their Name"})
        answer = console.press(mine, {"name": "My Name"})
        assert answer.status == 409
        assert "Somebody else changed this provider" in answer.text
        assert "Their Name" in answer.text
        assert "My Name" in answer.body
        assert "Their Name" in console.providers()
        console.press(answer, {"name": "My Name"})
        assert "My Name" in console.providers()

    @pytest.mark.parametrize("word", ["disable", "delete"])
    def test_an_act_on_what_has_changed_is_not_done(self, console: Console, northwind: Provider, word: str) -> None:
        form = {"csrf": csrf(console.browser), "version": str(northwind.version - 1)}
        answer = console.browser.post(f"/admin/providers/{northwind.id}/{word}", form)
        assert answer.status == 409
        assert console.second() == northwind

    def test_a_second_secret_is_good_beside_the_first(self, console: Console, northwind: Provider) -> None:
        alice = console.running.browser("alice")
        authorize(console, alice, northwind)
        console.edit(northwind, client_secret="the-next-one", keep_older="on")
        assert console.second().has_older_secret
        # The cloud still knows the first one only
        assert "Authorization succeeded" in authorize(console, alice, northwind).text
        console.running.cloud.client_secret = "the-next-one"
        assert "Authorization succeeded" in authorize(console, alice, northwind).text
        console.edit(northwind, client_secret="the-third-one")
        assert not console.second().has_older_secret

    def test_the_end_of_a_secret_is_warned_of(self, console: Console, northwind: Provider) -> None:
        console.edit(northwind, secret_ends="2027-03-31")
        assert "Add the next one before" not in console.browser.get("/admin/providers").text
        console.edit(northwind, secret_ends="2027-02-10")
        assert "Add the next one before" in console.browser.get("/admin/providers").text

    @pytest.mark.parametrize(("grants", "state"), [("again", "Needs reauthorization"), ("leave", "Authorized")])
    def test_new_scopes_end_or_leave_what_was_authorized(
        self, console: Console, northwind: Provider, grants: str, state: str
    ) -> None:
        alice = console.running.browser("alice")
        authorize(console, alice, northwind)
        console.running.clock.advance(5)
        console.edit(northwind, scopes="email offline_access profile", grants=grants)
        assert state in alice.get("/providers").text
        console.running.clock.advance(5)
        authorize(console, alice, northwind)
        assert "Needs reauthorization" not in alice.get("/providers").text

    def test_fewer_scopes_end_nothing(self, console: Console, northwind: Provider) -> None:
        alice = console.running.browser("alice")
        authorize(console, alice, northwind)
        console.running.clock.advance(5)
        console.edit(northwind, scopes="offline_access", grants="again")
        assert "Needs reauthorization" not in alice.get("/providers").text


class TestAnotherServer:
    """R92: a token set belongs to the server and client that issued it."""

    ELSEWHERE = {"client_id": "another", "client_secret": "another-secret"}  # noqa: RUF012 - never changed

    @pytest.fixture
    def northwind(self, console: Console) -> Provider:
        console.register()
        console.browser.press(console.page(console.second()), "Enable")
        return console.second()

    @pytest.fixture
    def held(self, console: Console, northwind: Provider) -> Browser:
        alice = console.running.browser("alice")
        authorize(console, alice, northwind)
        return alice

    def refresh_tokens(self, console: Console) -> list[str]:
        cloud = console.running.cloud
        return [token for token in cloud._refresh_tokens if cloud.is_live(token)]

    @pytest.mark.usefixtures("held")
    def test_r92_it_is_asked_first_and_nothing_typed_is_lost_but_the_secret(
        self, console: Console, northwind: Provider
    ) -> None:
        page = console.edit(northwind, **self.ELSEWHERE, name="Other Name")
        assert page.status == 400
        assert "1 stored authorization would end" in page.text
        assert "another-secret" not in page.body
        fields = dict(page.form("Save").fields)
        assert (fields["client_id"], fields["name"]) == ("another", "Other Name")
        assert "please give the secret again" in page.text
        assert console.second() == northwind
        without_secret = console.press(page, {"end_grants": "on"})
        assert without_secret.status == 400
        assert console.second() == northwind

    @pytest.mark.parametrize("revoke", [True, False])
    def test_r92_r93_what_was_authorized_ends_and_no_token_goes_to_the_new_one(
        self, console: Console, northwind: Provider, held: Browser, revoke: bool
    ) -> None:
        running = console.running
        asked = running.cloud.requests["/token"]
        page = console.edit(northwind, **self.ELSEWHERE)
        typed = {"client_secret": "another-secret", "end_grants": "on"} | ({"revoke_old": "on"} if revoke else {})
        assert console.press(page, typed).url == f"/admin/providers/{northwind.id}"
        moved = console.second()
        assert (moved.client_id, moved.generation) == ("another", northwind.generation + 1)
        assert "The administrator changed Second Cloud" in held.get("/providers").text
        running.refresh(directory.ALICE.user.id)
        running.clock.advance(120)
        running.vault.clean_up.run()
        assert running.vault.revocations.retry_due() == int(revoke)
        # The old client, at the old server: the new client's secret is not known there
        assert bool(self.refresh_tokens(console)) is not revoke
        assert running.cloud.requests["/token"] == asked
        assert "The administrator changed Second Cloud" in held.get("/providers").text
        running.clock.advance(120)
        running.vault.clean_up.run()
        cleaned = console.second()
        assert (cleaned.cleaned_generation, cleaned.removals) == (moved.generation - 1, ())
        tags = running.audit_tags()
        assert tags.count("provider.tokens_removed") == tags.count("grant.removed") == 1
        assert [removal.target_name for removal in running.vault.removals.recent()] == ["Second Cloud"]

    @pytest.mark.usefixtures("held")
    def test_r92_an_earlier_removal_is_revoked_where_it_was_issued_too(
        self, console: Console, northwind: Provider
    ) -> None:
        running = console.running
        page = console.browser.get(f"/admin/tokens/remove-all?provider={northwind.id}")
        console.browser.press(page, "Remove", confirm="Second Cloud", revoke="yes")
        console.edit(northwind, **self.ELSEWHERE)
        assert console.second().client_id == "another"
        running.clock.advance(120)
        running.vault.clean_up.run()
        assert running.vault.revocations.retry_due() == 1
        assert self.refresh_tokens(console) == []

    def test_where_nobody_has_authorized_there_is_nothing_to_ask(self, console: Console, northwind: Provider) -> None:
        assert console.edit(northwind, **self.ELSEWHERE).status == 200
        assert console.second().generation == northwind.generation + 1
        assert console.running.vault.removals.recent() == []

    @pytest.mark.usefixtures("held")
    def test_r93_a_change_that_meets_another_one_is_in_the_log_as_failed(
        self, console: Console, northwind: Provider
    ) -> None:
        running = console.running
        page = console.edit(northwind, **self.ELSEWHERE)
        update = running.vault.registration._providers.update
        with pytest.MonkeyPatch.context() as patch:

            def meanwhile(provider: Provider) -> Provider:
                update(replace(northwind, name="Meanwhile"))
                return update(provider)

            patch.setattr(running.vault.registration._generations._providers, "update", meanwhile)
            answer = console.press(page, {"client_secret": "another-secret", "end_grants": "on"})
        assert answer.status == 409
        assert running.audit_tags().count("provider.tokens_removed") == 2
        (removal,) = running.vault.removals.recent()
        assert "were not removed" in console.browser.get(f"/admin/removals/{removal.id}").text

    @pytest.mark.usefixtures("held")
    def test_r66_an_edit_at_a_provider_whose_turn_has_not_come_raises_it_first(
        self, console: Console, northwind: Provider, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        running = console.running
        monkeypatch.setattr(removals, "IN_REQUEST", replace(removals.IN_REQUEST, run_seconds=0))
        page = console.browser.get("/admin/tokens/remove-everything")
        receipt = console.browser.press(page, "Remove", confirm="everything")
        assert "1 of 2 providers are done" in receipt.text
        assert console.edit(northwind, name="Renamed").status == 200
        renamed = console.providers()["Renamed"]
        assert (renamed.is_ending, renamed.generation) == (False, northwind.generation + 1)
        assert console.providers()["Northwind Cloud"].is_ending
        ending = running.vault.registration.get(NORTHWIND)
        disabled = running.vault.registration.disable(ending, ADMINISTRATOR, BACKGROUND)
        running.vault.registration.enable(disabled, ADMINISTRATOR, BACKGROUND)
        running.vault.removals.remove_everything(ADMINISTRATOR, BACKGROUND, revoke=False)
        stale = running.vault.registration.get(NORTHWIND)
        running.vault.registration.disable(stale, ADMINISTRATOR, BACKGROUND)
        with pytest.raises(Conflict):
            running.vault.registration.disable(stale, ADMINISTRATOR, BACKGROUND)

    @pytest.mark.usefixtures("held")
    def test_r92_a_discovery_document_that_changed_moves_nobody(self, console: Console, northwind: Provider) -> None:
        console.running.cloud.misbehave(
            "/.well-known/openid-configuration", edit(token_endpoint="https://evil.example")
        )
        assert console.edit(northwind, name="Renamed").status == 200
        assert console.providers()["Renamed"].server == northwind.server


def authorize(console: Console, browser: Browser, provider: Provider) -> Answer:
    going = browser.post(f"/providers/{provider.id}/authorize", {"csrf": csrf(browser)})
    url = going_url(going)
    cloud = console.running.cloud
    return browser.get(consented(cloud, url, provider))


def going_url(going: Answer) -> str:
    from .client import going_to

    return going_to(going)


def consented(cloud: Any, url: str, provider: Provider) -> str:
    """The scripted cloud knows one redirect URI at a time; this provider has its own."""
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(cloud, "redirect_uri", f"{BASE}/oauth/callback/{provider.id}")
        return cloud.consent(url, "alice").removeprefix(BASE)


class TestWhoSeesIt:
    def test_members_of_the_groups_alone(self, console: Console) -> None:
        console.register(whose="groups", groups=VAULT_ADMINISTRATORS)
        provider = console.second()
        console.browser.press(console.page(provider), "Enable")
        alice = console.running.browser("alice")
        assert not sees(alice, "Second Cloud")
        assert sees(console.browser, "Second Cloud")
        assert alice.post(f"/providers/{provider.id}/authorize", {"csrf": csrf(alice)}).status == 404

    def test_who_holds_something_can_still_revoke_it(self, console: Console) -> None:
        console.register(whose="groups", groups=VAULT_USERS)
        provider = console.second()
        console.browser.press(console.page(provider), "Enable")
        alice = console.running.browser("alice")
        authorize(console, alice, provider)
        console.edit(provider, whose="groups", groups=VAULT_ADMINISTRATORS)
        assert sees(alice, "Second Cloud")
        assert alice.post(f"/providers/{provider.id}/authorize", {"csrf": csrf(alice)}).status == 404
        alice.post(f"/providers/{provider.id}/revoke", {"csrf": csrf(alice)})
        assert not sees(alice, "Second Cloud")


class TestDisableAndDelete:
    def test_disabling_hides_it_and_keeps_what_was_authorized(self, console: Console) -> None:
        alice = console.running.browser("alice")
        console.running.authorize(alice)
        northwind = console.providers()["Northwind Cloud"]
        console.browser.press(console.page(northwind), "Disable")
        assert not sees(alice, "Northwind Cloud")
        console.browser.press(console.page(northwind), "Enable")
        assert "Authorized" in alice.get("/providers").text

    def test_deleting_says_how_many_end_and_leaves_nothing(self, console: Console) -> None:
        running = console.running
        alice = running.browser("alice")
        running.authorize(alice)
        northwind = console.providers()["Northwind Cloud"]
        dialog = console.page(northwind, "/delete")
        assert "1 authorization ends" in dialog.text
        console.browser.press(dialog, "Delete")
        assert console.providers() == {}
        assert not sees(alice, "Northwind Cloud")
        assert console.page(northwind).status == 404
        running.clock.advance(200)
        for _ in range(3):
            running.vault.clean_up.run()
        left = [item["pk"]["S"] for item in running.aws.items("vault") if "PROVIDERS" in item["pk"]["S"]]
        keys = [item for item in running.aws.items("vault-keys") if "wrapped" in item]
        assert (left, keys) == ([], [])
        assert not any("token_set" in item for item in running.aws.items("vault"))
        assert "provider.deleted" in running.audit_tags()


class TestTheTest:
    @pytest.fixture
    def found(self, console: Console) -> Callable[[], str]:
        console.register()

        def found() -> str:
            page = console.browser.press(console.page(console.second()), "Test this provider")
            assert CLIENT_SECRET not in page.body
            return page.text

        return found

    @pytest.fixture(autouse=True)
    def log_in_page(self, running: Running, monkeypatch: pytest.MonkeyPatch) -> None:
        """The scripted cloud has no log-in page of its own."""
        proper = type(running.cloud)._proper_answer

        def with_page(self: Any, method: str, path: str, headers: Any, form: Any) -> Any:
            if path == "/authorize":
                return html()(lambda: None)
            return proper(self, method, path, headers, form)

        monkeypatch.setattr(type(running.cloud), "_proper_answer", with_page)

    def test_nothing_is_wrong(self, found: Callable[[], str], console: Console) -> None:
        text = found()
        assert "All good" in text
        for step in ("Addresses", "Discovery", "Client ID and secret", "Log-in page and redirect URI", "Revocation"):
            assert step in text
        assert "provider.tested" in console.running.audit_tags()

    def test_who_refuses_the_token_in_a_word_of_its_own_has_accepted_the_client(
        self, found: Callable[[], str], console: Console
    ) -> None:
        console.running.cloud.misbehave("/token", error("no_such_token"))
        text = found()
        assert "All good" in text
        assert "Revocation" in text

    @pytest.mark.parametrize(
        ("path", "rule", "code"),
        [
            ("/.well-known/openid-configuration", edit(issuer="https://evil.example"), "discovery_wrong"),
            ("/.well-known/openid-configuration", status(503), "unreachable"),
            ("/.well-known/openid-configuration", edit(token_endpoint="http://127.0.0.1:9/new"), "discovery_changed"),
            ("/.well-known/openid-configuration", edit(code_challenge_methods_supported=["plain"]), "no_s256"),
            ("/.well-known/openid-configuration", edit(scopes_supported=["openid"]), "scopes_not_offered"),
            ("/authorize", html(400), "authorization_refused"),
            ("/authorize", body(b"", 200, Date="Mon, 01 Jan 2018 00:00:00 GMT"), "clock_off"),
            ("/authorize", status(503), "unreachable"),
            ("/token", error("invalid_client", status=401), "client_refused"),
            ("/token", error("unauthorized_client"), "client_or_token"),
            ("/token", error("invalid_request"), "client_or_token"),
            ("/token", html(404), "not_a_token_endpoint"),
            ("/token", body(b'{"access_token":"x","token_type":"bearer"}'), "took_anything"),
            ("/revoke", error("unsupported_token_type"), "revocation_refused"),
        ],
    )
    def test_it_names_the_fault(
        self, found: Callable[[], str], console: Console, path: str, rule: Any, code: str
    ) -> None:
        console.running.cloud.misbehave(path, rule, rule)
        text = found()
        assert "Something is wrong" in text
        assert code in text

    def test_a_wrong_secret_is_told_apart_from_a_wrong_code(self, found: Callable[[], str], console: Console) -> None:
        console.running.cloud.client_secret = "another one"
        assert "client_refused" in found()

    def test_a_name_that_does_not_resolve_is_named(self, console: Console, monkeypatch: pytest.MonkeyPatch) -> None:
        console.register()

        def unknown(_host: str) -> list[str]:
            raise CloudUnavailable(detail="name_not_resolved")

        monkeypatch.setattr(console.running.vault.registration._check._guard, "addresses", unknown)
        page = console.browser.press(console.page(console.second()), "Test this provider")
        assert "name_not_resolved" in page.text

    def test_a_cloud_without_discovery_or_revocation_is_tried_as_far_as_it_goes(self, console: Console) -> None:
        check = console.running.vault.registration._check
        type_ = replace(
            console.running.vault.registration.type("openid-connect"),
            is_discovered=False,
            revocation=RevocationStyle.NONE,
        )
        console.register()
        provider = console.second()
        client = Client(CLIENT_ID, Secret(CLIENT_SECRET), provider.server)
        steps = check.check(provider, type_, client, f"{BASE}/oauth/callback/{provider.id}")
        names = [step.name.value for step in steps]
        assert "discovery" not in names
        assert "revocation" not in names
        assert all(step.is_good for step in steps)

    def test_r49_an_address_inside_is_named(self, console: Console, monkeypatch: pytest.MonkeyPatch) -> None:
        console.register()
        guard = console.running.vault.registration._check._guard
        monkeypatch.setattr(guard, "_allow_private", False)
        monkeypatch.setattr(guard, "_schemes", ("https", "http"))
        page = console.browser.press(console.page(console.second()), "Test this provider")
        assert "address_refused" in page.text


class TestTestConsent:
    def consent(self, console: Console) -> Answer:
        going = console.browser.press(console.page(console.second()), "Test consent")
        return console.browser.get(consented(console.running.cloud, going_url(going), console.second()))

    def test_it_shows_what_came_back_and_stores_nothing(self, console: Console) -> None:
        console.register(scopes="email offline_access files")
        page = self.consent(console)
        assert page.url.startswith(f"/admin/providers/{console.second().id}?notice=")
        assert "alice@contoso.example" in page.text
        assert "All there" in page.text
        assert console.running.cloud.requests["/revoke"] == 1
        assert not any("token_set" in item for item in console.running.aws.items("vault"))
        assert "provider.tested" in console.running.audit_tags()
        assert "grant.authorized" not in console.running.audit_tags()

    def test_what_the_administrator_holds_with_the_same_account_stays(self, console: Console) -> None:
        console.register()
        console.browser.press(console.page(console.second()), "Enable")
        authorize(console, console.browser, console.second())
        self.consent(console)
        assert console.running.cloud.requests["/revoke"] == 0
        assert "Authorized" in console.browser.get("/providers").text

    def test_what_is_missing_is_named(self, console: Console) -> None:
        console.register()
        console.running.cloud.misbehave("/token", edit(scope="openid", refresh_token=...))
        page = self.consent(console)
        assert "Something is missing" in page.text
        assert "people would have to authorize again" in page.text

    def test_a_failure_is_said_on_the_providers_own_page(self, console: Console) -> None:
        console.register()
        console.running.cloud.misbehave("/token", error("invalid_client", status=401))
        page = self.consent(console)
        assert "It failed" in page.text
        assert "does not accept the vault" in page.text

    def test_a_notice_of_something_else_is_said_nowhere_else(self, console: Console) -> None:
        console.register()
        browser, cloud, second = console.browser, console.running.cloud, console.second()

        def shown(url: str) -> str:
            """The page of the first provider, with the notice that comes back from `url`."""
            notice = browser.get(url, follow=False).header("Location").partition("?")[2]
            assert notice.startswith("notice=")
            return browser.get(f"/admin/providers/{NORTHWIND}?{notice}").text

        tested = going_url(browser.press(console.page(second), "Test consent"))
        authorized = going_to(browser.press(browser.get("/providers"), "Authorize"))
        for page in (
            shown(consented(cloud, tested, second)),
            shown(console.running.callback(cloud.consent(authorized, "alice"))),
        ):
            assert "Northwind Cloud" in page
            assert "All there" not in page
            assert "It failed" not in page

    def test_r13_it_is_an_administrators(self, console: Console) -> None:
        console.register()
        alice = console.running.browser("alice")
        assert alice.post(f"/admin/providers/{console.second().id}/test-consent", {"csrf": csrf(alice)}).status == 403


def test_the_directory_of_the_tests_has_the_groups_that_are_named_here() -> None:
    assert VAULT_USERS in directory.ALICE.user.groups
    assert replace(directory.ADMIN.user).groups >= {VAULT_ADMINISTRATORS}
