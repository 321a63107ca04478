"""Groups as they were stored: before names were compared as names, one group could have several keys."""

from typing import Any

from chalicelib.domain.directory import stored_group_key


def group_keys(stored: Any) -> Any:
    """The keys by which these groups are known today; what is no list of them is left to whoever reads the item."""
    return list(map(stored_group_key, stored)) if type(stored) in (list, set) else stored
