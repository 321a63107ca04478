"""`python -m dev.cloud`: an authorization server that nobody here wrote (canaille), as the cloud of the local stack.

It listens on 127.0.0.1 while the vault is on localhost: two sites for a browser, with a cookie jar each.
"""

import argparse
import json
import secrets
import socket
import threading
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

from canaille import create_app
from canaille.app import models
from canaille.backends import Backend
from flask import Flask
from joserfc.jwk import RSAKey
from werkzeug.serving import WSGIRequestHandler, make_server

from . import canaille_fixes
from .child import end_on_signals, serve_until_told
from .cloud_accounts import CLOUD_LOGINS, CloudLogin

HOST = "127.0.0.1"
NAME = "Northwind Cloud"
CLIENT_NAME = "Token Vault"
SCOPES = ["openid", "profile", "email", "offline_access"]
ACCESS_TOKEN_SECONDS = 3600


class QuietHandler(WSGIRequestHandler):
    """Logs nothing: an address may hold a code."""

    def log(self, type: str, message: str, *args: object) -> None:
        pass


def main() -> None:
    arguments = _arguments()
    end_on_signals()
    listener = socket.create_server((HOST, arguments.port))
    address = f"{HOST}:{listener.getsockname()[1]}"
    app = cloud(arguments.folder, address)
    with app.app_context():
        _store_people()
        redirect_uris, signed_out_uri = arguments.redirect_uri, arguments.signed_out_uri
        _store_client(arguments.client_id, arguments.client_secret, redirect_uris, signed_out_uri)
    server = make_server(HOST, 0, app, threaded=True, request_handler=QuietHandler, fd=listener.fileno())
    threading.Thread(target=server.serve_forever, daemon=True).start()
    serve_until_told({"issuer": f"http://{address}"})


def _arguments() -> argparse.Namespace:
    parser = argparse.ArgumentParser(prog="python -m dev.cloud", description="An embedded cloud on loopback.")
    parser.add_argument("--port", type=int, default=0, help="0: any free one")
    parser.add_argument("--folder", type=Path, required=True, help="where its database and keys are kept")
    parser.add_argument("--redirect-uri", action="append", required=True, help="may come several times")
    parser.add_argument("--signed-out-uri", default="", help="where people go after signing out of the cloud")
    parser.add_argument("--client-id", required=True)
    parser.add_argument("--client-secret", required=True)
    return parser.parse_args()


def cloud(folder: Path, address: str) -> Flask:
    """Canaille with its database in `folder`, as the issuer `http://<address>`."""
    folder.mkdir(parents=True, exist_ok=True)
    canaille_fixes.apply()
    app: Flask = create_app(_configuration(folder.resolve() / "cloud.sqlite", _keys(folder), address))
    return app


def _configuration(database: Path, keys: dict[str, Any], address: str) -> dict[str, Any]:
    return {
        "SERVER_NAME": address,
        "PREFERRED_URL_SCHEME": "http",
        "SECRET_KEY": keys["secret"],
        "OAUTH2_TOKEN_EXPIRES_IN": {
            "authorization_code": ACCESS_TOKEN_SECONDS,
            "refresh_token": ACCESS_TOKEN_SECONDS,
        },
        "CANAILLE": {
            "NAME": NAME,
            "LOGO": None,
            "LANGUAGE": "en",
            "SMTP": None,  # by default it looks for a mail server on this machine
            "CAPTCHA_ENABLED": False,
            # In the memory backend a query matches when any of its conditions does: an unused code makes later ones
            # fail, and one person's consent counts for another
            "DATABASE": "sql",
        },
        "CANAILLE_SQL": {"DATABASE_URI": f"sqlite:///{database}"},
        "CANAILLE_OIDC": {"ACTIVE_JWKS": [keys["signing"]]},
    }


def _keys(folder: Path) -> dict[str, Any]:
    """The session secret and the signing key, made once for a folder: what was issued stays valid after a restart."""
    file = folder / "keys.json"
    if not file.exists():
        signing = RSAKey.generate_key(2048, auto_kid=True).as_dict(private=True)
        file.touch(mode=0o600)
        file.write_text(json.dumps({"secret": secrets.token_urlsafe(32), "signing": signing}))
    keys: dict[str, Any] = json.loads(file.read_text())
    return keys


def _store_people() -> None:
    for login in CLOUD_LOGINS:
        if not Backend.instance.get(models.User, user_name=login.user_name):
            Backend.instance.save(_user(login))


def _user(login: CloudLogin) -> Any:
    given_name, _, family_name = login.name.partition(" ")
    return models.User(
        user_name=login.user_name,
        formatted_name=login.name,
        display_name=login.name,
        given_name=given_name,
        family_name=family_name,
        emails=[login.email],
        password=login.password,
    )


def _store_client(client_id: str, secret: str, redirect_uris: list[str], signed_out_uri: str) -> None:
    client = Backend.instance.get(models.Client, client_id=client_id) or models.Client(client_id=client_id)
    client.client_secret = secret
    client.redirect_uris = redirect_uris
    client.post_logout_redirect_uris = [signed_out_uri]
    client.client_name = CLIENT_NAME
    client.client_id_issued_at = datetime.now(UTC)
    client.token_endpoint_auth_method = "client_secret_basic"
    client.grant_types = ["authorization_code", "refresh_token"]
    client.response_types = ["code"]
    client.scope = SCOPES
    # By default canaille takes the strongest that the key can do, not the one that is everybody's default
    client.id_token_signed_response_alg = "RS256"
    Backend.instance.save(client)
    # Without it the `aud` of an id_token is an empty list
    client.audience = [client]
    Backend.instance.save(client)


if __name__ == "__main__":
    main()
