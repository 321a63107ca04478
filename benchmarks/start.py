"""A fresh process up to its first release, beside one that imports boto3, makes one client and fetches one item.

CPU is the child's own, from its first instruction on; memory is its peak. Both run on this project's Python packages.
The vault's modules are compiled before, as they are in the bundle and as everybody's packages are by pip.
"""

import compileall
import json
import os
import statistics
import subprocess
import sys
from collections.abc import Callable, Sequence
from dataclasses import asdict, dataclass

from .harness import NotMeasured
from .releases import OK, Bench

PROCESSES = 7
_SAID = """
import resource, time
usage = resource.getrusage(resource.RUSAGE_SELF)
peak = usage.ru_maxrss
print(json.dumps({"cpu": (usage.ru_utime + usage.ru_stime) * 1000, "peak": peak / 1024, "status": status,
                  "imported": sorted({"boto3", "jinja2", "ldap3", "requests", "authlib"} & set(sys.modules))}))
"""
_VAULT = """
import json, sys
from chalicelib.bootstrap import create_vault
status = create_vault().app()(json.load(sys.stdin), None)["statusCode"]
"""
_FLOOR = """
import json, sys
import boto3
boto3.client("dynamodb").get_item(TableName="vault", Key={"pk": {"S": "a"}, "sk": {"S": "b"}}, ConsistentRead=True)
status = 200
"""
_DIRECTORY = '[{"domain": "CONTOSO", "servers": ["ldaps://dc.example"]}]'


@dataclass(frozen=True, slots=True)
class Start:
    """Milliseconds of CPU, MiB at the peak, and which of the packages that a release can do without it imported."""

    cpu: float
    peak: float
    imported: tuple[str, ...]


def measure(bench: Bench, processes: int = PROCESSES) -> dict[str, Start]:
    """The vault and the floor, in turn; medians. Raises NotMeasured where a child fails."""
    compileall.compile_dir("chalicelib", quiet=1)
    settings = settings_of(bench)
    taken: dict[str, list[Start]] = {"vault": [], "floor": []}
    children: dict[str, Callable[[], Start]] = {
        "vault": lambda: _child(_VAULT, json.dumps(bench.signed_event()), settings),
        "floor": lambda: _child(_FLOOR, "", {}),
    }
    for _ in range(processes):
        for name, start in children.items():
            taken[name].append(start())
    return {name: _median(every) for name, every in taken.items()}


def settings_of(bench: Bench) -> dict[str, str]:
    """The environment of a process that is the bench's vault, too."""
    return {
        "VAULT_PUBLIC_URL": bench.vault.settings.public_url,
        "VAULT_KMS_KEY": bench.vault.settings.kms_key,
        "VAULT_AUDIT_KEY": bench.vault.settings.audit_key,
        "VAULT_DIRECTORIES": _DIRECTORY,
        "VAULT_LOG_LEVEL": "ERROR",
    }


def _child(code: str, said: str, settings: dict[str, str]) -> Start:
    done = subprocess.run(
        [sys.executable, "-c", code + _SAID],
        input=said,
        capture_output=True,
        text=True,
        check=False,
        env=os.environ | settings,
    )
    if done.returncode:
        raise NotMeasured(f"a fresh process ended with {done.stderr.strip().splitlines()[-1:]}")
    answer = json.loads(done.stdout.splitlines()[-1])
    if answer["status"] != OK:
        raise NotMeasured(f"the first release answered {answer['status']}")
    return Start(answer["cpu"], answer["peak"], tuple(answer["imported"]))


def _median(every: Sequence[Start]) -> Start:
    cpu, peak = (statistics.median(getattr(one, unit) for one in every) for unit in ("cpu", "peak"))
    return Start(cpu, peak, every[-1].imported)


def markdown(starts: dict[str, Start]) -> str:
    vault, floor = starts["vault"], starts["floor"]
    return (
        "| fresh process | CPU ms | peak, MiB | imported of boto3, Authlib, Jinja, ldap3, requests |\n"
        "|---|---|---|---|\n"
        f"| vault: first release | {vault.cpu:.0f} | {vault.peak:.0f} | {', '.join(vault.imported) or 'none'} |\n"
        f"| floor: boto3, one item | {floor.cpu:.0f} | {floor.peak:.0f} | {', '.join(floor.imported) or 'none'} |\n"
        f"| ratio | {vault.cpu / floor.cpu:.2f} | {vault.peak / floor.peak:.2f} | |\n"
    )


def as_json(starts: dict[str, Start]) -> dict[str, dict[str, object]]:
    return {name: asdict(one) for name, one in starts.items()}
