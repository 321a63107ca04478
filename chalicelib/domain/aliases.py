r"""The names by which an application may call a person: `DOMAIN\user`, an e-mail address, or the id itself."""

import unicodedata

from .user import User

_MAX_LENGTH = 320


def normalized(name: str) -> str:
    """One spelling for all that a directory takes for the same name; empty for what no name can be."""
    text = unicodedata.normalize("NFC", name.strip()).casefold()
    return text if len(text) <= _MAX_LENGTH and text.isprintable() else ""


def aliases_of(user: User) -> tuple[str, ...]:
    """What the directory says a person is called. Not unique: an address may be given to somebody else one day."""
    return tuple(dict.fromkeys(filter(None, map(normalized, (user.login_name, user.email)))))
