"""`python -m dev.directory`: says in one line of JSON where it listens, and ends with its standard input."""

import argparse
from pathlib import Path

from dev.child import end_on_signals, serve_until_told

from .certificates import Authority
from .server import EmbeddedDirectory
from .tree import CONTOSO


def _arguments() -> argparse.Namespace:
    parser = argparse.ArgumentParser(prog="python -m dev.directory", description="An embedded directory on loopback.")
    parser.add_argument("--port", type=int, default=0, help="0: any free one")
    parser.add_argument("--folder", type=Path, required=True, help="where ca.pem is written")
    parser.add_argument("--lockout-seconds", type=float, default=60.0, help="how long an account stays locked")
    return parser.parse_args()


def main() -> None:
    arguments = _arguments()
    end_on_signals()
    folder = arguments.folder.resolve()
    folder.mkdir(parents=True, exist_ok=True)
    # A copy, so that one can edit it and see what becomes of people who leave
    people = folder / "people.json"
    people.write_bytes(CONTOSO.read_bytes())
    directory = EmbeddedDirectory(
        Authority(), port=arguments.port, people=people, lockout_seconds=arguments.lockout_seconds
    )
    ca_file = folder / "ca.pem"
    ca_file.write_text(directory.ca_pem)
    with directory:
        serve_until_told(_ready(directory, ca_file, people))


def _ready(directory: EmbeddedDirectory, ca_file: Path, people: Path) -> dict[str, object]:
    return {
        "url": directory.url,
        "ca_file": str(ca_file),
        "people": str(people),
        "administrator_group": directory.group("Vault Administrators"),
        "domain": directory.domain,
        "dns_name": directory.dns_name,
    }


if __name__ == "__main__":
    main()
