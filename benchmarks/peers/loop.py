"""Runs in a peer's own virtual environment: one act for each line of standard input, measured where it happens."""

import json
import sys
import time

CALLS = []


def note(client):
    """Count what a boto3 client calls."""
    client.meta.events.register("before-call", lambda model, **_: CALLS.append(model.name))
    return client


def serve(**acts):
    """A line is an act's name; the answer is one JSON object."""
    said = sys.stdout
    sys.stdout = sys.stderr
    said.write(json.dumps({"acts": sorted(acts)}) + "\n")
    said.flush()
    for line in sys.stdin:
        said.write(json.dumps(_measured(acts[line.strip()])) + "\n")
        said.flush()


def _measured(act):
    CALLS.clear()
    wall, cpu = time.perf_counter(), time.process_time()
    try:
        act()
    except Exception as error:
        return {"error": f"{type(error).__name__}: {error}"[:300]}
    cpu = time.process_time() - cpu
    return {"cpu": cpu * 1000, "wall": (time.perf_counter() - wall) * 1000, "calls": list(CALLS)}
