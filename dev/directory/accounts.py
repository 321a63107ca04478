"""Who may bind: names, passwords, account states and the lock-out."""

import threading
import time
from collections.abc import Callable
from hmac import compare_digest

from .tree import Entry, Tree

BAD_CREDENTIALS, LOCKED = "52e", "775"

# Sub-codes that a domain controller gives after the right password only
_AFTER_RIGHT_PASSWORD = {
    "logon_hours": "530",
    "workstation": "531",
    "password_expired": "532",
    "disabled": "533",
    "account_expired": "701",
    "must_change": "773",
}


class BindRefused(Exception):
    """`sub_code` is the one of Active Directory, as in `data 52e`."""

    def __init__(self, sub_code: str) -> None:
        self.sub_code = sub_code
        super().__init__(sub_code)


class Accounts:
    """Checks passwords as a domain controller does; after some wrong ones an account is locked for a while."""

    def __init__(
        self, tree: Tree, *, threshold: int, lockout_seconds: float, now: Callable[[], float] = time.monotonic
    ) -> None:
        self._tree = tree
        self._threshold = threshold
        self._lockout_seconds = lockout_seconds
        self._now = now
        self._failures: dict[str, tuple[int, float]] = {}
        self._lock = threading.Lock()

    def authenticate(self, name: str, password: bytes) -> Entry:
        r"""The entry for `DOMAIN\user`, user principal name or DN. Raises BindRefused."""
        entry = self._find(name)
        if entry is None or entry.key not in self._tree.accounts:
            raise BindRefused(BAD_CREDENTIALS)
        with self._lock:
            return self._checked(entry, password)

    def _find(self, name: str) -> Entry | None:
        domain, backslash, username = name.partition("\\")
        if backslash and domain.casefold() == self._tree.netbios_name.casefold():
            return self._by("sAMAccountName", username)
        return self._by("userPrincipalName", name) or self._tree.get(name)

    def _by(self, attribute: str, value: str) -> Entry | None:
        for key in self._tree.accounts:
            entry = self._tree.get(key)
            if entry is not None and entry.text(attribute).casefold() == value.casefold():
                return entry
        return None

    def _checked(self, entry: Entry, password: bytes) -> Entry:
        account = self._tree.accounts[entry.key]
        state = account.get("state", "active")
        if state == "locked" or self._is_locked(entry.key):
            raise BindRefused(LOCKED)
        if not compare_digest(password, account["password"].encode()):
            self._count_failure(entry.key)
            raise BindRefused(BAD_CREDENTIALS)
        self._failures.pop(entry.key, None)
        if state in _AFTER_RIGHT_PASSWORD:
            raise BindRefused(_AFTER_RIGHT_PASSWORD[state])
        return entry

    def _is_locked(self, key: str) -> bool:
        count, last = self._failures.get(key, (0, 0.0))
        if count and self._now() - last >= self._lockout_seconds:
            del self._failures[key]
            return False
        return count >= self._threshold

    def _count_failure(self, key: str) -> None:
        count, _ = self._failures.get(key, (0, 0.0))
        self._failures[key] = count + 1, self._now()
