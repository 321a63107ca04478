"""Whether an application gets a person's token: one decision, on what one consistent read brought."""

from collections.abc import Sequence

from .client_application import AccessRule, ClientApplication, permits
from .grant import Grant, GrantState, Holding, ReleaseHolding
from .stop import StopKind
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
    if grant is None or grant.token_set is None or (account and not grant.is_account(account)):
        raise TokenRefused(RefusalReason.NOT_CONNECTED)
    seen = grant.as_seen(holding.provider)
    if seen.state not in (GrantState.ACTIVE, GrantState.FAILING):
        raise TokenRefused(RefusalReason.NEEDS_REAUTHORIZATION, detail=seen.reason.value)
    if not permits(rules, grant.scopes):
        raise TokenRefused(RefusalReason.APP_NOT_ALLOWED, detail="scopes")
    missing = tuple(scope for scope in scopes if scope not in grant.scopes)
    if missing:
        raise TokenRefused(RefusalReason.MISSING_SCOPES, missing=missing)
    return holding, grant


def _admitted(held: ReleaseHolding, provider_id: str, source: str) -> tuple[list[AccessRule], Holding]:
    """The rules that let the call in; nothing about the grant yet."""
    application, subject, holding = _running(held), held.subject, held.holding
    rules = application.rules_for(provider_id, subject, source)
    if not rules or holding is None:
        raise TokenRefused(RefusalReason.APP_NOT_ALLOWED)
    if len(held.owners) > 1:
        raise TokenRefused(RefusalReason.AMBIGUOUS_SUBJECT)
    stopped = _stopped(held, holding)
    if stopped:
        raise TokenRefused(RefusalReason.BLOCKED, detail=stopped.value)
    return rules, holding


def _running(held: ReleaseHolding) -> ClientApplication:
    """The application, if anything may be released to it at all; raises TokenRefused otherwise (R76)."""
    application = held.application
    if application is None or not application.enabled:
        raise TokenRefused(RefusalReason.BLOCKED, detail=StopKind.APPLICATION.value)
    if StopKind.EVERYTHING in held.stops:
        raise TokenRefused(RefusalReason.BLOCKED, detail=StopKind.EVERYTHING.value)
    return application


def _stopped(held: ReleaseHolding, holding: Holding) -> StopKind | None:
    """What stops this person's token at this provider, for an application that may know of both."""
    provider = holding.provider
    if StopKind.PROVIDER in held.stops or not provider.enabled or provider.is_deleted:
        return StopKind.PROVIDER
    if held.subject is not None and not provider.is_for(held.subject.groups):
        return StopKind.PROVIDER
    if held.subject is not None and held.subject.is_blocked:
        return StopKind.DIRECTORY
    if StopKind.PERSON in held.stops:
        return StopKind.PERSON
    return StopKind.OWN if StopKind.OWN in held.stops else None
