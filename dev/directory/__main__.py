"""`python -m dev.directory`: says in one line of JSON where it listens, and ends with its standard input."""

import argparse
from pathlib import Path

from dev.child import end_on_signals, serve_until_told

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
    end_on_signals()
    directory = EmbeddedDirectory(Authority(), port=arguments.port, lockout_seconds=arguments.lockout_seconds)
    ca_file = arguments.folder.resolve() / "ca.pem"
    ca_file.parent.mkdir(parents=True, exist_ok=True)
    ca_file.write_text(directory.ca_pem)
    with directory:
        serve_until_told(_ready(directory, ca_file))


def _ready(directory: EmbeddedDirectory, ca_file: Path) -> dict[str, object]:
    return {
        "url": directory.url,
        "ca_file": str(ca_file),
        "administrator_group": directory.group("Vault Administrators"),
        "domain": directory.domain,
    }


if __name__ == "__main__":
    main()
