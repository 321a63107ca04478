"""`rotate-keys`: the provider keys under another KMS key, or under its newest key material."""

import argparse
import json
from collections import Counter
from dataclasses import asdict

from .shell import ACTOR, ORIGIN, say, vault

_WORDS = "wrap every provider key anew under VAULT_KMS_KEY, while the vault goes on"
_MORE = (
    "With VAULT_EARLIER_KMS_KEY, keys are moved away from that one, and those that were moved before are passed over. "
    "Interrupted, run it again: it goes on. Data keys never leave KMS."
)


def add(commands: "argparse._SubParsersAction[argparse.ArgumentParser]") -> None:
    """Add `rotate-keys`."""
    command = commands.add_parser("rotate-keys", help=_WORDS, description=f"{_WORDS.capitalize()}. {_MORE}")
    command.add_argument("--json", action="store_true", help="print one JSON object a line, for each key")
    command.set_defaults(run=_rotate)


def _rotate(chosen: argparse.Namespace) -> int:
    counted: Counter[str] = Counter()
    for step in vault().key_rotation.run(ACTOR, ORIGIN):
        counted[step.outcome] += 1
        words = f"{step.number} of {step.total}: {step.provider_id}, generation {step.generation}: {step.outcome}"
        say(json.dumps(asdict(step)) if chosen.json else words)
    if not chosen.json:
        say(f"Wrapped anew: {counted['done']}. Before: {counted['already']}. Ended meanwhile: {counted['gone']}.")
    return 0
