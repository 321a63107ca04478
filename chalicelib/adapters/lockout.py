"""Policies of lock-out that a directory has told, remembered for a while: a log-in must not read them each time."""

import time
from collections.abc import Callable

from chalicelib.domain.throttle import Lockout

POLICY_SECONDS = 300
"""How long a policy is remembered, and also that it could not be read."""


class KnownPolicies:
    """By distinguished name. A directory has a few."""

    def __init__(self) -> None:
        self._policies: dict[str, tuple[float, Lockout | None]] = {}

    def get(self, dn: str, read: Callable[[], Lockout | None]) -> Lockout | None:
        """What is remembered, or read now. None: it may not be read."""
        until, policy = self._policies.get(dn, (0.0, None))
        if time.monotonic() >= until:
            policy = read()
            self._policies[dn] = (time.monotonic() + POLICY_SECONDS, policy)
        return policy
