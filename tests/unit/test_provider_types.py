"""Every kind of cloud through its whole life, against a cloud that behaves as its vendor says."""

import json
from dataclasses import replace
from pathlib import Path
from typing import Any, ClassVar

import pytest

from chalicelib.adapters import oauth_client
from chalicelib.adapters.catalogue import FileCatalogue
from chalicelib.adapters.endpoint_guard import EndpointGuard
from chalicelib.adapters.oauth_client import AuthlibClient
from chalicelib.domain.authorization_request import AuthorizationRequest
from chalicelib.domain.authorization_server import AuthorizationServer
from chalicelib.domain.errors import (
    CloudAnswerInvalid,
    CloudError,
    CloudMisconfigured,
    CloudRefused,
    CloudUnavailable,
    InvalidForm,
)
from chalicelib.domain.provider_type import FieldKind, ProviderType, RevocationStyle, TypeField
from chalicelib.domain.secret import Secret
from chalicelib.domain.token_set import CloudAccount, TokenSet
from chalicelib.ports import Client
from tests.fakes.cloud import CLIENT_ID, CLIENT_SECRET, REDIRECT_URI
from tests.fakes.clouds import (
    CLOUDS,
    TENANT,
    AcrobatSign,
    Box,
    Cloud,
    Dropbox,
    Google,
    Linear,
    Microsoft,
    Notion,
    QuickBooks,
    Salesforce,
    Slack,
    Wire,
)
from tests.fakes.misbehaviour import Answer
from tests.fakes.system import FakeClock
from tests.samples import NOW, REQUEST

VERIFIER = "v" * 64
CATALOGUE = FileCatalogue()


class Life:
    """One person and one cloud of a type."""

    def __init__(self, cloud: type[Cloud], patch: pytest.MonkeyPatch, catalogue: FileCatalogue = CATALOGUE) -> None:
        self.clock = FakeClock(NOW)
        self.cloud = cloud(self.clock.now)
        self.type = catalogue.get(cloud.type_id)
        patch.setattr(oauth_client, "CloudTransport", lambda *_: Wire(self.cloud))
        self.oauth = AuthlibClient(self.clock, _Unguarded())
        self.server = self.resolved(cloud.values)

    def resolved(self, values: dict[str, str]) -> AuthorizationServer:
        values = self.type.checked(values)
        return self.oauth.discover(self.type.issuer(values)) if self.type.is_discovered else self.type.server(values)

    @property
    def client(self) -> Client:
        return Client(CLIENT_ID, Secret(CLIENT_SECRET), self.server)

    @property
    def request(self) -> AuthorizationRequest:
        scopes = self.type.scopes(self.cloud.chosen)
        return replace(REQUEST, server=self.server, client_id=CLIENT_ID, scopes=scopes, redirect_uri=REDIRECT_URI)

    def authorize(self, *, again: bool = False) -> tuple[TokenSet, CloudAccount]:
        url = self.oauth.authorization_url(self.request, self.type, state="s", code_verifier=VERIFIER, again=again)
        code = self.cloud.consent(url, again=again)
        return self.exchange(code, self.cloud.returns)

    def exchange(self, code: str, returned: dict[str, str]) -> tuple[TokenSet, CloudAccount]:
        return self.oauth.exchange_code(
            self.client,
            self.type,
            self.request,
            code=code,
            code_verifier=Secret(VERIFIER),
            brought=self.type.brought(returned),
        )

    def refresh(self, tokens: TokenSet) -> TokenSet:
        return self.oauth.refresh(self.client, self.type, tokens)

    def revoke(self, tokens: TokenSet) -> None:
        self.oauth.revoke(self.client, self.type, tokens)

    def is_live(self, tokens: TokenSet) -> bool:
        both = filter(None, (tokens.access_token, tokens.refresh_token))
        return any(self.cloud.is_live(token.reveal()) for token in both)


class _Unguarded(EndpointGuard):
    """There is no network here, so there are no addresses to look up."""

    def __init__(self) -> None:
        super().__init__(allow_private=True)

    def check(self, url: str) -> None:
        assert url.startswith("https://"), url


@pytest.fixture(params=CLOUDS, ids=lambda cloud: cloud.type_id)
def life(request: pytest.FixtureRequest, monkeypatch: pytest.MonkeyPatch) -> Life:
    return Life(request.param, monkeypatch)


def test_every_type_has_a_cloud_here() -> None:
    assert sorted(type_.id for type_ in CATALOGUE.all()) == sorted(cloud.type_id for cloud in CLOUDS)


class TestLife:
    def test_authorize_tells_whose_account_it_is_and_what_was_granted(self, life: Life) -> None:
        tokens, account = life.authorize()
        assert (account.subject, account.label) == life.cloud.account
        assert tokens.scopes == life.cloud.asked
        assert tokens.expires_at == NOW + life.cloud.life
        assert tokens.extra == life.cloud.extra
        assert tokens.token_type == "Bearer"
        assert life.is_live(tokens)

    def test_refresh_keeps_or_rotates_the_refresh_token(self, life: Life) -> None:
        tokens, _ = life.authorize()
        fresh = life.refresh(tokens)
        assert fresh.access_token != tokens.access_token
        assert (fresh.refresh_token != tokens.refresh_token) == life.cloud.rotates
        assert (fresh.scopes, fresh.extra) == (tokens.scopes, tokens.extra)
        assert life.refresh(fresh).refresh_token
        if life.cloud.single_use:
            with pytest.raises(CloudRefused):
                life.refresh(tokens)

    def test_the_type_says_whether_each_refresh_token_works_once(self, life: Life) -> None:
        assert life.type.rotates_refresh_tokens in (None, life.cloud.single_use)

    def test_reauthorize_lets_the_person_choose_the_account(self, life: Life) -> None:
        life.authorize()
        assert life.authorize(again=True)[1].subject == life.cloud.account[0]

    def test_revoke_ends_both_tokens_where_the_cloud_lets_us(self, life: Life) -> None:
        tokens, _ = life.authorize()
        can_revoke = life.type.can_revoke(life.server)
        assert can_revoke == bool(life.cloud.revoke_url)
        if can_revoke:
            life.revoke(tokens)
            assert not life.is_live(tokens)

    def test_an_expired_authorization_is_revoked_too(self, life: Life) -> None:
        if not life.type.can_revoke(life.server):
            return
        tokens, _ = life.authorize()
        life.clock.advance(life.cloud.life)
        life.revoke(tokens)
        assert not any(life.cloud.is_live(token) for token in _refresh_tokens(life))

    def test_its_errors_are_sorted(self, life: Life) -> None:
        tokens, _ = life.authorize()
        for answer, expected in life.cloud.refresh_errors:
            life.cloud.instead = answer
            with pytest.raises(CloudError) as caught:
                life.refresh(tokens)
            assert type(caught.value) is expected, answer

    def test_a_wrong_client_secret_is_our_own_fault(self, life: Life) -> None:
        tokens, _ = life.authorize()
        client = replace(life.client, secret=Secret("wrong"))
        with pytest.raises(CloudMisconfigured):
            life.oauth.refresh(client, life.type, tokens)

    def test_what_is_no_answer_is_none(self, life: Life) -> None:
        tokens, _ = life.authorize()
        for body in (b"<html>", b"", b"[]"):
            life.cloud.instead = Answer(200, body, {"Content-Type": "text/html"})
            with pytest.raises(CloudError):
                life.refresh(tokens)

    def test_r41_the_code_goes_to_its_own_cloud_once(self, life: Life) -> None:
        life.authorize()
        assert [url for method, url in life.cloud.log if url == life.cloud.token_url] == [life.cloud.token_url]


def _refresh_tokens(life: Life) -> list[str]:
    return [token for authorization in life.cloud.codes.values() for token in authorization.refresh_tokens[-1:]]


class TestSingleClouds:
    def test_microsofts_issuer_is_the_tenants(self, monkeypatch: pytest.MonkeyPatch) -> None:
        life = Life(Microsoft, monkeypatch)
        assert life.server.issuer == "https://login.microsoftonline.com/{tenantid}/v2.0"
        monkeypatch.setitem(Microsoft.claims, "tid", "00000000-0000-4000-8000-000000000000")
        with pytest.raises(CloudAnswerInvalid):
            life.authorize()

    @pytest.mark.parametrize("tenant", ["organizations", "common", "consumers", "contoso.example", TENANT])
    def test_microsofts_discovery_may_name_a_tenant_of_the_same_host_alone(
        self, monkeypatch: pytest.MonkeyPatch, tenant: str
    ) -> None:
        life = Life(Microsoft, monkeypatch)
        base = "https://login.microsoftonline.com"
        monkeypatch.setattr(Microsoft, "discovery_url", f"{base}/{tenant}/v2.0/.well-known/openid-configuration")
        monkeypatch.setattr(Microsoft, "discovery", {"issuer": f"{base}/{TENANT}/v2.0"})
        assert life.resolved({"tenant": tenant}).issuer == f"{base}/{TENANT}/v2.0"
        for issuer in ("https://evil.example/{tenantid}/v2.0", f"{base}/x/v2.0", f"{base}/{TENANT}/v2.0/x", 7):
            monkeypatch.setattr(Microsoft, "discovery", {"issuer": issuer})
            with pytest.raises(CloudAnswerInvalid):
                life.resolved({"tenant": tenant})

    def test_a_tenant_that_was_named_by_its_id_must_be_that_one(self, monkeypatch: pytest.MonkeyPatch) -> None:
        life = Life(Microsoft, monkeypatch)
        base, other = "https://login.microsoftonline.com", "00000000-0000-4000-8000-000000000000"
        monkeypatch.setattr(Microsoft, "discovery_url", f"{base}/{other}/v2.0/.well-known/openid-configuration")
        monkeypatch.setattr(Microsoft, "discovery", {"issuer": f"{base}/{TENANT}/v2.0"})
        with pytest.raises(CloudAnswerInvalid):
            life.resolved({"tenant": other})

    def test_google_revokes_what_was_over_already(self, monkeypatch: pytest.MonkeyPatch) -> None:
        life = Life(Google, monkeypatch)
        tokens, _ = life.authorize()
        life.revoke(tokens)
        life.revoke(tokens)

    def test_dropbox_is_asked_with_a_live_token(self, monkeypatch: pytest.MonkeyPatch) -> None:
        life = Life(Dropbox, monkeypatch)
        tokens, _ = life.authorize()
        life.clock.advance(Dropbox.life - 30)
        life.revoke(tokens)
        assert [url for _, url in life.cloud.log[-2:]] == [Dropbox.token_url, Dropbox.revoke_url]

    @pytest.mark.parametrize("error", ["invalid_client", "invalid_grant", "access_denied", "rate_limit_exceeded"])
    def test_an_expired_token_that_cannot_be_renewed_is_over_only_where_the_cloud_says_so(
        self, monkeypatch: pytest.MonkeyPatch, error: str
    ) -> None:
        life = Life(Dropbox, monkeypatch)
        tokens, _ = life.authorize()
        life.clock.advance(Dropbox.life)
        life.cloud.instead = Answer.json({"error": error}, 400)
        if error == "invalid_grant":
            life.revoke(tokens)
            return
        with pytest.raises(CloudError):
            life.revoke(tokens)

    def test_slack_whose_tokens_never_expire_needs_no_refresh(self, monkeypatch: pytest.MonkeyPatch) -> None:
        life = Life(Slack, monkeypatch)
        monkeypatch.setattr(Slack, "token_fields", _without_rotation)
        tokens, _ = life.authorize()
        assert tokens.refresh_token is None
        assert tokens.expires_at > NOW + 5 * 365 * 86400
        life.revoke(tokens)
        assert not life.is_live(tokens)

    def test_slack_never_takes_the_bots_token_for_the_persons(self, monkeypatch: pytest.MonkeyPatch) -> None:
        tokens, _ = Life(Slack, monkeypatch).authorize()
        assert tokens.access_token != Secret("xoxb-of-the-bot")

    def test_box_loses_both_tokens(self, monkeypatch: pytest.MonkeyPatch) -> None:
        life = Life(Box, monkeypatch)
        tokens, _ = life.authorize()
        life.revoke(tokens)
        assert [url for _, url in life.cloud.log].count(Box.revoke_url) == 2

    def test_salesforces_instance_follows_a_refresh(self, monkeypatch: pytest.MonkeyPatch) -> None:
        life = Life(Salesforce, monkeypatch)
        tokens, _ = life.authorize()
        moved = {"instance_url": "https://eu2.salesforce.example"}
        fields = Salesforce.token_fields
        monkeypatch.setattr(Salesforce, "token_fields", lambda *a, **k: fields(*a, **k) | moved)
        assert life.refresh(tokens).extra == moved

    @pytest.mark.parametrize("realm", [{}, {"realmId": "46/../x"}, {"realmId": ""}, {"realmId": "1" * 31}], ids=str)
    def test_quickbooks_without_a_company_is_nobodys_and_its_tokens_can_be_ended(
        self, monkeypatch: pytest.MonkeyPatch, realm: dict[str, str]
    ) -> None:
        life = Life(QuickBooks, monkeypatch)
        monkeypatch.setattr(QuickBooks, "returns", realm)
        with pytest.raises(CloudAnswerInvalid) as caught:
            life.authorize()
        assert caught.value.received is not None
        assert life.is_live(caught.value.received)

    def test_two_companies_of_one_person_are_two_accounts(self, monkeypatch: pytest.MonkeyPatch) -> None:
        life = Life(QuickBooks, monkeypatch)
        first = life.authorize()[1]
        monkeypatch.setattr(QuickBooks, "returns", {"realmId": "7"})
        tokens, second = life.authorize(again=True)
        assert first.subject != second.subject
        assert tokens.extra == life.refresh(tokens).extra == {"realm_id": "7"}

    def test_what_the_browser_brought_counts_where_the_cloud_says_nothing(
        self, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        life = Life(AcrobatSign, monkeypatch)
        monkeypatch.setattr(AcrobatSign, "token_fields", lambda _self, fields, *_, **__: fields)
        assert life.authorize()[0].extra == AcrobatSign.returns

    @pytest.mark.parametrize(
        "address",
        [
            "https://evil.example/",
            "https://api.eu1.adobesign.com.evil.example/",
            "https://api.eu1.adobesign.com@evil.example/",
            "http://api.eu1.adobesign.com/",
            "https://api.eu1.adobesign.com/\n",
            "https://api.eu1.adobesign.com/?next=https://evil.example/",
        ],
    )
    def test_an_address_that_the_browser_made_up_is_not_kept(
        self, monkeypatch: pytest.MonkeyPatch, address: str
    ) -> None:
        life = Life(AcrobatSign, monkeypatch)
        monkeypatch.setattr(AcrobatSign, "token_fields", lambda _self, fields, *_, **__: fields)
        monkeypatch.setattr(AcrobatSign, "returns", {"api_access_point": address, "web_access_point": address})
        assert life.authorize()[0].extra == {}

    def test_acrobat_signs_capitals_mean_what_the_standards_words_do(self, monkeypatch: pytest.MonkeyPatch) -> None:
        life = Life(AcrobatSign, monkeypatch)
        tokens, _ = life.authorize()
        life.revoke(tokens)
        life.revoke(tokens)

    def test_a_graphql_answer_with_errors_names_nobody(self, monkeypatch: pytest.MonkeyPatch) -> None:
        life = Life(Linear, monkeypatch)
        monkeypatch.setattr(Linear, "who", lambda *_: Answer.json({"data": None, "errors": [{"message": "no"}]}))
        with pytest.raises(CloudAnswerInvalid):
            life.authorize()

    def test_notion_without_a_refresh_token_is_good_until_it_is_refused(self, monkeypatch: pytest.MonkeyPatch) -> None:
        life = Life(Notion, monkeypatch)
        fields = Notion.token_fields
        monkeypatch.setattr(Notion, "token_fields", lambda *a, **k: fields(*a, **k) | {"refresh_token": None})
        tokens, account = life.authorize()
        assert (tokens.refresh_token, account.subject) == (None, "w-1/u-1")
        assert tokens.expires_at > NOW + 5 * 365 * 86400
        life.revoke(tokens)
        assert not life.is_live(tokens)

    def test_a_cloud_that_is_overloaded_is_asked_later(self, monkeypatch: pytest.MonkeyPatch) -> None:
        life = Life(Slack, monkeypatch)
        tokens, _ = life.authorize()
        life.cloud.instead = Answer.json({"ok": False, "error": "service_unavailable"})
        with pytest.raises(CloudUnavailable):
            life.revoke(tokens)


def _without_rotation(_self: object, fields: dict[str, Any], *_: object, is_refresh: bool) -> dict[str, Any]:
    left_out = ("expires_in", "refresh_token")
    return {"ok": True, "authed_user": {name: value for name, value in fields.items() if name not in left_out}}


class Contoso(Cloud):
    """A cloud of one's own, plain OAuth 2.0."""

    type_id = "contoso-files"
    values: ClassVar = {"region": "eu"}
    chosen = asked = ("files.read", "files.write")
    authorize_url, token_url = "https://eu.files.example/auth", "https://eu.files.example/token"
    account_url, revoke_url = "https://eu.files.example/me", "https://eu.files.example/revoke"
    authorize_extra: ClassVar = {"offline": "yes"}
    reauthorize_extra: ClassVar = {"offline": "yes", "account": "choose"}
    account = ("9", "alice@files.example")

    def account_fields(self) -> dict[str, Any]:
        return {"person": {"number": 9, "mail": "alice@files.example"}}


CONTOSO = {
    "name": "Contoso Files",
    "fields": [
        {
            "id": "region",
            "label": "Region",
            "kind": "choice",
            "choices": [{"value": "eu", "label": "Europe"}, {"value": "us", "label": "America"}],
        }
    ],
    "endpoints": {
        "authorization_endpoint": "https://{region}.files.example/auth",
        "token_endpoint": "https://{region}.files.example/token",
        "userinfo_endpoint": "https://{region}.files.example/me",
        "revocation_endpoint": "https://{region}.files.example/revoke",
    },
    "client_authentication": "client_secret_post",
    "authorize_parameters": {"offline": "yes"},
    "reauthorize_parameters": {"offline": "yes", "account": "choose"},
    "account_from": "userinfo",
    "subject_fields": ["person.number"],
    "label_fields": ["person.mail"],
    "revocation": "rfc7009",
    "scope_words": {"files.read": "Read your files"},
}


def test_a_plain_cloud_is_added_by_a_data_file_and_nothing_else(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    (tmp_path / "contoso-files.json").write_text(json.dumps(CONTOSO))
    life = Life(Contoso, monkeypatch, FileCatalogue(tmp_path))
    for check in (
        TestLife.test_authorize_tells_whose_account_it_is_and_what_was_granted,
        TestLife.test_refresh_keeps_or_rotates_the_refresh_token,
        TestLife.test_reauthorize_lets_the_person_choose_the_account,
        TestLife.test_revoke_ends_both_tokens_where_the_cloud_lets_us,
    ):
        check(TestLife(), life)


class TestFields:
    @pytest.mark.parametrize(
        ("field", "typed", "stored"),
        [
            (TypeField("host", "Host", FieldKind.HOST), " Cloud.Contoso.COM. ", "cloud.contoso.com"),
            (TypeField("host", "Host", FieldKind.HOST), "cloud.contoso.com:8443", "cloud.contoso.com:8443"),
            (TypeField("url", "URL", FieldKind.URL), "https://cloud.example/x?y=1", "https://cloud.example/x?y=1"),
            (TypeField("t", "Tenant", default="organizations", pattern="[a-z]+"), "", "organizations"),
            (TypeField("o", "Optional", FieldKind.URL, required=False), " ", ""),
        ],
    )
    def test_values_are_cleaned(self, field: TypeField, typed: str, stored: str) -> None:
        assert field.checked(typed) == stored

    @pytest.mark.parametrize(
        ("kind", "typed"),
        [
            *(
                (FieldKind.HOST, host)
                for host in ("localhost", "a/b.c", "a..b", "-a.b", "a.b/", "a.b@c.d", "https://a.b", "a b.c")
            ),
            *(
                (FieldKind.URL, url)
                for url in ("cloud.example", "ftp://a.b", "https://", "https://u:p@a.b", "https://a.b#c", "https://a b")
            ),
            (FieldKind.TEXT, "../x"),
            (FieldKind.TEXT, "x" * 501),
            (FieldKind.TEXT, "a\nb"),
            (FieldKind.TEXT, ""),
            (FieldKind.CHOICE, "other"),
        ],
    )
    def test_what_cannot_be_is_said_beside_the_field(self, kind: FieldKind, typed: str) -> None:
        pattern = "[a-z]+" if kind is FieldKind.TEXT else ""
        with pytest.raises(InvalidForm) as caught:
            TypeField("it", "Label", kind, pattern=pattern).checked(typed)
        assert list(caught.value.problems) == ["it"]
        assert "“Label”" in caught.value.message

    def test_every_variable_of_an_endpoint_is_a_field_with_a_pattern(self) -> None:
        for type_ in CATALOGUE.all():
            values = {field.id: "\x01" for field in type_.fields}
            filled = "".join(type_._filled(template, values) for template in type_.endpoints.values())
            assert filled.replace("{client_id}", "").count("{") == 0, type_.id

    def test_a_type_without_a_way_to_revoke_says_where_people_do_it(self) -> None:
        unable = [type_ for type_ in CATALOGUE.all() if type_.revocation is RevocationStyle.NONE]
        assert [type_.id for type_ in unable if not type_.account_page] == [
            "docushare-flex",
            "egnyte",
            "imanage-work",
            "netdocuments",
            "sharefile",
        ]

    def test_presets_are_in_plain_words(self) -> None:
        for type_ in CATALOGUE.all():
            for preset in type_.presets:
                assert set(preset.scopes) <= set(type_.scope_words), (type_.id, preset.id)
            assert set(type_.required_scopes) <= set(type_.scope_words), type_.id

    def test_scopes_are_asked_for_once_the_required_ones_first(self) -> None:
        type_ = ProviderType("t", "T", required_scopes=("openid", "email"))
        assert type_.scopes(["files", "email", "files"]) == ("openid", "email", "files")


@pytest.mark.parametrize(
    "address", ["https://[cloud.example", "ftp://cloud.example", "https://", "https://a@b.example"]
)
def test_an_address_that_is_none_is_said_beside_its_field(address: str) -> None:
    field = TypeField("issuer", "Issuer", FieldKind.URL)
    with pytest.raises(InvalidForm) as raised:
        field.checked(address)
    assert "must be an address" in str(vars(raised.value))
