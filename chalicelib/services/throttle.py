"""When the vault stops asking the directory: before an account would be locked there, and before a flood (R30-R32)."""

from ipaddress import IPv6Address, ip_address, ip_network

from chalicelib.domain.errors import TooManyTries
from chalicelib.domain.secret import Secret, fingerprint
from chalicelib.domain.throttle import EVERYBODY, SOURCE, Budget
from chalicelib.domain.user import Account
from chalicelib.ports import Clock, Random, TryStore

KNOWN_BROWSER_SECONDS = 90 * 86400
MOST_VALUES = 4
"""So many people are known on one browser: the last ones who logged in there for the first time."""
_BETWEEN = "."
"""Between the values in the cookie, one for each person: what one takes along knows nobody else."""
_EVERYBODY = "everybody"
_IPV6_SITE = 64
"""Bits of an IPv6 address that one subscriber cannot change."""


class Attempt:
    """One try to log in: counted before the directory is asked, taken back where it was no wrong password."""

    def __init__(
        self, tries: TryStore, clock: Clock, random: Random, source: str, known: dict[str, frozenset[str]]
    ) -> None:
        """`known` are the accounts of each of the browser's values."""
        self._tries = tries
        self._clock = clock
        self._random = random
        self._source = source
        self._values = known
        self._known = frozenset[str]().union(*known.values())
        self._account: Account | None = None
        self._is_from_source = False
        if not self._known:
            self._count_source()

    @property
    def is_from_known_browser(self) -> bool:
        """Whether this person has logged in with this browser before."""
        return self._account is not None and self._account.key in self._known

    def at(self, account: Account) -> None:
        """Count a try at this account. Raises TooManyTries."""
        self._account = account
        if self._known and not self.is_from_known_browser:
            self._count_source()
        limit = account.budget.limit(is_known=self.is_from_known_browser)
        wait = self._reserve(_of_account(account), limit, account.budget)
        if wait is not None:
            self._account = None
            raise TooManyTries(wait)

    def was_right(self) -> None:
        """The password was right: nothing counts against the account any more, nor this try against its source."""
        if self._account:
            self._tries.forget(_of_account(self._account))
        self._give_back_source()

    def remember(self) -> Secret | None:
        """Know the browser for this account from now on by the cookie returned; None where it is known already."""
        if self._account is None or self.is_from_known_browser:
            return None
        value = self._random.token()
        accounts = frozenset({self._account.key})
        self._tries.remember(fingerprint(value), accounts, self._clock.now() + KNOWN_BROWSER_SECONDS)
        return Secret(_BETWEEN.join([value, *self._values][:MOST_VALUES]))

    def was_none(self) -> None:
        """Nobody judged a password: take the try back."""
        if self._account:
            self._tries.give_back(_of_account(self._account))
        self._give_back_source()

    def was_not_judged(self) -> None:
        """The directory looked at no password: nothing counts against the account, the rest as a wrong one."""
        if self._account:
            self._tries.give_back(_of_account(self._account))
        self.was_wrong()

    def was_wrong(self) -> None:
        """The try stays counted, and counts for everybody's budget too."""
        if not self.is_from_known_browser:
            self._reserve(_EVERYBODY, EVERYBODY.tries, EVERYBODY)

    def _count_source(self) -> None:
        wait = self._tries.waiting(_EVERYBODY, limit=EVERYBODY.tries, seconds=EVERYBODY.seconds, now=self._clock.now())
        if wait is None:
            wait = self._reserve(self._source, SOURCE.tries, SOURCE)
        if wait is not None:
            raise TooManyTries(wait)
        self._is_from_source = True

    def _give_back_source(self) -> None:
        if self._is_from_source:
            self._tries.give_back(self._source)

    def _reserve(self, key: str, limit: int, budget: Budget) -> int | None:
        return self._tries.reserve(key, limit=limit, seconds=budget.seconds, now=self._clock.now())


class Throttle:
    """Every way to try a password goes through here: log-in, confirmation, and an administrator's test."""

    def __init__(self, tries: TryStore, clock: Clock, random: Random) -> None:
        self._tries = tries
        self._clock = clock
        self._random = random

    def attempt(self, source: str, browser: str) -> Attempt:
        """Begin a try from a network address and the browser with this cookie. Raises TooManyTries."""
        now, values = self._clock.now(), dict.fromkeys(filter(None, browser.split(_BETWEEN)))
        known = {value: self._tries.known_accounts(fingerprint(value), now) for value in [*values][:MOST_VALUES]}
        known = {value: accounts for value, accounts in known.items() if accounts}
        return Attempt(self._tries, self._clock, self._random, _source(source), known)


def _of_account(account: Account) -> str:
    return f"account {account.key}"


def _source(address: str) -> str:
    """The network that one subscriber has: an IPv6 address changes at will within it."""
    try:
        parsed = ip_address(address)
    except ValueError:
        return f"source {address}"
    if isinstance(parsed, IPv6Address):
        return f"source {ip_network((parsed, _IPV6_SITE), strict=False)}"
    return f"source {parsed}"
