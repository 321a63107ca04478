"""What administrators look for among everybody's grants."""

from dataclasses import dataclass

from .grant import Grant, GrantState


@dataclass(frozen=True, slots=True)
class GrantSearch:
    """Empty fields ask nothing. `user_id` names one person and then counts instead of `user_prefix`."""

    user_prefix: str = ""
    user_id: str = ""
    account: str = ""
    """A part of the cloud account's name or id, without case."""
    state: GrantState | None = None
    scope: str = ""
    """A scope that was granted, whole."""
    authorized_before: int | None = None
    """Epoch seconds."""

    @property
    def is_narrow(self) -> bool:
        """Whether it asks for more than the list is ordered by."""
        return bool(self.account or self.state or self.scope or self.authorized_before is not None)

    def matches(self, grant: Grant) -> bool:
        """Whether a grant, as seen with its provider's registration, is among what is looked for; names aside."""
        account = self.account.casefold()
        names = (grant.account.label.casefold(), grant.account.subject.casefold())
        return (
            any(account in name for name in names)
            and self.state in (None, grant.state)
            and (not self.scope or self.scope in grant.scopes)
            and (self.authorized_before is None or grant.authorized_at < self.authorized_before)
        )
