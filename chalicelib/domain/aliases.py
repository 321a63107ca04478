r"""The names by which an application may call a person: `DOMAIN\user`, an e-mail address, or the id itself."""

import re
import unicodedata

from .user import User

_UUID = "[0-9a-f]{8}(?:-[0-9a-f]{4}){3}-[0-9a-f]{12}"
_ID = re.compile(rf"S-1-[0-9]{{1,15}}(-[0-9]{{1,10}}){{1,15}}|{_UUID}|{_UUID}\.{_UUID}|openid\.[0-9a-f]{{40}}")
"""A SID, an entryUUID, or what `SignInSettings.user` makes of an id_token."""
_MAX_LENGTH = 320


def is_user_id(name: str) -> bool:
    """True for what can only be an id: no name looks like one."""
    return _ID.fullmatch(name) is not None


def normalized(name: str) -> str:
    """One spelling for all that a directory takes for the same name; empty for what no name can be."""
    text = unicodedata.normalize("NFC", name.strip()).casefold()
    return text if len(text) <= _MAX_LENGTH and text.isprintable() else ""


def aliases_of(user: User) -> tuple[str, ...]:
    """What the directory says a person is called. Not unique: an address may be given to somebody else one day."""
    return tuple(dict.fromkeys(filter(None, map(normalized, (user.login_name, user.email)))))
