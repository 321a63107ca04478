"""`python -m mutation [--jobs N] [--every N] [MODULE ...]`: the share of mutants that the tests notice.

Each mutant runs in a process of its own, forked from one that has the libraries loaded and nothing of the product.
Survivors are listed with their lines. Exit code 1 where less than the goal was noticed.
"""

import argparse
import ast
import contextlib
import importlib.abc
import importlib.machinery
import importlib.util
import os
import signal
import sys
import time
from collections.abc import Sequence
from pathlib import Path
from types import ModuleType

from .mutants import Mutant, mutants
from .targets import GOAL, TARGETS

SECONDS = 120
"""After so long a mutant goes round in circles, which is noticed, too."""
_PRELOADED = ("pytest", "boto3", "moto", "moto.dynamodb.models", "moto.kms.models", "joserfc.jwt", "ldap3",
              "chalice.test", "requests", "authlib.integrations.requests_client", "aws_encryption_sdk",
              "openapi_schema_validator", "cryptography.x509")  # fmt: skip


_QUIETLY = ("-W", "ignore::pytest.PytestAssertRewriteWarning")
"""What is loaded already cannot be rewritten, nor needs to be."""


class _Importer(importlib.abc.MetaPathFinder, importlib.abc.Loader):
    """Gives the mutated module in the place of the one on the disk."""

    def __init__(self, name: str, tree: ast.Module) -> None:
        self._name, self._tree = name, tree

    def find_spec(self, fullname: str, path: object, target: object = None) -> importlib.machinery.ModuleSpec | None:
        if fullname != self._name:
            return None
        return importlib.util.spec_from_file_location(fullname, source_of(fullname), loader=self)

    def create_module(self, spec: importlib.machinery.ModuleSpec) -> None:
        return None

    def exec_module(self, module: ModuleType) -> None:
        exec(compile(self._tree, str(source_of(self._name)), "exec"), module.__dict__)  # noqa: S102 - the mutant


def source_of(module: str) -> Path:
    return Path(module.replace(".", "/") + ".py")


def main() -> int:
    parser = argparse.ArgumentParser(prog="python -m mutation", description=__doc__)
    parser.add_argument("--jobs", type=int, default=os.cpu_count() or 1)
    parser.add_argument(
        "--every", type=int, default=1, help="only each so-manieth mutant, for a look at a large module"
    )
    parser.add_argument("modules", nargs="*", default=list(TARGETS), metavar="MODULE")
    chosen = parser.parse_args()
    for name in _PRELOADED:
        with contextlib.suppress(ImportError):
            importlib.import_module(name)
    noticed = total = 0
    for module in chosen.modules:
        every = list(mutants(source_of(module).read_text("utf-8")))[:: chosen.every]
        if not notices(module, None):
            print(f"{module}: its tests fail without any mutant", flush=True)
            return 1
        survivors = surviving(module, every, chosen.jobs)
        noticed, total = noticed + len(every) - len(survivors), total + len(every)
        print(f"{module}: {len(every) - len(survivors)} of {len(every)} noticed", flush=True)
        for mutant in survivors:
            print(f"  {source_of(module)}:{mutant.line}: {mutant.what}", flush=True)
    print(f"{noticed} of {total} mutants noticed: {noticed / max(1, total):.1%}; the goal is {GOAL:.0%}")
    return 0 if noticed >= GOAL * total else 1


def surviving(module: str, every: Sequence[Mutant], jobs: int) -> list[Mutant]:
    """The mutants that no test noticed, in the order of their lines."""
    running: dict[int, Mutant] = {}
    survivors: list[Mutant] = []
    for mutant in every:
        if len(running) >= jobs:
            survivors += _ended(running)
        running[_forked(module, mutant)] = mutant
    while running:
        survivors += _ended(running)
    return sorted(survivors, key=lambda mutant: mutant.line)


def notices(module: str, mutant: None) -> bool:
    """Whether the tests pass on the module as it is."""
    return os.waitstatus_to_exitcode(os.waitpid(_forked(module, mutant), 0)[1]) == 0


def _ended(running: dict[int, Mutant]) -> list[Mutant]:
    process, status = os.wait()
    mutant = running.pop(process)
    return [mutant] if os.waitstatus_to_exitcode(status) == 0 else []


def _forked(module: str, mutant: Mutant | None) -> int:
    process = os.fork()
    if process:
        return process
    signal.alarm(SECONDS)
    if mutant is not None:
        sys.meta_path.insert(0, _Importer(module, mutant.tree))
    code = 1
    try:
        code = _tested(module)
    finally:
        os._exit(code)


def _tested(module: str) -> int:
    import pytest  # noqa: PLC0415 - preloaded, and only in the child

    with open(os.devnull, "w") as nothing:  # noqa: PTH123 - the descriptors themselves
        os.dup2(nothing.fileno(), 1)
        os.dup2(nothing.fileno(), 2)
    arguments = ["-x", "-q", "--assert=plain", "-p", "no:cacheprovider", "-p", "no:xdist", *_QUIETLY, *TARGETS[module]]
    return 0 if pytest.main(arguments) == 0 else 1


if __name__ == "__main__":
    started = time.monotonic()
    code = main()
    print(f"{time.monotonic() - started:.0f} s")
    sys.exit(code)
