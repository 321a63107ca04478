"""`python -m dev.realm`: a sign-in provider that puts things where Keycloak puts them, written from its documents.

Roles are in `realm_access` and `resource_access`, groups are full paths, and the addresses are a realm's. It asks for
the password each time, and knows nobody a moment later.
"""

import argparse
import secrets
import socket
import threading
import time
from base64 import urlsafe_b64encode
from dataclasses import asdict, dataclass
from hashlib import sha256
from typing import Any
from urllib.parse import unquote_plus, urlencode

from flask import Flask, abort, jsonify, redirect, render_template_string, request
from joserfc import jwt
from joserfc.jwk import RSAKey
from werkzeug.serving import WSGIRequestHandler, make_server

from .child import end_on_signals, serve_until_told

HOST = "127.0.0.1"
REALM = "/realms/contoso"
_OPENID = f"{REALM}/protocol/openid-connect"
_SECONDS = 60
_FORM = """<!doctype html><html lang="en"><title>Contoso SSO</title><h1>Sign in to Contoso SSO</h1>
{% if refused %}<p role="alert">Invalid username or password.</p>{% endif %}
<form method="post"><label>Username <input name="username" autocomplete="username"></label>
<label>Password <input name="password" type="password" autocomplete="current-password"></label>
<button>Sign In</button></form></html>"""


@dataclass(frozen=True, slots=True)
class RealmLogin:
    """Somebody in the realm; the password is the name and `-pass`."""

    user_name: str
    name: str
    roles: tuple[str, ...] = ()
    """Of the client: those of the realm are everybody's."""
    groups: tuple[str, ...] = ()

    @property
    def password(self) -> str:
        return f"{self.user_name}-pass"


REALM_LOGINS = (
    RealmLogin("adele", "Adele Vance", roles=("vault-admin",), groups=("/it/cloud",)),
    RealmLogin("carol", "Carol Clark", groups=("/staff/scan",)),
)


@dataclass(frozen=True, slots=True)
class RealmClient:
    """The vault as it is registered in the realm."""

    client_id: str
    client_secret: str
    redirect_uri: str
    signed_out_uri: str


class Realm:
    """The realm at `http://<address>`: its addresses, the codes and the access tokens that are still good."""

    def __init__(self, address: str, client: RealmClient) -> None:
        self._base = f"http://{address}"
        self._client = client
        self._key = RSAKey.generate_key(2048, auto_kid=True)
        self._codes: dict[str, tuple[RealmLogin, dict[str, str], int]] = {}
        self._people: dict[str, RealmLogin] = {}

    @property
    def issuer(self) -> str:
        return self._base + REALM

    def app(self) -> Flask:
        app = Flask("realm")
        app.add_url_rule(f"{REALM}/.well-known/openid-configuration", view_func=self.describe)
        app.add_url_rule(f"{_OPENID}/certs", view_func=self.keys)
        app.add_url_rule(f"{_OPENID}/auth", view_func=self.sign_in, methods=["GET", "POST"])
        app.add_url_rule(f"{_OPENID}/token", view_func=self.exchange, methods=["POST"])
        app.add_url_rule(f"{_OPENID}/userinfo", view_func=self.who)
        app.add_url_rule(f"{_OPENID}/logout", view_func=self.sign_out)
        return app

    def describe(self) -> Any:
        """The discovery document."""
        ends = {"authorization": "auth", "token": "token", "userinfo": "userinfo", "end_session": "logout"}
        endpoints = {f"{name}_endpoint": f"{self._base}{_OPENID}/{end}" for name, end in ends.items()}
        return jsonify(
            issuer=self.issuer,
            jwks_uri=f"{self._base}{_OPENID}/certs",
            id_token_signing_alg_values_supported=["RS256"],
            token_endpoint_auth_methods_supported=["client_secret_basic", "client_secret_post"],
            authorization_response_iss_parameter_supported=True,
            **endpoints,
        )

    def keys(self) -> Any:
        return jsonify(keys=[self._key.as_dict(private=False, use="sig", alg="RS256")])

    def sign_in(self) -> Any:
        """The form, and back with a code for who fills it in rightly."""
        client, asked = self._client, request.args.to_dict()
        if (asked.get("client_id"), asked.get("redirect_uri")) != (client.client_id, client.redirect_uri):
            abort(400)
        typed = request.form.get("username"), request.form.get("password")
        login = next((one for one in REALM_LOGINS if (one.user_name, one.password) == typed), None)
        if login is None:
            return render_template_string(_FORM, refused=request.method == "POST")
        code = secrets.token_urlsafe(16)
        self._codes[code] = login, asked, int(time.time())
        answer = {"code": code, "state": asked.get("state", ""), "iss": self.issuer}
        return redirect(f"{client.redirect_uri}?{urlencode(answer)}", 303)

    def exchange(self) -> Any:
        """The token endpoint: each code once, within a minute, with its verifier (RFC 7636 4.6)."""
        given = request.authorization
        pair = [unquote_plus(part or "") for part in ((given.username, given.password) if given else ("", ""))]
        if pair != [self._client.client_id, self._client.client_secret]:
            return jsonify(error="invalid_client"), 401
        login, asked, at = self._codes.pop(request.form.get("code", ""), (None, {}, 0))
        verifier = sha256(request.form.get("code_verifier", "").encode()).digest()
        is_its_own = asked.get("code_challenge") == urlsafe_b64encode(verifier).decode().rstrip("=")
        if login is None or time.time() > at + _SECONDS or not is_its_own:
            return jsonify(error="invalid_grant"), 400
        access_token = secrets.token_urlsafe(24)
        self._people[access_token] = login
        id_token = self._id_token(login, asked.get("nonce"), at)
        return jsonify(access_token=access_token, token_type="Bearer", expires_in=_SECONDS, id_token=id_token)

    def who(self) -> Any:
        """The userinfo endpoint."""
        login = self._people.get((request.authorization and request.authorization.token) or "")
        return jsonify(self._claims(login)) if login else (jsonify(error="invalid_token"), 401)

    def sign_out(self) -> Any:
        return redirect(self._client.signed_out_uri, 303)

    def _claims(self, login: RealmLogin) -> dict[str, Any]:
        """What the predefined mappers for roles and groups make of somebody."""
        return {
            "sub": sha256(login.user_name.encode()).hexdigest()[:32],
            "preferred_username": login.user_name,
            "name": login.name,
            "email": f"{login.user_name}@contoso.example",
            "email_verified": True,
            "realm_access": {"roles": ["default-roles-contoso", "offline_access"]},
            "resource_access": {self._client.client_id: {"roles": list(login.roles)}},
            "groups": list(login.groups),
        }

    def _id_token(self, login: RealmLogin, nonce: str | None, auth_time: int) -> str:
        now = int(time.time())
        claims = self._claims(login) | {"iss": self.issuer, "aud": self._client.client_id, "typ": "ID", "nonce": nonce}
        times = {"iat": now, "exp": now + _SECONDS, "auth_time": auth_time}
        return jwt.encode({"alg": "RS256", "kid": self._key.kid}, claims | times, self._key)


class _QuietHandler(WSGIRequestHandler):
    """Logs nothing: an address may hold a code."""

    def log(self, type: str, message: str, *args: object) -> None:
        pass


def main() -> None:
    arguments = _arguments()
    port = arguments.pop("port")
    end_on_signals()
    listener = socket.create_server((HOST, port))
    address = f"{HOST}:{listener.getsockname()[1]}"
    realm = Realm(address, RealmClient(**arguments))
    server = make_server(HOST, 0, realm.app(), threaded=True, request_handler=_QuietHandler, fd=listener.fileno())
    threading.Thread(target=server.serve_forever, daemon=True).start()
    serve_until_told({"issuer": realm.issuer})


def _arguments() -> dict[str, Any]:
    parser = argparse.ArgumentParser(prog="python -m dev.realm", description="A sign-in provider on loopback.")
    parser.add_argument("--port", type=int, default=0, help="0: any free one")
    for name in asdict(RealmClient("", "", "", "")):
        parser.add_argument(f"--{name.replace('_', '-')}", required=True)
    return vars(parser.parse_args())


if __name__ == "__main__":
    main()
