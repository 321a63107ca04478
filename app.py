"""Token Vault on AWS Chalice: the web application and the background functions."""

import os
import sys
from typing import Any

from chalicelib.bootstrap import Vault, create_vault
from chalicelib.settings import SettingsError


def _vault() -> Vault:
    """Whoever calls Chalice's own program without settings is told what to do instead, not shown a traceback."""
    try:
        return create_vault()
    except SettingsError as error:
        if "chalice.cli" not in sys.modules:
            raise
        instead = (
            "Use `make run` for the vault with all it needs on this machine, and `make package` and `make deploy` for "
            "AWS: Chalice alone makes no tables, keys or roles (docs/operations.md)."
        )
        print(f"{error}\n{instead}", file=sys.stderr, flush=True)
        # `chalice local` imports this in a thread, which an exception would end alone
        os._exit(1)


vault = _vault()
app = vault.app()


@app.schedule("rate(1 minute)")
def retry_revocations(_event: Any) -> None:
    """Ask the clouds again that have not confirmed a revocation yet."""
    vault.revocations.retry_due()


@app.schedule("rate(1 hour)")
def keep_alive(_event: Any) -> None:
    """Refresh grants that would lapse because nobody uses them, a bounded number at a time."""
    vault.keep_alive.run()


@app.schedule("rate(1 minute)")
def look_after_leavers(_event: Any) -> None:
    """Ask the directory again about everybody, a bounded piece at a time."""
    vault.leavers.sweep()


@app.schedule("rate(1 minute)")
def clean_up(_event: Any) -> None:
    """Delete what administrators have removed, a bounded piece at a time."""
    vault.clean_up.run()


@app.schedule("rate(5 minutes)")
def seal_audit(_event: Any) -> None:
    """Seal the windows of the audit log that are closed."""
    vault.seals.seal_due()


@app.schedule("rate(1 minute)")
def deliver_events(_event: Any) -> None:
    """Bring events to the bus and mails to people, where the settings name any."""
    vault.events.deliver_due()
