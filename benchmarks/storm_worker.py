"""`python -m benchmarks.storm_worker`: one process of several whose callers want the same expired token at one moment.

The vault as the environment names it, at a cloud on loopback. Each line of standard input is one round as JSON, its
requests signed before; each line of output says how long those waited that got a token, and how many AWS calls it took.
"""

import json
import sys

from chalicelib.adapters.aws import AwsClients
from chalicelib.adapters.endpoint_guard import EndpointGuard
from chalicelib.adapters.json_client import Limits
from chalicelib.adapters.oauth_client import AuthlibClient
from chalicelib.bootstrap import create_vault

from .local_aws import Recorder, lines_into_nothing
from .releases import MovableClock, fetched
from .storm import at_once


def main() -> None:
    clock = MovableClock()
    aws = AwsClients.create(Limits(read_seconds=60, connections=200))
    recorder = Recorder(aws)
    cloud = AuthlibClient(clock, EndpointGuard(allow_private=True))
    with lines_into_nothing():
        app = create_vault(aws=aws, clock=clock, oauth_client=cloud).app()
        print(json.dumps({"ready": True}), flush=True)
        for line in sys.stdin:
            asked = json.loads(line)
            clock.off = asked["off"]
            recorder.take()
            seconds = at_once(lambda event: fetched(app, event), asked["events"])
            operations, _ = recorder.take()
            print(json.dumps({"seconds": seconds, "calls": len(operations)}), flush=True)


if __name__ == "__main__":
    main()
