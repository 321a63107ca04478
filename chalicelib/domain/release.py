"""Whether an application gets a person's token: one decision, on what one consistent read brought."""

from collections.abc import Sequence

from .client_application import AccessRule, permits
from .grant import Grant, GrantState, Holding, ReleaseHolding
from .token_exchange import RefusalReason, TokenRefused


def decide(
    held: ReleaseHolding, *, provider_id: str, source: str, account: str = "", scopes: Sequence[str] = ()
) -> tuple[Holding, Grant]:
    """The grant whose token may be released; raises TokenRefused unless everything fits.

    What the application has no right to know comes first and is answered alike: no rule for the provider, no such
    provider, a person outside its groups, or nobody at all (R77).
    """
    rules, holding = _admitted(held, provider_id, source)
    grant = holding.grant if held.subject else None
    if grant is None or grant.token_set is None or not _is_account(grant, account):
        raise TokenRefused(RefusalReason.NOT_CONNECTED)
    if grant.state not in (GrantState.ACTIVE, GrantState.FAILING):
        raise TokenRefused(RefusalReason.NEEDS_REAUTHORIZATION, detail=grant.reason.value)
    if not permits(rules, grant.scopes):
        raise TokenRefused(RefusalReason.APP_NOT_ALLOWED, detail="scopes")
    missing = tuple(scope for scope in scopes if scope not in grant.scopes)
    if missing:
        raise TokenRefused(RefusalReason.MISSING_SCOPES, missing=missing)
    return holding, grant


def _admitted(held: ReleaseHolding, provider_id: str, source: str) -> tuple[list[AccessRule], Holding]:
    """The rules that let the call in; nothing about the grant yet."""
    application, subject, holding = held.application, held.subject, held.holding
    if application is None or not application.enabled:
        raise TokenRefused(RefusalReason.BLOCKED, detail="application")
    rules = application.rules_for(provider_id, subject, source)
    if not rules or holding is None:
        raise TokenRefused(RefusalReason.APP_NOT_ALLOWED)
    if len(held.owners) > 1:
        raise TokenRefused(RefusalReason.AMBIGUOUS_SUBJECT)
    if not holding.provider.enabled or (subject is not None and subject.is_blocked):
        raise TokenRefused(RefusalReason.BLOCKED, detail="provider or person")
    return rules, holding


def _is_account(grant: Grant, asked: str) -> bool:
    """Without a wish any cloud account is the right one; else it is named by its subject or its label."""
    return not asked or asked in (grant.account.subject, grant.account.label)
