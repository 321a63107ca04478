"""What the programs of the local stack have in common: one line of JSON when ready, and an end with their parent."""

import json
import signal
import sys
from collections.abc import Mapping


def end_on_signals() -> None:
    """Let SIGTERM and SIGINT end this process quietly, its `finally` blocks and exit functions included."""
    for number in (signal.SIGTERM, signal.SIGINT):
        signal.signal(number, lambda *_: sys.exit(0))


def serve_until_told(ready: Mapping[str, object]) -> None:
    """Print the ready line and return when standard input ends: also after a `kill -9` of the one who started us."""
    print(json.dumps({"ready": True, **ready}), flush=True)
    sys.stdin.buffer.read()
