"""The commands for providers and tokens: configuration as code, and what administrators do to many at once.

Client secrets are never written out. A file refers to them: `{"environment": "NAME"}` or `{"secrets_manager": "NAME"}`;
without a reference a provider that exists keeps the one it has.
"""

import argparse
import json
import os
import sys
from calendar import timegm
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from datetime import UTC, date, datetime
from pathlib import Path
from typing import TYPE_CHECKING, Any

from . import shell
from .domain.errors import InvalidForm, InvalidRequest, NotFound
from .domain.grant import Grant
from .domain.grant_search import GrantSearch
from .domain.ids import is_person_id, is_provider_id
from .domain.provider import Provider
from .domain.secret import Secret
from .domain.text import tidy
from .services.administration import Count
from .services.registration import Registration
from .web import csv_file

if TYPE_CHECKING:
    from .bootstrap import Vault

_REQUIRED = ("id", "type", "name", "client_id", "scopes")
_KNOWN = (*_REQUIRED, "fields", "visible_to", "secret_ends", "enabled", "client_secret")
_COLUMNS = ("token", "user", "account", "state", "authorized", "refreshed", "last_used", "scopes")


@dataclass(frozen=True, slots=True)
class Plan:
    """What an import would do to one provider."""

    provider_id: str
    asked: Registration
    enabled: bool
    before: Provider | None
    changes: tuple[str, ...]
    ends: Count
    """So many authorizations end with it."""

    @property
    def words(self) -> str:
        if self.before is None:
            return f"{self.provider_id}: register"
        if not self.changes:
            return f"{self.provider_id}: as it is"
        ends = f"; ends {'more than ' if self.ends.more else ''}{self.ends.number} authorizations"
        return f"{self.provider_id}: change {', '.join(self.changes)}{ends if self.ends.number else ''}"


def add(commands: "argparse._SubParsersAction[argparse.ArgumentParser]") -> None:
    """Add `export-providers`, `import-providers`, `list-tokens` and `remove-tokens`."""
    export = commands.add_parser("export-providers", help="print every provider as JSON, without client secrets")
    export.set_defaults(run=_export)

    words = "register and change providers as a JSON file says; what it does not name stays as it is"
    load = commands.add_parser("import-providers", help=words, description=f"{words.capitalize()}. {__doc__}")
    load.add_argument("file", type=Path, metavar="FILE", help="as export-providers prints it; - for standard input")
    load.add_argument("--dry-run", action="store_true", help="say what would be done, and do nothing")
    load.add_argument("--json", action="store_true", help="print one JSON object")
    words = "end what was authorized at a provider whose server or client changes; without it nothing is changed"
    load.add_argument("--end-authorizations", action="store_true", help=words)
    load.add_argument("--revoke", action="store_true", help="also revoke at the cloud what is ended so")
    load.set_defaults(run=_import)

    tokens = commands.add_parser("list-tokens", help="print whose tokens of one provider are stored, never the tokens")
    tokens.add_argument("provider", metavar="PROVIDER", help="the provider's id")
    tokens.add_argument(
        "--user", default="", metavar="NAME", help="only people whose name begins so, or the one with this id"
    )
    tokens.add_argument("--json", action="store_true", help="print one JSON object a line instead of CSV")
    tokens.set_defaults(run=_list)

    remove = commands.add_parser("remove-tokens", help="remove tokens: those people must authorize again")
    remove.add_argument("tokens", nargs="*", metavar="TOKEN", help="as list-tokens names them")
    remove.add_argument("--all-of", default="", metavar="PROVIDER", help="every token of this provider, in one write")
    remove.add_argument("--revoke", action="store_true", help="also revoke them at the cloud")
    remove.add_argument("--yes", action="store_true", help="do it; without it only the number is said")
    remove.set_defaults(run=_remove, parser=remove)


# Providers


def _export(_chosen: argparse.Namespace) -> int:
    providers = [_described(provider) for provider in shell.vault().registration.all()]
    shell.say(json.dumps({"providers": providers}, indent=2, ensure_ascii=False))
    return 0


def _described(provider: Provider) -> dict[str, Any]:
    ends = provider.secret_ends_at
    return {
        "id": provider.id,
        "type": provider.type_id,
        "name": provider.name,
        "client_id": provider.client_id,
        "fields": provider.fields,
        "scopes": list(provider.scopes),
        "visible_to": list(provider.visible_to),
        "secret_ends": datetime.fromtimestamp(ends, UTC).date().isoformat() if ends else None,
        "enabled": provider.enabled,
    }


def _import(chosen: argparse.Namespace) -> int:
    vault = shell.vault()
    try:
        plans = [_plan(vault, entry, chosen) for entry in _entries(chosen.file)]
        _check_ends(plans, chosen)
        done = [] if chosen.dry_run else [_carried_out(vault, plan) for plan in plans]
    except InvalidForm as error:
        return _refuse("; ".join(f"{name}: {sentence}" for name, sentence in error.problems.items()))
    except (InvalidRequest, OSError, ValueError, LookupError, TypeError) as error:
        return _refuse(f"{error}")
    if chosen.json:
        shell.say(json.dumps({"done": not chosen.dry_run, "providers": [plan.words for plan in plans]}))
    else:
        shell.say("\n".join([*(plan.words for plan in plans), f"{len(done)} done." if done else "Nothing was done."]))
    return 0


def _check_ends(plans: list[Plan], chosen: argparse.Namespace) -> None:
    """Raises ValueError where people would have to authorize again and nobody said that they shall."""
    ending = [plan.words for plan in plans if plan.ends.number]
    if ending and not (chosen.dry_run or chosen.end_authorizations):
        raise ValueError(
            f"{'; '.join(ending)}: tokens belong to the server and client that issued them. "
            "Say --end-authorizations if those people shall authorize again."
        )


def _entries(file: Path) -> Iterator[dict[str, Any]]:
    document = json.loads(sys.stdin.read() if str(file) == "-" else file.read_text("utf-8"))
    for entry in document["providers"]:
        missing = [name for name in _REQUIRED if name not in entry]
        unknown = [name for name in entry if name not in _KNOWN]
        if missing or unknown:
            raise ValueError(f"{entry.get('id', '?')}: missing {missing}, not known {unknown}")
        yield entry


def _plan(vault: "Vault", entry: dict[str, Any], chosen: argparse.Namespace) -> Plan:
    """Everything about one entry that can be wrong is found here, before anything is stored."""
    provider_type = vault.registration.type(entry["type"])
    ends = entry.get("secret_ends")
    asked = Registration(
        type_id=provider_type.id,
        name=tidy(str(entry["name"])),
        client_id=str(entry["client_id"]),
        client_secret=_secret(entry.get("client_secret")),
        fields=provider_type.checked(entry.get("fields") or {}),
        scopes=provider_type.scopes([str(scope) for scope in entry["scopes"]]),
        visible_to=tuple(entry.get("visible_to") or ()),
        secret_ends_at=timegm(date.fromisoformat(ends).timetuple()) if ends else None,
        ends_authorizations=chosen.end_authorizations,
        revokes_authorizations=chosen.revoke,
    )
    if not is_provider_id(str(entry["id"])):
        raise ValueError("id: 1 to 64 of A-Z, a-z, 0-9, _ and -, the first a letter or a digit")
    before = _existing(vault, str(entry["id"]))
    enabled = bool(entry.get("enabled", before.enabled if before else False))
    if before is None and not asked.client_secret:
        raise ValueError(f"{entry['id']}: a new provider needs a reference to its client secret")
    if before is not None and before.type_id != asked.type_id:
        raise ValueError(f"{entry['id']}: a provider cannot become one of another type")
    if before is None:
        vault.registration.server(provider_type, asked.fields)
    ended = vault.registration.ends(before, asked) if before else Count(0)
    return Plan(str(entry["id"]), asked, enabled, before, _changes(before, asked, enabled), ended)


def _existing(vault: "Vault", provider_id: str) -> Provider | None:
    try:
        return vault.registration.get(provider_id)
    except NotFound:
        return None


def _changes(before: Provider | None, asked: Registration, enabled: bool) -> tuple[str, ...]:
    if before is None:
        return ()
    now = {
        name: getattr(before, name)
        for name in ("name", "client_id", "fields", "scopes", "visible_to", "secret_ends_at")
    }
    changed = [name for name, value in now.items() if value != getattr(asked, name)]
    more = [("client_secret", bool(asked.client_secret)), ("enabled", before.enabled != enabled)]
    return (*changed, *(name for name, is_new in more if is_new))


def _carried_out(vault: "Vault", plan: Plan) -> Provider:
    registration, provider = vault.registration, plan.before
    if provider is None:
        provider = registration.add(plan.provider_id, plan.asked, shell.ACTOR, shell.ORIGIN)
    elif set(plan.changes) - {"enabled"}:
        provider = registration.change(provider, plan.asked, shell.ACTOR, shell.ORIGIN)
    if provider.enabled == plan.enabled:
        return provider
    switch = registration.enable if plan.enabled else registration.disable
    return switch(provider, shell.ACTOR, shell.ORIGIN)


def _secret(reference: Mapping[str, str] | None) -> Secret:
    """What a reference stands for; nothing without one. Raises ValueError for a secret in the file itself."""
    if reference is None:
        return Secret("")
    if not isinstance(reference, Mapping) or len(reference) != 1:
        raise ValueError(
            'client_secret must be {"environment": "NAME"} or {"secrets_manager": "NAME"}, never the secret'
        )
    ((place, name),) = reference.items()
    if place == "environment":
        return Secret(os.environ[name])
    if place == "secrets_manager":
        return _from_secrets_manager(name)
    raise ValueError(f"client_secret: {place!r} is no place for secrets")


def _from_secrets_manager(name: str) -> Secret:
    from .adapters.aws import AwsClients  # noqa: PLC0415 - only for who refers to one
    from .adapters.secrets_manager import SecretsManager, SecretUnreadable  # noqa: PLC0415

    try:
        return SecretsManager(AwsClients.create()).read(name, anew=True)
    except SecretUnreadable as error:
        raise ValueError(f"client_secret: Secrets Manager gave nothing for {name!r} ({error})") from None


# Tokens


def _list(chosen: argparse.Namespace) -> int:
    rows = map(_row, _grants(shell.vault(), chosen.provider, chosen.user))
    if not chosen.json:
        csv_file.write(sys.stdout, _COLUMNS, (tuple(row.values()) for row in rows))
        return 0
    for row in rows:
        shell.say(json.dumps(row, ensure_ascii=False))
    return 0


def _grants(vault: "Vault", provider_id: str, user: str) -> Iterator[Grant]:
    provider, cursor = vault.administration.provider(provider_id), None
    search = GrantSearch(user_id=user) if is_person_id(user) else GrantSearch(user_prefix=user)
    while True:
        page = vault.administration.tokens(provider, search, cursor).page
        yield from (grant.as_seen(provider) for grant in page.grants)
        cursor = page.next_cursor
        if cursor is None:
            return


def _row(grant: Grant) -> dict[str, str]:
    return {
        "token": grant.id,
        "user": grant.user_name,
        "account": grant.account.label,
        "state": grant.state.value,
        "authorized": _moment(grant.authorized_at),
        "refreshed": _moment(grant.refreshed_at),
        "last_used": _moment(grant.last_used_at),
        "scopes": " ".join(grant.scopes),
    }


def _moment(seconds: int | None) -> str:
    return datetime.fromtimestamp(seconds, UTC).isoformat() if seconds else ""


def _remove(chosen: argparse.Namespace) -> int:
    vault = shell.vault()
    administration, removals = vault.administration, vault.removals
    if bool(chosen.tokens) == bool(chosen.all_of):
        chosen.parser.error("name tokens, or a provider with --all-of")
    if chosen.all_of:
        count = administration.count(administration.provider(chosen.all_of))
        number = f"more than {count.number}" if count.more else f"{count.number}"
        if chosen.yes:
            removals.remove_all(shell.ACTOR, chosen.all_of, shell.ORIGIN, revoke=chosen.revoke)
    else:
        number = str(len(administration.find(chosen.tokens)))
        if chosen.yes:
            receipt = removals.remove(shell.ACTOR, chosen.tokens, shell.ORIGIN, revoke=chosen.revoke)
            number = str(sum(cloud.removed for cloud in receipt.clouds))
    shell.say(f"{number} removed." if chosen.yes else f"{number} would be removed. Say --yes to do it.")
    return 0


def _refuse(text: str) -> int:
    sys.stderr.write(f"{text}\nNothing was done.\n")
    return 2
