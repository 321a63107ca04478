"""`python -m dev.scheduler`: calls the background functions, as EventBridge does when deployed.

Prints one line of JSON when it has begun; ends with its standard input.
"""

import logging
import threading
from collections.abc import Callable
from functools import partial

from dev.child import end_on_signals, serve_until_told

SECONDS = 2
LEAVER_SECONDS = 10
"""Between two rounds over all users: short, so that one sees what happens."""
_LOG = logging.getLogger("chalicelib.dev")


def run(function: Callable[[], object], stop: threading.Event) -> None:
    """Call it every `SECONDS` until `stop`; where it fails, it is called again the next time."""
    while not stop.wait(SECONDS):
        try:
            function()
        except Exception as error:
            _LOG.warning("function.failed", extra={"error_type": type(error).__name__})


def main() -> None:
    end_on_signals()
    from app import vault  # noqa: PLC0415 - reads the settings

    stop = threading.Event()
    functions: list[Callable[[], object]] = [
        vault.revocations.retry_due,
        vault.clean_up.run,
        vault.keep_alive.run,
        partial(vault.leavers.sweep, pause=LEAVER_SECONDS),
        vault.seals.seal_due,
        vault.events.deliver_due,
    ]
    for function in functions:
        # Each on its own, as when deployed: a cloud that hangs keeps no other function from its turn
        threading.Thread(target=run, args=(function, stop), daemon=True).start()
    serve_until_told({})
    stop.set()


if __name__ == "__main__":
    main()
