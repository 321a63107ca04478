"""`python -m dev.directory`: says in one line of JSON where it listens, and ends with its standard input."""

import argparse
import json
import signal
import sys
from pathlib import Path

from .certificates import Authority
from .server import EmbeddedDirectory


def _arguments() -> argparse.Namespace:
    parser = argparse.ArgumentParser(prog="python -m dev.directory", description="An embedded directory on loopback.")
    parser.add_argument("--port", type=int, default=0, help="0: any free one")
    parser.add_argument("--folder", type=Path, required=True, help="where ca.pem is written")
    parser.add_argument("--lockout-seconds", type=float, default=60.0, help="how long an account stays locked")
    return parser.parse_args()


def main() -> None:
    arguments = _arguments()
    for number in (signal.SIGTERM, signal.SIGINT):
        signal.signal(number, lambda *_: sys.exit(0))
    directory = EmbeddedDirectory(Authority(), port=arguments.port, lockout_seconds=arguments.lockout_seconds)
    ca_file = arguments.folder.resolve() / "ca.pem"
    ca_file.parent.mkdir(parents=True, exist_ok=True)
    ca_file.write_text(directory.ca_pem)
    with directory:
        print(json.dumps(_ready(directory, ca_file)), flush=True)
        sys.stdin.buffer.read()


def _ready(directory: EmbeddedDirectory, ca_file: Path) -> dict[str, object]:
    return {
        "ready": True,
        "url": directory.url,
        "ca_file": str(ca_file),
        "administrator_group": directory.group("Vault Administrators"),
        "domain": directory.domain,
    }


if __name__ == "__main__":
    main()
