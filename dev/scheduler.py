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


def run(functions: list[Callable[[], object]], stop: threading.Event) -> None:
    """Call each function every `SECONDS` until `stop`; one that fails is called again the next time."""
    while not stop.wait(SECONDS):
        for function in functions:
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
    worker = threading.Thread(target=run, args=(functions, stop), daemon=True)
    worker.start()
    serve_until_told({})
    stop.set()


if __name__ == "__main__":
    main()
