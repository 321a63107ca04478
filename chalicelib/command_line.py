"""What operators do in a shell, with the vault's settings and AWS credentials in the environment.

Exit codes, the same for every command: 0 done and all is well, 1 done and something is wrong, 2 the command or the
settings were not understood, 3 it could not be done now (storage, key or cloud cannot be reached).
"""

import argparse
import sys
from collections.abc import Sequence

from . import directory_commands
from .domain.errors import VaultError
from .settings import SettingsError

NOT_UNDERSTOOD, UNAVAILABLE = 2, 3
_EXIT_CODES = """exit codes:
  0  done, and all is well
  1  done, and something is wrong
  2  the command or the settings were not understood
  3  it could not be done now: storage, key or cloud cannot be reached"""


def main(arguments: Sequence[str] | None = None) -> int:
    """Run one command. Settings are read by the command, so `--help` needs none."""
    chosen = _parser().parse_args(arguments)
    try:
        return int(chosen.run(chosen))
    except SettingsError as error:
        return _fail(f"{error}", NOT_UNDERSTOOD)
    except VaultError as error:
        return _fail(f"{error.message} ({error.code}) {error.detail}", UNAVAILABLE)


def _parser() -> argparse.ArgumentParser:
    parser = argparse.ArgumentParser(
        prog="python -m chalicelib",
        description="Token Vault in a shell. Needs the vault's settings (VAULT_*) and AWS credentials (AWS_*).",
        epilog=_EXIT_CODES,
        formatter_class=argparse.RawDescriptionHelpFormatter,
    )
    commands = parser.add_subparsers(title="commands", metavar="COMMAND", required=True)
    directory_commands.add(commands)
    return parser


def _fail(text: str, code: int) -> int:
    sys.stderr.write(f"{text.strip()}\n")
    return code
