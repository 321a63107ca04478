"""Token Vault on AWS Chalice: the web application and the background functions."""

import os
import sys

from chalice.app import CloudWatchEvent

from chalicelib.adapters.ses_feedback import SOURCE as FEEDBACK
from chalicelib.bootstrap import Vault, create_vault
from chalicelib.services.background import seconds_left
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
def retry_revocations(event: CloudWatchEvent) -> None:
    """Ask the clouds again that have not confirmed a revocation yet."""
    vault.revocations.retry_due(seconds_left(event.context))


@app.schedule("rate(1 hour)")
def keep_alive(event: CloudWatchEvent) -> None:
    """Refresh grants that would lapse because nobody uses them."""
    vault.keep_alive.run(seconds_left(event.context))


@app.schedule("rate(1 minute)")
def look_after_leavers(event: CloudWatchEvent) -> None:
    """Ask the directory again about everybody."""
    vault.leavers.sweep(seconds_left(event.context))


@app.schedule("rate(1 minute)")
def clean_up(event: CloudWatchEvent) -> None:
    """Delete what administrators have removed."""
    vault.removals.carry_on(seconds_left(event.context))
    vault.removals.finish_open(seconds_left(event.context))
    vault.clean_up.run(seconds_left(event.context))
    vault.restoration.prepare()


@app.schedule("rate(5 minutes)")
def seal_audit(event: CloudWatchEvent) -> None:
    """Seal the windows of the audit log that are closed."""
    vault.seals.seal_due(seconds_left(event.context))


@app.schedule("rate(1 minute)")
def deliver_events(event: CloudWatchEvent) -> None:
    """Bring events to the bus and mails to people, where the settings name any; note which mails came back."""
    if event.source == FEEDBACK:
        vault.note_feedback(event.detail)
    else:
        vault.events.deliver_due(seconds_left(event.context))
