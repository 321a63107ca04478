"""`token-vault`: fetch a token by hand, or see how this program proves itself.

Settings come from options or from the environment: TOKEN_VAULT_URL, TOKEN_VAULT_CLIENT_ID, and TOKEN_VAULT_KEY (a file
with a private key in PEM) or TOKEN_VAULT_REGION (the AWS role of this program).
Exit codes: 0 done, 1 the vault refused, 2 wrong usage, 3 the person must act first, 4 try again later.
"""

import argparse
import json
import os
import sys
from collections.abc import Mapping, Sequence
from typing import Any

from .client import VaultClient
from .credentials import Credentials, IamRole, SigningKey
from .errors import MissingScopes, NeedsReauthorization, NotConnected, ProviderUnavailable, VaultError, VaultUnreachable

_DONE, _REFUSED, _USAGE, _PERSON, _LATER = range(5)


def main(arguments: Sequence[str] | None = None, environment: Mapping[str, str] = os.environ) -> int:
    parser = _parser(environment)
    options = parser.parse_args(arguments)
    try:
        credentials = _credentials(options)
        return _get(options, credentials) if options.command == "token" else _who_am_i(options, credentials)
    except VaultError as error:
        return _failed(error, options.json)
    except (OSError, ValueError) as error:
        sys.stderr.write(f"{error}\n")
        return _USAGE


def _get(options: argparse.Namespace, credentials: Credentials) -> int:
    vault = VaultClient(options.url, credentials, wait_seconds=options.wait)
    token = vault.get_token(
        options.provider,
        options.user,
        reason=options.reason,
        scopes=options.scope,
        minimum_seconds=options.minimum_seconds,
        account=options.account,
    )
    if options.json:
        _print_json(
            {
                "access_token": token.value,
                "expires_at": token.expires_at,
                "scopes": token.scopes,
                "missing_scopes": token.missing_scopes,
                "account": vars(token.account),
                "release_id": token.release_id,
                **token.extra,
            }
        )
    else:
        sys.stdout.write(f"{token.value}\n")
    return _DONE


def _who_am_i(options: argparse.Namespace, credentials: Credentials) -> int:
    who = VaultClient(options.url, credentials).who_am_i()
    if options.json:
        _print_json(who)
        return _DONE
    stopped = "" if who["enabled"] else ", stopped by an administrator"
    sys.stdout.write(f"{who['name']} ({who['client_id']}) at {options.url}{stopped}\n")
    for rule in who["may_fetch"]:
        scopes = "any scope" if rule["scopes"] == ["*"] else ", ".join(rule["scopes"]) or "no scope"
        sys.stdout.write(f"  {rule['provider']}: {scopes}; of {_whose(rule)}\n")
    if not who["may_fetch"]:
        sys.stdout.write("  may fetch nothing yet: an administrator gives it rules\n")
    return _DONE


def _whose(rule: Mapping[str, Any]) -> str:
    if rule["everybody"]:
        return "everybody"
    return f"{rule['groups']} groups and {rule['users']} people by name"


def _failed(error: VaultError, as_json: bool) -> int:
    known = {name: value for name, value in vars(error).items() if value}
    if as_json:
        _print_json({"error": str(error), **known})
    else:
        sys.stderr.write(f"{error}\n")
        if "connect_url" in known:
            sys.stderr.write(f"The person authorizes at {known['connect_url']}\n")
    if isinstance(error, (NotConnected, NeedsReauthorization, MissingScopes)):
        return _PERSON
    return _LATER if isinstance(error, (ProviderUnavailable, VaultUnreachable)) else _REFUSED


def _print_json(values: Mapping[str, Any]) -> None:
    sys.stdout.write(json.dumps(values, indent=2) + "\n")


def _credentials(options: argparse.Namespace) -> Credentials:
    if not options.url or not options.client_id:
        raise ValueError("Say where the vault is and who you are: --url and --client-id.")
    if options.key:
        return SigningKey.from_file(
            options.client_id, options.key, options.key_id, certificate=options.certificate or None
        )
    if options.region:
        return IamRole(options.client_id, options.region)
    raise ValueError("Say how you prove yourself: --key with a private key's file, or --region for this AWS role.")


def _parser(environment: Mapping[str, str]) -> argparse.ArgumentParser:
    common = argparse.ArgumentParser(add_help=False)
    for name, text in (
        ("url", "the vault's address"),
        ("client-id", "the application's id"),
        ("key", "file with the application's private key (PEM)"),
        ("key-id", "the key's id as registered; its thumbprint by default"),
        ("certificate", "file with its registered certificate (PEM), if it has one"),
        ("region", "the vault's AWS region, to ask as the AWS role this runs as"),
    ):
        variable = "TOKEN_VAULT_" + name.upper().replace("-", "_")
        common.add_argument(f"--{name}", default=environment.get(variable, ""), help=f"{text} [{variable}]")
    common.add_argument("--json", action="store_true", help="answer in JSON, refusals too")

    parser = argparse.ArgumentParser(prog="token-vault", description="Fetch people's access tokens from a Token Vault.")
    commands = parser.add_subparsers(dest="command", required=True)
    commands.add_parser("whoami", parents=[common], help="what the vault knows of this application")
    token = commands.add_parser("token", help="access tokens").add_subparsers(dest="verb", required=True)
    get = token.add_parser("get", parents=[common], help="print one person's access token at one provider")
    get.add_argument("provider", help="the provider's id")
    get.add_argument("user", help=r"DOMAIN\user, e-mail address or directory id")
    get.add_argument("--reason", required=True, help="why; the person reads it in their history")
    get.add_argument("--scope", action="append", default=[], help="a scope the token must have; may be repeated")
    get.add_argument("--minimum-seconds", type=int, default=60, help="life it must have left (60)")
    get.add_argument("--account", default="", help="which cloud account, where there are several")
    get.add_argument("--wait", type=float, default=0, help="seconds to wait where it works again soon (0)")
    return parser


if __name__ == "__main__":
    sys.exit(main())
