"""Runs in a peer's own virtual environment: one act for each line of standard input, measured where it happens."""

import json
import sys
import threading
import time

CALLS = []


def note(client):
    """Count what a boto3 client calls."""
    client.meta.events.register("before-call", lambda model, **_: CALLS.append(model.name))
    return client


def serve(**acts):
    """A line is an act's name, and what to give it, if anything; the answer is one JSON object."""
    said = sys.stdout
    sys.stdout = sys.stderr
    said.write(json.dumps({"acts": sorted(acts)}) + "\n")
    said.flush()
    for line in sys.stdin:
        name, _, argument = line.strip().partition(" ")
        said.write(json.dumps(_measured(acts[name], *filter(None, [argument]))) + "\n")
        said.flush()


def at_once(callers, fetch):
    """Seconds that each caller waited that got a token, all threads starting together."""
    seconds, start = [], threading.Barrier(callers)

    def call():
        start.wait()
        begin = time.perf_counter()
        # Whatever a library raises, that caller has no token
        try:
            fetch()
        except Exception:
            return
        seconds.append(time.perf_counter() - begin)

    threads = [threading.Thread(target=call) for _ in range(callers)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    return seconds


def _measured(act, *arguments):
    CALLS.clear()
    wall, cpu = time.perf_counter(), time.process_time()
    try:
        result = act(*arguments)
    except Exception as error:
        return {"error": f"{type(error).__name__}: {error}"[:300]}
    cpu = time.process_time() - cpu
    measured = {"cpu": cpu * 1000, "wall": (time.perf_counter() - wall) * 1000, "calls": list(CALLS)}
    # What an act gives counts only where it was asked for something
    return measured | ({"result": result} if arguments else {})
