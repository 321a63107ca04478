"""`python -m benchmarks.cold_start`: how long the deployed bundle takes from a fresh process to its first answer.

The bundle of `make package STAGE=prod`, under AWS's runtime client, beside a floor in the same run: the same bundle
with a function that only imports boto3, makes the vault's two clients and answers. Median of fresh processes, in turn.
Then the import times of its modules, as `python -X importtime` has them.
"""

import os
import re
import statistics
import subprocess
import sys
import tempfile
import time
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from deploy.archive import unpack
from deploy.package import BUNDLE
from deploy.stage import Stage
from tests.deploy.lambda_runtime import Function

PROCESSES = 10
SHOWN = 20
SETTINGS = {
    "VAULT_PUBLIC_URL": "https://vault.example",
    "VAULT_KMS_KEY": "arn:aws:kms:eu-central-1:123456789012:key/1",
    "VAULT_AUDIT_KEY": "arn:aws:kms:eu-central-1:123456789012:key/2",
    "VAULT_DIRECTORIES": '[{"domain": "CONTOSO", "servers": ["ldaps://dc.contoso.example"]}]',
    "AWS_DEFAULT_REGION": "eu-central-1",
    "AWS_ACCESS_KEY_ID": "none",
    "AWS_SECRET_ACCESS_KEY": "none",
}
_FLOOR = """
import boto3
session = boto3.Session()
CLIENTS = [session.client(name) for name in ("dynamodb", "kms")]
def handler(event, context):
    return {"statusCode": 200, "body": "ok"}
"""
_IMPORT = "import sys; sys.path.insert(0, sys.argv[1]); import {module}"
_TIMED = re.compile(r"import time: +\d+ \| +(\d+) \| ( *)(\S+)")


def request(path: str, method: str = "GET") -> dict[str, Any]:
    """A request as API Gateway sends it."""
    return {
        "resource": path,
        "path": path,
        "httpMethod": method,
        "headers": {"Host": "vault.example", "User-Agent": "Firefox"},
        "multiValueHeaders": {"Host": ["vault.example"]},
        "queryStringParameters": None,
        "multiValueQueryStringParameters": None,
        "pathParameters": None,
        "stageVariables": None,
        "requestContext": {
            "resourcePath": path,
            "httpMethod": method,
            "path": path,
            "requestId": "r",
            "identity": {},
        },
        "body": None,
        "isBase64Encoded": False,
    }


def first_answer(task: Path, handler: str, environment: Mapping[str, str], folder: Path) -> float:
    """Milliseconds from nothing to the answer of one request."""
    function = Function(task, handler, environment, folder)
    begin = time.perf_counter()
    with function:
        answer = function.invoke(request("/login"))
        taken = time.perf_counter() - begin
    if answer["statusCode"] != 200:  # noqa: PLR2004 - HTTP's OK
        raise SystemExit(f"{handler} answered {answer['statusCode']}")
    return taken * 1000


def imports(task: Path, module: str) -> list[tuple[int, str]]:
    """Milliseconds, its own imports included, and name of what a module imports itself."""
    command = [sys.executable, "-I", "-S", "-X", "importtime", "-c", _IMPORT.format(module=module), str(task)]
    environment = SETTINGS | {"PATH": os.environ["PATH"]}
    said = subprocess.run(command, env=environment, capture_output=True, text=True, check=True).stderr
    found = [(int(match[1]) // 1000, match[3]) for match in _TIMED.finditer(said)]
    return sorted(found, reverse=True)


def main() -> None:
    bundle = Stage.named("prod").output / BUNDLE
    if not bundle.exists():
        raise SystemExit("There is no bundle: make package STAGE=prod.")
    with tempfile.TemporaryDirectory() as scratch:
        task = Path(scratch) / "task"
        unpack(bundle, task)
        (task / "floor.py").write_text(_FLOOR, encoding="utf-8")
        taken: dict[str, list[float]] = {"floor.handler": [], "app.app": []}
        for number in range(PROCESSES):
            for handler, times in taken.items():
                times.append(first_answer(task, handler, SETTINGS, Path(scratch) / f"{handler}-{number}"))
        floor, vault = (statistics.median(times) for times in taken.values())
        print("| first answer | ms |", "|---|---|", sep="\n")
        print(
            f"| floor | {floor:.0f} |",
            f"| vault | {vault:.0f} |",
            f"| ratio | {vault / floor:.2f} |",
            sep="\n",
            end="\n\n",
        )
        print("| module, with what it imports | ms |\n|---|---|")
        for milliseconds, name in imports(task, "app")[:SHOWN]:
            print(f"| {name} | {milliseconds} |")


if __name__ == "__main__":
    main()
