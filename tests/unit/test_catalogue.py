"""The catalogue of provider types, and its files."""

import json
from datetime import UTC, date, datetime, timedelta
from pathlib import Path
from typing import Any

import pytest
from jsonschema import Draft202012Validator

from chalicelib.adapters.catalogue import FOLDER, FileCatalogue
from chalicelib.domain.authorization_server import ClientAuthentication
from chalicelib.domain.errors import NotFound
from chalicelib.domain.provider_type import ProviderType, Quirk, RevocationStyle

SCHEMA = json.loads((FOLDER.parent / "provider-type.schema.json").read_text())
BOX: dict[str, Any] = {
    "name": "Box",
    "scope_delimiter": ",",
    "authorize_parameters": {"access_type": "offline"},
    "reauthorize_parameters": {"force": "true"},
    "revocation": "none",
    "account_page": "https://box.example/account",
    "default_access_token_seconds": 1200,
    "subject_fields": ["id"],
    "label_fields": ["login", "id"],
    "scope_words": {"root_readonly": "Read your files"},
    "looked_at": "2026-11-23",
}


def write(folder: Path, name: str, values: Any) -> None:
    (folder / f"{name}.json").write_text(values if isinstance(values, str) else json.dumps(values))


def test_the_schema_is_one() -> None:
    Draft202012Validator.check_schema(SCHEMA)


@pytest.mark.parametrize("path", sorted(FOLDER.iterdir()), ids=lambda path: path.name)
def test_every_file_follows_the_schema_and_can_be_read(path: Path) -> None:
    Draft202012Validator(SCHEMA).validate(json.loads(path.read_text()))
    assert FileCatalogue().get(path.stem).name


@pytest.mark.parametrize("type_", FileCatalogue().all(), ids=lambda type_: type_.id)
def test_every_type_was_compared_with_its_sources_within_a_year(type_: ProviderType) -> None:
    """Clouds change. Whoever sees this fail reads the sources again, mends the file, and writes the new day into it."""
    age = datetime.now(UTC).date() - date.fromisoformat(type_.looked_at)
    assert age <= timedelta(days=366)
    assert type_.sources


def test_json_goes_with_a_client_that_authenticates_in_the_header() -> None:
    """In the form there would be no room for id and secret: a JSON body is not one."""
    for type_ in FileCatalogue().all():
        if Quirk.JSON_TOKEN_REQUESTS in type_.quirks or type_.revocation is RevocationStyle.RFC7009_JSON:
            assert type_.client_authentication is ClientAuthentication.BASIC, type_.id


def test_a_refresh_path_is_beside_an_endpoint_that_ends_in_token() -> None:
    for type_ in FileCatalogue().all():
        if Quirk.REFRESH_PATH in type_.quirks:
            assert type_.endpoints["token_endpoint"].endswith("/token"), type_.id


def test_has_openid_connect() -> None:
    openid_connect = FileCatalogue().get("openid-connect")
    assert openid_connect in FileCatalogue().all()
    assert openid_connect.name == "OpenID Connect"
    assert openid_connect.authorize_parameters == {"prompt": "consent"}
    assert openid_connect.reauthorize_parameters == {"prompt": "select_account consent"}
    assert openid_connect.revocation is RevocationStyle.RFC7009
    assert openid_connect.scope_words["offline_access"] == "Stay authorized while you are away"


def test_a_type_is_added_by_a_file_alone(tmp_path: Path) -> None:
    Draft202012Validator(SCHEMA).validate(BOX)
    write(tmp_path, "box", BOX)
    assert FileCatalogue(tmp_path).get("box") == ProviderType(
        id="box",
        name="Box",
        scope_delimiter=",",
        authorize_parameters={"access_type": "offline"},
        reauthorize_parameters={"force": "true"},
        revocation=RevocationStyle.NONE,
        account_page="https://box.example/account",
        default_access_token_seconds=1200,
        subject_fields=("id",),
        label_fields=("login", "id"),
        scope_words={"root_readonly": "Read your files"},
        looked_at="2026-11-23",
    )


def test_what_a_file_leaves_out_has_the_types_defaults(tmp_path: Path) -> None:
    least = {name: BOX[name] for name in SCHEMA["required"]}
    Draft202012Validator(SCHEMA).validate(least)
    write(tmp_path, "box", least)
    box = FileCatalogue(tmp_path).get("box")
    assert (box.scope_delimiter, box.subject_fields, box.account_page) == (" ", ("sub",), None)


def test_lists_types_by_name(tmp_path: Path) -> None:
    for name in ("zoom", "Box", "atlassian"):
        write(tmp_path, name.lower(), BOX | {"name": name})
    assert [type_.name for type_ in FileCatalogue(tmp_path).all()] == ["atlassian", "Box", "zoom"]


def test_an_unknown_type_is_not_found() -> None:
    with pytest.raises(NotFound):
        FileCatalogue().get("nobody")


@pytest.mark.parametrize(
    "values",
    ["{", "[]", {}, BOX | {"revocation": "hope"}, BOX | {"colour": "blue"}, {"revocation": "none"}],
    ids=["cut", "list", "empty", "revocation", "unknown field", "no name"],
)
def test_a_file_that_cannot_be_used_is_named(tmp_path: Path, values: Any) -> None:
    write(tmp_path, "broken", values)
    with pytest.raises(ValueError, match=r"^provider type broken\.json: "):
        FileCatalogue(tmp_path)


@pytest.mark.parametrize(
    "fault",
    [
        {"authorize_parameters": {"state": "fixed"}},
        {"reauthorize_parameters": {"redirect_uri": "https://evil.example"}},
        {"account_page": "javascript:alert(1)"},
        {"revocation": "hope"},
        {"subject_fields": []},
        {"default_access_token_seconds": 0},
        {"callback_fields": {"place": {"parameter": "state", "pattern": "[a-z]+"}}},
        {"callback_fields": {"access_token": {"parameter": "token", "pattern": "[a-z]+"}}},
        {"callback_fields": {"place": {"parameter": "place"}}},
        {"colour": "blue"},
    ],
    ids=str,
)
def test_the_schema_refuses_faults(fault: dict[str, Any]) -> None:
    assert not Draft202012Validator(SCHEMA).is_valid(BOX | fault)
