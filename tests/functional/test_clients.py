"""Manage clients as whole requests: what administrators register and change, and what applications get by it."""

import json
import re
from typing import Any
from urllib.parse import urlencode

import pytest
from cryptography.hazmat.primitives.asymmetric import rsa
from joserfc.errors import SecurityWarning
from joserfc.jwk import ECKey, OctKey, RSAKey

from chalicelib.domain.client_application import ClientApplication
from tests.fakes import directory
from tests.fakes.application import Application
from tests.fakes.pasted import PRIVATE_PEM, PUBLIC_PEM, certificate

from .client import BASE, Answer, Browser
from .conftest import NORTHWIND, Running

ROLE = "arn:aws:iam::123456789012:role/scanner"
RULE = {"whose": "everybody", "ceiling": "any"}
ALICE = directory.ALICE.user


class Console:
    """An administrator, and alice who has authorized Northwind Cloud."""

    def __init__(self, running: Running) -> None:
        self.running = running
        running.authorize(running.browser("alice"))
        self.admin = running.browser("admin")
        self.application = Application("scan-server", BASE, running.clock.now)

    def new(self, **typed: str) -> Answer:
        page = self.admin.get("/admin/register-client")
        keys = json.dumps(self.application.jwks())
        fields = {"name": "Scan server", "id": "", "keys": keys, "role_arn": "", "issuer": ""} | typed
        return self.admin.press(page, "Register", **fields)

    def add_rule(self, client: str = "scan-server", **typed: str) -> Answer:
        page = self.admin.get(f"/admin/clients/{client}/rules/add?provider=northwind")
        return self.admin.press(page, "Add rule", **(RULE | typed))

    def registered(self, client: str = "scan-server") -> ClientApplication:
        return self.running.vault.client_applications.get(client)

    def fetch(self, name: str = "CONTOSO\\alice") -> tuple[int, dict[str, Any]]:
        body = urlencode(self.application.form(name, NORTHWIND)).encode()
        answer = Browser(self.running.app).post("/oauth2/token", body, headers={"Sec-Fetch-Site": "", "Origin": ""})
        return answer.status, json.loads(answer.body)

    def problems(self, page: Answer) -> dict[str, str]:
        assert page.status == 400, page.text
        assert "Nothing was stored" in page.text
        return dict(re.findall(r'id="problem-(\w+)">([^<]+)<', page.body))


@pytest.fixture
def console(running: Running) -> Console:
    return Console(running)


class TestRegistering:
    def test_leads_to_what_the_developer_needs(self, console: Console) -> None:
        page = console.new()
        assert page.url == "/admin/clients/scan-server"
        for words in (f"{BASE}/oauth2/token", "scan-server", "k1", "ES256", console.application.key.thumbprint()):
            assert words in page.text
        assert "It cannot fetch anything yet" in page.text
        assert "Scan server" in console.admin.get("/admin/clients").text

    def test_r74_it_gets_nothing_before_a_rule_says_so(self, console: Console) -> None:
        console.new()
        assert console.fetch()[1]["reason"] == "app_not_allowed"
        assert "Enabled" in console.add_rule().text
        assert console.fetch()[0] == 200

    def test_with_a_certificate_a_role_and_an_id_of_its_own(self, console: Console) -> None:
        pem = certificate(rsa.generate_private_key(65537, 2048))
        page = console.new(id="scanner", keys=pem.replace("\n", "\r\n"), role_arn=f" {ROLE} ")
        assert page.url == "/admin/clients/scanner"
        registered = console.registered("scanner")
        assert (registered.role_arn, registered.keys[0].algorithm) == (ROLE, "RS256")
        assert ROLE in page.text
        assert "/oauth2/token/iam" in page.text

    def test_with_neither_key_nor_role_says_how_to_make_one(self, console: Console) -> None:
        page = console.new(keys="")
        assert "openssl req -x509" in page.text
        assert "add a key and say what it may fetch" in page.text

    def test_with_an_identity_provider_whose_keys_are_discovered(self, console: Console) -> None:
        issuer = console.running.cloud.issuer
        console.new(subject_mode="identity_provider", issuer=issuer, issuer_audience="scanner", user_claim="email")
        trusted = console.registered().trusted_issuer
        assert trusted is not None
        assert (trusted.issuer, trusted.audience, trusted.user_claim) == (issuer, "scanner", "email")
        assert trusted.jwks_uri.startswith(issuer)

    def test_everything_that_is_wrong_is_said_at_once_and_what_was_typed_stays(self, console: Console) -> None:
        console.new()
        page = console.new(id="Scan Server", role_arn="arn:aws:iam::123456789012:user/alice", keys="{}")
        assert set(console.problems(page)) == {"id", "role_arn", "keys"}
        assert 'value="Scan Server"' in page.body
        assert 'value="arn:aws:iam::123456789012:user/alice"' in page.body
        page = console.new(subject_mode="identity_provider", issuer="https://127.0.0.1:9/x", user_claim="two words")
        assert set(console.problems(page)) == {"issuer", "issuer_audience", "user_claim"}

    @pytest.mark.parametrize(
        ("typed", "field"),
        [({"id": "other", "name": "SCAN server"}, "name"), ({"name": "Another", "id": "scan-server"}, "id")],
    )
    def test_names_and_ids_are_given_once(self, console: Console, typed: dict[str, str], field: str) -> None:
        console.new()
        assert set(console.problems(console.new(**typed))) == {field}
        assert len(console.running.vault.client_applications.all()) == 1

    @pytest.mark.parametrize(
        "keys",
        [
            PRIVATE_PEM,
            PRIVATE_PEM.replace("PRIVATE", "ENCRYPTED PRIVATE"),
            json.dumps(ECKey.generate_key("P-256").as_dict(private=True)),
            json.dumps({"keys": [RSAKey.generate_key(2048).as_dict(private=True)]}),
        ],
        ids=["pem", "encrypted", "jwk", "jwks"],
    )
    def test_r73_a_private_key_is_refused_loudly_and_never_stored_shown_or_logged(
        self, console: Console, keys: str, capfd: pytest.CaptureFixture[str]
    ) -> None:
        page = console.new(keys=keys)
        assert "That is a private key" in console.problems(page)["keys"]
        secret = keys[60:100]
        everything = str([console.running.aws.items(name) for name in ("vault", "vault-keys", "vault-sessions")])
        for place in (page.body, everything, capfd.readouterr().err):
            assert secret not in place
        assert console.running.vault.client_applications.all() == []

    @pytest.mark.parametrize(
        "keys",
        [
            json.dumps(OctKey.generate_key(256).as_dict()),
            certificate(rsa.generate_private_key(65537, 2048), days=-1),
            "-----BEGIN CERTIFICATE-----\nAAAA\n-----END CERTIFICATE-----",
            PUBLIC_PEM,
            "hello",
        ],
        ids=["shared secret", "expired", "broken", "bare key", "no key"],
    )
    def test_r73_what_proves_nothing_is_refused_beside_the_field(self, console: Console, keys: str) -> None:
        assert set(console.problems(console.new(keys=keys))) == {"keys"}

    def test_r73_a_short_rsa_key_is_refused_beside_the_field(self, console: Console) -> None:
        with pytest.warns(SecurityWarning):
            page = console.new(keys=certificate(rsa.generate_private_key(65537, 1024)))  # noqa: S505 - is refused
        assert "too weak" in console.problems(page)["keys"]

    @pytest.mark.parametrize("path", ["", "/edit", "/delete", "/keys/add", "/keys/remove", "/rules/edit"])
    def test_unknown_ids_are_not_found(self, console: Console, path: str) -> None:
        assert console.admin.get(f"/admin/clients/nobody{path}").status == 404

    def test_r35_changes_need_a_recent_log_in(self, console: Console) -> None:
        console.new()
        console.running.clock.advance(301)
        for path in ("register-client", "clients/scan-server/edit", "clients/scan-server/keys/add"):
            assert console.admin.get(f"/admin/{path}").url == "/login/confirm?next=clients"


class TestEditing:
    def test_stores_what_was_changed(self, console: Console) -> None:
        console.new()
        page = console.admin.get("/admin/clients/scan-server/edit")
        page = console.admin.press(page, "Save", name="New name", role_arn=ROLE)
        assert page.url == "/admin/clients/scan-server"
        assert (console.registered().name, console.registered().role_arn) == ("New name", ROLE)
        assert len(console.registered().keys) == 1

    def test_a_trusted_issuer_is_not_asked_again_and_can_be_given_up(self, console: Console) -> None:
        issuer = console.running.cloud.issuer
        console.new(subject_mode="identity_provider", issuer=issuer, issuer_audience="scanner")
        asked = console.running.cloud.requests["/.well-known/openid-configuration"]
        page = console.admin.get("/admin/clients/scan-server/edit")
        console.admin.press(page, "Save", issuer_audience="another")
        assert console.registered().trusted_issuer.audience == "another"  # type: ignore[union-attr]
        assert console.running.cloud.requests["/.well-known/openid-configuration"] == asked
        page = console.admin.get("/admin/clients/scan-server/edit")
        console.admin.press(page, "Save", subject_mode="self_asserted")
        assert console.registered().trusted_issuer is None

    def test_the_second_of_two_administrators_is_told_and_keeps_what_was_typed(self, console: Console) -> None:
        console.new()
        page = console.admin.get("/admin/clients/scan-server/edit")
        console.admin.press(console.admin.get("/admin/clients/scan-server/edit"), "Save", name="First")
        second = console.admin.press(page, "Save", name="Second")
        assert second.status == 409
        assert "Somebody else changed this application in the meantime" in second.text
        assert "Stored now: First" in second.text
        assert 'value="Second"' in second.body
        assert console.registered().name == "First"
        console.admin.press(second, "Save")
        assert console.registered().name == "Second"

    def test_mistakes_are_said_beside_their_fields(self, console: Console) -> None:
        console.new()
        page = console.admin.get("/admin/clients/scan-server/edit")
        page = console.admin.press(page, "Save", name="", role_arn="arn:aws:iam::1:role/x")
        assert set(console.problems(page)) == {"name", "role_arn"}

    def test_a_mode_that_there_is_not_is_refused(self, console: Console) -> None:
        assert console.new(subject_mode="nobody").status == 400

    def test_deleting_is_asked_about_and_final(self, console: Console) -> None:
        console.new()
        console.add_rule()
        page = console.admin.get("/admin/clients/scan-server/delete")
        assert "This cannot be undone" in page.text
        assert console.admin.press(page, "Delete").url == "/admin/clients"
        assert console.fetch()[1]["reason"] == "invalid_client"

    def test_what_somebody_else_changed_meanwhile_is_not_deleted(self, console: Console) -> None:
        console.new()
        page = console.admin.get("/admin/clients/scan-server/delete")
        console.add_rule()
        answer = console.admin.press(page, "Delete")
        assert (answer.status, "Nothing of yours was stored" in answer.text) == (409, True)
        assert console.registered().rules


class TestKeys:
    def test_overlap_until_the_old_one_is_removed(self, console: Console) -> None:
        console.new()
        console.add_rule()
        old, console.application.key = console.application.key, ECKey.generate_key("P-256", {"kid": "k2"})
        page = console.admin.get("/admin/clients/scan-server/keys/add")
        page = console.admin.press(page, "Add key", keys=json.dumps(console.application.jwks()))
        assert page.text.count("Fingerprint") == 2
        assert console.fetch()[0] == 200
        page = console.admin.get("/admin/clients/scan-server/keys/remove?key=k1")
        assert "no other good key" not in page.text
        console.admin.press(page, "Remove")
        assert console.fetch()[0] == 200
        console.application.key = old
        assert console.fetch()[1]["reason"] == "invalid_client"

    def test_removing_the_last_one_says_what_that_means(self, console: Console) -> None:
        console.new()
        page = console.admin.get("/admin/clients/scan-server/keys/remove?key=k1")
        assert "so it will get nothing" in page.text

    @pytest.mark.parametrize("keys", ["", PRIVATE_PEM])
    def test_what_is_no_public_key_is_refused_beside_the_field(self, console: Console, keys: str) -> None:
        console.new()
        page = console.admin.press(console.admin.get("/admin/clients/scan-server/keys/add"), "Add key", keys=keys)
        assert set(console.problems(page)) == {"keys"}

    def test_the_same_key_id_twice_is_refused(self, console: Console) -> None:
        console.new()
        page = console.admin.get("/admin/clients/scan-server/keys/add")
        page = console.admin.press(page, "Add key", keys=json.dumps(console.application.jwks()))
        assert "has a key with this id already" in console.problems(page)["keys"]

    def test_the_second_of_two_administrators_is_told(self, console: Console) -> None:
        console.new()
        page = console.admin.get("/admin/clients/scan-server/keys/add")
        console.add_rule()
        key = json.dumps(ECKey.generate_key("P-256", {"kid": "k2"}).as_dict(private=False))
        again = console.admin.press(page, "Add key", keys=key)
        assert (again.status, len(console.registered().keys)) == (409, 1)
        assert "&#34;kid&#34;: &#34;k2&#34;" in again.body
        console.admin.press(again, "Add key", keys=key)
        assert len(console.registered().keys) == 2
        private = console.admin.press(page, "Add key", keys=PRIVATE_PEM)
        assert PRIVATE_PEM[40:80] not in private.body

    def test_a_key_that_is_gone_is_not_found(self, console: Console) -> None:
        console.new()
        assert console.admin.get("/admin/clients/scan-server/keys/remove?key=k9").status == 404


class TestRules:
    def test_of_people_groups_scopes_and_sources(self, console: Console) -> None:
        console.new()
        page = console.add_rule(
            whose="chosen",
            users=f"CONTOSO\\alice\r\n{directory.BOB.user.id}",
            groups=directory.VAULT_USERS,
            ceiling="chosen",
            scope="openid",
            more_scopes="profile email offline_access",
            sources="127.0.0.1\r\n10.1.0.0/16",
        )
        assert page.status == 200
        for words in ("CONTOSO\\alice", directory.VAULT_USERS, "offline_access", "10.1.0.0/16"):
            assert words in page.text
        (rule,) = console.registered().rules
        assert rule.whose.users == {ALICE.id, directory.BOB.user.id}
        assert (rule.scopes[0], rule.sources) == ("openid", ("127.0.0.1/32", "10.1.0.0/16"))
        assert console.fetch()[0] == 200

    def test_are_changed_and_removed_one_by_one(self, console: Console) -> None:
        console.new()
        console.add_rule()
        console.add_rule(ceiling="chosen", scope="openid", whose="chosen", users="CONTOSO\\alice")
        page = console.admin.get("/admin/clients/scan-server/rules/edit?number=1")
        assert "CONTOSO\\alice</textarea>" in page.body
        assert 'value="openid" checked' in page.body
        console.admin.press(page, "Save", users="CONTOSO\\alice", sources="10.0.0.0/8")
        assert console.registered().rules[1].sources == ("10.0.0.0/8",)
        page = console.admin.get("/admin/clients/scan-server/rules/remove?number=0")
        console.admin.press(page, "Remove")
        (rule,) = console.registered().rules
        assert rule.scopes == ("openid",)

    @pytest.mark.parametrize(
        ("typed", "fields"),
        [
            ({"whose": "", "ceiling": ""}, {"whose", "ceiling"}),
            ({"whose": "chosen", "ceiling": "chosen"}, {"whose", "ceiling"}),
            ({"whose": "chosen", "users": "CONTOSO\\nobody"}, {"users"}),
            ({"whose": "chosen", "groups": "Domain Users"}, {"groups"}),
            ({"ceiling": "chosen", "more_scopes": 'a "b"'}, {"more_scopes"}),
            ({"ceiling": "chosen", "more_scopes": "*"}, {"more_scopes"}),
            ({"sources": "10.1.2.3/8"}, {"sources"}),
            ({"sources": "office"}, {"sources"}),
        ],
    )
    def test_r74_nothing_is_meant_by_leaving_it_out(
        self, console: Console, typed: dict[str, str], fields: set[str]
    ) -> None:
        console.new()
        assert set(console.problems(console.add_rule(**typed))) == fields
        assert console.registered().rules == ()

    def test_a_change_of_a_list_that_changed_adds_and_overwrites_nothing(self, console: Console) -> None:
        console.new()
        console.add_rule()
        page = console.admin.get("/admin/clients/scan-server/rules/edit?number=0")
        console.add_rule(sources="192.0.2.0/24")
        again = console.admin.press(page, "Save", sources="10.0.0.0/8")
        assert again.status == 409
        assert "10.0.0.0/8</textarea>" in again.body
        console.admin.press(again, "Add rule", sources="10.0.0.0/8")
        assert [rule.sources for rule in console.registered().rules] == [(), ("192.0.2.0/24",), ("10.0.0.0/8",)]

    @pytest.mark.parametrize("number", ["", "9", "-1", "x", "00000", "²"])
    def test_a_rule_that_is_not_there(self, console: Console, number: str) -> None:
        console.new()
        console.add_rule()
        query = urlencode({"number": number})
        for what in ("edit", "remove"):
            assert console.admin.get(f"/admin/clients/scan-server/rules/{what}?{query}").status == 404

    @pytest.mark.parametrize("provider", ["nobody", "", "x" * 200])
    def test_a_provider_that_is_none(self, console: Console, provider: str) -> None:
        console.new()
        assert console.admin.get(f"/admin/clients/scan-server/rules/add?provider={provider}").status == 404


class TestWhoCouldGet:
    def search(self, console: Console, user: str = "CONTOSO\\alice", provider: str = NORTHWIND) -> Answer:
        return console.admin.get("/admin/clients?" + urlencode({"user": user, "provider": provider}))

    def test_names_the_application_and_the_rule(self, console: Console) -> None:
        console.new()
        page = self.search(console)
        assert "No application has a rule that fits" in page.text
        console.add_rule(whose="chosen", groups=directory.VAULT_USERS)
        page = self.search(console)
        assert "CONTOSO\\alice has authorized Northwind Cloud as alice@contoso.example" in page.text
        assert "Could get it" in page.text
        assert f"group {directory.VAULT_USERS}" in page.text

    def test_says_what_is_in_the_way(self, console: Console) -> None:
        console.new()
        console.add_rule(ceiling="chosen", scope="openid")
        assert "the token can do more than the rule allows" in self.search(console).text
        assert "has not authorized Northwind Cloud" in self.search(console, directory.BOB.user.id).text

    @pytest.mark.parametrize(
        ("user", "provider", "says"),
        [
            ("nobody", NORTHWIND, "Nobody is known by this name"),
            ("CONTOSO\\alice", "other", "Please choose a provider"),
            ("CONTOSO\\alice", "", "Please choose a provider"),
        ],
    )
    def test_what_cannot_be_found_is_said_beside_the_field(
        self, console: Console, user: str, provider: str, says: str
    ) -> None:
        page = self.search(console, user, provider)
        assert page.status == 400
        assert says in page.text
